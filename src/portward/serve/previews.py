"""What was shown in the browser or to an agent, and may be done: each preview has an id that is good once, for a few minutes."""

from __future__ import annotations

import secrets
import threading

from portward.errors import UsageError
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from portward.answers import Changes
    from portward.stops import StopPlan

SECONDS = 300.0


class Preview(Record):
    """What a verb would do, as it was shown: what it was asked with, and the change of files or the ports to be freed that would come of it."""

    verb: str
    asked: Mapping[str, Any]
    shown: Changes | StopPlan


class Previews:
    """The previews of one server. Ids cannot be guessed; `clock` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Preview]] = {}

    def keep(self, preview: Preview) -> str:
        """The id by which a preview can be taken."""
        name = secrets.token_hex(6)
        with self._lock:
            self._forget()
            self._kept[name] = (self._clock() + SECONDS, preview)
        return name

    def take(self, name: str, verb: str) -> Preview:
        """The preview of an id, once. Raises UsageError where there is none of this verb, or its time is over."""
        with self._lock:
            self._forget()
            _, preview = self._kept.get(name, (0.0, None))
            if preview is None or preview.verb != verb:
                raise UsageError(
                    "there is no such preview, or no more",
                    hint="look at it again, without preview_id: it is good once, for five minutes",
                )
            del self._kept[name]
        return preview

    def _forget(self) -> None:
        now = self._clock()
        self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > now}
