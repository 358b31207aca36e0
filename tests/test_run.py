"""A command that is run has the terminal, the signals and the port to itself, and its end is our end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from portward.sockets.hold import SUPPORTED
from tests.conftest import unmet

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Run

PYTHON = sys.executable
SECONDS = 30

# says which signals it gets, until it is told to end by SIGUSR2
COUNTING = """
import signal, sys, time
def say(number, frame): print("got", signal.Signals(number).name, flush=True)
for name in "INT TERM HUP QUIT USR1 WINCH CONT".split(): signal.signal(getattr(signal, "SIG" + name), say)
signal.signal(signal.SIGUSR2, lambda number, frame: sys.exit(5))
print("ready", flush=True)
while True: time.sleep(1)
"""
SERVING = """
import os, socket, sys, time
made = socket.socket(); made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, {reuse})
made.bind((sys.argv[2] if len(sys.argv) > 2 else "127.0.0.1", int(sys.argv[1]))); made.listen()
print("serving", made.getsockname()[1], os.environ.get("PORT"), flush=True)
time.sleep({seconds})
"""


def serving(*, reuse: bool = True, seconds: float = 60) -> list[str]:
    """A server of an unknown kind; its port and address are to be added."""
    return [PYTHON, "-c", SERVING.format(reuse=int(reuse), seconds=seconds)]


def state(pid: int) -> str | None:
    """The state of a process as proc_pid_stat(5) gives it, None when it has gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def alive(pid: int) -> bool:
    """Whether a process runs: neither gone nor waiting to be reaped."""
    return state(pid) not in (None, "Z", "X")


def until(condition: Callable[[], bool], what: str) -> None:
    """Waits for something that no event tells."""
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def listens(port: int, address: str = "127.0.0.1") -> bool:
    """Whether a client gets through."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
        return client.connect_ex((address, port)) == 0


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("kill -INT $$", 130),
    ],
)
def test_the_status_is_the_childs(run: Run, script: str, status: int) -> None:
    """An exit status is passed through, and a signal is 128 + N."""
    assert run("sh", "-c", script).end()[0] == status


def test_streams_are_the_childs_alone(run: Run) -> None:
    """stdin reaches the child, its stdout and stderr come out unchanged, and nothing of ours is on stdout."""
    running = run("sh", "-c", "cat; echo problem >&2")
    output, errors = running.process.communicate("some\ntext\n", timeout=SECONDS)
    assert (output, errors) == ("some\ntext\n", "problem\n")


@pytest.mark.parametrize(("name", "status", "why"), [("no-such-program", 127, "no such program"), ("/", 126, "denied")])
def test_a_command_that_cannot_start(run: Run, name: str, status: int, why: str) -> None:
    """Status and sentence are those of a shell."""
    ended, output, errors = run(name).end()
    assert (ended, output) == (status, "")
    assert why in errors
    assert "Traceback" not in errors


def test_the_child_gets_a_clean_process(run: Run) -> None:
    """No descriptor of ours, no signal blocked or ignored, our process group, PORT in its environment."""
    code = """
import os, signal, json
print(json.dumps({
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1],
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "ignored": open("/proc/self/status").read().split("SigIgn:\\t")[1].split()[0],
    "group": os.getpgid(0), "port": os.environ["PORT"],
}))
"""
    running = run("env", "-u", "PYTHONPATH", PYTHON, "-I", "-c", code)
    status, output, errors = running.end()
    assert status == 0, errors
    facts = json.loads(output)
    assert facts["descriptors"] == [0, 1, 2]
    assert facts["blocked"] == []
    # Python itself ignores SIGPIPE (13) and SIGXFSZ (25), nothing else; from 32 on they are the C library's
    assert int(facts["ignored"], 16) & 0x7FFFFFFF == 1 << 12 | 1 << 24
    assert facts["group"] == running.pid


def test_sigpipe_is_as_programs_expect_it(run: Run) -> None:
    """SIGPIPE and SIGXFSZ, which Python makes itself ignore, are not ignored by the child."""
    shown = run("sh", "-c", "grep SigIgn /proc/self/status").line()
    assert int(shown.split()[1], 16) & (1 << 12 | 1 << 24) == 0


@pytest.mark.parametrize("name", ["INT", "TERM", "HUP", "QUIT", "USR1", "WINCH"])
def test_a_signal_to_us_alone_reaches_the_child_once(run: Run, name: str) -> None:
    """`kill PID` of the run is a `kill` of its child, exactly once, and the run goes on until the child ends."""
    running = run(PYTHON, "-u", "-c", COUNTING)
    assert running.line() == "ready"
    os.kill(running.pid, getattr(signal, f"SIG{name}"))
    assert running.line() == f"got SIG{name}"
    os.kill(running.pid, signal.SIGUSR2)
    assert running.end()[:2] == (5, "")


def test_elsewhere_than_on_linux(free_port: int) -> None:
    """Where the system cannot wait for signals with a time limit, has no /proc and no subreaper: signals, status and port are the same."""
    code = f"""
import signal, sys
del signal.sigtimedwait
from portward.processes import tree
tree.LINUX = False
from tests.run_command import main
sys.argv = ["run", "--no-hold", "--port", "{free_port}", "--", *sys.argv[1:]]
sys.exit(main())
"""
    words = [PYTHON, "-c", code, PYTHON, "-u", "-c", COUNTING]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.readline() == "got SIGTERM\n"
        process.send_signal(signal.SIGUSR2)
        assert process.communicate(timeout=SECONDS) == ("", "")
    assert process.returncode == 5


def test_ignored_signals_stay_ignored(run: Run) -> None:
    """Under nohup, a hang-up ends neither the run nor its child."""
    running = run(
        "sh", "-c", "echo ready; sleep 0.3; echo done", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    assert running.line() == "ready"
    os.killpg(running.pid, signal.SIGHUP)
    assert running.end()[:2] == (0, "done\n")


def test_a_stopped_child_without_a_terminal(run: Run) -> None:
    """Where there is no shell to continue us, we do not stop with the child: it may be continued by itself."""
    running = run("sh", "-c", "echo $$; kill -STOP $$; echo continued")
    child = int(running.line())
    until(lambda: state(child) == "T", "the child stops")
    os.kill(child, signal.SIGCONT)
    assert running.end()[:2] == (0, "continued\n")


def test_a_killed_run_takes_its_child_along(run: Run) -> None:
    """SIGKILL of the run alone, which it cannot pass on, is a SIGTERM for the child: no server is left behind."""
    if not SUPPORTED:
        unmet("only Linux tells a child that its parent has ended")
    running = run("sh", "-c", "trap 'echo told; exit' TERM; echo $$; while :; do sleep 0.05; done")
    child = int(running.line())
    os.kill(running.pid, signal.SIGKILL)
    assert running.line() == "told"
    until(lambda: not alive(child), "the child ends")


def test_what_the_command_leaves_behind_is_waited_for(run: Run, free_port: int) -> None:
    """The command ends at once, its server does not: the run goes on, the hold stays open for a restart, and the status is the command's."""
    running = run("sh", "-c", '"$@" & echo $!; exit 6', "sh", *serving(), str(free_port))
    child, said = int(running.line()), running.line()
    assert said.startswith(f"serving {free_port}")
    assert running.process.poll() is None
    assert rival(free_port, "::1") == "listens"  # open, still
    assert running.process.stderr is not None
    assert f"pid {child}" in running.process.stderr.readline()
    os.kill(child, signal.SIGKILL)
    assert running.end()[0] == 6


def test_a_signal_ends_what_is_left_behind(run: Run, free_port: int) -> None:
    """SIGTERM of the run ends the command, and then the servers that it leaves: nothing stays."""
    running = run("sh", "-c", '"$@" & echo $!; wait', "sh", *serving(), str(free_port))
    child, _said = int(running.line()), running.line()
    os.kill(running.pid, signal.SIGTERM)
    assert running.end()[0] == 143
    assert not alive(child)


def test_daemons_are_not_waited_for(run: Run, free_port: int) -> None:
    """A server that made a session of its own goes on when its starter has ended, and has its port."""
    running = run(
        "sh",
        "-c",
        'setsid "$@" </dev/null 2>/dev/null & read line <&0; echo',
        "sh",
        *serving(seconds=5),
        str(free_port),
    )
    assert running.line().startswith("serving")
    assert running.process.stdin is not None
    running.process.stdin.write("go\n")
    running.process.stdin.flush()
    assert running.process.wait(SECONDS) == 0
    assert listens(free_port)


def rival(port: int, address: str) -> str:
    """What a program gets that asks for this very port with SO_REUSEADDR."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            made.bind((address, port))
            made.listen()
        except OSError as error:
            return str(error.strerror)
        return "listens"
