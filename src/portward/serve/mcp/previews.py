"""What was shown and may be done: each preview has an id that is good once, for a few minutes."""

from __future__ import annotations

import secrets
import threading

from portward.errors import UsageError
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.answers import Changes
    from portward.stops import StopPlan

SECONDS = 300.0


class Preview(Record):
    """A change of files, or ports to be freed, as it was shown: what was asked for, and what would come of it."""

    asked: tuple[str, ...]
    shown: Changes | StopPlan
    container: bool = False


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

    def take(self, name: str, kind: type[Changes | StopPlan]) -> Preview:
        """The preview of an id, once. Raises UsageError where there is none of this kind, or its time is over."""
        with self._lock:
            self._forget()
            _, preview = self._kept.get(name, (0.0, None))
            if preview is None or not isinstance(preview.shown, kind):
                raise UsageError(
                    "there is no such preview, or no more", hint="ask for a new one: call without preview_id"
                )
            del self._kept[name]
        return preview

    def _forget(self) -> None:
        now = self._clock()
        self._kept = {name: kept for name, kept in self._kept.items() if kept[0] > now}
