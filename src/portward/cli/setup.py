"""The verb that gives, or takes away, a privilege: setup."""

from __future__ import annotations

import sys

from portward.cli.terminal import open_ward, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares


def add_setup(parser: Declares) -> None:
    parser.add_argument("--pin-owners", action="store_true", help="let a group see all owners, until the next reboot")
    parser.add_argument("--group", metavar="GROUP", help="which (default: that of the user who runs sudo)")
    parser.add_argument("--unpin", action="store_true", help="take that back")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def setup(arguments: Arguments) -> int:
    """`portward setup`"""
    from portward.render import setup as rendered

    if arguments.pin_owners and arguments.unpin:
        raise UsageError("--pin-owners and --unpin exclude each other")
    ward = open_ward(arguments)
    if arguments.pin_owners:
        plan = ward.owners_plan(arguments.group)
        for line in rendered.plan(plan):
            print(line, file=sys.stderr)
        if not (arguments.yes or _agreed()):
            return 1
        answer = ward.pin_owners(plan)
    else:
        answer = ward.unpin_owners() if arguments.unpin else ward.owners_state()
    show(arguments, lambda: rendered.document(answer), lambda: rendered.text(answer))
    return 0


def _agreed() -> bool:
    """Whether the user says yes. Raises UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError("nothing was pinned: `setup` asks first", hint="--yes goes on without asking")
    print("Pin it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
