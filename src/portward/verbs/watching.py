"""What listens, as it comes and goes: for `ls --watch`, the dashboard and `top`. Sockets tell when to look; the look is that of `ls`,
owners asked for the new ones only.
"""

from __future__ import annotations

import time
from contextlib import closing, contextmanager

from portward.answers import Event
from portward.model import State
from portward.wording import forwarding_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from portward.model import Listener, Reading
    from portward.sockets import WatchingReader

REMEMBERED_SECONDS = 10.0
"""After so long all owners are looked at anew: one may have given its socket away."""

_ENGINE_SECONDS = 5.0  # a container that is published by packet rules alone opens no socket that could tell of it
_SETTLING_SECONDS = 1.0  # until an engine says for which container it forwards, or what nobody has open is closed


class Lookout:
    """Looks again and again, and tells when another look is worth it.

    `look` gives the rows that are wanted, by `reader`, which remembers owners from now on: it is to be for nothing else, and nothing may be
    stopped by what it says. `record` is given what came and went. Raises Unavailable as `SocketReader.read` does.
    """

    def __init__(
        self,
        reader: WatchingReader,
        look: Callable[[], Reading],
        clock: Callable[[], float],
        record: Callable[[Sequence[Event]], None] = lambda _events: None,
        *,
        udp: bool = False,
        all_netns: bool = False,
    ) -> None:
        reader.remember(REMEMBERED_SECONDS)
        self._read = look
        self._clock = clock
        self._record = record
        self._shown: dict[object, Listener] | None = None
        self._orphaned: set[object] = set()
        self._due = 0.0
        self._changes = reader.changes(udp=udp, all_netns=all_netns)
        self._changes.wait(0)

    def look(self) -> tuple[Reading, tuple[Event, ...]]:
        """What is there, and what came and went since the last look. Sockets that are bound without listening are no events, nor are the
        claims of stopped containers: nobody can connect to them.
        """
        reading = self._read()
        now = {_identity(row): row for row in reading.listeners if row.state in (State.LISTEN, State.UDP)}
        ending = self._just_orphaned(now)
        now |= ending
        events = tuple(_events(self._shown or {}, now, self._clock(), self._shown is None))
        self._shown = now
        settles = any(row.container is None and forwarding_engine(row) for row in now.values() if row.processes)
        fresh = settles and any(event.kind == "start" for event in events)
        self._due = time.monotonic() + (_SETTLING_SECONDS if fresh or ending else _ENGINE_SECONDS)
        self._record(events)
        return reading, events

    def _just_orphaned(self, now: dict[object, Listener]) -> dict[object, Listener]:
        """Sockets that nobody has open any more since the last look, as they were then: whose process ends, loses its descriptors a
        moment before they are closed. What is still so at the next look is told.
        """
        before = self._shown or {}
        orphaned = {
            identity
            for identity, row in now.items()
            if not row.processes and row.container is None and identity in before and before[identity].processes
        }
        ending = {identity: before[identity] for identity in orphaned - self._orphaned}
        self._orphaned = orphaned
        return ending

    def wait(self, seconds: float = float("inf")) -> bool:
        """Until another look is worth it, since a socket came or went or the last look is old; at most `seconds`. Whether it is."""
        left = max(0.0, self._due - time.monotonic())
        return self._changes.wait(min(seconds, left)) or time.monotonic() >= self._due

    def close(self) -> None:
        """Lets go of all that is open."""
        self._changes.close()


@contextmanager
def recorded(
    recording: AbstractContextManager[Callable[[Sequence[Event]], None]],
    open_lookout: Callable[[Callable[[Sequence[Event]], None]], Lookout],
) -> Iterator[Lookout]:
    """A lookout whose events are written down by `recording`, until the end of the block."""
    with recording as record, closing(open_lookout(record)) as lookout:
        yield lookout


def watch(lookout: Lookout) -> Iterator[tuple[Reading, tuple[Event, ...]]]:
    """What is there, then what changes, as soon as it does, without end: each time the whole reading, and the events since the last."""
    is_first = True
    while True:
        reading, events = lookout.look()
        if events or is_first:
            yield reading, events
        is_first = False
        lookout.wait()


def _events(
    before: dict[object, Listener], now: dict[object, Listener], when: float, is_first: bool
) -> Iterator[Event]:
    """The differences: who stopped, before who started, since a server that is started anew does both."""
    yield from (Event("stop", when, row) for identity, row in before.items() if identity not in now)
    for identity, row in now.items():
        if identity not in before:
            yield Event("present" if is_first else "start", when, row)
        elif _owner(row) != _owner(before[identity]):
            yield Event("owner", when, row)


def _identity(row: Listener) -> object:
    """What tells a socket from any other, whatever becomes of its owners; without one, the endpoint and its owners."""
    return (row.netns, row.cookie) if row.cookie else (row.netns, row.endpoint, _owner(row))


def _owner(row: Listener) -> object:
    if row.container is not None:
        return row.container.id
    return tuple((process.pid, process.started and round(process.started)) for process in row.processes)
