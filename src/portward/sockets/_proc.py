"""Processes as /proc shows them (proc(5)): who has a socket open, and what a process is.

A process may end between any two reads: that is normal, and what is left of it is passed over.
"""

from __future__ import annotations

import os
import pwd
import time

from portward.model import Process
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    Stamp = tuple[int, str]
    Folders = dict[tuple[bytes, int], "str | None"]

_PIECE = 1 << 16
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LONGEST_COMM = 15
_TICKS = os.sysconf("SC_CLK_TCK")  # of a second
_ENDED = (b"Z", b"X")
_MAIN_THREAD = "-MainThread"
_ANCESTORS = 64
_user_names: dict[int, str] = {}


def socket_owners(inodes: Collection[int], among: Collection[int] | None = None) -> tuple[dict[int, list[int]], bool]:
    """Which processes have the sockets of these inodes open: ({inode: pids}, whether some process was hidden from us).

    Every owner of a shared socket is found, so the walk never ends early: nothing tells how many there are, and the last
    process may be one more. A socket that no process has open (its descriptor is in flight in a message,
    it belongs to the kernel, or to a process in a foreign pid namespace) has no entry. Threads that do not share their
    process's descriptors are not looked at; a program that is just being started may still be an owner of what its parent
    has. With `among`, only those processes are looked at.
    """
    wanted = {f"socket:[{inode}]": inode for inode in inodes if inode}
    owners: dict[int, list[int]] = {}
    if not wanted:
        return owners, False
    hidden = not os.path.exists("/proc/1")  # mounted with hidepid
    for pid in pids() if among is None else among:
        try:
            found = _sockets_of(pid, wanted)
        except PermissionError:
            hidden = True
        except OSError:
            continue  # it has ended
        else:
            for inode in found:
                owners.setdefault(inode, []).append(pid)
    return owners, hidden


def _sockets_of(pid: int, wanted: dict[str, int]) -> set[int]:
    """Which of the wanted sockets a process has open. Raises PermissionError, or OSError when it has ended."""
    found = set()
    readlink, inode_of = os.readlink, wanted.get
    folder = os.open(f"/proc/{pid}/fd", _FOLDER)
    try:
        for name in os.listdir(folder):
            try:
                inode = inode_of(readlink(name, dir_fd=folder))
            except FileNotFoundError:
                continue  # closed since it was listed
            if inode is not None:
                found.add(inode)
    finally:
        os.close(folder)
    return found


def pids() -> Iterator[int]:
    """Every process that this /proc shows."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())


class Stat(Record):
    """What the kernel keeps of a process itself: the name that it cuts, its parent (0 for none), start and effective user.

    `folder` is the same for all that are in one working folder at that moment, and zeros or empty where that is not known.
    """

    comm: str
    parent: int
    start_ticks: int
    uid: int
    folder: bytes = b""


def process(pid: int, told: Stat | None = None, folders: Folders | None = None) -> Process | None:
    """What a process is now, or None if it has ended. What this user may not see of it is None or empty.

    `told` is what of it is known already, from a moment ago, and `folders` where others of that moment are.
    """
    try:
        if told is None:
            told, command = _stat(pid), _command(pid)
        else:
            command = _words(_read(pid, "cmdline"))
    except OSError:
        return None
    started = _boot_time() + told.start_ticks / _TICKS
    name, user = _name(told.comm, command), user_name(told.uid) if told.uid >= 0 else None
    cwd = _cwd(pid) if folders is None else _shared_cwd(pid, told, folders)
    return Process(pid, name, command, user, cwd, started, told.start_ticks, told.parent or None, None)


def _stat(pid: int) -> Stat:
    """Raises OSError if it has ended. The user is -1 where it ends just now."""
    head, _, tail = _read(pid, "stat").rpartition(b")")
    fields = tail.split(None, 20)
    return Stat(_comm(head), int(fields[1]), int(fields[19]), _user(pid))


def stamp(pid: int) -> Stamp | None:
    """What changes when a pid becomes another process's, or the process another program: its start and its name.

    None if it has ended, though its parent may not have heard of it yet (state Z).
    """
    try:
        head, _, tail = _read(pid, "stat").rpartition(b")")
    except OSError:
        return None
    fields = tail.split(None, 20)
    return None if fields[0] in _ENDED else (int(fields[19]), _comm(head).removesuffix(_MAIN_THREAD))


def stamp_of(told: Stat) -> Stamp:
    """As `stamp`, of what is known of a process that lives."""
    return told.start_ticks, told.comm.removesuffix(_MAIN_THREAD)


def is_of(process: Process, stamp: Stamp | None) -> bool:
    """Whether a stamp is that of a process as it was looked at."""
    return stamp is not None and stamp[0] == process.start_ticks and process.name.startswith(stamp[1])


def ancestry(child: Process) -> tuple[Process, ...]:
    """The parents of a process, nearest first, as far as they may be seen."""
    chain: list[Process] = []
    parent = child.parent
    while parent and len(chain) < _ANCESTORS:
        found = process(parent)
        if found is None:
            break
        chain.append(found)
        parent = found.parent
    return tuple(chain)


def cgroup(pid: int) -> str:
    """The control group of a process (cgroups(7)): the unified hierarchy's path, else the first one's, else ""."""
    try:
        lines = _read(pid, "cgroup").decode(errors="replace").splitlines()
    except OSError:
        return ""
    paths = {line.split(":", 2)[0]: line.split(":", 2)[2] for line in lines if line.count(":") >= 2}
    unified = paths.get("0", "")
    return unified if len(unified) > 1 else max(paths.values(), key=len, default="")


def user_name(uid: int) -> str:
    """The name of a user id, or the number as text where it has none. Asked for once."""
    if uid not in _user_names:
        try:
            _user_names[uid] = pwd.getpwuid(uid).pw_name
        except KeyError:
            _user_names[uid] = str(uid)
    return _user_names[uid]


def _read(pid: int, name: str) -> bytes:
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = piece = os.read(descriptor, _PIECE)
        while len(piece) == _PIECE:
            data += (piece := os.read(descriptor, _PIECE))
        return data
    finally:
        os.close(descriptor)


def _command(pid: int) -> tuple[str, ...]:
    try:
        return _words(_read(pid, "cmdline"))
    except OSError:
        return ()


def _words(raw: bytes) -> tuple[str, ...]:
    return tuple(os.fsdecode(raw).rstrip("\0").split("\0")) if raw else ()


def _comm(head: bytes) -> str:
    """The name in what comes before the last parenthesis of /proc/PID/stat."""
    return head.partition(b"(")[2].decode(errors="replace")


def _name(comm: str, command: tuple[str, ...]) -> str:
    """The kernel keeps 15 bytes of the name: longer ones are completed from the command. Node names its main thread."""
    comm = comm.removesuffix(_MAIN_THREAD)
    program = command[0].rpartition("/")[2] if command else ""
    return program if len(comm.encode()) >= _LONGEST_COMM and program.startswith(comm) else comm


def _user(pid: int) -> int:
    # the effective user, always; of what is inside the folder, not for a process that may not be dumped (fs/proc/base.c)
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return -1


def _cwd(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def _shared_cwd(pid: int, told: Stat, folders: Folders) -> str | None:
    """The working folder, read once for all of a user that are in it: what another user is in may be hidden."""
    if not any(told.folder):
        return _cwd(pid)
    key = told.folder, told.uid
    if key not in folders:
        folders[key] = _cwd(pid)
    return folders[key]


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
