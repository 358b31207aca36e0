"""Ports in `redis.conf`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.redis import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("port 6379", [("6379", Role.HOST, Side.HOST, None)]),
        ("  PORT 6379\r", [("6379", Role.HOST, Side.HOST, None)]),
        ('port "6379"', [("6379", Role.HOST, Side.HOST, None)]),
        ("tls-port 6380 # TLS", [("6380", Role.HOST, Side.HOST, None)]),
        ("cluster-port 16379", [("16379", Role.HOST, Side.HOST, None)]),
        ("replicaof primary 6379", [("6379", Role.URL, Side.CONTAINER, "primary")]),
        ("slaveof 127.0.0.1 6379", [("6379", Role.URL, Side.HOST, "127.0.0.1")]),
        ("sentinel monitor mymaster redis 6379 2", [("6379", Role.URL, Side.CONTAINER, "redis")]),
        ("port 0", []),
        ("# port 6379", []),
        ("port", []),
        ("port 6379 6380", []),
        ("timeout 300", []),
        ("maxmemory 6379", []),
        ("replicaof no one", []),
        ("requirepass port 6379", []),
        ("unixsocket /run/redis.6379", []),
    ],
)
def test_lines(line: str, expected: list[object]) -> None:
    """Each directive that names a port, and others that have numbers."""
    assert read_found(read, f"bind 127.0.0.1\n{line}\n", "redis.conf") == expected


def test_names() -> None:
    """Redis, Valkey and Sentinel."""
    names = ("redis.conf", "redis-dev.conf", "valkey.conf", "sentinel.conf")
    assert {format_of(f"conf/{name}") for name in names} == {"redis"}


@given(fragments("port ", "6379", "replicaof ", "sentinel monitor a ", "redis ", '"', "'", "#"))
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "redis.conf")
