"""Pure: an error text → what is wrong, which port, on which host. One file for each family of tools.

Each family is a table of wordings (`pattern.Pattern`), every one with an example of real output that a test reads. The first that
matches a line counts, so families that speak more exactly come first and what all systems print comes last. What a line leaves
open is told by its block (`places`), and by the whole text (`signs`, `judging`).
"""

from __future__ import annotations

from portward.records import Record
from portward.symptoms import (
    ai,
    browsers,
    clients,
    databases,
    docker,
    dotnet,
    erlang,
    go,
    java,
    javascript,
    kubernetes,
    node,
    others,
    php,
    python,
    ruby,
    rust,
    ssh,
    system,
    tongues,
    webservers,
)
from portward.symptoms.judging import judge
from portward.symptoms.pattern import Book, Pattern
from portward.symptoms.scan import Scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portward.model import Symptom

FAMILIES: dict[str, tuple[Pattern, ...]] = {
    "others": others.TABLE,
    "kubernetes": kubernetes.TABLE,
    "docker": docker.TABLE,
    "databases": databases.TABLE,
    "ai": ai.TABLE,
    "webservers": webservers.TABLE,
    "javascript": javascript.TABLE,
    "node": node.TABLE,
    "python": python.TABLE,
    "java": java.TABLE,
    "dotnet": dotnet.TABLE,
    "erlang": erlang.TABLE,
    "ruby": ruby.TABLE,
    "php": php.TABLE,
    "rust": rust.TABLE,
    "go": go.TABLE,
    "ssh": ssh.TABLE,
    "clients": clients.TABLE,
    "browsers": browsers.TABLE,
    "system": system.TABLE,
    "tongues": tongues.TABLE,
}
"""The families, in the order in which they are asked."""

_BOOK = Book(FAMILIES.values())


class Symptoms(Record):
    """What a text says: its troubles, and by name what it has that looks like one and is none (a name, a socket file, TLS)."""

    found: tuple[Symptom, ...]
    others: tuple[str, ...] = ()


def read(text: str | Iterable[str]) -> Symptoms:
    """What a text says of ports. `text` may come in pieces of any size; time grows with its length, memory does not."""
    scan = Scan(_BOOK).read([text] if isinstance(text, str) else text)
    return Symptoms(judge(scan), tuple(scan.others))
