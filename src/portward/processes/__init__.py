"""Starts a command that keeps its port: `run` hands it the terminal and the signals, and knows whether it got its port.

    status = run(Launch(("uvicorn", "app:app", "--port", "11437"), environment, 11437, hold), listeners=…, tell=print)

The port is the command's from the first moment: either a listening socket is handed over, or the hold (`sockets.hold`) is opened
just before the command starts and shut when the last of its processes has ended.
"""

from __future__ import annotations

import os

from portward.errors import Unavailable
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Protocol

    from portward.model import Listener
    from portward.processes.start import Start

    class Switch(Protocol):
        """A hold on a port, as `sockets.hold.Hold` is one."""

        def open(self) -> None: ...
        def shut(self) -> None: ...
        def close(self) -> None: ...

    class Handed(Protocol):
        """A listening socket, as `socket.socket` is one."""

        def fileno(self) -> int: ...
        def close(self) -> None: ...

    class Listeners(Protocol):
        """Who listens now in our network namespace, with the processes that have each socket open."""

        def __call__(self) -> Sequence[Listener]: ...


class Launch(Record):
    """One start of a command, with all that it gets.

    `environment` is the whole of the child's. `hold` keeps `port` until the command's end, None where ports cannot be held. `handed` is a
    listening socket for the command, which it gets as descriptor 3, `announced` by LISTEN_FDS or not; with it the hold stays shut.
    `known` says that the program is known to bind with SO_REUSEADDR, as an open hold needs it; `serves`, that it may be a server at all: of
    another nobody expects that it takes the port.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int
    hold: Switch | None = None
    handed: Handed | None = None
    announced: bool = False
    known: bool = False
    serves: bool = True


def run(
    launch: Launch,
    *,
    listeners: Listeners,
    tell: Callable[[str], None],
    is_ours: Callable[[Listener], bool] = lambda _row: False,
    retries: int = 0,
    again: Callable[[int], Launch] | None = None,
    in_use: Callable[[str], Collection[int | None]] | None = None,
    explain: Callable[[str, int | None], None] = lambda _text, _port: None,
) -> int:
    """Runs a command to its end, and returns its exit status: 128 + N if a signal N ended it (as a shell does).

    stdin and stdout are the child's alone, and its stderr comes out as it writes it; `tell` gets what there is to say, a sentence each. The child is in our process group.
    A signal that reaches only us is passed on; when it stops, we stop (SIGTSTP), and go on together. On Linux, processes that the command
    left behind in our session are waited for, and so is the hold; daemons (a session of their own) are not.

    `listeners` is asked, at growing intervals, until the command is seen to listen on its port, or for a minute; `is_ours` tells rows that are
    ours although no child's (a container of this project). A server that ends without ever having listened, while somebody else has its port,
    lost it: then, up to `retries` times, `again(port)` gives the launch to try next, on another port, with a new environment for everybody. A program
    that `serves`, is not `known`, and ends within ten seconds like that while nobody has the port was perhaps refused by the hold itself, as it binds
    without SO_REUSEADDR: it is started once more on the same port, without the hold. The holds of former launches are the caller's to close.

    With `in_use`, which gives the ports that a text says are taken (None for one that it does not name), a copy of the child's stderr is read,
    see `hearing`: what it says of its port decides whether the hold refused it, and if it dies by itself, `explain` gets its last words,
    and the port of which all was said already. Without it, nothing that the child writes is read.

    Not promised: that nobody gets the port between the hold's opening and the server's bind, who asks for this very number with SO_REUSEADDR; nor
    without a hold, before the bind. Call it in the main thread of a process that has nothing else to do: it takes the signals and the
    children of the process for itself.

    Raises NotStarted, and Unavailable where there are no POSIX processes.
    """
    if os.name != "posix":
        raise Unavailable("commands can be run on POSIX systems only", hint="`portward env` gives the ports to a shell")
    from portward.processes.signals import Signals
    from portward.processes.start import Start
    from portward.processes.tree import gathered

    left = retries
    with Signals() as signals, gathered():
        while True:
            if (asked := signals.asked_to_end()) is not None:
                return 128 + asked
            start = Start(launch, signals, listeners, is_ours, tell, in_use)
            status = start.follow()
            following = _next(start, again) if left > 0 else None
            if following is None:
                start.explain(retried=retries > 0)
                if start.died:
                    explain(start.last_words, launch.port if start.lost or start.refused else None)
                return status
            launch, left = following, left - 1


def _next(start: Start, again: Callable[[int], Launch] | None) -> Launch | None:
    """The launch to try after one that failed for its port's sake, None after any other."""
    launch = start.launch
    if start.lost and again is not None:
        return again(launch.port)
    if start.refused and launch.hold is not None:
        launch.hold.close()
        return launch.replace(hold=None)
    return None
