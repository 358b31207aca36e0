"""What every reader of one file keeps to, checked on what it gave; and the short form in which tests compare it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from portward.errors import InvalidFile
from portward.model import PortSpec, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Found = tuple[str, str, str, tuple[str, ...]]
"""The digits in the file, role, side and variables of a port."""


def check(text: str, specs: list[PortSpec]) -> None:
    """Each span holds just the digits that its spec says, at the place that is told, once and in order."""
    text = text.removeprefix("\ufeff")
    lines = text.split("\n")
    for spec in specs:
        digits = text[spec.span.start : spec.span.end]
        assert re.fullmatch("[0-9][0-9_]*(?:-[0-9]+)?", digits)
        number = digits.replace("_", "")
        if spec.role is Role.CONTAINER and "-" not in number:
            assert (spec.target, spec.published) == (int(number), None)
        else:
            assert spec.published == number
        line, column = spec.location.line, spec.location.column
        assert lines[line - 1][column - 1 :].startswith(digits)
        assert digits in spec.text
        assert "\n" not in spec.text
        assert len(spec.text) <= 120
    assert len({spec.span for spec in specs}) == len(specs)
    assert specs == sorted(specs, key=lambda spec: spec.span.start)


def found(text: str, specs: Iterable[PortSpec]) -> list[Found]:
    """What was found, checked."""
    specs = list(specs)
    check(text, specs)
    body = text.removeprefix("\ufeff")
    return [(body[spec.span.start : spec.span.end], str(spec.role), str(spec.side), spec.variables) for spec in specs]


def read_or_refuse(read: Callable[[str, str], list[PortSpec]], text: str, path: str) -> list[PortSpec] | None:
    """What a reader gives, checked, or None where it refuses the text, which it does with a place in it."""
    try:
        specs = read(text, path)
    except InvalidFile as error:
        refusal = error
    else:
        check(text, specs)
        return specs
    assert refusal.path == path
    assert refusal.line is None or refusal.line >= 1
    assert refusal.column is None or refusal.column >= 1
    return None
