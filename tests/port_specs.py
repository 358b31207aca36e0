"""What every reader of a format keeps to, checked on what it gave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.model import PortSpec, Role, Side

if TYPE_CHECKING:
    from collections.abc import Callable


def read_safely(read: Callable[[str, str], list[PortSpec]], text: str, path: str) -> list[PortSpec]:
    """What a reader gives, checked; nothing where it refuses the text, which it does with the place."""
    try:
        specs = read(text, path)
    except InvalidFile as error:
        refusal = error
    else:
        check(text, path, specs)
        return specs
    lines = [*text.removeprefix("\ufeff").split("\n"), ""]  # what is missing at the end is told on the line behind it
    assert refusal.path == path
    assert refusal.line
    assert refusal.line <= len(lines)
    assert refusal.column in range(1, len(lines[refusal.line - 1]) + 2)
    return []


def check(text: str, path: str, specs: list[PortSpec]) -> None:
    """That each span holds just the number or range that its spec says, at the place that is told, once and in order."""
    text = text.removeprefix("\ufeff")
    lines = text.split("\n")
    for spec in specs:
        written = text[spec.span.start : spec.span.end]
        number = written.replace("_", "")  # as programs may group digits
        low, _, high = number.partition("-")
        assert low.isascii()
        assert low.isdecimal()
        assert not high or (high.isascii() and high.isdecimal())
        if spec.role is Role.CONTAINER and not high:
            assert (spec.target, spec.published) == (int(number), None)
        else:
            assert spec.published == number
        assert spec.location.path == path
        assert lines[spec.location.line - 1][spec.location.column - 1 :].startswith(written)
        assert written in spec.text
        assert "\n" not in spec.text
        assert len(spec.text) <= 120
    assert len({spec.span for spec in specs}) == len(specs)
    assert specs == sorted(specs, key=lambda spec: spec.span.start)


def found(text: str, specs: list[PortSpec]) -> list[tuple[str, Role, Side]]:
    """What stands at the spans, with what it is."""
    text = text.removeprefix("\ufeff")
    return [(text[spec.span.start : spec.span.end], spec.role, spec.side) for spec in specs]


def found_with_variables(text: str, specs: list[PortSpec]) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """What stands at the spans, with role, side and variables in words."""
    stands = found(text, specs)
    return [
        (digits, str(role), str(side), spec.variables) for (digits, role, side), spec in zip(stands, specs, strict=True)
    ]


def fragments(*texts: str) -> st.SearchStrategy[str]:
    """Texts that are made of the fragments of a format, with anything between."""
    part = st.one_of(
        st.sampled_from(texts), st.text(max_size=3), st.sampled_from(("\n", "\r\n", " ", "\t", "é🚢", "\ufeff"))
    )
    return st.one_of(st.text(), st.lists(part, max_size=30).map("".join))


def read_found(
    read: Callable[[str, str], list[PortSpec]], text: str, path: str
) -> list[tuple[str, Role, Side, str | None]]:
    """What a reader finds, checked: what stands there, what it is, and of a URL its host, of all else the service."""
    specs = read(text, path)
    check(text, path, specs)
    return [
        (*entry, spec.host if spec.role is Role.URL else spec.service)
        for entry, spec in zip(found(text, specs), specs, strict=True)
    ]
