"""Command-line clients: curl, wget, nc, telnet, PowerShell."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_TO = r"Failed to connect to {host} port {port}(?: after \d+ ms)?: "

TABLE = (
    Pattern("curl", Kind.TIMEOUT_FIREWALL, "(28)", r"\(28\) Failed to connect to {host} port {port}", "curl: (28) Failed to connect to 10.0.0.5 port 8000 after 130000 ms: Couldn't connect to server", 8000, "10.0.0.5", source="curl 8"),
    Pattern("curl", Kind.TIMEOUT_FIREWALL, "failed to connect to", _TO + r"(?:Connection timed out|Operation timed out|Timeout was reached|Timed out|No route to host|Network is unreachable|Host is down)", "curl: (28) Failed to connect to 10.0.0.5 port 8080 after 3001 ms: Timeout was reached", 8080, "10.0.0.5", source="curl 8"),
    Pattern("curl", Kind.CONNECTION_REFUSED, "failed to connect to", _TO + r"(?:Connection refused|Couldn't connect|Could not connect|Bad access)", "curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect to server", 8080, "localhost", source="curl 7.88"),
    Pattern("curl", Kind.TIMEOUT_FIREWALL, "(28)", r"curl: \(28\)", "curl: (28) Connection timed out after 3001 milliseconds", source="curl 7.88"),
    Pattern("curl", Kind.RESET_OR_EMPTY_REPLY, "(52)", r"curl: \(52\)", "curl: (52) Empty reply from server", source="curl 7.88"),
    Pattern("curl", Kind.RESET_OR_EMPTY_REPLY, "(56)", r"curl: \(56\) Recv failure", "curl: (56) Recv failure: Connection reset by peer", source="curl 7.88"),
    Pattern("curl", Kind.RESET_OR_EMPTY_REPLY, "(35)", r"curl: \(35\) [^\n]{0,60}Connection reset by peer", "curl: (35) Recv failure: Connection reset by peer", source="curl 8"),
    Pattern("curl", Kind.RESET_OR_EMPTY_REPLY, "curl", r"cURL error (?:52|56)\b", "cURL error 52: Empty reply from server (see https://curl.haxx.se/libcurl/c/libcurl-errors.html)", source="Guzzle 7"),
    Pattern("wget", Kind.CONNECTION_REFUSED, "failed: connection refused", r"Connecting to {host} \([^)]{1,80}\)\|[^|]{2,45}\|:{port}\.\.\. failed: Connection refused", "Connecting to localhost (localhost)|127.0.0.1|:8080... failed: Connection refused.", 8080, "localhost", source="wget 1.21"),
    Pattern("wget", Kind.CONNECTION_REFUSED, "failed: connection refused", r"Connecting to (?P<host>[\w.:]{2,60}):{port}\.\.\. failed: Connection refused", "Connecting to 127.0.0.1:8080... failed: Connection refused.", 8080, "127.0.0.1", source="wget 1.21"),
    Pattern("wget", Kind.TIMEOUT_FIREWALL, "connecting to", r"Connecting to {host} \([^)]{1,80}\)\|[^|]{2,45}\|:{port}\.\.\. failed: (?:Connection timed out|No route to host)", "Connecting to db.example (db.example)|10.0.0.5|:8080... failed: Connection timed out.", 8080, "db.example", source="wget 1.21"),
    Pattern("wget", Kind.RESET_OR_EMPTY_REPLY, "awaiting response", r"HTTP request sent, awaiting response\.\.\. (?:Read error \(Connection reset|No data received)", "HTTP request sent, awaiting response... Read error (Connection reset by peer) in headers.", source="wget 1.21"),
    Pattern("PowerShell", Kind.CONNECTION_REFUSED, "tcp connect to", r"TCP connect to \(?{host} ?: ?{port}\)? failed", "WARNING: TCP connect to (127.0.0.1 : 8080) failed", 8080, "127.0.0.1", source="Test-NetConnection"),
    Pattern("PowerShell", Kind.CONNECTION_REFUSED, "unable to connect to the remote server", r"Unable to connect to the remote server", "Invoke-WebRequest : Unable to connect to the remote server", source="PowerShell 5"),
    Pattern("redis-cli", Kind.CONNECTION_REFUSED, "could not connect to redis", r"Could not connect to Redis at {at}: Connection refused", "Could not connect to Redis at 127.0.0.1:6379: Connection refused", 6379, "127.0.0.1", source="redis-cli 7"),
    Pattern("curl", Kind.CONNECTION_REFUSED, "failed to connect to", r"Failed to connect to {host} port {port}\b", "fatal: unable to access: Failed to connect to localhost port 3000 after 1 ms", 3000, "localhost", source="git 2.39"),
    Pattern("telnet", Kind.TIMEOUT_FIREWALL, "timed out", r"connect(?:ing)? to (?:address )?{host}: (?:Operation|Connection) timed out", "telnet: connect to address 10.0.0.5: Operation timed out", None, "10.0.0.5", source="telnet on macOS"),
)  # fmt: skip
