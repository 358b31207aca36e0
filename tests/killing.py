"""For tests of `portward kill`: the command itself, servers to stop, and a crowd of bystanders that nobody may signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SECONDS = 60

# a bystander: says which signals it gets, and lives until the end of its stdin
BYSTANDER = """
import signal
STEP = 16  # ports of other workers of this run are in between: who has one would rightly be stopped for it
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
    signal.signal(number, lambda number, frame: print("got", signal.Signals(number).name, flush=True))
port = int(sys.argv[1])
role = sys.argv[2]
own = f"127.1.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"  # an address where nobody else is
def first(numbers):  # on the first of these ports that nobody else has
    for number in numbers:
        try:
            return listen(own, number)
        except OSError:
            continue
if role == "client of the port":
    kept = socket.create_connection(("127.0.0.1", port))
elif role == "client from the port":
    there = listen("127.0.0.1")
    kept = socket.socket()
    kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    kept.bind((own, port))
    kept.connect(there.getsockname())
elif role == "udp":
    kept = listen(own, port, socket.SOCK_DGRAM)
elif role == "shorter":
    kept = first([port // 10, port % 10000, port // 100])
elif role == "neighbour":
    kept = first(range(port + STEP, port + 100 * STEP, STEP))
ready()
"""
ROLES = ("client of the port", "client from the port", "udp", "shorter", "neighbour", "only named in the command line")

# a server: `listen` on 127.0.0.1, until the end of its stdin
SERVER = 'made = listen("127.0.0.1", int(sys.argv[1])); ready(); '
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "

# a first process that shares its socket with three workers, each of which accepts; it ends them when it is asked to end
PRE_FORK = """
import signal, time
made = listen("127.0.0.1", int(sys.argv[1]))
workers = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        while True: made.accept()
    workers.append(pid)
def end(number, frame):
    for pid in workers: os.kill(pid, signal.SIGTERM)
    for pid in workers: os.waitpid(pid, 0)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
ready(workers=workers)
"""


class Answer:
    """What `portward kill … --json` said."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        self.status = done.returncode
        self.errors = done.stderr
        self.document: dict[str, Any] = json.loads(done.stdout)

    @property
    def stopped(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["stopped"]
        return found

    @property
    def refused(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.document["refused"]
        return found

    @property
    def only_refusal(self) -> dict[str, Any]:
        """The only refusal, of an answer that stopped nothing."""
        assert not self.stopped
        (found,) = self.refused
        return found


class Kill:
    """`portward kill`, with a state folder of the test's own."""

    def __init__(self, state: Path, folder: Path) -> None:
        self.state = state
        self.folder = folder

    def run(self, *words: object, prefix: Sequence[str] = (), **more: str) -> subprocess.CompletedProcess[str]:
        """Runs it without a terminal."""
        return subprocess.run(
            [*prefix, sys.executable, "-m", "portward", "kill", *map(str, words)],
            cwd=self.folder,
            env={
                **os.environ,
                "DOCKER_HOST": "unix:///nonexistent/docker.sock",
                "XDG_STATE_HOME": str(self.state),
                "PYTHONWARNINGS": "error",
                **more,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=110,
        )

    def __call__(self, *words: object, **more: Any) -> Answer:
        return Answer(self.run(*words, "--yes", "--json", **more))

    @property
    def log(self) -> list[dict[str, Any]]:
        """What the log says."""
        path = self.state / "portward/stopped.jsonl"
        return [json.loads(line) for line in path.read_text("ascii").splitlines()] if path.exists() else []


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for something that no event tells."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def listens(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def end_group(process: subprocess.Popen[Any]) -> None:
    """Ends a session that a test began, and reaps its first process; one that was reaped already is another's number by now."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
