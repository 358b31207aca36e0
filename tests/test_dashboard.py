"""`portward serve`: who may ask, what the verbs answer over HTTP, and what the stream tells."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from portward.model import Endpoint, Listener, Reading, State
from portward.serve.calls import CALLS
from portward.serve.feed import Feed
from portward.serve.guard import HEADERS
from portward.sockets import open_reader
from portward.verbs.watching import Lookout
from tests.conftest import unmet
from tests.dashboard import Dashboard, dashboard
from tests.nexus import NEXUS, VARIABLES
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Listen, Spawn


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The worked example on ports of its own."""
    folder = tmp_path / "nexus"
    shutil.copytree(NEXUS, folder)
    first = free_ports(len(VARIABLES))
    (folder / ".env").write_text("".join(f"{name}={first + step}\n" for step, name in enumerate(VARIABLES)))
    (folder / ".git").mkdir()
    return folder


@pytest.fixture
def served(project: Path) -> Iterator[Dashboard]:
    """The dashboard of `project`."""
    with dashboard(project) as started:
        yield started


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """One dashboard outside of any project, for those who are refused."""
    with dashboard(tmp_path_factory.mktemp("nowhere")) as started:
        yield started


def _declared(folder: Path) -> dict[str, int]:
    lines = (line for line in (folder / ".env").read_text().splitlines() if not line.startswith("#"))
    return {name: int(port) for name, port in (line.split("=") for line in lines)}


def test_the_url_gives_the_page(served: Dashboard) -> None:
    """One line, token included; the page allows no code but its own, from no other place."""
    status, headers, body = served.request("GET", served.url.removeprefix(f"http://{served.host}"))
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert {name: headers.get(name) for name in HEADERS} == HEADERS
    assert b"http://" not in body
    assert b"https://" not in body
    assert b"<script>" not in body


def test_each_start_has_the_same_port_and_another_token(project: Path) -> None:
    """A bookmark of the port stays good, an old token does not."""
    urls = []
    for _ in range(2):
        with dashboard(project) as started:
            urls.append((started.host, started.token))
    assert urls[0][0] == urls[1][0]
    assert urls[0][1] != urls[1][1]


def test_it_listens_on_loopback_alone(served: Dashboard) -> None:
    """Nobody else on the network reaches it unless that is asked for."""
    rows = [row for row in served.ask("ls")["listeners"] if row["port"] == served.port]
    assert [row["address"] for row in rows] == ["127.0.0.1"]


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/ls"])
def test_a_forged_host_is_refused_before_the_token_is_looked_at(guarded: Dashboard, path: str) -> None:
    """A name that an attacker lets point to 127.0.0.1 gets nothing, even with the token (DNS rebinding)."""
    for host in ("evil.example", f"evil.example:{guarded.port}", f"127.0.0.1:{guarded.port + 1}", "127.0.0.1", ""):
        for query in ("", f"?token={guarded.token}"):
            status, _, body = guarded.request("GET", path + query, {"Host": host})
            assert (status, json.loads(body)["error"]["code"]) == (403, "forged-host")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_the_names_of_loopback_are_its_own(guarded: Dashboard, name: str) -> None:
    """Whichever of them the user types."""
    assert guarded.request("GET", f"/?token={guarded.token}", {"Host": f"{name}:{guarded.port}"})[0] == 200


@pytest.mark.parametrize("token", [None, "", "wrong", "\xff"])
@pytest.mark.parametrize("path", ["/", "/api/ls", "/api/events", "/api/about", "/nothing"])
def test_without_the_token_nothing_is_answered(guarded: Dashboard, path: str, token: str | None) -> None:
    """Neither in the query nor as a header is anything but the token taken."""
    query = "" if token is None else f"?token={'%FF' if token == chr(255) else token}"
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    status, _, body = guarded.request("GET", path + query, headers)
    assert (status, json.loads(body)["error"]["code"]) == (401, "no-token")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:{port}"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_another_page_is_refused(guarded: Dashboard, headers: dict[str, str]) -> None:
    """Whatever a browser says of who asks, even where the token was found out."""
    sent = {name: value.format(port=guarded.port) for name, value in headers.items()}
    body = json.dumps({"service": "web"}).encode()
    status, _, answer = guarded.request("POST", "/api/lease", {**guarded.known, **sent}, body)
    assert (status, json.loads(answer)["error"]["code"]) == (403, "foreign-origin")
    assert guarded.ask("leases")["leases"] == []


@pytest.mark.parametrize("verb", sorted(CALLS))
def test_a_get_changes_nothing(guarded: Dashboard, verb: str) -> None:
    """What changes something is asked by POST alone, with JSON, which a form of another page cannot send; and the rest by GET alone."""
    wrong = "GET" if CALLS[verb].changes else "POST"
    assert guarded.request(wrong, f"/api/{verb}", guarded.known, b"{}")[0] == 405
    if CALLS[verb].changes:
        status, _, body = guarded.request(
            "POST", f"/api/{verb}", {**guarded.known, "Content-Type": "text/plain"}, b"{}"
        )
        assert (status, json.loads(body)["error"]["hint"]) == (400, "content-type: application/json")


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"service": {"a": 1}}', b'{"service": [1.5]}'])
def test_bad_input_is_told(guarded: Dashboard, body: bytes) -> None:
    """As on the command line: an error with its code, and nothing is done."""
    status, _, answer = guarded.request("POST", "/api/lease", guarded.known, body)
    assert (status, json.loads(answer)["error"]["code"]) == (400, "usage")


@pytest.mark.parametrize(
    ("verb", "values", "words"),
    [
        ("ls", {}, ["ls"]),
        ("ls", {"udp": 1, "query": "python"}, ["ls", "--udp", "python"]),
        ("who", {"port": "5000"}, ["who", "5000"]),
        ("check", {}, ["check"]),
        ("check", {"port": ["5000", "53/udp"]}, ["check", "5000", "53/udp"]),
        ("services", {}, ["services"]),
        ("catalog", {"query": "redis"}, ["catalog", "redis"]),
        ("who", {"port": "70000"}, ["who", "70000"]),
    ],
)
def test_a_verb_answers_as_on_the_command_line(
    served: Dashboard, project: Path, verb: str, values: dict[str, Any], words: list[str]
) -> None:
    """The same document, errors included: nothing is told in another way here."""
    command = [sys.executable, "-m", "portward", *words, "--json"]
    state = {"XDG_STATE_HOME": str(project.parent / "state"), "DOCKER_HOST": ""}
    done = subprocess.run(command, cwd=project, env={**os.environ, **state}, capture_output=True, text=True, timeout=60)
    answered, printed = served.ask(verb, **values), json.loads(done.stdout)
    if "listeners" in printed:  # of a machine on which much comes and goes
        assert answered.keys() == printed.keys()
    else:
        assert answered == printed


def test_a_change_is_shown_and_then_made(served: Dashboard, project: Path, spare_port: int) -> None:
    """First the diff and the id of the preview; by that, it is written, once; `undo` goes the same way."""
    before = (project / ".env").read_bytes()
    shown = served.change("set", wish=f"backend={spare_port}")
    assert (shown["written"], (project / ".env").read_bytes()) == (False, before)
    assert f"+PORT={spare_port}" in shown["diff"]
    written = served.change("set", preview_id=shown["preview_id"])
    assert written["written"] is True
    assert _declared(project)["PORT"] == spare_port
    assert served.change("set", preview_id=shown["preview_id"])["error"]["code"] == "usage"
    undone = served.change("undo")
    assert served.change("set", preview_id=undone["preview_id"])["error"]["code"] == "usage"
    assert served.change("undo", preview_id=undone["preview_id"])["written"] is True
    assert (project / ".env").read_bytes() == before


def test_what_is_no_longer_what_was_shown_is_not_made(served: Dashboard, project: Path, spare_port: int) -> None:
    """A file that changed in between; to take back another write than the one that was looked at."""
    first = served.change("set", wish=f"backend={spare_port + 1}")
    assert served.change("set", preview_id=first["preview_id"])["written"] is True
    undone = served.change("undo")
    shown = served.change("set", wish=f"backend={spare_port}")
    (project / ".env").write_text((project / ".env").read_text() + "# more\n")
    before = (project / ".env").read_bytes()
    refused = served.change("set", preview_id=shown["preview_id"])
    assert refused["error"]["code"] == "file-changed"
    assert (project / ".env").read_bytes() == before
    again = served.change("set", wish=f"backend={spare_port}")
    assert served.change("set", preview_id=again["preview_id"])["written"] is True
    assert served.change("undo", preview_id=undone["preview_id"])["error"]["code"] == "file-changed"
    assert _declared(project)["PORT"] == spare_port


HOLD = "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nready()\n"


def test_a_holder_is_shown_and_then_stopped(served: Dashboard, spare_port: int, spawn: Spawn) -> None:
    """Only who was shown: by pid and start."""
    child = spawn(HOLD, spare_port)
    shown = served.change("kill", port=str(spare_port))
    assert [stop["pid"] for stop in shown["planned"]] == [child.pid]
    assert child.process.poll() is None
    child.process.kill()
    child.process.wait(timeout=60)
    second = spawn(HOLD, spare_port)
    refused = served.change("kill", preview_id=shown["preview_id"])
    assert refused["error"]["message"] == "what holds the ports is no longer what was shown"
    assert second.process.poll() is None
    shown = served.change("kill", port=str(spare_port))
    stopped = served.change("kill", preview_id=shown["preview_id"])
    assert [stop["pid"] for stop in stopped["stopped"]] == [second.pid]
    assert second.process.wait(timeout=60) == -signal.SIGTERM


def test_it_does_not_stop_itself(served: Dashboard) -> None:
    """The refusals are those of `portward kill`."""
    shown = served.change("kill", port=str(served.port))
    assert (shown["planned"], [each["port"] for each in shown["refused"]]) == ([], [served.port])


def test_ports_are_leased_and_given_back(served: Dashboard, project: Path) -> None:
    """The same leases as on the command line."""
    port = served.change("lease", service="backend")["leases"][0]["port"]
    assert port == _declared(project)["PORT"]
    assert [lease["port"] for lease in served.ask("leases")["leases"]] == [port]
    assert [lease["port"] for lease in served.change("release", service="backend")["leases"]] == [port]


def test_an_offer_is_of_the_range_that_suits(served: Dashboard) -> None:
    """For a service that is to move."""
    assert served.ask("offer", service="backend")["ports"][0] in range(11000, 12000)
    assert served.ask("offer", service="nobody")["error"]["code"] == "usage"


def test_the_stream_tells_who_comes_and_goes(served: Dashboard, spare_port: int, spawn: Spawn) -> None:
    """First all, then what started and what stopped, with its owner; later the history has both."""

    def on_port(rows: dict[str, Any]) -> list[str]:
        return [key for key, row in rows.items() if row["port"] == spare_port]

    news = served.news()
    assert not on_port(next(news)["all"])
    child = spawn(HOLD, spare_port)
    key = next(key for told in news for key in on_port(told["rows"]) if key in told["started"])
    child.process.kill()
    assert next(told for told in news if key in told["gone"])
    history = next(served.news())["history"]
    said = [
        (event["what"], event["row"]["processes"][0]["pid"]) for event in history if event["row"]["port"] == spare_port
    ]
    assert said == [("started", child.pid), ("stopped", child.pid)]


def test_a_taken_port_is_refused_with_its_holder(project: Path, listen: Listen) -> None:
    """`--port` is this port or none; the message says who has it."""
    port = listen("127.0.0.1").getsockname()[1]
    command = [sys.executable, "-m", "portward", "serve", "--no-open", "--port", str(port)]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"pid {os.getpid()}" in done.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_signal_ends_it_while_somebody_watches(project: Path, number: int, status: int) -> None:
    """At once: who watches is let go first."""
    with dashboard(project) as started:
        news = started.news()
        next(news)
        started.process.send_signal(number)
        assert started.process.wait(timeout=60) == status
        assert not any("trouble" in each for each in news)  # it ends; what others start meanwhile is told before


def test_without_its_libraries_it_says_how_to_get_them(project: Path) -> None:
    """The dashboard is an extra: nothing else needs what it needs."""
    code = "import sys; sys.modules['uvicorn'] = None; from portward.cli import main; sys.exit(main(['serve']))"
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (3, "")
    assert "hint: pip install 'portward[web]'" in done.stderr


def test_outside_of_a_project_it_shows_the_machine(tmp_path: Path) -> None:
    """The project's verbs say that there is none."""
    (tmp_path / "empty").mkdir()
    with dashboard(tmp_path / "empty") as started:
        assert started.ask("check")["error"]["code"] == "no-project"
        assert next(started.news())["all"]


def test_an_address_of_ipv6(project: Path) -> None:
    """The URL has it in brackets."""
    if not socket.has_ipv6:
        unmet("no IPv6 here")
    with dashboard(project, "--host", "::1") as started:
        assert started.host == f"[::1]:{started.port}"


def test_nobody_looks_while_nobody_watches() -> None:
    """An open dashboard without a page costs nothing, and lets go of what it looked with; several sockets on one endpoint are several rows."""
    listener = Listener(Endpoint("127.0.0.1", 1), State.LISTEN)
    let_go = threading.Event()

    @contextmanager
    def opened() -> Iterator[Lookout]:
        with closing(Lookout(open_reader(), lambda: Reading((listener, listener)), time.time)) as lookout:
            yield lookout
        let_go.set()

    feed = Feed(opened)

    async def first() -> dict[str, Any]:
        return await anext(feed.news())

    assert len(asyncio.run(first())["all"]) == 2
    assert let_go.wait(60)
    feed.end()
