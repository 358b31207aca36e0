"""The live truth of this machine as the verbs need it: sockets with their containers and projects, and the bind's answers."""

from __future__ import annotations

import os

from portward.errors import Unavailable, UsageError
from portward.model import ANY, Endpoint, Listener, PortRange, Reading, Refusal, Skipped, State, Transport
from portward.wording import forwarding_engine, is_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from portward.model import System
    from portward.sockets import SocketReader
    from portward.workspace import Roots


_UNPROVED = "a policy denies bind() here (a sandbox): free is what nobody is seen on, and no port was tried"


class Live:
    """Asks the system and the container engine. `sockets` is chosen when it is first needed, unless it is given."""

    def __init__(
        self, sockets: SocketReader | None, environment: Mapping[str, str], narrate: Callable[[str], None]
    ) -> None:
        self._sockets = sockets
        self._environment = environment
        self._narrate = narrate
        self.unproved: str | None = None

    @property
    def sockets(self) -> SocketReader:
        """The reader of sockets, chosen when it is first needed."""
        if self._sockets is None:
            from portward.sockets import open_reader

            self._sockets = open_reader(narrate=self._narrate)
        return self._sockets

    def read(
        self,
        *,
        udp: bool = False,
        all_netns: bool = False,
        ports: Collection[int] | None = None,
        claims: Collection[int] | None = None,
        owners: bool = True,
        patience: float | None = None,
    ) -> Reading:
        """The live truth: sockets, with containers and projects as their owners. `claims` widens `ports` for containers.

        Without `owners`, no process is looked for, and no project told. `patience` are the seconds that engines are given to answer,
        None for what a look may take.
        """
        from portward import engine

        if ports is None or ports:
            reading = self.sockets.read(udp=udp, all_netns=all_netns, ports=ports, owners=owners)
            self._narrate(f"{len(reading.listeners)} sockets by the reader {self.sockets.name}")
        else:
            reading = Reading(())
        if engine.addresses(self._environment):
            from portward.sockets import _docker

            containers, unreached = engine.read(self._environment, patience or engine.DEADLINE_SECONDS)
            self._narrate(f"{len(containers)} containers by {', '.join(engine.addresses(self._environment))}")
            limit = claims if claims is not None else ports
            reading = _docker.join(reading, containers, self.sockets.cgroup, limit, udp)
            reading = reading.replace(skipped=(*reading.skipped, *unreached))
        if not reading.listeners or not owners:
            return reading
        from portward.workspace import Roots

        roots = Roots()
        return reading.replace(listeners=tuple(self._labelled(row, roots) for row in reading.listeners))

    def inside(self, container: str) -> tuple[Listener, ...] | None:
        """Who listens in a container's own network namespace; None where that cannot be seen."""
        reading = self.read(all_netns=True)
        rows = tuple(
            row
            for row in reading.listeners
            if row.netns and row.state is State.LISTEN and row.container and row.container.id == container
        )
        return None if not rows and reading.skipped else rows

    def seen(self) -> Reading:
        """All sockets, TCP and UDP, without their owners, for an answer that the bind decides: where the system lists none, just why."""
        try:
            return self.read(udp=True, owners=False)
        except Unavailable as error:
            return Reading((), (Skipped("who listens", error.message),))

    def _labelled(self, row: Listener, roots: Roots) -> Listener:
        """The row with the project that its process was started in, and with the service that its program's name tells."""
        if row.container is not None:
            folder = row.container.folder
            return row.replace(container=row.container.replace(folder=os.path.realpath(folder))) if folder else row
        if not row.processes:
            return row
        if forwarding_engine(row):
            return row  # what answers there, and for whom, only the engine could tell
        process = row.processes[0]
        root = roots.of(process.cwd) if process.cwd else None
        project = os.path.basename(root) if root else None
        service = None if is_interpreter(process.name) else process.name
        return row.replace(project=project, service=service) if project or service else row

    def in_detail(self, row: Listener) -> Listener:
        """The row with the systemd units of its processes."""
        from portward.sockets import unit

        with_units = (process.replace(unit=unit(self.sockets.cgroup(process.pid))) for process in row.processes)
        return row.replace(processes=tuple(with_units))

    def is_free(self, port: int, transport: Transport = Transport.TCP) -> bool:
        """Whether a bind to the port succeeds now. Where a policy denies all binds, whether nobody is seen on it: `unproved` says so."""
        refused = self.refusal(Endpoint(ANY, port, transport))
        if refused is not Refusal.SANDBOXED:
            return refused is None
        self.unproved = _UNPROVED
        try:
            rows = self.sockets.read(udp=transport is Transport.UDP, ports={port}).listeners
        except (OSError, Unavailable) as error:
            self.unproved = f"{_UNPROVED}; nor could listeners be seen: {error}"
            return True
        return not any(holds(row) and row.transport is transport for row in rows)

    def can_bind(self, port: int, transport: Transport = Transport.TCP) -> bool:
        """Whether a bind to the port succeeds now: the proof, where the answer takes something away from somebody."""
        return self.refusal(Endpoint(ANY, port, transport)) is None

    def refusal(self, endpoint: Endpoint) -> Refusal | None:
        from portward.sockets.bind import refusal

        return refusal(endpoint)

    def only_lingers(self, endpoint: Endpoint, rows: Sequence[Listener]) -> bool:
        """Whether just the rest of an old connection refuses a bind, which servers pass over with SO_REUSEADDR.

        With no row at all, the bind is asked once more as it was: what refused it is gone by now, or is not shown to us.
        """
        from portward.sockets.bind import refusal

        holding = [row for row in rows if holds(row)]
        if endpoint.transport is not Transport.TCP or not all(map(is_connection, holding)):
            return False
        return refusal(endpoint, reuse=bool(holding)) is None

    def addresses(self, host: str) -> list[str]:
        """The numeric addresses of a host that the user named. Raises UsageError if it has none."""
        if host == ANY:
            return [ANY]
        import socket

        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            raise UsageError(f"{host} has no address: {error.strerror}") from None
        except UnicodeError:
            raise UsageError(f"{host!r} is not the name of a host") from None
        addresses = []
        for *_, address in found:
            interface = int(address[3]) if len(address) == 4 else 0
            addresses.append(f"{address[0]}%{socket.if_indextoname(interface)}" if interface else str(address[0]))
        return list(dict.fromkeys(addresses))

    def reserved(self) -> tuple[PortRange, ...]:
        """The ports that Portward never picks: privileged, ephemeral, excluded by Windows, and those that browsers refuse."""
        from portward import catalog
        from portward.sockets import _excluded
        from portward.sockets.bind import ephemeral_range

        blocked = (PortRange(port, port) for port in catalog.BROWSER_BLOCKED)
        return (catalog.PRIVILEGED, ephemeral_range(), *_excluded.read(), *blocked)

    def system(self) -> System:
        """What this system does with ranges of ports."""
        from portward.sockets import system

        return system.read()


def holds(row: Listener) -> bool:
    """Whether a row is a socket of our own network namespace: one that a new socket can meet."""
    return row.netns is None and row.state is not State.CLAIMED


def is_connection(row: Listener) -> bool:
    """Whether a row is a connection with that local port, or the rest of one: it may refuse a bind, but serves nobody."""
    return row.state is State.BOUND and row.note is not None
