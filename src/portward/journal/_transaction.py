"""The steps of one write, each of which may be the last before the power fails.

    record   stores what the files are, and what is planned              planned.json
    stage    stores each new text beside its file
    commit   from here on whoever comes next finishes the write          committed.json
    forward  each file and its new text change names at one instant      written.json
    clean    removes what was put aside                                  done.json
    back     instead of forward: every file gets its old text again      reverting.json

Every step can be taken again: the bytes under a file's two names tell what was done already, memory never does.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from enum import Enum, auto

from portward.errors import FileChanged, Unavailable
from portward.journal._entry import State, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from portward.journal._disk import Folder
    from portward.journal._entry import Entry, FileEntry
    from portward.journal._home import Home


class Standing(Enum):
    """What stands under a file's own name, and beside it under the temporary one."""

    PENDING = auto()  # the old text, the new one beside it
    PLACED = auto()  # the new text
    DISPLACED = auto()  # the new text, beside it what somebody else had made of the old one
    LOST = auto()  # the old text, and the new one is gone
    CHANGED = auto()  # somebody's own text, the new one beside it
    CHANGED_SINCE = auto()  # somebody's own text, which came after the new one


class _FolderGone(Unavailable):
    """The folder of a file, or the file itself, is not there any more."""


class Transaction:
    """One write on disk. `root` is the project's open folder, `home` the journal's.

    Methods raise Unavailable, with the file's path, where the system refuses.
    """

    def __init__(self, root: Folder, home: Home, entry: Entry) -> None:
        self.entry = entry
        self._root = root
        self._home = home

    def record(self, backups: Sequence[bytes | None]) -> None:
        """Stores what the files are, and then the entry: from here on a later run knows what to remove."""
        with self._journal():
            self._home.folder.make_folder(self.entry.id, 0o700)
            with self._home.folder.enter(self.entry.id) as store:
                for index, data in enumerate(backups):
                    if data is not None:
                        store.create(str(index), data)
                store.create(State.PLANNED.file, encode(self.entry))
                store.sync()
            self._home.folder.sync()

    def stage(self, contents: Sequence[bytes | None], executable: Collection[str]) -> None:
        """Stores each new text beside its file, in folders that it makes where they are missing."""
        for path in self.entry.folders if self.entry.undoes is None else ():
            above, _, name = path.rpartition("/")
            with self._at(above, path) as folder:
                folder.make_folder(name)
                folder.sync()
        for file, data in zip(self.entry.files, contents, strict=True):
            if self._standing(file) not in (Standing.PENDING, Standing.LOST):
                raise _changed(file)
            if data is not None:
                mode = 0o777 if file.path in executable else 0o666
                with self._at(file.folder, file.path) as folder:
                    folder.create(file.temporary, data, mode=mode, like=file.name if file.old else None)
        self._sync_folders()

    def commit(self) -> None:
        """Marks the write as one to be finished."""
        self._mark(State.PLANNED, State.COMMITTED)

    def forward(self, *, resumed: bool = False) -> list[FileEntry]:
        """Puts every new text in its place, and gives the files that somebody changed after that: they stay as they are.

        A write that is `resumed` after an interruption may have been here before. Raises FileChanged for a file that was
        changed before it was written: then the write must go `back`.
        """
        changed = []
        for file in self.entry.files:
            standing = self._standing(file)
            if standing is Standing.PENDING:
                self._swap(file, back=False)
                standing = self._standing(file)
            elif not resumed:
                raise _changed(file)
            if standing is Standing.CHANGED_SINCE:
                changed.append(file)
            elif standing is not Standing.PLACED:
                raise _changed(file)
        self._sync_folders()
        self._mark(State.COMMITTED, State.WRITTEN)
        return changed

    def clean(self) -> None:
        """Removes what was put aside. The write can be undone then; an undo leaves itself and what it undid no entry."""
        self._discard()
        if self.entry.undoes is None:
            self._mark(State.WRITTEN, State.DONE)
            return
        self._remove_folders()
        with self._journal():
            self._home.drop(self.entry.undoes)
            self._home.drop(self.entry.id)

    def back(self) -> list[FileEntry]:
        """Gives every file its old text again, and returns those that somebody changed: they stay as they are.

        The entry goes too, unless it has the only copy of a text that was written over and then changed.
        """
        changed, only_copy = [], False
        if self.state() in (State.COMMITTED, State.REVERTING):
            self._mark(State.COMMITTED, State.REVERTING)
            for file in self.entry.files:
                self._swap_back(file)
            standings = {file: self._standing(file) for file in self.entry.files}
            changed = [file for file in standings if standings[file] in (Standing.CHANGED, Standing.CHANGED_SINCE)]
            only_copy = Standing.CHANGED_SINCE in standings.values()
        self._discard()
        if self.entry.undoes is None:
            self._remove_folders()
        if only_copy:
            self._mark(State.REVERTING, State.LEFT)
        else:
            with self._journal():
                self._home.drop(self.entry.id)
        return changed

    def is_finished_next(self) -> bool:
        """Whether the next run goes `forward` with a write that was interrupted; else it goes `back`."""
        state = self.state()
        if state is not State.COMMITTED:
            return state is State.WRITTEN
        ahead = (Standing.PENDING, Standing.PLACED, Standing.CHANGED_SINCE)
        return all(self._standing(file) in ahead for file in self.entry.files)

    def state(self) -> State | None:
        """How far the write has come by its entry on disk, None where there is none."""
        with self._journal():
            return self._home.state(self.entry.id)

    def backup(self, file: FileEntry) -> bytes | None:
        """A file's old bytes, from the journal. Raises Unavailable where they are lost or damaged."""
        if file.old is None:
            return None
        name = str(self.entry.files.index(file))
        with self._journal(), self._home.folder.enter(self.entry.id) as store:
            data = store.read(name)
            if data is None or store.digest(name) != file.old:
                raise Unavailable("the journal's copy of what it was is damaged", path=file.path)
        return data

    def _standing(self, file: FileEntry) -> Standing:
        now = aside = None
        with suppress(_FolderGone), self._at(file.folder, file.path) as folder:
            now, aside = folder.digest(file.name), folder.digest(file.temporary)
        if now == file.new:
            return Standing.PLACED if aside in (file.old, file.new, None) else Standing.DISPLACED
        if now == file.old:
            return Standing.PENDING if aside == file.new else Standing.LOST
        return Standing.CHANGED if aside == file.new else Standing.CHANGED_SINCE

    def _swap(self, file: FileEntry, *, back: bool) -> None:
        """The new text in the place of the old one, or back, in one rename. Nothing if a name has come or gone by then."""
        with suppress(_FolderGone), self._at(file.folder, file.path) as folder:
            with suppress(FileNotFoundError, FileExistsError):
                if file.old is not None and file.new is not None:
                    folder.exchange(file.temporary, file.name)
                elif (file.new is None) is back:
                    folder.move(file.temporary, file.name)
                else:
                    folder.move(file.name, file.temporary)

    def _swap_back(self, file: FileEntry) -> None:
        """Takes back a `_swap` that was done. What somebody wrote between look and swap is put where it was."""
        if self._standing(file) not in (Standing.PLACED, Standing.DISPLACED):
            return
        with self._at(file.folder, file.path) as folder:
            if file.old is not None and folder.digest(file.temporary) is None:
                data = self.backup(file)
                assert data is not None
                folder.create(file.temporary, data, like=file.name if file.new else None)
            self._swap(file, back=True)
            if folder.digest(file.temporary) not in (file.new, None):
                self._swap(file, back=False)

    def _discard(self) -> None:
        """Removes what stands beside the files, unless it is of somebody else's making."""
        for file in self.entry.files:
            with suppress(_FolderGone), self._at(file.folder, file.path) as folder:
                if folder.digest(file.temporary) in (file.old, file.new, None):
                    folder.remove(file.temporary)
        self._sync_folders()

    def _sync_folders(self) -> None:
        for file in {file.folder: file for file in self.entry.files}.values():
            with suppress(_FolderGone), self._at(file.folder, file.path) as folder:
                folder.sync()

    def _remove_folders(self) -> None:
        """Removes the folders that the write has made, as far as they are empty."""
        for path in reversed(self.entry.folders):
            above, _, name = path.rpartition("/")
            with suppress(_FolderGone), self._at(above, path) as folder:
                folder.remove_folder(name)
                folder.sync()

    def _mark(self, state: State, new: State) -> None:
        """Goes to a new state. Nothing if it was reached before."""
        with self._journal(), self._home.folder.enter(self.entry.id) as store:
            if self.state() is state:
                store.move(state.file, new.file)
            store.sync()

    @contextmanager
    def _at(self, folder: str, path: str) -> Iterator[Folder]:
        try:
            with self._root.enter(folder) as opened:
                yield opened
        except OSError as error:
            gone = isinstance(error, FileNotFoundError | NotADirectoryError)
            raise (_FolderGone if gone else Unavailable)(f"cannot be written ({error.strerror})", path=path) from error

    @contextmanager
    def _journal(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise Unavailable(f"the journal of changes cannot be kept ({error.strerror})") from error


def _changed(file: FileEntry) -> FileChanged:
    return FileChanged("was changed by somebody else meanwhile", path=file.path, hint="run it again")
