"""Python: asyncio, web servers, and clients."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_ON = r"error while attempting to bind on address \('{host}', {port}(?:, \d+){0,2}\): "

TABLE = (
    Pattern("asyncio", Kind.PORT_IN_USE, "attempting to bind on address", r"\[(?:Errno|WinError) (?:98|48|10048)\] " + _ON, "ERROR:    [Errno 98] error while attempting to bind on address ('0.0.0.0', 8000): address already in use", 8000, "0.0.0.0", source="uvicorn 0.23"),
    Pattern("asyncio on Windows", Kind.OS_RESERVED_RANGE, "attempting to bind on address", r"\[(?:Errno|WinError) (?:10013)\] " + _ON, "[WinError 10013] error while attempting to bind on address ('127.0.0.1', 8000): an attempt was made to access a socket in a way forbidden by its access permissions", 8000, "127.0.0.1", source="uvicorn on Windows"),
    Pattern("asyncio", Kind.PERMISSION_PRIVILEGED, "attempting to bind on address", r"\[(?:Errno|WinError) (?:13)\] " + _ON, "PermissionError: [Errno 13] error while attempting to bind on address ('0.0.0.0', 80): permission denied", 80, "0.0.0.0", source="aiohttp 3.9"),
    Pattern("asyncio", Kind.ADDRESS_NOT_AVAILABLE, "attempting to bind on address", r"\[(?:Errno|WinError) (?:99|49|10049|97)\] " + _ON, "[Errno 99] error while attempting to bind on address ('10.0.0.9', 8000): cannot assign requested address", 8000, "10.0.0.9", source="uvicorn 0.23"),
    Pattern("asyncio", Kind.ADDRESS_NOT_AVAILABLE, "could not bind on any address", r"could not bind on any address out of \[\('{host}', {port}", "OSError: could not bind on any address out of [('::1', 8080, 0, 0)]", 8080, "::1", source="asyncio, Python 3.12"),
    Pattern("gunicorn", Kind.PORT_IN_USE, "connection in use", r"Connection in use: \('{host}', {port}", "[2024-01-10 10:00:00 +0000] [77] [ERROR] Connection in use: ('127.0.0.1', 5000)", 5000, "127.0.0.1", source="gunicorn 20"),
    Pattern("gunicorn", Kind.ADDRESS_NOT_AVAILABLE, "invalid address", r"Invalid address: \('{host}', {port}", "[ERROR] Invalid address: ('10.0.0.9', 8000)", 8000, "10.0.0.9", source="gunicorn 20"),
    Pattern("gunicorn", Kind.ADDRESS_NOT_AVAILABLE, "can't connect to (", r"Can't connect to \('{host}', {port}", "[2022-10-09 13:46:20 +0200] [711] [ERROR] Can't connect to ('0.0.0.0', 80)", 80, "0.0.0.0", Kind.PERMISSION_PRIVILEGED, source="gunicorn 20"),
    Pattern("gunicorn", Kind.PERMISSION_PRIVILEGED, "connection to (", r"connection to \('{host}', {port}\) failed: \[Errno 13\]", "[ERROR] connection to ('0.0.0.0', 80) failed: [Errno 13] Permission denied", 80, "0.0.0.0", source="gunicorn 22"),
    Pattern("gunicorn", Kind.ADDRESS_NOT_AVAILABLE, "connection to (", r"connection to \('{host}', {port}(?:, \d+){0,2}\) failed: \[Errno (?:97|99)\]", "[ERROR] connection to ('::', 8000) failed: [Errno 97] Address family not supported by protocol", 8000, "::", source="gunicorn 22"),
    Pattern("Flask", Kind.PORT_IN_USE, "in use by another program", r"Port {port} is in use by another program", "Port 5000 is in use by another program. Either identify and stop that program, or start the server with a different port.", 5000, source="Werkzeug 2.3"),
    Pattern("Django", Kind.PORT_IN_USE, "that port is already in use", r"Error: That port is already in use", "Error: That port is already in use.", usual=8000, port=8000, source="Django 4"),
    Pattern("Django", Kind.PERMISSION_PRIVILEGED, "permission to access that port", r"You don't have permission to access that port", "Error: You don't have permission to access that port.", source="Django 4"),
    Pattern("Django", Kind.ADDRESS_NOT_AVAILABLE, "can't be assigned to", r"That IP address can't be assigned to", "Error: That IP address can't be assigned to.", source="Django 4"),
    Pattern("Twisted", Kind.PERMISSION_PRIVILEGED, "couldn't listen on", r"Couldn't listen on {at}: \[Errno 13\]", "twisted.internet.error.CannotListenError: Couldn't listen on 0.0.0.0:80: [Errno 13] Permission denied.", 80, "0.0.0.0", source="Twisted 22"),
    Pattern("Twisted", Kind.PORT_IN_USE, "couldn't listen on", r"Couldn't listen on {at}: \[(?:Errno|WinError) (?:98|48|10048)\]", "CRITICAL Listen failure: Couldn't listen on 127.0.0.1:8000: [Errno 98] Address already in use.", 8000, "127.0.0.1", source="daphne 4"),
    Pattern("Python socket", Kind.PERMISSION_PRIVILEGED, "permissionerror", r"PermissionError: \[Errno 13\] Permission denied\s{0,4}$", "PermissionError: [Errno 13] Permission denied", source="http.server, with bind in the frames before", near="bind"),
    Pattern("asyncio", Kind.CONNECTION_REFUSED, "connect call failed", r"Connect call failed \('{host}', {port}", "ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)", 5432, "127.0.0.1", source="asyncpg"),
    Pattern("aiohttp", Kind.CONNECTION_REFUSED, "cannot connect to host", r"Cannot connect to host {at} ssl:[^\n]{0,40}\[(?:Connection refused|Connect call failed|The remote computer refused)", "aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host localhost:8080 ssl:default [Connection refused]", 8080, "localhost", source="aiohttp 3.9"),
    Pattern("httpx", Kind.CONNECTION_REFUSED, "all connection attempts failed", r"(?:ConnectError: )?All connection attempts failed", "httpx.ConnectError: All connection attempts failed", source="httpx 0.25"),
    Pattern("redis-py", Kind.REFUSED_CONTAINER_LOCALHOST, "error 99 connecting", r"Error 99 connecting to {at}\. Cannot assign", "redis.exceptions.ConnectionError: Error 99 connecting to localhost:6379. Cannot assign requested address.", 6379, "localhost", source="redis-py 4 in a container"),
    Pattern("redis-py", Kind.TIMEOUT_FIREWALL, "timeout connecting to server", r"Timeout connecting to server", "redis.exceptions.TimeoutError: Timeout connecting to server", source="redis-py 4"),
    Pattern("urllib3", Kind.TIMEOUT_FIREWALL, "connecttimeouterror", r"ConnectTimeoutError", "urllib3.exceptions.MaxRetryError: HTTPConnectionPool(host='10.0.0.5', port=8080): Max retries exceeded with url: / (Caused by ConnectTimeoutError(<urllib3.connection.HTTPConnection object at 0x7f>, 'Connection to 10.0.0.5 timed out. (connect timeout=3)'))", 8080, "10.0.0.5", source="urllib3 2"),
    Pattern("urllib3", Kind.RESET_OR_EMPTY_REPLY, "connection aborted", r"\('Connection aborted\.', (?:ConnectionResetError|RemoteDisconnected|BadStatusLine)", "requests.exceptions.ConnectionError: ('Connection aborted.', RemoteDisconnected('Remote end closed connection without response'))", source="requests 2.31"),
    Pattern("http.client", Kind.RESET_OR_EMPTY_REPLY, "remote end closed connection", r"Remote end closed connection without response", "http.client.RemoteDisconnected: Remote end closed connection without response", source="Python 3.11"),
    Pattern("httpx", Kind.RESET_OR_EMPTY_REPLY, "server disconnected", r"(?:RemoteProtocolError|ServerDisconnectedError): Server disconnected", "httpx.RemoteProtocolError: Server disconnected without sending a response.", source="httpx 0.25"),
    Pattern("aiohttp", Kind.TIMEOUT_FIREWALL, "connection timeout to host", r"Connection timeout to host {at}", "aiohttp.client_exceptions.ConnectionTimeoutError: Connection timeout to host http://10.0.0.5:8000", 8000, "10.0.0.5", source="aiohttp 3.10"),
    Pattern("httpx", Kind.TIMEOUT_FIREWALL, "connecttimeout", r"httpx\.ConnectTimeout|httpcore\.ConnectTimeout", "httpx.ConnectTimeout: http://10.0.0.5:8000/v1", 8000, "10.0.0.5", source="httpx 0.25", placed=True),
)  # fmt: skip
