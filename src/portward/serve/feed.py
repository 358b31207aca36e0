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
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager

    from portward.model import Listener, Reading
    from portward.verbs.watching import Lookout

    News = dict[str, Any]

TURN_SECONDS = 1.0
"""How soon it is seen that nobody watches any more, or that a look was asked for. What starts and stops is seen at once."""

SHARE, LONGEST_REST = 0.04, 0.5
"""The part of a core that looks may cost while much comes and goes, unless they would be further apart than so many seconds."""

REMEMBERED = 500
"""How many comings and goings are kept for those who look later."""


class Feed:
    """News for watchers, by a lookout that is open while there is one."""

    def __init__(self, open_lookout: Callable[[], AbstractContextManager[Lookout]]) -> None:
        self._open = open_lookout
        self._lock = Lock()
        self._watchers: set[_Watcher] = set()
        self._wake = Event()
        self._ended = False
        self._is_stale = False
        self._reading: Reading | None = None
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
        """Something was changed: the next look is soon, whether sockets came or went or not."""
        self._is_stale = True

    def end(self) -> None:
        """Lets every watcher go."""
        self._ended = True
        self._wake.set()
        with self._lock:
            for watcher in self._watchers:
                watcher.tell(None)

    @property
    def _is_watched(self) -> bool:
        with self._lock:
            return bool(self._watchers) and not self._ended

    def _run(self) -> None:
        while not self._ended:
            self._wake.wait()
            self._wake.clear()
            while self._is_watched:
                try:
                    with self._open() as lookout:
                        self._follow(lookout)
                except PortwardError as error:
                    self._tell({"trouble": documents.error(error)["error"]})
                    time.sleep(TURN_SECONDS)

    def _follow(self, lookout: Lookout) -> None:
        self._is_stale = True
        while self._is_watched:
            if self._is_stale or lookout.wait(TURN_SECONDS):
                self._is_stale = False
                began = time.thread_time()
                self._update(lookout.look()[0])
                time.sleep(min(LONGEST_REST, (time.thread_time() - began) / SHARE))

    def _update(self, reading: Reading) -> None:
        if reading == self._reading:
            return
        self._reading = reading
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
