"""What a line of output can say: a pattern, and a real example that proves it."""

from __future__ import annotations

import re
from itertools import islice

from portward.model import Kind, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PIECES = {
    "{at}": r"(?P<at>[\w.:\[\]*%/@~+-]{1,160})",
    "{port}": r"(?P<port>\d{1,5})(?!\d)",
    "{host}": r"(?P<host>[\w.:*%\[\]-]{1,120})",
}
"""What a pattern is written with: an address with its port in any notation, a port, and a host. All are of bounded length,
so that no line can make a match take long."""


class Pattern(Record):
    """One wording of a family of tools.

    `word` is in every line that the pattern can match, in lower case: it is looked for first. `regex` is matched anywhere in a
    line, in any case, with `PIECES` put in. `kind` is what the line says, None where it is no trouble of ports, `tool` who says it.
    `usual` is the port that the tool has by default, for wordings that give none. `near` is a word, in lower case, that
    must stand in the lines around, for wordings that mean other things as well, and `placed` says that a host or a port must be told there. `soft` wordings say that a bind failed, not why: they take the reason that stands near them. `example` is real output, and `port`, `host`,
    `transport` and `gives` (where the block or the port decides against `kind`) are what must be read from it;
    `source` tells where it was seen.
    """

    tool: str
    kind: Kind | None
    word: str
    regex: str
    example: str
    port: int | None = None
    host: str | None = None
    gives: Kind | None = None
    transport: Transport = Transport.TCP
    usual: int | None = None
    source: str = ""
    near: str = ""
    placed: bool = False
    soft: bool = False

    @property
    def expected(self) -> Kind | None:
        """The kind that the example comes to."""
        return self.gives or self.kind


class Book:
    """Patterns by the words that announce them: a text is searched for each word before any pattern is tried."""

    def __init__(self, families: Iterable[Sequence[Pattern]]) -> None:
        ordered = [pattern for family in families for pattern in family]
        self._ranks: Mapping[str, list[int]] = {}
        by_word: dict[str, list[int]] = {}
        for rank, pattern in enumerate(ordered):
            by_word.setdefault(pattern.word, []).append(rank)
        self._ranks = by_word
        self._by_root: dict[str, list[str]] = {}
        for word in by_word:
            root = next((root for root in _ROOTS if root in word), word)
            self._by_root.setdefault(root, []).append(word)
        self._patterns = ordered
        self._compiled: dict[int, re.Pattern[str]] = {}

    def words_in(self, text: str) -> list[str]:
        """The words that a text (in lower case) has."""
        roots = [words for root, words in self._by_root.items() if root in text]
        return [word for words in roots for word in words if word in text]

    def match(self, line: str, words: Iterable[str]) -> tuple[Pattern, list[re.Match[str]]] | None:
        """The first pattern that matches a line, with all its matches in it; `words` are those that may be there."""
        lower = line.lower()
        ranks = sorted(rank for word in words if word in lower for rank in self._ranks[word])
        for rank in ranks:
            if found := list(islice(self._regex(rank).finditer(line), _MOST)):
                return self._patterns[rank], found
        return None

    def _regex(self, rank: int) -> re.Pattern[str]:
        """A pattern's expression, compiled when it is first needed: most texts need a few of them."""
        if rank not in self._compiled:
            regex = self._patterns[rank].regex
            for piece, meaning in PIECES.items():
                regex = regex.replace(piece, meaning)
            self._compiled[rank] = re.compile(regex, re.IGNORECASE)
        return self._compiled[rank]


_MOST = 20  # matches of a line that are looked at
_ROOTS = ("in use", "refused", "eaddr", "econn", "bind", "listen", "denied", "permission", "socketexception", "connect", "address", "port",
          "err", "fail", "start", "docker", "server", "ssl", "100", "available", "running", "used")  # fmt: skip
"""What most words have in them: where none of these stands, as in most of any log, few words need to be looked for."""
