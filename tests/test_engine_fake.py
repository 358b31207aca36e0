"""What is asked of a container engine, and what is made of its answers, on engines that are only pretended."""

from __future__ import annotations

import json
import os.path
import socket
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward import engine
from portward.model import ANY, Container, Endpoint, Publication, Skipped, Transport
from tests.conftest import need_root, run_code
from tests.engine import PretendedEngine, http

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WEB = {
    "Id": "ab" * 32,
    "Names": ["/shop-web-1"],
    "Image": "nginx:1.27",
    "State": "running",
    "Status": "Up 2 hours",
    "HostConfig": {"NetworkMode": "shop_default"},
    "Labels": {
        "com.docker.compose.project": "shop",
        "com.docker.compose.service": "web",
        "com.docker.compose.project.working_dir": "/srv/shop",
    },
    "Ports": [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
        {"IP": "127.0.0.1", "PrivatePort": 53, "PublicPort": 5353, "Type": "udp"},
        {"IP": "0.0.0.0", "PrivatePort": 132, "PublicPort": 8132, "Type": "sctp"},
    ],
}
STOPPED = {**WEB, "Id": "cd" * 32, "Names": ["/shop-db-1"], "State": "exited", "Ports": []}
BINDINGS = {
    "5432/tcp": [{"HostIp": "127.0.0.1", "HostPort": "15432"}, {"HostIp": "", "HostPort": "25432"}],
    "9000/udp": [{"HostIp": "", "HostPort": "19000"}],
    "9001/tcp": [{"HostIp": "", "HostPort": ""}],
    "9002/tcp": [{"HostIp": "", "HostPort": "0"}],
    "9003/sctp": [{"HostIp": "", "HostPort": "19003"}],
    "9004/tcp": None,
}

ASK_AS_NOBODY = """
from portward import engine
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
_, skipped = engine.read({"DOCKER_HOST": sys.argv[1]})
ready(reasons=[entry.reason for entry in skipped])
"""


def reading(*containers: object) -> PretendedEngine:
    """An engine with these containers."""
    return PretendedEngine(lambda _path: [http(containers)])


def only_skipped(found: tuple[list[engine.EngineContainer], list[Skipped]]) -> str:
    """The reason of the only skipped entry of a reading without containers."""
    containers, skipped = found
    assert containers == []
    assert len(skipped) == 1
    assert skipped[0].what.startswith("container engine ")
    return skipped[0].reason


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets in it."""
    with tempfile.TemporaryDirectory(prefix="pw-") as name:
        yield Path(name)


def test_running_container() -> None:
    """A container is told with its labels and with every TCP and UDP endpoint that it publishes."""
    with reading(WEB) as pretended:
        (found,), skipped = engine.read({"DOCKER_HOST": pretended.address})
    assert skipped == []
    assert found.container == Container(
        "abababababab", "shop-web-1", "nginx:1.27", "shop", "web", None, "Up 2 hours", "/srv/shop"
    )
    assert found.running
    assert not found.host_network
    assert found.publications == (
        Publication(Endpoint("0.0.0.0", 8080), 80),
        Publication(Endpoint("::", 8080, v6only=True), 80),
        Publication(Endpoint("127.0.0.1", 5353, Transport.UDP), 53),
    )


def test_one_request_for_running_containers() -> None:
    """However many containers run, the engine is asked once."""
    with reading(*({**WEB, "Id": f"{number:012x}".ljust(64, "0")} for number in range(200))) as pretended:
        containers, _ = engine.read({"DOCKER_HOST": pretended.address})
    assert len(containers) == 200
    assert pretended.requests == ["/containers/json?all=1"]


@pytest.mark.parametrize("state", ["exited", "created", "dead", "restarting"])
def test_claims_of_a_stopped_container(state: str) -> None:
    """What a stopped container will ask for is read from its own settings; ports that the engine chooses are no claim."""

    def answer(path: str) -> Iterable[bytes]:
        one = {"HostConfig": {"PortBindings": BINDINGS}}
        return [http([{**STOPPED, "State": state}] if path.startswith("/containers/json") else one)]

    with PretendedEngine(answer) as pretended:
        (found,), _ = engine.read({"DOCKER_HOST": pretended.address})
    assert pretended.requests[1:] == [f"/containers/{'cd' * 32}/json"]
    assert not found.running
    assert [(entry.endpoint, entry.target) for entry in found.publications] == [
        (Endpoint("127.0.0.1", 15432), 5432),
        (Endpoint(ANY, 25432), 5432),
        (Endpoint(ANY, 19000, Transport.UDP), 9000),
    ]


def test_container_removed_meanwhile() -> None:
    """A stopped container that is gone when it is looked at has no claims, and hides nothing else."""

    def answer(path: str) -> Iterable[bytes]:
        if path.startswith("/containers/json"):
            return [http([STOPPED, WEB])]
        return [http({"message": "no such container"}, 404)]

    with PretendedEngine(answer) as pretended:
        containers, skipped = engine.read({"DOCKER_HOST": pretended.address})
    assert [len(entry.publications) for entry in containers] == [0, 3]
    assert skipped == []


def test_podman() -> None:
    """Podman leaves out the wildcard address, the network mode, and labels that are empty."""
    raw = {
        "Id": "ef" * 32,
        "Names": ["/web"],
        "Image": "localhost/web:latest",
        "State": "running",
        "Labels": None,
        "HostConfig": {"NetworkMode": ""},
        "Ports": [{"PrivatePort": 80, "PublicPort": 18080, "Type": "tcp"}],
    }
    host = {key: value for key, value in raw.items() if key != "HostConfig"} | {"Id": "12" * 32, "Ports": None}
    with reading(raw, host) as pretended:
        (web, on_host), _ = engine.read({"DOCKER_HOST": pretended.address})
    assert web.publications == (Publication(Endpoint(ANY, 18080), 80),)
    assert web.container.project is None
    assert not web.host_network
    assert on_host.host_network


def test_byte_by_byte() -> None:
    """An answer that comes in the smallest pieces is read to its end."""
    with PretendedEngine(lambda _path: (bytes([byte]) for byte in http([WEB]))) as pretended:
        containers, skipped = engine.read({"DOCKER_HOST": pretended.address})
    assert len(containers) == 1
    assert skipped == []


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([http({"message": "page not found"}, 404)], "the engine answers with HTTP status 404"),
        ([http({"message": "client version is too old"}, 400)], "the engine answers with HTTP status 400"),
        ([b"HTTP/1.0 200 OK\r\n\r\n<html>"], engine._NO_ENGINE),
        ([b"HTTP/1.0 200 OK\r\n\r\n\xff\xfe"], engine._NO_ENGINE),
        ([b"HTTP/1.0 200 OK\r\n\r\n" + b"[" * 100_000], engine._NO_ENGINE),
        ([http({"name": "another program"})], engine._NO_ENGINE),
        ([http(["a"])], engine._NO_ENGINE),
        ([http([{}])], engine._NO_ENGINE),
        ([http(17)], engine._NO_ENGINE),
        ([http([{**WEB, "Ports": [{"PublicPort": "http"}]}])], engine._NO_ENGINE),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], "what answers there does not speak HTTP"),
        ([b"\x00\x01\x02"], "what answers there does not speak HTTP"),
        ([], "what answers there does not speak HTTP"),
    ],
)
def test_not_an_engine(pieces: list[bytes], reason: str) -> None:
    """Whatever else answers at the address is passed over, with the reason."""
    with PretendedEngine(lambda _path: pieces) as pretended:
        assert only_skipped(engine.read({"DOCKER_HOST": pretended.address})) == reason


def _drip() -> Iterator[bytes]:
    yield b"HTTP/1.0 200 OK\r\n\r\n["
    while True:
        time.sleep(0.05)
        yield b" "


@pytest.mark.parametrize("drips", [False, True], ids=["silence", "drip"])
def test_no_answer_in_time(drips: bool) -> None:
    """An engine that never answers, or never ends its answer, is given up within a second."""
    with PretendedEngine(lambda _path: _drip() if drips else None) as pretended:
        start = time.monotonic()
        reason = only_skipped(engine.read({"DOCKER_HOST": pretended.address}))
        assert time.monotonic() - start < 1.5
    assert reason == f"no answer within {engine.DEADLINE_SECONDS} s"


def test_no_answer_about_one_container() -> None:
    """The time limit is for all requests together."""

    def answer(path: str) -> Iterable[bytes] | None:
        return [http([STOPPED] * 5)] if path.startswith("/containers/json") else None

    with PretendedEngine(answer) as pretended:
        start = time.monotonic()
        reason = only_skipped(engine.read({"DOCKER_HOST": pretended.address}))
        assert time.monotonic() - start < 1.5
    assert "no answer" in reason


def test_full_queue_of_connections(folder: Path) -> None:
    """A socket that accepts nobody is given up in time too."""
    path = str(folder / "engine.sock")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as first:
        server.bind(path)
        server.listen(0)
        first.connect(path)
        start = time.monotonic()
        reason = only_skipped(engine.read({"DOCKER_HOST": f"unix://{path}"}))
        assert time.monotonic() - start < 1.5
    assert "no answer" in reason or "unavailable" in reason.lower()


def test_missing_socket(folder: Path) -> None:
    """A DOCKER_HOST whose socket does not exist is said so: the user wanted that engine."""
    reason = only_skipped(engine.read({"DOCKER_HOST": f"unix://{folder}/none.sock"}))
    assert reason == "its socket does not exist"


def test_refused_socket(folder: Path) -> None:
    """A socket file that an engine left behind."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "engine.sock"))
    reason = only_skipped(engine.read({"DOCKER_HOST": f"unix://{folder}/engine.sock"}))
    assert reason == "nothing answers at its socket"


def test_forbidden_socket() -> None:
    """A socket of root's or of the group docker, for a user who is neither."""
    need_root()
    with reading(WEB) as pretended:
        pretended.path.parent.chmod(0o755)
        pretended.path.chmod(0o660)
        facts = run_code(ASK_AS_NOBODY, pretended.address)
        assert pretended.requests == []
    assert facts == {"reasons": ["not permitted to use its socket"]}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("tcp://192.0.2.7:2375", "another machine"),
        ("tcp://builder.example:2376", "another machine"),
        ("https://builder.example:2376", "another machine"),
        ("ssh://root@builder.example", "another machine"),
        ("tcp://[2001:db8::7]:2375", "another machine"),
        ("tcp://", "not the address of an engine"),
        ("nonsense", "not the address of an engine"),
    ],
)
def test_engine_of_another_machine(address: str, reason: str) -> None:
    """An engine elsewhere is never asked: its ports are not ours."""
    start = time.monotonic()
    assert reason in only_skipped(engine.read({"DOCKER_HOST": address}))
    assert time.monotonic() - start < 0.5


def test_tcp_of_this_machine() -> None:
    """An engine at a TCP port of this machine is asked."""
    with PretendedEngine(lambda _path: [http([WEB])], tcp=True) as pretended:
        containers, skipped = engine.read({"DOCKER_HOST": pretended.address})
    assert len(containers) == 1
    assert skipped == []


def test_tcp_of_another_address_of_this_machine() -> None:
    """Not only 127.0.0.1 is this machine: an address that can be bound is, and an engine there is asked."""
    with PretendedEngine(lambda _path: [http([WEB])], tcp=True) as pretended:
        elsewhere = pretended.address.replace("127.0.0.1", "127.0.0.3")
        assert only_skipped(engine.read({"DOCKER_HOST": elsewhere})) == "nothing answers at its socket"


def _context(folder: Path, name: str, host: str) -> None:
    meta = folder / "contexts/meta" / sha256(name.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


def test_contexts(tmp_path: Path) -> None:
    """DOCKER_HOST, else DOCKER_CONTEXT, else the current context of DOCKER_CONFIG or ~/.docker chooses the engine."""
    configuration = tmp_path / "elsewhere"
    _context(configuration, "box", "unix:///box.sock")
    _context(configuration, "rootless", "unix:///rootless.sock")
    _context(tmp_path / ".docker", "home", "unix:///home.sock")
    (configuration / "config.json").write_text('{"currentContext": "box"}')
    (tmp_path / ".docker/config.json").write_text('{"currentContext": "home"}')
    home = {"HOME": str(tmp_path)}
    there = {**home, "DOCKER_CONFIG": str(configuration)}
    assert engine.addresses(home) == ["unix:///home.sock"]
    assert engine.addresses(there) == ["unix:///box.sock"]
    assert engine.addresses({**there, "DOCKER_CONTEXT": "rootless"}) == ["unix:///rootless.sock"]
    both = {**there, "DOCKER_CONTEXT": "rootless", "DOCKER_HOST": "unix:///chosen.sock"}
    assert engine.addresses(both) == ["unix:///chosen.sock"]


@pytest.mark.parametrize("configuration", ["", "{", "[]", '{"currentContext": 7}', '{"currentContext": "default"}'])
def test_no_context(tmp_path: Path, configuration: str) -> None:
    """The default context, and settings that cannot be read, leave the usual sockets."""
    (tmp_path / "config.json").write_text(configuration)
    nowhere = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    assert engine.addresses({**nowhere, "DOCKER_CONFIG": str(tmp_path)}) == engine.addresses(nowhere)


def test_several_engines(folder: Path) -> None:
    """Without a choice every usual socket is asked; a container that two of them show is one, and a dead one hides none."""
    environment = {"HOME": str(folder / "home"), "XDG_RUNTIME_DIR": str(folder / "run")}
    other = {**WEB, "Id": "34" * 32}
    (folder / "home/.docker/run").mkdir(parents=True)
    with (
        PretendedEngine(lambda _path: [http([WEB])], folder / "run/docker.sock"),
        PretendedEngine(lambda _path: [http([WEB, other])], folder / "run/podman/podman.sock"),
        PretendedEngine(lambda _path: None, folder / "home/.docker/run/docker.sock") as silent,
    ):
        start = time.monotonic()
        containers, skipped = engine.read(environment)
        assert time.monotonic() - start < 1.5
    assert {"abababababab", "343434343434"} <= {entry.container.id for entry in containers}
    assert [entry.what for entry in skipped if str(folder) in entry.what] == [f"container engine {silent.address}"]


def test_no_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without an engine has no containers, and nothing was skipped."""
    monkeypatch.setattr(os.path, "exists", lambda _path: False)
    assert engine.read({"HOME": str(tmp_path)}) == ([], [])


def test_too_large_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something that talks without end does not fill the memory."""
    monkeypatch.setattr(engine, "_LARGEST_ANSWER_BYTES", 1000)
    endless: Any = iter(lambda: b" " * 100, None)
    with PretendedEngine(lambda _path: endless) as pretended:
        assert only_skipped(engine.read({"DOCKER_HOST": pretended.address})) == "the answer is too large"
