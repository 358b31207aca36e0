"""What the journal does to files: a few operations by name in an open folder, durable, and never through a link.

A folder is held by a descriptor (openat(2)), so that nothing is written elsewhere if its path comes to mean another place.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

NOT_A_FILE = "not a regular file"
"""The digest of what has no bytes to keep: a folder, a link, a device."""

_PART = ".part"
_CHUNK_BYTES = 1 << 20
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)
_NOREPLACE, _EXCHANGE = 1, 2  # linux/fs.h


class Folder:
    """An open folder. Every method raises OSError where the system refuses; names are those of its own entries."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def at(cls, path: str) -> Self:
        """The folder at a path, links followed."""
        return cls(os.open(path, _FOLDER))

    def enter(self, path: str) -> Folder:
        """A folder below this one, "" for this one again. A link on the way is refused (ENOTDIR or ELOOP)."""
        descriptor = os.open(".", _FOLDER, dir_fd=self._descriptor)
        for name in path.split("/") if path else ():
            try:
                deeper = os.open(name, _FOLDER | _NO_LINK, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = deeper
        return Folder(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):  # nothing was written through it
            os.close(self._descriptor)

    def names(self) -> list[str]:
        """The names of all entries, sorted."""
        return sorted(os.listdir(self._descriptor))

    def read(self, name: str) -> bytes | None:
        """A regular file's bytes, None where there is none of that name."""
        if self._is_file(name) is None:
            return None
        return b"".join(self._chunks(name))

    def digest(self, name: str) -> str | None:
        """The SHA-256 of a file's bytes in hex; None where there is nothing, `NOT_A_FILE` for anything but a file."""
        is_file = self._is_file(name)
        if not is_file:
            return None if is_file is None else NOT_A_FILE
        from hashlib import sha256

        total = sha256()
        for chunk in self._chunks(name):
            total.update(chunk)
        return total.hexdigest()

    def _is_file(self, name: str) -> bool | None:
        try:
            return stat.S_ISREG(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return None

    def _chunks(self, name: str) -> Iterator[bytes]:
        descriptor = os.open(name, os.O_RDONLY | _NO_LINK, dir_fd=self._descriptor)
        try:
            while chunk := os.read(descriptor, _CHUNK_BYTES):
                yield chunk
        finally:
            os.close(descriptor)

    def create(self, name: str, data: bytes, *, mode: int = 0o600, like: str | None = None) -> None:
        """Makes a file that is whole and on the disk as soon as its name is there; only its name needs a `sync` then.

        `mode` is narrowed by the umask; `like` names a file whose mode, owner and extended attributes it gets instead.
        What a killed run left of the same file is made anew. Raises FileExistsError where the name is taken.
        """
        with suppress(FileNotFoundError):
            os.unlink(name + _PART, dir_fd=self._descriptor)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK
        descriptor = os.open(name + _PART, flags, 0o600 if like else mode, dir_fd=self._descriptor)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if like:
                self._copy_attributes(like, descriptor)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self.move(name + _PART, name)

    def _copy_attributes(self, source: str, descriptor: int) -> None:
        """Mode always; owner, group and extended attributes as far as this user may set them."""
        original = os.open(source, os.O_RDONLY | _NO_LINK, dir_fd=self._descriptor)
        try:
            status = os.fstat(original)
            for owner, group in ((-1, status.st_gid), (status.st_uid, -1)):
                with suppress(PermissionError):
                    os.fchown(descriptor, owner, group)
            if hasattr(os, "listxattr"):
                with suppress(OSError):
                    for attribute in os.listxattr(original):
                        os.setxattr(descriptor, attribute, os.getxattr(original, attribute))
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode))
        finally:
            os.close(original)

    def move(self, source: str, target: str) -> None:
        """Gives an entry another name. Raises FileExistsError, and moves nothing, where that name is taken.

        Where the file system has no RENAME_NOREPLACE, a file of that name made in the same instant would be replaced.
        """
        if not self._renameat2(source, target, _NOREPLACE):
            if self._is_file(target) is not None:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)
            os.rename(source, target, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def exchange(self, source: str, target: str) -> None:
        """Swaps two files' names at one instant: what stood at `target`, whatever it was by then, is at `source` after.

        Where the file system has no RENAME_EXCHANGE, `source` replaces `target`, and nothing is at `source` after.
        """
        if not self._renameat2(source, target, _EXCHANGE):
            os.replace(source, target, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def _renameat2(self, source: str, target: str, flag: int) -> bool:
        """rename(2) with a flag; False where this system or file system does not know it."""
        code = _renameat2()(self._descriptor, os.fsencode(source), self._descriptor, os.fsencode(target), flag)
        if code in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            return False
        if code:
            raise OSError(code, os.strerror(code), target)
        return True

    def remove(self, name: str) -> None:
        """Removes a file, and what a killed run left of one; nothing where there is none."""
        for each in (name, name + _PART):
            with suppress(FileNotFoundError):
                os.unlink(each, dir_fd=self._descriptor)

    def make_folder(self, name: str, mode: int = 0o777) -> None:
        """Makes a folder, with the mode narrowed by the umask, unless it is there already."""
        with suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=self._descriptor)

    def remove_folder(self, name: str) -> None:
        """Removes a folder if it is empty."""
        try:
            os.rmdir(name, dir_fd=self._descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise

    def sync(self) -> None:
        """Returns when all names here are on the disk, as far as the file system can tell."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise


@cache
def _renameat2() -> Callable[[int, bytes, int, bytes, int], int]:
    """renameat2(2) as a function that returns 0 or an errno: Python has none of its own."""
    import ctypes

    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None:
        return lambda *_arguments: errno.ENOSYS
    return lambda *arguments: 0 if function(*arguments) == 0 else ctypes.get_errno()
