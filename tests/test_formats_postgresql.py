"""Ports in `postgresql.conf`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.postgresql import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("port = 5432", [("5432", Role.HOST, Side.HOST, None)]),
        ("port=5432\t# (change requires restart)\r", [("5432", Role.HOST, Side.HOST, None)]),
        ("  Port 5432", [("5432", Role.HOST, Side.HOST, None)]),
        ("port = '5432'", [("5432", Role.HOST, Side.HOST, None)]),
        ("primary_conninfo = 'host=primary port=5432 user=me'", [("5432", Role.URL, Side.CONTAINER, "primary")]),
        ("primary_conninfo 'port = 5432 host = localhost'", [("5432", Role.URL, Side.HOST, "localhost")]),
        ("#port = 5432", []),
        ("port = 5432kB", []),
        ("port =", []),
        ("port = 0", []),
        ("export = 5432", []),
        ("max_connections = 100", []),
        ("primary_conninfo = 'port=5432'", []),
        ("primary_conninfo = 'host=a port=b'", []),
        ("unix_socket_directories = '/tmp/port 5432'", []),
    ],
)
def test_lines(line: str, expected: list[object]) -> None:
    """The port in every spelling, that of the primary, and others that have numbers."""
    text = f"listen_addresses = '*'\n{line}\nshared_buffers = 128MB\n"
    assert read_found(read, text, "postgresql.conf") == expected


def test_names() -> None:
    """The server's file and variants of it."""
    assert format_of("db/postgresql.conf") == format_of("postgresql.dev.conf") == "postgresql"
    assert format_of("postgresql.conf.sample") is None


@given(fragments("port", " = ", "5432", "'", "primary_conninfo = '", "host=", "#"))
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "postgresql.conf")
