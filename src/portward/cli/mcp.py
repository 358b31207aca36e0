"""The verb that answers coding agents: mcp. stdout is the protocol's alone."""

from __future__ import annotations

from portward.arguments import parse_port
from portward.cli import say
from portward.cli.terminal import open_ward
from portward.errors import UsageError, missing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from portward.cli.parser import Arguments, Declares


def add_mcp(parser: Declares) -> None:
    parser.add_argument(
        "--allow-kill", action="store_true", help="offer the tool kill, for what is this checkout's own"
    )
    parser.add_argument(
        "--http", action="store_true", help="over HTTP on 127.0.0.1 instead of stdin and stdout; prints its URL"
    )
    parser.add_argument("--port", metavar="P", help="with --http: this port (default: any free one)")


def mcp(arguments: Arguments) -> int:
    """`portward mcp`"""
    if arguments.json:
        raise UsageError("mcp speaks JSON-RPC on stdout", hint="leave --json out")
    if arguments.port and not arguments.http:
        raise UsageError("--port is for --http", hint="portward mcp --http --port 8765")
    folder = open_ward(arguments).declared.place
    server = _server()
    tools = server.Tools(folder, allow_kill=arguments.allow_kill)
    if not arguments.http:
        server.serve_stdio(tools)
        return 0
    port = parse_port(arguments.port).ports.low if arguments.port else 0
    server.serve_http(tools, port, lambda url: say([url]))
    return 0


def _server() -> ModuleType:
    """The server. Raises Unavailable where the SDK is not installed."""
    try:
        from portward.serve.mcp import server
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("portward"):
            raise
        raise missing("mcp", error.name, "mcp") from None
    return server
