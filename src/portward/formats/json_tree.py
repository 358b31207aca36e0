"""JSON as editors read it, with comments and trailing commas, as a tree that knows where every scalar stands.

Grammar: RFC 8259; `//` and `/* */` comments and a comma before a closing bracket as Visual Studio Code's jsonc-parser takes
them. Numbers stay text, and strings are decoded, so that whoever reads a port decides what it is.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats.text import Lines
from portward.model import Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_DEEPEST = 200
_BLANK = re.compile(r"(?:[ \t\r\n]+|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\\n]|\\.)*)"')
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "/": "/"}


class Scalar(Record):
    """A string, decoded, or the text of a number, `true`, `false` or `null`.

    `span` is the value's own characters, without quotes. `is_plain` tells whether the file spells them out without escapes.
    """

    value: str
    is_string: bool
    span: Span
    is_plain: bool = True


class Array(Record):
    """A list of nodes."""

    items: tuple[Node, ...]


class Object(Record):
    """A mapping. Of a name that stands there twice, the last counts, as it does to JSON.parse."""

    items: dict[str, Node]
    names: dict[str, Scalar]

    def get(self, name: str) -> Node | None:
        """The value of a name, or None."""
        return self.items.get(name)


if TYPE_CHECKING:
    Node = Scalar | Array | Object


def parse(text: str, path: str) -> Node:
    """The one value of a text (without a byte-order mark). Raises InvalidFile, with the place, for what is not JSON."""
    return _Parser(text, path).parse()


def scalars(node: Node | None) -> tuple[Scalar, ...]:
    """The scalars of a list, or a scalar by itself; nothing of anything else."""
    if isinstance(node, Scalar):
        return (node,)
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Array) else ()


class _Parser:
    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.at = 0

    def parse(self) -> Node:
        node = self._value(0)
        if self._next():
            self._refuse("something stands after the end of the value")
        return node

    def _next(self) -> str:
        """The next character that is neither blank nor in a comment, or nothing at the end."""
        blank = _BLANK.match(self.text, self.at)
        self.at = blank.end() if blank else self.at
        return self.text[self.at : self.at + 1]

    def _value(self, depth: int) -> Node:
        if depth > _DEEPEST:
            self._refuse(f"nested more than {_DEEPEST} levels deep")
        char = self._next()
        if char == "{":
            return self._object(depth + 1)
        if char == "[":
            return self._array(depth + 1)
        if char == '"':
            return self._string()
        word = _WORD.match(self.text, self.at)
        if word is None:
            self._refuse("a value is expected here")
        self.at = word.end()
        return Scalar(word.group(), False, Span(*word.span()))

    def _object(self, depth: int) -> Object:
        items: dict[str, Node] = {}
        names: dict[str, Scalar] = {}
        self.at += 1
        while self._next() != "}":
            name = self._string()
            if self._next() != ":":
                self._refuse("a colon is expected here")
            self.at += 1
            items[name.value], names[name.value] = self._value(depth), name
            self._comma("}")
        self.at += 1
        return Object(items, names)

    def _array(self, depth: int) -> Array:
        items: list[Node] = []
        self.at += 1
        while self._next() != "]":
            items.append(self._value(depth))
            self._comma("]")
        self.at += 1
        return Array(tuple(items))

    def _comma(self, closing: str) -> None:
        char = self._next()
        if char == ",":
            self.at += 1
        elif char != closing:
            self._refuse(f"a comma or {closing} is expected here")

    def _string(self) -> Scalar:
        string = _STRING.match(self.text, self.at)
        if string is None:
            self._refuse("a string in double quotes is expected here")
        self.at = string.end()
        raw = string[1]
        return Scalar(_decoded(raw), True, Span(*string.span(1)), "\\" not in raw)

    def _refuse(self, message: str) -> NoReturn:
        place = Lines(self.path, self.text).at(min(self.at, len(self.text)))
        raise InvalidFile(f"not valid JSON: {message}", path=self.path, line=place.line, column=place.column)


def _decoded(raw: str) -> str:
    """A string without its escapes; two that are the halves of one character (RFC 8259, section 7) become it."""
    if "\\" not in raw:
        return raw
    return _ESCAPE.sub(_unescape, raw).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 16)) if match[1] else _ESCAPED.get(match[2], match[2])
