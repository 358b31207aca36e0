"""Sockets as the Linux kernel lists them: NETLINK_SOCK_DIAG (sock_diag(7)).

Layouts are those of include/uapi/linux/netlink.h, sock_diag.h and inet_diag.h. One request dumps the sockets of one protocol that are
in the states asked for, of one family, or for TCP of both; the kernel answers with `inet_diag_msg` messages and closes with
NLMSG_DONE. No privilege is needed, and every user's sockets are listed.
"""

from __future__ import annotations

import _socket as socket  # what `socket` is built on: all that is needed, for a tenth of the start-up
import os
import sys
from struct import Struct

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

# enum in include/net/tcp_states.h; 13 is listed since Linux 6.8, and its rows say CLOSE
ESTABLISHED, TIME_WAIT, CLOSE, LISTEN, BOUND_INACTIVE = 1, 6, 7, 10, 13
STATE_NAMES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    6: "TIME_WAIT",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
}
ANY_STATE = (1 << 12) - 1

_NETLINK_SOCK_DIAG = 4
_TCPDIAG_GETSOCK, _SOCK_DIAG_BY_FAMILY = 18, 20
_NLM_F_REQUEST_DUMP = 0x301
_NLM_F_DUMP_INTR = 0x10
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_ATTR_BYTECODE, _ATTR_SKV6ONLY = 1, 11
_HEADER = Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port id
_REQUEST = Struct("=IHHII BBBBI HH16s16sI8s")  # nlmsghdr, then inet_diag_req_v2
_REQUEST_TCP = Struct("=IHHII 4x HH16s16sI8s II")  # nlmsghdr, then inet_diag_req
_ROW = Struct(
    "=16x BB2x 2s2x 16s16x IQ 4x IIII"
)  # inet_diag_msg: family, state, port, source, interface, cookie; queues; uid, inode
_KEY = slice(16, 68)  # of a message: family, state, timer, and inet_diag_sockid with the cookie
_ATTR = Struct("=HH")
_SPORT_EQUALS = Struct("=HHBBHBBH")  # one attribute with two inet_diag_bc_op
_S_EQ = 11  # INET_DIAG_BC_S_EQ
_BUFFER_BYTES = 1 << 18
_ATTEMPTS = 3


class SocketRow(Record):
    """One socket: `state` as in include/net/tcp_states.h, `v6only` None for IPv4, `inode` 0 when no file belongs to it.

    Of a socket that listens, `waiting` are the connections that wait to be accepted, and `limit` its backlog (sock_diag(7)).
    `cookie` is the kernel's number of the socket, which no other gets before the machine is started anew (net/core/sock_diag.c).
    """

    protocol: int
    state: int
    address: str
    port: int
    v6only: bool | None
    uid: int
    inode: int
    waiting: int = 0
    limit: int = 0
    cookie: int = 0


class SockDiag:
    """A netlink socket, bound for life to the network namespace that it was opened in. Raises OSError if refused."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def dump(self, protocol: int, states: int, port: int | None = None) -> list[SocketRow]:
        """The IPv4 and IPv6 sockets of a protocol (IPPROTO_TCP or IPPROTO_UDP) in the states of a bit mask.

        `port` leaves only those with this local port; the kernel filters by byte code, since the port in the request is
        passed over for bound sockets. A dump that the kernel marks as interrupted by a change is asked for again.
        """
        return [_row(message, protocol) for message in self._messages(protocol, states, port)]

    def keys(self, protocol: int, states: int) -> set[bytes]:
        """What tells these sockets, in the state that each is in, from all others: two equal answers mean that nothing changed.

        Costs half of a dump, since no row is made.
        """
        return {message[_KEY] for message in self._messages(protocol, states, None)}

    def close(self) -> None:
        """Ends it."""
        self._socket.close()

    def _messages(self, protocol: int, states: int, port: int | None) -> list[bytes]:
        found: list[bytes] = []
        for request in _requests(protocol, states, port):
            for _attempt in range(_ATTEMPTS):
                messages, consistent = self._ask(request)
                if consistent:
                    break
            found += messages
        return found

    def _ask(self, request: bytes) -> tuple[list[bytes], bool]:
        self._socket.send(request)
        messages: list[bytes] = []
        consistent = True
        while True:
            data = self._socket.recv(_BUFFER_BYTES)
            for kind, flags, message in _messages(data):
                consistent = consistent and not flags & _NLM_F_DUMP_INTR
                if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                    # a dump that fails ends with DONE too, which then carries the error
                    code = -int.from_bytes(message[16:20], sys.byteorder, signed=True)
                    if code > 0:
                        raise OSError(code, os.strerror(code))
                    return messages, consistent
                messages.append(message)


def _requests(protocol: int, states: int, port: int | None) -> list[bytes]:
    """What to send for the sockets of both families.

    The older kind of request is for TCP alone, and for both at once (`inet_diag_dump_compat` in net/ipv4/inet_diag.c): the kernel goes
    through its tables, which is most of the work, a single time.
    """
    code = b""
    if port is not None:
        # if the source port equals the operand go on 8 bytes (the end: accept), else 12 (past it: reject)
        code = _SPORT_EQUALS.pack(_SPORT_EQUALS.size, _ATTR_BYTECODE, _S_EQ, 8, 12, 0, 0, port)
    socket_id = (0, 0, b"", b"", 0, b"\xff" * 8)
    flags = (_NLM_F_REQUEST_DUMP, 1, 0)
    if protocol == socket.IPPROTO_TCP:
        size = _REQUEST_TCP.size + len(code)
        return [_REQUEST_TCP.pack(size, _TCPDIAG_GETSOCK, *flags, *socket_id, states, 0) + code]
    size = _REQUEST.size + len(code)
    head = (size, _SOCK_DIAG_BY_FAMILY, *flags)
    return [
        _REQUEST.pack(*head, family, protocol, 0, 0, states, *socket_id) + code
        for family in (socket.AF_INET, socket.AF_INET6)
    ]


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset < len(data):
        size, kind, flags, _sequence, _port = _HEADER.unpack_from(data, offset)
        yield kind, flags, data[offset : offset + size]
        offset += (size + 3) & ~3


def _row(message: bytes, protocol: int) -> SocketRow:
    family, state, port, source, interface, cookie, waiting, limit, uid, inode = _ROW.unpack_from(message)
    v6only = None
    if family == socket.AF_INET:
        address = socket.inet_ntop(family, source[:4])
    else:
        address = socket.inet_ntop(family, source)
        v6only = _v6only(message)
        if interface and address.startswith("fe80:"):
            address = f"{address}%{_interface(interface)}"
    return SocketRow(protocol, state, address, int.from_bytes(port, "big"), v6only, uid, inode, waiting, limit, cookie)


def _v6only(message: bytes) -> bool | None:
    offset = _ROW.size
    while offset + _ATTR.size < len(message):
        size, kind = _ATTR.unpack_from(message, offset)
        if kind == _ATTR_SKV6ONLY:
            return bool(message[offset + _ATTR.size])
        if size < _ATTR.size:
            break
        offset += (size + 3) & ~3
    return None


def _interface(index: int) -> str:
    try:
        return socket.if_indextoname(index)
    except OSError:
        return str(index)
