"""What every system and C library prints, whoever passes it on. Asked last."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_USE, _DENIED, _NONE = Kind.PORT_IN_USE, Kind.PERMISSION_PRIVILEGED, Kind.ADDRESS_NOT_AVAILABLE
_CODE = r"(?:WinError|Errno|os error|error|errno|code|OS|WSA\w{0,20})\W{0,3}(?:0x[0-9a-f]{8}/)?"
# a sentence that only supposes it is none: "if port 5000 is already in use, change it"
_SAID = r"^(?:(?!\b(?:if|whether|ensure|make sure|sure that|unless|in case|when|check(?:s|ing)?|avoid|should|not)\b).){0,300}?"
_TAKEN = r"(?:(?:already |currently )?in use|being used|already used|occupied|already taken|is taken|already bound|is busy|not available|unavailable|already allocated|already listening)"

TABLE = (
    Pattern("Windows", Kind.OS_RESERVED_RANGE, "forbidden by its access permissions", r"forbidden by its access permissions", "OSError: [WinError 10013] An attempt was made to access a socket in a way forbidden by its access permissions", source="Python on Windows"),
    Pattern("Windows", Kind.OS_RESERVED_RANGE, "10013", _CODE + r"10013\b", "OSError: [WinError 10013] 以一种访问权限不允许的方式做了一个访问套接字的尝试。", source="Python on Windows, Chinese"),
    Pattern("Windows", Kind.OS_RESERVED_RANGE, "wsaeacces", r"\bWSAEACCES\b", "bind failed with WSAEACCES for port 50000", 50000, source="C on Windows"),
    Pattern("Windows", _USE, "only one usage of each socket address", r"Only one usage of each socket address", "bind: Only one usage of each socket address (protocol/network address/port) is normally permitted.", source="Windows"),
    Pattern("Windows", _USE, "10048", _CODE + r"10048\b", "OSError: [WinError 10048] 通常每个套接字地址只允许使用一次", source="Python on Windows, Chinese"),
    Pattern("Windows", _USE, "wsaeaddrinuse", r"\bWSAEADDRINUSE\b", "Error creating server socket on port 8080: WSAEADDRINUSE", 8080, source="C on Windows"),
    Pattern("Windows", _NONE, "10049", _CODE + r"10049\b", "OSError: [WinError 10049] The requested address is not valid in its context", source="Python on Windows"),
    Pattern("Windows", Kind.CONNECTION_REFUSED, "10061", _CODE + r"10061\b|/10061\b", "[WinError 10061] No connection could be made because the target machine actively refused it", source="Python on Windows"),
    Pattern("Windows", Kind.CONNECTION_REFUSED, "actively refused it", r"actively refused it", "No connection could be made because the target machine actively refused it. [::ffff:127.0.0.1]:5000", 5000, "::ffff:127.0.0.1", source=".NET on Windows"),
    Pattern("Windows", Kind.TIMEOUT_FIREWALL, "10060", _CODE + r"10060\b", "[WinError 10060] A connection attempt failed because the connected party did not properly respond after a period of time", source="Python on Windows"),
    Pattern("system", _DENIED, "denied", r"\b(?:bind(?:ing)?|listen(?:ing)?|bound)\b[^\n]{0,200}?(?:permission denied|access denied|\bEACCES\b)", "error: cannot bind 0.0.0.0:443: Permission denied", 443, "0.0.0.0", source="C library"),
    Pattern("system", _DENIED, "denied", r"(?:permission denied|\bEACCES\b)[^\n]{0,120}?\b(?:bind(?:ing)?|listen(?:ing)?)\b", "java.net.BindException: Permission denied (Bind failed)", source="OpenJDK 11"),
    Pattern("system", _DENIED, "bindexception: permission denied", r"BindException: Permission denied", "java.net.BindException: Permission denied", source="OpenJDK 17"),
    Pattern("system", _DENIED, "socketexception: permission denied", r"SocketException: Permission denied", "java.net.SocketException: Permission denied", source="OpenJDK 17"),
    Pattern("system", _NONE, "assign requested address", r"(?:Cannot|Can't|Can’t|can not) assign requested address", "bind failed: Cannot assign requested address [10.0.0.9:8080]", 8080, "10.0.0.9", source="C library"),
    Pattern("system", _NONE, "eaddrnotavail", r"\bEADDRNOTAVAIL\b", "  code: 'EADDRNOTAVAIL',", source="Node 18"),
    Pattern("system", _NONE, "requested address is not valid", r"requested address is not valid in its context", "bind: The requested address is not valid in its context. 10.0.0.9:8080", 8080, "10.0.0.9", source="Windows"),
    Pattern("system", _NONE, "address family not supported", r"Address family not supported", "could not open socket on [::]:8080: Address family not supported by protocol", 8080, "::", source="C library, ipv6.disable=1"),
    Pattern("system", _USE, "address already in use", r"address already in use", "bind failed for 127.0.0.1:1883: Address already in use", 1883, "127.0.0.1", source="C library"),
    Pattern("system", _USE, "address in use", r"\baddress in use\b", "Address in use - bind(2) for 127.0.0.1:3000", 3000, "127.0.0.1", source="Ruby 1.9"),
    Pattern("system", _USE, "eaddrinuse", r"\bEADDRINUSE\b", "  code: 'EADDRINUSE',", source="Node 18"),
    Pattern("system", _USE, "in use", r"\b(?:address|endpoint|socket) \[?(?P<at>[\w.:\[\]*/-]{1,80}:\d{1,5})\]?[^\n]{0,20}? (?:already |currently )?in use", "Address 0.0.0.0:7687 is already in use, cannot bind to it.", 7687, "0.0.0.0", source="Neo4j 4"),
    Pattern("system", _USE, "port", _SAID + r"\bports?(?:\(s\))?(?: number)?[ :#=]{0,3}[\"'`\[(]{0,2}{port}[\"'`\])]{0,2}(?![.:]\d|/\w{4})(?:(?!\bnot\b).){0,60}?\b" + _TAKEN, "Error: Port 18002 is already in use", 18002, source="vite 5"),
    Pattern("system", _USE, "port", _SAID + r"\b" + _TAKEN + r"\b[^\n]{0,30}?\bport[ :#=]{0,3}{port}", "address is already in use: port 8080", 8080, source="a server"),
    Pattern("system", _USE, "port", _SAID + r"\bport (?:is |was |were )?(?:already |currently )(?:in use|taken|bound|used)\b[^\n]{0,20}?:?\s{0,2}(?P<at>[\w.:\[\]*/-]{0,80}:?\d{2,5})?", "startup failed: port already in use: 127.0.0.1:5601", 5601, "127.0.0.1", source="a server"),
    Pattern("system", _USE, "in use", r"\b(?:because|since|as) {port} is (?:already )?in use", "This port was picked because 3000 is in use.", 3000, source="serve 14"),
    Pattern("system", _USE, "bind", _SAID + r"\b(?:fail(?:ed|ure)?|unable|can ?not|can't|could ?n[o']t|could not|couldn't|error|not able)\b[^\n]{0,30}?\b(?:bind(?:ing)?)\b[^\n]{0,20}?\bport\W{0,3}(?!0\b){port}", "ERROR: could not bind to port 8125", 8125, source="a server", soft=True),
    Pattern("system", _USE, "listen", _SAID + r"\b(?:fail(?:ed|ure)?|unable|can ?not|can't|could ?n[o']t|could not|couldn't|error|not able)\b[^\n]{0,30}?\b(?:listen(?:ing)?)\b[^\n]{0,20}?\bport\W{0,3}{port}", "Unable to listen on port 9229", 9229, source="a server", soft=True),
    Pattern("system", _USE, "bind", r"\b(?:fail(?:ed|ure)?|unable|can ?not|can't|could not|couldn't|error)\b[^\n]{0,24}?\bbind(?:ing)?\b (?:to |on |socket |address |server )?(?:to )?['\"(]?(?P<at>(?:\[[0-9a-f:.]{2,45}\]|[\d.]{7,15}|\*|localhost):\d{1,5})", "Failed to bind to 0.0.0.0:8125", 8125, "0.0.0.0", source="a server", soft=True),
    Pattern("system", Kind.CONNECTION_REFUSED, "connection refused", r"connection (?:was )?refused", "nc: connect to localhost port 9000 (tcp) failed: Connection refused", 9000, "localhost", source="nc"),
    Pattern("system", Kind.CONNECTION_REFUSED, "econnrefused", r"\bECONNREFUSED\b", "  code: 'ECONNREFUSED',", source="Node 18"),
    Pattern("system", Kind.CONNECTION_REFUSED, "refused", r"connection (?:to|with|from) {at} (?:was |has been )?refused", "Connection to 127.0.0.1:1883 refused", 1883, "127.0.0.1", source="a client"),
    Pattern("system", Kind.CONNECTION_REFUSED, "refused to connect", r"(?:^|\s)(?P<host>localhost|[\w-]{1,60}(?:\.[\w-]{1,60}){1,6}) refused to connect\b", "localhost refused to connect.", None, "localhost", source="Chrome"),
    Pattern("Windows", Kind.RANGE_EXHAUSTED, "10055", _CODE + r"10055\b", "OSError: [WinError 10055] An operation on a socket could not be performed because the system lacked sufficient buffer space or because a queue was full", source="Python on Windows"),
    Pattern("system", Kind.RANGE_EXHAUSTED, "port", r"(?:ephemeral|dynamic) ports? (?:exhaust|are exhausted|ran out)|\bno (?:more )?(?:free |available |unused )?ports? (?:left|in (?:the )?range|available)|\ball ports (?:in (?:the )?range|from)\b[^\n]{0,40}(?:in use|taken|occupied|used)", "RuntimeError: No free ports in range 9000-9010", 9000, source="a server"),
    Pattern("system", Kind.RESET_OR_EMPTY_REPLY, "reset by peer", r"connection reset by peer", "error reading from 127.0.0.1:8080: Connection reset by peer", 8080, "127.0.0.1", source="C library", placed=True),
    Pattern("system", Kind.RESET_OR_EMPTY_REPLY, "econnreset", r"\bECONNRESET\b", "Error occurred while proxying request localhost:3000/api to http://localhost:5000/ [ECONNRESET]", 5000, "localhost", source="http-proxy-middleware 2", placed=True),
    Pattern("system", Kind.TIMEOUT_FIREWALL, "no route to host", r"No route to host", "Ncat: No route to host.", source="ncat 7"),
    Pattern("system", Kind.TIMEOUT_FIREWALL, "network is unreachable", r"Network is unreachable", "connect to 10.1.2.3 port 80 failed: Network is unreachable", 80, "10.1.2.3", source="C library"),
    Pattern("system", Kind.TIMEOUT_FIREWALL, "timed out", r"\bconnection timed out\b|\bconnect(?:ing)? (?:to )?\S{3,100}:? timed out", "Could not connect to archive.example:80 (10.0.0.5), connection timed out", 80, "archive.example", source="apt 2", placed=True),
    Pattern("system", Kind.TIMEOUT_FIREWALL, "etimedout", r"\bETIMEDOUT\b", "  code: 'ETIMEDOUT',", source="Node 18", near="connect"),
    Pattern("Windows", Kind.CONNECTION_REFUSED, "refused the network connection", r"refused the network connection", "ConnectionRefusedError: [WinError 1225] The remote computer refused the network connection", source="asyncio on Windows"),
)  # fmt: skip
