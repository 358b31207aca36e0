"""The bind probe: whether the system would give an endpoint to a new socket now.

A probe holds the port for some microseconds and lets it go again. That it succeeded promises nothing about the next
moment: only a socket that is kept does.
"""

from __future__ import annotations

import _socket as socket  # what `socket` is built on: all that is needed, for a tenth of the start-up
import errno
import os

from portward.model import ANY, LAST_PORT, Endpoint, PortRange, Refusal, Transport

EVERY_ADDRESS = ("0.0.0.0", "::", "127.0.0.1", "::1")
"""Every family, wildcard and specific. Linux needs only the wildcards; others let a wildcard pass over a specific one."""

_REFUSALS = {
    errno.EADDRINUSE: Refusal.IN_USE,
    errno.EACCES: Refusal.NOT_PERMITTED,
    errno.EPERM: Refusal.SANDBOXED,
    errno.EADDRNOTAVAIL: Refusal.NO_SUCH_ADDRESS,
    errno.EAFNOSUPPORT: Refusal.NO_SUCH_ADDRESS,
    errno.ENODEV: Refusal.NO_SUCH_ADDRESS,
    errno.EINVAL: Refusal.NO_SUCH_ADDRESS,  # a link-local address without its interface, a group's address
}


def refusal(endpoint: Endpoint, *, reuse: bool = False) -> Refusal | None:
    """Why a bind to the endpoint is refused now, or None where it would succeed.

    `ANY` asks every family, wildcard and loopback, each for itself (IPV6_V6ONLY). A family that this machine lacks refuses
    nothing. With `reuse`, the socket sets SO_REUSEADDR as most servers do, which passes over connections in TIME_WAIT
    (socket(7)); not on Windows, where it would pass over everything. Raises OSError for anything unforeseen.
    """
    if endpoint.address != ANY:
        return _refusal(endpoint, reuse)
    answers = [_refusal(endpoint.replace(address=address, v6only=True), reuse) for address in EVERY_ADDRESS]
    refused = [answer for answer in answers if answer is not None]
    if Refusal.NO_SUCH_ADDRESS in refused and len(refused) < len(answers):
        refused = [answer for answer in refused if answer is not Refusal.NO_SUCH_ADDRESS]
    return refused[0] if refused else None


def _refusal(endpoint: Endpoint, reuse: bool) -> Refusal | None:
    family = socket.AF_INET6 if ":" in endpoint.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if endpoint.transport is Transport.UDP else socket.SOCK_STREAM
    try:
        probe = socket.socket(family, kind)
        try:
            if reuse and os.name != "nt":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET:
                probe.bind((endpoint.address, endpoint.port))
            else:
                address, _, interface = endpoint.address.partition("%")
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, bool(endpoint.v6only))
                probe.bind((address, endpoint.port, 0, _index(interface)))
        finally:
            probe.close()
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        return _REFUSALS[error.errno]
    return None


def _index(interface: str) -> int:
    """The number of the interface in fe80::1%eth0, 0 for none. Raises OSError (ENODEV) if there is no such interface."""
    try:
        return socket.if_nametoindex(interface) if interface else 0
    except OSError:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from None


def ephemeral_range() -> PortRange:
    """The ports that this system gives to outgoing connections, inclusive.

    Linux says it in `ip_local_port_range` (Documentation/networking/ip-sysctl.rst); elsewhere the dynamic range of RFC 6335.
    """
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
            low, high = file.read().split()
    except (OSError, ValueError):
        return PortRange(49152, LAST_PORT)
    return PortRange(int(low), int(high))
