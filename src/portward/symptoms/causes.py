"""What each kind of trouble means, and what helps whatever machine it was on: the cheapest and safest first."""

from __future__ import annotations

from portward.model import Fix, Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Symptom

_CAUSES = {
    Kind.PORT_IN_USE: "{tool} cannot listen on {place}: another socket has the port",
    Kind.CONTAINER_PORT_ALLOCATED: "the engine cannot publish {place}: by its own ledger another container has the port",
    Kind.PERMISSION_PRIVILEGED: "{tool} may not listen on {place}: the system gives the port to privileged programs only",
    Kind.OS_RESERVED_RANGE: "{tool} may not listen on {place}: Windows has reserved the port, or keeps it for somebody alone",
    Kind.ADDRESS_NOT_AVAILABLE: "{tool} cannot listen on {place}: the machine, or container, that it runs on has no such address",
    Kind.CONNECTION_REFUSED: "nothing listens on {place} where {tool} looked for it",
    Kind.REFUSED_IPV6_LOCALHOST: "{tool} tried {place} only: the server, if it runs, listens on the other family of localhost",
    Kind.REFUSED_CONTAINER_LOCALHOST: "{tool} runs in a container, where {place} is that container itself",
    Kind.LOOPBACK_ONLY_IN_CONTAINER: "the server behind {place} listens on the container's own loopback, which its engine cannot reach",
    Kind.RESET_OR_EMPTY_REPLY: "something accepted the connection to {place} and closed it: as a forwarder does when nothing behind it answers",
    Kind.TIMEOUT_FIREWALL: "packets to {place} get no answer: a firewall drops them, or the host or the route is not there",
    Kind.UNSAFE_BROWSER_PORT: "browsers, and what follows their rules, refuse to ask {place}",
    Kind.HIJACKED_BY_SYSTEM_SERVICE: "a service of the operating system answers on {place}",
    Kind.RANGE_EXHAUSTED: "no port was left for {tool} to take, at {place}",
    Kind.K8S_NODEPORT_TAKEN: "the cluster's ledger of node ports gives {place} to another Service",
}
_NOBODY = frozenset(
    ("system", "Windows", "Go", "Go on Windows", "Rust", "Ruby", "Java", "PHP", "Python socket", ".NET socket", "Node.js", "asyncio",
     "asyncio on Windows", "no IPv6 loopback", "undici", "http.client")
)  # fmt: skip
"""Languages and libraries: many programs speak with their words."""
_EXCLUDE = "netsh interface ipv4 show excludedportrange protocol=tcp"

# Microsoft's netsh and sysctl(8) and capabilities(7) for the commands; the WHATWG Fetch standard for blocked ports
_ADVICE: dict[Kind, tuple[Fix, ...]] = {
    Kind.PERMISSION_PRIVILEGED: (
        Fix("listen on a port from 1024 on, behind a proxy or published as 80:8080", None, True),
        Fix("let the program alone do it: setcap 'cap_net_bind_service=+ep' on its real file", None, False),
    ),
    Kind.OS_RESERVED_RANGE: (
        Fix("see whether it lies in a reserved range", _EXCLUDE, True),
        Fix("take a port outside of the reserved ranges", None, True),
        Fix("restart Windows NAT, which gives its ranges back and drops the connections of WSL and Docker", "net stop winnat && net start winnat", False),
    ),
    Kind.ADDRESS_NOT_AVAILABLE: (Fix("listen on 0.0.0.0, or on an address that the machine has", "ip -brief address", True),),
    Kind.REFUSED_IPV6_LOCALHOST: (
        Fix("ask 127.0.0.1 instead of localhost", None, True),
        Fix("let the server listen on both families", None, True),
    ),
    Kind.REFUSED_CONTAINER_LOCALHOST: (
        Fix("ask the other service by its name and its container's port; what runs on the host is host.docker.internal", None, True),
    ),
    Kind.LOOPBACK_ONLY_IN_CONTAINER: (
        Fix("let the server in the container listen on 0.0.0.0, and publish on 127.0.0.1 to keep it private", None, True),
    ),
    Kind.RESET_OR_EMPTY_REPLY: (
        Fix("compare the container's port in the mapping with the one that its server listens on", None, True),
        Fix("let the server in the container listen on 0.0.0.0, not on 127.0.0.1", None, True),
    ),
    Kind.TIMEOUT_FIREWALL: (Fix("let the firewall, or the cloud's security group, pass that one port from that one source", None, True),),
    Kind.UNSAFE_BROWSER_PORT: (Fix("take a port that browsers do not block", "portward find", True),),
    Kind.HIJACKED_BY_SYSTEM_SERVICE: (
        Fix("take another port", "portward find", True),
        Fix("switch that service off in the system's settings (AirPlay Receiver, World Wide Web Publishing Service); killing it does not help", None, False),
    ),
    Kind.RANGE_EXHAUSTED: (
        Fix("see what holds so many", "ss -s", True),
        Fix("bind one port of the range by hand: its error tells more", "portward check", True),
    ),
    Kind.K8S_NODEPORT_TAKEN: (
        Fix("see which Service has it, health checks too", "kubectl get services --all-namespaces --output wide", True),
        Fix("leave nodePort out: the cluster picks a free one", None, True),
        Fix("if no Service has it, wait: the API server repairs its ledger some minutes after a Service is deleted", None, True),
    ),
}  # fmt: skip


def place(symptom: Symptom) -> str:
    """The host and port that a symptom speaks of, in words."""
    if symptom.port is None:
        return symptom.host or "a port that the text does not tell"
    host = f"[{symptom.host}]" if symptom.host and ":" in symptom.host else symptom.host
    name = f"{host}:{symptom.port}" if host else f"port {symptom.port}"
    udp = "/udp" if symptom.transport == "udp" else ""
    return f"{name}{udp}" + (f" (the usual port of {symptom.tool}; the text tells none)" if symptom.guess else "")


def cause(symptom: Symptom) -> str:
    """What the text alone says, in a sentence."""
    tool = "the program" if symptom.tool in _NOBODY else symptom.tool
    sentence = _CAUSES[symptom.kind].format(tool=tool, place=place(symptom))
    return sentence[:1].upper() + sentence[1:] if sentence.startswith("the ") else sentence


def advice(symptom: Symptom) -> tuple[Fix, ...]:
    """What helps with such a trouble on any machine; empty where that depends on who holds the port."""
    return _ADVICE.get(symptom.kind, ())
