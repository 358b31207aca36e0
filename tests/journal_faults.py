"""Writes (or takes back) the same change again and again, each time with another system call that fails or is the last.

A program of its own, with one thread, so that it may fork: `python -m tests.journal_faults FOLDER ACT KIND [--no-flags] [--step N]`
prints how many faults it tried; a state that is neither all old nor all new ends it with a traceback. ACT is write or undo. KIND:

    kill       SIGKILL before the call; torn: in the middle of a write(2)
    error      the call fails, once; late-error: it does its work and then says that it failed
    dead-disk  this call and every later one fails
    interrupt  KeyboardInterrupt, as after ^C
    twice      SIGKILL in the act, and then at every call of the recovery that follows
    foreign    SIGKILL in the act, and then somebody else writes one of the files
    power      the power fails: of what was not synced by then, each folder's names are lost or not, and bytes are lost
    power-back the same while a write that failed is taken back
"""

from __future__ import annotations

import argparse
import ast
import errno
import fcntl
import itertools
import os
import pickle
import shutil
import signal
import stat
import sys
import traceback
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import portward.journal
from portward.errors import PortwardError
from portward.journal import Journal, _disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tree = dict[str, tuple[str, int, bytes]]
    Act = Callable[[Journal], object]

NOT_SYSTEM_CALLS = {"fsencode", "access", "getpid", "strerror", "urandom"}
CHANGING = {
    "write", "pwrite", "ftruncate", "renameat2", "rename", "replace", "unlink", "mkdir", "rmdir", "fchmod", "fchown",
    "setxattr", "flock",
}  # fmt: skip
FINISHED, NOT_REACHED, REFUSED, INTERRUPTED, BUG = 0, 20, 21, 22, 23

BEFORE = {
    ".env": ("\ufeff# ports\r\nPORT=5000\r\n".encode(), 0o600),
    "compose.yaml": (b"services:\n  api:\n    ports: ['5000:80']", 0o644),
    "client/.env": (b"URL=http://localhost:5000\n", 0o640),
}
LINK = "linked.env"
CHANGES: dict[str, tuple[str | bytes, str | None]] = {
    path: (BEFORE[target][0].replace(b"5000", b"6000"), sha256(BEFORE[target][0]).hexdigest())
    for path, target in ((".env", ".env"), ("compose.yaml", "compose.yaml"), (LINK, "client/.env"))
}
CHANGES["docs/new/hook"] = ("port 6000\r\n", None)


@cache
def system_calls() -> set[str]:
    """Every function of `os` that the journal calls, as its source says."""
    names = set()
    for path in Path(portward.journal.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "os":
                names.add(node.attr)
    return {name for name in names - NOT_SYSTEM_CALLS if callable(getattr(os, name))}


def wrap_calls(around: Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]) -> None:
    """Lets every system call of the journal go through `around(name, call, arguments, options)`."""

    def wrapped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments, **options: around(name, call, arguments, options)

    for name in system_calls():
        setattr(os, name, wrapped(name, getattr(os, name)))
    os.supports_dir_fd.add(os.open)
    setattr(fcntl, "flock", wrapped("flock", fcntl.flock))  # noqa: B010 - typed as constant
    rename = wrapped("renameat2", _disk._renameat2())
    setattr(_disk, "_renameat2", lambda: rename)  # noqa: B010


def changes_disk(name: str, arguments: tuple[Any, ...]) -> bool:
    """Whether a call may leave something else on disk than there was: to die just before any other is to die at the next of these."""
    return name in CHANGING or (name == "open" and bool(arguments[1] & os.O_CREAT))


class Fault:
    """Counts calls, and at the n-th does what `kind` says. To be killed counts only at calls that change the disk."""

    def __init__(self, number: int, kind: str) -> None:
        self.number = number
        self.kind = kind
        self.count = 0

    def __call__(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self.kind in ("kill", "torn") and not changes_disk(name, arguments):
            return call(*arguments, **options)
        self.count += 1
        if self.count < self.number or (self.count > self.number and self.kind != "dead-disk"):
            return call(*arguments, **options)
        if self.kind == "torn" and name in ("write", "pwrite"):
            descriptor, data, *rest = arguments
            call(descriptor, data[: len(data) // 2], *rest)
        if self.kind in ("kill", "torn"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "interrupt":
            raise KeyboardInterrupt
        if self.kind == "late-error" or name == "close":
            call(*arguments, **options)
        code = errno.ENOSPC if name in ("write", "mkdir", "open") else errno.EIO
        if name == "renameat2":
            return code
        raise OSError(code, os.strerror(code))


class Stage:
    """A project with its journal in a folder of its own."""

    def __init__(self, base: str) -> None:
        self.root = os.path.join(base, "project")
        self.state = os.path.join(base, "state")
        self.base = base

    @property
    def journal(self) -> Journal:
        return Journal(self.root, os.path.join(self.state, "changes"), clock=lambda: 1e9)

    def build(self) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        for path, (data, mode) in BEFORE.items():
            full = os.path.join(self.root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            Path(full).write_bytes(data)
            os.chmod(full, mode)
        os.symlink("client/.env", os.path.join(self.root, LINK))

    def write(self, journal: Journal) -> object:
        return journal.write(CHANGES, verb="set api=6000", executable={"docs/new/hook"})

    def undo(self, journal: Journal) -> object:
        return journal.undo()

    def tree(self) -> Tree:
        """Everything in the project: kind, mode and bytes (or the target of a link)."""
        found: Tree = {}
        for folder, folders, names in os.walk(self.root):
            for name in (*folders, *names):
                path = os.path.join(folder, name)
                mode = os.lstat(path).st_mode
                data = os.readlink(path).encode() if stat.S_ISLNK(mode) else b""
                if stat.S_ISREG(mode):
                    data = Path(path).read_bytes()
                found[os.path.relpath(path, self.root)] = (str(stat.S_IFMT(mode)), stat.S_IMODE(mode), data)
        return found


def fork(act: Callable[[], object], fault: Fault | Power) -> int:
    """The exit status of a child that acts with a fault; minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        status = BUG
        try:
            wrap_calls(fault)
            act()
            status = FINISHED if not isinstance(fault, Fault) or fault.count >= fault.number else NOT_REACHED
        except PortwardError:
            status = REFUSED
        except KeyboardInterrupt:
            status = INTERRUPTED
        except BaseException:  # noqa: BLE001 - told by the status
            fault.number = sys.maxsize  # no more of them: to print needs the disk
            traceback.print_exc()
            sys.stderr.flush()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def settle(stage: Stage, old: Tree, new: Tree, context: object) -> Tree:
    """What the project is after the next run: all old or all new, or an AssertionError."""
    before = stage.tree()
    assert before, f"{context}: {stage.base} was removed by somebody"
    sentences = stage.journal.recover()
    after = stage.tree()
    assert after in (old, new), (context, sentences, after)
    assert before == after or sentences, f"{context}: put right without a word"
    assert stage.journal.recover() == (), context
    for entry in Path(stage.journal.path).glob("*-*"):
        assert any(entry.glob("done.json")), (context, "left over in the journal", sorted(entry.iterdir()))
    return after


def prove_usable(stage: Stage, old: Tree, new: Tree, context: object) -> None:
    """The journal still works: a write that was made can be undone, one that was not can be made."""
    if stage.tree() == old:
        assert stage.journal.undo() is None or stage.tree() == old, context
        stage.write(stage.journal)
        assert stage.tree() == new, context
    assert stage.journal.undo() is not None, context
    assert stage.tree() == old, context


def sweep(stage: Stage, act: str, kind: str, step: int) -> int:
    """Tries a fault at each system call of the act, the n-th first, until it is over before the fault."""
    old, new = ends(stage)
    for number in itertools.count(1, step):
        prepare(stage, act)
        start, goal = (old, new) if act == "write" else (new, old)
        status = fork(lambda: getattr(stage, act)(stage.journal), Fault(number, kind))
        context = (act, kind, number, status)
        if status == NOT_REACHED:
            return number
        if kind in ("kill", "torn"):
            assert status == -signal.SIGKILL, context
        elif kind in ("error", "late-error"):
            assert status in (FINISHED, REFUSED), context
            if status == REFUSED:
                assert stage.tree() == start, context
        else:
            assert status in (FINISHED, REFUSED, INTERRUPTED), context
        result = settle(stage, old, new, context)
        if kind in ("error", "late-error"):
            assert result == (goal if status == FINISHED else start), context
        if number % 4 == 1:
            prove_usable(stage, old, new, context)
    raise AssertionError


def twice(stage: Stage, act: str, step: int) -> int:
    """Kills the act, and then the recovery at each of its calls."""
    old, new = ends(stage)
    tried = 0
    for number in itertools.count(1, step):
        for again in itertools.count(1):
            prepare(stage, act)
            killed = fork(lambda: getattr(stage, act)(stage.journal), Fault(number, "kill"))
            if killed == NOT_REACHED:
                return tried
            assert killed == -signal.SIGKILL, (act, number, killed)
            status = fork(stage.journal.recover, Fault(again, "kill"))
            settle(stage, old, new, (act, "twice", number, again, status))
            tried += 1
            if status == NOT_REACHED:
                break
    raise AssertionError


def foreign(stage: Stage, act: str, step: int) -> int:
    """Kills the act, lets somebody else replace a file, and looks whether that stays and the others are of one side."""
    old, new = ends(stage)
    tried = 0
    for number in itertools.count(1, step):
        for path in BEFORE:
            prepare(stage, act)
            killed = fork(lambda: getattr(stage, act)(stage.journal), Fault(number, "kill"))
            if killed == NOT_REACHED:
                return tried
            assert killed == -signal.SIGKILL, (act, number, killed)
            theirs = Path(stage.root, path)
            theirs.unlink()
            theirs.write_bytes(b"theirs")
            sentences = stage.journal.recover()
            tree = stage.tree()
            context = (act, "foreign", number, path, sentences, tree)
            assert tree.pop(path)[2] == b"theirs", context
            assert tree in [{name: side[name] for name in side if name != path} for side in (old, new)], context
            assert stage.journal.recover() == (), context
            tried += 1
    raise AssertionError


def ends(stage: Stage) -> tuple[Tree, Tree]:
    """The project before and after the write."""
    stage.build()
    old = stage.tree()
    stage.write(stage.journal)
    return old, stage.tree()


def prepare(stage: Stage, act: str) -> None:
    stage.build()
    if act == "undo":
        stage.write(stage.journal)


class Power:
    """Remembers what was synced, and writes a picture of both the disk and the page cache before the n-th call.

    The model: a file has the bytes of its last fsync, or none; a folder has the names of its last fsync, or all of them.
    With `fails` the second file cannot be swapped with its new text.
    """

    def __init__(self, stage: Stage, number: int, picture: str, *, fails: bool) -> None:
        self.stage = stage
        self.number = number
        self.picture = picture
        self.swaps_left = 2 if fails else sys.maxsize
        self.count = 0
        self.bytes: dict[int, tuple[int, bytes]] = {}
        self.names: dict[int, dict[str, int | str]] = {}
        for inode in self._look():
            self._sync(inode)

    def __call__(self, name: str, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if changes_disk(name, arguments):
            self.count += 1
            if self.count == self.number:
                self.take()
                os.kill(os.getpid(), signal.SIGKILL)
        if name == "renameat2" and arguments[-1] == _disk._EXCHANGE:
            self.swaps_left -= 1
            if self.swaps_left == 0:
                return errno.EIO
        result = call(*arguments, **options)
        if name == "fsync":
            self._look()
            self._sync(os.fstat(arguments[0]).st_ino)
        return result

    def take(self) -> None:
        """Writes the picture."""
        self._look()
        found = (self.bytes, self.names, self._cached_bytes, self._cached_names)
        Path(self.picture).write_bytes(pickle.dumps(found))

    def _look(self) -> list[int]:
        self._cached_bytes: dict[int, tuple[int, bytes]] = {}
        self._cached_names: dict[int, dict[str, int | str]] = {}
        for folder, folders, names in os.walk(self.stage.base):
            entries: dict[str, int | str] = {}
            for name in (*folders, *names):
                path = Path(folder, name)
                status = path.lstat()
                entries[name] = os.readlink(path) if path.is_symlink() else status.st_ino
                if stat.S_ISREG(status.st_mode):
                    self._cached_bytes[status.st_ino] = (stat.S_IMODE(status.st_mode), path.read_bytes())
            self._cached_names[os.stat(folder).st_ino] = entries
        return [*self._cached_bytes, *self._cached_names]

    def _sync(self, inode: int) -> None:
        if inode in self._cached_names:
            self.names[inode] = self._cached_names[inode]
        else:
            self.bytes[inode] = self._cached_bytes[inode]


def pictures(stage: Stage, picture: str, top: int) -> Iterator[int]:
    """Builds the states that a power cut may leave: all folders' names lost, all kept, just one lost, just one kept."""
    synced_bytes, synced_names, cached_bytes, cached_names = pickle.loads(Path(picture).read_bytes())
    unsure = [inode for inode in cached_names if cached_names[inode] != synced_names.get(inode, {})]
    lost = [set(unsure), set[int]()]
    lost += [{inode} for inode in unsure] + [set(unsure) - {inode} for inode in unsure]

    def build(inode: int, path: str, names: dict[int, dict[str, int | str]]) -> None:
        os.makedirs(path, exist_ok=True)
        for name, entry in names.get(inode, {}).items():
            full = os.path.join(path, name)
            if isinstance(entry, str):
                os.symlink(entry, full)
            elif entry in cached_names or entry in synced_names:
                build(entry, full, names)
            else:
                mode, data = synced_bytes.get(entry) or (cached_bytes[entry][0], b"")
                Path(full).write_bytes(data)
                os.chmod(full, mode)

    for each in lost:
        shutil.rmtree(stage.base)
        build(top, stage.base, {**cached_names, **{inode: synced_names.get(inode, {}) for inode in each}})
        yield len(each)


def power(stage: Stage, act: str, step: int, *, fails: bool) -> int:
    """Cuts the power before each call of the act that changes the disk, and after the last one."""
    old, new = ends(stage)
    start, goal = (old, new) if act == "write" else (new, old)
    tried, status = 0, 1
    for number in itertools.count(1, step):
        prepare(stage, act)
        picture = stage.base + ".picture"
        top = os.stat(stage.base).st_ino
        fault = Power(stage, number, picture, fails=fails)

        def acted(fault: Power = fault) -> None:
            try:
                getattr(stage, act)(stage.journal)
            finally:
                fault.take()

        status = fork(acted, fault)
        assert status in (-signal.SIGKILL, REFUSED if fails else FINISHED), status
        for lost in pictures(stage, picture, top):
            context = (act, "power", number, lost, status)
            committed = any(Path(stage.state).glob("changes/*/*/committed.json"))
            result = settle(stage, old, new, context)
            if status >= 0:
                assert result == (start if fails else goal), context  # what was told is on the disk
            elif committed and not fails:
                assert result == goal, context
            if number % 4 == 1 or status >= 0:
                prove_usable(stage, old, new, context)
            tried += 1
        if status >= 0:
            return tried
    raise AssertionError


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("act", choices=("write", "undo"))
    parser.add_argument("kind")
    parser.add_argument("--no-flags", action="store_true", help="as on a file system without flags of renameat2(2)")
    parser.add_argument("--step", type=int, default=1, help="try every N-th call only")
    arguments = parser.parse_args()
    if arguments.no_flags:
        setattr(_disk, "_renameat2", lambda: lambda *_arguments: errno.ENOSYS)  # noqa: B010
    system_calls()  # once, and not in every child
    stage = Stage(os.path.join(arguments.folder, "stage"))
    if arguments.kind == "twice":
        print(twice(stage, arguments.act, arguments.step))
    elif arguments.kind == "foreign":
        print(foreign(stage, arguments.act, arguments.step))
    elif arguments.kind in ("power", "power-back"):
        print(power(stage, arguments.act, arguments.step, fails=arguments.kind == "power-back"))
    else:
        print(sweep(stage, arguments.act, arguments.kind, arguments.step))


if __name__ == "__main__":
    main()
