"""The dashboard: the verbs and a page for them, over HTTP on loopback. `serve` runs it until it is told to end."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from portward import __version__, bind
from portward.errors import BindRefused, PortwardError, UsageError
from portward.render import documents
from portward.serve.calls import CALLS, Asked
from portward.serve.feed import Feed
from portward.serve.guard import Guard
from portward.serve.previews import Previews
from portward.ward import Portward
from portward.wording import holder

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    from portward.model import Endpoint

PAGE = resources.files("portward.serve") / "page"
LONGEST_BODY = 4 << 20
"""Bytes of a request: a long log for `explain`."""

STATUS = {1: 409, 2: 400, 3: 503}
"""Exit status of an error → status of the answer."""


class Dashboard:
    """The application for one folder's project: `app` speaks ASGI."""

    def __init__(self, folder: str, token: str, hosts: list[str]) -> None:
        self._folder = folder
        self._previews = Previews(time.monotonic)
        self.feed = Feed(lambda: self._ward().lookout(udp=True))
        routes = [
            Route("/", self._page),
            Route("/api/about", self._about),
            Route("/api/events", self._events),
            Route("/api/{verb}", self._verb, methods=["GET", "POST"]),
            Mount("/static", StaticFiles(directory=str(PAGE))),
        ]
        self.app: ASGIApp = Guard(Starlette(routes=routes), token, hosts)

    def _ward(self) -> Portward:
        return Portward.open(self._folder)

    async def _page(self, _request: Request) -> Response:
        return HTMLResponse((PAGE / "index.html").read_text("utf-8"))

    async def _about(self, _request: Request) -> Response:
        return await run_in_threadpool(_answered, lambda: _about(self._ward()))

    async def _events(self, _request: Request) -> Response:
        return StreamingResponse(self._lines(), media_type="text/event-stream")

    async def _lines(self) -> AsyncIterator[str]:
        """Server-sent events (WHATWG HTML, 9.2), one JSON document each."""
        async for news in self.feed.news():
            yield f"data: {json.dumps(news)}\n\n"

    async def _verb(self, request: Request) -> Response:
        name = request.path_params["verb"]
        call = CALLS.get(name)
        if call is None:
            return _failed(UsageError(f"{name!r} is not a verb here", hint=f"the verbs are {', '.join(CALLS)}"), 404)
        if (request.method == "POST") is not call.changes:
            method = "POST" if call.changes else "GET"
            return _failed(UsageError(f"{name} is asked by {method}"), 405, {"allow": method})
        try:
            asked = Asked(await _body(request) if call.changes else _query(request), self._previews)
        except PortwardError as error:
            return _failed(error)
        answer = await run_in_threadpool(_answered, lambda: call.ask(self._ward(), asked))
        if call.changes:
            self.feed.look_now()
        return answer


def _about(ward: Portward) -> dict[str, Any]:
    """What the page must know beside the verbs' answers: where it is, and what the ranges mean."""
    system = ward.live.system()
    reserved = [(system.privileged, "privileged"), (system.ephemeral, "outgoing connections")]
    reserved += [(ports, "excluded by the system") for ports in system.excluded]
    return {
        "version": __version__,
        "root": ward.root,
        "folder": ward.declared.place,
        "worktree": ward.declared.place,
        "host": ward.host_in_fleet,
        "ranges": {kind: [ports.low, ports.high] for kind, ports in ward.ranges().items()},
        "reserved": [[ports.low, ports.high, why] for ports, why in reserved if ports],
    }


def _query(request: Request) -> dict[str, list[str]]:
    return {name: request.query_params.getlist(name) for name in request.query_params}


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request. Raises UsageError for anything else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UsageError("a change is asked for in JSON", hint="content-type: application/json")
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_BODY:
            raise UsageError(f"more than {LONGEST_BODY >> 20} MiB")
    try:
        document = json.loads(body or b"{}")
    except ValueError as error:
        raise UsageError(f"not JSON: {error}") from None
    if not isinstance(document, dict):
        raise UsageError("not a JSON object")
    return document


def _answered(ask: Callable[[], dict[str, Any]]) -> Response:
    try:
        return JSONResponse(ask())
    except PortwardError as error:
        return _failed(error)


def _failed(error: PortwardError, status: int | None = None, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(documents.error(error), status or STATUS.get(error.exit_code, 500), headers)


def serve(folder: str, listener: socket.socket, hosts: list[str], tell: Callable[[str], None]) -> None:
    """Answers on a socket that listens until SIGINT or SIGTERM. `tell` is given the URL, token included, before anything else.

    `hosts` are the names that the Host header may give this server, the first for the URL.
    """
    token = secrets.token_urlsafe(24)
    dashboard = Dashboard(folder, token, hosts)
    tell(f"http://{hosts[0]}/?token={token}")
    config = uvicorn.Config(
        dashboard.app, log_level="warning", lifespan="off", access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config, dashboard.feed)
    server.run(sockets=[listener])


class _Server(uvicorn.Server):
    """Lets those who watch go first: they would keep it from ending."""

    def __init__(self, config: uvicorn.Config, feed: Feed) -> None:
        super().__init__(config)
        self._feed = feed

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._feed.end()
        with suppress(OSError):
            await super().shutdown(sockets)


def names(endpoint: Endpoint) -> list[str]:
    """What the Host header may call a server on an endpoint: by its address, and on loopback by the names of that."""
    port = endpoint.port
    address = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    found = [f"{address}:{port}"]
    found += [f"{name}:{port}" for name in ("localhost", "127.0.0.1", "[::1]") if f"{name}:{port}" not in found]
    host = os.uname().nodename.lower()
    return found if endpoint.address in ("127.0.0.1", "::1") else [*found, f"{host}:{port}"]


def listening(ward: Portward, host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises BindRefused, with who is in the way."""
    try:
        return bind(port, host)
    except BindRefused as error:
        rows = ward.who([str(port)]).rows
        who = f": held by {holder(rows[0], time.time())}" if rows else ""
        raise BindRefused(f"{error.message}{who}", hint="without --port, a free one is taken") from None
