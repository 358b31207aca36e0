"""Which way finds the owners of sockets: the kernel tells at once (`_bpf`), or a walk over /proc (`_proc`, `_split`).

All give the same answer. Where the kernel may be asked and that is the cheaper, it is; who may not can read what root has pinned
for a group (`_pin`); whatever stands against these, a walk answers, by two processes where many are to be walked. PORTWARD_OWNERS
names the way for who wants one of them whatever it costs, else the choice is made here.
"""

from __future__ import annotations

import os

from portward.errors import UsageError
from portward.sockets import _pin, _proc, _split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portward.sockets._proc import Stamp, Stat

    Found = tuple[dict[int, list[int]], bool]

WAYS = ("bpf", "pinned", "proc", "split")
_FEW_PROCESSES = 120  # most of them the kernel's own threads; up to here a walk costs less than to load a program
_WORTH_A_FORK = 300  # processes: from here half of a walk takes longer than to start another process
_MANY_PROCESSES = 1_500  # from here a walk costs more than to read the kernel's type information for a single look
_NOT_PERMITTED = "neither root nor CAP_BPF and CAP_PERFMON"
_CAP_SYS_ADMIN, _CAP_PERFMON, _CAP_BPF = 21, 38, 39  # include/uapi/linux/capability.h


def socket_owners(
    inodes: Collection[int], narrate: Callable[[str], None], seen: dict[int, Stat] | None = None
) -> Found:
    """Which processes have the sockets of these inodes open: ({inode: pids}, whether some process was hidden from us).

    See `_proc.socket_owners`. `narrate` is told which way was taken; into `seen` goes what was told of the processes by the way. Raises UsageError where PORTWARD_OWNERS is no way.
    """
    forced = os.environ.get("PORTWARD_OWNERS") or None
    if forced not in (None, *WAYS):
        raise UsageError(f"{forced!r} is no way to find owners", hint=f"PORTWARD_OWNERS is {' or '.join(WAYS)}")
    if forced in ("proc", "split"):
        reason = "PORTWARD_OWNERS"
    else:
        reason, found = _by_kernel(inodes, forced, narrate, seen)
        if found is not None:
            return found
    is_worth_it = forced == "split" or (forced is None and os.stat("/proc").st_nlink >= _WORTH_A_FORK)
    if is_worth_it and _split.is_possible():
        narrate(f"owners by a walk over /proc of two processes, not by BPF: {reason}")
        return _split.socket_owners(inodes)
    narrate(f"owners by a walk over /proc, not by BPF: {reason}")
    return _proc.socket_owners(inodes)


def stamps(narrate: Callable[[str], None]) -> Callable[[int], Stamp | None] | None:
    """`_proc.stamp` of all processes of this moment, told by the kernel at once; None where it is not to be asked."""
    if os.environ.get("PORTWARD_OWNERS") not in (None, "", "bpf") or _objection():
        return None
    from portward.sockets import _bpf

    try:
        told = _bpf.processes()
    except _bpf.Unusable as error:
        narrate(f"what became of processes is read from /proc, not told by BPF: {error}")
        return None
    # a kernel may keep its first process from all eyes
    return lambda pid: _proc.stamp_of(told[pid]) if pid in told else _proc.stamp(pid)


def _by_kernel(
    inodes: Collection[int], forced: str | None, narrate: Callable[[str], None], seen: dict[int, Stat] | None
) -> tuple[str, Found | None]:
    """The kernel's own answer, by a program that is loaded now or was pinned; or the reason why there is none."""
    objection = _objection()
    is_pinned = (
        (forced == "pinned" or (forced is None and objection == _NOT_PERMITTED))
        and objection in (None, _NOT_PERMITTED)
        and _pin.is_readable()
    )
    if not is_pinned:
        reason = f"{_pin.PATH} cannot be read" if forced == "pinned" else objection or (None if forced else _dear())
        if reason is not None:
            return reason, None
    from portward.sockets import _bpf

    try:
        owners = _bpf.pinned_owners(inodes, _pin.PATH) if is_pinned else _bpf.socket_owners(inodes, seen)
    except _bpf.Unusable as error:
        for line in error.log.splitlines():
            narrate(f"  {line}")
        return str(error), None
    narrate("owners by BPF: one pass of the kernel over all open files" + ", which root has pinned" * is_pinned)
    # a kernel may keep its first process from all eyes
    of_init, hidden = _proc.socket_owners([inode for inode in inodes if inode not in owners], among=(1,))
    return "", (owners | of_init, hidden)


def _objection() -> str | None:
    """Why the kernel is not even asked, or None: we may not, or it would number processes otherwise than /proc does."""
    try:
        fields = _status()
        held = int(fields[b"CapEff"], 16)
        namespaces = len(fields[b"NSpid"].split())  # from that of /proc to our own
    except (OSError, LookupError, ValueError):
        return "/proc does not show what we may do"
    if namespaces > 1:
        return "/proc is that of another pid namespace"
    return None if held >> _CAP_SYS_ADMIN & 1 or held >> _CAP_BPF & held >> _CAP_PERFMON & 1 else _NOT_PERMITTED


def _status() -> dict[bytes, bytes]:
    """The fields of /proc/self/status (proc_pid_status(5))."""
    with open("/proc/self/status", "rb", buffering=0) as file:
        return dict(line.split(b":", 1) for line in file.readall().splitlines())


def _dear() -> str | None:
    """Why the walk is the cheaper, or None: an estimate that costs nothing.

    The links of /proc are its folders, with one for each process of the whole machine (fs/proc/root.c). In a container that
    may be far too many, but then it costs no more than to load the program.
    """
    from portward.sockets import _btf

    processes = os.stat("/proc").st_nlink
    if processes <= _FEW_PROCESSES:
        return f"some {processes} processes are few"
    if processes < _MANY_PROCESSES and not _btf.is_kept():
        return "what the kernel tells of its structures cannot be kept"
    return None
