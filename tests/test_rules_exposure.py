"""The rules about who can reach a port, on snapshots made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from portward.model import Severity, State
from portward.ward import Portward
from tests.engine import PretendedEngine, http
from tests.judging import claim, compose, container, found, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def test_an_exposed_database() -> None:
    """A store on all interfaces is one warning with each of its ports; on an address of its own it is none."""
    files = compose('"5432:5432"', '"[::]:5433:5433"', '"0.0.0.0:5434:5432"', image="image: postgres", name="s")
    (finding,) = found(snapshot(files), "exposed-database")
    assert (finding.severity, finding.service, finding.port) == (Severity.WARNING, "s", None)
    assert "5432, 5433, 5434" in finding.message
    assert len(finding.locations) == 3
    assert "127.0.0.1:5432:5432" in finding.fixes[0].title
    for port in ("127.0.0.1:5432:5432", "[::1]:5432:5432", "192.168.1.5:5432:5432"):
        assert not found(snapshot(compose(f'"{port}"', image="image: postgres")), "exposed-database")
    assert not found(snapshot(compose('"5432:5432"', image="image: node")), "exposed-database")


def test_caches_and_queues_are_stores() -> None:
    """So are services that `[kinds]` calls one; on the host's network nothing is published."""
    for image in ("redis", "rabbitmq:3-management", "mongo"):
        assert found(snapshot(compose('"1:1"', image=f"image: {image}", name="s")), "exposed-database")
    toml = '[kinds]\nledger = "database"\n'
    assert found(snapshot(compose('"1:1"', name="ledger"), toml=toml), "exposed-database")
    assert not found(snapshot(compose('"1:1"', name="ledger")), "exposed-database")
    host = compose('"6379:6379"', image="image: redis", more="network_mode: host, ")
    assert not found(snapshot(host), "exposed-database")


def test_in_production_exposure_is_worse() -> None:
    """`production = true` makes an exposed store an error, and any other port on all interfaces a warning of its own."""
    store = compose('"5432:5432"', image="image: postgres", name="s")
    assert found(snapshot(store, toml="production = true"), "exposed-database")[0].severity is Severity.ERROR
    web = compose('"3000:3000"', '"3001:3001"', '"127.0.0.1:3002:3002"')
    findings = found(snapshot(web, toml="production = true"), "published-on-all-interfaces")
    assert [(finding.severity, finding.port) for finding in findings] == [
        (Severity.WARNING, 3000),
        (Severity.WARNING, 3001),
    ]
    assert all("ufw and firewalld" in finding.message for finding in findings)


def test_in_development_it_is_one_note() -> None:
    """The guide asks for all interfaces: one note for the project, which names the ports and what the firewall misses."""
    files = {
        "compose.yaml": 'services:\n  a: {image: x, ports: ["3000:1", "127.0.0.1:3001:1"]}\n  b: {image: x, ports: ["3002:1", "4"]}\n'
        '  c: {image: redis, ports: ["3003:1"]}\n'
    }
    (finding,) = found(snapshot(files), "published-on-all-interfaces")
    assert (finding.severity, finding.service) == (Severity.NOTE, None)
    assert finding.message.endswith("3000, 3002, one for 4")
    assert finding.hint is not None
    assert "DOCKER-USER" in finding.hint
    assert not found(snapshot(compose('"127.0.0.1:3000:3000"')), "published-on-all-interfaces")


def test_a_stopped_container_of_another_project() -> None:
    """It claims the port: a note while all of that project is stopped, a warning while the rest of it runs."""
    stopped = claim(5432, container("pgvector", "db", status="Exited (0) 2 days ago"))
    (finding,) = found(snapshot(compose('"5432:5432"'), stopped, free={"web": 13010}), "claimed-by-other-project")
    assert (finding.severity, finding.service, finding.port) == (Severity.NOTE, "web", 5432)
    assert "pgvector-db-1 of project pgvector" in finding.message
    assert "/home/me/other" in finding.message
    assert finding.holders == (stopped,)
    assert [fix.command for fix in finding.fixes] == ["portward set web=13010 --write"]
    up = claim(9999, container("pgvector", "api"), State.LISTEN)
    (finding,) = found(snapshot(compose('"5432:5432"'), stopped, up), "claimed-by-other-project")
    assert finding.severity is Severity.WARNING


def test_a_restarting_container_takes_it_in_a_moment() -> None:
    """The engine starts it again by itself, so that is an error, with the command that stops it."""
    row = claim(5432, container("pgvector", "db", status="Restarting (1) 3 seconds ago"))
    (finding,) = found(snapshot(compose('"5432:5432"'), row), "claimed-by-other-project")
    assert finding.severity is Severity.ERROR
    assert finding.fixes[-1].command == "docker compose -p pgvector stop db"
    assert not finding.fixes[-1].safe


def test_what_is_no_claim_of_others() -> None:
    """Our own stopped container, one without a project, another address, transport, port or a range that has others left."""
    other = container("pgvector", "db")
    for row in (
        claim(5432, container("shop", "web", "/home/me/shop")),
        claim(5432, container(None, "db")),
        claim(5433, other),
    ):
        assert not found(snapshot(compose('"5432:5432"'), row), "claimed-by-other-project")
    row = claim(5432, other, address="127.0.0.1")
    assert not found(snapshot(compose('"127.0.0.2:5432:5432"'), row), "claimed-by-other-project")
    assert found(snapshot(compose('"127.0.0.1:5432:5432"'), row), "claimed-by-other-project")
    assert not found(snapshot(compose('"5432:5432/udp"'), row), "claimed-by-other-project")
    assert not found(snapshot(compose('"5430-5440:5432"'), row), "claimed-by-other-project")
    copy = claim(5432, container("shop", "web", "/home/me/copy-of-shop"))
    assert found(snapshot(compose('"5432:5432"'), copy), "claimed-by-other-project")


def test_a_port_is_reported_once() -> None:
    """A running container holds the port: that is `address-in-use`, and the claim of a third one is not told beside it."""
    running = claim(5432, container("pgvector", "db"), State.LISTEN)
    stopped = claim(5432, container("third", "db"))
    made = snapshot(compose('"5432:5432"'), running, stopped)
    (finding,) = found(made, "address-in-use")
    assert "pgvector-db-1" in finding.message
    assert not found(made, "claimed-by-other-project")


def test_a_restarting_container_of_an_engine(tmp_path: Path, free_port: int) -> None:
    """The same from an engine's answers: a container that restarts has no port in the list, but in its own settings."""
    labels = {
        "com.docker.compose.project": "pgvector",
        "com.docker.compose.service": "db",
        "com.docker.compose.project.working_dir": "/srv/pgvector",
    }
    listed = {
        "Id": "ab" * 32,
        "Names": ["/pgvector-db-1"],
        "Image": "postgres",
        "State": "restarting",
        "Status": "Restarting (1) 3 seconds ago",
        "Labels": labels,
        "Ports": [],
    }
    inspected = {"HostConfig": {"PortBindings": {"5432/tcp": [{"HostIp": "", "HostPort": str(free_port)}]}}}
    (tmp_path / "compose.yaml").write_text(f'services: {{db: {{image: x, ports: ["{free_port}:5432"]}}}}\n')
    with PretendedEngine(lambda path: [http([listed] if "all=1" in path else inspected)]) as engine:
        ward = Portward(str(tmp_path), environment={"DOCKER_HOST": engine.address, "HOME": str(tmp_path)})
        findings = ward.check().findings
    (finding,) = [finding for finding in findings if finding.rule == "claimed-by-other-project"]
    assert (finding.severity, finding.port) == (Severity.ERROR, free_port)
    assert "pgvector-db-1 of project pgvector (which is restarting, /srv/pgvector)" in finding.message
    assert finding.fixes[-1].command == "docker compose -p pgvector stop db"
