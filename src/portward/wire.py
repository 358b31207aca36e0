"""Listeners and leases as the plain dictionaries of `ls --json` and `leases --json`, and back: what machines tell each other.

What comes back is another machine's word. It is read strictly, its texts and lists are cut at lengths that no honest answer has, and
nothing in it is obeyed. What the dictionaries do not carry (a socket's cookie, a process's start in ticks) comes back as not known.
"""

from __future__ import annotations

from portward.model import (
    Container,
    Endpoint,
    Identity,
    Listener,
    Owners,
    Process,
    Skipped,
    State,
    Transport,
)
from portward.model.live import LAST_PORT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from typing import Any

    from portward.model import Lease

    Document = dict[str, Any]


LONGEST = 4096
"""Characters of a text that is read: the longest path of Linux (PATH_MAX, limits.h). The rest is cut."""

MOST = 1000
"""Entries of a list inside a listener that are read: processes of a socket, words of a command. The rest is left out."""


_MOST_COUNTED = 1 << 20
_FEW = 8  # ports that are looked for in the text before it is parsed, which takes ten times as long


class Malformed(ValueError):
    """A value that is not what it is said to be."""


class Unread:
    """Another machine's listeners, in the JSON text that they came in. Their number is told; each look reads them anew.

    There may be hundreds of thousands in a fleet, and an answer shows a few. `text` is a list of LISTENERs, or gives one and may raise
    Malformed; `count` is how many there are said to be.
    """

    def __init__(self, text: bytes | str | Callable[[], bytes], count: int) -> None:
        self._text = text
        self._count = max(0, min(count, _MOST_COUNTED))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Listener]:
        return self.on(None)

    def __contains__(self, row: object) -> bool:
        return any(row == each for each in self)

    def on(self, ports: Collection[int] | None, words: Collection[str] = ()) -> Iterator[Listener]:
        """Those on the given ports, or all; with `words` (in lower case) at least those in whose names, commands or folders one occurs.

        Raises Malformed for what is no list of listeners, as far as it is read: not where none can be.
        """
        import json

        text = self._text() if callable(self._text) else self._text
        if ports is not None and len(ports) <= _FEW and not any(_occurs(str(port), text) for port in ports):
            return
        if words and _can_be_sought(words, text) and not any(_occurs(word, text.lower()) for word in words):
            return
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"not JSON: {error}") from None
        if type(rows) is not list:
            raise Malformed("the listeners are not a list")
        for row in rows:
            if words and not _mentions(row, words):
                continue
            if ports is None or (type(row) is dict and type(row.get("port")) is int and row["port"] in ports):
                yield read_listener(row)


def _can_be_sought(words: Collection[str], text: bytes | str) -> bool:
    """Whether words stand in JSON as they are, wherever they occur in a text: an escaped letter may have an ASCII one as its lower case."""
    plain = all(word.isascii() and word.isprintable() and not set(word) & set(' "\\') for word in words)
    return plain and not _occurs("\\u", text)


def _mentions(value: object, words: Collection[str]) -> bool:
    """Whether a word occurs in one of the texts in a value, or in a list of texts as a whole."""
    if type(value) is str:
        text = value.lower()
        return any(word in text for word in words)
    if type(value) is dict:
        return any(_mentions(each, words) for each in value.values())
    if type(value) is not list:
        return False
    if value and type(value[0]) is str:
        return _mentions(" ".join(each for each in value if type(each) is str), words)
    return any(_mentions(each, words) for each in value)


def _occurs(word: str, text: bytes | str) -> bool:
    return word in text if isinstance(text, str) else word.encode() in text


def listener(row: Listener) -> Document:
    """A LISTENER of the contract."""
    container = row.container
    return {
        "transport": str(row.transport),
        "address": row.endpoint.address or "::",  # every address of both families, as a dual-stack socket has it
        "port": row.port,
        "state": str(row.state),
        "v6only": row.endpoint.v6only if row.endpoint.address else False,
        "user": row.user,
        "owners": str(row.owners),
        "processes": [process(each) for each in row.processes],
        "container": None
        if container is None
        else {
            "id": container.id,
            "name": container.name,
            "image": container.image,
            "project": container.project,
            "service": container.service,
            "target": container.target,
            "status": container.status,
            "folder": container.folder,
        },
        "netns": row.netns,
        "project": row.project,
        "service": row.service,
        "note": row.note,
        **({"identity": identity(row.identity)} if row.identity else {}),
    }


def process(row: Process) -> Document:
    """A process of a LISTENER."""
    return {
        "pid": row.pid,
        "name": row.name,
        "command": list(row.command),
        "user": row.user,
        "cwd": row.cwd,
        "started": moment(row.started),
        "unit": row.unit,
    }


def identity(answer: Identity) -> Document:
    """What answers at a target."""
    endpoint = answer.endpoint
    return {
        "target": answer.target,
        "service": answer.service,
        "version": answer.version,
        "confidence": answer.confidence,
        "evidence": list(answer.evidence),
        "by": answer.by,
        "answers": answer.answers,
        "address": endpoint.address if endpoint else None,
        "port": endpoint.port if endpoint else None,
        "customary": list(answer.customary),
    }


def lease(row: Lease, live: bool) -> Document:
    """A LEASE of the contract; `live` is whether somebody has the port now."""
    holder = row.holder
    return {
        "host": row.host,
        "netns": row.netns or None,
        "transport": str(row.transport),
        "port": row.port,
        "service": f"{holder.service}:{holder.instance}" if holder.instance else holder.service,
        "project": holder.project,
        "worktree": holder.worktree,
        "kind": str(row.kind),
        "preferred": row.preferred,
        "state": "live" if live else "idle",
        "token": row.token,
        "confirmed": bool(row.token),
        "granted": moment(row.granted),
        "expires": moment(row.expires),
        "scope": "fleet" if row.hosts else "host",
        "hosts": list(row.hosts),
    }


def moment(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC; None for a time that no calendar has."""
    if seconds is None:
        return None
    from datetime import UTC, datetime

    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def read_listener(value: object) -> Listener:
    """The listener that a dictionary tells of. Raises Malformed."""
    row = _mapping(value, "a listener")
    port = row.get("port")
    if type(port) is not int or not 0 < port <= LAST_PORT:
        raise Malformed(f"{port!r:.40} is not a port")
    v6only = row.get("v6only")
    told = row.get("identity")
    try:
        transport, state, owners = Transport(row["transport"]), State(row["state"]), Owners(row.get("owners", "none"))
    except (KeyError, ValueError):
        raise Malformed("a listener has no known transport, state and owners") from None
    return Listener(
        endpoint=Endpoint(_text(row, "address"), port, transport, v6only if type(v6only) is bool else None),
        state=state,
        user=_text_or_none(row, "user"),
        owners=owners,
        processes=tuple(map(read_process, _list(row, "processes"))),
        container=None if row.get("container") is None else _container(row["container"]),
        netns=_text_or_none(row, "netns"),
        project=_text_or_none(row, "project"),
        service=_text_or_none(row, "service"),
        note=_text_or_none(row, "note"),
        identity=None if told is None else _identity(told),
    )


def read_process(value: object) -> Process:
    """The process that a dictionary tells of. Raises Malformed."""
    row = _mapping(value, "a process")
    return Process(
        pid=_number(row, "pid"),
        name=_text(row, "name"),
        command=_texts(row, "command"),
        user=_text_or_none(row, "user"),
        cwd=_text_or_none(row, "cwd"),
        started=_seconds(row, "started"),
        unit=_text_or_none(row, "unit"),
    )


def _container(value: object) -> Container:
    row = _mapping(value, "a container")
    return Container(
        id=_text(row, "id"),
        name=_text(row, "name"),
        image=_text(row, "image"),
        project=_text_or_none(row, "project"),
        service=_text_or_none(row, "service"),
        target=None if row.get("target") is None else _number(row, "target"),
        status=_text_or_none(row, "status") or "",
        folder=_text_or_none(row, "folder"),
    )


def _identity(value: object) -> Identity:
    row = _mapping(value, "an identity")
    answers, address = row.get("answers"), _text_or_none(row, "address")
    return Identity(
        target=_text(row, "target"),
        service=_text_or_none(row, "service"),
        version=_text_or_none(row, "version"),
        confidence=_text_or_none(row, "confidence"),
        by=_text_or_none(row, "by"),
        evidence=_texts(row, "evidence"),
        answers=answers if type(answers) is bool else None,
        endpoint=None if address is None else Endpoint(address, _number(row, "port")),
        customary=_texts(row, "customary"),
    )


def read_lease(value: object) -> tuple[Lease, bool]:
    """The lease that a dictionary tells of, and whether somebody has its port. Raises Malformed."""
    from portward.model import Holder, Lease, LeaseKind

    row = _mapping(value, "a lease")
    service, _, instance = _text(row, "service").partition(":")
    try:
        transport, kind = Transport(row["transport"]), LeaseKind(row["kind"])
    except (KeyError, ValueError):
        raise Malformed("a lease has no known transport and kind") from None
    found = Lease(
        host=_text(row, "host"),
        netns=_text_or_none(row, "netns") or "",
        transport=transport,
        port=_number(row, "port"),
        holder=Holder(_text(row, "project"), _text(row, "worktree"), service, instance),
        kind=kind,
        token=_text(row, "token"),
        granted=_seconds(row, "granted") or 0.0,
        expires=_seconds(row, "expires"),
        preferred=None if row.get("preferred") is None else _number(row, "preferred"),
        hosts=_texts(row, "hosts"),
    )
    return found, row.get("state") == "live"


def read_skipped(value: object) -> Skipped:
    """What another machine could not see. Raises Malformed."""
    row = _mapping(value, "an entry of skipped")
    return Skipped(_text(row, "what"), _text(row, "reason"))


def _mapping(value: object, what: str) -> Mapping[str, Any]:
    if type(value) is not dict:
        raise Malformed(f"{what} is not a JSON object")
    return value


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if type(value) is not str:
        raise Malformed(f"{key} is not a text")
    return value[:LONGEST]


def _text_or_none(row: Mapping[str, Any], key: str) -> str | None:
    value = row.get(key)
    if value is None:
        return None
    if type(value) is not str:
        raise Malformed(f"{key} is not a text")
    return value[:LONGEST]


def _number(row: Mapping[str, Any], key: str) -> int:
    value = row.get(key)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise Malformed(f"{key} is not a number")
    return value


def _list(row: Mapping[str, Any], key: str) -> list[Any]:
    value = row.get(key, [])
    if type(value) is not list:
        raise Malformed(f"{key} is not a list")
    return value[:MOST]


def _texts(row: Mapping[str, Any], key: str) -> tuple[str, ...]:
    values = _list(row, key)
    if not all(type(each) is str for each in values):
        raise Malformed(f"{key} is not a list of texts")
    return tuple(each[:LONGEST] for each in values)


def _seconds(row: Mapping[str, Any], key: str) -> float | None:
    """ISO 8601 with an offset as seconds since the epoch."""
    text = _text_or_none(row, key)
    if text is None:
        return None
    from datetime import datetime

    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError
        return found.timestamp()
    except (ValueError, OverflowError):
        raise Malformed(f"{key} is not a time") from None
