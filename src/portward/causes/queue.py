"""The queue of connections that wait to be accepted: a full one answers nobody."""

from __future__ import annotations

from portward.evidence import Evidence, Step, covers
from portward.model import Fix
from portward.wording import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "queue"


def check(evidence: Evidence) -> Iterator[Step]:
    for door in evidence.doors:
        for queue in evidence.queues:
            if queue.netns != door.home or not covers(queue.endpoint, door.address):
                continue
            waiting = f"{queue.waiting} wait to be accepted, of {queue.limit + 1} at most"
            if not queue.is_full or door.answers:
                if queue.waiting:
                    yield Step(NAME, True, waiting)
                return
            rows = evidence.serving(door)
            who = brief(rows[0]) if rows else "the server"
            cause = f"{who} accepts no connections: its queue is full ({queue.waiting} wait), so new ones get no answer"
            yield Step(
                NAME,
                False,
                waiting,
                cause,
                (
                    Fix("see what it is busy with: it is stuck, or slower than its clients", None, True),
                    Fix("give it a longer queue (listen backlog, net.core.somaxconn), or more workers", None, True),
                    Fix("start it anew, if it is stuck", None, False),
                ),
            )
            return
