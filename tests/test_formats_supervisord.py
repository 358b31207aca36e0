"""Ports in `supervisord.conf`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.supervisord import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely

API = (Role.HOST, Side.HOST, "api")
OWN = (Role.HOST, Side.HOST, None)


@pytest.mark.parametrize(
    ("section", "line", "expected"),
    [
        ("program:api", "command = gunicorn -b 127.0.0.1:8000 app:app", [("8000", *API)]),
        ("program:api", "command=flask run\n  --port 5000 ; the port", [("5000", *API)]),
        ("program:api", 'environment=A="1",PORT="5000"', [("5000", *API)]),
        (
            "program:api",
            "environment = PORT=5000,\n    API_URL='http://localhost:5001'",
            [("5000", *API), ("5001", Role.URL, Side.HOST, "localhost")],
        ),
        ("supervisord", "environment=PORT=5000", [("5000", *OWN)]),
        ("inet_http_server", "port = 127.0.0.1:9001", [("9001", *OWN)]),
        ("inet_http_server", "port=*:9001 ; the web", [("9001", *OWN)]),
        ("inet_http_server", "port=:9001\r", [("9001", *OWN)]),
        ("inet_http_server", "port=9001", [("9001", *OWN)]),
        ("supervisorctl", "serverurl=http://localhost:9001", [("9001", Role.URL, Side.HOST, "localhost")]),
        ("program:api", ";command=flask run --port 5000", []),
        ("program:api", "command=flask run ; --port 5000", []),
        ("program:api", "port=9001", []),
        ("program:api", "priority=999", []),
        ("program:api", "environment=SIZE=5000", []),
        ("other", "command=flask run --port 5000", []),
        ("unix_http_server", "file=/run/9001.sock", []),
    ],
)
def test_settings(section: str, line: str, expected: list[object]) -> None:
    """Each setting in its own section only."""
    text = f"[supervisord]\nnodaemon=true\n[{section}]\n{line}\nx=1\n"
    assert read_found(read, text, "supervisord.conf") == expected


def test_names() -> None:
    """By name, or in a folder of that name."""
    assert format_of("supervisord.conf") == format_of("supervisor/conf.d/api.conf") == "supervisord"


@given(
    fragments(
        *("[program:api]\n", "[inet_http_server]\n", "command=", "environment=", "port=", "flask run --port 5000"),
        *('PORT="5000"', ",", " ;", "*:9001"),
    )
)
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "supervisord.conf")
