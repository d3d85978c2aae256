"""Secrets: told once, sealed at rest, exchanged with an overlap, and nowhere else."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest
from pydantic import SecretStr, ValidationError

from engage.base import clock, db, sealing
from engage.base.actor import SYSTEM
from engage.base.errors import InvalidInput
from engage.base.settings import Settings
from engage.domains.webhooks import queries, service, signing
from tests.webhooks.receivers import Delivery, Receiver, answer, receiving
from tests.webhooks.telling import NOW, carry_out, happen, rows, states, subscribe

KEY = "a key of at least thirty-two characters"


async def told(receiver: Receiver) -> Delivery:
    await happen()
    await carry_out()
    return receiver.deliveries[-1]


@pytest.mark.usefixtures("ready")
async def test_rotation_signs_with_both_until_the_former_is_over() -> None:
    async with receiving() as receiver:
        first = await subscribe(receiver)
        assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", first.secret)
        with clock.frozen(NOW):
            second = await service.rotate_secret(SYSTEM, first.endpoint.id, overlap_hours=2)
            assert second.endpoint.former_until == NOW + timedelta(hours=2)
            assert second.secret != first.secret
        with clock.frozen(NOW + timedelta(minutes=119)):
            delivery = await told(receiver)
            assert len(delivery.headers["webhook-signature"].split(" ")) == 2
            assert delivery.signed_with(first.secret)
            assert delivery.signed_with(second.secret)
        with clock.frozen(NOW + timedelta(minutes=120)):
            delivery = await told(receiver)
            assert len(delivery.headers["webhook-signature"].split(" ")) == 1
            assert not delivery.signed_with(first.secret)
            assert delivery.signed_with(second.secret)
        third = await service.rotate_secret(SYSTEM, first.endpoint.id, overlap_hours=0)
        assert third.endpoint.former_until is None
        delivery = await told(receiver)
        assert [delivery.signed_with(one.secret) for one in (first, second, third)] == [False, False, True]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("hours", [-1, 169])
async def test_an_overlap_is_a_week_at_most(hours: int) -> None:
    async with receiving() as receiver:
        made = await subscribe(receiver)
        with pytest.raises(InvalidInput):
            await service.rotate_secret(SYSTEM, made.endpoint.id, overlap_hours=hours)
        assert (await queries.get_endpoint(SYSTEM, made.endpoint.id)).former_until is None


@pytest.mark.usefixtures("ready")
async def test_neither_secret_nor_address_is_in_rows_logs_or_bodies(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    async with receiving() as receiver:
        receiver.url += "?token=private-part-of-the-address"
        made = await subscribe(receiver)
        rotated = await service.rotate_secret(SYSTEM, made.endpoint.id)
        receiver.answers = [answer(404), answer(410)]
        with clock.frozen(NOW):
            await told(receiver)
            await told(receiver)
        tables = await db.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        kept = [
            str(list(row))
            for table in tables
            for row in await db.fetch(f"SELECT t::text FROM {table['name']} t")  # noqa: S608
            if table["name"] != "webhook_endpoints"
        ]
        sealed = await db.fetch_row("SELECT secret, former_secret FROM webhook_endpoints")
        assert sealed is not None
        out = capsys.readouterr()
        said = [
            *(repr(one) for one in sealed),
            *(str(one.body) for one in receiver.deliveries),
            caplog.text,
            *out,
            *kept,
        ]
        for secret in (made.secret, rotated.secret):
            assert not [text for text in said if secret.removeprefix("whsec_") in text]
        assert not [text for text in said if "private-part" in text]
        assert "webhooks.disabled" in out.out + caplog.text
        assert made.secret not in repr(await queries.get_endpoint(SYSTEM, made.endpoint.id))


@pytest.mark.usefixtures("ready")
async def test_another_sealing_key_delivers_nothing_and_the_right_one_goes_on(config: Settings) -> None:
    async with receiving() as receiver:
        await subscribe(receiver)
        sealing.use(config.model_copy(update={"sealing_key": SecretStr(KEY)}))
        with clock.frozen(NOW):
            await happen()
            await carry_out()
        [row] = await rows()
        assert "ENGAGE_SEALING_KEY" in row["last_error"]
        assert receiver.deliveries == []
        sealing.use(config)
        with clock.frozen(NOW + timedelta(minutes=1)):
            await carry_out()
        assert await states() == ["done"]


def test_what_is_sealed_opens_with_its_key_at_its_place_and_unchanged() -> None:
    sealing.use(Settings(sealing_key=SecretStr(KEY)))
    sealed = sealing.seal("whsec_x", "here")
    assert sealing.seal("whsec_x", "here") != sealed
    assert sealing.unseal(sealed, "here") == "whsec_x"
    changed = [sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:5], b"", b"\x02" + sealed[1:]]
    for one, place in [(sealed, "there"), *((one, "here") for one in changed)]:
        with pytest.raises(sealing.CannotUnseal):
            sealing.unseal(one, place)
    sealing.use(Settings(sealing_key=SecretStr(KEY), jwt_secret=SecretStr("x" * 32)))
    assert sealing.unseal(sealed, "here") == "whsec_x"
    sealing.use(Settings(jwt_secret=SecretStr(KEY)))  # the same words as another setting make the same key
    assert sealing.unseal(sealed, "here") == "whsec_x"
    sealing.use(Settings())
    with pytest.raises(sealing.CannotUnseal, match="set ENGAGE_SEALING_KEY"):
        sealing.seal("whsec_x", "here")


def test_a_short_sealing_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 32 characters"):
        Settings(sealing_key=SecretStr("short"))
    assert Settings(sealing_key=SecretStr("")).sealing_key.get_secret_value() == ""


def test_the_example_of_the_specification() -> None:
    """Of Standard Webhooks' own libraries."""
    header = signing.sign(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert header == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
