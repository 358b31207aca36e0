"""The verb that looks for what is wrong: doctor."""

from __future__ import annotations

from portward.cli.terminal import open_ward, paint, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares


def add_doctor(parser: Declares) -> None:
    parser.add_argument("--store", action="store_true", help="the lease store: is it whole, and may it be written?")
    parser.add_argument("--write", action="store_true", help="repair it; without, only say what a repair would do")


def doctor(arguments: Arguments) -> int:
    """`portward doctor`"""
    from portward.render import checkup

    if not arguments.store:
        raise UsageError("what is to be looked at?", hint="`portward doctor --store` looks at the lease store")
    answer = open_ward(arguments).doctor_store(write=arguments.write)
    show(arguments, lambda: checkup.document(answer), lambda: checkup.text(answer, paint()))
    return 0 if answer.cause is None else 1
