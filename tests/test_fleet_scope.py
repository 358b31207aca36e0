"""Ports for a whole fleet, or for some of its hosts: one holder, whoever asks where and when, on a real etcd."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from portward import wire
from portward.errors import NoFreePort, UsageError
from portward.leases import _etcd_fleet, etcd_host, here, open_store
from portward.leases.etcd import EtcdStore, store_at
from portward.model import EVERYWHERE, Endpoint, Holder, LeaseKind, Listener, Site, State
from tests.command import run, run_json
from tests.ports import free_ports
from tests.test_host_agent import Agent, until
from tests.test_leases_contract import HERE, NOW, always, ask, grant, holder, ports_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from portward.model import Lease
    from tests.etcd import Cluster

A, B, C = HERE, Site("b", "", "boot-b"), Site("c", "", "boot-c")
SOAK = bool(os.environ.get("PORTWARD_SOAK"))
SECONDS = 60.0 if SOAK else 4.0
PROCESSES = 32 if SOAK else 12


@pytest.fixture
def address(etcd: Cluster, tmp_path: Path) -> str:
    """An empty store."""
    return f"etcd://{etcd.endpoints}/{tmp_path.name}-{time.time_ns()}"


@pytest.fixture
def store(address: str) -> Iterator[EtcdStore]:
    with closing(store_at(address, {})) as opened:
        yield opened


def _claims(store: EtcdStore) -> list[str]:
    return [kv.key for kv in store.gateway.all_below(store.keys.all_of("f"))]


def test_one_holder_in_the_whole_fleet(store: EtcdStore) -> None:
    """Nobody else is granted the port on any host, for a host or for the fleet, until it is given back."""
    (mine,) = grant(store, ask("lb", hosts=EVERYWHERE))
    assert (mine.port, mine.hosts) == (20000, EVERYWHERE)
    assert ports_of(grant(store, ask("api", site=B))) == [20001]
    assert ports_of(grant(store, ask("lb", site=C, hosts=EVERYWHERE))) == [20002]
    with pytest.raises(NoFreePort):
        grant(store, ask("web", [20000], site=B))
    assert mine in store.leases(host="b")
    assert grant(store, ask("lb", hosts=EVERYWHERE)) == (mine,)
    assert grant(store, ask("lb")) == (mine,)  # whoever does not say, is content with what there is
    assert store.release([mine]) == (mine,)
    assert ports_of(grant(store, ask("web", [20000], site=B))) == [20000]
    assert [key for key in _claims(store) if "/20000/" in key] == []


def test_what_a_host_has_is_not_the_fleets(store: EtcdStore) -> None:
    """However long its time has run out: that host alone can tell."""
    grant(store, ask("api", [20000], site=B), ask("db", [20001], site=B, kind=LeaseKind.TTL, ttl=1))
    assert ports_of(grant(store, ask("lb", hosts=EVERYWHERE), now=NOW + 3600)) == [20002]
    with pytest.raises(NoFreePort):
        grant(store, ask("tunnel", [20000, 20001], hosts=EVERYWHERE), now=NOW + 3600)
    assert ports_of(grant(store, ask("tunnel", [20000, 20001], hosts=("c",)))) == [20000]
    assert [check.name for check in store.check(NOW + 3600) if not check.ok] == []


def test_some_hosts_at_once(store: EtcdStore) -> None:
    """The same port on each of them, and nobody else has it there; hosts that are not named go on."""
    (job,) = grant(store, ask("job", hosts=("b", "c")))
    assert job.hosts == ("b", "c")
    assert ports_of(grant(store, ask("web", site=B))) == [20001]
    assert ports_of(grant(store, ask("web", site=Site("d")))) == [20000]
    assert ports_of(grant(store, ask("other", site=Site("e"), hosts=("f", "g")))) == [20000]
    assert ports_of(grant(store, ask("other", site=Site("h"), hosts=("c", "i")))) == [20001]
    assert ports_of(grant(store, ask("lb", site=Site("j"), hosts=EVERYWHERE))) == [20002]


def test_a_service_gets_what_it_asks_for_by_now(store: EtcdStore) -> None:
    """For its host, then for the fleet, then for its host again: each time just that is left."""
    (own,) = grant(store, ask("lb"))
    (wide,) = grant(store, ask("lb", hosts=EVERYWHERE))
    assert (wide.port, wide.hosts, wide.token == own.token) == (20000, EVERYWHERE, False)
    assert store.leases() == (wide,)
    (own,) = grant(store, ask("lb", hosts=()))
    assert store.leases() == (own,)
    assert (own.hosts, _claims(store)) == ((), [])


def test_all_or_nothing_for_several(store: EtcdStore) -> None:
    """Two services of one job; and hosts that differ are not asked for together."""
    grant(store, ask("web", [20005], site=B))
    with pytest.raises(NoFreePort):
        grant(store, ask("one", [20004], hosts=EVERYWHERE), ask("two", [20005], hosts=EVERYWHERE))
    assert _claims(store) == []
    assert ports_of(grant(store, ask("one", [20004], hosts=("b",)), ask("two", [20006], hosts=("b",)))) == [
        20004,
        20006,
    ]
    with pytest.raises(UsageError, match="same hosts"):
        grant(store, ask("three", hosts=("b",)), ask("four"))


def test_a_claim_between_the_look_and_the_intent_is_seen(store: EtcdStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host is granted the port after it was looked for and before the intent is written: the fleet gets another."""
    intend = EtcdStore.draft(store).__class__.intend
    late: list[Lease] = []

    def late_claim(draft: Any, lifeline: int) -> bool:
        if not late:
            with closing(store_at(store.address, {})) as theirs:
                late.extend(grant(theirs, ask("web", [20000], site=B)))
        return bool(intend(draft, lifeline))

    monkeypatch.setattr("portward.leases._etcd_draft.Draft.intend", late_claim)
    (wide,) = grant(store, ask("lb", hosts=EVERYWHERE))
    assert (late[0].port, wide.port) == (20000, 20001)
    assert len(_claims(store)) == 1


def test_an_intent_is_in_the_way_and_ends_with_its_author(store: EtcdStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever dies between the intent and the claim keeps the port from others for some seconds, and no longer."""

    def dies(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(_etcd_fleet, "SECONDS", 1)
        patched.setattr(EtcdStore, "_committed", dies)
        patched.setattr(_etcd_fleet.Intent, "end", lambda _self: None)
        with pytest.raises(KeyboardInterrupt):
            grant(store, ask("lb", [20000], hosts=EVERYWHERE))
    assert len(_claims(store)) == 1
    for site in (A, B):
        with pytest.raises(NoFreePort):
            grant(store, ask("web", [20000], site=site))
    until(lambda: not _claims(store))
    assert ports_of(grant(store, ask("web", [20000], site=B))) == [20000]


def test_a_claim_of_no_lease_is_found_and_set_aside(store: EtcdStore) -> None:
    """And so is what cannot be read there, which keeps nobody from a port."""
    (lease,) = grant(store, ask("lb", hosts=EVERYWHERE))
    (entry,) = store.entries(None)
    store.gateway.transact((), [{"request_delete_range": {"key": _key(entry.kv.key)}}])
    store.gateway.put(f"{store.keys.all_of('f', 'b')}20001/tcp/@", b"\xff\x1b[2J")
    assert ports_of(grant(store, ask("web", site=B))) == [20001]
    (wrong,) = [check for check in store.check(NOW) if not check.ok]
    assert (wrong.name, wrong.detail.isprintable()) == ("claims", True)
    assert wrong.repair
    assert len(store.repair(NOW)) == 2
    assert all(check.ok for check in store.check(NOW))
    assert ports_of(grant(store, ask("api", [lease.port], site=C))) == [lease.port]


def _key(text: str) -> str:
    from portward.leases._etcd_gateway import encoded

    return encoded(text)


# Many at once


def _claim_and_release(address: str, number: int, until: float, told: Any) -> None:
    """One process of one host: claims for its host and for the fleet, holds for a moment, and gives back."""
    site, chance = Site(f"host-{number % 4}"), random.Random(number)
    counts = [0, 0]
    with closing(open_store(address)) as store:
        while time.time() < until:
            wide = chance.random() < 0.4
            hosts = EVERYWHERE if wide and chance.random() < 0.6 else ("host-1", "host-2") if wide else ()
            ports = chance.sample(range(20000, 20012), 12)
            try:
                leases = store.acquire([ask(holder(f"s{number}"), ports, site=site, hosts=hosts)], always, time.time())
            except NoFreePort:
                continue
            counts[wide] += 1
            wrong = _met_by(store, leases[0])
            if wrong:
                told.put(("double", leases[0], wrong))
            time.sleep(chance.uniform(0, 0.02))
            store.release(leases)
    told.put(("counts", *counts))


def _met_by(store: Any, lease: Lease) -> list[Lease]:
    """Other leases of the same port where it is kept from others, all read at one instant."""
    return [
        other
        for other in store.leases()
        if other.token != lease.token
        and other.port == lease.port
        and (
            other.keeps(lease.host, lease.netns)
            or lease.keeps(other.host, other.netns)
            or set(other.hosts) & set(lease.hosts)
        )
    ]


def test_no_port_is_confirmed_to_two(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Processes of four hosts take and give back a few ports, for hosts, for some of them and for the fleet. The counts are printed."""
    told: multiprocessing.Queue[Any] = multiprocessing.Queue()
    end = time.time() + SECONDS
    workers = [
        multiprocessing.Process(target=_claim_and_release, args=(address, each, end, told)) for each in range(PROCESSES)
    ]
    for worker in workers:
        worker.start()
    found: list[Any] = []
    while len([each for each in found if each[0] == "counts"]) < PROCESSES:
        found.append(told.get(timeout=SECONDS + 60))
    for worker in workers:
        worker.join(60)
    hosts, fleet = (sum(each[kind] for each in found if each[0] == "counts") for kind in (1, 2))
    with capsys.disabled():
        print(
            f"\n{PROCESSES} processes, {SECONDS:g} s: {hosts} claims of hosts, {fleet} of several, none confirmed to two"
        )
    assert [each for each in found if each[0] == "double"] == []
    assert hosts
    assert fleet
    with closing(store_at(address, {})) as store:
        assert store.leases() == ()
        assert _claims(store) == []


# The agent


def test_a_paused_agent_loses_the_fleets_port_to_another_host(address: str, store: EtcdStore, tmp_path: Path) -> None:
    """Past its time the port is free for all; another host has it then, and the first one says so when it wakes."""
    agent = Agent(address, tmp_path)
    try:
        agent.wait_for("published")
        (report,) = etcd_host.reports(store)
        site = here.site().replace(host=report.host)
        mine = Holder("/p", "/p", "lb", process=here.identity())
        (lease,) = grant(store, ask(mine, [20001], site=site, kind=LeaseKind.PROCESS, hosts=EVERYWHERE))
        assert all(kv.lifeline for kv in store.gateway.all_below(store.keys.all_of("f")))
        agent.wait_for("published")
        time.sleep(2.5)  # it looks at what is attached to it when it keeps itself alive
        agent.process.send_signal(signal.SIGSTOP)
        with pytest.raises(NoFreePort):
            grant(store, ask("lb", [20001], site=B, hosts=EVERYWHERE))
        until(lambda: not store.leases())
        (other,) = grant(store, ask("lb", [20001], site=B, hosts=EVERYWHERE))
        agent.process.send_signal(signal.SIGCONT)
        assert agent.wait_for("taken")["lease"]["port"] == lease.port
        assert store.leases() == (other,)
    finally:
        agent.end()


# By command


@pytest.fixture
def variables(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine as a host of the fleet."""
    monkeypatch.setenv("PORTWARD_STORE", address)
    monkeypatch.setenv("PORTWARD_HOST_FILE", str(tmp_path / "host.json"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def _join(store: EtcdStore, host: str, *ports: int) -> None:
    """A host with an agent, and what listens there."""
    agent = etcd_host.Presence(store, Site(host, "", f"boot-{host}"), 60)
    agent.begin()
    rows = [wire.listener(Listener(Endpoint("0.0.0.0", port), State.LISTEN)) for port in ports]
    facts: etcd_host.Facts = {
        "name": f"{host}.example",
        "boot": f"boot-{host}",
        "seen": time.time(),
        "listeners": len(rows),
    }
    assert agent.publish(json.dumps(rows), facts)


@pytest.mark.usefixtures("variables")
def test_the_command_leases_for_the_fleet(store: EtcdStore, tmp_path: Path, free_port: int) -> None:
    """Not a port on which somebody listens on a host; `leases`, `check` and `release` tell of it."""
    first = free_port
    _join(store, "b", first)
    document, status = run_json("lease", "lb", "--scope", "fleet", "--range", f"{first}-{first + 3}", cwd=tmp_path)
    (lease,) = document["leases"]
    assert (status, lease["scope"], lease["hosts"]) == (0, "fleet", ["*"])
    assert first < lease["port"] <= first + 3
    assert "sticky, the whole fleet" in run("leases", cwd=tmp_path).stdout
    assert run_json("lease", "lb", cwd=tmp_path)[0]["leases"][0]["token"] == lease["token"]
    assert ports_of(grant(store, ask("web", [lease["port"], 1], site=B))) == [1]
    assert len(run_json("release", "lb", cwd=tmp_path)[0]["leases"]) == 1
    assert _claims(store) == []


@pytest.mark.usefixtures("variables")
def test_what_another_host_has_for_all_is_told_here(store: EtcdStore, tmp_path: Path, free_port: int) -> None:
    """`check`, `who` and `lease` know whose it is and where; it is not this checkout's, and not given back here."""
    there = Holder(str(tmp_path), str(tmp_path), "lb")
    grant(store, ask(there, [free_port], site=B, hosts=EVERYWHERE))
    done = run("check", str(free_port), cwd=tmp_path)
    assert done.returncode == 1
    assert f"leased to lb of b:{tmp_path}" in " ".join(done.stdout.split())
    (row,) = run_json("who", str(free_port), cwd=tmp_path)[0]["ports"]
    assert (row["lease"]["host"], row["lease"]["scope"]) == ("b", "fleet")
    done = run("lease", "lb", "--prefer", str(free_port), "--json", cwd=tmp_path)
    assert f"{free_port} is not free, leased to lb of b:" in done.stderr
    listed = run("leases", "--all", cwd=tmp_path).stdout
    assert "  b:/" in listed
    assert run("release", cwd=tmp_path).returncode == 0
    assert len(store.leases(host="b")) == 1
    _join(store, "c")
    rows = run_json("check", "--fleet", str(free_port), cwd=tmp_path)[0]["ports"]
    assert [(row["lease"]["host"], row["lease"]["worktree"]) for row in rows] == [("b", f"b:{tmp_path}")] * 2


@pytest.mark.usefixtures("variables")
def test_the_command_leases_one_port_on_several_hosts(store: EtcdStore, tmp_path: Path) -> None:
    """By names or ids; free on each by its own word; a host that is not known or not heard is refused by name."""
    first = free_ports(6)
    _join(store, "b", first)
    _join(store, "c", first + 1)
    words = ["lease", "job", "--on", "b.example,c", "--same-port", "--range", f"{first}-{first + 5}"]
    document, status = run_json(*words, cwd=tmp_path)
    assert status == 0, document
    (lease,) = document["leases"]
    assert lease["hosts"] == ["b", "c"]
    assert lease["port"] > first + 1
    for wrong, told in (
        (["--on", "b,nowhere", "--same-port"], "the fleet has no host nowhere"),
        (["--on", "b"], "--on and --same-port go together"),
        (["--same-port"], "--on and --same-port go together"),
        (["--on", "b,,c", "--same-port"], "'b,,c' is no list of hosts"),
        (["--on", ",", "--same-port"], "',' is no list of hosts"),
    ):
        done = run("lease", "other", *wrong, cwd=tmp_path)
        assert done.returncode == 2
        assert told in done.stderr
        assert "hint:" in done.stderr
    store.gateway.call("lease/revoke", {"ID": str(etcd_host.lifeline(store, "c"))})
    done = run("lease", "other", "--on", "b,c", "--same-port", cwd=tmp_path)
    assert (done.returncode, "no agent is heard there" in done.stderr) == (3, True)


def test_a_store_of_one_machine_has_no_fleet(tmp_path: Path) -> None:
    """It says so, and which store has, also where the extra for that is not installed."""
    code = "import sys; sys.modules['urllib3'] = None; from portward.cli import main; sys.exit(main(sys.argv[1:]))"
    for command in ([sys.executable, "-m", "portward"], [sys.executable, "-c", code]):
        done = subprocess.run(
            [*command, "lease", "lb", "--scope", "fleet"], cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 2, done.stderr
        assert "is this machine's alone" in done.stderr
    with closing(open_store(f"sqlite://{tmp_path}/leases.db")) as own, pytest.raises(UsageError, match="many machines"):
        grant(own, ask("lb", hosts=EVERYWHERE))
