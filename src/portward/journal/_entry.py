"""What the journal keeps of one write: the record, and its JSON.

changes/<root>/0017-3fa9c2/committed.json   the entry; the name says how far the write has come
                           0  1  …          what the files were, in the order of the entry
"""

from __future__ import annotations

from enum import StrEnum

from portward.errors import Unavailable
from portward.records import Record, astuple

_VERSION = 1


class State(StrEnum):
    """How far a write has come. Each step is one rename of the entry's file, which happens or does not.

    Until `COMMITTED` no project file has been touched. Then all of them get their new text, or, once `REVERTING`, all of
    them their old one. `WRITTEN` has nothing left to do but to remove what was put aside. `DONE` can be undone; `LEFT` was
    taken back, and is kept for what it holds of a file that somebody else changed.
    """

    PLANNED = "planned"
    COMMITTED = "committed"
    REVERTING = "reverting"
    WRITTEN = "written"
    DONE = "done"
    LEFT = "left"

    @property
    def file(self) -> str:
        """The name of the entry's file."""
        return f"{self}.json"


class FileEntry(Record):
    """One file of a write: the path as it was given, and the folder (below the root) and name that it led to.

    `temporary` is the name beside it for its new text, later for its old one. `old` and `new` are the SHA-256 of the bytes
    before and after; None for no file.
    """

    path: str
    folder: str
    name: str
    temporary: str
    old: str | None
    new: str | None


class Entry(Record):
    """One write: when (seconds since the epoch) and by which verb, its files, and the folders that it makes for them.

    `undoes` is the id of the write that this one takes back.
    """

    id: str
    verb: str
    when: float
    root: str
    files: tuple[FileEntry, ...]
    folders: tuple[str, ...] = ()
    undoes: str | None = None

    def explains(self, file: FileEntry, found: str | None) -> bool:
        """Whether a file's bytes, `found` in the place of `file.new`, are those on the other side of this write."""
        return any(
            (each.folder, each.name) == (file.folder, file.name) and {found, file.new} == {each.old, each.new}
            for each in self.files
        )


def encode(entry: Entry) -> bytes:
    """The entry as JSON."""
    import json

    files = [dict(zip(FileEntry.__match_args__, astuple(file), strict=True)) for file in entry.files]
    fields = dict(zip(Entry.__match_args__, astuple(entry), strict=True))
    return json.dumps({"version": _VERSION, **fields, "files": files}, indent=1).encode()


def decode(data: bytes, path: str) -> Entry:
    """An entry from its JSON. Raises Unavailable, with the path, for what is none of this version."""
    import json

    try:
        fields = json.loads(data)
        if fields.pop("version") != _VERSION:
            raise ValueError("of another version of Portward")
        files = tuple(FileEntry(**file) for file in fields.pop("files"))
        return Entry(**{**fields, "files": files, "folders": tuple(fields["folders"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unavailable(f"the journal cannot be read: {error}", path=path) from error
