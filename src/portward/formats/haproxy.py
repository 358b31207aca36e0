"""`haproxy.cfg`: what HAProxy binds, and the servers behind it.

    bind *:80                bind 127.0.0.1:8443,:::8443 ssl crt a.pem          bind :8000-8010
    server api1 backend:5000 check          server-template web 1-3 web:3000
    redirect location http://localhost:8080/

Source: the HAProxy configuration manual, sections 4.2 (bind, server, server-template) and 11 (address formats). Sockets by path or
descriptor, a variable in the port's place, and checks of another port write none.
"""

from __future__ import annotations

import re

from portward.formats import urls
from portward.formats.conf_words import lines
from portward.formats.text import Source
from portward.model import ANY, PortSpec, Role, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.formats.conf_words import Word

_BIND = re.compile(
    r"(?:(?P<family>ipv4|ipv6|tcp|tcp4|tcp6|udp|udp4|udp6|quic4|quic6)@)?"
    r"(?P<address>\*|\[[0-9A-Fa-f:.]{0,45}\]|[0-9.]{7,15}|[0-9A-Fa-f:.]{0,44}:[0-9A-Fa-f.]{0,15}|)"
    r":(?P<port>[1-9][0-9]{0,9}(?:-[0-9]{1,10})?)"
)
_UDP = ("udp", "udp4", "udp6", "quic4", "quic6")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file, in the order of the text."""
    source = Source(text, path, "haproxy")
    return [spec for words in lines(source.text) for spec in _ports(source, words)]


def _ports(source: Source, words: Sequence[Word]) -> Iterator[PortSpec]:
    name, values = words[0].value, words[1:]
    if name == "bind" and values:
        yield from _bound(source, values[0])
        return
    place = {"server": 1, "server-template": 2}.get(name)
    if place is not None and place < len(values) and (address := values[place].address):
        host, span = address
        yield source.port(span, Role.URL, urls.side(host), host=host)
        return
    for word in values:
        for url in urls.find(word.value, word.start):
            yield source.port(url.span, Role.URL, urls.side(url.host), host=url.host)


def _bound(source: Source, word: Word) -> Iterator[PortSpec]:
    """Each of the addresses that a comma parts."""
    start = word.start
    for part in word.value.split(","):
        if found := _BIND.fullmatch(part):
            address = found["address"].strip("[]")
            address = "::" if not address and "6" in (found["family"] or "") else address
            host_ip = ANY if address in ("", "*") else address
            span = Span(start + found.start("port"), start + found.end("port"))
            yield source.port(span, host_ip=host_ip, protocol="udp" if found["family"] in _UDP else "tcp")
        start += len(part) + 1
