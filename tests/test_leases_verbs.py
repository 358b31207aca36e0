"""`lease`, `release`, `leases`, `env`, `verify` and `pin` in real checkouts: primary, linked, and without git."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward.cli import main
from portward.model import Endpoint, Listener, Process, State
from portward.verbs.ownership import whose
from portward.workspace import Checkout
from tests.conftest import need
from tests.nexus import NEXUS, VARIABLES
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Listen, Spawn


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The worked example as a git repository on ports of its own, with a store of its own and no engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for name in (*VARIABLES, "PORTWARD_STORE", "CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE", "COMPOSE_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "nexus"
    subprocess.run(["cp", "-r", str(NEXUS), str(folder)], check=True)
    first = free_ports(len(VARIABLES))
    (folder / ".env").write_text("".join(f"{name}={first + step}\n" for step, name in enumerate(VARIABLES)))
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--force", ".")
    _git(folder, "commit", "--quiet", "-m", "start")
    return folder


def _git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run([need("git"), "-C", str(folder), *identity, *words], check=True, capture_output=True)


def _linked(tree: Path) -> Path:
    _git(tree, "worktree", "add", "--quiet", str(tree.parent / "feature"))
    return tree.parent / "feature"


def _json(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = main([*map(str, words), "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, document


def _ports(capsys: pytest.CaptureFixture[str], tree: Path, *words: str) -> list[int]:
    status, document = _json(capsys, "-C", tree, "lease", *words)
    assert status == 0
    return [lease["port"] for lease in document["leases"]]


def _declared(tree: Path) -> dict[str, int]:
    return {name: int(port) for name, port in (line.split("=") for line in (tree / ".env").read_text().splitlines())}


def test_the_primary_checkout_keeps_what_its_files_declare(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every declared port is its own lease, the same when asked again, and bare numbers on stdout."""
    declared = sorted(_declared(tree).values())
    assert sorted(_ports(capsys, tree)) == declared
    assert sorted(_ports(capsys, tree)) == declared
    capsys.readouterr()
    assert main(["-C", str(tree), "lease", "backend", "redis"]) == 0
    assert capsys.readouterr().out == f"{_declared(tree)['PORT']}\n{_declared(tree)['REDIS_PORT']}\n"


def test_a_linked_worktree_moves(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two checkouts of one repository never share a port; the linked one's lie in the ranges of their kinds."""
    mine, linked = set(_ports(capsys, tree)), _linked(tree)
    theirs = _ports(capsys, linked)
    assert len(theirs) == len(VARIABLES)
    assert mine.isdisjoint(theirs)
    assert 11000 <= _ports(capsys, linked, "backend")[0] <= 11999
    assert _ports(capsys, linked) == theirs
    _, document = _json(capsys, "-C", linked, "leases")
    assert len(document["leases"]) == 2 * len(VARIABLES)
    assert {lease["project"] for lease in document["leases"]} == {str(tree)}
    assert {lease["worktree"] for lease in document["leases"]} == {str(tree), str(linked)}


def test_a_lost_store_gives_the_same_ports(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first candidate is a hash of project, worktree and service: without the ledger it comes out again."""
    linked = _linked(tree)
    before = _ports(capsys, linked)
    for path in (tree.parent / "state/portward").glob("leases*"):
        path.unlink()
    assert _ports(capsys, linked) == before


def test_prefer_falls_back_upward_and_says_so(
    tree: Path, listen: Listen, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The guide's fallback: the next free port, at most 100 above; then none."""
    listen("0.0.0.0", free_port)
    capsys.readouterr()
    assert main(["-C", str(tree), "lease", "extra", "--prefer", str(free_port)]) == 0
    said = capsys.readouterr()
    assert free_port < int(said.out) <= free_port + 100
    assert f"{free_port} is not free" in said.err


def test_counts_ranges_and_neighbours(tree: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """`--count` gives several ports of one service, `--contiguous` neighbours, `--range` from where."""
    low = free_port - free_port % 2
    three = _ports(capsys, tree, "batch", "--count", "3", "--contiguous")
    assert three == list(range(three[0], three[0] + 3))
    one = _ports(capsys, tree, "one", "--range", f"{low}-{low + 400}")
    assert low <= one[0] <= low + 400
    assert main(["-C", str(tree), "lease", "x", "--prefer", "5000", "--range", "1-2"]) == 2


def test_release_and_leases(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is given back is gone from the list; a second time there is nothing, exit 1."""
    _ports(capsys, tree, "backend")
    _, document = _json(capsys, "-C", tree, "leases")
    (lease,) = document["leases"]
    assert (lease["service"], lease["state"], lease["kind"], lease["expires"]) == ("backend", "idle", "sticky", None)
    assert _json(capsys, "-C", tree, "release", "backend")[0] == 0
    assert _json(capsys, "-C", tree, "release", "backend")[0] == 1
    assert _json(capsys, "-C", tree, "leases")[1]["leases"] == []


@pytest.mark.parametrize("name", ["CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE"])
def test_conventions_of_others_come_first(
    tree: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A worktree's host that gives a block of ports is honoured: service by service from its first."""
    base = free_ports(3)
    monkeypatch.setenv(name, str(base))
    assert _ports(capsys, tree, "frontend", "backend") == [base, base + 1]


DECIDING = ("--prefer", "PORT", "CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE", "pin")


@pytest.mark.parametrize("known", [False, True], ids=["first lease", "leased before"])
def test_the_strongest_word_decides(
    tree: Path, known: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A flag, `PORT`, a worktree's host, a pin, in this order; then the lease there is, and the file's own port. Each again the same."""
    first = free_ports(len(DECIDING) * 10)
    said = {word: first + 10 * place for place, word in enumerate(DECIDING)}
    if known:
        assert _ports(capsys, tree, "backend") == [_declared(tree)["PORT"]]
    for word in reversed(DECIDING[1:]):
        if word == "pin":
            assert main(["-C", str(tree), "pin", f"backend={said[word]}", "--reason", "x"]) == 0
        else:
            monkeypatch.setenv(word, str(said[word]))
        assert _ports(capsys, tree, "backend") == _ports(capsys, tree, "backend") == [said[word]]
        if not known:
            assert main(["-C", str(tree), "release"]) == 0
    assert _ports(capsys, tree, "backend", "--prefer", str(said["--prefer"])) == [said["--prefer"]]


def test_what_cannot_be_had_moves_nothing(
    tree: Path, listen: Listen, spare_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A lease stays where it is if the port that is wanted now is held or promised, and also when it is free again later."""
    ports = _ports(capsys, tree, "backend", "redis")
    with listen("127.0.0.1", spare_port):
        assert main(["-C", str(tree), "lease", "extra", "--prefer", str(spare_port)]) == 0
        extra = int(capsys.readouterr().out)
        assert extra != spare_port
        monkeypatch.setenv("PORT", str(spare_port))
        assert _ports(capsys, tree, "backend") == ports[:1]
        monkeypatch.setenv("PORT", str(ports[1]))
        assert _ports(capsys, tree, "backend", "redis") == ports
    assert main(["-C", str(tree), "lease", "extra", "--prefer", str(spare_port)]) == 0
    said = capsys.readouterr()
    assert int(said.out) == extra
    assert f"extra keeps {extra}" in said.err


def test_a_plain_port_is_for_the_service_that_reads_it(
    tree: Path, spare_port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`PORT` gives no other service of the project a port, however it is asked for; where no file reads it, the first one."""
    declared = _declared(tree)
    monkeypatch.setenv("PORT", str(spare_port))
    assert _ports(capsys, tree, "redis", "backend") == [declared["REDIS_PORT"], spare_port]
    for path in tree.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    monkeypatch.setenv("PORT", str(declared["PORT"]))
    assert _ports(capsys, tree, "one", "two")[0] == declared["PORT"]


def test_services_share_a_block(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Asked for one by one, each service has a port of the block, as long as there is one, and keeps it."""
    base = free_ports(10)
    monkeypatch.setenv("CONDUCTOR_PORT", str(base))
    names = [f"job{number}" for number in range(11)]
    ports = [_ports(capsys, tree, name)[0] for name in names]
    assert sorted(ports[:10]) == list(range(base, base + 10))
    assert 20000 <= ports[10] <= 29999
    assert main(["-C", str(tree), "release", "job0"]) == 0
    assert [_ports(capsys, tree, name)[0] for name in names[1:10]] == ports[1:10]


def test_a_range_moves_what_is_outside(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lease that was granted elsewhere is given back for one in the range; one that is in it stays."""
    first = free_ports(4)
    wanted = ("batch", "--range", f"{first}-{first + 3}", "--count", "2")
    before = _ports(capsys, tree, "batch")
    inside = _ports(capsys, tree, *wanted)
    assert set(inside) <= set(range(first, first + 4))
    assert set(before).isdisjoint(inside)
    assert _ports(capsys, tree, *wanted) == inside


def test_env_names_what_the_project_uses(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The variables that Compose interpolates, one for each service, and a Compose project of its own in a linked worktree."""
    status, values = _json(capsys, "-C", tree, "env")
    assert status == 0
    assert {name: int(values[name]) for name in VARIABLES} == _declared(tree)
    assert values["BACKEND_URL"] == f"http://localhost:{values['BACKEND_PORT']}"
    assert "COMPOSE_PROJECT_NAME" not in values
    linked = _linked(tree)
    other = _json(capsys, "-C", linked, "env")[1]
    assert other["COMPOSE_PROJECT_NAME"].startswith("nexus-")
    assert {other[name] for name in VARIABLES}.isdisjoint(values[name] for name in VARIABLES)
    capsys.readouterr()
    assert main(["-C", str(tree), "env", "--format", "shell"]) == 0
    shown = capsys.readouterr().out
    done = subprocess.run(["sh", "-c", f"{shown}\necho $PORT"], capture_output=True, text=True, check=True)
    assert done.stdout == f"{values['PORT']}\n"


def test_verify_tells_checkouts_apart(
    tree: Path, spawn: Spawn, free_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server of this checkout is mine, seen from the other it is another worktree's; a stranger's and nobody's are told."""
    linked = _linked(tree)
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])", cwd=tree)
    stranger = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])", cwd="/")
    port = child.facts["port"]
    status, document = _json(capsys, "-C", tree, "verify", port)
    assert (status, document["ports"][0]["whose"]) == (0, "mine")
    status, document = _json(capsys, "-C", linked, "verify", port)
    assert (status, document["ports"][0]["whose"]) == (1, "other-worktree")
    assert _json(capsys, "-C", tree, "verify", stranger.facts["port"])[1]["ports"][0]["whose"] == "stranger"
    assert _json(capsys, "-C", tree, "verify", free_port)[1]["ports"][0]["whose"] == "nobody"


def test_a_forwarder_is_nobodys_by_its_folder(tree: Path) -> None:
    """Where the engine cannot be asked, its proxy was started in some folder: that says nothing about the container."""
    mine = Checkout(str(tree), str(tree))
    row = Listener(Endpoint("0.0.0.0", 1), State.LISTEN, processes=(Process(1, "docker-proxy", cwd=str(tree)),))
    assert whose(row, None, mine, lambda _folder: mine) == "stranger"
    server = row.replace(processes=(Process(1, "python3", cwd=str(tree)),))
    assert whose(server, None, mine, lambda _folder: mine) == "mine"


def test_a_pin_is_written_and_kept(tree: Path, free_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A pin needs a reason, is written once, and decides what is leased, also in a linked worktree."""
    assert main(["-C", str(tree), "pin", f"backend={free_port}"]) == 2
    assert main(["-C", str(tree), "pin", f"backend={free_port}", "--reason", 'the "provider"']) == 0
    assert main(["-C", str(tree), "pin", f"backend={free_port + 1}", "--reason", "x"]) == 2
    assert _ports(capsys, tree, "backend") == [free_port]
    assert main(["-C", str(tree), "undo"]) == 0
    assert not (tree / "portward.toml").exists()


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs users")
def test_a_store_that_cannot_be_written_still_answers(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a sandbox a port is still found, and said not to be recorded."""
    (tree.parent / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tree.parent / "file"))
    capsys.readouterr()
    assert main(["-C", str(tree), "lease", "backend"]) == 0
    said = capsys.readouterr()
    assert int(said.out) == _declared(tree)["PORT"]
    assert "not recorded" in said.err


def test_many_at_once_never_share(tree: Path) -> None:
    """Several processes that lease different services at one moment are given different ports."""
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "portward", "-C", str(tree), "lease", f"job{index}", "--count", "3"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(8)
    ]
    ports = [int(line) for process in started for line in process.communicate(timeout=60)[0].split()]
    assert [process.returncode for process in started] == [0] * 8
    assert len(ports) == len(set(ports)) == 24


@pytest.mark.parametrize(
    ("port", "said"), [(1, "privileged"), (6666, "browsers refuse"), (40000, "in the ephemeral range"), (20500, "")]
)
def test_a_preferred_port_out_of_bounds_is_granted_with_a_warning(
    tree: Path, capsys: pytest.CaptureFixture[str], port: int, said: str
) -> None:
    """Reserved ranges bind what Portward picks; who decides otherwise gets the port, and is told what speaks against it."""
    capsys.readouterr()
    assert main(["-C", str(tree), "lease", "extra", "--prefer", str(port)]) == 0
    output, errors = capsys.readouterr()
    if output != f"{port}\n":  # somebody has it: then the next is granted
        return
    assert (f"{port} of extra: {said}" in errors) is bool(said)
