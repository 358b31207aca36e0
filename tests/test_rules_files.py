"""The rules about what one file says and another does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from portward.model import Location, PortSpec, Role, Severity, Side, Snapshot, Span
from tests.judging import compose, found, snapshot

if TYPE_CHECKING:
    from pathlib import Path


def _documented(files: dict[str, str], *ports: str, side: Side = Side.HOST) -> Snapshot:
    """The snapshot of a project whose README.md lists these ports."""
    made = snapshot(files)
    assert made.project is not None
    lines = tuple(
        PortSpec("markdown", Role.HOST, side, Location("docs/README.md", row, 3), Span(0, 1), port, None, port)
        for row, port in enumerate(ports, 1)
    )
    return made.replace(project=made.project.replace(references=(*made.project.references, *lines)))


def test_a_project_without_documented_ports_is_told_once() -> None:
    """One note for all of them; none where nothing fixed is published."""
    files = compose('"3000:80"', '"3001:81"')
    (finding,) = found(snapshot(files), "undocumented-port")
    assert (finding.severity, finding.service, len(finding.locations)) == (Severity.NOTE, None, 2)
    assert "3000, 3001" in finding.message
    assert finding.fixes[0].command == "portward docs --write"
    assert not found(snapshot(compose('"80"')), "undocumented-port")
    assert not found(snapshot({".env": "PORT=3000\n"}), "undocumented-port")


def test_a_port_that_the_documents_miss() -> None:
    """Where the documents list ports, each that is missing has a note of its own; the container's side does not count."""
    files = compose('"3000:80"', '"3001:81"')
    (finding,) = found(_documented(files, "3000"), "undocumented-port")
    assert (finding.service, finding.port) == ("web", 3001)
    assert str(finding.locations[0]) == "compose.yaml:2:38"
    assert not found(_documented(files, "3000-3001"), "undocumented-port")
    (finding,) = found(_documented(files, "3000", "3001", side=Side.CONTAINER), "undocumented-port")
    assert finding.service is None
    assert len(found(_documented(files, "9"), "undocumented-port")) == 2
    assert not found(_documented(compose('"80:80"', '"443:443"'), "9"), "undocumented-port")
    (finding,) = found(_documented(compose('"3000:80"', '"3000:80/udp"'), "9"), "undocumented-port")
    assert len(finding.locations) == 2


def test_an_undefined_variable() -> None:
    """A warning for each variable, with every place that uses it."""
    files = {
        "compose.yaml": 'services:\n  a: {image: x, ports: ["${WEB}:80"]}\n'
        "  b:\n    image: x\n    ports:\n      - {target: 80, published: '${WEB}'}\n"
    }
    (finding,) = found(snapshot(files, free={"a": 20001}), "undefined-variable")
    assert (finding.severity, finding.service) == (Severity.WARNING, "a")
    assert [str(place) for place in finding.locations] == ["compose.yaml:2:25", "compose.yaml:6:33"]
    assert "WEB is not set" in finding.message
    assert "WEB=20001" in finding.fixes[0].title
    assert not found(snapshot({**files, ".env": "WEB=1\n"}), "undefined-variable")
    assert not found(snapshot(files, environment={"WEB": "1"}), "undefined-variable")


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ('ports: ["${P:-80}:80"]', False),
        ('ports: ["${P-}:80"]', False),  # empty by intent
        ('ports: ["${P:-$Q}:80"]', True),
        ("environment: {API_URL: 'http://api:${API_PORT}'}", True),
        ("environment: {PASSWORD: '${PASSWORD}'}", False),  # no port
        ("x-notes: '${API_PORT}'", False),
        ("command: 'serve $$PORT'", False),  # the container's own
    ],
)
def test_which_variables_are_judged(line: str, is_found: bool) -> None:
    """Whatever `ports:` uses, and elsewhere what is called like a port."""
    files = {"compose.yaml": f"services:\n  a:\n    image: x\n    {line}\n"}
    assert bool(found(snapshot(files), "undefined-variable")) is is_found


def test_a_bare_number_among_variables() -> None:
    """A note where at least as many entries use a variable; a file without variables is nobody's business."""
    files = compose('"${A:-3000}:1"', '"6379:6379"', name="red-is")
    (finding,) = found(snapshot(files), "hardcoded-port")
    assert (finding.severity, finding.service, finding.port) == (Severity.NOTE, "red-is", 6379)
    assert "`${RED_IS_PORT:-6379}`" in finding.fixes[0].title
    assert not found(snapshot(compose('"3000:1"', '"6379:6379"')), "hardcoded-port")
    assert not found(snapshot(compose('"${A:-3000}:1"', '"1:1"', '"2:2"')), "hardcoded-port")
    assert not found(snapshot(compose('"${A:-3000}:1"', '"6379"')), "hardcoded-port")


def test_a_bare_number_in_code() -> None:
    """A program's own port and the URL of a service of ours, one note for each file; a default of a variable is right."""
    files = {
        **compose('"5000:80"', name="api"),
        "index.js": "app.listen(4000);\nfetch('http://localhost:5000/x');\n",
        "config.js": "module.exports = { port: process.env.PORT || 5000 };\n",
        "vite.config.js": "export default { server: { port: 5173 } };\n",
        "main.js": "fetch('http://localhost:9999');\nfetch('http://api:80');\nfetch('https://example.com:8443');\n",
    }
    (finding,) = found(snapshot(files), "hardcoded-port")
    assert [str(place) for place in finding.locations] == ["index.js:1:12", "index.js:2:25"]
    assert "4000, 5000" in finding.message
    assert finding.hint == "read it from the environment: `process.env.PORT || 4000`"
    (finding,) = found(snapshot({"main.py": "app.run(port=5000)\n"}), "hardcoded-port")
    assert finding.hint == 'read it from the environment: `os.environ.get("PORT", 5000)`'


def test_an_override_that_appends() -> None:
    """The base file's port stays: a warning at the later entry."""
    files = {
        **compose('"8080:80"', '"9000:90"'),
        "compose.override.yaml": 'services:\n  web:\n    ports: ["8081:80"]\n',
    }
    (finding,) = found(snapshot(files), "override-appends-port")
    assert (finding.severity, finding.service, finding.port) == (Severity.WARNING, "web", 8080)
    assert [str(place) for place in finding.locations] == ["compose.override.yaml:3:13", "compose.yaml:2:27"]
    assert "!override" in finding.fixes[0].title


@pytest.mark.parametrize(
    "override",
    [
        '!override ["8081:80"]',
        '["8080:80"]',  # equal entries are one
        '["127.0.0.1:8081:80"]',
        '["8081:81"]',
        '["8081:80/udp"]',
        '["80"]',
    ],
)
def test_an_override_that_appends_nothing_in_the_way(override: str) -> None:
    """Replaced, equal, another address, target, protocol, or the engine's choice."""
    files = {**compose('"8080:80"'), "compose.override.yaml": f"services: {{web: {{ports: {override}}}}}\n"}
    assert not found(snapshot(files), "override-appends-port")


def test_two_entries_of_one_file_are_meant() -> None:
    """Only files that do not see each other are judged; `extends` from another file is one."""
    assert not found(snapshot(compose('"8080:80"', '"8081:80"')), "override-appends-port")
    files = {
        "base.yaml": 'services: {web: {image: x, ports: ["8080:80"]}}\n',
        "compose.yaml": 'services: {web: {extends: {file: base.yaml, service: web}, ports: ["8081:80"]}}\n',
    }
    assert found(snapshot(files), "override-appends-port")


def test_from_files_on_disk(tmp_path: Path) -> None:
    """The same by the library, from real files."""
    from portward.ward import Portward

    (tmp_path / "compose.yaml").write_text(
        'services: {web: {image: x, ports: ["${NO_SUCH_VARIABLE}:80", "28080:81"]}}\n'
    )
    (tmp_path / "compose.override.yaml").write_text('services: {web: {ports: ["28081:81"]}}\n')
    ward = Portward(str(tmp_path), environment={"DOCKER_HOST": "", "HOME": str(tmp_path)})
    rules = {finding.rule: finding for finding in ward.check().findings}
    assert {"undefined-variable", "override-appends-port", "undocumented-port"} <= rules.keys()
    assert str(rules["undefined-variable"].locations[0]) == "compose.yaml:1:36"
    assert str(rules["override-appends-port"].locations[0]) == "compose.override.yaml:1:26"
