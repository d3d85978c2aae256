"""Tokens of an identity provider: its keys are found, renewed and withdrawn; nothing else is taken for one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from engage.base import keys
from engage.base.actor import Role
from engage.base.bearers import Bearers
from engage.base.errors import Unauthenticated, Unavailable
from engage.base.settings import Settings
from tests.base.provider import Provider, providing


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with providing() as one:
        yield one


@pytest.fixture
def config(provider: Provider) -> Settings:
    return Settings(jwks_url=provider.url, development=True, jwt_secret=SecretStr(""))


@pytest.fixture
async def bearers(config: Settings) -> AsyncIterator[Bearers]:
    one = Bearers(config)
    yield one
    await one.close()


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys may be looked at again at once."""
    monkeypatch.setattr(keys, "RETRY_S", 0.0)


async def refused(bearers: Bearers, token: str) -> None:
    with pytest.raises(Unauthenticated, match="not valid here"):
        await bearers.read(token)


async def words_of(bearers: Bearers, token: str) -> str:
    """How a token is refused; nothing where it is not."""
    try:
        await bearers.read(token)
    except Unauthenticated as error:
        return error.message
    return ""


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize("named", [True, False])
async def test_a_token_of_the_provider_holds(
    provider: Provider, config: Settings, bearers: Bearers, algorithm: str, *, named: bool
) -> None:
    provider.add("one", algorithm)
    token = provider.token(config, "one", named=named)
    for _ in range(3):
        actor = (await bearers.read(token)).actor
        assert (actor.id, actor.role) == ("till-7", Role.STAFF)
    assert provider.asked == 1


async def test_many_at_once_ask_once(provider: Provider, config: Settings, bearers: Bearers) -> None:
    provider.add("one")
    await asyncio.gather(*(bearers.read(provider.token(config, "one", sub=f"till-{n}")) for n in range(50)))
    assert provider.asked == 1


@pytest.mark.usefixtures("eager")
async def test_a_new_key_serves_at_once(provider: Provider, config: Settings, bearers: Bearers) -> None:
    provider.add("one")
    await bearers.read(provider.token(config, "one"))
    provider.add("two", "RS256")
    await bearers.read(provider.token(config, "two"))
    await bearers.read(provider.token(config, "one"))
    assert provider.asked == 2


async def test_names_that_are_made_up_cost_the_provider_nothing(
    provider: Provider, config: Settings, bearers: Bearers
) -> None:
    provider.add("one")
    await bearers.read(provider.token(config, "one"))
    provider.keys |= {f"x{n}": provider.keys["one"] for n in range(20)}  # signs with them, and serves none
    for n in range(20):
        await refused(bearers, provider.token(config, f"x{n}"))
    assert provider.asked == 1


@pytest.mark.usefixtures("eager")
async def test_a_key_that_was_withdrawn_serves_no_more(
    provider: Provider, config: Settings, bearers: Bearers, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.add("one")
    provider.add("two")
    token = provider.token(config, "one")
    await bearers.read(token)
    provider.withdraw("one")
    monkeypatch.setattr(keys, "KEEP_S", 0.0)
    async with asyncio.timeout(30):
        while provider.asked < 2:
            await bearers.read(token)  # it serves while the keys are being looked at
            await asyncio.sleep(0.01)
    await bearers.read(provider.token(config, "two"))
    async with asyncio.timeout(30):
        while (await words_of(bearers, token)) == "":  # noqa: ASYNC110 -- what is waited for has no event
            await asyncio.sleep(0.01)
    await refused(bearers, token)


@pytest.mark.usefixtures("eager")
async def test_known_keys_serve_while_the_provider_is_away(
    provider: Provider, config: Settings, bearers: Bearers, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.add("one")
    token = provider.token(config, "one")
    await bearers.read(token)
    monkeypatch.setattr(keys, "KEEP_S", 0.0)
    provider.status = 503
    for _ in range(5):
        await bearers.read(token)
        await asyncio.sleep(0.01)
    monkeypatch.setattr(keys, "STALE_S", 0.0)
    with pytest.raises(Unavailable, match="ENGAGE_JWKS_URL"):
        await bearers.read(token)
    provider.status = 200
    monkeypatch.setattr(keys, "STALE_S", 60.0)
    await bearers.read(token)


@pytest.mark.parametrize(
    "document",
    [
        b"", b"{", b"[]", b'{"keys": 7}', b'{"keys": []}', b'{"keys": [7, {}]}',
        b'{"keys": [{"kid": [], "kty": "RSA"}]}', b'{"keys": [{"kty": []}]}',
        b'{"keys": [{"kty": "RSA"}]}',
        b'{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "one", "alg": "HS256"}]}', b" " * (keys.BYTES_MAX + 1),
    ],
)  # fmt: skip
async def test_a_set_that_is_none_is_as_good_as_none(
    provider: Provider, config: Settings, bearers: Bearers, document: bytes
) -> None:
    provider.add("one")
    provider.document = document
    with pytest.raises(Unavailable):
        await bearers.read(provider.token(config, "one"))


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # of who signs with it
async def test_weak_keys_and_those_for_other_uses_are_left_out(
    provider: Provider, config: Settings, bearers: Bearers
) -> None:
    provider.add("weak", "RS256", bits=1024)
    provider.add("secret")
    provider.add("good")
    listed = provider.listed()
    listed[1]["use"] = "enc"
    provider.document = orjson.dumps({"keys": listed})
    await bearers.read(provider.token(config, "good"))
    for name in ("weak", "secret"):
        await refused(bearers, provider.token(config, name))


async def test_what_looks_like_a_token_of_the_provider_and_is_none(
    provider: Provider, config: Settings, bearers: Bearers
) -> None:
    provider.add("one", "RS256")
    provider.add("two", "RS256")
    good = provider.token(config, "one")
    public = provider.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    claims = jwt.decode(good, options={"verify_signature": False})
    as_secret = jwt.encode(claims, "x" * 32, "HS256", headers={"kid": "one"})
    unsigned = jwt.encode(claims, "", "none", headers={"kid": "one"})
    renamed = ".".join([provider.token(config, "two").split(".")[0], *good.split(".")[1:]])
    for token in (
        as_secret, unsigned, renamed, good[:-4] + "AAAA", provider.token(config, "one", aud="elsewhere"),
        provider.token(config, "one", iss="elsewhere"), provider.token(config, "one", role="EMPEROR"),
        provider.token(config, "one", named=False), "x", "a.b.c", public.decode(),
    ):  # fmt: skip
        await refused(bearers, token)
    with pytest.raises(Unauthenticated, match="expired"):
        await bearers.read(provider.token(config, "one", exp=int(claims["iat"]) - 3600))
    assert (await bearers.read(good)).actor.id == "till-7"


async def test_the_secret_and_the_provider_serve_side_by_side(provider: Provider) -> None:
    secret = "s" * 48
    config = Settings(jwks_url=provider.url, development=True, jwt_secret=SecretStr(secret))
    provider.add("one")
    both = Bearers(config)
    claims = jwt.decode(provider.token(config, "one"), options={"verify_signature": False})
    assert (await both.read(jwt.encode(claims | {"sub": "ours"}, secret, "HS256"))).actor.id == "ours"
    assert (await both.read(provider.token(config, "one"))).actor.id == "till-7"
    await both.close()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "ENGAGE_JWT_SECRET must have"),
        ({"jwt_secret": "short", "jwks_url": "https://keys.example"}, "ENGAGE_JWT_SECRET must have"),
        ({"jwks_url": "http://keys.example"}, "begins with https"),
    ],
)
def test_keys_that_will_not_do_are_told_at_the_start(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Bearers(Settings.model_validate({"jwt_secret": "", **settings}))
