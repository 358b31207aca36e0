"""Says the first sentence of HTTP or TLS, and hears which of the two the other side speaks. A GET is all that is ever asked."""

from __future__ import annotations

import socket
import ssl
import time

from portward.evidence import Speech
from portward.probes._http import asks_for_tls, parse, request
from portward.probes._line import unchecked

PATIENCE_SECONDS = 5.0
_TLS_ALERT, _TLS_HANDSHAKE = 0x15, 0x16  # content types (RFC 8446, 5.1)
_PLAIN_TEXT = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE")  # of OpenSSL
_LIMIT_BYTES = 2048


def speak(asked: str, address: str, port: int, host: str, path: str, patience: float = PATIENCE_SECONDS) -> Speech:
    """Asks by `asked` ("http" or "https") for a path, within `patience` seconds. Never raises OSError.

    A certificate is not checked: that a browser would trust it is not promised.
    """
    speech = Speech(asked)
    try:
        heard = _asked(speech, address, port, host, path, time.monotonic() + patience)
    except TimeoutError:
        return speech.replace(timed_out=True, seconds=patience)
    except ssl.SSLError as error:
        return speech.replace(tls=False if error.reason in _PLAIN_TEXT else None, said=str(error.reason or error))
    except OSError as error:
        heard = speech.replace(said=error.strerror or str(error))
    if heard.status is None and heard.tls is None and asked == "http" and _speaks_tls(address, port, host, patience):
        return heard.replace(tls=True)
    return heard


def _asked(speech: Speech, address: str, port: int, host: str, path: str, deadline: float) -> Speech:
    with socket.create_connection((address, port), timeout=max(0.001, deadline - time.monotonic())) as plain:
        if speech.asked == "http":
            return _heard(speech, _first(plain, _authority(host, port), path, deadline))
        with unchecked().wrap_socket(plain, server_hostname=host.partition("%")[0]) as secure:
            return _heard(speech.replace(tls=True), _first(secure, _authority(host, port), path, deadline))


def _authority(host: str, port: int) -> str:
    """What a browser writes into the Host header (RFC 9110, 7.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _speaks_tls(address: str, port: int, host: str, patience: float) -> bool:
    """Whether a server that hung up on plain text shakes hands by TLS."""
    try:
        with socket.create_connection((address, port), timeout=patience) as plain:
            unchecked().wrap_socket(plain, server_hostname=host.partition("%")[0]).close()
    except OSError:
        return False
    return True


def _first(made: socket.socket, host: str, path: str, deadline: float) -> bytes:
    """The first bytes of the answer. Raises TimeoutError if none comes in time."""
    made.sendall(request(path, host, {}))
    answer = b""
    while len(answer) < _LIMIT_BYTES:
        if answer and b"\r\n\r\n" in answer:
            break
        made.settimeout(max(0.001, deadline - time.monotonic()) if not answer else 0.3)
        try:
            piece = made.recv(_LIMIT_BYTES)
        except TimeoutError:
            if not answer:
                raise
            break
        if not piece:
            break
        answer += piece
    return answer


def _heard(speech: Speech, answer: bytes) -> Speech:
    if not answer:
        return speech.replace(said="the end of the connection")
    if answer[0] in (_TLS_ALERT, _TLS_HANDSHAKE) and answer[1:2] == b"\x03":
        return speech.replace(tls=True, said="a TLS alert")
    first = answer.splitlines()[0].decode(errors="replace")
    heard = parse(answer)
    if heard is None:
        return speech.replace(said=first)
    refused = heard.status == 400 and speech.asked == "http" and asks_for_tls(heard)
    server = heard.headers.get("server", "")[:60]
    return speech.replace(status=heard.status, tls=refused or bool(speech.tls), service=server or None, said=first)
