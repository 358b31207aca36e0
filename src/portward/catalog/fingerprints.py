"""How services answer, and what their programs, images and URLs are called. The data is `fingerprints.json`, read when it is first needed.

A fingerprint's `source` says how it is known, `verified` how well: live (seen on the running server), source (read in its code,
package or documentation) or unverified.
"""

from __future__ import annotations

import re

from portward.memo import cache
from portward.model import Fingerprint
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

_CONDITIONS = ("status", "headers", "body", "json", "text", "bytes")
_LONGEST_NAME = 15  # what the kernel keeps of a program's name (TASK_COMM_LEN of proc_pid_comm(5))

PRINTERS = range(9100, 9108)
"""JetDirect: what a printer is sent there, it prints."""


class Scheme(Record):
    """What a URL's scheme says: the service ("" where it names none), its usual port, and whether it is inside TLS."""

    service: str
    port: int | None
    tls: bool
    http: bool


@cache
def fingerprints() -> tuple[Fingerprint, ...]:
    """All of them, in the order in which they are to be believed: who is imitated comes after the imitators."""
    return tuple(_fingerprint(dict(entry)) for entry in _data()["fingerprints"])


def of_service(name: str) -> tuple[Fingerprint, ...]:
    """The fingerprints of a service, and of what else belongs to it: another listener, or the protocol that it speaks."""
    names = (name, *_data()["also"].get(name, ()))
    return tuple(each for wanted in names for each in fingerprints() if each.service == wanted)


def customary_fingerprints(port: int) -> tuple[Fingerprint, ...]:
    """Those of the services that customarily have a TCP port."""
    return tuple(each for each in fingerprints() if port in each.ports)


def named(text: str) -> str | None:
    """The service that a text means, whatever its case and marks: its name, a scheme, a program or an image; None for none."""
    wanted = _squash(text)
    if text.lower() in _data()["schemes"]:
        return str(_data()["schemes"][text.lower()][0]) or None
    names = {_squash(each.service): each.service for each in reversed(fingerprints())}
    names |= {_squash(name): name for name in _data()["also"]}
    return names.get(wanted) or _data()["programs"].get(text) or _data()["images"].get(text)


def service_of_program(names: Iterable[str], command: str) -> str | None:
    """The service that a process is by its names (the program, the script that it runs), else by words of its command."""
    programs = {name[:_LONGEST_NAME]: service for name, service in _data()["programs"].items()}
    told = (programs.get(name[:_LONGEST_NAME]) for name in names)
    return next(filter(None, told), None) or next(
        (service for words, service in _data()["words"] if words in command), None
    )


def service_of_image(image: str) -> str | None:
    """The service that a container's image is, by the last part of its name: `bitnami/redis:7@sha256:…` is Redis."""
    name = image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    found: str | None = _data()["images"].get(name)
    return found


def scheme(name: str) -> Scheme | None:
    """What a URL's scheme says, None for one that is not known: `jdbc:postgresql` and `redis+tls` are by their first word."""
    first = name.lower().removeprefix("jdbc:").partition("+")[0]
    entry = _data()["schemes"].get(first)
    if entry is None:
        return None
    return Scheme(entry[0], entry[1], "tls" in entry[2:], first in ("http", "https"))


def debugger_of_port(port: int) -> str | None:
    """The debugger that customarily has a port, which is then never touched: a mere connection disturbs a session."""
    found: str | None = _data()["debuggers"].get(str(port))
    return found


def debugger_of_command(command: str, port: int) -> str | None:
    """The debugger that a process offers at a port by its command line."""
    for pattern, debugger in _data()["debugging"]:
        if re.search(pattern.replace("{port}", str(port)), command):
            return str(debugger)
    return None


def _fingerprint(entry: dict[str, Any]) -> Fingerprint:
    expect = {name: entry.pop(name) for name in _CONDITIONS if name in entry}
    http = "ask" in entry
    ask = entry.pop("ask", None) or entry.pop("hex", "")
    return Fingerprint(http=http, ask=ask, expect=expect, ports=tuple(entry.pop("ports")), **entry)


def _squash(text: str) -> str:
    return "".join(sign for sign in text.casefold() if sign.isalnum())


@cache
def _data() -> Any:
    import json

    from portward.catalog import __path__ as folders

    loader: Any = __spec__.loader
    return json.loads(loader.get_data(f"{folders[0]}/fingerprints.json"))
