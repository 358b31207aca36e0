"""Containers as the owners of what listens, joined with sockets: on pretended engines, and on readers that say what they are told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward.model import Endpoint, Listener, Owners, PortState, Process, Reading, State
from portward.render import documents, text
from portward.ward import Portward
from tests.conftest import need, need_root
from tests.engine import PretendedEngine, clean_environment, http, portward

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Collection

    from tests.conftest import Listen, Spawn

NEXUS = Path(__file__).parent.parent / "examples/nexus"
SILENT = {"DOCKER_HOST": "unix:///portward/no/engine"}


class Told:
    """A reader of sockets that says what it is told."""

    name = "told"

    def __init__(self, *rows: Listener, cgroup: str = "") -> None:
        self.rows = rows
        self._cgroup = cgroup

    def read(
        self, *, udp: bool = False, all_netns: bool = False, ports: Collection[int] | None = None, owners: bool = True
    ) -> Reading:
        return Reading(tuple(row for row in self.rows if ports is None or row.port in ports))

    def ancestry(self, process: Process) -> tuple[Process, ...]:
        return ()

    def cgroup(self, pid: int) -> str:
        return self._cgroup


def container(name: str, port: int, state: str = "running", address: str = "0.0.0.0") -> dict[str, Any]:
    """What an engine's list says of a container of project `shop`."""
    published = [{"IP": address, "PrivatePort": 80, "PublicPort": port, "Type": "tcp"}] if state == "running" else []
    return {
        "Id": name.encode().hex().ljust(64, "0")[:64],
        "Names": [f"/{name}"],
        "Image": "nginx:1.27",
        "State": state,
        "Status": "Up 2 hours" if state == "running" else "Exited (0) 1 hour ago",
        "HostConfig": {"NetworkMode": "shop_default"},
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
        "Ports": published,
    }


def engine_with(*containers: dict[str, Any], bindings: dict[str, Any] | None = None) -> PretendedEngine:
    """An engine that lists these containers; `bindings` are what each stopped one asks for."""
    detail = {"HostConfig": {"PortBindings": bindings or {}}}
    return PretendedEngine(lambda path: [http(list(containers) if path.startswith("/containers/json") else detail)])


def process(name: str, *command: str) -> Process:
    return Process(41, name, command or (name,), "root", "/elsewhere", 940.0, 1)


@pytest.fixture
def nexus(tmp_path: Path) -> Path:
    """A copy of the worked example."""
    shutil.copytree(NEXUS, tmp_path / "nexus")
    return tmp_path / "nexus"


def test_a_port_that_is_published_by_packet_rules_alone(free_port: int, nexus: Path) -> None:
    """No socket holds it, so a bind succeeds; yet the container has the port: it is listed, told by check, and taken."""
    (nexus / ".env").write_text(f"PORT={free_port}\n")
    with engine_with(container("shop-web-1", free_port)) as engine:
        ward = Portward(str(nexus), sockets=Told(), environment={"DOCKER_HOST": engine.address})
        (row,) = ward.ls([str(free_port)]).listeners
        asked = ward.check_ports([str(free_port)])
        project = ward.check()
    assert (row.state, row.processes, row.project, row.service) == (State.LISTEN, (), "shop", "web")
    assert (asked.ports[0].available, asked.ports[0].listeners) == (True, (row,))
    assert list(text.check(asked, text.Paint(False))) == [f"{free_port}/tcp is available, but shop-web-1 publishes it"]
    (finding,) = [finding for finding in project.findings if finding.rule == "address-in-use"]
    assert (finding.service, finding.port) == ("backend", free_port)
    assert "container shop-web-1 of project shop" in finding.message


def test_a_claim_on_every_address_has_a_numeric_one_in_json(free_port: int) -> None:
    """A container that names no host address takes all of both families, as a dual-stack socket does."""
    stopped = container("shop-web-1", free_port, state="exited")
    with engine_with(stopped, bindings={"80/tcp": [{"HostIp": "", "HostPort": str(free_port)}]}) as engine:
        ward = Portward(sockets=Told(), environment={"DOCKER_HOST": engine.address})
        (row,) = documents.ls(ward.ls([str(free_port)]))["listeners"]
    assert (row["state"], row["address"], row["v6only"]) == ("claimed", "::", False)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("docker-proxy", "docker ps --filter publish={}"),
        ("dockerd", "docker ps --filter publish={}"),
        ("conmon", "podman ps"),
    ],
)
def test_a_forwarder_is_never_to_be_killed(name: str, command: str, free_port: int) -> None:
    """Where the engine is out of reach, its forwarder is all there is to see: neither a service nor a thing to stop."""
    row = Listener(Endpoint("0.0.0.0", free_port), State.LISTEN, "root", Owners.SEEN, (process(name),))
    ward = Portward(sockets=Told(row, cgroup="/system.slice/docker.service"), environment=SILENT)
    (who,) = ward.who([str(free_port)]).ports
    assert [(fix.command, fix.safe) for fix in who.fixes] == [(command.format(free_port), True)]
    assert (who.listeners[0].service, who.listeners[0].project) == (None, None)
    said = "\n".join(text.who(ward.who([str(free_port)]), 1000.0))
    assert "for itself or a container" in said if name == "dockerd" else "forwarding to a container" in said


def test_a_real_forwarder_with_its_engine_out_of_reach(spawn: Spawn, free_port: int) -> None:
    """The same for a process that is called like Docker's: the whole command, in time, with the engine as `skipped`."""
    child = spawn(
        "open('/proc/self/comm', 'w').write('docker-proxy'); held = listen('0.0.0.0', int(sys.argv[1])); ready()",
        free_port,
    )
    start = time.monotonic()
    answer = portward("check", str(free_port), folder="/", environment=clean_environment(**SILENT))
    assert time.monotonic() - start < 5
    (finding,) = answer.document["findings"]
    assert (answer.status, finding["holders"][0]["processes"][0]["pid"]) == (1, child.pid)
    assert not any("kill" in (fix["command"] or "") for fix in finding["fixes"])
    (skipped,) = answer.document["skipped"]
    assert (skipped["what"], skipped["reason"]) == (
        f"container engine {SILENT['DOCKER_HOST']}",
        "its socket does not exist",
    )
    assert answer.document["complete"] is False


def test_a_silent_engine_is_waited_for_once(nexus: Path, listen: Listen, connect: Callable[..., socket.socket]) -> None:
    """However many ports need a second look: here connections hold three that the project publishes."""
    server = listen()
    ports = [connect(server).getsockname()[1] for _ in range(3)]
    names = ("FRONTEND_PORT", "PORT", "OLLAMA_PORT")
    (nexus / ".env").write_text("".join(f"{name}={port}\n" for name, port in zip(names, ports, strict=True)))
    with PretendedEngine(lambda _path: None) as engine:
        start = time.monotonic()
        answer = Portward(str(nexus), environment={"DOCKER_HOST": engine.address}).check()
        assert time.monotonic() - start < 2.5
        assert len(engine.requests) == 1
    taken = {finding.port: finding.message for finding in answer.findings if finding.rule == "address-in-use"}
    assert taken.keys() >= {*ports}
    assert any(
        "connection in ESTABLISHED" in taken[port] for port in ports
    )  # others' may have the same number elsewhere
    assert [entry.what for entry in answer.skipped] == [f"container engine {engine.address}"]


def test_a_systemd_unit_is_stopped_by_its_manager(nexus: Path) -> None:
    """In the check of a project as in `who`: a killed unit would come back."""
    row = Listener(
        Endpoint("127.0.0.1", 11434), State.LISTEN, "ollama", Owners.SEEN, (process("ollama", "ollama", "serve"),)
    )
    ward = Portward(str(nexus), sockets=Told(row, cgroup="/system.slice/ollama.service"), environment=SILENT)
    (finding,) = [finding for finding in ward.check().findings if finding.port == 11434]
    assert finding.fixes[-1].command == "systemctl stop ollama.service"
    assert "ollama.service" in finding.message


def test_each_port_of_a_service_is_offered_another(nexus: Path, listen: Listen, free_port: int) -> None:
    """Two ports of one service in strange hands: two free ports of its range, and no number twice."""
    listen("0.0.0.0", free_port)
    other = listen("0.0.0.0").getsockname()[1]
    (nexus / ".env").write_text(f"OPEN_WEBUI_PORT={free_port}\nOPEN_WEBUI_API_PORT={other}\n")
    answer = Portward(str(nexus), environment=SILENT).check()
    found = [
        finding for finding in answer.findings if finding.service == "open-webui" and finding.rule == "address-in-use"
    ]
    commands = [(finding.fixes[0].command or "").partition("=") for finding in found]
    assert [name for name, _, _ in commands] == ["portward set open-webui:8080", "portward set open-webui:1234"]
    offered = {int(rest.removesuffix(" --write")) for _, _, rest in commands}
    assert len(offered) == 2
    assert all(10000 <= port <= 10999 for port in offered)


def test_a_suggestion_is_not_what_a_stopped_container_claims(listen: Listen, free_port: int) -> None:
    """What `check PORT` offers instead would otherwise be taken from under the new server."""
    listen("127.0.0.1", free_port)
    first = _offered(Portward(environment={}), free_port)
    stopped = container("shop-web-1", first, state="exited")
    with engine_with(stopped, bindings={"80/tcp": [{"HostIp": "", "HostPort": str(first)}]}) as engine:
        assert _offered(Portward(environment={"DOCKER_HOST": engine.address}), free_port) != first


def _offered(ward: Portward, port: int) -> int:
    hint = ward.check_ports([str(port)]).findings[0].hint or ""
    return int(hint.removeprefix("use ").partition(",")[0])


def test_a_projects_port_in_another_namespace(nexus: Path, spawn: Spawn, free_port: int) -> None:
    """With --all-netns `check` of a project names who has its port elsewhere: that is no conflict."""
    need_root()
    (nexus / ".env").write_text(f"PORT={free_port}\n")
    child = spawn("held = listen('0.0.0.0', int(sys.argv[1])); ready()", free_port, prefix=[need("unshare"), "-n"])
    command = [sys.executable, "-m", "portward", "-C", str(nexus), "check", "--all-netns"]
    environment = clean_environment(**SILENT)
    done = subprocess.run([*command, "--json"], env=environment, capture_output=True, text=True, timeout=60)
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout
    document = json.loads(done.stdout)
    (row,) = [row for row in document["elsewhere"] if row["port"] == free_port]
    assert row["processes"][0]["pid"] == child.pid
    assert row["netns"]
    assert f"{child.pid} has {free_port} in network namespace {row['netns']}" in " ".join(said.split())
    in_use = [finding for finding in document["findings"] if finding["rule"] == "address-in-use"]
    assert not any(finding["port"] == free_port for finding in in_use)
    states = {port["published"]: port["state"] for service in document["services"] for port in service["ports"]}
    assert states[str(free_port)] == PortState.FREE


def test_an_owner_that_is_hidden_elsewhere_leaves_an_answer_complete(free_port: int) -> None:
    """`complete` is about what was asked: an owner that may not be seen on another port takes nothing from it."""
    row = Listener(Endpoint("0.0.0.0", 22), State.LISTEN, "root", Owners.HIDDEN)
    ward = Portward(sockets=Told(row), environment={})
    assert documents.check(ward.check_ports([str(free_port)]))["complete"] is True
    assert documents.who(ward.who([str(free_port)]))["complete"] is True
    assert documents.ls(ward.ls([]))["complete"] is False
    assert documents.who(ward.who(["22"]))["complete"] is False


def test_absent_is_null(tmp_path: Path) -> None:
    """A port that names no host address has none in JSON; one that is no port has no state."""
    (tmp_path / "compose.yaml").write_text('services: {a: {image: x, ports: ["5000:80", "127.0.0.1:5001:81"]}}\n')
    document = documents.services(Portward(str(tmp_path), sockets=Told(), environment={}).services())
    rows = [port for port in document["services"][0]["ports"] if port["from"] == "compose"]
    assert [(port["published"], port["host_ip"]) for port in rows] == [("5000", None), ("5001", "127.0.0.1")]
    (tmp_path / "compose.yaml").unlink()
    (tmp_path / ".env").write_text("PORT=70000\n")
    document = documents.services(Portward(str(tmp_path), sockets=Told(), environment={}).services())
    assert [(port["published"], port["state"]) for port in document["services"][0]["ports"]] == [("70000", None)]
