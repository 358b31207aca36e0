"""systemd units and Podman's quadlets: sockets, environment and commands.

    [Socket]     ListenStream=8080   ListenStream=127.0.0.1:8080   ListenDatagram=[::]:5353
    [Service]    Environment="PORT=5000" API_URL=http://localhost:5001   ExecStart=/usr/bin/gunicorn -b :8000 app:app
    [Container]  PublishPort=8080:80   Environment=PORT=5000

Source: systemd.socket(5), systemd.exec(5), systemd.service(5) and podman-systemd.unit(5). A path, a specifier (`%i`) and a
variable in the port's place write none. What a quadlet sets in its container is the container's.
"""

from __future__ import annotations

import re

from portward.formats import commands, docker_run, urls
from portward.formats.dotenv import is_port_name
from portward.formats.text import Passage, Source
from portward.model import ANY, PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTING = re.compile(
    r"^[ \t]*(?:\[(?P<section>[^\]\n]+)\]|(?P<key>[A-Za-z]+)[ \t]*=[ \t]*(?P<value>(?:[^\n\\]|\\(?:\r\n|.))*))",
    re.MULTILINE | re.DOTALL,
)
_LISTEN = re.compile(r"(?:(?P<address>[0-9.]+|\[[0-9A-Fa-f:.]+\]):)?(?P<port>[1-9][0-9]{0,9})\s*")
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_])(?P<quote>[\"']?)(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<value>[^\s\"'\\]*)(?P=quote)(?=\s|\\|$)"
)
_PREFIXES = re.compile(r"[-@:+!|]*")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_SOCKETS = {"ListenStream": "tcp", "ListenDatagram": "udp"}
_QUADLETS = ("Container", "Pod", "Kube")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one unit, for the service that the file's name says."""
    source = Source(text, path, "systemd")
    reader = _Reader(source, path.rpartition("/")[2].rpartition(".")[0].rstrip("@") or None)
    found = {spec.span: spec for spec in reader.ports()}
    return sorted(found.values(), key=lambda spec: spec.span.start)


class _Reader:
    def __init__(self, source: Source, service: str | None) -> None:
        self.source = source
        self.service = service

    def ports(self) -> Iterator[PortSpec]:
        section = ""
        for setting in _SETTING.finditer(self.source.text):
            if setting["section"]:
                section = setting["section"]
                continue
            key, start, end = setting["key"], *setting.span("value")
            if section == "Socket" and key in _SOCKETS:
                yield from self._socket(start, end, _SOCKETS[key])
            elif key == "Environment" and section in ("Service", *_QUADLETS):
                yield from self._environment(start, end, is_inside=section in _QUADLETS)
            elif key.startswith("Exec") and section == "Service":
                command = Passage.of(self.source.text, _after_prefixes(self.source.text, start), end)
                yield from commands.specs(self.source, commands.find(command), self.service)
            elif key == "PublishPort" and section in _QUADLETS:
                value = docker_run.Word(setting["value"].strip(), start)
                yield from docker_run.published(self.source, value, self.service)

    def _socket(self, start: int, end: int, protocol: str) -> Iterator[PortSpec]:
        listen = _LISTEN.fullmatch(self.source.text, start, end)
        if listen:
            host_ip = (listen["address"] or ANY).strip("[]")
            span = Span(*listen.span("port"))
            yield self.source.port(span, protocol=protocol, host_ip=host_ip, service=self.service)

    def _environment(self, start: int, end: int, is_inside: bool) -> Iterator[PortSpec]:
        role, side = (Role.CONTAINER, Side.CONTAINER) if is_inside else (Role.HOST, Side.HOST)
        for found in _ASSIGNMENT.finditer(self.source.text, start, end):
            name = (found["name"],)
            if is_port_name(found["name"]) and _NUMBER.fullmatch(found["value"]):
                yield self.source.port(Span(*found.span("value")), role, side, variables=name, service=self.service)
            for url in urls.in_value(found["value"], found.start("value")):
                yield self.source.port(url.span, Role.URL, urls.side(url.host), host=url.host, variables=name)


def _after_prefixes(text: str, start: int) -> int:
    """Where a command starts, behind the characters that change how it is run."""
    prefixes = _PREFIXES.match(text, start)
    return prefixes.end() if prefixes else start
