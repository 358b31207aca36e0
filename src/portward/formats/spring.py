"""`application.properties` and `application.yaml` of Spring Boot, Quarkus and Micronaut: where the server listens, and whom it asks.

    server.port=${PORT:8080}                    server: {port: 8080, address: 127.0.0.1}
    %dev.quarkus.http.port=8081                 micronaut.server.port: 8082
    spring.datasource.url=jdbc:postgresql://${DB_HOST:localhost}:${DB_PORT:5432}/app
    spring.data.redis.host=localhost            spring.data.redis.port=6379
    spring.kafka.bootstrap-servers=localhost:9092

Sources: the Spring Boot reference, "Externalized Configuration" and "Common Application Properties"; the Quarkus configuration reference;
the Micronaut guide, "HTTP Server Configuration"; java.util.Properties for the lines. A number is the default of the variable that goes
before it: SERVER_PORT before `server.port`, and PORT before `${PORT:8080}`. Files below `src/test` are not read.
"""

from __future__ import annotations

import re

from portward.formats import urls
from portward.formats.dotenv import is_port_name
from portward.formats.text import Source
from portward.model import PortSpec, Role, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.formats.yaml_tree import Node

_SERVERS = {
    "server": "address",
    "management.server": "address",
    "spring.rsocket.server": "address",
    "spring.grpc.server": "address",
    "grpc.server": "address",
    "quarkus.http": "host",
    "quarkus.grpc.server": "host",
    "quarkus.management": "host",
    "micronaut.server": "host",
}
"""What has a `port` that is listened on, and where it is said on which address."""
_OF_THE_SAME_MACHINE = ("spring.redis", "spring.data.redis", "spring.rabbitmq", "spring.data.mongodb")
"""Whose `host` is localhost by default."""
_LINE = re.compile(
    r"^[ \t\f]*+(?:[#!].*|(?P<key>(?:[^\s=:\\]|\\.)++)[ \t\f]*+[=:]?[ \t\f]*+(?P<value>(?:[^\\\n]|\\(?:\r\n|[^\r]))*+))",
    re.MULTILINE | re.DOTALL,
)
_PROFILE = re.compile(r"%([\w,-]+)\.")
_NUMBER = r"(?P<port>[1-9][0-9]{0,9})"
_PORT = re.compile(rf"(?P<defaults>(?:\$\{{[\w.-]+:)*+){_NUMBER}(?P<close>\}}*+)")
_DEFAULT = re.compile(rf"\$\{{(?P<name>[\w.-]+):{_NUMBER}\}}")
_HOST_DEFAULT = re.compile(r"\$\{[\w.-]+:([\w.-]*)\}")
_FILLED_BY_MAVEN = re.compile(r"@(?=[\w.-]+@)")
_MANIFEST = re.compile(r"^apiVersion[ \t]*:", re.MULTILINE)


class _Setting(Record):
    """A key without dashes, in small letters, and its value; `start` is where the value stands, None where it is spelt otherwise."""

    key: str
    value: str
    start: int | None


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file, for the service whose folder it is in, or that it names. Raises InvalidFile for what is not YAML."""
    source = Source(text, path, "spring")
    folder, _, name = path.rpartition("/")
    if "/src/test/" in f"/{folder}/":
        return []
    if name.endswith(".properties"):
        documents = [list(_properties(source.text))]
    elif _MANIFEST.search(source.text):
        from portward.formats import kubernetes

        return kubernetes.read(text, path)
    elif "{{" in source.text:
        return []  # a template, whose values are made elsewhere
    else:
        from portward.formats.yaml_parse import parse

        plain = _FILLED_BY_MAVEN.sub("x", source.text)  # no YAML before: `version: @project.version@`
        documents = [list(_flat(root)) for root in parse(plain, path, strict=False)]
    found: dict[Span, PortSpec] = {}
    for settings in documents:
        for spec in _ports(source, settings, _service(path)):
            found.setdefault(spec.span, spec)
    return sorted(found.values(), key=lambda spec: spec.span.start)


def _service(path: str) -> str | None:
    """The folder of a service, of which `src/main/resources` and `config` are only a part."""
    folders = path.split("/")[:-1]
    while folders and folders[-1] in ("resources", "main", "src", "config"):
        folders.pop()
    return folders[-1] if folders else None


def _properties(text: str) -> Iterator[_Setting]:
    for line in _LINE.finditer(text):
        profile = _PROFILE.match(line["key"] or "")
        if line["key"] and not (profile and profile[1] == "test"):
            key, value = line["key"][profile.end() if profile else 0 :], line["value"].rstrip()
            yield _Setting(_plain(key), value, None if "\\" in value else line.start("value"))


def _flat(root: Node) -> Iterator[_Setting]:
    """The settings of one document; each node once, however often it is aliased."""
    from portward.formats.yaml_tree import Mapping, Scalar

    pending: list[tuple[str, Node]] = [("", root)]
    seen: set[int] = set()
    while pending:
        prefix, node = pending.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Mapping):
            pending += [(f"{prefix}.{key}" if prefix else key, item) for key, item in reversed(node.items.items())]
        elif isinstance(node, Scalar):
            yield _Setting(_plain(prefix), node.value, node.value_start)
        else:
            pending += [(prefix, item) for item in reversed(node.items)]


def _plain(key: str) -> str:
    """A key as Spring compares it: `bootstrap-servers` and `bootstrapServers` are one."""
    return key.replace("-", "").replace("_", "").lower()


def _ports(source: Source, settings: list[_Setting], service: str | None) -> Iterator[PortSpec]:
    values = {setting.key: setting.value for setting in settings}
    name = values.get("spring.application.name", "")
    service = service or (name if "$" not in name else None)
    for setting in settings:
        if setting.start is None:
            continue
        owner, _, last = setting.key.rpartition(".")
        if last == "port" and owner in _SERVERS:
            address = values.get(f"{owner}.{_SERVERS[owner]}", "")
            yield from _listens(source, setting, service, urls.bound(address))
        elif last == "port" and (f"{owner}.host" in values or owner in _OF_THE_SAME_MACHINE):
            yield from _asks(source, setting, values.get(f"{owner}.host", "localhost"))
        for default in _DEFAULT.finditer(setting.value):
            if is_port_name(default["name"]):
                span = Span(setting.start + default.start("port"), setting.start + default.end("port"))
                yield source.port(span, Role.FALLBACK, variables=(default["name"],))
        for url in urls.in_value(setting.value, setting.start):
            yield source.port(url.span, Role.URL, urls.side(url.host), host=url.host)


def _listens(source: Source, setting: _Setting, service: str | None, address: str) -> Iterator[PortSpec]:
    """The port of a server: what it listens on unless a variable says otherwise."""
    number = _PORT.fullmatch(setting.value)
    if number is None or setting.start is None or number["defaults"].count("{") != len(number["close"]):
        return
    names = [name[:-1] for name in number["defaults"].split("${") if name]
    variables = (*names, setting.key.replace(".", "_").upper())
    span = Span(setting.start + number.start("port"), setting.start + number.end("port"))
    if service and setting.key.startswith("management."):
        service = f"{service}-management"
    yield source.port(span, Role.FALLBACK, variables=variables, host_ip=address, service=service)


def _asks(source: Source, setting: _Setting, host: str) -> Iterator[PortSpec]:
    """The port of another server, beside its host."""
    usual = _HOST_DEFAULT.fullmatch(host)
    number = re.fullmatch(_NUMBER, setting.value)
    host = usual[1] if usual else host
    if number and setting.start is not None and host and "$" not in host:
        span = Span(setting.start, setting.start + len(setting.value))
        yield source.port(span, Role.URL, urls.side(host), host=host)
