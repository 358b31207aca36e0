"""Judgement: pure functions from a `Snapshot` to `Finding`s, one file per problem.

To add a rule, write its module with `check(snapshot)` and a docstring that says what, why, and before and after, and give
it a line in `RULES`. A rule asks nothing of the machine: whatever it needs is in the snapshot.
"""

from __future__ import annotations

from portward.rules import address_in_use, duplicate_host_port, invalid_port, stale_port_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portward.model import Finding, Snapshot

RULES: dict[str, Callable[[Snapshot], Iterator[Finding]]] = {
    "address-in-use": address_in_use.check,
    "duplicate-host-port": duplicate_host_port.check,
    "invalid-port": invalid_port.check,
    "stale-port-reference": stale_port_reference.check,
}


def judge(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Every finding of every rule, the worst first, otherwise in the order of `RULES` and of the project's files."""
    findings = [finding for check in RULES.values() for finding in check(snapshot)]
    findings.sort(key=lambda finding: -finding.severity.rank)
    return tuple(findings)
