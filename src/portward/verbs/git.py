"""The only code that asks git: where its hooks are, and what it knows of a file."""

from __future__ import annotations

import os
import subprocess

from portward.errors import Unavailable

_PATIENCE = 30.0


def hooks_folder(root: str) -> str:
    """Where git looks for the hooks of the repository that a folder is in, by core.hooksPath too.

    Husky's own folder is made anew with each installation: people's hooks are in the one above it.
    Raises Unavailable where there is no git, or no repository.
    """
    status, folder = _asked(root, "rev-parse", "--git-path", "hooks")
    if status:
        raise Unavailable(f"{root} is in no git repository", hint="`git init` makes one")
    path = os.path.normpath(os.path.join(root, os.path.expanduser(folder)))
    above, name = os.path.split(path)
    return above if name == "_" and os.path.basename(above) == ".husky" else path


def has_own_hooks_folder(root: str) -> bool:
    """Whether core.hooksPath says where the hooks are: then others may have the same ones."""
    return _asked(root, "config", "--get", "core.hooksPath")[0] == 0


def is_tracked(root: str, path: str) -> bool:
    """Whether git has a file (relative to the folder) in its index. False where there is no git, or no repository."""
    try:
        return _asked(root, "ls-files", "--error-unmatch", "--", path)[0] == 0
    except Unavailable:
        return False


def is_ignored(root: str, path: str) -> bool:
    """Whether git passes a file over. True where there is no git, or no repository: nothing can be committed there."""
    try:
        return _asked(root, "check-ignore", "--quiet", "--", path)[0] != 1
    except Unavailable:
        return True


def _asked(root: str, *words: str) -> tuple[int, str]:
    """Git's exit status and answer about the repository of a folder, whatever repository a hook of git was started for."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", root, *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"git cannot be asked: {error}") from error
    return done.returncode, os.fsdecode(done.stdout).removesuffix("\n")
