"""Two git worktrees of the worked example up at one time under a real engine, and no file changed by hand."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.engine import REAL, Answer, Docker, clean_environment, compose_program, wait_for
from tests.nexus import NEXUS, TARGETS, VARIABLES, Stack
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)  # seven containers twice, on a busy machine

_DEFAULT = re.compile(r"\$\{(\w+):-\d+\}")


class Tree:
    """One working tree. `own` is what chooses its state and store, `values` are what `portward env` tells it."""

    def __init__(self, docker: Docker, folder: Path, store: Path) -> None:
        self.docker = docker
        self.folder = folder
        self.own = {"XDG_STATE_HOME": str(folder.parent / "state"), "PORTWARD_STORE": f"sqlite://{store}"}
        self.values: dict[str, str] = {}

    def portward(self, *words: str) -> Answer:
        """Asks Portward in this tree, in a shell that has evaluated `env` if that was asked."""
        return self.docker.portward(*words, folder=self.folder, **self.own, **self.values)

    def evaluate(self) -> None:
        answer = self.portward("env")
        assert answer.status == 0, answer.text
        self.values = answer.document

    def compose(self, *words: str) -> str:
        return self.docker.compose(*words, folder=self.folder, **self.values)

    def ports(self) -> dict[str, int]:
        """The leased port behind each of the example's variables."""
        return {
            name: int(self.values[f"{service}:{target}".replace("-", "_").replace(":", "_").upper() + "_PORT"])
            if (service, target) == ("open-webui", 1234)
            else int(self.values[f"{service.replace('-', '_').upper()}_PORT"])
            for name, (service, target) in VARIABLES.items()
        }

    def wait_until_it_runs(self) -> None:
        """Until every published port is shown as this very stack's."""
        wait_for(lambda: self._states() == {"running"}, 120)

    def _states(self) -> set[str]:
        services = self.portward("services").document["services"]
        return {port["state"] for service in services for port in service["ports"] if port["from"] == "compose"}

    def status(self) -> str:
        """What git says is changed here, ignored files too."""
        return _git(self.folder, "status", "--porcelain", "--ignored")


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all workers of this run: their stacks are up at one time."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "worktrees" / "leases.db"


@pytest.fixture(params=["with variables", "with fixed ports"])
def trees(request: pytest.FixtureRequest, tmp_path: Path, store: Path) -> Iterator[tuple[Tree, Tree]]:
    """The example as a repository on ports of its own, and a linked worktree of it. Its services are stand-ins."""
    docker = Docker.of(REAL)
    folder = tmp_path / "nexus"
    shutil.copytree(NEXUS, folder)
    ports = {name: free_ports() for name in VARIABLES}
    fixed = request.param == "with fixed ports"

    def written(found: re.Match[str]) -> str:
        port = ports[found[1]]
        return str(port) if fixed else f"${{{found[1]}:-{port}}}"

    (folder / ".env").write_text("" if fixed else "".join(f"{name}={port}\n" for name, port in ports.items()))
    file = folder / "docker-compose.yml"
    text = _DEFAULT.sub(written, file.read_text())
    file.write_text(text.replace("name: nexus\n", f"name: nexus-{secrets.token_hex(4)}\n"))
    services = {name: Stack._stand_in(*targets) for name, targets in TARGETS.items()}
    (folder / "docker-compose.override.yml").write_text(json.dumps({"services": services}))
    _git(folder, "init", "--quiet")
    _git(folder, "add", "--force", ".")
    _git(folder, "commit", "--quiet", "-m", "start")
    _git(folder, "worktree", "add", "--quiet", str(tmp_path / "feature"))
    with ExitStack() as started:
        both = Tree(docker, folder, store), Tree(docker, tmp_path / "feature", store)
        for tree in both:
            tree.evaluate()
            started.callback(tree.compose, "down", "--volumes", "--timeout", "0")
        yield both


def _git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    command = [need("git"), "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _wait_until_all_are(whose: str, tree: Tree, ports: dict[str, int]) -> None:
    """Waits until the engine of a busy machine has told all of it; until then nobody's port is said to be ours."""
    wait_for(lambda: _whose(tree, ports) == {whose}, 120)


def _whose(tree: Tree, ports: dict[str, int]) -> set[str]:
    answer = tree.portward("verify", *map(str, ports.values()))
    assert [row["port"] for row in answer.document["ports"]] == list(ports.values())
    found = {row["whose"] for row in answer.document["ports"]}
    assert answer.status == (0 if found == {"mine"} else 1)
    return found


def test_two_worktrees_are_up_at_once(trees: tuple[Tree, Tree]) -> None:
    """Each on ports of its own, all of them answering; `verify` tells the two apart on every port, git sees no change."""
    primary, linked = trees
    for tree in trees:
        tree.compose("up", "--detach")
    mine, others = primary.ports(), linked.ports()
    assert len({*mine.values(), *others.values()}) == 2 * len(VARIABLES)
    for port in (*mine.values(), *others.values()):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
            assert response.read() == b"stand-in\n"
    for tree, ports, whose in [
        (primary, mine, "mine"),
        (primary, others, "other-worktree"),
        (linked, others, "mine"),
        (linked, mine, "other-worktree"),
    ]:
        _wait_until_all_are(whose, tree, ports)
    for tree in trees:
        tree.wait_until_it_runs()
        assert tree.status() == ""
        kept = tree.values
        tree.evaluate()
        assert tree.values == kept


@pytest.fixture
def scaled(tmp_path: Path, store: Path) -> Iterator[tuple[Tree, Tree]]:
    """A service of two containers and one of a profile, on fixed ports, in two working trees."""
    docker, folder = Docker.of(REAL), tmp_path / "shop"
    folder.mkdir()
    first = free_ports(3)
    services = {
        "web": {**Stack._stand_in(80), "scale": 2, "ports": [f"{first}:80"]},
        "debug": {**Stack._stand_in(80), "profiles": ["debug"], "ports": [f"{first + 2}:80"]},
    }
    name = f"shop-{secrets.token_hex(4)}"
    (folder / "compose.yaml").write_text(json.dumps({"name": name, "services": services}))
    _git(folder, "init", "--quiet")
    _git(folder, "add", ".")
    _git(folder, "commit", "--quiet", "-m", "start")
    _git(folder, "worktree", "add", "--quiet", str(tmp_path / "feature"))
    with ExitStack() as started:
        both = Tree(docker, folder, store), Tree(docker, tmp_path / "feature", store)
        for tree in both:
            tree.evaluate()
            started.callback(tree.compose, "--profile", "debug", "down", "--volumes", "--timeout", "0")
        yield both


def test_several_containers_and_profiles_are_up_twice(scaled: tuple[Tree, Tree]) -> None:
    """Each container has a port of its own, in both trees, though the files give all of them one."""
    for tree in scaled:
        tree.compose("--profile", "debug", "up", "--detach")
    found = [tree.compose("--profile", "debug", "ps", "--format", "{{.Ports}}") for tree in scaled]
    ports = {int(port) for text in found for port in re.findall(r":(\d+)->80", text)}
    assert len(ports) == 6, found
    for port in ports:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as response:
            assert response.read() == b"stand-in\n"
    for tree, text in zip(scaled, found, strict=True):
        own = {port: int(port) for port in re.findall(r":(\d+)->80", text)}
        _wait_until_all_are("mine", tree, own)
        assert tree.status() == ""


def test_run_starts_the_second_one_beside_the_first(trees: tuple[Tree, Tree]) -> None:
    """`run -- docker compose up` is told the same as `env`: the stack comes up on its own ports, and ends with the command."""
    primary, linked = trees
    primary.compose("up", "--detach")
    environment = clean_environment(DOCKER_HOST=linked.docker.host, **linked.own)
    process = subprocess.Popen(
        [sys.executable, "-m", "portward", "run", "--", compose_program(), "up"],
        cwd=linked.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    others, is_up = linked.ports(), False
    try:
        wait_for(lambda: process.poll() is not None or _whose(linked, others) == {"mine"}, 120)
        is_up = process.poll() is None
        if is_up:
            _wait_until_all_are("other-worktree", primary, others)
    finally:
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert is_up, said
    assert "somebody else" not in said, said
    assert linked.status() == ""
