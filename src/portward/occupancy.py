"""Whether a declared port is free, held by this very stack, or in somebody else's hands."""

from __future__ import annotations

from portward.model import ANY, Endpoint, PortState, Refusal, State, Transport
from portward.records import Record
from portward.wording import is_interpreter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Lease, Listener, PortSpec, Process, Project, Service, Snapshot

_RUNTIMES = {
    "node": ("node", "nodejs", "npm", "npx", "yarn", "pnpm", "tsx", "ts-node", "next-server"),
    "bun": ("bun",),
    "deno": ("deno",),
    "python": ("python", "uvicorn", "gunicorn", "hypercorn", "flask", "uv"),
    "ruby": ("ruby", "puma", "rails"),
    "php": ("php",),
    "java": ("java",),
}
_SCRIPT_RUNNERS = ("npm", "npx", "yarn", "pnpm", "bun")  # they leave it to a manifest what is run
_OPTIONS_WITH_CODE = ("-c", "-e", "--eval", "-p", "--print")
_OPTIONS_WITH_VALUE = ("-r", "--require", "--import", "--loader", "--env-file", "-X", "-W")


class Occupancy(Record):
    """What a declared port is now. `holders` are those that matter: ours if it is running, the others if it is taken.

    `leases` are those of others, where it is free but promised to them.
    """

    state: PortState
    holders: tuple[Listener, ...] = ()
    leases: tuple[Lease, ...] = ()


def endpoints(spec: PortSpec) -> Iterator[Endpoint]:
    """The host endpoints that a published port may bind: one, or one for each port of a range; none for SCTP."""
    protocol = spec.protocol.lower()
    if protocol in ("tcp", "udp"):
        v6only = True if spec.host_ip == "::" else None
        for port in spec.range or ():
            yield Endpoint(spec.host_ip, port, Transport(protocol), v6only)


def occupancy(snapshot: Snapshot, service: Service, spec: PortSpec) -> Occupancy:
    """Judges one published port of a service. A range is taken, or leased, only when none of its ports is left."""
    assert snapshot.project is not None
    if spec.range is None:
        ours = bound(snapshot, service, spec)
        return Occupancy(PortState.RUNNING if ours else PortState.FREE, ours)
    taken: list[Listener] = []
    leases: list[Lease] = []
    free = False
    for endpoint in endpoints(spec):
        live = [row for row in snapshot.holders(endpoint) if row.state is not State.CLAIMED]
        ours = tuple(row for row in live if is_ours(row, service, snapshot.project))
        others = [row for row in live if row not in ours]
        if ours and not others:
            return Occupancy(PortState.RUNNING, ours)
        taken += others
        if others or snapshot.refusals.get(endpoint) is Refusal.IN_USE:
            continue
        lease = snapshot.promised(endpoint, service.name)
        leases += [lease] if lease else []
        free = free or lease is None
    if free or spec.protocol.lower() not in ("tcp", "udp"):
        return Occupancy(PortState.FREE)
    if leases:
        return Occupancy(PortState.LEASED, leases=tuple(leases))
    return Occupancy(PortState.TAKEN, tuple(dict.fromkeys(taken)))


def bound(snapshot: Snapshot, service: Service, spec: PortSpec) -> tuple[Listener, ...]:
    """The endpoints of this stack's own containers that publish the spec's container port now."""
    assert snapshot.project is not None
    return tuple(
        row
        for row in snapshot.reading.listeners
        if row.netns is None
        and row.state is not State.CLAIMED
        and row.container is not None
        and row.container.target == spec.target
        and row.transport == spec.protocol.lower()
        and is_ours(row, service, snapshot.project)
    )


def is_ours(row: Listener, service: Service, project: Project) -> bool:
    """Whether a listener is this service of this project, by any of the signs of `sign`."""
    return sign(row, service, project) is not None


def sign(row: Listener, service: Service, project: Project) -> str | None:
    """By what a listener is known to be this service of this project, None where it is not.

    "labels": Compose's own on its container. "lease": the service has the port leased, and started it. "command": its process was started in the project by the service's command. "protocol": it
    was started there by another one, but was heard to speak the service's protocol.
    """
    if row.container is not None:
        is_labelled = (
            row.container.project == project.name
            and row.container.service == service.name
            and row.container.folder in (None, project.root)
        )
        return "labels" if is_labelled else None
    if service.name in row.leased_to:
        return "lease"
    if any(fits(process, service, project) for process in row.processes):
        return "command"
    return "protocol" if service.name in row.speaks_for else None


def doubtful(row: Listener, project: Project) -> tuple[Service, ...]:
    """The services that want a listener's port and that it may be, where its command does not tell: it was started in the project.

    Empty for what is known to be one of the project's services, for containers, and for what was started elsewhere.
    """
    if row.netns is not None or row.state is not State.LISTEN or row.container is not None:
        return ()
    if not any(is_inside(process, project) for process in row.processes):
        return ()
    wanting = tuple(
        service
        for service in project.services
        if any(row.endpoint.overlaps(endpoint) for spec in service.claims for endpoint in endpoints(spec))
    )
    return () if any(is_ours(row, service, project) for service in wanting) else wanting


def is_inside(process: Process, project: Project) -> bool:
    """Whether a process was started in the project's folder."""
    return process.cwd is not None and f"{process.cwd}/".startswith(f"{project.root}/")


def fits(process: Process, service: Service, project: Project) -> bool:
    """Whether a bare-metal process is the service: started in the project, by a command that is the service's own.

    That is: a program named like the service or its image (redis-server, mongod), the script or module that the service's
    command names, or the image's runtime with a program in the service's own folder. Another program is a stranger.
    """
    if not is_inside(process, project) or not process.command:
        return False
    own = program_of(service.command) if not {*service.command[:1]} & {*_SCRIPT_RUNNERS} else ""
    at_home = _is_its_own(_path(process.cwd or "", project), service, project)
    if not is_interpreter(process.name):
        named = process.name == own.rpartition("/")[2] or any(name in process.name for name in _own_names(service))
        return named or (not own and at_home and _runs_on(process, service, known=True))
    runs = program_of(process.command)
    is_path = not runs.startswith("-m ") and ("/" in runs or "." in runs)
    if is_path:
        runs = _path(runs if runs.startswith("/") else f"{process.cwd}/{runs}", project).rstrip("/")
    if own:
        return runs in (own, *(f"{folder}/{own}" for folder in service.folders))
    return is_path and _runs_on(process, service) and _is_its_own(runs, service, project)


def _is_its_own(path: str, service: Service, project: Project) -> bool:
    """Whether a path relative to the root is in a folder of the service's own; in the root's, if it is in no other's."""
    if any(folder and path.startswith(f"{folder}/") for folder in service.folders):
        return True
    others = (folder for other in project.services for folder in other.folders if folder)
    return "" in service.folders and path[:1] != "/" and not any(path.startswith(f"{folder}/") for folder in others)


def program_of(command: tuple[str, ...]) -> str:
    """What a command really runs: the program itself, or the script or module that it has an interpreter run.

    Empty where that is code in the command itself. A module that no console script is called like is "-m NAME".
    """
    words = list(command)
    while words and is_interpreter(words[0].rpartition("/")[2]):
        del words[0]
        while words and words[0].startswith("-"):
            option = words.pop(0)
            if option == "-m":
                module = words[0] if words else ""
                return f"-m {module}" if "." in module else module
            if option in _OPTIONS_WITH_CODE:
                return ""
            if option in _OPTIONS_WITH_VALUE:
                del words[:1]
    return words[0].removeprefix("./") if words else ""


def _own_names(service: Service) -> tuple[str, ...]:
    image = (service.image or "").rpartition("/")[2].partition(":")[0].partition("@")[0]
    names = [name for name in (*service.names, image) if len(name) > 3 and not is_interpreter(name)]
    return tuple(dict.fromkeys(names))


def _path(path: str, project: Project) -> str:
    """An absolute path relative to the project's root, ending in a slash; one outside of it stays absolute."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part not in ("", ".", ".."):
            parts.append(part)
    return f"/{'/'.join(parts)}/".removeprefix(f"{project.root}/")


def _runs_on(process: Process, service: Service, *, known: bool = False) -> bool:
    """Whether a process is of the runtime of the service's image; of an image that is not `known` by name, any is."""
    image = (service.image or "").rpartition("/")[2].partition(":")[0]
    names = _RUNTIMES.get(image)
    return not known if names is None else process.name.partition(" ")[0].rstrip("0123456789.") in names


def is_wildcard(spec: PortSpec) -> bool:
    """Whether a spec publishes on all interfaces."""
    return spec.host_ip in (ANY, "0.0.0.0", "::")
