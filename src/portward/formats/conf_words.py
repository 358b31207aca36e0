"""Configuration that is lines of words: a directive and its values, with `#` for comments. What redis, mosquitto, PostgreSQL and
HAProxy have in common."""

from __future__ import annotations

import re

from portward.model import Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_WORD = re.compile(r"\"(?P<double>[^\"\n]*)\"|'(?P<single>[^'\n]*)'|(?P<bare>[^\s\"'#][^\s\"']*)|#[^\n]*|(?P<end>\n)")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_ADDRESS = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?):(?P<port>[1-9][0-9]{0,9})"
)


class Word(Record):
    """A word without its quotes, and where it starts."""

    value: str
    start: int

    @property
    def number(self) -> Span | None:
        """Where its digits stand, if it is a number above 0 and nothing else."""
        return Span(self.start, self.start + len(self.value)) if _NUMBER.fullmatch(self.value) else None

    @property
    def address(self) -> tuple[str, Span] | None:
        """Its host (brackets off) and where its port stands, if it is `HOST:PORT`."""
        found = _ADDRESS.fullmatch(self.value)
        if found is None:
            return None
        return found["host"].strip("[]"), Span(self.start + found.start("port"), self.start + found.end("port"))


def lines(text: str) -> Iterator[list[Word]]:
    """The words of each line that has any."""
    words: list[Word] = []
    for word in _WORD.finditer(text):
        kind = word.lastgroup
        if kind == "end" and words:
            yield words
            words = []
        elif kind not in (None, "end"):
            words.append(Word(word[kind], word.start(kind)))
    if words:
        yield words
