"""A file's text, and the lines and columns that people count."""

from __future__ import annotations

from bisect import bisect_right

from portward.model import Location, PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

_LONGEST_EXCERPT = 120


class Lines:
    """The lines of one file's text. Lines end with a line feed; a carriage return before it belongs to the line."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self._starts = [0]
        end = text.find("\n")
        while end >= 0:
            self._starts.append(end + 1)
            end = text.find("\n", end + 1)

    def at(self, offset: int) -> Location:
        """The place of a code point; line and column start at 1."""
        line = bisect_right(self._starts, offset)
        return Location(self.path, line, offset - self._starts[line - 1] + 1)


class Passage(Record):
    """Text taken out of a file, perhaps unescaped or joined from several lines, that knows where each character stands.

    `origins` are the offsets in the file, one for each character: -1 for one that the file spells in another way (`\\u0035`).
    """

    text: str
    origins: Sequence[int]

    @classmethod
    def of(cls, text: str, start: int, end: int) -> Passage:
        """A stretch of the file's text, as it is."""
        return cls(text[start:end], range(start, end))

    @classmethod
    def join(cls, parts: Iterable[Passage]) -> Passage:
        """The parts, one after the other."""
        parts = list(parts)
        if len(parts) == 1:
            return parts[0]
        return cls("".join(part.text for part in parts), [origin for part in parts for origin in part.origins])

    def part(self, start: int, end: int) -> Passage:
        """The characters from `start` up to, not including, `end`."""
        return Passage(self.text[start:end], self.origins[start:end])

    def span(self, start: int, end: int) -> Span | None:
        """Where these characters, at least one, stand in the file: None if it does not write them so, side by side."""
        first, last = self.origins[start], self.origins[end - 1]
        return Span(first, last + 1) if first >= 0 and last - first == end - 1 - start else None


class Source:
    """One file's text without its byte-order mark: what the readers of simple formats make their `PortSpec`s from."""

    def __init__(self, text: str, path: str, origin: str) -> None:
        self.text = text.removeprefix("\ufeff")
        self.origin = origin
        self._lines = Lines(path, self.text)

    def port(
        self, span: Span, role: Role = Role.HOST, side: Side = Side.HOST, *, text: str | None = None, **fields: Any
    ) -> PortSpec:
        """The port whose own characters are at `span`. `text` is shown to people: by default the whole line.

        A port with the role of a container is its `target`; any other is written as `published`.
        """
        number = self.text[span.start : span.end]
        if role is Role.CONTAINER and number.isdecimal():
            fields.setdefault("target", int(number))
        else:
            fields.setdefault("published", number)
        return PortSpec(
            origin=self.origin,
            role=role,
            side=side,
            location=self._lines.at(span.start),
            span=span,
            text=without_password(self.line(span.start) if text is None else text),
            **fields,
        )

    def line(self, offset: int) -> str:
        """The line that a code point is in, without blanks round it; of a long one, the part that shows the code point."""
        reach = 4 * _LONGEST_EXCERPT
        start = self.text.rfind("\n", max(0, offset - reach), offset) + 1 or max(0, offset - reach)
        end = self.text.find("\n", offset, offset + reach)
        line = self.text[start : end if end >= 0 else offset + reach]
        at = offset - start - (len(line) - len(line.lstrip()))
        line = line.strip()
        if len(line) <= _LONGEST_EXCERPT:
            return line
        first = max(0, min(at - _LONGEST_EXCERPT // 2, len(line) - _LONGEST_EXCERPT))
        shown = line[first : first + _LONGEST_EXCERPT]
        shown = shown if first == 0 else "…" + shown[1:]
        return shown if first + _LONGEST_EXCERPT >= len(line) else shown[:-1] + "…"


def without_password(line: str) -> str:
    """A line of a file that has a port beside a password, `Host=db;Port=5432;Password=…`, as it is safe to show."""
    told = line.lower()
    if "passw" not in told and "pwd" not in told:
        return line
    from portward.discretion import discreet

    return discreet(line, _LONGEST_EXCERPT)
