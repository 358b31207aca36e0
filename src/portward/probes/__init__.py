"""What answers at an endpoint: the only code that speaks to one.

It asks as little as will do, and nothing that changes anything: what a server says unasked comes first, then one protocol at a time,
at most `QUESTIONS` questions for each target, each bounded in time and bytes. Who may be asked, and what is known of it before, is
the caller's to decide: the fingerprints of the services come with the `Question`.
"""

from __future__ import annotations

import time
from functools import partial

from portward.probes import _dialogue
from portward.probes._line import LIMIT_BYTES
from portward.probes._question import QUESTIONS, SECONDS, Heard, Question
from portward.probes._wait import Goal, addresses_of, ask, look, watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import TypeVar

    T = TypeVar("T")

__all__ = [
    "LIMIT_BYTES", "QUESTIONS", "SECONDS", "Goal", "Heard", "Question", "addresses_of", "ask", "identify", "in_parallel", "look", "resolved",
    "watch",
]  # fmt: skip

_AT_ONCE = 256


def identify(questions: Sequence[Question]) -> list[Heard]:
    """Asks all targets at once; answers in the order of the questions. Takes as long as the slowest may, for up to 256 of them."""
    return in_parallel([partial(_dialogue.identify, question) for question in questions])


def resolved(hosts: Collection[str], seconds: float) -> dict[str, Sequence[str] | OSError]:
    """The addresses of each host, or why it has none; nothing for those whose look-up takes longer than that, in seconds.

    The system's look-up cannot be broken off: one that hangs goes on in a thread of its own, and keeps nobody.
    """
    from threading import Thread

    found: dict[str, Sequence[str] | OSError] = dict.fromkeys(hosts, ())

    def look_up(host: str) -> None:
        try:
            found[host] = addresses_of(host)
        except OSError as error:
            found[host] = error

    until = time.monotonic() + seconds
    threads = [Thread(target=look_up, args=(host,), daemon=True, name=f"portward looks up {host}") for host in hosts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(until - time.monotonic(), 0))
    return dict(found)


def in_parallel(jobs: Sequence[Callable[[], T]]) -> list[T]:
    """The results of jobs that wait for others most of the time, in their order. What one raises is raised."""
    from queue import SimpleQueue
    from threading import Thread

    results: SimpleQueue[tuple[int, T | None, BaseException | None]] = SimpleQueue()
    waiting = iter(list(enumerate(jobs)))

    def work() -> None:
        for index, job in waiting:
            try:
                results.put((index, job(), None))
            except BaseException as error:  # noqa: BLE001 - raised again where the results are read
                results.put((index, None, error))

    for _ in range(min(len(jobs), _AT_ONCE)):
        Thread(target=work, daemon=True, name="portward asks").start()
    found: dict[int, T] = {}
    for _ in jobs:
        index, result, error = results.get()
        if error is not None:
            raise error
        found[index] = result  # type: ignore[assignment]
    return [found[index] for index in range(len(jobs))]
