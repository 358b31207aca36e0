"""`doctor` and containers of a real engine: each trouble is made for real, and named as the cause."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.doctor import Net, blames, is_well, network
from tests.engine import IMAGE, NO_PROXY, REAL, Docker, wait_for
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Listen

ON_LOOPBACK = ("httpd", "-f", "-p", "127.0.0.1:80", "-h", "/www")
SLEEP = ("sleep", "1000")


@pytest.fixture
def docker() -> Docker:
    """The usual engine."""
    return Docker.of(REAL)


@pytest.fixture(params=[REAL, NO_PROXY], ids=["proxy", "no-proxy"])
def either(request: pytest.FixtureRequest) -> Docker:
    """The usual engine, then the one whose published ports are packet rules alone."""
    return Docker.of(request.param)


@contextmanager
def bridge(docker: Docker) -> Iterator[str]:
    """A network of containers, where they have names. Removed in the end."""
    name = f"portward-test-{secrets.token_hex(4)}"
    docker("network", "create", name)
    try:
        yield name
    finally:
        docker("network", "rm", name)


def test_healthy(docker: Docker, free_port: int) -> None:
    """A published port, by its number, by a URL, by the container's name, and from another container."""
    with bridge(docker) as net, ExitStack() as made:
        web = made.enter_context(docker.container("--network", net, "--publish", f"127.0.0.1:{free_port}:80"))
        client = made.enter_context(docker.container("--network", net, command=SLEEP))
        is_well(docker.portward("doctor", f"127.0.0.1:{free_port}"))
        is_well(docker.portward("doctor", f"http://127.0.0.1:{free_port}/"))
        is_well(docker.portward("doctor", web))
        is_well(docker.portward("doctor", f"http://{web}:80", "--from", client))
        is_well(docker.portward("doctor", "127.0.0.1:80", "--from", web))


def test_loopback_only_in_container(docker: Docker, free_port: int) -> None:
    """A server that listens on 127.0.0.1 in its container."""
    with docker.container("--publish", f"{free_port}:80", command=ON_LOOPBACK) as name:
        answer = docker.portward("doctor", f"http://127.0.0.1:{free_port}")
    blames(answer, rf"{name} listens on 127\.0\.0\.1:80 inside the container only")


def test_wrong_port_is_published(docker: Docker, free_port: int) -> None:
    """The published port leads to one where nothing listens."""
    with docker.container("--publish", f"{free_port}:8000") as name:
        answer = docker.portward("doctor", f"127.0.0.1:{free_port}")
    blames(answer, f"port {free_port} is published to 8000 of {name}, but it listens on 80")
    assert f"{free_port}:80" in answer.document["fixes"][0]["title"]


def test_not_published(docker: Docker, free_port: int) -> None:
    """A container listens, and publishes nothing."""
    with docker.container(
        "--expose", str(free_port), command=("httpd", "-f", "-p", str(free_port), "-h", "/www")
    ) as name:
        answer = docker.portward("doctor", f"127.0.0.1:{free_port}")
    blames(answer, f"{name} listens on {free_port}, but does not publish it: EXPOSE alone")


def test_own_port_asked_on_the_host(docker: Docker) -> None:
    """The container's own port is asked for where the host has it as another."""
    first = free_ports(2)
    server = ("httpd", "-f", "-p", str(first), "-h", "/www")
    with docker.container("--publish", f"{first + 1}:{first}", command=server) as name:
        answer = docker.portward("doctor", f"127.0.0.1:{first}")
    blames(answer, f"{first} is the port inside {name}; the host has it as {first + 1}")


def test_crashed(docker: Docker, free_port: int) -> None:
    """A container that ended with an error: its last words are told, its secrets are not."""
    script = "echo 'connecting with DB_PASSWORD=hunter2'; echo 'fatal: no database'; exit 3"
    with docker.container("--publish", f"{free_port}:80", command=("sh", "-c", script)) as name:
        docker("wait", name)
        answer = docker.portward("doctor", f"127.0.0.1:{free_port}")
    blames(answer, f"{name} crashed with status 3.*fatal: no database")
    assert "hunter2" not in answer.text


def test_ended(docker: Docker, free_port: int) -> None:
    """A container that was stopped."""
    with docker.container("--publish", f"{free_port}:80", command=("sh", "-c", "exit 0")) as name:
        docker("wait", name)
        blames(docker.portward("doctor", name), f"the container {name} has ended")


def test_never_started(docker: Docker, free_port: int) -> None:
    """A container that was only made."""
    with docker.container("--publish", f"{free_port}:80", verb="create") as name:
        blames(docker.portward("doctor", f"127.0.0.1:{free_port}"), f"{name} was made, and never started")


def test_crash_loop(docker: Docker, free_port: int) -> None:
    """A container that is started again and again."""
    options = ("--restart", "always", "--publish", f"{free_port}:80")
    with docker.container(*options, command=("sh", "-c", "echo no database; exit 1")) as name:

        def restarts() -> bool:
            told = docker("inspect", "--format", "{{.State.Status}} {{.RestartCount}}", name).split()
            return told[0] == "restarting" and int(told[1]) > 3

        wait_for(restarts, 60)
        blames(docker.portward("doctor", name), f"the container {name} crashes and is started again.*no database")


def test_paused(docker: Docker, free_port: int) -> None:
    """A container that is paused."""
    with docker.container("--publish", f"{free_port}:80") as name:
        docker("pause", name)
        try:
            blames(docker.portward("doctor", f"http://127.0.0.1:{free_port}"), f"the container {name} is paused")
        finally:
            docker("unpause", name)


def test_not_listening_yet(docker: Docker, free_port: int) -> None:
    """A container that runs, and whose server is not there."""
    with docker.container("--publish", f"{free_port}:80", command=SLEEP) as name:
        blames(docker.portward("doctor", f"127.0.0.1:{free_port}"), f"{name} runs, but nothing listens on 80 in it")


def test_published_on_another_address(docker: Docker, free_port: int) -> None:
    """A port that is published on one address, asked for at another."""
    with docker.container("--publish", f"127.0.0.2:{free_port}:80") as name:
        answer = docker.portward("doctor", f"127.0.0.1:{free_port}")
    blames(answer, rf"{name} (is published|listens) on 127\.0\.0\.2:{free_port} (only|alone)")


def test_forwarder_is_gone(docker: Docker, free_port: int) -> None:
    """The engine still says that the port is published, and nothing forwards it from this machine itself."""
    with docker.container("--publish", f"127.0.0.1:{free_port}:80") as name:
        os.kill(_forwarder(free_port), signal.SIGKILL)
        wait_for(lambda: not _refuses_nobody(free_port))
        answer = docker.portward("doctor", f"127.0.0.1:{free_port}")
    blames(answer, f"{name} should be published on .*{free_port}, but .*forwarder")


@pytest.mark.timeout(400)
def test_packet_rules_are_gone() -> None:
    """An engine without forwarders, whose packet rules somebody flushed. Both are in a network namespace of their own."""
    with network() as net, own_engine(net) as docker, docker.container("--publish", "8080:80") as name:
        is_well(net.doctor("http://127.0.0.1:8080", DOCKER_HOST=docker.host))
        net("iptables", "-t", "nat", "-F")
        answer = net.doctor("http://127.0.0.1:8080", DOCKER_HOST=docker.host)
    blames(answer, f"{name} should be published on .*8080, but the packet rules .* are gone")
    assert answer.document["reachable"] is False


@contextmanager
def own_engine(net: Net) -> Iterator[Docker]:
    """An engine without the userland proxy, which has a network namespace to itself."""
    Docker.of(NO_PROXY)  # where no engine may be started, none is
    need("dockerd")
    tools = Path(__file__).parent.parent / ".ci"
    folder = tempfile.mkdtemp(prefix="pw-")  # pytest's are too long for a socket
    socket = f"{folder}/e/docker.sock"
    try:
        net(f"{tools}/engine.sh", "start", f"{folder}/e", "--userland-proxy=false", seconds=200)
        try:
            net(f"{tools}/stand-in.sh", socket)
            yield Docker(f"unix://{socket}")
        finally:
            net(f"{tools}/engine.sh", "stop", f"{folder}/e")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _forwarder(port: int) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"docker-proxy") and str(port).encode() in words:
                return int(entry.name)
    raise AssertionError("no forwarder")


def _refuses_nobody(port: int) -> bool:
    import socket

    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True  # who listens there is just ending
    return True


def test_localhost_in_container(docker: Docker, listen: Listen) -> None:
    """`localhost` in a container, while the server is on the host."""
    from tests.conftest import port_of

    port = port_of(listen("127.0.0.1"))
    with docker.container(command=SLEEP) as name:
        answer = docker.portward("doctor", f"localhost:{port}", "--from", name)
    blames(answer, f"inside {name}, localhost is {name} itself; .*listens on {port} on the host")


def test_localhost_for_a_neighbour(docker: Docker, free_port: int) -> None:
    """`localhost` in a container, while the server is in another one."""
    server = ("httpd", "-f", "-p", str(free_port), "-h", "/www")
    with bridge(docker) as net, ExitStack() as made:
        web = made.enter_context(docker.container("--network", net, command=server))
        client = made.enter_context(docker.container("--network", net, command=SLEEP))
        answer = docker.portward("doctor", f"localhost:{free_port}", "--from", client)
    blames(answer, f"localhost is {client} itself; {web} has port {free_port}")


def test_containers_name_on_the_host(docker: Docker, free_port: int) -> None:
    """A container's name is asked for outside of its networks."""
    with docker.container("--publish", f"{free_port}:80") as name:
        answer = docker.portward("doctor", f"http://{name}:80")
    blames(answer, f"{name} is a name inside the networks of containers")
    assert f"127.0.0.1:{free_port}" in answer.document["fixes"][0]["title"]


def test_no_network_in_common(docker: Docker) -> None:
    """Two containers of different networks."""
    with bridge(docker) as one, bridge(docker) as other, ExitStack() as made:
        web = made.enter_context(docker.container("--network", one))
        client = made.enter_context(docker.container("--network", other, command=SLEEP))
        answer = docker.portward("doctor", f"{web}:80", "--from", client)
    blames(answer, f"{client} is on {other}, {web} on {one}: they share no network")
    assert answer.document["fixes"][-1]["command"] == f"docker network connect {one} {client}"


def test_default_bridge_has_no_names(docker: Docker) -> None:
    """Two containers of the default network."""
    with docker.container() as web, docker.container(command=SLEEP) as client:
        answer = docker.portward("doctor", f"{web}:80", "--from", client)
    blames(answer, "on the default network bridge, where containers have no names")


def test_hosts_port_between_containers(docker: Docker, free_port: int) -> None:
    """The host's port is asked for between containers, where the container's own counts."""
    with bridge(docker) as net, ExitStack() as made:
        web = made.enter_context(docker.container("--network", net, "--publish", f"{free_port}:80"))
        client = made.enter_context(docker.container("--network", net, command=SLEEP))
        answer = docker.portward("doctor", f"{web}:{free_port}", "--from", client)
    blames(answer, f"{free_port} is where the host publishes {web}; between containers its own port counts, 80")


def test_wrong_port_of_a_neighbour(docker: Docker) -> None:
    """A port that the other container does not have."""
    with bridge(docker) as net, ExitStack() as made:
        web = made.enter_context(docker.container("--network", net))
        client = made.enter_context(docker.container("--network", net, command=SLEEP))
        blames(docker.portward("doctor", f"{web}:81", "--from", client), f"{web} does not listen on 81, but on 80")


def test_host_docker_internal(docker: Docker) -> None:
    """host.docker.internal is not there by itself on Linux."""
    with docker.container(command=SLEEP) as name:
        answer = docker.portward("doctor", "host.docker.internal:5000", "--from", name)
    blames(answer, "host.docker.internal exists in a container on Linux only if it is added")


def test_privileged_in_container(docker: Docker, free_port: int) -> None:
    """A server that may not bind port 80, since its user is not root."""
    options = ("--user", "1000", "--sysctl", "net.ipv4.ip_unprivileged_port_start=1024", "--publish", f"{free_port}:80")
    with docker.container(*options) as name:
        docker("wait", name)
        answer = docker.portward("doctor", f"127.0.0.1:{free_port}")
    blames(answer, f"{name} may not bind port 80: .*Permission denied")


def test_firewall_in_container(docker: Docker, free_port: int) -> None:
    """A rule inside the container's own network namespace."""
    need("nft")
    with docker.container("--publish", f"127.0.0.1:{free_port}:80") as name, inside(docker, name) as enter:
        rules = "add table inet guard; add chain inet guard input { type filter hook input priority 0; }; "
        rules += "add rule inet guard input tcp dport 80 drop"
        subprocess.run([*enter, "nft", rules], check=True, timeout=60)
        by_address = docker.portward("doctor", f"{address(docker, name)}:80")
        by_forwarder = docker.portward("doctor", f"http://127.0.0.1:{free_port}")
    for answer in (by_address, by_forwarder):
        blames(answer, "firewall rule in .* drops it: tcp dport 80 drop")


def address(docker: Docker, name: str) -> str:
    """A container's address in the default network."""
    return docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name)


@contextmanager
def inside(docker: Docker, name: str) -> Iterator[tuple[str, ...]]:
    """The command that enters a container's network namespace, found by its control group."""
    full = docker("inspect", "--format", "{{.Id}}", name)
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if full in (entry / "cgroup").read_text():
                    yield ("nsenter", f"--net=/proc/{entry.name}/ns/net")
                    return
            except OSError:
                continue
    raise AssertionError("no process of the container is visible")


COMPOSE = """
name: {name}
services:
  web:
    image: {image}
    ports: ["127.0.0.1:{port}:80"]
"""


def test_service_is_not_started(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """A service of the project that has no container: by its name, and by its port."""
    (tmp_path / "compose.yaml").write_text(COMPOSE.format(name="pwdoctor", image=IMAGE, port=free_port))
    for target in ("web", f"localhost:{free_port}"):
        answer = docker.portward("doctor", target, folder=tmp_path)
        blames(answer, "the service web has not been started")
        assert answer.document["fixes"][0]["command"] == "docker compose up -d web"


def test_service_of_another_project(docker: Docker, free_port: int, tmp_path: Path) -> None:
    """Another project's container has the port of this project's service."""
    (tmp_path / "compose.yaml").write_text(COMPOSE.format(name="pwdoctor", image=IMAGE, port=free_port))
    labels = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=front")
    with docker.container("--publish", f"127.0.0.1:{free_port}:80", *labels) as name:
        answer = docker.portward("doctor", f"http://localhost:{free_port}", folder=tmp_path)
    blames(answer, f"it is not web that answers on {free_port}, but {name}")
