"""Project files are written all or none, whatever happens; and a write can be taken back."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import portward.journal
from portward.errors import FileChanged, PortwardError, Unavailable, UsageError
from portward.journal import Journal, changes_folder
from portward.journal._disk import Folder
from portward.journal._transaction import Transaction
from portward.workspace import Files, TooLarge
from tests.conftest import need, need_root, run_code, unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Spawn

ROOT = Path(__file__).parent.parent
SOAK = bool(os.environ.get("PORTWARD_SOAK"))
NOBODY = 65534

Changes = dict[str, tuple[str | bytes, str | None]]


class Project:
    """A project of the test's own: `.env` and `compose.yaml`, beside it the journal's folder."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "project"
        self.root.mkdir()
        self.put(".env", b"PORT=5000\r\n")
        self.put("compose.yaml", b"ports: ['5000:80']")

    def journal(self, **options: Any) -> Journal:
        return Journal(str(self.root), str(self.base / "state/changes"), clock=lambda: 1.5e9, **options)

    def put(self, path: str, data: bytes) -> None:
        """A file as an editor writes it: a new one in the place of the old."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        fresh = self.root / (path + "~")
        fresh.write_bytes(data)
        fresh.replace(self.root / path)

    def changes(self, new: str = "6000", paths: tuple[str, ...] = (".env", "compose.yaml")) -> Changes:
        """The files with 5000 made into another number."""
        files = Files(str(self.root))
        read = {path: files.snapshot(path) for path in paths}
        return {path: (text.replace("5000", new), digest) for path, (text, digest) in read.items()}

    def write(self, new: str = "6000") -> str | None:
        return self.journal().write(self.changes(new), verb=f"set api={new}")

    def tree(self) -> dict[str, object]:
        """Everything that is there, by path: mode, and bytes, the target of a link or nothing."""
        found: dict[str, object] = {}
        for path in sorted(self.root.rglob("*")):
            data = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(self.root))] = (stat.S_IMODE(path.lstat().st_mode), data)
        return found


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """See `Project`."""
    return Project(tmp_path)


OLD = {".env": b"PORT=5000\r\n", "compose.yaml": b"ports: ['5000:80']"}
NEW = {".env": b"PORT=6000\r\n", "compose.yaml": b"ports: ['6000:80']"}


def _texts(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in project.root.iterdir() if path.is_file()}


def test_a_write_changes_its_files_and_undo_takes_it_back(project: Project) -> None:
    """The new texts are there, nothing else is; undo tells what it did, and leaves nothing to undo."""
    journal = project.journal()
    assert journal.undo() is None
    before = project.tree()
    identity = project.write()
    assert _texts(project) == NEW
    taken_back = journal.undo()
    assert taken_back is not None
    assert (taken_back.id, taken_back.verb, taken_back.when) == (identity, "set api=6000", 1.5e9)
    assert [(file.path, file.before, file.after) for file in taken_back.files] == [
        (path, NEW[path], OLD[path]) for path in OLD
    ]
    assert project.tree() == before
    assert journal.undo() is None


NAMES = st.sampled_from([".env", "a b.yml", "sub/ünï.env", "sub/deep/x", "\udcff.env"])
BYTES = st.binary(max_size=40) | st.sampled_from([b"", b"\xef\xbb\xbfPORT=1\r\n", b"\r\n\r", b"no end", b"\x00\xff"])


@settings(deadline=None, max_examples=1000 if SOAK else 40)
@given(
    st.dictionaries(
        NAMES, st.tuples(st.none() | BYTES, BYTES, st.sampled_from([0o600, 0o755, 0o4711, 0o444 | 0o200])), min_size=1
    )
)
def test_undo_gives_back_every_byte_and_mode(files: dict[str, tuple[bytes | None, bytes, int]]) -> None:
    """Whatever the bytes, old or new, present or absent: after a write they are the new ones, after undo the old ones."""
    with tempfile.TemporaryDirectory(dir=_fast_folder()) as base:
        project = Project(Path(base))
        for default in project.root.iterdir():
            default.unlink()
        changes: Changes = {}
        for path, (old, new, mode) in files.items():
            if old is not None:
                project.put(path, old)
                (project.root / path).chmod(mode)
            changes[path] = (new, None if old is None else sha256(old).hexdigest())
        before = project.tree()
        identity = project.journal().write(changes, verb="docs")
        assert {path: (project.root / path).read_bytes() for path in files} == {
            path: new for path, (_, new, _) in files.items()
        }
        for path, (old, _, mode) in files.items():
            assert old is None or stat.S_IMODE((project.root / path).stat().st_mode) == mode
        assert (identity is None) == all(old == new for old, new, _ in files.values())
        assert (project.journal().undo() is None) == (identity is None)
        assert project.tree() == before


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def test_undo_goes_back_write_by_write(project: Project) -> None:
    """Each undo takes back the last write that was not yet taken back."""
    ids = [project.write("6000"), project.journal().write(project.changes(paths=("compose.yaml",)), verb="resolve")]
    assert ids[1] is None
    changes: Changes = {"compose.yaml": (b"third", sha256(NEW["compose.yaml"]).hexdigest())}
    assert project.journal().write(changes, verb="resolve")
    done = [project.journal().undo(), project.journal().undo()]
    assert [undo.verb for undo in done if undo] == ["resolve", "set api=6000"]
    assert _texts(project) == OLD
    assert project.journal().undo() is None


def test_a_dry_run_of_undo_tells_and_changes_nothing(project: Project) -> None:
    """It tells the same as the undo after it."""
    project.write()
    told = project.journal().undo(dry_run=True)
    assert _texts(project) == NEW
    assert told == project.journal().undo()
    assert _texts(project) == OLD


def test_undo_refuses_if_a_file_has_changed(project: Project) -> None:
    """The file is named, all files stay, and what it was before can be found."""
    project.write()
    project.put("compose.yaml", b"mine")
    for dry_run in (True, False):
        with pytest.raises(FileChanged, match="was changed since `set api=6000` wrote it") as failure:
            project.journal().undo(dry_run=dry_run)
        assert failure.value.path == "compose.yaml"
        assert failure.value.exit_code == 3
        assert failure.value.hint
        assert Path(failure.value.hint.rpartition(" ")[2]).read_bytes() == OLD["compose.yaml"]
    assert _texts(project) == NEW | {"compose.yaml": b"mine"}
    project.put("compose.yaml", NEW["compose.yaml"])
    assert project.journal().undo()


def test_only_the_last_writes_are_kept(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest are forgotten, with all that was kept of them."""
    monkeypatch.setattr(portward.journal, "HISTORY", 3)
    for number in range(5):
        text = (project.root / ".env").read_bytes()
        assert project.journal().write({".env": (str(number), sha256(text).hexdigest())}, verb="set")
    assert len(list(Path(project.journal().path).iterdir())) == 3 + 1  # the lock
    assert [project.journal().undo() is not None for _ in range(4)] == [True, True, True, False]
    assert (project.root / ".env").read_bytes() == b"1"


def test_new_files_are_made_and_undone(project: Project) -> None:
    """Folders are made for them, and go again if nothing else came into them; the mode follows the umask."""
    before = project.tree()
    changes: Changes = {"docs/a/ports.md": ("| 5000 |\n", None), ".hooks/pre-commit": ("#!/bin/sh\n", None)}
    assert project.journal().write(changes, verb="init", executable={".hooks/pre-commit"})
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((project.root / "docs/a/ports.md").stat().st_mode) == 0o666 & ~umask
    assert stat.S_IMODE((project.root / ".hooks/pre-commit").stat().st_mode) == 0o777 & ~umask
    project.put("docs/mine", b"")
    assert project.journal().undo()
    (project.root / "docs/mine").unlink()
    assert project.tree() == before | {"docs": ((project.root / "docs").stat().st_mode & 0o7777, None)}


@pytest.mark.parametrize(
    ("text", "digest", "message"),
    [
        (b"mine", sha256(b"theirs").hexdigest(), "was changed since it was read"),
        (b"mine", None, "is there already"),
        (None, sha256(b"theirs").hexdigest(), "is gone"),
    ],
)
def test_a_file_that_is_not_what_was_read_is_refused(
    project: Project, text: bytes | None, digest: str | None, message: str
) -> None:
    """It is named, and no file is written, not even the others."""
    if text is not None:
        project.put("sub/x", text)
    before = project.tree()
    changes = project.changes() | {"sub/x": ("new", digest)}
    with pytest.raises(FileChanged, match=f"sub/x: {message}: nothing was written") as failure:
        project.journal().write(changes, verb="set")
    assert failure.value.exit_code == 3
    assert project.tree() == before
    assert project.journal().undo() is None


def test_links_stay_and_their_files_are_written(project: Project) -> None:
    """A chain of links to a file of the project stays a chain; a file behind two names is refused."""
    project.put("client/real.env", b"PORT=5000")
    (project.root / "one").symlink_to("client")
    (project.root / "two").symlink_to("one/real.env")
    project.journal().write(project.changes(paths=("two",)), verb="set")
    assert (project.root / "client/real.env").read_bytes() == b"PORT=6000"
    assert (project.root / "two").readlink() == Path("one/real.env")
    assert (project.root / "one").is_symlink()
    with pytest.raises(UsageError, match=r"two: is the same file as client/real\.env"):
        project.journal().write(project.changes("7", ("client/real.env", "two")), verb="set")
    assert project.journal().undo()
    assert (project.root / "two").read_bytes() == b"PORT=5000"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("../outside", "lies outside the project"),
        ("sub/../../outside", "lies outside the project"),
        ("/etc/hostname", "lies outside the project"),
        ("link-out/file", "lies outside the project"),
        ("link-to-file", "lies outside the project"),
        ("dangling", "lies outside the project"),
        ("loop", "is not a file"),
        ("", "lies outside the project"),
        (".", "lies outside the project"),
        ("nul\0", "lies outside the project"),
        ("sub", "is not a file"),
        ("pipe", "is not a file"),
        (".env/x", "cannot be written|is gone"),
    ],
)
def test_nothing_outside_the_project_is_written(project: Project, path: str, message: str) -> None:
    """Neither by `..` nor by a link, and nothing that is no file; and then no other file is written."""
    (project.base / "outside").write_bytes(b"theirs")
    (project.root / "sub").mkdir()
    (project.root / "link-out").symlink_to("..")
    (project.root / "link-to-file").symlink_to("../outside")
    (project.root / "dangling").symlink_to("../not-there")
    (project.root / "loop").symlink_to("loop")
    os.mkfifo(project.root / "pipe")
    before = project.tree()
    for digest in (None, sha256(b"theirs").hexdigest()):
        with pytest.raises(PortwardError, match=message):
            project.journal().write(project.changes() | {path: ("new", digest)}, verb="set")
    assert project.tree() == before
    assert sorted(os.listdir(project.base)) == ["outside", "project", "state"]
    assert (project.base / "outside").read_bytes() == b"theirs"


@pytest.mark.parametrize("step", ["record", "stage", "commit", "forward"])
def test_a_folder_that_becomes_a_link_leads_nowhere(
    project: Project, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """However late a folder is replaced by a link out of the project, nothing is written there."""
    outside = project.base / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"5000")
    project.put("sub/x", b"5000")
    changes = project.changes(paths=(".env", "sub/x"))

    def swap() -> None:
        (project.root / "sub").rename(project.root / "moved")
        (project.root / "sub").symlink_to(outside)

    _just_before(monkeypatch, Transaction, step, swap)
    with contextlib.suppress(PortwardError):
        project.journal().write(changes, verb="set")
    assert [(path.name, path.read_bytes()) for path in outside.iterdir()] == [("x", b"5000")]
    assert (project.root / ".env").read_bytes() == OLD[".env"]


def _just_before(monkeypatch: pytest.MonkeyPatch, owner: type, name: str, act: Callable[[], object]) -> None:
    """Lets something happen once, at the very moment before a method does its work."""
    original = getattr(owner, name)
    pending = [act]

    def method(*arguments: Any, **options: Any) -> Any:
        if pending:
            pending.pop()()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, method)


def _change(path: Path, how: str) -> None:
    """What somebody else may do to a file."""
    if how == "in place":
        path.write_bytes(b"theirs")
        return
    path.rename(path.parent.parent / "theirs before")
    if how == "replaced":
        path.write_bytes(b"theirs")
    elif how == "a link":
        path.symlink_to(".env")


HOW = ("replaced", "in place", "removed", "a link")


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("moment", ["record", "stage", "commit", "forward", "exchange"])
def test_a_change_in_between_is_never_written_over(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str, moment: str
) -> None:
    """Somebody changes a file after it was read, up to the very instant of the rename: theirs stays, nothing is written."""
    changes = dict(reversed(project.changes().items()))  # their file comes first, and .env is not yet written
    owner = Folder if moment == "exchange" else Transaction
    _just_before(monkeypatch, owner, moment, lambda: _change(project.root / "compose.yaml", how))
    with pytest.raises(FileChanged, match="nothing was written") as failure:
        project.journal().write(changes, verb="set")
    assert failure.value.path == "compose.yaml"
    kept = _texts(project)
    assert kept.pop(".env") == OLD[".env"]
    assert kept == {} if how == "removed" else {"compose.yaml": OLD[".env"] if how == "a link" else b"theirs"}
    assert project.journal().recover() == ()
    assert project.journal().undo() is None


@pytest.mark.parametrize("how", ["replaced", "in place"])
def test_a_change_in_between_takes_back_what_was_written(
    project: Project, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The file before it has its new text by then, and gets its old one again."""
    swaps = []
    original = Folder.exchange

    def exchange(folder: Folder, source: str, target: str) -> None:
        swaps.append(target)
        if swaps == [".env", "compose.yaml"]:
            assert (project.root / ".env").read_bytes() == NEW[".env"]
            _change(project.root / "compose.yaml", how)
        original(folder, source, target)

    monkeypatch.setattr(Folder, "exchange", exchange)
    with pytest.raises(FileChanged):
        project.write()
    assert swaps == [".env", "compose.yaml", ".env", "compose.yaml"]
    assert _texts(project) == OLD | {"compose.yaml": b"theirs"}


def test_a_change_during_the_taking_back_stays(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody changes a file that has its new text, at the very instant when it is to get its old one again."""
    swaps = []
    original = Folder.exchange

    def exchange(folder: Folder, source: str, target: str) -> None:
        swaps.append(target)
        if len(swaps) == 2:
            raise OSError(5, "Input/output error")
        if len(swaps) == 3:
            project.put(".env", b"theirs")
        original(folder, source, target)

    monkeypatch.setattr(Folder, "exchange", exchange)
    with pytest.raises(Unavailable, match=r"compose\.yaml: cannot be written .*: nothing was written"):
        project.write()
    assert swaps == [".env", "compose.yaml", ".env", ".env"]
    assert _texts(project) == OLD | {".env": b"theirs"}


def test_a_file_made_in_between_is_never_written_over(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new file is not put where somebody made one at that instant."""
    renames: list[str] = []
    original = Folder.move

    def move(folder: Folder, source: str, target: str) -> None:
        if target == "ports.md" and not renames:
            renames.append(target)
            project.put("ports.md", b"theirs")
        original(folder, source, target)

    monkeypatch.setattr(Folder, "move", move)
    with pytest.raises(FileChanged):
        project.journal().write(project.changes() | {"ports.md": ("new", None)}, verb="docs")
    assert renames
    assert _texts(project) == OLD | {"ports.md": b"theirs"}


class _Crash(BaseException):
    """Ends a write as a kill does: nothing is taken back."""


@pytest.fixture
def crash_when(project: Project, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes a write of both files, and ends it before a rename of a project file (counted from 0)."""

    def crash(when: int) -> None:
        count = iter(range(when + 1))
        original = Folder.exchange

        def exchange(folder: Folder, source: str, target: str) -> None:
            if next(count) == when:
                raise _Crash
            original(folder, source, target)

        def back(_transaction: Transaction) -> None:
            raise _Crash

        with monkeypatch.context() as patched:
            patched.setattr(Folder, "exchange", exchange)
            patched.setattr(Transaction, "back", back)
            with pytest.raises(_Crash):
                project.write()

    return crash


def test_an_interrupted_write_is_finished_and_told(project: Project, crash_when: Callable[[int], None]) -> None:
    """The next run finishes it and says so; until then nothing else is written or undone; then it can be undone."""
    crash_when(1)
    assert _texts(project).items() >= {".env": NEW[".env"], "compose.yaml": OLD["compose.yaml"]}.items()
    for act in (project.write, project.journal().undo):
        with pytest.raises(Unavailable, match="interrupted"):
            act()
    assert project.journal().recover() == (
        "`set api=6000` was interrupted and is now finished: .env is written, compose.yaml is written",
    )
    assert _texts(project) == NEW
    assert project.journal().recover() == ()
    assert project.journal().undo()
    assert _texts(project) == OLD


def test_what_the_next_run_would_do_is_told_and_not_done(project: Project, crash_when: Callable[[int], None]) -> None:
    """A dry run after an interruption: what is finished first, what is taken back then; every file stays as it is."""
    crash_when(1)
    before = project.tree()
    told = "`set api=6000` was interrupted: the next run that changes files "
    assert project.journal().pending() == (told + "finishes it",)
    undo = project.journal().undo(dry_run=True)
    assert undo is not None
    assert {file.path: file.after for file in undo.files} == OLD
    assert _texts(project).items() >= {file.path: file.before for file in undo.files}.items()
    assert project.tree() == before
    project.put("compose.yaml", b"theirs")
    assert project.journal().pending() == (told + "takes it back",)
    assert project.journal().undo(dry_run=True) is None
    project.journal().recover()
    assert project.journal().pending() == ()


def test_a_dry_run_in_the_middle_of_an_undo(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo that is to be finished is followed by the undo of the write before it."""
    project.write()
    project.journal().write({".env": (b"third", sha256(NEW[".env"]).hexdigest())}, verb="third")

    def clean(_transaction: Transaction) -> None:
        raise _Crash

    with monkeypatch.context() as patched:
        patched.setattr(Transaction, "clean", clean)
        with pytest.raises(_Crash):
            project.journal().undo()
    assert project.journal().pending() == (
        "`undo of third` was interrupted: the next run that changes files finishes it",
    )
    undo = project.journal().undo(dry_run=True)
    assert undo is not None
    assert undo.verb == "set api=6000"
    project.journal().recover()
    assert project.journal().undo()
    assert _texts(project) == OLD


def test_recovery_keeps_what_was_changed_before_its_turn(project: Project, crash_when: Callable[[int], None]) -> None:
    """A file that was not written yet and was changed by somebody keeps that: then all others are taken back."""
    crash_when(1)
    project.put("compose.yaml", b"theirs")
    (sentence,) = project.journal().recover()
    assert sentence.startswith(
        "`set api=6000` was interrupted and is taken back: .env is as before, compose.yaml was changed"
    )
    assert _texts(project) == OLD | {"compose.yaml": b"theirs"}
    assert project.journal().undo() is None


def test_recovery_keeps_what_was_changed_after_its_turn(project: Project, crash_when: Callable[[int], None]) -> None:
    """A file that was written and then changed by somebody keeps that: all others are finished, and its old text is named."""
    crash_when(1)
    project.put(".env", b"theirs")
    (sentence,) = project.journal().recover()
    assert (
        "is now finished: compose.yaml is written, .env was changed by somebody else and is left as it is" in sentence
    )
    kept = sentence.rpartition("(what it was before is in ")[2].rstrip(")")
    assert Path(kept).read_bytes() == OLD[".env"]
    assert _texts(project) == NEW | {".env": b"theirs"}


def test_recovery_keeps_what_is_on_neither_side(project: Project, crash_when: Callable[[int], None]) -> None:
    """One file changed before its turn and one after: nothing of theirs is lost, and the old text of both can be had."""
    crash_when(1)
    project.put(".env", b"theirs")
    project.put("compose.yaml", b"theirs too")
    (sentence,) = project.journal().recover()
    kept = [part.partition(")")[0] for part in sentence.split("(what it was before is in ")[1:]]
    assert sorted(Path(path).read_bytes() for path in kept) == sorted(OLD.values())
    assert _texts(project) == {".env": b"theirs", "compose.yaml": b"theirs too"}
    assert project.journal().recover() == ()
    assert project.journal().undo() is None


def test_recovery_without_the_new_text_goes_back(project: Project, crash_when: Callable[[int], None]) -> None:
    """If the stored new text was cleaned away meanwhile, every file is what it was."""
    crash_when(1)
    for path in project.root.glob(".portward-*-1"):
        path.unlink()
    (sentence,) = project.journal().recover()
    assert "is taken back" in sentence
    assert _texts(project) == OLD


def test_a_damaged_journal_is_told_and_nothing_is_written(project: Project, crash_when: Callable[[int], None]) -> None:
    """An entry that cannot be read is named; so is a copy that is not what it should be."""
    project.write()
    home = Path(project.journal().path)
    (copy,) = home.glob("*/0")
    copy.write_bytes(b"other")
    with pytest.raises(Unavailable, match="the journal's copy of what it was is damaged") as damaged:
        project.journal().undo()
    assert damaged.value.path == ".env"
    copy.write_bytes(OLD[".env"])
    assert project.journal().undo()
    crash_when(1)
    (entry,) = home.glob("*/committed.json")
    for text in ("", "[]", "{}", '{"version": 2}', json.dumps(json.loads(entry.read_text()) | {"files": [{}]})):
        entry.write_text(text)
        with pytest.raises(Unavailable, match="the journal cannot be read") as unreadable:
            project.journal().recover()
        assert unreadable.value.path == str(entry)


def test_the_journal_is_private(project: Project) -> None:
    """What is kept may hold passwords: only its owner can look at it, whatever the umask."""
    umask = os.umask(0)
    try:
        project.write()
    finally:
        os.umask(umask)
    top = project.base / "state"
    for path in (top, *top.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_where_the_journal_is() -> None:
    """Below XDG_STATE_HOME if that is absolute, else below the home folder."""
    assert changes_folder({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}) == "/state/portward/changes"
    assert changes_folder({"XDG_STATE_HOME": "state", "HOME": "/home/me"}) == "/home/me/.local/state/portward/changes"
    assert changes_folder({}) == os.path.expanduser("~/.local/state/portward/changes")


def test_nothing_is_made_before_the_first_write(project: Project) -> None:
    """To look whether something was interrupted leaves no trace."""
    assert project.journal().recover() == ()
    assert os.listdir(project.base) == ["project"]


def test_every_name_of_a_project_has_one_journal(project: Project) -> None:
    """A project that is reached by a link has the same journal."""
    (project.base / "link").symlink_to("project")
    project.write()
    other = Journal(str(project.base / "link"), str(project.base / "state/changes"))
    assert other.undo()
    assert _texts(project) == OLD


def test_owner_and_attributes_stay(project: Project) -> None:
    """Root keeps a file's owner and group; an extended attribute stays where the file system has them."""
    path = project.root / ".env"
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    with contextlib.suppress(OSError):
        os.setxattr(path, "user.note", b"kept")
    attributes = os.listxattr(path)
    owner = path.stat()
    for act in (project.write, project.journal().undo):
        act()
        assert (path.stat().st_uid, path.stat().st_gid) == (owner.st_uid, owner.st_gid)
        assert os.listxattr(path) == attributes


def test_a_hard_link_keeps_the_old_text(project: Project) -> None:
    """As documented: the new text is a new file, and other names of the old one go on showing it."""
    (project.root / "other").hardlink_to(project.root / ".env")
    project.write()
    assert _texts(project) == NEW | {"other": OLD[".env"]}


REFUSALS = """
import tempfile
from portward.errors import PortwardError
from portward.journal import Journal
from portward.workspace import Files
import ctypes, fcntl, hashlib
root, state, how = sys.argv[1:]
def write():
    text, digest = Files(root).snapshot(".env")
    other, other_digest = Files(root).snapshot("sub/x")
    changes = {".env": (text.replace("5000", "6" * 300000), digest), "sub/x": (other.replace("5000", "6000"), other_digest)}
    try:
        Journal(root, state).write(changes, verb="set")
    except PortwardError as error:
        return [error.exit_code, str(error)]
"""
BECOME_NOBODY = """
import signal
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
ready(answer=write())
"""


@pytest.fixture
def open_project() -> Iterator[Project]:
    """A project that another user may reach and, unless a test forbids it, write."""
    with tempfile.TemporaryDirectory() as base:
        project = Project(Path(base))
        project.put("sub/x", b"5000")
        for folder, _folders, names in os.walk(base):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.chmod(path, 0o777)
                if os.geteuid() == 0:
                    os.chown(path, NOBODY, NOBODY)
        yield project


@pytest.mark.parametrize(
    ("path", "mode", "message"),
    [
        ("project/sub", 0o555, "sub/x: cannot be written (Permission denied): nothing was written"),
        ("project/sub/x", 0o444, "sub/x: is read-only: nothing was written"),
        (".", 0o555, "the journal of changes in "),
    ],
)
def test_what_may_not_be_written_is_told(open_project: Project, path: str, mode: int, message: str) -> None:
    """A read-only folder, a read-only file, no place for the journal: exit 3 with the name, and nothing is written."""
    before = open_project.tree()
    (open_project.base / path).chmod(mode)
    if not path.startswith("project"):
        shutil.rmtree(open_project.base / "state", ignore_errors=True)
    arguments = (open_project.root, open_project.base / "state", "nobody")
    answer = run_code(REFUSALS + BECOME_NOBODY, *arguments)["answer"]
    (open_project.base / path).chmod(0o777)
    assert answer[0] == 3
    assert answer[1].startswith(message)
    assert {path: entry for path, entry in open_project.tree().items() if entry != before[path]} == {}


MOUNTED = """
import subprocess
def mount(*words):
    subprocess.run(["mount", *words], check=True)
if how == "full":
    small = os.path.join(root, "sub")
    text = open(os.path.join(small, "x"), "rb").read()
    mount("-t", "tmpfs", "-o", "size=64k", "small", small)
    open(os.path.join(small, "x"), "wb").write(text * 10000)
elif how == "read-only":
    mount("--bind", os.path.join(root, "sub"), os.path.join(root, "sub"))
    mount("-o", "remount,bind,ro", os.path.join(root, "sub"))
else:
    mount("--bind", os.path.join(root, "sub/x"), os.path.join(root, "sub/x"))
before = {path: open(os.path.join(root, path), "rb").read() for path in (".env", "sub/x")}
answer = write()
after = {path: open(os.path.join(root, path), "rb").read() for path in (".env", "sub/x")}
ready(answer=answer, unchanged=after == before, names=[sorted(os.listdir(root)), os.listdir(os.path.join(root, "sub"))])
"""


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("full", "sub/x: cannot be written (No space left on device): nothing was written"),
        ("read-only", "sub/x: "),
        ("mounted file", "sub/x: cannot be written (Device or resource busy): nothing was written"),
    ],
)
def test_what_the_disk_refuses_is_taken_back(open_project: Project, how: str, message: str) -> None:
    """A full disk, a read-only one, a file that is mounted by itself: exit 3, and nothing is changed or left over."""
    need_root()
    arguments = (open_project.root, open_project.base / "state", how)
    told = run_code(REFUSALS + MOUNTED, *arguments, prefix=(need("unshare"), "--mount"))
    assert told["answer"][0] == 3
    assert told["answer"][1].startswith(message)
    assert told["unchanged"]
    assert told["names"] == [[".env", "compose.yaml", "sub"], ["x"]]


def test_a_second_writer_waits_and_then_says_for_whom(project: Project, spawn: Spawn) -> None:
    """The wait is bounded, and the message names the other's verb and process; when that ends, the write is made."""
    path = project.journal().path
    project.journal().write(project.changes("5001"), verb="a longer verb than that of the one who comes next")
    project.journal().undo()
    code = """
from portward.journal._home import locked
with locked(sys.argv[1], "set api=7000", 10):
    ready()
    sys.stdin.read()
"""
    other = spawn(code, path)
    with pytest.raises(Unavailable) as failure:
        project.journal(patience=0.1).write(project.changes(), verb="set")
    assert f"(`set api=7000`, pid {other.pid})" in str(failure.value)
    assert failure.value.exit_code == 3
    assert _texts(project) == OLD
    other.process.kill()
    assert project.write()


@pytest.mark.timeout(1800)
def test_writers_do_not_mix(project: Project, spawn: Spawn) -> None:
    """Many processes count up in two files at once: no count is lost, and both files always say the same."""
    code = """
from portward.errors import FileChanged
from portward.journal import Journal
from portward.workspace import Files
root, changes, times = sys.argv[1:]
ready()
sys.stdin.readline()
done = 0
while done < int(times):
    read = {name: Files(root).snapshot(name) for name in ("a", "b")}
    if len({text for text, _ in read.values()}) > 1:
        continue  # a reader may see one old and one new file
    try:
        journal = Journal(root, changes, patience=600)  # on a loaded machine each turn takes its time
        journal.write({name: (str(int(text) + 1), digest) for name, (text, digest) in read.items()}, verb="count")
        done += 1
    except FileChanged:
        pass
ready(done=done)
"""
    writers, times = 4, 50 if SOAK else 8
    for name in "ab":
        project.put(name, b"0")
    children = [spawn(code, project.root, project.base / "state/changes", times) for _ in range(writers)]
    for child in children:
        assert child.process.stdin is not None
        child.process.stdin.write("go\n")
        child.process.stdin.flush()
    for child in children:
        assert child.process.stdout is not None
        assert json.loads(child.process.stdout.readline()) == {"done": times}
    assert {name: (project.root / name).read_text() for name in "ab"} == {name: str(writers * times) for name in "ab"}


def test_killed_at_any_moment(project: Project) -> None:
    """Real processes, killed with SIGKILL at random moments: both files are always of one count, and nothing is left over."""
    code = f"""
import random, sys
sys.path.insert(0, {str(ROOT / "src")!r})
from portward.journal import Journal
from portward.workspace import Files
root, changes = sys.argv[1:]
journal = Journal(root, changes)
print(*journal.recover(), flush=True)
while True:
    read = {{name: Files(root).snapshot(name) for name in ("a", "b")}}
    journal.write({{name: (str(int(text) + 1), digest) for name, (text, digest) in read.items()}}, verb="count")
    print("written", flush=True)
    if random.random() < 0.3:
        journal.undo()
"""
    for name in "ab":
        project.put(name, b"0")
    kept, written = project.tree().keys(), 0
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    attempts = 1000 if SOAK else 15
    for attempt in range(attempts):
        command = [sys.executable, "-c", code, str(project.root), str(project.base / "state/changes")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            child.stdout.readline()  # what it recovered
            if attempt % 3 == 0:
                written += child.stdout.readline() == "written\n"
            time.sleep(moments.uniform(0, 0.03))
            child.send_signal(signal.SIGKILL)
        assert child.returncode == -signal.SIGKILL
        if attempt % 2:  # else the next child recovers
            project.journal().recover()
            assert project.tree().keys() == kept, (seed, attempt)
            assert len({(project.root / name).read_bytes() for name in "ab"}) == 1, (seed, attempt)
    project.journal().recover()
    assert project.tree().keys() == kept, seed
    assert written == len(range(0, attempts, 3))


CI_STEPS = {
    "kill": 1,
    "torn": 1,
    "error": 1,
    "late-error": 3,
    "dead-disk": 3,
    "interrupt": 3,
    "foreign": 1,
    "power": 1,
    "power-back": 1,
    "twice": 5,
}


@pytest.mark.timeout(7200 if SOAK else 1800)
@pytest.mark.parametrize("act", ["write", "undo"])
@pytest.mark.parametrize("kind", CI_STEPS)
@pytest.mark.parametrize("flags", [True, False], ids=["", "no-flags"])
def test_a_fault_at_any_system_call(act: str, kind: str, flags: bool) -> None:
    """Whatever call fails or is the last: all files are old or all are new, nothing is left over, and the next run says so.

    See tests/journal_faults.py. `flags` is whether the file system knows RENAME_EXCHANGE. Of some kinds CI tries every N-th
    call, `make soak` every one.
    """
    if not hasattr(os, "fork") or sys.platform != "linux":
        unmet("the faults need fork and Linux")
    with tempfile.TemporaryDirectory(prefix="portward-faults-", dir=_fast_folder()) as folder:
        options = ["--step", "1" if SOAK else str(CI_STEPS[kind]), *(() if flags else ("--no-flags",))]
        command = [sys.executable, "-m", "tests.journal_faults", folder, act, kind, *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


def test_a_snapshot_is_exact(project: Project) -> None:
    """Text with its byte-order mark and line ends as they are, and the hash of the very bytes."""
    data = "\ufeffPORT=5000\r\nÜ\n\r".encode()
    project.put("x", data)
    files = Files(str(project.root))
    assert files.snapshot("x") == (data.decode(), sha256(data).hexdigest())
    assert files.read("x") == data.decode()
    project.put("x", b"\xff")
    with pytest.raises(UnicodeDecodeError):
        files.snapshot("x")
    project.put("x", b" " * (4 << 20) + b" ")
    with pytest.raises(TooLarge):
        files.snapshot("x")
