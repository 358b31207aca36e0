"""Machines to measure on: so many listeners, processes with open files, and connections, and nothing else.

A state is built in pid, network and mount namespaces of its own (`isolated`), so what else runs on the machine is neither
listed nor walked, and no port of it is touched. Root is needed for that. Every process of a state is a child of the program
that builds it, which is process 1 of its pid namespace: nothing outlives it.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import resource
import signal
import socket
import struct
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn

FIRST_PORT = 20_000
_FEWEST_FILES, _MOST_FILES = 5, 185  # few processes have many: 65 on average
_MOST_DESCRIPTORS = 20_000
_CONNECTIONS_PER_PROCESS = 4_000
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1
_CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class State:
    """How much of everything. Seven listeners in ten are TCP on IPv4, two TCP on IPv6, one is UDP.

    `files` are open in each process, None for few in most and many in some: 65 on average.
    """

    listeners: int
    processes: int
    connections: int = 0
    files: int | None = None

    def __str__(self) -> str:
        return f"{self.processes:,} processes, {self.listeners:,} listeners, {self.connections:,} connections"

    @property
    def tcp_ports(self) -> list[int]:
        """The ports that TCP listens on."""
        return [FIRST_PORT + index for index in range(self.listeners) if index % 10 != 9]


def isolated(command: Sequence[str]) -> list[str]:
    """The command that runs another as process 1 of namespaces of its own, with a /proc of its own (unshare(1))."""
    return ["unshare", "--pid", "--fork", "--net", "--mount", "--mount-proc", "--kill-child", *command]


def bring_loopback_up() -> None:
    """A new network namespace has a loopback interface that is down (netdevice(7))."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", _IFF_UP))


@contextmanager
def running(state: State) -> Iterator[None]:
    """The state is there while the block runs. The same every time: sizes come from a fixed seed."""
    chance = random.Random(42)
    pids: list[int] = []
    try:
        for index in range(state.processes):
            files = state.files or int(_FEWEST_FILES + (_MOST_FILES - _FEWEST_FILES) * chance.random() ** 2)
            listeners = range(index, state.listeners, state.processes)
            pids.append(_holder(partial(_ordinary, listeners, files)))
        for start in range(0, state.connections, _CONNECTIONS_PER_PROCESS):
            count = min(_CONNECTIONS_PER_PROCESS, state.connections - start)
            pids.append(_holder(partial(_connections, count)))
        yield
    finally:
        _end(pids)


@contextmanager
def listening(ports: Sequence[int]) -> Iterator[None]:
    """One more process for each port, that listens on it on every IPv4 address while the block runs."""
    pids: list[int] = []
    try:
        pids += (_holder(partial(_server, port)) for port in ports)
        yield
    finally:
        _end(pids)


@contextmanager
def namespaces(count: int, listeners: int) -> Iterator[None]:
    """So many network namespaces while the block runs, with a process in each that has so many listeners."""
    pids: list[int] = []
    try:
        pids += (_holder(partial(_elsewhere, listeners)) for _ in range(count))
        yield
    finally:
        _end(pids)


def _elsewhere(listeners: int) -> list[object]:
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    return [socket.create_server(("", FIRST_PORT + index)) for index in range(listeners)]


def open_files() -> int:
    """How many descriptors are open in all processes that can be seen."""
    count = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            count += len(os.listdir(f"/proc/{pid}/fd"))
    return count


def _holder(take: Callable[[], list[object]]) -> int:
    """Starts a process that keeps what `take` returns until it is killed. Returns its pid once it has it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        _hold(take, writing)
    os.close(writing)
    with open(reading, "rb") as ready:
        if not ready.read(1):
            raise RuntimeError("a process of the state could not take its files; see above")
    return pid


def _hold(take: Callable[[], list[object]], writing: int) -> NoReturn:
    try:
        kept = take()
        os.write(writing, b"1")
        os.close(writing)
        while kept:
            signal.pause()
    finally:
        os._exit(1)  # a fork never returns into its parent's code


def _ordinary(listeners: range, files: int) -> list[object]:
    return [*map(_listener, listeners), *map(_file, range(files))]


def _server(port: int) -> list[object]:
    return [socket.create_server(("", port))]


def _listener(index: int) -> socket.socket:
    port, kind = FIRST_PORT + index, index % 10
    if kind < 7:
        return socket.create_server(("127.0.0.1" if kind % 2 else "", port))
    if kind < 9:
        return socket.create_server(("::", port), family=socket.AF_INET6)
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("", port))
    return udp


def _file(index: int) -> int:
    """What processes have open besides sockets: devices, files, and descriptors without a name."""
    if index % 3 == 0:
        return os.open("/dev/null", os.O_RDONLY)
    if index % 3 == 1:
        return os.open("/etc/passwd", os.O_RDONLY)
    return os.eventfd(0)


def _connections(count: int) -> list[object]:
    """Connections whose both ends are here."""
    # only here: what is measured inherits the usual limit, up to which some programs close all descriptors at their start
    resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_DESCRIPTORS, _MOST_DESCRIPTORS))
    server = socket.create_server(("127.0.0.1", 0), backlog=1)
    kept: list[object] = [server]
    for _index in range(count):
        kept += [socket.create_connection(server.getsockname()), server.accept()]
    return kept


def _end(pids: list[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
