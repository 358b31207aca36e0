"""`check` and a listener that was started in the project by a command that is no service's: its protocol tells whose it is."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from portward import Portward
from portward.model import Severity
from portward.render import documents, text
from portward.verbs import identifying
from tests.test_imports import SOURCE

if TYPE_CHECKING:
    from pathlib import Path

    from portward.answers import Check, PortReport, Services
    from tests.conftest import Spawn

SERVER = """
import threading
server = listen("127.0.0.1", int(sys.argv[1]))
def serve():
    while True:
        connection, _ = server.accept()
        open("asked", "ab").write(connection.recv(1000))
        connection.sendall(sys.argv[2].encode() + b"\\r\\n")
        connection.close()
threading.Thread(target=serve, daemon=True).start()
ready()
"""


@pytest.fixture
def project(tmp_path: Path, free_port: int) -> Path:
    """A project whose cache is a Redis on `free_port`."""
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "compose.yaml").write_text(
        f"services:\n  cache: {{image: 'redis:7', ports: ['127.0.0.1:{free_port}:6379']}}\n"
    )
    return folder


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded machine must not make a server look silent."""
    monkeypatch.setattr(identifying, "_DOUBT_SECONDS", 60)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")


def _port(answer: Check | Services) -> PortReport:
    (service,) = answer.services
    return next(port for port in service.ports if port.spec.origin == "compose")


def test_it_is_ours_if_it_speaks_our_protocol(project: Path, free_port: int, spawn: Spawn) -> None:
    """Started in the project, and a Redis where a Redis is wanted: it runs, and the sign is said. It is asked that alone."""
    spawn(SERVER, free_port, "+PONG", cwd=project)
    answer = Portward.open(project).check()
    assert (answer.worst() is Severity.ERROR, _port(answer).state, _port(answer).sign) == (False, "running", "protocol")
    said = (project / "asked").read_bytes()
    assert said.startswith(b"PING\r\n")
    assert b"GET" not in said
    assert documents.check(answer)["services"][0]["ports"][0]["sign"] == "protocol"
    assert any("(by its protocol)" in line for line in text.check(answer, text.Paint(False)))


def test_another_protocol_is_a_strangers(project: Path, free_port: int, spawn: Spawn) -> None:
    """What does not answer as a Redis is in the way."""
    spawn(SERVER, free_port, "HTTP/1.1 400 Bad Request", cwd=project)
    answer = Portward.open(project).check()
    assert (answer.worst(), _port(answer).state, _port(answer).sign) == (Severity.ERROR, "taken", None)


def test_what_was_started_elsewhere_is_not_asked(project: Path, free_port: int, spawn: Spawn, tmp_path: Path) -> None:
    """A Redis of somebody else's folder is a stranger, whatever it speaks."""
    spawn(SERVER, free_port, "+PONG", cwd=tmp_path)
    assert _port(Portward.open(project).check()).state == "taken"
    assert not (tmp_path / "asked").exists()


def test_a_setting_forbids_it(project: Path, free_port: int, spawn: Spawn) -> None:
    """With `probe = false` nothing is asked, and the folder alone is no proof."""
    (project / "portward.toml").write_text("probe = false\n")
    spawn(SERVER, free_port, "+PONG", cwd=project)
    assert _port(Portward.open(project).check()).state == "taken"
    assert not (project / "asked").exists()


def test_a_debugger_is_not_asked(project: Path, free_port: int, spawn: Spawn) -> None:
    """Its command line names the port: it is left alone."""
    spawn(SERVER, free_port, "+PONG", "debugpy", "--listen", free_port, cwd=project)
    assert _port(Portward.open(project).check()).state == "taken"
    assert not (project / "asked").exists()


def test_all_verbs_see_the_same(project: Path, free_port: int, spawn: Spawn) -> None:
    """`services` says running too, and `resolve` moves nothing."""
    spawn(SERVER, free_port, "+PONG", cwd=project)
    ward = Portward.open(project)
    assert _port(ward.services()).state == "running"
    assert ward.resolve().changes == ()


@pytest.mark.parametrize("state", ["free", "a stranger's"])
def test_without_a_doubt_nothing_is_loaded(
    state: str, project: Path, free_port: int, spawn: Spawn, tmp_path: Path
) -> None:
    """Where nothing is in doubt, `check` does not even load what speaks to endpoints."""
    if state != "free":
        spawn(SERVER, free_port, "+PONG", cwd=tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); from portward.cli import main; main(['check']); "
        "print(' '.join(name for name in sys.modules if 'probes' in name or 'identifying' in name), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )
    assert done.stderr.strip() == ""
