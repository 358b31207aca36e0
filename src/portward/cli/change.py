"""The verbs that change a project's files: set, resolve, docs, init, undo. They show what they would do until --write."""

from __future__ import annotations

import sys

from portward.cli.project import add_compose, compose_options
from portward.cli.terminal import asked, open_ward, paint, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.answers import Changes
    from portward.cli.parser import Arguments, Declares


def add_set(parser: Declares) -> None:
    parser.add_argument(
        "wish",
        nargs="+",
        metavar="SERVICE[:TARGET]=PORT",
        help="the service's new host port; TARGET is the container's port behind it, as in 53 or 53/udp (default: the first). "
        "Instead of a service, the host port that it has: 8080=8081, 53/udp=5353",
    )
    parser.add_argument(
        "--container", action="store_true", help="move the container's side too, with all that names it"
    )
    _add_write(parser)
    add_compose(parser)


def set(arguments: Arguments) -> int:
    """`portward set`"""
    options = compose_options(arguments)
    answer = asked(
        arguments,
        lambda ward: ward.set_ports(
            arguments.wish, container=arguments.container, write=arguments.write, options=options
        ),
    )
    command = " ".join(["portward set", *arguments.wish, *(["--container"] if arguments.container else [])])
    return _shown(arguments, answer, command, "Nothing to change: the files say so already.")


def add_resolve(parser: Declares) -> None:
    _add_write(parser)
    add_compose(parser)


def resolve(arguments: Arguments) -> int:
    """`portward resolve`"""
    options = compose_options(arguments)
    answer = asked(arguments, lambda ward: ward.resolve(write=arguments.write, options=options))
    return _shown(arguments, answer, "portward resolve", "Nothing to resolve: no declared port is in anybody's way.")


def add_docs(parser: Declares) -> None:
    parser.add_argument("--check", action="store_true", help="only the answer: exit 1 where the table is not true")
    _add_write(parser)
    add_compose(parser)


def docs(arguments: Arguments) -> int:
    """`portward docs`"""
    options, write = compose_options(arguments), arguments.write and not arguments.check
    answer = asked(arguments, lambda ward: ward.docs(write=write, options=options))
    status = _shown(arguments, answer, "portward docs", "The port table is there, and true.")
    return 1 - status if arguments.check else 0


def add_init(parser: Declares) -> None:
    parser.add_argument(
        "--git-hook", action="store_true", help="instead: a git hook that gives a new worktree its ports"
    )
    parser.add_argument("--remove", action="store_true", help="with --git-hook: take it out again")
    parser.add_argument(
        "--agents", action="store_true", help="instead: a block in AGENTS.md and a skill for coding agents"
    )
    _add_write(parser)


def init(arguments: Arguments) -> int:
    """`portward init`"""
    if arguments.git_hook and arguments.agents:
        raise UsageError("--git-hook and --agents exclude each other", hint="one after the other")
    if arguments.git_hook:
        return _git_hook(arguments)
    if arguments.agents:
        nothing = "Agents are told already: the block and the skill are there."
        answer = open_ward(arguments).agents(write=arguments.write)
        return _shown(arguments, answer, "portward init --agents", nothing)
    if arguments.remove:
        raise UsageError("--remove is for --git-hook", hint="`portward undo` takes back what `init` has written")
    answer = open_ward(arguments).init(write=arguments.write)
    return _shown(arguments, answer, "portward init", "Nothing to begin: this project has its settings.")


def _git_hook(arguments: Arguments) -> int:
    answer = open_ward(arguments).git_hook(remove=arguments.remove, write=arguments.write)
    command = "portward init --git-hook" + (" --remove" if arguments.remove else "")
    nothing = "There is no hook of Portward's." if arguments.remove else "The hook is there."
    return _shown(arguments, answer, command, nothing)


def add_undo(parser: Declares) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show what would be taken back")


def undo(arguments: Arguments) -> int:
    """`portward undo`"""
    answer = open_ward(arguments).undo(dry_run=arguments.dry_run)
    return _shown(
        arguments, answer, "portward undo", "Nothing to undo: no write of Portward's is left in this project."
    )


def _shown(arguments: Arguments, answer: Changes, command: str, empty: str) -> int:
    from portward.render import changes, documents

    for remark in answer.remarks:
        print(f"portward: {remark}", file=sys.stderr)
    show(arguments, lambda: documents.changes(answer), lambda: changes.text(answer, command, empty, paint()))
    return 0 if answer.changes else 1


def _add_write(parser: Declares) -> None:
    parser.add_argument("--write", action="store_true", help="do it; without, only show it")
