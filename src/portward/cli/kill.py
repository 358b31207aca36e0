"""The verb that stops what holds a port: kill. It shows what it would do, and asks."""

from __future__ import annotations

import sys
import time

from portward.cli import printable
from portward.cli.terminal import open_ward, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portward.answers import Killed
    from portward.cli.parser import Arguments, Declares
    from portward.stops import StopPlan


def add_kill(parser: Declares) -> None:
    parser.add_argument("port", nargs="+", metavar="PORT", help="[HOST:]PORT[/udp]")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--dry-run", action="store_true", help="only show what would be stopped, and how")
    parser.add_argument("--mine", action="store_true", help="nothing but what belongs to this project's checkout")
    parser.add_argument(
        "--force", action="store_true", help="other users' processes too; SIGKILL for what does not end"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="seconds for each to end (default: what is usual for it)"
    )
    parser.add_argument("--reason", default="", metavar="TEXT", help="why; kept in the log")


def kill(arguments: Arguments) -> int:
    """`portward kill`"""
    from portward.render import documents
    from portward.render import kill as text

    asks = not (arguments.yes or arguments.dry_run)
    if asks and (arguments.json or arguments.quiet or not sys.stdin.isatty()):
        raise UsageError("kill needs --yes where nobody can be asked", hint="--dry-run shows what would be stopped")
    answer = open_ward(arguments).kill(
        arguments.port,
        force=arguments.force,
        mine=arguments.mine,
        dry_run=arguments.dry_run,
        reason=arguments.reason,
        timeout=arguments.timeout,
        confirm=_agreed if asks else None,
    )
    _tell(f"portward: {remark}" for remark in answer.remarks)
    show(
        arguments,
        lambda: documents.kill(answer, dry_run=arguments.dry_run),
        lambda: text.killed(answer, time.time(), asked=asks),
    )
    return _status(answer, arguments.dry_run)


def _agreed(planned: StopPlan) -> bool:
    """Shows the plan, and asks. Nothing but a yes is one."""
    from portward.render import kill as text

    _tell(text.plan(planned, time.time()))
    print("Stop it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell(lines: Iterable[str]) -> None:
    for line in lines:
        print(printable(line), file=sys.stderr)


def _status(answer: Killed, dry_run: bool) -> int:
    if answer.failed:
        return 3
    return 0 if answer.complete and (answer.acted or dry_run) else 1
