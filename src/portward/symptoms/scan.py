"""Reads a whole output once, line by line, and collects what its lines say."""

from __future__ import annotations

import re

from portward.model import LAST_PORT, Kind, Transport
from portward.records import Record
from portward.symptoms import cleaning, places
from portward.symptoms.signs import SIGNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from portward.symptoms.pattern import Book, Pattern
    from portward.symptoms.places import Place

BIND = frozenset(
    (
        Kind.PORT_IN_USE,
        Kind.CONTAINER_PORT_ALLOCATED,
        Kind.PERMISSION_PRIVILEGED,
        Kind.OS_RESERVED_RANGE,
        Kind.ADDRESS_NOT_AVAILABLE,
        Kind.RANGE_EXHAUSTED,
        Kind.K8S_NODEPORT_TAKEN,
    )
)
"""The kinds of those who want to listen; all others want to connect."""

_BEFORE, _AFTER = 60, 40
_MOST_SEARCHED = 100
_LONGEST = 500  # characters of a line around that are read for its place
_MOST_HITS = 2000
_NEAR = 25
_UDP = re.compile(r"^(?!.{0,400}\btcp\b).{0,400}\budp\b", re.IGNORECASE)


class Hit(Record):
    """A line that says something: the pattern that matched, and the place that it speaks of, as far as it is told."""

    pattern: Pattern
    kind: Kind
    line: int
    text: str
    host: str | None = None
    port: int | None = None
    transport: Transport | None = None
    guess: bool = False
    prefixed: bool = False


class _Spot(Record):
    """A line in its surroundings: its place in the window, its number in the text, and itself without a prefix."""

    window: Sequence[str]
    index: int
    number: int
    line: str
    prefixed: bool

    def nearby(self, lines: int) -> list[str]:
        """So many plain lines before this one, itself, and some after it."""
        return [
            cleaning.plain(line)[0][:_LONGEST] for line in self.window[max(self.index - lines, 0) : self.index + _AFTER]
        ]


class Scan:
    """What was found in an output: troubles in the order of their lines, signs of where it ran, and what is no trouble of ports."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.hits: list[Hit] = []
        self.signs: dict[str, set[int]] = {}
        self.others: dict[str, None] = {}
        self._searched = 0
        self._seen: set[tuple[object, ...]] = set()

    def read(self, chunks: Iterable[str]) -> Scan:
        """Reads a text to its end. Takes time in proportion to its length, and memory for a few hundred lines."""
        window: list[str] = []
        done, first = 0, 1
        for group in cleaning.lines(chunks):
            window += group
            self._look(window, done, len(window) - _AFTER, first)
            done = max(done, len(window) - _AFTER)
            passed = max(done - _BEFORE, 0)
            first, done, window = first + passed, done - passed, window[passed:]
        self._look(window, done, len(window), first)
        return self

    def _look(self, window: Sequence[str], start: int, end: int, first: int) -> None:
        """Looks at the lines from `start` up to `end` of those in the window, the first of which is the text's line `first`."""
        lower = "\n".join(window[start:end]).lower()
        words, signs = self.book.words_in(lower), SIGNS.words_in(lower)
        if not words and not signs:
            return
        for index in range(start, end):
            line, prefixed = cleaning.plain(window[index])
            if signs and (found := SIGNS.match(line, signs)):
                self._sign(*found)
            if words and len(self.hits) < _MOST_HITS and (found := self.book.match(line, words)):
                self._take(*found, _Spot(window, index, first + index, line, prefixed))

    def _sign(self, pattern: Pattern, matches: Sequence[re.Match[str]]) -> None:
        ports = self.signs.setdefault(pattern.tool, set())
        for match in matches:
            if port := match.groupdict().get("port"):
                ports.add(int(port))

    def _take(self, pattern: Pattern, matches: Sequence[re.Match[str]], spot: _Spot) -> None:
        if pattern.kind is None:
            self.others.setdefault(pattern.tool)
            return
        if pattern.near and not any(pattern.near in line.lower() for line in spot.nearby(_NEAR)):
            return
        for match in matches if matches[0].re.groups else matches[:1]:  # without groups, each would find the same place
            place, guess = self._place(pattern, match, spot)
            if pattern.placed and place is None:
                continue
            hit = Hit(
                pattern=pattern,
                kind=pattern.kind,
                line=spot.number,
                text=spot.line.strip(),
                host=place.host if place else None,
                port=place.port if place else None,
                transport=(place.transport if place else None) or (Transport.UDP if _UDP.search(spot.line) else None),
                guess=guess,
                prefixed=spot.prefixed,
            )
            key = (pattern.tool, hit.kind, hit.host, hit.port, hit.prefixed)
            if key not in self._seen:
                self._seen.add(key)
                self.hits.append(hit)

    def _place(self, pattern: Pattern, match: re.Match[str], spot: _Spot) -> tuple[Place | None, bool]:
        """The place that a match speaks of: its own, that of its line, that of its block, or the tool's usual port (a guess)."""
        found = _own(match)
        if found is None or found.port is None:
            found = _joined(found, places.find(spot.line, match.start()))
        if (found is None or found.port is None) and self._searched < _MOST_SEARCHED:
            self._searched += 1
            nearby = spot.nearby(_BEFORE)
            found = _joined(found, places.around(nearby, min(spot.index, _BEFORE), pattern.kind in BIND))
        if (found is None or found.port is None) and pattern.usual is not None:
            return places.Place(found.host if found else None, pattern.usual), True
        return found, False


def _own(match: re.Match[str]) -> Place | None:
    groups = match.groupdict()
    if at := groups.get("at"):
        return places.read(at)
    host = places.cleaned(groups.get("host"))
    port = groups.get("port")
    if port is not None and int(port) > LAST_PORT:
        port = None
    if port is None and host is None:
        return None
    transport = Transport.UDP if (groups.get("transport") or "").lower().startswith("udp") else None
    return places.Place(host, int(port) if port is not None else None, transport)


def _joined(own: Place | None, other: Place | None) -> Place | None:
    """What a match says itself, completed by what another line says of the same host."""
    if own is None or other is None:
        return own or other
    return own.replace(port=other.port) if own.port is None else own
