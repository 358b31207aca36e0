"""The SQLite store in trouble: each kind has its own message and remedy, and what was leased stays leased."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pytest

from portward import leases
from portward.errors import NoFreePort, Unavailable
from portward.leases import LeaseRequest, _database, _file, _queue, _schema, here, open_store
from portward.leases.sqlite import SqliteStore
from portward.model import Holder, LeaseKind, Transport
from tests.conftest import need, need_root, run_code, unmet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Lease
    from tests.conftest import Spawn

NOW = 1_800_000_000.0
NOBODY = 65534
SITE = here.site()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a store is to be. Its folder is not there yet."""
    return tmp_path / "state" / "leases.db"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users may enter, as they may not enter those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="portward-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    """An empty store."""
    with closing(SqliteStore(f"sqlite://{path}", str(path))) as opened:
        yield opened


def ask(service: str = "web", *, spread: bool = False, **others: Any) -> LeaseRequest:
    """A request for the lowest port, or with `spread` for one that nobody else asks for."""
    start = crc32(service.encode()) % 60000 if spread else 1
    offers = ((port,) for port in range(start, 65536))
    return LeaseRequest(**{"site": SITE, "holder": Holder("/p", "/p", service), "offers": offers, **others})


def grant(store: leases.LeaseStore, *services: str, now: float = NOW, **others: Any) -> tuple[Lease, ...]:
    return store.acquire([ask(service, **others) for service in services], lambda _port, _transport: True, now)


def refused(store: leases.LeaseStore, *services: str, now: float = NOW) -> Unavailable:
    """The error that a grant ends with: exit status 3, and a hint."""
    with pytest.raises(Unavailable) as caught:
        grant(store, *(services or ("more",)), now=now)
    assert caught.value.exit_code == 3
    assert caught.value.hint
    return caught.value


IN_CHILD = """
import sqlite3, time, subprocess, pwd, ctypes
from contextlib import suppress
from portward.errors import PortwardError
from portward.leases import LeaseRequest, _repair, here, open_store
from portward.model import Holder
site, path = here.site(), sys.argv[1]
store = open_store("sqlite://" + path)
def become(uid, groups=()):
    site.replace()
    os.setgroups(groups); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
def told(act):
    try:
        return act()
    except PortwardError as error:
        return [error.message, error.hint, error.exit_code]
def take(*services):
    offers = lambda: ((port,) for port in range(20000, 30000))
    return [lease.port for lease in store.acquire(
        [LeaseRequest(site, Holder("/p", "/p", service), offers()) for service in services], lambda *_: True, time.time())]
"""


# Places and permissions


def test_the_default_is_the_users_own_state() -> None:
    """`PORTWARD_STORE`, else the settings, else the state folder; a relative XDG_STATE_HOME is none."""
    home = {"HOME": "/home/alice"}
    assert leases.address(home) == "sqlite:///home/alice/.local/state/portward/leases.db"
    assert leases.address({**home, "XDG_STATE_HOME": "state"}) == leases.address(home)
    assert leases.address({**home, "XDG_STATE_HOME": "/s"}) == "sqlite:///s/portward/leases.db"
    assert leases.address(home, "sqlite:///x") == "sqlite:///x"
    assert leases.address({**home, "PORTWARD_STORE": "sqlite:///y"}, "sqlite:///x") == "sqlite:///y"


def test_a_path_may_be_written_in_several_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With three or four slashes, from the home folder, and with characters that URIs know, or no text has."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for address in (
        f"sqlite://{tmp_path}/a%20?#\udcff.db",
        f"sqlite:///{tmp_path}/a%20?#\udcff.db",
        "sqlite:///~/a%20?#\udcff.db",
    ):
        with closing(open_store(address)) as store:
            assert [lease.port for lease in grant(store, "web")] == [1]
    assert (tmp_path / "a%20?#\udcff.db").exists()


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777], ids=oct)
def test_a_store_is_its_owners_alone(store: SqliteStore, path: Path, umask: int) -> None:
    """Folder and files are open to nobody else, whatever the umask is; the copy too."""
    if umask == 0o777 and os.geteuid():
        pytest.skip("a folder that nobody may enter")
    before = os.umask(umask)
    try:
        grant(store, "web")
        grant(store, "api")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    names = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert names == dict.fromkeys(
        ["leases.db", "leases.db-wal", "leases.db-shm", "leases.db-queue", "leases.db-copy"], 0o600
    )


def test_a_grant_is_on_the_disk(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log with the commit in it is synchronized before a grant is told, and whoever is next may write meanwhile."""
    synchronized = []

    def sync(descriptor: int) -> None:
        with closing(sqlite3.connect(path)) as other:
            rows = other.execute("SELECT count(*) FROM lease").fetchone()[0]
        with open(f"{path}-queue", "r+b") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises BlockingIOError if anybody has it
        synchronized.append((os.readlink(f"/proc/self/fd/{descriptor}"), rows))
        os.fsync(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    grant(store, "web")
    assert store._connection is not None
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (1,)  # NORMAL: the log before each checkpoint
    store.release(store.leases())
    assert synchronized == [(f"{path}-wal", 1), (f"{path}-wal", 0)]


def test_what_is_not_on_the_disk_is_not_told(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails at the last step: the grant is an error, never a promise."""
    grant(store, "web")

    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(Unavailable, match="cannot record a lease"):
        grant(store, "api")


def test_a_group_shares_a_store(public: Path) -> None:
    """In a folder of mode 2770 two users of its group read and write one store, with the narrowest umask."""
    need_root()
    folder = public / "shared"
    folder.mkdir()
    os.chown(folder, 0, 23456)
    folder.chmod(0o2770)
    code = f"{IN_CHILD}os.umask(0o077); become(int(sys.argv[2]), [23456]); ready(ports=take(*sys.argv[3:]), all=len(store.leases()))"
    path = folder / "leases.db"
    assert run_code(code, path, 2001, "a", "b") == {"ports": [20000, 20001], "all": 2}
    assert run_code(code, path, 2002, "b", "c", "d") == {"ports": [20001, 20002, 20003], "all": 4}
    assert run_code(code, path, 0, "e") == {"ports": [20004], "all": 5}
    assert run_code(code, path, 2001, "f") == {"ports": [20005], "all": 6}
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o660}
    outsider = run_code(f"{IN_CHILD}become(2003); ready(take=told(lambda: take('x')), read=told(store.leases))", path)
    assert "not permitted to look into" in outsider["take"][0]
    assert outsider["take"][2] == outsider["read"][2] == 3


def test_a_shared_file_with_a_narrow_mode_is_repaired(tmp_path: Path) -> None:
    """A file that only its owner may write, in a folder that is shared, gets its mode back."""
    tmp_path.chmod(0o2770)
    path = tmp_path / "leases.db"
    with closing(SqliteStore("", str(path))) as store:
        grant(store, "web")
        path.chmod(0o600)
        assert store.repair(NOW) == (f"{path} has mode 660 now",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_the_store_of_another_user_is_left_alone(public: Path) -> None:
    """Who may not look into the folder is told so, and nothing is made elsewhere."""
    need_root()
    path = public / "state" / "leases.db"
    with closing(SqliteStore("", str(path))) as store:
        grant(store, "web")
    act = "ready(take=told(lambda: take('x')), read=told(store.leases), check=[c.ok for c in store.check(1.0)])"
    facts = run_code(f"{IN_CHILD}become({NOBODY}); {act}", path)
    assert f"not permitted to look into {path.parent}" in facts["take"][0]
    assert "cannot read the leases" in facts["read"][0]
    assert not all(facts["check"])


def test_a_folder_that_may_only_be_read_still_answers(public: Path) -> None:
    """Whoever may read but not write is told what is leased, and that nothing can be recorded."""
    need_root()
    path = public / "leases.db"
    with closing(SqliteStore("", str(path))) as store:
        (lease,) = grant(store, "web")
    path.chmod(0o644)
    act = "ready(take=told(lambda: take('x')), ports=[lease.port for lease in store.leases()], again=take('web'))"
    facts = run_code(f"{IN_CHILD}become({NOBODY}); {act}", path)
    assert facts["ports"] == facts["again"] == [lease.port]
    message, hint, status = facts["take"]
    assert "cannot record a lease: not permitted to write" in message
    assert "which belongs to root" in message
    assert "PORTWARD_STORE" in hint
    assert status == 3


READ_ONLY = f"""{IN_CHILD}
folder = os.path.dirname(path)
subprocess.run(["mount", "--bind", folder, folder], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)
ready(take=told(lambda: take("x")), known=told(lambda: take("web")), ports=[lease.port for lease in store.leases()],
      release=told(lambda: store.release(store.leases())), reclaim=told(lambda: store.reclaim(site, lambda _: "gone", lambda *_: True, 1.0)),
      check=[c.name for c in store.check(time.time()) if not c.ok], repair=told(lambda: store.repair(1.0)))
"""


@pytest.mark.parametrize("alive", [False, True], ids=["nobody else", "beside a live writer"])
def test_a_read_only_file_system_still_answers(path: Path, store: SqliteStore, alive: bool) -> None:
    """As in a sandbox: what is leased is told, and what cannot be recorded says why, and what to do."""
    need_root()
    (lease,) = grant(store, "web", now=time.time())
    if not alive:
        store.close()
    facts = run_code(READ_ONLY, path, prefix=[need("unshare"), "--mount"])
    assert facts["ports"] == facts["known"] == [lease.port]
    for act in ("take", "release", "reclaim", "repair"):
        message, hint, status = facts[act]
        assert f"{path} is on a read-only file system" in message
        assert "sandbox" in hint
        assert status == 3
    assert facts["check"] == ["access"]
    assert store.leases() == (lease,)


NO_PLACE = f"""{IN_CHILD}
os.makedirs(os.path.dirname(path))
subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", os.path.dirname(path)], check=True)
ready(take=told(lambda: take("x")), leases=told(store.leases), check=[c.name for c in store.check(1.0) if not c.ok])
"""


def test_where_no_store_can_be_made_there_is_none(path: Path) -> None:
    """A read-only home without a store: nothing is leased, and a grant is refused."""
    need_root()
    facts = run_code(NO_PLACE, path, prefix=[need("unshare"), "--mount"])
    assert facts["leases"] == []
    assert facts["take"][0] == f"cannot record a lease: {path.parent} is on a read-only file system"
    assert facts["check"] == ["access"]


def test_a_path_through_a_file_is_refused(tmp_path: Path) -> None:
    """A name that cannot be a folder is said, for reading there is nothing."""
    (tmp_path / "file").write_text("")
    with closing(open_store(f"sqlite://{tmp_path}/file/leases.db")) as store:
        assert store.leases() == ()
        assert "cannot record a lease" in refused(store).message


def test_a_strangers_folder_is_not_used(public: Path) -> None:
    """A folder that another user has made, and lets everybody write, is no place for our leases."""
    need_root()
    folder = public / "trap"
    folder.mkdir()
    os.chown(folder, 2001, 2001)
    folder.chmod(0o777)
    facts = run_code(f"{IN_CHILD}become({NOBODY}); ready(take=told(lambda: take('x')))", folder / "leases.db")
    assert "which belongs to user 2001" in facts["take"][0]
    assert list(folder.iterdir()) == []


def test_root_makes_a_store_for_its_owner(public: Path) -> None:
    """With sudo and the user's own HOME, the files are the user's, who goes on using them."""
    need_root()
    folder = public / "state"
    folder.mkdir(mode=0o700)
    os.chown(folder, 2001, 2001)
    path = folder / "leases.db"
    code = f"{IN_CHILD}become(int(sys.argv[2])); ready(ports=take(sys.argv[3]))"
    assert [run_code(code, path, *user)["ports"] for user in [(0, "a"), (2001, "b"), (0, "c"), (2001, "d")]] == [
        [20000], [20001], [20002], [20003]
    ]  # fmt: skip
    assert {each.stat().st_uid for each in folder.iterdir()} == {2001}


def test_a_file_system_of_several_machines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind of file system is asked of the kernel; where memory is not shared, no store is made, and a place is named."""
    assert _file.remote("/proc") is None
    assert _file.remote("/no such folder") is None
    folder = Path("/dev/shm") / f"portward-test-{os.getpid()}"
    if not os.path.ismount(folder.parent):
        unmet("/dev/shm is not a file system of its own")
    monkeypatch.setitem(_file._REMOTE, 0x01021994, "a file system like NFS")  # TMPFS_MAGIC of linux/magic.h
    try:
        with closing(SqliteStore("", str(folder / "leases.db"))) as store:
            error = refused(store)
            assert "is on a file system like NFS, which other machines may share" in error.message
            assert "PORTWARD_STORE=sqlite:////var/tmp/" in str(error.hint)
            assert "place" in [check.name for check in store.check(NOW) if not check.ok]
        assert not (folder / "leases.db").exists()
    finally:
        shutil.rmtree(folder)


# Disk full

FULL = f"""{IN_CHILD}
folder = os.path.dirname(path)
os.makedirs(folder)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", folder], check=True)
granted, number, error = [], 0, None
while number < 5000 and not error:
    answer = told(lambda: take(*(f"service-{{number}}-{{each}}" for each in range(20))))
    if isinstance(answer[-1], int) and len(answer) == 20:
        granted += answer
    else:
        error = answer
    number += 1
after = [lease.port for lease in store.leases()]
with suppress(OSError), open(folder + "/filler", "wb", 0) as file:
    while file.write(b"x" * 512):
        pass
release = told(lambda: [lease.port for lease in store.release(store.leases())])
check = [c.name for c in store.check(time.time()) if not c.ok]
still = [lease.port for lease in store.leases()]
os.unlink(folder + "/filler")
subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
more = take("more")
ready(granted=granted, error=error, after=after, release=release, check=check, still=still, more=more,
      sound=[c.name for c in store.check(time.time()) if not c.ok], all=len(store.leases()))
"""


def test_a_full_disk_takes_nothing_away(path: Path) -> None:
    """What was granted stays, what is refused says so, reading goes on; with space again, so does everything."""
    need_root()
    facts = run_code(FULL, path, prefix=[need("unshare"), "--mount"])
    message, hint, status = facts["error"]
    assert message == f"cannot record a lease: the disk of {path} is full"
    assert "make space" in hint
    assert status == 3
    assert len(facts["granted"]) > 100
    assert sorted(facts["granted"]) == facts["after"] == facts["still"]
    assert facts["release"][0] == f"cannot give a port back: the disk of {path} is full"
    assert facts["check"] == []
    assert facts["sound"] == []
    assert facts["all"] == len(facts["granted"]) + 1


FULL_FROM_THE_START = f"""{IN_CHILD}
folder = os.path.dirname(path)
os.makedirs(folder)
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], check=True)
with suppress(OSError), open(folder + "/filler", "wb", 0) as file:
    while file.write(b"x" * 4096):
        pass
error, leases = told(lambda: take("x")), told(store.leases)
os.unlink(folder + "/filler")
subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
ready(error=error, leases=leases, then=take("x"))
"""


def test_a_store_begins_on_a_full_disk_later(path: Path) -> None:
    """A store that could not be made leaves nothing that would be in the way when there is space."""
    need_root()
    facts = run_code(FULL_FROM_THE_START, path, prefix=[need("unshare"), "--mount"])
    assert facts["error"][0] == f"cannot record a lease: the disk of {path} is full"
    assert facts["leases"] == []
    assert facts["then"] == [20000]


# Damage


def damage_header(path: Path) -> None:
    path.write_bytes(b"not a database at all".ljust(path.stat().st_size, b"!"))


def damage_by_cutting(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage_a_page(path: Path) -> None:
    """Zeroes a page in the middle of the table of leases."""
    with closing(sqlite3.connect(path)) as connection:
        (page,) = connection.execute(
            "SELECT pageno FROM dbstat WHERE name = 'lease' AND pagetype = 'leaf' LIMIT 1 OFFSET 3"
        ).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(bytes(4096))


DAMAGE = [damage_header, damage_by_cutting, damage_a_page]


def _has_dbstat() -> bool:
    with closing(sqlite3.connect(":memory:")) as connection:
        return ("ENABLE_DBSTAT_VTAB",) in connection.execute("PRAGMA compile_options").fetchall()


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_said_and_repaired(store: SqliteStore, path: Path, damage: Any) -> None:
    """A damaged store grants nothing; repaired, it has every lease that is still readable or in the copy, on its port."""
    if damage is damage_a_page and not _has_dbstat():
        unmet("this SQLite cannot tell where a page is")
    old = grant(store, *(f"old-{number}" for number in range(300)), spread=True)
    grant(store, "makes the copy", now=NOW + 1)
    new = grant(store, *(f"new-{number}" for number in range(300)), spread=True, now=NOW + 2)
    store.close()
    damage(path)
    later = NOW + 2 * _file.COPY_AGE
    error = refused(store, now=later)
    assert error.message.startswith(f"the lease store {path} is damaged: ")
    assert "doctor --store" in str(error.hint)
    assert not all(check.ok for check in store.check(later))
    aside, rebuilt = store.repair(later)
    assert "set aside" in aside
    assert "rebuilt with" in rebuilt
    standing = set(store.leases())
    assert set(old) <= standing
    if damage is damage_a_page:
        assert len(standing) > 550
        assert any(lease in standing for lease in new)
    assert [check.name for check in store.check(later) if not check.ok] == []
    assert store.repair(later) == ()
    assert grant(store, "old-7", now=later) == (old[7],)
    assert len(grant(store, *(f"new-{number}" for number in range(300)), spread=True, now=later)) == 300
    ports = [lease.port for lease in store.leases()]
    assert len(ports) == len(set(ports))


def test_damage_without_a_copy_leaves_an_empty_store(store: SqliteStore, path: Path) -> None:
    """The damaged file is kept, the last three of them, and the answer says that nothing was saved."""
    for turn in range(5):
        grant(store, f"service-{turn}", now=NOW + turn)
        store.close()
        damage_header(path)
        _aside, rebuilt = store.repair(NOW + turn)
        assert "the store is empty now" in rebuilt
    assert store.leases() == ()
    assert len(list(path.parent.glob("*-damaged-*"))) == 3
    assert grant(store, "web")


def test_a_damaged_page_is_found_before_it_is_met(store: SqliteStore, path: Path) -> None:
    """When the copy is due, the whole store is looked at, and a damaged one is not copied."""
    if not _has_dbstat():
        unmet("this SQLite cannot tell where a page is")
    first = grant(store, *(f"old-{number}" for number in range(300)), spread=True)
    grant(store, "makes the copy", now=NOW + 1)
    store.close()
    damage_a_page(path)
    assert grant(store, first[0].holder.service, now=NOW + 2) == first[:1]
    copy = Path(f"{path}-copy").read_bytes()
    assert "damaged" in refused(store, now=NOW + 1 + _file.COPY_AGE).message
    assert Path(f"{path}-copy").read_bytes() == copy


def test_the_copy_is_renewed_each_hour(store: SqliteStore, path: Path) -> None:
    """Not more often, and also after the clock was set back; what was left of an attempt does not hinder it."""
    copy = Path(f"{path}-copy")
    grant(store, "a")
    assert not copy.exists()
    grant(store, "b", now=NOW + 1)
    assert copy.stat().st_mtime == NOW + 1
    grant(store, "c", now=NOW + _file.COPY_AGE)
    assert copy.stat().st_mtime == NOW + 1
    grant(store, "d", now=NOW - 3600)
    assert copy.stat().st_mtime == NOW - 3600
    left = Path(f"{path}-copy-new")
    left.write_text("left by a killed process")
    grant(store, "e", now=NOW + 1)
    assert copy.stat().st_mtime == NOW - 3600
    os.utime(left, (1, 1))
    grant(store, "f", now=NOW + 2)
    assert copy.stat().st_mtime == NOW + 2
    assert not left.exists()
    with closing(sqlite3.connect(f"file:{copy}?immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM lease").fetchone() == (5,)


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    """It is neither read, written, migrated nor repaired, empty tables or not."""
    path = tmp_path / "places.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE visit (url)")
        connection.commit()
    before = path.read_bytes()
    with closing(SqliteStore("", str(path))) as store:
        assert "the database of another program" in refused(store).message
        with pytest.raises(Unavailable):
            store.leases()
        with pytest.raises(Unavailable):
            store.repair(NOW)
        assert not all(check.ok for check in store.check(NOW))
    assert path.read_bytes() == before


# Files that are removed or replaced


@pytest.mark.parametrize("what", ["database", "all files", "folder"])
def test_a_store_that_is_removed_under_us_begins_anew(store: SqliteStore, path: Path, what: str) -> None:
    """Two connections were open: both go on in one new store, and neither grants what the other has."""
    with closing(SqliteStore("", str(path))) as other:
        grant(store, "a", "b")
        grant(other, "c")
        if what == "database":
            path.unlink()
        elif what == "folder":
            shutil.rmtree(path.parent)
        else:
            for each in path.parent.iterdir():
                each.unlink()
        assert other.leases() == ()
        assert store.leases() == ()
        (first,) = grant(store, "d")
        (second,) = grant(other, "e")
        (third,) = grant(store, "f")
        assert [first.port, second.port, third.port] == [1, 2, 3]
        assert store.leases() == other.leases() == (first, second, third)
        assert all(check.ok for check in store.check(NOW))
    store.close()
    with closing(SqliteStore("", str(path))) as again:
        assert again.leases() == (first, second, third)


def test_a_store_that_is_replaced_under_us_is_the_new_one(store: SqliteStore, path: Path) -> None:
    """Another file under the name, as a repair or a restored backup makes it."""
    grant(store, "a", "b")
    with closing(SqliteStore("", f"{path}-2")) as other:
        (lease,) = grant(other, "c")
    for suffix in ("-wal", "-shm"):  # what whoever restores an SQLite file must remove
        os.unlink(f"{path}{suffix}")
    os.replace(f"{path}-2", path)
    assert store.leases() == (lease,)
    assert [lease.port for lease in grant(store, "a")] == [2]


def test_a_repair_is_noticed_by_who_has_the_store_open(store: SqliteStore, path: Path) -> None:
    """The rebuilt store is used at once by everybody."""
    (a,) = grant(store, "a")
    grant(store, "b", now=NOW + 1)  # makes the copy
    with closing(SqliteStore("", str(path))) as other:
        assert len(other.leases()) == 2
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else all is still in the log
        damage_header(path)
        assert len(store.repair(NOW)) == 2
        assert other.leases() == (a,)
        (c,) = grant(other, "c")
        assert store.leases() == (a, c)


@pytest.mark.parametrize("content", ["nothing", "no tables"])
def test_a_store_whose_making_was_interrupted_is_made(store: SqliteStore, path: Path, content: str) -> None:
    """Killed after the file was made, or before its tables were."""
    path.parent.mkdir()
    path.touch()
    if content == "no tables":
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
        assert path.stat().st_size
    assert store.leases() == ()
    assert [lease.port for lease in grant(store, "web")] == [1]


# The queue

HOLD_QUEUE = """
import errno
import fcntl
descriptor = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(descriptor, fcntl.LOCK_EX)
ready()
"""


def test_who_stops_in_the_middle_is_named(path: Path, spawn: Spawn) -> None:
    """Others wait for a while, and are told who has the store; reading does not wait."""
    with closing(SqliteStore("", str(path), patience=0.2)) as store:
        (lease,) = grant(store, "web")
        child = spawn(HOLD_QUEUE, f"{path}-queue")
        error = refused(store)
        assert f"process {child.pid} has kept" in error.message
        assert store.leases() == (lease,)
        assert grant(store, "web") == (lease,)
        assert f"process {child.pid}" in {check.name: check.detail for check in store.check(NOW)}["queue"]
        child.stop()
        store._patience = 30
        assert grant(store, "more")


def test_who_gave_up_waiting_keeps_nobody_waiting(path: Path) -> None:
    """The turn that comes after one has given up passes on to the next."""
    with closing(SqliteStore("", str(path), patience=0.1)) as impatient, closing(SqliteStore("", str(path))) as patient:
        grant(patient, "web")
        with open(f"{path}-queue", "rb") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            assert "busy" in refused(impatient).message
        assert grant(patient, "api")
        assert [lease.holder.service for lease in patient.leases()] == ["web", "api"]  # nothing behind our back
        assert grant(impatient, "more")


TIMER = f"""{IN_CHILD}
import fcntl, signal
take("web")
store._patience = 0.1
if sys.argv[2] == "in use":
    signal.signal(signal.SIGALRM, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_REAL, 1000)
with open(path + "-queue", "rb") as queue:
    fcntl.flock(queue, fcntl.LOCK_EX)
    busy = told(lambda: take("api"))
granted = take("api")
ready(busy=busy[0], granted=granted, handler=int(signal.getsignal(signal.SIGALRM)), left=signal.getitimer(signal.ITIMER_REAL)[0])
"""


@pytest.mark.parametrize("use", ["free", "in use"])
def test_the_programs_own_timer_is_left_alone(path: Path, use: str) -> None:
    """The time to wait ends by a timer where the program has none, and by a thread where it has: both are as they were afterwards."""
    facts = run_code(TIMER, path, use)
    assert "busy" in facts["busy"]
    assert len(facts["granted"]) == 1
    assert facts["handler"] == (signal.SIG_IGN if use == "in use" else signal.SIG_DFL)
    assert (facts["left"] > 900) is (use == "in use")


def test_who_is_interrupted_while_waiting_gets_nothing(path: Path) -> None:
    """Ctrl-C in the queue: nothing is granted after it, and the next one is served."""
    with closing(SqliteStore("", str(path))) as store:
        grant(store, "web")
        with open(f"{path}-queue", "rb") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            threading.Thread(target=_interrupt_when_somebody_waits, args=(Path(f"{path}-queue"),)).start()
            with pytest.raises(KeyboardInterrupt):
                grant(store, "api")
        assert grant(store, "more")
        assert [lease.holder.service for lease in store.leases()] == ["web", "more"]


def _interrupt_when_somebody_waits(queue: Path) -> None:
    _somebody_waits(queue)
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _somebody_waits(queue: Path) -> None:
    end = time.monotonic() + 30
    while not _in_line(queue) and time.monotonic() < end:
        time.sleep(0.005)


def test_what_goes_wrong_at_the_head_is_told_to_who_asked(path: Path) -> None:
    """Whether it had to wait or not: the error is the caller's own."""
    with closing(SqliteStore("", str(path))) as store:
        grant(store, "web")
        with open(f"{path}-queue", "rb") as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            threading.Thread(target=_let_in_when_somebody_waits, args=(Path(f"{path}-queue"), queue.fileno())).start()
            with pytest.raises(NoFreePort):
                store.acquire([ask("api")], lambda _port, _transport: False, NOW)
        assert grant(store, "api")


def _let_in_when_somebody_waits(queue: Path, held: int) -> None:
    _somebody_waits(queue)
    fcntl.flock(held, fcntl.LOCK_UN)


def _in_line(queue: Path) -> int:
    """How many wait at the queue's file. A line may come twice where locks of others come and go while they are read."""
    with open("/proc/locks", encoding="ascii") as file:
        return len({line.partition("->")[2] for line in file if "->" in line and f":{queue.stat().st_ino} " in line})


def test_who_comes_first_is_served_first(store: SqliteStore, path: Path) -> None:
    """In the order in which they came, not in the one in which they wake."""
    if sys.platform != "linux":
        pytest.skip("only on Linux")
    grant(store, "web")
    queue = Path(f"{path}-queue")
    threads = []
    with queue.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for number in range(8):
            thread = threading.Thread(target=_grant_alone, args=(path, f"waiter-{number}"))
            thread.start()
            threads.append(thread)
            end = time.monotonic() + 30
            while _in_line(queue) <= number:
                assert time.monotonic() < end, "nobody stands in line"
                time.sleep(0.005)
    for thread in threads:
        thread.join()
    services = {lease.port: lease.holder.service for lease in store.leases()}
    assert [services[port] for port in sorted(services)] == ["web", *(f"waiter-{number}" for number in range(8))]


def _grant_alone(path: Path, service: str) -> None:
    with closing(SqliteStore("", str(path))) as own:
        grant(own, service)


def test_without_places_in_line_the_lock_does(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a system has no locks on open files, one at a time is let in all the same."""
    monkeypatch.setattr(_queue, "_SET", None)
    threads = [threading.Thread(target=_grant_alone, args=(path, f"waiter-{number}")) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [lease.port for lease in store.leases()] == list(range(1, 9))


def test_a_removed_queue_is_not_waited_in(store: SqliteStore, path: Path) -> None:
    """Whoever waits at a file that is removed queues again at the new one."""
    grant(store, "web")
    queue = Path(f"{path}-queue")
    with queue.open("rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        queue.unlink()
        assert grant(store, "api")
    assert queue.exists()


class _Overtaken(sqlite3.Connection):
    """A real connection, in the middle of whose first look another process makes the tables."""

    path = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        found = super().execute(statement, *values)
        if statement == "PRAGMA application_id" and self.path:
            row, path, self.path = found.fetchone(), self.path, ""
            with closing(_file.connect_to_write(path, 5)):
                pass
            return super().execute("SELECT ?", row)
        return found


def test_a_store_that_is_just_being_made_is_no_strangers(path: Path) -> None:
    """Whoever looks while another process makes the tables sees none of them or all, and takes the store for ours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as first:
        first.execute("PRAGMA journal_mode = WAL")  # as a store is before its tables are made
    with closing(sqlite3.connect(path, factory=_Overtaken, isolation_level=None)) as looking:
        looking.path = str(path)
        assert _schema.version(looking, str(path)) == 0
        assert _schema.version(looking, str(path)) == len(_schema.MIGRATIONS)


# Commits in doubt


class _Doubtful(sqlite3.Connection):
    """A real connection, one of whose commits fails: after the work is done, or before."""

    fails = ""

    def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
        if statement != "COMMIT" or not self.fails:
            return super().execute(statement, *values)
        kind, type(self).fails = self.fails, ""
        if kind == "after":
            super().execute(statement)
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise error


@pytest.fixture
def doubtful(monkeypatch: pytest.MonkeyPatch) -> type[_Doubtful]:
    """The class of the connections that every store has from now on."""
    connect = sqlite3.connect
    monkeypatch.setattr(
        _database.sqlite3, "connect", lambda *args, **kwargs: connect(*args, factory=_Doubtful, **kwargs)
    )
    return _Doubtful


def test_a_commit_that_failed_too_late_counts(store: SqliteStore, doubtful: type[_Doubtful]) -> None:
    """The leases are there under their own tokens: they are answered, as if nothing had been."""
    grant(store, "first")
    doubtful.fails = "after"
    leased = grant(store, "web", "api")
    assert not doubtful.fails
    assert set(leased) <= set(store.leases())


def test_a_commit_that_failed_in_time_does_not(store: SqliteStore, doubtful: type[_Doubtful]) -> None:
    """Nothing is there: the error is told, and the next grant works."""
    (first,) = grant(store, "first")
    doubtful.fails = "before"
    error = refused(store, "web", "api")
    assert "cannot record a lease: the disk under" in error.message
    assert store.leases() == (first,)
    assert len(grant(store, "web", "api")) == 2


# Versions


def test_a_newer_store_is_left_alone(store: SqliteStore, path: Path) -> None:
    """A store that a later version has changed is neither read nor written, and its version is said."""
    grant(store, "web")
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 7")
    error = refused(store)
    assert "newer Portward (tables of version 7" in error.message
    assert "upgrade" in str(error.hint)
    with pytest.raises(Unavailable):
        store.leases()


def test_an_older_store_is_brought_up_to_date(store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the first use, even if it is reading; with all its leases. A step that fails leaves the version before it."""
    (lease,) = grant(store, "web")
    steps = _schema.MIGRATIONS
    monkeypatch.setattr(_schema, "MIGRATIONS", (*steps, ("CREATE TABLE extra (x)", "CREATE TABLE lease (y)")))
    with closing(SqliteStore("", str(path))) as newer:
        with pytest.raises(Unavailable):
            newer.leases()
        monkeypatch.setattr(_schema, "MIGRATIONS", (*steps, ("CREATE TABLE extra (x)",), ("DROP TABLE extra",)))
        assert newer.leases() == (lease,)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    monkeypatch.setattr(_schema, "MIGRATIONS", steps)
    store.close()
    assert "newer" in refused(store).message


# Size

MANY = 100_000


def test_a_hundred_thousand_leases(store: SqliteStore, path: Path) -> None:
    """Every query for one holder, project or port is answered from an index, and the file ends to grow when leases do."""
    services = 500

    def fill() -> None:
        for netns in ("net:[1]", "net:[2]"):
            site = SITE.replace(netns=netns)
            requests = [
                ask(site=site, holder=Holder(f"/home/alice/code/project-{n}", f"/home/alice/code/project-{n}", "web"),
                    offers=[(port,) for port in range(1 + n * 100, 1 + n * 100 + 100)], count=100)
                for n in range(services)
            ]  # fmt: skip
            store.acquire(requests, lambda _port, _transport: True, NOW)

    fill()
    everything = store.leases()
    assert len(everything) == MANY
    asked: list[str] = []
    assert store._connection is not None
    store._connection.set_trace_callback(asked.append)
    assert len(store.leases(project="/home/alice/code/project-7")) == 200
    assert len(store.leases(ports=[501, 502])) == 4
    mine = everything[0]
    site = SITE.replace(netns=mine.netns)
    assert store.recall([ask(site=site, holder=mine.holder)], NOW) == (mine,)
    grant(store, "one more")
    store._connection.set_trace_callback(None)
    plans = [
        step
        for statement in asked
        if statement.startswith(("SELECT", "DELETE", "UPDATE", "INSERT"))
        for *_, step in store._connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert len(plans) >= 5
    assert not [step for step in plans if step.startswith("SCAN")], plans
    store.close()
    size = path.stat().st_size
    assert size < 50 << 20
    assert len(store.release(everything)) == MANY
    fill()
    store.close()
    assert path.stat().st_size <= size * 1.1
    beside = {each.name for each in path.parent.iterdir()}
    assert beside <= {"leases.db", "leases.db-queue", "leases.db-copy"}


def test_a_known_lease_is_told_with_little(store: SqliteStore, path: Path) -> None:
    """The way of a service that is known already loads no heavy module, and neither takes the queue nor writes."""
    (lease,) = grant(store, "web")
    store.close()
    code = (
        "import sys; before = set(sys.modules)\n"
        "from portward.leases import LeaseRequest, here, open_store\n"
        "from portward.model import Holder\n"
        "store = open_store('sqlite://' + sys.argv[1])\n"
        "(lease,) = store.recall([LeaseRequest(here.site(), Holder('/p', '/p', 'web'))], 0.0)\n"
        "store.close(); print(lease.port, *sorted(set(sys.modules) - before))"
    )
    os.unlink(f"{path}-queue")
    before = path.stat()
    done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    port, *loaded = done.stdout.split()
    assert int(port) == lease.port
    heavy = {
        "threading",
        "subprocess",
        "json",
        "ctypes",
        "hashlib",
        "tempfile",
        "shutil",
        "typing",
        "pathlib",
        "random",
    }
    assert not heavy & set(loaded)
    after = path.stat()
    assert (before.st_mtime_ns, before.st_size, before.st_ino) == (after.st_mtime_ns, after.st_size, after.st_ino)
    assert not os.path.exists(f"{path}-queue")


def test_the_kind_is_kept_across_a_restart(store: SqliteStore) -> None:
    """A store that is closed in between has the same leases, of every kind."""
    process = here.identity()
    assert process is not None
    leased = store.acquire(
        [
            ask("a"),
            ask("b", kind=LeaseKind.TTL, ttl=5.0),
            ask("c", kind=LeaseKind.PROCESS, holder=Holder("/p", "", "c", process=process)),
            ask("d", transport=Transport.UDP),
        ],
        lambda _port, _transport: True,
        time.time(),
    )
    store.close()
    assert set(store.leases()) == set(leased)
