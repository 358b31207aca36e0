"""undefined-variable: a port is interpolated from a variable that has no value and no default.

Why: Compose warns, puts nothing in its place and goes on. `"${PORT}:80"` becomes `":80"`, and the engine publishes a port of its own
choice, another one each time.

Before: `"${PORT}:80"`, with PORT neither in `.env` nor in the environment
After:  PORT in `.env`, or `"${PORT:-8080}:80"`

Judged are the entries of `ports:`, whatever the variable is called, and elsewhere in a service the variables that are called like
a port (`http://api:${API_PORT}`). What Compose refuses then is an error, with its place, and no finding.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Location, Service, Snapshot

RULE = "undefined-variable"
SEVERITY = Severity.WARNING


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each variable, with every place that uses it."""
    found: dict[str, list[tuple[Service, Location]]] = {}
    for service in snapshot.project.services if snapshot.project else ():
        for name, place in service.unset:
            found.setdefault(name, []).append((service, place))
    for name, uses in found.items():
        yield _finding(snapshot, name, uses)


def _finding(snapshot: Snapshot, name: str, uses: list[tuple[Service, Location]]) -> Finding:
    services = list(dict.fromkeys(service.name for service, _ in uses))
    port = snapshot.free.get(services[0])
    fix = Fix(f"write {name}={port or '…'} in .env, or a default: `${{{name}:-{port or '…'}}}`", None, True)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{name} is not set, and a port of {' and '.join(services)} needs it: Compose puts nothing in its place",
        service=services[0],
        locations=tuple(dict.fromkeys(place for _, place in uses)),
        hint=fix.title,
        fixes=(fix,),
    )
