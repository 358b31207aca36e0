"""Ports inside URLs: `http://localhost:5000/api`, `postgres://user:secret@db:5432/app`, `ws://[::1]:3001`.

Only a URL that writes its port is of interest. Grammar: RFC 3986, section 3.2 (authority).
"""

from __future__ import annotations

import re

from portward.model import Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30})://"
    r"(?:[^\s/?#@'\"`<>\[\]]*@)?"
    r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)"
    r":(?P<port>[0-9]{1,10})(?![0-9A-Za-z_:.@-])"
)
_HERE = ("localhost", "0.0.0.0", "::1", "::", "host.docker.internal", "gateway.docker.internal")


class UrlPort(Record):
    """A URL's scheme, host (brackets off) and port as text, with the port's span."""

    scheme: str
    host: str
    port: str
    span: Span


def find(text: str, offset: int = 0) -> Iterator[UrlPort]:
    """Every URL in the text that writes a port. `offset` is added to the spans."""
    for match in _URL.finditer(text):
        start, end = match.span("port")
        host = match["host"].strip("[]")
        yield UrlPort(match["scheme"].lower(), host, match["port"], Span(start + offset, end + offset))


def is_loopback(host: str) -> bool:
    """Whether a host name or address in a project's file means the machine that the stack runs on."""
    return host.lower() in _HERE or host.startswith("127.") or host.lower().endswith(".localhost")


def side(host: str) -> Side:
    """Whose port a URL names: a loopback host has the host's (published) port, a service name the container's."""
    return Side.HOST if is_loopback(host) else Side.CONTAINER
