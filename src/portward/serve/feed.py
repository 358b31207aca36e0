"""What listens, live: one thread looks while somebody watches, and tells every watcher what came and what went."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

from portward import wire
from portward.errors import PortwardError
from portward.render import documents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from portward.model import Listener, Reading

    News = dict[str, Any]

SECONDS = 0.25
"""Between two glances: a listener is shown within a second of its start."""

SHARE = 0.04
"""The part of a core that glances may cost: where they take long, they come less often."""

FULL_SECONDS = 5.0
"""After which all is looked at again, though no socket came or went: owners and containers may have changed."""

REMEMBERED = 500
"""How many comings and goings are kept for those who look later."""


class Feed:
    """News for watchers. `glimpse` says cheaply whether anything is another than before, `look` reads all of it."""

    def __init__(self, look: Callable[[], Reading], glimpse: Callable[[], Hashable]) -> None:
        self._look = look
        self._glimpse = glimpse
        self._lock = Lock()
        self._watchers: set[_Watcher] = set()
        self._wake = Event()
        self._ended = False
        self._rows: dict[str, News] = {}
        self._skipped: list[News] = []
        self._history: deque[News] = deque(maxlen=REMEMBERED)
        self._thread: Thread | None = None

    async def news(self) -> AsyncIterator[News]:
        """First all that is known, then each change, until the feed ends."""
        watcher = _Watcher(asyncio.get_running_loop())
        with self._lock:
            self._watchers.add(watcher)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="feed", daemon=True)
                self._thread.start()
            elif self._rows:
                watcher.tell(self._all())
        self._wake.set()
        try:
            while (told := await watcher.queue.get()) is not None:
                yield told
        finally:
            with self._lock:
                self._watchers.discard(watcher)

    def look_now(self) -> None:
        """Something was changed: the next look is at once, and at everything."""
        self._seen = None
        self._wake.set()

    def end(self) -> None:
        """Lets every watcher go."""
        self._ended = True
        self._wake.set()
        with self._lock:
            for watcher in self._watchers:
                watcher.tell(None)

    _seen: Hashable = None

    def _run(self) -> None:
        looked = 0.0
        while not self._ended:
            with self._lock:
                is_watched = bool(self._watchers)
            if not is_watched:
                self._wake.wait()
                self._wake.clear()
                self._seen = None
                continue
            began = time.thread_time()
            try:
                seen = self._glimpse()
                if seen != self._seen or time.monotonic() - looked > FULL_SECONDS:
                    self._seen = seen
                    self._update(self._look())
                    looked = time.monotonic()
            except PortwardError as error:
                self._tell({"trouble": documents.error(error)["error"]})
            self._wake.wait(max(SECONDS, (time.thread_time() - began) / SHARE))
            self._wake.clear()

    def _update(self, reading: Reading) -> None:
        rows = dict(_keyed(reading.listeners))
        skipped = documents.ls(reading)["skipped"]
        is_first = not self._rows
        come = {key: row for key, row in rows.items() if key not in self._rows}
        gone = [key for key in self._rows if key not in rows]
        changed = {key: row for key, row in rows.items() if key in self._rows and self._rows[key] != row}
        if not (is_first or come or gone or changed or skipped != self._skipped):
            return
        now = time.time()
        if not is_first:
            self._history += [{"at": now, "what": "stopped", "row": self._rows[key]} for key in gone]
            self._history += [{"at": now, "what": "started", "row": row} for row in come.values()]
        with self._lock:
            self._rows, self._skipped = rows, skipped
        if is_first:
            self._tell(self._all())
        else:
            self._tell(
                {"at": now, "rows": {**come, **changed}, "gone": gone, "started": list(come), "skipped": skipped}
            )

    def _all(self) -> News:
        return {"all": self._rows, "history": list(self._history), "skipped": self._skipped}

    def _tell(self, news: News) -> None:
        with self._lock:
            for watcher in self._watchers:
                watcher.tell(news)


class _Watcher:
    """One who watches: news cross from the thread to their event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.queue: asyncio.Queue[News | None] = asyncio.Queue()

    def tell(self, news: News | None) -> None:
        self._loop.call_soon_threadsafe(self.queue.put_nowait, news)


def _keyed(rows: tuple[Listener, ...]) -> list[tuple[str, News]]:
    """Each row's document under a name that stays the same while it listens."""
    found: dict[str, News] = {}
    for row in rows:
        name = f"{row.transport} {row.endpoint} {row.netns or ''}"
        same = sum(key.startswith(f"{name} #") for key in found) if f"{name} #0" in found else 0
        found[f"{name} #{same}"] = wire.listener(row)
    return list(found.items())
