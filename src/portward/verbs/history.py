"""Who held a port before: what `ls --watch` and `run` wrote down, what `kill` keeps a log of, and what the lease store knows.

The kernel keeps no such record, so only what was looked at is known: a listener that came and went while nobody watched is in none of
these. The file is one JSON document a line, open to its owner alone, and holds no command lines, which may have secrets.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager, suppress

from portward.answers import Past
from portward.model import Reclaimed, Transport
from portward.processes import stop_log
from portward.wording import brief, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from portward.answers import Event, WhoAnswer
    from portward.model import Lease, Listener

FULL_BYTES = 1 << 20
"""A file of this size becomes the old one, in the place of the one before: two such files are all that is ever kept."""

SHOWN = 20
"""How much of a port's past is told."""

_NAME, _OLD = "history.jsonl", "history.old.jsonl"
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_LONGEST_TAIL = 2 * FULL_BYTES
_BEHIND_SECONDS = 60.0  # at most, between what two see who watch at the same time


@contextmanager
def recording(
    environment: Mapping[str, str], tell: Callable[[str], None]
) -> Iterator[Callable[[Sequence[Event]], None]]:
    """A function that writes events down. Where that cannot be, `tell` gets the reason once, and nothing is recorded.

    What was there at the beginning is written only where the history does not have it yet.
    """
    file = _File(environment, tell)
    held = _held(_documents(_paths(environment)))

    def record(events: Sequence[Event]) -> None:
        entries = [_entry(event.listener, event.kind, event.when) for event in events]
        file.add([each for each in entries if each["what"] != "present" or _key(each) not in held])

    try:
        yield record
    finally:
        file.close()


def ran(environment: Mapping[str, str], port: int, name: str, project: str | None, what: str) -> None:
    """Writes down that `run` started a command on a port (`what` is "ran"), or that it has ended ("ended")."""
    file = _File(environment, lambda _reason: None)
    entry = {"time": _told(time.time()), "what": what, "by": "run", "port": port, "transport": "tcp", "address": ""}
    file.add([{**entry, "who": shown(name), "pid": None, "user": None, "project": project}])
    file.close()


def past(
    environment: Mapping[str, str], port: int, transport: Transport, leases: Iterable[Lease | Reclaimed] = ()
) -> tuple[Past, ...]:
    """What is known of a port's holders, the latest first, `SHOWN` at most. A line that makes no sense is passed over."""
    known = [*_seen(environment, port, transport), *_stopped(environment, port, transport)]
    known += (_of_lease(each) for each in leases if _lease(each).port == port and _lease(each).transport is transport)
    known.sort(key=lambda each: each.when, reverse=True)
    return tuple(known[:SHOWN])


def told(answer: WhoAnswer, environment: Mapping[str, str], leases: Sequence[Lease | Reclaimed]) -> WhoAnswer:
    """The answer of `who` with the past of its ports."""
    rows = (row.replace(history=past(environment, row.port, row.transport, leases)) for row in answer.ports)
    return answer.replace(ports=tuple(rows))


class _File:
    """The history as it is written: added to, and put aside when it is full, by as many processes as there are."""

    def __init__(self, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._old, self._path = _paths(environment)
        self._tell: Callable[[str], None] | None = tell
        self._descriptor: int | None = None

    def add(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Writes entries in one piece, so that those of several processes never mix."""
        if not entries:
            return
        try:
            descriptor = self._opened()
            os.write(descriptor, "".join(f"{json.dumps(entry)}\n" for entry in entries).encode("ascii"))
            if os.fstat(descriptor).st_size > FULL_BYTES:
                self._put_aside(descriptor)
        except OSError as error:
            if self._tell:
                self._tell(f"not recorded: {self._path}: {error.strerror}")
            self._tell = None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _opened(self) -> int:
        """The file that has the name now: another process may have put the one we had aside."""
        if self._descriptor is not None and not _is_at(self._descriptor, self._path):
            self.close()
        if self._descriptor is None:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            self._descriptor = os.open(self._path, _FLAGS, 0o600)
        return self._descriptor

    def _put_aside(self, descriptor: int) -> None:
        with suppress(ImportError):
            from fcntl import LOCK_EX, flock

            flock(descriptor, LOCK_EX)  # whoever comes second finds another file there
        if _is_at(descriptor, self._path):
            os.replace(self._path, self._old)
        self.close()


def _is_at(descriptor: int, path: str) -> bool:
    with suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False


def _paths(environment: Mapping[str, str]) -> tuple[str, str]:
    """The old file and the one that is written."""
    folder = os.path.dirname(stop_log.path_of(environment))
    return os.path.join(folder, _OLD), os.path.join(folder, _NAME)


def _documents(paths: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The entries of files, the oldest first: of each the last two mebibytes."""
    for path in paths:
        with suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _LONGEST_TAIL))
            for line in file:
                with suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        yield entry


def _entry(row: Listener, what: str, when: float) -> dict[str, Any]:
    process = row.processes[0] if row.processes and row.container is None else None
    return {
        "time": _told(when),
        "what": what,
        "by": "watch",
        "port": row.port,
        "transport": str(row.transport),
        "address": row.endpoint.address,
        "netns": row.netns,
        "who": shown(process.name) if process else brief(row),
        "pid": process.pid if process else None,
        "user": row.user or (process.user if process else None),
        "project": row.project,
        "socket": row.cookie,
    }


def _key(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells a socket from any other: the kernel's number of it; where that is not known, who has it."""
    owner = entry.get("socket") or (entry.get("who"), entry.get("pid"))
    return (*(entry.get(name) for name in ("port", "transport", "address", "netns")), owner)


def _held(entries: Iterable[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    """Who holds a port by the history alone: came, and did not go."""
    held: set[tuple[Any, ...]] = set()
    for entry in entries:
        with suppress(TypeError):  # not hashable: not ours
            (held.discard if entry.get("what") == "stop" else held.add)(_key(entry))
    return held


def _seen(environment: Mapping[str, str], port: int, transport: Transport) -> Iterator[Past]:
    lives: dict[tuple[Any, ...], _Life] = {}
    for entry in _documents(_paths(environment)):
        if entry.get("port") != port or entry.get("transport") != transport or entry.get("netns"):
            continue
        with suppress(LookupError, TypeError, ValueError):
            seen = Past(
                _moment(entry["time"]),
                str(entry["what"]),
                str(entry["by"]),
                shown(str(entry["who"])),
                str(entry["address"]),
                entry.get("pid"),
                entry.get("user"),
                entry.get("project"),
            )
            if seen.by != "watch":
                yield seen
                continue
            life = lives.get(_key(entry))
            if life is None or life.is_over_before(seen, has_number=bool(entry.get("socket"))):
                if life is not None:
                    yield from life.told
                lives[_key(entry)] = _Life(seen)
            else:
                life.add(seen)
    for life in lives.values():
        yield from life.told


class _Life:
    """What is told of one socket, where several watched at the same time: each writes down what it sees, the slower one behind the other."""

    def __init__(self, first: Past) -> None:
        self.told = [first]

    def is_over_before(self, seen: Past, *, has_number: bool) -> bool:
        """Whether what is seen is of another life: a socket that has ended does not begin again, its number may after the machine did."""
        last = self.told[-1]
        return (
            last.what == "stop" and seen.what != "stop" and not (has_number and seen.when - last.when < _BEHIND_SECONDS)
        )

    def add(self, seen: Past) -> None:
        """Takes what those before have not told. Who has the socket may be known later, to one who looked before it was closed."""
        last = self.told[-1]
        if last.pid is None and seen.pid is not None:
            self.told = [_of_the_same(each, seen) if each.pid is None else each for each in self.told]
        if seen.what == "stop" and last.what != "stop":
            self.told.append(_of_the_same(seen, last) if seen.pid is None else seen)
        elif seen.what == "owner" and last.what != "stop" and (seen.who, seen.pid) != (last.who, last.pid):
            self.told.append(seen)


def _of_the_same(one: Past, other: Past) -> Past:
    """What happened to the holder that the other tells of."""
    return one.replace(who=other.who, pid=other.pid, user=other.user, project=other.project)


def _stopped(environment: Mapping[str, str], port: int, transport: Transport) -> Iterator[Past]:
    for entry in _documents([stop_log.path_of(environment)]):
        with suppress(LookupError, TypeError, ValueError):
            if f"{port}/{transport}" in entry["ports"] and entry["result"] == "stopped":
                pid = entry["pids"][0] if entry["pids"] else None
                yield Past(_moment(entry["time"]), "stopped", "kill", shown(str(entry["what"])), "", pid, entry["user"])


def _of_lease(known: Lease | Reclaimed) -> Past:
    lease = _lease(known)
    what, when = ("reclaimed", known.when) if isinstance(known, Reclaimed) else ("leased", lease.granted)
    holder = lease.holder
    return Past(
        when, what, "lease", shown(holder.service), "", None, holder.user, os.path.basename(holder.project) or None
    )


def _lease(known: Lease | Reclaimed) -> Lease:
    return known.lease if isinstance(known, Reclaimed) else known


def _told(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when)) + f".{int(when % 1 * 1000):03}Z"


def _moment(text: object) -> float:
    from datetime import datetime

    return datetime.fromisoformat(str(text)).timestamp()
