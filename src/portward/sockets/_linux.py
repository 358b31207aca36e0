"""Who listens on Linux: the kernel lists the sockets (`_netlink`), `_owners` finds who has them open."""

from __future__ import annotations

import _socket as socket  # see _netlink

from portward.errors import Unavailable
from portward.model import Endpoint, Listener, Owners, Process, Reading, Skipped, State, Transport
from portward.sockets import _proc
from portward.sockets._netlink import (
    ANY_STATE,
    BOUND_INACTIVE,
    CLOSE,
    ESTABLISHED,
    LISTEN,
    STATE_NAMES,
    SockDiag,
    SocketRow,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portward.sockets._changes import Changes
    from portward.sockets._memory import Memory

_TCP, _UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP
_HELD = 1 << LISTEN | 1 << BOUND_INACTIVE
_FEW_PORTS = 16  # more are cheaper to pick out of everything
_UDP_STATES = 1 << CLOSE | 1 << ESTABLISHED  # a connected UDP socket holds its port too


class LinuxReader:
    """Reads sockets with NETLINK_SOCK_DIAG, owners by BPF or in /proc; starts no other program and needs no privilege."""

    name = "linux"

    def __init__(self, narrate: Callable[[str], None] | None = None) -> None:
        self._narrate = narrate or (lambda _step: None)
        self._memory: Memory | None = None

    def read(
        self, *, udp: bool = False, all_netns: bool = False, ports: Collection[int] | None = None, owners: bool = True
    ) -> Reading:
        """See `SocketReader.read`."""
        try:
            rows: list[tuple[str | None, SocketRow]] = [(None, row) for row in _sockets(udp, ports)]
        except OSError as error:
            raise _unlisted(error) from None
        skipped: list[Skipped] = []
        if all_netns:
            from portward.sockets import _netns

            namespaces, hidden = _netns.others()
            answers, refused = _netns.ask_each(namespaces, lambda: _sockets(udp, ports, 1 << LISTEN))
            rows += ((namespace.name, row) for namespace, found in answers for row in found)
            skipped += hidden + refused
        listeners = (
            self._owned(rows) if owners else [_listener(netns, row, (), False, _Known({})) for netns, row in rows]
        )
        listeners.sort(key=lambda row: (row.netns or "", row.port, row.transport, row.endpoint.address))
        return Reading(tuple(listeners), tuple(skipped))

    def _owned(self, rows: list[tuple[str | None, SocketRow]]) -> list[Listener]:
        """The rows with who has them open: as remembered, where that is wanted, else as it is now."""
        memory = self._memory
        recalled = memory.recall(rows, self._stamp(memory)) if memory else {}
        new = [(netns, row) for netns, row in rows if (netns, row.cookie) not in recalled]
        seen: dict[int, _proc.Stat] = {}
        pids, hidden = self._owners({row.inode for _, row in new} - {0}, seen)
        known = _Known(seen)
        listeners = list(recalled.values())
        for netns, row in new:
            listener = _listener(netns, row, pids.get(row.inode, ()), hidden, known)
            listeners.append(listener)
            if memory:
                memory.keep(netns, row, listener)
        return listeners

    def _stamp(self, memory: Memory) -> Callable[[int], _proc.Stamp | None]:
        """What tells whether processes still are what they were: of many, the kernel tells it of all at once."""
        if not memory.is_of_many:
            return _proc.stamp
        from portward.sockets import _owners

        return _owners.stamps(self._narrate) or _proc.stamp

    def _owners(self, inodes: Collection[int], seen: dict[int, _proc.Stat]) -> tuple[dict[int, list[int]], bool]:
        if not inodes:
            return {}, False
        from portward.sockets import _owners

        return _owners.socket_owners(inodes, self._narrate, seen)

    def remember(self, seconds: float) -> None:
        """See `SocketReader.remember`."""
        from portward.sockets._memory import Memory

        self._memory = Memory(seconds)

    def changes(self, *, udp: bool = False, all_netns: bool = False) -> Changes:
        """See `SocketReader.changes`."""
        from portward.sockets._changes import Changes

        try:
            return Changes(udp=udp, all_netns=all_netns, narrate=self._narrate)
        except OSError as error:
            raise _unlisted(error) from None

    def ancestry(self, process: Process) -> tuple[Process, ...]:
        """See `SocketReader.ancestry`."""
        return _proc.ancestry(process)

    def cgroup(self, pid: int) -> str:
        """See `SocketReader.cgroup`."""
        return _proc.cgroup(pid)


class _Known:
    """The processes of one reading, each looked at once. `seen` is what of them is known already."""

    def __init__(self, seen: dict[int, _proc.Stat]) -> None:
        self._seen = seen
        self._processes: dict[int, Process | None] = {}
        self._folders: _proc.Folders = {}

    def process(self, pid: int) -> Process | None:
        """What a process is; None if it has ended."""
        if pid not in self._processes:
            self._processes[pid] = _proc.process(pid, self._seen.get(pid), self._folders)
        return self._processes[pid]


def _unlisted(error: OSError) -> Unavailable:
    reason = f"the kernel does not list its sockets here: {error.strerror}"
    return Unavailable(reason, hint="PORTWARD_SOCKETS=psutil reads /proc/net instead")


def _sockets(udp: bool, ports: Collection[int] | None, states: int = _HELD) -> list[SocketRow]:
    """The sockets of the network namespace that this thread is in: all in the states of a bit mask, or all on the ports."""
    with SockDiag() as diag:
        if ports is None:
            rows = diag.dump(_TCP, states)
            return rows + diag.dump(_UDP, _UDP_STATES) if udp else rows
        rows = []
        for port in sorted(ports) if len(ports) <= _FEW_PORTS else [None]:
            rows += diag.dump(_TCP, ANY_STATE | 1 << BOUND_INACTIVE, port)
            if udp:
                rows += diag.dump(_UDP, _UDP_STATES, port)
        return [row for row in rows if row.port in ports]


def _listener(
    netns: str | None,
    row: SocketRow,
    pids: Collection[int],
    hidden: bool,
    known: _Known,
) -> Listener:
    processes = tuple(found for pid in sorted(pids) if (found := known.process(pid)) is not None)
    transport = Transport.UDP if row.protocol == _UDP else Transport.TCP
    state = State.UDP if row.protocol == _UDP else State.LISTEN if row.state == LISTEN else State.BOUND
    user = _proc.user_name(row.uid) if row.inode else None
    owners = Owners.SEEN if processes else Owners.HIDDEN if hidden and row.inode else Owners.NONE
    endpoint = Endpoint(row.address, row.port, transport, row.v6only)
    return Listener(
        endpoint, state, user, owners, processes, None, netns, None, None, _note(row), None, (), (), row.cookie
    )


def _note(row: SocketRow) -> str | None:
    if row.protocol == _TCP and row.state not in (LISTEN, CLOSE):
        return f"connection in {STATE_NAMES.get(row.state, row.state)}"
    if row.protocol == _UDP and row.state == ESTABLISHED:
        return "socket connected to one peer"
    return None
