"""One connection to an endpoint: limited in time and in bytes, in plain or through TLS."""

from __future__ import annotations

import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

LIMIT_BYTES = 64 << 10
"""The most that is read in answer to one question."""

_CHUNK = 8 << 10


class Line:
    """A TCP connection that was taken. All that is done with it ends at `deadline`, a time.monotonic() moment."""

    def __init__(self, address: str, port: int, deadline: float) -> None:
        """Connects. Raises OSError, TimeoutError among them, where nobody takes the connection."""
        self.deadline = deadline
        self.secured = False
        self._socket = socket.create_connection((address, port), timeout=_left(deadline))
        if self._socket.getsockname() == self._socket.getpeername():
            self._socket.close()
            raise ConnectionRefusedError("nobody listens")  # TCP let the connection meet itself (RFC 9293, 3.5)

    def secure(self, host: str) -> None:
        """Goes on inside TLS, as to that host. The certificate is not checked: it proves nothing of what is asked here.

        Raises ssl.SSLError or OSError where that fails; the connection is closed then.
        """
        try:
            self._socket = _secured(self._socket, host, self.deadline)
            self.secured = True
        except BaseException:
            self._socket.close()
            raise

    def send(self, data: bytes) -> None:
        """Sends all of it. Raises OSError."""
        self._socket.settimeout(_left(self.deadline))
        self._socket.sendall(data)

    def read(self, enough: Callable[[bytes], bool], until: float) -> bytes:
        """What comes until it is enough, its end, `LIMIT_BYTES`, or the moment `until` (never after the deadline).

        Never raises: a connection that is reset has said what it has said.
        """
        data = bytearray()
        until = min(until, self.deadline)
        while len(data) < LIMIT_BYTES and not (data and enough(bytes(data))):
            try:
                self._socket.settimeout(_left(until))
                chunk = self._socket.recv(min(_CHUNK, LIMIT_BYTES - len(data)))
            except OSError:
                break
            if not chunk:
                break
            data += chunk
        return bytes(data)

    def close(self, last: bytes = b"") -> None:
        """Ends the connection, after a last word where the protocol wants one."""
        try:
            if last:
                self.send(last)
        except OSError:
            pass
        finally:
            self._socket.close()


def unchecked() -> ssl.SSLContext:
    """TLS without a look at the certificate: it proves nothing of what is asked here."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _secured(connection: socket.socket, host: str, deadline: float) -> ssl.SSLSocket:
    context = unchecked()
    connection.settimeout(_left(deadline))
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ValueError as error:  # a host that cannot be a name
        raise OSError(str(error)) from None


def _left(moment: float) -> float:
    left = moment - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
