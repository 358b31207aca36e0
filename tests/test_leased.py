"""Leases as one of the truths: `check`, `who`, `services`, `find` and `resolve` tell whom a port is promised to, and keep to it."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward import rules
from portward.cli import main
from portward.leases import LeaseRequest, here, open_store
from portward.model import Endpoint, Holder, Lease, LeaseKind, Listener, PortState, Process, Site, State, Transport
from portward.occupancy import occupancy
from tests.judging import ROOT, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spawn

COMPOSE = 'services:\n  web:\n    image: nginx\n    ports: ["{port}:80"]\n'
OTHER = "/home/you/shop"


def _lease(port: int, worktree: str = OTHER, service: str = "web", **facts: Any) -> Lease:
    holder = Holder(worktree, worktree, service)
    return Lease("host", "", Transport.TCP, port, holder, LeaseKind.STICKY, "token", 1.0).replace(**facts)


class Trees:
    """Two copies of a small project that publishes one port, and the store that they share."""

    def __init__(self, folder: Path, port: int, capsys: pytest.CaptureFixture[str]) -> None:
        self.port = port
        self._capsys = capsys
        self.one, self.two = folder / "one", folder / "two"
        for tree in (self.one, self.two):
            tree.mkdir()
            (tree / "compose.yaml").write_text(COMPOSE.format(port=port))

    def ask(self, tree: Path, *words: object) -> tuple[int, dict[str, Any]]:
        """What a verb answers in a tree, and its status."""
        self._capsys.readouterr()
        status = main(["-C", str(tree), *map(str, words), "--json"])
        return status, json.loads(self._capsys.readouterr().out)

    def published(self, tree: Path) -> dict[str, Any]:
        """What `services` says of the port that a tree publishes."""
        (service,) = self.ask(tree, "services")[1]["services"]
        (row,) = [row for row in service["ports"] if row["from"] == "compose"]
        assert isinstance(row, dict)
        return row

    def tell(self, tree: Path, *words: object) -> str:
        """What a verb prints in a tree, in one line."""
        self._capsys.readouterr()
        main(["-C", str(tree), *map(str, words)])
        return " ".join(self._capsys.readouterr().out.split())


@pytest.fixture
def trees(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Trees:
    """The first of the two trees has the port that both publish leased."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "")
    for name in ("PORTWARD_STORE", "PORT", "CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE", "COMPOSE_FILE"):
        monkeypatch.delenv(name, raising=False)
    made = Trees(tmp_path, free_port, capsys)
    assert made.ask(made.one, "lease", "web")[1]["leases"][0]["port"] == free_port
    return made


def test_a_port_that_is_leased_to_another_is_not_to_be_had(trees: Trees) -> None:
    """It binds, and the answer is no all the same: with the lease, whose it is, and where else to go."""
    status, document = trees.ask(trees.two, "check", trees.port)
    (row,) = document["ports"]
    assert (status, row["available"], row["lease"]["worktree"]) == (1, True, str(trees.one))
    (finding,) = document["findings"]
    assert finding["rule"] == "leased-to-another"
    assert [holder["token"] for holder in finding["holders"]] == [row["lease"]["token"]]
    assert f"is leased to web of {trees.one}" in trees.tell(trees.two, "check", trees.port)


def test_a_port_of_ones_own_is_available(trees: Trees) -> None:
    """The lease of this very checkout is told, and is no reason for a no."""
    status, document = trees.ask(trees.one, "check", trees.port)
    assert (status, document["ports"][0]["lease"]["service"], document["findings"]) == (0, "web", [])
    assert "leased to web here" in trees.tell(trees.one, "check", trees.port)
    assert "leased-to-another" not in [finding["rule"] for finding in trees.ask(trees.one, "check")[1]["findings"]]


def test_who_tells_the_lease(trees: Trees) -> None:
    """Of a port that nobody holds too: the status still says that it is free."""
    status, document = trees.ask(trees.two, "who", trees.port)
    assert (status, document["ports"][0]["lease"]["project"]) == (1, str(trees.one))
    assert f"leased to web of {trees.one}" in trees.tell(trees.two, "who", trees.port)


def test_a_declared_port_that_is_leased_to_another(trees: Trees) -> None:
    """The project may start, so it is a warning; the state of the port says it, and what is offered is its own lease."""
    own = trees.ask(trees.two, "lease", "web")[1]["leases"][0]["port"]
    assert own != trees.port
    status, document = trees.ask(trees.two, "check")
    (finding,) = [each for each in document["findings"] if each["rule"] == "leased-to-another"]
    assert (status, finding["severity"], finding["port"]) == (0, "warning", trees.port)
    assert f"portward set web={own} --write" in [fix["command"] for fix in finding["fixes"]]
    port = trees.published(trees.two)
    assert (port["state"], port["lease"]["worktree"]) == ("leased", str(trees.one))
    assert "web of one" in trees.tell(trees.two, "services")


def test_resolve_moves_to_the_lease_of_this_checkout(trees: Trees) -> None:
    """Who comes second moves, and to the port that is promised to it already."""
    own = trees.ask(trees.two, "lease", "web")[1]["leases"][0]["port"]
    status, document = trees.ask(trees.two, "resolve")
    assert (status, [change["new"] for change in document["changes"]]) == (0, [str(own)])


def test_find_offers_nothing_that_is_promised(trees: Trees) -> None:
    """Not even as the port that was asked for by number, but to the checkout that has it."""
    assert trees.ask(trees.two, "find", trees.port)[1]["ports"] != [trees.port]
    assert trees.ask(trees.one, "find", trees.port)[1]["ports"] == [trees.port]
    here = f"{trees.port}-{trees.port}"
    assert trees.ask(trees.one, "find", "--range", here)[0] == 1


SERVER = """
os.chdir(sys.argv[2])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
ready()
"""


@pytest.mark.parametrize("inside", [True, False], ids=["in the checkout", "elsewhere"])
def test_who_has_the_lease_and_listens_is_the_service(trees: Trees, inside: bool, spawn: Spawn, tmp_path: Path) -> None:
    """Started in the checkout, by whatever command, it is `running`; from elsewhere it has the port against the lease."""
    spawn(SERVER, trees.port, trees.one if inside else tmp_path)
    port = trees.published(trees.one)
    assert (port["state"], port["sign"]) == (("running", "lease") if inside else ("taken", None))


def test_what_run_started_is_the_service_wherever_it_went(trees: Trees, spawn: Spawn, tmp_path: Path) -> None:
    """A daemon that changes to another folder is still below its `portward run`."""
    run = [sys.executable, "-m", "portward", "-C", str(trees.one), "run", "web", "--"]
    spawn(SERVER, "{port}", tmp_path, prefix=run, cwd=trees.one)
    port = trees.published(trees.one)
    assert (port["state"], port["sign"]) == ("running", "lease")


def test_a_store_that_cannot_be_read_hides_nothing_else(trees: Trees, tmp_path: Path) -> None:
    """The answer comes, and says that it is not complete."""
    for file in (tmp_path / "state/portward").glob("leases.db*"):
        file.write_bytes(b"this is no database " * 500)
    status, document = trees.ask(trees.two, "check", trees.port)
    assert (status, document["ports"][0]["available"], document["complete"]) == (0, True, False)
    assert [entry["what"] for entry in document["skipped"]] == ["leases"]
    assert trees.ask(trees.two, "services")[1]["complete"] is False


@pytest.mark.parametrize("foreign", ["another host", "another network namespace", "ended"])
def test_leases_that_mean_another_port_are_in_nobodys_way(trees: Trees, foreign: str, spare_port: int) -> None:
    """The same number on another host or in another namespace, or a lease that has run out."""
    site = here.site()
    site = {
        "another host": Site("elsewhere", site.netns, site.boot),
        "another network namespace": Site(site.host, "net:[1]", site.boot),
    }.get(foreign, site)
    store = open_store(f"sqlite://{os.environ['XDG_STATE_HOME']}/portward/leases.db")
    request = LeaseRequest(site, Holder(OTHER, OTHER, "web"), [(spare_port,)], kind=LeaseKind.TTL, ttl=5)
    store.acquire([request], lambda _port, _transport: True, 1000.0)
    store.close()
    status, document = trees.ask(trees.two, "check", spare_port)
    assert (status, document["ports"][0]["lease"]) == (0, None)


PUBLISHED = {"compose.yaml": COMPOSE.format(port=3000)}


@pytest.mark.parametrize(
    ("leases", "state"),
    [
        ([], PortState.FREE),
        ([_lease(3000)], PortState.LEASED),
        ([_lease(3000, ROOT)], PortState.FREE),
        ([_lease(3000, ROOT, "api")], PortState.LEASED),
        ([_lease(3001)], PortState.FREE),
        ([_lease(3000, transport=Transport.UDP)], PortState.FREE),
    ],
)
def test_whose_lease_is_in_the_way(leases: list[Lease], state: PortState) -> None:
    """Another checkout's, or another service's of this one; not one's own, nor that of another port or transport."""
    asked = snapshot(PUBLISHED, leases=tuple(leases), worktree=ROOT)
    assert asked.project is not None
    (service,) = asked.project.services
    assert occupancy(asked, service, service.claims[0]).state is state
    found = [finding.rule for finding in rules.judge(asked) if finding.rule == "leased-to-another"]
    assert bool(found) is (state is PortState.LEASED)


@pytest.mark.parametrize(("leased", "state"), [((3000,), PortState.FREE), ((3000, 3001), PortState.LEASED)])
def test_a_range_is_leased_only_when_nothing_of_it_is_left(leased: tuple[int, ...], state: PortState) -> None:
    """Docker takes another port of the range."""
    files = {"compose.yaml": 'services:\n  web:\n    image: nginx\n    ports: ["3000-3001:80"]\n'}
    asked = snapshot(files, leases=tuple(map(_lease, leased)), worktree=ROOT)
    assert asked.project is not None
    (service,) = asked.project.services
    assert occupancy(asked, service, service.claims[0]).state is state


def test_who_listens_comes_before_who_was_promised() -> None:
    """A port that somebody has is taken, whoever has it leased."""
    row = Listener(Endpoint("0.0.0.0", 3000), State.LISTEN, processes=(Process(1, "x", ("x",), cwd="/"),))
    asked = snapshot(PUBLISHED, row, leases=(_lease(3000),), worktree=ROOT)
    assert asked.project is not None
    (service,) = asked.project.services
    assert occupancy(asked, service, service.claims[0]).state is PortState.TAKEN
