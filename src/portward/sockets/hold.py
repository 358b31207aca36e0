"""A port that is never let go between its grant and its server's bind: the flip hold.

A socket that is bound to every address and never listens keeps a port. Its SO_REUSEADDR is a switch, which works on a bound
socket in both directions (Linux, net/ipv4/inet_connection_sock.c, `inet_bind_conflict`: two sockets share a port only if
both have the flag and the older one does not listen):

- off, the hold is shut: nobody else can listen on the port, whatever flags they set, and the kernel does not pick the port;
- on, the hold is open: a bind with SO_REUSEADDR succeeds, as all usual servers set it, and nothing else does.

So the port can pass from the hold to a server without being free for a moment. What an open hold does not stop is another
program that asks for this very number with SO_REUSEADDR before the server does; `Hold.listening` leaves no such gap.
"""

from __future__ import annotations

import _socket as socket  # see bind
import sys

from portward.errors import Unavailable
from portward.sockets.bind import keep, listening_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as sockets
    from typing import Self

SUPPORTED = sys.platform == "linux"
"""Whether a port can be held here. Elsewhere the flag means something else, and an exact bind beside a hold is refused."""


class Hold:
    """A TCP port that this process keeps, shut unless it is opened. It ends when it is closed, or with the process.

    It costs one descriptor (closed on exec) and needs no privilege. Tools that list listening sockets do not show it; netlink
    does since Linux 6.8. It holds in the network namespace that it was taken in.
    """

    def __init__(self, kept: socket.socket) -> None:
        self._socket = kept
        self.port: int = kept.getsockname()[1]

    @classmethod
    def take(cls, port: int) -> Hold:
        """Takes the port on every address of both families, shut.

        Raises BindRefused where the port is not free, Unavailable where the system has no holds.
        """
        if not SUPPORTED:
            raise Unavailable("ports can be held on Linux only", hint="`--retry 3` covers the moment without a hold")
        return cls(keep(port))

    def open(self) -> None:
        """From now on a server that sets SO_REUSEADDR may bind and listen, on any address."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

    def shut(self) -> None:
        """From now on nobody else can listen on the port. Sockets that already listen are not touched."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    def listening(self, host: str, backlog: int = 128) -> sockets.socket:
        """A listening socket on the held port, to be handed to a server. `host` is a numeric address, or `ANY`.

        The hold stays shut around it, so that nobody can have another address of the port either. It is open for some microseconds:
        who gets in just then makes this raise BindRefused, before any server was started.
        """
        self.open()
        try:
            return listening_from(keep(self.port, host, beside=True), self.port, host, backlog)
        finally:
            self.shut()

    def close(self) -> None:
        """Lets the port go. May be called again."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
