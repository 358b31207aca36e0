"""`mosquitto.conf`: the listeners of the broker, and the brokers that it bridges to.

    listener 1883 127.0.0.1          listener 0 /run/mosquitto.sock writes no port
    port 1883
    address broker:1883

Source: mosquitto.conf(5).
"""

from __future__ import annotations

from portward.formats import urls
from portward.formats.conf_words import lines
from portward.formats.text import Source
from portward.model import PortSpec, Role


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file."""
    source = Source(text, path, "mosquitto")
    specs: list[PortSpec] = []
    for name, *values in lines(source.text):
        match name.value, values:
            case (("listener" | "port"), [value, *rest]) if value.number:
                address = rest[0].value if rest else ""
                specs.append(source.port(value.number, host_ip=urls.bound(address)))
            case (("address" | "addresses"), _):
                for host, span in filter(None, (value.address for value in values)):
                    specs.append(source.port(span, Role.URL, urls.side(host), host=host))
    return specs
