"""claimed-by-other-project: a container of another Compose project will ask for a port of this one.

Why: nobody listens now, so everything seems free. The port is in that container's settings, and it takes it when it is started:
then, or when this project comes second, "port is already allocated".

Before: project `shop` publishes 5432; so does the stopped container `pgvector-db-1` of project `pgvector`
After:  one of them publishes another port.

It is an error where the engine itself starts the container again (it is restarting), a warning where the rest of that project runs, a
note where all of it is stopped. A container that runs *holds* the port: that is for `address-in-use` to say, and is said once.
"""

from __future__ import annotations

from portward.model import Finding, Fix, PortState, Severity, State
from portward.occupancy import endpoints, occupancy
from portward.rules.claims import move, places, transport, wanted
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Container, Listener, PortSpec, Project, Service, Snapshot

RULE = "claimed-by-other-project"
SEVERITY = Severity.NOTE


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published port that others claim and nobody else holds."""
    running = {_identity(row.container) for row in snapshot.reading.listeners if row.state is not State.CLAIMED}
    for service, spec in wanted(snapshot):
        rows = tuple(dict.fromkeys(_claims(snapshot, spec)))
        if rows and occupancy(snapshot, service, spec).state is not PortState.TAKEN:
            yield _finding(snapshot, service, spec, rows, max((_severity(row, running) for row in rows), key=_rank))


def _claims(snapshot: Snapshot, spec: PortSpec) -> Iterator[Listener]:
    """The rows of stopped containers of other projects that overlap; for a range only where none of it would be left."""
    assert snapshot.project is not None
    for endpoint in endpoints(spec) if spec.range and len(spec.range) == 1 else ():
        for row in snapshot.holders(endpoint):
            if row.state is State.CLAIMED and row.container and _is_other(row.container, snapshot.project):
                yield row


def _is_other(container: Container, project: Project) -> bool:
    """Whether a container is of another project, or of a copy of this one in another folder."""
    if container.project is None:
        return False
    return container.project != project.name or container.folder not in (None, project.root)


def _identity(container: Container | None) -> tuple[str | None, str | None] | None:
    return (container.project, container.folder) if container else None


def _severity(row: Listener, running: set[tuple[str | None, str | None] | None]) -> Severity:
    if row.container and row.container.status.startswith("Restarting"):
        return Severity.ERROR
    return Severity.WARNING if _identity(row.container) in running else SEVERITY


def _rank(severity: Severity) -> int:
    return severity.rank


def _finding(
    snapshot: Snapshot, service: Service, spec: PortSpec, rows: tuple[Listener, ...], severity: Severity
) -> Finding:
    containers = {row.container.name: row.container for row in rows if row.container}
    name, container = next(iter(containers.items()))
    more = f", and {len(containers) - 1} more" if len(containers) > 1 else ""
    state = "is restarting" if severity is Severity.ERROR else "is stopped"
    folder = f", {shown(container.folder, 80)}" if container.folder else ""
    fixes = move(snapshot, service, spec)
    if severity is Severity.ERROR and container.service and container.project:
        command = f"docker compose -p {shown(container.project)} stop {shown(container.service)}"
        fixes = (*fixes, Fix(f"stop {shown(name)}", command, False))
    return Finding(
        rule=RULE,
        severity=severity,
        message=f"{service.name} shares {spec.published} with {shown(name)} of project {shown(container.project or '')}"
        f" (which {state}{folder}){more}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=places(service, spec),
        holders=rows,
        hint=fixes[0].title if fixes else "only one of the two can run at a time",
        fixes=fixes,
    )
