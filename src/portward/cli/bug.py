"""The log of a bug: a traceback and versions, without the environment and without local variables."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from contextlib import suppress

from portward import __version__

KEPT = 20  # logs; older ones go


def write_log(error: BaseException) -> str:
    """Writes a log file for an exception, readable by its owner alone, and returns its path. The latest 20 are kept."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    folder = os.path.join(state, "portward")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, path = tempfile.mkstemp(prefix=time.strftime("bug-%Y%m%d-%H%M%S-"), suffix=".log", dir=folder)
    except OSError:
        descriptor, path = tempfile.mkstemp(prefix="portward-bug-", suffix=".log")
    else:
        with suppress(OSError):
            _forget(folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"portward {__version__}, Python {sys.version.split()[0]}, {platform.platform()}\n\n")
        file.writelines(traceback.format_exception(error))
    return path


def _forget(folder: str) -> None:
    """Removes all but the latest logs of a folder. Their names begin with their time."""
    logs = sorted(name for name in os.listdir(folder) if name.startswith("bug-") and name.endswith(".log"))
    for name in logs[:-KEPT]:
        with suppress(OSError):  # another has done it
            os.unlink(os.path.join(folder, name))
