"""nodeport-range: a Kubernetes Service asks for a `nodePort` that no cluster gives by default.

Why: the API server refuses the Service: "provided port is not in the valid range. The range of valid ports is 30000-32767".

Before: `nodePort: 8080`
After:  `nodePort: 30080`, or no `nodePort` at all, and the cluster chooses one.

A cluster may have another range (kube-apiserver --service-node-port-range); an ignore in `portward.toml` says so.
"""

from __future__ import annotations

import re

from portward.model import Finding, Severity, Side

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Snapshot

RULE = "nodeport-range"
SEVERITY = Severity.NOTE
_KEY = re.compile(r"\bnodePort['\"]?\s*:\s*['\"]?(\d+)")


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each node port outside of the cluster's range."""
    for spec in snapshot.project.specs if snapshot.project else ():
        if _is_node_port(spec) and spec.range and spec.range.low not in snapshot.node_ports:
            yield _finding(snapshot, spec)


def _is_node_port(spec: PortSpec) -> bool:
    if spec.origin != "kubernetes" or spec.side is not Side.CLUSTER:
        return False
    return any(found[1] == spec.published for found in _KEY.finditer(spec.text))


def _finding(snapshot: Snapshot, spec: PortSpec) -> Finding:
    assert spec.range is not None
    of = f" of {spec.service}" if spec.service else ""
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"nodePort {spec.published}{of} is outside of {snapshot.node_ports}, all that a cluster gives by default",
        service=spec.service,
        port=spec.range.low,
        locations=(spec.place,),
        hint=f"a port of {snapshot.node_ports}; or no nodePort, and the cluster chooses one",
    )
