"""What the tests ask the servers."""

from typing import Any, cast

import asyncpg
import redis


async def sql(url: str, *statements: str) -> Any:
    """Run all, answer with the value of the last."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return await connection.fetchval(statements[-1])
    finally:
        await connection.close()


def put(url: str, key: str, value: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.set(key, value)


def get(url: str, key: str) -> str | None:
    with redis.Redis.from_url(url) as client:
        value = cast("bytes | None", client.get(key))
    return None if value is None else value.decode()
