"""Who listens, and everything about what holds a port: the verbs `ls` and `who`."""

from __future__ import annotations

from portward.answers import Who, WhoAnswer
from portward.arguments import PortArgument, is_port_argument, parse_port
from portward.model import Endpoint, Listener, Reading, Side, Transport
from portward.truths.live import holds, is_connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from portward.answers import Event
    from portward.model import Location, Project
    from portward.sockets import WatchingReader
    from portward.truths.declared import Declared
    from portward.truths.leased import Leased, Promises
    from portward.truths.live import Live
    from portward.verbs.watching import Lookout


class Query:
    """What `ls` was asked for: ports, ranges and words, any of which a row may answer. No query asks for every row."""

    def __init__(self, live: Live, queries: Sequence[str], udp: bool) -> None:
        ports = [parse_port(query) for query in queries if is_port_argument(query)]
        self._asked = [(argument, live.addresses(argument.host)) for argument in ports]
        self._words = [query.lower() for query in queries if not is_port_argument(query)]
        self._everything = not queries
        self._listed_udp = udp
        self.udp = udp or any(argument.transport is Transport.UDP for argument in ports)
        self.ports = None if self._words or not ports else {port for argument in ports for port in argument.ports}
        self.words = () if ports else tuple(self._words)  # of which every answer mentions one

    def wants(self, row: Listener) -> bool:
        """Whether the row is an answer."""
        if self._everything:
            return True
        if is_connection(row):
            return False
        return any(self._is_on(row, argument, hosts) for argument, hosts in self._asked) or self._mentions(row)

    def _is_on(self, row: Listener, asked: PortArgument, hosts: Sequence[str]) -> bool:
        """Whether a row is on a port that was asked for; where UDP is listed too, a port without a transport is both."""
        if row.port not in asked.ports or not (
            row.transport is asked.transport or (self._listed_udp and row.transport is Transport.UDP)
        ):
            return False
        return any(row.endpoint.overlaps(Endpoint(host, row.port, row.transport)) for host in hosts)

    def _mentions(self, row: Listener) -> bool:
        if row.transport is Transport.UDP and not self._listed_udp:
            return False
        container = row.container
        texts = [row.project, row.service, *(process.name for process in row.processes)]
        texts += [" ".join(process.command) for process in row.processes]
        texts += [container.name, container.image] if container else []
        return any(word in text.lower() for word in self._words for text in texts if text)


def ls(
    live: Live, declared: Declared, queries: Sequence[str], *, udp: bool, all_netns: bool, identify: bool
) -> Reading:
    """See `Portward.ls`."""
    query = Query(live, queries, udp)
    project, skipped = declared.readable(shallow=True)
    reading = _matching(live, query, project, all_netns)
    rows = reading.listeners
    if identify:
        from portward.probes import SECONDS
        from portward.verbs.identifying import Identifying

        rows = Identifying(live, lambda: project).listeners(rows, SECONDS)
    return reading.replace(listeners=rows, skipped=(*reading.skipped, *skipped))


def lookout(
    live: Live,
    reader: WatchingReader,
    declared: Declared,
    queries: Sequence[str],
    clock: Callable[[], float],
    recording: AbstractContextManager[Callable[[Sequence[Event]], None]],
    **options: bool,
) -> AbstractContextManager[Lookout]:
    """See `Portward.lookout`. `live` reads by `reader`, which remembers owners. The `options` are those of `ls`, but `identify`."""
    from portward.verbs import watching

    query = Query(live, queries, options["udp"])

    def look() -> Reading:
        project, skipped = declared.readable(shallow=True)
        reading = _matching(live, query, project, options["all_netns"])
        return reading.replace(skipped=(*reading.skipped, *skipped))

    def opened(record: Callable[[Sequence[Event]], None]) -> Lookout:
        return watching.Lookout(reader, look, clock, record, udp=query.udp, all_netns=options["all_netns"])

    return watching.recorded(recording, opened)


def _matching(live: Live, query: Query, project: Project | None, all_netns: bool) -> Reading:
    """The listeners that the query wants, with the project's services named."""
    reading = _named(live.read(udp=query.udp, all_netns=all_netns, ports=query.ports), project)
    return reading.replace(listeners=tuple(row for row in reading.listeners if query.wants(row)))


def who(live: Live, declared: Declared, leased: Leased, ports: Sequence[str], *, all_netns: bool) -> WhoAnswer:
    """See `Portward.who`."""
    wanted = [(argument, port) for argument in map(parse_port, ports) for port in argument.ports]
    reading = live.read(
        udp=any(argument.transport is Transport.UDP for argument, _ in wanted),
        all_netns=all_netns,
        ports={port for _, port in wanted},
    )
    project, skipped = declared.readable()
    promises = leased.promises({port for _, port in wanted})
    reading = reading.replace(listeners=tuple(promises.told(live, row) for row in reading.listeners))
    reading = _named(reading, project)
    rows = tuple(_who(live, port, argument, reading, project, promises) for argument, port in wanted)
    return WhoAnswer(rows, (*reading.skipped, *skipped, *promises.skipped), promises.worktree)


def _who(
    live: Live, port: int, argument: PortArgument, reading: Reading, project: Project | None, promises: Promises
) -> Who:
    from portward import catalog
    from portward.remedies import stops

    endpoints = [Endpoint(host, port, argument.transport) for host in live.addresses(argument.host)]
    rows = tuple(
        live.in_detail(row)
        for row in reading.listeners
        if not is_connection(row) and any(row.endpoint.overlaps(endpoint) for endpoint in endpoints)
    )
    return Who(
        port=port,
        transport=argument.transport,
        listeners=rows,
        ancestry=tuple(live.sockets.ancestry(row.processes[0]) if row.processes else () for row in rows),
        declared=_wanting(port, project) if project else (),
        customary=catalog.customary(port, argument.transport),
        fixes=tuple(dict.fromkeys(fix for row in rows if holds(row) for fix in stops(row))),
        lease=promises.of(port, argument.transport),
    )


def _wanting(port: int, project: Project) -> tuple[Location, ...]:
    """Where the project's files say that it wants this port of the host."""
    specs = [service.claim(spec) for service in project.services for spec in service.ports]
    return tuple(
        spec.location
        for spec in (*specs, *project.references)
        if spec.side is Side.HOST and spec.range and port in spec.range
    )


def _named(reading: Reading, project: Project | None) -> Reading:
    """The reading with the services of this very project named as its files name them."""
    if project is None or not project.services:
        return reading
    from portward.verbs import survey

    return survey.named(reading, project)
