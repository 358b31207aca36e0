""".NET: Kestrel, HttpListener and sockets."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("Kestrel", Kind.PERMISSION_PRIVILEGED, "failed to bind to address",
        r"Failed to bind to address {at}: permission denied",
        "System.IO.IOException: Failed to bind to address http://0.0.0.0:80: permission denied.", 80, "0.0.0.0", source="Kestrel 6"),
    Pattern("Kestrel", Kind.PORT_IN_USE, "failed to bind to address",
        r"(?:IOException|Exception)[^\n]{0,30}: Failed to bind to address {at}: address already in use",
        "System.IO.IOException: Failed to bind to address http://[::]:5000: address already in use.", 5000, "::", source="Kestrel 6"),
    Pattern("Kestrel", Kind.PORT_IN_USE, "unable to bind to http",
        r"Unable to bind to {at} on the IPv[46] loopback interface: '(?:Address already in use|Only one usage|Error -4091)",
        "Unable to bind to https://localhost:5001 on the IPv4 loopback interface: 'Address already in use'.", 5001, "localhost", source="Kestrel 6"),
    Pattern("Kestrel", Kind.ADDRESS_NOT_AVAILABLE, "unable to bind to http",
        r"Unable to bind to {at} on the IPv6 loopback interface: '(?:Cannot assign|Error -4090|The requested address|Address family)",
        "Unable to bind to http://localhost:5000 on the IPv6 loopback interface: 'Cannot assign requested address'.", 5000, "localhost", source="Kestrel 6 in a container"),
    Pattern("HTTP.sys", Kind.PORT_IN_USE, "failed to listen on prefix",
        r"Failed to listen on prefix '{at}' because it conflicts",
        "Failed to listen on prefix 'http://+:8080/' because it conflicts with an existing registration on the machine.", 8080, "+", source="HttpListener"),
    Pattern(".NET HttpClient", Kind.CONNECTION_REFUSED, "refused",
        r"(?:Connection refused|actively refused it\.?) \({at}\)",
        "System.Net.Http.HttpRequestException: Connection refused (localhost:5001)", 5001, "localhost", source=".NET 6"),
    Pattern(".NET socket", Kind.PORT_IN_USE, "socketexception (",
        r"SocketException \((?:98|48|10048)\)",
        "System.Net.Sockets.SocketException (98): Address already in use", source=".NET 6"),
    Pattern(".NET socket", Kind.PERMISSION_PRIVILEGED, "socketexception (13)",
        r"SocketException \(13\)",
        "System.Net.Sockets.SocketException (13): Permission denied", source=".NET 6"),
    Pattern(".NET socket", Kind.OS_RESERVED_RANGE, "socketexception (10013)",
        r"SocketException \(10013\)",
        "Unhandled exception. System.Net.Sockets.SocketException (10013): An attempt was made to access a socket in a way forbidden by its access permissions.", source=".NET 6 on Windows"),
    Pattern(".NET socket", Kind.ADDRESS_NOT_AVAILABLE, "socketexception (",
        r"SocketException \((?:99|49|10049|97)\)",
        "System.Net.Sockets.SocketException (99): Cannot assign requested address", source=".NET 6"),
    Pattern(".NET socket", Kind.CONNECTION_REFUSED, "socketexception (",
        r"SocketException \((?:111|61|10061)\)",
        "System.Net.Sockets.SocketException (111): Connection refused", source=".NET 6"),
    Pattern(".NET socket", Kind.TIMEOUT_FIREWALL, "socketexception (",
        r"SocketException \((?:110|60|10060|113|10065)\)",
        "System.Net.Sockets.SocketException (110): Connection timed out", source=".NET 6"),
    Pattern("HTTP.sys", Kind.PORT_IN_USE, "httplistenerexception (32)",
        r"HttpListenerException \(32\)",
        "System.Net.HttpListenerException (32): The process cannot access the file because it is being used by another process.", source="HttpListener"),
)  # fmt: skip
