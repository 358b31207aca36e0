"""The verbs that look at this machine: ls, who, find, catalog."""

from __future__ import annotations

import time

from portward.arguments import is_port_or_range, parse_range
from portward.cli.terminal import open_ward, show
from portward.errors import InvalidPort, UsageError
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_ls(parser: ArgumentParser) -> None:
    parser.add_argument("query", nargs="*", metavar="QUERY", help="a port, a range, or text in a name")
    parser.add_argument("--udp", action="store_true", help="UDP sockets too")
    parser.add_argument("--all-netns", action="store_true", help="every network namespace that may be entered")


def ls(arguments: Namespace) -> int:
    """`portward ls`"""
    from portward.render import documents, text

    reading = open_ward(arguments).ls(arguments.query, udp=arguments.udp, all_netns=arguments.all_netns)
    show(arguments, lambda: documents.ls(reading), lambda: text.ls(reading, arguments.query))
    return 1 if arguments.query and not reading.listeners else 0


def add_who(parser: ArgumentParser) -> None:
    parser.add_argument("port", nargs="+", metavar="PORT", help="[HOST:]PORT[/udp]")
    parser.add_argument("--all-netns", action="store_true", help="every network namespace that may be entered")


def who(arguments: Namespace) -> int:
    """`portward who`"""
    from portward.render import documents, text

    answer = open_ward(arguments).who(arguments.port, all_netns=arguments.all_netns)
    show(arguments, lambda: documents.who(answer), lambda: text.who(answer, time.time()))
    return 0 if all(row.listeners for row in answer.ports) else 1


def add_find(parser: ArgumentParser) -> None:
    parser.add_argument("port", nargs="?", metavar="PORT", help="this port, or the next free one up to 100 above")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how many (default: 1)")
    parser.add_argument("--contiguous", action="store_true", help="neighbours")
    parser.add_argument("--range", metavar="LOW-HIGH", help="from these ports, both inclusive")


def find(arguments: Namespace) -> int:
    """`portward find`"""
    from portward.render import documents

    preferred = None
    if arguments.port is not None:
        asked = parse_range(arguments.port)
        if len(asked) > 1:
            raise InvalidPort(f"{arguments.port} is a range", hint=f"--range {arguments.port} searches it")
        preferred = asked.low
    if preferred is not None and arguments.range:
        raise UsageError("PORT and --range exclude each other")
    ports = open_ward(arguments).find(
        preferred,
        count=arguments.count,
        contiguous=arguments.contiguous,
        ports=parse_range(arguments.range) if arguments.range else None,
    )
    show(arguments, lambda: documents.find(ports), lambda: map(str, ports))
    return 0


def add_catalog(parser: ArgumentParser) -> None:
    parser.add_argument("query", nargs="?", default="", metavar="QUERY", help="a port, a range, or a service's name")


def catalog(arguments: Namespace) -> int:
    """`portward catalog`"""
    from portward.render import documents, text

    if is_port_or_range(arguments.query):
        parse_range(arguments.query)
    entries = Portward().catalog(arguments.query)
    show(arguments, lambda: documents.catalog(entries), lambda: text.catalog(entries, arguments.query))
    return 0 if entries else 1
