"""The log of what was stopped: one JSON document a line, only ever added to, open to its owner alone."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

_NAME = "stopped.jsonl"


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
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(path, flags, 0o600)
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
