"""Who listens where Portward has no interface of its own to the kernel: psutil, for macOS, Windows and BSD.

psutil tells less than the Linux reader: not whether an IPv6 wildcard takes IPv4 too, and nothing of other network
namespaces; on Linux it finds one owner of a shared socket, and no socket that is bound without listening.
"""

from __future__ import annotations

import os
import socket
import sys
import time

import psutil

from portward.model import Endpoint, Listener, Owners, Process, Reading, Skipped, State, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import TypeVar

    from psutil._ntuples import pconn, sconn

    T = TypeVar("T")

_ANCESTORS = 64
_LOOK_SECONDS = 1.0


class PsutilReader:
    """Reads sockets and processes with psutil. Processes that share an endpoint are owners of one row."""

    name = "psutil"

    def read(
        self, *, udp: bool = False, all_netns: bool = False, ports: Collection[int] | None = None, owners: bool = True
    ) -> Reading:
        """See `SocketReader.read`."""
        connections, skipped = _connections("inet" if udp else "tcp")
        if all_netns:
            skipped.append(Skipped("network namespaces", "psutil sees only the one that Portward runs in"))
        pids: dict[Listener, set[int]] = {}
        for connection, pid in connections:
            row = _row(connection)
            if row is None or (ports is not None and row.port not in ports):
                continue
            if ports is not None or row.note is None or row.state is State.UDP:
                pids.setdefault(row, set()).update([pid] if pid and owners else [])
        known: dict[int, Process | None] = {}
        rows = [_owned(row, sorted(found), known) for row, found in pids.items()]
        rows.sort(key=lambda row: (row.port, row.transport, row.endpoint.address))
        return Reading(tuple(rows), tuple(skipped))

    def remember(self, seconds: float) -> None:
        """See `SocketReader.remember`: psutil has owners at once, and nothing is remembered."""

    def changes(self, *, udp: bool = False, all_netns: bool = False) -> Changes:
        """See `SocketReader.changes`."""
        return Changes()

    def ancestry(self, process: Process) -> tuple[Process, ...]:
        """See `SocketReader.ancestry`."""
        chain: list[Process] = []
        child = process
        while child.parent and len(chain) < _ANCESTORS:
            parent = _process(child.parent)
            # where a process keeps the pid of a parent that has ended, another may have that pid now
            if parent is None or (parent.started or 0) > (child.started or parent.started or 0):
                break
            chain.append(parent)
            child = parent
        return tuple(chain)

    def cgroup(self, pid: int) -> str:
        """See `SocketReader.cgroup`."""
        if sys.platform != "linux":
            return ""
        from portward.sockets import _proc

        return _proc.cgroup(pid)


class Changes:
    """Cannot tell what changed without a whole look, which is dear here: one in a second is due."""

    told = False

    def wait(self, seconds: float) -> bool:
        """Until the next look is due, at most `seconds`; True, for it may well find something."""
        time.sleep(min(seconds, _LOOK_SECONDS))
        return True

    def close(self) -> None:
        """Nothing is open."""


def _connections(kind: str) -> tuple[Iterable[tuple[sconn | pconn, int | None]], list[Skipped]]:
    """Every socket with its pid; process by process where the system does not tell all at once (macOS without root)."""
    try:
        return [(connection, connection.pid) for connection in psutil.net_connections(kind)], []
    except (psutil.Error, RuntimeError, OSError):
        pass
    found: list[tuple[sconn | pconn, int | None]] = []
    denied = 0
    for process in psutil.process_iter():
        try:
            found += ((connection, process.pid) for connection in process.net_connections(kind))
        except psutil.NoSuchProcess:
            continue
        except (psutil.Error, RuntimeError, OSError):
            denied += 1
    return found, [Skipped("sockets", f"not permitted to see those of {denied} processes")] if denied else []


def _row(connection: sconn | pconn) -> Listener | None:
    """What a connection of psutil is, without owners; None if it holds no port."""
    if not connection.laddr or not connection.laddr.port:
        return None
    transport = Transport.UDP if connection.type == socket.SOCK_DGRAM else Transport.TCP
    endpoint = Endpoint(connection.laddr.ip, connection.laddr.port, transport)
    if transport is Transport.UDP:
        return Listener(endpoint, State.UDP, note="socket connected to one peer" if connection.raddr else None)
    if connection.status == psutil.CONN_LISTEN:
        return Listener(endpoint, State.LISTEN)
    unconnected = connection.status in (psutil.CONN_CLOSE, psutil.CONN_NONE) and not connection.raddr
    return Listener(endpoint, State.BOUND, note=None if unconnected else f"connection in {connection.status}")


def _owned(row: Listener, pids: Collection[int], known: dict[int, Process | None]) -> Listener:
    for pid in pids:
        if pid not in known:
            known[pid] = _process(pid)
    processes = tuple(found for pid in pids if (found := known[pid]) is not None)
    lingers = row.note == f"connection in {psutil.CONN_TIME_WAIT}"
    hidden = not pids and not lingers and hasattr(os, "geteuid") and os.geteuid() != 0
    return row.replace(
        user=processes[0].user if processes else None,
        owners=Owners.SEEN if processes else Owners.HIDDEN if hidden else Owners.NONE,
        processes=processes,
    )


def _process(pid: int) -> Process | None:
    """What a process is now, or None if it has ended. What this user may not see of it is None or empty."""
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return Process(
                pid=pid,
                name=_ask(process.name) or "",
                command=tuple(_ask(process.cmdline) or ()),
                user=_ask(process.username),
                cwd=_ask(process.cwd) or None,
                started=_ask(process.create_time),
                parent=_ask(process.ppid) or None,
            )
    except psutil.NoSuchProcess:
        return None


def _ask(question: Callable[[], T]) -> T | None:
    """An answer about a process, None where it is denied. Raises psutil.NoSuchProcess."""
    try:
        return question()
    except (psutil.AccessDenied, psutil.ZombieProcess, OSError):
        return None
