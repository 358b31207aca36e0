"""Ports in `haproxy.cfg`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.haproxy import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("*:80", [("80", "", "tcp")]),
        (":80", [("80", "", "tcp")]),
        ("0.0.0.0:80", [("80", "0.0.0.0", "tcp")]),
        ("127.0.0.1:8443 ssl crt a.pem", [("8443", "127.0.0.1", "tcp")]),
        (":::443 v6only", [("443", "::", "tcp")]),
        ("::1:443", [("443", "::1", "tcp")]),
        ("[::1]:443", [("443", "::1", "tcp")]),
        ("ipv4@:80", [("80", "", "tcp")]),
        ("ipv6@:80", [("80", "::", "tcp")]),
        ("quic4@:443 ssl", [("443", "", "udp")]),
        (":8000-8010", [("8000-8010", "", "tcp")]),
        ("10.0.0.1:80,10.0.0.2:81", [("80", "10.0.0.1", "tcp"), ("81", "10.0.0.2", "tcp")]),
        ("/var/run/haproxy.sock", []),
        ("unix@/tmp/a:80", []),
        ("fd@3", []),
        ("*:${PORT}", []),
        ("*", []),
        ("", []),
    ],
)
def test_bind(bind: str, expected: list[tuple[str, str, str]]) -> None:
    """Every form of an address that writes a port; the last colon parts it from an address of IPv6."""
    text = f"frontend web\n  bind {bind}\n"
    read_found(read, text, "haproxy.cfg")
    specs = read(text, "haproxy.cfg")
    assert [(spec.published, spec.host_ip, spec.protocol) for spec in specs] == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("server api1 backend:5000 check inter 2000", [("5000", Role.URL, Side.CONTAINER, "backend")]),
        ("server api1 127.0.0.1:5000 check port 8080", [("5000", Role.URL, Side.HOST, "127.0.0.1")]),
        ("server-template web 1-3 web:3000", [("3000", Role.URL, Side.CONTAINER, "web")]),
        ("redirect location http://localhost:8080/", [("8080", Role.URL, Side.HOST, "localhost")]),
        ("server api1 backend", []),
        ("server api1 /tmp/a.sock", []),
        ("# server api1 backend:5000", []),
        ("timeout connect 5000", []),
        ("maxconn 3000", []),
        ("log 127.0.0.1:514 local0", []),
        ("default-server port 80", []),
    ],
)
def test_lines(line: str, expected: list[object]) -> None:
    """The servers behind it, redirects, and others that have numbers."""
    assert read_found(read, f"backend api\r\n    {line}\r\n", "haproxy.cfg") == expected


def test_names() -> None:
    """By name, or in a folder of that name."""
    assert format_of("haproxy.cfg") == format_of("haproxy/conf/web.cfg") == "haproxy"
    assert format_of("setup.cfg") is None


@given(fragments("bind ", "*:80", ",", "server a b:5000", "server-template a 1 b:1", "ipv6@", "::", "-8010", "#", '"'))
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "haproxy.cfg")
