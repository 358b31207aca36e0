"""`portward kill` on containers of a real engine: the engine stops them, and they stay stopped."""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine import IMAGE, NO_PROXY, REAL, Docker, PretendedEngine, clean_environment, http, portward, wait_for
from tests.killing import BYSTANDER, ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Child, Spawn
    from tests.engine import Answer

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are stopped on Linux only")

WEB = ["httpd", "-f", "-p", "80", "-h", "/www"]
DEAF = ["sh", "-c", "trap '' TERM; httpd -f -p 80 -h /www & while :; do sleep 1; done"]
POLITE = ["sh", "-c", "trap 'exit 0' TERM; httpd -f -p 80 -h /www & while :; do sleep 0.1; done"]


@pytest.fixture(params=[REAL, NO_PROXY], ids=["proxy", "no-proxy"])
def either(request: pytest.FixtureRequest) -> Docker:
    """The usual engine, then the one whose own process holds the published ports."""
    return Docker.of(request.param)


@pytest.fixture
def docker() -> Docker:
    """The usual engine."""
    return Docker.of(REAL)


@pytest.fixture
def crowd(free_port: int, spawn: Spawn) -> Iterator[Callable[[], None]]:
    """Called when the port is published, it gathers bystanders. In the end none of them has had any signal."""
    children: list[Child] = []

    def gather() -> None:
        children.extend(spawn(BYSTANDER, free_port, role) for role in ROLES if role != "client from the port")

    yield gather
    for child in children:
        assert child.process.poll() is None
        said, errors = child.process.communicate(timeout=60)
        assert (said, errors) == ("", "")


def kill(docker: Docker, state: Path, *words: object) -> Answer:
    """`portward kill … --yes` with this engine."""
    return docker.portward("kill", *map(str, words), "--yes", XDG_STATE_HOME=str(state))


def running(docker: Docker, name: str) -> bool:
    """Whether a container runs now."""
    return docker("inspect", "--format", "{{.State.Running}}", name) == "true"


def test_a_container(either: Docker, free_port: int, tmp_path: Path, crowd: Callable[[], None]) -> None:
    """It is stopped by its engine, a restart policy does not bring it back, and what forwards for it is never named."""
    with (
        either.container("--publish", f"{free_port}:80", "--restart", "always", command=POLITE) as name,
        either.container("--publish", "80") as other,
    ):
        wait_for(lambda: _answers(free_port))
        crowd()
        answer = kill(either, tmp_path, free_port)
        (stopped,) = answer.document["stopped"]
        assert (answer.status, stopped["port"], stopped["container"], stopped["pid"]) == (0, free_port, name, None)
        assert stopped["what"] == f"container {name}"
        assert "restart policy is `always`" in " ".join(stopped["remarks"])
        assert answer.document["ports"][0]["free"] is True
        assert (running(either, name), running(either, other)) == (False, True)
        assert "docker-proxy" not in answer.text
        log = [json.loads(line) for line in (tmp_path / "portward/stopped.jsonl").read_text().splitlines()]
    assert [(entry["what"], entry["result"]) for entry in log] == [(f"container {name}", "stopped")]
    assert log[0]["container"] == stopped_id(log)


def stopped_id(log: list[dict[str, Any]]) -> str:
    """A short container id, as the log must have it."""
    identifier: str = log[0]["container"]
    assert len(identifier) == 12
    int(identifier, 16)
    return identifier


def test_a_container_that_ignores_its_signal(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """Its engine ends it after its grace, as `docker stop` does."""
    options = ["--publish", f"{free_port}:80", "--stop-timeout", "1"]
    with docker.container(*options, command=DEAF) as name:
        wait_for(lambda: _answers(free_port))
        answer = kill(docker, tmp_path, free_port)
        assert (answer.status, running(docker, name)) == (0, False)
    assert "SIGKILL after 1 s" in answer.document["stopped"][0]["how"]


def test_a_database_in_a_container(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """One that does not end in time never gets SIGKILL: exit 1, it still runs. With --force its engine ends it."""
    labels = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=postgres"]
    with docker.container("--publish", f"{free_port}:80", *labels, command=DEAF) as name:
        wait_for(lambda: _answers(free_port))
        answer = kill(docker, tmp_path, free_port, "--timeout", "1")
        (refused,) = answer.document["refused"]
        assert (answer.status, running(docker, name)) == (1, True)
        assert refused["what"] == f"container {name} (service postgres of shop)"
        assert "still shutting down" in refused["why"]
        assert "never SIGKILL" in answer.document["planned"][0]["how"]
        forced = kill(docker, tmp_path, free_port, "--timeout", "1", "--force")
        assert (forced.status, running(docker, name)) == (0, False)


def test_a_container_that_is_removed(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """`--rm` takes it and its volumes away: that is said before."""
    with docker.container("--publish", f"{free_port}:80", "--rm", command=POLITE) as name:
        dry = docker.portward("kill", str(free_port), "--dry-run")
        assert "the container and its anonymous volumes are removed" in dry.document["planned"][0]["remarks"][0]
        assert running(docker, name)
        assert kill(docker, tmp_path, free_port).status == 0
        wait_for(lambda: name not in docker("ps", "--all", "--format", "{{.Names}}"))


def test_a_container_on_the_hosts_network(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """Its process holds the port; the container is what is stopped."""
    server = ["httpd", "-f", "-p", str(free_port), "-h", "/www"]
    options = ["--network", "host", "--restart", "always", "--stop-timeout", "1"]
    with docker.container(*options, command=server) as name:
        wait_for(lambda: _answers(free_port))
        answer = kill(docker, tmp_path, free_port)
        assert (answer.status, answer.document["stopped"][0]["container"]) == (0, name)
        assert not running(docker, name)


def test_a_stopped_containers_claim(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """There is nothing to stop: the port is free."""
    with docker.container("--publish", f"{free_port}:80", verb="create"):
        answer = kill(docker, tmp_path, free_port)
    assert (answer.status, answer.document["stopped"], answer.document["refused"]) == (1, [], [])
    assert answer.document["ports"][0]["free"] is True


@pytest.mark.parametrize(
    ("label", "why"),
    [
        ("com.docker.swarm.service.name=shop_web", "swarm would start it again (shop_web)"),
        ("io.kubernetes.pod.name=web-0", "kubernetes would start it again (web-0)"),
    ],
)
def test_a_container_that_somebody_else_keeps(
    label: str, why: str, docker: Docker, free_port: int, tmp_path: Path
) -> None:
    """A task of a swarm or a pod would come back: told how, and left alone."""
    with docker.container("--publish", f"{free_port}:80", "--label", label) as name:
        answer = kill(docker, tmp_path, free_port)
        assert (answer.status, running(docker, name)) == (1, True)
    assert answer.document["refused"][0]["why"] == why


def test_where_the_engine_cannot_be_asked(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """What forwards for a container is never stopped in its place, nor is the container's process: told how."""
    server = ["httpd", "-f", "-p", str(free_port), "-h", "/www"]
    for options, command in ((["--publish", f"{free_port}:80"], WEB), (["--network", "host"], server)):
        with docker.container(*options, command=command) as name:
            wait_for(lambda: _answers(free_port))
            answer = portward(
                "kill",
                str(free_port),
                "--yes",
                "--force",
                folder="/",
                environment=clean_environment(DOCKER_HOST="unix:///nonexistent", XDG_STATE_HOME=str(tmp_path)),
            )
            assert (answer.status, answer.document["stopped"]) == (1, [])
            assert all(refused["why"] for refused in answer.document["refused"])
            assert (running(docker, name), _answers(free_port)) == (True, True)


def test_a_compose_service(docker: Docker, free_port: int, spare_port: int, tmp_path: Path) -> None:
    """--mine: the service of this checkout is stopped by name and stays so; the same project elsewhere is left alone."""
    folder, copy = tmp_path / "here", tmp_path / "there"
    project = f"shop-{secrets.token_hex(4)}"
    service = {"image": IMAGE, "pull_policy": "never", "command": POLITE, "restart": "always"}
    for place, port in ((folder, free_port), (copy, spare_port)):
        place.mkdir()
        services = {"web": {**service, "ports": [f"{port}:80"]}, "beside": service}
        (place / "compose.yaml").write_text(json.dumps({"services": services}))
    try:
        docker.compose("--project-name", project, "up", "--detach", folder=folder)
        docker.compose("--project-name", f"{project}-copy", "up", "--detach", folder=copy)
        wait_for(lambda: _answers(free_port) and _answers(spare_port))
        words = ["kill", str(free_port), str(spare_port), "--mine", "--yes", "--reason", "a test"]
        answer = docker.portward(*words, folder=folder, XDG_STATE_HOME=str(tmp_path), COMPOSE_PROJECT_NAME=project)
        (stopped,) = answer.document["stopped"]
        (refused,) = answer.document["refused"]
        assert (answer.status, stopped["port"]) == (1, free_port)
        assert f"(service web of {project})" in stopped["what"]
        assert (refused["port"], refused["why"]) == (spare_port, "it is not of this project")
        states = docker.compose("--project-name", project, "ps", "--all", "--format", "json", folder=folder)
        named = {row["Service"]: row["State"] for row in map(json.loads, states.splitlines())}
        assert named == {"web": "exited", "beside": "running"}
        assert (_answers(free_port), _answers(spare_port)) == (False, True)
    finally:
        docker.compose("--project-name", project, "down", "--timeout", "0", folder=folder)
        docker.compose("--project-name", f"{project}-copy", "down", "--timeout", "0", folder=copy)


def test_an_engine_that_refuses(free_port: int, tmp_path: Path) -> None:
    """What the engine says is told; exit 3, as it was tried and not done."""
    identifier = "a" * 64
    listed = [
        {
            "Id": identifier,
            "Names": ["/web"],
            "State": "running",
            "Ports": [{"IP": "127.0.0.1", "PublicPort": free_port, "PrivatePort": 80, "Type": "tcp"}],
        }
    ]

    def answer(path: str) -> list[bytes]:
        if path.startswith("/containers/json"):
            return [http(listed)]
        if "/stop" in path:
            return [http({"message": "not on my watch"}, 500)]
        return [http({"Id": identifier, "Config": {}, "HostConfig": {}})]

    with PretendedEngine(answer) as engine:
        said = portward(
            "kill",
            str(free_port),
            "--yes",
            folder="/",
            environment=clean_environment(DOCKER_HOST=engine.address, XDG_STATE_HOME=str(tmp_path)),
        )
        assert f"/containers/{identifier[:12]}/stop?t=10" in engine.requests
    assert said.status == 3
    assert said.document["refused"][0]["why"] == "the engine refuses with HTTP status 500: not on my watch"


def _answers(port: int) -> bool:
    """Whether something behind a port answers: a forwarder alone accepts, and hangs up."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
    except OSError:
        time.sleep(0.05)
        return False
