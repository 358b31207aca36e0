"""On a terminal, a command that is run behaves as if nothing stood between it and the keyboard."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need
from tests.test_run import COUNTING, alive, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PYTHON = sys.executable
SECONDS = 30

MEASURING = """
import os, signal
def size(*_signal):
    sizes = {tuple(os.get_terminal_size(number)) for number in (0, 1, 2)}
    if len(sizes) == 1:
        print("all", sizes.pop(), flush=True)
signal.signal(signal.SIGWINCH, size)
print("ready", flush=True)
while True: signal.pause()
"""


class Terminal:
    """A shell with job control on a terminal of its own, which runs a script."""

    def __init__(self, script: str, port: int) -> None:
        self.screen = ""
        self._near, far = pty.openpty()
        settings = termios.tcgetattr(far)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(far, termios.TCSANOW, settings)
        adopt = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])"
        run = f"{PYTHON} -m tests.run_command --port {port} --"
        self._process = subprocess.Popen(
            [PYTHON, "-c", adopt, need("bash"), "--norc", "-mc", script.replace("RUN", run)],
            stdin=far,
            stdout=far,
            stderr=far,
            env={**os.environ, "COUNTING": COUNTING, "MEASURING": MEASURING, "TERM": "dumb"},
        )
        os.close(far)

    def type(self, text: str) -> None:
        """As from the keyboard."""
        os.write(self._near, text.encode())

    def resize(self) -> None:
        """As when the window's size changes."""
        termios.tcsetwinsize(self._near, (30, 100))

    def read(self, text: str) -> str:
        """Waits until a text is on the screen, and gives all before it; the rest is for the next time."""
        end = time.monotonic() + SECONDS
        while text not in self.screen:
            ready, _, _ = select.select([self._near], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.screen!r}"
            self.screen += os.read(self._near, 4096).decode()
        before, _, self.screen = self.screen.partition(text)
        return before

    def close(self) -> None:
        """Closes the window, which hangs up. May be called again."""
        if self._near < 0:
            return
        os.close(self._near)
        self._near = -1
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def terminal(free_port: int) -> Iterator[Callable[[str], Terminal]]:
    """Shells on terminals: see `Terminal`. RUN in the script is the run under test."""
    open_terminals: list[Terminal] = []

    def make(script: str) -> Terminal:
        open_terminals.append(Terminal(script, free_port))
        return open_terminals[-1]

    yield make
    for each in open_terminals:
        each.close()


def test_a_terminal_stays_a_terminal(terminal: Callable[[str], Terminal]) -> None:
    """All three streams of the child are the terminal itself."""
    screen = terminal("RUN sh -c 'test -t 0 && test -t 1 && test -t 2 && tty'; echo status $?")
    assert "/dev/pts/" in screen.read("status 0")


def test_ctrl_c_reaches_the_child_once(terminal: Callable[[str], Terminal]) -> None:
    """The terminal has told the child already: it is not told twice. The same for Ctrl-\\."""
    screen = terminal(f'RUN {PYTHON} -u -c "$COUNTING" & fg >/dev/null; echo status $?')
    screen.read("ready")
    screen.type("\x03")
    screen.read("got SIGINT")
    screen.type("\x1c")
    assert "SIGINT" not in screen.read("got SIGQUIT")
    screen.type("\x03")
    assert "SIGQUIT" not in screen.read("got SIGINT")


def test_a_new_window_size_is_that_of_all_three_streams(terminal: Callable[[str], Terminal]) -> None:
    """Also of stderr, which is a terminal of its own while it is listened to; the last signal comes when all have it."""
    screen = terminal(f'RUN {PYTHON} -u -c "$MEASURING"; echo status $?')
    screen.read("ready")
    screen.resize()
    screen.read("all (100, 30)")
    screen.type("\x03")
    screen.read("status 130")


def test_what_is_drawn_on_stderr_is_unchanged(terminal: Callable[[str], Terminal]) -> None:
    """Line ends, colours and cursor movements reach the screen as the terminal itself would draw them."""
    written = "printf 'one\\ntwo\\r\\033[31mred\\033[0m\\tend\\n' >&2"
    direct = terminal(f'sh -c "{written}"; echo status $?').read("status 0")
    assert terminal(f'RUN sh -c "{written}"; echo status $?').read("status 0") == direct
    assert "\r\n" in direct


def test_a_terminal_without_a_listener(terminal: Callable[[str], Terminal]) -> None:
    """With --no-explain, the child's stderr is the terminal itself."""
    code = "import os; print(os.ttyname(1) == os.ttyname(2))"
    assert "False" in terminal(f"RUN {PYTHON} -c '{code}'; echo status $?").read("status 0")
    silent = f"{PYTHON} -m tests.run_command --no-explain --port 1 --no-hold -- {PYTHON} -c '{code}'; echo status $?"
    assert "True" in terminal(silent).read("status 0")


def test_ctrl_c_ends_a_child_that_does_not_mind_it(terminal: Callable[[str], Terminal]) -> None:
    """The shell gets 130."""
    screen = terminal("RUN sh -c 'echo ready; exec sleep 60'; echo status $?")
    screen.read("ready")
    screen.type("\x03")
    screen.read("status 130")


def test_ctrl_z_stops_the_job_and_fg_continues_it(terminal: Callable[[str], Terminal]) -> None:
    """The shell sees its job stop (by SIGSTOP, 128 + 19), child and all, and it goes on from there, twice."""
    script = "trap : INT; RUN sh -c 'echo ready; while read line; do echo got $line; done; exit 3'"
    screen = terminal(f"{script}; echo stopped $?; fg; echo stopped $?; fg; echo status $?")
    screen.read("ready")
    for _round in range(2):
        screen.type("\x1a")
        screen.read("stopped 147")
        screen.type("word\n")
        screen.read("got word")
    screen.type("\x04")
    screen.read("status 3")


def test_a_child_that_stops_itself(terminal: Callable[[str], Terminal]) -> None:
    """A program that handles Ctrl-Z itself stops only itself: the job stops all the same."""
    screen = terminal(
        "RUN sh -c 'echo ready; kill -STOP $$; echo continued; exit 4'; echo stopped $?; fg; echo status $?"
    )
    screen.read("stopped")
    screen.read("continued")
    screen.read("status 4")


def test_a_hang_up_ends_the_child(terminal: Callable[[str], Terminal]) -> None:
    """Closing the window ends the run and what it runs."""
    screen = terminal("RUN sh -c 'echo pid $$ end; sleep 60'; echo status $?")
    screen.read("pid ")
    child = int(screen.read(" end"))
    screen.close()
    until(lambda: not alive(child), "the child ends")
