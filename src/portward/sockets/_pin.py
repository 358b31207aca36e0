"""An iterator over open files that a group may read: who has which socket open, without root, until the machine is started anew.

Root attaches the program of `_bpf` once and gives it a name in a BPF file system of its own (Documentation/bpf/bpf_iterators.rst, "pinned");
who may open that name gets an iterator, and the kernel runs the program for them. /sys/fs/bpf itself is closed to all but root under
systemd, and other programs keep things there, hence the mount of our own.
"""

from __future__ import annotations

import os

from portward.errors import Unavailable
from portward.records import Record

FOLDER = "/run/portward/bpf"
PATH = f"{FOLDER}/socket-owners-1"
"""The number is that of the records' layout: another version of Portward may write them otherwise."""

EXPOSES = (
    "which processes of this machine have which sockets open: the process numbers behind every port, as `sudo ss -p` shows them",
    "not what they send or receive, no file, no memory; names and commands are read from /proc, by its own rules",
)
"""What who may read it learns, in sentences."""

_MODE_FOLDER, _MODE_FILE = 0o750, 0o440
_MS_NOSUID_NODEV_NOEXEC = 2 | 4 | 8


class Pinned(Record):
    """The pinned iterator: the number of the group that may read it."""

    gid: int


def state() -> Pinned | None:
    """Whether it is there. Who may not look into its folder is not in its group: then it tells None too."""
    try:
        return Pinned(os.stat(PATH).st_gid)
    except OSError:
        return None


def is_readable() -> bool:
    """Whether we may read it, and root has made it."""
    try:
        return os.access(PATH, os.R_OK) and os.stat(PATH).st_uid == 0
    except OSError:
        return False


def pin(gid: int) -> None:
    """Pins it for a group, in the place of one that is there. Needs root; raises Unavailable where that cannot be."""
    from portward.sockets import _bpf

    unpin()
    try:
        bpf = _bpf.system_call()
        link = _bpf.attached(bpf)
    except (_bpf.Unusable, OSError, ValueError, LookupError) as error:
        raise Unavailable(f"owners cannot be asked of this kernel: {error}") from error
    try:
        _mount()
        _bpf.pin(bpf, link, PATH)
        for path, mode in ((PATH, _MODE_FILE), (FOLDER, _MODE_FOLDER)):
            os.chown(path, 0, gid)
            os.chmod(path, mode)
    except OSError as error:
        _take_away()
        raise Unavailable(f"nothing can be pinned at {PATH}: {error.strerror or error}") from None
    finally:
        os.close(link)


def unpin() -> bool:
    """Takes it away, with its file system. Whether there was one. Needs root; raises Unavailable where that is refused.

    An iterator that somebody is just reading ends with its reader.
    """
    if not os.path.ismount(FOLDER):
        return False
    if error := _take_away():
        raise Unavailable(f"{FOLDER} cannot be taken away: {error.strerror or error}")
    return True


def _take_away() -> OSError | None:
    """The file system with all that is in it, and its folders. What stood against that, if anything."""
    try:
        if os.path.ismount(FOLDER):
            _call("umount2", FOLDER.encode(), 0)
        os.rmdir(FOLDER)
        os.rmdir(os.path.dirname(FOLDER))
    except OSError as error:
        return error
    return None


def _mount() -> None:
    """A BPF file system at `FOLDER`, for root alone as long as nothing else is said."""
    os.makedirs(FOLDER, exist_ok=True)
    os.chmod(os.path.dirname(FOLDER), 0o755)  # noqa: S103 - what is in it is closed; whatever the umask
    _call("mount", b"portward", FOLDER.encode(), b"bpf", _MS_NOSUID_NODEV_NOEXEC, b"mode=0700")


def _call(name: str, *arguments: bytes | int) -> None:
    """A function of the C library that is 0 if it succeeds: mount(2), umount2(2). Raises OSError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
