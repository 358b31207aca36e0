"""What listens on TCP in the network namespace that the calling thread is in, and how full its queues are. Linux alone."""

from __future__ import annotations

import _socket as socket  # see _netlink

from portward.model import Endpoint
from portward.sockets._netlink import LISTEN, SockDiag


def listening(port: int | None = None) -> list[tuple[Endpoint, int, int]]:
    """Each endpoint that listens (on `port`, if given), the connections that wait to be accepted, and its backlog.

    Raises OSError where the kernel does not list its sockets.
    """
    with SockDiag() as diag:
        rows = diag.dump(socket.IPPROTO_TCP, 1 << LISTEN, port)
    return [
        (Endpoint(row.address, row.port, v6only=row.v6only), row.waiting, row.limit)
        for row in rows
        if row.state == LISTEN and port in (None, row.port)
    ]
