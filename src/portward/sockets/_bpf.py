"""Who has a socket open, by one pass of the kernel over all descriptors of all processes: a BPF iterator.

The kernel runs a little program of ours (Documentation/bpf/bpf_iterators.rst), for every task (`_bpf_tasks`) or, where it is older, for
every open file (`_bpf_files`), which tells (pid, inode) of sockets. That is many times cheaper than reading the link of every descriptor in
/proc. It needs CAP_BPF and CAP_PERFMON (or root), Linux 5.11 and the kernel's type information (`_btf`).
"""

from __future__ import annotations

import _socket as socket  # see _netlink
import os
import struct

from portward.sockets import _btf
from portward.sockets._bpf_kernel import Unusable as Unusable
from portward.sockets._bpf_kernel import linked, memory, passed, require_permission
from portward.sockets._bpf_kernel import system_call as system_call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portward.sockets._bpf_kernel import Call
    from portward.sockets._proc import Stat

_BPF_OBJ_PIN = 6
_FIRST_TIME_NAMESPACE = "time:[4026531834]"  # PROC_TIME_INIT_INO in include/linux/proc_ns.h


def socket_owners(inodes: Collection[int], seen: dict[int, Stat] | None = None) -> dict[int, list[int]]:
    """Which processes have the sockets of these inodes open: {inode: sorted pids}. Raises Unusable.

    Into `seen` goes what the kernel told of these processes in the same pass, where it did.

    The same as the walk over /proc (`_proc.socket_owners`), as root: pids are those of our own pid namespace, processes of
    namespaces inside it included, and a socket that no process of it has open has no entry. More than the walk, threads
    that do not share their process's descriptors are looked at, and count as their process. A program that is just being
    started, from its vfork or execve to the end of that, has what its parent has for a moment more: it is an owner only
    where nobody else is. Not an atomic picture: descriptors come and go during the pass.
    """
    return _settled(inodes, lambda wanted: _ask(system_call(), wanted, seen))


def processes() -> dict[int, Stat]:
    """What the kernel keeps of each process of our own pid namespace, and of those inside it, that has not ended. Raises Unusable."""
    try:
        bpf = system_call()
        offsets = _offsets(bpf)
        if _btf.TASK_ITERATOR not in offsets or not _is_time_of_machine():
            raise Unusable("this kernel is too old, or counts time otherwise than we do")
        from portward.sockets import _bpf_tasks

        found = _bpf_tasks.processes(bpf, offsets)
    except (OSError, ValueError, LookupError, AttributeError, ImportError, struct.error) as error:
        raise Unusable(str(error)) from error
    if os.getpid() not in found:
        raise Unusable("the kernel does not find ourselves")
    return found


def pinned_owners(inodes: Collection[int], path: str) -> dict[int, list[int]]:
    """The same by an iterator that root has pinned (`_pin`): nothing but to read its file is needed. Raises Unusable."""
    from portward.sockets import _bpf_files

    return _settled(inodes, lambda wanted: set(_bpf_files.told(os.open(path, os.O_RDONLY | os.O_CLOEXEC), wanted)))


def _settled(inodes: Collection[int], ask: Callable[[set[int]], set[tuple[int, ...]]]) -> dict[int, list[int]]:
    """Whose the sockets are by the answer of `ask`, which must find a socket of our own too."""
    witness = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # if we do not find ourselves, the answer is wrong
    try:
        known = os.fstat(witness.fileno()).st_ino
        found = ask({known, *inodes} - {0})
    except (OSError, ValueError, LookupError, AttributeError, ImportError, struct.error) as error:
        raise Unusable(str(error)) from error
    finally:
        witness.close()
    settled = {inode for _, starting, inode in found if not starting}
    owners: dict[int, list[int]] = {}
    for pid, starting, inode in sorted(found):
        if starting and inode in settled:
            continue
        pids = owners.setdefault(inode, [])
        if pid not in pids[-1:]:
            pids.append(pid)
    if os.getpid() not in owners.pop(known, ()):
        raise Unusable("the kernel does not find our own socket")
    return owners


def _ask(bpf: Call, wanted: set[int], seen: dict[int, Stat] | None = None) -> set[tuple[int, ...]]:
    """Every (pid, whether it is just being started, inode) of the wanted sockets, by a program that is loaded for this."""
    offsets = _offsets(bpf)
    if _btf.TASK_ITERATOR in offsets:
        from portward.sockets import _bpf_tasks

        try:
            return _bpf_tasks.ask(bpf, offsets, wanted, seen if _is_time_of_machine() else None)
        except (Unusable, OSError):
            pass  # the other program asks less of the kernel, and has no limit
    from portward.sockets import _bpf_files

    link = attached(bpf)
    try:
        return set(_bpf_files.told(passed(bpf, link), wanted))
    finally:
        os.close(link)


def _is_time_of_machine() -> bool:
    """Whether we count time after boot as the kernel itself does: not in a time namespace of our own (time_namespaces(7))."""
    try:
        return os.readlink("/proc/self/ns/time") == _FIRST_TIME_NAMESPACE
    except OSError:
        return True  # this kernel has none


def _offsets(bpf: Call) -> dict[str, int]:
    """Where the kernel has what: see `_btf`. Raises OSError where no program is permitted: then reading it would be in vain."""
    offsets = _btf.cached()
    if offsets is None:
        require_permission(bpf)
        offsets = _btf.read()
    return offsets


def attached(bpf: Call) -> int:
    """The descriptor of a link to the program for every open file: from it come iterators, and a link can be pinned.

    Raises OSError where this is refused, Unusable with the verifier's log where it is the program that is refused.
    """
    from portward.sockets import _bpf_files

    offsets = _offsets(bpf)
    return linked(bpf, _bpf_files.program(offsets), offsets[_btf.ITERATOR])


def pin(bpf: Call, link: int, path: str) -> None:
    """Gives a link a name in a BPF file system, from which it can be read until the name is removed. Raises OSError."""
    from _ctypes import addressof

    name = memory(os.fsencode(path) + b"\0")
    bpf(_BPF_OBJ_PIN, struct.pack("=QII", addressof(name), link, 0))
