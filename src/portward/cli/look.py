"""The verbs that look at this machine: ls, who, find, catalog."""

from __future__ import annotations

import sys
import time

from portward.arguments import parse_port, parse_range
from portward.cli import printable, say
from portward.cli.terminal import add_hosts, asked, is_of_many, open_ward, show
from portward.errors import InvalidPort, UsageError
from portward.model import LAST_PORT, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares


def add_ls(parser: Declares) -> None:
    parser.add_argument("query", nargs="*", metavar="QUERY", help="[HOST:]PORT[/udp], a range, or text in a name")
    parser.add_argument("--udp", action="store_true", help="UDP sockets too")
    parser.add_argument("--all-netns", action="store_true", help="every network namespace that may be entered")
    parser.add_argument("--identify", action="store_true", help="ask each TCP listener which service it is")
    parser.add_argument("--watch", action="store_true", help="then tell each start and stop, until interrupted")
    add_hosts(parser)


def ls(arguments: Arguments) -> int:
    """`portward ls`"""
    if is_of_many(arguments):
        from portward.cli import fleet

        return fleet.ls(arguments)
    from portward import render

    if arguments.watch:
        return _watch(arguments)
    reading = asked(
        arguments,
        lambda ward: ward.ls(
            arguments.query, udp=arguments.udp, all_netns=arguments.all_netns, identify=arguments.identify
        ),
    )
    show(arguments, lambda: render.documents.ls(reading), lambda: render.text.ls(reading, arguments.query))
    return 1 if arguments.query and not reading.listeners else 0


def _watch(arguments: Arguments) -> int:
    """`portward ls --watch`: the table, then a line for each event; with `--json` a document on a line for each. Ends with its reader."""
    from portward.render import watching

    if arguments.identify:
        raise UsageError("--watch and --identify exclude each other", hint="`portward identify PORT` asks one")
    ward = open_ward(arguments)
    watched = ward.watch(arguments.query, udp=arguments.udp, all_netns=arguments.all_netns)
    is_first, told = True, True
    try:
        for reading, events in watched:
            if arguments.json:
                told = say(watching.documents(reading, events, is_first))
            elif not arguments.quiet:
                lines = watching.beginning(reading, arguments.query) if is_first else watching.lines(events)
                told = say(map(printable, lines))
            if not told:
                return 0
            is_first = False
    except KeyboardInterrupt:
        if sys.stdout.isatty():
            print("\r\x1b[K", end="", flush=True)  # without the terminal's own ^C
        raise
    return 0


def add_who(parser: Declares) -> None:
    parser.add_argument("port", nargs="+", metavar="PORT", help="[HOST:]PORT[/udp]")
    parser.add_argument("--all-netns", action="store_true", help="every network namespace that may be entered")
    parser.add_argument("--history", action="store_true", help="also who held it before, as far as Portward looked")
    add_hosts(parser)


def who(arguments: Arguments) -> int:
    """`portward who`"""
    if is_of_many(arguments):
        from portward.cli import fleet

        return fleet.who(arguments)
    from portward import render

    answer = asked(
        arguments, lambda ward: ward.who(arguments.port, all_netns=arguments.all_netns, history=arguments.history)
    )
    show(arguments, lambda: render.documents.who(answer), lambda: render.text.who(answer, time.time()))
    return 0 if all(row.listeners for row in answer.ports) else 1


def add_find(parser: Declares) -> None:
    parser.add_argument("port", nargs="?", metavar="PORT[/udp]", help="this port, or the next free one up to 100 above")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--contiguous", action="store_true", help="neighbours")
    parser.add_argument("--range", metavar="LOW-HIGH", help="from these ports, both inclusive")


def find(arguments: Arguments) -> int:
    """`portward find`"""
    from portward import render

    asked = parse_port(arguments.port) if arguments.port is not None else None
    if asked and len(asked.ports) > 1:
        raise InvalidPort(f"{arguments.port} is a range", hint=f"--range {asked.ports} searches it")
    if asked and asked.host:
        raise UsageError(f"{arguments.port}: find asks every address", hint="`portward check` asks one")
    if asked and arguments.range:
        raise UsageError("PORT and --range exclude each other", hint=f"--range {asked.ports}-{LAST_PORT}")
    ward = open_ward(arguments)
    ports = ward.find(
        asked.ports.low if asked else None,
        count=arguments.count,
        contiguous=arguments.contiguous,
        ports=parse_range(arguments.range) if arguments.range else None,
        transport=asked.transport if asked else Transport.TCP,
    )
    if ward.live.unproved:
        print(f"portward: {ward.live.unproved}", file=sys.stderr)
    show(arguments, lambda: render.documents.find(ports), lambda: map(str, ports))
    return 0


def add_catalog(parser: Declares) -> None:
    parser.add_argument("query", nargs="?", default="", metavar="QUERY", help="a port, a range, or a service's name")


def catalog(arguments: Arguments) -> int:
    """`portward catalog`"""
    from portward import render

    entries = open_ward(arguments).catalog(arguments.query)
    show(arguments, lambda: render.documents.catalog(entries), lambda: render.text.catalog(entries, arguments.query))
    return 0 if entries else 1
