"""The ports in the syntax tree of a Python source: see `python.py`, which reads the files."""

from __future__ import annotations

import ast
import re

from portward.formats import python_tree, urls
from portward.model import ANY, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from portward.formats.python_tree import Tree, Use
    from portward.formats.text import Source
    from portward.model import PortSpec

_ANY_PORT = "65535"  # outside a fallback, the end of a range and no port
_MANY = 100  # how many keywords or keys are looked at for a host
_DIGITS = re.compile(r"[1-9][0-9]")
_INTEGER = re.compile(r"[1-9][0-9]{0,9}(?:_[0-9]{1,9}){0,9}")
_TEXT_OF_DIGITS = re.compile(r"[rRbBuU]{0,2}('''|\"\"\"|'|\")([1-9][0-9]{0,9})\1")
_ADDRESS = re.compile(
    r"[rRuUfF]{0,2}('''|\"\"\"|'|\")(?P<host>\[[0-9A-Fa-f:.]*\]|[\w.*-]*):(?P<port>[1-9][0-9]{0,9})\1"
)
_FORMATTED = re.compile(r"[rR]?[fF][rR]?['\"]")
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_EVERY_ADDRESS = ("", "0.0.0.0", "::", "*")
_OPENING = re.compile(r"\{\{|\{")
_BRACE = re.compile(r"[{}]")
_STRING = re.compile(r"""[A-Za-z]{0,2}('{3}|"{3}|['"])([^'"\n]*)\1""")
_WHOLE_PORT = re.compile(r":[0-9]{4,}\Z")

_CLIENT = re.compile(
    r"(?i)client|connect|pool|redis|mongo|smtp|elastic|producer|consumer|memcache|session|tunnel|broker"
)
_WITH_ADDRESS = re.compile(r"bind|connect|connect_ex|create_connection|sendto|\w*Server")
_PORT_ARGUMENT = {  # of the calls that take a port without a name: its position
    "make_server": 1,
    "run": 1,
    "run_simple": 1,
    "start_http_server": 0,
    "start_server": 2,
    "create_server": 2,
    "open_connection": 1,
    "Redis": 1,
    "StrictRedis": 1,
    "MongoClient": 1,
    "SMTP": 1,
    "SMTP_SSL": 1,
}
_ADDRESS_NAMES = {"bind", "binds", "insecure_bind", "quic_bind", "listen"}
_ADDRESS_CALLS = {"add_insecure_port", "add_secure_port"}
_HOST_NAMES = {"host", "hostname", "server", "addr", "address", "bind_addr"}


class _Place(Record):
    """Whose port a number is: the program's own, on `host_ip`, or another's, of `host` where that is told."""

    is_other: bool = False
    host: str | None = None
    host_ip: str = ANY


def find(source: Source, path: str) -> list[PortSpec]:
    """The ports of a source, in its order, each once. Raises InvalidFile for what `ast` refuses."""
    reader = _Reader(source, python_tree.parse(source.text, path))
    specs = {spec.span: spec for literal in reader.tree.literals() for spec in reader.ports(literal)}
    return sorted(specs.values(), key=lambda spec: spec.span.start)


class _Reader:
    """Reads the ports off the literals of one source."""

    def __init__(self, source: Source, tree: Tree) -> None:
        self.source = source
        self.tree = tree

    def ports(self, literal: ast.Constant | ast.JoinedStr) -> Iterator[PortSpec]:
        """The ports that a literal writes: its own number, that of an address, or those of the URLs in it."""
        written = self.tree.span(literal)
        number = self._number(written)
        if number is not None:
            yield from self._number_port(number, self.tree.use(literal))
            return
        raw = self.source.text[written.start : written.end]
        if ":" in raw and _DIGITS.search(raw):
            yield from self._urls(literal, raw, written.start)
            yield from self._address(literal, _masked(raw)[0], written.start)

    def _number(self, written: Span) -> Span | None:
        """The digits of a decimal integer, or of a string that holds nothing else."""
        if _INTEGER.fullmatch(self.source.text, written.start, written.end):
            return written
        match = _TEXT_OF_DIGITS.fullmatch(self.source.text, written.start, written.end)
        return Span(*match.span(2)) if match else None

    def _number_port(self, span: Span, use: Use) -> Iterator[PortSpec]:
        context = _context(self.tree, use)
        if not use.is_port and not (context and context.is_address):
            return
        place = _place(context)
        number = self.source.text[span.start : span.end].replace("_", "")
        side = urls.side(place.host) if place.host else Side.HOST
        if use.variables:
            yield self._spec(span, Role.FALLBACK, side, number, variables=use.variables, host=place.host)
        elif number != _ANY_PORT:
            role = Role.URL if place.is_other else Role.HOST
            variables = (use.defines,) if use.defines else ()
            yield self._spec(span, role, side, number, variables=variables, host=place.host, host_ip=place.host_ip)

    def _urls(self, literal: ast.expr, raw: str, offset: int) -> Iterator[PortSpec]:
        text, expressions = _masked(raw)
        for url in (*urls.find(text), *_of_this_machine(text)):
            if int(url.port) == 0:
                continue
            end = url.span.start - 1
            start = end - len(url.host)
            host = None if any(part.start < end and start < part.end for part in expressions) else url.host
            use = self.tree.use(literal)
            own = (use.defines,) if use.defines else ()
            yield self._spec(
                Span(url.span.start + offset, url.span.end + offset),
                Role.URL,
                Side.HOST if host is None else urls.side(host),
                url.port,
                variables=use.variables or own,
                host=host,
            )

    def _address(self, literal: ast.expr, raw: str, offset: int) -> Iterator[PortSpec]:
        """The port of `"0.0.0.0:8000"`, where what it is given to takes addresses."""
        match = _ADDRESS.fullmatch(raw)
        if match is None:
            return
        use = self.tree.use(literal)
        called = use.holder.func if isinstance(use.holder, ast.Call) else None
        if _ADDRESS_NAMES.isdisjoint(use.names) and python_tree.last_name(called) not in _ADDRESS_CALLS:
            return
        host = match["host"].strip("[]")
        span = Span(match.start("port") + offset, match.end("port") + offset)
        role = Role.FALLBACK if use.variables else Role.HOST
        host_ip = host if _IP.fullmatch(host) else ANY
        yield self._spec(span, role, Side.HOST, match["port"], variables=use.variables, host_ip=host_ip)

    def _spec(self, span: Span, role: Role, side: Side, number: str, **fields: Any) -> PortSpec:
        return self.source.port(span, role, side, published=number, **fields)


def _of_this_machine(text: str) -> tuple[urls.UrlPort, ...]:
    """The addresses that a string is as a whole."""
    written = _STRING.fullmatch(text)
    return urls.of_this_machine(written[2], written.start(2)) if written else ()


def _masked(raw: str) -> tuple[str, list[Span]]:
    """The text of a literal with the expressions of an f-string made letters, or slashes behind a whole port; and where they are."""
    if not _FORMATTED.match(raw):
        return raw, []
    pieces: list[str] = []
    spans: list[Span] = []
    end = 0
    while (start := _opening(raw, end)) >= 0:
        stop = _closing(raw, start)
        pieces += raw[end:start], ("/" if _WHOLE_PORT.search(raw, end, start) else "a") * (stop - start)
        spans.append(Span(start, stop))
        end = stop
    return "".join((*pieces, raw[end:])), spans


def _opening(raw: str, at: int) -> int:
    """Where the next expression begins, or -1; a doubled brace stands for itself."""
    brace = next((each for each in _OPENING.finditer(raw, at) if each.group() == "{"), None)
    return brace.start() if brace else -1


def _closing(raw: str, start: int) -> int:
    """Where the expression that begins there ends, with its own format, or the end of the text."""
    depth = 0
    for brace in _BRACE.finditer(raw, start):
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return brace.end()
    return len(raw)


class _Context(Record):
    """What stands beside a number: a host, and whether whoever takes both is a client. `is_address` makes the number a port."""

    has_host: bool = False
    host: str | None = None
    is_client: bool = False
    is_address: bool = False


def _context(tree: Tree, use: Use) -> _Context | None:
    holder = use.holder
    match holder:
        case ast.keyword():
            call, _, _ = tree.place(holder)
            return _beside_keyword(call) if isinstance(call, ast.Call) else None
        case ast.Dict(keys=keys, values=values) if len(keys) <= _MANY:
            return _in_dictionary({python_tree.key_of(key): value for key, value in zip(keys, values, strict=True)})
        case ast.Tuple(elts=[host, port, *_]) if port is use.value:
            call, _, _ = tree.place(holder)
            called = (
                python_tree.last_name(call.func) if isinstance(call, ast.Call) and call.args[:1] == [holder] else ""
            )
            return _beside(host, called, is_address=True) if _WITH_ADDRESS.fullmatch(called) else None
        case ast.Call(func=func, args=args):
            called = python_tree.last_name(func)
            position = _PORT_ARGUMENT.get(called, -1)
            if 0 <= position < len(args) and args[position] is use.value:
                return _positional(args, position, called)
    return None


def _positional(args: list[ast.expr], position: int, called: str) -> _Context | None:
    if position == 0:
        return _Context(is_address=True)
    beside = _beside(args[position - 1], called, is_address=True)
    if called == "run" and not (beside.host is not None and (beside.host == "" or urls.is_loopback(beside.host))):
        return None  # `run` is a name of many things
    return beside


def _beside(host: ast.expr, called: str, *, is_address: bool) -> _Context:
    return _Context(True, python_tree.text_of(host), _CLIENT.search(called) is not None, is_address)


def _beside_keyword(call: ast.Call) -> _Context:
    called = python_tree.last_name(call.func)
    host = next((each.value for each in call.keywords[:_MANY] if each.arg in _HOST_NAMES), None)
    if host is not None:
        return _beside(host, called, is_address=False)
    is_client = _CLIENT.search(called) is not None
    first = python_tree.text_of(call.args[0]) if call.args and is_client else None
    return _Context(first is not None, first, is_client)


def _in_dictionary(values: dict[str | None, ast.expr]) -> _Context:
    """Settings of a connection are those with the name of an engine, a database or a user. Django's HOST is localhost if empty."""
    names = {name.lower(): value for name, value in values.items() if name}
    host = next((names[name] for name in names if name in _HOST_NAMES), None)
    is_client = not names.keys().isdisjoint(("engine", "database", "dbname", "db", "user", "username", "password"))
    text = python_tree.text_of(host)
    if "engine" in names and (host is None or text == ""):
        return _Context(True, "localhost", True)
    return _Context(host is not None, text, is_client)


def _place(context: _Context | None) -> _Place:
    """Whose port it is: the program's own if nothing speaks against it."""
    if context is None or (context.host is None and not context.is_client):
        return _Place()
    if context.host is None:
        return _Place(is_other=True)
    is_ip = _IP.fullmatch(context.host) is not None
    if context.host in _EVERY_ADDRESS or (not context.is_client and (is_ip or urls.is_loopback(context.host))):
        return _Place(host_ip=context.host if is_ip else ANY)
    return _Place(is_other=True, host=context.host)
