"""From findings to moves: the smallest set of published ports that must move, so that nothing is in the way. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from portward.model import Finding, Link, PortSpec, Project

_EXACT = 16  # how many claims of a tangle are searched for the smallest set; of more, a small one is taken
_IN_THE_WAY = ("address-in-use", "claimed-by-other-project", "leased-to-another")


def to_move(project: Project, findings: Iterable[Finding], pinned: Collection[str]) -> tuple[list[Link], list[str]]:
    """The smallest set of published ports whose move clears every conflict, and what no move can clear, in sentences.

    In the way is what a finding says of a service's own entry (`address-in-use`, `claimed-by-other-project`, `leased-to-another`); besides, of
    two entries that overlap one must go. A service in `pinned` keeps its ports, and so does one on the host's network. A range
    that is written as one moves as one: its first link stands for all.
    """
    kept = {service.name: "is on the host's network" for service in project.services if service.host_network}
    kept.update(dict.fromkeys(pinned, "is pinned"))
    claims = _by_entry(project)
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
    return [*blocked.values(), *cover], list(dict.fromkeys(stuck))


def _by_entry(project: Project) -> list[tuple[Link, PortSpec]]:
    """`claims_of`, with the first link of each written entry for all that it publishes."""
    claims = list(claims_of(project))
    first: dict[object, Link] = {}
    return [(first.setdefault((link.service, claim.location, claim.span), link), claim) for link, claim in claims]


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
