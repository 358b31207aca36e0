"""The verbs ls, who, check and leases over many hosts (`--fleet`, `--host`, `--inventory`)."""

from __future__ import annotations

from portward.cli.terminal import asked, paint, show
from portward.errors import UsageError
from portward.model import ComposeOptions, Severity
from portward.render import fleet as text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from portward.cli.parser import Arguments
    from portward.verbs.fleet import Fleet

    T = TypeVar("T")


def ls(arguments: Arguments) -> int:
    """`portward ls --fleet`"""
    _require(arguments, "all_netns", "identify", "watch")
    most = None if arguments.json else text.MOST_ROWS
    answer = _asked(arguments, lambda fleet: fleet.ls(arguments.query, udp=arguments.udp, most=most))
    show(arguments, lambda: text.ls_document(answer), lambda: text.ls(answer, arguments.query))
    return 1 if arguments.query and not answer.rows else 0


def who(arguments: Arguments) -> int:
    """`portward who --fleet`"""
    _require(arguments, "all_netns", "history")
    answer = _asked(arguments, lambda fleet: fleet.who(arguments.port))
    show(arguments, lambda: text.who_document(answer), lambda: text.who(answer))
    held = {row.endpoint for row in answer.ports if row.listeners}
    return 0 if held >= set(answer.asked) else 1


def check(arguments: Arguments, folder: str | None) -> int:
    """`portward check --fleet`"""
    if arguments.format not in ("text", "json"):
        raise UsageError(f"--format {arguments.format} is of one machine", hint="--json tells of many")
    _require(arguments, "all_netns")
    if arguments.what and folder is None:
        answer = _asked(arguments, lambda fleet: fleet.check_ports(arguments.what))
    else:
        options = ComposeOptions(tuple(arguments.file), tuple(arguments.profile), tuple(arguments.env_file))
        answer = _asked(arguments, lambda fleet: fleet.check(options), folder)
    full = arguments.verbose or arguments.fail_on == Severity.NOTE
    show(arguments, lambda: text.check_document(answer), lambda: text.check(answer, paint(), full))
    worst = answer.worst()
    return 1 if worst is not None and worst.rank >= Severity(arguments.fail_on).rank else 0


def leases(arguments: Arguments) -> int:
    """`portward leases --fleet`"""
    _require(arguments, "brief")
    answer = _asked(arguments, lambda fleet: fleet.leases())
    show(arguments, lambda: text.leases_document(answer), lambda: text.leases(answer))
    return 0


def _require(arguments: Arguments, *alone: str) -> None:
    """Raises UsageError where the hosts that are asked about are told in two ways, or with options that are of this machine `alone`."""
    for name in alone:
        if getattr(arguments, name):
            raise UsageError(
                f"--{name.replace('_', '-')} is of this machine alone: it and many hosts exclude each other"
            )
    if arguments.fleet and (arguments.host or arguments.inventory):
        raise UsageError(
            "--fleet and --host or --inventory exclude each other",
            hint="--fleet reads what agents publish; --host and --inventory ask over SSH",
        )


def _asked(arguments: Arguments, ask: Callable[[Fleet], T], folder: str | None = None) -> T:
    """What a call of the fleet comes to."""
    return asked(arguments, lambda ward: ask(ward.fleet(arguments.host, inventories=arguments.inventory)), folder)
