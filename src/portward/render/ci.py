"""What the formats for CI have in common: paths as the repository has them, and a finding with its way out as one text."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Finding


def in_repository(path: str, root: str, base: str) -> str:
    """A path of the project in `root`, relative to the repository in `base` with `/` between the parts; absolute outside of it."""
    full = os.path.normpath(os.path.join(root, path))
    relative = os.path.relpath(full, base)
    return (full if relative.startswith(os.pardir + os.sep) else relative).replace(os.sep, "/")


def told(finding: Finding) -> str:
    """The message and, on a line of its own, the hint with the command that does it."""
    command = next((fix.command for fix in finding.fixes if fix.title == finding.hint and fix.command), None)
    hint = f"{finding.hint}: `{command}`" if command else finding.hint
    return f"{finding.message}\nhint: {hint}" if hint else finding.message
