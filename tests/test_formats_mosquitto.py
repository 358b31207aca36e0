"""Ports in `mosquitto.conf`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.mosquitto import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("listener 1883", [("1883", Role.HOST, Side.HOST, None)]),
        ("listener 1883 127.0.0.1", [("1883", Role.HOST, Side.HOST, None)]),
        ("port 1883\r", [("1883", Role.HOST, Side.HOST, None)]),
        ("address broker:1884", [("1884", Role.URL, Side.CONTAINER, "broker")]),
        (
            "addresses a:1 localhost:2 c",
            [("1", Role.URL, Side.CONTAINER, "a"), ("2", Role.URL, Side.HOST, "localhost")],
        ),
        ("listener 0 /run/mosquitto.sock", []),
        ("#listener 1883", []),
        ("listener", []),
        ("max_connections 100", []),
        ("connection bridge:1883", []),
    ],
)
def test_lines(line: str, expected: list[object]) -> None:
    """Listeners, bridges, and others that have numbers."""
    assert read_found(read, f"allow_anonymous true\n{line}\n", "mosquitto.conf") == expected


def test_the_address_of_a_listener() -> None:
    """It is kept where it is numeric; the name of an interface counts as any."""
    specs = read("listener 1 127.0.0.1\nlistener 2 ::1\nlistener 3 eth0\nlistener 4\n", "mosquitto.conf")
    assert [spec.host_ip for spec in specs] == ["127.0.0.1", "::1", "", ""]


def test_names() -> None:
    """By name, or in a folder of that name."""
    assert format_of("mosquitto/config/mosquitto.conf") == format_of("mosquitto/tls.conf") == "mosquitto"


@given(fragments("listener ", "1883", "port ", "address ", "a:1", "::1", "#", '"'))
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "mosquitto.conf")
