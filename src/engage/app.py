"""The gateway: a Starlette application with GraphQL over HTTP and websockets, and its health."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import orjson
from prometheus_client import Counter, Gauge
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from engage.api.browsers import for_browsers
from engage.api.budget.limiter import Limiter
from engage.api.documents import Documents, read_manifest
from engage.api.http import GraphQLOverHTTP
from engage.api.schema import Schema, build_schema
from engage.api.sockets import GraphQLOverWebSocket
from engage.base import db
from engage.base.errors import Unavailable
from engage.base.metrics import REGISTRY
from engage.base.settings import Settings, listed
from engage.domains.access.gate import Gate
from engage.migrations import is_current
from engage.outbox.routed import routes_known
from engage.realtime.broker import Broker
from engage.realtime.hub import Hub
from engage.wiring import connected, warn_of_rights

READY_TIMEOUT_S = 2.0

REQUESTS = Counter("engage_requests", "GraphQL requests over HTTP, by status.", ["status"], registry=REGISTRY)
SOCKETS = Gauge("engage_sockets", "Websockets that are open.", registry=REGISTRY)
SUBSCRIPTIONS = Gauge("engage_subscriptions", "Subscriptions that are open.", registry=REGISTRY)


class Gateway:
    """One gateway process: what lives from its start to its end."""

    def __init__(self, config: Settings) -> None:
        self.config = config
        self.gate = Gate(config)
        self.schema = build_schema()
        self.documents = Documents(config, _trusted(config, self.schema))
        self.limiter = Limiter(config)
        self._hub: Hub | None = None

    def hub(self) -> Hub:
        """The hub of this process; there is one between the start and the end of the lifespan."""
        if self._hub is None:
            raise RuntimeError("The gateway has not started.")
        return self._hub

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        """Connect, serve, and end what is open in order."""
        async with connected(self.config, "engage-gateway"):
            await warn_of_rights(self.config)
            await self.gate.start()
            broker = Broker(self.config.redis_url, self.config.redis_prefix)
            broker.start()
            self._hub = Hub.of(broker, self.config)
            self._hub.start()
            SUBSCRIPTIONS.set_function(lambda: self.hub().subscribers)
            try:
                async with routes_known():
                    yield
            finally:
                await self._hub.close("This server is restarting; connect again and resume.")
                await self.documents.close()
                await self.limiter.close()
                await self.gate.close()
                await broker.stop()

    async def healthz(self, _request: Request) -> Response:
        """Live: the process answers."""
        return PlainTextResponse("ok\n")

    async def readyz(self, _request: Request) -> Response:
        """Ready: the database answers and has this version's schema; and how Redis and the limits are."""
        database, redis = await asyncio.gather(self._database_state(), self._redis_state())
        ready = database == "ok"
        limits = "local" if self.limiter.common.away or redis != "ok" else "common"
        state = {"ready": ready, "database": database, "redis": redis, "limits": limits}
        return Response(orjson.dumps(state), 200 if ready else 503, media_type="application/json")

    async def _database_state(self) -> str:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S), db.acquired() as connection:
                return "ok" if await is_current(connection) else "run engage db migrate"
        except (TimeoutError, Unavailable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):  # starting up too
            return "away"

    async def _redis_state(self) -> str:
        """Without Redis engage goes on: changes reach subscribers some seconds late, jobs wait."""
        redis = Redis.from_url(self.config.redis_url, socket_timeout=1, socket_connect_timeout=1)
        try:
            await redis.ping()
        except (RedisError, OSError):
            return "away"
        finally:
            await redis.aclose()
        return "ok"


def _trusted(config: Settings, schema: Schema) -> dict[str, str]:
    """The documents that are registered. Raises ValueError for a file, or a document, that will not do."""
    if not config.trusted_documents:
        if config.trusted_documents_only:
            raise ValueError("ENGAGE_TRUSTED_DOCUMENTS_ONLY is set: name the file in ENGAGE_TRUSTED_DOCUMENTS.")
        return {}
    found = read_manifest(Path(config.trusted_documents))
    for name, text in found.items():
        if errors := schema.faults(text):
            raise ValueError(f"{config.trusted_documents}: the document {name} does not fit: {errors[0].message}")
    return found


def create_app(config: Settings) -> Starlette:
    """The application of one gateway process.

    Raises ValueError with what to do when the signing secret is missing or short, or a trusted document will not do.
    """
    gateway = Gateway(config)
    shared = (gateway.schema, config, gateway.hub, gateway.documents, gateway.gate, gateway.limiter)
    over_http, over_sockets = GraphQLOverHTTP(*shared), GraphQLOverWebSocket(*shared)
    SOCKETS.set_function(lambda: len(over_sockets.open))

    async def respond(request: Request) -> Response:
        response = await over_http.respond(request)
        REQUESTS.labels(response.status_code).inc()
        return response

    return Starlette(
        routes=[
            Route("/graphql", respond, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", over_sockets),
            Route("/graphql/ide/{digest}/{name}", over_http.ide.file),
            Route("/healthz", gateway.healthz),
            Route("/readyz", gateway.readyz),
        ],
        lifespan=gateway.lifespan,
        middleware=[
            Middleware(ProxyHeadersMiddleware, trusted_hosts=listed(config.trusted_proxies)),
            *for_browsers(config),
        ],
    )
