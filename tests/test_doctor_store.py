"""`portward doctor --store`: what can be wrong with a lease store is said, and put right only when that is asked for."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward.cli import main
from portward.leases import LeaseRequest, _schema, here
from portward.leases.sqlite import SqliteStore
from portward.model import Holder, LeaseKind, Site
from tests.conftest import need, need_root, run_code, unmet
from tests.engine import wait_for
from tests.test_leases_sqlite import HOLD_QUEUE, _has_dbstat

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Lease
    from tests.conftest import Spawn

SITE = here.site()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the store of every verb is to be, in a folder without a project."""
    chosen = tmp_path / "state" / "leases.db"
    monkeypatch.setenv("PORTWARD_STORE", f"sqlite://{chosen}")
    monkeypatch.chdir(tmp_path)
    return chosen


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """That store."""
    with closing(SqliteStore(f"sqlite://{path}", str(path))) as opened:
        yield opened


def grant(
    store: SqliteStore, count: int = 1, service: str = "web", site: Site = SITE, first: int = 1
) -> tuple[Lease, ...]:
    """So many leases of one service, from a port on."""
    offers = [(port,) for port in range(first, 65536)]
    request = LeaseRequest(site=site, holder=Holder("/p", "/p", service), offers=offers, count=count)
    return store.acquire([request], lambda _port, _transport: True, time.time())


class Doctor:
    """What `portward doctor --store --json` says."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, dict[str, Any]]:
        self._capsys.readouterr()
        status = main(["doctor", "--store", "--json", *words])
        document: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return status, document

    def wrong(self, *words: str) -> dict[str, str]:
        """The checks that fail, each with what it says. The exit status tells whether there are any."""
        status, document = self(*words)
        failed = {check["name"]: check["detail"] for check in document["checks"] if not check["ok"]}
        assert status == (1 if failed else 0)
        assert (document["cause"] is None) == (not failed)
        return failed

    def repaired(self) -> list[str]:
        """What a repair has done, after which all is well; before it was asked for, nothing was changed."""
        status, document = self("--write")
        assert status == 0, document
        assert document["cause"] is None
        assert not all(check["ok"] for check in document["found"])
        assert all(check["ok"] for check in document["checks"])
        done: list[str] = document["done"]
        return done


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """See `Doctor`."""
    return Doctor(capsys)


def test_a_sound_store_is_said_to_be(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """Whether it is there or not; each check says what it saw, and there is nothing to fix or to do."""
    for _turn in range(2):
        status, document = doctor()
        assert status == 0
        assert set(document) == {"target", "reachable", "checks", "cause", "fixes", "found", "done"}
        assert document["target"] == f"sqlite://{path}"
        assert document["reachable"] is True
        assert all(check["ok"] and check["detail"] for check in document["checks"])
        assert (document["cause"], document["fixes"], document["done"]) == (None, [], [])
        assert doctor("--write")[1]["done"] == []
        grant(store)


def test_without_a_store_there_is_nothing_to_look_at(capsys: pytest.CaptureFixture[str]) -> None:
    """The verb alone is bad usage, and says how it is used."""
    assert main(["doctor"]) == 2
    assert "`portward doctor --store`" in capsys.readouterr().err


def test_only_a_repair_that_is_asked_for_changes_anything(
    store: SqliteStore, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """First it is said what is wrong and what would be done; then that is done, and said."""
    grant(store)
    store.close()
    path.write_bytes(b"not a database")
    assert main(["doctor", "--store"]) == 1
    said = capsys.readouterr().out
    assert "no  store      the lease store" in said
    assert "fix: `portward doctor --store --write`: it is set aside" in said
    assert path.read_bytes() == b"not a database"
    assert len(list(path.parent.iterdir())) == 2
    assert main(["doctor", "--store", "--write"]) == 0
    said = capsys.readouterr().out
    assert "done: the damaged store is set aside as" in said
    assert "and now:" in said
    (aside,) = path.parent.glob("leases.db-damaged-*")
    assert aside.read_bytes() == b"not a database"


# Damage


def _pages(path: Path) -> list[tuple[int, int]]:
    """The leaf pages of the table of leases in order, each with how many rows it has."""
    if not _has_dbstat():
        unmet("this SQLite cannot tell where a page is")
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT pageno, ncell FROM dbstat WHERE name = 'lease' AND pagetype = 'leaf' ORDER BY path"
        ).fetchall()


def _overwrite(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


@pytest.mark.parametrize("length", [16, 100, 4096])
def test_all_that_stands_behind_a_damaged_head_is_saved(
    store: SqliteStore, path: Path, doctor: Doctor, length: int
) -> None:
    """The first bytes or the whole first page are overwritten: every lease is there again, with its token."""
    leases = grant(store, 300)
    store.close()
    _overwrite(path, 0, length)
    before = path.read_bytes()
    assert "damaged" in doctor.wrong()["store"]
    assert path.read_bytes() == before
    assert "rebuilt with 300 leases that could be read" in doctor.repaired()[1]
    assert store.leases() == leases
    assert not list(path.parent.glob("*-head*"))


def test_all_that_stands_between_damaged_pages_is_saved(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """Two pages in the middle are lost: only the leases on these two are, not those between them."""
    grant(store, 600)
    store.close()
    pages = _pages(path)
    assert len(pages) > 8
    lost = [pages[2], pages[-3]]
    for number, _rows in lost:
        _overwrite(path, (number - 1) * 4096, 4096)
    assert doctor.wrong()
    doctor.repaired()
    saved = 600 - sum(rows for _number, rows in lost)
    assert len(store.leases()) == saved


def test_what_was_taken_back_is_remembered_through_a_repair(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """The log of reclaimed leases is saved with the leases."""
    (lease,) = grant(store)
    kept = grant(store, service="kept")
    moment = time.time()
    for turn in range(3):
        store.reclaim(
            SITE,
            lambda each: "its folder is gone" if each.holder.service == "web" else None,
            lambda *_: True,
            moment + 61 * turn,
        )
    gone = store.reclaimed()
    assert [each.lease for each in gone] == [lease]
    store.close()
    _overwrite(path, 0, 16)
    doctor.repaired()
    assert store.reclaimed() == gone
    assert store.leases() == kept


def test_a_store_that_is_gone_comes_back_from_its_copy(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """The file was deleted: its copy is told, and used when that is asked for."""
    leases = grant(store, 5)
    grant(store, service="makes the copy")
    store.close()
    path.unlink()
    assert "its copy has 5 leases" in doctor.wrong()["store"]
    assert not path.exists()
    assert "it has the 5 leases of its copy again" in doctor.repaired()[0]
    assert store.leases() == leases


def test_a_damaged_copy_is_made_anew(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """A copy that nobody could read is no copy."""
    grant(store)
    grant(store, service="makes the copy")
    copy = Path(f"{path}-copy")
    copy.write_bytes(b"not a database")
    assert "damaged" in doctor.wrong()["copy"]
    assert "made anew" in doctor.repaired()[0]
    with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM lease").fetchone() == (2,)


# Rows that contradict each other

FORGED = {
    "an end without the kind": "UPDATE lease SET expires = 5",
    "the kind without an end": "UPDATE lease SET kind = 'ttl'",
    "a process without one": "UPDATE lease SET kind = 'process'",
    "another process": "UPDATE lease SET process = 'boot 4 17 9', pid = 17, start_ticks = 9",
}


@pytest.mark.parametrize("forged", FORGED)
def test_a_lease_that_contradicts_itself_is_kept(store: SqliteStore, path: Path, doctor: Doctor, forged: str) -> None:
    """Somebody changed the file by hand: the port stays with its holder, and no end is made up."""
    (lease,) = grant(store)
    _by_hand(path, FORGED[forged])
    assert "contradicts itself" in doctor.wrong()["rows"]
    doctor.repaired()
    (kept,) = store.leases()
    assert (kept.port, kept.token, kept.expires) == (lease.port, lease.token, None)
    assert kept.kind is (LeaseKind.PROCESS if forged == "another process" else LeaseKind.STICKY)


@pytest.mark.parametrize(
    "senseless", ["port = 70000", "port = 'x'", "transport = 'tcpip'", "kind = ''", "granted = 'now'", "slot = -1"]
)
def test_what_is_no_lease_is_set_aside(store: SqliteStore, path: Path, doctor: Doctor, senseless: str) -> None:
    """A row that nobody could have been granted is told, and is in the old file afterwards, not in the store."""
    grant(store, 2)
    _by_hand(path, f"UPDATE lease SET {senseless} WHERE port = 2")
    assert "cannot be read as a lease" in doctor.wrong()["rows"]
    doctor.repaired()
    assert [lease.port for lease in store.leases()] == [1]
    (aside,) = path.parent.glob("leases.db-damaged-*Z")
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT count(*) FROM lease").fetchone() == (2,)


def test_two_leases_in_one_place_are_both_kept(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """Without its index the table took two first ports of one holder: they are its first and its second now."""
    leases = grant(store, 2)
    _by_hand(path, "DROP INDEX lease_holder", "UPDATE lease SET slot = 0")
    said = doctor.wrong()["rows"]
    assert "the tables or indexes are not as Portward makes them" in said
    assert "ports 1 and 2 are leased as one" in said
    doctor.repaired()
    assert store.leases() == leases


def _by_hand(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


# Size and leftovers


def test_a_hundred_thousand_leases_are_looked_at(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """All of them are counted and none is found wrong; when most are gone, the file is made small again."""
    grant(store)
    others = _schema.COLUMNS.replace("netns, transport, port", "'net:[' || site || ']', transport, number").replace(
        "slot", "number"
    )
    numbers = "WITH RECURSIVE n (number) AS (SELECT 2 UNION ALL SELECT number + 1 FROM n WHERE number < 50000)"
    for site in (1, 2):
        _by_hand(
            path,
            f"{numbers} INSERT INTO lease ({_schema.COLUMNS}) SELECT {others} FROM lease, n, (SELECT {site} AS site) WHERE port = 1",
        )
    status, document = doctor()
    assert status == 0
    (size,) = (check for check in document["checks"] if check["name"] == "size")
    assert size["detail"].startswith("99999 leases in ")
    store.release(lease for lease in store.leases() if lease.port > 100)
    store.close()
    before = path.stat().st_size
    assert "are empty" in doctor.wrong()["size"]
    assert path.stat().st_size == before
    assert f"{path} has" in doctor.repaired()[0]
    assert path.stat().st_size < before / 20
    assert len(store.leases()) == 199


def test_a_log_that_only_grows_is_written_back(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """As a program leaves it that has read for days without an end: the log is larger than all leases."""
    grant(store, 1000)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        while Path(f"{path}-wal").stat().st_size < 10 << 20:
            connection.execute("UPDATE lease SET reason = 'x'")
            connection.execute("UPDATE lease SET reason = NULL")
        assert "in its log" in doctor.wrong()["size"]
        doctor.repaired()
        assert Path(f"{path}-wal").stat().st_size == 0
    assert len(store.leases()) == 1000


def test_what_a_killed_process_has_left_is_removed(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """An hour later; what somebody may just be writing stays."""
    grant(store)
    old, young = Path(f"{path}-new"), Path(f"{path}-copy-new")
    for left in (old, young):
        left.write_text("half a store")
    os.utime(old, (1, 1))
    assert str(old) in doctor.wrong()["leftovers"]
    assert doctor.repaired() == [f"{old} is removed: an interrupted process had left it"]
    assert young.exists()


def test_the_log_of_a_store_that_is_gone_is_left_over(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """Without its database it says nothing, and would be in the way of the next one."""
    grant(store)
    store.close()
    path.unlink()
    Path(f"{path}-wal").write_bytes(b"log")
    assert "-wal" in doctor.wrong()["leftovers"]
    doctor.repaired()
    assert [lease.port for lease in grant(store)] == [1]


# Who may, and when


def test_a_process_that_was_stopped_in_the_queue_is_named(path: Path, spawn: Spawn, doctor: Doctor) -> None:
    """It has the store locked and does not go on: who it is, and how to let it go on."""
    if sys.platform != "linux":
        unmet("only Linux tells who has a lock")
    path.parent.mkdir()
    Path(f"{path}-queue").touch(mode=0o600)
    child = spawn(HOLD_QUEUE, f"{path}-queue")
    assert doctor.wrong() == {}
    os.kill(child.pid, signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    assert doctor.wrong() == {"queue": f"process {child.pid} was stopped while it was writing: all others wait"}
    assert f"`kill -CONT {child.pid}`" in doctor()[1]["fixes"][0]["title"]


def test_a_clock_that_was_set_back_is_told(store: SqliteStore, doctor: Doctor) -> None:
    """A lease from the future: nothing is repaired, since nothing is lost."""
    request = LeaseRequest(site=SITE, holder=Holder("/p", "/p", "web"), offers=[(1,)])
    leases = store.acquire([request], lambda _port, _transport: True, time.time() + 3600)
    assert "in the future" in doctor.wrong()["clock"]
    assert doctor("--write")[1]["done"] == []
    assert store.leases() == leases


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_said(path: Path, doctor: Doctor, make: Any) -> None:
    """A folder or a named pipe of the store's name is left alone, and nobody waits for its other end."""
    path.parent.mkdir()
    make(path)
    assert doctor.wrong()["store"] == f"{path} is no file"
    assert doctor("--write")[0] == 1
    assert path.exists()


def test_a_newer_store_is_not_repaired(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """What this version does not know, it does not touch."""
    grant(store)
    store.close()
    _by_hand(path, "PRAGMA user_version = 7")
    before = path.read_bytes()
    assert "newer Portward" in doctor.wrong()["store"]
    status, document = doctor("--write")
    assert (status, document["done"], document["reachable"]) == (1, [], False)
    assert path.read_bytes() == before


def test_a_mode_that_is_too_wide_is_put_right(store: SqliteStore, path: Path, doctor: Doctor) -> None:
    """A file that others could read is its owner's alone again."""
    grant(store)
    path.chmod(0o644)
    assert "has mode 644" in doctor.wrong()["owner"]
    assert f"{path} has mode 600 now" in doctor.repaired()
    assert path.stat().st_mode & 0o777 == 0o600


AS_USER = """
import contextlib, encodings.ascii, io, os, pwd, sys
from portward.cli import main
from portward.leases import _repair
words, user = json.loads(sys.argv[2]), int(sys.argv[3])
if user:  # asked once before, so that all is loaded that this user may not read
    os.environ["PORTWARD_STORE"] = "sqlite:///nowhere/leases.db"
    with contextlib.redirect_stdout(io.StringIO()):
        main(["doctor", "--store", "--json"])
    os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
os.environ["PORTWARD_STORE"] = "sqlite://" + sys.argv[1]
said = io.StringIO()
with contextlib.redirect_stdout(said):
    status = main(["doctor", "--store", "--json", *words])
ready(status=status, document=json.loads(said.getvalue()))
"""


def _asked(folder: Path, *words: str, prefix: tuple[str, ...] = (), user: int = 0) -> tuple[int, dict[str, Any]]:
    """`portward doctor --store --json` in another process, as another user if that is wanted."""
    facts = run_code(AS_USER, folder / "leases.db", json.dumps(words), user, prefix=prefix, cwd="/")
    return facts["status"], facts["document"]


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that another user may enter."""
    need_root()
    folder = Path(tempfile.mkdtemp(prefix="portward-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_a_file_of_another_user_is_told_and_given_back(public: Path) -> None:
    """As after a restore by root: the user is told the command, and root does it."""
    folder = public / "state"
    folder.mkdir(mode=0o700)
    with closing(SqliteStore("", str(folder / "leases.db"))) as store:
        grant(store)
    os.chown(folder, 2001, 2001)
    status, document = _asked(folder, user=2001)
    assert status == 1
    assert document["reachable"] is False
    failed = {check["name"]: check["detail"] for check in document["checks"] if not check["ok"]}
    assert "belongs to user 0, its folder to 2001" in failed["owner"]
    assert "which belongs to root" in failed["access"]
    assert any("sudo chown 2001" in fix["title"] for fix in document["fixes"])
    status, document = _asked(folder, "--write")
    assert (status, document["cause"]) == (0, None)
    assert _asked(folder, user=2001)[0] == 0
    assert {each.stat().st_uid for each in folder.iterdir()} == {2001}


def test_a_read_only_store_is_told_and_not_repaired(public: Path) -> None:
    """As in a sandbox: it can be read, that it cannot be written is said, and a repair of damage is refused: exit 3."""
    folder = public / "state"
    with closing(SqliteStore("", str(folder / "leases.db"))) as store:
        grant(store, 300)
    mount = f'mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && exec "$@"'
    sandbox = (need("unshare"), "--mount", "sh", "-c", mount, "sh")
    status, document = _asked(folder, "--write", prefix=sandbox)
    assert (status, document["reachable"], document["done"]) == (1, True, [])
    assert "read-only file system" in document["cause"]
    _overwrite(folder / "leases.db", 0, 16)
    assert _asked(folder, prefix=sandbox)[0] == 1
    status, document = _asked(folder, "--write", prefix=sandbox)
    assert status == 3
    assert "cannot repair the lease store" in document["error"]["message"]
    assert document["error"]["hint"]
