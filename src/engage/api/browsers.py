"""What browsers are told: which pages of other origins may call, and how to treat what they are given.

Tokens come in a header or in `connection_init`, never in a cookie, and what changes anything comes as JSON by POST.
So a page that is opened in somebody's browser has nothing of theirs to send along (cross-site request forgery).
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engage.base.settings import Settings, listed

PREFLIGHT_KEPT_S = 600
EVERY = "*"
NOTHING_ELSE = "default-src 'none'; frame-ancestors 'none'"

# Recommended by the OWASP REST Security Cheat Sheet for answers that no page is made of.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Content-Security-Policy": NOTHING_ELSE,
    "Cache-Control": "no-store",
}
ONLY_ENCRYPTED = "max-age=31536000"


def allowed_origins(config: Settings) -> list[str]:
    """The origins whose pages may call: those of the setting; in development, where none are set, every one."""
    named = [one.rstrip("/") for one in listed(config.cors_origins)]
    return named or ([EVERY] if config.development else [])


def for_browsers(config: Settings) -> list[Middleware]:
    """What adds CORS and the headers above to an application."""
    shared = Middleware(
        CORSMiddleware,
        allow_origins=allowed_origins(config),
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type"],
        expose_headers=["Retry-After"],
        max_age=PREFLIGHT_KEPT_S,
    )
    return [Middleware(_Headed), shared]


class _Headed:
    """Adds the headers that a response does not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", ONLY_ENCRYPTED)
            await send(message)

        await self._app(scope, receive, headed)
