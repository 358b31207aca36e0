"""The order in which one target is asked: what harms least, and tells most, comes first."""

from __future__ import annotations

import time

from portward.probes._http import Answer, is_whole, parse, request
from portward.probes._judge import best, fits, fits_bytes, told
from portward.probes._line import Line
from portward.probes._question import QUESTIONS, Heard
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portward.model import Fingerprint
    from portward.probes._question import Question

NOWHERE = "/__portward"
"""A path that no server has: its answer has the headers, and no page of anybody's is made for it."""

_BLIND = "GET {} HTTP/1.0\r\n\r\n"
"""To what may be anything. No Host header, and no other: Redis takes each line for a command, and breaks off with an alarm at `Host:`."""

_GREETING_SECONDS = 0.3  # who speaks first has said something by then
_QUESTION_SECONDS = 1.0
_WANTS_TLS = (
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL",
)
_TLS_RECORD = (b"\x15\x03", b"\x16\x03")  # alert and handshake, RFC 8446, 5.1
_USUALLY_TLS = (443, 2376, 6443, 8443)
_STACKS = (
    ("python", ("uvicorn", "hypercorn", "gunicorn", "werkzeug", "tornadoserver", "wsgiserver", "python", "daphne")),
    ("java", ("jetty", "netty", "tomcat", "undertow")),
)
_AFTERWARDS = {"tornadoserver": "/api", "uvicorn": "/openapi.json", "go": "/version", "rust": "/api/v2/heartbeat"}
"""By server, or by what it is written in: the path that tells most of those whose first page tells nothing."""


class Dialogue:
    """One target and all that is said with it. A connection for each question, as servers expect it."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.address = ""
        self.deadline = 0.0
        self.left = QUESTIONS
        self.answers: dict[str, Answer] = {}
        self.tls = question.tls
        self.spare: Line | None = None

    def run(self) -> Heard:
        """Asks until the service is known, or nothing more may be asked. Never raises for what the other side does."""
        self.deadline = time.monotonic() + self.question.seconds
        try:
            line = self._first_line()
        except OSError as error:
            return Heard(self.address, trouble=trouble(error))
        try:
            return self._identified(line)
        except OSError as error:  # it stopped taking connections meanwhile
            return Heard(self.address, evidence=(f"after the first connection: {trouble(error)}",))
        finally:
            for each in (line, self.spare):
                if each is not None:
                    each.close()

    def _first_line(self) -> Line:
        """A connection to the first address that takes one. Raises what the first of them raised."""
        first: OSError | None = None
        for address in self.question.addresses:
            self.address = address
            try:
                return Line(address, self.question.port, self.deadline)
            except OSError as error:
                first = first or error
        raise first or ConnectionRefusedError("it has no address")

    def _identified(self, line: Line) -> Heard:
        question = self.question
        known = question.first or question.custom
        self.spare = line
        if self.tls or (question.port in _USUALLY_TLS and all(each.http for each in known)):
            return self._in_tls(known)
        if question.http or (question.first and all(each.http for each in question.first)):
            return self._in_http()
        self.spare = None
        if not any(each.ask for each in question.first if not each.http):
            greeting = line.read(self._is_told, time.monotonic() + _GREETING_SECONDS)
            if greeting:
                return self._greeted(line, greeting)
        return self._spoken(line) or self._asked_blindly(line)

    # What it says by itself, and protocols of their own

    def _is_told(self, data: bytes) -> bool:
        return any(fits_bytes(each, data) for each in self.question.every if not (each.http or each.ask or each.said))

    def _greeted(self, line: Line, greeting: bytes) -> Heard:
        found = best(
            each for each in self.question.every if not each.ask and not each.said and fits_bytes(each, greeting)
        )
        line.close(bytes.fromhex(found.bye) if found else b"")
        first = greeting.decode("latin-1").partition("\n")[0].strip()
        if not first.isprintable():
            return self._of(
                found,
                greeting,
                f"it greets as {found.service} does" if found else "it greets in a way that is not known",
            )
        return self._of(found, greeting, f'it greets with "{shown(first, 60)}"')

    def _spoken(self, line: Line) -> Heard | None:
        """Asks in the protocols that are known to be, or customarily, spoken there."""
        tried: set[str] = set()
        for each in (*self.question.first, *self.question.custom):
            if each.http or not each.ask or each.ask in tried or self.left <= 0:
                continue
            if tried:
                line = self._line()
            tried.add(each.ask)
            data = self._said(line, each)
            line.close(bytes.fromhex(each.bye) if fits_bytes(each, data) else b"")
            found = best(other for other in self.question.every if other.ask == each.ask and fits_bytes(other, data))
            if found:
                return self._of(found, data, f"it answers as {found.service} does")
            if parse(data):
                return self._in_http()
        return None

    def _said(self, line: Line, fingerprint: Fingerprint) -> bytes:
        """What comes back to a fingerprint's question."""
        self.left -= 1
        line.send(bytes.fromhex(fingerprint.ask))
        return line.read(lambda data: fits_bytes(fingerprint, data), time.monotonic() + self._patience())

    def _asked_blindly(self, line: Line) -> Heard:
        """Asks what nothing is known of, in HTTP first, since that is what most of them speak."""
        question = self.question
        if not question.blind:
            return self._unknown("it says nothing unasked")
        line = line if self.left == QUESTIONS else Line(self.address, question.port, self.deadline)
        self.left -= 1
        path = next(self._paths())
        line.send(_BLIND.format(path).encode("ascii"))
        data = line.read(is_whole, time.monotonic() + self._patience())
        line.close()
        answer = parse(data)
        if answer is not None and _asks_for_tls(answer):
            return self._in_tls(question.custom)
        if answer is not None:
            self.answers[path] = answer
            return self._in_http()
        if data.startswith(_TLS_RECORD):
            return self._in_tls(question.custom)
        found = best(
            each for each in question.every if not each.http and (each.said or each.ask) and fits_bytes(each, data)
        )
        if found:
            return self._of(found, data, f"to HTTP it answers as {found.service} does")
        if data:
            return self._unknown(f'to HTTP it says "{shown(data.decode("latin-1").strip(), 40)}"')
        return self._silent()

    def _silent(self) -> Heard:
        """What answers HTTP with nothing: a PostgreSQL, or a TLS that does not like plain text."""
        ssl_request = next((each for each in self.question.every if each.service == "PostgreSQL"), None)
        if ssl_request and self.left > 0:
            line = Line(self.address, self.question.port, self.deadline)
            data = self._said(line, ssl_request)
            line.close()
            if fits_bytes(ssl_request, data):
                return self._of(ssl_request, data, f"it answers as {ssl_request.service} does")
        return self._in_tls(()) if self.left > 0 else self._unknown("it answers neither HTTP nor TLS")

    def _in_tls(self, known: Iterable[Fingerprint]) -> Heard:
        """Goes on inside TLS. What fails there is said; what answers in plain HTTP all the same is asked so."""
        import ssl

        plain, self.tls = self.tls, True
        try:
            line = self._line()
        except (ssl.SSLError, OSError) as error:
            self.tls = plain
            if isinstance(error, ssl.SSLError) and "ALERT" in str(error):
                return self._unknown("it speaks TLS, and refuses us: it may want a certificate").replace(speaks="tls")
            if self.question.http or self.question.port in _USUALLY_TLS:
                self.tls = False
                return self._in_http()
            return self._unknown("it answers neither HTTP nor TLS")
        own = [each for each in known if not each.http]
        if own and not self.question.http:
            return self._spoken(line) or self._unknown("it speaks TLS").replace(speaks="tls")
        self.spare = line
        return self._in_http()

    def _line(self) -> Line:
        """A connection on which nothing was said yet. Raises OSError, ssl.SSLError among them."""
        line, self.spare = self.spare or Line(self.address, self.question.port, self.deadline), None
        if self.tls and not line.secured:
            line.secure(self.question.host)
        return line

    # HTTP

    def _in_http(self) -> Heard:
        """Asks for the paths that tell most, until a product is known."""
        for path in self._paths():
            if self._is_known() or self.left <= 0:
                break
            if path in self.answers:
                continue
            answer = self._get(path)
            if answer is None and not self.answers:
                break
            if answer is not None and not self.tls and _asks_for_tls(answer):
                self.answers.clear()
                return self._in_tls(())
        if not self.answers:
            return self._unknown("it takes connections, and answers no HTTP")
        return self._told_by_http()

    def _is_known(self) -> bool:
        """Whether a product is known. One that is imitated is asked what its imitators answer, unless its owner's name tells who it is."""
        found = self._best()
        if found is None or found.generic:
            return False
        if found.imitated and found not in self.question.first and found.imitated not in self.answers and self.left > 0:
            self._get(found.imitated)  # no answer leaves it in doubt
        return True

    def _get(self, path: str, headers: Iterable[tuple[str, str]] = ()) -> Answer | None:
        self.left -= 1
        host = self.question.host
        named = f"[{host}]:{self.question.port}" if ":" in host else f"{host}:{self.question.port}"
        asking = {name: value for each in self._asking(path) for name, value in each.send.items()}
        try:
            line = self._line()
            try:
                line.send(request(path, named, {**asking, **dict(headers)}))
                answer = parse(line.read(is_whole, time.monotonic() + self._patience()))
            finally:
                line.close()
        except OSError:
            return None
        if answer is not None:
            self.answers[path] = answer
        return answer

    def _asking(self, path: str) -> Iterator[Fingerprint]:
        return (each for each in self.question.every if each.http and each.ask == path)

    def _paths(self) -> Iterator[str]:
        """Paths in the order in which they are asked for; what the answers told so far decides how it goes on."""
        yield from dict.fromkeys(each.ask for each in self.question.first if each.http)
        custom = [each for each in self.question.custom if each.http]
        asks = dict.fromkeys(each.ask for each in custom)
        if len(asks) < QUESTIONS:
            yield from asks
        yield NOWHERE
        found = self._best()
        stack = found.stack if found else self._stack()
        if not (found and found.own_pages):
            yield "/"
        yield from (each.ask for each in custom if each.stack == stack)
        yield from (path for habit, path in _AFTERWARDS.items() if habit == stack or habit in self._server())
        yield from (each.ask for each in custom if not each.stack)

    def _server(self) -> str:
        answer = next(iter(self.answers.values()), None)
        return answer.headers.get("server", "").lower() if answer else ""

    def _stack(self) -> str:
        """What the server is written in, by its habits; "" where none shows."""
        server = self._server()
        for stack, names in _STACKS:
            if any(name in server for name in names):
                return stack
        answer = next(iter(self.answers.values()), None)
        body = answer.body.strip() if answer else ""
        if body in ("404 page not found", "page not found") or body.startswith('{"message":"page not found"'):
            return "go"
        if answer and answer.status == 404 and not (server or body):
            return "rust"
        return "node" if f"Cannot GET {NOWHERE}" in body else ""

    def _best(self) -> Fingerprint | None:
        hinted = {each.service for each in self.question.first}
        found = [
            each for each in self.question.every for path, answer in self.answers.items() if fits(each, answer, path)
        ]
        return best(each for each in found if each.service in hinted) or best(found)

    def _told_by_http(self) -> Heard:
        speaks = "https" if self.tls else "http"
        found = self._best()
        if found is None:
            return self._by_header(speaks)
        path, answer = next((path, answer) for path, answer in self.answers.items() if fits(found, answer, path))
        version, _ = self._version(found, answer)
        evidence = [f"GET {path} is answered ({answer.status}) as {found.service} does"]
        if found.imitated and found not in self.question.first and found.imitated not in self.answers:
            evidence.append("others answer so too: that was not asked, for want of questions")
            found = found.replace(confidence="low")
        return Heard(self.address, "", found.service, version, found, speaks, tuple(evidence))

    def _version(self, found: Fingerprint, answer: Answer) -> tuple[str | None, str | None]:
        path = found.version.get("ask")
        if path:
            asked = self.answers.get(path) or (self._get(path) if self.left > 0 else None)
            return told(found.version, asked) if asked else (None, None)
        return told(found.version, answer)

    def _by_header(self, speaks: str) -> Heard:
        """What the Server header says (RFC 9110, 10.2.4), where no fingerprint fits."""
        answer = next(iter(self.answers.values()))
        server = shown(answer.headers.get("server", "").strip(), 40)
        product, _, version = server.partition(" ")[0].partition("/")
        evidence = f"it answers HTTP with status {answer.status}" + (f", Server: {server}" if server else "")
        return Heard(self.address, "", product or "HTTP server", version or None, None, speaks, (evidence,))

    # Ends

    def _of(self, found: Fingerprint | None, data: bytes, evidence: str) -> Heard:
        if found is None:
            return self._unknown(evidence)
        version, service = told(found.version, data)
        if version is None and "hex" in found.version and self.left > 0:
            version, service = self._version_of(found)
        speaks = "tls" if self.tls else "tcp"
        return Heard(self.address, "", service or found.service, version, found, speaks, (evidence,))

    def _version_of(self, found: Fingerprint) -> tuple[str | None, str | None]:
        self.left -= 1
        try:
            line = self._line()
            try:
                line.send(bytes.fromhex(found.version["hex"]))
                until = time.monotonic() + self._patience()
                data = line.read(lambda data: told(found.version, data)[0] is not None and data.endswith(b"\n"), until)
            finally:
                line.close()
        except OSError:
            return None, None
        return told(found.version, data)

    def _unknown(self, evidence: str) -> Heard:
        return Heard(self.address, evidence=(evidence,))

    def _patience(self) -> float:
        """How long one answer is waited for, in seconds."""
        return max(_QUESTION_SECONDS, self.question.seconds / QUESTIONS)


def _asks_for_tls(answer: Answer) -> bool:
    return any(text in answer.body for text in _WANTS_TLS)


def trouble(error: OSError) -> str:
    """Why a connection was not taken, in a few words."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error) or "failed").lower()
