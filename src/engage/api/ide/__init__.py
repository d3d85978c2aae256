"""GraphiQL for developers: a page at the API's own address, whose files come from this process alone.

GraphiQL as its makers built it comes from a wheel of the extra `embedded`; what engage adds is beside this file: the
page, the bar with the token, and how operations reach the server. Addresses are relative, so that all of it works
behind a proxy that adds a prefix.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from engage.base.settings import Settings

WHEEL = "graphene_django_graphiql_static"
WHEELS_FILES = (
    "react.production.min.js",
    "react-dom.production.min.js",
    "graphiql.min.js",
    "graphiql.min.css",
    "graphiql-plugin-explorer.umd.js",
    "style.css",
    "graphql-ws.min.js",
)
OWN_FILES = ("start.js", "connect.js", "start.css")
MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css"}  # whatever a machine's own list has; none may be sniffed

# All comes from this origin, scripts from its files alone. GraphiQL's dialogs add a style; its fonts are in a style.
POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
KEPT = "public, max-age=31536000, immutable"
"""The address of a file holds the digest of all: another content has another address."""

OFF = "GraphiQL is off here; set ENGAGE_DEVELOPMENT=true to have it."
NOT_INSTALLED = "GraphiQL is not installed; install engage[embedded], or send operations by POST to this address."


class Ide:
    """The page and its files, there in development alone."""

    def __init__(self, config: Settings) -> None:
        self._config = config

    def page(self) -> Response:
        """The page; 404 that says why where there is none."""
        if not self._config.development:
            return PlainTextResponse(OFF, 404)
        if not _files():
            return PlainTextResponse(NOT_INSTALLED, 404)
        page = (files(__name__) / "page.html").read_text().replace("{files}", f"graphql/ide/{_digest()}")
        return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})

    async def file(self, request: Request) -> Response:
        """One of the files that the page names."""
        name = request.path_params["name"]
        content = _files().get(name) if self._config.development else None
        if content is None or request.path_params["digest"] != _digest():
            return PlainTextResponse("There is no such file.", 404)
        return Response(content, headers={"Cache-Control": KEPT}, media_type=MEDIA_TYPES[Path(name).suffix])


@cache
def _files() -> dict[str, bytes]:
    """All files by name; none where the wheel is not installed."""
    wheel = find_spec(WHEEL)
    if wheel is None or wheel.origin is None:
        return {}
    folder = Path(wheel.origin).parent / "static" / WHEEL
    theirs = {name: (folder / name).read_bytes() for name in WHEELS_FILES}
    return theirs | {name: (files(__name__) / name).read_bytes() for name in OWN_FILES}


@cache
def _digest() -> str:
    found = hashlib.sha256()
    for name, content in _files().items():
        found.update(f"{name} {len(content)} ".encode() + content)
    return found.hexdigest()[:16]
