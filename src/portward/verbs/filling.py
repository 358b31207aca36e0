"""How a file of variables gets the ports of its working tree: between marks, and never where git would tell them to others."""

from __future__ import annotations

import os

from portward.errors import UsageError
from portward.formats import marked
from portward.formats.assignments import assignments
from portward.verbs import git

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ABOUT = "the ports of this working tree, as `portward env` tells them"


def require_own(root: str, path: str) -> None:
    """Raises UsageError for a file (relative to the root) that is not this working tree's alone."""
    if os.path.isabs(path) or os.path.normpath(path).startswith(".."):
        raise UsageError(f"{path} is not below {root}", hint="the file's path is told from the project's folder")
    if os.path.islink(os.path.join(root, path)):
        raise UsageError(f"{path} is a link: another working tree may have the same file", hint="remove the link")
    if git.is_tracked(root, path):
        raise UsageError(
            f"{path} is tracked by git: everybody would get the ports of this working tree",
            hint=f"choose a file that git ignores, or: `git rm --cached {path}`",
        )


def remarks(root: str, path: str) -> tuple[str, ...]:
    """What people should know of the file."""
    if git.is_ignored(root, path):
        return ()
    return (f"git does not ignore {path}: a line in .gitignore keeps it from being committed",)


def filled(before: str, values: Mapping[str, str], path: str) -> str:
    """The file with the variables at its end. Raises InvalidFile where an earlier block of them does not end."""
    return marked.with_last(before, marked.block([*assignments(values, "dotenv")], _ABOUT), path)
