"""`portward explain` with a real container engine: what Docker and Compose print, and what the machine says of it at that moment."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import Listen, need, port_of
from tests.engine import IMAGE, REAL, Docker, clean_environment, compose_program, wait_for

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def docker() -> Docker:
    """The real engine."""
    return Docker.of(REAL)


def _refused(docker: Docker, *words: str, folder: Path | None = None) -> str:
    """What a command of Docker's prints that the engine refuses."""
    compose = words[0] == "compose"
    done = subprocess.run(
        [compose_program(), *words[1:]] if compose else ["docker", "--host", docker.host, *words],
        cwd=folder,
        env=clean_environment(DOCKER_HOST=docker.host),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode, done.stdout
    return done.stdout + done.stderr


def _explained(docker: Docker, text: str, folder: Path | str = "/") -> dict[str, Any]:
    """The first diagnosis of a text."""
    answer = docker.portward("explain", text, folder=folder)
    assert answer.status == 0, text
    found: dict[str, Any] = answer.document["diagnoses"][0]
    return found


def _curl(port: int) -> str:
    """What curl prints of a server that does not answer as it should, after its own command."""
    need("curl")
    command = f"curl -sS --max-time 20 http://127.0.0.1:{port}/"
    done = subprocess.run(["sh", "-xc", command], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_a_second_container(docker: Docker, free_port: int) -> None:
    """The engine's own ledger refuses: the first container is the holder, and is stopped by the engine."""
    with docker.container("--publish", f"{free_port}:80") as first:
        text = _refused(docker, "run", "--rm", "--publish", f"{free_port}:80", IMAGE)
        found = _explained(docker, text)
    assert (found["kind"], found["port"]) == ("container_port_allocated", free_port), text
    assert {row["container"]["name"] for row in found["holders"] if row["container"]} == {first}
    assert found["fixes"][0]["safe"]
    assert found["fixes"][-1] == {"title": f"stop {first}", "command": f"docker stop {first}", "safe": False}


def test_a_process_of_the_host(docker: Docker, listen: Listen) -> None:
    """The kernel refuses the forwarder: the process is named, not the engine."""
    server = listen("0.0.0.0")
    text = _refused(docker, "run", "--rm", "--publish", f"{port_of(server)}:80", IMAGE)
    found = _explained(docker, text)
    assert (found["kind"], found["port"]) == ("port_in_use", port_of(server)), text
    assert found["holders"][0]["processes"]
    assert found["holders"][0]["container"] is None


def test_the_kernels_words_for_a_container(docker: Docker, free_port: int) -> None:
    """On another address the kernel speaks of the forwarder of a container, which is the holder."""
    with docker.container("--publish", f"127.0.0.1:{free_port}:80") as first:
        text = _refused(docker, "run", "--rm", "--publish", f"{free_port}:80", IMAGE)
        found = _explained(docker, text)
    assert found["kind"] in ("port_in_use", "container_port_allocated"), text
    assert {row["container"]["name"] for row in found["holders"]} == {first}
    assert "a container of this machine holds it" in found["cause"]


def test_compose(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """What `docker compose up` prints: the project's own service is moved with one command."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(f"services:\n  web:\n    image: {IMAGE}\n    ports: ['{free_port}:80']\n")
    with docker.container("--publish", f"{free_port}:80") as first:
        try:
            text = _refused(docker, "compose", "up", "--detach", folder=folder)
            found = _explained(docker, text, folder)
        finally:
            docker.compose("down", "--timeout", "0", folder=folder)
    assert (found["kind"], found["port"]) == ("container_port_allocated", free_port), text
    assert {row["container"]["name"] for row in found["holders"] if row["state"] != "claimed"} == {first}
    assert found["fixes"][0]["command"].startswith("portward set web=")
    assert any("web asks for it in compose.yaml" in sentence for sentence in found["evidence"])


def test_localhost_inside_a_container(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """A client in a container that asks localhost is told which service it means, and its container's port."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(
        f"services:\n  db:\n    image: {IMAGE}\n    ports: ['{free_port}:5432']\n"
        f"  client:\n    image: {IMAGE}\n    command: [sh, -c, 'echo asking http://localhost:5432/; wget -O- http://localhost:5432/ 2>&1']\n"
    )
    try:
        text = docker.compose("up", "--no-color", "client", folder=folder)
        found = _explained(docker, text, folder)
    finally:
        docker.compose("down", "--timeout", "0", folder=folder)
    assert (found["kind"], found["port"]) == ("refused_container_localhost", 5432), text
    assert found["fixes"][0]["title"] == "ask db:5432"


@pytest.mark.parametrize(
    ("command", "target", "words"),
    [
        ("httpd -f -p 127.0.0.1:8000 -h /www", 8000, "the server listens on 127.0.0.1:8000 only"),
        ("httpd -f -p 9000 -h /www", 8000, "where nothing listens"),
    ],
    ids=["on its loopback", "on another port"],
)
def test_a_container_that_does_not_answer(
    docker: Docker, free_port: int, command: str, target: int, words: str
) -> None:
    """The forwarder accepts and closes: the look into the container tells whether it is the address or the port."""
    options = ("--publish", f"127.0.0.1:{free_port}:{target}")
    with docker.container(*options, command=("sh", "-c", f"{command} & echo up; wait")) as name:
        wait_for(lambda: "up" in docker("logs", name))
        text = _curl(free_port)
        found = _explained(docker, text)
    assert (found["kind"], found["port"]) == ("reset_or_empty_reply", free_port), text
    assert words in found["cause"], found
    assert name in found["cause"]


def test_a_stopped_container(docker: Docker, free_port: int) -> None:
    """Nothing listens, but a stopped container would: it is named, and started with one command."""
    with docker.container("--publish", f"{free_port}:80", verb="create") as name:
        found = _explained(docker, _curl(free_port))
    assert (found["kind"], found["port"]) == ("connection_refused", free_port)
    assert any(f"container {name}" in sentence and "stopped" in sentence for sentence in found["evidence"])
    assert f"docker start {name}" in [fix["command"] for fix in found["fixes"]]


def test_a_container_that_publishes_nothing(docker: Docker) -> None:
    """The port is refused here, while a container listens on it in a network namespace of its own."""
    with docker.container() as name:
        found = _explained(docker, "curl: (7) Failed to connect to 127.0.0.1 port 80 after 0 ms: Connection refused")
    assert found["kind"] == "connection_refused"
    assert any(name in sentence and "does not publish it" in sentence for sentence in found["evidence"]), found
