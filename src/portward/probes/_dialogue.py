"""The order in which one target is asked: what harms least, and tells most, comes first."""

from __future__ import annotations

import time

from portward.probes._http import asks_for_tls, is_whole, parse
from portward.probes._judge import best, fits_bytes, told
from portward.probes._question import Heard
from portward.probes._session import Session
from portward.probes._web import Web
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portward.model import Fingerprint
    from portward.probes._question import Question

_BLIND = "GET {} HTTP/1.0\r\n\r\n"
"""To what may be anything. No Host header, and no other: Redis takes each line for a command, and breaks off with an alarm at `Host:`."""

_GREETING_SECONDS = 0.3  # who speaks first has said something by then
_TLS_RECORD = (b"\x15\x03", b"\x16\x03")  # alert and handshake, RFC 8446, 5.1
_USUALLY_TLS = (443, 2376, 6443, 8443)


def identify(question: Question) -> Heard:
    """Asks one target until the service is known, or nothing more may be asked. Never raises for what the other side does."""
    session = Session(question)
    try:
        session.reach()
    except OSError as error:
        return Heard(session.address, trouble=trouble(error))
    try:
        return Dialogue(session).heard()
    except OSError as error:  # it stopped taking connections meanwhile
        return Heard(session.address, evidence=(f"after the first connection: {trouble(error)}",))
    finally:
        session.close()


class Dialogue:
    """All that is said with one target."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.question = session.question
        self.web = Web(session)

    def heard(self) -> Heard:
        """What the target is heard to be. Raises OSError where it takes no more connections."""
        question = self.question
        known = question.first or question.custom
        if self.session.tls or (question.port in _USUALLY_TLS and all(each.http for each in known)):
            return self._in_tls(known)
        if question.http or (question.first and all(each.http for each in question.first)):
            return self._in_http()
        if not any(each.ask for each in question.first if not each.http):
            greeted = self._greeted()
            if greeted is not None:
                return greeted
        return self._spoken() or self._asked_blindly()

    def _greeted(self) -> Heard | None:
        """What it says by itself. The connection serves the first question if it says nothing."""
        line = self.session.line()
        first = [each for each in self.question.every if not (each.http or each.ask or each.said)]
        until = time.monotonic() + _GREETING_SECONDS
        greeting = line.read(lambda data: any(fits_bytes(each, data) for each in first), until)
        if not greeting:
            self.session.spare = line
            return None
        found = best(each for each in first if fits_bytes(each, greeting))
        line.close(bytes.fromhex(found.bye) if found else b"")
        said = greeting.decode("latin-1").partition("\n")[0].strip()
        how = f'with "{shown(said, 60)}"' if said.isprintable() else "in bytes"
        return self._of(found, greeting, f"it greets {how}" + (f", as {found.service} does" if found else ""))

    def _spoken(self) -> Heard | None:
        """Asks in the protocols that are known to be, or customarily, spoken there."""
        asks = [each for each in (*self.question.first, *self.question.custom) if not each.http and each.ask]
        for each in {each.ask: each for each in asks}.values():
            if self.session.left <= 0:
                break
            data = self._said(each)
            found = best(other for other in self.question.every if other.ask == each.ask and fits_bytes(other, data))
            if found:
                return self._of(found, data, f"it answers as {found.service} does")
            if parse(data):
                return self._in_http()
        return None

    def _said(self, fingerprint: Fingerprint) -> bytes:
        """What comes back to a fingerprint's question."""

        def fits(data: bytes) -> bool:
            return fits_bytes(fingerprint, data)

        leave = bytes.fromhex(fingerprint.bye)
        return self.session.ask(bytes.fromhex(fingerprint.ask), fits, bye=lambda said: leave if fits(said) else b"")

    def _asked_blindly(self) -> Heard:
        """Asks what nothing is known of, in HTTP first, since that is what most of them speak."""
        question = self.question
        if not question.blind or self.session.left <= 0:
            return self._unknown("it says nothing unasked")
        path = next(self.web.paths())
        data = self.session.ask(_BLIND.format(path).encode("ascii"), is_whole)
        answer = parse(data)
        if data.startswith(_TLS_RECORD) or (answer is not None and asks_for_tls(answer)):
            return self._in_tls(question.custom)
        if answer is not None:
            self.web.answers[path] = answer
            return self._in_http()
        others = (each for each in question.every if not each.http and (each.said or each.ask))
        found = best(each for each in others if fits_bytes(each, data))
        if found:
            return self._of(found, data, f"to HTTP it answers as {found.service} does")
        if data:
            return self._unknown(f'to HTTP it says "{shown(data.decode("latin-1").strip(), 40)}"')
        return self._silent()

    def _silent(self) -> Heard:
        """What answers HTTP with nothing: a PostgreSQL, or a TLS that does not like plain text."""
        ssl_request = next((each for each in self.question.every if each.service == "PostgreSQL"), None)
        if ssl_request and self.session.left > 0:
            data = self._said(ssl_request)
            if fits_bytes(ssl_request, data):
                return self._of(ssl_request, data, f"it answers as {ssl_request.service} does")
        return self._in_tls(()) if self.session.left > 0 else self._unknown("it answers neither HTTP nor TLS")

    def _in_http(self) -> Heard:
        return self.web.heard() if self.web.explore() else self._in_tls(())

    def _in_tls(self, known: Iterable[Fingerprint]) -> Heard:
        """Goes on inside TLS. What fails there is said; what answers in plain HTTP all the same is asked so."""
        import ssl

        self.session.tls = True
        try:
            self.session.spare = self.session.line()
        except OSError as error:  # ssl.SSLError is one
            self.session.tls = False
            if isinstance(error, ssl.SSLError) and "ALERT" in str(error):
                return self._unknown("it speaks TLS, and refuses us: it may want a certificate").replace(speaks="tls")
            if self.question.http or self.question.port in _USUALLY_TLS:
                return self._in_http()
            return self._unknown("it answers neither HTTP nor TLS")
        if not self.question.http and not all(each.http for each in known):
            return self._spoken() or self._unknown("it speaks TLS").replace(speaks="tls")
        return self._in_http()

    def _of(self, found: Fingerprint | None, data: bytes, evidence: str) -> Heard:
        if found is None:
            return self._unknown(evidence)
        version, service = told(found.version, data)
        if version is None and "hex" in found.version and self.session.left > 0:
            version, service = self._version_of(found)
        speaks = "tls" if self.session.tls else "tcp"
        return Heard(self.session.address, "", service or found.service, version, found, speaks, (evidence,))

    def _version_of(self, found: Fingerprint) -> tuple[str | None, str | None]:
        def is_told(data: bytes) -> bool:
            return told(found.version, data)[0] is not None and data.endswith(b"\n")

        try:
            return told(found.version, self.session.ask(bytes.fromhex(found.version["hex"]), is_told))
        except OSError:
            return None, None

    def _unknown(self, evidence: str) -> Heard:
        return Heard(self.session.address, evidence=(evidence,))


def trouble(error: OSError) -> str:
    """Why a connection was not taken, in a few words."""
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return (error.strerror or str(error) or "failed").lower()
