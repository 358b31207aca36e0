"""undocumented-port: a published port is in none of the project's documents.

Why: whoever starts the project does not know where to look, and the next project takes the same port. The guide asks for a list of
the ports that a project uses.

Before: Compose publishes 3000 and 5000, and README.md says only `Frontend: 3000`
After:  README.md says both; `portward docs --write` writes the table and keeps it.

A document is a Markdown, reStructuredText, AsciiDoc or plain text file; a table, a list or a URL in it counts. A project without any
port in its documents is told so once. 80 and 443 need no word: a URL without a port has them.
"""

from __future__ import annotations

from portward.model import Finding, Fix, Severity, Side
from portward.rules.claims import published, transport
from portward.rules.customary_port import WEB

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "undocumented-port"
SEVERITY = Severity.NOTE
_DOCUMENTS = (".md", ".markdown", ".rst", ".adoc", ".txt")
_TABLE = Fix("write the table of ports into the project's README", "portward docs --write", True)


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each port that is missing, or one for a project whose documents have none."""
    documented = [spec for spec in snapshot.project.specs if _is_document(spec)] if snapshot.project else []
    missing: dict[tuple[str, str | None], list[tuple[Service, PortSpec]]] = {}
    for service, spec in published(snapshot):
        if _needs_a_word(spec) and not any(_covers(told, spec) for told in documented):
            missing.setdefault((service.name, spec.published), []).append((service, spec))
    if documented:
        yield from (_of_port(entries) for entries in missing.values())
    elif missing:
        yield _of_project([entry for entries in missing.values() for entry in entries])


def _is_document(spec: PortSpec) -> bool:
    return spec.location.path.lower().endswith(_DOCUMENTS) and spec.side not in (Side.CONTAINER, Side.CLUSTER)


def _needs_a_word(spec: PortSpec) -> bool:
    return spec.range is not None and spec.range.low not in WEB


def _covers(told: PortSpec, spec: PortSpec) -> bool:
    return told.range is not None and spec.range is not None and told.range.overlaps(spec.range)


def _of_project(missing: list[tuple[Service, PortSpec]]) -> Finding:
    ports = list(dict.fromkeys(spec.published or "" for _, spec in missing))
    shown = f"{', '.join(ports[:5])}{', …' * (len(ports) > 5)}"
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"no document of the project lists its ports ({shown})",
        locations=tuple(dict.fromkeys(spec.place for _, spec in missing)),
        hint=_TABLE.title,
        fixes=(_TABLE,),
    )


def _of_port(entries: list[tuple[Service, PortSpec]]) -> Finding:
    service, spec = entries[0]
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"no document of the project says that {service.name} is on {spec.published}",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=tuple(entry.place for _, entry in entries),
        hint=_TABLE.title,
        fixes=(_TABLE,),
    )
