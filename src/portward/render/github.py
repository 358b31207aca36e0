"""The answer of `check` as workflow commands of GitHub Actions, which shows them beside the lines of a pull request.

    ::error file=docker-compose.yml,line=22,col=9,title=address-in-use::backend cannot have 5000: …

Source: GitHub's documentation, "Workflow commands for GitHub Actions", and what its toolkit escapes (actions/toolkit,
packages/core/src/command.ts).
"""

from __future__ import annotations

from portward.model import Severity
from portward.render.ci import in_repository, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.answers import Check
    from portward.model import Finding

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def check(answer: Check, base: str) -> Iterator[str]:
    """A command for each finding. Paths are relative to `base`, the folder of the repository."""
    root = answer.project.root if answer.project else base
    for finding in answer.findings:
        yield _command(finding, root, base)


def _command(finding: Finding, root: str, base: str) -> str:
    properties = {}
    if finding.locations:
        place = finding.locations[0]
        properties = {"file": in_repository(place.path, root, base), "line": place.line, "col": place.column}
    properties["title"] = finding.rule
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{_COMMANDS[finding.severity]} {listed}::{_data(told(finding))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
