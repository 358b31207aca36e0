"""Ports as people type them: `5000`, `8000-8010`, `127.0.0.1:5000`, `[::1]:5000/tcp`, `53/udp`; and targets, which may be URLs or names."""

from __future__ import annotations

from portward.errors import InvalidPort, UsageError
from portward.model import ANY, LAST_PORT, PortRange, Transport
from portward.records import Record
from portward.wording import shown

_FORM = "a port is written [HOST:]PORT[/udp], a range LOW-HIGH"
_TARGET = "a target is PORT, HOST:PORT, a URL such as redis://localhost:6379, or a service of this project"


class PortArgument(Record):
    """One argument: a port or an inclusive range, a transport, and a host (`ANY` where none is given; may be a name)."""

    host: str
    ports: PortRange
    transport: Transport


def parse_port(text: str) -> PortArgument:
    """Reads an argument. Raises InvalidPort for what is not a port from 1 to 65535, or a range that descends."""
    rest, _, protocol = text.partition("/")
    if protocol not in ("", "tcp", "udp"):
        raise InvalidPort(f"{text!r}: {protocol!r} is not tcp or udp", hint=_FORM)
    host, colon, numbers = rest.rpartition(":")
    if colon and not host:
        numbers = rest[1:]
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if ":" in host and not rest.startswith("["):
        raise InvalidPort(f"{text!r}: an IPv6 address goes in brackets", hint=f"[{host}]:{numbers}")
    return PortArgument(host or ANY, parse_range(numbers, text), Transport(protocol or "tcp"))


def parse_range(numbers: str, text: str | None = None) -> PortRange:
    """Reads `LOW-HIGH`, or one port as a range of its own; `text` is what is quoted in errors. Raises InvalidPort."""
    low, dash, high = numbers.partition("-")
    ports = PortRange(_port(low, text or numbers), _port(high if dash else low, text or numbers))
    if ports.high < ports.low:
        raise InvalidPort(f"{text or numbers!r} is a descending range", hint=f"did you mean {high}-{low}?")
    return ports


class Target(Record):
    """What is to be reached: `HOST:PORT`, a port of this machine (host `ANY`), a URL, or the name of a service (`port` is None).

    `text` is as it was typed, without a password. `scheme` is "" for what is no URL. `port` is None where the URL leaves it to its scheme.
    """

    text: str
    host: str
    port: int | None
    scheme: str = ""
    path: str = "/"

    @property
    def service(self) -> str | None:
        """The name, for what is nothing but a name."""
        return self.host if self.port is None and not self.scheme else None


def parse_target(text: str) -> Target:
    """Reads a target. Raises InvalidPort for a port that is none, a range or UDP; UsageError for what cannot be a target."""
    told = shown(text)
    scheme, mark, rest = text.partition("://")
    if mark:
        return _url(told, scheme, rest)
    if is_port_argument(text) or "/" in text:
        argument = parse_port(text)
        if len(argument.ports) > 1 or argument.transport is Transport.UDP:
            raise InvalidPort(f"{told!r}: one TCP port is wanted")
        return Target(told, argument.host, argument.ports.low)
    if not text or text != text.strip() or ":" in text:
        raise UsageError(f"{told!r} is not a target", hint=_TARGET)
    return Target(told, text, None)


def _url(told: str, scheme: str, rest: str) -> Target:
    """A URL by RFC 3986; of several hosts (`mongodb://a:1,b:2`) the first. User and password are left out."""
    end = next((index for index, sign in enumerate(rest) if sign in "/?#"), len(rest))
    authority, path = rest[:end].rpartition("@")[2].partition(",")[0], rest[end:].partition("#")[0]
    host, _, port = authority.partition(":") if authority[:1] != "[" else _bracketed(authority)
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not host or not scheme or ":" in port:
        raise UsageError(f"{told!r} names no host", hint=_TARGET)
    path = path if path.startswith("/") else f"/{path}"
    return Target(told, host, _port(port, told) if port else None, scheme.lower(), path)


def _bracketed(authority: str) -> tuple[str, str, str]:
    """`[v6]:port` as `host:port` is parted: the brackets stay with the host."""
    host, _, rest = authority.partition("]")
    return f"{host}]", rest[:1], rest[1:]


class Wish(Record):
    """A service that is to have another host port; `target` is the container's port behind the one that is meant.

    The `service` may be a host port instead: what has it is to have another.
    """

    service: str
    target: int | None
    protocol: str
    port: int


def parse_wish(text: str) -> Wish:
    """Reads `SERVICE[:TARGET[/PROTOCOL]]=PORT` or `PORT[/PROTOCOL]=PORT`, with a protocol of Compose's.

    Raises InvalidPort or UsageError for anything else.
    """
    name, equals, port = text.rpartition("=")
    service, colon, target = name.partition(":")
    number, _, protocol = target.partition("/")
    if not colon and name.partition("/")[0].isdecimal():
        service, _, protocol = name.partition("/")
    if not equals or not service or protocol not in ("", "tcp", "udp", "sctp"):
        raise UsageError(
            f"{text!r} does not say which port", hint="write SERVICE=PORT, SERVICE:TARGET=PORT, or OLD=NEW"
        )
    ports = parse_range(port, text)
    if ports.low != ports.high:
        hint = f"{name}={ports.low}: a range that is written as one moves as a whole"
        raise InvalidPort(f"{text!r}: one port is wanted, not a range", hint=hint)
    wanted = parse_range(number, text).low if number else None
    return Wish(service, wanted, protocol or "tcp", ports.low)


def is_port_or_range(text: str) -> bool:
    """Whether a text is meant as a port or a range: digits, or digits-digits."""
    low, dash, high = text.partition("-")
    return low.isdecimal() and (high.isdecimal() if dash else True)


def is_port_argument(text: str) -> bool:
    """Whether a text is meant as `[HOST:]PORT[/udp]`, rather than as a name or a folder."""
    return is_port_or_range(text.partition("/")[0].rpartition(":")[2])


def _port(digits: str, text: str) -> int:
    if not (digits.isascii() and digits.isdecimal()):
        raise InvalidPort(f"{text!r} is not a port", hint=_FORM)
    if not 1 <= int(digits[:10]) <= LAST_PORT:
        raise InvalidPort(f"{text!r}: {digits} is not a port (1 to {LAST_PORT})", hint=_nearby(digits))
    return int(digits)


def _nearby(digits: str) -> str | None:
    """A guess at what was meant: a digit typed twice, or one too many."""
    for index in range(len(digits) - 1, 0, -1):
        shorter = digits[:index] + digits[index + 1 :]
        if digits[index] == digits[index - 1] and 1 <= int(shorter[:10]) <= LAST_PORT:
            return f"did you mean {shorter}?"
    shorter = digits[:-1]
    return f"did you mean {shorter}?" if shorter and 1 <= int(shorter[:10]) <= LAST_PORT else None
