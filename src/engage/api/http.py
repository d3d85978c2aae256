"""GraphQL over HTTP (the working draft of the GraphQL Foundation), for queries and mutations.

The library's own view answers `application/json` and 200 where the draft's media type and 4xx are due, so this is a
small one of our own: POST for all, GET for queries alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from strawberry.http.ides import get_graphql_ide_html

from engage.api.context import Context
from engage.api.errors import formatted
from engage.api.schema import Faulty, Schema
from engage.base import crypto
from engage.base.errors import Unauthenticated
from engage.base.ids import new_id
from engage.base.settings import Settings
from engage.realtime.hub import Hub

MEDIA_TYPE = "application/graphql-response+json"
QUERY_LENGTH_MAX = 100_000

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


class GraphQLOverHTTP:
    """The endpoint. `hub` is asked for at each request, since it lives as long as the lifespan."""

    def __init__(self, schema: Schema, config: Settings, hub: Callable[[], Hub]) -> None:
        self.schema = schema
        self.config = config
        self.hub = hub

    async def respond(self, request: Request) -> Response:
        """Answer one request.

        A request that holds an operation is answered with 200 to those who take plain JSON alone, whatever is wrong
        with its document: such clients cannot tell our 4xx from a proxy's (the draft's section on application/json).
        """
        accepts = request.headers.get("accept", "").lower()
        if request.method == "GET" and "text/html" in accepts and not request.url.query:
            return self._graphiql()
        plain = MEDIA_TYPE not in accepts
        headers: dict[str, str] = {}
        try:
            context = self._context(request)
            params = await self._read(request)
            executed, body = await self._answer(context, params, mutations=request.method == "POST")
            status = 200 if plain or executed else 400
        except BadRequestError as error:
            status, body, headers = error.status, _errors(error.message, error.code), error.headers
        except Unauthenticated as error:
            status, body, headers = 401, _errors(error.message, error.code), {"WWW-Authenticate": "Bearer"}
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 -- a fault of ours, which is logged whole and told masked
            unknown = GraphQLError("", original_error=error)
            status, body = 500, {"errors": [formatted(unknown, str(new_id()))]}
        return Response(orjson.dumps(body), status, headers, media_type="application/json" if plain else MEDIA_TYPE)

    def _context(self, request: Request) -> Context:
        header = request.headers.get("authorization")
        if header is None:
            return Context(None, self.hub(), self.config)
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send the header Authorization: Bearer <token>.")
        actor, _ = crypto.read_token(self.config, token.strip())
        return Context(actor, self.hub(), self.config)

    async def _read(self, request: Request) -> dict[str, Any]:
        if request.method in READING:
            return _from_query_string(request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise BadRequestError("Send the header Content-Type: application/json.", "UNSUPPORTED_MEDIA_TYPE", 415)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > self.config.body_size_max:
                raise BadRequestError(
                    f"A request has at most {self.config.body_size_max:,} bytes.", "REQUEST_TOO_LARGE", 413
                )
        try:
            found = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequestError(f"The body is not JSON in UTF-8: {error}.") from error
        if not isinstance(found, dict):
            raise BadRequestError("The body is a JSON object with `query`; batches are not taken.")
        return found

    async def _answer(
        self, context: Context, params: dict[str, Any], *, mutations: bool
    ) -> tuple[bool, dict[str, Any]]:
        """Whether the operation was executed, and what the client gets."""
        query, name, variables = _checked(params)
        operation = self.schema.prepare(query, name, introspection=self.config.development)
        if isinstance(operation, Faulty):
            return False, {"errors": [formatted(error, context.request_id) for error in operation.errors]}
        if operation.kind is OperationType.SUBSCRIPTION:
            raise BadRequestError("Subscriptions come over a websocket (graphql-transport-ws).")
        if operation.kind is OperationType.MUTATION and not mutations:
            raise BadRequestError("Mutations come by POST.", "METHOD_NOT_ALLOWED", 405, {"Allow": "POST"})
        result = await self.schema.run(operation, variables, context)
        if result["data"] is None and _is_request_error(result):
            return False, {"errors": result["errors"]}
        return True, result

    def _graphiql(self) -> Response:
        if not self.config.development:
            return Response("GraphiQL is off here; set ENGAGE_DEVELOPMENT=true to have it.", 404)
        return HTMLResponse(get_graphql_ide_html(graphql_ide="graphiql"))


def _is_request_error(result: dict[str, Any]) -> bool:
    """Whether execution never began: variables that do not fit have no path."""
    return all("path" not in error and error["extensions"]["code"] == "BAD_REQUEST" for error in result["errors"])


def _errors(message: str, code: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"code": code}}]}


def _from_query_string(request: Request) -> dict[str, Any]:
    params: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in params:
            try:
                params[name] = orjson.loads(params[name])
            except orjson.JSONDecodeError as error:
                raise BadRequestError(f"`{name}` is not JSON: {error}.") from error
    return params


def _checked(params: dict[str, Any]) -> tuple[str, str | None, dict[str, Any] | None]:
    query, name, variables = params.get("query"), params.get("operationName"), params.get("variables")
    if not isinstance(query, str) or not query:
        raise BadRequestError('`query` is missing: send {"query": "…"}.')
    if len(query) > QUERY_LENGTH_MAX:
        raise BadRequestError(f"A document has at most {QUERY_LENGTH_MAX:,} characters.")
    if name is not None and not isinstance(name, str):
        raise BadRequestError("`operationName` is a string or null.")
    if not isinstance(variables, dict | None):
        raise BadRequestError("`variables` is a JSON object or null.")
    if not isinstance(params.get("extensions"), dict | None):
        raise BadRequestError("`extensions` is a JSON object or null.")
    return query, name or None, variables
