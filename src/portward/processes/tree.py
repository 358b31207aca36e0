"""The processes that come from this one: all of them, also those whose parent has ended (Linux).

As a child subreaper (prctl(2), PR_SET_CHILD_SUBREAPER) this process becomes the parent of its orphaned descendants, so that none is
lost from sight, and it must reap them. Elsewhere only the process itself that was started is known.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LINUX = sys.platform == "linux"
_SET_CHILD_SUBREAPER = 36
_GET_CHILD_SUBREAPER = 37


class Descendant(Record):
    """A process below this one. A `session` of its own is what a daemon makes (setsid(2))."""

    pid: int
    parent: int
    session: int
    state: str

    @property
    def ended(self) -> bool:
        """Whether it only waits to be reaped."""
        return self.state in "ZX"


def descendants(above: int) -> dict[int, Descendant]:
    """All living and all unreaped processes below the process `above`, by pid. Empty where there is no /proc.

    Not an atomic picture. A process that ends while it is read is left out.
    """
    below: dict[int, list[Descendant]] = {}
    for row in _all():
        below.setdefault(row.parent, []).append(row)
    found: dict[int, Descendant] = {}
    waiting = [above]
    while waiting:
        for row in below.get(waiting.pop(), ()):
            if row.pid not in found:
                found[row.pid] = row
                waiting.append(row.pid)
    return found


def _all() -> Iterator[Descendant]:
    """Every process, by fields 3 to 6 of proc_pid_stat(5)."""
    if not LINUX:
        return
    for name in os.listdir("/proc"):
        if not name.isdecimal():
            continue
        with suppress(OSError):  # it has ended
            with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                state, parent, _group, session = file.readall().rpartition(b")")[2].split()[:4]
            yield Descendant(int(name), int(parent), int(session), state.decode())


@contextmanager
def gathered() -> Iterator[None]:
    """While it lasts, orphans below this process stay below it. Does nothing where the system cannot do that."""
    libc = _libc()
    if libc is None:
        yield
        return
    import ctypes

    before = ctypes.c_int()
    libc.prctl(_GET_CHILD_SUBREAPER, ctypes.byref(before), 0, 0, 0)
    libc.prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_SET_CHILD_SUBREAPER, before.value, 0, 0, 0)


def die_with_parent(signal: int) -> None:
    """This process gets the signal when the one that started it ends, however that ends (PR_SET_PDEATHSIG). Linux only."""
    libc = _libc()
    if libc is not None:
        libc.prctl(1, signal, 0, 0, 0)


if TYPE_CHECKING:
    import ctypes


def _libc() -> ctypes.CDLL | None:
    if not LINUX:
        return None
    try:
        from ctypes import CDLL
    except ImportError:  # a Python without ctypes
        return None
    return CDLL(None)
