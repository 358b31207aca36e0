"""Ports in Kubernetes manifests."""

from __future__ import annotations

import re
import sys

import pytest
from hypothesis import given

import portward.formats
from portward.errors import InvalidFile
from portward.formats import format_of
from portward.formats.kubernetes import read
from portward.model import PortSpec, Role, Side
from tests.port_specs import check, found, fragments, read_safely

CONTAINER = (Role.CONTAINER, Side.CONTAINER)
SERVICE = (Role.CONTAINER, Side.CLUSTER)
NODE = (Role.HOST, Side.CLUSTER)
REFERENCE = (Role.URL, Side.CLUSTER)

SERVICE_TEXT = """\
apiVersion: v1
kind: Service
metadata:
  name: web
spec:
  type: NodePort
  healthCheckNodePort: 30081
  ports:
    - name: http
      port: 80            # the Service's
      targetPort: 8080
      nodePort: 30080
    - {name: dns, port: "53", targetPort: dns, protocol: UDP}
"""
POD = """
  containers:
  - name: web
    image: web:8080
    args: ["--port=9999"]
    ports:
    - containerPort: 8080
      hostPort: 8081
      hostIP: 127.0.0.1
    - &metrics
      containerPort: 9090
      protocol: UDP
    env:
    - {name: PORT, value: "8080"}
    - name: API_URL
      value: http://api:5000/v1
    - name: SELF
      value: 'http://localhost:8080'
    - name: REPLICAS
      value: "3000"
    - name: SECRET_PORT
      valueFrom: {secretKeyRef: {name: s, key: port}}
    livenessProbe: {httpGet: {path: /, port: 8080}}
    readinessProbe:
      tcpSocket:
        port: http
    startupProbe: {grpc: {port: 9091}}
    lifecycle: {preStop: {httpGet: {port: 8082}}}
  initContainers:
  - ports: [{containerPort: 7000}, *metrics]
"""
POD_PORTS = [
    ("8080", *CONTAINER),
    ("8081", *NODE),
    ("9090", *CONTAINER),
    ("8080", *CONTAINER),
    ("5000", *REFERENCE),
    ("8080", Role.URL, Side.CONTAINER),
    ("8080", *CONTAINER),
    ("9091", *CONTAINER),
    ("8082", *CONTAINER),
    ("7000", *CONTAINER),
]
WORKLOADS = {
    "Pod": ("v1", ("spec",)),
    "Deployment": ("apps/v1", ("spec", "template", "spec")),
    "StatefulSet": ("apps/v1", ("spec", "template", "spec")),
    "DaemonSet": ("extensions/v1beta1", ("spec", "template", "spec")),
    "ReplicaSet": ("apps/v1beta2", ("spec", "template", "spec")),
    "ReplicationController": ("v1", ("spec", "template", "spec")),
    "Job": ("batch/v1", ("spec", "template", "spec")),
    "CronJob": ("batch/v1", ("spec", "jobTemplate", "spec", "template", "spec")),
}


def workload(kind: str) -> str:
    """A manifest of a kind with the pod above."""
    version, keys = WORKLOADS[kind]
    text = f"kind: {kind}\nmetadata: {{name: web}}\n"
    for depth, key in enumerate(keys):
        text += f"{'  ' * depth}{key}:\n"
    indent = "  " * (len(keys) - 1)
    return text + POD.strip("\n").replace("\n", f"\n{indent}").join((indent, f"\napiVersion: {version}\n"))


def ports(text: str) -> list[PortSpec]:
    """What is read, after the checks that every reader passes."""
    specs = read(text, "k8s/web.yaml")
    check(text, "k8s/web.yaml", specs)
    return specs


def test_a_service() -> None:
    """Its port is the cluster's, its target the container's, its node port each node's; a name is no number."""
    specs = ports(SERVICE_TEXT)
    assert found(SERVICE_TEXT, specs) == [
        ("30081", *NODE),
        ("80", *SERVICE),
        ("8080", *CONTAINER),
        ("30080", *NODE),
        ("53", *SERVICE),
    ]
    assert {spec.service for spec in specs} == {"web"}
    assert [spec.protocol for spec in specs] == ["tcp", "tcp", "tcp", "tcp", "udp"]
    assert [spec.text for spec in specs][1:4] == ["port: 80", "targetPort: 8080", "nodePort: 30080"]


@pytest.mark.parametrize("kind", WORKLOADS)
def test_a_workload(kind: str) -> None:
    """Container and host ports, probes, hooks and the environment of every kind of pod; an alias counts once."""
    text = workload(kind)
    specs = ports(text)
    assert found(text, specs) == POD_PORTS
    assert {spec.service for spec in specs if spec.role is not Role.URL} == {"web"}
    by_text = {spec.text: spec for spec in specs}
    assert by_text["hostPort: 8081"].host_ip == "127.0.0.1"
    assert by_text["containerPort: 9090"].protocol == "udp"
    assert by_text["PORT=8080"].variables == ("PORT",)
    assert [(spec.host, spec.variables) for spec in specs if spec.role is Role.URL] == [
        ("api", ("API_URL",)),
        ("localhost", ("SELF",)),
    ]


def test_an_ingress() -> None:
    """A backend names a Service and its port, in today's spelling and in that of the betas."""
    text = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
spec:
  defaultBackend: {service: {name: web, port: {number: 80}}}
  rules:
  - http:
      paths:
      - {path: /, backend: {service: {name: api, port: {number: 5000}}}}
      - {path: /n, backend: {service: {name: api, port: {name: http}}}}
---
apiVersion: extensions/v1beta1
kind: Ingress
spec:
  backend: {serviceName: old, servicePort: 81}
"""
    specs = ports(text)
    assert found(text, specs) == [("80", *REFERENCE), ("5000", *REFERENCE), ("81", *REFERENCE)]
    assert [spec.host for spec in specs] == ["web", "api", "old"]


def test_several_documents_and_lists() -> None:
    """Each document counts for itself, and a List for what is in it."""
    items = SERVICE_TEXT.replace("\n", "\n    ").rstrip()
    text = f"# one\n---\n{SERVICE_TEXT}---\napiVersion: v1\nkind: List\nitems:\n  - {items}\n...\n---\nkind: Service\n"
    specs = ports(text)
    assert len(specs) == 10
    assert specs[5].location.line == specs[0].location.line + 17


@pytest.mark.parametrize(
    "text",
    [
        "",
        "services: {web: {ports: [80]}}",
        "kind: Service\nspec: {ports: [{port: 80}]}",
        "apiVersion: v1\nspec: {ports: [{port: 80}]}",
        "apiVersion: serving.knative.dev/v1\nkind: Service\nspec: {ports: [{port: 80}]}",
        "apiVersion: v1\nkind: ServiceAccount\nspec: {ports: [{port: 80}]}",
        "apiVersion: v1\nkind: Deployment\nspec: {template: {spec: {containers: [{ports: [{containerPort: 80}]}]}}}",
        "apiVersion: v1\nkind: Service\nspec: {ports: [{port: {{ .Values.port }}}]}",
        "apiVersion: v1\nkind: Service\nspec: {ports: 80}",
        "apiVersion: v1\nkind: Service\nspec: {ports: [80, [80], {port: [80]}, {port: http}, {port: 080}, {port: -1}]}",
        "- apiVersion: v1\n  kind: Service\n  spec: {ports: [{port: 80}]}",
        "x: &a [80]\n# apiVersion kind: Service\n",
    ],
)
def test_what_is_no_manifest(text: str) -> None:
    """Other YAML, other groups, templates and what is no number give nothing."""
    assert ports(text) == []


def test_a_template_hides_only_its_own_document() -> None:
    """A document with braces is passed over, even where it is no YAML, and its neighbours keep their places."""
    text = "kind: Service\napiVersion: v1\nport: {{ x }}\n  bad: [\n---\n" + SERVICE_TEXT
    specs = ports(text)
    assert len(specs) == 5
    assert specs[1].location.line == 15


def test_a_broken_manifest_is_refused() -> None:
    """What looks like a manifest and is no YAML is told with its place."""
    with pytest.raises(InvalidFile) as refusal:
        read("apiVersion: v1\nkind: Service\nspec: [\n", "k8s/a.yaml")
    assert (refusal.value.path, refusal.value.line) == ("k8s/a.yaml", 4)


def test_aliases_take_no_time() -> None:
    """Lists of lists that are all the same list are looked at once."""
    levels = ["&a0 {apiVersion: v1, kind: Service, spec: {ports: [{port: 80}]}}"]
    for level in range(1, 40):
        items = ", ".join(f"*a{level - 1}" for _ in range(10))
        levels.append(f"&a{level} {{apiVersion: v1, kind: List, items: [{items}]}}")
    text = "apiVersion: v1\nkind: List\nitems:\n" + "".join(f"- {level}\n" for level in levels)
    assert found(text, ports(text)) == [("80", *SERVICE)]


def test_which_files_are_looked_at() -> None:
    """Any YAML file that is not Compose's."""
    assert format_of("k8s/web.yaml") == format_of("deployment.yml") == "kubernetes"
    assert format_of("compose.yaml") == format_of("sub/docker-compose.override.yml") == "compose"
    assert format_of("values.yaml.example") is None


def test_other_yaml_loads_no_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """A YAML file that is no manifest costs a look, not a parser."""
    monkeypatch.delattr(portward.formats, "manifest", raising=False)
    monkeypatch.setitem(sys.modules, "portward.formats.manifest", None)
    assert read("on: push\nkind: none\n", "ci.yml") == []
    with pytest.raises(ImportError):
        read(SERVICE_TEXT, "k8s/a.yaml")


@given(
    fragments(
        *SERVICE_TEXT.splitlines(keepends=True),
        *POD.splitlines(keepends=True),
        "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:",
        "kind: List\nitems:\n- ",
        "---\n",
        "&a ",
        "*a",
        "<<: *a",
        "{",
        "}",
        "[",
        "]",
        "!!int 80",
        "|\n",
        "{{",
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, it is read or refused with a place, and every span holds what it says."""
    text = re.sub(r"\r(?!\n)|[\x85\u2028\u2029]", "", text)  # ends of lines to YAML, and to nobody else
    read_safely(read, text, "a.yaml")
    read_safely(read, "apiVersion: v1\nkind: Service\n" + text, "a.yaml")


def test_the_gateway_api() -> None:
    """The ports of a Gateway's listeners, and of the Services that routes send to; another group's Gateway is none."""
    text = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  listeners:
  - {name: http, protocol: HTTP, port: 80}
  - {name: dns, protocol: UDP, port: 53}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: shop}
spec:
  parentRefs: [{name: edge, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /8080}}]
    filters: [{type: RequestMirror, requestMirror: {backendRef: {name: copy, port: 8081}}}]
    backendRefs:
    - name: web
      port: 8080
      weight: 9000
---
apiVersion: gateway.networking.k8s.io/v1alpha2
kind: TCPRoute
spec: {rules: [{backendRefs: [{name: db, port: 5432}]}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
spec: {listeners: [{port: 81}]}
"""
    specs = read(text, "k.yaml")
    assert [(spec.number, spec.side, spec.service or spec.host) for spec in specs] == [
        ("80", Side.CLUSTER, "edge"),
        ("53", Side.CLUSTER, "edge"),
        ("80", Side.CLUSTER, "edge"),
        ("8081", Side.CLUSTER, "copy"),
        ("8080", Side.CLUSTER, "web"),
        ("5432", Side.CLUSTER, "db"),
    ]
    assert [spec.protocol for spec in specs[:2]] == ["tcp", "udp"]
    check(text, "k.yaml", specs)


def test_the_variables_of_a_config_map() -> None:
    """Values that are ports by their name, URLs and addresses; a file that is kept there is not looked into."""
    text = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: web-config}
data:
  PORT: "8080"
  DB_PORT: '5432'
  RETRIES: "3000"
  DATABASE_URL: postgres://app@db:5432/shop
  SELF: http://localhost:8080
  HOST_AND_PORT: db:5433
  nginx.conf: |
    server { listen 8081; }
    # http://web:8082
binaryData: {PORT: "8083"}
"""
    specs = read(text, "k.yaml")
    assert [(spec.number, spec.role, spec.side, spec.variables) for spec in specs] == [
        ("8080", *CONTAINER, ("PORT",)),
        ("5432", *CONTAINER, ("DB_PORT",)),
        ("5432", *REFERENCE, ("DATABASE_URL",)),
        ("8080", Role.URL, Side.CONTAINER, ("SELF",)),
        ("5433", *REFERENCE, ("HOST_AND_PORT",)),
    ]
    check(text, "k.yaml", specs)
