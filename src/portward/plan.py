"""From moves to edits: what each of them changes in which file. Pure.

A move gives a published port another number. Every reference to the host's side follows it; the container's side stays,
unless the move is of the container too. What is planned is proved afterwards: the edited files are read again, and must differ
from before in exactly the intended ports (`prove`).
"""

from __future__ import annotations

import re
from collections import Counter

from portward.errors import NoPlan
from portward.model import Edit, PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from portward.model import Link, Project

_NUMBER = re.compile(r"[0-9]+(?:_[0-9]+)*")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_PLAIN_PORT = re.compile(r"[0-9]+(?:/[A-Za-z]+)?")
_TARGET_KEY = re.compile(r"target[ \t]*:[ \t]*[\"']?$")
_EMPTY_HOST = re.compile(
    r"\$\{?(\w+)[^{}\s]*\}?[\"']?:?$"
)  # `${PORT}:` before the container's port, or `published: "${PORT}"`
_FOLLOWING = (Role.URL, Role.FALLBACK, Role.MENTION)  # what is brought into line even where it was stale


class Move(Record):
    """A published port, as a link has it, that gets the number `port`; with `container` its target gets it too.

    `why` is the reason, for people.
    """

    link: Link
    port: int
    container: bool = False
    why: str = ""

    def __str__(self) -> str:
        entry = self.link.entry
        why = f"  ({self.why})" if self.why else ""
        old = entry.published or "the engine's choice" if entry else ""
        return f"{self.link.service} {old} -> {self.port}{why}"


class Plan(Record):
    """The edits of all moves, each with the service that it is made for.

    `kept` are references that stay as they are, each with its `why`. `expected` is what every port of the project must be
    afterwards, in the order of the files: path, format and number.
    """

    moves: tuple[Move, ...]
    edits: tuple[Edit, ...]
    services: tuple[str, ...]
    kept: tuple[PortSpec, ...] = ()
    expected: tuple[tuple[str, str, str], ...] = ()


def plan(project: Project, moves: Sequence[Move], text_of: Callable[[str], str]) -> Plan:
    """The edits that make the moves. `text_of` gives a file's text without its byte-order mark.

    Raises NoPlan where a port cannot be moved by editing files, or not without moving what was not asked for.
    """
    planner = _Planner(project, text_of)
    for move in moves:
        planner.add(move)
    return planner.plan(tuple(moves))


class _Planner:
    def __init__(self, project: Project, text_of: Callable[[str], str]) -> None:
        self._project = project
        self._text_of = text_of
        self._edits: dict[tuple[str, Span], tuple[Edit, PortSpec]] = {}  # by the span of the port that is edited
        self._kept: list[PortSpec] = []
        self._moved: dict[str, str] = {}  # variable → the number that it gets
        self._sides: dict[object, set[Side]] = {}  # of a variable or a span: the sides that are asked to move

    def add(self, move: Move) -> None:
        """Plans one move."""
        entry = move.link.entry
        assert entry is not None
        self._require_movable(move, entry)
        self._require_value(move, entry)
        overridden = sorted(set(entry.variables) & set(self._project.overridden))
        if overridden:
            hint = f"`unset {overridden[0]}` first, or set it there"
            raise _refusal(f"{overridden[0]} is set in your environment, which wins over every file", entry, hint)
        self._follow(move.link.host, entry.number, move, Side.HOST)
        if move.container:
            self._follow(move.link.container, str(move.link.target), move, Side.CONTAINER)
        else:
            self._kept += (spec for spec in move.link.container if spec.origin != "compose-target")
        self._kept += move.link.unsure
        is_edited = (entry.location.path, entry.span) in self._edits
        if is_edited or entry.number == str(move.port) or any(name in self._moved for name in entry.variables):
            return
        if not entry.variables:
            hint = "write the number there"
            raise _refusal(f"{entry.text} gives no number for the host's port of {move.link.service}", entry, hint)
        hint = f"define it: add {entry.variables[0]}={move.port} to .env"
        raise _refusal(
            f"no file defines {entry.variables[0]}, where {move.link.service} has its port from", entry, hint
        )

    def _require_movable(self, move: Move, entry: PortSpec) -> None:
        """Raises NoPlan for a move that other characters would do nothing for, or not all of it."""
        service = self._project.service(move.link.service)
        if service is not None and service.host_network and entry.origin == "compose" and not move.container:
            raise _refusal(
                f"{service.name} is on the host's network, where its `ports:` do nothing: its process binds {entry.target} itself",
                entry,
                "--container also moves what tells the process its port",
            )
        place = entry.location, entry.span
        written = {
            link.target
            for link in self._project.links
            if link.entry and (link.entry.location, link.entry.span) == place
        }
        if move.container and len(written) > 1:
            raise _refusal(
                f"{entry.text} is a range of the container's ports: it cannot be moved along",
                entry,
                "move the host's side alone, without --container, or write each port in an entry of its own",
            )
        if move.container and entry.origin == "compose" and entry.published is None:
            raise _refusal(
                f"{entry.text} leaves the host's port to the engine: there are no two sides to move",
                entry,
                f"`portward set {move.link.service}:{entry.inside}=PORT` gives it one first",
            )

    def _require_value(self, move: Move, entry: PortSpec) -> None:
        """Raises NoPlan where a variable without a value stands for the host's port: that one is to be defined."""
        if entry.origin != "compose" or entry.published is not None:
            return
        text = self._text_of(entry.location.path)
        is_whole = "$" in text[entry.span.start : entry.span.end]
        before = text[: entry.span.end if is_whole else entry.span.start]
        empty = _EMPTY_HOST.search(before, before.rfind("\n") + 1)
        if empty:
            hint = f"define it: add {empty[1]}={move.port} to .env"
            raise _refusal(f"{empty[1]} has no value, where {move.link.service} has its port from", entry, hint)

    def _follow(self, specs: Iterable[PortSpec], old: str, move: Move, side: Side) -> None:
        """Edits each reference of one side that has the old number, or that should have it."""
        for spec in specs:
            if spec.number == old or spec.role in _FOLLOWING or spec.origin == "compose":
                self._change(spec, move, side)
            else:
                self._kept.append(spec.replace(why=f"it has a number of its own, {spec.number}"))

    def _change(self, spec: PortSpec, move: Move, side: Side) -> None:
        text = self._text_of(spec.location.path)
        if _is_derived(spec, text):
            for name in spec.variables:
                self._sides.setdefault(name, set()).add(side)
            return  # it follows the variable, whose definition is changed
        edit = _edit(spec, text, move.port)
        if edit is None:
            written = text[spec.span.start : spec.span.end].strip()
            hint = "a range moves as a whole, and this one would begin below 1" if _RANGE.fullmatch(written) else None
            raise _refusal(f"{written!r} cannot be given another port here", spec, hint)
        if spec.role is Role.HOST or spec.origin in ("compose-fallback", "dotenv"):
            for name in spec.variables:
                self._moved[name] = str(move.port)
                self._sides.setdefault(name, set()).add(side)
        self._sides.setdefault((edit.path, spec.span), set()).add(side)
        other, for_spec = self._edits.setdefault((edit.path, spec.span), (edit, spec))
        if other != edit:
            raise _refusal(
                f"it would have to be {other.new} for {for_spec.service} and {edit.new} for {spec.service}",
                spec,
                "give each of them a port of its own there first",
            )

    def plan(self, moves: tuple[Move, ...]) -> Plan:
        """All of it, with the number that each port of the project must have afterwards."""
        edits = [found for found in self._edits.values() if found[0].old != found[0].new]
        edits.sort(key=lambda found: (found[0].path, found[0].span.start))
        kept = {(spec.location.path, spec.span): spec for spec in self._kept}
        return Plan(
            moves,
            tuple(edit for edit, _ in edits),
            tuple(spec.service or "" for _, spec in edits),
            tuple(spec for place, spec in kept.items() if place not in self._edits),
            _in_order([(spec, self._number_after(spec, moves)) for spec in _all(self._project)]),
        )

    def _number_after(self, spec: PortSpec, moves: Sequence[Move]) -> str:
        """The number that a port of the project has after the moves."""
        edit, for_spec = self._edits.get((spec.location.path, spec.span), (None, spec))
        if edit is not None and for_spec.published is None and for_spec.origin == "compose":
            new = (str(move.port) for move in moves if move.link.entry and move.link.entry.span == spec.span)
            return next(new) if spec.origin == "compose" else spec.number
        if edit is not None:
            self._check_side(spec, (edit.path, spec.span), "it")
            return _shifted(spec.number, edit)
        name = next((name for name in spec.variables if name in self._moved), None)
        if name is None or not _is_derived(spec, self._text_of(spec.location.path)):
            return spec.number
        self._check_side(spec, name, name)
        return self._moved[name]

    def _check_side(self, spec: PortSpec, moved: object, name: str) -> None:
        """Raises NoPlan for a port that would move along although its side is not asked to."""
        if spec.side not in self._sides.get(moved, ()) and spec.side in (Side.HOST, Side.CONTAINER):
            both = spec.side is Side.CONTAINER
            hint = "--container moves both sides" if both else "write the number itself there first"
            raise _refusal(f"{name} is also the {spec.side}'s port of {spec.service}: it would move too", spec, hint)


def _is_derived(spec: PortSpec, text: str) -> bool:
    """Whether no digits of a port stand at its place: it comes from a variable."""
    written = text[spec.span.start : spec.span.end]
    return "$" in written or not any(char.isdecimal() for char in written)


def _edit(spec: PortSpec, text: str, port: int) -> Edit | None:
    """The edit that gives a port another number, and with it the range that it is written in; None where there is none."""
    path, span = spec.location.path, spec.span
    written = text[span.start : span.end]
    if spec.origin == "compose" and spec.published is None:
        return _publish(path, span, text, port)
    if spec.origin == "compose" and (ports := _RANGE.fullmatch(written)):
        low, high = int(ports[1]), int(ports[2])
        own = int(spec.number) if spec.number.isdecimal() and low <= int(spec.number) <= high else low
        first = port - (own - low)
        return Edit(path, span, written, f"{first}-{first + high - low}") if first > 0 else None
    return Edit(path, span, written, str(port)) if _NUMBER.fullmatch(written) else None


def _publish(path: str, span: Span, text: str, port: int) -> Edit | None:
    """The edit that gives a host's port to an entry which leaves the choice to the engine. `span` is its container's port."""
    written = text[span.start : span.end]
    line = text.rfind("\n", 0, span.start) + 1
    key = _TARGET_KEY.search(text, line, span.start)
    if key:
        at = Span(key.start(), key.start())
        indent = text[line : key.start()]
        if "{" in indent:
            return Edit(path, at, "", f'published: "{port}", ')
        line_end = "\r\n" if text[text.find("\n", span.end) - 1 :][:2] == "\r\n" else "\n"
        return Edit(path, at, "", f'published: "{port}"{line_end}{indent.replace("-", " ")}')
    whole = _PLAIN_PORT.match(text, span.start)
    if not whole or not written.isdecimal():
        return None
    before = text[: span.start]
    if before.endswith("::"):
        return Edit(path, Span(span.start - 1, span.start), ":", f"{port}:")
    if before.endswith(('"', "'", ":")):
        return Edit(path, Span(span.start, span.start), "", f"{port}:")
    return Edit(path, Span(*whole.span()), whole.group(), f'"{port}:{whole.group()}"')


def _shifted(number: str, edit: Edit) -> str:
    """A number after an edit of the number or range that it is written by."""
    new, old = _RANGE.fullmatch(edit.new), _RANGE.fullmatch(edit.old)
    if not new or not old:
        return edit.new
    shift = int(new[1]) - int(old[1])
    return "-".join(str(int(part) + shift) for part in number.split("-"))


def prove(planned: Plan, after: Project) -> None:
    """Raises NoPlan unless the project as it would be differs from before in exactly the intended ports."""
    found = _in_order([(spec, spec.number) for spec in _all(after)])
    if found != planned.expected:
        more = list((Counter(found) - Counter(planned.expected)).elements())
        less = list((Counter(planned.expected) - Counter(found)).elements())
        path, _, number = (more or less)[0]
        if more and less:
            what = f"would have the port {number or 'of the engine'} where {less[0][2] or 'the engine'} is meant"
        elif less:
            what = f"would not have the port {number or 'of the engine'} any more"
        else:
            what = f"would still have the port {number}: it says so more than once"
        raise NoPlan(f"{path} {what}", hint="nothing was written; change this file by hand")


def _in_order(specs: Sequence[tuple[PortSpec, str]]) -> tuple[tuple[str, str, str], ...]:
    """Path, format and number of ports, in the order of the files; a place that means several ports counts once for each."""
    rows = {(spec.location.path, spec.span.start, spec.origin, number) for spec, number in specs}
    return tuple((path, origin, number) for path, _, origin, number in sorted(rows))


def _all(project: Project) -> Iterator[PortSpec]:
    yield from project.specs
    for service in project.inactive:
        yield from service.ports


def _refusal(message: str, spec: PortSpec, hint: str | None = None) -> NoPlan:
    place = spec.location
    return NoPlan(message, hint=hint, path=place.path, line=place.line, column=place.column)
