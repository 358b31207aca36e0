"""Changes of files as text for people: what becomes what, where, and what stays and why."""

from __future__ import annotations

from portward.discretion import discreet
from portward.model import Role, Side
from portward.render.text import WIDTH, wrapped
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from portward.answers import Change, Changes
    from portward.model import PortSpec
    from portward.plan import Plan
    from portward.render.text import Paint


_NAMED = 8
"""Places of one reason that are told by name; all of them are in JSON."""


def text(answer: Changes, command: str, empty: str, paint: Paint) -> Iterator[str]:
    """The moves, each place with its old and new characters, what is left alone, and how to go on."""
    if not answer.changes:
        yield empty
        return
    if answer.planned is not None:
        for move in dict.fromkeys(map(str, answer.planned.moves)):  # a port on several addresses is several moves
            yield from wrapped(move, "    ")
        yield ""
        yield from _places(answer.changes, paint)
        yield from _kept(answer.planned, {(change.path, change.line) for change in answer.changes})
    else:
        yield from _diff(answer.diff, paint)
    yield _closing(answer, command)


def _places(changes: Sequence[Change], paint: Paint) -> Iterator[str]:
    """A line for each line that changes, with the old characters in [-…-] and the new ones in {+…+}."""
    lines: dict[tuple[str, int], list[Change]] = {}
    for change in changes:
        lines.setdefault((change.path, change.line), []).append(change)
    places = {key: f"{key[0]}:{key[1]}" for key in lines}
    width = max(map(len, places.values()))
    for key, found in lines.items():
        yield f"  {places[key].ljust(width)}   {_marked(found, paint)}"


def _marked(changes: Sequence[Change], paint: Paint) -> str:
    """One line with all its changes marked."""
    pieces, end = [], 0
    whole = changes[0].text
    for change in sorted(changes, key=lambda change: change.column):
        start = change.column - 1
        new = change.new.strip("\n").partition("\n")[0]
        old = paint(f"[-{shown(change.old)}-]", "error") if change.old else ""
        pieces += [discreet(whole[end:start], WIDTH), old, paint(f"{{+{shown(new)}+}}", "good")]
        end = start + len(change.old)
    return "".join([*pieces, discreet(whole[end:], WIDTH)]).strip()


def _kept(planned: Plan, changed: Collection[tuple[str, int]]) -> Iterator[str]:
    """What was left alone, by reason: the container's side together, but for what stands on a line that is shown already."""
    container = [
        spec
        for spec in planned.kept
        if spec.side is Side.CONTAINER
        and spec.role is not Role.MENTION
        and (spec.location.path, spec.location.line) not in changed
    ]
    if container:
        yield from wrapped(f"  unchanged: {_named(container)} {_are(container)} the container's side", "    ")
    doubts: dict[str, list[PortSpec]] = {}
    for spec in planned.kept:
        if spec.side is not Side.CONTAINER:
            doubts.setdefault(spec.why, []).append(spec)
    for why, specs in doubts.items():
        yield from wrapped(f"  unchanged: {_named(specs)}: {why}", "    ")


def _named(specs: Sequence[PortSpec]) -> str:
    """The specs with their places, the first of many."""
    named = [f"{shown(spec.text, 50)} ({spec.location.path}:{spec.location.line})" for spec in specs[:_NAMED]]
    more = f" and {len(specs) - _NAMED} more" if len(specs) > _NAMED else ""
    return ", ".join(named) + more


def _are(specs: Sequence[PortSpec]) -> str:
    return "are" if len(specs) > 1 else "is"


def _diff(diff: str, paint: Paint) -> Iterator[str]:
    for line in diff.splitlines():
        style = {"-": "error", "+": "good"}.get(line[:1], "") if line[:3] not in ("---", "+++") else "bold"
        told = discreet(line, 10_000)
        yield paint(told, style) if style else told


def _closing(answer: Changes, command: str) -> str:
    files = len({change.path for change in answer.changes})
    count = f"{files} file{'s' * (files != 1)}"
    if answer.verb is not None:
        verb = f"`{answer.verb}`"
        return f"Took {verb} back in {count}." if answer.written else f"Nothing written. `{command}` takes {verb} back."
    if not answer.written:
        back = "; `portward undo` takes it back" if answer.undoable else ""
        return f"Nothing written. `{command} --write` does it{back}."
    return f"Written in {count}." + (" `portward undo` takes it back." if answer.undoable else "")
