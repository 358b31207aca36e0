"""What an engine says of its containers, as `doctor` reads it: states, networks, ports, and last words without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from portward import containers
from portward.discretion import discreet
from portward.model import Endpoint, Publication
from tests.engine import PretendedEngine, http

if TYPE_CHECKING:
    from collections.abc import Iterable

ID = "ab" * 32
EXITED: dict[str, Any] = {
    "Id": ID,
    "Name": "/web",
    "RestartCount": 2,
    "Config": {
        "Image": "nginx",
        "Labels": {"com.docker.compose.project": "shop", "com.docker.compose.service": "front"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    },
    "HostConfig": {"NetworkMode": "own", "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}], "81/tcp": None}},
    "State": {"Status": "exited", "ExitCode": 3, "Pid": 0},
    "NetworkSettings": {"Ports": {}, "Networks": {"own": {"IPAddress": "", "Aliases": ["web", "www"]}}},
}  # fmt: skip


def framed(*lines: str) -> bytes:
    """A log as the engine sends it for a container without a terminal."""
    return b"".join(b"\x02\0\0\0" + len(line).to_bytes(4, "big") + line.encode() for line in lines)


def engine(raw: object, log: bytes = b"", listed: object = None) -> PretendedEngine:
    """An engine with one container."""

    def answer(path: str) -> Iterable[bytes]:
        if path.startswith("/containers/json"):
            return [http([{"Id": ID}] if listed is None else listed)]
        return [http(raw)] if path.endswith("/json") else [b"HTTP/1.0 200 OK\r\n\r\n" + log]

    return PretendedEngine(answer)


def test_a_container_that_ended() -> None:
    """Each fact of one that has ended: status, restarts, claims, names, and its last lines."""
    log = framed("one\n", "two\n", "three\n", "password=hunter2\n")
    with engine(EXITED, log) as pretended:
        ((state, pid, full),), skipped = containers.read({"DOCKER_HOST": pretended.address})
    assert (skipped, pid, full) == ([], 0, ID)
    assert (state.container.name, state.container.project, state.container.service) == ("web", "shop", "front")
    assert (state.state, state.exit_code, state.restarts) == ("exited", 3, 2)
    assert state.claims == (Publication(Endpoint("", 8080), 80),)
    assert (state.publications, state.exposed, state.networks) == ((), (80,), (("own", ""),))
    assert state.names == ("web", "www", "front")
    assert state.log == ("two", "three", "password=***")


@pytest.mark.parametrize("raw", [{}, [], {"Id": ID}, {**EXITED, "State": None}, {**EXITED, "NetworkSettings": 5}])
def test_nonsense_is_passed_over(raw: object) -> None:
    """A container that is told in another form hides no other, and fails nothing."""
    with engine(raw) as pretended:
        found, _ = containers.read({"DOCKER_HOST": pretended.address})
    assert found == []


@pytest.mark.parametrize("listed", [{}, 5, [5], [{}]])
def test_what_is_no_engine(listed: object) -> None:
    """What answers in another form is said to be no engine."""
    with engine(EXITED, listed=listed) as pretended:
        found, skipped = containers.read({"DOCKER_HOST": pretended.address})
    assert found == []
    assert listed == {} or "not a container engine" in skipped[0].reason


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=***"),
        ('{"token": "hunter2", "port": 5432}', '{"token": "***", "port": 5432}'),
        ("Authorization: Bearer hunter2", "Authorization: Bearer ***"),
        ("api_key: hunter2 rejected", "api_key: *** rejected"),
        ("connecting to postgres://me:hunter2@db/app", "connecting to postgres://me:***@db/app"),
        ("key sk-hunter2hunter2hunter2 is wrong", "key *** is wrong"),
        ("listening on 0.0.0.0:80", "listening on 0.0.0.0:80"),
        ("password authentication failed for user app", "password authentication failed for user app"),
    ],
)
def test_secrets_are_left_out(line: str, expected: str) -> None:
    """What is called a secret is not shown; other words are left as they are."""
    assert discreet(line) == expected
