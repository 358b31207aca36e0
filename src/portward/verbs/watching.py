"""What listens, as it comes and goes: `ls --watch`. Sockets tell when to look; the look is that of `ls`, owners asked for the new ones only."""

from __future__ import annotations

from portward.answers import Event
from portward.model import State
from portward.wording import forwarding_engine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portward.model import Listener, Reading
    from portward.sockets import WatchingReader

REMEMBERED_SECONDS = 10.0
"""After so long all owners are looked at anew: one may have given its socket away."""

_ENGINE_SECONDS = 5.0  # a container that is published by packet rules alone opens no socket that could tell of it
_SETTLING_SECONDS = 1.0  # until an engine says for which container it forwards


def watch(
    reader: WatchingReader,
    look: Callable[[], Reading],
    clock: Callable[[], float],
    *,
    udp: bool,
    all_netns: bool,
) -> Iterator[tuple[Reading, tuple[Event, ...]]]:
    """What is there, then what changes, as soon as it does, without end: each time the whole reading, and the events since the last.

    `look` gives the rows that are wanted, by `reader`, which remembers owners from now on: it is to be for nothing else. Sockets that are bound without listening are passed over, and so are the claims of stopped
    containers: nobody can connect to them. Raises Unavailable as `SocketReader.read` does.
    """
    reader.remember(REMEMBERED_SECONDS)
    changes = reader.changes(udp=udp, all_netns=all_netns)
    shown: dict[object, Listener] = {}
    is_first = True
    try:
        changes.wait(0)
        while True:
            reading = look()
            now = {_identity(row): row for row in reading.listeners if row.state in (State.LISTEN, State.UDP)}
            events = tuple(_events(shown, now, clock(), is_first))
            if events or is_first:
                yield reading, events
            settles = any(row.container is None and forwarding_engine(row) for row in now.values() if row.processes)
            fresh = settles and any(event.kind == "start" for event in events)
            shown, is_first = now, False
            changes.wait(_SETTLING_SECONDS if fresh else _ENGINE_SECONDS)
    finally:
        changes.close()


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
