"""Compose files: the services of a project and every port that they write.

`compose_files.py` says which files are in force and merges them; `compose_ports.py` reads one entry of `ports:`. Here a merged
service becomes a `Service`: what it publishes, and every other port that it names, on its side.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats import Stack, urls
from portward.formats.compose_files import error, error_at, load
from portward.formats.compose_ports import PortError, Published, parse_long, parse_short, typed
from portward.formats.dotenv import is_port_name
from portward.formats.template import Expansion, TemplateError, expand
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, inside, scalars
from portward.model import Location, PortSpec, Role, Service, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from collections.abc import Mapping as Values

    from portward.formats.template import Piece
    from portward.formats.yaml_tree import Node

_NAME = re.compile(r"[a-zA-Z0-9._-]+")
_WITHOUT_REFERENCES = ("image", "healthcheck", "ports", "labels")
"""Keys of a service whose URLs say nothing about ports: a health check asks its own container."""


def read(
    paths: Iterable[str], text_of: Callable[[str], str], values: Values[str, str], profiles: Collection[str] = ()
) -> Stack:
    """Reads and merges Compose files, in the order of `--file`.

    `text_of` gives the text of a path relative to the project's root, raising OSError or UnicodeDecodeError. `values` are the
    variables for interpolation in their order of precedence. Services whose profiles are not among `profiles` ("*" for
    all) come back as inactive. Raises InvalidFile, with the place, where Compose would refuse a file.
    """
    tree = load(paths, text_of, values)
    active: list[Service] = []
    inactive: list[Service] = []
    for name, node in tree.services.items():
        if not _NAME.fullmatch(name):
            raise error_at(f"{name!r} is not a name of a service", tree.places[name])
        wanted = set(_words(node.items.get("profiles")))
        is_active = not wanted or "*" in profiles or not wanted.isdisjoint(profiles)
        (active if is_active else inactive).append(_Reader(name, node.items, values).service())
    return Stack(tree.name, tuple(active), tuple(inactive))


class _Reader:
    """Reads one merged service."""

    def __init__(self, name: str, items: dict[str, Node], values: Values[str, str]) -> None:
        self.name = name
        self.items = items
        self.values = values

    def service(self) -> Service:
        names = [self.name, *(_text(self.items[key]) for key in ("container_name", "hostname") if key in self.items)]
        return Service(
            name=self.name,
            ports=(*self._ports(), *self._fallbacks(), *self._references()),
            image=_text(self.items["image"]) if "image" in self.items else None,
            names=tuple(dict.fromkeys([*names, *_aliases(self.items.get("networks"))])),
            folders=tuple(dict.fromkeys(_folders(self.items))),
            command=tuple(_words(self.items.get("command"))),
            host_network="network_mode" in self.items and _text(self.items["network_mode"]) == "host",
            environment=tuple(_container_environment(self.items.get("environment"))),
            env_files=tuple(_env_files(self.items.get("env_file"))),
            replicas=_replicas(self.items),
            places=tuple(self._places()),
            unset=tuple(self._unset()),
        )

    def _places(self) -> Iterator[tuple[str, Location]]:
        """Where the keys stand that rules speak of."""
        for key in ("command", "network_mode"):
            if key in self.items:
                yield key, _told(self.items[key])
        if (node := _replicas_node(self.items)) is not None:
            yield "replicas", _told(node)
        for name, scalar in _environment(self.items.get("environment")):
            yield f"environment.{name}", _told(scalar)

    def _unset(self) -> Iterator[tuple[str, Location]]:
        """The variables without a value or a default that a port, or what is called one, is interpolated from."""
        for key, node in self.items.items():
            for scalar in scalars(node) if not key.startswith("x-") else ():
                for name in scalar.expansion.unset if scalar.expansion else ():
                    if key == "ports" or is_port_name(name):
                        yield name, _told(scalar)

    def _ports(self) -> Iterable[PortSpec]:
        """What the service publishes. Equal entries are one; the later stands in the place of the earlier."""
        found: dict[tuple[str, str, int, str], PortSpec] = {}
        targets: list[PortSpec] = []
        for item in self._items_of_ports():
            for spec in self._entry(item):
                if spec.origin == "compose":
                    found[_key(spec, item)] = spec
                else:
                    targets.append(spec)
        return (*found.values(), *targets)

    def _items_of_ports(self) -> tuple[Node, ...]:
        node = self.items.get("ports")
        if node is None:
            return ()
        if not isinstance(node, Sequence):
            raise error(f"ports of {self.name!r} must be a list", node)
        return node.items

    def _entry(self, item: Node) -> Iterator[PortSpec]:
        """The published ports of one item of `ports:`."""
        try:
            if isinstance(item, Scalar):
                yield from self._short(item)
            elif isinstance(item, Mapping):
                yield from self._long(item)
            else:
                raise PortError("a port is a text, a number or a mapping, not a list")
        except PortError as refusal:
            place = item.location
            hint = refusal.hint or self._source_hint(item)
            raise InvalidFile(str(refusal), hint=hint, path=place.path, line=place.line, column=place.column) from None

    def _short(self, item: Scalar) -> Iterator[PortSpec]:
        value = typed(item.value, item.plain)
        if isinstance(value, int) and not isinstance(value, bool):
            for entry in parse_short(str(value)).entries:
                yield self._spec(entry, item, (), item.span)
                yield self._target(entry.target, item, Span(0, len(item.text)))
            return
        if not isinstance(value, str):
            raise PortError(f"{item.source} is not a port")
        ports = parse_short(item.text)
        variables, span = _written(item, ports.host or ports.target)
        for entry in ports.entries:
            yield self._spec(entry, item, variables, span)
        if len(ports.entries) == 1:
            yield self._target(ports.entries[0].target, item, ports.target)

    def _long(self, item: Mapping) -> Iterator[PortSpec]:
        entry: dict[str, int | float | bool | str | None] = {}
        for key, node in item.items.items():
            if key.startswith("x-"):
                continue
            if not isinstance(node, Scalar):
                raise PortError(f"{key} must be a text or a number")
            value = typed(node.value, node.plain)
            entry[key] = node.text if isinstance(value, str) else value
        published = parse_long(entry)
        target = item.items["target"]
        assert isinstance(target, Scalar)
        yield self._target(published.target, target, Span(0, len(target.text)))
        node = item.items["published" if "published" in item.items else "target"]
        assert isinstance(node, Scalar)
        variables, span = _written(node, Span(0, len(node.text)))
        yield self._spec(published, node, variables, span)

    def _target(self, port: int, item: Scalar, part: Span) -> PortSpec:
        """The container's side of an entry, a reference of its own."""
        variables, span = _written(item, part)
        spec = self._container_port("compose-target", item, span, str(port))
        return spec.replace(variables=variables, location=_place(item, span))

    def _spec(self, entry: Published, item: Scalar, variables: tuple[str, ...], span: Span) -> PortSpec:
        return PortSpec(
            origin="compose",
            role=Role.HOST,
            side=Side.HOST,
            location=item.location,
            span=span,
            text=_first_line(item),
            service=self.name,
            published=entry.published,
            target=entry.target,
            protocol=entry.protocol,
            host_ip=entry.host_ip,
            variables=variables,
        )

    def _fallbacks(self) -> Iterator[PortSpec]:
        """The defaults that are written for variables which have a value: `5000` in `${PORT:-5000}:5000`."""
        for scalar in (scalar for item in self._items_of_ports() for scalar in scalars(item)):
            if scalar.expansion is None or scalar.value_start is None:
                continue
            for piece in _defaults(scalar.value):
                overridden = tuple(name for name in piece.fallback_for if self.values.get(name))
                if overridden and piece.text.isdecimal():
                    yield PortSpec(
                        origin="compose-fallback",
                        role=Role.FALLBACK,
                        side=Side.HOST,
                        location=inside(scalar, piece.span.start),
                        span=_shift(scalar, piece.span),
                        text=_first_line(scalar),
                        service=self.name,
                        published=piece.text,
                        variables=overridden,
                    )

    def _references(self) -> Iterator[PortSpec]:
        """Ports that the service names without publishing them."""
        for item in _entries(self.items.get("expose")):
            port = item.text.partition("/")[0]
            if port.isdecimal():
                yield self._container_port("compose-expose", item, item.span, port)
        for name, scalar in _environment(self.items.get("environment")):
            port = scalar.text.removeprefix(f"{name}=")
            if is_port_name(name) and port.isdecimal():
                variables, span = _written(scalar, Span(len(scalar.text) - len(port), len(scalar.text)))
                spec = self._container_port("compose-environment", scalar, span, port)
                yield spec.replace(variables=(name, *variables))
        for key, node in self.items.items():
            if key not in _WITHOUT_REFERENCES:
                yield from _urls(node)

    def _container_port(self, origin: str, item: Scalar, span: Span, port: str) -> PortSpec:
        return PortSpec(
            origin=origin,
            role=Role.CONTAINER,
            side=Side.CONTAINER,
            location=item.location,
            span=span,
            text=_first_line(item),
            service=self.name,
            target=int(port),
        )

    def _source_hint(self, item: Node) -> str | None:
        """Where the value came from, when the text in the file is only a variable."""
        names = [name for scalar in scalars(item) if scalar.expansion for name in scalar.expansion.variables]
        known = [f"{name} is {self.values[name]!r}" for name in names if name in self.values and is_port_name(name)]
        return "; ".join(known) or None


def _key(spec: PortSpec, item: Node) -> tuple[str, str, int, str]:
    """What makes two entries equal. A `published` that is a number never equals one that is a text, as in Compose."""
    published = spec.published or ""
    node = item.items.get("published") if isinstance(item, Mapping) else None
    if isinstance(node, Scalar) and isinstance(typed(node.value, node.plain), int):
        published = f"int {published}"
    return spec.host_ip or "0.0.0.0", published, spec.target or 0, spec.protocol


def _written(item: Scalar, part: Span) -> tuple[tuple[str, ...], Span]:
    """What wrote a part of a scalar's text: the variables, and the span in the file of the part's own characters.

    A variable's own reference counts as what wrote it; where several things did, the whole scalar does.
    """
    if item.expansion is None:
        return (), item.span if item.value_start is None else _shift(item, part)
    pieces = item.expansion.between(part.start, part.end)
    names = tuple(
        dict.fromkeys(name for piece in pieces for name in ([piece.variable] if piece.variable else piece.fallback_for))
    )
    if item.value_start is None or len(pieces) != 1:
        return names, item.span
    (piece,) = pieces
    if piece.variable:
        return names, _shift(item, piece.span)
    before = _length_before(item.expansion, piece)
    start = piece.span.start + max(0, part.start - before)
    end = piece.span.start + min(len(piece.text), part.end - before)
    return names, _shift(item, Span(start, end))


def _length_before(expansion: Expansion, piece: object) -> int:
    """How long the text is before a piece of it."""
    length = 0
    for earlier in expansion.pieces:
        if earlier is piece:
            break
        length += len(earlier.text)
    return length


def _defaults(template: str) -> Iterable[Piece]:
    """The pieces of a template that are defaults, whatever the variables are."""
    try:
        return [piece for piece in expand(template, {}).pieces if piece.fallback_for]
    except TemplateError:
        return []  # a required variable: what is behind it cannot be told without its value


def _urls(node: Node) -> Iterator[PortSpec]:
    for scalar in scalars(node):
        if "://" not in scalar.value or scalar.value_start is None:
            continue
        for url in urls.find(scalar.value):
            yield PortSpec(
                origin="compose-url",
                role=Role.URL,
                side=urls.side(url.host),
                location=inside(scalar, url.span.start),
                span=_shift(scalar, url.span),
                text=_first_line(scalar),
                published=url.port,
                host=url.host,
            )


def _environment(node: Node | None) -> Iterator[tuple[str, Scalar]]:
    if isinstance(node, Mapping):
        yield from ((key, value) for key, value in node.items.items() if isinstance(value, Scalar))
    for item in _entries(node):
        name, equals, _ = item.value.partition("=")
        if equals:
            yield name, item


def _container_environment(node: Node | None) -> Iterator[tuple[str, str | None]]:
    """Every variable that Compose sets in a container; None where it passes on what is set outside."""
    if isinstance(node, Mapping):
        for name, value in node.items.items():
            if isinstance(value, Scalar):
                yield name, None if value.is_null else value.text
    for item in _entries(node):
        name, equals, value_text = item.text.partition("=")
        yield name, value_text if equals else None


def _env_files(node: Node | None) -> Iterator[str]:
    """The files of `env_file:`, relative to the project's root as far as the text tells."""
    for item in (node,) if isinstance(node, Scalar) else node.items if isinstance(node, Sequence) else ():
        path = item.items.get("path") if isinstance(item, Mapping) else item
        if isinstance(path, Scalar) and not path.is_null:
            yield path.text.removeprefix("./")


def _replicas(items: dict[str, Node]) -> int:
    """How many containers a service runs as, 1 where nothing says it."""
    node = _replicas_node(items)
    return int(node.text) if isinstance(node, Scalar) and node.text.isdecimal() else 1


def _replicas_node(items: dict[str, Node]) -> Node | None:
    """`deploy.replicas`, else `scale`."""
    deploy = items.get("deploy")
    node = deploy.items.get("replicas") if isinstance(deploy, Mapping) else None
    return items.get("scale") if node is None else node


def _told(node: Node) -> Location:
    """The place of a node, with what is written there."""
    text = _first_line(node) if isinstance(node, Scalar) else " ".join(item.text for item in _entries(node))
    return node.location.replace(excerpt=text)


def _aliases(node: Node | None) -> Iterator[str]:
    for network in node.items.values() if isinstance(node, Mapping) else ():
        if isinstance(network, Mapping):
            yield from (alias.text for alias in _entries(network.items.get("aliases")))


def _folders(items: dict[str, Node]) -> Iterator[str]:
    """The project's folders that are a service's own: its build context and what it mounts."""
    build = items.get("build")
    context = build.items.get("context") if isinstance(build, Mapping) else build
    sources = [context.text] if isinstance(context, Scalar) else []
    volumes = items.get("volumes")
    for volume in volumes.items if isinstance(volumes, Sequence) else ():
        source = volume.items.get("source") if isinstance(volume, Mapping) else volume
        if isinstance(source, Scalar) and source.text.startswith("./"):  # else a volume by name
            sources.append(source.text.partition(":")[0])
    for folder in (source.removeprefix("./").rstrip("/") for source in sources):
        if folder not in ("", ".") and not folder.startswith(("/", "~", "..")):
            yield folder


def _words(node: Node | None) -> list[str]:
    """A command or a list as words; nothing for what is not there."""
    if isinstance(node, Scalar):
        return [] if node.is_null else node.text.split()
    return [item.text for item in _entries(node)]


def _entries(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Sequence) else ()


def _text(node: Node) -> str:
    if not isinstance(node, Scalar):
        raise error("a text is expected here", node)
    return node.text


def _first_line(scalar: Scalar) -> str:
    return scalar.source.partition("\n")[0]


def _place(scalar: Scalar, span: Span) -> Location:
    """The place of a span of a scalar, which is the scalar's own where it stands on several lines."""
    if scalar.value_start is None or "\n" in scalar.source:
        return scalar.location
    return scalar.location.replace(column=scalar.location.column + span.start - scalar.span.start)


def _shift(scalar: Scalar, span: Span) -> Span:
    base = scalar.value_start if scalar.value_start is not None else scalar.span.start
    return Span(base + span.start, base + span.end)
