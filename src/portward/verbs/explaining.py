"""Error texts joined with what this machine says now: who holds the port, and why the text may no longer be true."""

from __future__ import annotations

from portward.answers import Explanation
from portward.model import ANY, Diagnosis, Endpoint, Fix, Kind, Refusal, Side, State, Symptom
from portward.records import Record
from portward.truths.live import holds, is_connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.answers import PortCheck
    from portward.model import Listener, PortSpec, Project, Service, Snapshot
    from portward.symptoms import Symptoms
    from portward.truths.live import Live

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = (None, ANY, "*", "0.0.0.0", "::", "+")
BIND = (Kind.PORT_IN_USE, Kind.CONTAINER_PORT_ALLOCATED, Kind.OS_RESERVED_RANGE, Kind.HIJACKED_BY_SYSTEM_SERVICE)
_CONNECT = (Kind.CONNECTION_REFUSED, Kind.REFUSED_IPV6_LOCALHOST)
_SILENT = (Kind.RESET_OR_EMPTY_REPLY, Kind.LOOPBACK_ONLY_IN_CONTAINER)


class _Scene(Record):
    """All that is known of one symptom: what the bind of its port says now, who has it where, and the project around."""

    live: Live
    symptom: Symptom
    snapshot: Snapshot
    check: PortCheck | None

    @property
    def project(self) -> Project | None:
        return self.snapshot.project

    @property
    def rows(self) -> tuple[Listener, ...]:
        return self.check.listeners if self.check else ()

    @property
    def here(self) -> tuple[Listener, ...]:
        """Who holds the port in our own network namespace, whatever the address; connections left out."""
        return tuple(row for row in self.rows if holds(row) and not is_connection(row))

    @property
    def elsewhere(self) -> tuple[Listener, ...]:
        return tuple(row for row in self.rows if row.netns and row.state is not State.BOUND)

    @property
    def claims(self) -> tuple[Listener, ...]:
        return tuple(row for row in self.rows if row.state is State.CLAIMED)

    @property
    def declared(self) -> tuple[tuple[Service, PortSpec], ...]:
        """The services of the project that ask for this port of the host, each with the entry that says so."""
        port = self.symptom.port
        return tuple(
            (service, spec)
            for service in (self.project.services if self.project else ())
            for spec in service.claims
            if port and spec.range and port in spec.range
        )

    @property
    def behind(self) -> tuple[tuple[Service, PortSpec], ...]:
        """The services of the project whose container listens on this port, each with the entry that says so."""
        port = self.symptom.port
        return tuple(
            (service, spec)
            for service in (self.project.services if self.project else ())
            for spec in service.ports
            if port and spec.target == port and spec.side is Side.HOST
        )


def explain(live: Live, symptoms: Symptoms, snapshot: Snapshot) -> Explanation:
    """A diagnosis for each symptom. `snapshot` has the instant, the settings and the project; nothing is asked of the machine for
    symptoms that speak of another host, and names of hosts are never looked up.
    """
    from portward.verbs import preflight

    asked = {symptom: _argument(symptom) for symptom in symptoms.found if _is_here(live, symptom)}
    wanted = tuple(dict.fromkeys(argument for argument in asked.values() if argument))
    checks, reading = preflight.look(live, wanted, True) if wanted else ((), snapshot.reading)
    by_argument = dict(zip(wanted, checks, strict=True))
    snapshot = snapshot.replace(reading=reading)
    found = tuple(
        _diagnosis(
            _Scene(live=live, symptom=symptom, snapshot=snapshot, check=by_argument.get(asked.get(symptom) or ""))
        )
        for symptom in symptoms.found
    )
    skipped = () if all(diagnosis.holders for diagnosis in found) else reading.skipped
    return Explanation(found, symptoms.others, skipped)


def _argument(symptom: Symptom) -> str | None:
    return f"{symptom.port}/{symptom.transport}" if symptom.port else None


def _is_here(live: Live, symptom: Symptom) -> bool:
    """Whether a symptom speaks of this machine: of no host, of localhost, or of an address that can be bound here."""
    if symptom.inside or symptom.kind is Kind.K8S_NODEPORT_TAKEN:
        return False
    if symptom.host in (*_EVERYWHERE, *_LOOPBACK):
        return True
    if (
        symptom.kind is Kind.ADDRESS_NOT_AVAILABLE
        or not symptom.host
        or set(symptom.host) - set("0123456789abcdefABCDEF.:")
    ):
        return False
    return live.refusal(Endpoint(symptom.host, 0)) is None


def _diagnosis(scene: _Scene) -> Diagnosis:
    from portward.symptoms.causes import advice, cause

    symptom = scene.symptom
    live_cause, evidence = None, list(_of_project(scene))
    holders: tuple[Listener, ...] = ()
    fixes = list(advice(symptom))
    if symptom.kind in BIND:
        live_cause, more, holders = _of_bind(scene)
        fixes = [*_moves(scene), *fixes, *_stops(scene, holders)]
    elif symptom.kind in _CONNECT:
        live_cause, more, holders = _of_refusal(scene)
        fixes = [*_starts(scene), *fixes]
    elif symptom.kind is Kind.REFUSED_CONTAINER_LOCALHOST:
        more = []
        fixes = [*(Fix(f"ask {service.name}:{spec.target}", None, True) for service, spec in scene.behind), *fixes]
    elif symptom.kind in _SILENT:
        live_cause, more, holders = _of_silence(scene)
    else:
        more = list(_of_ranges(scene))
        fixes = [*(_moves(scene) if symptom.kind is Kind.PERMISSION_PRIVILEGED else ()), *fixes]
    ranked = sorted(dict.fromkeys(fixes), key=lambda fix: not fix.safe)
    holders = tuple(scene.live.in_detail(row) for row in holders)
    return Diagnosis(symptom, live_cause or cause(symptom), (*more, *evidence), holders, tuple(ranked))


def _of_project(scene: _Scene) -> Iterator[str]:
    """What the project's own files say about the port."""
    declared = scene.declared
    for service, spec in declared:
        yield f"{service.name} asks for it in {spec.location}"
    if len({(service.name, spec.target) for service, spec in declared}) > 1 and scene.symptom.kind in BIND:
        yield "the project itself asks for it twice"
    if scene.symptom.kind in (*_CONNECT, Kind.REFUSED_CONTAINER_LOCALHOST):
        for service, spec in scene.behind:
            name = service.name
            if scene.symptom.inside:
                yield f"{name} listens on {spec.target} in its container: other services reach it as {name}:{spec.target}"
            elif spec.published and spec.published != str(scene.symptom.port):
                yield f"{name} has {spec.target} in its container, published as {spec.published} ({spec.location})"


def _of_bind(scene: _Scene) -> tuple[str | None, list[str], tuple[Listener, ...]]:
    from portward.symptoms.causes import place
    from portward.wording import holder

    check = scene.check
    if check is None:
        inside = ["it was printed in a container, whose ports are its own"] if scene.symptom.inside else []
        return None, inside, ()
    symptom, now = scene.symptom, scene.snapshot.taken
    wanted = _endpoint(symptom)
    rows = tuple(row for row in scene.here if row.endpoint.overlaps(wanted))
    evidence = [f"{row.endpoint} is held by {holder(row, now)}" for row in rows]
    evidence += [
        f"{row.endpoint} is held too, by {holder(row, now)}: another address" for row in scene.here if row not in rows
    ]
    evidence += [f"{holder(row, now)}" for row in scene.claims]
    evidence += list(_of_ranges(scene))
    if rows:
        who = "a container" if rows[0].container else "a process"
        return f"{place(symptom)} is taken: {who} of this machine holds it now", evidence, rows
    return None, [*evidence, *_nobody(scene, check)], scene.claims


def _nobody(scene: _Scene, check: PortCheck) -> Iterator[str]:
    """Why a port may have been refused that nobody listens on now."""
    connections = [row for row in scene.rows if holds(row) and is_connection(row)]
    port = scene.symptom.port
    if check.refusal is Refusal.IN_USE:
        yield from (
            f"{row.endpoint} belongs to {row.note or 'a connection'}, which refuses a bind" for row in connections
        )
        if not connections:
            yield f"a bind of {port} is refused now, by a socket that is not shown"
    elif check.refusal is None:
        yield f"nothing holds {port} here now, and it can be bound"
        yield "if the next start fails too, that very start binds it twice, or asks elsewhere: in a container, WSL or another host"
    for row in scene.elsewhere:
        yield f"in network namespace {row.netns} it is held by {_brief(row)}, where it is in nobody's way"


def _of_refusal(scene: _Scene) -> tuple[str | None, list[str], tuple[Listener, ...]]:
    from portward.symptoms.causes import place
    from portward.wording import holder

    if scene.check is None:
        return None, [], ()
    symptom, now = scene.symptom, scene.snapshot.taken
    listening = [row for row in scene.here if row.state is not State.BOUND]
    reached = [row for row in listening if any(row.endpoint.overlaps(end) for end in _asked(symptom))]
    evidence = [f"{row.endpoint} is served by {holder(row, now)}" for row in listening]
    evidence += [
        f"{_brief(row)} has it in network namespace {row.netns}, and does not publish it here"
        for row in scene.elsewhere
    ]
    evidence += [holder(row, now) for row in scene.claims]
    if reached:
        return None, [*evidence, "so it answers by now: it may have started after the text was written"], tuple(reached)
    if listening:
        only = ", ".join(dict.fromkeys(str(row.endpoint) for row in listening))
        return f"{place(symptom)} is refused, since the server listens on {only} only", evidence, tuple(listening)
    evidence.append(f"nothing listens on {symptom.port}/{symptom.transport} in this network namespace")
    return None, evidence, scene.claims


def _of_silence(scene: _Scene) -> tuple[str | None, list[str], tuple[Listener, ...]]:
    from portward.wording import holder

    now = scene.snapshot.taken
    listening = tuple(row for row in scene.here if row.state is not State.BOUND)
    evidence = [f"{row.endpoint} is held by {holder(row, now)}" for row in listening]
    for row in listening:
        container = row.container
        if container is None or container.target is None:
            continue
        inside = scene.live.inside(container.id)
        if inside is None:
            continue
        at_target = [each for each in inside if each.port == container.target]
        served = ", ".join(str(each.endpoint) for each in inside) or "nothing"
        evidence.append(f"inside {container.name}, {served} listens; {row.port} leads to {container.target}")
        if not at_target:
            return (
                f"port {row.port} leads to {container.target} in {container.name}, where nothing listens",
                evidence,
                listening,
            )
        if all(each.endpoint.address in _LOOPBACK for each in at_target):
            return (
                f"in {container.name} the server listens on {at_target[0].endpoint} only, where its engine cannot reach it",
                evidence,
                listening,
            )
    if scene.check and not listening:
        evidence.append(f"nothing listens on {scene.symptom.port} here now")
    return None, evidence, listening


def _of_ranges(scene: _Scene) -> Iterator[str]:
    """What this system does with the range that the port lies in."""
    from portward import catalog

    symptom, system = scene.symptom, scene.live.system()
    port = symptom.port
    if symptom.kind is Kind.RANGE_EXHAUSTED:
        yield f"connections and servers without a port of their own get one of {system.ephemeral} here"
    if port is None:
        return
    for range_ in system.excluded:
        if port in range_:
            yield f"{port} lies in {range_}, which Windows has reserved"
    if symptom.kind is Kind.PERMISSION_PRIVILEGED:
        if system.privileged and port in system.privileged:
            yield f"ports below {system.privileged.high + 1} need root or CAP_NET_BIND_SERVICE here"
        elif not symptom.inside:
            yield f"{port} needs no privilege here: another machine, or a policy such as SELinux, refused it"
    if symptom.kind in BIND and port in system.ephemeral and not any(port in kept for kept in system.kept):
        yield f"{port} lies in {system.ephemeral}, from which outgoing connections are served: one may have it for a while"
    if symptom.kind is Kind.UNSAFE_BROWSER_PORT and port in catalog.BROWSER_BLOCKED:
        yield f"{port} is on the list of blocked ports of the Fetch standard"


def _moves(scene: _Scene) -> Iterator[Fix]:
    """Another port for who asks: in all files for a service of the project, else one that is free."""
    from portward import catalog
    from portward.rules.claims import move
    from portward.verbs.survey import free_port, offering

    symptom = scene.symptom
    if symptom.inside:
        yield Fix("give one of the programs in that container another port, or start the container again", None, True)
        return
    if symptom.port is None:
        yield Fix("take another port", "portward find", True)
        return
    ranges = {**catalog.DEFAULT_RANGES, **scene.snapshot.settings.ranges}
    for service, spec in scene.declared:
        offered = offering(scene.live, scene.snapshot.replace(ranges=ranges), {service.name})
        yield from move(offered, service, spec)
        return
    kind = catalog.kind_of_port(symptom.port, symptom.transport)
    free = free_port(scene.live, scene.snapshot, ranges[kind], f"port\0{symptom.port}", symptom.transport)
    if free is not None:
        yield Fix(f"use {free}, free in the {kind} range {ranges[kind]}", None, True)


def _stops(scene: _Scene, holders: Sequence[Listener]) -> Iterator[Fix]:
    from portward.remedies import stops

    for row in holders:
        yield from stops(scene.live.in_detail(row))


def _starts(scene: _Scene) -> Iterator[Fix]:
    """Where the service really is, and how what should listen is started."""
    from portward.wording import shown

    port = scene.symptom.port
    for service, spec in scene.behind:
        if spec.published and spec.published != str(port) and not scene.declared:
            yield Fix(f"ask port {spec.published}, on which {shown(service.name)} is published", None, True)
    for service, spec in (scene.declared or scene.behind) if not scene.here else ():
        if spec.origin == "compose":
            name = shown(service.name)
            yield Fix(f"start {name}", f"docker compose up --detach {name}", True)
    for row in scene.claims:
        if row.container:
            yield Fix(f"start {shown(row.container.name)}", f"docker start {shown(row.container.name)}", True)
    if not scene.here and not scene.symptom.inside and not scene.declared and not scene.claims:
        yield Fix("start the server, or ask the port that it listens on", "portward ls", True)


def _endpoint(symptom: Symptom) -> Endpoint:
    """What a bind asked for; localhost is taken as both families."""
    assert symptom.port is not None
    host = symptom.host if symptom.host not in (*_EVERYWHERE, "localhost") else ANY
    return Endpoint(host or ANY, symptom.port, symptom.transport)


def _asked(symptom: Symptom) -> tuple[Endpoint, ...]:
    """The endpoints that a client asked; localhost is both, and a server on all addresses answers each."""
    assert symptom.port is not None
    hosts = ("127.0.0.1", "::1") if symptom.host in (None, "localhost", "0.0.0.0", "*") else (symptom.host or ANY,)
    return tuple(Endpoint(host, symptom.port, symptom.transport) for host in hosts)


def _brief(row: Listener) -> str:
    from portward.wording import brief

    return brief(row)
