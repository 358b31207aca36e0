"""A Markdown text as lines that know what they are: code or not, and whether the text round them speaks of ports.

Source: the GitHub Flavored Markdown Spec: fenced code, ATX and setext headings, HTML comments. What stands in a comment is
blanked out. A heading speaks for everything below it down to the next of its level, but the title of the document for
nothing; a paragraph or an item of a list speaks for what is nested in it.
"""

from __future__ import annotations

import re

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PORTS = re.compile(r"\bports?\b", re.IGNORECASE)
_FENCE = re.compile(r"[\s>]*(?:(?:[-*+]|[0-9]{1,9}[.)])[ \t]+)?(?P<fence>`{3,}|~{3,})[ \t]*(?P<language>[^\s`{]*)[^`]*")
_HEADING = re.compile(r"[ >]*(?P<marks>#{1,6})[ \t]+(?P<title>.*)")
_UNDERLINE = re.compile(r"[ >]*(?:=+|-+)[ \t]*")
_ITEM = re.compile(r"[\s>]*(?:[-*+•]|[0-9]{1,9}[.)])[ \t]")


class Line(Record):
    """A line without its end, and where it starts.

    `language` is that of the code it stands in, None outside of code. Whether it `speaks_of_ports` is up to what is above it.
    """

    text: str
    start: int
    language: str | None
    speaks_of_ports: bool


def lines(text: str, always: bool = False) -> list[Line]:
    """The lines of a text, fences and comments blanked out. With `always`, the whole text speaks of ports."""
    context = _Context(always)
    found: list[Line] = []
    for line, start, language in _classified(text):
        if language is None:
            context.enter(line)
        else:
            context.enter_code(line)
        found.append(Line(line, start, language, context.speaks_of_ports))
        if language is None:
            context.read(line)
    return found


def joined(text: str, document: Sequence[Line]) -> str:
    """The text that lines were made of, with what they blanked out blank: every place in it is the same."""
    line_ends = [next_line.start - 1 for next_line in document[1:]]
    ends = ["\r\n" if text.startswith("\r", end - 1) else "\n" for end in line_ends]
    return "".join(line.text + end for line, end in zip(document, [*ends, ""], strict=True))


def _classified(text: str) -> Iterator[tuple[str, int, str | None]]:
    """Each line with its start and the language of the code it is in; comments and fences are blanks of their length."""
    start = 0
    fence = ""
    language: str | None = None
    in_comment = False
    for line in text.split("\n"):
        raw = line.removesuffix("\r")
        opening = _FENCE.fullmatch(raw)
        if language is not None:
            is_closing = raw.strip(" \t>").startswith(fence) and not raw.strip(f" \t>{fence[0]}")
            yield (" " * len(raw) if is_closing else raw), start, language
            language = None if is_closing else language
        elif opening and not in_comment:
            fence, language = opening["fence"], opening["language"].lower()
            yield " " * len(raw), start, language
        else:
            raw, in_comment = _without_comments(raw, in_comment)
            yield raw, start, None
        start += len(line) + 1


def _without_comments(line: str, in_comment: bool) -> tuple[str, bool]:
    """A line with what is in a comment blanked out, and whether a comment goes on behind it."""
    at = 0
    while True:
        if in_comment:
            end = line.find("-->", at)
            stop = end + 3 if end >= 0 else len(line)
            line = line[:at] + " " * (stop - at) + line[stop:]
            if end < 0:
                return line, True
            at, in_comment = stop, False
        at = line.find("<!--", at)
        if at < 0 or line.count("`", 0, at) % 2:  # in code, it opens nothing
            return line, False
        in_comment = True


class _Context:
    """What the text above a line speaks of. A paragraph stands at twice its column, an item of a list at one more."""

    def __init__(self, always: bool) -> None:
        self.always = always
        self.headings: list[tuple[int, bool]] = []
        self.above: list[tuple[int, bool]] = []
        self.last = ""
        self.has_title = False

    @property
    def speaks_of_ports(self) -> bool:
        return self.always or any(speaks for _, speaks in (*self.headings, *self.above))

    def enter(self, line: str) -> None:
        """Leaves what a line outside of code no longer belongs to."""
        if line.strip(" \t>") and not self._goes_on(line):
            self._leave(_level(line))

    def read(self, line: str) -> None:
        """Takes in what the line says."""
        heading = _HEADING.fullmatch(line)
        if heading:
            self._head(len(heading["marks"]), heading["title"])
        elif self.last and _UNDERLINE.fullmatch(line) and not _ITEM.match(self.last):
            self._head(1 if "=" in line else 2, self.last)
        elif line.strip(" \t>"):
            speaks = _PORTS.search(line) is not None
            level, before = self.above.pop() if self._goes_on(line) else (_level(line), False)
            self.above.append((level, speaks or before))
            self.last = line
            return
        self.last = ""

    def _goes_on(self, line: str) -> bool:
        """Whether a line belongs to the paragraph or item of the line before it."""
        return bool(self.last and self.above) and not _ITEM.match(line)

    def enter_code(self, line: str) -> None:
        """Takes in a line of code: it belongs to the item that it is indented under."""
        self.last = ""
        if line.strip():
            self._leave(2 * _column(line) + 1)

    def _head(self, level: int, title: str) -> None:
        is_title = level == 1 and not self.has_title
        self.has_title = self.has_title or is_title
        self.headings = [entry for entry in self.headings if entry[0] < level]
        self.headings.append((level, not is_title and _PORTS.search(title) is not None))
        self.above = []

    def _leave(self, level: int) -> None:
        while self.above and self.above[-1][0] >= level:
            self.above.pop()


def _level(line: str) -> int:
    return 2 * _column(line) + (1 if _ITEM.match(line) else 0)


def _column(line: str) -> int:
    expanded = line.replace(">", " ").expandtabs(4)
    return len(expanded) - len(expanded.lstrip())
