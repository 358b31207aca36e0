"""`supervisord.conf`: the programs that Supervisor runs, and its own HTTP server.

    [program:api]
    command = gunicorn -b 127.0.0.1:8000 app:app
    environment = PORT="5000",API_URL="http://localhost:5001"
    [inet_http_server]
    port = 127.0.0.1:9001          also 9001 and *:9001
    [supervisorctl]
    serverurl = http://localhost:9001

Source: the Supervisor documentation, "Configuration File". Other programs keep a `*.conf` in a folder of that name too: a text
without a section of Supervisor gives nothing.
"""

from __future__ import annotations

import re

from portward.formats import commands, urls
from portward.formats.dotenv import is_port_name
from portward.formats.text import Passage, Source
from portward.model import ANY, PortSpec, Role, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTING = re.compile(
    r"^(?:\[(?P<section>[^\]\n]+)\]|(?P<key>[a-z_]+)[ \t]*[=:][ \t]*(?P<value>[^\n]*(?:\n[ \t]+[^\s;#][^\n]*)*))",
    re.MULTILINE,
)
_COMMENT = re.compile(r"[ \t];[^\n]*")
_ADDRESS = re.compile(r"[ \t]*(?:(?P<host>\*|[A-Za-z0-9_.-]*):)?(?P<port>[1-9][0-9]{0,9})[ \t\r]*")
_ASSIGNMENT = re.compile(
    r"(?<![A-Za-z0-9_])(?P<name>[A-Za-z_][A-Za-z0-9_]*)=(?P<quote>[\"']?)(?P<value>[^\"',\n]*)(?P=quote)"
)
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")
_NUMERIC = re.compile(r"[0-9.]+")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file, for the services that its programs are."""
    source = Source(text, path, "supervisord")
    found: dict[Span, PortSpec] = {}
    section = ""
    for setting in _SETTING.finditer(source.text):
        section = setting["section"] or section
        if setting["key"]:
            for spec in _ports(source, section, setting["key"], *setting.span("value")):
                found.setdefault(spec.span, spec)
    return sorted(found.values(), key=lambda spec: spec.span.start)


def _ports(source: Source, section: str, key: str, start: int, end: int) -> Iterator[PortSpec]:
    comment = _COMMENT.search(source.text, start, end)
    end = comment.start() if comment else end
    kind, _, name = section.partition(":")
    if kind in ("program", "fcgi-program", "eventlistener") and key == "command":
        command = Passage(source.text[start:end].replace("\n", " "), range(start, end))
        yield from commands.specs(source, commands.find(command), name)
    elif kind in ("program", "fcgi-program", "eventlistener", "supervisord") and key == "environment":
        yield from _environment(source, start, end, name or None)
    elif kind == "inet_http_server" and key == "port" and (address := _ADDRESS.fullmatch(source.text, start, end)):
        host_ip = "127.0.0.1" if address["host"] == "localhost" else address["host"] or ANY
        yield source.port(Span(*address.span("port")), host_ip=host_ip if _NUMERIC.fullmatch(host_ip) else ANY)
    elif kind == "supervisorctl" and key == "serverurl":
        for url in urls.find(source.text[start:end], start):
            yield source.port(url.span, Role.URL, urls.side(url.host), host=url.host)


def _environment(source: Source, start: int, end: int, service: str | None) -> Iterator[PortSpec]:
    for found in _ASSIGNMENT.finditer(source.text, start, end):
        name = (found["name"],)
        if is_port_name(found["name"]) and _NUMBER.fullmatch(found["value"]):
            yield source.port(Span(*found.span("value")), variables=name, service=service)
        for url in urls.in_value(found["value"], found.start("value")):
            yield source.port(url.span, Role.URL, urls.side(url.host), host=url.host, variables=name)
