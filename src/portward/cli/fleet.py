"""The verbs ls, who, check and leases over many hosts (`--fleet`, `--host`, `--inventory`)."""

from __future__ import annotations

from portward.cli.terminal import open_ward, paint, show
from portward.errors import UsageError
from portward.model import ComposeOptions, Severity
from portward.render import fleet as text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments
    from portward.verbs.fleet import Fleet


def ls(arguments: Arguments) -> int:
    """`portward ls --fleet`"""
    fleet = _fleet(arguments, "all_netns", "identify", "watch")
    most = None if arguments.json else text.MOST_ROWS
    answer = fleet.ls(arguments.query, udp=arguments.udp, most=most)
    show(arguments, lambda: text.ls_document(answer), lambda: text.ls(answer, arguments.query))
    return 1 if arguments.query and not answer.rows else 0


def who(arguments: Arguments) -> int:
    """`portward who --fleet`"""
    answer = _fleet(arguments, "all_netns", "history").who(arguments.port)
    show(arguments, lambda: text.who_document(answer), lambda: text.who(answer))
    held = {row.endpoint for row in answer.ports if row.listeners}
    return 0 if held >= set(answer.asked) else 1


def check(arguments: Arguments, folder: str | None) -> int:
    """`portward check --fleet`"""
    if arguments.format not in ("text", "json"):
        raise UsageError(f"--format {arguments.format} is of one machine", hint="--json tells of many")
    fleet = _fleet(arguments, "all_netns", folder=folder)
    if arguments.what and folder is None:
        answer = fleet.check_ports(arguments.what)
    else:
        answer = fleet.check(ComposeOptions(tuple(arguments.file), tuple(arguments.profile), tuple(arguments.env_file)))
    full = arguments.verbose or arguments.fail_on == Severity.NOTE
    show(arguments, lambda: text.check_document(answer), lambda: text.check(answer, paint(), full))
    worst = answer.worst()
    return 1 if worst is not None and worst.rank >= Severity(arguments.fail_on).rank else 0


def leases(arguments: Arguments) -> int:
    """`portward leases --fleet`"""
    answer = _fleet(arguments, "brief").leases()
    show(arguments, lambda: text.leases_document(answer), lambda: text.leases(answer))
    return 0


def _fleet(arguments: Arguments, *alone: str, folder: str | None = None) -> Fleet:
    """The hosts that are asked about. The options `alone` are of this machine, and exclude them."""
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
    return open_ward(arguments, folder).fleet(arguments.host, inventories=arguments.inventory)
