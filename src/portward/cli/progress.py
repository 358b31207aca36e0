"""What is told on a terminal while a verb takes longer than a second: one line, gone before anything else is written."""

from __future__ import annotations

import _thread
import sys
import time

from portward.cli import printable

_CLEAR = "\r\x1b[K"  # the beginning of the line, and nothing behind it (ECMA-48, CR and EL)
_FIRST_SECONDS = 1.0
_EACH_SECONDS = 0.5
_LONGEST = 99


class Progress:
    """The line, from when it is made until `end`. `step` is told what is being done."""

    def __init__(self, verb: str) -> None:
        self._step = verb
        self._began = time.monotonic()
        self._writing = _thread.allocate_lock()
        self._is_over = self._is_shown = False
        _thread.start_new_thread(self._run, ())

    def step(self, told: str) -> None:
        """What is being done now."""
        self._step = told

    def end(self) -> None:
        """Takes the line away, and writes none any more."""
        with self._writing:
            self._is_over = True
            if self._is_shown:
                print(_CLEAR, end="", file=sys.stderr, flush=True)

    def _run(self) -> None:
        time.sleep(_FIRST_SECONDS)
        while self._written():
            time.sleep(_EACH_SECONDS)

    def _written(self) -> bool:
        with self._writing:
            if not self._is_over:
                self._is_shown = True
                line = printable(f"{time.monotonic() - self._began:.0f} s: {self._step}"[:_LONGEST])
                print(f"{_CLEAR}{line}", end="", file=sys.stderr, flush=True)
            return not self._is_over
