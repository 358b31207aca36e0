"""The verbs that speak to endpoints: identify, wait."""

from __future__ import annotations

import sys
import time

from portward.cli import printable
from portward.cli.terminal import asked, open_ward, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portward.cli.parser import Arguments, Declares

_TARGET = "[HOST:]PORT, a URL such as redis://HOST:PORT, or a service of this project"
_WAIT_SECONDS = 30.0
_CLEAR = "\r\x1b[K"  # the beginning of the line, and nothing behind it (ECMA-48, CR and EL)


def add_identify(parser: Declares) -> None:
    parser.add_argument("target", nargs="+", metavar="TARGET", help=_TARGET)
    parser.add_argument("--timeout", type=float, metavar="S", help="for each target, in seconds (default: 1.5)")


def identify(arguments: Arguments) -> int:
    """`portward identify`"""
    from portward.render import documents, reach

    answers = asked(arguments, lambda ward: ward.identify(*arguments.target, seconds=arguments.timeout))
    show(arguments, lambda: documents.identify(answers), lambda: reach.identities(answers))
    return 0 if all(answer.answers and answer.by not in (None, "catalog") for answer in answers) else 1


def add_wait(parser: Declares) -> None:
    parser.add_argument("target", nargs="+", metavar="TARGET", help=_TARGET)
    parser.add_argument("--timeout", type=float, default=_WAIT_SECONDS, metavar="S", help="in seconds (default: 30)")
    parser.add_argument("--as", dest="service", metavar="SERVICE", help="until it answers as this service does")
    parser.add_argument("--status", type=int, metavar="N", help="of http:// targets (default: any from 200 to 399)")


def wait(arguments: Arguments) -> int:
    """`portward wait`"""
    from portward.render import documents, reach

    shows_progress = sys.stderr.isatty() and not (arguments.quiet or arguments.json)
    progress = _Progress(arguments.timeout) if shows_progress else None
    options = {"tell": progress} if progress else {}
    answer = open_ward(arguments).wait(
        *arguments.target, seconds=arguments.timeout, service=arguments.service, status=arguments.status, **options
    )
    if progress:
        progress.end()
    show(arguments, lambda: documents.wait(answer), lambda: reach.waited(answer, arguments.timeout))
    return 1 if answer.waiting else 0


class _Progress:
    """One line on a terminal that tells who is missing, written anew whenever that changes or another second is over."""

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._shown = ""

    def __call__(self, missing: Mapping[str, str], _ready: Sequence[str]) -> None:
        left = max(0, round(self._deadline - time.monotonic()))
        told = ", ".join(f"{name} ({seen})" if seen else name for name, seen in missing.items())
        line = printable(f"waiting for {told}, {left} s left"[:99]) if missing else ""
        if line != self._shown:
            self._shown = line
            print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Takes the line away."""
        print(_CLEAR, end="", file=sys.stderr, flush=True)
