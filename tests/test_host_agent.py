"""The agent of a host, on real etcd members: its id, what it publishes, and what becomes of it when it is paused or the store is away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from portward.errors import Unavailable
from portward.leases import etcd_host, here, host_id
from portward.leases.etcd import EtcdStore, store_at
from portward.model import Holder, LeaseKind
from portward.verbs.host_agent import HostAgent
from portward.wire import Malformed
from tests.command import run
from tests.conftest import need_root
from tests.etcd import Cluster
from tests.test_leases_contract import HERE, NOW, ask, grant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from portward.model import HostReport
    from tests.conftest import Listen

WITHIN = 60.0


@pytest.fixture
def address(etcd: Cluster, tmp_path: Path) -> str:
    """A store of the test's own."""
    return f"etcd://{etcd.endpoints}/{tmp_path.name}-{time.time_ns()}"


@pytest.fixture
def store(address: str) -> Iterator[EtcdStore]:
    with closing(store_at(address, {})) as opened:
        yield opened


class Agent:
    """`portward agent --json` in a process of its own, with an id of its own."""

    def __init__(self, address: str, folder: Path, ttl: float = 5.0) -> None:
        self.environment = {
            "HOME": str(folder),
            "PORTWARD_STORE": address,
            "PORTWARD_HOST_FILE": str(folder / "host.json"),
        }
        self.said: list[dict[str, Any]] = []
        self._log = (folder / "agent.log").open("w+b")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portward", "agent", "--json", "--ttl", str(ttl)],
            stdout=self._log, stderr=subprocess.STDOUT, cwd=folder,
            env={**os.environ, **self.environment, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        )  # fmt: skip

    def wait_for(self, kind: str, times: int = 1) -> dict[str, Any]:
        """The event of a kind, as soon as it was told so often."""
        found: list[dict[str, Any]] = []

        def has_come() -> bool:
            self._log.seek(0)
            lines = self._log.read().splitlines(keepends=True)
            self.said = [json.loads(line) for line in lines if line.endswith(b"\n") and line.startswith(b"{")]
            found[:] = [event for event in self.said if event["event"] == kind]
            assert self.process.poll() is None or len(found) >= times, lines
            return len(found) >= times

        until(has_come)
        return found[times - 1]

    def end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
        try:
            return self.process.wait(WITHIN)
        finally:
            self.process.kill()
            self.process.wait()
            self._log.close()


@pytest.fixture
def agent(address: str, tmp_path: Path) -> Iterator[Agent]:
    started = Agent(address, tmp_path)
    try:
        started.wait_for("published")
        yield started
    finally:
        started.end()


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + WITHIN
    while not is_so():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.05)


def only_report(store: EtcdStore) -> HostReport:
    (report,) = etcd_host.reports(store)
    return report


# The id


def test_a_host_keeps_its_id_when_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The id is made once, and has a name in it that people know."""
    environment = {"HOME": str(tmp_path), "PORTWARD_HOST_FILE": str(tmp_path / "none/host.json")}
    monkeypatch.setattr(here, "name", lambda: "build-1")
    first = host_id.host_id(environment)
    monkeypatch.setattr(here, "name", lambda: "renamed")
    assert first is not None
    assert first.startswith("build-1-")
    assert host_id.host_id(environment) == first
    told = json.loads((tmp_path / ".local/state/portward/host.json").read_text())
    assert told == {"id": first, "machine": here.machine(), "boot": here.site().boot}


def test_an_id_that_was_copied_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file from another machine would make one host of two: nothing is leased by it, and the way out is said."""
    environment = {"HOME": str(tmp_path), "PORTWARD_HOST_FILE": str(tmp_path / "none/host.json")}
    host_id.host_id(environment)
    monkeypatch.setattr(here, "machine", lambda: "ffffffff")
    with pytest.raises(Unavailable, match="was copied from another machine") as refused:
        host_id.host_id(environment)
    assert "remove it" in str(refused.value.hint)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": ""}', '{"id": 1, "machine": ""}', "\x00" * 9000])
def test_an_id_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    """It may have been another: no new one is made in its place."""
    file = tmp_path / "host.json"
    file.write_text(text)
    with pytest.raises(Unavailable, match="is not the id of a host"):
        host_id.host_id({"HOME": str(tmp_path), "PORTWARD_HOST_FILE": str(file)})
    assert file.read_text() == text


def test_one_id_for_all_users_of_the_machine(tmp_path: Path) -> None:
    """The agent shares the one that is there; who had one of his own goes by the shared one from then on."""
    shared = str(tmp_path / "var/host.json")
    alice, bob = ({"HOME": str(tmp_path / name), "PORTWARD_HOST_FILE": shared} for name in ("alice", "bob"))
    mine, before = host_id.host_id(alice), host_id.host_id(bob)
    assert mine != before
    assert host_id.share(alice) == mine == host_id.host_id(alice) == host_id.host_id(bob)


def test_where_none_can_be_kept(tmp_path: Path) -> None:
    """The host is called as in a store of one machine, and the agent says what it misses."""
    nowhere = tmp_path / "file"
    nowhere.touch()
    environment = {"HOME": str(nowhere), "PORTWARD_HOST_FILE": str(nowhere / "host.json")}
    assert host_id.host_id(environment) is None
    with closing(store_at("etcd://127.0.0.1:1/p", {})) as store:
        assert here.site_in(store, environment) == here.site()
    with pytest.raises(Unavailable, match="has no id") as refused:
        host_id.share(environment)
    assert "PORTWARD_HOST_FILE" in str(refused.value.hint)


def test_a_store_of_one_machine_needs_no_agent(tmp_path: Path) -> None:
    """Bad usage, with the way to a store of many."""
    done = run("agent", HOME=str(tmp_path), PORTWARD_STORE=f"sqlite://{tmp_path}/leases.db")
    assert done.returncode == 2
    assert "etcd://" in done.stderr


# What it publishes


def test_who_listens_is_published_as_it_changes(agent: Agent, store: EtcdStore, listen: Listen) -> None:
    """A listener comes and goes in the store. At the end the host is gone, and when it was last seen stays."""
    with listen() as socket:
        port = socket.getsockname()[1]
        until(lambda: port in {row.port for row in only_report(store).listeners})
        report = only_report(store)
        assert report.alive
        assert len(report.listeners) == len(list(report.listeners)) > 0
        assert (report.name, report.boot) == (here.name(), here.site().boot)
        (mine,) = [row for row in report.listeners if row.port == port]
        assert [process.pid for process in mine.processes] == [os.getpid()]
    until(lambda: port not in {row.port for row in only_report(store).listeners})
    assert agent.end() == 0
    report = only_report(store)
    assert not report.alive
    assert not list(report.listeners)
    assert abs(time.time() - report.seen) < WITHIN


def test_an_agent_that_is_killed_is_gone_after_its_time(agent: Agent, store: EtcdStore) -> None:
    """Nothing is left of it but when it was last seen."""
    agent.process.kill()
    until(lambda: not only_report(store).alive)
    assert not list(only_report(store).listeners)
    assert only_report(store).seen > 0


def test_what_does_not_change_is_not_published_again(agent: Agent) -> None:
    """It is kept alive meanwhile: an idle fleet writes nothing."""
    time.sleep(6)  # longer than its time to live
    agent.wait_for("published")
    assert {event["event"] for event in agent.said} == {"began", "published"}


# What becomes of its leases


def test_a_paused_agent_loses_its_leases_and_says_so(agent: Agent, store: EtcdStore) -> None:
    """Past its time the leases that end with the host are gone, and others may have them. It claims again what is free and whose holder
    lives; it never takes what another has by now.
    """
    site = here.site().replace(host=only_report(store).host)
    mine, ended = here.identity(), _ended()
    asked = [
        ask(Holder("/p", "/p", name, process=who), [port], site=site, kind=LeaseKind.PROCESS)
        for name, port, who in (("kept", 20001, mine), ("contested", 20002, mine), ("dead", 20003, ended))
    ]
    grant(store, *asked)
    agent.wait_for("published")
    until(lambda: sum(1 for each in store.entries(site.host) if each.kv.lifeline) == 3)
    time.sleep(2.5)  # it looks at what is attached to it when it keeps itself alive
    agent.process.send_signal(signal.SIGSTOP)
    until(lambda: not only_report(store).alive)
    assert store.leases() == ()
    (other,) = grant(store, ask("other", [20002], site=site))
    agent.process.send_signal(signal.SIGCONT)
    lost = agent.wait_for("lost")
    assert "3 leases with it" in lost["message"]
    taken, claimed, gone = (agent.wait_for(kind) for kind in ("taken", "claimed", "ended"))
    assert (taken["lease"]["service"], claimed["lease"]["service"], gone["lease"]["service"]) == (
        "contested",
        "kept",
        "dead",
    )
    assert {(lease.port, lease.holder.service) for lease in store.leases()} == {(20001, "kept"), (20002, "other")}
    assert other in store.leases()
    agent.wait_for("published", 2)


def _ended() -> Any:
    """A process that was there."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:  # until its input ends, with this block
        who = here.identity(process.pid)
    assert who is not None
    return who


def test_an_agent_that_is_started_anew_keeps_what_processes_have(
    agent: Agent, store: EtcdStore, address: str, tmp_path: Path
) -> None:
    """Its end is not the machine's: the leases stay, and end with the next one's word."""
    assert agent.end() == 0
    site = here.site().replace(host=only_report(store).host)
    leased = grant(store, ask(Holder("/p", "/p", "web", process=here.identity()), site=site, kind=LeaseKind.PROCESS))
    for _ in range(2):
        assert [each.kv.lifeline for each in store.entries(None)] == [0]
        again = Agent(address, tmp_path)
        try:
            again.wait_for("published")
            assert all(each.kv.lifeline for each in store.entries(None))
        finally:
            assert again.end() == 0
    assert store.leases() == leased


def test_without_an_agent_a_process_has_its_lease_all_the_same(store: EtcdStore) -> None:
    """It ends with its holder alone."""
    grant(store, ask(Holder("/p", "/p", "web", process=here.identity()), kind=LeaseKind.PROCESS))
    assert [each.kv.lifeline for each in store.entries(None)] == [0]


# Two machines of one id, and a store that is away


def test_two_live_machines_of_one_id_are_refused(store: EtcdStore) -> None:
    """The second start of the machine waits for the first one's time to end; while that one is kept alive, it is never let in."""
    first = etcd_host.Presence(store, HERE, 60)
    first.begin()
    second = etcd_host.Presence(store, HERE.replace(boot="boot-2"), 60)
    with pytest.raises(etcd_host.Copied, match="alive already") as refused:
        second.begin()
    assert "host.json" in str(refused.value.hint)
    assert first.keep()
    again = etcd_host.Presence(store, HERE, 60)
    again.begin()  # the same start: an agent that was killed a moment ago
    assert not first.publish("[]", {})
    assert again.publish("[]", {})
    again.end({})
    second.begin()
    assert second.publish("[]", {})


class _Still:
    """Nothing ever changes."""

    def wait(self, seconds: float) -> bool:
        time.sleep(min(seconds, 0.05))
        return False

    def close(self) -> None:
        pass


def test_an_agent_ends_where_another_is_alive(store: EtcdStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time in which the old place would have ended."""
    other = etcd_host.Presence(store, HERE.replace(boot="boot-2"), 60)
    other.begin()
    monkeypatch.setattr("portward.verbs.host_agent._MARGIN_SECONDS", 0.2)
    agent = HostAgent(store, HERE, lambda: (_ for _ in ()).throw(AssertionError), _Still(), time.time, 0.5)  # type: ignore[arg-type]
    events: list[str] = []
    with pytest.raises(etcd_host.Copied):
        events.extend(event.kind for event in agent.run(lambda: False))
    assert set(events) == {"waiting"}


def test_a_store_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """Told once, and once that it is back; what listens is there again."""
    cluster = Cluster(tmp_path, 1)
    try:
        cluster.wait()
        address = f"etcd://{cluster.endpoints}/p"
        agent = Agent(address, tmp_path)
        try:
            agent.wait_for("published")
            cluster.kill(0)
            agent.wait_for("unreachable")
            cluster.start(0)
            cluster.wait()
            agent.wait_for("back")
            with closing(store_at(address, {})) as store:
                until(lambda: only_report(store).alive and list(only_report(store).listeners))
            assert sum(event["event"] == "unreachable" for event in agent.said) == 1
        finally:
            assert agent.end() == 0
    finally:
        cluster.stop()


# What others put into the store


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode())


FACTS = b'{"name": "n", "boot": "b", "seen": 1, "listeners": 1}'
HOSTILE = {
    "not JSON": (b"\xff\x00", _packed("[]")),
    "another JSON": (b"[]", _packed("[]")),
    "deep": (b"[" * 50_000, _packed("[]")),
    "not packed": (FACTS, b"<script>alert(1)</script>"),
    "no list": (FACTS, _packed('{"a": 1}')),
    "no listener": (FACTS, _packed('[{"port": "<b>"}]')),
    "a bomb": (FACTS, zlib.compress(b" " * (64 << 20))),
    "cut": (FACTS, _packed("[" + "1," * 1000)[:-8]),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_makes_no_sense_is_that_hosts_problem_alone(store: EtcdStore, what: str) -> None:
    """The others are read all the same, and nothing is obeyed."""
    facts, inventory = HOSTILE[what]
    grant(store, ask())
    store.gateway.put(store.keys.of_host("h", "evil/../host"), facts)
    store.gateway.put(store.keys.of_host("inv", "evil/../host"), inventory)
    good = etcd_host.Presence(store, HERE, 60)
    good.begin()
    good.publish("[]", {"name": "good", "boot": HERE.boot, "seen": NOW, "listeners": 0})
    evil, fine = sorted(etcd_host.reports(store), key=lambda report: report.host)
    assert (fine.name, fine.alive, list(fine.listeners), fine.problem) == ("good", True, [], None)
    assert evil.host == "evil/../host"
    if facts == FACTS:
        with pytest.raises(Malformed):
            list(evil.listeners)
    else:
        assert evil.problem


# The unit


def test_the_unit_is_one_of_systemd(tmp_path: Path) -> None:
    """As systemd itself reads it."""
    need_root()
    verify = shutil.which("systemd-analyze")
    unit = tmp_path / "portward-agent.service"
    unit.write_text(run("agent", "--unit").stdout)
    assert " agent\n" in unit.read_text()
    if verify:
        done = subprocess.run([verify, "verify", "--man=no", str(unit)], capture_output=True, text=True)
        assert "portward-agent" not in done.stderr, done.stderr
