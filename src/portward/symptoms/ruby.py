"""Ruby: sockets as Puma, WEBrick and clients report them."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("Ruby", Kind.PORT_IN_USE, "in use - bind(2)",
        r"Address (?:already )?in use - bind\(2\) for \"?(?P<host>[\w.:*-]{1,80}?)\"? port {port}",
        'Address already in use - bind(2) for "127.0.0.1" port 3000 (Errno::EADDRINUSE)', 3000, "127.0.0.1", source="Puma 5"),
    Pattern("Ruby", Kind.PERMISSION_PRIVILEGED, "denied - bind(2)",
        r"Permission denied - bind\(2\) for \"?(?P<host>[\w.:*-]{1,80}?)\"? port {port}",
        'Permission denied - bind(2) for "0.0.0.0" port 80 (Errno::EACCES)', 80, "0.0.0.0", source="Puma 5"),
    Pattern("Ruby", Kind.ADDRESS_NOT_AVAILABLE, "address - bind(2)",
        r"assign requested address - bind\(2\) for \"?(?P<host>[\w.:*-]{1,80}?)\"? port {port}",
        'Cannot assign requested address - bind(2) for "::1" port 3000 (Errno::EADDRNOTAVAIL)', 3000, "::1", source="Puma 5"),
    Pattern("Ruby", Kind.CONNECTION_REFUSED, "refused - connect(2)",
        r"Connection refused - connect\(2\) for \"?(?P<host>[\w.:*-]{1,80}?)\"? port {port}",
        'Connection refused - connect(2) for "localhost" port 9200', 9200, "localhost", source="net/http, Ruby 3"),
    Pattern("Redis for Ruby", Kind.CONNECTION_REFUSED, "error connecting to redis",
        r"Error connecting to Redis on {at} \(Errno::ECONNREFUSED\)",
        "Error connecting to Redis on 127.0.0.1:6379 (Errno::ECONNREFUSED)", 6379, "127.0.0.1", source="redis-rb 4"),
    Pattern("Ruby", Kind.RESET_OR_EMPTY_REPLY, "eoferror",
        r"EOFError: end of file reached|EOFError \(end of file reached\)",
        "EOFError: end of file reached", source="net/http, Ruby 3", near="http"),
)  # fmt: skip
