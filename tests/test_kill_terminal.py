"""`portward kill` on a terminal: it shows the plan and asks, and nothing but a yes is one."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.killing import SECONDS, SERVER, Kill

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Spawn

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are stopped on Linux only")


class Terminal:
    """A `portward kill` on a terminal of its own."""

    def __init__(self, folder: Path, *words: object) -> None:
        self.screen = ""
        self._near, far = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "portward", "kill", *map(str, words)],
            cwd=folder,
            env={
                **os.environ,
                "DOCKER_HOST": "unix:///nonexistent/docker.sock",
                "XDG_STATE_HOME": str(folder / "state"),
                "TERM": "dumb",
            },
            stdin=far,
            stdout=far,
            stderr=far,
            start_new_session=True,
        )
        os.close(far)

    def read(self, text: str) -> str:
        """Waits until a text is on the screen, and gives all of the screen."""
        end = time.monotonic() + SECONDS
        while text not in self.screen:
            ready, _, _ = select.select([self._near], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.screen!r}"
            self.screen += os.read(self._near, 4096).decode()
        return self.screen

    def type(self, text: str) -> None:
        """As from the keyboard."""
        os.write(self._near, text.encode())

    def end(self) -> int:
        """Its exit status, after all that it has said."""
        status = self.process.wait(SECONDS)
        while select.select([self._near], [], [], 0)[0]:
            try:
                self.screen += os.read(self._near, 4096).decode()
            except OSError:  # nothing is left, and nobody to write more
                break
        return status

    def close(self) -> None:
        """Ends what is left."""
        os.close(self._near)
        self.process.kill()
        self.process.wait()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts `portward kill` with some words on a terminal: see `Terminal`."""
    made: list[Terminal] = []

    def start(*words: object) -> Terminal:
        made.append(Terminal(tmp_path, *words))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_a_yes(terminal: Callable[..., Terminal], free_port: int, spawn: Spawn) -> None:
    """The plan is shown before the question; after a yes it is done."""
    server = spawn(SERVER, free_port)
    screen = terminal(free_port)
    shown = screen.read("[y/N] ")
    assert f"{free_port}/tcp: python" in shown
    assert "SIGTERM" in shown
    assert server.process.poll() is None
    screen.type("y\n")
    assert server.process.wait(SECONDS) == -signal.SIGTERM
    assert screen.end() == 0
    assert f"{free_port}/tcp is free" in screen.screen


@pytest.mark.parametrize("answer", ["n\n", "\n", "yess\n", "\x04"], ids=["no", "nothing", "not quite yes", "the end"])
def test_anything_else_is_a_no(
    answer: str, terminal: Callable[..., Terminal], free_port: int, spawn: Spawn, tmp_path: Path
) -> None:
    """Nothing is stopped, nothing is recorded, exit 1."""
    server = spawn(SERVER, free_port)
    screen = terminal(free_port)
    screen.read("[y/N] ")
    screen.type(answer)
    assert screen.end() == 1
    assert "Nothing was stopped." in screen.screen
    assert (server.process.poll(), Kill(tmp_path / "state", tmp_path).log) == (None, [])


def test_an_interruption(terminal: Callable[..., Terminal], free_port: int, spawn: Spawn) -> None:
    """Ctrl-C at the question: exit 130, nothing is stopped."""
    server = spawn(SERVER, free_port)
    screen = terminal(free_port)
    screen.read("[y/N] ")
    os.kill(screen.process.pid, signal.SIGINT)
    assert (screen.end(), server.process.poll()) == (130, None)


def test_nothing_to_ask(terminal: Callable[..., Terminal], free_port: int) -> None:
    """Where nothing holds the port there is no question."""
    screen = terminal(free_port)
    assert screen.end() == 1
    assert f"{free_port}/tcp: nothing holds it" in screen.screen
    assert "[y/N]" not in screen.screen


def test_json_never_asks(terminal: Callable[..., Terminal], free_port: int, spawn: Spawn) -> None:
    """Also on a terminal: exit 2."""
    server = spawn(SERVER, free_port)
    screen = terminal(free_port, "--json")
    assert (screen.end(), server.process.poll()) == (2, None)
    assert "kill needs --yes" in screen.screen


def test_what_changed_while_it_was_asked(terminal: Callable[..., Terminal], free_port: int, spawn: Spawn) -> None:
    """Another server that took the port before the yes is not what was agreed to: it is left alone."""
    first = spawn(SERVER, free_port)
    screen = terminal(free_port)
    screen.read("[y/N] ")
    first.stop()
    second = spawn(SERVER, free_port)
    screen.type("yes\n")
    assert screen.end() == 1
    assert second.process.poll() is None
    assert "nothing was signalled" in screen.screen
