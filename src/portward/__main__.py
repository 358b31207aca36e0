"""The program: `portward` as it is installed, and `python -m portward`."""

from __future__ import annotations

import atexit
import os
import sys

from portward import cli

UNWRITTEN = 120  # as Python says it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Runs the command of `sys.argv` and leaves with its exit status.

    It leaves at once, with all written and what was registered for the end done: to take the interpreter apart would cost
    more than most answers. No thread of ours lives longer than its verb.
    """
    status = cli.main()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            status = status or UNWRITTEN
    os._exit(status)


if __name__ == "__main__":
    main()
