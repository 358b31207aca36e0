"""Ports for tests: free everywhere, and given to no other test meanwhile, of whichever worker or run on this machine.

They are below what systems give to connections (32768 on Linux), and in no range that Portward allocates from by default.
"""

from __future__ import annotations

import fcntl
import os
import random
import tempfile
from contextlib import suppress

from portward.model import ANY, Endpoint, Transport
from portward.sockets.bind import refusal

_RANGE = range(15000, 19000)
_lent: set[int] = set()
_kept: set[int] = set()
# of each port one byte is locked (fcntl(2)): by this process, and at the latest until its end
_locks = os.open(f"{tempfile.gettempdir()}/portward-tests-{os.getuid()}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def free_ports(count: int = 1) -> int:
    """The first of so many neighbours, which are the test's until its end."""
    return _taken(count, _lent)


def kept_port() -> int:
    """A port for the life of this process: for a server that is started again and again."""
    return _taken(1, _kept)


def give_back() -> None:
    """What the test had, when it ends."""
    for port in _lent:
        fcntl.lockf(_locks, fcntl.LOCK_UN, 1, port)
    _lent.clear()


def is_free(first: int, count: int = 1) -> bool:
    """Whether nobody has any of these ports, TCP and UDP."""
    ports = range(first, first + count)
    return not any(refusal(Endpoint(ANY, port, transport)) for port in ports for transport in Transport)


def _taken(count: int, owner: set[int]) -> int:
    for _attempt in range(1000):
        first = random.choice(_RANGE)
        ports = range(first, first + count)
        if not _lent.isdisjoint(ports) or not _kept.isdisjoint(ports):
            continue
        with suppress(OSError):  # another process has one
            fcntl.lockf(_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, count, first)
            if is_free(first, count):
                owner.update(ports)
                return first
            fcntl.lockf(_locks, fcntl.LOCK_UN, count, first)
    raise AssertionError("no free port found")
