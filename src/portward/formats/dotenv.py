"""`.env` files, read as Docker Compose reads them, and those of the same family that other programs read.

Source: the dotenv package of compose-go, which Compose v2 uses. A single malformed line makes Compose refuse the whole file, and
`parse` too. Compose reads the `.env` beside its files and what it is told to; `client/.env`, `.env.local` and
`.env.production` are read by python-dotenv, by npm's dotenv (Create React App, Next.js), or by Node's own `util.parseEnv` (Vite),
and no file says by which. The four disagree on quotes, comments, blanks and expansion: `read` gives only those ports that all
four see, and leaves the others out.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats import marked, urls
from portward.formats.template import TemplateError, default_numbers, expand
from portward.formats.text import Lines, without_password
from portward.model import Location, PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_BLANKS = " \t\v\f\r\x85\xa0"
_NOT_BLANK = "\x1c\x1d\x1e\x1f"  # white space to Python, not to Go
_EXPORT = re.compile(r"export[\t\n\f\r ]+")
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0[0-9]{0,3})')
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
_PORT_NAME = re.compile(r"(?:^|_)PORT(?:_[0-9]+)?$", re.IGNORECASE)
_NUMBER = re.compile(r"-?[0-9]+")
_RANGE = re.compile(r"[0-9]+(?:-[0-9]+)?")
_AGREED_NAME = re.compile(r" *(?:export +)?[A-Za-z0-9_.-]+ *= *([\"']?)")
_AGREED_END = re.compile(r" *(?: #[^\n]*)?\r?(?:\n|\Z)")


class Variable(Record):
    """One definition: the value after expansion, the text as written without its quotes, and where that stands."""

    name: str
    value: str
    raw: str
    span: Span
    location: Location


class Variables(Record):
    """What one file defines, in the order of the file."""

    path: str
    definitions: tuple[Variable, ...]

    @property
    def values(self) -> dict[str, str]:
        """Name to value; the last definition of a name wins."""
        return {variable.name: variable.value for variable in self.definitions}


def is_port_name(name: str) -> bool:
    """Whether a variable of this name holds a port by convention: PORT, API_PORT, PORT_2."""
    return _PORT_NAME.search(name) is not None


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of a file that Compose does not interpolate from, as far as its readers agree on them.

    Raises InvalidFile where Compose would refuse a line: the others pass over it, each with another idea of where it ends.
    """
    parser = _Parser(marked.hushed(text.removeprefix("\ufeff")), path, {}, expands=False)
    variables = parser.parse()
    first = 1 if text.startswith("\ufeff") else 0  # Node's parser loses the first name after a byte-order mark
    last = {each.name: each for each in variables.definitions[first:] if each.name not in parser.inherited}
    agreed = tuple(
        each for each in variables.definitions if each is last.get(each.name) and _is_agreed(parser.text, each)
    )
    return [spec for spec in ports(Variables(path, agreed)) if "#" not in _value_up_to(parser.text, spec)]


def _is_agreed(text: str, variable: Variable) -> bool:
    """Whether every reader sees the same name and value: one line, plain blanks, no escapes."""
    start, end = variable.span.start, variable.span.end
    name = _AGREED_NAME.fullmatch(text, text.rfind("\n", 0, start) + 1, start)
    if name is None or not variable.raw or variable.raw[0] == "`" or set(variable.raw) & {"\\", "\r", "\n"}:
        return False
    return _AGREED_END.match(text, end + len(name[1])) is not None


def _value_up_to(text: str, spec: PortSpec) -> str:
    """What stands before a port in a value without quotes: npm's dotenv takes a `#` there for a comment."""
    line = text[text.rfind("\n", 0, spec.span.start) + 1 : spec.span.start]
    value = line.partition("=")[2].lstrip()
    return "" if value[:1] in ("'", '"') else value


def ports(variables: Variables, names: Collection[str] = ()) -> list[PortSpec]:
    """The ports that the variables hold: the number of one called PORT or …_PORT, and the URLs and addresses that write one.

    So is the number that a value falls back to, `${WEB_PORT:-5000}`, where the file was read with its values expanded. A
    variable among `names` holds a port whatever it is called, and also when it takes it from another variable.
    """
    found: list[PortSpec] = []
    for variable in variables.definitions:
        named = variable.name in names
        if (named or is_port_name(variable.name)) and _NUMBER.fullmatch(variable.raw):
            found.append(_spec(variable, Role.HOST, Side.HOST, variable.span, variable.raw))
        elif named and _RANGE.fullmatch(variable.value):
            spec = _spec(variable, Role.HOST, Side.HOST, variable.span, variable.value)
            found.append(spec.replace(variables=(variable.name, *used(variable))))
        if variable.value != variable.raw:
            found += _fallbacks(variable, named)
        found += (
            _spec(variable, Role.URL, urls.side(url.host), url.span, url.port, url.host)
            for url in urls.find(variable.raw, variable.span.start)
        )
        found += (
            _spec(variable, Role.HOST, Side.HOST, each.span, each.port)
            if urls.is_unspecific(each.host)
            else _spec(variable, Role.URL, urls.side(each.host), each.span, each.port, each.host)
            for each in urls.addresses(variable.raw, variable.span.start)
        )
    return found


def used(variable: Variable) -> tuple[str, ...]:
    """The variables that a definition takes its value from."""
    try:
        return expand(variable.raw, {}).variables if "$" in variable.raw else ()
    except TemplateError:
        return ()


def _fallbacks(variable: Variable, named: bool) -> Iterator[PortSpec]:
    """The numbers of `PORT=${WEB_PORT:-5000}` and `URL=http://localhost:${WEB_PORT:-5000}`."""
    start = variable.span.start
    for default in default_numbers(variable.raw):
        is_all = default.whole == Span(0, len(variable.raw)) and (named or is_port_name(variable.name))
        if is_all or any(is_port_name(name) for name in default.names):
            span = Span(start + default.span.start, start + default.span.end)
            number = variable.raw[default.span.start : default.span.end]
            names = (*default.names, variable.name) if is_all else default.names
            yield _spec(variable, Role.FALLBACK, Side.HOST, span, number).replace(variables=tuple(dict.fromkeys(names)))


def _spec(variable: Variable, role: Role, side: Side, span: Span, port: str, host: str | None = None) -> PortSpec:
    place = variable.location
    return PortSpec(
        origin="dotenv",
        role=role,
        side=side,
        location=place.replace(column=place.column + span.start - variable.span.start),
        span=span,
        text=without_password(f"{variable.name}={variable.raw}"),
        published=port,
        variables=(variable.name,),
        host=host,
    )


def parse(
    text: str, path: str, environment: Mapping[str, str] | None = None, before: Mapping[str, str] | None = None
) -> Variables:
    """The variables that a file defines. `environment` is the outer one, whose values win inside `${…}`.

    `before` are the variables of the files that were read before this one. A name alone on its line takes its value from
    either, or is absent. Raises InvalidFile where Compose would refuse.
    """
    return _Parser(text.removeprefix("\ufeff"), path, environment or {}, before).parse()


class _Parser:
    def __init__(
        self,
        text: str,
        path: str,
        environment: Mapping[str, str],
        before: Mapping[str, str] | None = None,
        *,
        expands: bool = True,
    ) -> None:
        self.text = text
        self.expands = expands
        self.at = 0
        self.lines = Lines(path, text)
        self.path = path
        self.environment = environment
        self.values = {**(before or {}), **environment}
        self.definitions: list[Variable] = []
        self.inherited: set[str] = set()

    def parse(self) -> Variables:
        while self._find_statement():
            name, inherited = self._name()
            if inherited:
                self.inherited.add(name)
                if name in self.values:
                    self._define(name, self.values[name], Span(self.at, self.at))
            elif self.text[self.at : self.at + 1] in ('"', "'"):
                self._quoted(name)
            else:
                self._plain(name)
        return Variables(self.path, tuple(self.definitions))

    def _find_statement(self) -> bool:
        """Goes to the next statement, over blank lines and comments."""
        while True:
            while self.at < len(self.text) and self.text[self.at].isspace() and self.text[self.at] not in _NOT_BLANK:
                self.at += 1
            if not self.text.startswith("#", self.at):
                return self.at < len(self.text)
            end = self.text.find("\n", self.at)
            self.at = end if end >= 0 else len(self.text)

    def _name(self) -> tuple[str, bool]:
        """The name up to `=` or `:`, and whether it stands alone on its line."""
        if _EXPORT.match(self.text, self.at):
            self.at += len("export")
            self._skip_blanks()
        start = self.at
        if start == len(self.text):
            raise self._error("a name is missing after export", start)
        name, separator = "", ""
        for end in range(start, len(self.text)):
            char = self.text[end]
            if char in "=:\n":
                name, separator, self.at = self.text[start:end].rstrip(), char, end + 1
                break
            if char not in _BLANKS and char not in "_.-[]" and not char.isalpha() and not char.isnumeric():
                raise self._error(f"unexpected character {char!r} in a variable name", end)
        if " " in name:
            raise self._error(f"a variable name cannot contain a blank: {name!r}", start)
        self._skip_blanks()
        return name, separator == "\n"

    def _skip_blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANKS:
            self.at += 1

    def _plain(self, name: str) -> None:
        """A value without quotes runs to the end of the line, or to a `#` after a blank."""
        start = self.at
        end = self.text.find("\n", start)
        end = end if end >= 0 else len(self.text)
        self.at = min(end + 1, len(self.text))
        raw = self.text[start:end].split(" #", 1)[0].rstrip()
        self._define(name, self._expand(raw, start), Span(start, start + len(raw)))

    def _quoted(self, name: str) -> None:
        """A value in quotes may span lines; double quotes know escapes and expand variables, single quotes neither."""
        start = self.at
        quote = self.text[start]
        value = ""
        escaped = False
        for end in range(start + 1, len(self.text)):
            char = self.text[end]
            if char == quote and not escaped:
                break
            if char == "\\" and not escaped:
                escaped = True
                continue
            value += char if char == quote or not escaped else "\\" + char
            escaped = False
        else:
            raise self._error(f"this value has no closing {quote}", start)
        self.at = end + 1
        if quote == '"':
            value = self._expand(_ESCAPE.sub(_unescape, value), start)
        self._define(name, value, Span(start + 1, end))

    def _expand(self, raw: str, start: int) -> str:
        if not self.expands:
            return raw
        try:
            return expand(raw, self.values).text
        except TemplateError as error:
            raise self._error(str(error), start) from None

    def _define(self, name: str, value: str, span: Span) -> None:
        if name not in self.environment:
            self.values[name] = value
        raw = self.text[span.start : span.end]
        self.definitions.append(Variable(name, value, raw, span, self.lines.at(span.start)))

    def _error(self, message: str, offset: int) -> InvalidFile:
        place = self.lines.at(offset)
        hint = "Docker Compose refuses the whole file for one such line"
        return InvalidFile(message, hint=hint, path=self.path, line=place.line, column=place.column)


def _unescape(match: re.Match[str]) -> str:
    escape = match.group()
    if escape == r"\$":
        return "$$"  # a literal dollar sign to the expansion that follows
    if escape[1] == "0":
        octal = escape[2:]
        if len(octal) == 3 and all(digit in "01234567" for digit in octal) and int(octal, 8) < 256:
            return chr(int(octal, 8))
        return "\\" + octal
    return _ESCAPED.get(escape[1], escape)
