"""Somebody answers, but is it who should? Whose the port is by the project, and what protocol the answer shows."""

from __future__ import annotations

from portward.causes import speech
from portward.evidence import Evidence, Step
from portward.model import Fix
from portward.remedies import stops
from portward.wording import brief, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "whose"
_WHOSE = {
    "other-worktree": "another working tree of this project",
    "other-project": "another project",
    "stranger": "no project",
}


def check(evidence: Evidence) -> Iterator[Step]:
    if not evidence.reached or not speech.is_answered(evidence):
        return
    yield from _by_project(evidence)
    yield from _by_protocol(evidence)


def _by_project(evidence: Evidence) -> Iterator[Step]:
    declared, door = evidence.declared, evidence.door
    if declared is None or door is None or (declared.whose not in _WHOSE and declared.runs):
        return
    rows = evidence.serving(door)
    who = brief(rows[0]) if rows else "somebody"
    service, port = shown(declared.service), evidence.target.port
    whose = f"of {_WHOSE[declared.whose]}" if declared.runs else "which was started in this project's folder"
    cause = f"it is not {service} that answers on {port}, but {who}, {whose}"
    move = Fix(f"move {service} to a free port", "portward resolve --write", True)
    yield Step(NAME, False, f"{who} has {port}", cause, (move, *(fix for row in rows for fix in stops(row))))


def _by_protocol(evidence: Evidence) -> Iterator[Step]:
    heard, target, door = evidence.speech, evidence.target, evidence.door
    if heard is None or heard.fits is not False or door is None:
        return
    rows = evidence.serving(door)
    who = f" ({brief(rows[0])})" if rows else ""
    what = shown(heard.service or "something else")
    cause = f"{what}{who} answers on {target.port}, not the {target.meant} that {target.scheme}:// means"
    yield Step(
        NAME,
        False,
        f"{what} answers",
        cause,
        (
            Fix("see what else should be there", f"portward who {target.port}", True),
            Fix(f"ask for the port where {target.meant} is", None, True),
        ),
    )
