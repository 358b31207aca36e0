"""The rules about where a number lies, on snapshots made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portward import catalog
from portward.model import (
    Endpoint,
    Location,
    PortRange,
    PortSpec,
    Refusal,
    Role,
    Severity,
    Side,
    Span,
    System,
    Transport,
)
from portward.ward import Portward
from tests.judging import compose, found, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def test_a_privileged_port() -> None:
    """Below what everybody may bind is a warning with a free port; the limit itself is none."""
    made = snapshot(compose('"80:8080"'), free={"web": 13001})
    (finding,) = found(made, "privileged-port")
    assert (finding.severity, finding.service, finding.port) == (Severity.WARNING, "web", 80)
    assert str(finding.locations[0]) == "compose.yaml:2:27"
    assert finding.fixes[0].command == "portward set web=13001 --write"
    assert found(snapshot(compose('"1023:80"')), "privileged-port")
    assert not found(snapshot(compose('"1024:80"', '"80"')), "privileged-port")
    open_to_all = snapshot(compose('"80:80"'), system=System(privileged=None))
    assert not found(open_to_all, "privileged-port")
    assert found(snapshot(compose('"1024:80"'), system=System(privileged=PortRange(1, 1024))), "privileged-port")


def test_a_protocol_on_its_own_port_is_told_only_where_it_is_refused() -> None:
    """Nobody finds a name server on another port; in production a web server belongs to 80 and 443."""
    dns = compose('"53:53/udp"')
    assert not found(snapshot(dns), "privileged-port")
    refusals = {Endpoint("", 53, Transport.UDP): Refusal.NOT_PERMITTED}
    (finding,) = found(snapshot(dns, refusals=refusals), "privileged-port")
    assert "you may not bind it" in finding.message
    assert found(snapshot(compose('"80:80"')), "privileged-port")
    assert found(snapshot(compose('"81:80"')), "privileged-port")
    assert not found(snapshot(compose('"80:80"', '"443:443"'), toml="production = true"), "privileged-port")
    assert found(snapshot(compose('"81:80"'), toml="production = true"), "privileged-port")


def test_on_bare_metal_only_ones_own_ports_are_judged() -> None:
    """SMTP_PORT and DB_PORT name somebody else's server; PORT and API_PORT are ours."""
    made = snapshot({".env": "SMTP_PORT=587\nLDAP_PORT=389\nDB_PORT=50051\nPORT=80\nAPI_PORT=81\n"})
    assert [finding.port for finding in found(made, "privileged-port")] == [80, 81]
    assert not found(made, "ephemeral-range")


def test_an_ephemeral_port() -> None:
    """A port that outgoing connections are given is a warning; at the edges, and when the system keeps it, not."""
    (finding,) = found(snapshot(compose('"50051:50051"')), "ephemeral-range")
    assert (finding.severity, finding.port) == (Severity.WARNING, 50051)
    assert "32768-60999" in finding.message
    assert found(snapshot(compose('"32768:80"')), "ephemeral-range")
    assert found(snapshot(compose('"32000-33000:80"')), "ephemeral-range")
    assert found(snapshot(compose('"32000-62000:80"')), "ephemeral-range")
    assert not found(snapshot(compose('"32767:80"', '"61000:80"')), "ephemeral-range")
    kept = System(kept=(PortRange(50000, 50100),))
    assert not found(snapshot(compose('"50051:50051"'), system=kept), "ephemeral-range")
    elsewhere = System(ephemeral=PortRange(49152, 65535))
    assert not found(snapshot(compose('"40000:80"'), system=elsewhere), "ephemeral-range")


@pytest.mark.parametrize(
    ("port", "image", "is_found"),
    [
        ("6000:80", "image: x", True),  # HTTP by custom behind it
        ("6000:6000", "build: .", True),  # one's own program
        ("6000:6000", "image: myapi-backend", True),  # by its kind
        ("6667:6667", "image: ircd", False),  # some protocol
        ("22:22", "build: .", False),
        ("5060:5060/udp", "build: .", False),
        ("10080:10080", "image: redis", False),
        ("6001:80", "image: x", False),
        ("6000-6010:80", "image: x", False),  # the engine picks one
    ],
)
def test_a_port_that_browsers_refuse(port: str, image: str, is_found: bool) -> None:
    """Only what may be meant for a browser is judged."""
    findings = found(snapshot(compose(f'"{port}"', image=image, name="s")), "browser-blocked-port")
    assert bool(findings) is is_found
    assert all(finding.severity is Severity.WARNING for finding in findings)


def test_a_port_that_the_system_keeps() -> None:
    """A note in an excluded range, an error where the bind is refused just now, nothing outside."""
    system = System(excluded=(PortRange(5000, 5099), PortRange(50000, 50059)))
    (finding,) = found(snapshot(compose('"5000:80"'), system=system), "reserved-by-os")
    assert (finding.severity, finding.port) == (Severity.NOTE, 5000)
    assert "5000-5099" in finding.message
    refusals = {Endpoint("", 5099): Refusal.NOT_PERMITTED}
    (finding,) = found(snapshot(compose('"5099:80"'), system=system, refusals=refusals), "reserved-by-os")
    assert finding.severity is Severity.ERROR
    assert not found(snapshot(compose('"5100:80"', '"4999:80"'), system=system), "reserved-by-os")
    assert not found(snapshot(compose('"5000:80"')), "reserved-by-os")


def test_a_policy_of_the_project() -> None:
    """Ranges count once the project sets them, for the kinds that it sets; a pinned port may lie anywhere."""
    files = compose('"5000:80"', name="api")
    assert not found(snapshot(files), "outside-range-policy")
    policy = '[ranges]\napi = "11000-11999"\n'
    (finding,) = found(snapshot(files, toml=policy, free={"api": 11007}), "outside-range-policy")
    assert (finding.severity, finding.service, finding.port) == (Severity.NOTE, "api", 5000)
    assert finding.fixes[0].command == "portward set api=11007 --write"
    for port in ("11000:80", "11999:80", "80"):
        assert not found(snapshot(compose(f'"{port}"', name="api"), toml=policy), "outside-range-policy")
    assert found(snapshot(compose('"11990-12010:80"', name="api"), toml=policy), "outside-range-policy")
    assert not found(snapshot(compose('"5000:80"', name="db"), toml=policy), "outside-range-policy")
    pin = f'{policy}[[pin]]\nservice = "api"\nport = 5000\nreason = "the provider knows no other"\n'
    assert not found(snapshot(files, toml=pin), "outside-range-policy")


def test_a_pin_that_is_not_kept() -> None:
    """A service without the port that it is pinned to is a warning, with the reason and both places."""
    pin = '[[pin]]\nservice = "web"\nport = 8080\nreason = "the provider knows no other"\n'
    (finding,) = found(snapshot(compose('"8081:80"'), toml=pin), "outside-range-policy")
    assert finding.severity is Severity.WARNING
    assert "the provider knows no other" in finding.message
    assert [str(place) for place in finding.locations] == ["compose.yaml:2:27", "portward.toml:1:3"]
    assert finding.fixes[0].command == "portward set web=8080 --write"
    assert not found(snapshot(compose('"8081:80"', '"8080:81"'), toml=pin), "outside-range-policy")
    assert not found(snapshot(compose('"8081:80"', name="other"), toml=pin), "outside-range-policy")


def test_a_customary_port() -> None:
    """One note for each port that many programs take by default; the number of programs comes from the catalog."""
    made = snapshot(compose('"8080:80"', '"8000:81"', '"3000:82"', '"8089:83"'), free={"web": 13005})
    findings = found(made, "customary-port")
    assert [finding.port for finding in findings] == [8080, 8000, 3000]
    assert all(finding.severity is Severity.NOTE for finding in findings)
    assert "28 programs" in findings[0].message
    assert findings[0].fixes[0].command == "portward set web:80=13005 --write"
    assert findings[1].fixes[0].command == "portward set web:81=13005 --write"


def test_what_is_not_customary() -> None:
    """A privileged port is another rule's, a pinned one stays, UDP and ranges do not meet by custom."""
    assert not found(snapshot(compose('"80:80"', '"8080:80/udp"', '"8000-8100:80"', '"8080"')), "customary-port")
    anybody = System(privileged=None)
    assert [finding.port for finding in found(snapshot(compose('"80:80"'), system=anybody), "customary-port")] == [80]
    production = snapshot(compose('"443:443"'), system=anybody, toml="production = true")
    assert not found(production, "customary-port")
    pin = '[[pin]]\nservice = "web"\nport = 8080\nreason = "r"\n'
    assert not found(snapshot(compose('"8080:80"'), toml=pin), "customary-port")


def test_each_port_is_offered_another(tmp_path: Path) -> None:
    """Two ports of one service are told apart by their targets, and each has a free port of its own range."""
    (tmp_path / "compose.yaml").write_text(
        'services: {web: {image: x, ports: ["127.0.0.1:8080:80", "127.0.0.1:3000:90"]}}\n'
    )
    ward = Portward(str(tmp_path), environment={"DOCKER_HOST": "", "HOME": str(tmp_path)})
    fixes = [finding.fixes[0].command or "" for finding in ward.check().findings if finding.rule == "customary-port"]
    assert [fix.partition("=")[0] for fix in fixes] == ["portward set web:80", "portward set web:90"]
    ports = [int(fix.partition("=")[2].split()[0]) for fix in fixes]
    assert len(set(ports)) == 2
    assert all(port in catalog.DEFAULT_RANGES["web"] for port in ports)


def _kubernetes(text: str, published: str, side: Side = Side.CLUSTER) -> PortSpec:
    return PortSpec("kubernetes", Role.HOST, side, Location("k8s.yaml", 9, 17), Span(0, 5), text, "web", published)


@pytest.mark.parametrize(
    ("text", "published", "is_found"),
    [
        ("nodePort: 8080", "8080", True),
        ("nodePort: 29999", "29999", True),
        ("nodePort: 30000", "30000", False),
        ("nodePort: 32767", "32767", False),
        ("nodePort: 32768", "32768", True),
        ("port: 80", "80", False),
        ("{port: 80, nodePort: 30080}", "80", False),
        ('"nodePort": 8080', "8080", True),
    ],
)
def test_a_node_port(text: str, published: str, is_found: bool) -> None:
    """Only a `nodePort` is held against the cluster's range, whatever else stands on its line."""
    made = snapshot({})
    assert made.project is not None
    project = made.project.replace(references=(_kubernetes(text, published),))
    findings = found(made.replace(project=project), "nodeport-range")
    assert bool(findings) is is_found
    for finding in findings:
        assert (finding.severity, finding.service, str(finding.locations[0])) == (Severity.NOTE, "web", "k8s.yaml:9:17")
