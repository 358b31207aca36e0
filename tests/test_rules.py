"""Every rule, on snapshots made by hand: no kernel, no engine."""

from __future__ import annotations

from typing import Any

import pytest

from portward import rules
from portward.formats.project import declare
from portward.model import (
    ComposeOptions,
    Container,
    Endpoint,
    Finding,
    Listener,
    Owners,
    PortRange,
    PortSpec,
    PortState,
    Process,
    Project,
    Reading,
    Refusal,
    Service,
    Severity,
    Snapshot,
    State,
    Transport,
)
from portward.occupancy import fits, occupancy
from tests.reading import reader

COMPOSE = """\
name: shop
services:
  web: {image: "node:22", command: node index.js, volumes: ["./web:/app"], ports: ["${PORT:-5000}:5000"]}
  cache: {image: "redis:7", ports: ["127.0.0.1:6379:6379"]}
"""


def _snapshot(
    *rows: Listener, files: dict[str, str] | None = None, environment: dict[str, str] | None = None
) -> Snapshot:
    files = {"compose.yaml": COMPOSE, ".env": "PORT=5000\n"} if files is None else files
    project = declare("/home/me/shop", "shop", sorted(files), reader(files), environment or {}, ComposeOptions())
    claims = [spec for service in project.services for spec in service.claims]
    free: dict[PortSpec | str, int] = {spec: 20001 + index for index, spec in enumerate(claims)}
    return Snapshot(Reading(rows), 1000.0, project, ranges={"other": PortRange(20000, 29999)}, free=free)


def _row(port: int, address: str = "0.0.0.0", **facts: Any) -> Listener:
    return Listener(Endpoint(address, port), State.LISTEN, owners=Owners.SEEN, **facts)


def _process(*command: str, name: str | None = None, cwd: str = "/elsewhere") -> Process:
    return Process(41, name or command[0], command, "me", cwd, 940.0, 1)


def _container(project: str, service: str, folder: str | None = "/home/me/shop") -> Container:
    return Container("abc", f"{project}-{service}-1", "node:22", project, service, 5000, "Up 2 hours", folder)


def _judge(snapshot: Snapshot, rule: str) -> list[Finding]:
    return [finding for finding in rules.judge(snapshot) if finding.rule == rule]


def _state(snapshot: Snapshot, name: str = "web") -> PortState:
    assert snapshot.project is not None
    service = snapshot.project.service(name)
    assert service is not None
    return occupancy(snapshot, service, service.claims[0]).state


def test_a_stranger_is_in_the_way() -> None:
    """A stranger's program is named with pid, age, folder and command, beside every place that writes the port."""
    snapshot = _snapshot(_row(5000, processes=(_process("python3", "-m", "http.server", "5000"),)))
    (finding,) = _judge(snapshot, "address-in-use")
    assert finding.severity is Severity.ERROR
    assert finding.message == (
        "web cannot have 5000: held by python3 (pid 41, me, 1 min, /elsewhere: python3 -m http.server 5000)"
    )
    assert [place.path for place in finding.locations] == ["compose.yaml", ".env"]
    assert finding.fixes[0].command == "portward set web=20001 --write"
    assert finding.fixes[0].safe
    assert finding.fixes[-1].command == "portward kill 5000"
    assert not finding.fixes[-1].safe


def test_our_own_container_is_running() -> None:
    """What this stack runs itself is no conflict; another project's container of the same service is."""
    assert _state(_snapshot(_row(5000, container=_container("shop", "web")))) is PortState.RUNNING
    for other in (
        _container("other", "web"),
        _container("shop", "cache"),
        _container("shop", "web", folder="/home/me/copy"),
    ):
        snapshot = _snapshot(_row(5000, container=other))
        assert _state(snapshot) is PortState.TAKEN
        (finding,) = _judge(snapshot, "address-in-use")
        assert other.name in finding.message
        assert finding.fixes[-1].command == f"docker compose -p {other.project} stop {other.service}"


def test_one_container_on_two_families_is_one_holder() -> None:
    """Docker publishes on IPv4 and IPv6 apart: that is one holder, not two."""
    rows = [_row(5000, address, container=_container("other", "web")) for address in ("0.0.0.0", "::")]
    (finding,) = _judge(_snapshot(*rows), "address-in-use")
    assert "more" not in finding.message
    (finding,) = _judge(_snapshot(rows[0], _row(5000, "::1", processes=(_process("nc"),))), "address-in-use")
    assert finding.message.endswith(", and 1 more")


def test_our_own_process_is_running() -> None:
    """A process in the project's folder is ours only by a command that is the service's own."""
    mine = _process("node", "index.js", cwd="/home/me/shop/web")
    assert _state(_snapshot(_row(5000, processes=(mine,)))) is PortState.RUNNING
    stranger = _process("python3", "-m", "http.server", cwd="/home/me/shop/web")
    snapshot = _snapshot(_row(5000, processes=(stranger,)))
    assert _state(snapshot) is PortState.TAKEN
    assert "started in this project's folder, but is not what web runs" in _judge(snapshot, "address-in-use")[0].message


def test_commands_that_fit_a_service() -> None:
    """Programs by name, scripts by the service's command and folder; the same elsewhere, or another script, do not fit."""
    snapshot = _snapshot()
    assert snapshot.project is not None
    web, cache = snapshot.project.services
    at = "/home/me/shop"
    assert fits(_process("redis-server", "*:6379", cwd=at), cache, snapshot.project)
    assert fits(_process("node", "web/index.js", cwd=at), web, snapshot.project)
    assert fits(_process("node", f"{at}/web/index.js", cwd=at), web, snapshot.project)
    assert not fits(_process("redis-server", cwd="/elsewhere"), cache, snapshot.project)
    assert not fits(_process("node", "other.js", cwd=f"{at}/web"), web, snapshot.project)
    assert not fits(_process("redis-server", cwd=f"{at}-copy"), cache, snapshot.project)
    assert not fits(_process("nc", "-l", "5000", cwd=at), web, snapshot.project)


def _service(text: str) -> tuple[Service, Project]:
    project = _snapshot(files={"compose.yaml": f"services:\n  web: {text}\n"}).project
    assert project is not None
    return project.services[0], project


@pytest.mark.parametrize(
    ("service", "command", "cwd", "expected"),
    [
        ('{image: "node:22", command: npm start, volumes: ["./web:/app"]}', "node {at}/web/node_modules/.bin/vite", "web", True),
        ('{image: "node:22", command: npm start, volumes: ["./web:/app"]}', "node {at}/api/index.js", "api", False),
        ('{image: "node:22", command: npm start, volumes: ["./web:/app"]}', "python3 -m http.server 3000", "web", False),
        ('{image: "node:22", command: npm start, volumes: ["./web:/app"]}', "next-server", "web", True),
        ('{image: "node:22", command: npm start, volumes: ["./web:/app"]}', "next-server", "", False),
        ('{image: "node:22", command: node index.js}', "node --inspect -r dotenv/config index.js", "", True),
        ('{image: "node:22", command: node index.js}', "node -e 0", "", False),
        ('{image: "python:3", command: uvicorn app:app}', "uvicorn app:app --port 5000", "", True),
        ('{image: "python:3", command: uvicorn app:app}', "python3 -m uvicorn app:app", "", True),
        ('{image: "python:3", command: uvicorn app:app}', "python3 {at}/venv/bin/other", "", False),
        ('{image: "python:3", command: python -m http.server 8000}', "python3 -m http.server 5000", "", True),
        ('{image: "python:3", command: python -m http.server 8000}', "python3 http.server", "", False),
        ("{build: ./web}", "python3 main.py", "web", True),
        ("{build: ./web}", "python3 main.py", "", False),
        ("{build: ./web}", "nc -l 5000", "web", False),
        ("{build: ./web, command: sh -c 'exec node index.js'}", "node index.js", "web", True),
    ],
)  # fmt: skip
def test_programs_that_fit_a_command(service: str, command: str, cwd: str, expected: bool) -> None:
    """What an interpreter really runs decides: a script, a module, or what a manifest's script may run in its folder."""
    at = "/home/me/shop"
    process = _process(*command.format(at=at).split(), cwd=f"{at}/{cwd}".rstrip("/"))
    assert fits(process, *_service(service)) is expected


def test_what_is_not_in_the_way() -> None:
    """Another address, transport or namespace, and a stopped container's claim, take nothing."""
    rows = (
        _row(6379, "127.0.0.2"),
        _row(6379, "::1"),
        Listener(Endpoint("127.0.0.1", 6379, Transport.UDP), State.UDP),
        _row(6379, "127.0.0.1", netns="other"),
        Listener(Endpoint("127.0.0.1", 6379), State.CLAIMED, container=_container("other", "cache")),
    )
    assert _state(_snapshot(*rows), "cache") is PortState.FREE
    assert _state(_snapshot(_row(6379, "::")), "cache") is PortState.TAKEN


def test_a_refused_bind_without_a_socket() -> None:
    """What the system refuses is taken, also when nobody can be shown."""
    snapshot = _snapshot().replace(refusals={Endpoint("", 5000): Refusal.IN_USE})
    (finding,) = _judge(snapshot, "address-in-use")
    assert "shows no socket" in finding.message


def test_hidden_owners_are_not_guessed() -> None:
    """A socket whose owner may not be seen is told with its user."""
    row = Listener(Endpoint("0.0.0.0", 5000), State.LISTEN, user="root", owners=Owners.HIDDEN)
    assert "a process of root that you are not permitted to see" in _judge(_snapshot(row), "address-in-use")[0].message


def _duplicates(*ports: str) -> list[Finding]:
    services = "".join(f'  s{index}: {{image: x, ports: ["{port}"]}}\n' for index, port in enumerate(ports))
    return _judge(_snapshot(files={"compose.yaml": f"services:\n{services}"}), "duplicate-host-port")


def test_duplicates_overlap_in_address_transport_and_range() -> None:
    """Overlap, not equality of numbers, makes a duplicate."""
    assert _duplicates("8080:80", "8080:81")[0].severity is Severity.ERROR
    assert _duplicates("127.0.0.1:8080:80", "8080:81")
    assert _duplicates("8000-8002:8000-8002", "8001:80")[0].severity is Severity.ERROR
    assert _duplicates("8000-8010:80", "8005:80")[0].severity is Severity.WARNING
    assert not _duplicates("127.0.0.1:8080:80", "127.0.0.2:8080:80")
    assert not _duplicates("53:53/tcp", "53:53/udp")
    assert not _duplicates("0.0.0.0:8080:80", "[::]:8080:80")
    assert not _duplicates("80", "80")


def _stale(files: dict[str, str], environment: dict[str, str] | None = None) -> list[str]:
    findings = _judge(_snapshot(files=files, environment=environment), "stale-port-reference")
    return [str(place) for finding in findings for place in finding.locations]


def test_stale_references() -> None:
    """A URL or fallback of the host's side is stale once its service moved; what the container reads is not."""
    files = {
        "compose.yaml": 'services:\n  api:\n    image: node\n    volumes: ["./server:/app"]\n    ports: ["${PORT:-5000}:5000"]\n',
        "client/.env": "REACT_APP_API_URL=http://localhost:5000\n",
        "server/.env": "INTERNAL_URL=http://api:5000\n",
        "server/config.js": "module.exports = { port: process.env.PORT || 5000 };\n",
    }
    assert _stale(files) == []
    assert _stale({**files, ".env": "PORT=5001\n"}) == [
        "compose.yaml:5:22",
        "client/.env:1:36",
    ]
    assert _stale({**files, "server/.env": "INTERNAL_URL=http://api:5001\n"}) == ["server/.env:1:25"]


def test_an_overriding_environment_makes_nothing_stale() -> None:
    """PORT set for one command only is no reason to edit files."""
    files = {
        "compose.yaml": 'services: {api: {image: node, ports: ["${PORT:-5000}:5000"]}}\n',
        ".env": "PORT=5000\n",
        "client/.env": "API_URL=http://localhost:5000\n",
    }
    assert _stale(files, {"PORT": "5002"}) == []


def test_references_that_cannot_be_judged() -> None:
    """Another machine, an unknown service, a port that the engine chooses: no finding."""
    files = {
        "compose.yaml": 'services: {api: {image: node, ports: ["5000"]}}\n',
        "client/.env": "API_URL=http://localhost:5000\nA=http://example.com:81\nOTHER=http://localhost:9999\n",
    }
    assert _stale(files) == []


def test_invalid_ports() -> None:
    """Numbers that no program can listen on, in files that Compose does not refuse."""
    files = {
        "compose.yaml": "services: {api: {image: x, ports: [{target: 80, published: 9000-8000}]}}\n",
        "client/.env": "PORT=80880\nAPI_URL=http://localhost:99999\n",
        "config.js": "module.exports = { port: process.env.APP_PORT || 70000 };\n",
    }
    findings = _judge(_snapshot(files=files), "invalid-port")
    assert {finding.locations[0].path for finding in findings} == {"compose.yaml", "client/.env", "config.js"}
    assert all(finding.severity is Severity.ERROR for finding in findings)
    assert any("descending" in finding.message for finding in findings)


def test_a_clean_project_has_no_finding() -> None:
    """Nothing in the way and nothing stale is nothing worse than a note."""
    assert {finding.severity for finding in rules.judge(_snapshot())} == {Severity.NOTE}


def test_the_worst_comes_first() -> None:
    """Findings are ordered by severity."""
    files = {"compose.yaml": COMPOSE, ".env": "PORT=5000\n", "web/.env": "CACHE_URL=redis://localhost:6380\n"}
    snapshot = _snapshot(_row(5000, processes=(_process("nc"),)), files=files)
    findings = rules.judge(snapshot)
    assert [finding.rule for finding in findings[:2]] == ["address-in-use", "stale-port-reference"]
    assert {finding.severity for finding in findings[2:]} == {Severity.NOTE}
