"""What a target comes to: one host and one port, or a refusal that says what was meant; never with a password in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import UsageError
from portward.evidence import Aim, ContainerState, Origin
from portward.model import Container, Endpoint, Publication
from portward.verbs.aiming import aim_at
from portward.verbs.places import Scene


def aim(text: str) -> Aim:
    """What a target comes to on a machine without containers, outside any project."""
    return aim_at(text, Scene(), Origin(), None)


@pytest.mark.parametrize(
    ("text", "host", "port", "scheme", "path"),
    [
        ("5000", "localhost", 5000, "", "/"),
        (":5000", "localhost", 5000, "", "/"),
        ("db:5432", "db", 5432, "", "/"),
        ("127.0.0.1:80", "127.0.0.1", 80, "", "/"),
        ("[::1]:80", "::1", 80, "", "/"),
        ("80/tcp", "localhost", 80, "", "/"),
        ("http://localhost:3000/api?x=1", "localhost", 3000, "http", "/api?x=1"),
        ("http://localhost", "localhost", 80, "http", "/"),
        ("HTTPS://Host", "Host", 443, "https", "/"),
        ("http://[::1]:8080/", "::1", 8080, "http", "/"),
        ("postgresql://u:p@db/app", "db", 5432, "postgresql", "/app"),
        ("postgresql+asyncpg://u:p@db:5433/app", "db", 5433, "postgresql", "/app"),
        ("jdbc:postgresql://db:5432/app", "db", 5432, "postgresql", "/app"),
        ("redis://:p%40ss@cache:6380/0", "cache", 6380, "redis", "/0"),
        ("mongodb://a:27018,b:27019/db", "a", 27018, "mongodb", "/db"),
        ("amqp://guest:guest@mq", "mq", 5672, "amqp", "/"),
        ("tcp://0.0.0.0:9000", "0.0.0.0", 9000, "tcp", "/"),
    ],
)
def test_targets(text: str, host: str, port: int, scheme: str, path: str) -> None:
    """Each form with what it means."""
    target = aim(text)
    assert (target.host, target.port, target.scheme, target.path) == (host, port, scheme, path)


WEB = ContainerState(
    Container("0123456789ab", "shop-web-1", "nginx"),
    "running",
    networks=(("own", "172.20.0.2"),),
    exposed=(443, 80),
)
PUBLISHED = WEB.replace(publications=(Publication(Endpoint("0.0.0.0", 8080), 80),))


@pytest.mark.parametrize(
    ("state", "origin", "expected"),
    [
        (WEB, Origin(), ("172.20.0.2", 80)),
        (WEB.replace(exposed=(), listeners=(Endpoint("::", 9000),)), Origin(), ("172.20.0.2", 9000)),
        (PUBLISHED, Origin(), ("localhost", 8080)),
        (PUBLISHED.replace(publications=(Publication(Endpoint("127.0.0.2", 81), 80),)), Origin(), ("127.0.0.2", 81)),
        (PUBLISHED, Origin("docker:x", "other"), ("shop-web-1", 80)),
    ],
)
def test_a_containers_name(state: ContainerState, origin: Origin, expected: tuple[str, int]) -> None:
    """A container's name means its published port here, its own port among containers."""
    found = aim_at("shop-web-1", Scene((state,)), origin, None)
    assert (found.host, found.port) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "70000",
        "0",
        "http://host:99999",
        "http://host:x",
        "1-3",
        "53/udp",
        "grpc://host",
        "web",
        "foo://host",
        "http://h/a b",
        "::1:80",
    ],
)
def test_refusals(text: str) -> None:
    """What is no target is bad usage."""
    with pytest.raises(UsageError):
        aim(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis://:hunter2@h:1/0",
        "postgresql://u:hunter2@h/d?sslmode=x&password=hunter2",
        "http://u:hunter2@h/#hunter2",
        "amqp://hunter2@h",
    ],
)
def test_passwords_are_not_kept(text: str) -> None:
    """The text that is shown has neither user nor password, wherever they stand."""
    target = aim(text)
    assert "hunter2" not in target.text


@given(st.text(max_size=40) | st.from_regex(r"\A[a-z+:]{1,9}://[^/]{0,12}@?[a-z0-9.\[\]:,]{0,14}(/.{0,8})?\Z"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Any text is a target with a valid port, or bad usage."""
    try:
        target = aim(text)
    except UsageError:
        return
    assert 1 <= target.port <= 65535
    assert target.host
