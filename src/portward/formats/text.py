"""A file's text, and the lines and columns that people count."""

from __future__ import annotations

from bisect import bisect_right

from portward.model import Location, PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
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
            text=self.line(span.start) if text is None else text,
            **fields,
        )

    def line(self, offset: int) -> str:
        """The line that a code point is in, without blanks round it, cut to a length that can be shown."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        line = self.text[start : end if end >= 0 else len(self.text)].strip()
        return line if len(line) <= _LONGEST_EXCERPT else line[: _LONGEST_EXCERPT - 1] + "…"
