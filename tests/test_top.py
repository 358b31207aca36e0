"""`portward top`: the application by Textual's own pilot with real sockets, and once in a real terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest
from textual.widgets import DataTable, Input, Static

from portward.model import Endpoint, Listener, Reading, State
from portward.serve.top import Agree, Top, rows_of
from portward.ward import Portward

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from textual.pilot import Pilot

    from tests.conftest import Listen, Spawn

PATIENCE = 60.0
HOLD = "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nready()\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without a project, with a store of its own and no engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "")
    return tmp_path


def _used(place: Path, use: Callable[[Top, Pilot[None]], Coroutine[None, None, None]]) -> None:
    """Runs the application without a terminal, and uses it."""

    async def run() -> None:
        app = Top(lambda: Portward.open(place), seconds=0.1)
        async with app.run_test(size=(120, 30)) as pilot:
            await use(app, pilot)

    asyncio.run(run())


async def _until(pilot: Pilot[None], is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end
        await pilot.pause(0.05)


def _ports(app: Top) -> list[str]:
    table = app.screen.query_one(DataTable)
    return [str(table.get_row_at(index)[0]) for index in range(table.row_count)]


def _said(app: Top) -> str:
    return str(app.query_one("#said", Static).content)


def test_who_starts_appears_and_who_stops_goes(place: Path, spare_port: int, spawn: Spawn) -> None:
    """Without a key: it looks again by itself."""

    async def use(app: Top, pilot: Pilot[None]) -> None:
        await _until(pilot, lambda: bool(_ports(app)))
        child = spawn(HOLD, spare_port)
        await _until(pilot, lambda: str(spare_port) in _ports(app))
        child.process.kill()
        await _until(pilot, lambda: str(spare_port) not in _ports(app))

    _used(place, use)


def test_rows_are_filtered_and_sorted(place: Path, listen: Listen, spare_port: int) -> None:
    """A filter narrows while it is typed, and goes with Escape; each `s` sorts by the next column."""
    port = str(listen("127.0.0.1").getsockname()[1])

    async def use(app: Top, pilot: Pilot[None]) -> None:
        await _until(pilot, lambda: port in _ports(app))
        await pilot.press("slash", *port)
        await _until(pilot, lambda: _ports(app) == [port])
        await pilot.press("enter", "s")
        assert _said(app) == "sorted by address"
        await pilot.press("slash", "escape")
        assert app.query_one("#filter", Input).value == ""

    _used(place, use)


def test_a_holder_is_shown_and_then_stopped(place: Path, spare_port: int, spawn: Spawn) -> None:
    """A no leaves it alone; a yes stops it, and just it."""
    child = spawn(HOLD, spare_port)

    async def use(app: Top, pilot: Pilot[None]) -> None:
        await _until(pilot, lambda: str(spare_port) in _ports(app))
        await pilot.press("slash", *str(spare_port), "enter")
        await _until(pilot, lambda: _ports(app) == [str(spare_port)])
        for answer in ("n", "y"):
            await pilot.press("k")
            await _until(pilot, lambda: isinstance(app.screen, Agree))
            assert f"pid {child.pid}" in " ".join(str(each.content) for each in app.screen.query(Static))
            assert child.process.poll() is None
            await pilot.press(answer)
            await _until(pilot, lambda: _said(app) != "")
        await _until(pilot, lambda: child.process.poll() is not None)

    _used(place, use)
    assert child.process.returncode == -signal.SIGTERM


def test_it_does_not_stop_itself(place: Path, listen: Listen) -> None:
    """The refusals are those of `portward kill`, and are told at once."""
    port = str(listen("127.0.0.1").getsockname()[1])

    async def use(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *port, "enter")
        await _until(pilot, lambda: _ports(app) == [port])
        await pilot.press("k")
        await _until(pilot, lambda: f"pid {os.getpid()}" in _said(app))
        assert not isinstance(app.screen, Agree)

    _used(place, use)


def test_a_port_is_leased(place: Path) -> None:
    """For the service that is typed; the answer is on the last line."""

    async def use(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("l", *"api", "enter")
        await _until(pilot, lambda: _said(app).startswith("api has "))

    _used(place, use)
    assert [lease.holder.service for lease in Portward.open(place).leases().leases] == ["api"]


def test_a_row_is_opened_in_the_browser(place: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the system's own browser."""
    port = listen("127.0.0.1").getsockname()[1]
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)

    async def use(app: Top, pilot: Pilot[None]) -> None:
        await pilot.press("slash", *str(port), "enter")
        await _until(pilot, lambda: _ports(app) == [str(port)])
        await pilot.press("o")

    _used(place, use)
    assert opened == [f"http://localhost:{port}/"]


def test_several_sockets_on_one_endpoint_are_several_rows() -> None:
    """Each with a key of its own."""
    listener = Listener(Endpoint("127.0.0.1", 1), State.LISTEN)
    assert len({row.key for row in rows_of(Reading((listener, listener)))}) == 2


def test_it_fills_a_terminal_and_leaves_it_as_it_was(place: Path, listen: Listen) -> None:
    """`q` ends it with status 0, and the terminal's settings are those from before."""
    port = listen("127.0.0.1").getsockname()[1]
    control, terminal = pty.openpty()
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    before = termios.tcgetattr(terminal)
    command = [sys.executable, "-m", "portward", "top"]
    process = subprocess.Popen(
        command,
        cwd=place,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color"},
    )
    try:
        output = _read_until(control, re.compile(rf"\b{port}\b".encode()))
        assert b"\x1b[?1049h" in output  # the alternate screen
        os.write(control, b"q")
        output += _read_until(control, re.compile(rb"\x1b\[\?1049l"))
        assert process.wait(timeout=PATIENCE) == 0
        assert termios.tcgetattr(terminal) == before
    finally:
        process.kill()
        process.wait()
        os.close(control)
        os.close(terminal)


def _read_until(control: int, wanted: re.Pattern[bytes]) -> bytes:
    output, end = b"", time.monotonic() + PATIENCE
    while not wanted.search(output):
        assert time.monotonic() < end, output[-2000:]
        if select.select([control], [], [], 0.1)[0]:
            output += os.read(control, 65536)
    return output


def test_without_a_terminal_it_says_what_to_do() -> None:
    """As for everything that nobody could use."""
    done = subprocess.run([sys.executable, "-m", "portward", "top"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: `portward ls` lists once" in done.stderr
