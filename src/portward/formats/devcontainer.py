"""`devcontainer.json`: the ports of a development container.

    "forwardPorts": [3000, "db:5432"],              // the container's, and a neighbour's in its network
    "portsAttributes": { "3000": { … }, "40000-40010": { … } },
    "appPort": [8000, "8080:80"],                   // published as by `docker run -p`
    "runArgs": ["-p", "9229:9229"],
    "containerEnv": { "PORT": "3000", "API_URL": "http://api:5000" }

Source: the Development Container Specification, "Dev Container metadata reference"; of `appPort`, the reference implementation
publishes a number on 127.0.0.1 at the same number. A key of `portsAttributes` may also be a regular expression, which is passed over.
"""

from __future__ import annotations

import re

from portward.formats import docker_run, json_tree, urls
from portward.formats.dotenv import is_port_name
from portward.formats.text import Source
from portward.model import PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_ADDRESS = re.compile(r"(?:(?P<host>[A-Za-z0-9_.-]+):)?(?P<port>[1-9][0-9]{0,9})")
_RANGE = re.compile(r"[1-9][0-9]{0,9}-[1-9][0-9]{0,9}")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a file names. Raises InvalidFile for what is not JSON with comments."""
    source = Source(text, path, "devcontainer")
    root = json_tree.parse(source.text, path)
    if not isinstance(root, json_tree.Object):
        return []
    return sorted(_Reader(source, root).ports(), key=lambda spec: spec.span.start)


class _Reader:
    def __init__(self, source: Source, root: json_tree.Object) -> None:
        self.source = source
        self.root = root
        service = root.get("service")
        self.service = service.value if isinstance(service, json_tree.Scalar) and service.is_string else None

    def ports(self) -> Iterator[PortSpec]:
        for item in json_tree.scalars(self.root.get("forwardPorts")):
            yield from self._forwarded(item)
        attributes = self.root.get("portsAttributes")
        for name in attributes.names.values() if isinstance(attributes, json_tree.Object) else ():
            yield from self._forwarded(name)
        for item in json_tree.scalars(self.root.get("appPort")):
            yield from self._published(item)
        arguments = json_tree.scalars(self.root.get("runArgs"))
        words = [docker_run.Word(item.value, item.span.start, item.is_plain) for item in arguments]
        yield from docker_run.ports(self.source, words, self.service)
        for key in ("containerEnv", "remoteEnv"):
            yield from self._environment(self.root.get(key))

    def _forwarded(self, item: json_tree.Scalar) -> Iterator[PortSpec]:
        """A port inside: the container's own, a range of them, or that of another host in its network."""
        address = _ADDRESS.fullmatch(item.value)
        if not item.is_plain or not (address or _RANGE.fullmatch(item.value)):
            return
        host = address["host"] if address else None
        if address is None or host is None or urls.is_loopback(host):
            start = item.span.end - len(address["port"] if address else item.value)
            span = Span(start, item.span.end)
            yield self.source.port(span, Role.CONTAINER, Side.CONTAINER, service=self.service)
        else:
            span = Span(item.span.end - len(address["port"]), item.span.end)
            yield self.source.port(span, Role.URL, Side.CONTAINER, host=host)

    def _published(self, item: json_tree.Scalar) -> Iterator[PortSpec]:
        if item.is_string and item.is_plain:
            word = docker_run.Word(item.value, item.span.start)
            yield from docker_run.published(self.source, word, self.service)
        elif _NUMBER.fullmatch(item.value):
            port = int(item.value)
            yield self.source.port(item.span, host_ip="127.0.0.1", target=port, service=self.service)

    def _environment(self, node: json_tree.Node | None) -> Iterator[PortSpec]:
        for name, item in node.items.items() if isinstance(node, json_tree.Object) else ():
            if not isinstance(item, json_tree.Scalar) or not item.is_plain:
                continue
            if is_port_name(name) and _NUMBER.fullmatch(item.value):
                yield self.source.port(
                    item.span, Role.CONTAINER, Side.CONTAINER, variables=(name,), service=self.service
                )
            for url in urls.in_value(item.value, item.span.start):
                yield self.source.port(url.span, Role.URL, urls.side(url.host), host=url.host, variables=(name,))
