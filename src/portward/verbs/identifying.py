"""Which service answers where: its owner is asked first, then the service itself, and custom is only a guess.

What may be asked is decided here: nothing at a debugger's port, nothing to a printer, in bulk nothing that a server logs as an error, and
nothing but its own protocol where custom says that a port is not for HTTP and nobody can be seen there.
"""

from __future__ import annotations

from functools import partial

from portward import catalog
from portward.catalog import fingerprints as prints
from portward.errors import UsageError
from portward.model import Endpoint, Identity, Refusal, State, Transport
from portward.records import Record
from portward.truths.live import holds
from portward.wording import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from portward.arguments import Target
    from portward.model import Fingerprint, Listener, Process, Project, Service
    from portward.probes import Heard, Question
    from portward.truths.live import Live

_LOOPBACK = {"0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1"), "": ("127.0.0.1", "::1")}
_DOUBT_SECONDS = 0.7


class Place(Record):
    """A target with all that it leaves out: the host as it was named ("" for this machine), the port, and what its scheme says."""

    text: str
    host: str
    port: int
    service: str | None = None
    tls: bool = False
    http: bool = False
    path: str = "/"
    declared: Service | None = None


class Owner(Record):
    """What is known of an endpoint without asking it: the row of who holds it here, and the service that this one is."""

    row: Listener | None = None
    service: str | None = None
    by: str | None = None
    evidence: tuple[str, ...] = ()
    debugger: str | None = None

    @property
    def seen(self) -> bool:
        """Whether somebody can be seen there: a process or a container."""
        return self.row is not None and (bool(self.row.processes) or self.row.container is not None)


class Identifying:
    """Identifies targets and listeners. `live` is the live truth; `project` gives the project whose services have names, if any."""

    def __init__(self, live: Live, project: Callable[[], Project | None]) -> None:
        self._live = live
        self._project = project

    def targets(self, targets: Sequence[Target], seconds: float) -> tuple[Identity, ...]:
        """What answers at each target, all asked at once. Raises UsageError for a name that is neither a host nor a service."""
        places = [place for target in targets for place in places_of(target, self._project)[:1]]
        addresses = self._addresses(dict.fromkeys(place.host for place in places), seconds)
        rows = self._live.read(ports={place.port for place in places}).listeners
        return self._ask([self._asked(place, addresses[place.host], rows, seconds) for place in places])

    def at(self, target: Target, row: Listener | None, seconds: float) -> Identity:
        """What answers at a numeric address, asked from the network namespace that the calling thread is in.

        `row` is who listens there, None where that is not known.
        """
        (place, *_) = places_of(target, self._project)
        return self._ask([_question(place, owner_of(row, place.port), (target.host,), seconds)])[0]

    def _asked(
        self, place: Place, addresses: Sequence[str], rows: Sequence[Listener], seconds: float
    ) -> tuple[Question, Owner, str] | Identity:
        if not addresses:
            return Identity(place.text, answers=False, evidence=("its address was not found in time",))
        here = [Endpoint(address, place.port) for address in addresses if self._is_here(address)]
        found = dict.fromkeys(row for each in here for row in rows if _listens(row) and row.endpoint.overlaps(each))
        if not place.host:  # whatever listens on this machine, on loopback or not
            found |= dict.fromkeys(row for row in rows if _listens(row) and row.port == place.port)
            addresses = tuple(dict.fromkeys(each for row in found for each in _dialled(row))) or addresses
        owner = owner_of(next(iter(found), None), place.port)
        if other := next((row for row in found if _group(row) != _group(next(iter(found)))), None):
            owner = owner.replace(evidence=(*owner.evidence, f"{other.endpoint} is another server's: {brief(other)}"))
        return _question(place, owner, addresses, seconds)

    def listeners(self, rows: Sequence[Listener], seconds: float) -> tuple[Listener, ...]:
        """The rows, each that listens on TCP here with its identity. One owner's port is asked once, whatever its addresses."""
        groups: dict[tuple[object, ...], Listener] = {}
        for row in rows:
            if _listens(row):
                groups.setdefault(_group(row), row)
        asked: list[tuple[Question, Owner, str] | Identity] = []
        for row in groups.values():
            place = Place(str(row.endpoint), "", row.port)
            asked.append(_question(place, owner_of(row, row.port), _dialled(row), seconds, sparing=True))
        identities = dict(zip(groups, self._ask(asked), strict=True))
        return tuple(_with(row, identities[_group(row)]) if _listens(row) else row for row in rows)

    def _ask(self, asked: Sequence[tuple[Question, Owner, str] | Identity]) -> tuple[Identity, ...]:
        questions = [entry for entry in asked if not isinstance(entry, Identity)]
        heard: list[Heard] = []
        if questions:
            from portward import probes

            heard = probes.identify([question for question, _, _ in questions])
        answers = iter(
            _identity(text, question, owner, said)
            for (question, owner, text), said in zip(questions, heard, strict=True)
        )
        return tuple(entry if isinstance(entry, Identity) else next(answers) for entry in asked)

    def _addresses(self, hosts: Collection[str], seconds: float) -> dict[str, Sequence[str]]:
        """The addresses of each host, none where they are not found in time. Raises UsageError for one that has none."""
        from portward import probes

        found = probes.resolved(hosts, seconds)
        for host, answer in found.items():
            if isinstance(answer, OSError):
                raise UsageError(f"{host} has no address: {answer.strerror or answer}") from None
        return {host: answer for host, answer in found.items() if not isinstance(answer, OSError)}

    def _is_here(self, address: str) -> bool:
        return self._live.refusal(Endpoint(address, 0)) is not Refusal.NO_SUCH_ADDRESS


def speaks_for(doubts: Sequence[tuple[Listener, Sequence[Service]]]) -> list[tuple[str, ...]]:
    """For each listener, the names of those of its services whose protocol it speaks. Asked all at once, and only in those protocols.

    A service whose image tells no protocol is spoken for by nobody; nor is a debugger's port asked.
    """
    wanted = []
    for row, services in doubts:
        known = {each.name: prints.of_service(prints.service_of_image(each.image or "") or "") for each in services}
        untouched = owner_of(row, row.port).debugger or prints.debugger_of_port(row.port)
        wanted.append({} if untouched else {name: each for name, each in known.items() if each})
    if not any(wanted):
        return [()] * len(wanted)
    from portward import probes

    asked = [partial(_spoken, row, known) for (row, _), known in zip(doubts, wanted, strict=True)]
    return probes.in_parallel(asked)


def _spoken(row: Listener, known: Mapping[str, tuple[Fingerprint, ...]]) -> tuple[str, ...]:
    from portward import probes

    def speaks(fingerprints: tuple[Fingerprint, ...]) -> bool:
        return probes.ask(fingerprints, _dialled(row), row.port, seconds=_DOUBT_SECONDS).fingerprint is not None

    return tuple(name for name, fingerprints in known.items() if speaks(fingerprints))


def places_of(target: Target, project: Callable[[], Project | None]) -> tuple[Place, ...]:
    """Where a target is; for a service's name, each TCP port that it publishes. Raises UsageError where that cannot be told."""
    if target.service is not None:
        return _of_service(target, project())
    scheme = prints.scheme(target.scheme) if target.scheme else None
    port = target.port or (scheme.port if scheme else None)
    if port is None:
        raise UsageError(f"{target.text} names no port", hint=f"{target.scheme}://HOST:PORT")
    if scheme is None:
        return (Place(target.text, target.host, port, path=target.path),)
    return (Place(target.text, target.host, port, scheme.service or None, scheme.tls, scheme.http, target.path),)


def _of_service(target: Target, project: Project | None) -> tuple[Place, ...]:
    service = project.service(target.host) if project else None
    if service is None:
        of = f" of {project.name}" if project else ", and there is no project here"
        raise UsageError(f"{target.text!r} is neither a port nor a service{of}", hint="write HOST:PORT for a host")
    ports = dict.fromkeys(spec.range.low for spec in service.claims if spec.range and spec.protocol.lower() == "tcp")
    if not ports:
        raise UsageError(f"{service.name} publishes no TCP port", hint="`portward services` shows what is declared")
    told = prints.service_of_image(service.image) if service.image else None
    return tuple(Place(target.text, "", port, told, declared=service) for port in ports)


def owner_of(row: Listener | None, port: int) -> Owner:
    """What the owner of an endpoint tells of it: the image of its container, or its program and command line."""
    if row is None:
        return Owner()
    if row.container is not None:
        service = prints.service_of_image(row.container.image)
        evidence = (f"container {row.container.name} runs {row.container.image}",) if service else ()
        return Owner(row, service, "container" if service else None, evidence)
    for process in row.processes:
        command = " ".join(process.command)
        debugger = prints.debugger_of_command(command, port)
        service = debugger or prints.service_of_program(_names(process), command)
        if service:
            return Owner(row, service, "process", (f"process {process.pid} is {process.name}",), debugger)
    return Owner(row)


def _names(process: Process) -> tuple[str, ...]:
    from portward.occupancy import program_of

    program = program_of(process.command).rpartition("/")[2] if process.command else ""
    return process.name, process.name.partition(":")[0], program, program.removesuffix(".py")


def _question(
    place: Place, owner: Owner, addresses: Sequence[str], seconds: float, *, sparing: bool = False
) -> tuple[Question, Owner, str] | Identity:
    """What to ask at a place, or the answer where nothing may be asked. `sparing` asks nothing that is logged as an error."""
    from portward.probes import Question

    target = owner.row.container.target if owner.row and owner.row.container else None
    custom = _custom(place.port, target)
    debugger = owner.debugger or (None if owner.service else prints.debugger_of_port(place.port))
    if debugger:
        return _untouched(place.text, owner, debugger)
    first = prints.of_service(place.service or owner.service or "")
    if sparing and owner.service and any(each.logged for each in first):
        return _by_owner(place.text, owner, ("not asked: it would log that as an error",))
    question = Question(
        addresses=tuple(addresses),
        port=place.port,
        every=prints.fingerprints(),
        first=first,
        custom=custom,
        host=place.host or "localhost",
        blind=_may_be_asked_anything(place.port, owner),
        http=place.http,
        tls=place.tls,
        seconds=seconds,
    )
    return question, owner, place.text


def _custom(*ports: int | None) -> tuple[Fingerprint, ...]:
    return tuple(each for port in dict.fromkeys(ports) if port for each in prints.customary_fingerprints(port))


def _may_be_asked_anything(port: int, owner: Owner) -> bool:
    """Whether an HTTP request may be sent to what is not known to speak HTTP."""
    if owner.seen:
        return True
    custom = catalog.custom_of(port)
    return port not in prints.PRINTERS and (custom.http or not custom.services)


def _untouched(text: str, owner: Owner, debugger: str) -> Identity:
    evidence = "not asked: a connection disturbs a debugger's session"
    if owner.debugger:
        return Identity(text, debugger, None, "high", owner.by, (*owner.evidence, evidence))
    by_custom = f"by custom the port is {debugger}'s"
    return Identity(text, debugger, None, "guess", "catalog", (by_custom, evidence))


def _by_owner(text: str, owner: Owner, evidence: Iterable[str], **more: object) -> Identity:
    return Identity(text, owner.service, None, "medium", owner.by, (*owner.evidence, *evidence), **more)  # type: ignore[arg-type]


def _identity(text: str, question: Question, owner: Owner, heard: Heard) -> Identity:
    """The judgement of what was heard: the protocol decides, then the owner; custom is a guess where neither tells."""
    customary = catalog.customary(question.port)
    endpoint = Endpoint(heard.address, question.port) if heard.address else None
    if heard.trouble:
        return _by_owner(text, owner, (heard.trouble,), answers=False, endpoint=endpoint, customary=customary).replace(
            confidence="low" if owner.service else None
        )
    answer = Identity(text, answers=True, endpoint=endpoint, customary=customary)
    evidence = (*owner.evidence, *heard.evidence)
    found = heard.fingerprint
    known = {each.service for each in prints.of_service(owner.service)} if owner.service else set()
    if found is not None and not (found.generic and owner.service):
        confidence = "high" if found.service in known else found.confidence
        return answer.replace(
            service=heard.service, version=heard.version, confidence=confidence, by="protocol", evidence=evidence
        )
    if owner.service:
        agrees = found is not None and found.service in known
        by, confidence = ("protocol", "high") if agrees else (owner.by, "medium")
        return answer.replace(service=owner.service, confidence=confidence, by=by, evidence=evidence)
    if heard.service:
        return answer.replace(
            service=heard.service, version=heard.version, confidence="low", by="protocol", evidence=evidence
        )
    if customary and not question.blind and not question.custom:
        guess = (*evidence, f"by custom the port is {customary[0]}'s")
        return answer.replace(service=customary[0], confidence="guess", by="catalog", evidence=guess)
    return answer.replace(evidence=evidence)


def _listens(row: Listener) -> bool:
    return row.state is State.LISTEN and row.transport is Transport.TCP and holds(row)


def _dialled(row: Listener) -> tuple[str, ...]:
    """The addresses by which a listener of this machine is reached."""
    if row.endpoint.address == "::" and row.endpoint.v6only:
        return ("::1",)
    return _LOOPBACK.get(row.endpoint.address, (row.endpoint.address,))


def _group(row: Listener) -> tuple[object, ...]:
    """Rows of one owner on one port are the same server."""
    owner: Collection[object] = frozenset(process.pid for process in row.processes)
    if row.container is not None:
        owner = (row.container.id,)
    return row.port, owner or row.endpoint


def _with(row: Listener, identity: Identity) -> Listener:
    told = identity.service if identity.by == "protocol" and identity.confidence != "low" else None
    return row.replace(identity=identity.replace(target=str(row.endpoint)), service=row.service or told)
