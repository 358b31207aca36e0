"""The log of what was stopped: one JSON document a line, only ever added to, open to its owner alone.

A log of a megabyte gets another name, and a new one is begun: so the newest megabyte is always there, and two are the most.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

LIMIT = 1 << 20
"""Bytes from which on a new log is begun."""

_NAME, _FORMER = "stopped.jsonl", "stopped.1.jsonl"


def path_of(environment: Mapping[str, str]) -> str:
    """Where the log is: `portward/stopped.jsonl` below `$XDG_STATE_HOME`, by default `~/.local/state`."""
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):  # then it counts as not set (XDG Base Directory Specification)
        state = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "portward", _NAME)


@contextmanager
def opened(
    environment: Mapping[str, str], tell: Callable[[str], None]
) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """A function that adds an entry, in one write: those of several processes never mix.

    The log is opened before anything is stopped. Where it cannot be written `tell` gets the reason, and nothing is recorded.
    """
    path = path_of(environment)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = _open(path)
        while _is_former(descriptor, path):
            os.close(descriptor)
            descriptor = _open(path)
    except OSError as error:
        tell(f"nothing is recorded: {path}: {error.strerror}")
        yield lambda _entry: None
        return

    def add(entry: Mapping[str, Any]) -> None:
        try:
            os.write(descriptor, (json.dumps(entry) + "\n").encode("ascii"))
        except OSError as error:
            tell(f"not recorded: {path}: {error.strerror}")

    try:
        yield add
    finally:
        os.close(descriptor)


def _open(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _is_former(descriptor: int, path: str) -> bool:
    """Whether the open log has got the other name: by us, since it is full, or by somebody else meanwhile.

    One at a time, by a lock on it (flock(2)), so that no new log is ever taken for the full one. Who had it open goes on adding to it.
    """
    log = os.fstat(descriptor)
    if os.name != "posix" or log.st_size < LIMIT:
        return False
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        if os.path.samestat(log, os.stat(path, follow_symlinks=False)):
            os.replace(path, os.path.join(os.path.dirname(path), _FORMER))
    except FileNotFoundError:
        return True
    except OSError:
        return False  # then it goes on growing: that is better than no record
    return True
