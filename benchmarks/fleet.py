"""A fleet on three real members of etcd: `python -m benchmarks.fleet [claims] [views] [agents]`, or `make bench-fleet`.

Method
    claims: services are leased one by one, and 60 in one transaction, from one process on one member; a bare client (http.client,
    one connection) sends the very same requests that Portward sent, to keys of another prefix. Both take turns, and the medians
    of their rates are told. Nothing is bound: this is about the store.

    views: so many hosts (ten times `--hosts`) have 40 listeners each in the store; the installed command is asked about them, from its
    start to its end. The medians of wall time are told. What every host has is one word, what one host has another.

    agents: so many simulated hosts of 40 listeners each begin, are kept alive, and publish a change now and then, by threads of
    a few processes, through the code of the real agent. Told are publications and keepalives a second, those that took longer than
    a second, and what the members use.

    Members and clients share this machine's processors: a real cluster is faster, and a network adds its round trips.
"""

from __future__ import annotations

import argparse
import gc
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib
from base64 import b64decode, b64encode
from contextlib import closing
from functools import partial
from itertools import count, islice
from pathlib import Path

from tests.etcd import Cluster

from portward.leases import LeaseRequest, etcd_host
from portward.leases.etcd import EtcdStore, store_at
from portward.model import Holder, Site

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

SITE = Site("bench-host", "", "boot")
TOGETHER = 60
"""Services in one transaction: two keys each, and etcd takes 128 operations."""

LISTENERS = 40
PREFIXES = ("ours", "bare")


# Claims


def claims(cluster: Cluster, rounds: int) -> Iterator[str]:
    """Single claims and batches, beside the bare client."""
    leader = cluster.leader()
    assert leader is not None
    numbers = count()
    with closing(store_at(f"etcd://127.0.0.1:{cluster.ports[leader]}/{PREFIXES[0]}", {})) as store:
        bare = Bare(cluster.ports[leader], store)
        bare.replay(bare.taken(lambda: _claim(store, numbers, 1)))
        gc.collect()
        gc.freeze()  # what the benchmark itself has loaded is not gone through for either
        rates: dict[str, list[float]] = {}
        for _ in range(rounds):
            for size, times in ((1, 150), (TOGETHER, 15)):
                sent = bare.taken(partial(_claim, store, numbers, size, times))
                ours = _rate(size * times, partial(_claim, store, numbers, size, times))
                others = _rate(size * times, partial(bare.replay, sent))
                for name, value in (("ours", ours), ("bare", others), ("requests", len(sent) / times)):
                    rates.setdefault(f"{name} {size}", []).append(value)
    found = {name: statistics.median(values) for name, values in rates.items()}
    yield "| claims a second | Portward | bare client | ratio | requests for each |"
    yield "|---|---|---|---|---|"
    for size in (1, TOGETHER):
        ours, other = found[f"ours {size}"], found[f"bare {size}"]
        yield f"| {size} at once | {ours:,.0f} | {other:,.0f} | {ours / other:.2f} (goal 0.8) | {found[f'requests {size}']:.1f} |"
    ratio = found[f"ours {TOGETHER}"] / found["ours 1"]
    yield f"{TOGETHER} at once are claimed {ratio:.1f} times as fast as one by one (goal 10)."


def _rate(claimed: int, work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return claimed / (time.perf_counter() - start)


def _claim(store: EtcdStore, numbers: Iterator[int], size: int, times: int = 1) -> None:
    for _ in range(times):
        requests = [
            LeaseRequest(SITE, Holder("/project", "/project", f"service{number}"), iter([(1024 + number,)]))
            for number in islice(numbers, size)
        ]
        assert len(store.acquire(requests, lambda *_: True, time.time())) == size


class Bare:
    """A client that sends what a store has sent, to keys of its own."""

    def __init__(self, port: int, store: EtcdStore) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._gateway = store.gateway
        self._version = ""

    def taken(self, work: Callable[[], object]) -> list[tuple[str, Any]]:
        """What a store sends for some work, for keys of the other prefix. Not while it is timed: what is kept costs the collector time."""
        recorded: list[tuple[str, Any]] = []
        call = self._gateway.call

        def recording(path: str, body: dict[str, Any]) -> Any:
            recorded.append((path, self._renamed(body)))
            return call(path, body)

        self._gateway.call = recording  # type: ignore[method-assign, assignment]
        try:
            work()
        finally:
            self._gateway.call = call  # type: ignore[method-assign]
        return recorded

    def replay(self, sent: list[tuple[str, Any]]) -> None:
        """Each request after the answer to the one before. Bodies are written as JSON, and answers read."""
        for path, body in sent:
            self._connection.request("POST", f"/v3/{path}", json.dumps(body), {"Content-Type": "application/json"})
            answer = json.loads(self._connection.getresponse().read())
            changes = path == "kv/txn" and any("request_put" in act for act in body["success"])
            assert answer.get("succeeded", not changes), answer
            self._version = self._version or (answer["header"]["revision"] if changes else "")

    def _renamed(self, value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            found = {name: self._renamed(each, name) for name, each in value.items()}
            if value.get("result") == "EQUAL" and value.get("mod_revision", "0") != "0":
                found["mod_revision"] = self._version  # the only key that is there already is the store's version
            return found
        if isinstance(value, list):
            return [self._renamed(each) for each in value]
        if key in ("key", "range_end"):
            return b64encode(b64decode(value).replace(PREFIXES[0].encode(), PREFIXES[1].encode(), 1)).decode()
        return value


# Views

GOAL = 1.5
"""Seconds in which all hosts are listed."""


def views(cluster: Cluster, hosts: int, rounds: int) -> Iterator[str]:
    """The verbs over many hosts, whole commands."""
    address = f"etcd://{cluster.endpoints}/views"
    with closing(store_at(address, {})) as store:
        store.acquire([LeaseRequest(SITE, Holder("/p", "/p", "one"), iter([(1024,)]))], lambda *_: True, time.time())
        names = [f"host-{number:05d}" for number in range(hosts)]
        for start in range(0, hosts, TOGETHER // 2):
            acts = []
            for name in names[start : start + TOGETHER // 2]:
                facts = {"name": name, "boot": "boot", "seen": time.time(), "listeners": LISTENERS}
                values = {
                    "a": b"{}",
                    "h": json.dumps(facts).encode(),
                    "inv": zlib.compress(_listeners(name, hash(name)).encode(), 6),
                }
                keys = {store.keys.of_host(kind, name): b64encode(value).decode() for kind, value in values.items()}
                acts += [{"request_put": {"key": b64encode(key.encode()).decode(), "value": keys[key]}} for key in keys]
            store.gateway.transact((), acts)
    yield f"{hosts:,} hosts of {LISTENERS} listeners:"
    with tempfile.TemporaryDirectory() as folder:
        state = {
            "PORTWARD_STORE": address,
            "XDG_STATE_HOME": folder,
            "PORTWARD_HOST_FILE": f"{folder}/host.json",
            "DOCKER_HOST": "",
        }
        for words in (
            ["ls"],
            ["ls", names[hosts // 2]],
            ["ls", "node"],
            ["who", "20500"],
            ["check", "20500"],
            ["leases"],
        ):
            command = [sys.executable, "-m", "portward", *words, "--fleet"]
            taken = []
            for _ in range(rounds):
                start_of_one = time.perf_counter()
                done = subprocess.run(command, env={**os.environ, **state}, cwd=folder, stdout=subprocess.DEVNULL)
                taken.append(time.perf_counter() - start_of_one)
                assert done.returncode in (0, 1)
            goal = f" (goal {GOAL})" if words == ["ls"] else ""
            yield f"- `portward {' '.join(words)} --fleet`: {statistics.median(taken):.2f} s{goal}"


# Agents


def agents(cluster: Cluster, hosts: int, seconds: float, processes: int) -> Iterator[str]:
    """Simulated hosts, and what they cost the members."""
    each = hosts // processes
    command = [sys.executable, "-m", "benchmarks.fleet", "--as-hosts", cluster.endpoints, str(each), str(seconds)]
    before = [_used(cluster, number) for number in range(3)]
    start = time.monotonic()
    with_all = [
        subprocess.Popen([*command, str(number)], stdout=subprocess.PIPE, text=True) for number in range(processes)
    ]
    told = [json.loads(one.communicate()[0]) for one in with_all]
    elapsed = time.monotonic() - start
    after = [_used(cluster, number) for number in range(3)]
    publications, keepalives, slow = (sum(one[name] for one in told) for name in ("published", "kept", "slow"))
    with closing(store_at(f"etcd://{cluster.endpoints}/fleet", {})) as store:
        begun = time.perf_counter()
        reports = etcd_host.reports(store)
        read = time.perf_counter() - begun
        listed = sum(len(report.listeners) for report in reports if report.alive)
    yield f"{hosts:,} hosts of {LISTENERS} listeners for {seconds:.0f} s (with their beginning {elapsed:.0f} s), by {processes} processes:"
    yield f"- {publications:,} publications ({publications / elapsed:.0f}/s) and {keepalives:,} keepalives ({keepalives / elapsed:.0f}/s); {slow} took longer than 1 s, the slowest {max(one['slowest'] for one in told):.2f} s; {sum(one['lost'] for one in told)} hosts were lost"
    yield f"- members: {', '.join(f'{b[1] / 1e6:.0f} MB, {(b[0] - a[0]) / elapsed:.2f} of a core' for a, b in zip(before, after, strict=True))}; database {cluster.status(0)['dbSize']} bytes"  # type: ignore[index]
    yield f"- all read: {len(reports):,} hosts, {listed:,} listeners, {read:.2f} s"


def _used(cluster: Cluster, number: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a member (proc_pid_stat(5), proc_pid_statm(5))."""
    member = cluster._members[number]
    assert member is not None
    fields = Path(f"/proc/{member.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100, int(
        Path(f"/proc/{member.pid}/statm").read_text().split()[1]
    ) * 4096


class Hosts:
    """Some simulated hosts, each kept and changed by one of a few threads."""

    def __init__(self, endpoints: str, number: int, hosts: int, seconds: float) -> None:
        self._store = store_at(f"etcd://{endpoints}/fleet", {})
        self._end = time.monotonic() + seconds
        self._names = [f"host-{number}-{each}" for each in range(hosts)]
        self._mutex = threading.Lock()
        self.told = {"published": 0, "kept": 0, "slow": 0, "slowest": 0.0, "lost": 0}

    def run(self, threads: int = 4) -> None:
        """Until the time is over."""
        all_threads = [
            threading.Thread(target=self._live, args=(self._names[each::threads],)) for each in range(threads)
        ]
        for thread in all_threads:
            thread.start()
        for thread in all_threads:
            thread.join()

    def _live(self, names: list[str]) -> None:
        present = [(name, etcd_host.Presence(self._store, Site(name, "", "boot"), 60)) for name in names]
        for _name, presence in present:
            presence.begin()
        turn = 0
        while time.monotonic() < self._end:
            started = time.monotonic()
            for place, (name, presence) in enumerate(present):
                if (place + turn) % 3 == 0:  # a third changes in each turn
                    facts: etcd_host.Facts = {"name": name, "boot": "boot", "seen": time.time(), "listeners": LISTENERS}
                    self._timed("published", lambda: presence.publish(_listeners(name, turn), facts))  # noqa: B023
                else:
                    self._timed("kept", presence.keep)
            turn += 1
            time.sleep(max(0.0, min(10.0 - (time.monotonic() - started), self._end - time.monotonic())))

    def _timed(self, what: str, act: Callable[[], bool]) -> None:
        start = time.monotonic()
        is_there = act()
        took = time.monotonic() - start
        with self._mutex:
            self.told[what] += 1
            self.told["lost"] += not is_there
            self.told["slow"] += took > 1
            self.told["slowest"] = max(self.told["slowest"], took)


def _listeners(name: str, turn: int) -> str:
    rows = [
        {
            "transport": "tcp", "address": "127.0.0.1", "port": 20000 + (number * 37 + turn) % 9000, "state": "listen", "v6only": None,
            "user": "dev", "owners": "seen", "container": None, "netns": None, "project": name, "service": f"service-{number}", "note": None,
            "processes": [{"pid": 1000 + number, "name": "node", "command": ["node", f"server-{number}.js"], "user": "dev", "cwd": f"/srv/{name}",
                           "started": "2026-01-01T00:00:00.000Z", "unit": None}],
        }
        for number in range(LISTENERS)
    ]  # fmt: skip
    return json.dumps(rows, separators=(",", ":"), sort_keys=True)


def main() -> None:
    """The command line: see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="claims|views|agents", help="what is measured (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="of claims (default: 7)")
    parser.add_argument(
        "--hosts", type=int, default=1000, help="simulated (default: 1000); ten times as many are viewed"
    )
    parser.add_argument("--seconds", type=float, default=120, help="they live (default: 120)")
    parser.add_argument("--processes", type=int, default=4, help="that simulate hosts (default: 4)")
    parser.add_argument("--as-hosts", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.as_hosts:
        endpoints, hosts, seconds, number = arguments.what
        simulated = Hosts(endpoints, int(number), int(hosts), float(seconds))
        simulated.run()
        print(json.dumps(simulated.told))
        return
    what = arguments.what or ["claims", "views", "agents"]
    if not {*what} <= {"claims", "views", "agents"}:
        parser.error(f"{what}: claims, views, agents")
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.wait()
            if "claims" in what:
                for line in claims(cluster, arguments.rounds):
                    print(line, flush=True)
            if "views" in what:
                for line in views(cluster, 10 * arguments.hosts, arguments.rounds):
                    print(line, flush=True)
            if "agents" in what:
                for line in agents(cluster, arguments.hosts, arguments.seconds, arguments.processes):
                    print(line, flush=True)
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
