"""Fixtures for tests on the real machine: sockets and processes of a test's own, on ports of its own, gone when it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import pytest
from hypothesis import HealthCheck, settings

from tests.ports import free_ports, give_back

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.etcd import Cluster

SOAK = os.environ.get("PORTWARD_SOAK") == "1"
"""Whether tests run at their full sizes (`make soak`)."""

# a busy machine is slow, and no example is wrong for that
settings.register_profile("portward", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("portward")

# a shell without job control makes its background jobs ignore these, and so would all that the tests start
for _number, _default in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),  # ignored below nohup
    (getattr(signal, "SIGQUIT", None), signal.SIG_DFL),
):
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _default)

CHILD_START = """
import json, os, socket, sys
def ready(**facts):
    print(json.dumps(facts), flush=True)
def listen(address, port=0, kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    made.bind((address, port))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made
"""


def unmet(reason: str) -> NoReturn:
    """Skips a test for what this machine lacks; fails it where PORTWARD_REQUIRE_REAL=1 promises that all is there."""
    if os.environ.get("PORTWARD_REQUIRE_REAL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def need(tool: str) -> str:
    """The path of a program that a test cannot do without."""
    return shutil.which(tool) or unmet(f"{tool} is not installed")


def need_root() -> None:
    """For tests that make namespaces or become another user."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        unmet("needs root")


def need_others() -> None:
    """For tests in which another user imports this checkout: not one in a private folder, such as `mktemp -d` makes."""
    need_root()
    closed = [folder for folder in Path(__file__).resolve().parents if not folder.stat().st_mode & stat.S_IXOTH]
    if closed:
        unmet(f"other users may not enter {closed[0]}")


class Listen(Protocol):
    """Opens a socket of the test's own, where no port is given on one that is free everywhere. Closed when the test ends."""

    def __call__(
        self,
        address: str = "127.0.0.1",
        port: int = 0,
        *,
        udp: bool = False,
        v6only: bool | None = None,
        options: Sequence[int] = (),
        listening: bool = True,
    ) -> socket.socket: ...


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Sockets of this process: see `Listen`. `options` are SO_… to be set before the bind."""
    with ExitStack() as open_sockets:

        def make(
            address: str = "127.0.0.1",
            port: int = 0,
            *,
            udp: bool = False,
            v6only: bool | None = None,
            options: Sequence[int] = (),
            listening: bool = True,
        ) -> socket.socket:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            made = socket.socket(family, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM)
            open_sockets.enter_context(made)
            for option in options:
                made.setsockopt(socket.SOL_SOCKET, option, 1)
            if v6only is not None:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
            made.bind((address, port or free_ports()))
            if listening and not udp:
                made.listen()
            return made

        yield make


@pytest.fixture
def connect() -> Iterator[Callable[..., socket.socket]]:
    """TCP connections: `connect(server, source=("127.0.0.1", 0))`, closed when the test ends."""
    with ExitStack() as open_sockets:

        def make(server: socket.socket, **options: Any) -> socket.socket:
            made = socket.create_connection(server.getsockname()[:2], timeout=10, **options)
            return open_sockets.enter_context(made)

        yield make


def port_of(held: socket.socket) -> int:
    """The local port of a socket."""
    port: int = held.getsockname()[1]
    return port


@pytest.fixture(autouse=True)
def _ports() -> Iterator[None]:
    """What a test takes of `tests.ports` is given back at its end."""
    yield
    give_back()


@pytest.fixture
def free_port() -> int:
    """A port that nobody has, TCP and UDP, on all addresses."""
    return free_ports()


@pytest.fixture
def spare_port() -> int:
    """Another such port."""
    return free_ports()


class Child:
    """A process of the test's own. `facts` is what it said when it was ready."""

    def __init__(self, process: subprocess.Popen[str], facts: dict[str, Any]) -> None:
        self.process = process
        self.facts = facts
        self.pid = process.pid

    def stop(self) -> None:
        """Lets it end by closing its stdin, and waits."""
        self.process.communicate(timeout=30)


class Spawn(Protocol):
    """Starts Python code in a process of the test's own, and waits until it calls `ready(**facts)`."""

    def __call__(self, code: str, *arguments: object, prefix: Sequence[str] = (), **options: Any) -> Child: ...


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Child processes: see `Spawn`. `prefix` is a command that runs them. They end when their stdin is closed.

    The code may use `ready`, `listen`, json, os, socket and sys; its process lives until the end of its stdin.
    """
    children: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: object, prefix: Sequence[str] = (), **options: Any) -> Child:
        process = subprocess.Popen(
            [*prefix, sys.executable, "-c", f"{CHILD_START}\n{code}\nsys.stdin.read()", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        children.append(process)
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        if not line:
            raise AssertionError(f"the child did not start: {process.stderr.read()}")
        return Child(process, json.loads(line))

    yield start
    for process in children:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


class Running:
    """A run of `tests.run_command`, whose output is read line by line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.pid = process.pid

    def line(self) -> str:
        """The next line of its stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str, str]:
        """Status, the rest of stdout, and stderr."""
        output, errors = self.process.communicate(timeout=60)
        return self.process.returncode, output, errors


class Run(Protocol):
    """Starts a command by `tests.run_command`, with options for that, in a session of its own."""

    def __call__(self, *command: str, options: Sequence[str] = (), **more: Any) -> Running: ...


@pytest.fixture
def run(free_port: int) -> Iterator[Run]:
    """Commands that keep `free_port`: see `Run`. All that is left of them is ended."""
    processes: list[subprocess.Popen[str]] = []

    def start(*command: str, options: Sequence[str] = (), **more: Any) -> Running:
        words = [sys.executable, "-m", "tests.run_command", "--port", str(free_port), *options, "--", *command]
        pipe = subprocess.PIPE
        processes.append(
            subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True, **more)
        )
        return Running(processes[-1])

    yield start
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def run_code(code: str, *arguments: object, prefix: Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """Runs Python code in another process to its end, and gives what it said with `ready(**facts)`."""
    command = [*prefix, sys.executable, "-c", f"{CHILD_START}\n{code}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members of etcd, for all tests of this worker: each takes a prefix of its own."""
    from tests.etcd import Cluster

    cluster = Cluster(tmp_path_factory.mktemp("etcd"))
    try:
        cluster.wait()
        yield cluster
    finally:
        cluster.stop()
