"""What was found at targets, and who became ready, as text for people."""

from __future__ import annotations

from portward.render.text import wrapped
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portward.answers import Waited
    from portward.model import Identity


def identities(answers: Iterable[Identity]) -> Iterator[str]:
    """The answer for each target, and its evidence below."""
    for answer in answers:
        yield f"{shown(answer.target)}: {_found(answer)}"
        for sentence in answer.evidence:
            yield from wrapped(f"  {shown(sentence)}", "    ")
        if answer.answers and answer.by in (None, "catalog") and answer.customary:
            yield from wrapped(f"  customarily {', '.join(answer.customary)}: custom is no evidence", "    ")


def brief(identity: Identity | None) -> str:
    """An identity in a few words for a table: "Redis 7.0.15", "Delve?" for a guess."""
    if identity is None or identity.service is None:
        return ""
    guess = "?" if identity.confidence == "guess" else ""
    return shown(f"{identity.service}{guess} {identity.version or ''}".strip(), 30)


def _found(answer: Identity) -> str:
    if answer.answers is False:
        held = f", though {answer.service} should" if answer.service else ""
        return f"nothing answers there{held}"
    if answer.service is None:
        return "something answers, and it does not say what it is"
    name = shown(f"{answer.service} {answer.version or ''}".strip())
    how = {"protocol": "by its protocol", "catalog": "a guess by custom"}.get(answer.by or "", f"by its {answer.by}")
    return f"{name} ({how}{f', {answer.confidence} confidence' if answer.by != 'catalog' else ''})"


def waited(answer: Waited, seconds: float) -> Iterator[str]:
    """Who is ready, and who is not: what was seen of it last."""
    for name in answer.ready:
        yield f"{shown(name)} is ready: {shown(answer.seen.get(name, ''))}"
    for name in answer.waiting:
        seen = shown(answer.seen.get(name, "") or "not looked at")
        yield f"{shown(name)} is not ready after {seconds:g} s: {seen}"
    if answer.waiting:
        yield f"hint: `portward identify {shown(answer.waiting[0])}` tells what is there; --timeout waits longer"
