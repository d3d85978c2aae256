"""What a request over HTTP asks for: its parameters, read within their limits and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request

from engage.base.actor import Actor, Role
from engage.base.settings import Settings

QUERY_LENGTH_MAX = 100_000
ID_LENGTH_MAX = 200
PERSISTED_VERSION = 1
READING = ("GET", "HEAD")


class BadRequestError(Exception):
    """A request that holds no operation; `status` and `code` tell what is wrong with it."""

    def __init__(
        self, message: str, code: str = "BAD_REQUEST", status: int = 400, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.headers = headers or {}


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of one request: a document, or what it is known by, and what it is to be run with."""

    query: str | None
    document_id: str | None
    digest: str | None
    name: str | None
    variables: dict[str, Any] | None


async def read_request(request: Request, config: Settings, caller: Actor | None) -> Asked:
    """The parameters in the query string or the body. Raises BadRequestError."""
    if request.method in READING:
        return checked(_from_query_string(request))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise BadRequestError("Send the header Content-Type: application/json.", "UNSUPPORTED_MEDIA_TYPE", 415)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise BadRequestError("Send the body as it is, without Content-Encoding.", "UNSUPPORTED_MEDIA_TYPE", 415)
    service = caller is not None and caller.role is Role.SERVICE
    body = await _body(request, config.service_body_size_max if service else config.body_size_max)
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"The body is not JSON in UTF-8: {error}.") from error
    if not isinstance(found, dict):
        raise BadRequestError("The body is a JSON object with `query`; batches are not taken.")
    return checked(found)


async def _body(request: Request, size_max: int) -> bytearray:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > size_max:
            raise BadRequestError(f"A request has at most {size_max:,} bytes.", "REQUEST_TOO_LARGE", 413)
    return body


def _from_query_string(request: Request) -> dict[str, Any]:
    params: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in params:
            try:
                params[name] = orjson.loads(params[name])
            except orjson.JSONDecodeError as error:
                raise BadRequestError(f"`{name}` is not JSON: {error}.") from error
    return params


def checked(params: dict[str, Any]) -> Asked:
    """The parameters, each of its type. Raises BadRequestError that names the one that is not."""
    query, name, variables = params.get("query"), params.get("operationName"), params.get("variables")
    document_id, extensions = params.get("documentId"), params.get("extensions")
    if not isinstance(query, str | None):
        raise BadRequestError('`query` is a string: send {"query": "…"}.')
    if query is not None and len(query) > QUERY_LENGTH_MAX:
        raise BadRequestError(f"A document has at most {QUERY_LENGTH_MAX:,} characters.")
    if not isinstance(name, str | None):
        raise BadRequestError("`operationName` is a string or null.")
    if not isinstance(variables, dict | None):
        raise BadRequestError("`variables` is a JSON object or null.")
    if not isinstance(extensions, dict | None):
        raise BadRequestError("`extensions` is a JSON object or null.")
    if not isinstance(document_id, str | None) or len(document_id or "") > ID_LENGTH_MAX:
        raise BadRequestError(f"`documentId` is a string of at most {ID_LENGTH_MAX} characters.")
    digest = _digest(extensions or {})
    if not (query or document_id or digest):
        raise BadRequestError('`query` is missing: send {"query": "…"}.')
    return Asked(query or None, document_id, digest, name or None, variables)


def _digest(extensions: dict[str, Any]) -> str | None:
    persisted = extensions.get("persistedQuery")
    if persisted is None:
        return None
    digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(digest, str) or len(digest) > ID_LENGTH_MAX or persisted.get("version") != PERSISTED_VERSION:
        raise BadRequestError(
            '`extensions.persistedQuery` is {"version": 1, "sha256Hash": "<lowercase hex>"}, as Apollo has it.'
        )
    return digest.lower()
