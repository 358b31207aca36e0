"""The verbs about a project: check, services, and `portward` alone."""

from __future__ import annotations

import os
import sys

from portward.arguments import is_port_argument
from portward.cli.terminal import add_hosts, asked, is_of_many, open_ward, paint, show
from portward.errors import UsageError
from portward.model import ComposeOptions, Severity
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.answers import Check
    from portward.cli.parser import Arguments, Declares


NO_PROJECT = "No project here (no compose file, portward.toml or .git from here up)"


def add_check(parser: Declares) -> None:
    parser.add_argument("what", nargs="*", metavar="PORT|DIR", help="ports; or a project's folder (default: this one)")
    parser.add_argument(
        "--fail-on",
        choices=[str(severity) for severity in Severity],
        default=str(Severity.ERROR),
        metavar="SEVERITY",
        help="exit 1 from this severity on: error (default), warning or note",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "sarif", "github"),
        default="text",
        metavar="FORMAT",
        help="text (default), json, sarif (2.1.0) or github (annotations of GitHub Actions)",
    )
    parser.add_argument("--all-netns", action="store_true", help="every network namespace that may be entered")
    add_hosts(parser)
    add_compose(parser)


def check(arguments: Arguments) -> int:
    """`portward check`"""
    from portward import render

    if arguments.json and arguments.format in ("sarif", "github"):
        raise UsageError(f"--json and --format {arguments.format} exclude each other")
    arguments.json = arguments.json or arguments.format == "json"
    if is_of_many(arguments):
        from portward.cli import fleet

        return fleet.check(arguments, folder_of(arguments))
    answer = _check(arguments)
    if arguments.format in ("sarif", "github"):
        _print_for_ci(answer, arguments.format)
    else:
        full = arguments.verbose or arguments.fail_on == Severity.NOTE
        show(arguments, lambda: render.documents.check(answer), lambda: render.text.check(answer, paint(), full))
    worst = answer.worst()
    return 1 if worst is not None and worst.rank >= Severity(arguments.fail_on).rank else 0


def _print_for_ci(answer: Check, form: str) -> None:
    """Prints what a CI service reads, with paths as its checkout has them."""
    from portward.render import documents, github, sarif

    base = os.path.realpath(os.environ.get("GITHUB_WORKSPACE") or os.getcwd())
    if form == "sarif":
        print(documents.dump(sarif.check(answer, Portward.rules(), base)))
    else:
        for line in github.check(answer, base):
            print(line)


def glance(arguments: Arguments) -> int:
    """`portward` alone: the project's state where there is a project, else what listens."""
    from portward import render

    ward = open_ward(arguments)
    if ward.root is not None:
        answer = ward.check()
        show(
            arguments,
            lambda: render.documents.check(answer),
            lambda: render.text.check(answer, paint(), arguments.verbose),
        )
        return 1 if answer.worst() is Severity.ERROR else 0
    if not arguments.quiet:
        print(f"{NO_PROJECT}. Showing what listens on this machine.", file=sys.stderr)
    reading = ward.ls()
    show(arguments, lambda: render.documents.ls(reading), lambda: render.text.ls(reading, ()))
    return 0


def _check(arguments: Arguments) -> Check:
    folder = folder_of(arguments)
    if arguments.what and folder is None:
        return asked(arguments, lambda ward: ward.check_ports(arguments.what, all_netns=arguments.all_netns))
    options = compose_options(arguments)
    return asked(arguments, lambda ward: ward.check(options, all_netns=arguments.all_netns), folder)


def folder_of(arguments: Arguments) -> str | None:
    """The one argument of `check`, if it is a folder. Raises UsageError for one that is meant as a folder and is none."""
    if len(arguments.what) != 1:
        return None
    what: str = arguments.what[0]
    folder = os.path.join(arguments.directory, what)
    if what and os.path.isdir(folder) and ("/" in what or not is_port_argument(what)):
        return folder
    if is_port_argument(what):
        return None
    raise UsageError(f"{what!r} is neither a port nor a folder")


def add_services(parser: Declares) -> None:
    add_compose(parser)


def services(arguments: Arguments) -> int:
    """`portward services`"""
    from portward.render import documents, text

    options = compose_options(arguments)
    answer = asked(arguments, lambda ward: ward.services(options))
    show(arguments, lambda: documents.services(answer), lambda: text.services(answer))
    return 0


def add_compose(parser: Declares) -> None:
    group = parser.add_argument_group("as for docker compose, each may be repeated")
    group.add_argument("--file", action="append", default=[], metavar="F", help="a Compose file")
    group.add_argument("--profile", action="append", default=[], metavar="P", help="activate a profile (* for all)")
    group.add_argument("--env-file", action="append", default=[], metavar="F", help="variables, instead of .env")


def compose_options(arguments: Arguments) -> ComposeOptions:
    return ComposeOptions(tuple(arguments.file), tuple(arguments.profile), tuple(arguments.env_file))
