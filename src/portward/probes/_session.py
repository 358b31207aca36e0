"""One target while it is asked: where it is reached, how many questions are left, and until when."""

from __future__ import annotations

import time

from portward.probes._line import Line
from portward.probes._question import QUESTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.probes._question import Question

_QUESTION_SECONDS = 1.0


class Session:
    """Connections to one target, a new one for each question, as servers expect it. `left` are the questions that may still be asked.

    `spare` is a connection on which nothing was said yet; `tls` is whether all goes through TLS.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.address = ""
        self.deadline = time.monotonic() + question.seconds
        self.left = QUESTIONS
        self.tls = question.tls
        self.spare: Line | None = None

    def reach(self) -> None:
        """Connects to the first address that takes it. Raises what the first of them raised."""
        first: OSError | None = None
        for address in self.question.addresses:
            self.address = address
            try:
                self.spare = Line(address, self.question.port, self.deadline)
            except OSError as error:
                first = first or error
            else:
                return
        raise first or ConnectionRefusedError("it has no address")

    def line(self) -> Line:
        """A connection on which nothing was said yet. Raises OSError, ssl.SSLError among them."""
        line, self.spare = self.spare or Line(self.address, self.question.port, self.deadline), None
        if self.tls and not line.secured:
            line.secure(self.question.host)
        return line

    def ask(
        self, data: bytes, enough: Callable[[bytes], bool], *, bye: Callable[[bytes], bytes] = lambda _said: b""
    ) -> bytes:
        """What comes back to a question, which is one less that may be asked; `bye` gives the last word. Raises OSError."""
        line = self.line()
        said = b""
        try:
            self.left -= 1
            line.send(data)
            said = line.read(enough, time.monotonic() + max(_QUESTION_SECONDS, self.question.seconds / QUESTIONS))
        finally:
            line.close(bye(said))
        return said

    def close(self) -> None:
        """Ends what is still open."""
        if self.spare is not None:
            self.spare.close()
            self.spare = None
