"""PHP: the built-in server, FPM, Swoole, and clients."""

from __future__ import annotations

from portward.model import Kind, Transport
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("PHP on Windows", Kind.OS_RESERVED_RANGE, "failed to listen on",
        r"Failed to listen on {at} \(reason: (?:An attempt was made|[^)]{0,200}10013)",
        "[Sat Sep 15 23:16:33 2018] Failed to listen on localhost:8000 (reason: An attempt was made to access a socket in a way forbidden by its access permissions.", 8000, "localhost", source="php 7 on Windows"),
    Pattern("PHP", Kind.PERMISSION_PRIVILEGED, "failed to listen on",
        r"Failed to listen on {at} \(reason: Permission denied",
        "Failed to listen on 0.0.0.0:80 (reason: Permission denied)", 80, "0.0.0.0", source="php 8"),
    Pattern("PHP", Kind.ADDRESS_NOT_AVAILABLE, "failed to listen on",
        r"Failed to listen on {at} \(reason: (?:Cannot assign|Can't assign|The requested address)",
        "Failed to listen on 10.0.0.9:8000 (reason: Cannot assign requested address)", 8000, "10.0.0.9", source="php 8"),
    Pattern("PHP", Kind.PORT_IN_USE, "failed to listen on",
        r"Failed to listen on {at} \(reason:",
        "Failed to listen on 127.0.0.1:8000 (reason: Address already in use)", 8000, "127.0.0.1", source="php 8"),
    Pattern("PHP-FPM", Kind.PORT_IN_USE, "unable to bind listening socket",
        r"unable to bind listening socket for address '(?P<at>[^'\s]{0,60}:\d{1,5})': Address already in use",
        "ERROR: unable to bind listening socket for address '127.0.0.1:9000': Address already in use (98)", 9000, "127.0.0.1", source="php-fpm 8"),
    Pattern("PHP-FPM", Kind.PORT_IN_USE, "unable to bind listening socket",
        r"unable to bind listening socket for address '{port}': Address already in use",
        "ERROR: [pool www] unable to bind listening socket for address '9000': Address already in use (98)", 9000, source="php-fpm 8"),
    Pattern("Swoole", Kind.PORT_IN_USE, "failed to listen server port",
        r"failed to listen server port\[{at}\], Error: Address already in use",
        "Swoole\\Exception: failed to listen server port[127.0.0.1:9501], Error: Address already in use[98]", 9501, "127.0.0.1", source="Swoole 4"),
    Pattern("PocketMine", Kind.PORT_IN_USE, "failed to bind to",
        r"FAILED TO BIND TO {at}!",
        "[CRITICAL] **** FAILED TO BIND TO 0.0.0.0:19132!", 19132, "0.0.0.0", transport=Transport.UDP, source="PocketMine 3", soft=True),
    Pattern("Symfony", Kind.PORT_IN_USE, "already listening on",
        r"(?:process|server) is already (?:listening|running) (?:on|at) {at}",
        "[ERROR] A process is already listening on http://127.0.0.1:8000.", 8000, "127.0.0.1", source="Symfony 4"),
    Pattern("PHP PDO", Kind.CONNECTION_REFUSED, "[2002] connection refused",
        r"\[2002\] Connection refused(?:[^\n]{0,80}Host: (?P<host>[\w.:-]{1,80}), Port: {port})?",
        "SQLSTATE[HY000] [2002] Connection refused (Connection: mysql, Host: 127.0.0.1, Port: 3307, Database: app, SQL: select 1)", 3307, "127.0.0.1", usual=3306, source="Laravel 11"),
    Pattern("PHP", Kind.CONNECTION_REFUSED, "unable to connect to",
        r"(?:stream_socket_client|fsockopen|pfsockopen)\(\): Unable to connect to {at} \((?:Connection refused|[^)]{0,100}actively refused)",
        "PHP Warning:  stream_socket_client(): Unable to connect to tcp://127.0.0.1:11211 (Connection refused) in /srv/www/cache.php on line 12", 11211, "127.0.0.1", source="php 8"),
    Pattern("Predis", Kind.CONNECTION_REFUSED, "[tcp://",
        r"Connection refused \[{at}\]",
        "Predis\\Connection\\ConnectionException: Connection refused [tcp://127.0.0.1:6379]", 6379, "127.0.0.1", source="Predis 1"),
)  # fmt: skip
