"""Who and where we are: this host, its network namespace, a process for good; and whether a lease's holder is provably gone.

Nothing here is taken for dead without proof: what cannot be read, or is hidden, is alive.
"""

from __future__ import annotations

import errno
import os

from portward.model import Lease, LeaseKind, ProcessId, Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from portward.leases import LeaseStore

_MACHINE_ID = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_FIRST_NETNS = "net:[4026531833]"  # NET_NS_INIT_INO of linux/nsfs.h, the first one's since Linux 6.18
_ONLY_IN_FIRST = "/proc/sys/net/core/netdev_max_backlog"
_HASH_BYTES = 4
_ENDED = (b"Z", b"X", b"x")


def site() -> Site:
    """This host, the network namespace of this process, and the machine's start."""
    return Site(_host(), _netns(), _boot())


def site_in(store: LeaseStore, environment: Mapping[str, str]) -> Site:
    """As `site`; in a store of many machines the host has the name that it was given once for all. Raises Unavailable for a copied one."""
    if not store.is_shared:
        return site()
    from portward.leases.host_id import host_id

    return site().replace(host=host_id(environment) or _host())


def _host() -> str:
    """The machine's own name, and a hash of its machine id where it has one.

    The name alone is often given twice, and so is the id by copied images. The id is hashed since it is to be kept from others
    (machine-id(5)). The name is the one that the administrator gave (hostname(5)): a network may change the other.
    """
    return f"{name()}-{hashed}" if (hashed := machine()) else name()


def name() -> str:
    """What people call this host."""
    return _read("/etc/hostname") or os.uname().nodename


def machine() -> str:
    """A hash of the machine id, "" where there is none."""
    told = next((text for path in _MACHINE_ID if (text := _read(path))), "")
    if not told:
        return ""
    from _blake2 import blake2s  # what `hashlib` takes it from, without OpenSSL's start-up

    return blake2s(told.encode(), digest_size=_HASH_BYTES, person=b"portward").hexdigest()


def _netns() -> str:
    """Our network namespace: "" for the machine's first one, or where there are none.

    Only the first one has the settings that belong to the machine as a whole (net/core/sysctl_net_core.c), which tells it from
    others without a privilege. Its inode would not do: it changes with the kernel.
    """
    try:
        name = os.readlink("/proc/self/ns/net")
    except OSError:
        return ""
    return "" if name == _FIRST_NETNS or os.path.exists(_ONLY_IN_FIRST) else name


def _boot() -> str:
    return _read("/proc/sys/kernel/random/boot_id")


def identity(pid: int | None = None) -> ProcessId | None:
    """Which process has the pid now, by default this one; None if there is none."""
    pid = os.getpid() if pid is None else pid
    if not _exists(pid):
        return None
    state, ticks = _stat(pid)
    return None if state in _ENDED else ProcessId(_boot(), pid, ticks, _pidns())


def why_gone(lease: Lease, here: Site) -> str | None:
    """Why the holder of a lease is gone for good, in words; None wherever it may live, or cannot be seen from here."""
    if lease.host != here.host:
        return None
    if lease.netns and lease.boot and here.boot and lease.boot != here.boot:
        return "its network namespace ended when the machine was started anew"
    if lease.kind is LeaseKind.PROCESS and lease.holder.process is not None:
        return _why_ended(lease.holder.process, here.boot)
    if lease.kind is LeaseKind.STICKY and lease.holder.worktree and _is_missing(lease.holder.worktree):
        return f"its folder {lease.holder.worktree} is gone"
    return None


def _why_ended(process: ProcessId, boot: str) -> str | None:
    if process.boot and boot and process.boot != boot:
        return f"process {process.pid} ended when the machine was started anew"
    if process.pidns != _pidns():
        return None
    if not _exists(process.pid):
        return f"process {process.pid} has ended"
    state, ticks = _stat(process.pid)
    if state in _ENDED:
        return f"process {process.pid} has ended"
    if ticks is not None and process.start_ticks is not None and ticks != process.start_ticks:
        return f"process {process.pid} has ended, and its number is another's"
    return None


def _exists(pid: int) -> bool:
    """Whether a process has the pid, hidden ones (hidepid of proc(5)) included."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _stat(pid: int) -> tuple[bytes, int | None]:
    """State and start of a process (fields 3 and 22 of proc_pid_stat(5)), (b"", None) where they cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
    except OSError:
        return b"", None
    return fields[0], int(fields[19])


def _pidns() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")[5:-1]
    except OSError:
        return ""


def _is_missing(path: str) -> bool:
    """Whether there is nothing at the path; False where that cannot be told."""
    try:
        os.stat(path)
    except OSError as error:
        return error.errno in (errno.ENOENT, errno.ENOTDIR)
    return False


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
