"""Claims while a fleet's store is in trouble: no port is given twice, none that was acknowledged is lost, and nobody waits for long."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from portward.leases import etcd_host, here, open_store
from portward.leases.etcd import EtcdStore, store_at
from portward.model import Holder, LeaseKind, Reading, Site
from portward.verbs.host_agent import HostAgent
from tests.conftest import SOAK, need, need_root
from tests.etcd import Cluster
from tests.test_host_agent import until
from tests.test_leases_contract import NOW, ROOT, always, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from portward.model import Lease

PROCESSES, SECONDS = (32, 60.0) if SOAK else (8, 6.0)
LONGEST_STALL = 5.0
"""Seconds that a client may wait for one claim; judged at the full size, and loosely on a busy machine's small one."""

WITHIN = 120.0


@contextmanager
def claiming(cluster: Cluster, jump: float = 0.0) -> Iterator[None]:
    """Processes that claim as long as this lasts; then what they were told is compared with what each member has."""
    address = f"etcd://{cluster.endpoints}/claimed"
    command = [sys.executable, "-m", "tests.lease_workers", "claim", address]
    workers = [
        subprocess.Popen(
            [*command, str(number), str(jump)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT[0]
        )
        for number in range(PROCESSES)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        yield
        answers = [worker.communicate("")[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    assert [worker.returncode for worker in workers] == [0] * PROCESSES
    grants = [grant for answer in answers for grant in json.loads(answer)]
    given = {port: token for port, token, _seconds in grants}
    slowest = max(seconds for *_, seconds in grants)
    print(
        f"\n{len(grants)} claims by {PROCESSES} processes, slowest {slowest:.2f} s, {len(grants) - len(given)} double"
    )
    assert len(given) == len(grants) > PROCESSES
    assert slowest < (LONGEST_STALL if SOAK else 4 * LONGEST_STALL)
    _agree(cluster, address, given)


def _agree(cluster: Cluster, address: str, given: dict[int, str]) -> None:
    """Every member has what was acknowledged, and nothing else."""
    cluster.wait()
    for number in range(len(cluster.ports)):
        with closing(EtcdStore(address, cluster.gateway(number), "/claimed")) as one:
            kept = {lease.port: lease.token for lease in one.leases()}
        assert given.items() <= kept.items()
        assert len(kept) == len(given)


@pytest.mark.timeout(900)
def test_the_leader_is_killed(tmp_path: Path) -> None:
    """`kill -9`, and it comes back."""
    cluster = Cluster(tmp_path)
    try:
        cluster.wait()
        with claiming(cluster):
            time.sleep(SECONDS / 3)
            leader = cluster.leader()
            assert leader is not None
            cluster.kill(leader)
            time.sleep(SECONDS / 3)
            cluster.start(leader)
            time.sleep(SECONDS / 3)
    finally:
        cluster.stop()


@pytest.mark.timeout(900)
def test_the_clocks_of_clients_and_agents_jump(etcd: Cluster) -> None:
    """By up to an hour, forwards and back, at each claim and each word of an agent: no clock decides who has a port that is kept until it
    is given back, nor for how long a host is alive.
    """
    with hosts(etcd, jump=3600.0), claiming(etcd, jump=3600.0):
        time.sleep(max(SECONDS / 2, 1.3 * AGENTS_TTL))


AGENTS, AGENTS_TTL = 4, 5.0


@contextmanager
def hosts(cluster: Cluster, jump: float) -> Iterator[None]:
    """Hosts with agents, each with a port that ends with it: all have theirs at the end, and none was told to have lost it."""
    told: dict[str, list[str]] = {}
    is_over = threading.Event()

    def keep(store: EtcdStore, host: str) -> None:
        site, chance = Site(host, "", "boot"), random.Random(host)

        def clock() -> float:
            return time.time() + chance.uniform(-jump, jump)

        agent = HostAgent(store, site, lambda: Reading(()), Changing(), clock, AGENTS_TTL)
        told[host] = [event.kind for event in agent.run(is_over.is_set)]

    with ExitStack() as stack:
        stores = [
            stack.enter_context(closing(store_at(f"etcd://{cluster.endpoints}/{each}", {}))) for each in range(AGENTS)
        ]
        agents = [threading.Thread(target=keep, args=(store, f"host-{each}")) for each, store in enumerate(stores)]
        for agent in agents:
            agent.start()
        for agent in agents:
            stack.callback(agent.join)
        stack.callback(is_over.set)
        leases: list[Lease] = []
        for each, store in enumerate(stores):
            until(lambda store=store, each=each: etcd_host.lifeline(store, f"host-{each}"))  # type: ignore[misc]
            who = Holder("/p", "/p", "web", process=here.identity())
            site = Site(f"host-{each}", "", "boot")
            leases += store.acquire([ask(who, site=site, kind=LeaseKind.PROCESS)], always, NOW)
        yield
        assert [lease for store in stores for lease in store.leases()] == leases
        assert all(entry.kv.lifeline for store in stores for entry in store.entries(None))
    assert {host: "lost" in events or "claimed" in events for host, events in told.items()} == {
        f"host-{each}": False for each in range(AGENTS)
    }
    assert all("published" in events for events in told.values())


class Changing:
    """Something changes all the time."""

    told = True

    def wait(self, seconds: float) -> bool:
        time.sleep(min(seconds, 0.2))
        return True

    def close(self) -> None:
        pass


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of so many bytes in memory."""
    need_root()
    folder.mkdir()
    subprocess.run([need("mount"), "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([need("umount"), "--lazy", str(folder)], check=True)


@pytest.mark.timeout(900)
def test_a_members_disk_fills(tmp_path: Path) -> None:
    """It ends, or falls behind; the others go on. With room again it catches up."""
    with small_disk(tmp_path / "m1", "200m") as disk:
        cluster = Cluster(tmp_path)
        try:
            cluster.wait()
            with claiming(cluster):
                time.sleep(SECONDS / 3)
                _fill(disk / "filler")
                _until(lambda: not _has_room(disk))
                time.sleep(SECONDS / 3)
                (disk / "filler").unlink()
                if not cluster.is_running(1):
                    cluster.start(1)
                time.sleep(SECONDS / 3)
            _until(lambda: cluster.status(1) is not None)
        finally:
            cluster.stop()


def _fill(file: Path) -> None:
    with suppress(OSError), file.open("wb") as out:
        while True:
            out.write(bytes(1 << 16))
            out.flush()


def _has_room(folder: Path) -> bool:
    return os.statvfs(folder).f_bavail > 1


def _until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.1)


class Islands:
    """Network namespaces that are linked by cables to a switch, at which the clients are too: in a namespace of all this, not the machine's."""

    def __init__(self, count: int) -> None:
        need_root()
        need("ip")
        self._stack = ExitStack()
        tag = f"pw{os.getpid():x}"
        self.names = [f"{tag}-{number}" for number in range(count)]
        self._bridge = f"{tag}b"[-15:]
        self._cables = [f"{tag}c{number}"[-15:] for number in range(count)]
        self._subnet = f"198.18.{os.getpid() % 250}"  # for tests of networks (RFC 2544)
        self._ip("link", "add", self._bridge, "type", "bridge")
        self._stack.callback(self._ip, "link", "delete", self._bridge)
        self._ip("addr", "add", f"{self._subnet}.254/24", "dev", self._bridge)
        self._ip("link", "set", self._bridge, "up")
        for number, name in enumerate(self.names):
            self._ip("netns", "add", name)
            self._stack.callback(self._ip, "netns", "delete", name)
            self._ip("link", "add", self._cables[number], "type", "veth", "peer", "name", "eth0", "netns", name)
            self._ip("link", "set", self._cables[number], "master", self._bridge, "up")
            for words in (
                ["addr", "add", f"{self._subnet}.{number + 1}/24", "dev", "eth0"],
                ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ):
                self._ip("-n", name, *words)

    def places(self) -> Sequence[tuple[str, Sequence[str]]]:
        """For `Cluster`."""
        return [
            (f"{self._subnet}.{number + 1}", ("ip", "netns", "exec", name)) for number, name in enumerate(self.names)
        ]

    def cut(self, number: int) -> None:
        self._ip("link", "set", self._cables[number], "down")

    def heal(self, number: int) -> None:
        self._ip("link", "set", self._cables[number], "up")

    def close(self) -> None:
        self._stack.close()

    def _ip(self, *words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.mark.timeout(900)
def test_the_leader_is_cut_off(tmp_path: Path) -> None:
    """From the others and from the clients; the others choose another. What it missed it has when it is back."""
    islands = Islands(3)
    try:
        cluster = Cluster(tmp_path, places=islands.places())
        try:
            cluster.wait()
            with claiming(cluster):
                time.sleep(SECONDS / 3)
                leader = cluster.leader()
                assert leader is not None
                islands.cut(leader)
                time.sleep(max(SECONDS / 3, 3.0))
                islands.heal(leader)
                time.sleep(SECONDS / 3)
        finally:
            cluster.stop()
    finally:
        islands.close()


def test_a_time_to_live_is_judged_by_the_clock_of_who_asks(etcd: Cluster) -> None:
    """Whose clock is ahead takes it for over, as documented; the store alone never ends it before its time."""
    with closing(open_store(f"etcd://{etcd.endpoints}/ttl-{time.time_ns()}")) as store:
        (mine,) = store.acquire([ask("mine", [20000], kind=LeaseKind.TTL, ttl=60)], always, NOW)
        (other,) = store.acquire([ask("other", [20000, 20001])], always, NOW + 59)
        assert (mine.port, other.port) == (20000, 20001)
        (late,) = store.acquire([ask("late", [20000])], always, NOW + 61)
        assert late.port == 20000
