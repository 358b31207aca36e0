"""How `Portward` frees a port: look who has it, plan, ask, stop each in its own way, look again, and keep a record.

Between the look and the act anything may change: whatever is stopped is proved to have the port at that very moment.
"""

from __future__ import annotations

import os
import time
from itertools import takewhile

from portward.answers import Freed, Killed, PortAfter
from portward.errors import Unavailable
from portward.model import Endpoint, Process, State, Transport
from portward.stops import Asker, Held, Owner, Refused, Stop, StopPlan, Terms, Way, name_of, plan
from portward.truths.live import holds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from portward.arguments import PortArgument
    from portward.model import Listener, Reading
    from portward.processes.ending import Ended
    from portward.truths.live import Live

_SETTLING = 0.5  # seconds in which a parent that restarts what ended has begun to do so
_KEEPER_SETTLING = 3.0  # the same, for one that is known to
_ENGINE_SECONDS = 10.0
_GENERATIONS = 3  # a supervisor, a shell that it starts, and what that starts


class Stopping:
    """Frees ports. `owner_of` tells whose a listener is ("mine" and others), None where nobody wants to know."""

    def __init__(
        self,
        live: Live,
        environment: Mapping[str, str],
        terms: Terms,
        owner_of: Callable[[Listener], str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._live = live
        self._environment = environment
        self._terms = terms
        self._owner_of = owner_of
        self._clock = clock
        self._hosts: dict[tuple[int, Transport], list[str]] = {}
        self._asker = self._who_asks()

    def _who_asks(self) -> Asker:
        from portward.processes import asker

        me = Process(os.getpid(), "portward", parent=os.getppid())
        ancestors = (self._with_unit(process) for process in self._live.sockets.ancestry(me))
        cgroup = self._live.sockets.cgroup(me.pid)
        return Asker(me.pid, tuple(ancestors), asker.user_of(), cgroup, asker.host())

    def _with_unit(self, process: Process) -> Process:
        from portward.sockets import unit

        return process.replace(unit=unit(self._live.sockets.cgroup(process.pid)))

    def plan(self, arguments: Sequence[PortArgument]) -> StopPlan:
        """What holds the ports now, and how each holder would be stopped."""
        for argument in arguments:
            for port in argument.ports:
                known = self._hosts.setdefault((port, argument.transport), [])
                known += self._live.addresses(argument.host)
        reading = self._read()
        judged = [
            plan(held, self._asker, self._terms)
            for port, transport in self._hosts
            for held in self._held(port, transport, reading.listeners)
        ]
        stops = tuple(each for each in judged if isinstance(each, Stop))
        refused = tuple(each for each in judged if isinstance(each, Refused))
        return StopPlan(tuple(self._hosts), stops, refused, reading.skipped)

    def _read(self) -> Reading:
        """What is on the ports now. Engines are given time: without them a container cannot be told from what forwards for it."""
        udp = any(transport is Transport.UDP for _, transport in self._hosts)
        return self._live.read(udp=udp, ports={port for port, _ in self._hosts}, patience=_ENGINE_SECONDS)

    def _on(self, port: int, transport: Transport, rows: Iterable[Listener]) -> list[Listener]:
        """The sockets that are on an endpoint that was asked for, in our own network namespace."""
        endpoints = [Endpoint(host, port, transport) for host in self._hosts[port, transport]]
        return [row for row in rows if holds(row) and any(row.endpoint.overlaps(each) for each in endpoints)]

    def _held(self, port: int, transport: Transport, rows: Iterable[Listener]) -> Iterator[Held]:
        """The holders of a port: who serves there; where nobody does, who has it bound; else whose connection has it."""
        found = self._on(port, transport, rows)
        serving = [row for row in found if row.state in (State.LISTEN, State.UDP) and not row.note]
        bound = [row for row in found if not row.note]
        clients = [row for row in found if row.note and row.processes]
        for group in _together(serving or bound or clients):
            yield self._with_facts(port, transport, tuple(self._live.in_detail(row) for row in group))

    def _with_facts(self, port: int, transport: Transport, rows: tuple[Listener, ...]) -> Held:
        from portward.processes import containers
        from portward.processes.ending import has_terminal

        owner_of = self._owner_of
        mine = all(owner_of(each) == "mine" for row in rows for each in _one_by_one(row)) if owner_of else None
        container = next((row.container for row in rows if row.container is not None), None)
        if container is not None:
            from portward import catalog

            policy = containers.policy_of(self._environment, container.id)
            kind = catalog.kind_of(container.image, container.service or container.name)
            return Held(port, transport, rows, policy=policy, kind=kind, mine=mine)
        processes = {process.pid: process for row in rows for process in row.processes}
        owners = tuple(
            Owner(
                process,
                tuple(self._with_unit(parent) for parent in self._live.sockets.ancestry(process)),
                self._live.sockets.cgroup(process.pid),
                has_terminal(process.pid),
            )
            for process in processes.values()
        )
        return Held(port, transport, rows, owners, mine=mine)

    def act(self, planned: StopPlan, reason: str = "") -> Killed:
        """Stops what is planned, each thing once, and tells what became of each port. Raises nothing for what cannot be stopped."""
        from portward.processes.stop_log import opened
        from portward.processes.successors import Parents

        remarks: list[str] = []
        done: dict[tuple[object, ...], Freed | Refused] = {}
        above = {root: self._above(root) for stop in planned.stops for root in stop.roots}
        parents = Parents(above)
        with opened(self._environment, remarks.append) as add:
            for stop in planned.stops:
                if stop.thing in done:
                    continue
                try:
                    done[stop.thing] = self._stop(stop)
                finally:  # an interruption comes after the signal was sent
                    held = [each.port for each in planned.stops if each.thing == stop.thing]
                    add(_entry(stop, done.get(stop.thing), held, self._asker, self._clock(), reason))
        outcomes = [_at(done[stop.thing], stop) for stop in planned.stops]
        freed = tuple(each for each in outcomes if isinstance(each, Freed))
        refused = tuple(each for each in outcomes if isinstance(each, Refused))
        stops = [each.stop for each in freed]
        settling = _KEEPER_SETTLING if any(stop.keeper for stop in stops) else _SETTLING
        parents.settle([root for stop in stops for root in stop.roots], lambda: self._taken(stops), settling)
        ports = self.after(planned, stops, above)
        free = {(after.port, after.transport) for after in ports if not after.listeners}
        over = [each for each in refused if each.gone and (each.port, each.transport) in free]
        remarks += (f"{each.what}: {each.why}" for each in over)
        left = tuple(each for each in refused if each not in over)
        return Killed(planned, freed, (*planned.refused, *left), ports, tuple(remarks))

    def _stop(self, stop: Stop) -> Freed | Refused:
        start = time.monotonic()
        try:
            if stop.way is Way.SIGNAL:
                return self._by_signals(stop, start)
            why = self._by_manager(stop)
        except Unavailable as error:
            hint = error.hint or _by_hand(stop)
            return Refused(stop.port, stop.transport, stop.what, error.message, hint, failed=True)
        if why is not None:
            return Refused(
                stop.port, stop.transport, stop.what, why, "--force sets it a limit" if stop.container else None
            )
        return Freed(stop, stop.how, time.monotonic() - start)

    def _by_manager(self, stop: Stop) -> str | None:
        from portward.processes import containers, units

        if stop.container is not None:
            return containers.stop(self._environment, stop.container.id, grace=stop.grace, patience=stop.patience)
        assert stop.unit is not None
        now = self._owners(stop.port, stop.transport)
        if not any((process.pid, process.start_ticks) in now for process in stop.processes):
            return "it does not hold the port any more"
        return units.stop(stop.unit, of_user=stop.of_user, patience=stop.patience)

    def _by_signals(self, stop: Stop, start: float) -> Freed | Refused:
        from portward.processes.ending import Ending

        ending = Ending(lambda: {pid for pid, _ in self._owners(stop.port, stop.transport)}, keeps_data=stop.keeps_data)
        ended = ending.end(stop.processes, stop.roots, first=stop.signal, last=stop.last, patience=stop.patience)
        if ended.why is not None:
            hint = None if ended.denied or not ended.signals else _after_patience(stop)
            gone = not ended.signals and not ended.denied
            return Refused(stop.port, stop.transport, stop.what, _why(ended), hint, failed=ended.denied, gone=gone)
        return Freed(stop, ", ".join(ended.signals), time.monotonic() - start, ended.alive)

    def _owners(self, port: int, transport: Transport) -> set[tuple[int, int | None]]:
        """Which processes hold a port at this moment, with their starts: never those of its connections."""
        rows = self._live.sockets.read(udp=transport is Transport.UDP, ports={port}).listeners
        return {
            (process.pid, process.start_ticks)
            for row in self._on(port, transport, rows)
            if not row.note
            for process in row.processes
        }

    def _taken(self, stops: Sequence[Stop]) -> bool:
        return any(self._owners(stop.port, stop.transport) for stop in stops)

    def _above(self, process: Process) -> list[int]:
        """The pids of those who may start a process again: the nearest ancestors, but for the first process and those who wait for us."""
        others = {1, *(ancestor.pid for ancestor in self._asker.ancestors)}
        above = [parent.pid for parent in self._live.sockets.ancestry(process)[:_GENERATIONS]]
        return list(takewhile(lambda pid: pid not in others, above))

    def after(
        self, planned: StopPlan, stopped: Sequence[Stop] = (), above: Mapping[Process, Sequence[int]] | None = None
    ) -> tuple[PortAfter, ...]:
        """Who has each port now; if one of those `above` what was stopped has started them, who."""
        reading = self._read()
        after = []
        for port, transport in planned.ports:
            rows = tuple(row for row in self._on(port, transport, reading.listeners) if not row.note)
            after.append(PortAfter(port, transport, rows, self._starter(rows, stopped, above or {})))
        return tuple(after)

    def _starter(
        self, rows: Sequence[Listener], stopped: Sequence[Stop], above: Mapping[Process, Sequence[int]]
    ) -> str | None:
        keepers = {stop.keeper_pid: stop.keeper for stop in stopped if stop.keeper}
        known = {pid for stop in stopped for root in stop.roots for pid in above[root]} | keepers.keys()
        for process in (process for row in rows for process in row.processes):
            for parent in self._live.sockets.ancestry(process):
                if parent.pid in known:
                    return keepers.get(parent.pid) or f"{name_of(parent)} {parent.pid} starts it again"
        return None


def _together(rows: Sequence[Listener]) -> list[list[Listener]]:
    """Rows in groups: those of one container, those that share a process. A row whose owner is unknown stands alone."""
    groups: list[tuple[set[object], list[Listener]]] = []
    for row in rows:
        keys: set[object] = {row.container.id} if row.container else {process.pid for process in row.processes}
        members = [row]
        for group in [group for group in groups if group[0] & keys]:
            groups.remove(group)
            keys |= group[0]
            members = [*group[1], *members]
        groups.append((keys, members))
    return [members for _, members in groups]


def _one_by_one(row: Listener) -> Iterator[Listener]:
    """The row for each of its processes: all of them must be the project's."""
    if row.container is not None or not row.processes:
        yield row
    else:
        yield from (row.replace(processes=(process,)) for process in row.processes)


def _at(outcome: Freed | Refused, stop: Stop) -> Freed | Refused:
    """The outcome of a thing that is stopped once, for each of the ports that it held."""
    if isinstance(outcome, Freed):
        return outcome.replace(stop=stop)
    return outcome.replace(port=stop.port, transport=stop.transport)


def _why(ended: Ended) -> str:
    return ended.why if ended.why and ended.signals else f"{ended.why}: nothing was signalled"


def _by_hand(stop: Stop) -> str | None:
    """What stops a unit where its manager refuses us, or cannot be reached."""
    command = stop.how.strip("`")
    return None if stop.unit is None else f"`{command}`" if stop.of_user else f"`sudo {command}`"


def _after_patience(stop: Stop) -> str:
    if stop.last is not None:
        return "it waits for the kernel (a disk, a driver), or somebody keeps it: `portward who` tells more"
    if stop.keeps_data:
        return "it is writing its data down: --timeout gives it longer"
    return "--force ends it with SIGKILL"


def _entry(
    stop: Stop, outcome: Freed | Refused | None, ports: Sequence[int], asker: Asker, now: float, reason: str
) -> dict[str, object]:
    """What the log keeps: names and numbers, never a command's arguments, which may hold a secret."""
    from portward.wording import shown

    result = "interrupted" if outcome is None else "stopped" if isinstance(outcome, Freed) else outcome.why
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "ports": [f"{port}/{stop.transport}" for port in ports],
        "what": stop.what,
        "pids": [process.pid for process in stop.processes],
        "user": stop.processes[0].user if stop.processes else None,
        "container": stop.container.id if stop.container else None,
        "unit": stop.unit,
        "how": outcome.how if isinstance(outcome, Freed) else stop.how,
        "result": result,
        "by": asker.user,
        "through": [name_of(process) for process in asker.ancestors],
        "reason": shown(reason) or None,
    }
