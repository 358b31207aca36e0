"""What `doctor` found out about a target, as text for people: what was looked at, the cause, and what to do about it."""

from __future__ import annotations

from portward.render.text import wrapped
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import Examined
    from portward.render.text import Paint

_WHOLE = 10_000
_INDENT = "      "


def text(answer: Examined, paint: Paint) -> Iterator[str]:
    """The answer line by line. Where the target cannot be reached, what could not be seen comes last."""
    for check in answer.checks:
        first, *rest = wrapped(_INDENT + shown(check.detail, _WHOLE), _INDENT)
        yield ("ok    " if check.ok else paint("no", "error") + "    ") + first.removeprefix(_INDENT)
        yield from rest
    if answer.cause is not None:
        yield from wrapped(f"cause: {shown(answer.cause, _WHOLE)}", "       ")
        for index, fix in enumerate(answer.fixes):
            command = f": {fix.command}" if fix.command else ""
            yield from wrapped(f"{'       ' if index else 'fix:   '}{fix.title}{command}", "         ")
    elif answer.reachable:
        yield f"{shown(answer.target)} can be reached, and nothing is wrong with it"
    else:
        yield f"no cause was found for {shown(answer.target)}"
    for skipped in () if answer.reachable else answer.skipped:
        yield from wrapped(f"not seen: {shown(skipped.what)}: {shown(skipped.reason, _WHOLE)}", "       ")
