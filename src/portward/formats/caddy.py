"""`Caddyfile`: the sites that Caddy serves, and where it passes requests to.

    { http_port 8080 }                          host
    :8080, localhost:{$PORT:8081} { … }         host, and the default of a variable
    reverse_proxy /api/* backend:5000           URL; also `to`, `php_fastcgi` and `forward_auth`
    redir https://{host}:8443{uri}              URL of this machine
    respond <<HTML … HTML                       one word of several lines

Source: the Caddy documentation, "Caddyfile Concepts", "Global options", "reverse_proxy". The host of a site's address chooses
requests and is not what Caddy binds. A single site may go without braces: its directives follow its first line.
"""

from __future__ import annotations

import re

from portward.formats import urls
from portward.formats.text import Source
from portward.model import PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TOKEN = re.compile(
    r"\\\r?\n|(?P<end>\n)|#[^\n]*|\"(?P<double>(?:[^\"\\]|\\.)*)\"|`(?P<ticks>[^`]*)`|(?P<bare>[^\s]+)", re.DOTALL
)
_HEREDOC = re.compile(r"<<([\w-]+)\r?\n")
_PORT = r"(?:(?P<port>[1-9][0-9]{0,9}(?:-[0-9]{1,10})?)|\{\$(?P<variable>\w+):(?P<default>[1-9][0-9]{0,9})\})"
_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_*](?:[A-Za-z0-9_.*-]*[A-Za-z0-9_])?)"
_SITE = re.compile(rf"(?:https?://)?(?:{_HOST}|\{{\$\w+(?::[^{{}}]*)?\}})?:{_PORT}(?:/\S*)?,?")
_UPSTREAM = re.compile(rf"(?:(?:https?|h2c)://)?{_HOST}?:{_PORT}/?")
_ALONE = re.compile(_PORT)
_REDIRECT = re.compile(r"https?://\{[\w.]+\}:(?P<port>[1-9][0-9]{0,9})(?![0-9A-Za-z_])")
_PASSING = ("reverse_proxy", "to", "php_fastcgi", "forward_auth")


class Token(Record):
    """A word without its quotes, and where it starts."""

    value: str
    start: int


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file, in the order of the text."""
    source = Source(text, path, "caddy")
    specs: list[PortSpec] = []
    depth = 0
    is_global = is_open = goes_on = False
    for tokens in _lines(source.text):
        opens = tokens[-1].value == "{"
        closes = tokens[0].value == "}"
        words = tokens[closes : len(tokens) - (opens and len(tokens) > closes)]
        if depth == 0 and not closes and (not is_open or goes_on):
            specs += (spec for word in words for spec in _site(source, word))
            goes_on = bool(words) and words[-1].value.endswith(",")
            is_global = opens and not words
            is_open = not opens and not goes_on
        elif words:
            specs += _directive(source, words, is_global)
        depth = max(0, depth + opens - closes)
    return sorted({spec.span: spec for spec in specs}.values(), key=lambda spec: spec.span.start)


def _lines(text: str) -> Iterator[Sequence[Token]]:
    """The words of each line that has any. A line goes on after a backslash, and inside quotes and heredocs."""
    tokens: list[Token] = []
    position, has_heredocs = 0, True
    while token := _TOKEN.search(text, position):
        kind, position = token.lastgroup, token.end()
        begin = _HEREDOC.match(text, token.start()) if kind == "bare" and has_heredocs else None
        if begin:
            end = re.compile(rf"^[ \t]*{begin[1]}(?!\S)", re.MULTILINE).search(text, begin.end())
            has_heredocs = end is not None  # one that does not end is an error for Caddy: no other is looked for
            if end:
                tokens.append(Token(text[begin.end() : end.start()], begin.end()))
                position = end.end()
                continue
        if kind == "end" and tokens:
            yield tokens
            tokens = []
        elif kind not in (None, "end"):
            tokens.append(Token(token[kind], token.start(kind)))
    if tokens:
        yield tokens


def _site(source: Source, word: Token) -> Iterator[PortSpec]:
    """The port of a site's address; a snippet's name `(a)` is none."""
    if site := _SITE.fullmatch(word.value):
        yield _spec(source, site, word, Role.HOST, Side.HOST, None)


def _directive(source: Source, words: Sequence[Token], is_global: bool) -> Iterator[PortSpec]:
    name, values = words[0].value, words[1:]
    if is_global:
        for word in values if name in ("http_port", "https_port") else ():
            if port := _ALONE.fullmatch(word.value):
                yield _spec(source, port, word, Role.HOST, Side.HOST, None)
        for word in values if name == "admin" else ():
            yield from _site(source, word)
        return
    for word in values:
        upstream = _UPSTREAM.fullmatch(word.value) if name in _PASSING else None
        if upstream:
            host = (upstream["host"] or "localhost").strip("[]")
            yield _spec(source, upstream, word, Role.URL, urls.side(host), host)
            continue
        for url in urls.find(word.value, word.start):
            yield source.port(url.span, Role.URL, urls.side(url.host), host=url.host)
        for redirect in _REDIRECT.finditer(word.value):
            yield _spec(source, redirect, word, Role.URL, Side.HOST, None)


def _spec(source: Source, found: re.Match[str], word: Token, role: Role, side: Side, host: str | None) -> PortSpec:
    groups = found.groupdict()
    group = "default" if groups.get("variable") else "port"
    span = Span(word.start + found.start(group), word.start + found.end(group))
    if group == "default" and role is Role.HOST:
        role = Role.FALLBACK
    return source.port(span, role, side, host=host, variables=(groups["variable"],) if group == "default" else ())
