"""`portward kill` on real servers: those that share their socket, and those that keep data, end as they want to."""

from __future__ import annotations

import glob
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need, unmet
from tests.killing import SECONDS, Kill, end_group, listens, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are stopped on Linux only")


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that other users can enter."""
    with tempfile.TemporaryDirectory(prefix="portward-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture
def kill(outside: Path) -> Kill:
    """`portward kill` in a folder that is no project."""
    return Kill(outside / "state", outside)


@pytest.fixture
def start(free_port: int, outside: Path) -> Iterator[Callable[[Sequence[str]], subprocess.Popen[str]]]:
    """Starts a server on `free_port`, and waits until it listens. Its output is kept in the file `output`."""
    started: list[subprocess.Popen[str]] = []

    def begin(command: Sequence[str]) -> subprocess.Popen[str]:
        with (outside / "output").open("w") as output:
            process = subprocess.Popen(
                list(command),
                cwd=outside,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                text=True,
                start_new_session=True,
            )
        started.append(process)
        until(lambda: listens(free_port) or process.poll() is not None, "it listens")
        assert process.poll() is None, (outside / "output").read_text()
        return process

    yield begin
    for process in started:
        end_group(process)


def test_nginx(kill: Kill, free_port: int, outside: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    """Its master and its workers (of another user where it was started by root) share the socket: the master ends them all."""
    (outside / "nginx.conf").write_text(
        f"daemon off; worker_processes 3; pid {outside}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; server {{ listen 127.0.0.1:{free_port}; }} }}\n"
    )
    master = start([need("nginx"), "-p", str(outside), "-c", "nginx.conf"])
    answer = kill(free_port)
    assert master.wait(SECONDS) == 0
    (stopped,) = answer.stopped
    assert (answer.status, stopped["pid"], len(stopped["pids"])) == (0, master.pid, 4)
    assert stopped["how"] == "SIGTERM"
    assert not listens(free_port)


def test_redis(kill: Kill, free_port: int, outside: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    """It is waited for until it has saved its data, and is not hurried."""
    server = start([need("redis-server"), "--port", str(free_port), "--save", "900 1", "--dir", str(outside)])
    subprocess.run([need("redis-cli"), "-p", str(free_port), "set", "key", "value"], check=True, capture_output=True)
    planned = kill.run(free_port, "--dry-run", "--force").stdout
    assert "SIGTERM, SIGKILL after 60 s" in planned
    answer = kill(free_port)
    assert (answer.status, answer.stopped[0]["alive"]) == (0, [])
    assert server.wait(SECONDS) == 0
    assert (outside / "dump.rdb").exists()


def test_postgres(kill: Kill, free_port: int, outside: Path, start: Callable[..., subprocess.Popen[str]]) -> None:
    """SIGINT to the postmaster, its fast shutdown, which does not wait for clients; SIGKILL is not even planned."""
    found = shutil.which("postgres") or max(glob.glob("/usr/lib/postgresql/*/bin/postgres"), default="")
    if not found:
        unmet("postgres is not installed")
    programs, user, force = os.path.dirname(os.path.realpath(found)), list[str](), list[str]()
    if os.geteuid() == 0:  # whom it refuses
        user = [need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        force = ["--force"]
        shutil.chown(outside, "postgres")
    data = str(outside / "data")
    initdb = [*user, f"{programs}/initdb", "-D", data, "-A", "trust", "-N"]
    subprocess.run(initdb, cwd=outside, check=True, capture_output=True)
    server = start(
        [*user, f"{programs}/postgres", "-D", data, "-k", str(outside), "-h", "127.0.0.1", "-p", str(free_port)]
    )
    query = [*user, f"{programs}/psql", "-h", "127.0.0.1", "-p", str(free_port), "-At", "postgres", "-c"]

    def clients() -> str:
        asked = "select count(*) from pg_stat_activity where query = 'select pg_sleep(600)'"
        return subprocess.run([*query, asked], cwd=outside, capture_output=True, text=True).stdout.strip()

    until(lambda: clients() == "0", "it accepts clients")
    client = subprocess.Popen(
        [*query, "select pg_sleep(600)"], cwd=outside, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until(lambda: clients() == "1", "the client waits for its answer")
    if force:
        assert kill(free_port).only_refusal["why"] == "it belongs to postgres"
    assert "SIGINT (fast shutdown), SIGQUIT after 60 s" in kill.run(free_port, "--dry-run", "--force").stdout
    answer = kill(free_port, *force)
    assert server.wait(SECONDS) == 0
    assert (answer.status, answer.stopped[0]["how"], answer.stopped[0]["pid"]) == (0, "SIGINT", server.pid)
    assert "received fast shutdown request" in (outside / "output").read_text()
    assert "terminating connection" in client.communicate(timeout=SECONDS)[0]


@pytest.mark.parametrize("name", ["gunicorn", "uvicorn"])
def test_python_servers(
    name: str, kill: Kill, free_port: int, outside: Path, start: Callable[..., subprocess.Popen[str]]
) -> None:
    """The first process of gunicorn and of uvicorn with workers ends its workers."""
    folder = os.environ.get("PORTWARD_TEST_SERVERS") or unmet("PORTWARD_TEST_SERVERS is not set: see .ci/servers.sh")
    program = f"{folder}/python/bin/{name}"
    if not os.path.exists(program):
        unmet(f"{program} is missing: .ci/servers.sh makes it")
    (outside / "app.py").write_text(
        "def wsgi(environment, respond):\n    respond('200 OK', [])\n    return [b'']\n"
        "async def asgi(scope, receive, send):\n    pass\n"
    )
    words = {
        "gunicorn": ["-w", "3", "-b", f"127.0.0.1:{free_port}", "app:wsgi"],
        "uvicorn": ["--workers", "3", "--lifespan", "off", "--port", str(free_port), "app:asgi"],
    }
    master = start([program, *words[name]])
    answer = kill(free_port)
    assert (answer.status, answer.stopped[0]["pid"], answer.refused) == (0, master.pid, [])
    assert master.wait(SECONDS) in (0, -signal.SIGTERM)
    assert not listens(free_port)
