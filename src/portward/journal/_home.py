"""The journal's folder of one project: its lock, and what is kept of each write."""

from __future__ import annotations

import os
import re
import time
from contextlib import ExitStack, contextmanager, suppress

from portward.errors import Unavailable
from portward.journal._disk import Folder
from portward.journal._entry import Entry, State, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ID = re.compile(r"(\d+)-[0-9a-f]+")
_POLL_SECONDS = 0.02
_UNSETTLED = (State.PLANNED, State.COMMITTED, State.REVERTING, State.WRITTEN)


class Home:
    """The journal of one project while it is locked. Methods raise OSError where the system refuses."""

    def __init__(self, folder: Folder, path: str) -> None:
        self.folder = folder
        self.path = path

    def ids(self) -> list[str]:
        """The ids of all that is kept, the oldest first."""
        return sorted(filter(_ID.fullmatch, self.folder.names()), key=_number)

    def next_id(self) -> str:
        """An id that comes after all others, and that no other write ever had."""
        last = self.ids()[-1:]
        return f"{_number(last[0]) + 1 if last else 1:04}-{os.urandom(3).hex()}"

    def unsettled(self) -> list[Entry]:
        """The writes that were interrupted. Raises Unavailable for an entry that cannot be read."""
        found = {identity: self.state(identity) for identity in self.ids()}
        return [self._read(identity, state) for identity, state in found.items() if state in _UNSETTLED]

    def last_done(self, without: Collection[str | None] = ()) -> Entry | None:
        """The last write that can be undone, of those `without` some ids. Raises Unavailable for an entry that cannot be read."""
        for identity in reversed(self.ids()):
            if identity not in without and self.state(identity) is State.DONE:
                return self._read(identity, State.DONE)
        return None

    def state(self, identity: str) -> State | None:
        """How far a write has come by its entry, None where there is none, or no more than the beginning of one."""
        try:
            with self.folder.enter(identity) as store:
                names = store.names()
        except FileNotFoundError:
            return None
        return next((state for state in State if state.file in names), None)

    def _read(self, identity: str, state: State) -> Entry:
        with self.folder.enter(identity) as store:
            return decode(store.read(state.file) or b"", os.path.join(self.path, identity, state.file))

    def drop(self, identity: str) -> None:
        """Forgets a write: the entry first, so that what is left of a half forgotten one means nothing."""
        with suppress(FileNotFoundError):
            with self.folder.enter(identity) as store:
                for name in sorted(store.names(), key=lambda name: not name.endswith(".json")):
                    store.remove(name)
                    if name.endswith(".json"):
                        store.sync()
            self.folder.remove_folder(identity)

    def tidy(self, history: int) -> None:
        """Forgets all but the last writes, and what was not begun in earnest or is half forgotten."""
        kept = []
        for identity in self.ids():
            if self.state(identity) is None:
                self.drop(identity)
            else:
                kept.append(identity)
        for identity in kept[:-history]:
            self.drop(identity)


@contextmanager
def locked(path: str, verb: str, patience: float) -> Iterator[Home]:
    """The journal at a path, made if it is missing, which no other process changes meanwhile.

    Raises Unavailable where it cannot be had, and after `patience` seconds if another process keeps it.
    """
    with ExitStack() as stack:
        try:
            _make_private(path)
            folder = stack.enter_context(Folder.at(path))
            stack.enter_context(_lock(os.path.join(path, "lock"), verb, patience))
            yield Home(folder, path)
        except OSError as error:
            raise Unavailable(
                f"the journal of changes in {path} cannot be kept ({error.strerror}): nothing was written",
                hint="XDG_STATE_HOME names another folder for it",
            ) from error


@contextmanager
def _lock(path: str, verb: str, patience: float) -> Iterator[None]:
    """flock(2) on a file that says who has it: the kernel lets go of it however the process ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _wait(descriptor, patience)
        with suppress(OSError):  # a full disk does not keep a write from being taken back
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"`{verb}`, pid {os.getpid()}".encode(), 0)
        yield
    finally:
        with suppress(OSError):
            os.close(descriptor)


def _wait(descriptor: int, patience: float) -> None:
    import fcntl

    deadline = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace")
                raise Unavailable(
                    f"another portward is changing files of this project ({holder}): nothing was written",
                    hint="wait until it has ended, and run it again",
                ) from None
        time.sleep(_POLL_SECONDS)


def _make_private(path: str) -> None:
    """Makes a folder that only its owner may enter, and those above it that are missing, as the XDG specification asks."""
    above = os.path.dirname(path)
    if above == path or os.path.isdir(path):
        return
    _make_private(above)
    with suppress(FileExistsError):
        os.mkdir(path, 0o700)
    with Folder.at(above) as folder:
        folder.sync()


def _number(identity: str) -> int:
    return int(identity.partition("-")[0])
