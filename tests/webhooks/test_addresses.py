"""Where deliveries may lead: what is refused when an endpoint is made, and again at each connection."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from engage.base import clock
from engage.base.actor import SYSTEM
from engage.base.errors import InvalidInput
from engage.base.settings import Settings
from engage.domains.webhooks import addresses, posting, rules, service
from tests.api.hooks import PUBLIC
from tests.webhooks.authorities import Authority
from tests.webhooks.receivers import receiving
from tests.webhooks.telling import NOW, REGISTERED, carry_out, happen, rows, subscribe


@contextmanager
def named(monkeypatch: pytest.MonkeyPatch, **hosts: list[str]) -> Iterator[None]:
    """These names (with _ for .) lead to these addresses."""
    real = socket.getaddrinfo

    def look_up(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        found = hosts.get(host.replace(".", "_"))
        if found is None:
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in found]

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture
def strict(ready: Settings) -> Iterator[None]:
    addresses.use(ready.model_copy(update={"webhook_private_addresses": False}))
    yield
    addresses.use(ready)


@pytest.mark.usefixtures("strict")
@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost.:8443",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]:8443",
        "no-such-host.example",
    ],
)
async def test_a_private_or_unknown_address_is_refused_by_name(host: str) -> None:
    url = f"https://{host}/latest"
    with pytest.raises(InvalidInput) as refused:
        await service.create_endpoint(SYSTEM, url=url, events=[REGISTERED])
    assert refused.value.path == ["url"]
    made = await service.create_endpoint(SYSTEM, url=f"https://{PUBLIC}/", events=[REGISTERED])
    with pytest.raises(InvalidInput):
        await service.update_endpoint(SYSTEM, made.endpoint.id, url=url)


@pytest.mark.usefixtures("strict")
async def test_plain_http_is_refused_even_to_a_public_address() -> None:
    with pytest.raises(InvalidInput, match="begins with https"):
        await service.create_endpoint(SYSTEM, url=f"http://{PUBLIC}/", events=[REGISTERED])


@pytest.mark.usefixtures("strict")
async def test_a_name_with_one_private_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with named(monkeypatch, hooks_example=[PUBLIC, "10.0.0.1"]), pytest.raises(InvalidInput):
        await service.create_endpoint(SYSTEM, url="https://hooks.example/", events=[REGISTERED])


@pytest.mark.usefixtures("strict")
async def test_a_name_that_leads_home_later_is_refused_when_something_is_told(
    monkeypatch: pytest.MonkeyPatch, ready: Settings
) -> None:
    async with receiving() as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        with named(monkeypatch, hooks_example=[PUBLIC]):
            made = await service.create_endpoint(SYSTEM, url=url, events=[REGISTERED])
        with named(monkeypatch, hooks_example=["127.0.0.1"]), clock.frozen(NOW):
            await happen()
            await carry_out()
        [row] = await rows(made.endpoint.id)
        assert row["last_error"] == "The host's name leads to an address that is not public."
        assert receiver.connections == 0
        addresses.use(ready)
        local = await subscribe(receiver)
        addresses.use(ready.model_copy(update={"webhook_private_addresses": False}))
        with clock.frozen(NOW):
            await happen()
            await carry_out()
        assert (await rows(local.endpoint.id))[0]["attempts"] == 1
        assert receiver.connections == 0


async def test_where_they_are_allowed_localhost_and_plain_http_will_do(ready: Settings) -> None:
    assert ready.webhook_private_addresses
    async with receiving() as receiver:
        receiver.url = receiver.url.replace("127.0.0.1", "localhost")
        await subscribe(receiver)
        await happen()
        await carry_out()
        assert receiver.deliveries[0].headers["host"] == f"localhost:{receiver.port}"


@pytest.mark.usefixtures("ready")
async def test_the_next_address_of_a_host_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver:
        with named(monkeypatch, hooks_example=["127.0.0.99", "127.0.0.1"]):
            answer = await posting.post(f"http://hooks.example:{receiver.port}/", {}, b"{}")
        assert answer.status == 200


@pytest.mark.usefixtures("ready")
async def test_a_certificate_is_checked_for_the_name_whatever_the_address(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authority = Authority(tmp_path)
    here = ["127.0.0.1"]
    async with (
        receiving(tls=authority.serving("hooks.example")) as receiver,
        posting.new_client(authority.trusting()) as trusting,
    ):
        with named(monkeypatch, hooks_example=here, other_example=here):
            for _ in range(2):
                answer = await posting.post(f"https://hooks.example:{receiver.port}/", {}, b"{}", trusting)
                assert answer.status == 200
            assert receiver.connections == 1
            with pytest.raises(posting.NoAnswer, match="SSLCertVerificationError"):
                await posting.post(f"https://other.example:{receiver.port}/", {}, b"{}", trusting)
            with pytest.raises(posting.NoAnswer, match="SSLCertVerificationError"):
                await posting.post(f"https://127.0.0.1:{receiver.port}/", {}, b"{}", trusting)
            with pytest.raises(posting.NoAnswer, match="SSLCertVerificationError"):
                await posting.post(f"https://hooks.example:{receiver.port}/", {}, b"{}")
        assert [one.headers["host"] for one in receiver.deliveries] == [f"hooks.example:{receiver.port}"] * 2
        assert ssl.HAS_SNI


@pytest.mark.usefixtures("ready")
async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy, receiving() as receiver:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await subscribe(receiver)
        await happen()
        await carry_out()
        assert (len(receiver.deliveries), proxy.connections) == (1, 0)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("2002:808:808::1", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("::", False),
        ("::1", False),
        ("::7f00:1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:0:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::808:808", False),
        ("2002:7f00:1::1", False),
        ("2002:a00:1::1", False),
        ("2001:0:808:808::1", False),
        ("2001:db8::1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("ff02::1", False),
    ],
)
def test_what_belongs_to_the_internet(address: str, public: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    assert rules.is_public(address) is public
