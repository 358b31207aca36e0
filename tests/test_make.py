"""What `make` promises on a bare machine, without its downloads: the recipes are run on a prepared environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import need, need_root

ROOT = Path(__file__).parent.parent
STRANGER = """
import socket, subprocess, sys
server = socket.create_server(("", 5000)) if sys.argv[1] == "taken" else None
sys.exit(subprocess.run(sys.argv[2:]).returncode)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what `make demo` needs, with an environment that looks installed: its `portward` is that of this checkout."""
    folder = tmp_path / "portward"
    for name in ("Makefile", "pyproject.toml"):
        folder.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder)
    shutil.copytree(ROOT / "examples", folder / "examples")
    binaries = folder / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "portward").write_text(f'#!/bin/sh\nexec {sys.executable} -m portward "$@"\n')
    (binaries / "portward").chmod(0o755)
    for stamp in (".made", ".demo"):
        (folder / ".venv" / stamp).touch()
    return folder


def make(folder: Path, *words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    # the suite itself may be run by make, whose flags and variables are inherited
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ours = {name: value for name, value in ours.items() if name not in ("VENV", "PYTHON", "PYTEST")}
    environment = {**ours, "PYTHONPATH": os.pathsep.join(sys.path), "DOCKER_HOST": "unix:///nonexistent"}
    command = [*prefix, need("make"), *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(("state", "status"), [("free", 0), ("taken", 1)])
def test_demo_tells_what_the_check_said(state: str, status: int, checkout: Path) -> None:
    """`make demo` succeeds when the check ran, whatever it found; its last line is the check's status. In a network of its own."""
    need_root()
    prefix = (need("unshare"), "--net", sys.executable, "-c", STRANGER, state)
    done = make(checkout, "demo", prefix=prefix)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"portward check: exit {status}"
    if state == "taken":
        said = done.stdout
        offered = int(said.partition("portward set backend=")[2].split()[0])
        assert 11000 <= offered <= 11999
        for evidence in ("backend cannot have 5000", "pid ", "docker-compose.yml:22:9", ".env:3:6"):
            assert evidence in said


def test_demo_fails_where_the_check_could_not_run(checkout: Path) -> None:
    """A broken example is no answer."""
    (checkout / "examples/nexus/docker-compose.yml").write_text("services: [")
    done = make(checkout, "demo")
    assert done.returncode != 0
    assert done.stdout.splitlines()[-1] == "portward check: exit 2"


@pytest.mark.parametrize("target", ["demo", "test"])
def test_what_is_missing_is_said(target: str, checkout: Path) -> None:
    """Without Python, with too old a one, or without its venv: a plain sentence with what to install, before anything else."""
    shutil.rmtree(checkout / ".venv")
    assert "apt-get install python3 python3-venv" in make(checkout, target, "PYTHON=no-such-python").stderr
    for code, expected in (
        ('[ "$1" = --version ] && echo Python 3.9.2; exit 1', "needs Python 3.11 or newer; Python 3.9.2 is too old"),
        (
            "case $2 in *ensurepip*) exit 1;; esac",
            "the venv module of {python} is missing: apt-get install python3-venv",
        ),
    ):
        python = checkout / "python"
        python.write_text(f"#!/bin/sh\n{code}\n")
        python.chmod(0o755)
        done = make(checkout, target, f"PYTHON={python}")
        assert done.returncode != 0
        assert expected.format(python=python) in done.stderr
