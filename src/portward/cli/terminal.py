"""What all verbs do alike: open the project, and show the answer as text, as JSON, or not at all."""

from __future__ import annotations

import os
import sys

from portward.cli import printable, say
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    from portward.cli.parser import Arguments, Declares
    from portward.render.documents import Document
    from portward.render.text import Paint

    T = TypeVar("T")


def open_ward(arguments: Arguments, folder: str | None = None) -> Portward:
    """The project of `-C`, or of a folder; with `--verbose` each step is told on stderr."""
    narrate = _to_stderr if arguments.verbose else None
    return Portward.open(arguments.directory if folder is None else folder, narrate=narrate)


def asked(arguments: Arguments, ask: Callable[[Portward], T], folder: str | None = None) -> T:
    """What a call of the project comes to. On a terminal, one that takes longer than a second tells what it is at."""
    if arguments.verbose or arguments.quiet or arguments.json or not sys.stderr.isatty():
        return ask(open_ward(arguments, folder))
    from portward.cli.progress import Progress

    progress = Progress(arguments.verb)
    try:
        return ask(Portward.open(arguments.directory if folder is None else folder, narrate=progress.step))
    finally:
        progress.end()


def add_hosts(parser: Declares) -> None:
    """The options that ask many hosts instead of this machine."""
    group = parser.add_argument_group("of many hosts")
    group.add_argument("--fleet", action="store_true", help="every host whose agent publishes to the fleet's store")
    group.add_argument(
        "--host", action="append", default=[], metavar="H", help="[USER@]HOST, asked over SSH; may be repeated"
    )
    group.add_argument(
        "--inventory", action="append", default=[], metavar="F", help="the hosts of FILE[:GROUP], an Ansible inventory"
    )


def add_offline(parser: Declares) -> None:
    """The option that does without a store of many machines."""
    parser.add_argument(
        "--offline-ok", action="store_true", help="where a store of many machines is away: new ports too, unconfirmed"
    )


def is_of_many(arguments: Arguments) -> bool:
    """Whether many hosts are asked about."""
    return bool(arguments.fleet or arguments.host or arguments.inventory)


def _to_stderr(step: str) -> None:
    print(printable(f"portward: {step}"), file=sys.stderr)


def show(arguments: Arguments, document: Callable[[], Document], text: Callable[[], Iterable[str]]) -> None:
    """Prints an answer in the form that was asked for; only that form is made."""
    if arguments.json:
        from portward.render.documents import dump

        say([dump(document())])
    elif not arguments.quiet:
        colours = COLOURS if _is_coloured() else ()
        say(printable(line, colours) for line in text())


COLOURS = ("0", "1", "1;31", "2", "32", "33", "36")
"""The codes that `Paint` uses."""


def paint() -> Paint:
    """Colours if stdout is a terminal and NO_COLOR (no-color.org) is not set."""
    from portward.render.text import Paint

    return Paint(_is_coloured())


def _is_coloured() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
