"""Requests that name their document by a hash or an id."""

from __future__ import annotations

import json
from typing import Any

from engage.api.documents import sha256
from tests.api.clients import MEDIA_TYPE, Answer, HttpClient, read


async def send(http: HttpClient, token: str | None, *, get: bool = False, **params: Any) -> Answer:
    headers = {"Accept": MEDIA_TYPE} | ({"Authorization": f"Bearer {token}"} if token else {})
    if get:
        texts = {name: one if isinstance(one, str) else json.dumps(one) for name, one in params.items()}
        return read(await http.raw.get("/graphql", params=texts, headers=headers))
    return read(await http.raw.post("/graphql", json=params, headers=headers))


def persisted(query: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": sha256(query)}}
