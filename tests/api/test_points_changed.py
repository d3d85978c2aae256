"""The subscription `pointsChanged`: a snapshot, then every change once and in order, whatever happens to Redis.

The gateway of this module reaches Redis through a wire that can be muted and cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from engage.api.relay import global_id
from engage.base.actor import SYSTEM
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.domains.members import service as members
from tests.api.clients import DEADLINE_S, HttpClient, Json, http_client, socket
from tests.api.conftest import People, Person, give, new_key
from tests.api.gateway import Gateway
from tests.api.watching import WATCH, check_whole, watching
from tests.conftest import Servers
from tests.realtime.wire import Wire, wired

SPEND = """mutation ($input: SpendPointsInput!) { spendPoints(input: $input) { ... on SpendPointsPayload {
    transferId position postedAt balance { available } } ... on Problem { code message } } }"""


@pytest.fixture(scope="module")
async def wire(servers: Servers) -> AsyncIterator[Wire]:
    async with wired(servers.redis_url, 6379) as one:
        yield one


@pytest.fixture(scope="module")
def config(config: Settings, wire: Wire) -> Settings:
    return config.model_copy(update={"redis_url": wire.url, "heal_interval_s": 0.3})


@pytest.fixture
async def member(people: People) -> Person:
    return await people.new(1000)


async def spend(http: HttpClient, member: Person, amount: int = 1, **more: object) -> Json:
    given = {"memberId": member.gid, "amount": amount, "idempotencyKey": new_key(), **more}
    done: Json = (await http.ask(SPEND, {"input": given}, token=member.token)).data["spendPoints"]
    assert "code" not in done, done
    return done


async def test_the_balance_comes_first(gateway: Gateway, member: Person) -> None:
    async with watching(gateway, member) as seen:
        frame = await seen.frame()
    assert frame.pop("cursor")
    assert frame == {
        "position": 2,  # registered, given points
        "fromPosition": 2,
        "reset": False,
        "balance": {"available": 1000, "pending": 0, "held": 0, "debt": 0},
        "transfer": None,
    }


async def test_each_change_comes_with_its_position_and_cause(
    gateway: Gateway, http: HttpClient, people: People, member: Person
) -> None:
    async with watching(gateway, member) as seen:
        snapshot = await seen.frame()
        spent = await spend(http, member, 30, reason="VOUCHER", cause={"type": "voucher", "id": "V-1"})
        frame = await seen.frame()
        assert (frame["position"], frame["fromPosition"]) == (spent["position"], snapshot["position"] + 1)
        assert frame["balance"]["available"] == 970
        assert frame["transfer"] == {
            "transferId": spent["transferId"],
            "kind": "SPEND",
            "amount": -30,
            "reason": "VOUCHER",
            "cause": {"type": "voucher", "id": "V-1"},
            "postedAt": spent["postedAt"],
        }
        bought = await http.ask(
            """mutation ($input: RecordPurchaseInput!) { recordPurchase(input: $input) {
                ... on RecordPurchasePayload { position points } } }""",
            {
                "input": {
                    "orderNo": new_key(),
                    "member": {"channel": "card", "identifier": member.card},
                    "amount": "12.50",
                    "purchasedAt": "2026-01-05T10:00:00Z",
                }
            },
            token=people.service,
        )
        frame = await seen.frame()
        assert bought.data["recordPurchase"] == {"points": 12, "position": frame["position"]}
        assert (frame["transfer"]["kind"], frame["transfer"]["amount"]) == ("EARN", 12)
        assert frame["transfer"]["cause"]["type"] == "purchase"
        assert frame["balance"]["available"] == 982


async def test_one_knows_ones_own_echo_by_its_position(gateway: Gateway, http: HttpClient, member: Person) -> None:
    async with watching(gateway, member) as seen:
        await seen.frame()
        await give(member.id, 5)
        own = await spend(http, member)
        await give(member.id, 5)
        frames = [await seen.frame() for _ in range(3)]
    assert [frame["position"] == own["position"] for frame in frames] == [False, True, False]
    assert frames[1]["balance"]["available"] == own["balance"]["available"]


async def test_what_was_missed_comes_first(gateway: Gateway, http: HttpClient, member: Person) -> None:
    async with watching(gateway, member) as seen:
        cursor = (await seen.frame())["cursor"]
    missed = [(await spend(http, member))["position"] for _ in range(5)]
    async with watching(gateway, member, after=cursor) as seen:
        frames = await seen.until(missed[-1])
        live = await spend(http, member)
        frames.append(await seen.frame())
    assert [frame["position"] for frame in frames] == [*missed, live["position"]]
    assert not any(frame["reset"] for frame in frames)
    async with watching(gateway, member, after=frames[2]["cursor"]) as seen:
        again = await seen.until(live["position"])
    assert again == frames[3:]


async def test_who_is_up_to_date_hears_only_what_is_new(gateway: Gateway, http: HttpClient, member: Person) -> None:
    async with watching(gateway, member) as seen:
        cursor = (await seen.frame())["cursor"]
    async with watching(gateway, member, after=cursor) as seen:
        spent = await spend(http, member)
        frame = await seen.frame()
    assert (frame["position"], frame["transfer"]["amount"]) == (spent["position"], -1)


async def test_other_programs_are_not_heard(gateway: Gateway, http: HttpClient, member: Person) -> None:
    code = new_key()
    await members.create_program(SYSTEM, code=code, name="Other", time_zone="UTC", money_currency="EUR")
    async with watching(gateway, member) as seen, watching(gateway, member, program=code) as other:
        await seen.frame()
        assert (await other.frame())["balance"]["available"] == 0
        elsewhere = await give(member.id, 7, code)
        here = await spend(http, member)
        frame = await seen.frame()
        assert (frame["position"], frame["balance"]["available"]) == (here["position"], 999)
        frame = await other.frame()
        assert (frame["position"], frame["balance"]["available"]) == (elsewhere.position, 7)


@pytest.mark.parametrize("cursor", ["", "junk", "W10", "WzEsMiwzXQ", "\0", "x" * 5000])
async def test_what_is_no_cursor_is_refused(gateway: Gateway, member: Person, cursor: str) -> None:
    async with watching(gateway, member, after=cursor) as seen:
        [error] = (await seen.operation.next())["errors"]
        assert error["extensions"] == {"code": "INVALID_INPUT", "path": ["after"]}
        await seen.operation.completion()


async def test_a_cursor_of_another_stream_begins_anew(gateway: Gateway, people: People, member: Person) -> None:
    other = await people.new(5)
    async with watching(gateway, other) as seen:
        cursor = (await seen.frame())["cursor"]
    async with watching(gateway, member, after=cursor) as seen:
        frame = await seen.frame()
    assert (frame["reset"], frame["transfer"], frame["balance"]["available"]) == (True, None, 1000)


async def test_an_unknown_program_and_what_is_no_id_are_refused(gateway: Gateway, member: Person) -> None:
    for variables, extensions in (
        ({"program": "nowhere"}, {"code": "NOT_FOUND", "path": ["program"]}),
        ({"program": "no\0where"}, {"code": "INVALID_INPUT"}),
        ({"id": "junk"}, {"code": "INVALID_INPUT", "path": ["memberId"]}),
        ({"id": global_id("Purchase", member.id)}, {"code": "INVALID_INPUT", "path": ["memberId"]}),
        ({"id": global_id("Member", new_id())}, {"code": "FORBIDDEN"}),
    ):
        async with socket(gateway.ws_url, member.token) as opened:
            operation = await opened.start(WATCH, {"id": member.gid, **variables})
            [error] = (await operation.next())["errors"]
            assert error["extensions"] == extensions


async def test_what_redis_loses_is_healed(gateway: Gateway, http: HttpClient, member: Person, wire: Wire) -> None:
    async with watching(gateway, member) as seen:
        position = (await seen.frame())["position"]
        wire.muted = True  # what is published now reaches nobody, and nobody is told
        lost = [await spend(http, member) for _ in range(3)]
        frames = await seen.until(lost[-1]["position"])
        assert [frame["fromPosition"] for frame in frames] == [position + 1 + n for n in range(len(frames))]
        await wire.cut(for_good=True)
        lost = [await spend(http, member) for _ in range(3)]
        frames += await seen.until(lost[-1]["position"])
        await wire.mend()
        live = await spend(http, member)
        frames += await seen.until(live["position"])
    check_whole(position, frames)
    assert frames[-1]["balance"]["available"] == 993


async def test_a_storm_of_spends_is_seen_in_order_by_all(
    gateway: Gateway, servers: Servers, member: Person, wire: Wire
) -> None:
    clients, spends = 5, 40

    async def spend_many() -> None:
        async with http_client(gateway.url) as http:
            for _ in range(spends):
                await spend(http, member)

    async def disturb() -> None:
        async with redis.asyncio.Redis.from_url(servers.redis_url) as admin:
            while True:
                await admin.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
                await asyncio.sleep(0.1)
                await wire.cut(for_good=False)
                await asyncio.sleep(0.1)

    last = 2 + clients * spends
    async with watching(gateway, member) as one, watching(gateway, member) as two, watching(gateway, member) as three:
        for seen in (one, two, three):
            assert (await seen.frame())["position"] == 2
        disturbing = asyncio.create_task(disturb())
        async with asyncio.timeout(2 * DEADLINE_S):
            told = asyncio.gather(*(seen.until(last) for seen in (one, two, three)))
            await asyncio.gather(*(spend_many() for _ in range(clients)))
            disturbing.cancel()
            all_frames = await told
        await asyncio.wait([disturbing])
    for frames in all_frames:
        check_whole(2, frames)
        assert all(frame["balance"]["available"] == 1000 - (frame["position"] - 2) for frame in frames)
        assert frames[-1]["position"] == last
