"""Signals of a process that stands between a terminal or a supervisor and a child (POSIX).

The child stays in this process's group, so that a terminal reaches it directly, and so does whoever ends the whole group. What reaches only
this process is passed on. Linux tells the two apart: a signal of the terminal comes from the kernel (`si_code` SI_KERNEL, sigaction(2)).
Elsewhere a signal that a terminal can send counts as the terminal's where there is one.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_SI_KERNEL = 128
_FROM_TERMINALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGWINCH, signal.SIGHUP, signal.SIGCONT)
_PASSED_ON = (*_FROM_TERMINALS, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_STEP = 0.05  # seconds between two looks where the system cannot wait with a time limit

ENDING = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM})
"""Signals that ask to come to an end."""


class Arrival:
    """A signal that arrived; `reached_child` if the child has had it already."""

    def __init__(self, number: int, reached_child: bool) -> None:
        self.number = number
        self.reached_child = reached_child


class Signals:
    """While it lasts, signals are taken one by one by `wait` instead of interrupting. Those that were ignored stay ignored.

    For the main thread of a process without others. `before` is the mask to give back to a child.
    """

    def __enter__(self) -> Self:
        self._taken = {each for each in _PASSED_ON if signal.getsignal(each) is not signal.SIG_IGN} | {signal.SIGCHLD}
        self._child_handler = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)  # the default one discards it
        self.before = signal.pthread_sigmask(signal.SIG_BLOCK, self._taken)
        return self

    def __exit__(self, *_exception: object) -> None:
        signal.signal(signal.SIGCHLD, self._child_handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self.before)

    def wait(self, seconds: float | None) -> Arrival | None:
        """The next signal, or None when none came for so long. Without a limit, waits until one comes."""
        if not hasattr(signal, "sigtimedwait"):
            return self._poll(seconds)
        info = signal.sigwaitinfo(self._taken) if seconds is None else signal.sigtimedwait(self._taken, seconds)
        return Arrival(info.si_signo, info.si_code == _SI_KERNEL) if info else None

    def asked_to_end(self) -> int | None:
        """The signal that asked this process to end while it had no child to pass it on to. Takes all that have come so far."""
        asked = None
        while (arrival := self.wait(0)) is not None:
            asked = arrival.number if arrival.number in ENDING else asked
        return asked

    def _poll(self, seconds: float | None) -> Arrival | None:
        end = None if seconds is None else time.monotonic() + seconds
        while not (pending := signal.sigpending() & self._taken):
            if end is not None and time.monotonic() >= end:
                return None
            time.sleep(_STEP)
        number = signal.sigwait(pending)
        return Arrival(number, number in _FROM_TERMINALS and has_terminal())


def has_terminal() -> bool:
    """Whether this process's session has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
