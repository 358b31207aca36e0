"""Judgement: pure functions from a `Snapshot` to `Finding`s, one file per problem.

To add a rule, write its module with `RULE`, `SEVERITY` (by default), `check(snapshot)` and a docstring that says what, why, and
before and after, and give its name a line in `NAMES`. A rule asks nothing of the machine: whatever it needs is in the snapshot.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from portward.model import Verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from portward.model import Finding, Ignore, Settings, Snapshot

    Check = Callable[[Snapshot], Iterator[Finding]]

NAMES = (
    "address-in-use",
    "duplicate-host-port",
    "claimed-by-other-project",
    "leased-to-another",
    "invalid-port",
    "fixed-port-with-replicas",
    # what one file says and another does not
    "stale-port-reference",
    "undefined-variable",
    "override-appends-port",
    "undocumented-port",
    "hardcoded-port",
    # what Compose or the engine makes of an entry
    "ports-ignored-by-host-network",
    "sexagesimal-port",
    "loopback-only-in-container",
    # where a number lies
    "privileged-port",
    "ephemeral-range",
    "browser-blocked-port",
    "reserved-by-os",
    "nodeport-range",
    "outside-range-policy",
    "customary-port",
    # who can reach it
    "exposed-database",
    "published-on-all-interfaces",
    # what was decided about all this
    "unused-ignore",
)
"""Every rule, in the order of its findings of one severity. Its module has the same name, and is loaded to judge."""

_checks: dict[str, Check] = {}


def checks() -> Mapping[str, Check]:
    """What judges, by the names of the rules."""
    from importlib import import_module

    for name in NAMES[len(_checks) :]:
        _checks[name] = import_module(f"portward.rules.{name.replace('-', '_')}").check
    return _checks


def judge(snapshot: Snapshot) -> tuple[Finding, ...]:
    """The findings to show, the worst first, otherwise in the order of `NAMES` and of the project's files."""
    return verdict(snapshot).findings


def verdict(snapshot: Snapshot, only: Collection[str] = NAMES) -> Verdict:
    """Every finding of every rule, or `only` of some, as severe as the settings say; those that they ignore apart, each with its reason."""
    from portward.rules import unused_ignore

    settings = snapshot.settings
    shown: list[Finding] = []
    ignored: list[tuple[Finding, Ignore]] = []
    used: set[Ignore] = set()
    for rule, check in checks().items():
        if rule not in only:
            continue
        last = rule == unused_ignore.RULE
        for finding in unused_ignore.check(snapshot, used) if last else check(snapshot):
            ignores = [ignore for ignore in settings.ignores if _matches(ignore, finding)]
            used.update(ignores)
            judged = _as_set(settings, finding)
            if judged is not None and ignores:
                ignored.append((judged, ignores[0]))
            elif judged is not None:
                shown.append(judged)
    shown.sort(key=lambda finding: -finding.severity.rank)
    return Verdict(tuple(shown), tuple(ignored))


def _as_set(settings: Settings, finding: Finding) -> Finding | None:
    """The finding with the severity that the settings give to its rule; None for a rule that is off."""
    if finding.rule not in settings.severities:
        return finding
    severity = settings.severities[finding.rule]
    return None if severity is None else finding.replace(severity=severity)


def _matches(ignore: Ignore, finding: Finding) -> bool:
    return (
        ignore.rule == finding.rule
        and ignore.service in (None, finding.service)
        and ignore.port in (None, finding.port)
        and (ignore.path is None or any(fnmatchcase(place.path, ignore.path) for place in finding.locations))
    )
