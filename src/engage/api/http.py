"""GraphQL over HTTP (the working draft of the GraphQL Foundation), as Server-Sent Events for those who ask for them.

The library's own view answers `application/json` and 200 where the draft's media type and 4xx are due, so this is a
small one of our own: POST for all, GET for queries alone, and for subscriptions as events.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from engage.api import sse
from engage.api.budget.limiter import Limiter, network_of
from engage.api.budget.refusals import TooMany
from engage.api.context import Context
from engage.api.documents import Documents
from engage.api.errors import formatted
from engage.api.ide import Ide
from engage.api.requests import READING, BadRequestError, read_request
from engage.api.schema import Faulty, Schema
from engage.base.errors import Refusal, Unauthenticated, Unavailable
from engage.base.grants import Grant
from engage.base.ids import new_id
from engage.base.origin import Via, address_of
from engage.base.settings import Settings
from engage.domains.access.gate import Gate
from engage.realtime.hub import Hub

MEDIA_TYPE = "application/graphql-response+json"


class GraphQLOverHTTP:
    """The endpoint. `hub` is asked for at each request, since it lives as long as the lifespan."""

    def __init__(
        self,
        schema: Schema,
        config: Settings,
        hub: Callable[[], Hub],
        documents: Documents,
        gate: Gate,
        limiter: Limiter,
    ) -> None:
        self.schema = schema
        self.limiter = limiter
        self.gate = gate
        self.documents = documents
        self.config = config
        self.hub = hub
        self.ide = Ide(config)

    async def respond(self, request: Request) -> Response:
        """Answer one request.

        A request that holds an operation is answered with 200 to those who take plain JSON alone, whatever is wrong
        with its document: such clients cannot tell our 4xx from a proxy's (the draft's section on application/json).
        """
        accepts = request.headers.get("accept", "").lower()
        if request.method == "GET" and "text/html" in accepts and not request.url.query:
            return self.ide.page()
        plain = MEDIA_TYPE not in accepts and sse.MEDIA_TYPE not in accepts
        headers: dict[str, str] = {}
        try:
            found = await self._respond(request, accepts)
            if isinstance(found, Response):
                return found
            status, body = found
            status = 200 if plain else status
        except BadRequestError as error:
            status, body, headers = error.status, _errors(error.message, error.code), error.headers
        except Unauthenticated as error:
            status, body, headers = 401, _errors(error.message, error.code), {"WWW-Authenticate": "Bearer"}
        except Unavailable as error:
            status, body = 503, _told(error)
        except TooMany as error:
            status, body, headers = 429, _told(error), {"Retry-After": str(error.retry_after)}
        except Refusal as error:
            status, body = 200 if plain else 400, _told(error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # noqa: BLE001 -- a fault of ours, which is logged whole and told masked
            status, body = 500, _told(error)
        return Response(orjson.dumps(body), status, headers, media_type="application/json" if plain else MEDIA_TYPE)

    async def _context(self, request: Request) -> Context:
        """Who asks from where, counted before anything else of the request is read."""
        address = address_of(request.client and request.client.host)
        network = network_of(address)
        self.limiter.knock(network)
        try:
            grant = await self._grant(request.headers.get("authorization"))
        except Unauthenticated:
            self.limiter.failed(network)
            raise
        context = Context(grant, self.hub(), self.config, self.limiter, address)
        self.limiter.enter(context.caller, network)
        return context

    async def _grant(self, header: str | None) -> Grant | None:
        if header is None:
            return None
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send the header Authorization: Bearer <token>.")
        return await self.gate.admit(token.strip())

    async def _respond(self, request: Request, accepts: str) -> tuple[int, dict[str, Any]] | StreamingResponse:
        """Status and body of an answer, or the stream of all answers where that was asked for."""
        context = await self._context(request)
        asked = await read_request(request, self.config, context.caller)
        query = await self.documents.find(asked.query, asked.document_id, asked.digest)
        operation = self.schema.prepare(query, asked.name, introspection=self.config.development)
        if isinstance(operation, Faulty):
            return 400, {"errors": [formatted(error, context.request_id) for error in operation.errors]}
        if asked.digest is not None and asked.query is not None:
            await self.documents.keep(query, asked.digest)
        streamed = sse.MEDIA_TYPE in accepts
        if operation.kind is OperationType.SUBSCRIPTION and not streamed:
            raise BadRequestError(
                "Subscriptions come over a websocket (graphql-transport-ws), or with Accept: text/event-stream."
            )
        if operation.kind is OperationType.MUTATION and request.method in READING:
            raise BadRequestError("Mutations come by POST.", "METHOD_NOT_ALLOWED", 405, {"Allow": "POST"})
        await self.schema.admit(operation, asked.variables, context)
        if streamed:
            context.via = Via.SSE
            answers = self.schema.answers(operation, asked.variables, context)
            return sse.event_stream(answers, self._over(context.grant))
        result = await self.schema.run(operation, asked.variables, context)
        if result["data"] is None and _is_request_error(result):
            del result["data"]
            return 400, result
        return 200, result

    def _over(self, grant: Grant | None) -> Callable[[], Awaitable[dict[str, Any]]] | None:
        """What waits until a caller's grant holds no longer, and says so."""
        if grant is None:
            return None

        async def over() -> dict[str, Any]:
            return _errors(await self.gate.over(grant), Unauthenticated.code)

        return over


def _is_request_error(result: dict[str, Any]) -> bool:
    """Whether execution never began: variables that do not fit have no path."""
    return all("path" not in error and error["extensions"]["code"] == "BAD_REQUEST" for error in result["errors"])


def _told(error: Exception) -> dict[str, Any]:
    return {"errors": [formatted(GraphQLError("", original_error=error), str(new_id()))]}


def _errors(message: str, code: str) -> dict[str, Any]:
    return {"errors": [{"message": message, "extensions": {"code": code}}]}
