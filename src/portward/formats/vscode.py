"""`launch.json` and `tasks.json` of Visual Studio Code: what is started with which ports, and where debuggers attach.

    { "type": "debugpy", "module": "uvicorn", "args": ["app:app", "--port", "8000"], "env": { "PORT": "5000" } }
    { "type": "node", "request": "attach", "port": 9229 }
    { "connect": { "host": "localhost", "port": 5678 } }
    { "type": "chrome", "url": "http://localhost:3000" }
    { "label": "serve", "command": "npx serve -l 3001" }

Source: the Visual Studio Code documentation, "Debugging" and "Tasks". All of it runs on this machine; a port to attach to is a
reference to one that another program has open.
"""

from __future__ import annotations

import re

from portward.formats import commands, json_tree, urls
from portward.formats.dotenv import is_port_name
from portward.formats.json_tree import Array, Object, Scalar
from portward.formats.text import Passage, Source
from portward.model import PortSpec, Role, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_PROGRAMS = ("command", "module", "runtimeExecutable", "program")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file. Raises InvalidFile for what is not JSON with comments."""
    source = Source(text, path, "vscode")
    reader = _Reader(source)
    found: dict[Span, PortSpec] = {}
    pending = [json_tree.parse(source.text, path)]
    while pending:
        node = pending.pop()
        if isinstance(node, Object):
            for spec in reader.ports(node):
                found.setdefault(spec.span, spec)
            pending.extend(node.items.values())
        elif isinstance(node, Array):
            pending.extend(node.items)
    return sorted(found.values(), key=lambda spec: spec.span.start)


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source

    def ports(self, node: Object) -> Iterator[PortSpec]:
        """What one object says, without the objects in it."""
        yield from self._attached(node)
        yield from commands.specs(self.source, self._command(node))
        environment = node.get("env")
        for name, value in environment.items.items() if isinstance(environment, Object) else ():
            if isinstance(value, Scalar):
                yield from self._variable(name, value)
        for url in (node.get("url"), node.get("uriFormat")):
            if isinstance(url, Scalar):
                yield from self._urls(url, ())

    def _attached(self, node: Object) -> Iterator[PortSpec]:
        """The port of a debugger: that of an object which says where it is, or which asks to attach."""
        port, host = node.get("port"), node.get("host") or node.get("address") or node.get("hostName")
        request = node.get("request")
        attaches = isinstance(request, Scalar) and request.value == "attach"
        if isinstance(port, Scalar) and _NUMBER.fullmatch(port.value) and port.is_plain and (host or attaches):
            name = host.value if isinstance(host, Scalar) and host.is_string else "localhost"
            yield self.source.port(port.span, Role.URL, urls.side(name), host=name)

    def _command(self, node: Object) -> list[commands.CommandPort]:
        """A program with its arguments, whose words no shell reads, or the command line of a task."""
        program = next((value for name in _PROGRAMS if isinstance(value := node.get(name), Scalar)), None)
        if program is None or not program.is_plain:
            return []
        words = [self._passage(word) for word in json_tree.scalars(node.get("args")) if word.is_plain]
        if not words and " " in program.value:
            return commands.find(self._passage(program))
        return commands.find_in_words([self._passage(program), *words])

    def _passage(self, word: Scalar) -> Passage:
        return Passage.of(self.source.text, word.span.start, word.span.end)

    def _variable(self, name: str, value: Scalar) -> Iterator[PortSpec]:
        if is_port_name(name) and _NUMBER.fullmatch(value.value) and value.is_plain:
            yield self.source.port(value.span, variables=(name,))
        yield from self._urls(value, (name,))

    def _urls(self, value: Scalar, variables: tuple[str, ...]) -> Iterator[PortSpec]:
        for url in urls.in_value(value.value, value.span.start) if value.is_plain else ():
            yield self.source.port(url.span, Role.URL, urls.side(url.host), host=url.host, variables=variables)
