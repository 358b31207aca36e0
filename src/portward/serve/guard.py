"""Who may talk to the dashboard: every request is looked at here before anything else sees it.

A server on loopback is reached by every page that the user has open, and by names that an attacker lets point to it (DNS rebinding).
So the Host header must name this server, what another origin sends is refused, and all that is not the page's own code needs the token.
"""

from __future__ import annotations

import hmac
import json
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
"""What every answer carries. The token stands in the page's URL, so no referrer is sent anywhere."""

OPEN = "/static/"
"""Below it is the page's own code, the same for everybody: it needs no token."""


class Guard:
    """Lets a request through to `app`, or answers it: 403 for a wrong host or origin, 401 without the token."""

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str]) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI 3)."""
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, guarded)
        else:
            await _refuse(guarded, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str, str, str] | None:
        """Status, code, message and hint, where a request is to be refused."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if headers.get("host", "").lower() not in self._hosts:
            return 403, "forged-host", "this server is not called so", f"ask for {min(self._hosts)}"
        origin = headers.get("origin")
        if origin is not None and (
            urlsplit(origin).scheme != "http" or urlsplit(origin).netloc.lower() not in self._hosts
        ):
            return 403, "foreign-origin", "another page may not ask here", "open the dashboard itself"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return 403, "foreign-origin", "another page may not ask here", "open the dashboard itself"
        if scope["path"].startswith(OPEN) or self._knows(scope, headers):
            return None
        return 401, "no-token", "the token is missing or wrong", "open the URL that `portward serve` printed"

    def _knows(self, scope: Scope, headers: dict[str, str]) -> bool:
        given = [headers.get("authorization", "").removeprefix("Bearer ")]
        given += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any(hmac.compare_digest(each.encode(), self._token.encode()) for each in given)


async def _refuse(send: Send, status: int, code: str, message: str, hint: str) -> None:
    error = {"code": code, "message": message, "hint": hint, "path": None, "line": None, "column": None}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
