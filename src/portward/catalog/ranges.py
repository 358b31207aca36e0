"""Ranges of ports with a meaning of their own, and the reasons to keep a service off a port."""

from __future__ import annotations

from portward.memo import cache
from portward.model import PortRange
from portward.records import Record

PRIVILEGED = PortRange(1, 1023)
"""Ports that need root or CAP_NET_BIND_SERVICE by default (net.ipv4.ip_unprivileged_port_start, ip-sysctl.rst)."""

NODE_PORTS = PortRange(30000, 32767)
"""Kubernetes NodePort services by default (kubernetes/website ports-and-protocols.md@31a8f95e)."""

# fmt: off
BROWSER_BLOCKED = frozenset((
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109,
    110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530,
    531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190,
    5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on
"""Every "bad port" of whatwg/fetch@586cd2a fetch.bs: browsers refuse HTTP(S) URLs with these ports."""


class SpecialRange(Record):
    """Ports with a meaning of their own.

    `id` is a short unique name, `system` the operating system that the range belongs to (None: any). It is a default:
    on a given machine the range may be set otherwise. `source` is where it was read.
    """

    id: str
    ports: PortRange
    meaning: str
    source: str
    system: str | None = None


@cache
def special_ranges() -> tuple[SpecialRange, ...]:
    """All special ranges that are known, the widely valid ones first. They overlap."""
    return (
        SpecialRange("iana-system", PortRange(0, 1023), "System (Well Known) Ports, assigned by IANA", "RFC 6335, 6"),
        SpecialRange("iana-user", PortRange(1024, 49151), "User (Registered) Ports, assigned by IANA", "RFC 6335, 6"),
        SpecialRange("iana-dynamic", PortRange(49152, 65535), "Dynamic (Private) Ports, never assigned", "RFC 6335, 6"),
        SpecialRange(
            "linux-privileged",
            PRIVILEGED,
            "need root or CAP_NET_BIND_SERVICE (net.ipv4.ip_unprivileged_port_start)",
            "kernel Documentation/networking/ip-sysctl.rst",
            "linux",
        ),
        SpecialRange(
            "macos-privileged",
            PRIVILEGED,
            "need root on a specific address; a wildcard address is open to all since macOS 10.14",
            "apple/container#1985, github/homebrew-bootstrap#93",
            "macos",
        ),
        SpecialRange(
            "linux-ephemeral",
            PortRange(32768, 60999),
            "taken by outgoing connections, and by Docker where no host port is given (net.ipv4.ip_local_port_range)",
            "kernel Documentation/networking/ip-sysctl.rst; moby/moby libnetwork/portallocator@5e62ca1a",
            "linux",
        ),
        SpecialRange(
            "macos-ephemeral",
            PortRange(49152, 65535),
            "taken by outgoing connections (net.inet.ip.portrange.first, last)",
            "xnu bsd/netinet/in_pcb.c",
            "macos",
        ),
        SpecialRange(
            "windows-dynamic",
            PortRange(49152, 65535),
            "taken by outgoing connections; Hyper-V and WSL2 reserve blocks of it at boot",
            "Microsoft KB 929851; docker/for-win#3171",
            "windows",
        ),
        SpecialRange(
            "freebsd-ephemeral",
            PortRange(10000, 65535),
            "taken by outgoing connections (net.inet.ip.portrange.first, last)",
            "FreeBSD sys/netinet/in.h",
            "freebsd",
        ),
        SpecialRange(
            "k8s-nodeport",
            NODE_PORTS,
            "Kubernetes NodePort services (--service-node-port-range)",
            "kubernetes/website ports-and-protocols.md@31a8f95e",
        ),
        SpecialRange(
            "nomad-dynamic",
            PortRange(20000, 32000),
            "Nomad's dynamic task ports",
            "hashicorp/nomad install/production/requirements.mdx@28317147",
        ),
        SpecialRange(
            "consul-sidecar",
            PortRange(21000, 21255),
            "Consul's automatic sidecar ports",
            "hashicorp/consul install/ports.mdx@186bdda2",
        ),
        SpecialRange("ray-workers", PortRange(10002, 19999), "Ray worker ports", "ray 2.60.0 scripts.py:516-527"),
        SpecialRange(
            "localstack-services",
            PortRange(4510, 4559),
            "LocalStack's external services",
            "localstack-core 2026.3.0 config.py:873-882",
        ),
        SpecialRange(
            "elasticsearch-http",
            PortRange(9200, 9300),
            "Elasticsearch and OpenSearch take the first free one for HTTP",
            "Elastic networking-settings docs",
        ),
        SpecialRange(
            "elasticsearch-transport",
            PortRange(9300, 9400),
            "Elasticsearch and OpenSearch take the first free one for node-to-node transport",
            "Elastic networking-settings docs",
        ),
        SpecialRange("gradio-scan", PortRange(7860, 7959), "Gradio tries these", "gradio 6.31.0 http_server.py:31-32"),
        SpecialRange(
            "jupyter-scan",
            PortRange(8888, 8938),
            "Jupyter Server tries these, not strictly in order",
            "jupyter_server 2.21.1 serverapp.py:1074-1081",
        ),
    )


def browser_blocked(port: int) -> bool:
    """Whether browsers refuse to open http://…:port/. Other clients, and servers, do not mind."""
    return port in BROWSER_BLOCKED


def reasons_to_avoid(port: int, ephemeral: PortRange) -> tuple[str, ...]:
    """Why a service should not be given this port, as phrases for people; empty when nothing speaks against it.

    `ephemeral` is the range that this machine's outgoing connections take ports from; other ranges are the defaults.
    Whether somebody holds the port now, or is promised it, is not looked at.
    """
    reasons = []
    if port in PRIVILEGED:
        reasons.append(f"privileged: ports up to {PRIVILEGED.high} need root or CAP_NET_BIND_SERVICE")
    if port in ephemeral:
        reasons.append(f"in the ephemeral range {ephemeral}: an outgoing connection may take it")
    if port in NODE_PORTS:
        reasons.append(f"in the range of Kubernetes NodePort services, {NODE_PORTS}")
    if browser_blocked(port):
        reasons.append("browsers refuse to open it (a bad port of the WHATWG Fetch standard)")
    return tuple(reasons)
