"""What reaches a terminal, a pipe, a file or nobody: colours, encodings, interruptions, and names that would do harm."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from portward import cli
from portward.cli import main
from portward.cli.terminal import COLOURS
from portward.render.text import Paint
from tests.command import run
from tests.engine import PretendedEngine, wait_for

NEXUS = Path(__file__).parent.parent / "examples/nexus"


@pytest.fixture
def nexus(tmp_path: Path) -> Path:
    """A copy of the worked example with a warning: a client that asks for a port that nothing publishes."""
    shutil.copytree(NEXUS, tmp_path / "nexus")
    (tmp_path / "nexus/client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    return tmp_path / "nexus"


def test_no_escape_codes_in_a_pipe(nexus: Path) -> None:
    """Colour is for terminals."""
    (nexus / "client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    assert "\x1b" not in run("-C", str(nexus), "check").stdout


def test_colour_on_a_terminal_turns_off(nexus: Path) -> None:
    """On a terminal the severity is coloured, and NO_COLOR turns that off."""
    import pty

    (nexus / "client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    for environment, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "portward", "-C", str(nexus), "check"],
            stdout=theirs,
            stdin=subprocess.DEVNULL,
            env={**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, **environment},
        )
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(ours, 4096):
                output += chunk
        except OSError:
            pass  # the terminal's other end is closed
        os.close(ours)
        process.wait(timeout=30)
        assert (b"\x1b[33mwarning:" in output) is coloured


def test_a_closed_pipe_is_no_error() -> None:
    """`portward catalog | head -1` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "portward", "catalog"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("words", [["check", "70000", "--json"], ["--help"], ["ls", "--json"]], ids=" ".join)
def test_a_pipe_that_is_closed_before_anything_is_said(words: list[str]) -> None:
    """The answer is then in the exit status alone."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "portward", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert done.returncode == (2 if "70000" in words else 0)
    assert "Traceback" not in done.stderr


def test_streams_that_are_closed() -> None:
    """`>&-` and `2>&-` are no bug: the exit status is left as the answer."""
    for redirection in (">&-", "2>&-", ">&- 2>&- <&-"):
        for words, status in (
            ("ls", 0),
            ("ls --json", 0),
            ("check 70000", 2),
            ("check 70000 --json", 2),
            ("--help", 0),
        ):
            command = f"{sys.executable} -m portward {words} {redirection}"
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
            assert (done.returncode, "Traceback" in done.stderr) == (status, False), command


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="as Linux answers")
def test_a_full_disk() -> None:
    """What cannot be written is exit 3 with the reason, and never a bug."""
    for words, status in ((["ls"], 3), (["catalog", "--json"], 3), (["check", "70000", "--json"], 2)):
        command = [sys.executable, "-m", "portward", *words]
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        if status == 3:
            assert done.stderr == "portward: the answer cannot be written: No space left on device\n"


def test_a_terminal_without_our_letters() -> None:
    """What the encoding of stdout lacks is shown as a question mark."""
    done = run("catalog", "webui", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Open WebUI" in done.stdout


def test_a_bug_is_logged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Anything unforeseen is exit 4, and names a log file without the environment's values."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TOP_SECRET", "hunter2")
    monkeypatch.setattr("portward.cli.look.ls", lambda _arguments: 1 // 0)
    assert main(["ls"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    (log,) = (tmp_path / "portward").iterdir()
    assert str(log) in said.err
    text = log.read_text("utf-8")
    assert "ZeroDivisionError" in text
    assert "hunter2" not in text
    assert log.stat().st_mode & 0o077 == 0


def test_control_c_while_an_engine_is_silent() -> None:
    """An interrupted question is exit 130, without a traceback and without half an answer."""
    # a shell that starts the suite in the background has it ignore Control-C, and all that it starts
    code = "import signal, runpy; signal.signal(2, signal.default_int_handler); runpy.run_module('portward.__main__', run_name='__main__')"
    with PretendedEngine(lambda _path: None) as engine:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "ls", "--json"],
            env={**os.environ, "DOCKER_HOST": engine.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: engine.requests)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


ENDING = """
import atexit, sys
atexit.register(print, "the end")
sys.argv = ["portward", *sys.argv[1:]]
from portward.__main__ import main
main()
"""


@pytest.mark.parametrize(("query", "status"), [("5432", 0), ("no such service", 1)])
def test_the_program_ends_in_good_order(query: str, status: int) -> None:
    """It leaves without taking the interpreter apart, but what was registered for the end is done, and all is written."""
    done = subprocess.run([sys.executable, "-c", ENDING, "catalog", query], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.endswith("the end\n")


def test_last_words_that_are_lost_are_no_success() -> None:
    """What is written after the answer, and cannot be, is told by the exit status that Python has for it."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", ENDING, "catalog", "5432", "--quiet"],
            stdout=full,
            env={"PATH": os.defpath, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.returncode == 120


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C is exit 130."""

    def interrupt(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("portward.cli.look.ls", interrupt)
    assert main(["ls"]) == 130


def test_hostile_paths_are_shown_safely(tmp_path: Path) -> None:
    """Control characters in the name of a folder, of a file, or in an argument never reach the terminal either."""
    place = tmp_path / "a\x1b]0;title\x07b"
    place.mkdir()
    (place / ".git").mkdir()
    (place / ".env.\x1b[31m").write_text("PORT=70000\n")
    for words in (["check"], ["services"], ["-v", "check"], ["check", "\x1b[2J"], ["ls", "\x1b[2J"], ["\x1b[2J"]):
        done = run(*words, cwd=place)
        assert done.stdout or done.stderr
        assert "\x1b" not in done.stdout + done.stderr, words
        assert "\x07" not in done.stdout + done.stderr, words


def test_only_our_own_colours_pass() -> None:
    """On a terminal too, nothing but the codes that we use is let through."""
    line = "\x1b[1;31merror:\x1b[0m a\x1b[2Jb \x1b[5mc\x07"
    assert cli.printable(line, COLOURS) == "\x1b[1;31merror:\x1b[0m a?[2Jb ?[5mc?"
    assert cli.printable(line) == "?[1;31merror:?[0m a?[2Jb ?[5mc?"
    for style in ("error", "warning", "note", "dim", "bold", "good"):
        painted = Paint(True)("x", style)
        assert cli.printable(painted, COLOURS) == painted


def test_hostile_names_are_shown_safely(tmp_path: Path) -> None:
    """Control characters in a process's command never reach the terminal."""
    code = "import socket,sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "\x1b[31mred\x07"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        for verb in ("ls", "who", "check"):
            output = run(verb, port).stdout
            assert port in output
            assert "\x1b" not in output
            assert "\x07" not in output
    finally:
        process.communicate()
