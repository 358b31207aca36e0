"""Ports that a service's own container is told: in its command, its health check, and the labels of a proxy that finds it.

In a container, loopback and the wildcard address are the container's own: `curl http://localhost:5000` of a health check asks the
very service, whatever the host's port is. Source of the label: Traefik's documentation, "Docker provider", services.
"""

from __future__ import annotations

import re

from portward.formats import commands, urls
from portward.formats.dotenv import is_port_name
from portward.formats.text import Passage
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, first_line
from portward.model import PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.formats.commands import CommandPort
    from portward.formats.yaml_tree import Node

_BALANCED = re.compile(r"traefik\.(?:http|tcp|udp)\.services\.[^.=]+\.loadbalancer\.server\.port")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


def own_ports(service: str, items: dict[str, Node]) -> Iterator[PortSpec]:
    """The container's ports that a merged service's commands and labels name as its own."""
    healthcheck = items.get("healthcheck")
    test = healthcheck.items.get("test") if isinstance(healthcheck, Mapping) else None
    for origin, node in (
        ("command", items.get("command")),
        ("entrypoint", items.get("entrypoint")),
        ("healthcheck", test),
    ):
        for scalar, port in _command_ports(node):
            yield _spec(service, f"compose-{origin}", scalar, port.span, port.variables)
    yield from _labels(service, items.get("labels"))
    yield from _arguments(service, items.get("build"))


def _command_ports(node: Node | None) -> Iterator[tuple[Scalar, CommandPort]]:
    """The ports of a command, a text for a shell or a list of words, each with the scalar that writes it."""
    if isinstance(node, Scalar):
        scalars = [node]
        found = commands.find(_passage(node)) if commands.may_be_in(node.text) else []
    elif isinstance(node, Sequence):
        scalars = [item for item in node.items if isinstance(item, Scalar)]
        kind = scalars[0].text if scalars else ""
        words = [_passage(item) for item in scalars[kind in ("CMD", "CMD-SHELL", "NONE") :]]
        if kind == "CMD-SHELL":
            found = [port for word in words for port in commands.find(word)]
        else:
            found = commands.find_in_words(words) if any(commands.may_be_in(item.text) for item in scalars) else []
    else:
        return
    for port in found:
        own = port.host is None or urls.is_loopback(port.host)
        scalar = next((item for item in scalars if item.start <= port.span.start < item.end), None)
        if own and port.target is None and scalar is not None:
            yield scalar, port


def _passage(scalar: Scalar) -> Passage:
    """A scalar's text as it was interpolated, with the place of each character that the file writes itself."""
    start = scalar.value_start
    if start is None:
        return Passage(scalar.text, [-1] * len(scalar.text))
    if scalar.expansion is None:
        return Passage(scalar.value, range(start, start + len(scalar.value)))
    origins: list[int] = []
    for piece in scalar.expansion.pieces:
        literal = piece.variable is None and piece.span.end - piece.span.start == len(piece.text)
        first = start + piece.span.start
        origins += range(first, first + len(piece.text)) if literal else [-1] * len(piece.text)
    return Passage(scalar.expansion.text, origins)


def _labels(service: str, node: Node | None) -> Iterator[PortSpec]:
    for name, item, start in variables_of(node):
        if _BALANCED.fullmatch(name) and _PORT.fullmatch(item.value, start):
            yield _told(service, "compose-label", item, start, ())


def _arguments(service: str, build: Node | None) -> Iterator[PortSpec]:
    """What the recipe of the image is given for its ARG, which become the container's own."""
    for name, item, start in variables_of(build.items.get("args") if isinstance(build, Mapping) else None):
        if is_port_name(name) and _PORT.fullmatch(item.value, start):
            yield _told(service, "compose-build", item, start, (name,)).replace(text=f"{name}={item.value[start:]}")


def variables_of(node: Node | None) -> Iterator[tuple[str, Scalar, int]]:
    """The entries of `NAME: VALUE` or `NAME=VALUE` that the file writes itself: name, scalar, and where in it the value starts."""
    entries = node.items.items() if isinstance(node, Mapping) else [("", item) for item in _items(node)]
    for key, item in entries:
        if isinstance(item, Scalar) and item.value_start is not None and item.expansion is None:
            name, equals, _ = (key, "", "") if key else item.value.partition("=")
            yield name, item, len(name) + len(equals) if not key else 0


def _items(node: Node | None) -> tuple[Node, ...]:
    return node.items if isinstance(node, Sequence) else ()


def _told(service: str, origin: str, item: Scalar, start: int, variables: tuple[str, ...]) -> PortSpec:
    assert item.value_start is not None
    span = Span(item.value_start + start, item.value_start + len(item.value))
    return _spec(service, origin, item, span, variables)


def _spec(service: str, origin: str, item: Scalar, span: Span, variables: tuple[str, ...]) -> PortSpec:
    number = item.file.text[span.start : span.end]
    return PortSpec(
        origin=origin,
        role=Role.CONTAINER,
        side=Side.CONTAINER,
        location=item.file.at(span.start),
        span=span,
        text=first_line(item),
        service=service,
        target=int(number),
        variables=variables,
    )
