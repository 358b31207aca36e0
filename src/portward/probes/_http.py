"""The part of HTTP that identification needs: a GET, and the beginning of its answer (RFC 9112)."""

from __future__ import annotations

import re

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)? (\d{3})(?: |\r|\n|$)")
_CUT = object()
_WANTS_TLS = (
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS",
    "speaking plain HTTP to an SSL",
    "host and port requires TLS",
)


class Answer(Record):
    """What came back: status, headers by their names in lower case, and the body as far as it was read."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def document(self) -> Any:
        """The body as JSON, None where it is none. Of one that was cut, the members that are whole."""
        return _document(self.body.strip())


def request(path: str, host: str, headers: Mapping[str, str]) -> bytes:
    """A GET whose answer ends with its connection. `host` is the value of the Host header."""
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: portward", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in ({"Accept": "*/*"} | dict(headers)).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def is_whole(data: bytes) -> bool:
    """Whether an answer has all that its headers promise; False where only its end would tell."""
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return len(data) > len(b"HTTP/1.1") and not data.startswith(b"HTTP/")
    fields = _fields(head)
    if "chunked" in fields.get("transfer-encoding", "").lower():
        return b"\r\n0\r\n" in body or body.startswith(b"0\r\n")
    length = fields.get("content-length", "")
    status = _STATUS.match(head)
    if status and status[1] in (b"204", b"304"):
        return True
    return length.isdecimal() and len(body) >= int(length)


def parse(data: bytes) -> Answer | None:
    """The answer in what was read, None where that is not HTTP."""
    status = _STATUS.match(data)
    if status is None:
        return None
    head, _, body = data.partition(b"\r\n\r\n")
    fields = _fields(head)
    if "chunked" in fields.get("transfer-encoding", "").lower():
        body = _joined(body)
    return Answer(int(status[1]), fields, body.decode("utf-8", "replace"))


def asks_for_tls(answer: Answer) -> bool:
    """Whether a plain answer says that TLS is spoken here (Go, nginx, Apache, Tomcat)."""
    return any(text in answer.body for text in _WANTS_TLS)


def _fields(head: bytes) -> dict[str, str]:
    pairs = (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _joined(body: bytes) -> bytes:
    """A chunked body in one piece, as far as it was read."""
    joined = bytearray()
    while body:
        size, gap, rest = body.partition(b"\r\n")
        digits = size.partition(b";")[0].strip()
        if not gap or not re.fullmatch(rb"[0-9A-Fa-f]{1,8}", digits) or int(digits, 16) == 0:
            break
        joined += rest[: int(digits, 16)]
        body = rest[int(digits, 16) + 2 :]
    return bytes(joined)


def _document(text: str) -> Any:
    import json

    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    members: dict[str, Any] = {}
    decoder = json.JSONDecoder()
    at = 1
    try:
        while text[:1] == "{":
            name, at = decoder.raw_decode(text, _next(text, at, ", \t\r\n"))
            at = _next(text, at, ": \t\r\n")
            members[name] = {"[": [], "{": {}}.get(text[at : at + 1], _CUT)
            members[name], at = decoder.raw_decode(text, at)
    except (ValueError, TypeError, RecursionError):
        pass
    return {name: value for name, value in members.items() if value is not _CUT} or None


def _next(text: str, at: int, passed: str) -> int:
    while text[at : at + 1] and text[at] in passed:
        at += 1
    return at
