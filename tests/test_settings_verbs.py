"""What the settings do to the verbs: severities, ignores, pins, ranges and kinds, by whole processes on real files."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward import rules
from portward.model import Severity
from tests.judging import compose, found, snapshot

if TYPE_CHECKING:
    from pathlib import Path

DATABASE = 'services:\n  ledger: {{image: x, ports: ["{port}:1"]}}\n'


def test_severities_are_as_set() -> None:
    """A rule has the severity that it is given, is off, or keeps its own."""
    files = compose('"8080:80"', '"5432:5432"', image="image: postgres", name="s")
    made = snapshot(files, toml='[severity]\ncustomary-port = "error"\nexposed-database = "off"\n')
    assert [finding.severity for finding in found(made, "customary-port")] == [Severity.ERROR]
    assert not found(made, "exposed-database")
    assert rules.judge(made)[0].rule == "customary-port"


@pytest.mark.parametrize(
    ("limits", "is_ignored"),
    [
        ("", True),
        ('service = "s"', True),
        ('service = "t"', False),
        ("port = 8080", True),
        ("port = 8081", False),
        ('path = "compose.yaml"', True),
        ('path = "compose*"', True),
        ('path = "*.yml"', False),
        ('service = "s"\nport = 8080\npath = "*"', True),
        ('service = "s"\nport = 8081', False),
    ],
)
def test_what_an_ignore_matches(limits: str, is_ignored: bool) -> None:
    """All that it says must fit; one that fits nothing is told, with its own place."""
    toml = f'[[ignore]]\nrule = "customary-port"\nreason = "so it is"\n{limits}\n'
    made = snapshot(compose('"8080:80"', name="s"), toml=toml)
    verdict = rules.verdict(made)
    assert bool(found(made, "customary-port")) is not is_ignored
    assert [(finding.rule, ignore.reason) for finding, ignore in verdict.ignored] == (
        [("customary-port", "so it is")] if is_ignored else []
    )
    assert [str(finding.locations[0]) for finding in found(made, "unused-ignore")] == (
        [] if is_ignored else ["portward.toml:1:3"]
    )


def test_an_ignore_that_may_match_another_time_is_not_unused() -> None:
    """What runs, what this system is like, and a profile that is not active come and go."""
    files = {"compose.yaml": 'services:\n  a: {image: x, profiles: [debug], ports: ["8080:80"]}\n  b: {image: x}\n'}
    for rule, more, is_told in (
        ("address-in-use", "", False),
        ("claimed-by-other-project", "", False),
        ("privileged-port", "", False),
        ("customary-port", 'service = "a"', False),
        ("customary-port", 'service = "b"', True),
    ):
        toml = f'[[ignore]]\nrule = "{rule}"\nreason = "r"\n{more}\n'
        assert bool(found(snapshot(files, toml=toml), "unused-ignore")) is is_told


def test_an_unused_ignore_can_be_ignored_or_off() -> None:
    """It is a rule like any other."""
    toml = '[[ignore]]\nrule = "customary-port"\nreason = "r"\n'
    assert found(snapshot(compose(), toml=toml), "unused-ignore")
    assert not found(snapshot(compose(), toml=f'[severity]\nunused-ignore = "off"\n{toml}'), "unused-ignore")
    both = f'{toml}[[ignore]]\nrule = "unused-ignore"\nreason = "r"\n'
    assert not found(snapshot(compose(), toml=both), "unused-ignore")


# Whole processes


def _run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {**os.environ, "DOCKER_HOST": "", "XDG_CONFIG_HOME": str(cwd / "config"), **environment}
    return subprocess.run(
        [sys.executable, "-m", "portward", *words], cwd=cwd, env=base, capture_output=True, text=True, timeout=60
    )


def _json(*words: str, cwd: Path) -> tuple[dict[str, Any], int]:
    done = _run(*words, "--json", cwd=cwd)
    document: dict[str, Any] = json.loads(done.stdout)
    return document, done.returncode


@pytest.fixture
def project(tmp_path: Path, free_port: int) -> Path:
    """A project that publishes a free port for a service that nothing but `[kinds]` knows as a database."""
    (tmp_path / "compose.yaml").write_text(DATABASE.format(port=free_port))
    return tmp_path


def test_check_ignores_and_counts(project: Path) -> None:
    """An ignored finding is not shown, does not fail, and is listed with its reason in JSON."""
    settings = project / "portward.toml"
    settings.write_text('[kinds]\nledger = "database"\n[severity]\nexposed-database = "error"\n')
    document, status = _json("check", cwd=project)
    assert (status, document["summary"]["errors"], document["ignored"]) == (1, 1, [])
    settings.write_text(
        settings.read_text() + '[[ignore]]\nrule = "exposed-database"\nservice = "ledger"\nreason = "no way in"\n'
    )
    document, status = _json("check", cwd=project)
    assert (status, document["summary"]["errors"]) == (0, 0)
    (ignored,) = document["ignored"]
    assert (ignored["rule"], ignored["service"], ignored["reason"]) == ("exposed-database", "ledger", "no way in")
    text = _run("check", cwd=project)
    assert "1 finding is ignored by the settings" in text.stdout
    assert "on all interfaces" not in text.stdout
    assert "(no way in)" in _run("check", "-v", cwd=project).stdout


def test_offers_come_from_the_settings_range(project: Path, free_port: int) -> None:
    """The port that is offered is of the kind and of the range that the project chose."""
    (project / "portward.toml").write_text('[ranges]\ngpu = "23000-23099"\n[kinds]\nledger = "gpu"\n')
    with socket.create_server(("0.0.0.0", free_port)):
        document, status = _json("check", cwd=project)
    (finding,) = [finding for finding in document["findings"] if finding["severity"] == "error"]
    assert status == 1
    assert "free in the gpu range 23000-23099" in finding["fixes"][0]["title"]
    assert _json("services", cwd=project)[0]["services"][0]["kind"] == "gpu"


def test_a_pinned_service_is_not_moved(project: Path, free_port: int) -> None:
    """Its port in a stranger's hands: no offer to move, but the reason for the pin, and how to stop the stranger."""
    (project / "portward.toml").write_text(f'[[pin]]\nservice = "ledger"\nport = {free_port}\nreason = "audited"\n')
    with socket.create_server(("0.0.0.0", free_port)):
        document, _ = _json("check", cwd=project)
    (finding,) = [finding for finding in document["findings"] if finding["severity"] == "error"]
    assert finding["hint"] == f"ledger is pinned to {free_port}: audited"
    assert [fix["command"] for fix in finding["fixes"]] == [f"portward kill {free_port}"]


def test_find_keeps_to_ranges_and_pins(project: Path, free_port: int) -> None:
    """`find` picks from the range for other services, and never gives what is pinned for somebody."""
    settings = project / "portward.toml"
    settings.write_text(f'[ranges]\nother = "{free_port}-{free_port}"\n')
    assert _json("find", cwd=project) == ({"ports": [free_port]}, 0)
    settings.write_text(settings.read_text() + f'[[pin]]\nservice = "ledger"\nport = {free_port}\nreason = "r"\n')
    done = _run("find", cwd=project)
    assert (done.returncode, done.stdout) == (1, "")
    (given,) = _json("find", str(free_port), cwd=project)[0]["ports"]
    assert given > free_port


def test_the_hint_of_a_port_keeps_to_the_settings(project: Path, free_port: int) -> None:
    """`check PORT` of a taken port offers one from the settings' range."""
    (project / "portward.toml").write_text('[ranges]\nother = "24000-24099"\n')
    with socket.create_server(("0.0.0.0", free_port)):
        document, _ = _json("check", str(free_port), cwd=project)
    assert "free in the other range 24000-24099" in document["findings"][0]["hint"]


def test_the_users_own_settings(project: Path) -> None:
    """They apply where the project says nothing, and its word wins."""
    (project / "config/portward").mkdir(parents=True)
    user = project / "config/portward/config.toml"
    user.write_text('[kinds]\nledger = "database"\n[severity]\nexposed-database = "error"\n')
    assert _run("check", cwd=project).returncode == 1
    (project / "portward.toml").write_text('[severity]\nexposed-database = "note"\n')
    assert _run("check", cwd=project).returncode == 0
    user.write_text("kind = 1\n")
    done = _run("check", cwd=project)
    assert done.returncode == 2
    assert done.stderr.startswith(f"{user}:1:1: 'kind' is not a key here")


def test_a_mistake_in_the_settings(project: Path) -> None:
    """Project verbs and `find` refuse with the place; what only looks goes on and lists it under `skipped`."""
    (project / "portward.toml").write_text('[severity]\ncustomary-prot = "off"\n')
    for words in (["check"], ["services"], ["find"]):
        done = _run(*words, cwd=project)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("portward.toml:2:1: there is no rule 'customary-prot'")
        assert "hint: did you mean customary-port?" in done.stderr
        document, _ = _json(*words, cwd=project)
        assert (document["error"]["path"], document["error"]["line"]) == ("portward.toml", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        for words in (["ls"], ["who", "1"], ["check", str(server.getsockname()[1])]):
            document, status = _json(*words, cwd=project)
            assert status in (0, 1)
            assert any(entry["what"] == "portward.toml:2:1" for entry in document["skipped"])


def test_settings_that_cannot_be_read(project: Path) -> None:
    """A folder of that name, or a file that is no text, is an error with its path; a broken home is no settings."""
    (project / "portward.toml").write_bytes(b"\xff\xfe")
    assert _run("check", cwd=project).stderr.startswith("portward.toml: not a text in UTF-8")
    (project / "portward.toml").unlink()
    (project / "portward.toml").mkdir()
    assert _run("check", cwd=project).stderr.startswith("portward.toml: cannot read it")
    (project / "portward.toml").rmdir()
    assert _run("check", cwd=project, XDG_CONFIG_HOME="/dev/null").returncode == 0


def test_without_settings_nothing_is_loaded_for_them(project: Path) -> None:
    """No reader of TOML where there is no file; and `check PORT` of a free port never looks for one."""
    code = "import sys; from portward.cli import main; main(sys.argv[1:]); print('tomllib' in sys.modules, file=sys.stderr)"
    for words, toml, is_loaded in ((["check"], None, False), (["check"], "", True), (["check", "1"], "", False)):
        if toml is not None:
            (project / "portward.toml").write_text(toml)
        done = subprocess.run(
            [sys.executable, "-c", code, *words],
            cwd=project,
            env={**os.environ, "DOCKER_HOST": "", "XDG_CONFIG_HOME": str(project)},
            capture_output=True,
            text=True,
        )
        assert done.stderr.splitlines()[-1] == str(is_loaded)
