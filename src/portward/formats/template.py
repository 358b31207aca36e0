"""Variable interpolation as Docker Compose does it, keeping where every piece of the result came from.

Source: the template package of compose-go (v2.9) and the Compose specification, "Interpolation". In short: `$NAME`,
`${NAME}`, `${NAME:-default}` (unset or empty), `${NAME-default}` (unset), `:?` and `?` (required), `:+` and `+` (alternative),
`$$` for a dollar sign. A default is a template itself, and is looked at even where it is not needed: an error in it is one.
Substituted values are not expanded again.
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
_DEEPEST = 100


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
        self.depth = 0

    def expand(self, template: str, base: int, defaults: tuple[str, ...]) -> list[Piece]:
        pieces: list[Piece] = []
        offset = literal = 0
        line = _Line(template)

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
                found, offset = self._braced(line, offset, base, defaults)
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

    def _braced(self, line: _Line, start: int, base: int, defaults: tuple[str, ...]) -> tuple[list[Piece], int]:
        name = _NAME.match(line.template, start + 2)
        if name is None:
            raise TemplateError("a variable name is missing after ${", base + start)
        after = name.end()
        if line.template.startswith("}", after):
            return [self._value(name.group(), Span(base + start, base + after + 1))], after + 1
        operator = next((known for known in _OPERATORS if line.template.startswith(known, after)), None)
        last = line.last_brace(start)
        if operator is None or last < after + len(operator):
            raise TemplateError(f"${{{name.group()}… is not a variable reference that Compose knows", base + start)
        close = _closing(line.template, start + 1, last + 1)
        argument_start = after + len(operator)
        argument = line.template[argument_start:close]
        whole = Span(base + start, base + close + 1)
        return self._operate(name.group(), operator, argument, base + argument_start, whole, defaults), close + 1

    def _operate(
        self, name: str, operator: str, argument: str, base: int, whole: Span, defaults: tuple[str, ...]
    ) -> list[Piece]:
        value = self.values.get(name)
        missing = value is None or (operator.startswith(":") and value == "")
        by_default = operator.endswith("-")
        taken = missing if by_default else operator.endswith("+") and not missing
        self.used.append(name)
        known = len(self.used), len(self.unset)
        other = self._nested(argument, base, (*defaults, name) if by_default else defaults, whole)
        if not taken:
            del self.used[known[0] :], self.unset[known[1] :]
        if missing and operator.endswith("?"):
            reason = "".join(piece.text for piece in other)
            raise TemplateError(f"{name} is required but has no value{': ' + reason if reason else ''}", whole.start)
        return other if taken else [Piece(value or "", whole, name)]

    def _nested(self, argument: str, base: int, defaults: tuple[str, ...], whole: Span) -> list[Piece]:
        if self.depth >= _DEEPEST:
            raise TemplateError(f"nested more than {_DEEPEST} levels deep", whole.start)
        self.depth += 1
        pieces = self.expand(argument, base, defaults)
        self.depth -= 1
        return pieces


class _Line:
    """The line of a template that is looked at: a reference never goes past its last brace."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.end = -1
        self.brace = -1

    def last_brace(self, offset: int) -> int:
        """The index of the last `}` in the line of an offset, or a number below the line's start. Offsets only grow."""
        if offset > self.end:
            end = self.template.find("\n", offset)
            self.end = end if end >= 0 else len(self.template)
            self.brace = self.template.rfind("}", offset, self.end)
        return self.brace


def _closing(template: str, opening: int, end: int) -> int:
    """The index of the brace that closes the one at `opening`, the last before `end` if none does.

    As in Go, the character after a `{` is passed over.
    """
    depth = 0
    offset = opening
    while offset < end:
        if template[offset] == "}":
            depth -= 1
            if depth == 0:
                return offset
        if template[offset] == "{":
            depth += 1
            offset += 1
        offset += 1
    return end - 1
