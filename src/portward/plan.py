"""From a wish or from findings to edits: the smallest set of moves, and what they change in which file. Pure.

A move gives a published port another number. Every reference to the host's side follows it; the container's side stays,
unless the move is of the container too. What is planned is proved afterwards: the edited files are read again, and must differ
from before in exactly the intended ports (`prove`).
"""

from __future__ import annotations

import re

from portward.errors import NoPlan
from portward.model import Edit, PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from portward.model import Finding, Link, Project

_NUMBER = re.compile(r"[0-9]+(?:_[0-9]+)*")
_RANGE = re.compile(r"([0-9]+)-([0-9]+)")
_PLAIN_PORT = re.compile(r"[0-9]+(?:/[A-Za-z]+)?")
_TARGET_KEY = re.compile(r"target[ \t]*:[ \t]*[\"']?$")
_EXACT = 16  # how many claims of a tangle are searched for the smallest set; of more, a small one is taken
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
        return f"{self.link.service} {entry.number if entry else ''} -> {self.port}{why}"


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
                f"`portward set {move.link.service}:{entry.target}=PORT` gives it one first",
            )

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
            raise _refusal(f"{text[spec.span.start : spec.span.end].strip()!r} cannot be given another port here", spec)
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
        differing = next((pair for pair in zip(found, planned.expected, strict=False) if pair[0] != pair[1]), None)
        (path, _, number), (_, _, wanted) = differing or (found[-1], planned.expected[-1])
        raise NoPlan(
            f"{path} would have the port {number or 'of the engine'} where {wanted or 'the engine'} is meant",
            hint="nothing was written; change this file by hand",
        )


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


_IN_THE_WAY = ("address-in-use", "claimed-by-other-project", "leased-to-another")


def to_move(project: Project, findings: Iterable[Finding], pinned: Collection[str]) -> tuple[list[Link], list[str]]:
    """The smallest set of published ports whose move clears every conflict, and what no move can clear, in sentences.

    In the way is what a finding says of a service's own entry (`address-in-use`, `claimed-by-other-project`, `leased-to-another`); besides, of
    two entries that overlap one must go. A service in `pinned` keeps its ports, and so does one on the host's network.
    """
    kept = {service.name: "is on the host's network" for service in project.services if service.host_network}
    kept.update(dict.fromkeys(pinned, "is pinned"))
    claims = list(claims_of(project))
    at = {claim.place: link for link, claim in claims}
    blocked: dict[int, Link] = {}
    stuck: list[str] = []
    for finding in findings:
        link = next((at[place] for place in finding.locations if place in at), None)
        if finding.rule not in _IN_THE_WAY or link is None:
            continue
        if link.service in kept:
            stuck.append(f"{link.service} {kept[link.service]}: {finding.message}")
        else:
            blocked[id(link)] = link
    open_claims = [(link, claim) for link, claim in claims if id(link) not in blocked]
    pairs = [(open_claims[one][0], open_claims[two][0]) for one, two in overlapping([spec for _, spec in open_claims])]
    cover = _cover(pairs, kept, stuck)
    return [*blocked.values(), *cover], stuck


def claims_of(project: Project) -> Iterator[tuple[Link, PortSpec]]:
    """The published ports of the active services, each with what the service really asks the host for."""
    for link in project.links:
        service = project.service(link.service)
        if service is None or link.entry is None or not service.replicas:
            continue
        claim = service.claim(link.entry)
        if not service.host_network or claim in service.claims:
            yield link, claim


def overlapping(specs: Sequence[PortSpec]) -> list[tuple[int, int]]:
    """The pairs of specs, by their index, the lesser first, that ask for the same port of the host."""
    by_port: dict[tuple[int, str], list[int]] = {}
    for index, spec in enumerate(specs):
        for port in spec.range or ():
            by_port.setdefault((port, spec.protocol.lower()), []).append(index)
    near = {(one, two) for found in by_port.values() for place, one in enumerate(found) for two in found[place + 1 :]}
    return [(one, two) for one, two in sorted(near) if specs[one].overlaps(specs[two])]


def _cover(pairs: Sequence[tuple[Link, Link]], kept: Mapping[str, str], stuck: list[str]) -> list[Link]:
    """The fewest links that touch every pair; of equals, those that stand later. A service in `kept` cannot move, for its reason."""
    edges: list[tuple[int, int]] = []
    links: dict[int, Link] = {}
    chosen: set[int] = set()
    order: dict[int, int] = {}
    for one, two in pairs:
        free = [link for link in (one, two) if link.service not in kept]
        if not free:
            reasons = (f"{name} {kept[name]}" for name in dict.fromkeys((one.service, two.service)))
            stuck.append(f"{' and '.join(reasons)}: both want the same port")
        for link in (one, two):
            links[id(link)] = link
            order.setdefault(id(link), len(order))
        if len(free) == 1:
            chosen.add(id(free[0]))
        elif free:
            edges.append((id(one), id(two)))
    open_edges = [edge for edge in edges if chosen.isdisjoint(edge)]
    if len({vertex for edge in open_edges for vertex in edge}) <= _EXACT:
        chosen |= _smallest(open_edges, order)
    else:
        while open_edges:
            counts: dict[int, int] = {}
            for vertex in (vertex for edge in open_edges for vertex in edge):
                counts[vertex] = counts.get(vertex, 0) + 1
            chosen.add(max(counts, key=lambda vertex: (counts[vertex], order[vertex])))
            open_edges = [edge for edge in open_edges if chosen.isdisjoint(edge)]
    return [links[vertex] for vertex in sorted(chosen, key=order.__getitem__)]


def _smallest(edges: Sequence[tuple[int, int]], order: Mapping[int, int]) -> set[int]:
    """A smallest vertex cover by branching: of the first open pair, one or the other is in it."""
    if not edges:
        return set()
    one, two = edges[0]
    tries = [{end} | _smallest([edge for edge in edges if end not in edge], order) for end in (two, one)]
    return min(tries, key=lambda cover: (len(cover), -sum(order[vertex] for vertex in cover)))
