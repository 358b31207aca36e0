"""The answer of `check` as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format"), for code scanning in CI.

One run; every rule is described, every finding is a result, an ignored one a suppressed result. Section numbers are those of
the standard.
"""

from __future__ import annotations

from portward import __version__
from portward.render.ci import in_repository, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from portward.answers import Check, RuleDoc
    from portward.model import Finding, Ignore, Location

    Document = dict[str, Any]

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
FINGERPRINT = "portwardFinding/v1"


def check(answer: Check, rules: Sequence[RuleDoc], base: str) -> Document:
    """The log. Paths are relative to `base`, the folder of the repository, where they lie in it."""
    made = _Results(answer, rules, base)
    run = {
        "tool": {
            "driver": {
                "name": "Portward",
                "semanticVersion": __version__,
                "rules": [_descriptor(rule) for rule in rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [_invocation(answer)],
        "results": [
            *(made.result(finding) for finding in answer.findings),
            *(made.suppressed(finding, ignore) for finding, ignore in answer.ignored),
        ],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptor(rule: RuleDoc) -> Document:
    """A reportingDescriptor (3.49). Code scanning shows `help` beside a result."""
    return {
        "id": rule.name,
        "shortDescription": {"text": _escaped(rule.summary)},
        "fullDescription": {"text": _escaped(rule.summary)},
        "help": {"text": _escaped(rule.text), "markdown": _escaped(rule.text)},
        "defaultConfiguration": {"level": str(rule.severity)},
    }


def _invocation(answer: Check) -> Document:
    """What could not be read, as notifications (3.20.21): the results stand without it."""
    notes = [
        {"level": "note", "message": {"text": _escaped(f"{entry.what}: {entry.reason}")}} for entry in answer.skipped
    ]
    return {"executionSuccessful": True, "toolExecutionNotifications": notes}


class _Results:
    """Makes results, each with a fingerprint that no other one of the run has."""

    def __init__(self, answer: Check, rules: Sequence[RuleDoc], base: str) -> None:
        self.root = answer.project.root if answer.project else base
        self.base = base
        self.indexes = {rule.name: index for index, rule in enumerate(rules)}
        self.seen: dict[str, int] = {}

    def result(self, finding: Finding) -> Document:
        """A result (3.27). The first location is the finding's own; the others are what it has to do with."""
        document: Document = {
            "ruleId": finding.rule,
            "level": str(finding.severity),
            "message": {"text": _escaped(told(finding))},
            "partialFingerprints": {FINGERPRINT: self._fingerprint(finding)},
        }
        if finding.rule in self.indexes:
            document["ruleIndex"] = self.indexes[finding.rule]
        if finding.locations:
            document["locations"] = self._locations(finding.locations[:1])
        if finding.locations[1:]:
            document["relatedLocations"] = self._locations(finding.locations[1:])
        return document

    def suppressed(self, finding: Finding, ignore: Ignore) -> Document:
        """A result that somebody decided to live with (3.35)."""
        return {**self.result(finding), "suppressions": [{"kind": "external", "justification": ignore.reason}]}

    def _locations(self, places: Iterable[Location]) -> list[Document]:
        return [
            {
                "physicalLocation": {
                    "artifactLocation": self._artifact(place.path),
                    "region": {"startLine": place.line, "startColumn": place.column},
                }
            }
            for place in places
        ]

    def _artifact(self, path: str) -> Document:
        from urllib.parse import quote

        path = in_repository(path, self.root, self.base)
        if path.startswith("/"):
            return {"uri": f"file://{quote(path)}"}
        return {"uri": quote(path), "uriBaseId": "%SRCROOT%"}

    def _fingerprint(self, finding: Finding) -> str:
        """The same while the finding is, wherever its lines move to (3.27.17); equal ones are numbered."""
        from hashlib import sha256

        place = finding.locations[0] if finding.locations else None
        facts = (finding.rule, finding.service, place and place.path, place and place.excerpt, finding.port)
        digest = sha256("\0".join(str(fact or "") for fact in facts).encode()).hexdigest()[:16]
        self.seen[digest] = self.seen.get(digest, 0) + 1
        return f"{digest}:{self.seen[digest]}"


def _escaped(text: str) -> str:
    """Braces stand for placeholders in a message unless they are doubled (3.11.5)."""
    return text.replace("{", "{{").replace("}", "}}")
