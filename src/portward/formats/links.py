"""Which of a project's references mean the same port of the same service, and on whose side.

Every number is kept on its side. Inside a Compose network, `http://nexus-server:5000` names the container's port;
`http://localhost:5000` in a browser's configuration names the host's. A reference belongs to a service through, in this
order: the service that it stands in, the name of a variable that a published port is interpolated from, the host name of a
URL, the folder or `env_file` that the container reads, the number itself, and at last the words of the variable or label that
holds it (`REACT_APP_API_URL` asks for an API).

A default in code is the container's where the container reads it: the file is in the service's own folder and Compose gives the
variable no value. Where it gives one, the default counts on bare metal alone, and is the host's. A variable that speaks of another
service (`QDRANT_PORT` in the folder of `api`) has that one's port, on the same side. Where the files tell neither, the side stays
unknown, and `why` says so.
"""

from __future__ import annotations

import re

from portward.formats.urls import is_loopback
from portward.model import Link, PortSpec, Role, Service, Side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

DOCUMENTS = ("markdown", "kubernetes")
"""Formats that say nothing about what listens on this machine."""
_OWN_COMMANDS = ("compose-command", "compose-entrypoint", "compose-healthcheck", "compose-label")
"""Where Compose tells a container its own ports; a number of another one may be an option's that is no port of it."""
_COMMAND_LINES = ("npm", "makefile", "shell", "procfile", "dotnet-launch")
"""Formats of commands that people type, in a container or on the host."""
_SCHEMES = {
    "mongodb": "mongo",
    "mongodb+srv": "mongo",
    "postgresql": "postgres",
    "amqp": "rabbit",
    "amqps": "rabbit",
    "rediss": "redis",
    "mariadb": "mysql",
}
_SYNONYMS = {
    "api": {"backend", "server", "api"},
    "backend": {"backend", "server", "api"},
    "server": {"backend", "server", "api"},
    "frontend": {"frontend", "client", "web", "ui"},
    "client": {"frontend", "client", "web", "ui"},
    "web": {"frontend", "client", "web"},
}
_WORDS_OF_EVERY_URL = {"react", "app", "vite", "next", "public", "nuxt", "url", "uri", "base", "host", "http", "https"}
_WORDS_OF_EVERY_PORT = {"port", "ports", "host", "container", "published"}
_FOLDERS_OF_ALL = {"packages", "apps", "services", "projects", "modules", "src", "source", "main", "resources"}
"""What holds the folders of many services, or the code of any, and names none."""
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://")


def link(
    services: Sequence[Service],
    references: Iterable[PortSpec],
    project: str,
    in_force: Collection[tuple[str, int]] = (),
) -> tuple[tuple[Service, ...], tuple[PortSpec, ...], tuple[Link, ...]]:
    """The services with the references that are theirs, the references that are nobody's, and the links.

    `services` are Compose's, with what Compose's own files write; without any, each variable that holds a port and each
    number in a folder's code is a service of its own. `project` names a service whose variable says no more than PORT.
    `in_force` are the paths and lines of the definitions that Compose takes variables from.
    """
    found = list(references)
    linker = _Linker(services, in_force, in_containers=True)
    if not services:
        services = _bare_services(found, project)
        linker = _Linker(services, in_force, in_containers=False)
    for service in services:
        for spec in service.ports:
            linker.add(spec, service if spec.service else None, service)
    written = {(spec.location, spec.span) for service in services for spec in service.ports}
    for spec in found:
        if (spec.location, spec.span) not in written:
            linker.add(spec, None)
    return linker.services(), tuple(linker.loose), linker.links()


def _bare_services(references: Iterable[PortSpec], project: str) -> tuple[Service, ...]:
    """The services of a project without Compose: one for each name that a file gives, each variable and each folder's code."""
    found: dict[str, Service] = {}
    for spec in references:
        if spec.role not in (Role.HOST, Role.FALLBACK) or spec.side is not Side.HOST or spec.origin in DOCUMENTS:
            continue
        folder = spec.location.path.rpartition("/")[0]
        prefix = next((name.lower().rpartition("port")[0].strip("_-") for name in spec.variables), "")
        own = next((part for part in folder.split("/") if part.lower() not in _FOLDERS_OF_ALL), "")
        name = spec.service or prefix.replace("_", "-") or own or project
        service = found.setdefault(name, Service(name, names=(name,), folders=(folder,) if folder else ()))
        found[name] = service.replace(ports=(*service.ports, spec.replace(service=name)))
    return tuple(found.values())


class _Entry:
    """A published port, or one of a container's alone, with what was found to mean it."""

    def __init__(self, service: Service, spec: PortSpec | None, target: int | None) -> None:
        self.service = service
        self.spec = spec
        self.target = target
        self.host: list[PortSpec] = [] if spec is None else [spec]
        self.container: list[PortSpec] = []
        self.unsure: list[PortSpec] = []

    def has(self, number: str) -> bool:
        """Whether the host's port is this number, by the entry or by any definition of it."""
        if self.spec is not None and self.spec.range is not None and number.isdecimal() and len(number) < 6:
            return int(number) in self.spec.range or any(spec.number == number for spec in self.host)
        return any(spec.number == number for spec in self.host)


class _Linker:
    """Finds the entry of each reference. Entries come first: the references are judged by them."""

    def __init__(self, services: Sequence[Service], in_force: Collection[tuple[str, int]], in_containers: bool) -> None:
        self.loose: list[PortSpec] = []
        self._in_force = in_force
        self._services = services
        self._ports: dict[str, list[PortSpec]] = {service.name: [] for service in services}
        self._entries: dict[str, list[_Entry]] = {service.name: [] for service in services}
        self._by_spec: dict[int, _Entry] = {}  # by identity: there may be thousands, and each is there once
        self._twins: dict[tuple[object, ...], _Entry] = {}
        self._by_variable: dict[str, list[_Entry]] = {}
        self._by_number: dict[str, list[_Entry]] = {}
        self._by_name: dict[str, Service] = {}
        self._by_folder: dict[str, list[Service]] = {}
        self._by_env_file: dict[str, list[Service]] = {}
        for service in services:
            for name in service.names:
                self._by_name.setdefault(name, service)
            for folder in service.folders if in_containers else ():
                self._by_folder.setdefault(folder, []).append(service)
            for path in service.env_files:
                self._by_env_file.setdefault(path, []).append(service)
            for spec in service.entries:
                self._enter(_Entry(service, spec, spec.target))

    def _enter(self, entry: _Entry) -> _Entry:
        self._entries[entry.service.name].append(entry)
        if entry.spec is not None:
            self._by_spec[id(entry.spec)] = entry
            self._twins[_published_by(entry.service, entry.spec)] = entry
            for name in entry.spec.variables:
                self._by_variable.setdefault(name, []).append(entry)
            for port in entry.spec.range or ():
                self._by_number.setdefault(str(port), []).append(entry)
        return entry

    def services(self) -> tuple[Service, ...]:
        """The services, each with all the references to it."""
        return tuple(service.replace(ports=tuple(self._ports[service.name])) for service in self._services)

    def links(self) -> tuple[Link, ...]:
        """A link for each port of each service."""
        return tuple(
            Link(service.name, entry.spec, tuple(entry.host), tuple(entry.container), tuple(entry.unsure))
            for service in self._services
            for entry in self._entries[service.name]
        )

    def add(self, spec: PortSpec, within: Service | None, around: Service | None = None) -> None:
        """Gives a reference its place. `within` is the service that it was written for, `around` the one that it stands in."""
        entry = self._by_spec.get(id(spec))
        if entry is not None:
            self._ports[entry.service.name].append(spec)
        elif within is not None and spec.origin == "compose":
            # Compose keeps both where one writes its port as a number, the other as a text
            self._join(self._twins[_published_by(within, spec)], spec, Side.HOST, "the same entry again")
        elif spec.side is Side.CLUSTER:
            self._cluster(spec)
        elif spec.role is Role.URL:
            self._url(spec, around)
        elif within is not None and spec.side is Side.CONTAINER:
            self._inside(spec, within)
        elif spec.side is Side.HOST and spec.role is not Role.MENTION and self._interpolated(spec, within):
            pass
        elif spec.role is Role.MENTION or (spec.side is Side.CONTAINER and spec.origin in DOCUMENTS):
            self._mention(spec)
        else:
            self._in_a_file(spec)

    # What is written in Compose's own files

    def _inside(self, spec: PortSpec, service: Service) -> None:
        """A container's port that the service itself names; a variable may name another service's (`DB_PORT`)."""
        target = _as_port(spec)
        if spec.origin in _OWN_COMMANDS and not self._entry_of_target(service, target):
            self._doubt(None, spec, "no port of its container is this one", service)
            return
        if not self._entry_of_target(service, target):
            other = self._of_another(spec, self._with_target(target), [service])
            if other is not None:
                self._join(other, spec, Side.CONTAINER, f"the words of {spec.variables[0]}")
                return
        self._join(self._container_entry(service, target), spec, Side.CONTAINER, "the container's own")

    # Through a variable that a published port is interpolated from

    def _interpolated(self, spec: PortSpec, within: Service | None) -> bool:
        """Joins a definition or default of a variable to the published ports that are interpolated from it."""
        entries = [entry for name in spec.variables for entry in self._by_variable.get(name, ())]
        if within is not None:
            entries = [entry for entry in entries if entry.service is within]
        path = spec.location.path
        if (path, spec.location.line) not in self._in_force and spec.origin != "compose-fallback":
            owners = self._owners(path)
            meant = [entry.service for entry in entries if entry.service in owners]
            if owners and not meant:
                return False  # `client/.env` may say PORT too, and mean its own
            if self._reads(spec, meant):
                return False  # the container reads it: it is not the host's
        if not entries:
            return False
        what = "falls back for" if spec.role is Role.FALLBACK else "defines"
        for entry in dict.fromkeys(entries):
            self._join(entry, spec, Side.HOST, f"{what} {spec.variables[0]}")
        for service in self._by_env_file.get(path, ()):
            self._inside(spec, service)
        return True

    # Through a host name, a number or words

    def _url(self, spec: PortSpec, around: Service | None) -> None:
        if spec.side is Side.CONTAINER:
            target = _as_port(spec)
            service = self._by_name.get(spec.host or "")
            if service is None and is_loopback(
                spec.host or ""
            ):  # what asks its own container, in the recipe of its image
                service = next(
                    (each for each in self._owners(spec.location.path) if self._entry_of_target(each, target)), None
                )
            if service is None:
                self.loose.append(spec)
                return
            entry = self._entry_of_target(service, target) or next(iter(self._entries[service.name]), None)
            self._join(entry or self._container_entry(service, target), spec, Side.CONTAINER, f"names {spec.host}")
            return
        equal = self._with_host_port(spec.number)
        entry = self._chosen(equal, spec)
        if spec.host is None and self._with_target(_as_port(spec)):
            self._doubt(self._with_target(_as_port(spec))[0], spec, "the host's name is not in the text")
        elif entry is not None and entry.service is around and str(entry.target) == spec.number:
            self._doubt(entry, spec, "its own container has this port too")
        elif entry is not None:
            self._join(entry, spec, Side.HOST, "the same port of this machine")
        elif equal:
            self._doubt(equal[0], spec, f"several services publish {spec.number}")
        elif spec.variables and (entry := self._called(_meaning(spec), self._published())):
            self._join(entry, spec, Side.HOST, f"the words of {spec.variables[0]}")
        else:
            self.loose.append(spec)

    def _cluster(self, spec: PortSpec) -> None:
        service = self._by_name.get(spec.service or spec.host or "")
        if service is None:
            self.loose.append(spec)
        else:
            self._ports[service.name].append(spec.replace(service=service.name, why="the manifest's name"))

    def _mention(self, spec: PortSpec) -> None:
        """A document's row: by its label and number, by the number alone, or by the label alone."""
        on_host = spec.side is Side.HOST
        equal = self._with_host_port(spec.number) if on_host else self._with_target(spec.target)
        words = set(_words(spec.service or "")) - _WORDS_OF_EVERY_PORT
        entry = self._called(words, equal) or (equal[0] if len(equal) == 1 else None)
        if entry is None and words:
            entry = self._called(words, self._published())
        if entry is None:
            self.loose.append(spec)
        else:
            self._join(entry, spec, spec.side, "told in a document")

    # Through the file that it is written in

    def _in_a_file(self, spec: PortSpec) -> None:
        path = spec.location.path
        owners, readers = self._owners(path), self._by_env_file.get(path)
        if readers:
            for service in readers:
                self._inside(spec, service)
        elif not owners:
            self._at_large(spec)
        elif spec.side is Side.CONTAINER:
            self._image(spec, owners)
        else:
            self._near(spec, owners)

    def _image(self, spec: PortSpec, owners: Sequence[Service]) -> None:
        """A port that the recipe of an image names: of the service that is built there and has it."""
        service = next((service for service in owners if self._entry_of_target(service, _as_port(spec))), owners[0])
        self._join(self._container_entry(service, _as_port(spec)), spec, Side.CONTAINER, "its own image")

    def _near(self, spec: PortSpec, owners: Sequence[Service]) -> None:
        """A file in the folder of services: the container's where it reads it, the host's where it cannot."""
        by_target = [entry for service in owners if (entry := self._entry_of_target(service, _as_port(spec)))]
        by_number = [entry for entry in self._with_host_port(spec.number) if entry.service in owners]
        if self._is_read(spec, owners):
            other = self._of_another(spec, self._with_target(_as_port(spec)), owners)
            if by_target:
                self._join(by_target[0], spec, Side.CONTAINER, "the container reads it")
            elif other is not None:
                self._join(other, spec, Side.CONTAINER, f"the container reads it, by the words of {spec.variables[0]}")
            else:
                self._doubt(None, spec, "the container reads it, but has no such port", owners[0])
        elif spec.variables and spec.origin not in _COMMAND_LINES and (bare := self._on_bare_metal(spec, owners)):
            self._join(bare, spec, Side.HOST, f"read on bare metal alone: Compose sets {spec.variables[0]}")
        elif by_number and not by_target:
            self._join(by_number[0], spec, Side.HOST, "the published port of its folder's service")
        elif by_target:
            self._doubt(by_target[0], spec, "it may be the host's or the container's")
        else:
            self._doubt(None, spec, "no port of its service is this one", owners[0])

    def _on_bare_metal(self, spec: PortSpec, owners: Sequence[Service]) -> _Entry | None:
        """The published port that a default is, where no container reads it: of its folder's service, or of the one that it speaks of."""
        equal = self._with_host_port(spec.number)
        own = next((entry for entry in equal if entry.service in owners), None)
        return own or self._of_another(spec, equal, owners)

    def _at_large(self, spec: PortSpec) -> None:
        """A file that belongs to no service: run on this machine."""
        if spec.side is Side.CONTAINER:
            self.loose.append(spec)
            return
        equal = self._with_host_port(spec.number)
        entry = self._chosen(equal, spec)
        if entry is not None and (spec.variables or spec.service):
            self._join(entry, spec, Side.HOST, "the same port of this machine")
        elif equal:
            self._doubt(equal[0], spec, "only the number is the same")
        else:
            self.loose.append(spec)

    def _is_read(self, spec: PortSpec, owners: Sequence[Service]) -> bool:
        """Whether a container runs on what the file says: code, unless it is a default for a variable that Compose sets."""
        return self._reads(spec, owners) if spec.variables else spec.origin not in _COMMAND_LINES

    def _reads(self, spec: PortSpec, owners: Sequence[Service]) -> bool:
        """Whether a container of the file's own services takes this definition or default: Compose gives it no other.

        Of several services that share a folder, those that publish nothing are not asked: a worker does not listen.
        """
        for service in [service for service in owners if service.entries] or owners:
            given = {name for name, value in service.environment if value != ""}
            if given.isdisjoint(spec.variables) and not service.env_files:
                return True
        return False

    def _owners(self, path: str) -> list[Service]:
        """The services in whose own folder the file is, or that mount it: those of the innermost such place."""
        folder = path
        while True:
            if folder in self._by_folder:
                return self._by_folder[folder]
            if not folder:
                return []
            folder = folder.rpartition("/")[0]

    # Looking up entries

    def _published(self) -> list[_Entry]:
        return [entry for entries in self._entries.values() for entry in entries if entry.spec is not None]

    def _with_host_port(self, number: str) -> list[_Entry]:
        found = self._by_number.get(number, ())
        return list(found) or [entry for entry in self._published_with_definitions() if entry.has(number)]

    def _published_with_definitions(self) -> Iterator[_Entry]:
        """Entries whose variable is defined otherwise than it is in force: overridden by the environment."""
        for entries in self._by_variable.values():
            yield from entries

    def _with_target(self, target: int | None) -> list[_Entry]:
        return [entry for entries in self._entries.values() for entry in entries if target and entry.target == target]

    def _entry_of_target(self, service: Service, target: int | None) -> _Entry | None:
        entries = self._entries[service.name]
        return next((entry for entry in entries if target is not None and entry.target == target), None)

    def _container_entry(self, service: Service, target: int | None) -> _Entry:
        return self._entry_of_target(service, target) or self._enter(_Entry(service, None, target))

    def _chosen(self, entries: Sequence[_Entry], spec: PortSpec) -> _Entry | None:
        """The one entry that is meant; of several, the one that the words speak of."""
        if len(entries) == 1:
            return entries[0]
        return self._called(_meaning(spec), entries) if entries else None

    def _of_another(self, spec: PortSpec, entries: Sequence[_Entry], than: Collection[Service]) -> _Entry | None:
        """The entry of another service that the variable speaks of: `QDRANT_PORT` in the folder of the one that asks it."""
        words = _meaning(spec) if spec.variables else set()
        return self._called(words, [entry for entry in entries if entry.service not in than]) if words else None

    def _called(self, words: set[str], entries: Sequence[_Entry]) -> _Entry | None:
        """The entry of the one service that the words, or their synonyms, speak of; its first where several are in question."""
        wider = words.union(*(_SYNONYMS.get(word, set()) for word in words))
        for test in (words, wider):
            named = {entry.service.name: entry for entry in reversed(entries) if _is_called(entry.service, test)}
            if len(named) == 1:
                return next(iter(named.values()))
        return None

    # Where a reference ends up

    def _join(self, entry: _Entry, spec: PortSpec, side: Side, why: str) -> None:
        placed = spec.replace(service=entry.service.name, side=side, why=why)
        (entry.host if side is Side.HOST else entry.container).append(placed)
        self._ports[entry.service.name].append(placed)

    def _doubt(self, entry: _Entry | None, spec: PortSpec, why: str, service: Service | None = None) -> None:
        """Keeps a reference whose side the files do not tell with the service that it stands nearest to."""
        owner = entry.service if entry else service
        assert owner is not None
        placed = spec.replace(service=owner.name, side=Side.UNKNOWN, why=why)
        self._ports[owner.name].append(placed)
        if entry is not None:
            entry.unsure.append(placed)


def _published_by(service: Service, spec: PortSpec) -> tuple[object, ...]:
    return service.name, spec.host_ip, spec.published, spec.target, spec.protocol


def _as_port(spec: PortSpec) -> int | None:
    return int(spec.number) if spec.number.isdecimal() and len(spec.number) < 6 else None


def _meaning(spec: PortSpec) -> set[str]:
    """What the words of a reference's variables and label, and the scheme of its URL, speak of."""
    words = {word for name in (*spec.variables, spec.service or "") for word in _words(name)}
    words -= _WORDS_OF_EVERY_URL | _WORDS_OF_EVERY_PORT
    url = _SCHEME.search(spec.text)
    if url and url[1] not in ("http", "https", "ws", "wss"):
        words.add(_SCHEMES.get(url[1], url[1]))
    return words


def _is_called(service: Service, words: set[str]) -> bool:
    image = (service.image or "").rpartition("/")[2].partition(":")[0]
    own = {word for name in (*service.names, image) for word in _words(name)}
    return any(word == known or (len(word) > 3 and known.startswith(word)) for word in words for known in own)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
