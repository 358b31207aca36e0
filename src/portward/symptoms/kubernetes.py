"""Kubernetes: Services, port-forward, kubectl, kubeadm."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("Kubernetes", Kind.K8S_NODEPORT_TAKEN, "nodeport",
        r"nodePort: Invalid value: {port}: provided port is already allocated",
        'The Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated', 30080, source="kubernetes#64466"),
    Pattern("Kubernetes", Kind.K8S_NODEPORT_TAKEN, "healthcheck nodeport",
        r"failed to allocate requested HealthCheck NodePort {port}",
        "Internal error occurred: failed to allocate requested HealthCheck NodePort 30081: provided port is already allocated", 30081, source="kubernetes"),
    Pattern("Kubernetes", Kind.K8S_NODEPORT_TAKEN, "invalid value",
        r"Invalid value: {port}: provided port is already allocated",
        "message: 'Invalid value: 30080: provided port is already allocated'", 30080, source="awx-operator#814"),
    Pattern("Kubernetes", Kind.K8S_NODEPORT_TAKEN, "provided port is already allocated",
        r"provided port is already allocated",
        "Error: UPGRADE FAILED: failed to create resource: Internal error occurred: failed to allocate a nodePort: provided port is already allocated", source="helm"),
    Pattern("Kubernetes", Kind.RANGE_EXHAUSTED, "range is full",
        r"failed to allocate a nodePort: range is full",
        "Internal error occurred: failed to allocate a nodePort: range is full", source="kubernetes"),
    Pattern("kubectl", Kind.PORT_IN_USE, "requested ports",
        r"Unable to listen on any of the requested ports: \[\{{port} \d+\}",
        "error: unable to listen on any of the requested ports: [{8080 80}]", 8080, source="kubectl 1.28", soft=True),
    Pattern("kubectl", Kind.CONNECTION_REFUSED, "occurred forwarding",
        r"forwarding \d+ -> {port}: [^\n]{0,500}refused",
        'E1105 19:11:16.188662  401772 portforward.go:413] an error occurred forwarding 3001 -> 80: error forwarding port 80 to pod x, uid : failed to execute portforward in network namespace "/var/run/netns/x": failed to connect to localhost:80 inside namespace "x", IPv4: dial tcp4 127.0.0.1:80: connect: connection refused', 80, source="kubectl#1169"),
    Pattern("kubectl", Kind.CONNECTION_REFUSED, "was refused",
        r"connection to the server {at} was refused",
        "The connection to the server localhost:8080 was refused - did you specify the right host or port?", 8080, "localhost", source="kubectl 1.28"),
    Pattern("kubeadm", Kind.PORT_IN_USE, "[error port-",
        r"\[ERROR Port-{port}\]: Port \d+ is in use",
        "[ERROR Port-6443]: Port 6443 is in use", 6443, source="kubeadm 1.28"),
    Pattern("Kubernetes", Kind.K8S_NODEPORT_TAKEN, "free ports for the requested pod ports",
        r"didn't have free ports for the requested pod ports",
        "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.", source="kube-scheduler 1.28"),
)  # fmt: skip
