"""The protocol, by its official SDK: on stdin and stdout, or over HTTP on loopback. Loaded by the verb `mcp` alone."""

from __future__ import annotations

import gc
import json
import secrets
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from mcp import types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from portward import __version__
from portward.errors import BindRefused, Bug, PortwardError, UsageError
from portward.serve.mcp.outside import NOTE, marked, reduced
from portward.serve.mcp.schemas import checked
from portward.serve.mcp.tools import KILL_TOOL, TOOLS, Call
from portward.serve.previews import Previews
from portward.ward import Portward
from portward.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portward.render.documents import Document
    from portward.serve.mcp.tools import Tool

INSTRUCTIONS = (
    "Ports of this machine and project. Before starting a server: lease. On EADDRINUSE: explain or who; it is not a bug in the code. "
    f"Never end a process by port or name; take another port. {NOTE}"
)


class Tools:
    """The tools for the project of one folder. Each call is answered in a thread, by the project as it then is."""

    def __init__(self, folder: str, *, allow_kill: bool = False) -> None:
        self._folder = folder
        self._previews = Previews(time.monotonic)
        self._tools = {tool.name: tool for tool in (*TOOLS, *([KILL_TOOL] if allow_kill else []))}

    def listed(self) -> list[types.Tool]:
        """The tools as the protocol tells them."""
        return [_listed(tool) for tool in self._tools.values()]

    def call(self, name: str, arguments: dict[str, Any]) -> types.CallToolResult:
        """Answers one call. What goes wrong is an answer too, with what to do next; never raises."""
        try:
            document = {"outside": NOTE, **self._answer(name, arguments)}
        except PortwardError as error:
            return _result(_failure(error), is_error=True)
        except Exception:  # noqa: BLE001 - an agent is to hear of a bug, and the server to go on
            traceback.print_exc(file=sys.stderr)
            return _result(_failure(Bug("a bug in Portward", hint="its log on stderr tells more")), is_error=True)
        return _result(document)

    def _answer(self, name: str, arguments: dict[str, Any]) -> Document:
        tool = self._tools.get(name)
        if tool is None:
            raise UsageError(f"{name} is not a tool", hint=f"the tools are {', '.join(self._tools)}")
        given = checked(arguments, tool.asked)
        document = tool.ask(Call(Portward.open(self._folder), given, self._previews))
        advice = document.pop("next", None)  # ours alone
        return {**reduced(document), **({"next": advice} if advice else {})}


def _listed(tool: Tool) -> types.Tool:
    hints = types.ToolAnnotations(
        read_only_hint=tool.reads,
        destructive_hint=tool.destroys,
        idempotent_hint=tool.repeats,
        open_world_hint=tool.opens,
    )
    return types.Tool(
        name=tool.name, description=tool.about, input_schema=tool.asked, output_schema=tool.answer, annotations=hints
    )


def _failure(error: PortwardError) -> Document:
    place = ":".join(str(part) for part in (error.path, error.line, error.column) if part is not None)
    found = {"code": error.code, "message": marked(error.message, 400), "place": marked(place) if place else None}
    next_step = shown(error.hint, 400) if error.hint else "call check or listeners to see how things are"
    return {"outside": NOTE, "error": {key: value for key, value in found.items() if value}, "next": next_step}


def _result(document: Document, *, is_error: bool = False) -> types.CallToolResult:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    content: list[types.ContentBlock] = [types.TextContent(text=text)]
    return types.CallToolResult(content=content, structured_content=document, is_error=is_error)


def make(tools: Tools) -> Server[Any]:
    """A server that offers the tools."""

    async def list_tools(_context: Any, _params: Any) -> types.ListToolsResult:
        return types.ListToolsResult(tools=tools.listed())

    async def call_tool(_context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        return await anyio.to_thread.run_sync(tools.call, params.name, params.arguments or {})

    about = "Who holds a port, leases, conflicts, and changes of a project's ports"
    return Server(
        "portward",
        version=__version__,
        title="Portward",
        description=about,
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def serve_stdio(tools: Tools) -> None:
    """Answers on stdin and stdout until stdin ends."""
    server = make(tools)

    async def serve() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    _settle()
    anyio.run(serve)


def serve_http(tools: Tools, port: int, tell: Callable[[str], None]) -> None:
    """Answers HTTP (streamable) on 127.0.0.1 until it is interrupted; port 0 is any free one.

    The path has a secret that only those know who read what `tell` is told; Host and Origin must name this server (DNS rebinding).
    Raises BindRefused where the port is taken.
    """
    import socket

    import uvicorn

    try:
        listener = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise BindRefused(f"127.0.0.1:{port}: {error.strerror}", hint="without --port, a free one is taken") from None
    port = listener.getsockname()[1]
    names = [f"127.0.0.1:{port}", f"localhost:{port}"]
    security = TransportSecuritySettings(allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names])
    path = f"/{secrets.token_urlsafe(16)}/mcp"
    app = make(tools).streamable_http_app(streamable_http_path=path, json_response=True, transport_security=security)
    _settle()
    tell(f"http://127.0.0.1:{port}{path}")
    config = uvicorn.Config(app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2)
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _settle() -> None:
    """A server lives long: garbage is collected, but for what was loaded to begin with."""
    gc.freeze()
    gc.enable()


def size(tools: Sequence[types.Tool]) -> int:
    """The characters of the whole answer to tools/list, as it is sent."""
    return len(types.ListToolsResult(tools=list(tools)).model_dump_json(by_alias=True, exclude_unset=True))
