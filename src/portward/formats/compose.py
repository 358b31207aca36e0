"""Compose files: the services of a project and every port that they write.

Several files are merged in order, as `docker compose -f a -f b` does: mappings by key, `ports:` appended and rid of equals.
Values are interpolated before they are merged. Not followed yet: `include`, `extends`, and the tags `!reset` and
`!override`; a file that uses one is reported as partly read.

Source: the Compose specification (05-services, 10-merge to 13-merge) and compose-go v2.14.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats import Stack, urls
from portward.formats.compose_ports import PortError, Published, parse_long, parse_short, typed
from portward.formats.dotenv import is_port_name
from portward.formats.template import Expansion, TemplateError, expand
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, parse, scalars
from portward.model import Location, PortSpec, Role, Service, Side, Skipped, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from collections.abc import Mapping as Values

    from portward.formats.yaml_tree import Node

_NAME = re.compile(r"[a-zA-Z0-9._-]+")


def read(files: Values[str, str], values: Values[str, str], profiles: Collection[str] = ()) -> Stack:
    """Reads and merges Compose files ({path: text}, in the order of `--file`).

    `values` are the variables for interpolation, already in their order of precedence. Services whose profiles are not among
    `profiles` ("*" for all) come back as inactive. Raises InvalidFile, with the place, where Compose would refuse the file.
    """
    reader = _Reader(values)
    for path, text in files.items():
        for document in parse(text, path):
            reader.add(document, path)
    return reader.stack(profiles)


class _Draft:
    """A service while files are merged: later values win, ports are appended."""

    def __init__(self) -> None:
        self.ports: dict[tuple[str, str, int, str], PortSpec] = {}
        self.references: list[PortSpec] = []
        self.names: list[str] = []
        self.folders: list[str] = []
        self.command: tuple[str, ...] = ()
        self.image: str | None = None
        self.host_network = False
        self.profiles: tuple[str, ...] = ()


class _Reader:
    def __init__(self, values: Values[str, str]) -> None:
        self.values = values
        self.drafts: dict[str, _Draft] = {}
        self.name: str | None = None
        self.skipped: dict[str, Skipped] = {}

    def add(self, document: Node, path: str) -> None:
        """Merges one document into what is there. An empty document adds nothing."""
        if isinstance(document, Scalar) and document.is_null:
            return
        if not isinstance(document, Mapping):
            raise _error("a Compose file must be a mapping", document)
        if isinstance(name := document.items.get("name"), Scalar):
            self.name = self.text(name)
        self._warn(document, path, "include")
        for service, place, node in _services(document):
            if not _NAME.fullmatch(service):
                raise _error_at(f"{service!r} is not a name of a service", place)
            if not isinstance(node, Mapping):
                raise _error(f"service {service!r} must be a mapping", node)
            self._warn(node, path, "extends")
            self._service(service, node)

    def stack(self, profiles: Collection[str]) -> Stack:
        """What all the files together declare."""
        active: list[Service] = []
        inactive: list[Service] = []
        for name, draft in self.drafts.items():
            service = Service(
                name=name,
                ports=(*draft.ports.values(), *draft.references),
                image=draft.image,
                names=tuple(dict.fromkeys([name, *draft.names])),
                folders=tuple(dict.fromkeys(draft.folders)),
                command=draft.command,
                host_network=draft.host_network,
            )
            wanted = not draft.profiles or "*" in profiles or not set(draft.profiles).isdisjoint(profiles)
            (active if wanted else inactive).append(service)
        return Stack(self.name, tuple(active), tuple(inactive), tuple(self.skipped.values()))

    def _warn(self, node: Mapping, path: str, key: str) -> None:
        if key in node.items:
            self.skipped[path] = Skipped(path, f"`{key}` is not followed yet, so ports behind it are missing")

    def _service(self, name: str, node: Mapping) -> None:
        draft = self.drafts.setdefault(name, _Draft())
        items = node.items
        if "image" in items:
            draft.image = self.text(items["image"])
        if "command" in items:
            draft.command = tuple(self._words(items["command"]))
        if "profiles" in items:
            draft.profiles = tuple(dict.fromkeys([*draft.profiles, *self._words(items["profiles"])]))
        if "network_mode" in items:
            draft.host_network = self.text(items["network_mode"]) == "host"
        for key in ("container_name", "hostname"):
            if key in items:
                draft.names.append(self.text(items[key]))
        draft.names += self._aliases(items.get("networks"))
        draft.folders += self._folders(items)
        if "ports" in items:
            self._ports(name, items["ports"], draft)
        draft.references += self._references(name, items)

    def _ports(self, service: str, node: Node, draft: _Draft) -> None:
        if node.tag is not None:
            raise _error(f"{node.tag} is not followed yet", node)
        if not isinstance(node, Sequence):
            raise _error(f"ports of {service!r} must be a list", node)
        for item in node.items:
            for spec in self._entry(service, item):
                key = (spec.host_ip or "0.0.0.0", spec.published or "", spec.target or 0, spec.protocol)
                draft.ports[key] = spec
            draft.references += self._fallbacks(service, item)

    def _entry(self, service: str, item: Node) -> Iterator[PortSpec]:
        """The published ports of one item of `ports:`."""
        try:
            if isinstance(item, Scalar):
                yield from self._short(service, item)
            elif isinstance(item, Mapping):
                yield self._long(service, item)
            else:
                raise PortError("a port is a text, a number or a mapping, not a list")
        except PortError as error:
            place = item.location
            hint = error.hint or self._source_hint(item)
            raise InvalidFile(str(error), hint=hint, path=place.path, line=place.line, column=place.column) from None

    def _short(self, service: str, item: Scalar) -> Iterator[PortSpec]:
        value = _typed(item)
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise PortError(f"{item.source} is not a port")
        expansion = self.expand(item) if isinstance(value, str) else Expansion(())
        ports = parse_short(expansion.text if isinstance(value, str) else str(value))
        written = ports.host or ports.target
        for entry in ports.entries:
            variables, span = _written(item, expansion, written) if isinstance(value, str) else ((), item.span)
            yield _spec(service, entry, item, variables, span)

    def _long(self, service: str, item: Mapping) -> PortSpec:
        entry: dict[str, int | float | bool | str | None] = {}
        for key, node in item.items.items():
            if key.startswith("x-"):
                continue
            if not isinstance(node, Scalar):
                raise PortError(f"{key} must be a text or a number")
            value = _typed(node)
            entry[key] = self.text(node) if isinstance(value, str) else value
        published = parse_long(entry)
        node = item.items["published" if "published" in item.items else "target"]
        assert isinstance(node, Scalar)
        expansion = self.expand(node)
        variables, span = _written(node, expansion, Span(0, len(expansion.text)))
        return _spec(service, published, node, variables, span)

    def _fallbacks(self, service: str, item: Node) -> Iterator[PortSpec]:
        """The defaults that are written for variables which have a value: `5000` in `${PORT:-5000}:5000`."""
        for scalar in scalars(item):
            if "$" not in scalar.value or scalar.value_start is None:
                continue
            try:
                pieces = expand(scalar.value, {}).pieces
            except TemplateError:
                continue
            for piece in pieces:
                overridden = tuple(name for name in piece.fallback_for if self.values.get(name))
                if overridden and piece.text.isdecimal():
                    yield PortSpec(
                        origin="compose-fallback",
                        role=Role.FALLBACK,
                        side=Side.HOST,
                        location=_inside(scalar, piece.span.start),
                        span=_shift(scalar, piece.span),
                        text=scalar.source,
                        service=service,
                        published=piece.text,
                        variables=overridden,
                    )

    def _references(self, service: str, items: dict[str, Node]) -> Iterator[PortSpec]:
        for item in _entries(items.get("expose")):
            text = self.text(item).partition("/")[0]
            if text.isdecimal():
                yield _reference("compose-expose", Role.CONTAINER, item, item.span, service, text)
        for name, scalar in self._environment(items.get("environment")):
            value = self.text(scalar).removeprefix(f"{name}=")
            if is_port_name(name) and value.isdecimal():
                span = Span(scalar.span.end - len(value), scalar.span.end)
                role = _reference("compose-environment", Role.CONTAINER, scalar, span, service, value)
                yield role.replace(variables=(name,))
        for key, node in items.items():
            if key not in ("image", "healthcheck", "ports", "labels"):
                yield from self._urls(node)

    def _urls(self, node: Node) -> Iterator[PortSpec]:
        for scalar in scalars(node):
            if "://" not in scalar.value or scalar.value_start is None:
                continue
            for url in urls.find(scalar.value):
                yield PortSpec(
                    origin="compose-url",
                    role=Role.URL,
                    side=urls.side(url.host),
                    location=_inside(scalar, url.span.start),
                    span=_shift(scalar, url.span),
                    text=scalar.source.partition("\n")[0],
                    published=url.port,
                    host=url.host,
                )

    def _environment(self, node: Node | None) -> Iterator[tuple[str, Scalar]]:
        if isinstance(node, Mapping):
            yield from ((key, value) for key, value in node.items.items() if isinstance(value, Scalar))
        for item in _entries(node):
            name, equals, _ = item.value.partition("=")
            if equals:
                yield name, item

    def _aliases(self, node: Node | None) -> Iterator[str]:
        for network in node.items.values() if isinstance(node, Mapping) else ():
            if isinstance(network, Mapping):
                yield from (self.text(alias) for alias in _entries(network.items.get("aliases")))

    def _folders(self, items: dict[str, Node]) -> Iterator[str]:
        """The project's folders that are this service's own: its build context and what it mounts."""
        build = items.get("build")
        context = build.items.get("context") if isinstance(build, Mapping) else build
        sources = [self.text(context)] if isinstance(context, Scalar) else []
        volumes = items.get("volumes")
        for volume in volumes.items if isinstance(volumes, Sequence) else ():
            source = volume.items.get("source") if isinstance(volume, Mapping) else volume
            if isinstance(source, Scalar) and source.value.startswith("./"):  # else a volume by name
                sources.append(self.text(source).partition(":")[0])
        for folder in (source.removeprefix("./").rstrip("/") for source in sources):
            if folder not in ("", ".") and not folder.startswith(("/", "~", "..")):
                yield folder

    def _words(self, node: Node) -> list[str]:
        if isinstance(node, Scalar):
            return self.text(node).split()
        return [self.text(item) for item in _entries(node)]

    def text(self, node: Node) -> str:
        """A scalar's interpolated text."""
        if not isinstance(node, Scalar):
            raise _error("a text is expected here", node)
        return self.expand(node).text

    def expand(self, scalar: Scalar) -> Expansion:
        """Interpolates a scalar. Raises InvalidFile at its place."""
        try:
            return expand(scalar.value, self.values)
        except TemplateError as error:
            raise _error_at(str(error), _inside(scalar, error.offset)) from None

    def _source_hint(self, item: Node) -> str | None:
        """Where the value came from, when the text in the file is only a variable."""
        names = [name for scalar in scalars(item) for name in self.expand(scalar).variables if name in self.values]
        return "; ".join(f"{name} is {self.values[name]!r}" for name in names if is_port_name(name)) or None


def _services(document: Mapping) -> Iterator[tuple[str, Location, Node]]:
    """The services of a document, with the places of their names."""
    services = document.items.get("services")
    if services is None or (isinstance(services, Scalar) and services.is_null):
        stray = next((key for key, node in document.items.items() if _is_old_service(node)), None)
        if stray is not None:
            raise _error(f"{stray!r} stands outside `services:`", document.items[stray])
        return
    if not isinstance(services, Mapping):
        raise _error("services must be a mapping of names to services", services)
    for service, node in services.items.items():
        if not service.startswith("x-"):
            yield service, services.keys[service], node


def _typed(item: Scalar) -> int | float | bool | str | None:
    if item.tag is not None:
        raise PortError(f"{item.tag} is not followed yet")
    return typed(item.value, item.plain)


def _written(item: Scalar, expansion: Expansion, part: Span) -> tuple[tuple[str, ...], Span]:
    """What wrote a part of an interpolated scalar: the variables, and the span in the file of the part's own characters."""
    pieces = expansion.between(part.start, part.end)
    names: list[str] = []
    for piece in pieces:
        names += [piece.variable] if piece.variable else piece.fallback_for
    if item.value_start is None:
        return tuple(names), item.span
    if len(expansion.pieces) == 1 and not names and expansion.text == item.value:
        return (), _shift(item, part)
    if len(pieces) != 1:
        return tuple(dict.fromkeys(names)), item.span
    piece = pieces[0]
    if piece.variable or expansion.text == piece.text:
        return tuple(dict.fromkeys(names)), _shift(item, piece.span)
    before = 0
    for earlier in expansion.pieces:
        if earlier is piece:
            break
        before += len(earlier.text)
    start = piece.span.start + max(0, part.start - before)
    end = piece.span.start + min(len(piece.text), part.end - before)
    return tuple(dict.fromkeys(names)), _shift(item, Span(start, end))


def _shift(scalar: Scalar, span: Span) -> Span:
    base = scalar.value_start if scalar.value_start is not None else scalar.span.start
    return Span(base + span.start, base + span.end)


def _inside(scalar: Scalar, offset: int) -> Location:
    if scalar.value_start is None or "\n" in scalar.value[:offset]:
        return scalar.location
    return scalar.location.replace(column=scalar.location.column + scalar.value_start - scalar.span.start + offset)


def _spec(service: str, entry: Published, item: Scalar, variables: tuple[str, ...], span: Span) -> PortSpec:
    return PortSpec(
        origin="compose",
        role=Role.HOST,
        side=Side.HOST,
        location=item.location,
        span=span,
        text=item.source.partition("\n")[0],
        service=service,
        published=entry.published,
        target=entry.target,
        protocol=entry.protocol,
        host_ip=entry.host_ip,
        variables=variables,
    )


def _reference(origin: str, role: Role, item: Scalar, span: Span, service: str, port: str) -> PortSpec:
    return PortSpec(
        origin=origin,
        role=role,
        side=Side.CONTAINER,
        location=item.location,
        span=span,
        text=item.source.partition("\n")[0],
        service=service,
        target=int(port),
    )


def _entries(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Sequence) else ()


def _is_old_service(node: Node) -> bool:
    return isinstance(node, Mapping) and ("image" in node.items or "build" in node.items)


def _error(message: str, node: Node) -> InvalidFile:
    return _error_at(message, node.location)


def _error_at(message: str, place: Location) -> InvalidFile:
    return InvalidFile(message, path=place.path, line=place.line, column=place.column)
