"""nginx configuration: what it listens on, and where it passes requests to.

    listen 80;   listen 127.0.0.1:8080 ssl;   listen [::]:80;   listen *:443 quic;            host
    proxy_pass http://backend:5000;   fastcgi_pass php:9000;   grpc_pass grpc://api:50051;    URL
    upstream api { server backend:5000 weight=2; }                                            URL
    return 301 https://$host:8443$request_uri;                                                URL of this machine

Source: the modules core, proxy, fastcgi, grpc, upstream and rewrite of nginx.org; words are told apart as ngx_conf_file.c
does. A `listen` without a port, a variable in its place and a `unix:` path write no port. Whether it is the host or a
container that listens, this file does not tell. Other servers keep files in `conf.d` and `sites-available` too: a text
without a `server` or `upstream` block gives nothing, unless its path says nginx.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats import urls
from portward.formats.text import Lines, Source
from portward.model import PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = re.compile(r"^[ \t]*(?:server|upstream[ \t]+[\w.-]+)\s*\{", re.MULTILINE)
_TEMPLATE = re.compile(r"\{\{|\{%")  # of Jinja or Helm: its values are made elsewhere
_BLANK = re.compile(r"(?:\s|#[^\n]*)*")
_QUOTED = re.compile(r"([\"'])((?:\\.|(?!\1)[^\\])*)\1(?=[\s;{)])", re.DOTALL)
_BARE = re.compile(r"(?:\\.|\$\{|[^\s;{\\])+", re.DOTALL)
_LUA = re.compile(r"(?:--)?\[(?P<level>=*)\[|--[^\n]*|\"(?:\\.|[^\"\\\n])*\"?|'(?:\\.|[^'\\\n])*'?|[{}]", re.DOTALL)
_HOST = r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?)"
_LISTEN = re.compile(rf"(?:(?:\*|{_HOST}):)?(?P<port>[0-9]{{1,10}}(?:-[0-9]{{1,10}})?)")
_ADDRESS = re.compile(rf"{_HOST}:(?P<port>[0-9]{{1,10}})")
_REDIRECT = re.compile(r"https?://\$(?:\w+|\{\w+\}):(?P<port>[0-9]{1,10})(?![0-9A-Za-z_])")
_PASSING = ("proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass", "set")


class Word(Record):
    """A word of a directive without its quotes, and where it starts."""

    value: str
    start: int


class Directive(Record):
    """A directive's words, its name first, and the name of the block that it stands in."""

    words: tuple[Word, ...]
    block: str


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file. Raises InvalidFile, with the place, for what nginx would not parse."""
    source = Source(text, path, "nginx")
    is_certain = path.rpartition("/")[2] == "nginx.conf" or _BLOCK.search(source.text) is not None
    if _TEMPLATE.search(source.text) or not (is_certain or "nginx" in path):
        return []
    try:
        return [spec for directive in directives(source.text, path) for spec in _ports(source, directive)]
    except InvalidFile:
        if is_certain:
            raise
        return []


def _ports(source: Source, directive: Directive) -> Iterator[PortSpec]:
    name, arguments = directive.words[0].value, directive.words[1:]
    first = arguments[0] if arguments else directive.words[0]
    if name == "listen" and (listen := _LISTEN.fullmatch(first.value)):
        is_udp = any(word.value in ("udp", "quic") for word in arguments)
        host_ip = _host_ip(listen["host"])
        yield source.port(_span(listen, first), host_ip=host_ip, protocol="udp" if is_udp else "tcp")
        return
    target = arguments[-1] if name == "set" and arguments else first
    is_address = name in _PASSING or (name == "server" and directive.block == "upstream")
    if is_address and (address := _ADDRESS.fullmatch(target.value)):
        host = address["host"].strip("[]")
        yield source.port(_span(address, target), Role.URL, urls.side(host), host=host)
        return
    for word in directive.words:
        for url in urls.find(word.value, word.start):
            yield source.port(url.span, Role.URL, urls.side(url.host), host=url.host)
        if name in ("return", "rewrite"):
            for redirect in _REDIRECT.finditer(word.value):
                yield source.port(_span(redirect, word), Role.URL, Side.HOST)


def _span(match: re.Match[str], word: Word) -> Span:
    start, end = match.span("port")
    return Span(word.start + start, word.start + end)


def _host_ip(host: str | None) -> str:
    """The numeric address that `listen` names; a name that only the machine can look up counts as any."""
    if host == "localhost":
        return "127.0.0.1"
    return urls.bound((host or "").strip("[]"))


def directives(text: str, path: str) -> Iterator[Directive]:
    """The directives of a text in their order, those that open a block included. Raises InvalidFile where one is broken."""
    blocks: list[str] = []
    words: list[Word] = []
    at = 0
    while (at := _after_blank(text, at)) < len(text):
        char = text[at]
        if char in ";{" and words:
            yield Directive(tuple(words), blocks[-1] if blocks else "")
            at += 1
            if char == "{" and words[0].value.endswith("_by_lua_block"):
                at = _after_lua(text, at, path)
            elif char == "{":
                blocks.append(words[0].value)
            words = []
        elif char == "}" and blocks and not words:
            blocks.pop()
            at += 1
        elif char in ";{}":
            raise _refusal(f"{char} is not expected here", text, at, path)
        else:
            word, at = _word(text, at, path)
            words.append(word)
    if words or blocks:
        raise _refusal(f"the end of {words[0].value if words else blocks[-1]!r} is missing", text, len(text), path)


def _after_blank(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _word(text: str, at: int, path: str) -> tuple[Word, int]:
    is_quoted = text[at] in "\"'"
    word = (_QUOTED if is_quoted else _BARE).match(text, at)
    if word is None:
        raise _refusal("this word has no end", text, at, path)
    return Word(word[2] if is_quoted else word[0], at + is_quoted), word.end()


def _after_lua(text: str, at: int, path: str) -> int:
    """Where the Lua code of a block ends: behind the brace that closes it."""
    start, depth = at, 1
    while token := _LUA.search(text, at):
        at = token.end()
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return at
        if token["level"] is not None:  # a long string or comment
            closing = f"]{token['level']}]"
            at = text.find(closing, at) + len(closing)
            if at < len(closing):
                break
    raise _refusal("this Lua block has no end", text, start, path)


def _refusal(message: str, text: str, at: int, path: str) -> InvalidFile:
    place = Lines(path, text).at(at)
    return InvalidFile(f"not valid nginx configuration: {message}", path=path, line=place.line, column=place.column)
