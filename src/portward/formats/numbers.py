"""Where a number stands in a project's texts as a word, beside all that is known to be a port: only a person can tell what it means.

Whoever moves a port is told of these places, that none is forgotten which no reader knows: a workflow, a script, a sentence.
"""

from __future__ import annotations

import re

from portward.discretion import discreet
from portward.formats.text import Source
from portward.model import PortSpec, Role, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from portward.model import Project

LEAST = 1000
"""Lesser numbers are written for too many reasons: they are not looked for."""

_NEAR = 200  # characters of the line on each side
_SPEAKS_OF_PORTS = re.compile(
    r"port|listen|bind|local|127\.|0\.0\.0\.0|://|expose|addr|host|url|uri|endpoint|server|proxy|-p\s", re.IGNORECASE
)

WHY = "nothing says whether it is this port"


def unexplained(project: Project, numbers: Collection[int], texts: Iterable[tuple[str, str]]) -> Iterator[PortSpec]:
    """The places in files, (path, text), where one of the numbers may be a port, and no reader of the project says what it is."""
    wanted = sorted({str(number) for number in numbers if number >= LEAST})
    if not wanted:
        return
    word = re.compile(rf"(?<![0-9A-Za-z_.])(?:{'|'.join(wanted)})(?![0-9A-Za-z_]|\.[0-9])")
    known = _known(project)
    for path, text in texts:
        source = Source(text, path, "text")
        here = known.get(path, ())
        for found in word.finditer(source.text):
            span = Span(*found.span())
            if any(span.start < each.end and each.start < span.end for each in here):
                continue
            if _may_be_a_port(source.text, span):
                yield source.port(span, Role.MENTION, Side.UNKNOWN, text=discreet(source.line(span.start)), why=WHY)


def _may_be_a_port(text: str, span: Span) -> bool:
    """Whether a colon touches the number, or its line speaks of ports: `setTimeout(retry, 5000)` is nothing to look at."""
    if ":" in (text[span.start - 1 : span.start], text[span.end : span.end + 1]):
        return True
    before = text[max(0, span.start - _NEAR) : span.start].rpartition("\n")[2]
    after = text[span.end : span.end + _NEAR].partition("\n")[0]
    return _SPEAKS_OF_PORTS.search(before) is not None or _SPEAKS_OF_PORTS.search(after) is not None


def _known(project: Project) -> dict[str, list[Span]]:
    """The characters that are known to write a port, by file."""
    known: dict[str, list[Span]] = {}
    services = (*project.services, *project.inactive)
    linked = (spec for link in project.links for spec in (*link.host, *link.container, *link.unsure))
    for spec in (*(spec for service in services for spec in service.ports), *linked, *project.references):
        known.setdefault(spec.location.path, []).append(spec.span)
    return known
