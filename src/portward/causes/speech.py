"""What is spoken: TLS to a server that does not speak it, the reverse, or a server that takes the connection and says nothing."""

from __future__ import annotations

from portward.evidence import Evidence, Step
from portward.model import Fix
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import Speech

NAME = "protocol"
_HTTP = ("http", "https")


def check(evidence: Evidence) -> Iterator[Step]:
    speech = evidence.speech
    if speech is None:
        return
    if _is_wrapped_wrong(speech):
        yield _tls(evidence, speech)
    elif speech.timed_out:
        cause = (
            f"the server takes connections, and says nothing within {speech.seconds:.0f} s: it is stuck, or still busy"
        )
        yield Step(NAME, False, cause, cause, (Fix("look at its log, and at what it waits for", None, True),))
    elif _is_no_http(speech):
        who = shown(speech.service) if speech.service else "what answers"
        cause = (
            f"{who} on {evidence.target.port} does not speak HTTP: asked for a page, it gives {shown(speech.said, 60)}"
        )
        fix = Fix("see what it is", f"portward who {evidence.target.port}", True)
        yield Step(NAME, False, f"it answers with {shown(speech.said, 60)}", cause, (fix,))
    elif speech.status is not None:
        by = f" ({shown(speech.service)})" if speech.service else ""
        yield Step(NAME, True, f"it answers {speech.asked.upper()} with status {speech.status}{by}")
    elif speech.service:
        yield Step(NAME, True, f"{shown(speech.service)} answers")


def is_answered(evidence: Evidence) -> bool:
    """Whether a client that speaks as the target says gets an answer; True where nothing was said."""
    speech = evidence.speech
    return speech is None or not (speech.timed_out or _is_wrapped_wrong(speech) or _is_no_http(speech))


def _is_no_http(speech: Speech) -> bool:
    return speech.asked in _HTTP and speech.status is None


def _is_wrapped_wrong(speech: Speech) -> bool:
    return speech.asked in _HTTP and speech.tls is not None and speech.tls is not (speech.asked == "https")


def _tls(evidence: Evidence, speech: Speech) -> Step:
    target = evidence.target
    said = f": {shown(speech.said, 60)}" if speech.said else ""
    if speech.tls:
        cause = f"the server on {target.port} speaks TLS, and {target.scheme}:// speaks without"
        fix = Fix(f"ask for {_with(target.scheme, secure=True)}://{target.host}:{target.port}", None, True)
        return Step(NAME, False, f"it answers plain text as a TLS server does{said}", cause, (fix,))
    cause = f"the server on {target.port} does not speak TLS, and {target.scheme}:// does"
    fixes = (
        Fix(f"ask for {_with(target.scheme, secure=False)}://{target.host}:{target.port}", None, True),
        Fix("or give the server a certificate, and let it speak TLS", None, True),
    )
    return Step(NAME, False, f"it answers TLS in plain text{said}", cause, fixes)


def _with(scheme: str, *, secure: bool) -> str:
    pairs = (("http", "https"), ("ws", "wss"))
    for plain, wrapped in pairs:
        if scheme in (plain, wrapped):
            return wrapped if secure else plain
    return scheme
