"""One entry of a Compose service's `ports:`, short or long.

Short syntax, as Docker Compose 2.40 reads it (go-connections 0.6 `nat`, compose-go 2.9 `types`):

    item      := [ip ":"] [host ":"] container      the last part is the container's, the one before it the host's
    container := NUM | NUM "-" NUM, then optional "/" protocol
    host      := "" | NUM | NUM "-" NUM             "" leaves the choice to the engine
    ip        := IPv4 | IPv6 | "[" IP "]"

Numbers run from 0 to 65535. Equal ranges pair off; a range of host ports for one container port lets the engine pick one.
"""

from __future__ import annotations

import re

from portward.formats.yaml_tree import Mapping, Scalar, problem, scalar
from portward.model import ANY, LAST_PORT, PortRange, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.errors import InvalidFile
    from portward.formats.yaml_tree import Node

_NUMBER = re.compile(r"[0-9]+", re.ASCII)
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.|$)){4}(?<!\.)", re.ASCII)
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


class ShortPort(Mapping):
    """The long form of one port of a short entry. `part` is the part of the entry's text that says which port it is.

    `target` is the part that says the container's port, None where an entry is several ports.
    """

    __slots__ = ("entry", "item", "part", "target")

    def __init__(self, item: Scalar, entry: Published, part: Span, target: Span | None) -> None:
        data = {
            "host_ip": entry.host_ip or None,
            "published": entry.published,
            "target": entry.target,
            "protocol": entry.protocol,
        }
        items: dict[str, Node] = {key: scalar(value, item) for key, value in data.items() if value is not None}
        super().__init__(item.file, item.start, None, items, {}, dynamic=False)
        self.entry = entry
        self.item = item
        self.part = part
        self.target = target


def short_ports(item: Scalar) -> Iterator[ShortPort]:
    """The ports of one item of `ports:` that is a text or a number. Raises InvalidFile for what Compose refuses."""
    if type(item.data) not in (str, int):
        raise problem(f"{item.source or 'nothing'} is not a port", item)
    try:
        ports = parse_short(item.text)
    except PortError as refusal:
        raise _refused(item, refusal) from None
    for entry in ports.entries:
        target = ports.target if len(ports.entries) == 1 else None
        yield ShortPort(item, entry, ports.host or ports.target, target)


def _refused(item: Scalar, refusal: PortError) -> InvalidFile:
    """The error at the item, with the variables that its text came from where they may be what is wrong."""
    pieces = item.expansion.pieces if item.expansion else ()
    values = dict.fromkeys(f"{piece.variable} is {piece.text!r}" for piece in pieces if piece.variable)
    return problem(str(refusal), item, refusal.hint or "; ".join(values) or None)


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
    host_ip = _address(address, text) if address else ANY
    if not numbers:
        raise PortError(f"{text!r} names no container port")
    targets = _range(numbers, text)
    hosts = _range(host, text) if host else None
    if hosts and len(hosts) != len(targets) and len(targets) > 1:
        raise PortError(f"{text!r}: {len(hosts)} host ports cannot be paired with {len(targets)} container ports")
    if protocol not in _PROTOCOLS:
        raise PortError(f"{protocol!r} is not a protocol", hint="tcp, udp or sctp")
    entries = [
        Published(host_ip, _published(hosts, targets, step), target, protocol) for step, target in enumerate(targets)
    ]
    if targets.low == 0:
        raise PortError(f"{text!r}: a container port cannot be 0")
    if len(entries) > 1:
        entries.sort(key=lambda entry: f"{entry.target}/")  # the order of text, as Compose has it
    host_span = Span(target_start - 1 - len(host), target_start - 1) if host else None
    return ShortPorts(tuple(entries), host_span, Span(target_start, target_start + len(numbers)))


def _published(hosts: PortRange | None, targets: PortRange, step: int) -> str | None:
    if hosts is None:
        return None
    return str(hosts) if len(targets) == 1 else str(hosts.low + step)


def _range(text: str, item: str) -> PortRange:
    low_text, dash, rest = text.partition("-")
    high_text = rest.partition("-")[0]
    low = _number(low_text, item)
    high = _number(high_text, item) if dash else low
    if high < low:
        raise PortError(f"{item!r}: {text} is a descending range", hint=f"did you mean {high}-{low}?")
    return PortRange(low, high)


def _number(text: str, item: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise PortError(f"{item!r}: {text!r} is not a port" if text else f"{item!r}: a port is missing")
    number = int(text) if len(text) < 20 else LAST_PORT + 1 if text.strip("0") else 0
    if number > LAST_PORT:
        raise PortError(f"{item!r}: {text} is not a port (0 to {LAST_PORT})", hint=likely_port(text))
    return number


def likely_port(text: str) -> str | None:
    """A guess at the port that was meant: a digit typed twice, or one digit too many."""
    for index in range(1, min(len(text), 20)):
        if text[index] == text[index - 1]:
            shorter = text[:index] + text[index + 1 :]
            if shorter.isdecimal() and 0 < int(shorter[:20]) <= LAST_PORT:
                return f"did you mean {shorter}?"
    if text[:-1].isdecimal() and 0 < int(text[:-1][:20]) <= LAST_PORT:
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
    if not is_address(inner):
        raise PortError(f"{item!r}: {inner!r} is not an IP address", hint=address_hint(inner))
    return inner


def is_address(text: str) -> bool:
    """Whether it is an IP address as Go reads one: no name, no zone, no leading zeros."""
    if _IPV4.fullmatch(text):
        return True
    if ":" not in text or "%" in text:
        return False
    import ipaddress

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def address_hint(text: str) -> str | None:
    """What to write for a name of this machine."""
    return "Compose wants the number: 127.0.0.1" if text == "localhost" else None


def long_port(item: Mapping) -> Published:
    """Reads an entry that is a mapping and has passed the schema. Raises InvalidFile for what Compose refuses still.

    Compose does not check `published`, `protocol` and the size of `target`: what the engine will refuse is left to the rules.
    """
    target = item.items["target"]
    data = target.data if isinstance(target, Scalar) else None
    if not isinstance(data, int | float) or data < 0:
        raise problem(f"target must be one port number, not {data!r}", target)
    texts = {key: node.text for key, node in item.items.items() if isinstance(node, Scalar)}
    return Published(
        host_ip=texts.get("host_ip", ANY),
        published=texts.get("published") or None,
        target=int(data),
        protocol=texts.get("protocol") or "tcp",
    )
