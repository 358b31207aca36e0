"""invalid-port: a number that stands where a port should is none.

Why: the program refuses to start, or silently takes another port.

Before: `PORT=80880`, `process.env.PORT || 70000`, `published: "9000-8000"`.
After:  a port from 1 to 65535; a range that ascends.

What Compose itself refuses is not a finding but an error: there is no project to judge then. 0 asks the system for any
free port and is valid.
"""

from __future__ import annotations

from portward.model import LAST_PORT, Finding, Fix, Severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Snapshot

RULE = "invalid-port"
SEVERITY = Severity.ERROR


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each number that is not a port."""
    for spec in snapshot.project.specs if snapshot.project else ():
        if spec.published not in (None, "0") and spec.range is None:
            yield _finding(snapshot, spec, spec.published or "")
        elif spec.target is not None and spec.target > LAST_PORT:
            yield _finding(snapshot, spec, str(spec.target))


def _finding(snapshot: Snapshot, spec: PortSpec, number: str) -> Finding:
    low, dash, high = number.partition("-")
    if dash and low.isdecimal() and high.isdecimal() and int(high) < int(low):
        message, hint = f"{number} is a descending range", f"did you mean {high}-{low}?"
    else:
        message, hint = f"{number} is not a port", f"ports run from 1 to {LAST_PORT}"
    port = snapshot.free.get(spec, snapshot.free.get(spec.service or ""))
    name = spec.variables[0] if spec.variables else spec.service
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{name}: {message}" if name else message,
        service=spec.service,
        locations=(spec.place,),
        hint=hint,
        fixes=(Fix(f"write {port} there, which is free", None, True),) if port else (),
    )
