"""What is asked of one target, and what was heard: the nouns of this room."""

from __future__ import annotations

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Fingerprint

QUESTIONS = 3
"""The most that is sent to one target, greetings that are only waited for not counted."""

SECONDS = 1.5
"""How long one target may take, unless the caller says otherwise."""


class Question(Record):
    """One target: its numeric `addresses`, tried in turn until one takes the connection, and what is known before it is asked.

    `first` are the fingerprints of what its owner or the caller says is there, `custom` those of its port's customary services, `every`
    all there are. `host` is the name for the Host header and TLS. Unless `blind`, nothing is sent but what `first` and `custom` ask.
    `http` and `tls` say that it speaks that. `seconds` is the limit for everything.
    """

    addresses: tuple[str, ...]
    port: int
    every: tuple[Fingerprint, ...]
    first: tuple[Fingerprint, ...] = ()
    custom: tuple[Fingerprint, ...] = ()
    host: str = "localhost"
    blind: bool = True
    http: bool = False
    tls: bool = False
    seconds: float = SECONDS


class Heard(Record):
    """What a target said. `trouble` is why no connection was taken, "" if one was, by `address`.

    `service` and `version` are what the fingerprint tells; `speaks` is the protocol where it is known: "http", "https", "tls" or "tcp".
    `evidence` are sentences.
    """

    address: str = ""
    trouble: str = ""
    service: str | None = None
    version: str | None = None
    fingerprint: Fingerprint | None = None
    speaks: str | None = None
    evidence: tuple[str, ...] = ()
