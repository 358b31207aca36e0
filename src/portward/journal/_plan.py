"""Which files a write means, and whether they are still what was read."""

from __future__ import annotations

import os
from hashlib import sha256

from portward.errors import FileChanged, Unavailable, UsageError
from portward.journal._entry import FileEntry
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from portward.journal._disk import Folder


class Planned(Record):
    """One file of a write, with its bytes before and after; None for no file."""

    file: FileEntry
    before: bytes | None
    after: bytes | None


def plan(root: Folder, path: str, changes: Mapping[str, tuple[str | bytes, str | None]]) -> list[Planned]:
    """What a write has to do, leaving out the files that it would not change. `path` is that of the root, without links.

    Raises UsageError for what lies outside the root, is no file, or is the same file twice; FileChanged where the bytes
    are not those that were read; Unavailable where a file may not be read or written.
    """
    planned = []
    seen: dict[str, str] = {}
    for name, (text, digest) in changes.items():
        place = _place(path, name)
        other = seen.setdefault(place, name)
        if other != name:
            raise UsageError(f"is the same file as {other}: nothing was written", path=name)
        after = text.encode("utf-8") if isinstance(text, str) else text
        folder, _, last = place.rpartition("/")
        file = FileEntry(name, folder, last, "", digest, digest_of(after))
        before = contents(root, file)
        if digest_of(before) != digest:
            what = "was changed since it was read" if digest else "is there already"
            if before is None:
                what = "is gone"
            raise FileChanged(f"{what}: nothing was written", path=name, hint="run it again")
        if before != after:
            require_writable(path, file)
            planned.append(Planned(file, before, after))
    return planned


def digest_of(data: bytes | None) -> str | None:
    """The SHA-256 in hex, None for no file."""
    return None if data is None else sha256(data).hexdigest()


def contents(root: Folder, file: FileEntry) -> bytes | None:
    """A file's bytes, None where there is none. Raises Unavailable where it may not be read."""
    try:
        with root.enter(file.folder) as folder:
            return folder.read(file.name)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unavailable(f"cannot be read ({error.strerror}): nothing was written", path=file.path) from error


def require_writable(root: str, file: FileEntry) -> None:
    """Raises Unavailable for a file that its owner has made read-only, although its folder would let it be replaced."""
    path = os.path.join(root, file.folder, file.name)
    if os.path.lexists(path) and not os.access(path, os.W_OK):
        raise Unavailable("is read-only: nothing was written", path=file.path)


def missing_folders(root: str, files: Iterable[FileEntry]) -> tuple[str, ...]:
    """The folders below the root that must be made for new files, each after the one that it is in."""
    missing = []
    for folder in dict.fromkeys(file.folder for file in files):
        parts = folder.split("/") if folder else []
        paths = ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
        missing += [path for path in paths if not os.path.lexists(os.path.join(root, path))]
    return tuple(dict.fromkeys(missing))


def _place(root: str, path: str) -> str:
    """The path below the root that a path leads to, links followed."""
    inside = os.path.join(root, "")
    real = "" if "\0" in path else os.path.realpath(os.path.join(root, path))
    if not real.startswith(inside):
        raise UsageError("lies outside the project: nothing was written", path=path)
    if os.path.lexists(real) and not os.path.isfile(real):
        raise UsageError("is not a file: nothing was written", path=path)
    return real.removeprefix(inside)
