"""The rules about what Compose, the engine and the container make of an entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portward.clearing import to_move
from portward.model import Severity, State
from portward.verbs.survey import report
from tests.judging import ROOT, claim, compose, container, found, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def test_a_fixed_port_with_replicas() -> None:
    """Several containers cannot have one port: an error at the port and at the number of replicas."""
    files = {
        "compose.yaml": 'services:\n  web:\n    image: x\n    deploy: {replicas: 3}\n    ports: ["8080:80", "8090-8092:90"]\n'
    }
    (finding,) = found(snapshot(files), "fixed-port-with-replicas")
    assert (finding.severity, finding.service, finding.port) == (Severity.ERROR, "web", 8080)
    assert [str(place) for place in finding.locations] == ["compose.yaml:5:13", "compose.yaml:4:24"]
    assert "`8080-8082:80`" in finding.fixes[0].title


@pytest.mark.parametrize(
    ("port", "more", "is_found"),
    [
        ("8080-8081:80", "scale: 3, ", True),
        ("8080-8082:80", "scale: 3, ", False),
        ("80", "scale: 3, ", False),
        ("8080:80", "scale: 1, ", False),
        ("8080:80", "", False),
        ("8080:80", "scale: 0, ", False),
        ("8080:80", "network_mode: host, scale: 2, ", False),
    ],
)
def test_how_many_ports_are_enough(port: str, more: str, is_found: bool) -> None:
    """As many as containers, or the engine's choice."""
    assert bool(found(snapshot(compose(f'"{port}"', more=more)), "fixed-port-with-replicas")) is is_found


def test_ports_on_the_hosts_network() -> None:
    """The list does nothing: a note with the place of `network_mode`; nothing is said to be published either."""
    files = compose('"8080:80"', '"8081:81"', more="network_mode: host, ")
    made = snapshot(files)
    (finding,) = found(made, "ports-ignored-by-host-network")
    assert (finding.severity, finding.service) == (Severity.NOTE, "web")
    assert str(finding.locations[0]) == "compose.yaml:2:33"
    assert "80, 81" in finding.message
    assert not found(made, "customary-port")
    assert not found(made, "published-on-all-interfaces")
    assert not found(snapshot(compose('"8080:80"', more="network_mode: bridge, ")), "ports-ignored-by-host-network")
    assert not found(snapshot(compose(more="network_mode: host, ")), "ports-ignored-by-host-network")


def test_two_ranges_that_overlap_are_one_finding() -> None:
    """Each port of both is fixed: all that they share is told at once, as an error."""
    text = "services:\n  a: {image: x, ports: ['5000-5009:5000-5009']}\n  b: {image: x, ports: ['5005-5014:5005-5014', '5001:1']}\n"
    findings = found(snapshot({"compose.yaml": text}), "duplicate-host-port")
    assert sorted((finding.message, finding.severity) for finding in findings) == [
        ("a and b publish 5001 both", Severity.ERROR),
        ("a and b publish 5005-5009 both", Severity.ERROR),
    ]


_HOST_AND_NONE = """\
services:
  exporter: {image: x, network_mode: host, ports: ["19100:9100", "19101:9100"]}
  gone: {image: x, scale: 0, ports: ["9100:1"]}
  also: {image: x, deploy: {replicas: 0}, ports: ["9100:1"]}
  web: {image: x, ports: ["%s:80"]}
"""


def test_what_a_service_asks_for_on_the_hosts_network_and_without_containers() -> None:
    """A process on the host's network binds its own port whatever is published; a service scaled to nothing binds none."""
    files = {"compose.yaml": _HOST_AND_NONE % "9100"}
    made = snapshot(files, claim(9100, container("other", "db")), claim(19100, container("other", "db")))
    (finding,) = found(made, "duplicate-host-port")
    assert finding.message == "exporter and web bind 9100 both"
    assert finding.service == "web"
    shared = [(finding.service, finding.port) for finding in found(made, "claimed-by-other-project")]
    assert shared == [("exporter", 9100), ("web", 9100)]
    assert made.project is not None
    links, stuck = to_move(made.project, found(made, "duplicate-host-port"), ())
    assert [link.service for link in links] == ["web"]
    assert not stuck
    assert not found(snapshot({"compose.yaml": _HOST_AND_NONE % "19100"}), "duplicate-host-port")


def test_the_state_of_a_port_on_the_hosts_network() -> None:
    """It is that of the port which the process binds itself; `published` stays as Compose gives it."""
    files = {"compose.yaml": _HOST_AND_NONE % "8080"}
    own = container("shop", "exporter", ROOT, target=9100)
    made = snapshot(files, claim(9100, own, State.LISTEN), claim(19100, container(None, "x"), State.LISTEN))
    assert made.project is not None
    rows = [row for row in report(made, made.project.services[0]).ports if row.spec.origin == "compose"]
    assert [(row.spec.published, str(row.state)) for row in rows] == [("19100", "running"), ("19101", "running")]
    assert [str(endpoint) for endpoint in rows[0].bound] == ["0.0.0.0:9100"]


def test_a_held_port_on_the_hosts_network_cannot_be_moved() -> None:
    """What its process binds is in use, and no file that Compose reads moves it: `resolve` says so."""
    files = {"compose.yaml": _HOST_AND_NONE % "8080"}
    made = snapshot(files, claim(9100, container(None, "x"), State.LISTEN), free={"exporter": 20001})
    (finding,) = found(made, "address-in-use")
    assert (finding.service, finding.port) == ("exporter", 9100)
    assert not any("set" in (fix.command or "").split() for fix in finding.fixes)
    assert made.project is not None
    links, stuck = to_move(made.project, [finding], ())
    assert not links
    assert stuck[0].startswith("exporter is on the host's network: ")
    assert not found(snapshot(files, claim(19100, container(None, "x"), State.LISTEN)), "address-in-use")


@pytest.mark.parametrize(
    ("item", "number"),
    [
        ("2222:22", "133342"),
        ("56:22", "3382"),
        ("8080:59", "484859"),
        ("8080:60", None),  # 60 is no digit of base 60
        ("8080:80", None),
        ('"2222:22"', None),
        ("'2222:22'", None),
        ("2222:22/tcp", None),
        ("0222:22", None),  # a leading zero is no number to YAML 1.1
        ("${P:-2222}:22", None),
        ("2222", None),
    ],
)
def test_a_number_in_base_60(item: str, number: str | None) -> None:
    """Only a mapping without quotes whose later parts are below 60 is also such a number."""
    files = {"compose.yaml": f"services:\n  web:\n    image: x\n    ports:\n      - {item}\n"}
    findings = found(snapshot(files), "sexagesimal-port")
    assert bool(findings) is (number is not None)
    for finding in findings:
        assert (finding.severity, str(finding.locations[0])) == (Severity.NOTE, "compose.yaml:5:9")
        assert number is not None
        assert number in finding.message


def test_a_shared_entry_in_base_60_is_told_once() -> None:
    """An anchored list feeds two services from one place."""
    text = "x-p: &p [2222:22]\nservices:\n  a: {image: x, ports: *p}\n  b: {image: x, ports: *p}\n"
    assert len(found(snapshot({"compose.yaml": text}), "sexagesimal-port")) == 1


@pytest.mark.parametrize(
    ("more", "is_found"),
    [
        ("command: uvicorn app:app --host 127.0.0.1, ", True),
        ("command: uvicorn app:app --host=localhost, ", True),
        ("command: 'gunicorn -b 127.0.0.1:8000 app', ", True),
        ("command: [sh, -c, 'flask run --host localhost'], ", True),
        ("command: 'python manage.py runserver 127.0.0.1:8000', ", True),
        ("command: \"vite --host '::1'\", ", True),
        ("environment: {HOST: 127.0.0.1}, ", True),
        ("environment: ['FLASK_RUN_HOST=localhost'], ", True),
        ("command: uvicorn app:app --host 0.0.0.0, ", False),
        ("command: uvicorn app:app, ", False),  # its default is not known here
        ("command: 'python manage.py runserver 0.0.0.0:8000', ", False),
        ("command: 'sh -c \"mysqladmin ping --host 127.0.0.1; serve\"', ", False),  # a client
        ("environment: {DB_HOST: localhost}, ", False),
        ("environment: {HOST: 0.0.0.0}, ", False),
        ("command: serve --host 127.0.0.1, network_mode: host, ", False),
    ],
)
def test_a_server_on_its_containers_loopback(more: str, is_found: bool) -> None:
    """What the command or a variable says outright, and nothing that may be meant for a client."""
    findings = found(snapshot(compose('"8000:8000"', more=more)), "loopback-only-in-container")
    assert bool(findings) is is_found
    for finding in findings:
        assert (finding.severity, finding.service, finding.port) == (Severity.NOTE, "web", 8000)
        assert str(finding.locations[0]).startswith("compose.yaml:2:")
        assert "0.0.0.0" in finding.fixes[0].title


def test_a_service_that_publishes_nothing_may_listen_on_loopback() -> None:
    """It is nobody's trouble then."""
    assert not found(snapshot(compose(more="command: serve --host 127.0.0.1, ")), "loopback-only-in-container")


@pytest.mark.parametrize(
    ("dockerfile", "service", "is_found"),
    [
        ('EXPOSE 5000\nCMD ["uvicorn", "a:app", "--host", "127.0.0.1", "--port", "5000"]\n', "build: .", True),
        ("EXPOSE 5000\nENTRYPOINT gunicorn -b 127.0.0.1:5000 app\n", "build: .", True),
        ("CMD gunicorn -b 127.0.0.1:5000 app\n", "build: .", False),  # exposes nothing
        ("EXPOSE 5000\nCMD gunicorn -b 0.0.0.0:5000 app\n", "build: .", False),
        ("EXPOSE 1\nCMD serve --port 1 --host localhost\nCMD serve --port 1\n", "build: .", False),  # the last counts
        ("EXPOSE 5000\nCMD gunicorn -b 127.0.0.1:5000 app\n", "build: ., command: serve", False),
    ],
)
def test_an_image_that_listens_on_loopback(dockerfile: str, service: str, is_found: bool) -> None:
    """The command of a Dockerfile that exposes a port, unless a service has another command."""
    files = {
        "compose.yaml": f'services: {{api: {{{service}, ports: ["5000:5000"]}}}}\n',
        "Dockerfile": f"FROM x\n{dockerfile}",
    }
    findings = found(snapshot(files), "loopback-only-in-container")
    assert bool(findings) is is_found
    for finding in findings:
        assert finding.locations[0].path == "Dockerfile"
        assert "0.0.0.0" in finding.fixes[0].title


def test_from_files_on_disk(tmp_path: Path) -> None:
    """The same by the library, from real files."""
    from portward.ward import Portward

    (tmp_path / "compose.yaml").write_text(
        "services:\n  web:\n    image: x\n    command: serve --host 127.0.0.1\n    scale: 2\n    ports: [2222:22]\n"
        "  host:\n    image: x\n    network_mode: host\n    ports: ['28081:80']\n"
    )
    ward = Portward(str(tmp_path), environment={"DOCKER_HOST": "", "HOME": str(tmp_path)})
    places = {finding.rule: str(finding.locations[0]) for finding in ward.check().findings}
    assert places["fixed-port-with-replicas"] == "compose.yaml:6:13"
    assert places["loopback-only-in-container"] == "compose.yaml:4:14"
    assert places["sexagesimal-port"] == "compose.yaml:6:13"
    assert places["ports-ignored-by-host-network"] == "compose.yaml:9:19"
