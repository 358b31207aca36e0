"""The git hook that gives a new working tree its ports, in a repository that goes on working where Portward is absent."""

from __future__ import annotations

import os
from contextlib import suppress

from portward.answers import Change, Changes
from portward.errors import NoPlan, Unavailable
from portward.formats import marked
from portward.formats.splice import diff
from portward.verbs import git

FILE = ".env.local"
HOOK = "post-checkout"
"""What `git worktree add` runs in the new tree (githooks(5)), with 1 as its third argument."""

_ABOUT = "ports for a new worktree; `portward init --git-hook --remove --write` takes this out"
_BODY = (
    'if [ "${3:-0}" = 1 ] && [ -f .git ] && command -v portward >/dev/null 2>&1; then',
    f"    portward env --into {FILE} --write -q </dev/null || :",
    "fi",
)
_SHELLS = ("sh", "bash", "dash", "zsh", "ksh", "ash")


def plan(root: str, *, remove: bool, write: bool) -> Changes:
    """The hook with Portward's block, or with `remove` without it: what would change, and with `write`, what has.

    What the hook does otherwise stays, and its block comes first: a script may end anywhere. Raises NoPlan for a hook
    that is no shell script, Unavailable where there is no repository or the hook cannot be written.
    """
    path = os.path.join(git.hooks_folder(root), HOOK)
    before = _read(path)
    after = _removed(before, path) if remove else _added(before, path)
    remarks = () if remove else tuple(_remarks(root, path))
    if after == (before or ""):
        return Changes((), "", remarks=remarks)
    change = Change(path, 1, before or "", after, None)
    if write:
        _write(path, after)
    return Changes((change,), diff(path, before, after or None), written=write, remarks=remarks, undoable=False)


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError:
        raise NoPlan(f"{path} is a program, not a shell script", hint=_by_hand()) from None
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error


def _added(before: str | None, path: str) -> str:
    text = before or "#!/bin/sh\n"
    first = text.partition("\n")[0]
    if not first.startswith("#!") or first.split()[-1].rpartition("/")[2] not in _SHELLS:
        raise NoPlan(f"{path} is no shell script: it begins with {first!r}", hint=_by_hand())
    return marked.with_first(text, marked.block(_BODY, _ABOUT), path)


def _removed(before: str | None, path: str) -> str:
    """The hook without the block; nothing where nothing but its first line is left."""
    text = marked.without(before or "", path)
    return "" if text.startswith("#!") and len(text.splitlines()) == 1 and text != before else text


def _remarks(root: str, path: str) -> list[str]:
    found = []
    if git.has_own_hooks_folder(root):
        found.append(
            f"core.hooksPath: {os.path.dirname(path)} may have the hooks of other repositories, or of everybody"
        )
    if git.is_tracked(root, FILE):
        found.append(f"{FILE} is tracked by git: the hook will leave it alone")
    elif not git.is_ignored(root, FILE):
        found.append(f"git does not ignore {FILE}: a line in .gitignore keeps it from being committed")
    return found


def _by_hand() -> str:
    return f"have it run `portward env --into {FILE} --write` in a new working tree"


def _write(path: str, text: str) -> None:
    """Puts the script in place at once, executable; an empty text takes it away."""
    path = os.path.realpath(path)
    part = f"{path}.portward-{os.getpid()}"
    try:
        if not text:
            os.unlink(path)
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        mode = os.stat(path).st_mode & 0o777 if os.path.exists(path) else 0o644
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(part, mode | (mode & 0o444) >> 2)
        os.replace(part, path)
    except OSError as error:
        with suppress(OSError):
            os.unlink(part)
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
