"""The bind: whether the system would give an endpoint to a new socket now (`refusal`), and a socket that has it (`bind`).

A probe holds the port for some microseconds and lets it go again. That it succeeded promises nothing about the next
moment: only a socket that is kept does.
"""

from __future__ import annotations

import _socket as socket  # what `socket` is built on: all that is needed, for a tenth of the start-up
import errno
import os

from portward.errors import BindRefused
from portward.model import ANY, LAST_PORT, Endpoint, PortRange, Refusal, State, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as sockets

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


def is_free(port: int, transport: Transport = Transport.TCP) -> bool:
    """Whether a new socket could bind the port now, on every address of both families.

    Not promised: that it is free a moment later (`bind` keeps it), that it is leased to nobody, or that no stopped container claims it. A port
    that this user may not bind is not free. Raises OSError for anything unforeseen.
    """
    return refusal(Endpoint(ANY, port, transport)) is None


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
        if (why := _why(error)) is None:
            raise
        return why
    return None


def bind(port: int = 0, host: str = ANY, *, listening: bool = True, backlog: int = 128) -> sockets.socket:
    """A TCP socket of this process that has the port, and keeps it until it is closed.

    `port` 0 lets the system choose (never from a range of ours). `host` is a numeric address; `ANY` is every address of both
    families by one dual-stack socket, or of IPv4 alone where there is no IPv6. With `listening`, clients may connect at once and
    wait in the queue of `backlog` until somebody accepts. Without it nobody is served, and whoever else asks for the port is
    refused. The rest of old connections is passed over, a socket that is bound or listens never. It is closed on exec.

    Not promised: that the port is leased to nobody; that the same number is free on UDP, in another network namespace, or, for
    one `host`, on other addresses.

    Raises BindRefused with the reason, OSError for anything unforeseen.
    """
    made = keep(port, host)
    return listening_from(made, port, host, backlog) if listening else _in_full(made)


def keep(port: int, host: str = ANY, *, beside: bool = False) -> socket.socket:
    """As `bind` without listening, as the bare `_socket.socket` that is quick to load.

    With `beside`, an open hold is passed over too.
    """
    try:
        if host != ANY:
            return _bound_to(port, host, True, beside)
        try:
            return _bound_to(port, "::", False, beside)
        except OSError as error:
            if _why(error) is not Refusal.NO_SUCH_ADDRESS:
                raise
        return _bound_to(port, "0.0.0.0", False, beside)
    except OSError as error:
        raise _refused(error, port, host) from None


def listening_from(made: socket.socket, port: int, host: str, backlog: int) -> sockets.socket:
    """The same socket, listening. Raises BindRefused, and closes it, if somebody who shared the port was faster."""
    try:
        made.listen(backlog)
    except OSError as error:
        made.close()
        raise _refused(error, port, host) from None
    return _in_full(made)


def _in_full(made: socket.socket) -> sockets.socket:
    from socket import socket as full_socket

    return full_socket(fileno=made.detach())


def _bound_to(port: int, address: str, v6only: bool, beside: bool) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if made.family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, beside)
            made.bind((address, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE or beside or not _only_connections(port):
                raise
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        made.close()
        raise
    return made


def _only_connections(port: int) -> bool:
    """Whether all that has the port are connections, or the rest of them: a bind with SO_REUSEADDR passes over those."""
    from portward.sockets import open_reader

    if os.name == "nt":
        return False
    rows = [row for row in open_reader().read(ports=[port]).listeners if row.transport is Transport.TCP]
    return bool(rows) and all(row.state is State.BOUND and row.note is not None for row in rows)


def _why(error: OSError) -> Refusal | None:
    return _REFUSALS.get(error.errno) if error.errno is not None else None


def _refused(error: OSError, port: int, host: str) -> BindRefused:
    why = _why(error)
    if why is None:
        raise error
    message = f"{Endpoint(host, port)} cannot be taken: {why} ({error.strerror})"
    return BindRefused(message, hint=f"`portward who {port}` says who has it" if why is Refusal.IN_USE else None)


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
