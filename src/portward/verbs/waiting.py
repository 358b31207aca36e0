"""Waits until targets are ready: that they take connections, answer in HTTP, or are the service that they should be."""

from __future__ import annotations

from portward.answers import Waited
from portward.catalog import fingerprints as prints
from portward.errors import UsageError
from portward.model import State
from portward.truths.live import holds
from portward.verbs.identifying import places_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portward.arguments import Target
    from portward.model import Project
    from portward.probes import Goal
    from portward.truths.live import Live
    from portward.verbs.identifying import Place

    Progress = Callable[[Mapping[str, str], Sequence[str]], None]


def wait(
    targets: Sequence[Target],
    seconds: float,
    live: Live,
    project: Callable[[], Project | None],
    *,
    service: str | None = None,
    status: int | None = None,
    tell: Progress = lambda _seen, _ready: None,
) -> Waited:
    """Waits for all targets at once, `seconds` at most. `tell` hears what was seen last of each that is missing, and who is ready.

    A URL of a service that Portward knows, and the name of a project's service whose image it knows, are ready when they answer as that
    service does, any target with `service`; `http://` and `https://` when the status is `status`, or from 200 to 399. Everything else is
    ready when it takes a connection. Raises UsageError for what cannot be waited for.
    """
    if service is not None and prints.named(service) is None:
        raise UsageError(f"{service!r} is no service that can be identified", hint=_similar(service))
    goals = [
        goal(place, live, prints.named(service) if service else None, status)
        for target in targets
        for place in places_of(target, project)
    ]
    names = dict.fromkeys(target.text for target in targets)
    missing = {name: [goal for goal in goals if goal.name == name] for name in names}
    seen: dict[str, str] = {}
    ready: dict[str, None] = {}

    def hear(goal: Goal, is_ready: bool, what: str) -> None:
        if is_ready and goal in missing[goal.name]:
            missing[goal.name].remove(goal)
        seen[goal.name] = what
        if not missing[goal.name]:
            ready[goal.name] = None
        tell({name: seen.get(name, "") for name in names if name not in ready}, tuple(ready))

    from portward import probes

    probes.watch(goals, seconds, hear)
    return Waited(
        tuple(name for name in names if name in ready), tuple(name for name in names if name not in ready), seen
    )


def goal(place: Place, live: Live, service: str | None, status: int | None) -> Goal:
    """What is waited for at a place."""
    from portward.probes import Goal

    listens = None
    wanted = prints.of_service(service or place.service or "")
    as_http = place.http and not wanted
    if status is not None and not as_http:
        raise UsageError(f"{place.text}: only http:// and https:// have a status")
    if (
        prints.debugger_of_port(place.port)
        and not (wanted or as_http)
        and place.host in ("", "localhost", "127.0.0.1", "::1")
    ):
        listens = _listening(live, place.port)
    path = place.path if as_http else None
    return Goal(place.text, place.host, place.port, path, place.tls, status, wanted, listens)


def _listening(live: Live, port: int) -> Callable[[], bool]:
    """Looks for a listener in the kernel's tables: a debugger's session is not disturbed by that."""

    def look() -> bool:
        return any(row.state is State.LISTEN and holds(row) for row in live.sockets.read(ports={port}).listeners)

    return look


def _similar(text: str) -> str:
    from difflib import get_close_matches

    names = dict.fromkeys(each.service for each in prints.fingerprints())
    close = get_close_matches(text, [*names, *(name.lower() for name in names)], n=1)
    return f"did you mean {close[0]}?" if close else "`portward catalog` has the names"
