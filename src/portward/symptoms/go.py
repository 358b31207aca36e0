"""Go: what package net prints, on every system."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_LISTEN = r"listen (?P<transport>tcp|udp)[46]? {at}: "
_DIAL = r"dial (?P<transport>tcp|udp)[46]? (?:[\w.:\[\]]{3,60}->)?{at}: "

TABLE = (
    Pattern("Go", Kind.PORT_IN_USE, "bind: address already in use",
        _LISTEN + r"bind: address already in use",
        "listen tcp 0.0.0.0:8080: bind: address already in use", 8080, "0.0.0.0", source="Go 1.21"),
    Pattern("Go on Windows", Kind.PORT_IN_USE, "bind: only one usage",
        _LISTEN + r"bind: Only one usage",
        "listen tcp :8080: bind: Only one usage of each socket address (protocol/network address/port) is normally permitted.", 8080, source="Go 1.21 on Windows"),
    Pattern("Go", Kind.PERMISSION_PRIVILEGED, "bind: permission denied",
        _LISTEN + r"bind: permission denied",
        "listen tcp :80: bind: permission denied", 80, source="Go 1.21"),
    Pattern("Go on Windows", Kind.OS_RESERVED_RANGE, "forbidden by its access permissions",
        _LISTEN + r"bind: An attempt was made to access a socket",
        "listen tcp 127.0.0.1:50051: bind: An attempt was made to access a socket in a way forbidden by its access permissions.", 50051, "127.0.0.1", source="Go 1.21 on Windows"),
    Pattern("Go", Kind.ADDRESS_NOT_AVAILABLE, "bind: can",
        _LISTEN + r"bind: can(?:not|'t) assign requested address",
        "listen tcp 192.168.1.201:7946: bind: cannot assign requested address", 7946, "192.168.1.201", source="Go 1.21"),
    Pattern("Go", Kind.ADDRESS_NOT_AVAILABLE, "bind: the requested address",
        _LISTEN + r"bind: The requested address is not valid",
        "listen tcp 10.0.0.9:8080: bind: The requested address is not valid in its context.", 8080, "10.0.0.9", source="Go 1.21 on Windows"),
    Pattern("Go", Kind.ADDRESS_NOT_AVAILABLE, "address family not supported",
        _LISTEN + r"(?:socket|bind): address family not supported",
        "listen tcp6 [::]:8080: socket: address family not supported by protocol", 8080, "::", source="Go 1.21, ipv6.disable=1"),
    Pattern("no IPv6 loopback", Kind.ADDRESS_NOT_AVAILABLE, "[::1]",
        r"dial tcp6? (?P<at>\[::1\]:\d{1,5}): connect: cannot assign requested address",
        "dial tcp [::1]:8080: connect: cannot assign requested address", 8080, "::1", source="Go 1.21 in a container"),
    Pattern("Go", Kind.RANGE_EXHAUSTED, "connect: can",
        _DIAL + r"connect: can(?:not|'t) assign requested address",
        "dial tcp 127.0.0.1:8080: connect: cannot assign requested address", 8080, "127.0.0.1", source="Go 1.21"),
    Pattern("Go", Kind.CONNECTION_REFUSED, "refused",
        _DIAL + r"(?:connect: connection refused|connectex: No connection)",
        "dial tcp 127.0.0.1:6379: connect: connection refused", 6379, "127.0.0.1", source="Go 1.21"),
    Pattern("Go on Windows", Kind.RANGE_EXHAUSTED, "connectex: only one usage",
        _DIAL + r"connectex: Only one usage",
        "dial tcp 10.0.0.4:443: connectex: Only one usage of each socket address (protocol/network address/port) is normally permitted.", 443, "10.0.0.4", source="Go 1.21 on Windows"),
    Pattern("Go", Kind.TIMEOUT_FIREWALL, "i/o timeout",
        r"dial (?P<transport>tcp|udp)[46]? {at}: i/o timeout",
        "dial tcp 10.0.0.5:5432: i/o timeout", 5432, "10.0.0.5", source="Go 1.21"),
    Pattern("Go", Kind.TIMEOUT_FIREWALL, "connect: ",
        _DIAL + r"connect: (?:connection timed out|operation timed out|no route to host|network is unreachable|host is down)",
        "dial tcp 192.168.1.50:9000: connect: no route to host", 9000, "192.168.1.50", source="Go 1.21"),
    Pattern("Go on Windows", Kind.TIMEOUT_FIREWALL, "connectex: a connection attempt failed",
        _DIAL + r"connectex: A connection attempt failed",
        "dial tcp 10.0.0.5:22: connectex: A connection attempt failed because the connected party did not properly respond after a period of time", 22, "10.0.0.5", source="Go 1.21 on Windows"),
    Pattern("Go", Kind.RESET_OR_EMPTY_REPLY, "reset by peer",
        r"read tcp[46]? [\w.:\[\]]{3,60}->{at}: read: connection reset by peer",
        'Get "http://127.0.0.1:8080/": read tcp 127.0.0.1:46540->127.0.0.1:8080: read: connection reset by peer', 8080, "127.0.0.1", source="Go 1.21"),
    Pattern("Go", Kind.RESET_OR_EMPTY_REPLY, ": eof",
        r"(?:Get|Post|Put|Head|Delete) \"{at}\": EOF",
        'Get "http://localhost:8080/health": EOF', 8080, "localhost", source="Go 1.21"),
)  # fmt: skip
