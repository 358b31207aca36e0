"""What a command writes to stderr, passed on as it comes, and the last of it kept (POSIX).

A process of its own passes it on, in a session of its own: it outlives whoever still writes there, so that no daemon loses its stderr when
`run` ends, and neither the keyboard nor a stop reaches it. A terminal stays one for the command: it writes to a pseudo-terminal in
raw mode, of the same size, and what it writes is drawn by the real one (pty(7), termios(3)).
"""

from __future__ import annotations

import os
import select
import stat
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

KEPT = 1 << 16
"""Bytes of the end that are kept."""

_STDOUT, _STDERR = 1, 2
_PIECE = 1 << 16
_QUIET = 0.05  # seconds without a byte after which a pseudo-terminal is taken to be empty: its bytes come by way of the kernel's work queue
_LONGEST = 5.0  # seconds that a reader of our stderr may take before the command's end is no longer waited for
_RESIZED = b"w"


class Hearing:
    """One command's stderr. `streams` are the descriptors that it gets, by number; `started` closes them here.

    Where stdout is the very same file or pipe, both go the same way, so that their lines stay in order; a terminal's stdout is never touched.
    """

    @classmethod
    def open(cls) -> Self | None:
        """Starts to listen. None where nobody would read what we say (no stderr, /dev/null), at the journal, which knows
        its own clients by their descriptor (systemd.exec(5), JOURNAL_STREAM), and where there are no pseudo-terminals.
        """
        try:
            kind = os.fstat(_STDERR)
            terminal = os.isatty(_STDERR)
            journal = os.environ.get("JOURNAL_STREAM") == f"{kind.st_dev}:{kind.st_ino}"
            if journal or (stat.S_ISCHR(kind.st_mode) and not terminal):
                return None
            return cls(terminal, both=not terminal and os.path.samestat(kind, os.fstat(_STDOUT)))
        except OSError:
            return None

    def __init__(self, terminal: bool, *, both: bool) -> None:
        source, writing = _terminal() if terminal else os.pipe()
        asked, self._ask = os.pipe()
        self._answer, answer = os.pipe()
        self.streams: Mapping[int, int] = {_STDERR: writing, **({_STDOUT: writing} if both else {})}
        self._terminal = terminal
        self._writing = writing
        pid = os.fork()
        if pid == 0:
            try:
                _keep_only({_STDERR, source, asked, answer})
                os.setsid()
                _Passing(source, asked, answer, terminal).run()
            finally:
                os._exit(0)
        for descriptor in (source, asked, answer):
            os.close(descriptor)

    def started(self) -> None:
        """The command has its descriptors: ours are closed, so that the end of all who write there is seen."""
        os.close(self._writing)

    def resized(self) -> bool:
        """The terminal has another size: the command's has it too, when this returns. False where it has no terminal of ours."""
        if not self._terminal:
            return False
        with suppress(BrokenPipeError):
            os.write(self._ask, _RESIZED)
            return bool(_within(self._answer, _LONGEST) and os.read(self._answer, len(_RESIZED)))
        return False

    def last_words(self) -> str:
        """The end of what was written, when all of it has been passed on; "" if a reader of our stderr keeps that waiting. Once only."""
        os.close(self._ask)
        heard = bytearray()
        while _within(self._answer, _LONGEST) and (piece := os.read(self._answer, _PIECE)):
            heard += piece
        os.close(self._answer)
        return heard.decode("utf-8", "replace")


class _Passing:
    """The process that passes on. `asked` gets a byte for each new size, and its end asks for the last words."""

    def __init__(self, source: int, asked: int, answer: int, terminal: bool) -> None:
        self._source, self._asked, self._answer = source, asked, answer
        self._terminal = terminal
        self._kept = bytearray()

    def run(self) -> None:
        """Until all who write have ended, or nobody reads any more: then they are told by the closed descriptor, as without us."""
        os.set_blocking(self._source, True)
        watched = [self._source, self._asked]
        while True:
            ready, _, _ = select.select(watched, (), ())
            if self._source in ready:
                if not self._pass_on():
                    break
            elif self._asked in ready and not self._requested():
                watched = [self._source]
        if len(watched) > 1:
            self._tell()

    def _pass_on(self) -> bool:
        try:
            piece = os.read(self._source, _PIECE)
        except OSError:  # EIO: the last writer of a pseudo-terminal has closed it
            return False
        self._kept += piece
        del self._kept[:-KEPT]
        view = memoryview(piece)
        while view:
            view = view[os.write(_STDERR, view) :]
        return bool(piece)

    def _requested(self) -> bool:
        """Does what is asked for. Returns False after the last words, which are told when nothing is left to be passed on."""
        if os.read(self._asked, len(_RESIZED)):
            _same_size(self._source)
            os.write(self._answer, _RESIZED)
            return True
        while _within(self._source, _QUIET if self._terminal else 0):
            if not self._pass_on():
                break
        self._tell()
        return False

    def _tell(self) -> None:
        with suppress(BrokenPipeError):  # the one who asked has ended
            view = memoryview(bytes(self._kept))
            while view:
                view = view[os.write(self._answer, view) :]
        os.close(self._answer)


def _within(descriptor: int, seconds: float) -> bool:
    """Whether there is something to read, or its end, within so many seconds."""
    return bool(select.select([descriptor], (), (), seconds)[0])


def _terminal() -> tuple[int, int]:
    """A pseudo-terminal of stderr's size that changes nothing of what is written: what to read, and what to write to."""
    import tty

    reading, writing = os.openpty()
    tty.setraw(writing)
    _same_size(reading)
    return reading, writing


def _same_size(descriptor: int) -> None:
    """Gives a pseudo-terminal the size of stderr's terminal."""
    import termios

    with suppress(OSError, termios.error):
        termios.tcsetwinsize(descriptor, termios.tcgetwinsize(_STDERR))


def _keep_only(descriptors: set[int]) -> None:
    """Closes all others: whoever reads our stdout, or wants a port that a socket of ours holds, waits for their end."""
    following = 0
    for descriptor in sorted(descriptors):
        os.closerange(following, descriptor)
        following = descriptor + 1
    os.closerange(following, os.sysconf("SC_OPEN_MAX"))
