"""Shell scripts and `.envrc`."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given, settings

from portward.formats import format_of
from portward.formats.shell import read
from portward.model import Location, Role, Side
from tests.conftest import need
from tests.port_specs import check, found_with_variables
from tests.test_formats_commands import TEXTS

SCRIPT = """#!/usr/bin/env bash
set -euo pipefail
PORT=5000            # the API's
export API_PORT="${API_PORT:-5001}"
: "${WEB_PORT:=5002}"
readonly DB_URL='postgres://app:secret@db:5432/app'
WAIT=60 TIMEOUT=${TIMEOUT:-30}
cat > .env <<EOF
PORT=1
EOF
exec uvicorn app:app \\
  --host 0.0.0.0 \\
  --port "${API_PORT:-5003}"
"""


def test_a_script() -> None:
    """Variables, fallbacks, URLs and the options of commands, each at its place."""
    assert found_with_variables(SCRIPT, read(SCRIPT, "run.sh")) == [
        ("5000", "host", "host", ("PORT",)),
        ("5001", "fallback", "host", ("API_PORT",)),
        ("5002", "fallback", "host", ("WEB_PORT",)),
        ("5432", "url", "container", ("DB_URL",)),
        ("5003", "fallback", "host", ("API_PORT",)),
    ]


def test_a_spec_is_whole() -> None:
    """Origin, place, excerpt, address and target of one port."""
    text = "\ufeff# start\r\ndocker run -p 127.0.0.1:8080:80/udp nginx\r\n"
    (spec,) = read(text, "bin/start.sh")
    assert spec.location == Location("bin/start.sh", 2, 25)
    assert (spec.origin, spec.role, spec.side) == ("shell", Role.HOST, Side.HOST)
    assert (spec.published, spec.target, spec.protocol, spec.host_ip) == ("8080", 80, "udp", "127.0.0.1")
    assert spec.text == "docker run -p 127.0.0.1:8080:80/udp nginx"


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        ("PORT=${PORT:-5000}", "PORT"),
        ('export PORT="${WEB_PORT-5000}"', "WEB_PORT"),
        (': "${PORT:=5000}"', "PORT"),
        ("PORT=${A_PORT:-${B_PORT:-5000}}", "A_PORT"),
        ("PORT=${A_PORT:-${B_PORT:-5000}}", "B_PORT"),
    ],
)
def test_a_fallback_is_one_to_a_shell(line: str, variable: str) -> None:
    """A real shell takes the number while the variable is unset, and the variable's value where it is set."""
    (spec,) = read(line, "x.sh")
    assert (spec.role, spec.published) == (Role.FALLBACK, "5000")
    assert variable in spec.variables
    for value, expected in ((None, "5000"), ("1234", "1234")):
        environment = {} if value is None else {variable: value}
        script = f'{line}\nprintf %s "$PORT"'
        done = subprocess.run([need("sh"), "-c", script], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == expected


def test_file_names() -> None:
    """Scripts by their ending, and direnv's file; nothing else is guessed at."""
    assert {format_of(path) for path in ("run.sh", "bin/a.bash", ".envrc", "x/.envrc")} == {"shell"}
    assert format_of("bin/start") is None
    assert format_of(".env.sh") == "dotenv"


@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_any_text_is_read(text: str) -> None:
    """No text raises, and each span holds the digits that are told."""
    check(text, "x.sh", read(text, "x.sh"))
