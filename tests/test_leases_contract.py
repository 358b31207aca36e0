"""What every lease store keeps to, whoever keeps the leases: granting, giving back, reclaiming, many processes, `kill -9`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from portward.errors import NoFreePort, UsageError
from portward.leases import KEPT, SIGHTINGS, SPACING, LeaseRequest, open_store
from portward.model import Holder, Lease, LeaseKind, ProcessId, Site, Transport
from tests.conftest import SOAK, run_code
from tests.lease_model import LeaseMachine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from portward.leases import LeaseStore

NOW = 1_800_000_000.0
ROOT = (Path(__file__).parent.parent, Path(__file__).parent.parent / "src")
HERE = Site("this-host", "", "boot-1")
SANDBOX = Site("this-host", "net:[4026532254]", "boot-1")
PROCESS = ProcessId("boot-1", 4711, 100)


@pytest.fixture(params=["sqlite", "etcd"])
def new_address(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the address of another empty store with each call, of each kind of store: one that is new is added here."""
    numbers = count()
    if request.param == "sqlite":
        return lambda: f"sqlite://{tmp_path}/state-{next(numbers)}/leases.db"
    cluster = request.getfixturevalue("etcd")
    return lambda: f"etcd://{cluster.endpoints}/{tmp_path.name}-{os.urandom(4).hex()}"


@pytest.fixture
def address(new_address: Callable[[], str]) -> str:
    """The address of an empty store."""
    return new_address()


@pytest.fixture
def store(address: str) -> Iterator[LeaseStore]:
    """An empty store."""
    with closing(open_store(address)) as opened:
        yield opened


def holder(service: str = "web", worktree: str = "/code/nexus", **others: Any) -> Holder:
    """A service of a project that has two working trees."""
    return Holder("/code/nexus", worktree, service, **others)


def ask(service: str | Holder = "web", ports: Iterable[Any] = range(20000, 20010), **others: Any) -> LeaseRequest:
    """A request for a port out of a few. `ports` are numbers, or groups of them."""
    who = service if isinstance(service, Holder) else holder(service)
    offers = [port if isinstance(port, tuple) else (port,) for port in ports]
    return LeaseRequest(**{"site": HERE, "holder": who, "offers": offers, **others})


def always(_port: int, _transport: Transport) -> bool:
    return True


def never(_port: int, _transport: Transport) -> bool:
    return False


def no_call(*_arguments: object) -> bool:
    raise AssertionError("asked without need")


def no_offers() -> Iterator[tuple[int, ...]]:
    raise AssertionError("an offer was drawn without need")
    yield ()


def ports_of(leases: Iterable[Lease]) -> list[int]:
    return [lease.port for lease in leases]


def grant(store: LeaseStore, *requests: LeaseRequest, now: float = NOW) -> tuple[Lease, ...]:
    return store.acquire(requests, always, now)


def test_a_store_that_is_not_there_is_empty(address: str, tmp_path: Path) -> None:
    """Reading, giving back and reclaiming neither fail nor make anything."""
    with closing(open_store(address)) as store:
        assert store.leases() == ()
        assert store.recall([ask()], NOW) is None
        gone = Lease("h", "", Transport.TCP, 20000, holder(), LeaseKind.TTL, "token", NOW)
        assert store.release([gone]) == ()
        assert store.renew([gone], 60, NOW) == ()
        assert store.reclaim(HERE, lambda _lease: "gone", always, NOW) == ()
        assert store.reclaimed() == ()
        assert all(check.ok for check in store.check(NOW))
        assert store.repair(NOW) == ()
    assert list(tmp_path.iterdir()) == []


def test_a_grant_says_what_was_asked_and_given(store: LeaseStore) -> None:
    """The first offer is granted, and every field of the lease is there again when it is read."""
    who = holder("web", instance="8080", uid=1000, user="alice")
    request = ask(who, [20003, 20001], transport=Transport.UDP, preferred=3000, reason="the callback is registered")
    (lease,) = grant(store, request)
    assert lease == Lease(
        "this-host", "", Transport.UDP, 20003, who, LeaseKind.STICKY, lease.token, NOW, None, 3000, 0, "boot-1",
        "the callback is registered",
    )  # fmt: skip
    assert len(lease.token) == 32
    assert store.leases() == (lease,)


def test_asking_again_gives_the_same_port(store: LeaseStore, address: str) -> None:
    """Whether it is free or not, without drawing an offer, also through another connection; `recall` tells it before."""
    (lease,) = grant(store, ask())
    for again in (store, open_store(address)):
        with closing(again):
            assert again.recall([ask(ports=())], NOW) == (lease,)
            assert again.acquire([ask(ports=()).replace(offers=no_offers())], no_call, NOW + 1) == (lease,)


def test_nobody_is_granted_what_another_has(store: LeaseStore) -> None:
    """Another service, working tree, project or instance is another holder."""
    others = [
        holder("web"),
        holder("api"),
        holder("web", worktree="/code/nexus-2"),
        Holder("/code/other", "/code/nexus", "web"),
        holder("web", instance="2"),
    ]
    leases = grant(store, *map(ask, others))
    assert ports_of(leases) == [20000, 20001, 20002, 20003, 20004]
    assert [lease.holder for lease in leases] == others


@pytest.mark.parametrize(
    "other",
    [
        {"transport": Transport.UDP},
        {"site": SANDBOX},
        {"site": Site("other-host")},
    ],
    ids=["transport", "network namespace", "host"],
)
def test_a_port_means_one_thing_in_one_place(store: LeaseStore, other: dict[str, Any]) -> None:
    """The same number may be leased once for each transport, network namespace and host, also to one holder."""
    leases = grant(store, ask(), ask(**other), ask("api", **other))
    assert ports_of(leases) == [20000, 20000, 20001]
    assert len(store.leases()) == 3


def test_only_what_is_free_is_granted(store: LeaseStore) -> None:
    """The bind is asked for each offer that nobody has a lease on, in order, until one is free."""
    grant(store, ask("api", [20001]))
    asked = []

    def is_free(port: int, transport: Transport) -> bool:
        asked.append((port, transport))
        return port == 20003

    (lease,) = store.acquire([ask()], is_free, NOW)
    assert lease.port == 20003
    assert asked == [(port, Transport.TCP) for port in (20000, 20002, 20003)]


def failing(port: int, _transport: Transport) -> bool:
    raise OSError("the bind probe fails")


class FailingOffers:
    """One port, and then an error of the caller's own."""

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        yield (20001,)
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("second", "is_free", "error"),
    [
        (ask("api", [20000]), always, NoFreePort),
        (ask("api", ()), always, NoFreePort),
        (ask("api").replace(offers=FailingOffers(), count=2), always, ZeroDivisionError),
        (ask("api"), failing, OSError),
        (ask("api"), never, NoFreePort),
    ],
    ids=["taken by the first", "no offers", "offers fail", "bind fails", "nothing free"],
)
def test_all_or_nothing(
    store: LeaseStore, second: LeaseRequest, is_free: Callable[[int, Transport], bool], error: type[Exception]
) -> None:
    """If one of several services cannot be served, none is; the error is the caller's own."""
    (before,) = grant(store, ask("db", [20009]))
    with pytest.raises(error):
        store.acquire([ask("db"), ask("web", [20000]), second], is_free, NOW)
    assert store.leases() == (before,)
    assert ports_of(grant(store, ask("web"))) == [20000]


def test_a_holder_may_have_several_ports(store: LeaseStore) -> None:
    """More are added, fewer are the first ones, and what is not asked for now is kept."""
    three = grant(store, ask(count=3))
    assert [(lease.port, lease.index) for lease in three] == [(20000, 0), (20001, 1), (20002, 2)]
    assert grant(store, ask(count=2)) == three[:2]
    five = grant(store, ask(count=5))
    assert five[:3] == three
    assert ports_of(five) == [20000, 20001, 20002, 20003, 20004]
    store.release(five[1:2])
    assert ports_of(grant(store, ask(count=5, ports=[20008]))) == [20000, 20008, 20002, 20003, 20004]


def test_neighbours_are_granted_whole(store: LeaseStore) -> None:
    """A group with a port that is taken is passed over; a holder without such a group gets all anew."""
    grant(store, ask("api", [20001]))
    groups = [(port, port + 1, port + 2) for port in range(20000, 20010)]
    (single,) = grant(store, ask(ports=[20009]))
    three = grant(store, ask(ports=groups, count=3, contiguous=True))
    assert ports_of(three) == [20002, 20003, 20004]
    assert single not in store.leases()
    assert grant(store, ask(ports=(), count=3, contiguous=True)) == three
    assert grant(store, ask(ports=(), count=2, contiguous=True)) == three[:2]
    assert grant(store, ask(ports=(), count=2)) == three[:2]


def test_a_port_can_be_left_for_another(store: LeaseStore) -> None:
    """What is to be avoided is given back and replaced, and what is not stays; if nothing else is free, all stays."""
    first, second = grant(store, ask(count=2))
    avoid = frozenset({20000})
    assert store.recall([ask(count=2, avoid=avoid)], NOW) is None
    moved = grant(store, ask(count=2, avoid=avoid))
    assert ports_of(moved) == [20002, 20001]
    assert moved[1] == second
    assert first not in store.leases()
    with pytest.raises(NoFreePort):
        grant(store, ask(count=2, avoid=frozenset({20001}), ports=[20001]))
    assert set(store.leases()) == set(moved)


def test_only_the_lease_itself_is_given_back(store: LeaseStore) -> None:
    """A lease that was given back already, and whose port is another's by now, gives nothing back."""
    web, api = grant(store, ask("web"), ask("api"))
    assert store.release([web, api.replace(token="forged")]) == (web,)
    assert store.release([web]) == ()
    (other,) = grant(store, ask("other"))
    assert other.port == web.port
    assert store.release([web]) == ()
    assert store.leases() == (other, api)


def test_time_ends_a_lease(store: LeaseStore) -> None:
    """From that second on its port may be another's, and that is remembered; not before, and not if it is not free."""
    (lease,) = grant(store, ask(kind=LeaseKind.TTL, ttl=60))
    assert lease.expires == NOW + 60
    with pytest.raises(NoFreePort):
        store.acquire([ask("api", [20000])], always, NOW + 59.9)
    with pytest.raises(NoFreePort):
        store.acquire([ask("api", [20000])], never, NOW + 60)
    (other,) = store.acquire([ask("api", [20000])], always, NOW + 60)
    assert store.leases() == (other,)
    (memory,) = store.reclaimed()
    assert (memory.lease, memory.why, memory.when) == (lease, "its time ran out", NOW + 60)


def test_time_is_given_anew(store: LeaseStore) -> None:
    """By renewing and by asking again, also a little late; a lease that is another's by then is lost."""
    (lease,) = grant(store, ask(kind=LeaseKind.TTL, ttl=60))
    (renewed,) = store.renew([lease], 60, NOW + 50)
    assert renewed == lease.replace(expires=NOW + 110)
    assert store.leases() == (renewed,)
    assert store.recall([ask(kind=LeaseKind.TTL, ttl=60)], NOW) is None
    (again,) = grant(store, ask(kind=LeaseKind.TTL, ttl=60, ports=()), now=NOW + 500)
    assert again == lease.replace(expires=NOW + 560)
    grant(store, ask("api", [20000]), now=NOW + 600)
    assert store.renew([again], 60, NOW + 601) == ()


def test_the_last_word_on_the_kind_counts(store: LeaseStore) -> None:
    """The same port, with the kind and end that were asked for last. Only leases with an end are renewed."""
    (sticky,) = grant(store, ask())
    (timed,) = grant(store, ask(kind=LeaseKind.TTL, ttl=5))
    assert timed == sticky.replace(kind=LeaseKind.TTL, expires=NOW + 5)
    assert store.recall([ask()], NOW) is None
    assert grant(store, ask()) == (sticky,)
    assert store.renew([sticky], 60, NOW) == ()
    assert store.leases() == (sticky,)


def test_a_process_is_a_holder_of_its_own(store: LeaseStore) -> None:
    """Two processes of one service have two ports, each the same again; a pid that is used anew is another process."""
    processes = [PROCESS, ProcessId("boot-1", 4711, 200), ProcessId("boot-1", 4711, 100, "4026532000"), None]
    requests = [
        ask(holder(process=process), kind=LeaseKind.PROCESS if process else LeaseKind.STICKY) for process in processes
    ]
    leases = grant(store, *requests)
    assert ports_of(leases) == [20000, 20001, 20002, 20003]
    assert [lease.holder.process for lease in store.leases()] == processes
    assert store.recall(requests, NOW) == leases


def reclaim(
    store: LeaseStore, now: float, dead: Iterable[str] = ("web",), is_free: Callable[[int, Transport], bool] = always
) -> list[int]:
    """Which ports are taken back where the services in `dead` are gone."""
    taken = store.reclaim(HERE, lambda lease: "gone" if lease.holder.service in set(dead) else None, is_free, now)
    assert {row.when for row in taken} <= {now}
    return [row.lease.port for row in taken]


def test_a_sticky_lease_is_reclaimed_at_the_third_sighting(store: LeaseStore) -> None:
    """Three times a minute apart, however often it is looked at between; the log says what and why."""
    web, api = grant(store, ask("web"), ask("api"))
    minute = SPACING
    assert SIGHTINGS == 3
    for seconds in (0, 1, minute - 0.1, minute, minute + 1, 2 * minute - 0.1):
        assert reclaim(store, NOW + seconds) == []
        assert set(store.leases()) == {web, api}
    assert reclaim(store, NOW + 2 * minute) == [web.port]
    assert store.leases() == (api,)
    (memory,) = store.reclaimed()
    assert (memory.lease, memory.why, memory.when) == (web, "gone", NOW + 2 * minute)
    assert store.reclaimed(project="/code/nexus") == (memory,)
    assert store.reclaimed(project="/code/other") == ()
    assert ports_of(grant(store, ask("web"))) == [web.port]


def test_a_look_is_remembered(store: LeaseStore, address: str) -> None:
    """By the store, for all who ask it; one that is not there was looked at a moment ago, so to say."""
    assert store.looked(HERE.host) > NOW
    before = time.time() - 1
    grant(store, ask("web"))
    assert before <= store.looked(HERE.host) <= time.time() + 1
    reclaim(store, NOW, dead=())
    with closing(open_store(address)) as other:
        assert store.looked(HERE.host) == other.looked(HERE.host) == NOW


@pytest.mark.parametrize("alive", [{"dead": ()}, {"is_free": never}], ids=["seen alive", "port in use"])
def test_a_holder_that_is_seen_again_is_not_gone(store: LeaseStore, alive: dict[str, Any]) -> None:
    """Its folder is back, or something still has the port: then it is counted anew."""
    grant(store, ask("web"))
    assert reclaim(store, NOW) == reclaim(store, NOW + SPACING) == []
    assert reclaim(store, NOW + 2 * SPACING, **alive) == []
    assert reclaim(store, NOW + 3 * SPACING) == reclaim(store, NOW + 4 * SPACING) == []
    assert reclaim(store, NOW + 5 * SPACING) == [20000]


@pytest.mark.parametrize("kind", [LeaseKind.TTL, LeaseKind.PROCESS])
def test_time_and_processes_end_at_once(store: LeaseStore, kind: LeaseKind) -> None:
    """A lease whose time or process has ended is taken back at the first look, if its port binds."""
    if kind is LeaseKind.TTL:
        dead: Sequence[str] = ()
        grant(store, ask("web", kind=kind, ttl=60), ask("api", kind=kind, ttl=61))
    else:
        dead = ["web"]
        grant(store, *(ask(holder(name, process=PROCESS), kind=kind) for name in ("web", "api")))
    later = NOW + 60
    assert reclaim(store, NOW, ()) == []
    assert reclaim(store, later, dead, never) == []
    assert reclaim(store, later, dead) == [20000]
    assert ports_of(store.leases()) == [20001]


def test_what_cannot_be_seen_is_not_reclaimed(store: LeaseStore) -> None:
    """Other hosts are never judged; in other network namespaces no bind is asked, and all kinds are seen three times."""
    grant(
        store,
        ask("web", site=Site("other-host")),
        ask("web", site=SANDBOX, kind=LeaseKind.TTL, ttl=1),
        ask(holder("api"), site=SANDBOX),
    )
    for look in range(3):
        taken = store.reclaim(HERE, lambda _lease: None, no_call, NOW + 2 + look * SPACING)
        assert [row.lease.holder.service for row in taken] == (["web"] if look == 2 else [])
    assert [(lease.host, lease.netns) for lease in store.leases()] == [("other-host", ""), ("this-host", SANDBOX.netns)]


def test_a_clock_set_back_neither_frees_nor_blocks(store: LeaseStore) -> None:
    """An hour back: nobody loses a port early, sightings start their minute anew, and the check says so."""
    (web, api) = grant(store, ask("web"), ask("api", kind=LeaseKind.TTL, ttl=60))
    assert reclaim(store, NOW) == []
    back = NOW - 3600
    assert grant(store, ask("web"), now=back) == (web,)
    assert reclaim(store, back) == []
    with pytest.raises(NoFreePort):
        grant(store, ask("new", [api.port]), now=back + 61)
    assert reclaim(store, back + SPACING) == []
    assert reclaim(store, back + 2 * SPACING) == [web.port]
    (clock,) = [check for check in store.check(back) if not check.ok]
    assert clock.name == "clock"
    assert "3600 s in the future" in clock.detail
    assert clock.hint
    assert ports_of(grant(store, ask("new"), now=back)) == [20000]


def test_the_log_is_bounded(store: LeaseStore) -> None:
    """Of many reclaimed leases the latest are remembered."""
    for first in range(20000, 20000 + KEPT + 20, 60):  # what etcd changes at once is limited
        grant(store, ask(str(first), range(first, first + 60), count=60, kind=LeaseKind.TTL, ttl=1))
    assert len(reclaim(store, NOW + 1)) == KEPT + 20
    assert store.leases() == ()
    log = store.reclaimed()
    assert len(log) == KEPT
    assert log[0].lease.port == 20000 + KEPT + 19


def test_leases_are_found_by_what_is_known_of_them(store: LeaseStore) -> None:
    """By host, project, worktree and ports, in a steady order."""
    a = ask(Holder("/p", "/p", "a"), [20005])
    b = ask(Holder("/p", "/p-2", "b"), [20001])
    c = ask(Holder("/q", "/q", "c"), [20001], transport=Transport.UDP)
    d = ask(Holder("/q", "/q", "d"), [20003], site=Site("other-host"))
    leases = dict(zip("abcd", grant(store, a, b, c, d), strict=True))

    def found(**query: Any) -> str:
        names = {lease: name for name, lease in leases.items()}
        return "".join(names[lease] for lease in store.leases(**query))

    assert found() == "dbca"
    assert found(host="this-host") == "bca"
    assert found(project="/p") == "ba"
    assert found(project="/p", worktree="/p") == "a"
    assert found(ports=[20001, 20003]) == "dbc"
    assert found(ports=range(1, 65536)) == "dbca"
    assert found(ports=[]) == ""
    assert found(project="/") == ""


@pytest.mark.parametrize("path", ["/code/\udcff\udcfe", "/code/ü 'x';--", "/code/%00?#\n"], ids=ascii)
def test_any_path_may_hold_a_lease(store: LeaseStore, path: str) -> None:
    """Also one that is not UTF-8, as Linux allows."""
    (lease,) = grant(store, ask(Holder(path, path, "web")))
    assert store.leases(project=path, worktree=path) == (lease,)
    assert lease.holder.worktree == path
    assert store.recall([ask(Holder(path, path, "web"))], NOW) == (lease,)


@pytest.mark.parametrize(
    "senseless",
    [
        {"count": 0},
        {"ttl": 5.0},
        {"kind": LeaseKind.TTL},
        {"kind": LeaseKind.TTL, "ttl": 0.0},
        {"kind": LeaseKind.TTL, "ttl": float("nan")},
        {"kind": LeaseKind.TTL, "ttl": float("inf")},
        {"kind": LeaseKind.PROCESS},
        {"service": holder(process=PROCESS)},
    ],
    ids=str,
)
def test_senseless_requests_are_refused(store: LeaseStore, senseless: dict[str, Any]) -> None:
    """Whatever cannot be meant is bad usage, and nothing is granted."""
    with pytest.raises(UsageError):
        grant(store, ask("api"), ask(**senseless))
    assert store.leases() == ()


def test_a_closed_store_opens_again(store: LeaseStore) -> None:
    """Closing lets go of everything, as often as wanted."""
    (lease,) = grant(store, ask())
    store.close()
    store.close()
    assert store.leases() == (lease,)


def test_a_sound_store_needs_no_repair(store: LeaseStore) -> None:
    """All checks are well, and repairing changes nothing."""
    leases = grant(store, ask("web"), ask("api"))
    assert [check.name for check in store.check(NOW) if not check.ok] == []
    assert store.repair(NOW) == ()
    assert store.leases() == leases


def test_threads_share_a_store(store: LeaseStore) -> None:
    """Several threads ask one store object at once: every grant another port."""
    found: list[Lease] = []
    errors: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for number in range(10):
                found.extend(grant(store, ask(f"{name}-{number}", range(20000, 20100))))
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(ports_of(found)) == list(range(20000, 20060))


FORKED = """
import time
from portward.leases import LeaseRequest, here, open_store
from portward.model import Holder
site, store = here.site(), open_store(sys.argv[1])
def take(name):
    offers = ((port,) for port in range(20000, 20100))
    return store.acquire([LeaseRequest(site, Holder("/p", "/p", name), offers)], lambda *_: True, time.time())[0].port
took = [take("parent")]
read, write = os.pipe()
for name in ("a", "b"):
    if not os.fork():
        os.write(write, json.dumps(take(name)).encode() + b" ")
        store.close()
        os._exit(0)
    os.wait()
took.append(take("parent again"))
os.close(write)
ready(parent=took, children=[int(word) for word in os.read(read, 100).split()], all=[l.port for l in store.leases()])
"""


def test_a_forked_child_has_a_connection_of_its_own(address: str) -> None:
    """A store that was used before a fork can be used, and closed, on both sides of it."""
    facts = run_code(FORKED, address)
    assert facts["parent"] == [20000, 20003]
    assert facts["children"] == [20001, 20002]
    assert facts["all"] == [20000, 20001, 20002, 20003]


WAYS = {"store": ["store"], "library": ["library"], "command": ["command"], "mix": ["store", "library", "command"]}
"""Who asks in a contest: in a mix, the processes take turns to be one and the other."""

PROCESSES, EACH = (32, 100) if SOAK else (8, 25)
FEW = 100 if SOAK else 5  # where a command is started for each grant
SLOWEST_SECONDS = 0.5


@pytest.mark.timeout(3600 if SOAK else 900)
@pytest.mark.parametrize("way", WAYS)
def test_many_processes_take_leases_at_once(
    address: str, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All get different ports, without an error. At the full size nobody waits long, and each has its fair share while all ask."""
    few = "command" in WAYS[way] or not address.startswith("sqlite")  # what stands above the store is the same for each
    each = FEW if few else EACH
    (tmp_path / "project/.git").mkdir(parents=True)
    for name in ("PORT", "CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*map(str, ROOT), os.environ.get("PYTHONPATH", "")]))
    command = [sys.executable, "-m", "tests.lease_workers", "take", address]
    workers = [
        subprocess.Popen(
            [*command, f"worker{number}", str(each), WAYS[way][number % len(WAYS[way])]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=tmp_path / "project",
        )
        for number in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        answers = [worker.communicate()[0] for worker in _told_all(workers)]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    grants = [json.loads(answer) for answer in answers]
    assert [len(found) for found in grants] == [each] * PROCESSES
    given = {port: token for found in grants for port, token, *_ in found}
    assert len(given) == PROCESSES * each
    with closing(open_store(address)) as store:
        kept = {lease.port: lease.token for lease in store.leases()}
        assert all(check.ok for check in store.check(time.time()))
    assert kept.keys() == given.keys()
    assert all(token in ("", kept[port]) for port, token in given.items())
    _judge_time(grants, way, address)


def _judge_time(grants: Sequence[Sequence[tuple[int, str, float, float, float]]], way: str, address: str) -> None:
    """Says how long the slowest grant of each kind took and how evenly all were served; judged at the full size alone, where
    there is a queue.

    Shares are those of one kind until the first of that kind is done. A grant is from asking (the store, or a verb of Portward) to the
    answer, which is on the disk. Where a process is started for it, that takes longer, as for any program of which as many are
    started at once as there are workers: it is said, not judged.
    """
    kinds = [WAYS[way][number % len(WAYS[way])] for number in range(len(grants))]
    for kind in WAYS[way]:
        own = [found for found, each in zip(grants, kinds, strict=True) if each == kind]
        first_done = min(found[-1][2] for found in own)
        shares = [sum(granted <= first_done for _, _, granted, *_ in found) for found in own]
        fair = sum(shares) / len(shares) or 1
        slowest = max(seconds for found in own for *_, seconds, _ in found)
        longest = max(seconds for found in own for *_, seconds in found)
        print(f"\n{way}, {len(own)} by {kind}, {len(own[0])} leases each: slowest grant {slowest * 1000:.0f} ms, "
              f"with its process {longest * 1000:.0f} ms, "
              f"shares {min(shares) / fair:.2f} to {max(shares) / fair:.2f} of the fair one")  # fmt: skip
        if SOAK and address.startswith("sqlite"):
            assert fair / 2 <= min(shares)
            assert max(shares) <= fair * 2
            assert slowest <= SLOWEST_SECONDS


def _told_all(workers: Sequence[subprocess.Popen[str]]) -> Sequence[subprocess.Popen[str]]:
    """All workers, after each was told to start: the first one does not run alone."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return workers


KILLS = 1000 if SOAK else 100


@pytest.mark.timeout(900 if SOAK else 120)
def test_killed_writers_lose_and_double_nothing(address: str) -> None:
    """`kill -9` at random moments: what was granted stands, nobody had it twice, and the store is whole."""
    kills = KILLS if address.startswith("sqlite") else KILLS // 4
    command = [sys.executable, "-m", "tests.lease_workers", "kill", address, str(kills), "4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    holders: dict[int, str] = {}
    granted: dict[str, int] = {}
    releasing, released = set(), set()
    events = json.loads(done.stdout)
    for word, *values in events:
        assert word != "failed", values
        port, token = int(values[0]), values[1]
        if word == "granted":
            assert port not in holders, f"{port} was granted twice"
            holders[port] = granted_to = token
            granted[granted_to] = port
        elif word == "releasing":
            releasing.add(token)
            holders.pop(port, None)
        else:
            released.add(token)
    with closing(open_store(address)) as store:
        standing = {lease.token: lease.port for lease in store.leases()}
        assert all(check.ok for check in store.check(time.time()))
    kept = {token: port for token, port in granted.items() if token not in releasing}
    assert kept.items() <= standing.items()
    assert not released & standing.keys()
    print(f"\n{kills} kills or more, {len(granted)} leases granted, {len(released)} given back, {len(standing)} stand")
    assert len(granted) > kills / 2


def test_a_store_does_what_a_dictionary_does(new_address: Callable[[], str]) -> None:
    """Any sequence of requests, releases, renewals, sightings and jumps of the clock ends as it does in a simple model."""

    class Machine(LeaseMachine):
        def __init__(self) -> None:
            super().__init__(new_address())

    examples = 300 if SOAK else 20 if new_address().startswith("sqlite") else 6
    run_state_machine_as_test(Machine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None))


def test_addresses_choose_the_store() -> None:
    """What is no address, or of a store that is not here, is said at once."""
    for wrong in ("leases.db", "sqlite:/x", "mysql://x", "sqlite://", "sqlite:///folder/", ""):
        with pytest.raises(UsageError):
            open_store(wrong)
    for wrong in ("etcd://", "etcd:///portward", "etcd://h:x/p", "etcd://h:0/p", "etcd://me@h:1/p", "etcds://h:1,:2/p"):
        with pytest.raises(UsageError):
            open_store(wrong, {})
