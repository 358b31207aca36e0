"""Why a target cannot be reached: evidence → checks, one cause, ranked remedies. One file for each thing that is looked at. Pure.

A check is a function of the evidence that yields `Step`s, each with what was seen. A step that explains the trouble has a cause.
The checks are ordered: what is nearer to the asker or more certain comes first, and the first cause is *the* cause; that nobody
listens at all is said last, by `nothing`. A check that sees nothing of its business yields nothing.
"""

from __future__ import annotations

from portward.causes import (
    address,
    container,
    declared,
    door,
    family,
    firewall,
    inside,
    lookup,
    nothing,
    outgoing,
    process,
    publication,
    queue,
    route,
    speech,
    stranger,
)
from portward.evidence import Examined

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portward.evidence import Evidence, Step
    from portward.model import Fix

CHECKS: tuple[Callable[[Evidence], Iterator[Step]], ...] = (
    lookup.check,
    door.check,
    outgoing.check,
    inside.check,
    family.check,
    container.check,
    publication.check,
    declared.check,
    address.check,
    process.check,
    queue.check,
    firewall.check,
    route.check,
    speech.check,
    stranger.check,
)

_WITH_AN_ANSWER = (family.NAME, stranger.NAME)
"""Checks whose causes leave the target reachable: at its second address, or as somebody else."""


def examine(evidence: Evidence) -> Examined:
    """What follows from the evidence. A target that answers as asked, and is who it should be, has no cause."""
    steps = [step for check in CHECKS for step in check(evidence)]
    if all(step.cause is None for step in steps):
        steps += nothing.check(evidence)
    found = next((step for step in steps if step.cause is not None), None)
    return Examined(
        target=evidence.target.text,
        reachable=evidence.reached and (found is None or found.name in _WITH_AN_ANSWER),
        checks=tuple(steps),
        cause=found.cause if found else None,
        fixes=_ranked(found) if found else (),
        skipped=evidence.skipped,
    )


def _ranked(step: Step) -> tuple[Fix, ...]:
    """Each remedy once; what stops or loses nothing first."""
    return tuple(sorted(dict.fromkeys(step.fixes), key=lambda fix: not fix.safe))
