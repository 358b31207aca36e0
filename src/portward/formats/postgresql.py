"""`postgresql.conf`: the port of the server, and that of its primary.

    port = 5432          port 5432 and port = '5432' are the same
    primary_conninfo = 'host=primary port=5432 user=replica'

Source: the PostgreSQL documentation, "Setting Parameters" and "Connection Strings".
"""

from __future__ import annotations

import re

from portward.formats import urls
from portward.formats.text import Source
from portward.model import PortSpec, Role, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PORT = re.compile(
    r"^[ \t]*port(?:[ \t]*=[ \t]*|[ \t]+)'?(?P<port>[1-9][0-9]{0,9})'?[ \t\r]*(?:#|$)", re.MULTILINE | re.IGNORECASE
)
_PRIMARY = re.compile(
    r"^[ \t]*primary_conninfo(?:[ \t]*=[ \t]*|[ \t]+)'(?P<value>(?:[^'\n]|'')*)'", re.MULTILINE | re.IGNORECASE
)
_PAIR = re.compile(r"\b(host|port)[ ]*=[ ]*([A-Za-z0-9_.:-]+)")
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file, in the order of the text."""
    source = Source(text, path, "postgresql")
    specs = [source.port(Span(*found.span("port"))) for found in _PORT.finditer(source.text)]
    specs += (spec for found in _PRIMARY.finditer(source.text) for spec in _primary(source, *found.span("value")))
    return sorted(specs, key=lambda spec: spec.span.start)


def _primary(source: Source, start: int, end: int) -> Iterator[PortSpec]:
    pairs = {pair[1]: pair for pair in _PAIR.finditer(source.text, start, end)}
    if "host" in pairs and "port" in pairs and _NUMBER.fullmatch(pairs["port"][2]):
        host = pairs["host"][2]
        yield source.port(Span(*pairs["port"].span(2)), Role.URL, urls.side(host), host=host)
