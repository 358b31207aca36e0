"""`redis.conf` of Redis and Valkey, and Sentinel's: what the server listens on, and whom it follows.

    port 6379          tls-port 6380            0 turns one off
    replicaof primary 6379
    sentinel monitor mymaster 127.0.0.1 6379 2

Source: the annotated redis.conf and sentinel.conf of the distribution.
"""

from __future__ import annotations

from portward.formats import urls
from portward.formats.conf_words import lines
from portward.formats.text import Source
from portward.model import PortSpec, Role

_LISTENING = ("port", "tls-port", "cluster-port")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file."""
    source = Source(text, path, "redis")
    specs: list[PortSpec] = []
    for name, *values in lines(source.text):
        match name.value.lower(), values:
            case directive, [value] if directive in _LISTENING and value.number:
                specs.append(source.port(value.number))
            case (("replicaof" | "slaveof"), [host, port]) if port.number:
                specs.append(source.port(port.number, Role.URL, urls.side(host.value), host=host.value))
            case "sentinel", [verb, _, host, port, *_] if verb.value.lower() == "monitor" and port.number:
                specs.append(source.port(port.number, Role.URL, urls.side(host.value), host=host.value))
    return specs
