"""An identity provider on a socket: it serves a key set, counts how often it is asked, and signs tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from engage.base import clock
from engage.base.settings import Settings

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class Provider:
    """`document` is what it answers, `status` with which status."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.document: bytes = b""
        self.port = 0
        self.keys: dict[str, PrivateKey] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"

    def add(self, name: str, algorithm: str = "ES256", *, bits: int = 2048) -> None:
        """Make a key, and serve it beside the others."""
        key: PrivateKey
        if algorithm == "RS256":
            key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        else:
            key = ec.generate_private_key(ec.SECP256R1())
        self.keys[name] = key
        self.publish()

    def withdraw(self, name: str) -> None:
        """Serve a key no more; it can still sign."""
        self.document = orjson.dumps({"keys": [one for one in self.listed() if one["kid"] != name]})

    def publish(self) -> None:
        self.document = orjson.dumps({"keys": self.listed()})

    def listed(self) -> list[dict[str, Any]]:
        found = []
        for name, key in self.keys.items():
            is_rsa = isinstance(key, rsa.RSAPrivateKey)
            made: dict[str, Any] = (
                RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
                if isinstance(key, rsa.RSAPrivateKey)
                else ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
            )
            found.append(made | {"kid": name, "use": "sig", "alg": "RS256" if is_rsa else "ES256"})
        return found

    def token(self, config: Settings, name: str, *, named: bool = True, **claims: Any) -> str:
        """A token of a member of staff."""
        key = self.keys[name]
        now = int(clock.now().timestamp())
        said = {"iss": config.jwt_issuer, "aud": config.jwt_audience, "sub": "till-7", "role": "STAFF"}
        algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        headers = {"kid": name} if named else {}
        return jwt.encode(said | {"iat": now, "exp": now + 600} | claims, key, algorithm, headers=headers)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        head = f"HTTP/1.1 {self.status} x\r\nContent-Length: {len(self.document)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + self.document)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def providing() -> AsyncIterator[Provider]:
    """A provider with no keys yet."""
    provider = Provider()
    server = await asyncio.start_server(provider.answer, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    async with server:
        yield provider
