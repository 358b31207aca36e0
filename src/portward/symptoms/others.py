"""What looks like a trouble of ports and is none: socket files, names, TLS, name resolution, passwords, serial ports."""

from __future__ import annotations

from portward.symptoms.pattern import Pattern

TABLE = (
    Pattern("a socket file, not a port", None, "unix", r"could not bind Unix (?:address|socket)|unable to bind to unix socket|\bunix:/{1,3}[\w./-]{2,100}[^\n]{0,60}?(?:in use|refused|denied|failed|is the docker)|(?:listen|dial) unix ", 'LOG:  could not bind Unix address "/tmp/.s.PGSQL.5432": Address already in use', source="PostgreSQL 16"),
    Pattern("a socket file, not a port", None, ".sock", r"[\w./-]{1,100}\.sock\b[^\n]{0,80}?(?:in use|refused|denied|no such file|\(\d{1,5}\))|(?:in use|refused|denied|E[A-Z]{5,12})[^\n]{0,60}?/[\w./-]{1,100}\.sock\b", "ERROR 2002 (HY000): Can't connect to local MySQL server through socket '/var/run/mysqld/mysqld.sock' (111)", source="mysql 8.0"),
    Pattern("a socket file, not a port", None, "listen e", r"listen E(?:ADDRINUSE|ACCES|NOENT|PERM)(?:: [a-z ]{4,40})? (?:[./\\]|(?!\S{0,80}:\d)[\w.-]{1,60};?\s{0,4}$)", "Error: listen EACCES: permission denied 3000;", source="Node 18, PORT='3000;'"),
    Pattern("a socket file, not a port", None, ".s.pgsql", r"\.s\.PGSQL\.\d", 'connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed: No such file or directory', source="psql 15"),
    Pattern("a socket file, not a port", None, "2002", r"SQLSTATE\[HY000\] \[2002\] No such file or directory", "SQLSTATE[HY000] [2002] No such file or directory", source="PHP PDO"),
    Pattern("a socket file, not a port", None, "socketexception: permission denied", r"(?<!net\.)SocketException: Permission denied", '"error":"SocketException: Permission denied"', source="mongod 6, /tmp/mongodb-27017.sock of another user"),
    Pattern("a name that is taken, not a port", None, "is already in use by", r"\bname \S{1,120} is already in use by", 'Error response from daemon: Conflict. The container name "/api" is already in use by container "9c52f3787e28". You have to remove (or rename) that container to be able to reuse that name.', source="docker 24"),
    Pattern("a name that is taken, not a port", None, "in use", r"\b(?:user ?name|e-?mail|account|slug|identifier|container name|pod name|hostname|table|index|alias|volume|subnet)\b[^\n:]{0,60}? (?:is )?(?:already )?in use\b", "ValidationError: email address is already in use", source="web forms"),
    Pattern("an IP address that is taken, not a port", None, "address already in use", r"(?:daemon|networking): Address already in use\s{0,4}$", "Error response from daemon: failed to set up container networking: Address already in use", source="docker 28, a fixed ipv4_address"),
    Pattern("a reason that PHP could not read: on Windows its child processes lack SystemRoot", None, "(reason: ?)", r"\(reason: \?\)", "[Mon Oct 19 09:36:12 2020] Failed to listen on 127.0.0.1:8000 (reason: ?)", source="php 7 on Windows, variables_order"),
    Pattern("a pid file, not a port", None, "server is already running", r"A server is already running(?:\. Check| \(pid)", "A server is already running. Check /app/tmp/pids/server.pid.", source="Rails 7"),
    Pattern("TLS spoken to a server without it, or the reverse", None, "wrong version number", r"wrong version number", "curl: (35) error:1408F10B:SSL routines:ssl3_get_record:wrong version number", source="curl 7.74"),
    Pattern("TLS spoken to a server without it, or the reverse", None, "https", r"plain HTTP request was sent to HTTPS port|HTTP response to HTTPS client|HTTP request to an HTTPS server|speaking plain HTTP to an SSL-enabled", 'Get "https://localhost:5000/v2/": http: server gave HTTP response to HTTPS client', source="docker push"),
    Pattern("TLS spoken to a server without it, or the reverse", None, "ssl", r"ERR_SSL_PROTOCOL_ERROR|SSL_ERROR_RX_RECORD_TOO_LONG|ssl3_get_record|packet length too long|ERR_SSL_WRONG_VERSION_NUMBER", "net::ERR_SSL_PROTOCOL_ERROR", source="Chrome"),
    Pattern("a certificate, not a port", None, "certificate", r"certificate (?:verify failed|has expired|is not trusted|signed by unknown)|self[- ]signed certificate", "x509: certificate signed by unknown authority", source="Go"),
    Pattern("a host name without an address, not a port", None, "enotfound", r"\bENOTFOUND\b", "Error: getaddrinfo ENOTFOUND db", source="Node 18"),
    Pattern("a host name without an address, not a port", None, "eai_again", r"\bEAI_AGAIN\b", "Error: getaddrinfo EAI_AGAIN postgres", source="Node 18"),
    Pattern("a host name without an address, not a port", None, "name", r"Name or service not known|Temporary failure in name resolution|nodename nor servname provided|ERR_NAME_NOT_RESOLVED|Name does not resolve|could not translate host name|UnknownHostException", "psql: error: could not translate host name \"db\" to address: Name or service not known", source="psql 15"),
    Pattern("a host name without an address, not a port", None, "host", r"could not resolve host|no such host\b|host not found in upstream|unknown host\b", 'dial tcp: lookup redis on 127.0.0.11:53: no such host', source="Go 1.21"),
    Pattern("a password, not a port", None, "authentication failed", r"(?:password |Ident |Peer )?authentication failed", 'FATAL:  password authentication failed for user "postgres"', source="PostgreSQL 15"),
    Pattern("a password, not a port", None, "access denied for user", r"Access denied for user", "ERROR 1045 (28000): Access denied for user 'root'@'localhost' (using password: YES)", source="mysql 8.0"),
    Pattern("a password, not a port", None, "permission denied (", r"Permission denied \((?:publickey|password|keyboard)", "git@github.com: Permission denied (publickey).", source="OpenSSH 9.2"),
    Pattern("a serial port", None, "port", r"serial port|could not open port ['\"]?(?:COM\d|/dev/)|\b(?:COM\d{1,3}|/dev/(?:tty|cu)[\w.]{1,40})\b[^\n]{0,60}?(?:busy|in use|denied)", "serial.serialutil.SerialException: [Errno 16] could not open port /dev/ttyUSB0: Device or resource busy", source="pyserial"),
    Pattern("a serial port", None, "tty", r"/dev/tty\w{1,40}[^\n]{0,80}?(?:busy|in use|denied)", "avrdude: ser_open(): can't open device \"/dev/ttyACM0\": Permission denied", source="avrdude"),
    Pattern("a number that is no port", None, "port", r"ERR_SOCKET_BAD_PORT|missing port in address|invalid port (?:literal|number|specification)|too many colons in address|not in the valid range|port out of range", 'listen tcp: address 8080: missing port in address', source="Go net/http"),
    Pattern("too many open files, not a port", None, "too many open files", r"too many open files", "accept tcp [::]:8080: accept4: too many open files", source="Go"),
    Pattern("a package registry out of reach", None, "npm", r"npm (?:ERR!|error) (?:network|code E(?:CONN|TIME|NOT))", "npm ERR! network read ECONNRESET", source="npm 9"),
)  # fmt: skip
