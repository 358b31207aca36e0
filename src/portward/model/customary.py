"""The customary truth: what ports and answers usually mean, and what a system does with ranges of ports."""

from __future__ import annotations

from portward.model.live import PortRange
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Fingerprint(Record):
    """How a service answers to one harmless question, so that it can be told from others.

    `ask` is a path to GET where `http` is true, else bytes in hex; "" is for a server that speaks first. `expect` are conditions that an
    answer must meet, all of them: "status", "headers", "body", "json" of HTTP, "text" and "bytes" (as hex) of what else came.
    `version` says where the version stands, perhaps in the answer to another question. `anywhere` holds for the answer to any path, `said`
    for what is said to a bare HTTP request. A `generic` one names a framework, `own_pages` one whose pages are somebody's own work.
    `imitated` is the path by whose answer its imitators are told from it. `logged` means that the server logs the question as an error,
    `bye` is sent before the end. `confidence`, `verified` and `source` tell
    how far this is known.
    """

    service: str
    http: bool
    ask: str
    expect: Mapping[str, Any]
    ports: tuple[int, ...] = ()
    version: Mapping[str, Any] = {}
    send: Mapping[str, str] = {}
    bye: str = ""
    stack: str = ""
    anywhere: bool = False
    said: bool = False
    generic: bool = False
    own_pages: bool = False
    imitated: str = ""
    logged: bool = False
    confidence: str = "medium"
    verified: str = "source"
    source: str = ""


class System(Record):
    """What this system does with ranges of ports; where nobody asked it, what Linux does by default (ip-sysctl.rst).

    `privileged` need root or CAP_NET_BIND_SERVICE (None: no port does). `ephemeral` go to outgoing connections, save those
    that are `kept` for whoever asks for them. `excluded` are refused to everybody (Windows).
    """

    privileged: PortRange | None = PortRange(1, 1023)
    ephemeral: PortRange = PortRange(32768, 60999)
    kept: tuple[PortRange, ...] = ()
    excluded: tuple[PortRange, ...] = ()


class Custom(Record):
    """What a TCP port means by custom: who uses it by default, whether that is HTTP, and whether browsers refuse it."""

    services: tuple[str, ...] = ()
    http: bool = False
    unsafe: bool = False
