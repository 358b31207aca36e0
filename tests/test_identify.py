"""`identify` and `ls --identify`: who is asked, who never is, and what the answer rests on."""

from __future__ import annotations

import re
import socket
import time
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from portward import Portward, probes
from portward.arguments import parse_target
from portward.catalog import fingerprints as prints
from portward.errors import UsageError
from portward.model import Container, Endpoint, Identity, Listener, Owners, Process, Reading, State
from portward.render import documents, text
from portward.verbs.identifying import Place, _question, owner_of
from tests import endpoints
from tests.command import run, run_json
from tests.conftest import port_of
from tests.endpoints import http, response, serving
from tests.generated_docs import ROOT
from tests.test_wait import redis

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tests.conftest import Listen, Spawn

PATIENT = 60.0
KEYS = {"target", "service", "version", "confidence", "evidence"}


class Hidden:
    """A reader of sockets that sees who listens, but nobody's process."""

    name = "hidden"

    def read(
        self,
        *,
        udp: bool = False,
        all_netns: bool = False,
        ports: Collection[int] | None = None,
        owners: bool = True,
    ) -> Reading:
        """One listener on each port that is asked for."""
        rows = (Listener(Endpoint("127.0.0.1", port), State.LISTEN, owners=Owners.HIDDEN) for port in ports or ())
        return Reading(tuple(rows))

    def ancestry(self, process: Process) -> tuple[Process, ...]:
        return ()

    def cgroup(self, pid: int) -> str:
        return ""


@pytest.fixture
def ward() -> Portward:
    """The verbs outside of any project, without an engine."""
    return Portward(None, environment={})


def row_of(process: Process, port: int = 21000) -> Listener:
    return Listener(Endpoint("127.0.0.1", port), State.LISTEN, owners=Owners.SEEN, processes=(process,))


def test_the_document_has_the_contracts_keys() -> None:
    """One target is one document; the protocol decides, and that is said."""
    with serving(redis(b"+PONG")) as server:
        document, status = run_json("identify", f"redis://127.0.0.1:{server.port}", "--timeout", "60")
    assert status == 0
    assert document.keys() >= KEYS
    assert (document["service"], document["by"], document["confidence"]) == ("Redis", "protocol", "high")
    assert any("it answers as Redis does" in line for line in document["evidence"])


def test_several_targets_are_a_list(free_port: int) -> None:
    """Each with its answer; one that does not answer is a no."""
    with serving(http({}, response(200, "", Server="nginx/1.25.3"))) as server:
        document, status = run_json("identify", str(server.port), str(free_port), "--timeout", "60")
    assert status == 1
    assert [(each["service"], each["answers"]) for each in document["targets"]] == [("nginx", True), (None, False)]
    done = run("identify", str(free_port))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == f"{free_port}: nothing answers there"


def test_what_does_not_tell_is_not_known(listen: Listen) -> None:
    """A listener that says nothing is nobody, and custom is shown as what it is."""
    with serving(endpoints.silent) as server:
        document, status = run_json("identify", str(server.port), "--timeout", "6")
    assert (status, document["service"], document["answers"], document["by"]) == (1, None, True, None)


def test_ls_tells_who_is_there(ward: Portward, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ls PORT --identify` has the service in its table and in its document."""
    monkeypatch.setattr(probes, "SECONDS", PATIENT)
    with serving(http({}, response(200, "", Server="nginx/1.25.3"))) as server:
        reading = ward.ls([str(server.port)], identify=True)
        plain = run_json("ls", str(server.port))[0]
        asked = run_json("ls", str(server.port), "--identify")[0]
    (row,) = documents.ls(reading)["listeners"]
    assert (row["identity"]["service"], row["identity"]["by"], row["service"]) == ("nginx", "protocol", "nginx")
    assert "nginx 1.25.3" in "\n".join(text.ls(reading, ()))
    assert "identity" not in plain["listeners"][0]
    assert asked["listeners"][0]["identity"].keys() >= KEYS


def test_a_service_of_the_project_is_a_target(tmp_path: Path) -> None:
    """By its name, at the port that it publishes."""
    with serving(redis(b"+PONG")) as server:
        (tmp_path / "compose.yaml").write_text(
            f"services:\n  cache: {{image: 'redis:7', ports: ['{server.port}:6379']}}\n"
        )
        document, status = run_json("-C", str(tmp_path), "identify", "cache", "--timeout", "60")
    assert (status, document["target"], document["service"], document["port"]) == (0, "cache", "Redis", server.port)


def test_two_servers_on_localhost_are_told_apart(ward: Portward, spawn: Spawn) -> None:
    """127.0.0.1 answers; that [::1] is somebody else's is said."""
    with serving(http({}, response(200, "", Server="nginx/1.25.3"))) as server:
        spawn("held = listen('::1', int(sys.argv[1])); ready()", server.port)
        for target in (str(server.port), f"localhost:{server.port}"):
            (found,) = ward.identify(target, seconds=PATIENT)
            assert found.service == "nginx"
            assert any(f"[::1]:{server.port} is another server's: python" in line for line in found.evidence)


def test_a_name_that_is_looked_up_for_ever_keeps_nobody(ward: Portward, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that does not answer costs the time of its target, and no other's answer."""
    asked = Event()
    look_up = socket.getaddrinfo

    def hang(host: str, *more: Any, **options: Any) -> list[Any]:
        if host == "slow.example":
            asked.wait(PATIENT)
        return look_up("127.0.0.1" if host == "slow.example" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with serving(http({}, response(200, "", Server="nginx/1.25.3"))) as server:
        slow, good = ward.identify("slow.example:80", str(server.port), seconds=6)
    asked.set()
    assert (slow.answers, slow.service) == (False, None)
    assert good.answers


def test_a_debuggers_port_is_never_touched(ward: Portward, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Custom is a guess there, and no connection is made, by `identify` as by `ls`."""
    debugged = listen("127.0.0.1")
    debugged.setblocking(False)
    port = port_of(debugged)
    monkeypatch.setattr(prints, "debugger_of_port", lambda asked: "debugpy" if asked == port else None)
    (found,) = ward.identify(str(port))
    (row,) = ward.ls([str(port)], identify=True).listeners
    assert row.identity is not None
    for each in (found, row.identity):
        assert (each.service, each.confidence, each.by, each.answers) == ("debugpy", "guess", "catalog", None)
    with pytest.raises(BlockingIOError):
        debugged.accept()


@pytest.mark.parametrize(
    ("command", "port", "debugger"),
    [
        (("java", "-agentlib:jdwp=transport=dt_socket,server=y,address=*:8001", "-jar", "app.jar"), 8001, "JDWP"),
        (("java", "-agentlib:jdwp=transport=dt_socket,server=y,address=*:8001", "-jar", "app.jar"), 8080, None),
        (("python", "-m", "debugpy", "--listen", "0.0.0.0:5679", "app.py", "--port", "8080"), 5679, "debugpy"),
        (("python", "-m", "debugpy", "--listen", "0.0.0.0:5679", "app.py", "8080"), 8080, None),
        (("python", "/lib/debugpy/adapter", "--for-server", "40001", "--port", "5678"), 40001, "debugpy"),
        (("node", "--inspect=127.0.0.1:9230", "server.js"), 9230, "Node.js inspector"),
        (("node", "--inspect", "server.js"), 3000, None),
        (("dlv", "dap", "--listen=127.0.0.1:38697"), 38697, "Delve"),
        (("chrome", "--remote-debugging-port=9333"), 9333, "Chrome DevTools"),
    ],
)
def test_a_debugger_is_known_by_its_command(command: tuple[str, ...], port: int, debugger: str | None) -> None:
    """At the port that its command line names, and at no other of the same process."""
    owner = owner_of(row_of(Process(1, command[0], command), port), port)
    assert owner.debugger == debugger
    if debugger:
        answer = _question(Place(str(port), "", port), owner, ("127.0.0.1",), 1)
        assert isinstance(answer, Identity)
        assert (answer.service, answer.confidence, answer.by) == (debugger, "high", "process")


def test_debuggers_and_printers() -> None:
    """The ports that are never touched, and those of printers, which print whatever they are sent."""
    for port in (2345, 5005, 5678, 9003, 9222, 9229):
        assert prints.debugger_of_port(port)
    assert list(prints.PRINTERS) == list(range(9100, 9108))


def test_a_printer_is_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be seen, a printer's port hears nothing."""
    with serving(endpoints.silent) as server:
        monkeypatch.setattr(prints, "PRINTERS", range(server.port, server.port + 1))
        (found,) = Portward(None, sockets=Hidden(), environment={}).identify(str(server.port), seconds=6)
    assert (server.sent, found.answers, found.service) == ([b""], True, None)


def test_whom_nobody_can_see_is_asked_by_custom_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hidden owner, on a port that custom gives to PostgreSQL, only PostgreSQL's question is asked."""
    from portward import catalog
    from portward.model import Custom

    monkeypatch.setattr(prints, "customary_fingerprints", lambda _port: prints.of_service("PostgreSQL"))
    monkeypatch.setattr(catalog, "custom_of", lambda _port: Custom(("PostgreSQL",), False))
    with serving(endpoints.silent) as server:
        Portward(None, sockets=Hidden(), environment={}).identify(str(server.port), seconds=6)
    assert server.sent == [bytes.fromhex("0000000804d2162f")]


@pytest.mark.parametrize(
    ("process", "service"),
    [
        (Process(1, "redis-server", ("redis-server *:6379",)), "Redis"),
        (Process(1, "postgres", ("/usr/lib/postgresql/15/bin/postgres", "-D", "x")), "PostgreSQL"),
        (Process(1, "prometheus-node", ("prometheus-node-exporter",)), "node_exporter"),
        (Process(1, "nginx", ("nginx: master process nginx",)), "nginx"),
        (Process(1, "python3.11", ("/usr/bin/python3", "/venv/bin/jupyter-lab", "--port=1")), "Jupyter"),
        (Process(1, "python3", ("python3", "-m", "http.server", "8000")), "http.server"),
        (Process(1, "java", ("java", "-cp", "x", "org.apache.zookeeper.server.quorum.QuorumPeerMain")), "ZooKeeper"),
        (Process(1, "python3", ("python3", "app.py")), None),
        (Process(1, "node", ("node", "server.js")), None),
    ],
)
def test_the_owner_tells_what_it_is(process: Process, service: str | None) -> None:
    """By the names of its programs; an interpreter is never a service."""
    assert owner_of(row_of(process), 21000).service == service


@pytest.mark.parametrize(
    ("image", "service"),
    [
        ("redis", "Redis"),
        ("localhost:5000/bitnami/redis:7@sha256:ab", "Redis"),
        ("team/shop-redis", None),
        ("qdrant/qdrant:v1", "Qdrant"),
    ],
)
def test_a_containers_image_tells_what_it_is(image: str, service: str | None) -> None:
    """By the whole last part of its name."""
    owner = owner_of(Listener(Endpoint("", 80), State.LISTEN, container=Container("1", "c", image)), 80)
    assert owner.service == service


def test_in_bulk_nothing_is_asked_that_is_logged_as_an_error() -> None:
    """`ls --identify` takes a MySQL's process for proof enough; `identify` asks it, since somebody wants to know."""
    owner = owner_of(row_of(Process(7, "mysqld", ("mysqld",))), 3306)
    place = Place("x", "", 3306)
    spared = _question(place, owner, ("127.0.0.1",), 1, sparing=True)
    assert isinstance(spared, Identity)
    assert (spared.service, spared.by, spared.confidence) == ("MySQL", "process", "medium")
    assert not isinstance(_question(place, owner, ("127.0.0.1",), 1), Identity)


def test_a_hundred_targets(ward: Portward) -> None:
    """A hundred silent targets take little more than one of them may."""
    with serving(endpoints.silent) as server:
        begin = time.monotonic()
        found = ward.identify(*[f"127.0.0.1:{server.port}"] * 100)
        took = time.monotonic() - begin
    assert len(found) == 100
    assert took < 30


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("5000", ("", 5000, "", "/")),
        ("localhost:5000", ("localhost", 5000, "", "/")),
        ("[::1]:80/tcp", ("::1", 80, "", "/")),
        ("http://example.org", ("example.org", None, "http", "/")),
        ("HTTP://a:81/p?q=1#f", ("a", 81, "http", "/p?q=1")),
        ("http://[::1]/x", ("::1", None, "http", "/x")),
        ("postgres://me:p%40ss@db:5433/app", ("db", 5433, "postgres", "/app")),
        ("mongodb://a:1,b:2/x", ("a", 1, "mongodb", "/x")),
        ("db", ("db", None, "", "/")),
    ],
)
def test_targets_as_people_type_them(typed: str, expected: tuple[Any, ...]) -> None:
    """Ports, hosts, URLs and names."""
    target = parse_target(typed)
    assert (target.host, target.port, target.scheme, target.path) == expected


def test_a_password_is_not_shown() -> None:
    """Not in the answer either."""
    assert parse_target("redis://me:secret@h:1").text == "redis://me:***@h:1"


@pytest.mark.parametrize("words", [["nobody"], ["53/udp"], ["5000-5001"], ["70000"], ["foo://bar"], ["1", "--timeout", "0"], [], ["::1:80"], ["no-such-host.invalid:80"]], ids=" ".join)  # fmt: skip
def test_what_is_no_target(words: list[str], tmp_path: Path) -> None:
    """Bad usage is exit 2, with a sentence."""
    done = run("identify", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_no_time_is_no_time(ward: Portward) -> None:
    """A limit of nothing cannot be kept."""
    with pytest.raises(UsageError):
        ward.identify("1", seconds=0)


def test_the_document_is_true() -> None:
    """What docs/identify.md says of ports, limits and services is what the code and its data have."""
    page = " ".join((ROOT / "docs/identify.md").read_text("utf-8").split())
    debuggers = [port for port in range(1, 65536) if prints.debugger_of_port(port)]
    assert f"({', '.join(map(str, debuggers))}, or one that a command line names)" in page
    assert f"({prints.PRINTERS.start} to {prints.PRINTERS.stop - 1})" in page
    assert f"a target has {probes.SECONDS:g} s" in page
    assert probes.QUESTIONS == 3
    assert "at most three questions" in page
    assert probes.LIMIT_BYTES == 64 << 10
    logged = {each.service.partition(" ")[0] for each in prints.fingerprints() if each.logged}
    (told,) = re.findall(r"log the question as an error: ([\w, ]+)\.", page)
    assert set(told.split(", ")) == logged
    for scheme in ("redis", "postgres", "amqp"):
        assert f"`{scheme}://…`" in page
        assert prints.scheme(scheme)
