"""Node.js: errors of net, dgram and fetch."""

from __future__ import annotations

from portward.model import Kind, Transport
from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("Node.js", Kind.PORT_IN_USE, "listen eaddrinuse", r"listen EADDRINUSE:?(?: address already in use)?:? {at}", "Error: listen EADDRINUSE: address already in use :::3000", 3000, "::", source="Node 18"),
    Pattern("Node.js", Kind.PERMISSION_PRIVILEGED, "listen eacces", r"listen EACCES:?(?: permission denied)? {at}", "Error: listen EACCES: permission denied 0.0.0.0:80", 80, "0.0.0.0", source="Node 18"),
    Pattern("Node.js", Kind.PERMISSION_PRIVILEGED, "listen eacces", r"listen EACCES:?(?: permission denied)? {at}", "Error: listen EACCES: permission denied 127.0.0.1:5173", 5173, "127.0.0.1", Kind.OS_RESERVED_RANGE, source="Node 20 on Windows"),
    Pattern("Node.js", Kind.ADDRESS_NOT_AVAILABLE, "listen eaddrnotavail", r"listen EADDRNOTAVAIL:?(?: address not available)?:? {at}", "Error: listen EADDRNOTAVAIL: address not available 10.9.8.7:3000", 3000, "10.9.8.7", source="Node 18"),
    Pattern("Node.js", Kind.ADDRESS_NOT_AVAILABLE, "eafnosupport", r"(?:listen|bind) EAFNOSUPPORT:?(?: address family not supported)?:? {at}", "Error: listen EAFNOSUPPORT: address family not supported :::8080", 8080, "::", source="Node 18, ipv6.disable=1"),
    Pattern("Node.js", Kind.PORT_IN_USE, "bind eaddrinuse", r"bind EADDRINUSE {at}", "Error: bind EADDRINUSE 0.0.0.0:41234", 41234, "0.0.0.0", transport=Transport.UDP, source="Node 18 dgram"),
    Pattern("Node.js", Kind.PERMISSION_PRIVILEGED, "bind eacces", r"bind EACCES {at}", "Error: bind EACCES 0.0.0.0:53", 53, "0.0.0.0", transport=Transport.UDP, source="Node 18 dgram"),
    Pattern("Node.js", Kind.ADDRESS_NOT_AVAILABLE, "bind eaddrnotavail", r"bind EADDRNOTAVAIL {at}", "Error: bind EADDRNOTAVAIL 10.1.2.3:41234", 41234, "10.1.2.3", transport=Transport.UDP, source="Node 18 dgram"),
    Pattern("no IPv6 loopback", Kind.ADDRESS_NOT_AVAILABLE, "connect eaddrnotavail ::1", r"connect EADDRNOTAVAIL {at}", "Error: connect EADDRNOTAVAIL ::1:5432 - Local (:::0)", 5432, "::1", source="Node 18 in a container"),
    Pattern("Node.js", Kind.RANGE_EXHAUSTED, "connect eaddrinuse", r"connect EADDRINUSE {at}", "Error: connect EADDRINUSE 127.0.0.1:9200 - Local (0.0.0.0:0)", 9200, "127.0.0.1", source="Node 18 on Windows"),
    Pattern("Node.js", Kind.RANGE_EXHAUSTED, "connect eaddrnotavail", r"connect EADDRNOTAVAIL {at}", "Error: connect EADDRNOTAVAIL 127.0.0.1:9200 - Local (0.0.0.0:0)", 9200, "127.0.0.1", source="Node 18"),
    Pattern("Node.js", Kind.CONNECTION_REFUSED, "connect econnrefused", r"connect ECONNREFUSED {at}", "Error: connect ECONNREFUSED 127.0.0.1:6379", 6379, "127.0.0.1", source="Node 18"),
    Pattern("Node.js", Kind.CONNECTION_REFUSED, "connect econnrefused", r"connect ECONNREFUSED {at}", "Error: connect ECONNREFUSED ::1:3000", 3000, "::1", Kind.REFUSED_IPV6_LOCALHOST, source="Node 18"),
    Pattern("Node.js", Kind.TIMEOUT_FIREWALL, "connect etimedout", r"connect ETIMEDOUT {at}", "Error: connect ETIMEDOUT 10.0.0.5:5432", 5432, "10.0.0.5", source="Node 18"),
    Pattern("Node.js", Kind.TIMEOUT_FIREWALL, "connect eho", r"connect EHOSTUNREACH {at}", "Error: connect EHOSTUNREACH 192.168.1.50:9000 - Local (192.168.1.2:51234)", 9000, "192.168.1.50", source="Node 18"),
    Pattern("Node.js", Kind.TIMEOUT_FIREWALL, "connect enet", r"connect ENETUNREACH {at}", "Error: connect ENETUNREACH 10.20.0.4:8080 - Local (0.0.0.0:0)", 8080, "10.20.0.4", source="Node 18"),
    Pattern("undici", Kind.TIMEOUT_FIREWALL, "connect timeout error", r"Connect Timeout Error \(attempted address(?:es)?: {at}", "ConnectTimeoutError: Connect Timeout Error (attempted address: 10.0.0.9:8080, timeout: 10000ms)", 8080, "10.0.0.9", source="undici 6"),
    Pattern("undici", Kind.UNSAFE_BROWSER_PORT, "bad port", r"(?:cause: )?Error: bad port", "    [cause]: Error: bad port", source="Node 18 fetch"),
    Pattern("Node.js", Kind.RESET_OR_EMPTY_REPLY, "socket hang up", r"socket hang up", "Error: socket hang up", source="Node 18"),
)  # fmt: skip
