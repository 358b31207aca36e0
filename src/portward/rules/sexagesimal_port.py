"""sexagesimal-port: a port mapping without quotes that some tools read as a number in base 60.

Why: to YAML 1.1, digits with colons below 60 are one number. Docker Compose v2 reads `2222:22` as a mapping; docker-compose v1 and
podman-compose read 133342, and publish a port that nobody wrote.

Before: `- 2222:22`
After:  `- "2222:22"`

`8080:80` is no such number, since 80 is more than 59. The form is that of YAML 1.1, "Integer Language-Independent Type".
"""

from __future__ import annotations

import re

from portward.model import Finding, Fix, Severity
from portward.rules.claims import COMPOSE, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Snapshot

RULE = "sexagesimal-port"
SEVERITY = Severity.NOTE
_BASE_60 = re.compile(r"[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+")


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each mapping that is also such a number."""
    seen = set()
    for service in snapshot.project.services if snapshot.project else ():
        for spec in service.ports:
            if spec.origin == COMPOSE and spec.location not in seen and _BASE_60.fullmatch(spec.text):
                seen.add(spec.location)  # an anchor may give one entry to several services
                yield _finding(spec)


def _finding(spec: PortSpec) -> Finding:
    number = 0
    for digits in spec.text.replace("_", "").lstrip("+-").split(":"):
        number = number * 60 + int(digits)
    fix = Fix(f'write "{spec.text}", in quotes, in {spec.location}', None, True)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{spec.service}: {spec.text} without quotes is {number} to YAML 1.1 (docker-compose v1, podman-compose)",
        service=spec.service,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=(spec.place,),
        hint=fix.title,
        fixes=(fix,),
    )
