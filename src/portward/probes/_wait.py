"""Waiting until endpoints are ready: each is looked at again and again, less often the longer it takes, all at once."""

from __future__ import annotations

import socket
import time

from portward.probes._dialogue import identify, trouble
from portward.probes._http import is_whole, parse, request
from portward.probes._line import Line
from portward.probes._question import Heard, Question
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from portward.model import Fingerprint

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 5.0
_ONE_LOOK_SECONDS = 1.0
LOOPBACK = ("127.0.0.1", "::1")


class Goal(Record):
    """What is waited for: that `host` takes connections on the port, or answers in HTTP, or as one of the fingerprints does.

    Each of `path` (HTTP) and `fingerprints` is for its kind of goal; with neither, a connection is enough. `status` is the HTTP status that is
    wanted, None for any from 200 to 399. `listens` tells whether somebody listens there without touching it, for what a connection
    would disturb.
    """

    name: str
    host: str
    port: int
    path: str | None = None
    tls: bool = False
    status: int | None = None
    fingerprints: tuple[Fingerprint, ...] = ()
    listens: Callable[[], bool] | None = None


def look(goal: Goal, seconds: float = _LOOK_SECONDS) -> tuple[bool, str]:
    """Whether a goal is reached now, and what was seen. Takes at most so many seconds, name look-up apart."""
    if goal.listens is not None:
        return (True, "listens") if goal.listens() else (False, "nobody listens")
    try:
        addresses = addresses_of(goal.host)
        if goal.fingerprints:
            return _spoken(goal, addresses, seconds)
        deadline = time.monotonic() + seconds
        line = _connected(goal, addresses, deadline)
    except OSError as error:
        return False, trouble(error)
    try:
        return (True, "takes connections") if goal.path is None else _answered(goal, line, deadline)
    finally:
        line.close()


def watch(goals: Sequence[Goal], seconds: float, tell: Callable[[Goal, bool, str], None]) -> None:
    """Looks at each goal until it is reached or so many seconds are over; `tell` hears of each look, from any thread, one at a time.

    Returns when all are reached, or in time. Of 0 seconds it makes one look at each, which may take one.
    """
    from threading import Condition, Thread

    told = Condition()
    deadline = time.monotonic() + (seconds or _ONE_LOOK_SECONDS)
    left = len(goals)
    over = False

    def hear(goal: Goal, ready: bool, seen: str) -> bool:
        """Whether the goal is still to be pursued."""
        nonlocal left
        with told:
            if over:
                return False
            tell(goal, ready, seen)
            left -= ready or not seconds
            told.notify_all()
            return not ready and bool(seconds)

    def pursue(goal: Goal) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while (now := time.monotonic()) < deadline and hear(goal, *look(goal, min(_LOOK_SECONDS, deadline - now))):
            with told:
                told.wait_for(lambda: over, min(pause, max(deadline - time.monotonic(), 0)))
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    for goal in goals:
        Thread(target=pursue, args=(goal,), daemon=True, name=f"portward waits for {goal.name}").start()
    with told:
        told.wait_for(lambda: not left, max(deadline - time.monotonic(), 0))
        over = True
        told.notify_all()


def addresses_of(host: str) -> Sequence[str]:
    """The numeric addresses of a host; both loopbacks for localhost and for no host. Raises OSError where it has none."""
    if host.lower() in ("", "localhost"):
        return LOOPBACK
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError(f"{host!r} is not the name of a host") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _connected(goal: Goal, addresses: Sequence[str], deadline: float) -> Line:
    """A line to the first address that takes it. Raises what the first of them raised."""
    first: OSError | None = None
    for address in addresses:
        try:
            line = Line(address, goal.port, deadline)
            if goal.tls:
                line.secure(goal.host or "localhost")
            return line
        except OSError as error:
            first = first or error
    raise first or OSError("it has no address")


def _answered(goal: Goal, line: Line, deadline: float) -> tuple[bool, str]:
    assert goal.path is not None
    host = f"[{goal.host}]" if ":" in goal.host else goal.host or "localhost"
    line.send(request(goal.path, f"{host}:{goal.port}", {}))
    answer = parse(line.read(lambda data: b"\r\n" in data or is_whole(data), deadline))
    if answer is None:
        return False, "no HTTP answer"
    ready = answer.status == goal.status if goal.status else 200 <= answer.status < 400
    return ready, f"HTTP {answer.status}"


def _spoken(goal: Goal, addresses: Sequence[str], seconds: float) -> tuple[bool, str]:
    heard = ask(goal.fingerprints, addresses, goal.port, goal.host or "localhost", goal.tls, seconds)
    if heard.trouble:
        return False, heard.trouble
    if heard.fingerprint is None:
        return False, "answers, but not as " + " or ".join(dict.fromkeys(each.service for each in goal.fingerprints))
    return True, f"answers as {heard.service}"


def ask(
    fingerprints: tuple[Fingerprint, ...],
    addresses: Sequence[str],
    port: int,
    host: str = "localhost",
    tls: bool = False,
    seconds: float = _LOOK_SECONDS,
) -> Heard:
    """Asks in the protocols of these fingerprints alone: nothing else is sent."""
    question = Question(tuple(addresses), port, fingerprints, fingerprints, (), host, False, False, tls, seconds)
    return identify(question)
