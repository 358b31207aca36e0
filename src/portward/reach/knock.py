"""Connects to an address, and hears whether the other side keeps the connection. Nothing is sent."""

from __future__ import annotations

import errno
import socket
import time

from portward.evidence import Door, Heard, Outcome

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_SECONDS = 2.0
"""For one connection. The kernel asks again after one second (RFC 6298): one lost packet is no silence."""

_HEARING_SECONDS = 0.4  # a forwarder hangs up as soon as it was refused itself
_OUTCOMES = {
    errno.ECONNREFUSED: Outcome.REFUSED,
    errno.ECONNRESET: Outcome.REFUSED,
    errno.ETIMEDOUT: Outcome.SILENT,
    errno.EHOSTUNREACH: Outcome.UNREACHABLE,
    errno.ENETUNREACH: Outcome.UNREACHABLE,
    errno.EHOSTDOWN: Outcome.UNREACHABLE,
    errno.EADDRNOTAVAIL: Outcome.NO_SOURCE,
    errno.EPERM: Outcome.DENIED,
    errno.EACCES: Outcome.DENIED,
}


def knock(address: str, port: int, patience: float = PATIENCE_SECONDS) -> Door:
    """What becomes of one connection to a numeric address, within `patience` seconds and a moment. Never raises OSError."""
    source = source_of(address, port)
    try:
        made = socket.socket(_family(address), socket.SOCK_STREAM)
    except OSError as error:
        return Door(address, Outcome.NO_SOURCE, error.strerror or str(error))
    with made:
        made.settimeout(patience)
        try:
            made.connect(_sockaddr(address, port))
        except TimeoutError:
            return Door(address, Outcome.SILENT, f"nothing within {patience:.0f} s", source=source)
        except OSError as error:
            outcome = _OUTCOMES.get(error.errno or 0, Outcome.FAILED)
            return Door(address, outcome, error.strerror or str(error), source=source)
        if made.getsockname() == made.getpeername():
            return Door(address, Outcome.REFUSED, "it met only itself", source=source)  # simultaneous open (RFC 9293)
        return Door(address, Outcome.OPEN, heard=_heard(made), source=made.getsockname()[0])


def knock_at_each(addresses: Sequence[str], port: int) -> list[Door]:
    """One connection to each address, all at once; in the order of the addresses."""
    if len(addresses) < 2:
        return [knock(address, port) for address in addresses]
    from threading import Thread

    doors: dict[str, Door] = {}
    threads = [Thread(target=lambda each=address: doors.update({each: knock(each, port)})) for address in addresses]
    for thread in threads:
        thread.start()  # in the network namespace of this one (clone(2))
    for thread in threads:
        thread.join()
    return [doors[address] for address in addresses]


def _heard(made: socket.socket) -> Heard:
    end = time.monotonic() + _HEARING_SECONDS
    made.settimeout(max(0.001, end - time.monotonic()))
    try:
        return Heard.BYTES if made.recv(1) else Heard.END
    except TimeoutError:
        return Heard.NOTHING
    except OSError:
        return Heard.END


def source_of(address: str, port: int) -> str | None:
    """The address that a connection would come from, or None without a route. Sends nothing: a UDP socket's connect only looks."""
    try:
        with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
            probe.connect(_sockaddr(address, port))
            return str(probe.getsockname()[0])
    except OSError:
        return None


def is_local(address: str) -> bool:
    """Whether an address belongs to the network namespace that this thread is in: a bind to it is allowed."""
    try:
        with socket.socket(_family(address), socket.SOCK_STREAM) as probe:
            probe.bind(_sockaddr(address, 0))
    except OSError:
        return False
    return True


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _sockaddr(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" not in address:
        return address, port
    plain, _, interface = address.partition("%")
    return plain, port, 0, socket.if_nametoindex(interface) if interface else 0
