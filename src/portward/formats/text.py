"""Offsets in a text, and the lines and columns that people count."""

from __future__ import annotations

from bisect import bisect_right

from portward.model import Location


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
