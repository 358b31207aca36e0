"""Judgement: pure functions from a `Snapshot` to `Finding`s, one file per problem.

To add a rule, write its module with `RULE`, `SEVERITY` (by default), `check(snapshot)` and a docstring that says what, why, and
before and after, and give it a line in `RULES`. A rule asks nothing of the machine: whatever it needs is in the snapshot.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from portward.model import Verdict
from portward.rules import (
    address_in_use,
    browser_blocked_port,
    claimed_by_other_project,
    customary_port,
    duplicate_host_port,
    ephemeral_range,
    exposed_database,
    fixed_port_with_replicas,
    hardcoded_port,
    invalid_port,
    loopback_only_in_container,
    nodeport_range,
    outside_range_policy,
    override_appends_port,
    ports_ignored_by_host_network,
    privileged_port,
    published_on_all_interfaces,
    reserved_by_os,
    sexagesimal_port,
    stale_port_reference,
    undefined_variable,
    undocumented_port,
    unused_ignore,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portward.model import Finding, Ignore, Settings, Snapshot

RULES: dict[str, Callable[[Snapshot], Iterator[Finding]]] = {
    module.RULE: module.check
    for module in (
        address_in_use,
        duplicate_host_port,
        claimed_by_other_project,
        invalid_port,
        fixed_port_with_replicas,
        # what one file says and another does not
        stale_port_reference,
        undefined_variable,
        override_appends_port,
        undocumented_port,
        hardcoded_port,
        # what Compose or the engine makes of an entry
        ports_ignored_by_host_network,
        sexagesimal_port,
        loopback_only_in_container,
        # where a number lies
        privileged_port,
        ephemeral_range,
        browser_blocked_port,
        reserved_by_os,
        nodeport_range,
        outside_range_policy,
        customary_port,
        # who can reach it
        exposed_database,
        published_on_all_interfaces,
        # what was decided about all this
        unused_ignore,
    )
}


def judge(snapshot: Snapshot) -> tuple[Finding, ...]:
    """The findings to show, the worst first, otherwise in the order of `RULES` and of the project's files."""
    return verdict(snapshot).findings


def verdict(snapshot: Snapshot) -> Verdict:
    """Every finding of every rule, as severe as the settings say; those that they ignore apart, each with its reason."""
    settings = snapshot.settings
    shown: list[Finding] = []
    ignored: list[tuple[Finding, Ignore]] = []
    used: set[Ignore] = set()
    for rule, check in RULES.items():
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
