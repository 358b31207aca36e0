"""What others agreed on: ports that are decided elsewhere, and the names under which a program is told its ports. Pure.

A port is decided by `PORT`, by the block that the host of a worktree gives, or by a pin, in this order: what one command says comes
before what a workspace says, and that before what a project says. Where a port cannot be had, the next word counts.
"""

from __future__ import annotations

from portward.model import LAST_PORT, PortRequest
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from portward.model import PortRange, PortSpec, Project, Settings, Snapshot

BASES = ("CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE")
"""The first of a block of ports that a worktree's host gives (Conductor, Emdash, Superset), in the order of their precedence."""
BLOCK = 10


class Wanted(Record):
    """One port that somebody wants: of a service, and where it has several, of that target.

    With a `count`, as many neighbours: one for each container of the service.
    """

    service: str
    instance: str = ""
    spec: PortSpec | None = None
    count: int = 1

    def __str__(self) -> str:
        return f"{self.service}:{self.instance}" if self.instance else self.service


def split(name: str) -> tuple[str, str]:
    """SERVICE[:TARGET] in its two parts."""
    service, _, target = name.partition(":")
    return service, target


class Terms(Record):
    """How a lease is asked for: the command line's options. `ttl` is in seconds.

    With `own` it is this process's alone, and ends with it. With `offline` a store of many machines that does not answer is done without:
    what is granted is unconfirmed. With `hosts` (names or ids, `EVERYWHERE` for the whole fleet) nobody is to have the port there either;
    () is this host alone, None what it is already.
    """

    ports: PortRange | None = None
    preferred: int | None = None
    count: int = 1
    contiguous: bool = False
    ttl: float | None = None
    own: bool = False
    offline: bool = False
    hosts: tuple[str, ...] | None = None


def decided(
    wanted: Wanted, index: int, environment: Mapping[str, str], settings: Settings, project: Project | None
) -> Iterator[tuple[int, ...]]:
    """What was decided for a port, the strongest first: alternatives that are equally good, best first.

    `index` counts the services that are asked for together: each takes its own place in a block, or the next that is free.
    """
    port = plain_port(environment)
    if port is not None and not wanted.instance and _is_meant_by_plain_port(wanted.service, index, project):
        yield (port,)
    for name in BASES:
        base = _number(environment.get(name))
        if base is not None:
            places = (base + (index + step) % BLOCK for step in range(BLOCK))
            yield tuple(place for place in places if place <= LAST_PORT)
    for pin in settings.pins:
        if pin.service == wanted.service and not wanted.instance:
            yield (pin.port,)


def meant(wanted: Wanted, words: Sequence[tuple[int, ...]], terms: Terms, *, keeps_declared: bool) -> tuple[int, ...]:
    """The ports of which one is meant for a service, by the strongest word, or by the files; none where only a range is."""
    if terms.preferred is not None:
        return (terms.preferred,)
    if words:
        return words[0]
    is_declared = keeps_declared and terms.count == 1 and terms.ports is None
    return tuple(group[0] for group in _declared_groups(wanted)) if is_declared else ()


def _declared_groups(wanted: Wanted) -> Iterator[tuple[int, ...]]:
    """The ports that the files give, as they are offered: of a range for one container only the first."""
    ports = wanted.spec.range if wanted.spec else None
    if ports is not None:
        last = max(ports.low, ports.high - wanted.count + 1) if wanted.count > 1 else ports.low
        yield from (tuple(range(low, low + wanted.count)) for low in range(ports.low, last + 1))


def offers(
    wanted: Wanted,
    words: Sequence[tuple[int, ...]],
    terms: Terms,
    snapshot: Snapshot,
    mine: Collection[int],
    *,
    key: str,
    keeps_declared: bool,
) -> Iterator[tuple[int, ...]]:
    """Candidates for a port, best first: what is preferred, else what was decided (`words`), what the files declare, the range.

    `mine` are ports that this checkout's own services have: they may have them again. `key` decides where in the range the
    search begins.
    """
    from portward import allocate, catalog

    settings = snapshot.settings
    project = snapshot.project
    services = (*project.services, *project.inactive) if project else ()
    service = next((each for each in services if each.name == wanted.service), None)
    kind = service.kind if service else settings.kinds.get(wanted.service) or catalog.kind_of(None, wanted.service)
    ranges = {**catalog.DEFAULT_RANGES, **settings.ranges}
    count = wanted.count if terms.count == 1 else terms.count
    request = PortRequest(key, terms.ports or ranges[kind], None, count, terms.contiguous or wanted.count > 1)
    if terms.preferred is not None:
        yield from allocate.candidates(request.replace(preferred=terms.preferred), snapshot)
        return
    if terms.count == 1 and terms.ports is None:
        held = {row.port for row in snapshot.reading.listeners if row.netns is None} - set(mine)
        decided = [tuple(range(port, port + wanted.count)) for each in words for port in each]
        for group in (*decided, *(_declared_groups(wanted) if keeps_declared else ())):
            if held.isdisjoint(group) and group[-1] <= LAST_PORT:
                yield group
    yield from allocate.candidates(request, snapshot)


def plain_port(environment: Mapping[str, str]) -> int | None:
    """What `PORT` is, if it is a port."""
    return _number(environment.get("PORT"))


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() and 0 < int(text[:6]) <= LAST_PORT else None


def declared_ports(project: Project | None, *, inactive: bool = False) -> Iterator[Wanted]:
    """Every port that the project's active services ask for, with `inactive` those of its other profiles after them.

    The first of a service goes by its name alone, the others by their target, of two on one target the later by "80-2".
    """
    services = (*project.services, *(project.inactive if inactive else ())) if project else ()
    for service in services:
        instances: list[str] = []
        for spec in (spec for spec in service.claims if spec.protocol.lower() in ("tcp", "udp")):
            target = str(spec.target or spec.number)
            names = ["", target, *(f"{target}-{number}" for number in range(2, len(instances) + 2))]
            instances.append(next(name for name in (names[1:] if instances else names) if name not in instances))
            yield Wanted(service.name, instances[-1], spec, service.replicas if spec.origin == "compose" else 1)


def variables(
    project: Project | None, ports: Mapping[tuple[str, str], int], linked: str | None = None
) -> dict[str, str]:
    """The ports under every name that the project itself uses, and by service: `PORT`, `WEB_PORT`, `WEB_URL`.

    `ports` maps service and instance to the leased port; what an active service says counts most. `linked` is the folder of a linked worktree, which gets a Compose project
    of its own.
    """
    active = {service.name for service in project.services} if project else set()
    found: dict[str, str] = {}
    for wanted in sorted(declared_ports(project, inactive=True), key=lambda each: each.service in active):
        port = ports.get((wanted.service, wanted.instance))
        if port is None:
            continue
        name = _name(str(wanted))
        found[f"{name}_PORT"] = str(port)
        found[f"{name}_URL"] = f"http://localhost:{port}"
        if wanted.spec is not None and wanted.spec.variables:
            found[wanted.spec.variables[0]] = str(port)
    main = main_service([service.name for service in project.services if service.claims] if project else [])
    if "PORT" not in found and (main, "") in ports:
        found["PORT"] = str(ports[main, ""])
    if project is not None and linked is not None:
        from zlib import crc32

        own = f"-{crc32(linked.encode('utf-8', 'surrogateescape')):08x}"
        found["COMPOSE_PROJECT_NAME"] = f"{project.name.removesuffix(own)}{own}"
    return found


def main_service(names: Sequence[str]) -> str:
    """The one that a plain PORT means: the only one, else the one that people look at."""
    known = next((name for name in ("web", "frontend", "app") if name in names), "")
    return names[0] if len(names) == 1 else known


def _name(service: str) -> str:
    name = "".join(char if char.isalnum() and char.isascii() else "_" for char in service).upper()
    return f"_{name}" if name[:1].isdecimal() else name  # no shell has a variable that begins with a digit


def _is_meant_by_plain_port(service: str, index: int, project: Project | None) -> bool:
    """Whether `PORT` is this service's: that of the one whose files read it, else of the first one that is asked for."""
    readers = {
        each.name
        for each in (project.services if project else ())
        if any("PORT" in spec.variables for spec in each.claims)
    }
    return service in readers if readers else index == 0
