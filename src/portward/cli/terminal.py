"""What all verbs do alike: open the project, and show the answer as text, as JSON, or not at all."""

from __future__ import annotations

import os
import sys

from portward.cli import printable, say
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from portward.cli.parser import Arguments
    from portward.render.documents import Document
    from portward.render.text import Paint


def open_ward(arguments: Arguments, folder: str | None = None) -> Portward:
    """The project of `-C`, or of a folder; with `--verbose` each step is told on stderr."""
    narrate = _to_stderr if arguments.verbose else None
    return Portward.open(arguments.directory if folder is None else folder, narrate=narrate)


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
