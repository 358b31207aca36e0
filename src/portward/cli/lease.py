"""The verbs about promised ports: lease, release, leases, env, verify, pin."""

from __future__ import annotations

import sys

from portward.arguments import parse_range
from portward.cli.terminal import add_hosts, add_offline, asked, is_of_many, open_ward, paint, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.cli.parser import Arguments, Declares
    from portward.render.documents import Document
    from portward.verbs.leasing import Granted

FORMATS = ("dotenv", "shell", "json", "direnv", "mise")


def add_lease(parser: Declares) -> None:
    parser.add_argument(
        "service", nargs="*", metavar="SERVICE", help="SERVICE[:TARGET] (default: all that is declared)"
    )
    parser.add_argument("--range", metavar="LOW-HIGH", help="from these ports, both inclusive")
    parser.add_argument("--prefer", metavar="P", help="this port, or the next free one up to 100 above")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="how many for each service (default: 1)")
    parser.add_argument("--contiguous", action="store_true", help="neighbours")
    add_offline(parser)
    parser.add_argument(
        "--scope",
        choices=("host", "fleet"),
        metavar="SCOPE",
        help="host: nobody else here has it; fleet: nobody on any host",
    )
    parser.add_argument(
        "--on",
        metavar="HOSTS",
        help="with --same-port: nobody else has it on these either; by names or ids, with commas",
    )
    parser.add_argument("--same-port", action="store_true", help="with --on: the same port on each")
    parser.add_argument(
        "--ttl", type=float, metavar="S", help="until so many seconds from now (default: until released)"
    )


def lease(arguments: Arguments) -> int:
    """`portward lease`"""
    from portward.conventions import Terms

    preferred = parse_range(arguments.prefer).low if arguments.prefer else None
    if preferred is not None and arguments.range:
        raise UsageError("--prefer and --range exclude each other")
    ports = parse_range(arguments.range) if arguments.range else None
    terms = Terms(
        ports,
        preferred,
        arguments.count,
        arguments.contiguous,
        arguments.ttl,
        offline=arguments.offline_ok,
        hosts=_hosts(arguments),
    )
    answer = asked(arguments, lambda ward: ward.lease(arguments.service, terms))
    return _show(arguments, answer, (str(each.port) for each in answer.leases))


def _hosts(arguments: Arguments) -> tuple[str, ...] | None:
    """For which other hosts a port is asked; None where nothing says so."""
    from portward.model import EVERYWHERE

    if bool(arguments.on) != arguments.same_port:
        raise UsageError("--on and --same-port go together", hint="a port of one host alone is leased there")
    if arguments.on:
        if arguments.scope == "host":
            raise UsageError("--on is of more hosts than --scope host")
        hosts = tuple(arguments.on.split(","))
        if not all(hosts):
            raise UsageError(f"{arguments.on!r} is no list of hosts", hint="--on HOST,HOST")
        return hosts
    return {"host": (), "fleet": EVERYWHERE}.get(arguments.scope or "")


def add_release(parser: Declares) -> None:
    parser.add_argument(
        "service", nargs="*", metavar="SERVICE", help="SERVICE[:TARGET] (default: all of this checkout)"
    )


def release(arguments: Arguments) -> int:
    """`portward release`"""
    answer = asked(arguments, lambda ward: ward.release(arguments.service))
    lines = [f"{each.port} of {each.holder.service} is given back" for each in answer.leases]
    _show(arguments, answer, iter(lines or ["Nothing was leased here."]))
    return 0 if answer.leases else 1


def add_leases(parser: Declares) -> None:
    parser.add_argument("--all", action="store_true", help="everyone's, not this project's alone")
    parser.add_argument(
        "--brief", action="store_true", help="this working tree's in a few lines, and what to do: for an agent's start"
    )
    add_hosts(parser)


def leases(arguments: Arguments) -> int:
    """`portward leases`"""
    if is_of_many(arguments):
        from portward.cli import fleet

        return fleet.leases(arguments)
    from portward.render import leases as text

    if arguments.all and arguments.brief:
        raise UsageError("--all and --brief exclude each other", hint="--brief tells this working tree's")
    answer = asked(arguments, lambda ward: ward.leases(everyone=arguments.all, own=arguments.brief))
    return _show(arguments, answer, text.brief_of(answer) if arguments.brief else text.table_of(answer))


def add_env(parser: Declares) -> None:
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="dotenv",
        metavar="FORMAT",
        help="dotenv (default), shell, json, direnv or mise",
    )
    parser.add_argument("--into", metavar="FILE", help="between marks in a file that git does not track: .env.local")
    parser.add_argument("--write", action="store_true", help="with --into: do it; without, only show it")
    add_offline(parser)


def env(arguments: Arguments) -> int:
    """`portward env`"""
    from portward.formats.assignments import assignments

    if arguments.into:
        return _into(arguments)
    values, remarks = asked(arguments, lambda ward: ward.env(offline=arguments.offline_ok))
    _tell(remarks)
    arguments.json = arguments.json or arguments.format == "json"
    show(arguments, lambda: values, lambda: assignments(values, arguments.format))
    return 0


def _into(arguments: Arguments) -> int:
    from portward.render import changes, documents

    if arguments.format != "dotenv":
        raise UsageError("--into writes a file of variables", hint="leave --format out")
    answer = open_ward(arguments).env_into(arguments.into, write=arguments.write, offline=arguments.offline_ok)
    if not arguments.quiet:
        _tell(answer.remarks)
    command = f"portward env --into {arguments.into}"
    show(
        arguments,
        lambda: documents.changes(answer),
        lambda: changes.text(answer, command, "Nothing to write: the file has these ports.", paint()),
    )
    return 0


def add_verify(parser: Declares) -> None:
    parser.add_argument("port", nargs="+", metavar="PORT", help="[HOST:]PORT[/udp]")


def verify(arguments: Arguments) -> int:
    """`portward verify`"""
    from portward.render import documents
    from portward.render import leases as text

    answer = asked(arguments, lambda ward: ward.verify(arguments.port))
    show(arguments, lambda: documents.verify(answer), lambda: text.verified(answer))
    return 0 if all(row.whose == "mine" for row in answer) else 1


def add_pin(parser: Declares) -> None:
    parser.add_argument("wish", metavar="SERVICE=PORT", help="the service and the port that it must keep")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; needed")


def pin(arguments: Arguments) -> int:
    """`portward pin`"""
    from portward.render import changes, documents

    answer = open_ward(arguments).pin(arguments.wish, arguments.reason)
    show(
        arguments,
        lambda: documents.changes(answer),
        lambda: changes.text(answer, "portward pin", "It is pinned already.", paint()),
    )
    return 0


def _show(arguments: Arguments, answer: Granted, lines: Iterator[str]) -> int:
    _tell(answer.remarks)
    show(arguments, lambda: _document(answer), lambda: lines)
    return 0


def _document(answer: Granted) -> Document:
    from portward.render import documents

    return documents.leases(answer)


def _tell(remarks: tuple[str, ...]) -> None:
    for remark in remarks:
        print(f"portward: {remark}", file=sys.stderr)
