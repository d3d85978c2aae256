"""Trusted documents: what was registered runs by its id or its hash, and nothing else where that is so set.

Each test has a gateway of its own, as its settings differ.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engage.api.documents import sha256
from engage.app import create_app
from engage.base.actor import Role
from engage.base.crypto import issue_token
from engage.base.settings import Settings
from engage.seed import seed_basics
from tests.api.clients import HttpClient, Refused, http_client, socket
from tests.api.gateway import serving
from tests.api.sending import persisted, send

CHANNELS = "query Channels { channels { code } }"
ME = "query Me { me { id } }"

MANIFESTS: dict[str, Any] = {
    "ids and documents": {"channels-1": CHANNELS, sha256(ME): ME},
    "an Apollo manifest": {
        "format": "apollo-persisted-query-manifest",
        "version": 1,
        "operations": [
            {"id": "channels-1", "name": "Channels", "type": "query", "body": CHANNELS},
            {"id": sha256(ME), "name": "Me", "type": "query", "body": ME},
        ],
    },
}


@asynccontextmanager
async def trusting(config: Settings, manifest: Path, *, only: bool) -> AsyncIterator[HttpClient]:
    changed = {"trusted_documents": str(manifest), "trusted_documents_only": only}
    async with serving(config.model_copy(update=changed)) as gateway, http_client(gateway.url) as http:
        await seed_basics()
        yield http


def staff(config: Settings) -> str:
    return issue_token(config, Role.STAFF, subject="staff-1", valid_for=timedelta(hours=1))


@pytest.mark.parametrize("form", MANIFESTS)
async def test_documents_that_were_registered_run_and_no_others(config: Settings, tmp_path: Path, form: str) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps(MANIFESTS[form]))
    token = staff(config)
    async with trusting(config, manifest, only=True) as http:
        for known in (
            {"documentId": "channels-1"},
            {"extensions": persisted(CHANNELS)},
            {"query": CHANNELS},
            {"query": CHANNELS, "extensions": persisted(CHANNELS)},
        ):
            assert "channels" in (await send(http, token, **known)).data
            assert "channels" in (await send(http, token, get=True, **known)).data
        for unknown in (
            {"query": CHANNELS + " "},
            {"query": "{ __typename }"},
            {"documentId": "channels-2"},
            {"extensions": persisted("{ channels { name } }")},
            {"query": "{ channels { name } }", "extensions": persisted("{ channels { name } }")},
        ):
            answer = await send(http, token, **unknown)
            assert (answer.status, answer.code) == (400, "DOCUMENT_NOT_TRUSTED")


async def test_a_socket_runs_no_others_either(config: Settings, tmp_path: Path) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps(MANIFESTS["ids and documents"]))
    changed = {"trusted_documents": str(manifest), "trusted_documents_only": True}
    async with serving(config.model_copy(update=changed)) as gateway, socket(gateway.ws_url, staff(config)) as one:
        assert "channels" in await (await one.start(CHANNELS)).data()
        for unknown in (CHANNELS + " ", "{ __typename }", "subscription { x }", "{ nonsense"):
            with pytest.raises(Refused) as refused:
                await (await one.start(unknown)).next()
            assert [error["extensions"]["code"] for error in refused.value.errors] == ["DOCUMENT_NOT_TRUSTED"]


async def test_beside_trusted_documents_others_run_where_that_is_allowed(config: Settings, tmp_path: Path) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(json.dumps(MANIFESTS["ids and documents"]))
    token = staff(config)
    async with trusting(config, manifest, only=False) as http:
        assert (await send(http, token, documentId="channels-1")).data
        assert (await send(http, token, query="{ channels { name } }")).data
        assert (await send(http, token, documentId="channels-2")).code == "PERSISTED_QUERY_NOT_FOUND"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "should hold"),
        ('{"a": 1}', "should hold"),
        ('{"operations": [{"id": "a"}]}', "should hold"),
        ('{"a": "{ nonsense }"}', "the document a does not fit"),
    ],
)
def test_a_file_that_will_not_do_is_told_at_the_start(
    config: Settings, tmp_path: Path, content: str, said: str
) -> None:
    manifest = tmp_path / "documents.json"
    manifest.write_text(content)
    with pytest.raises(ValueError, match=said):
        create_app(config.model_copy(update={"trusted_documents": str(manifest)}))


def test_trusting_only_needs_the_file(config: Settings) -> None:
    with pytest.raises(ValueError, match="name the file in ENGAGE_TRUSTED_DOCUMENTS"):
        create_app(config.model_copy(update={"trusted_documents_only": True}))
