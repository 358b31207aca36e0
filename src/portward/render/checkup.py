"""What was looked at and found, as text for people: each check, the cause, what was done, and what to do."""

from __future__ import annotations

from portward.render.text import wrapped
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.answers import Checkup
    from portward.model import StoreCheck
    from portward.render.documents import Document
    from portward.render.text import Paint

_WHOLE = 10_000


def text(answer: Checkup, paint: Paint) -> Iterator[str]:
    """The answer line by line: what was found, what was done about it, and what is left to do."""
    if answer.done:
        yield from _checks(answer.found, paint)
        for each in answer.done:
            yield from wrapped(f"done: {shown(each, _WHOLE)}", "      ")
        yield "and now:"
    yield from _checks(answer.checks, paint)
    if answer.cause is not None:
        yield from wrapped(f"cause: {shown(answer.cause, _WHOLE)}", "       ")
    for fix in answer.fixes:
        yield from wrapped("fix: " + (f"`{fix.command}`: " if fix.command else "") + fix.title, "     ")


def document(answer: Checkup) -> Document:
    """The answer as JSON."""
    return {
        "target": answer.target,
        "reachable": answer.reachable,
        "checks": [_check(check) for check in answer.checks],
        "cause": answer.cause,
        "fixes": [{"title": fix.title, "command": fix.command, "safe": fix.safe} for fix in answer.fixes],
        "found": [_check(check) for check in answer.found],
        "done": list(answer.done),
    }


def _check(check: StoreCheck) -> Document:
    return {"name": check.name, "ok": check.ok, "detail": check.detail, "repair": check.repair}


def _checks(checks: Sequence[StoreCheck], paint: Paint) -> Iterator[str]:
    width = max(len(check.name) for check in checks)
    for check in checks:
        lines = wrapped(f"{check.name.ljust(width)}  {shown(check.detail, _WHOLE)}", " " * (width + 6))
        first, *rest = lines
        yield ("ok  " if check.ok else paint("no  ", "error")) + first
        yield from rest
