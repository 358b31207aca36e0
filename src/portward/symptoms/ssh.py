"""OpenSSH: forwarding, and connections that do not come about."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("sshd", Kind.PORT_IN_USE, "bind to port",
        r"Bind to port {port} on {host} failed: Address already in use",
        "error: Bind to port 22 on 0.0.0.0 failed: Address already in use.", 22, "0.0.0.0", source="OpenSSH 9.2"),
    Pattern("sshd", Kind.PERMISSION_PRIVILEGED, "bind to port",
        r"Bind to port {port} on {host} failed: Permission denied",
        "error: Bind to port 22 on 0.0.0.0 failed: Permission denied.", 22, "0.0.0.0", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.PERMISSION_PRIVILEGED, "bind [",
        r"\bbind {at}: Permission denied",
        "bind [127.0.0.1]:80: Permission denied", 80, "127.0.0.1", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.PERMISSION_PRIVILEGED, "privileged ports can only be forwarded by root",
        r"Privileged ports can only be forwarded by root",
        "Privileged ports can only be forwarded by root.", source="OpenSSH 8"),
    Pattern("ssh", Kind.ADDRESS_NOT_AVAILABLE, "bind [",
        r"\bbind {at}: (?:Cannot|Can't) assign requested address",
        "bind [10.0.0.9]:8080: Cannot assign requested address", 8080, "10.0.0.9", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.PORT_IN_USE, "bind [",
        r"\bbind {at}: Address already in use",
        "bind [127.0.0.1]:8890: Address already in use", 8890, "127.0.0.1", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.PORT_IN_USE, "cannot listen to port",
        r"cannot listen to port: {port}",
        "channel_setup_fwd_listener_tcpip: cannot listen to port: 8890", 8890, source="OpenSSH 9.2", soft=True),
    Pattern("ssh", Kind.PORT_IN_USE, "remote port forwarding failed",
        r"remote port forwarding failed for listen port {port}",
        "Warning: remote port forwarding failed for listen port 9000", 9000, source="OpenSSH 9.2", soft=True),
    Pattern("ssh", Kind.CONNECTION_REFUSED, "open failed: connect failed",
        r"open failed: connect failed: Connection refused",
        "channel 2: open failed: connect failed: Connection refused", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.TIMEOUT_FIREWALL, "connect to host",
        r"connect to host {host} port {port}: (?:Connection timed out|Operation timed out|No route to host|Network is unreachable)",
        "ssh: connect to host 10.0.0.5 port 22: Connection timed out", 22, "10.0.0.5", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.CONNECTION_REFUSED, "connect to host",
        r"connect to host {host} port {port}: Connection refused",
        "ssh: connect to host 127.0.0.1 port 2222: Connection refused", 2222, "127.0.0.1", source="OpenSSH 9.2"),
    Pattern("ssh", Kind.RESET_OR_EMPTY_REPLY, "connection reset by",
        r"^Connection (?:reset|closed) by {host} port {port}",
        "Connection reset by 127.0.0.1 port 2222", 2222, "127.0.0.1", source="OpenSSH 9.2"),
)  # fmt: skip
