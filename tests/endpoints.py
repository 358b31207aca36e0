"""Servers of a test's own, on real sockets: what they do with a connection is a function, and what they were sent is kept."""

from __future__ import annotations

import socket
import ssl
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Behaviour = Callable[["Talk"], None]


class Talk:
    """One connection, as the server has it. `over` is set when the test has ended."""

    def __init__(self, connection: socket.socket, over: Event) -> None:
        self.connection = connection
        self.over = over
        self.received = b""

    def say(self, data: bytes) -> None:
        self.connection.sendall(data)

    def hear(self) -> bytes:
        """The next bytes of the client, empty at its end."""
        data = self.connection.recv(1 << 16)
        self.received += data
        return data

    def until(self, end: bytes) -> bytes:
        """All that came, up to where it ends so, or is over."""
        while end not in self.received and self.hear():
            pass
        return self.received


class Server:
    """A listening socket. `sent` has, for each connection, all that the client sent."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self._talks: list[Talk] = []
        self._lock = Lock()

    @property
    def sent(self) -> list[bytes]:
        with self._lock:
            return [talk.received for talk in self._talks]

    @property
    def paths(self) -> list[str]:
        """The paths that were asked for, in their order."""
        return [data.split(b" ")[1].decode() for data in self.sent if data.startswith(b"GET ")]

    def add(self, talk: Talk) -> None:
        with self._lock:
            self._talks.append(talk)


@contextmanager
def serving(
    behaviour: Behaviour, address: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """A server that does the same with each connection, each in a thread; with a context inside TLS."""
    over = Event()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((address, 0), family=family, backlog=200))
        server = Server(listener)

        def talk(connection: socket.socket) -> None:
            with suppress(OSError), connection:
                secured = context.wrap_socket(connection, server_side=True) if context else connection
                with secured:
                    one = Talk(secured, over)
                    server.add(one)
                    behaviour(one)

        threads: list[Thread] = []

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    threads.append(Thread(target=talk, args=(connection,), daemon=True))
                    threads[-1].start()

        thread = Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            over.set()
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes the accept
            for each in (thread, *threads):  # `sent` is whole from now on
                each.join(60)


def response(status: int = 200, body: str | bytes = "", **headers: str) -> bytes:
    """An HTTP response with its length; `_` in the name of a header is `-`."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(data)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + data


def http(answers: dict[str, bytes], other: bytes | None = None) -> Behaviour:
    """An HTTP server that answers paths as it is told, and all others with `other` (404 by default)."""

    def behave(talk: Talk) -> None:
        if not talk.hear().startswith(b"GET "):
            talk.say(response(400, "no request"))
            return
        path = talk.until(b"\r\n\r\n").split(b" ")[1].decode("latin-1")
        talk.say(answers.get(path, other or response(404, "nothing here")))

    return behave


def silent(talk: Talk) -> None:
    """Takes everything, and never says a word."""
    while talk.hear():
        pass


def flooding(talk: Talk) -> None:
    """Says more and more, and never ends."""
    while not talk.over.is_set():
        talk.say(b"x" * 65536)


def dribbling(talk: Talk) -> None:
    """One byte at a time, for ever."""
    while not talk.over.wait(0.05):
        talk.say(b"h")


def closing(_talk: Talk) -> None:
    """Takes the connection, and ends it."""


def tls_context(folder: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own making."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
