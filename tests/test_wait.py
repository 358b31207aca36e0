"""Waiting until targets are ready: what is ready, what is told meanwhile, and that nobody is kept longer than was asked."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from portward import Portward
from portward.catalog import fingerprints as prints
from portward.errors import UsageError
from tests import endpoints
from tests.command import run, run_json
from tests.conftest import port_of
from tests.endpoints import http, response, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from tests.conftest import Listen
    from tests.endpoints import Behaviour, Talk

LONG = 100.0


@pytest.fixture
def ward() -> Portward:
    """The verbs outside of any project, without an engine."""
    return Portward(None, environment={})


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """A server that treats its connections each in another way, the last ones all the same."""
    left = list(behaviours)

    def behave(talk: Talk) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(talk)

    return behave


def redis(word: bytes) -> Behaviour:
    """A server that says one word to each command."""

    def behave(talk: Talk) -> None:
        talk.until(b"\n")
        talk.say(word + b"\r\n")

    return behave


class Seen:
    """Keeps what is told of those that are missing."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __call__(self, missing: Mapping[str, str], _ready: Sequence[str]) -> None:
        self.told.extend(missing.values())


def test_what_listens_is_ready(ward: Portward, listen: Listen) -> None:
    """A connection is enough for a port, on either loopback."""
    ports = [str(port_of(listen(address))) for address in ("127.0.0.1", "::1", "0.0.0.0")]
    answer = ward.wait(*ports, *(f"localhost:{port}" for port in ports), seconds=LONG)
    assert answer.ready == (*ports, *(f"localhost:{port}" for port in ports))
    assert answer.waiting == ()


def test_what_begins_to_listen_becomes_ready(ward: Portward, listen: Listen, free_port: int) -> None:
    """It was refused before, and that was told."""
    told: list[str] = []

    def tell(missing: Mapping[str, str], _ready: Sequence[str]) -> None:
        if missing and not told:
            told.extend(missing.values())
            listen("127.0.0.1", free_port)

    assert ward.wait(str(free_port), seconds=LONG, tell=tell).ready == (str(free_port),)
    assert told == ["connection refused"]


def test_the_status_of_http(ward: Portward) -> None:
    """From 200 to 399, unless another one is wanted; the path is asked as it is written."""
    answers = [http({"/health?all=1": response(status)}) for status in (503, 200)]
    with serving(in_turn(*answers)) as server:
        url = f"http://127.0.0.1:{server.port}/health?all=1"
        answer = ward.wait(url, seconds=LONG)
    assert (answer.ready, answer.seen) == ((url,), {url: "HTTP 200"})
    assert set(server.paths) == {"/health?all=1"}
    with serving(in_turn(http({}, response(401)), http({}, response(302)))) as server:
        url = f"http://127.0.0.1:{server.port}"
        seen = Seen()
        assert ward.wait(url, seconds=LONG, tell=seen).seen == {url: "HTTP 302"}
    assert seen.told == ["HTTP 401"]
    with serving(http({}, response(401))) as server:
        url = f"http://127.0.0.1:{server.port}"
        assert ward.wait(url, seconds=LONG, status=401).ready == (url,)


def test_until_it_is_what_it_should_be(ward: Portward) -> None:
    """A Redis that still loads its data is not ready, nor is what answers as something else."""
    with serving(in_turn(redis(b"-BUSY wait"), redis(b"+PONG"))) as server:
        url = f"redis://:secret@127.0.0.1:{server.port}/0"
        answer = ward.wait(url, seconds=LONG)
    assert answer.ready == (f"redis://:***@127.0.0.1:{server.port}/0",)
    with serving(in_turn(http({}), redis(b"+PONG"))) as server:
        seen = Seen()
        assert ward.wait(str(server.port), seconds=LONG, service="redis", tell=seen).ready == (str(server.port),)
    assert "answers, but not as Redis" in seen.told


def test_nobody_is_kept_longer(free_port: int) -> None:
    """When the time is over, who is missing is told with what was seen of it, and the status is 1."""
    document, status = run_json("wait", str(free_port), "--timeout", "1.5")
    assert (status, document["ready"], document["waiting"]) == (1, [], [str(free_port)])
    text = run("wait", str(free_port), "--timeout", "1.5")
    assert text.returncode == 1
    assert f"{free_port} is not ready after 1.5 s: " in text.stdout
    assert "hint:" in text.stdout


@pytest.mark.parametrize(
    "behaviour", [endpoints.silent, endpoints.flooding, endpoints.dribbling], ids=lambda each: each.__name__
)
def test_a_bad_server_keeps_nobody(behaviour: Behaviour, ward: Portward, listen: Listen) -> None:
    """One that never answers as it should costs the time that was given, and hides no other."""
    good = str(port_of(listen("127.0.0.1")))
    with serving(behaviour) as server:
        url = f"http://127.0.0.1:{server.port}/"
        answer = ward.wait(url, good, seconds=4)
    assert (answer.ready, answer.waiting) == ((good,), (url,))


def test_it_looks_seldom(ward: Portward) -> None:
    """At growing intervals: in a second no more than a dozen times."""
    with serving(http({}, response(503))) as server:
        ward.wait(f"http://127.0.0.1:{server.port}", seconds=1)
    assert len(server.sent) <= 12


def test_no_time_is_one_look(ward: Portward) -> None:
    """With 0 seconds each target is looked at once."""
    with serving(http({}, response(503))) as server:
        ward.wait(f"http://127.0.0.1:{server.port}", seconds=0)
    assert len(server.sent) <= 1


def test_a_service_of_the_project(tmp_path: Path) -> None:
    """A service is ready when it answers as its image says, on the port that it publishes; a mere listener is not it."""
    with serving(redis(b"+PONG")) as server, serving(endpoints.closing) as other:
        services = "".join(
            f"  {name}: {{image: 'redis:7', ports: ['127.0.0.1:{port}:6379']}}\n"
            for name, port in (("cache", server.port), ("other", other.port))
        )
        (tmp_path / "compose.yaml").write_text(f"services:\n{services}")
        document, status = run_json("-C", str(tmp_path), "wait", "cache", "other", "--timeout", "8")
    assert (status, document["ready"], document["waiting"]) == (1, ["cache"], ["other"])


def test_a_debuggers_port_is_not_touched(ward: Portward, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether somebody listens is read from the kernel: no connection is made."""
    debugged = listen("127.0.0.1")
    debugged.setblocking(False)
    port = port_of(debugged)
    monkeypatch.setattr(prints, "debugger_of_port", lambda asked: "debugpy" if asked == port else None)
    assert ward.wait(str(port), seconds=LONG).seen == {str(port): "listens"}
    with pytest.raises(BlockingIOError):
        debugged.accept()


def test_a_name_that_nobody_has(ward: Portward) -> None:
    """A host that cannot be found yet is waited for like any other."""
    answer = ward.wait("no-such-host.invalid:80", seconds=0.2)
    assert answer.waiting == ("no-such-host.invalid:80",)


@pytest.mark.parametrize("words", [["nobody"], ["1", "--timeout", "-1"], ["1", "--timeout", "x"], ["1", "--as", "rediss-server"], ["1", "--status", "200"], ["foo://host"], ["http://"], ["5000-5001"], ["53/udp"], ["host:"], [""], ["a b"]], ids=" ".join)  # fmt: skip
def test_what_cannot_be_waited_for(words: list[str], tmp_path: Path) -> None:
    """Bad usage is told before anything is waited for."""
    done = run("wait", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_time_has_an_end(ward: Portward) -> None:
    """For ever is not a time."""
    with pytest.raises(UsageError):
        ward.wait("1", seconds=float("inf"))


def _on_a_terminal(words: list[str], act: Callable[[subprocess.Popen[bytes]], None]) -> tuple[int, str]:
    """Runs `portward` with a terminal for its stderr; acts when the first progress is shown."""
    ours, theirs = pty.openpty()
    code = (  # where tests run in the background, SIGINT is ignored from the start
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from portward.cli import main; sys.exit(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while b"s left" not in shown:
            shown += os.read(ours, 4096)
        act(process)
        process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)
    return process.returncode, shown.decode()


def test_progress_on_a_terminal(free_port: int) -> None:
    """Who is missing, why, and how long it may still take, in one line; it ends when the target is ready."""
    with socket.socket() as late:
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        late.bind(("127.0.0.1", free_port))
        status, shown = _on_a_terminal(["wait", str(free_port), "--timeout", "90"], lambda _process: late.listen())
    assert status == 0
    assert f"waiting for {free_port} (connection refused), " in shown


def test_an_interrupt_ends_it(free_port: int) -> None:
    """Ctrl-C is 130, at once."""
    status, _ = _on_a_terminal(
        ["wait", str(free_port), "--timeout", "90"], lambda process: process.send_signal(signal.SIGINT)
    )
    assert status == 130


def test_no_progress_where_nobody_looks(free_port: int) -> None:
    """Without a terminal nothing goes to stderr, and with --json one document to stdout."""
    done = run("wait", str(free_port), "--timeout", "0", "--json")
    assert done.stderr == ""
    assert json.loads(done.stdout).keys() == {"ready", "waiting", "seen"}
