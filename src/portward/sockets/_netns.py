"""Other network namespaces of this machine (network_namespaces(7)), and how to ask a question inside one.

A thread of our own enters the namespace (setns(2)), so that the rest of the program never leaves its own, whatever happens.
"""

from __future__ import annotations

import os
import sys

from portward.model import Skipped
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

_CLONE_NEWNET = 0x40000000
_NAMED = ("/run/netns", "/run/docker/netns")


class Namespace(Record):
    """A network namespace: how to open it, and a name for people (that of `ip netns`, else the kernel's)."""

    inode: int
    path: str
    name: str


def others() -> tuple[list[Namespace], list[Skipped]]:
    """Every network namespace but our own that a process is in or that is mounted under a name, and what was hidden."""
    try:
        home = os.stat("/proc/self/ns/net").st_ino
    except OSError as error:
        return [], [Skipped("network namespaces", error.strerror or str(error))]
    found: dict[int, Namespace] = {}
    skipped: list[Skipped] = []
    for folder in _NAMED:
        _named(folder, found, skipped)
    hidden = 0
    for pid in os.listdir("/proc"):
        if pid.isdecimal():
            path = f"/proc/{pid}/ns/net"
            try:
                inode = int(os.readlink(path)[5:-1])
            except PermissionError:
                hidden += 1
            except OSError:
                continue
            else:
                found.setdefault(inode, Namespace(inode, path, f"net:[{inode}]"))
    if hidden:
        skipped.append(
            Skipped("network namespaces", f"not permitted to see those of {hidden} process{'es' * (hidden != 1)}")
        )
    elif not os.path.exists("/proc/1"):  # mounted with hidepid
        skipped.append(Skipped("network namespaces", "/proc hides the processes of other users"))
    found.pop(home, None)
    return list(found.values()), skipped


def _named(folder: str, found: dict[int, Namespace], skipped: list[Skipped]) -> None:
    try:
        names = sorted(os.listdir(folder))
    except FileNotFoundError:
        return
    except OSError as error:
        skipped.append(Skipped(folder, error.strerror or str(error)))
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            inode = os.stat(path).st_ino
        except OSError:
            continue
        label = name if folder == _NAMED[0] else f"docker:{name}"
        found.setdefault(inode, Namespace(inode, path, label))


def ask_each(namespaces: list[Namespace], question: Callable[[], T]) -> tuple[list[tuple[Namespace, T]], list[Skipped]]:
    """The answer to `question` from inside each namespace, and those that could not be entered."""
    import threading

    answers: list[tuple[Namespace, T]] = []
    skipped: list[Skipped] = []

    setns = _entrance()

    def visit() -> None:
        for namespace in namespaces:
            try:
                _enter(namespace.path, setns)
                answers.append((namespace, question()))
            except OSError as error:
                if not os.path.exists(namespace.path):
                    continue  # its last process ended
                skipped.append(Skipped(f"network namespace {namespace.name}", error.strerror or str(error)))

    thread = threading.Thread(target=visit, name="portward-netns")
    thread.start()
    thread.join()
    return answers, skipped


def _entrance() -> Callable[[int], None]:
    """setns(2) for the network namespace behind a descriptor. Raises OSError."""
    if sys.version_info >= (3, 12):
        return lambda descriptor: os.setns(descriptor, _CLONE_NEWNET)
    from portward.sockets import _libc

    enter = _libc.function("setns")

    def setns(descriptor: int) -> None:
        if enter(descriptor, _CLONE_NEWNET):
            code = _libc.errno()
            raise OSError(code, os.strerror(code))

    return setns


def _enter(path: str, setns: Callable[[int], None]) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(descriptor)
    finally:
        os.close(descriptor)
