"""The port of a command that is run: held for it, opened to it, handed over to it, watched, and changed if it is lost."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest

from portward.sockets.hold import Hold
from tests.conftest import port_of, run_code
from tests.engine import IMAGE, NO_PROXY, REAL, Docker
from tests.test_run import listens, rival, serving, until

if TYPE_CHECKING:
    from tests.conftest import Listen, Run

PYTHON = sys.executable
REUSE = (socket.SO_REUSEADDR,)

# takes the socket of descriptor 3, answers one client with what it was told of it, and ends
TAKING = """
import os, socket
made = socket.socket(fileno=3)
told = " ".join(str(os.environ.get(name)) for name in ("LISTEN_FDS", "PORT"))
print("ready", made.getsockname()[1], os.environ.get("LISTEN_PID") == str(os.getpid()), flush=True)
client, _ = made.accept()
client.sendall(told.encode())
"""


def test_the_hold_opens_for_the_child_and_shuts_after_it(free_port: int) -> None:
    """Before it starts nobody can have the port, while it lives a server can, and after its end nobody can."""
    code = """
from portward.processes import Launch, run
from portward.sockets.hold import Hold
port, seen = int(sys.argv[1]), []
def rival():
    made = socket.socket(); made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try: made.bind(("127.0.0.1", port)); made.listen()
    except OSError as error: return error.strerror
    finally: made.close()
    return "listens"
hold = Hold.take(port)
seen.append(rival())
def listeners():
    seen.append(rival())
    return ()
status = run(Launch(("sleep", "0.3"), os.environ, port, hold), listeners=listeners, tell=print)
seen.append(rival())
ready(seen=seen, status=status)
"""
    facts = run_code(code, free_port)
    before, *during, _examined, after = facts["seen"]
    assert facts["status"] == 0
    assert {before, after} == {"Address already in use"}
    assert set(during) == {"listens"}


def test_a_server_gets_its_held_port(run: Run, free_port: int) -> None:
    """A program of an unknown kind finds its port in PORT, binds it while it is held, and nothing is said about it."""
    running = run("sh", "-c", 'exec "$@" $PORT', "sh", *serving(seconds=0.5))
    assert running.line() == f"serving {free_port} {free_port}"
    assert listens(free_port)
    assert running.end() == (0, "", "")


def test_a_socket_is_handed_over(run: Run, free_port: int) -> None:
    """It listens before the command runs, is announced as systemd does it, refuses everybody else, and ends with the command."""
    running = run(PYTHON, "-c", TAKING, options=["--fd"])
    assert running.line() == f"ready {free_port} True"
    assert rival(free_port, "127.0.0.1") == rival(free_port, "::1") == "Address already in use"
    with socket.create_connection(("127.0.0.1", free_port), timeout=10) as client:
        assert client.recv(100).decode() == f"1 {free_port}"
    assert running.end()[0] == 0
    assert not listens(free_port)


def test_clients_may_queue_before_the_server_is_ready(run: Run, free_port: int) -> None:
    """A client that comes while the server still starts is not refused but served late."""
    running = run(
        PYTHON, "-c", f"import sys; print('started', flush=True); sys.stdin.readline()\n{TAKING}", options=["--fd"]
    )
    running.line()
    with socket.create_connection(("127.0.0.1", free_port), timeout=10) as client:
        assert running.process.stdin is not None
        running.process.stdin.write("go\n")
        running.process.stdin.flush()
        assert client.recv(100).decode() == f"1 {free_port}"


def test_a_server_that_takes_no_socket(run: Run) -> None:
    """`--fd` with a server that is known to take none is an error with the way out, and nothing is started."""
    status, output, errors = run("vite", options=["--fd"]).end()
    assert (status, output) == (2, "")
    assert "Vite does not take a socket" in errors
    assert "leave out --fd" in errors


def test_a_program_that_moves_by_itself(run: Run, free_port: int) -> None:
    """It listens, but elsewhere: that is said, and it goes on."""
    running = run(*serving(seconds=60), "0")
    elsewhere = running.line().split()[1]
    assert running.process.stderr is not None
    assert f"it listens on {elsewhere}, not on {free_port}" in running.process.stderr.readline()
    assert running.process.poll() is None


def test_somebody_else_on_the_other_family(run: Run, free_port: int, listen: Listen) -> None:
    """Ours has 127.0.0.1, a stranger has ::1: "localhost" may mean either, and that is said."""
    listen("::1", free_port, v6only=True)
    running = run("sh", "-c", 'exec "$@" $PORT', "sh", *serving(seconds=60), options=["--no-hold"])
    running.line()
    assert running.process.stderr is not None
    said = running.process.stderr.readline()
    assert "127.0.0.1" in said
    assert "::1" in said
    assert '"localhost" may mean either' in said


def test_a_program_that_moved_because_its_port_was_taken(run: Run, free_port: int, listen: Listen) -> None:
    """Somebody else answers on the port, and the program went elsewhere: it is ended, and the status is not 0."""
    listen("127.0.0.1", free_port)
    running = run("sh", "-c", 'trap "exit 0" TERM; "$@" 0 & wait', "sh", *serving(seconds=60), options=["--no-hold"])
    running.line()
    status, _, errors = running.end()
    assert status == 1
    assert f"listens on {free_port}, and this command does not" in errors
    assert "ending it" in errors
    assert "has taken" in errors


def test_a_lost_port_is_told(run: Run, free_port: int, listen: Listen) -> None:
    """Without a retry the status is the command's, and who has the port is named."""
    listen("127.0.0.1", free_port)
    status, _, errors = run("sh", "-c", 'exec "$@" $PORT', "sh", *serving(), options=["--no-hold"]).end()
    assert status == 1
    assert f"has taken {free_port} (hint: `--retry 3`" in errors
    assert "pytest" in errors or "python" in errors


def test_a_lost_port_is_retried_on_another(run: Run, free_port: int, listen: Listen) -> None:
    """A child that dies because its port is taken is started again on another, with that one in its environment."""
    listen("127.0.0.1", free_port)
    second = port_of(listen("127.0.0.1"))
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        third = port_of(unused)
    options = ["--no-hold", "--retry", "2", "--next", str(second), str(third)]
    running = run("sh", "-c", 'exec "$@" $PORT', "sh", *serving(seconds=0.3), options=options)
    assert running.line() == f"serving {third} {third}"
    status, _, errors = running.end()
    assert status == 0
    assert f"{free_port} is lost, trying {second}" in errors
    assert f"{second} is lost, trying {third}" in errors


def test_retries_come_to_an_end(run: Run, free_port: int, listen: Listen) -> None:
    """After N retries the status is the last child's."""
    listen("127.0.0.1", free_port)
    second = port_of(listen("127.0.0.1"))
    options = ["--no-hold", "--retry", "1", "--next", str(second), str(second)]
    status, _, errors = run("sh", "-c", 'exec "$@" $PORT', "sh", *serving(), options=options).end()
    assert status == 1
    assert errors.count("is lost, trying") == 1


@pytest.mark.parametrize("script", ["exit 1", "kill -SEGV $$", "exit 0"])
def test_other_failures_are_not_retried(run: Run, script: str) -> None:
    """A command that fails for another reason is not started on another port; nor is one that ends well."""
    status, output, errors = run("sh", "-c", f"echo ran; {script}", options=["--no-hold", "--retry", "3"]).end()
    assert status == {"exit 1": 1, "exit 0": 0}.get(script, 139)
    assert output == "ran\n"
    assert "lost" not in errors


def test_a_child_that_is_told_to_end_is_not_retried(run: Run, free_port: int, listen: Listen) -> None:
    """Even where its port is taken: SIGTERM means the end."""
    listen("127.0.0.1", free_port)
    script = "trap 'exit 1' TERM; echo ready; while :; do sleep 0.05; done"
    running = run("sh", "-c", script, options=["--no-hold", "--retry", "1", "--next", str(free_port)])
    assert running.line() == "ready"
    running.process.terminate()
    status, output, errors = running.end()
    assert (status, output, errors) == (1, "", "")


def test_a_signal_between_two_starts(free_port: int, listen: Listen) -> None:
    """What comes while no child runs is not lost: nothing more is started."""
    listen("127.0.0.1", free_port)
    code = """
import signal
from portward.processes import Launch, run
from portward.sockets import open_reader
told = []
launch = Launch(("sh", "-c", "exit 1"), os.environ, int(sys.argv[1]))
def again(port):
    os.kill(os.getpid(), signal.SIGINT)
    return launch
read = open_reader().read
status = run(launch, listeners=lambda: read().listeners, tell=told.append, retries=3, again=again)
ready(status=status, told=told)
"""
    assert run_code(code, free_port) == {"status": 130, "told": []}


def test_where_nobody_can_see_who_listens(free_port: int) -> None:
    """A sandbox that hides the sockets does not end the command: that is said once, and it runs to its end."""
    code = """
from portward.errors import Unavailable
from portward.processes import Launch, run
told, asked = [], []
def listeners():
    asked.append(1)
    raise Unavailable("no sockets here")
status = run(Launch(("sleep", "0.5"), os.environ, int(sys.argv[1])), listeners=listeners, tell=told.append)
ready(status=status, told=told, asked=len(asked))
"""
    told = ["note: cannot see whether it gets its port: no sockets here"]
    assert run_code(code, free_port) == {"status": 0, "told": told, "asked": 1}


def test_a_program_that_the_hold_refuses(run: Run, free_port: int) -> None:
    """A server that binds without SO_REUSEADDR cannot pass an open hold: with a retry it is started without, on the same port."""
    running = run(
        "sh", "-c", 'exec "$@" $PORT 2>/dev/null', "sh", *serving(reuse=False, seconds=0.3), options=["--retry", "1"]
    )
    assert running.line() == f"serving {free_port} {free_port}"
    assert running.end() == (0, "", "")


def test_a_program_that_the_hold_refuses_is_explained(run: Run) -> None:
    """Without a retry, the way out is told."""
    status, _, errors = run("sh", "-c", 'exec "$@" $PORT 2>/dev/null', "sh", *serving(reuse=False)).end()
    assert status == 1
    assert "without SO_REUSEADDR" in errors
    assert "--retry 1" in errors


@pytest.mark.parametrize("command", [("sh", "-c", "exit 3"), ("ls", "/nonexistent"), ("false",)])
def test_what_is_no_server_is_not_spoken_to_about_its_port(run: Run, command: tuple[str, ...]) -> None:
    """A command that fails for a reason of its own is neither explained, nor started once more."""
    status, _, errors = run("sh", "-c", 'echo started >&2; "$@"', "sh", *command, options=["--retry", "1"]).end()
    assert status not in (0, None)
    assert errors.count("started") == 1
    assert "SO_REUSEADDR" not in errors


def test_a_restart_inside_the_command(run: Run, free_port: int) -> None:
    """A reloader ends its server and starts another one on the port: the hold lets the second in as the first."""
    script = 'for round in 1 2 3; do "$@" $PORT; done'
    running = run("sh", "-c", script, "sh", *serving(seconds=0.2))
    assert [running.line() for _round in range(3)] == [f"serving {free_port} {free_port}"] * 3
    assert running.end()[0] == 0
    until(lambda: rival(free_port, "::") == "listens", "the port is free at last")


@pytest.mark.parametrize("engine", [REAL, NO_PROXY])
def test_a_container_gets_a_held_port(engine: str, run: Run, free_port: int) -> None:
    """Docker publishes on an open hold, with and without its proxy; while the hold is shut, it is refused."""
    docker = Docker.of(engine)
    published = ["--publish", "127.0.0.1:{port}:80"]
    with Hold.take(free_port), pytest.raises(AssertionError, match="address already in use"):
        docker("run", "--rm", *(word.format(port=free_port) for word in published), IMAGE)
    name = f"portward-test-{free_port}"
    running = run("docker", "--host", docker.host, "run", "--rm", "--name", name, *published, IMAGE)
    until(lambda: listens(free_port), "the container is reached")
    docker("kill", name)
    assert running.end()[0] == 137
