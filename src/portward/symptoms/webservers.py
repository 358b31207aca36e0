"""Web servers, proxies, name servers and the like, which report a failed bind or an upstream."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_USE, _DENIED, _NONE = Kind.PORT_IN_USE, Kind.PERMISSION_PRIVILEGED, Kind.ADDRESS_NOT_AVAILABLE

TABLE = (
    Pattern("nginx", _USE, "bind() to", r"bind\(\) to {at} failed \((?:98|48|10048):", "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", 80, "0.0.0.0", source="nginx 1.22"),
    Pattern("nginx on Windows", Kind.OS_RESERVED_RANGE, "bind() to", r"bind\(\) to {at} failed \(10013:", "nginx: [emerg] bind() to 0.0.0.0:80 failed (10013: An attempt was made to access a socket in a way forbidden by its access permissions)", 80, "0.0.0.0", source="nginx on Windows"),
    Pattern("nginx", _DENIED, "bind() to", r"bind\(\) to {at} failed \(13:", "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", 80, "0.0.0.0", source="nginx 1.22"),
    Pattern("nginx", _NONE, "bind() to", r"bind\(\) to {at} failed \((?:99|49|10049):", "nginx: [emerg] bind() to 10.0.0.9:80 failed (99: Cannot assign requested address)", 80, "10.0.0.9", source="nginx 1.22"),
    Pattern("nginx", _NONE, "socket()", r"socket\(\) {at} failed \(97:", "nginx: [emerg] socket() [::]:80 failed (97: Address family not supported by protocol)", 80, "::", source="nginx 1.22, ipv6.disable=1"),
    Pattern("nginx", Kind.CONNECTION_REFUSED, "while connecting to upstream", r"\((?:111|61): [^)]{0,60}\) while connecting to upstream[^\n]{0,600}upstream: \"{at}", '[error] 12#12: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 172.18.0.1, server: localhost, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "localhost:8080"', 8000, "127.0.0.1", source="nginx 1.22"),
    Pattern("nginx", Kind.TIMEOUT_FIREWALL, "while connecting to upstream", r"\((?:110|60|113): [^)]{0,60}\) while connecting to upstream[^\n]{0,600}upstream: \"{at}", '[error] 12#12: *1 upstream timed out (110: Connection timed out) while connecting to upstream, client: 172.18.0.1, server: localhost, request: "GET / HTTP/1.1", upstream: "http://10.0.0.5:8000/", host: "localhost"', 8000, "10.0.0.5", source="nginx 1.22"),
    Pattern("nginx", Kind.RESET_OR_EMPTY_REPLY, "from upstream", r"(?:upstream prematurely closed connection|recv\(\) failed \(104: [^)]{0,60}\)) while reading [\w ]{3,40} from upstream[^\n]{0,600}upstream: \"{at}", '[error] 12#12: *1 upstream prematurely closed connection while reading response header from upstream, client: 172.18.0.1, server: localhost, request: "GET / HTTP/1.1", upstream: "http://127.0.0.1:8000/", host: "localhost"', 8000, "127.0.0.1", source="nginx 1.22"),
    Pattern("Apache httpd", _USE, "make_sock: could not bind", r"\((?:OS )?(?:98|48|10048)\)[^\n]{0,160}make_sock: could not bind to address {at}", "(98)Address already in use: AH00072: make_sock: could not bind to address [::]:443", 443, "::", source="Apache 2.4"),
    Pattern("Apache httpd on Windows", Kind.OS_RESERVED_RANGE, "make_sock: could not bind", r"\(OS 10013\)[^\n]{0,160}make_sock: could not bind to address {at}", "(OS 10013)An attempt was made to access a socket in a way forbidden by its access permissions.  : AH00072: make_sock: could not bind to address [::]:443", 443, "::", source="XAMPP"),
    Pattern("Apache httpd", _DENIED, "make_sock: could not bind", r"\(13\)[^\n]{0,160}make_sock: could not bind to address {at}", "(13)Permission denied: AH00072: make_sock: could not bind to address 0.0.0.0:80", 80, "0.0.0.0", source="Apache 2.4"),
    Pattern("Apache httpd", _NONE, "make_sock: could not bind", r"\((?:99|49|OS 10049)\)[^\n]{0,160}make_sock: could not bind to address {at}", "(99)Cannot assign requested address: AH00072: make_sock: could not bind to address 10.0.0.9:80", 80, "10.0.0.9", source="Apache 2.4"),
    Pattern("Apache httpd", Kind.CONNECTION_REFUSED, "attempt to connect to", r"\((?:OS )?(?:111|61|10061)\)[^\n]{0,160}attempt to connect to {at}", "[proxy:error] (111)Connection refused: AH00957: http: attempt to connect to 127.0.0.1:8080 (localhost) failed", 8080, "127.0.0.1", source="Apache 2.4"),
    Pattern("HAProxy", _DENIED, "cannot bind socket", r"cannot bind socket \(Permission denied\)[^\n]{0,40}\[{at}\]", "[ALERT]    (12) : Starting frontend web: cannot bind socket (Permission denied) [0.0.0.0:80]", 80, "0.0.0.0", source="HAProxy 2.6"),
    Pattern("HAProxy", _NONE, "cannot bind socket", r"cannot bind socket \((?:Cannot assign|Address family)[^)]{0,40}\)[^\n]{0,40}\[{at}\]", "[ALERT]    (12) : Starting frontend web: cannot bind socket (Cannot assign requested address) [10.0.0.9:80]", 80, "10.0.0.9", source="HAProxy 2.6"),
    Pattern("HAProxy", _USE, "cannot bind socket", r"cannot bind socket(?: \(Address already in use\))?[^\n]{0,40}\[{at}\]", "[ALERT]    (12) : Starting frontend web: cannot bind socket (Address already in use) [0.0.0.0:80]", 80, "0.0.0.0", source="HAProxy 2.6"),
    Pattern("Envoy", Kind.CONNECTION_REFUSED, "delayed connect error: 111", r"delayed connect error: 111", "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: delayed connect error: 111", source="Envoy 1.28"),
    Pattern("BIND", _USE, "address in use", r"(?:interface \S{1,40}, )?(?P<host>[\d.]{7,15}|[0-9a-f:]{2,45})#{port}[^\n]{0,60}address in use", "creating TCP socket for 127.0.0.1#53: address in use", 53, "127.0.0.1", source="named 9.18"),
    Pattern("Postfix", _USE, "bind", r"fatal: bind {host} port {port}: Address already in use", "postfix/master[123]: fatal: bind 0.0.0.0 port 25: Address already in use", 25, "0.0.0.0", source="Postfix 3"),
    Pattern("macOS AirPlay", Kind.HIJACKED_BY_SYSTEM_SERVICE, "controlce", r"^ControlCe\S{0,12}\s[^\n]{0,120}?TCP (?P<host>\*|[\w.\[\]:]{1,45}):(?:commplex-main|{port}) \(LISTEN\)", "ControlCe 71112 me    8u  IPv4 0x2bfa09bfcfaa7eef      0t0  TCP *:5000 (LISTEN)", 5000, "*", usual=5000, source="lsof on macOS 13"),
    Pattern("WSL", Kind.HIJACKED_BY_SYSTEM_SERVICE, "wslrelay", r"\bwslrelay(?:\.exe)?\b", "TCP    [::1]:3000    [::]:0    LISTENING    17584   wslrelay.exe", 3000, "::1", source="netstat -abno"),
    Pattern("HTTP.sys", Kind.HIJACKED_BY_SYSTEM_SERVICE, "with pid 4", r"Port {port} in use by [^\n]{0,80}with PID 4\b", 'Port 80 in use by "Unable to open process" with PID 4!', 80, source="XAMPP control panel"),
    Pattern("macOS AirPlay", Kind.HIJACKED_BY_SYSTEM_SERVICE, "airtunes", r"Server: AirTunes", "< Server: AirTunes/750.14.1", source="macOS 13", usual=5000, port=5000),
    Pattern("macOS AirPlay", Kind.HIJACKED_BY_SYSTEM_SERVICE, "x-apple-", r"^<? ?x-apple-\w{2,30}:", "< X-Apple-ProcessingTime: 0", source="macOS 12", usual=5000, port=5000),
    Pattern("HTTP.sys", Kind.HIJACKED_BY_SYSTEM_SERVICE, "microsoft-httpapi", r"Server: Microsoft-HTTPAPI/2\.0", "< Server: Microsoft-HTTPAPI/2.0", source="Windows 10", usual=80, port=80),
)  # fmt: skip
