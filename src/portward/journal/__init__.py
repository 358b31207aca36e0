"""Writes project files, all of them or none, and takes writes back.

Whatever ends a write (an error, `kill -9`, a power cut): once the next run has called `recover`, every file has its old text or
every file its new one. A file that somebody changed meanwhile is never written over. What is kept of each write stands
in the state folder, open to its owner alone.

Not guaranteed: a reader that opens two files during the write may see one old and one new. The new file is another inode:
hard links to the old one, and a container's bind mount of that single file, go on showing the old text. A write to the
old inode by a process that opened it before is lost if it comes after the last look, as with every replaced file; on file
systems without RENAME_EXCHANGE (renameat2(2)) so is a change between the last look and the rename, microseconds later.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress

from portward.errors import FileChanged, PortwardError, Unavailable
from portward.journal._disk import Folder
from portward.journal._entry import Entry, FileEntry, State
from portward.journal._home import Home, locked
from portward.journal._plan import Planned, contents, digest_of, missing_folders, plan, require_writable
from portward.journal._transaction import Transaction
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

HISTORY = 50
"""How many writes of a project are kept; older ones cannot be undone."""


class FileChange(Record):
    """What became of one file: its bytes before and after, None for no file."""

    path: str
    before: bytes | None
    after: bytes | None


class Undo(Record):
    """A write that was taken back: its id, verb and time (seconds since the epoch), and what became of its files."""

    id: str
    verb: str
    when: float
    files: tuple[FileChange, ...]


def changes_folder(environment: Mapping[str, str]) -> str:
    """Where the journals of all projects are: below `$XDG_STATE_HOME`, by default `~/.local/state`.

    A relative path in the variable is ignored, as the XDG Base Directory Specification asks.
    """
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "portward", "changes")


class Journal:
    """The writes to the files of one project.

    `root` is the project's folder, `changes` that of all journals (see `changes_folder`), `clock` gives seconds since the
    epoch. Another process that writes the same project is waited for, `patience` seconds at most. Every method raises
    Unavailable where the system refuses; then no file has changed, or the message says what is left to do.
    """

    def __init__(
        self, root: str, changes: str, *, clock: Callable[[], float] = time.time, patience: float = 10.0
    ) -> None:
        if os.open not in os.supports_dir_fd:
            raise Unavailable("files can be changed on Linux and macOS only")
        self.root = os.path.realpath(root)
        self.path = os.path.join(changes, (digest_of(os.fsencode(self.root)) or "")[:16])
        self._clock = clock
        self._patience = patience

    def recover(self) -> tuple[str, ...]:
        """Finishes or takes back what an earlier run left unfinished: a sentence for each such write, usually none.

        Every verb that changes files calls it before it reads them.
        """
        if not os.path.isdir(self.path):
            return ()
        with self._locked("recover") as (root, home):
            sentences = [self._settle(Transaction(root, home, entry)) for entry in home.unsettled()]
            home.tidy(HISTORY)
        return tuple(sentences)

    def pending(self) -> tuple[str, ...]:
        """What `recover` would do now, as a sentence for each write that was interrupted. Changes no file of the project."""
        if not os.path.isdir(self.path):
            return ()
        with self._locked("look") as (root, home):
            fates = [(entry.verb, Transaction(root, home, entry).is_finished_next()) for entry in home.unsettled()]
        return tuple(
            f"`{verb}` was interrupted: the next run that changes files {'finishes it' if finished else 'takes it back'}"
            for verb, finished in fates
        )

    def write(
        self,
        changes: Mapping[str, tuple[str | bytes, str | None]],
        *,
        verb: str,
        executable: Collection[str] = (),
    ) -> str | None:
        """Gives each file its new text and returns the write's id, or None where nothing would change.

        `changes` maps a path below the root to the whole new text and to the SHA-256 (hex) of the bytes that were read, None
        for a new file. Text is stored as UTF-8, its line ends and byte-order mark as they are. Mode, owner and extended
        attributes stay, as far as this user may set them; a link stays too, and the file that it leads to is written.
        `verb` is what a person typed. A new file whose path is in `executable` may be run.

        Raises FileChanged for a file that is not what was read, UsageError for one that lies outside the root or is no file.
        """
        with self._locked(verb) as (root, home):
            self._require_settled(home)
            planned = plan(root, self.root, changes)
            if not planned:
                return None
            files = [each.file for each in planned]
            entry = self._entry(home, verb, files, missing_folders(self.root, files))
            self._run(Transaction(root, home, entry), planned, executable)
            with suppress(PortwardError, OSError):
                home.tidy(HISTORY)
            return entry.id

    def undo(self, *, dry_run: bool = False) -> Undo | None:
        """Takes back the last write that was not yet taken back; None where there is none. `dry_run` only tells of it.

        After an interruption a `dry_run` tells what would be taken back once `recover` had done what `pending` says. The files get their old bytes and keep the mode that they have now; files and folders that the write made go.
        Raises FileChanged if any file was changed since.
        """
        with self._locked("undo") as (root, home):
            if not dry_run:
                self._require_settled(home)
            unsettled = home.unsettled()
            last = self._last_done(root, home, unsettled)
            if last is None:
                return None
            planned = [self._taken_back(root, Transaction(root, home, last), file, unsettled) for file in last.files]
            if not dry_run:
                entry = self._entry(
                    home, f"undo of {last.verb}", [each.file for each in planned], last.folders, last.id
                )
                self._run(Transaction(root, home, entry), planned)
            files = (FileChange(each.file.path, each.before, each.after) for each in planned)
            return Undo(last.id, last.verb, last.when, tuple(files))

    def _last_done(self, root: Folder, home: Home, unsettled: Sequence[Entry]) -> Entry | None:
        """The last write that can be undone, once those that were interrupted are finished or taken back."""
        finished = [entry for entry in unsettled if Transaction(root, home, entry).is_finished_next()]
        writes = [entry for entry in finished if entry.undoes is None]
        return writes[-1] if writes else home.last_done(without={entry.undoes for entry in finished})

    def _taken_back(self, root: Folder, done: Transaction, file: FileEntry, unsettled: Sequence[Entry]) -> Planned:
        before = contents(root, file)
        found = digest_of(before)
        if found != file.new and not any(entry.explains(file, found) for entry in unsettled):
            kept = self._kept(done.entry, file)
            raise FileChanged(
                f"was changed since `{done.entry.verb}` wrote it: nothing was undone",
                path=file.path,
                hint=f"what it was before is in {kept}" if file.old else "remove it by hand if it is not wanted",
            )
        require_writable(self.root, file)
        return Planned(file.replace(old=file.new, new=file.old), before, done.backup(file))

    def _run(self, transaction: Transaction, planned: Sequence[Planned], executable: Collection[str] = ()) -> None:
        """All steps of a write. After an error, every file is what it was."""
        try:
            transaction.record([each.before for each in planned])
            transaction.stage([each.after for each in planned], executable)
            transaction.commit()
            transaction.forward()
        except BaseException as error:
            if not self._is_written_after(transaction, error):
                if isinstance(error, PortwardError):
                    raise type(error)(
                        f"{error.message}: nothing was written", path=error.path, hint=error.hint
                    ) from error
                raise
        with suppress(PortwardError, OSError):  # the write is made, and the next run removes what is left
            transaction.clean()

    def _is_written_after(self, transaction: Transaction, error: BaseException) -> bool:
        """Takes the write back after an error, unless all was written by then and the error can be passed over."""
        try:
            if transaction.state() is State.WRITTEN:
                return isinstance(error, Exception)
            transaction.back()
        except (PortwardError, OSError) as failure:
            raise Unavailable(
                f"the write was interrupted ({error}), and cannot be taken back now ({failure})",
                hint="the next `portward undo`, or any verb that writes, puts the files right first",
            ) from error
        return False

    def _settle(self, transaction: Transaction) -> str:
        """Finishes or takes back a write that was interrupted, and says so."""
        entry = transaction.entry
        changed: list[FileEntry] = []
        try:
            if transaction.state() is State.COMMITTED:
                with suppress(Unavailable):
                    changed = transaction.forward(resumed=True)
            if transaction.state() is State.WRITTEN:
                transaction.clean()
                return f"`{entry.verb}` was interrupted and is now finished: {self._fates(entry, changed, 'written')}"
            changed = transaction.back()
        except PortwardError as error:
            raise Unavailable(
                f"`{entry.verb}` was interrupted, and can now neither be finished nor taken back: {error}",
                hint=f"{os.path.join(self.path, entry.id)} has what the files were before",
            ) from error
        return f"`{entry.verb}` was interrupted and is taken back: {self._fates(entry, changed, 'as before')}"

    def _fates(self, entry: Entry, changed: Sequence[FileEntry], fate: str) -> str:
        fates = [f"{file.path} is {fate}" for file in entry.files if file not in changed]
        for file in changed:
            kept = self._kept(entry, file)
            where = f" (what it was before is in {kept})" if os.path.exists(kept) else ""
            fates.append(f"{file.path} was changed by somebody else and is left as it is{where}")
        return ", ".join(fates)

    def _kept(self, entry: Entry, file: FileEntry) -> str:
        return os.path.join(self.path, entry.id, str(entry.files.index(file)))

    def _require_settled(self, home: Home) -> None:
        """Another run may have died since `recover`, or nobody called it."""
        if home.unsettled():
            raise Unavailable(
                "a change of this project was interrupted, and is to be put right first: nothing was written",
                hint="the next verb that changes files does it: `portward undo`, `portward set` or another",
            )

    def _entry(
        self, home: Home, verb: str, files: Sequence[FileEntry], folders: tuple[str, ...], undoes: str | None = None
    ) -> Entry:
        identity = home.next_id()
        named = (file.replace(temporary=f".portward-{identity}-{index}") for index, file in enumerate(files))
        return Entry(identity, verb, self._clock(), self.root, tuple(named), folders, undoes)

    @contextmanager
    def _locked(self, verb: str) -> Iterator[tuple[Folder, Home]]:
        with locked(self.path, verb, self._patience) as home, Folder.at(self.root) as root:
            yield root, home
