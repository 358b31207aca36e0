"""Which port `Portward.lease` grants: never one that is held, promised or claimed; and what it says where it cannot see or record."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward.conventions import Terms
from portward.errors import NoFreePort, Unavailable
from portward.leases import LOOKS_APART, SPACING, open_store
from portward.model import LeaseKind, PortRange, Reading, Transport
from portward.sockets import bind
from portward.ward import Portward
from tests.conftest import need, need_root, run_code
from tests.ports import free_ports
from tests.test_bind import refusing_sockets
from tests.test_containers import container, engine_with

if TYPE_CHECKING:
    from pathlib import Path

    from portward.leases import LeaseStore
    from tests.conftest import Listen

linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")


class Place:
    """A checkout with a lease store and a clock of its own, and no engine."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        (self.root / ".git").mkdir(parents=True)
        self.environment = {
            "PORTWARD_STORE": f"sqlite://{folder}/state/leases.db",
            "DOCKER_HOST": f"unix://{folder}/none.sock",
            "HOME": str(folder),
        }
        self.now = 1_800_000_000.0

    def ward(self, **edges: Any) -> Portward:
        return Portward(str(self.root), environment=self.environment, clock=lambda: self.now, **edges)

    def lease(self, *names: str, **terms: Any) -> list[int]:
        return [lease.port for lease in self.ward().lease(names, Terms(**terms)).leases]

    @property
    def store(self) -> LeaseStore:
        return open_store(self.environment["PORTWARD_STORE"])


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """See `Place`."""
    return Place(tmp_path)


def linked(place: Place, name: str) -> Place:
    """A linked worktree of the checkout, as git-worktree(1) makes it."""
    other = Place(place.root.parent / name)
    (other.root / ".git").rmdir()
    (other.root / ".git").write_text(f"gitdir: {place.root}/.git/worktrees/{name}\n")
    other.environment = place.environment
    return other


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::1", "::"])
@pytest.mark.parametrize("options", [{}, {"listening": False}, {"udp": True}], ids=["listening", "bound", "udp"])
def test_nothing_that_is_held_is_granted(place: Place, address: str, options: dict[str, Any], listen: Listen) -> None:
    """Whichever address and family a socket has, and whether it listens or not; UDP is in the way of TCP, too."""
    first = free_ports(2)
    listen(address, first, **options)
    assert place.lease("web", ports=PortRange(first, first + 1)) == [first + 1]
    with pytest.raises(NoFreePort, match="No available ports found"):
        place.lease("api", ports=PortRange(first, first))


def test_what_a_stopped_container_claims_is_not_granted(place: Place) -> None:
    """Nothing listens there, but it will be asked for again."""
    first = free_ports(2)
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": str(first)}]}
    with engine_with(container("old", first, "exited"), bindings=bindings) as engine:
        place.environment["DOCKER_HOST"] = engine.address
        assert place.lease("web", ports=PortRange(first, first + 1)) == [first + 1]


def test_a_preference_ends_after_a_hundred(place: Place, listen: Listen) -> None:
    """Where neither the port nor one above it is free there is none, which is said in the guide's words."""
    if bind.is_free(65535):
        listen("0.0.0.0", 65535)
    with pytest.raises(NoFreePort, match="No available ports found"):
        place.lease("web", preferred=65535)
    assert place.store.leases() == ()


def test_a_declared_port_that_is_held_is_left(place: Place, listen: Listen, free_port: int) -> None:
    """The primary checkout keeps what its files declare when it is free; else the service moves into the range of its kind."""
    (place.root / "compose.yaml").write_text(
        f"services: {{cache: {{image: 'redis:7', ports: ['{free_port}:6379']}}}}\n"
    )
    held = listen("127.0.0.1", free_port)
    granted = place.ward().lease(["cache"])
    moved = granted.leases[0].port
    assert 14000 <= moved <= 14999
    (said,) = (remark for remark in granted.remarks if remark.startswith(f"{free_port} is not free, held by "))
    assert f"pid {os.getpid()}" in said
    assert said.endswith(f": cache has {moved}")
    assert not [remark for remark in place.ward().lease(["cache"]).remarks if "not free" in remark]
    held.close()
    place.ward().release()
    assert place.lease("cache") == [free_port]


def test_who_has_a_declared_port_is_told(place: Place, listen: Listen) -> None:
    """Another service's lease, a stopped container, a socket of the other transport: each in a sentence, once."""
    first = free_ports(3)
    (place.root / "compose.yaml").write_text(
        "services:\n" + "".join(f"  s{index}: {{image: a, ports: ['{first + index}:80']}}\n" for index in range(3))
    )
    other = Place(place.root.parent / "other")
    other.environment = place.environment
    assert other.lease("theirs", preferred=first) == [first]
    listen("127.0.0.1", first + 2, udp=True)
    bindings = {"80/tcp": [{"HostIp": "", "HostPort": str(first + 1)}]}
    with engine_with(container("old", first + 1, "exited"), bindings=bindings) as engine:
        place.environment["DOCKER_HOST"] = engine.address
        granted = place.ward().lease()
    ports = [lease.port for lease in granted.leases]
    leased, claimed, held = granted.remarks
    assert leased == f"{first} is not free, leased to theirs of {other.root}: s0 has {ports[0]}"
    assert claimed.startswith(f"{first + 1} is not free, claimed by container old of project shop (stopped, ")
    assert claimed.endswith(f": s1 has {ports[1]}")
    assert held.startswith(f"{first + 2} is not free, held on UDP by ")


def test_why_a_lease_stays_is_told(place: Place, listen: Listen, free_port: int) -> None:
    """Where another port is preferred by now: who has that one, or that it was not free once, and the way out."""
    held = listen("127.0.0.1", free_port)
    (has,) = place.lease("web", preferred=free_port)
    (said,) = (
        each for each in place.ward().lease(["web"], Terms(preferred=free_port)).remarks if "not seen" not in each
    )
    assert said.startswith(f"{free_port} is not free, held by ")
    assert said.endswith(f": web keeps {has}")
    held.close()
    again = place.ward().lease(["web"], Terms(preferred=free_port)).remarks
    assert again == (f"web keeps {has}: `portward release web` lets it move",)


def test_a_linked_worktree_is_told_why_it_moves(place: Place, free_port: int) -> None:
    """In one sentence for all services, and just when it is granted ports."""
    feature = linked(place, "feature")
    (feature.root / "compose.yaml").write_text(f"services: {{web: {{image: a, ports: ['{free_port}:80']}}}}\n")
    (said,) = (remark for remark in feature.ward().lease().remarks if "not seen" not in remark)
    assert said == f"this is a linked worktree: the ports that the files declare stay with {place.root}"
    assert feature.ward().lease().remarks == ()
    feature.ward().release()
    feature.environment = {**feature.environment, "PORT": str(free_port + 1)}
    assert not [remark for remark in feature.ward().lease(["web"]).remarks if "linked worktree" in remark]


def test_ranges_and_kinds_are_settings(place: Place) -> None:
    """The project's own say where a port is picked from; where they are silent, the user's."""
    (place.root / "portward.toml").write_text('[ranges]\nweb = "23000-23099"\n\n[kinds]\nledger = "web"\n')
    folder = place.root.parent / ".config/portward"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text('[ranges]\nweb = "24000-24099"\ndatabase = "25000-25099"\n')
    ledger, postgres, redis = place.lease("ledger", "postgres", "redis")
    assert 23000 <= ledger <= 23099
    assert 25000 <= postgres <= 25099
    assert 14000 <= redis <= 14999


def test_time_ends_a_lease_of_the_verb(place: Place) -> None:
    """A lease with a time to live is renewed by asking again; when it ran out, `leases` takes it back and says so."""
    ports = place.lease("web", ttl=60)
    place.now += 50
    assert place.lease("web", ttl=60) == ports
    (lease,) = place.store.leases()
    assert (lease.kind, lease.expires) == (LeaseKind.TTL, place.now + 60)
    place.now += 60
    told = place.ward().leases()
    assert told.leases == ()
    assert told.remarks == (f"{ports[0]} of web ({place.root}) was taken back: its time ran out",)


def test_a_worktree_that_is_gone_is_told(place: Place) -> None:
    """Its leases are taken back at the third look in as many minutes, with the reason; those of the other checkouts stay."""
    feature = linked(place, "feature")
    (kept,), (gone,) = place.lease("web"), feature.lease("web")
    assert kept != gone
    shutil.rmtree(feature.root)
    for _look in range(2):
        told = place.ward().leases()
        assert {lease.port for lease in told.leases} == {kept, gone}
        assert told.remarks == ()
        place.now += SPACING
    told = place.ward().leases()
    assert [lease.port for lease in told.leases] == [kept]
    assert told.remarks == (f"{gone} of web ({feature.root}) was taken back: its folder {feature.root} is gone",)


def test_a_store_does_not_only_grow(place: Place) -> None:
    """Who is granted a port looks for holders that are gone, once an hour: nobody must ask for the list. It tells them later."""
    feature = linked(place, "feature")
    place.lease("first")
    (gone,) = feature.lease("web")
    shutil.rmtree(feature.root)
    for hour in range(3):
        assert gone in {lease.port for lease in place.store.leases()}
        place.now += LOOKS_APART + 1
        place.lease(f"job{hour}", f"task{hour}")
        place.lease(f"other{hour}")
    assert gone not in {lease.port for lease in place.store.leases()}
    assert [each.lease.port for each in place.store.reclaimed()] == [gone]
    assert f"{gone} of web ({feature.root}) was taken back" in place.ward().leases().remarks[0]


ENDED = """
from portward.conventions import Terms
from portward.model import PortRange
from portward.ward import Portward
granted = Portward.open(sys.argv[1]).lease(["job"], Terms(ports=PortRange(int(sys.argv[2]), int(sys.argv[2])), own=True))
ready(port=granted.leases[0].port)
"""


def test_where_no_port_is_left_the_dead_give_theirs(place: Place, free_port: int) -> None:
    """A process that has ended without a word keeps nobody from its port."""
    environment = {**os.environ, **place.environment}
    assert run_code(ENDED, place.root, free_port, env=environment)["port"] == free_port
    (lease,) = place.store.leases()
    assert lease.kind is LeaseKind.PROCESS
    place.now = lease.granted + 1
    assert place.lease("web", ports=PortRange(free_port, free_port)) == [free_port]
    assert [each.lease for each in place.store.reclaimed()] == [lease]


def test_a_clock_that_is_set_back_changes_nothing(place: Place) -> None:
    """An hour back: every service has its port, those with a time to live too."""
    ports = place.lease("web", "api"), place.lease("job", ttl=60)
    place.now -= 3600
    assert (place.lease("web", "api"), place.lease("job", ttl=60)) == ports
    assert len(place.ward().leases().leases) == 3


class NoSockets:
    """A reader that the system tells nothing."""

    name = "none"

    def read(self, **_options: object) -> Reading:
        raise Unavailable("the kernel does not list its sockets here: Permission denied")

    def ancestry(self, _process: object) -> tuple[()]:
        return ()

    def cgroup(self, _pid: int) -> str:
        return ""


def test_without_a_list_of_sockets_the_bind_decides(place: Place, listen: Listen) -> None:
    """What cannot be seen is said, once, with the grant; what is held is not granted all the same."""
    first = free_ports(2)
    listen("::1", first)
    ward = place.ward(sockets=NoSockets())
    granted = ward.lease(["web"], Terms(ports=PortRange(first, first + 1)))
    assert [lease.port for lease in granted.leases] == [first + 1]
    assert granted.remarks == ("not seen: who listens: the kernel does not list its sockets here: Permission denied",)
    assert ward.lease(["web"]).remarks == ()


@pytest.mark.parametrize("step", ["socket", "bind"])
def test_where_a_policy_denies_the_bind_the_list_decides(
    place: Place, step: str, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox (simulated) still has an answer, which says what it rests on; what is held is not granted all the same."""
    first = free_ports(2)
    listen("127.0.0.1", first)
    monkeypatch.setattr(bind, "socket", refusing_sockets(errno.EPERM, step))
    granted = place.ward().lease(["web"], Terms(ports=PortRange(first, first + 1)))
    assert [lease.port for lease in granted.leases] == [first + 1]
    assert granted.remarks[-1].startswith("a policy denies bind() here (a sandbox)")
    assert granted.live == frozenset()


IN_A_NETWORK = """
from portward.ward import Portward
granted = Portward.open(sys.argv[1]).lease(["web"])
ready(ports=[lease.port for lease in granted.leases], netns=[lease.netns for lease in granted.leases], remarks=granted.remarks)
"""


@linux
def test_a_network_of_its_own_is_said(place: Place) -> None:
    """In a network namespace the answer says what is not seen, and is no promise outside: there another has the number, too."""
    need_root()
    (outside,) = place.lease("web")
    environment = {**os.environ, **place.environment}
    facts = run_code(IN_A_NETWORK, place.root, prefix=[need("unshare"), "--net"], env=environment)
    assert facts["ports"] == [outside]
    assert facts["netns"][0].startswith("net:[")
    assert any("who listens on the machine is not seen here" in each for each in facts["remarks"])
    assert len(place.store.leases()) == 2


READ_ONLY = """
import subprocess
from portward.conventions import Terms
from portward.model import PortRange
from portward.ward import Portward
state, root, first = sys.argv[1], sys.argv[2], int(sys.argv[3])
subprocess.run(["mount", "--bind", state, state], check=True)
subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
ward = Portward.open(root)
known, new = ward.lease(["web"]), ward.lease(["api"], Terms(ports=PortRange(first, first + 2), count=2))
ready(known=[lease.port for lease in known.leases], new=[lease.port for lease in new.leases], remarks=new.remarks,
      tokens=[lease.token for lease in new.leases], told=known.remarks)
"""


@linux
def test_where_nothing_can_be_recorded_what_was_promised_counts(place: Place) -> None:
    """A read-only home: who has a lease is told it, and nobody is told another's."""
    need_root()
    first = free_ports(3)
    assert place.lease("web", preferred=first) == [first]
    state, environment = place.root.parent / "state", {**os.environ, **place.environment}
    facts = run_code(READ_ONLY, state, place.root, first, prefix=[need("unshare"), "--mount"], env=environment)
    assert facts["known"] == [first]
    assert facts["told"] == []
    assert sorted(facts["new"]) == [first + 1, first + 2]
    assert facts["tokens"] == ["", ""]
    assert facts["remarks"][0].startswith("not recorded, so not promised: ")


def test_a_lost_store_gives_the_same_ports(place: Place) -> None:
    """Of many services in several worktrees, nearly each gets its port again, whatever order they ask in."""
    checkouts = [place, linked(place, "one"), linked(place, "two")]
    names = [f"job{number}" for number in range(10)]
    before = {(each, name): each.lease(name) for each in checkouts for name in names}
    assert len({port for (port,) in before.values()}) == 30
    shutil.rmtree(place.root.parent / "state")
    after = {(each, name): each.lease(name) for each in reversed(checkouts) for name in reversed(names)}
    same = [key for key in before if before[key] == after[key]]
    assert len(same) >= 20  # two may want one port, and a program may have had one: then there is another


def test_udp_is_another_port(place: Place, free_port: int) -> None:
    """A service that publishes a number on UDP and TCP has a lease on each."""
    (place.root / "compose.yaml").write_text(
        f"services: {{dns: {{image: x, ports: ['{free_port}:53/udp', '{free_port}:53/tcp']}}}}\n"
    )
    leases = place.ward().lease().leases
    assert [(lease.transport, lease.port) for lease in leases] == [
        (Transport.UDP, free_port),
        (Transport.TCP, free_port),
    ]
