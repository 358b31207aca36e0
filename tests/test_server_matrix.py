"""Real servers against a hostile process that grabs their port as soon as it is free: which way of keeping it works for which.

- `hold`: the port is held, and opened to the server. Nobody who asks without SO_REUSEADDR gets it, not for a moment.
- `fd`: the server is handed a listening socket. Nobody gets the port, however they ask.
- `retry`: no hold, as on other systems. The hostile process has the port first; the server is started again on another one.
"""

from __future__ import annotations

import glob
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portward.sockets import open_reader
from tests.conftest import need, unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Run, Running

SECONDS = 60

# tries to bind and listen on a port, again and again, on every address; keeps what it gets, and says so
HOSTILE = """
import os, select, socket, sys, time
port, reuse = int(sys.argv[1]), sys.argv[2] == "reuse"
tries, got = 0, []
def grab(address):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if reuse: made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if ":" in address: made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address == "::1")
    try:
        made.bind((address, port)); made.listen()
    except OSError:
        made.close()
    else:
        got.append(made)
while True:
    for address in ("127.0.0.1", "0.0.0.0", "::1", "::"):
        grab(address)
    tries += 1
    if tries == 1: print("ready", flush=True)
    if tries % 100 == 0 and select.select([sys.stdin], [], [], 0)[0]: break
    time.sleep(0.001)
print(tries, len(got), flush=True)
"""

APPLICATION = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown": return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ours"})
def wsgi(environ, start_response):
    start_response("200 OK", [])
    return [b"ours"]
"""
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
DJANGO = """
import sys
from django.conf import settings
settings.configure(DEBUG=True, ROOT_URLCONF=__name__, SECRET_KEY="no secret")
urlpatterns = []
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
NGINX = "daemon off; pid nginx.pid; error_log stderr; events {} http { access_log off; server { listen 127.0.0.1:PORT; return 200 ours; } }"
NODE = 'require("http").createServer((request, answer) => answer.end("ours")).listen(process.env.PORT)'

PAGE = "import streamlit\nstreamlit.write('ours')\n"
FILES = {
    "asgi.py": APPLICATION,
    "web.py": FLASK,
    "manage.py": DJANGO,
    "page.py": PAGE,
    "nginx.in": NGINX,
    "index.html": "ours",
}


class Bench:
    """A folder with what the servers need, one that another user can reach, and where the servers' programs are."""

    def __init__(self, folder: Path, outside: Path, programs: Path) -> None:
        self.folder = folder
        self.outside = outside
        self._programs = programs
        for name, text in FILES.items():
            (folder / name).write_text(text)

    def python(self, name: str) -> str:
        """A program of the servers' virtual environment."""
        return self._found(self._programs / "python/bin" / name)

    def vite(self) -> str:
        return self._found(self._programs / "js/node_modules/.bin/vite")

    def postgres(self) -> list[str]:
        """The server with an empty database, as another user where we are root, whom it refuses."""
        found = shutil.which("postgres") or max(glob.glob("/usr/lib/postgresql/*/bin/postgres"), default="")
        if not found:
            unmet("postgres is not installed")
        user: list[str] = []
        if os.geteuid() == 0:
            user = [need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
            shutil.chown(self.outside, "postgres")
        data = str(self.outside / "data")
        initdb = [
            *user,
            os.path.join(os.path.dirname(os.path.realpath(found)), "initdb"),
            "-D",
            data,
            "-A",
            "trust",
            "-N",
        ]
        subprocess.run(initdb, cwd=self.outside, check=True, capture_output=True)
        return [*user, found, "-D", data, "-k", str(self.outside), "-h", "127.0.0.1"]

    @staticmethod
    def _found(program: Path) -> str:
        return str(program) if program.exists() else unmet(f"{program} is missing: .ci/servers.sh makes it")


COMMANDS: dict[str, Callable[[Bench], list[str]]] = {
    "uvicorn": lambda on: [on.python("uvicorn"), "asgi:app"],
    "gunicorn": lambda on: [on.python("gunicorn"), "asgi:wsgi"],
    "hypercorn": lambda on: [on.python("hypercorn"), "asgi:app"],
    "daphne": lambda on: [on.python("daphne"), "asgi:app"],
    "granian": lambda on: [on.python("granian"), "--interface", "asgi", "asgi:app"],
    "waitress": lambda on: [on.python("waitress-serve"), "asgi:wsgi"],
    "flask": lambda on: [on.python("flask"), "--app", "web", "run"],
    "django": lambda on: [on.python("python"), "manage.py", "runserver"],
    "http.server": lambda _: [sys.executable, "-m", "http.server"],
    "streamlit": lambda on: [on.python("streamlit"), "run", "page.py", "--server.headless", "true"],
    "jupyter": lambda on: [on.python("jupyter"), "server", "--allow-root", "--no-browser"],
    "redis": lambda _: [need("redis-server"), "--save", ""],
    "postgres": lambda on: on.postgres(),
    "nginx": lambda _: [
        "sh",
        "-c",
        f'sed "s/PORT/$PORT/" nginx.in >nginx.conf && exec {need("nginx")} -p . -c nginx.conf',
    ],
    "node": lambda _: [need("node"), "-e", NODE],
    "vite": lambda on: [on.vite()],
    "npm run vite": lambda on: [need("npm"), "run", "dev"],
}
TAKES_SOCKET = ("uvicorn", "gunicorn", "hypercorn", "daphne")
NOT_HTTP = ("redis", "postgres")


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder that `.ci/servers.sh` has made."""
    folder = os.environ.get("PORTWARD_TEST_SERVERS")
    return (
        Path(folder)
        if folder
        else unmet("PORTWARD_TEST_SERVERS does not say where the servers are: see .ci/servers.sh")
    )


@pytest.fixture
def bench(tmp_path: Path, programs: Path) -> Iterator[Bench]:
    """The folder that the servers run in."""
    with tempfile.TemporaryDirectory(prefix="portward-", ignore_cleanup_errors=True) as outside:
        made = Bench(tmp_path, Path(outside), programs)
        package = {"private": True, "scripts": {"dev": str(programs / "js/node_modules/.bin/vite")}}
        (tmp_path / "package.json").write_text(json.dumps(package))
        yield made


class Hostile:
    """A process that grabs the port. `end` gives how often it tried and on how many addresses it listens."""

    def __init__(self, port: int, way: str) -> None:
        words = [sys.executable, "-c", HOSTILE, str(port), way]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> tuple[int, int]:
        output, _ = self.process.communicate("\n", timeout=SECONDS)
        tries, got = output.split()
        return int(tries), int(got)


@pytest.fixture
def hostile() -> Iterator[Callable[[int, str], Hostile]]:
    """Hostile processes, ended with the test."""
    made: list[Hostile] = []

    def start(port: int, way: str) -> Hostile:
        made.append(Hostile(port, way))
        return made[-1]

    yield start
    for each in made:
        each.process.kill()
        each.process.communicate()


def started(run: Run, bench: Bench, name: str, *options: str) -> Running:
    """The run of a server. It waits for a line on its stdin, so that the hostile process can come before it."""
    running = run(*COMMANDS[name](bench), options=[*options, "--wait"], cwd=bench.folder, env=environment(bench))
    assert running.line() == "held"
    return running


def environment(bench: Bench) -> dict[str, str]:
    """Nothing of ours in the servers' way."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PORT", "PYTHONWARNINGS")}
    here = str(Path(__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**kept, "HOME": str(bench.folder), "PYTHONPATH": paths, "NO_COLOR": "1", "DO_NOT_TRACK": "1"}


def go(running: Running) -> None:
    """Lets the server start."""
    assert running.process.stdin is not None
    running.process.stdin.write("go\n")
    running.process.stdin.flush()


def served(running: Running, port: int, name: str) -> None:
    """Waits until the run's own processes listen on the port, and they answer."""
    end = time.monotonic() + SECONDS
    while not (addresses := ours(running, port)):
        assert running.process.poll() is None, f"it ended: {running.end()}"
        assert time.monotonic() < end, "it does not listen"
        time.sleep(0.1)
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(addresses[0], addresses[0])
    if name in NOT_HTTP:
        socket.create_connection((address, port), timeout=SECONDS).close()
        return
    client = http.client.HTTPConnection(address, port, timeout=SECONDS)
    client.request("GET", "/")
    answer = client.getresponse()
    assert answer.status in (200, 302, 404), answer.read()
    client.close()


def ours(running: Running, port: int) -> list[str]:
    """The addresses of the port on which processes below the run listen."""
    reader = open_reader()
    found = []
    for row in reader.read(ports=[port]).listeners:
        parents = {each.pid for process in row.processes for each in reader.ancestry(process)}
        if row.state == "listen" and running.pid in parents:
            found.append(row.endpoint.address)
    return found


def stopped(running: Running) -> str:
    """Ends the run as a supervisor does; nothing of it stays. Gives its stderr."""
    running.process.terminate()
    return running.end()[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_hold(name: str, run: Run, bench: Bench, free_port: int, hostile: Callable[[int, str], Hostile]) -> None:
    """A held port is never lost to a process that binds as programs without SO_REUSEADDR do."""
    running = started(run, bench, name)
    grabbing = hostile(free_port, "plain")
    go(running)
    served(running, free_port, name)
    tries, got = grabbing.end()
    errors = stopped(running)
    assert got == 0
    assert tries > 10
    assert "portward: " not in errors


@pytest.mark.parametrize("name", TAKES_SOCKET)
def test_fd(name: str, run: Run, bench: Bench, free_port: int, hostile: Callable[[int, str], Hostile]) -> None:
    """A socket that is handed over is never lost, to nobody."""
    running = started(run, bench, name, "--fd")
    grabbing = hostile(free_port, "reuse")
    go(running)
    served(running, free_port, name)
    tries, got = grabbing.end()
    stopped(running)
    assert (got, tries > 10) == (0, True)


@pytest.mark.parametrize("name", COMMANDS)
def test_retry(
    name: str, run: Run, bench: Bench, free_port: int, spare_port: int, hostile: Callable[[int, str], Hostile]
) -> None:
    """Without a hold the port is lost between grant and start: the server comes up on the next one, and that is said."""
    running = started(run, bench, name, "--no-hold", "--retry", "1", "--next", str(spare_port))
    grabbing = hostile(free_port, "reuse")
    go(running)
    served(running, spare_port, name)
    assert grabbing.end()[1] > 0
    errors = stopped(running)
    assert f"{free_port} is lost, trying {spare_port}" in errors


@pytest.mark.parametrize("name", ["uvicorn", "streamlit"])
def test_hold_against_a_rival(
    name: str, run: Run, bench: Bench, free_port: int, spare_port: int, hostile: Callable[[int, str], Hostile]
) -> None:
    """Whoever asks for this very number with SO_REUSEADDR can win against an open hold: it is lost at most to a retry."""
    running = started(run, bench, name, "--retry", "1", "--next", str(spare_port))
    grabbing = hostile(free_port, "reuse")
    go(running)
    until = time.monotonic() + SECONDS
    while not (ports := [port for port in (free_port, spare_port) if ours(running, port)]):
        assert time.monotonic() < until
        time.sleep(0.1)
    served(running, ports[0], name)
    got = grabbing.end()[1]
    errors = stopped(running)
    assert (ports[0] == spare_port) == (f"{free_port} is lost" in errors)
    assert got == 0 or ports[0] != free_port or "may mean either" in errors
