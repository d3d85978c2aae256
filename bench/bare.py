"""The reference for the endpoint: engage's types in a plain Strawberry schema, under the library's own view.

Documents are parsed and validated once there, too; nobody is asked who they are, and nothing is limited.
"""

from __future__ import annotations

import strawberry
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache
from strawberry.schema.config import StrawberryConfig

from engage.api.scalars import SCALARS
from engage.api.schema import Mutation, Query, Subscription
from engage.base.settings import Settings


def bare_schema() -> strawberry.Schema:
    """The same types, executed by the library."""
    return strawberry.Schema(
        query=Query,
        mutation=Mutation,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[ParserCache, ValidationCache],
    )


async def healthz(_request: Request) -> Response:
    """For the harness."""
    return PlainTextResponse("ok")


def main() -> None:
    """Serve at ENGAGE_PORT."""
    view: GraphQL[None, None] = GraphQL(bare_schema(), graphql_ide=None)
    app = Starlette(routes=[Route("/graphql", view), Route("/healthz", healthz)])
    uvicorn.run(app, port=Settings().port, log_level="warning", access_log=False, http="httptools", loop="uvloop")


if __name__ == "__main__":
    main()
