"""`portward run`: a command gets the ports of its checkout under every name, and stdout and the status are its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.engine import clean_environment
from tests.nexus import NEXUS, VARIABLES
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

SHOW = "import json, os, sys; print(json.dumps({'env': dict(os.environ), 'words': sys.argv[1:]}))"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The worked example on free ports."""
    folder = tmp_path / "nexus"
    subprocess.run(["cp", "-r", str(NEXUS), str(folder)], check=True)
    first = free_ports(len(VARIABLES))
    (folder / ".env").write_text("".join(f"{name}={first + step}\n" for step, name in enumerate(VARIABLES)))
    return folder


def _run(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = clean_environment(
        XDG_STATE_HOME=str(tree.parent / "state"),
        DOCKER_HOST=f"unix://{tree}/none.sock",
        PYTHONPATH=os.pathsep.join(sys.path),
    )
    for name in ("PORT", *VARIABLES):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "portward", "-C", str(tree), *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_command_is_told_its_ports(tree: Path) -> None:
    """In its environment, in the places of its words, and the same as `lease` and `env` say."""
    done = _run(tree, "run", "backend", "--", sys.executable, "-c", SHOW, "--at={port}", "{redis.port}")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    values = json.loads(_run(tree, "env", "--json").stdout)
    port = _run(tree, "lease", "backend").stdout.strip()
    assert {name: said["env"][name] for name in VARIABLES} == {name: values[name] for name in VARIABLES}
    assert said["env"]["PORT"] == port
    assert said["words"] == [f"--at={port}", values["REDIS_PORT"]]
    assert f"backend -> {port}" in done.stderr


def test_the_status_is_the_commands(tree: Path) -> None:
    """Also 128 + N for a signal, and 127 for a program that is not there."""
    assert _run(tree, "run", "backend", "--", sys.executable, "-c", "raise SystemExit(7)").returncode == 7
    assert _run(tree, "run", "backend", "--", "sh", "-c", "kill -9 $$").returncode == 137
    assert _run(tree, "run", "backend", "--", "no-such-program-here").returncode == 127


def test_without_a_service_the_one_that_people_look_at(tree: Path) -> None:
    """`frontend` here, and stderr says so; what the project does not declare can run too."""
    done = _run(tree, "run", "--", sys.executable, "-c", SHOW)
    assert "PORT is that of frontend" in done.stderr
    assert "frontend ->" in done.stderr
    assert "extra ->" in _run(tree, "run", "extra", "--", "true").stderr
    assert _run(tree, "run", "backend").returncode == 2


def test_a_server_gets_its_port_while_others_are_refused(tree: Path) -> None:
    """The child serves on the leased port, which was never free before."""
    code = (
        "import http.server, os, socket, threading, urllib.request\n"
        "port = int(os.environ['PORT'])\n"
        "try:\n    socket.socket().bind(('127.0.0.1', port)); print('free')\nexcept OSError: print('held')\n"
        "server = http.server.HTTPServer(('127.0.0.1', port), http.server.SimpleHTTPRequestHandler)\n"
        "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "print(urllib.request.urlopen(f'http://127.0.0.1:{port}/').status)\n"
    )
    done = _run(tree, "run", "backend", "--", sys.executable, "-c", code)
    assert done.stdout.split() == ["held", "200"], done.stderr
