"""What people see while a verb takes longer than a second: a line on their terminal that goes before the answer comes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.command import run
from tests.conftest import port_of

if TYPE_CHECKING:
    from tests.conftest import Listen

CLEAR = "\r\x1b[K"


def _on_a_terminal(*words: str) -> tuple[str, str]:
    """What `portward` prints, and what a terminal shows that has its stderr."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "portward", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        assert process.stdout is not None
        printed = process.stdout.read()
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # nobody has the other end any more (EIO, pty(7))
        pass
    finally:
        os.close(ours)
    return printed, shown.decode()


def test_a_long_question_tells_what_it_is_at(listen: Listen) -> None:
    """A server that says nothing is waited for: after a second that is told, once it is over taken away."""
    target = f"127.0.0.1:{port_of(listen())}"
    printed, shown = _on_a_terminal("identify", target, "--timeout", "3")
    assert target in printed
    assert f"{CLEAR}1 s: " in shown
    assert shown.endswith(CLEAR)
    assert CLEAR not in printed


def test_a_quick_one_tells_nothing(free_port: int) -> None:
    """Nor does one that is asked for JSON, or whose stderr is no terminal."""
    assert _on_a_terminal("check", str(free_port))[1] == ""


def test_nobody_but_people_is_told(listen: Listen) -> None:
    """With --json, -q, or a file for stderr there is no such line."""
    target = f"127.0.0.1:{port_of(listen())}"
    printed, shown = _on_a_terminal("identify", target, "--timeout", "1.5", "--json")
    assert json.loads(printed)["target"] == target
    assert CLEAR not in shown
    assert CLEAR not in run("identify", target, "--timeout", "1.5").stderr
