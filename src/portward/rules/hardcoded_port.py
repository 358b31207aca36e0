"""hardcoded-port: a port is written as a bare number where a variable would let it move.

Why: a number in code, or in one entry among many that are variables, has to be edited in every copy, on every machine. The guide:
never hardcode port numbers in your application.

Before: `app.listen(5000)`; `"6379:6379"` in a file whose other ports are `"${PORT:-5000}:5000"`
After:  `app.listen(process.env.PORT || 5000)`; `"${REDIS_PORT:-6379}:6379"`

In Compose files, an entry counts only where at least as many others use a variable. In code, a program's own port does, and a
URL that names a port of this project; the configuration of build tools (`vite.config.js`) does not.
"""

from __future__ import annotations

import re

from portward.model import Finding, Fix, Role, Severity, Side
from portward.rules.claims import published, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "hardcoded-port"
SEVERITY = Severity.NOTE
_DEFAULTS = {"javascript": "process.env.PORT || {}", "python": 'os.environ.get("PORT", {})'}
"""How code of a format gives a variable a default."""
_TOOL = re.compile(r"(?:^|/)[\w.-]+\.config\.[cm]?[jt]s$")


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each published number, and one for each file of code."""
    entries = [(service, spec) for service, spec in published(snapshot) if spec.range]
    bare = [(service, spec) for service, spec in entries if not spec.variables]
    if bare and len(entries) >= 2 * len(bare):
        for service, spec in bare:
            yield _of_entry(service, spec)
    files: dict[str, list[PortSpec]] = {}
    for spec in snapshot.project.specs if snapshot.project else ():
        if _is_bare_code(spec):
            files.setdefault(spec.location.path, []).append(spec)
    for specs in files.values():
        yield _of_file(sorted(specs, key=lambda spec: spec.span.start))


def _is_bare_code(spec: PortSpec) -> bool:
    if spec.origin not in _DEFAULTS or spec.range is None or spec.variables or _TOOL.search(spec.location.path):
        return False
    return spec.role is Role.HOST or (spec.role is Role.URL and spec.side is Side.HOST and spec.service is not None)


def _of_entry(service: Service, spec: PortSpec) -> Finding:
    name = re.sub(r"\W", "_", service.name).upper()
    fix = Fix(f"write `${{{name}_PORT:-{spec.published}}}` for {spec.published} in {spec.location}", None, True)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} publishes {spec.published} as a bare number, where others use a variable",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=(spec.place,),
        hint=fix.title,
        fixes=(fix,),
    )


def _of_file(specs: list[PortSpec]) -> Finding:
    ports = list(dict.fromkeys(spec.published or "" for spec in specs))
    services = {spec.service for spec in specs}
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{specs[0].location.path} has {', '.join(ports)} written into the code",
        service=services.pop() if len(services) == 1 else None,
        port=specs[0].range.low if specs[0].range and len(ports) == 1 else None,
        locations=tuple(dict.fromkeys(spec.place for spec in specs)),
        hint=f"read it from the environment: `{_DEFAULTS[specs[0].origin].format(ports[0])}`",
    )
