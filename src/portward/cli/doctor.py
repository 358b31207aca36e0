"""The verb that looks for what is wrong: doctor."""

from __future__ import annotations

from portward.cli.terminal import asked, paint, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares


def add_doctor(parser: Declares) -> None:
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="HOST:PORT, a port, a URL, a service or a container: why can it not be reached?",
    )
    parser.add_argument("--from", dest="origin", metavar="PLACE", help="ask from a container or a network namespace")
    parser.add_argument("--store", action="store_true", help="the lease store: is it whole, and may it be written?")
    parser.add_argument("--write", action="store_true", help="repair it; without, only say what a repair would do")


def doctor(arguments: Arguments) -> int:
    """`portward doctor`"""
    if arguments.store == (arguments.target is not None):
        hint = "`portward doctor localhost:5000`, or `portward doctor --store` for the lease store"
        raise UsageError("a TARGET or --store is needed, and not both", hint=hint)
    if arguments.store:
        return _store(arguments)
    if arguments.write:
        raise UsageError("--write goes with --store: a target is only looked at")
    from portward.render import documents, examined

    answer = asked(arguments, lambda ward: ward.doctor(arguments.target, origin=arguments.origin))
    show(arguments, lambda: documents.examined(answer), lambda: examined.text(answer, paint()))
    return 0 if answer.reachable and answer.cause is None else 1


def _store(arguments: Arguments) -> int:
    from portward.render import checkup

    if arguments.origin is not None:
        raise UsageError("--from goes with a TARGET: the lease store is this machine's")
    answer = asked(arguments, lambda ward: ward.doctor_store(write=arguments.write))
    show(arguments, lambda: checkup.document(answer), lambda: checkup.text(answer, paint()))
    return 0 if answer.cause is None else 1
