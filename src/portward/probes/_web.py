"""Which server it is, among those that speak HTTP: the paths that tell most, and what their answers mean together."""

from __future__ import annotations

from portward.probes._http import Answer, asks_for_tls, is_whole, parse, request
from portward.probes._judge import best, fits, told
from portward.probes._question import QUESTIONS, Heard
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Fingerprint
    from portward.probes._session import Session

NOWHERE = "/__portward"
"""A path that no server has: its answer has the headers, and no page of anybody's is made for it."""

_STACKS = (
    ("python", ("uvicorn", "hypercorn", "gunicorn", "werkzeug", "tornadoserver", "wsgiserver", "python", "daphne")),
    ("java", ("jetty", "netty", "tomcat", "undertow")),
)
_AFTERWARDS = {"tornadoserver": "/api", "uvicorn": "/openapi.json", "go": "/version", "rust": "/api/v2/heartbeat"}
"""By server, or by what it is written in: the path that tells most of those whose first page tells nothing."""


class Web:
    """What a target answers in HTTP. `answers` has them by path."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._question = session.question
        self.answers: dict[str, Answer] = {}

    def explore(self) -> bool:
        """Asks for one path after the other, until a product is known or nothing more may be asked.

        False if it answers that it wants TLS: then nothing of it is kept.
        """
        for path in self.paths():
            if self._is_known() or self._session.left <= 0:
                break
            if path in self.answers:
                continue
            answer = self._get(path)
            if answer is None and not self.answers:
                break
            if answer is not None and not self._session.tls and asks_for_tls(answer):
                self.answers.clear()
                return False
        return True

    def _is_known(self) -> bool:
        """Whether a product is known. One that is imitated is asked what its imitators answer, unless its owner's name tells who it is."""
        found = self._best()
        if found is None or found.generic:
            return False
        if (
            found.imitated
            and found not in self._question.first
            and found.imitated not in self.answers
            and self._session.left > 0
        ):
            self._get(found.imitated)  # no answer leaves it in doubt
        return True

    def _get(self, path: str) -> Answer | None:
        host, port = self._question.host, self._question.port
        named = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        likely = (*self._question.first, *self._question.custom)
        headers = {name: value for each in likely if each.ask == path for name, value in each.send.items()}
        try:
            answer = parse(self._session.ask(request(path, named, headers), is_whole))
        except OSError:
            return None
        if answer is not None:
            self.answers[path] = answer
        return answer

    def paths(self) -> Iterator[str]:
        """Paths in the order in which they are asked for; what the answers told so far decides how it goes on."""
        yield from dict.fromkeys(each.ask for each in self._question.first if each.http)
        custom = [each for each in self._question.custom if each.http]
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
        hinted = {each.service for each in self._question.first}
        found = [
            each for each in self._question.every for path, answer in self.answers.items() if fits(each, answer, path)
        ]
        return best(each for each in found if each.service in hinted) or best(found)

    def heard(self) -> Heard:
        """What the answers tell together."""
        speaks = "https" if self._session.tls else "http"
        if not self.answers:
            return Heard(self._session.address, evidence=("it takes connections, and answers no HTTP",))
        found = self._best()
        if found is None:
            return self._by_header(speaks)
        path, answer = next((path, answer) for path, answer in self.answers.items() if fits(found, answer, path))
        version, _ = self._version(found, answer)
        evidence = [f"GET {path} is answered ({answer.status}) as {found.service} does"]
        if found.imitated and found not in self._question.first and found.imitated not in self.answers:
            evidence.append("others answer so too: that was not asked, for want of questions")
            found = found.replace(confidence="low")
        return Heard(self._session.address, "", found.service, version, found, speaks, tuple(evidence))

    def _version(self, found: Fingerprint, answer: Answer) -> tuple[str | None, str | None]:
        path = found.version.get("ask")
        if path:
            asked = self.answers.get(path) or (self._get(path) if self._session.left > 0 else None)
            return told(found.version, asked) if asked else (None, None)
        return told(found.version, answer)

    def _by_header(self, speaks: str) -> Heard:
        """What the Server header says (RFC 9110, 10.2.4), where no fingerprint fits."""
        answer = next(iter(self.answers.values()))
        server = shown(answer.headers.get("server", "").strip(), 40)
        product, _, version = server.partition(" ")[0].partition("/")
        evidence = f"it answers HTTP with status {answer.status}" + (f", Server: {server}" if server else "")
        return Heard(self._session.address, "", product or "HTTP server", version or None, None, speaks, (evidence,))
