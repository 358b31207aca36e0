"""What an error text means, as text for people: the cause, the evidence, and what to type next."""

from __future__ import annotations

from portward.render.text import partial, wrapped
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.answers import Explanation
    from portward.model import Diagnosis
    from portward.render.text import Paint


def lines(answer: Explanation, paint: Paint) -> Iterator[str]:
    """Each trouble in turn, or what the text speaks of instead."""
    for index, diagnosis in enumerate(answer.diagnoses):
        if index:
            yield ""
        yield from _diagnosis(diagnosis, paint)
    if not answer.diagnoses:
        yield "No trouble with a port in this text."
        for name in answer.others:
            yield f"It speaks of {name}."
    yield from partial((), answer.skipped)


def _diagnosis(diagnosis: Diagnosis, paint: Paint) -> Iterator[str]:
    symptom = diagnosis.symptom
    kind = str(symptom.kind).replace("_", "-")
    first, *more = wrapped(f"{kind}: {shown(diagnosis.cause, 400)}", "      ")
    yield first.replace(f"{kind}:", paint(f"{kind}:", "error"), 1)
    yield from more
    yield from wrapped(f"  line {symptom.line}: {shown(symptom.text, 160)}", "      ")
    for sentence in diagnosis.evidence:
        yield from wrapped(f"  {shown(sentence, 400)}", "      ")
    if diagnosis.fixes:
        yield "  safest first:"
    width = max((len(fix.command) for fix in diagnosis.fixes if fix.command), default=0)
    for fix in diagnosis.fixes:
        line = f"    {fix.command.ljust(min(width, 40))}   {fix.title}" if fix.command else f"    {fix.title}"
        if len(line) > 100 and fix.command:
            yield f"    {fix.command}"
            line = f"      {fix.title}"
        yield from wrapped(line, "      ")
