"""What a command writes to stderr comes out as it was written, and its last words are read if it dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from portward.processes.hearing import KEPT
from tests.engine import clean_environment
from tests.test_run import PYTHON, SECONDS, alive, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Listen, Run

FLOOD = "import os, random, sys; sys.stderr.buffer.write(random.Random(7).randbytes(5 << 20)); sys.exit(3)"
SAME = "import os, sys; print(*(f'{s.st_dev}:{s.st_ino}' for s in map(os.fstat, (1, 2))))"


def _ours(*options: str) -> list[str]:
    return [PYTHON, "-m", "tests.run_command", "--port", "1", "--no-hold", *options, "--"]


def test_a_flood_comes_out_byte_for_byte(tmp_path: Path) -> None:
    """Five megabytes of any bytes, and the last 64 KiB of them are the last words."""
    from random import Random

    heard = tmp_path / "heard"
    done = subprocess.run([*_ours("--heard", str(heard)), PYTHON, "-c", FLOOD], capture_output=True, timeout=SECONDS)
    written = Random(7).randbytes(5 << 20)
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr == written
    assert heard.read_bytes() == written[-KEPT:].decode("utf-8", "replace").encode()


def test_two_streams_into_one_stay_in_order(tmp_path: Path) -> None:
    """`2>&1`, into a pipe and into a file: each line stands where it was written."""
    code = "import os\nfor n in range(3000): os.write(1 + n % 2, b'%d\\n' % n)"
    expected = "".join(f"{number}\n" for number in range(3000)).encode()
    piped = subprocess.run(
        [*_ours(), PYTHON, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS
    )
    assert piped.stdout == expected
    with (tmp_path / "log").open("wb") as log:
        subprocess.run([*_ours(), PYTHON, "-c", code], stdout=log, stderr=subprocess.STDOUT, timeout=SECONDS)
    assert (tmp_path / "log").read_bytes() == expected


def test_stdout_is_the_childs_alone() -> None:
    """It is the very pipe that we were given, and stderr another; with --no-explain both are."""
    for options, same in (((), False), (("--no-explain",), True)):
        command = [*_ours(*options), PYTHON, "-c", SAME]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            ours = [f"{s.st_dev}:{s.st_ino}" for s in map(os.fstat, (process.stdout.fileno(), process.stderr.fileno()))]
            childs = process.communicate(timeout=SECONDS)[0].split()
        assert childs[0] == ours[0]
        assert (childs[1] == ours[1]) is same


def test_nobody_listens_where_nobody_would_read() -> None:
    """/dev/null stays what it is; so does a stream of the journal, which knows who writes there by it."""
    done = subprocess.run(
        [*_ours(), PYTHON, "-c", SAME], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=SECONDS
    )
    null = os.stat(os.devnull)
    assert done.stdout.split()[1] == f"{null.st_dev}:{null.st_ino}"
    reading, writing = os.pipe()
    stream = os.fstat(writing)
    journal = f"{stream.st_dev}:{stream.st_ino}"
    done = subprocess.run(
        [*_ours(), PYTHON, "-c", SAME],
        stdout=subprocess.PIPE,
        stderr=writing,
        text=True,
        timeout=SECONDS,
        env={**os.environ, "JOURNAL_STREAM": journal},
    )
    os.close(reading)
    os.close(writing)
    assert done.stdout.split()[1] == journal


def test_a_daemon_keeps_its_stderr(run: Run, tmp_path: Path) -> None:
    """The run ends with its command although a daemon has its stderr open; what that writes later still comes out."""
    ready, go = tmp_path / "ready", tmp_path / "go"
    daemon = f": > {ready}; while ! test -e {go}; do sleep 0.02; done; echo late >&2"
    script = (
        'setsid sh -c "$1" </dev/null >/dev/null & while ! test -e "$2"; do sleep 0.02; done; echo early >&2; exit 6'
    )
    running = run("sh", "-c", script, "sh", daemon, str(ready))
    assert running.process.wait(SECONDS) == 6
    go.touch()
    assert running.end() == (6, "", "early\nlate\n")


def test_a_reader_that_goes_away(run: Run) -> None:
    """Whoever writes into a stderr that nobody reads any more is told by SIGPIPE, as without us."""
    running = run("sh", "-c", "while :; do echo again >&2 || exit 1; done")
    assert running.process.stderr is not None
    running.process.stderr.readline()
    running.process.stderr.close()
    assert running.process.wait(SECONDS) == 128 + signal.SIGPIPE


def test_a_run_that_is_killed_loses_nothing(run: Run) -> None:
    """What the command writes when it is asked to end, since its run was killed, still comes out."""
    running = run("sh", "-c", "trap 'echo last >&2; exit' TERM; echo $$; while :; do sleep 0.05; done")
    child = int(running.line())
    running.process.kill()
    until(lambda: not alive(child), "the child ends")
    assert running.end()[2] == "last\n"


def test_a_slow_reader_delays_and_loses_nothing(run: Run) -> None:
    """A command that writes more than anybody reads waits, and its run with it."""
    running = run(PYTHON, "-c", "import sys; print('begun', flush=True); sys.stderr.write('x' * 500_000 + '\\n')")
    assert running.line() == "begun"
    assert running.process.poll() is None
    assert running.end() == (0, "", "x" * 500_000 + "\n")


@pytest.mark.parametrize("words", ["SyntaxError: invalid syntax", "connect ECONNREFUSED 127.0.0.1:5432"])
def test_another_failure_is_not_blamed_on_the_hold(run: Run, words: str) -> None:
    """A program that says what failed, and that it was no port in use, is neither started again nor told about the hold."""
    running = run("sh", "-c", f"echo ran; echo '{words}' >&2; exit 1", options=["--retry", "1"])
    assert running.end() == (1, "ran\n", f"{words}\n")


def test_the_hold_is_blamed_where_the_command_says_so(run: Run, free_port: int, tmp_path: Path) -> None:
    """It is started again without the hold, on the same port."""
    words = f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{free_port}"
    script = f'test -e "$1" && exit 0; : > "$1"; echo \'{words}\' >&2; exit 1'
    running = run("sh", "-c", script, "sh", str(tmp_path / "second"), options=["--retry", "1"])
    assert running.end() == (0, "", f"{words}\n")


class Verb:
    """`portward run web` in a project of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / ".git").mkdir()
        self._folder = folder
        self._environment = clean_environment(
            XDG_STATE_HOME=str(folder / "state"),
            DOCKER_HOST=f"unix://{folder}/none.sock",
            PYTHONPATH=os.pathsep.join(sys.path),
        )

    def __call__(self, code: str, *options: str) -> subprocess.CompletedProcess[str]:
        program = self._folder / "server.py"  # whose lines a traceback shows
        program.write_text(code)
        words = [PYTHON, "-m", "portward", "-C", str(self._folder), "run", "web", *options, "--", PYTHON, str(program)]
        return subprocess.run(words, env=self._environment, capture_output=True, text=True, timeout=SECONDS)


@pytest.fixture
def verb(tmp_path: Path) -> Verb:
    """See `Verb`."""
    return Verb(tmp_path)


def _binding(port: int) -> str:
    return f"import socket\nprint('on stdout')\nsocket.socket().bind(('127.0.0.1', {port}))"


def test_a_child_that_dies_of_a_port_is_explained(verb: Verb, free_port: int, listen: Listen) -> None:
    """After its own words: the cause, who holds the port now, and the safest remedy; status and stdout stay its own."""
    listen("127.0.0.1", free_port)
    done = verb(_binding(free_port))
    assert (done.returncode, done.stdout) == (1, "on stdout\n")
    own, _, ours = done.stderr.partition("portward: why it ended: ")
    assert own.endswith("OSError: [Errno 98] Address already in use\n")
    first, second, *_ = ours.splitlines()
    assert first == f"127.0.0.1:{free_port} is taken: a process of this machine holds it now"
    assert f"(pid {os.getpid()}" in second
    assert "portward:   safest: publish " in ours  # the project's own script says the port


def test_a_refused_connection_is_explained(verb: Verb, free_port: int) -> None:
    """A command that dies since nothing answers is told of the port that it asked."""
    done = verb(f"import urllib.request\nurllib.request.urlopen('http://127.0.0.1:{free_port}/')")
    assert f"nothing listens on {free_port}/tcp" in done.stderr


@pytest.mark.parametrize("options", [("--no-explain",), ("-q",)])
def test_no_explanation_where_none_is_wanted(
    verb: Verb, free_port: int, listen: Listen, options: tuple[str, ...]
) -> None:
    """Its own words are all."""
    listen("127.0.0.1", free_port)
    done = verb(_binding(free_port), *options)
    assert done.returncode == 1
    assert "why it ended" not in done.stderr
    assert "Address already in use\n" in done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.exit('fatal: no such table: ports')",
        "import sys; print('Error: listen EADDRINUSE :::3000', file=sys.stderr)",
        "import sys; print('listen EADDRINUSE :::3000\\n' + 'well\\n' * 300, file=sys.stderr); sys.exit(1)",
    ],
)
def test_no_explanation_of_other_ends(verb: Verb, code: str) -> None:
    """Of another reason, of a good end, and of what stands long before the end."""
    assert "why it ended" not in verb(code).stderr


def test_its_own_port_is_told_once(verb: Verb) -> None:
    """A command that the hold refuses is told of that, and not of a port that nobody has."""
    done = verb(
        "import os, sys; sys.exit(f'Error: listen EADDRINUSE: address already in use :::{os.environ[\"PORT\"]}')"
    )
    assert done.returncode == 1
    assert "the command binds without SO_REUSEADDR" in done.stderr
    assert "why it ended" not in done.stderr
