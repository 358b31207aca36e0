"""`check` as people read it: what is wrong in full, notes in a line each, and how much is ignored."""

from __future__ import annotations

from typing import Any

import pytest

from portward.answers import Check, PortReport, ServiceReport
from portward.model import Finding, Fix, Ignore, Location, PortState, Reading, Severity
from portward.render.text import WIDTH, Paint, check
from tests.judging import compose, snapshot

PLACE = Location("compose.yaml", 2, 27, '"8080:80"')


def _finding(rule: str, severity: Severity, **facts: Any) -> Finding:
    return Finding(rule, severity, f"what {rule} says", locations=(PLACE,), **facts)


def _lines(*findings: Finding, full: bool = False, **facts: Any) -> list[str]:
    project = snapshot(compose('"8080:80"')).project
    assert project is not None
    (service,) = project.services
    reports = tuple(PortReport(spec, PortState.FREE, (), ()) for spec in service.claims)
    answer = Check((), findings, Reading(()), project, (ServiceReport(service, reports),), **facts)
    lines = list(check(answer, Paint(False), full))
    assert all(len(line) <= WIDTH for line in lines)
    return lines


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ([], "all free"),
        ([("customary-port", "note")], "all free"),
        ([("privileged-port", "warning")], "1 warning"),
        ([("fixed-port-with-replicas", "error"), ("privileged-port", "warning")] * 2, "2 errors, 2 warnings"),
        ([("address-in-use", "error"), ("exposed-database", "error")], "1 in the way, 1 more error"),
        ([("address-in-use", "error"), ("exposed-database", "warning")], "1 in the way, 1 warning"),
        ([("stale-port-reference", "warning"), ("x", "warning")] * 2, "2 stale references, 2 more warnings"),
    ],
)
def test_the_first_line_counts(found: list[tuple[str, str]], verdict: str) -> None:
    """How many ports, and what is wrong with them; notes are not."""
    findings = [_finding(rule, Severity(severity)) for rule, severity in found]
    assert _lines(*findings)[0] == f"shop: 1 port published, {verdict}"


def test_notes_take_a_line_each() -> None:
    """Below the table, one by its message, several of a rule by service and port; the hint says how to see more."""
    notes = (
        _finding("customary-port", Severity.NOTE, service="a", port=8080),
        _finding("customary-port", Severity.NOTE, service="b", port=3000),
        _finding("unused-ignore", Severity.NOTE),
    )
    lines = _lines(_finding("privileged-port", Severity.WARNING, hint="do this"), *notes)
    assert lines[2:5] == ["warning: what privileged-port says", '  compose.yaml:2:27   "8080:80"', "  hint: do this"]
    assert lines[-4:] == [
        "",
        "note: customary-port: a 8080, b 3000",
        "note: what unused-ignore says",
        "hint: `portward check -v` tells each note in full",
    ]
    assert lines.index("note: what unused-ignore says") > next(
        row for row, line in enumerate(lines) if line.startswith("SERVICE")
    )


def test_notes_in_full() -> None:
    """Each with its place and its way out, like an error."""
    fix = Fix("publish it on 13000", "portward set a=13000 --write", True)
    note = _finding("customary-port", Severity.NOTE, service="a", port=8080, hint=fix.title, fixes=(fix,))
    lines = _lines(note, note, full=True)
    assert lines.count("note: what customary-port says") == 2
    assert lines.count("  hint: publish it on 13000: `portward set a=13000 --write`") == 2
    assert not [line for line in lines if "-v" in line]


def test_long_notes_are_cut() -> None:
    """A note never takes a second line."""
    note = Finding("customary-port", Severity.NOTE, "x" * 300)
    assert _lines(note)[-2] == f"note: {'x' * (WIDTH - 7)}…"


def test_what_is_ignored_is_counted() -> None:
    """Only the number; in full each with its reason."""
    ignored = ((_finding("customary-port", Severity.NOTE), Ignore("customary-port", "so it is")),)
    assert _lines(ignored=ignored)[-2:] == ["", "1 finding is ignored by the settings"]
    assert _lines(ignored=ignored * 2)[-1] == "2 findings are ignored by the settings"
    assert _lines(ignored=ignored, full=True)[-1] == "ignored: what customary-port says (so it is)"


def test_a_project_without_ports_still_has_findings() -> None:
    """What is wrong is told, also where nothing is published."""
    project = snapshot({}).project
    lines = list(check(Check((), (_finding("unused-ignore", Severity.WARNING),), Reading(()), project), Paint(False)))
    assert lines[0].startswith("shop: no port is declared")
    assert "warning: what unused-ignore says" in lines
