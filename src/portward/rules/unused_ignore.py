"""unused-ignore: an `[[ignore]]` of `portward.toml` matches no finding.

Why: the reason for it is gone, or its rule, service, port or path is misspelt; either way it says something that is not so.

Before: `[[ignore]] rule = "exposed-database", service = "db"`, while `db` is on 127.0.0.1
After:  the four lines deleted.

An ignore is left alone where it may match another time: of a rule that judges what runs or what this system is like, and of a
service behind a profile that is not active.
"""

from __future__ import annotations

from portward.model import Finding, Severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from portward.model import Ignore, Snapshot

RULE = "unused-ignore"
SEVERITY = Severity.NOTE
_OF_THIS_MACHINE = (
    "address-in-use",
    "claimed-by-other-project",
    "ephemeral-range",
    "privileged-port",
    "reserved-by-os",
)


def check(snapshot: Snapshot, used: Collection[Ignore] = ()) -> Iterator[Finding]:
    """One finding for each ignore of the project's own settings that is not among those that were of use."""
    inactive = {service.name for service in snapshot.project.inactive} if snapshot.project else set()
    for ignore in snapshot.settings.ignores:
        if (
            ignore.location
            and ignore not in used
            and ignore.rule not in _OF_THIS_MACHINE
            and ignore.service not in inactive
        ):
            yield _finding(ignore)


def _finding(ignore: Ignore) -> Finding:
    limits = [str(value) for value in (ignore.service, ignore.port, ignore.path) if value is not None]
    what = f" for {' and '.join(limits)}" if limits else ""
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"the ignore of {ignore.rule}{what} matches nothing",
        service=ignore.service,
        port=ignore.port,
        locations=(ignore.location,) if ignore.location else (),
        hint="delete it, or correct its rule, service, port or path",
    )
