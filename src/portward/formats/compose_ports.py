"""One entry of a Compose service's `ports:`, short or long.

Short syntax, as Docker Compose reads it (go-connections `nat`, compose-go `types`):

    item      := [ip ":"] [host ":"] container      the last part is the container's, the one before it the host's
    container := NUM | NUM "-" NUM, then optional "/" protocol
    host      := "" | NUM | NUM "-" NUM             "" leaves the choice to the engine
    ip        := IPv4 | "[" IPv6 "]" | IPv6

Numbers run from 0 to 65535. Equal ranges pair off; a range of host ports for one container port lets the engine pick one.
"""

from __future__ import annotations

import re

from portward.model import ANY, LAST_PORT, PortRange, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = re.compile(r"[+-]?[0-9]+", re.ASCII)
_INTEGER = re.compile(r"[+-]?(0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_FLOAT = re.compile(r"[+-]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][+-]?[0-9]+)?")
_WORDS = ("", "~", "null", "true", "false")  # what else a plain scalar can be to YAML 1.2, in any case
_LONG_KEYS = ("target", "published", "host_ip", "protocol", "mode", "app_protocol", "name")
_PROTOCOLS = ("tcp", "udp", "sctp")


class PortError(ValueError):
    """An entry that Compose refuses; `hint` says what was probably meant."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class Published(Record):
    """One published port: `published` is None where the engine chooses, a range "a-b" where it picks one of them."""

    host_ip: str
    published: str | None
    target: int
    protocol: str


class ShortPorts(Record):
    """A short entry: what it publishes, in Compose's order, and where its host part stands in the text (None: it has none)."""

    entries: tuple[Published, ...]
    host: Span | None
    target: Span


def parse_short(text: str) -> ShortPorts:
    """Reads one entry, after interpolation. Raises PortError for what Compose refuses.

    >>> parse_short("127.0.0.1:8080:80").entries
    (Published(host_ip='127.0.0.1', published='8080', target=80, protocol='tcp'),)
    """
    head, _, container = text.rpartition(":")
    address, _, host = head.rpartition(":")
    target_start = len(text) - len(container)
    numbers, _, protocol = container.partition("/")
    protocol = (protocol or "tcp").lower()
    if not numbers:
        raise PortError(f"{text!r} names no container port")
    if protocol not in _PROTOCOLS:
        raise PortError(f"{protocol!r} is not a protocol", hint="tcp, udp or sctp")
    host_ip = _address(address, text) if address else ANY
    targets = _range(numbers, text)
    hosts = _range(host, text) if host else None
    if hosts and len(hosts) != len(targets) and len(targets) > 1:
        raise PortError(f"{text!r}: {len(hosts)} host ports cannot be paired with {len(targets)} container ports")
    entries = [
        Published(host_ip, _published(hosts, targets, step), target, protocol) for step, target in enumerate(targets)
    ]
    if any(entry.target == 0 for entry in entries):
        raise PortError(f"{text!r}: a container port cannot be 0")
    entries.sort(key=lambda entry: f"{entry.target}/{entry.protocol}")  # the order of text, as Compose has it
    host_span = Span(target_start - 1 - len(host), target_start - 1) if host else None
    return ShortPorts(tuple(entries), host_span, Span(target_start, target_start + len(numbers)))


def _published(hosts: PortRange | None, targets: PortRange, step: int) -> str | None:
    if hosts is None:
        return None
    return str(hosts) if len(targets) == 1 else str(hosts.low + step)


def _range(text: str, item: str) -> PortRange:
    low_text, dash, high_text = text.partition("-")
    low = _number(low_text, item)
    high = low if not dash or low_text == high_text else _number(high_text, item)
    if high < low:
        raise PortError(f"{item!r}: {text} is a descending range", hint=f"did you mean {high}-{low}?")
    return PortRange(low, high)


def _number(text: str, item: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise PortError(f"{item!r}: {text!r} is not a port" if text else f"{item!r}: a port is missing")
    number = int(text) if len(text) < 20 else LAST_PORT + 1
    if not 0 <= number <= LAST_PORT:
        raise PortError(f"{item!r}: {text} is not a port (0 to {LAST_PORT})", hint=likely_port(text))
    return number


def likely_port(text: str) -> str | None:
    """A guess at the port that was meant: a digit typed twice, or one digit too many."""
    for index in range(1, len(text)):
        if text[index] == text[index - 1]:
            shorter = text[:index] + text[index + 1 :]
            if shorter.isdecimal() and 0 < int(shorter) <= LAST_PORT:
                return f"did you mean {shorter}?"
    if text[:-1].isdecimal() and 0 < int(text[:-1]) <= LAST_PORT:
        return f"did you mean {text[:-1]}?"
    return None


def _address(text: str, item: str) -> str:
    inner = text
    if text.startswith("["):
        if not text.endswith("]") or "[" in text[1:] or "]" in text[:-1]:
            raise PortError(f"{item!r}: the brackets round the address do not match")
        inner = text[1:-1]
        if not inner:
            return ANY
    return checked_address(inner, item)


def checked_address(text: str, item: str) -> str:
    """An IP address as it is written. Raises PortError for a name, a zone or anything else."""
    import ipaddress

    try:
        if "%" in text:
            raise ValueError(text)
        ipaddress.ip_address(text)
    except ValueError:
        raise PortError(f"{item!r}: {text!r} is not an IP address", hint=_address_hint(text)) from None
    return text


def _address_hint(text: str) -> str | None:
    return "Compose wants the number: 127.0.0.1" if text == "localhost" else None


def typed(value: str, plain: bool) -> int | float | bool | str | None:
    """What go-yaml makes of a scalar: the text itself when it is quoted or resembles nothing else.

    Base 60 does not exist here (`2222:22` is a text), a leading zero means octal, `_` may part digits.
    """
    if not plain:
        return value
    bare = value.replace("_", "") if value[:1] != "_" else value
    if _INTEGER.fullmatch(bare):
        sign, digits = (-1 if bare[0] == "-" else 1), bare.lstrip("+-")
        base = {"0b": 2, "0o": 8, "0x": 16}.get(digits[:2], 8 if digits[:1] == "0" else 10)
        return sign * int(digits[2:] if base in (2, 16) or digits[:2] == "0o" else digits, base)
    if _FLOAT.fullmatch(bare):
        return float(bare)
    if value.lower() in _WORDS:
        return None if value.lower() in _WORDS[:3] else value.lower() == "true"
    return value


def parse_long(entry: Mapping[str, int | float | bool | str | None]) -> Published:
    """Reads an entry that is a mapping, after interpolation. Raises PortError for what Compose refuses.

    Compose does not check `published`, `protocol` and the size of `target`: what the engine will refuse is left to the rules.
    """
    for key, value in entry.items():
        if key not in _LONG_KEYS and not key.startswith("x-"):
            raise PortError(f"{key!r} is not a property of a port", hint=", ".join(_LONG_KEYS))
        if key in ("host_ip", "protocol", "mode", "app_protocol", "name") and not isinstance(value, str):
            raise PortError(f"{key} must be a text")
    if "target" not in entry:
        raise PortError("a port needs a target: the container's port")
    published = entry.get("published", "")
    if isinstance(published, bool) or not isinstance(published, str | int):
        raise PortError("published must be a text or a whole number")
    host_ip = entry.get("host_ip")
    return Published(
        host_ip=checked_address(str(host_ip), "host_ip") if host_ip is not None else ANY,
        published=str(published) or None,
        target=_target(entry["target"]),
        protocol=str(entry.get("protocol") or "tcp"),
    )


def _target(value: float | bool | str | None) -> int:
    if (isinstance(value, str) and _NUMBER.fullmatch(value)) or (isinstance(value, float) and value.is_integer()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise PortError(f"target must be one port number, not {value!r}")
    return value
