"""Containers of a real engine, seen by a whole Portward: who owns a port is the container, never what forwards to it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import need_root
from tests.engine import IMAGE, NO_PROXY, REAL, Docker, clean_environment, portward, wait_for
from tests.nexus import ON_LOOPBACK, VARIABLES, Stack, published, stack
from tests.ports import free_ports, is_free

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Listen
    from tests.engine import Answer

AS_NOBODY = """
import contextlib, io, os, sys
from portward.cli import main
groups, words = [int(group) for group in sys.argv[1].split(",") if group], sys.argv[2:]
with contextlib.redirect_stdout(io.StringIO()):
    main(words)  # loads all that it needs: the interpreter may be where nobody may not read
os.setgroups(groups)
os.setgid(65534)
os.setuid(65534)
sys.exit(main(words))
"""


@pytest.fixture(params=[REAL, NO_PROXY], ids=["proxy", "no-proxy"])
def either(request: pytest.FixtureRequest) -> Docker:
    """The usual engine, then the one whose own process holds the published ports."""
    return Docker.of(request.param)


@pytest.fixture
def docker() -> Docker:
    """The usual engine."""
    return Docker.of(REAL)


def rows_of(answer: Answer, name: str) -> list[dict[str, Any]]:
    """The listeners of an `ls` that belong to a container."""
    return [row for row in answer.document["listeners"] if (row["container"] or {}).get("name") == name]


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The only row of them."""
    assert len(rows) == 1, rows
    return rows[0]


def test_published_port(either: Docker, free_port: int) -> None:
    """`ls`, `who` and `check` name the container with its project, service, image and target; the forwarder is not named."""
    labels = ["--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web"]
    with either.container("--publish", f"{free_port}:80", *labels) as name:
        listed = either.portward("ls", str(free_port))
        asked = either.portward("who", str(free_port))
        checked = either.portward("check", str(free_port))
    assert (listed.status, asked.status, checked.status) == (0, 0, 1)
    for row in listed.document["listeners"]:
        assert (row["state"], row["owners"], row["processes"]) == ("listen", "seen", [])
        assert (row["project"], row["service"]) == ("shop", "web")
        container = row["container"]
        assert (container["name"], container["image"], container["target"]) == (name, IMAGE, 80)
        assert (container["project"], container["service"]) == ("shop", "web")
    assert "0.0.0.0" in {row["address"] for row in listed.document["listeners"]}
    (found,) = asked.document["ports"]
    assert {row["container"]["name"] for row in found["listeners"]} == {name}
    assert [fix["command"] for fix in found["fixes"]] == ["docker compose -p shop stop web"]
    (finding,) = checked.document["findings"]
    assert (finding["rule"], finding["port"]) == ("address-in-use", free_port)
    assert {row["container"]["name"] for row in finding["holders"]} == {name}
    assert checked.document["ports"][0]["available"] is False
    for answer in (listed, asked, checked):
        assert "docker-proxy" not in answer.text
        assert "dockerd" not in answer.text


def test_container_without_a_project(either: Docker, free_port: int) -> None:
    """A container that Compose did not start has its image's name as service, and is stopped by its own name."""
    with either.container("--publish", f"{free_port}:80") as name:
        row = either.portward("ls", str(free_port)).document["listeners"][0]
        found = either.portward("who", str(free_port)).document["ports"][0]
    assert (row["project"], row["service"]) == (None, "portward-stand-in")
    assert [fix["command"] for fix in found["fixes"]] == [f"docker stop {name}"]


def test_published_on_loopback(either: Docker, free_port: int) -> None:
    """A port published on 127.0.0.1 alone is held there alone."""
    with either.container("--publish", f"127.0.0.1:{free_port}:80") as name:
        row = only(rows_of(either.portward("ls", str(free_port)), name))
        here = either.portward("check", f"127.0.0.1:{free_port}")
        beside = either.portward("check", f"127.0.0.2:{free_port}")
    assert (row["address"], row["container"]["target"]) == ("127.0.0.1", 80)
    assert (here.status, beside.status) == (1, 0)
    assert beside.document["ports"][0]["listeners"] == []


def test_published_on_ipv6(docker: Docker, free_port: int) -> None:
    """A port published on ::1 alone."""
    with docker.container("--publish", f"[::1]:{free_port}:80") as name:
        row = only(rows_of(docker.portward("ls", str(free_port)), name))
    assert row["address"] == "::1"


def test_udp(either: Docker, free_port: int) -> None:
    """A UDP port is the container's, and leaves the same TCP port free."""
    with either.container("--publish", f"{free_port}:53/udp") as name:
        rows = rows_of(either.portward("ls", str(free_port), "--udp"), name)
        tcp_alone = either.portward("ls", str(free_port))
        checked = either.portward("check", str(free_port), f"{free_port}/udp")
    assert {(row["transport"], row["state"], row["container"]["target"]) for row in rows} == {("udp", "udp", 53)}
    assert tcp_alone.document["listeners"] == []
    assert [row["available"] for row in checked.document["ports"]] == [True, False]


def test_port_chosen_by_the_engine(either: Docker) -> None:
    """The port that the engine chose is known by the container's own."""
    with either.container("--publish", "80") as name:
        port = int(either("port", name, "80/tcp").splitlines()[0].rpartition(":")[2])
        rows = rows_of(either.portward("ls", str(port)), name)
    assert {(row["port"], row["container"]["target"]) for row in rows} == {(port, 80)}


def test_range(either: Docker) -> None:
    """Each port of a range has its own target."""
    first = free_ports(3)
    with either.container("--publish", f"{first}-{first + 2}:7000-7002") as name:
        rows = rows_of(either.portward("ls", f"{first}-{first + 2}"), name)
    pairs = {(row["port"], row["container"]["target"]) for row in rows}
    assert pairs == {(first + step, 7000 + step) for step in range(3)}


def test_two_containers(either: Docker, free_port: int) -> None:
    """Containers of one image are kept apart, also on one port at two addresses."""
    with (
        either.container("--publish", f"127.0.0.1:{free_port}:80") as one,
        either.container("--publish", f"127.0.0.2:{free_port}:81") as other,
    ):
        rows = either.portward("ls", str(free_port)).document["listeners"]
    named = {row["address"]: (row["container"]["name"], row["container"]["target"]) for row in rows}
    assert named == {"127.0.0.1": (one, 80), "127.0.0.2": (other, 81)}


def test_stopped_container_claims(either: Docker, free_port: int) -> None:
    """A stopped container's port is free to bind, and claimed."""
    with either.container("--publish", f"{free_port}:80") as name:
        either("stop", "--time", "0", name)
        row = only(rows_of(either.portward("ls", str(free_port)), name))
        checked = either.portward("check", str(free_port))
    assert (row["state"], row["processes"]) == ("claimed", [])
    assert checked.status == 0
    (port,) = checked.document["ports"]
    assert port["available"] is True
    assert [row["container"]["name"] for row in port["listeners"]] == [name]


def test_created_container_claims(docker: Docker, free_port: int) -> None:
    """So does one that was never started."""
    with docker.container("--publish", f"127.0.0.1:{free_port}:80", verb="create") as name:
        row = only(rows_of(docker.portward("ls", str(free_port)), name))
    assert (row["state"], row["address"], row["container"]["target"]) == ("claimed", "127.0.0.1", 80)


def test_stranger_on_a_claimed_port(docker: Docker, free_port: int, listen: Listen) -> None:
    """Who took a stopped container's port is the holder; the container still claims it."""
    with docker.container("--publish", f"{free_port}:80", verb="create") as name:
        listen("0.0.0.0", free_port)
        rows = docker.portward("ls", str(free_port)).document["listeners"]
    states = {row["state"]: row for row in rows}
    assert set(states) == {"listen", "claimed"}
    assert states["claimed"]["container"]["name"] == name
    assert states["listen"]["container"] is None
    assert states["listen"]["processes"][0]["pid"] == os.getpid()


def test_host_network(docker: Docker, free_port: int) -> None:
    """On the host's network nothing is published: the process's control group names the container."""
    server = ["httpd", "-f", "-p", str(free_port), "-h", "/www"]
    with docker.container("--network", "host", command=server) as name:
        wait_for(lambda: not is_free(free_port))
        rows = rows_of(docker.portward("ls", str(free_port)), name)
        found = docker.portward("who", str(free_port)).document["ports"][0]
    assert {row["container"]["target"] for row in rows} == {free_port}
    assert rows[0]["processes"][0]["command"] == server
    assert found["fixes"][0]["command"] == f"docker stop {name}"


def test_inside_a_container(docker: Docker) -> None:
    """With --all-netns a listener inside a container is named by it, in its own namespace."""
    need_root()
    with docker.container() as name:
        rows: list[dict[str, Any]] = []

        def appears() -> bool:
            rows[:] = rows_of(docker.portward("ls", "80", "--all-netns"), name)
            return bool(rows)

        wait_for(appears)
    row = only(rows)
    assert row["netns"]
    assert (row["port"], row["container"]["target"], row["processes"][0]["name"]) == (80, 80, "httpd")


def test_unprivileged_user(either: Docker, free_port: int) -> None:
    """Whoever may ask the engine sees containers, without a right to see anybody's processes."""
    need_root()
    group = os.stat(either.host.removeprefix("unix://")).st_gid
    with either.container("--publish", f"{free_port}:80") as name:
        answer = as_nobody(either, str(group), "ls", str(free_port))
    assert {row["container"]["name"] for row in answer.document["listeners"]} == {name}
    assert {row["owners"] for row in answer.document["listeners"]} == {"seen"}
    assert answer.document["skipped"] == []
    assert answer.document["complete"] is True


def test_user_without_the_socket(docker: Docker, free_port: int) -> None:
    """Whoever may not ask the engine is told so: the rows are there, their owners hidden."""
    need_root()
    assert not os.stat(docker.host.removeprefix("unix://")).st_mode & stat.S_IWOTH
    with docker.container("--publish", f"{free_port}:80"):
        answer = as_nobody(docker, "", "ls", str(free_port))
    assert {(row["owners"], row["container"]) for row in answer.document["listeners"]} == {("hidden", None)}
    reasons = {entry["what"]: entry["reason"] for entry in answer.document["skipped"]}
    assert reasons[f"container engine {docker.host}"] == "not permitted to use its socket"
    assert answer.document["complete"] is False
    assert answer.status == 0


def as_nobody(docker: Docker, groups: str, *words: str) -> Answer:
    """Portward as an unprivileged user with these supplementary groups."""
    return portward(groups, *words, folder="/", environment=clean_environment(DOCKER_HOST=docker.host), code=AS_NOBODY)


@pytest.fixture
def nexus(docker: Docker, tmp_path: Path) -> Iterator[Stack]:
    """A nexus stack that is not started yet. Removed in the end."""
    with stack(docker, tmp_path / "nexus") as made:
        yield made


def in_use(answer: Answer) -> dict[int, dict[str, Any]]:
    """The findings of address-in-use, by port."""
    return {row["port"]: row for row in answer.document["findings"] if row["rule"] == "address-in-use"}


def test_nexus_runs(nexus: Stack) -> None:
    """`check` of a stack that runs is clean: every port is running, and bound where it is published."""
    before = nexus.portward("check")
    assert (before.status, {port["state"] for port in published(before).values()}) == (0, {"free"})
    nexus.compose("up", "--detach")
    answer = nexus.portward("check")
    assert answer.status == 0, answer.text
    assert answer.document["project"] == nexus.name
    assert in_use(answer) == {}
    ports = published(answer)
    assert set(ports) == set(VARIABLES.values())
    for variable, (service, target) in VARIABLES.items():
        port = ports[service, target]
        assert port["state"] == "running"
        assert {bound["port"] for bound in port["bound"]} == {nexus.ports[variable]}
        addresses = {bound["host_ip"] for bound in port["bound"]}
        assert addresses == {"127.0.0.1"} if service in ON_LOOPBACK else "0.0.0.0" in addresses
    # the stand-ins really answer: the host by the published port, a neighbour by the container's own
    with urllib.request.urlopen(f"http://127.0.0.1:{nexus.ports['PORT']}/", timeout=10) as response:
        assert response.read() == b"stand-in\n"
    assert nexus.compose("exec", "-T", "worker", "wget", "-q", "-O-", "http://nexus-server:5000") == "stand-in\n"


@pytest.mark.parametrize("same_name", [False, True], ids=["other-name", "same-name"])
def test_nexus_of_another_checkout(nexus: Stack, same_name: bool) -> None:
    """What another copy of the project runs is in the way, also under the same project name; the fix stops that copy."""
    nexus.compose("up", "--detach")
    other = nexus.copy(nexus.name if same_name else f"{nexus.name}-other")
    answer = other.portward("check")
    assert answer.status == 1
    findings = in_use(answer)
    assert set(findings) == set(nexus.ports.values())
    for variable, (service, target) in VARIABLES.items():
        finding = findings[nexus.ports[variable]]
        assert (finding["severity"], finding["service"]) == ("error", service)
        holder = finding["holders"][0]["container"]
        assert (holder["name"], holder["target"]) == (f"{nexus.name}-{service}-1", target)
        assert f"docker compose -p {nexus.name} stop {service}" in {fix["command"] for fix in finding["fixes"]}
        assert published(answer)[service, target]["state"] == "taken"
        assert published(answer)[service, target]["bound"] == []


def test_nexus_stopped(nexus: Stack) -> None:
    """A stopped stack runs nothing, holds nothing, and still claims its ports."""
    nexus.compose("up", "--detach")
    nexus.compose("stop", "--timeout", "0")
    answer = nexus.portward("check")
    assert answer.status == 0
    assert {port["state"] for port in published(answer).values()} == {"free"}
    assert all(port["bound"] == [] for port in published(answer).values())
    low, high = min(nexus.ports.values()), max(nexus.ports.values())
    rows = nexus.portward("ls", f"{low}-{high}").document["listeners"]
    assert {row["port"] for row in rows} == set(nexus.ports.values())
    assert {(row["state"], row["project"]) for row in rows} == {("claimed", nexus.name)}


def test_nexus_of_a_stopped_checkout(nexus: Stack) -> None:
    """What another copy will ask for again is told as a claim, not as a holder; while the rest of it runs, as a warning."""
    nexus.compose("create")
    other = nexus.copy(f"{nexus.name}-other")
    answer = other.portward("check")
    assert (answer.status, in_use(answer)) == (0, {})
    claims = {row["port"]: row for row in answer.document["findings"] if row["rule"] == "claimed-by-other-project"}
    assert set(claims) == set(nexus.ports.values())
    assert {row["severity"] for row in claims.values()} == {"note"}
    assert claims[nexus.ports["PORT"]]["holders"][0]["container"]["name"] == f"{nexus.name}-backend-1"
    nexus.compose("start", "redis")
    findings = other.portward("check").document["findings"]
    claims = {row["port"]: row for row in findings if row["rule"] == "claimed-by-other-project"}
    assert set(claims) == set(nexus.ports.values()) - {nexus.ports["REDIS_PORT"]}
    assert {row["severity"] for row in claims.values()} == {"warning"}


def test_stranger_on_a_port_of_nexus(nexus: Stack, tmp_path: Path) -> None:
    """A program that is no part of the stack is named, with the way to stop it; what the stack runs is no trouble."""
    nexus.compose("up", "--detach", "mongodb", "redis")
    port = nexus.ports["PORT"]
    with subprocess.Popen(
        [sys.executable, "-m", "http.server", str(port), "--bind", "0.0.0.0"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as stranger:
        try:
            wait_for(lambda: not is_free(port))
            answer = nexus.portward("check")
        finally:
            stranger.kill()
    assert answer.status == 1
    assert set(in_use(answer)) == {port}
    finding = in_use(answer)[port]
    assert finding["service"] == "backend"
    assert finding["holders"][0]["processes"][0]["pid"] == stranger.pid
    assert f"portward kill {port}" in {fix["command"] for fix in finding["fixes"]}
    states = {service: row["state"] for (service, _), row in published(answer).items()}
    assert states == {
        "frontend": "free",
        "backend": "taken",
        "open-webui": "free",
        "ollama": "free",
        "mongodb": "running",
        "redis": "running",
    }
