"""The ports of Kubernetes objects: Services, Ingresses, workloads, ConfigMaps, and the Gateway API.

    Service     port: 80 (the cluster's)   targetPort: 8080 (the container's)   nodePort: 30080 (each node's)
    workload    containerPort: 8080   hostPort: 8080 (its node's)   probes and hooks   env: PORT, URLs
    Ingress     backend: {service: {name: web, port: {number: 80}}}
    Gateway     listeners: [{port: 80}]             HTTPRoute and its kin   backendRefs: [{name: web, port: 80}]   parentRefs
    ConfigMap   data: PORT, …_PORT, URLs

Source: the Kubernetes API reference, Service v1, PodSpec v1, ConfigMap v1, Ingress v1 and its betas; the Gateway API reference. A
port that is given by its name is no number and is left out. `text` starts with the key, so that a node's port can be told from a host's.
"""

from __future__ import annotations

import re

from portward.formats import urls
from portward.formats.dotenv import is_port_name
from portward.formats.yaml_parse import parse
from portward.formats.yaml_tree import Mapping, Scalar, Sequence
from portward.model import ANY, PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.formats.text import Source
    from portward.formats.yaml_tree import Node

_TEMPLATE = ("spec", "template", "spec")
_APPS = ("apps/", "extensions/")
_PODS: dict[str, tuple[str | tuple[str, ...], tuple[str, ...]]] = {
    "Pod": ("v1", ("spec",)),
    "ReplicationController": ("v1", _TEMPLATE),
    "Deployment": (_APPS, _TEMPLATE),
    "StatefulSet": (_APPS, _TEMPLATE),
    "DaemonSet": (_APPS, _TEMPLATE),
    "ReplicaSet": (_APPS, _TEMPLATE),
    "Job": ("batch/", _TEMPLATE),
    "CronJob": ("batch/", ("spec", "jobTemplate", *_TEMPLATE)),
}
"""Where each workload keeps its pod, and what its apiVersion starts with: other groups have other kinds of that name."""
_CONTAINERS = ("initContainers", "containers", "ephemeralContainers")
_ASKING = (
    ("livenessProbe",),
    ("readinessProbe",),
    ("startupProbe",),
    ("lifecycle", "postStart"),
    ("lifecycle", "preStop"),
)
_WAYS = ("httpGet", "tcpSocket", "grpc")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


def ports(source: Source, manifests: str, path: str) -> list[PortSpec]:
    """The ports that the objects of a YAML text name, each once. `manifests` is the source's text or part of it, in place.

    Raises InvalidFile for what is not YAML.
    """
    reader = _Reader(source)
    found: dict[Span, PortSpec] = {}
    for document in parse(manifests, path, strict=False):
        for spec in reader.objects(document):
            found.setdefault(spec.span, spec)
    return sorted(found.values(), key=lambda spec: spec.span.start)


class _Reader:
    """Reads objects. A node that is aliased is looked at where it stands first, and not again."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.seen: set[int] = set()

    def objects(self, root: Node) -> Iterator[PortSpec]:
        """The ports of an object, or of those in a `List`."""
        pending = [root]
        while pending:
            node = pending.pop()
            version, kind = _text(node, "apiVersion"), _text(node, "kind")
            name = _text(node, "metadata", "name") or None
            if kind == "List" and version == "v1":
                pending += reversed(list(self._items(node, "items")))
            elif kind == "Service" and version == "v1":
                yield from self._service(node, name)
            elif kind == "Ingress" and version.startswith(("networking.k8s.io/", "extensions/")):
                yield from self._ingress(node)
            elif version.startswith("gateway.networking.k8s.io/"):
                yield from self._gateway(node, name) if kind == "Gateway" else self._route(node)
            elif kind == "ConfigMap" and version == "v1":
                yield from self._config(node, name)
            elif kind in _PODS and version.startswith(_PODS[kind][0]):
                yield from self._pod(_at(node, *_PODS[kind][1]), name)

    def _service(self, node: Node, name: str | None) -> Iterator[PortSpec]:
        yield from self._port(node, "spec", "healthCheckNodePort", role=Role.HOST, side=Side.CLUSTER, service=name)
        for entry in self._items(node, "spec", "ports"):
            protocol = _text(entry, "protocol").lower() or "tcp"
            for key, role, side in (
                ("port", Role.CONTAINER, Side.CLUSTER),
                ("targetPort", Role.CONTAINER, Side.CONTAINER),
                ("nodePort", Role.HOST, Side.CLUSTER),
            ):
                yield from self._port(entry, key, role=role, side=side, service=name, protocol=protocol)

    def _ingress(self, node: Node) -> Iterator[PortSpec]:
        paths = [path for rule in self._items(node, "spec", "rules") for path in self._items(rule, "http", "paths")]
        backends = [_at(node, "spec", "defaultBackend"), _at(node, "spec", "backend")]
        for backend in (*backends, *(_at(path, "backend") for path in paths)):
            host = _text(backend, "service", "name") or _text(backend, "serviceName") or None
            for keys in (("service", "port", "number"), ("servicePort",)):
                yield from self._port(backend, *keys, role=Role.URL, side=Side.CLUSTER, host=host)

    def _gateway(self, node: Node, name: str | None) -> Iterator[PortSpec]:
        for listener in self._items(node, "spec", "listeners"):
            protocol = "udp" if _text(listener, "protocol") == "UDP" else "tcp"
            yield from self._port(
                listener, "port", role=Role.CONTAINER, side=Side.CLUSTER, service=name, protocol=protocol
            )

    def _route(self, node: Node) -> Iterator[PortSpec]:
        """What a route names: Services that it sends to or copies requests to, and listeners of Gateways or Services."""
        references: list[Node | None] = list(self._items(node, "spec", "parentRefs"))
        for rule in self._items(node, "spec", "rules"):
            backends = list(self._items(rule, "backendRefs"))
            references += backends
            for owner in (rule, *backends):
                references += (_at(each, "requestMirror", "backendRef") for each in list(self._items(owner, "filters")))
        for reference in references:
            host = _text(reference, "name") or None
            yield from self._port(reference, "port", role=Role.URL, side=Side.CLUSTER, host=host)

    def _config(self, node: Node, name: str | None) -> Iterator[PortSpec]:
        data = _at(node, "data")
        for variable in data.items if isinstance(data, Mapping) else ():
            yield from self._named(variable, data, variable, name)

    def _pod(self, pod: Node | None, name: str | None) -> Iterator[PortSpec]:
        for container in (item for key in _CONTAINERS for item in self._items(pod, key)):
            for entry in self._items(container, "ports"):
                yield from self._container_port(entry, name)
            for keys in ((*asking, way, "port") for asking in _ASKING for way in _WAYS):
                yield from self._port(container, *keys, role=Role.CONTAINER, side=Side.CONTAINER, service=name)
            for entry in self._items(container, "env"):
                yield from self._variable(entry, name)

    def _container_port(self, entry: Node, name: str | None) -> Iterator[PortSpec]:
        fields = {"service": name, "protocol": _text(entry, "protocol").lower() or "tcp"}
        yield from self._port(entry, "containerPort", role=Role.CONTAINER, side=Side.CONTAINER, **fields)
        fields["host_ip"] = _text(entry, "hostIP") or ANY
        yield from self._port(entry, "hostPort", role=Role.HOST, side=Side.CLUSTER, **fields)

    def _variable(self, entry: Node, name: str | None) -> Iterator[PortSpec]:
        """An environment entry."""
        yield from self._named(_text(entry, "name"), entry, "value", name)

    def _named(self, variable: str, node: Node | None, key: str, name: str | None) -> Iterator[PortSpec]:
        """A variable's value under a key: the number of one called PORT, and the URLs. `localhost` is the pod itself."""
        value = _at(node, key)
        if is_port_name(variable):
            for spec in self._port(node, key, role=Role.CONTAINER, side=Side.CONTAINER, service=name):
                yield spec.replace(text=f"{variable}={spec.target}", variables=(variable,))
        if isinstance(value, Scalar) and value.value_start is not None:
            for url in urls.in_value(value.value, value.value_start):
                side = Side.CONTAINER if urls.is_loopback(url.host) else Side.CLUSTER
                yield self.source.port(url.span, Role.URL, side, host=url.host, variables=(variable,))

    def _port(self, node: Node | None, *keys: str, role: Role, side: Side, **fields: str | None) -> Iterator[PortSpec]:
        """The port that a key holds, if it is a number."""
        found = _at(node, *keys)
        if isinstance(found, Scalar) and found.value_start is not None and _NUMBER.fullmatch(found.value):
            span = Span(found.value_start, found.value_start + len(found.value))
            yield self.source.port(span, role, side, text=f"{keys[-1]}: {found.value}", **fields)

    def _items(self, node: Node | None, *keys: str) -> Iterator[Node]:
        """The mappings of a list that were not looked at before."""
        found = _at(node, *keys)
        for item in found.items if isinstance(found, Sequence) else ():
            if isinstance(item, Mapping) and id(item) not in self.seen:
                self.seen.add(id(item))
                yield item


def _at(node: Node | None, *keys: str) -> Node | None:
    """What stands below a node under a path of keys, or None."""
    for key in keys:
        node = node.items.get(key) if isinstance(node, Mapping) else None
    return node


def _text(node: Node | None, *keys: str) -> str:
    """A scalar's value below a node, or nothing."""
    found = _at(node, *keys)
    return found.value if isinstance(found, Scalar) else ""
