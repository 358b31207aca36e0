"""Variable interpolation as Docker Compose does it, keeping where every piece of the result came from.

Source: the template package of compose-go (v2.14) and the Compose specification, "Interpolation". In short: `$NAME`,
`${NAME}`, `${NAME:-default}` (unset or empty), `${NAME-default}` (unset), `:?` and `?` (required), `:+` and `+` (alternative),
`$$` for a dollar sign. A default is a template itself. Substituted values are not expanded again.
"""

from __future__ import annotations

import re

from portward.model import Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_DEFAULT_NUMBER = re.compile(r"(?<![$\\])(?P<names>(?:\$\{[A-Za-z_]\w*:?-)++)(?P<port>[1-9][0-9]{0,9})(?P<close>\}++)")
_OPERATORS = (":?", ":-", ":+", "?", "-", "+")


class TemplateError(ValueError):
    """A template that Compose refuses, with the offset of the `$` in it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset = offset


class Piece(Record):
    """Part of an interpolated text: its value, and the span of the template that wrote it.

    For the value of a variable, `variable` is its name and `span` covers the whole reference. For a literal, also one in a
    default, `span` covers just the literal and `fallback_for` names the variables that it is a default of.
    """

    text: str
    span: Span
    variable: str | None = None
    fallback_for: tuple[str, ...] = ()


class Expansion(Record):
    """What a template became. `unset` are the variables that were used without a value or a default."""

    pieces: tuple[Piece, ...]
    variables: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)

    def between(self, start: int, end: int) -> tuple[Piece, ...]:
        """The pieces that the characters from `start` up to `end` of the result came from."""
        found = []
        offset = 0
        for piece in self.pieces:
            if offset < end and offset + len(piece.text) > start:
                found.append(piece)
            offset += len(piece.text)
        return tuple(found)


class Default(Record):
    """A number that variables fall back to, outermost first: where its digits stand in a template, and its whole expression."""

    names: tuple[str, ...]
    span: Span
    whole: Span


def default_numbers(template: str) -> Iterator[Default]:
    """The numbers of every `${NAME:-5000}` and `${NAME:-${OTHER-5000}}` in a template."""
    for match in _DEFAULT_NUMBER.finditer(template):
        names = re.findall(r"\w+", match["names"])
        if len(names) <= len(match["close"]):
            end = match.start("close") + len(names)
            yield Default(tuple(names), Span(*match.span("port")), Span(match.start(), end))


def expand(template: str, values: Mapping[str, str]) -> Expansion:
    """Interpolates a template. Raises TemplateError for what Compose calls an invalid format or a missing value.

    >>> expand("${PORT:-5000}:5000", {"PORT": "8080"}).text
    '8080:5000'
    """
    walk = _Walk(values)
    pieces = walk.expand(template, 0, ())
    return Expansion(tuple(pieces), tuple(dict.fromkeys(walk.used)), tuple(dict.fromkeys(walk.unset)))


class _Walk:
    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.used: list[str] = []
        self.unset: list[str] = []

    def expand(self, template: str, base: int, defaults: tuple[str, ...]) -> list[Piece]:
        pieces: list[Piece] = []
        offset = literal = 0

        def flush(end: int) -> None:
            if end > literal:
                span = Span(base + literal, base + end)
                pieces.append(Piece(template[literal:end], span, None, defaults))

        while (offset := template.find("$", offset)) >= 0:
            flush(offset)
            if template.startswith("$$", offset):
                pieces.append(Piece("$", Span(base + offset, base + offset + 2), None, defaults))
                offset += 2
            elif name := _NAME.match(template, offset + 1):
                pieces.append(self._value(name.group(), Span(base + offset, base + name.end())))
                offset = name.end()
            elif template.startswith("${", offset):
                found, offset = self._braced(template, offset, base, defaults)
                pieces += found
            else:  # a dollar sign before anything else stands for itself
                literal = offset
                offset += 1
                continue
            literal = offset
        flush(len(template))
        return pieces

    def _value(self, name: str, span: Span) -> Piece:
        self.used.append(name)
        if name not in self.values:
            self.unset.append(name)
        return Piece(self.values.get(name, ""), span, name)

    def _braced(self, template: str, start: int, base: int, defaults: tuple[str, ...]) -> tuple[list[Piece], int]:
        name = _NAME.match(template, start + 2)
        if name is None:
            raise TemplateError("a variable name is missing after ${", base + start)
        after = name.end()
        if template.startswith("}", after):
            return [self._value(name.group(), Span(base + start, base + after + 1))], after + 1
        operator = next((known for known in _OPERATORS if template.startswith(known, after)), None)
        line_end = template.find("\n", start)
        last = template.rfind("}", after, line_end if line_end >= 0 else len(template))
        if operator is None or last < after + len(operator):
            raise TemplateError(f"${{{name.group()}… is not a variable reference that Compose knows", base + start)
        close = _closing(template[: last + 1], start + 1)
        if close < 0:
            close = last
        argument_start = after + len(operator)
        argument = template[argument_start:close]
        whole = Span(base + start, base + close + 1)
        return self._operate(name.group(), operator, argument, base + argument_start, whole, defaults), close + 1

    def _operate(
        self, name: str, operator: str, argument: str, base: int, whole: Span, defaults: tuple[str, ...]
    ) -> list[Piece]:
        self.used.append(name)
        value = self.values.get(name)
        missing = value is None or (operator.startswith(":") and value == "")
        if operator.endswith("-"):
            return self.expand(argument, base, (*defaults, name)) if missing else [Piece(value or "", whole, name)]
        if operator.endswith("+"):
            return [Piece(value or "", whole, name)] if missing else self.expand(argument, base, defaults)
        if missing:
            reason = "".join(piece.text for piece in self.expand(argument, base, defaults))
            raise TemplateError(f"{name} is required but has no value{': ' + reason if reason else ''}", whole.start)
        return [Piece(value or "", whole, name)]


def _closing(template: str, opening: int) -> int:
    """The index of the brace that closes the one at `opening`, or -1; as in Go, what follows a `{` is passed over."""
    depth = 0
    offset = opening
    while offset < len(template):
        if template[offset] == "}":
            depth -= 1
            if depth == 0:
                return offset
        if template[offset] == "{":
            depth += 1
            offset += 1
        offset += 1
    return -1
