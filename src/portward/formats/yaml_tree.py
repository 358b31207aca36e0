"""YAML as a tree that knows where every scalar stands and how it was written; `yaml_parse.py` makes it.

Ports are never resolved by a YAML loader: `2222:22` is a number in base 60 to YAML 1.1 and a text to others. A node that is
aliased several times is the same object each time.

Nodes are plain classes with slots and no Records: a project has tens of thousands of them. Nobody changes one that is built.
"""

from __future__ import annotations

from portward.errors import InvalidFile
from portward.formats.text import Lines, without_password
from portward.formats.yaml_scalars import shown
from portward.model import Location, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portward.formats.template import Expansion
    from portward.formats.yaml_scalars import Value


class File:
    """The text of one YAML file: what nodes get their places from."""

    __slots__ = ("_lines", "path", "text")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self._lines: Lines | None = None

    def at(self, offset: int) -> Location:
        """The place of a code point."""
        if self._lines is None:
            self._lines = Lines(self.path, self.text)
        return self._lines.at(offset)


class _Placed:
    """What every node has: its file, the offset of its first character, and its tag if it is not a standard one."""

    __slots__ = ("file", "start", "tag")

    def __init__(self, file: File, start: int, tag: str | None) -> None:
        self.file = file
        self.start = start
        self.tag = tag

    @property
    def location(self) -> Location:
        return self.file.at(self.start)


class Scalar(_Placed):
    """A scalar: its decoded `value`, whether it is plain (no quotes), and the `data` that Compose takes it for.

    `expansion` is what interpolation made of the value. `origin` is the node that a scalar was made from which no file
    writes in this form.
    """

    __slots__ = ("data", "end", "expansion", "origin", "plain", "value")

    def __init__(self, file: File, start: int, tag: str | None, end: int, value: str, plain: bool, data: Value) -> None:
        self.file = file
        self.start = start
        self.tag = tag
        self.end = end
        self.value = value
        self.plain = plain
        self.data = data
        self.expansion: Expansion | None = None
        self.origin: Node | None = None

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)

    @property
    def source(self) -> str:
        """The characters of the scalar as they are written, with their quotes."""
        return self.file.text[self.start : self.end]

    @property
    def text(self) -> str:
        """The value after interpolation, a number as Compose prints it."""
        return shown(self.data)

    @property
    def is_null(self) -> bool:
        """Whether YAML reads it as nothing: empty, `~` or `null`."""
        return self.data is None

    @property
    def value_start(self) -> int | None:
        """The offset in the file of the value's first character; None where the file does not spell the value out.

        Escapes and folding do not, nor does any file for a scalar that was made from another node.
        """
        if self.origin is not None:
            return None
        text, start = self.file.text, self.start + (not self.plain)
        if text.startswith(self.value, start, self.end):
            return start
        if not self.value or "\n" in self.value:
            return None
        start = text.find(self.value, start, self.end)  # a block scalar of one line
        return start if start >= 0 and text.find(self.value, start + 1, self.end) < 0 else None

    def become(self, data: Value, expansion: Expansion | None = None) -> Scalar:
        """The same place with other data, as interpolation gives it."""
        made = Scalar(self.file, self.start, self.tag, self.end, self.value, self.plain, data)
        made.expansion = expansion or self.expansion
        made.origin = self.origin
        return made


class Sequence(_Placed):
    """A list of nodes. `dynamic` tells whether a `$` stands in it."""

    __slots__ = ("dynamic", "items")

    def __init__(self, file: File, start: int, tag: str | None, items: tuple[Node, ...], dynamic: bool = True) -> None:
        self.file = file
        self.start = start
        self.tag = tag
        self.items = items
        self.dynamic = dynamic


class Mapping(_Placed):
    """A mapping with text keys; `<<` is already merged in. `names` holds the node of each key that a file writes.

    Values with the tag `!reset` are in `dropped`, not among the items. `dynamic` tells whether a `$` stands in it.
    """

    __slots__ = ("dropped", "dynamic", "items", "names")

    def __init__(
        self,
        file: File,
        start: int,
        tag: str | None,
        items: dict[str, Node],
        names: dict[str, Scalar],
        dynamic: bool = True,
    ) -> None:
        self.file = file
        self.start = start
        self.tag = tag
        self.items = items
        self.names = names
        self.dynamic = dynamic
        self.dropped: dict[str, Node] = {}

    def place(self, key: str) -> Location:
        """Where a key stands, or the mapping where no file writes it."""
        name = self.names.get(key)
        return self.location if name is None else name.location

    def having(self, items: dict[str, Node]) -> Mapping:
        """The same place and names with other items."""
        made = Mapping(self.file, self.start, self.tag, items, self.names, self.dynamic)
        made.dropped = self.dropped
        return made


if TYPE_CHECKING:
    Node = Scalar | Sequence | Mapping


def scalar(data: Value, origin: Node) -> Scalar:
    """A scalar that stands for a node, or for a part of it, in the same place."""
    end = origin.end if isinstance(origin, Scalar) else origin.start
    made = Scalar(origin.file, origin.start, None, end, shown(data), False, data)
    made.origin = origin
    return made


def sequence(items: Iterable[Node], origin: Node) -> Sequence:
    """A list that stands for a node, in the same place."""
    return Sequence(origin.file, origin.start, None, tuple(items))


def mapping(items: dict[str, Node], origin: Node, names: dict[str, Scalar] | None = None) -> Mapping:
    """A mapping that stands for a node, in the same place."""
    return Mapping(origin.file, origin.start, None, items, {} if names is None else names)


def problem(message: str, place: Location | Node, hint: str | None = None) -> InvalidFile:
    """What is wrong, at a place or at a node's."""
    where = place if isinstance(place, Location) else place.location
    return InvalidFile(message, hint=hint, path=where.path, line=where.line, column=where.column)


def first_line(node: Scalar) -> str:
    """What is written, to be shown to people."""
    return without_password(node.source.partition("\n")[0])


def inside(node: Scalar, offset: int) -> Location:
    """The place of a character of a scalar's value, or of the scalar where that cannot be told."""
    start = node.value_start
    return node.location if start is None else node.file.at(start + offset)


def scalars(node: Node) -> Iterator[Scalar]:
    """Every scalar below a node that is a value, each once."""
    pending: list[Node] = [node]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        if isinstance(current, Scalar):
            yield current
        elif isinstance(current, Sequence):
            pending.extend(reversed(current.items))
        else:
            pending.extend(reversed(current.items.values()))


def same(one: Node, other: Node) -> bool:
    """Whether two nodes have the same data, wherever they stand. Texts, numbers and truths are never equal to each other."""
    if isinstance(one, Scalar) and isinstance(other, Scalar):
        return type(one.data) is type(other.data) and one.data == other.data
    if isinstance(one, Sequence) and isinstance(other, Sequence):
        return len(one.items) == len(other.items) and all(map(same, one.items, other.items))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.items.keys() == other.items.keys() and all(
            same(node, other.items[key]) for key, node in one.items.items()
        )
    return False
