"""Ports in systemd units and quadlets."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.systemd import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely

WEB = (Role.HOST, Side.HOST, "web")


@pytest.mark.parametrize(
    ("section", "line", "expected"),
    [
        ("Socket", "ListenStream=8080", [("8080", *WEB)]),
        ("Socket", "ListenStream = 127.0.0.1:8080\r", [("8080", *WEB)]),
        ("Socket", "ListenStream=[::1]:8080", [("8080", *WEB)]),
        ("Socket", "ListenDatagram=5353", [("5353", *WEB)]),
        ("Service", "Environment=PORT=5000", [("5000", *WEB)]),
        ("Service", "Environment=\"PORT=5000\" 'API_PORT=5001' A=1", [("5000", *WEB), ("5001", *WEB)]),
        ("Service", "Environment=A=1 \\\n  PORT=5000\\\n B=2", [("5000", *WEB)]),
        ("Service", "Environment=API_URL=http://localhost:5001", [("5001", Role.URL, Side.HOST, "localhost")]),
        ("Service", "ExecStart=/usr/bin/gunicorn -b :8000 app:app", [("8000", *WEB)]),
        ("Service", "ExecStart=-@/usr/bin/flask run \\\n  --port 5000", [("5000", *WEB)]),
        ("Container", "PublishPort=8080:80", [("8080", *WEB), ("80", Role.CONTAINER, Side.CONTAINER, "web")]),
        ("Container", "Environment=PORT=5000", [("5000", Role.CONTAINER, Side.CONTAINER, "web")]),
        ("Socket", "ListenStream=/run/web.sock", []),
        ("Socket", "ListenStream=%i", []),
        ("Socket", "# ListenStream=8080", []),
        ("Socket", "; ListenStream=8080", []),
        ("Socket", "Backlog=8080", []),
        ("Service", "ListenStream=8080", []),
        ("Service", "Environment=SIZE=5000 PORT=%i", []),
        ("Service", "TimeoutSec=3000", []),
        ("Unit", "Environment=PORT=5000", []),
        ("Container", "PublishPort=8080:${PORT}", []),
    ],
)
def test_settings(section: str, line: str, expected: list[object]) -> None:
    """Each setting in its own section only."""
    text = f"[Unit]\nDescription=port 1, ListenStream=2\n\n[{section}]\n{line}\n"
    assert read_found(read, text, "units/web.service") == expected


def test_what_a_socket_is_bound_to() -> None:
    """Address and protocol; the instance of a template is no part of the name."""
    specs = read("[Socket]\nListenStream=127.0.0.1:80\nListenDatagram=[::]:81\n", "web@.socket")
    assert [(spec.host_ip, spec.protocol, spec.service) for spec in specs] == [
        ("127.0.0.1", "tcp", "web"),
        ("::", "udp", "web"),
    ]


def test_names() -> None:
    """Units and quadlets."""
    assert {format_of(f"web.{kind}") for kind in ("service", "socket", "container", "pod")} == {"systemd"}


@given(
    fragments(
        *("[Socket]\n", "[Service]\n", "[Container]\n", "ListenStream=", "Environment=", "ExecStart=", "PublishPort="),
        *("PORT=5000", "8080", ":80", "\\\n", '"', "\\"),
    )
)
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "web.service")
