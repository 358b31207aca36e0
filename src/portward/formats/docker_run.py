"""The ports that a `docker run` command publishes, in a document or among the arguments of a development container.

    docker run -d --name web -p 127.0.0.1:8080:80/tcp -p 9000 nginx

Source: docker-run(1), `--publish`; the value has the short syntax of Compose. Podman and nerdctl take the same. What stands
after the image belongs to the container's command and is not looked at.
"""

from __future__ import annotations

import re

from portward.formats.compose.ports import PortError, parse_short
from portward.model import PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.formats.text import Source

_COMMAND = re.compile(r"\b(?:docker|podman|nerdctl)[ \t]+(?:container[ \t]+)?(?:run|create)(?=[ \t])")
_PIECE = re.compile(
    r"(?P<blank>(?:[ \t]|[\\`^]\r?\n)+)"  # a line goes on after `\` (sh), a backtick (PowerShell) or `^` (cmd)
    r"|'(?P<single>[^'\n]*)'|\"(?P<double>[^\"\n]*)\""
    r"|(?P<bare>[^\s'\"`;|&<>()\\$]+)|(?P<other>\$\([^()\n]*\)|<[^<>\s]*>|\\\S|\$)"
)
_PUBLISH = re.compile(r"--publish(?:=(?P<long>.*))?|-[ditPq]*p(?:=?(?P<short>.+))?", re.DOTALL)
_ALONE = re.compile(
    r"-[ditPq]+|--(?:detach|interactive|tty|rm|init|privileged|read-only|publish-all|no-healthcheck|oom-kill-disable"
    r"|sig-proxy|quiet|disable-content-trust|replace|no-hosts|rmi)"
)
"""Options that take no word after them; every other one does."""


class Word(Record):
    """One argument, and where its first character stands. `is_plain` tells whether the text spells it out as it is."""

    value: str
    start: int
    is_plain: bool = True


def commands(text: str) -> Iterator[list[Word]]:
    """The arguments of every `docker run` in a text, each up to the end of its command."""
    at = 0
    while match := _COMMAND.search(text, at):
        words, at = _words(text, match.end())
        yield words


def ports(
    source: Source, words: Sequence[Word], service: str | None = None, role: Role = Role.HOST
) -> Iterator[PortSpec]:
    """What the arguments publish, for `--name` or else the service that is given. `role` is that of the host's ports."""
    options = list(_options(words))
    names = [value.value for name, value in options if name == "--name"]
    for name, value in options:
        if name == "--publish" and value.is_plain:
            yield from published(source, value, names[0] if names else service, role)


def published(source: Source, value: Word, service: str | None, role: Role = Role.HOST) -> Iterator[PortSpec]:
    """The host's and the container's port of one `[IP:][HOST:]CONTAINER[/PROTOCOL]`; nothing where Docker would refuse it."""
    try:
        found = parse_short(value.value)
    except PortError:
        return
    entry = found.entries[0]
    protocol, only = entry.protocol, len(found.entries) == 1
    if found.host is not None and entry.published != "0":
        span = _shift(found.host, value.start)
        yield source.port(
            span,
            role,
            target=entry.target if only else None,
            protocol=protocol,
            host_ip=entry.host_ip,
            service=service,
        )
    span = _shift(found.target, value.start)
    yield source.port(span, Role.CONTAINER, Side.CONTAINER, protocol=protocol, service=service)


def _shift(span: Span, start: int) -> Span:
    return Span(span.start + start, span.end + start)


def _options(words: Sequence[Word]) -> Iterator[tuple[str, Word]]:
    """The options `--publish` and `--name` with their values, up to the image."""
    at = 0
    while at < len(words) and words[at].value.startswith(("-", "...")):
        word, after = words[at], words[at + 1 : at + 2]
        at += 1
        publish = _PUBLISH.fullmatch(word.value)
        written = publish["long"] or publish["short"] if publish else None
        name, equals, rest = word.value.partition("=")
        if publish and written:
            start = word.start + len(word.value) - len(written)
            yield "--publish", Word(written, start, word.is_plain)
        elif name == "--name" and equals:
            yield "--name", Word(rest, word.start + len("--name="))
        elif not equals and not _ALONE.fullmatch(word.value) and after and not after[0].value.startswith("-"):
            at += 1
            yield "--publish" if publish else word.value, after[0]


def _words(text: str, at: int) -> tuple[list[Word], int]:
    """The words from an offset on up to the end of the command, and where that is."""
    words: list[Word] = []
    value, start, is_plain = "", -1, True
    while piece := _PIECE.match(text, at):
        kind = str(piece.lastgroup)
        if kind == "blank":
            if start >= 0:
                words.append(Word(value, start, is_plain))
            value, start, is_plain = "", -1, True
        else:
            is_plain = start < 0 and kind != "other"
            start = piece.start(kind) if start < 0 else start
            value += piece[kind]
        at = piece.end()
    if start >= 0:
        words.append(Word(value, start, is_plain))
    return words, at
