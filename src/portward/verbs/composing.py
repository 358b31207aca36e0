"""How a Compose project comes up on the ports that are leased to its checkout, without a change of its files.

A port that a variable writes follows the variable. For the others a file is made that Compose lays over the project's own. What
the variables can do is not guessed: the project is read again with them, and what is not on its port then is moved by the file.
"""

from __future__ import annotations

from itertools import pairwise, takewhile

from portward.conventions import declared_ports, variables
from portward.errors import Unavailable
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from portward.generated import Generated
    from portward.model import PortSpec, Project, Service
    from portward.workspace import Checkout

    Ports = Mapping[tuple[str, str], int]


class Told(Record):
    """What a checkout's programs are told, the project as they will see it, and remarks for people."""

    values: Mapping[str, str]
    project: Project | None
    remarks: tuple[str, ...] = ()


class Composer:
    """Tells the programs of one checkout their ports.

    `source` gives the project of its own files, with some more variables; `generated` is the file that is laid over it, and
    `environment` what is set already.
    """

    def __init__(
        self,
        checkout: Checkout,
        source: Callable[[Mapping[str, str]], Project | None],
        generated: Generated,
        environment: Mapping[str, str],
    ) -> None:
        self._checkout = checkout
        self._source = source
        self._generated = generated
        self._environment = environment
        self.project = source({})

    def told(self, ports: Ports) -> Told:
        """What programs are told of these leased ports. Writes the generated file, or takes it away where it is not needed.

        `ports` maps service and instance to the first one that is leased to it: a service of several containers has as many neighbours.
        """
        found = arrange(self.project, ports, self._checkout, self._source)
        before = {name: self._environment[name] for name in _FILES if name in self._environment}
        if found.override is None or found.project is None:
            self._generated.remove()
            return Told({**found.values, **before}, found.project, found.remarks)
        try:
            self._generated.write(found.override)
        except Unavailable as error:
            return Told({**found.values, **before}, found.project, (f"fixed ports stay as they are: {error.message}",))
        return Told({**found.values, **self._generated.chosen(found.project.files)}, found.project, found.remarks)


_FILES = ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR")


class Arrangement(Record):
    """What a checkout's programs are told, the project as they will see it, and the file that Compose needs for that, if any.

    `remarks` say what stays where it is.
    """

    values: Mapping[str, str]
    project: Project | None
    override: str | None = None
    remarks: tuple[str, ...] = ()


def arrange(
    project: Project | None,
    ports: Ports,
    checkout: Checkout,
    read: Callable[[Mapping[str, str]], Project | None],
) -> Arrangement:
    """Gives the project its ports. `ports` maps service and instance to the first leased one, `read` gives the project again with
    some more variables, None where Compose would refuse it.

    A service of several containers gets a range, one port for each; one of a profile that is not active is moved if it has a lease.
    Left alone: a range that has the leased ports in it, since the engine chooses there, and SCTP.
    """
    values = variables(project, ports, checkout.linked)
    if project is None or not project.files:
        return Arrangement(values, project)
    after = read(values)
    if after is None:  # a variable that writes only a part of a number, or something else as well
        declared = declared_ports(project, inactive=True)
        written = {name for wanted in declared if wanted.spec for name in wanted.spec.variables[:1]}
        values = {name: value for name, value in values.items() if name not in written}
        after = read(values) or project
    moved = dict(_moved(project, after, ports))
    renamed = {} if checkout.is_primary else dict(_renamed(project, after))
    remarks = () if checkout.is_primary else tuple(_fixed(project, after))
    if not moved and not renamed:
        return Arrangement(values, after, remarks=remarks)
    from portward.formats.compose.override import override

    about = f"Made by Portward for {checkout.worktree}\nThe ports that are leased to it. Written anew by `portward env` and `portward run`."
    return Arrangement(values, after, override(moved, renamed, about), remarks)


def runs_compose(command: Sequence[str]) -> bool:
    """Whether a command is Docker Compose's, or that of a program which reads the same files."""
    program = command[0].rpartition("/")[2]
    return program in ("docker-compose", "podman-compose") or (program in _ENGINES and "compose" in command[1:])


def names_files(command: Sequence[str]) -> bool:
    """Whether a command of Compose names its files itself: then COMPOSE_FILE counts for nothing."""
    start = command.index("compose") + 1 if "compose" in command else 1
    for word in command[start:]:
        if word in ("-f", "--file") or word.startswith("--file="):
            return True
        if word in _COMMANDS:
            return False
    return False


_ENGINES = ("docker", "podman", "nerdctl")
_COMMANDS = (
    "up",
    "down",
    "run",
    "start",
    "stop",
    "build",
    "config",
    "create",
    "exec",
    "logs",
    "ps",
    "pull",
    "restart",
    "watch",
)


def profiles(command: Sequence[str]) -> list[str]:
    """The profiles that a command of Compose activates by `--profile`, which counts instead of COMPOSE_PROFILES."""
    if not runs_compose(command):
        return []
    start = command.index("compose") + 1 if "compose" in command else 1
    own = list(takewhile(lambda word: word not in _COMMANDS, command[start:]))
    named = [value for option, value in pairwise(own) if option == "--profile"]
    return [*named, *(word.partition("=")[2] for word in own if word.startswith("--profile="))]


def _moved(project: Project, after: Project, ports: Ports) -> Iterator[tuple[str, list[tuple[PortSpec, str | None]]]]:
    """The services that are not on their ports yet, each with all its entries and what they are to publish."""
    leased = {
        (wanted.service, _key(wanted.spec)): ports.get((wanted.service, wanted.instance))
        for wanted in declared_ports(project, inactive=True)
        if wanted.spec is not None
    }
    then = {service.name: service for service in _services(after)}
    for service in _services(project):
        before, now = _entries(service), _entries(then[service.name]) if service.name in then else []
        if len(before) != len(now) or service.host_network:
            continue
        published = [
            _published(spec, leased.get((service.name, _key(declared))), service.replicas)
            for spec, declared in zip(now, before, strict=True)
        ]
        if published != [spec.published for spec in now]:
            yield service.name, list(zip(now, published, strict=True))


def _published(spec: PortSpec, port: int | None, count: int) -> str | None:
    """What an entry is to publish: what it does, if it has no lease or the engine may choose what is leased from it; else that."""
    if port is None or (spec.range and port in spec.range and port + count - 1 in spec.range):
        return spec.published
    return str(port) if count == 1 else f"{port}-{port + count - 1}"


def _services(project: Project) -> tuple[Service, ...]:
    return (*project.services, *project.inactive)


def _fixed(project: Project, after: Project) -> Iterator[str]:
    """What stays the same in every working tree, of the services that are active: no variable moves it."""
    then = {service.name: _entries(service) for service in after.services}
    for service in project.services:
        stay = {_key(spec) for spec in then.get(service.name, ())}
        for spec in _entries(service) if service.replicas and not service.host_network else ():
            if spec.published and spec.protocol.lower() not in ("tcp", "udp") and _key(spec) in stay:
                yield f"{service.name} stays on {spec.published}/{spec.protocol}: only ports of TCP and UDP are leased"


def _entries(service: Service) -> list[PortSpec]:
    return [spec for spec in service.ports if spec.origin == "compose"]


def _key(spec: PortSpec) -> tuple[object, ...]:
    return spec.host_ip, spec.published, spec.target, spec.protocol


def _renamed(project: Project, after: Project) -> Iterator[tuple[str, tuple[Service, str]]]:
    """Names for the containers of a linked worktree that the files give a fixed name: an engine has each name once."""
    then = {service.name: service for service in _services(after)}
    for service in _services(project):
        fixed, now = service.container_name, then.get(service.name)
        if fixed and now and now.container_name == fixed:
            yield service.name, (now, f"{fixed}-{after.name.rpartition('-')[2]}")
