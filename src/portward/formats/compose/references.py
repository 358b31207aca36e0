"""Ports that a Compose service names beside those that it publishes, and which characters of a file write a port.

Each is on its side: `expose`, `environment` and the host names of services are the container's, a default of a published port
and loopback URLs the host's.
"""

from __future__ import annotations

from portward.formats import urls
from portward.formats.compose.commands import own_ports
from portward.formats.compose.ports import ShortPort
from portward.formats.dotenv import is_port_name
from portward.formats.template import TemplateError, expand
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, first_line, inside, scalars
from portward.model import Location, PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Mapping as Values

    from portward.formats.template import Expansion, Piece
    from portward.formats.yaml_tree import Node

_WITHOUT_REFERENCES = ("image", "healthcheck", "ports", "labels")
"""Keys of a service whose URLs say nothing about other services' ports."""
_WITHOUT_FALLBACKS = ("ports", "expose", "image")
_COMMANDS = ("command", "entrypoint")
"""Keys whose loopback URLs are the container's own: see `commands`."""


def references(service: str, items: dict[str, Node], values: Values[str, str]) -> Iterator[PortSpec]:
    """The ports that a merged service names without publishing them. `values` are the variables of its project."""
    yield from _targets(service, items.get("ports"))
    yield from _fallbacks(service, items.get("ports"), values)
    for item in _entries(items.get("expose")):
        port = item.text.partition("/")[0]
        if port.isdecimal():
            variables, span = written(item, Span(0, len(port)))
            yield _container_port(service, "compose-expose", item, span, int(port), variables)
    for name, item in _environment(items.get("environment")):
        port = item.text.removeprefix(f"{name}=")
        if is_port_name(name) and port.isdecimal():
            variables, span = written(item, Span(len(item.text) - len(port), len(item.text)))
            yield _container_port(service, "compose-environment", item, span, int(port), (name, *variables))
        yield from _addresses(service, name, item)
    yield from _fallbacks_elsewhere(items)
    yield from own_ports(service, items)
    for key, node in items.items():
        if key not in _WITHOUT_REFERENCES:
            yield from (spec for spec in _urls(node) if key not in _COMMANDS or spec.side is Side.CONTAINER)


def written(item: Scalar, part: Span) -> tuple[tuple[str, ...], Span]:
    """What wrote a part of a scalar's text: the variables, and the span in the file of the part's own characters.

    A variable's own reference counts as what wrote it. Where the part cannot be told from the rest, the span is the whole scalar's.
    """
    start = item.value_start
    if item.expansion is None:
        spelled = start is not None and item.text == item.value
        return (), _shift(item, part) if spelled else item.span
    pieces = item.expansion.between(part.start, part.end)
    names = dict.fromkeys(
        name for piece in pieces for name in ([piece.variable] if piece.variable else piece.fallback_for)
    )
    if start is None or not pieces:
        return tuple(names), item.span
    offset = _length_before(item.expansion, pieces[0])
    first = _own_start(pieces[0], part.start - offset)
    last = _own_end(pieces[-1], part.end - _length_before(item.expansion, pieces[-1]))
    template = item.value[first:last]
    if template.count("{") != template.count("}"):
        return tuple(names), item.span  # the part begins in a default and ends outside of it
    return tuple(names), _shift(item, Span(first, last))


def places(items: dict[str, Node]) -> Iterator[tuple[str, Location]]:
    """Where the keys of a service stand that rules speak of: "command", "network_mode", "replicas", "environment.HOST"."""
    for key in ("command", "network_mode"):
        if key in items:
            yield key, _told(items[key])
    if (node := replicas_of(items)) is not None:
        yield "replicas", _told(node)
    for name, item in _environment(items.get("environment")):
        yield f"environment.{name}", _told(item)


def unset(items: dict[str, Node]) -> Iterator[tuple[str, Location]]:
    """The variables without a value or a default that a port, or what is called one, is interpolated from."""
    for key, node in items.items():
        written_below = _written_ports(node) if key == "ports" else () if key.startswith("x-") else scalars(node)
        for item in written_below:
            for name in item.expansion.unset if item.expansion else ():
                if key == "ports" or is_port_name(name):
                    yield name, _told(item)


def replicas_of(items: dict[str, Node]) -> Node | None:
    """What says how many containers a service runs as: `scale`, else `deploy.replicas`."""
    deploy = items.get("deploy")
    return items.get("scale") or (deploy.items.get("replicas") if isinstance(deploy, Mapping) else None)


def _told(node: Node) -> Location:
    """The place of a node, with what is written there."""
    text = first_line(node) if isinstance(node, Scalar) else " ".join(item.text for item in _entries(node))
    return node.location.replace(excerpt=text)


def _own_start(piece: Piece, offset: int) -> int:
    """Where in the template a part starts whose first character is at `offset` of a piece's text."""
    return piece.span.start if piece.variable else piece.span.start + max(0, offset)


def _own_end(piece: Piece, offset: int) -> int:
    return piece.span.end if piece.variable else piece.span.start + min(len(piece.text), offset)


def _length_before(expansion: Expansion, piece: object) -> int:
    """How long the text is before a piece of it."""
    length = 0
    for earlier in expansion.pieces:
        if earlier is piece:
            break
        length += len(earlier.text)
    return length


def _fallbacks(service: str, ports: Node | None, values: Values[str, str]) -> Iterator[PortSpec]:
    """The defaults that are written for variables which have a value: `5000` in `${PORT:-5000}:5000`."""
    for scalar in dict.fromkeys(_written_ports(ports)):
        if scalar.expansion is None or scalar.value_start is None:
            continue
        for piece in _defaults(scalar.value):
            overridden = tuple(name for name in piece.fallback_for if values.get(name))
            if overridden and piece.text.isdecimal():
                yield _fallback(scalar, piece, overridden, service)


def _fallbacks_elsewhere(items: dict[str, Node]) -> Iterator[PortSpec]:
    """The defaults of variables that are called ports, wherever a service writes them: `http://localhost:${API_PORT:-8000}`."""
    found = [scalar for key, node in items.items() if key not in _WITHOUT_FALLBACKS for scalar in scalars(node)]
    for scalar in dict.fromkeys(found):
        if scalar.expansion is None or scalar.value_start is None:
            continue
        for piece in _defaults(scalar.value):
            if piece.text.isdecimal() and any(map(is_port_name, piece.fallback_for)):
                yield _fallback(scalar, piece, piece.fallback_for)


def _fallback(scalar: Scalar, piece: Piece, variables: tuple[str, ...], service: str | None = None) -> PortSpec:
    return PortSpec(
        origin="compose-fallback",
        role=Role.FALLBACK,
        side=Side.HOST,
        location=inside(scalar, piece.span.start),
        span=_shift(scalar, piece.span),
        text=first_line(scalar),
        service=service,
        published=piece.text,
        variables=variables,
    )


def _written_ports(ports: Node | None) -> Iterator[Scalar]:
    for item in ports.items if isinstance(ports, Sequence) else ():
        yield from (item.item,) if isinstance(item, ShortPort) else scalars(item)


def _defaults(template: str) -> Iterable[Piece]:
    """The pieces of a template that are defaults, whatever the variables are."""
    try:
        return [piece for piece in expand(template, {}).pieces if piece.fallback_for]
    except TemplateError:
        return []  # a required variable: what is behind it cannot be told without its value


def _targets(service: str, ports: Node | None) -> Iterator[PortSpec]:
    """The container's side of each published port, a reference of its own."""
    for item in ports.items if isinstance(ports, Sequence) else ():
        if isinstance(item, ShortPort):
            node, part, port = item.item, item.target, item.entry.target
        else:
            target = item.items.get("target") if isinstance(item, Mapping) else None
            if not isinstance(target, Scalar):
                continue
            node, part, port = target, Span(0, len(target.text)), int(float(target.text))
        if part is not None:
            variables, span = written(node, part)
            yield _container_port(service, "compose-target", node, span, port, variables, _place(node, span))


def _place(item: Scalar, span: Span) -> Location:
    """The place of a span of a scalar, which is the scalar's own where it stands on several lines."""
    return item.location if "\n" in item.source else item.file.at(span.start)


def _container_port(
    service: str,
    origin: str,
    item: Scalar,
    span: Span,
    port: int,
    variables: tuple[str, ...],
    place: Location | None = None,
) -> PortSpec:
    return PortSpec(
        origin=origin,
        role=Role.CONTAINER,
        side=Side.CONTAINER,
        location=place or item.location,
        span=span,
        text=first_line(item),
        service=service,
        target=port,
        variables=variables,
    )


def _urls(node: Node) -> Iterator[PortSpec]:
    for scalar in scalars(node):
        if "://" not in scalar.value or scalar.value_start is None:
            continue
        yield from (_url(scalar, url) for url in urls.find(scalar.value))


def _addresses(service: str, name: str, item: Scalar) -> Iterator[PortSpec]:
    """What a variable's value asks for, `kafka:9092` or `Host=db;Port=5432;Password=${PASSWORD}`, or what its container listens on, `:11434`."""
    if item.value_start is None:
        return
    value = item.value.removeprefix(f"{name}=")
    for address in urls.addresses(value, len(item.value) - len(value)):
        if urls.is_unspecific(address.host):
            span = _shift(item, address.span)
            yield _container_port(service, "compose-environment", item, span, int(address.port), (name,))
        else:
            yield _url(item, address)


def _url(scalar: Scalar, url: urls.UrlPort) -> PortSpec:
    return PortSpec(
        origin="compose-url",
        role=Role.URL,
        side=urls.side(url.host),
        location=inside(scalar, url.span.start),
        span=_shift(scalar, url.span),
        text=first_line(scalar),
        published=url.port,
        host=url.host,
    )


def _environment(node: Node | None) -> Iterator[tuple[str, Scalar]]:
    if isinstance(node, Mapping):
        yield from ((key, value) for key, value in node.items.items() if isinstance(value, Scalar))
    for item in _entries(node):
        name, equals, _ = item.text.partition("=")
        if equals:
            yield name, item.origin if isinstance(item.origin, Scalar) else item


def _entries(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Sequence) else ()


def _shift(scalar: Scalar, span: Span) -> Span:
    base = scalar.value_start if scalar.value_start is not None else scalar.start
    return Span(base + span.start, base + span.end)
