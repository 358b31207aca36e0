"""The verbs that stay: serve in the browser, top in the terminal."""

from __future__ import annotations

import sys

from portward.arguments import parse_port
from portward.cli import say
from portward.cli.terminal import open_ward
from portward.errors import UsageError, missing
from portward.model import Endpoint
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares

LOOPBACK = ("127.0.0.1", "::1")


def add_serve(parser: Declares) -> None:
    parser.add_argument(
        "--port", metavar="P", help="this port (default: a free one of the web range, each time the same)"
    )
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="listen here (default: 127.0.0.1)")
    parser.add_argument("--no-open", action="store_true", help="do not open the browser")


def serve(arguments: Arguments) -> int:
    """`portward serve`"""
    if arguments.json:
        raise UsageError("serve prints one line, its URL", hint="GET URL/api/VERB answers in JSON")
    ward = open_ward(arguments)
    try:
        from portward.serve import dashboard
    except ModuleNotFoundError as error:
        raise missing("the dashboard", error.name, "web") from None
    port = parse_port(arguments.port).ports.low if arguments.port else ward.find(ports=ward.ranges()["web"])[0]
    listener = dashboard.listening(ward, arguments.host, port)
    if arguments.host not in LOOPBACK:
        print(
            f"portward: {arguments.host} is reached by others: whoever has the token may change files", file=sys.stderr
        )

    def tell(url: str) -> None:
        say([url])
        if not arguments.no_open:
            import webbrowser

            webbrowser.open(url)

    with listener:
        dashboard.serve(ward.declared.place, listener, dashboard.names(Endpoint(arguments.host, port)), tell)
    return 0


def add_top(parser: Declares) -> None:
    parser.add_argument(
        "--interval", type=float, default=0.2, metavar="S", help="seconds between two looks at least (default: 0.2)"
    )


def top(arguments: Arguments) -> int:
    """`portward top`"""
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or arguments.json:
        raise UsageError("top needs a terminal", hint="`portward ls` lists once")
    if not arguments.interval > 0:
        raise UsageError(f"{arguments.interval:g} seconds is no time")
    ward = open_ward(arguments)
    try:
        from portward.serve.top import Top
    except ModuleNotFoundError as error:
        raise missing("the live view", error.name, "top") from None
    Top(lambda: Portward.open(ward.declared.place), arguments.interval).run()
    return 0
