"""Not root: what may not be seen is said, and hides nothing else."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need, need_others

if TYPE_CHECKING:
    from collections.abc import Iterator

NEXUS = Path(__file__).parent.parent / "examples/nexus"


def _as_nobody(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Portward as an unprivileged user. Asked once before, so that all is loaded that this user may not read."""
    code = f"""
import contextlib, io, os, sys
from portward.cli import main
os.chdir({str(cwd)!r})
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main({list(words)!r})
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main({list(words)!r}))
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def open_nexus() -> Iterator[Path]:
    """The worked example where every user can reach it: the folders of pytest are closed to others."""
    need_others()
    with tempfile.TemporaryDirectory(prefix="portward-") as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(NEXUS, f"{folder}/nexus")
        yield Path(folder, "nexus").resolve()


def test_who_may_not_see_owners_is_told_how_to(open_nexus: Path, free_port: int) -> None:
    """Not root: the socket is listed with its user, its owner is said to be hidden, and the last line tells how to see more."""
    with socket.create_server(("127.0.0.1", free_port)):
        said = subprocess.run(
            [need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "cat", f"/proc/{os.getpid()}/maps"],
            capture_output=True,
        )
        assert said.returncode  # that user may really not look into this process
        text = _as_nobody("ls", str(free_port), cwd=open_nexus).stdout.splitlines()
        who = _as_nobody("who", str(free_port), cwd=open_nexus).stdout
    assert text[1].split() == [str(free_port), "127.0.0.1", "hidden", "(root)", "root"]
    assert text[2] == "1 of 1 owners is hidden from you: run with sudo, or see `portward setup`"
    assert "a process of root that you are not permitted to see" in who


def test_a_folder_that_may_not_be_read_is_skipped(open_nexus: Path) -> None:
    """One unreadable folder or file of a project is named, and hides nothing else."""
    (open_nexus / "server").chmod(0o700)
    (open_nexus / "client/.env").chmod(0o600)
    done = _as_nobody("services", "--json", cwd=open_nexus)
    document = json.loads(done.stdout)
    skipped = {entry["what"]: entry["reason"] for entry in document["skipped"] if "engine" not in entry["what"]}
    assert skipped == {"server/": "Permission denied", "client/.env": "Permission denied"}
    assert (done.returncode, len(document["services"]), document["complete"]) == (0, 7, False)


@pytest.mark.parametrize("name", ["docker-compose.yml", ".env"])
def test_a_file_that_compose_could_not_read_either(name: str, open_nexus: Path) -> None:
    """Without it there is no project to judge: exit 2 for what asks about the project; ls and who go on and say so."""
    (open_nexus / name).chmod(0o600)
    for words in (["check"], ["services"], []):
        done = _as_nobody(*words, cwd=open_nexus)
        assert (done.returncode, done.stderr) == (2, f"{name}: cannot read it: Permission denied\n")
    for words in (["ls"], ["who", "1"]):
        assert f"not seen: {name}: cannot read it: Permission denied" in _as_nobody(*words, cwd=open_nexus).stdout


def test_a_project_folder_that_may_not_be_read(open_nexus: Path) -> None:
    """Whether there is a project cannot be told: exit 3. One that may be entered, but not listed, is found."""
    open_nexus.chmod(0o711)
    assert json.loads(_as_nobody("services", "--json", cwd=open_nexus).stdout)["root"] == str(open_nexus)
    open_nexus.chmod(0o700)
    done = _as_nobody("-C", str(open_nexus), "check", cwd=Path("/"))
    assert (done.returncode, done.stderr) == (3, f"portward: cannot look into {open_nexus}: Permission denied\n")
    assert _as_nobody("-C", str(open_nexus), "ls", cwd=Path("/")).returncode == 0
