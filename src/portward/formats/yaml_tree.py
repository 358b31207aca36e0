"""YAML as a tree that knows where every scalar stands and how it was written.

Ports are never resolved by a YAML loader: `2222:22` is a number in base 60 to YAML 1.1 and a text to others. The tree keeps
the scalar's text and style, and whoever reads it decides. libyaml (through PyYAML's C loader) parses; anchors and merge
keys (`<<`) are followed here. A node that is aliased several times is the same object each time.
"""

from __future__ import annotations

import yaml

from portward.errors import InvalidFile
from portward.formats.template import TemplateError, expand
from portward.formats.text import Lines
from portward.model import Location, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Mapping as Values

    from portward.formats.template import Expansion

_DEEPEST = 200


class Scalar(Record):
    """A scalar: decoded value, whether it is plain (no quotes), the tag if one is written, its span and place.

    `value_start` is the offset in the file of the value's first character where the file spells the value out
    character by character (no escapes, no folding), else None. `expansion` is what interpolation made of it.
    """

    value: str
    plain: bool
    tag: str | None
    span: Span
    location: Location
    value_start: int | None
    source: str
    expansion: Expansion | None = None

    @property
    def text(self) -> str:
        """The value after interpolation; before it, the value."""
        return self.value if self.expansion is None else self.expansion.text

    @property
    def is_null(self) -> bool:
        """Whether YAML reads it as nothing: empty, `~` or `null`."""
        return self.plain and self.value in ("", "~", "null", "Null", "NULL")


class Sequence(Record):
    """A list of nodes."""

    items: tuple[Node, ...]
    tag: str | None
    location: Location


class Mapping(Record):
    """A mapping with text keys; `<<` is already merged in. `keys` holds the place of each key."""

    items: dict[str, Node]
    keys: dict[str, Location]
    tag: str | None
    location: Location


if TYPE_CHECKING:
    Node = Scalar | Sequence | Mapping


def parse(text: str, path: str) -> list[Node]:
    """The documents of a YAML text. Raises InvalidFile, with the place, for what is not YAML or repeats a key."""
    text = text.removeprefix("\ufeff")
    lines = Lines(path, text)
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.CBaseLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        problem = (error.problem or error.context or "not YAML").strip()
        raise InvalidFile(f"not valid YAML: {problem}", path=path, line=line, column=column) from None
    except yaml.reader.ReaderError as error:  # a character that YAML forbids; libyaml counts bytes
        place = lines.at(len(text.encode()[: error.position].decode(errors="ignore")))
        message = f"not valid YAML: {error.reason}"
        raise InvalidFile(message, path=path, line=place.line, column=place.column) from None
    except yaml.YAMLError as error:
        raise InvalidFile(f"not valid YAML: {error}", path=path) from None
    builder = _Builder(text, path, lines)
    return [builder.build(document, 0) for document in documents]


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


def interpolated(node: Node, values: Values[str, str]) -> Node:
    """The tree with every scalar expanded (keys never are). Raises InvalidFile at the place of a template that is refused."""
    return _Interpolation(values).of(node)


class _Interpolation:
    def __init__(self, values: Values[str, str]) -> None:
        self.values = values
        self.done: dict[int, Node] = {}

    def of(self, node: Node) -> Node:
        if id(node) not in self.done:
            self.done[id(node)] = self._made(node)
        return self.done[id(node)]

    def _made(self, node: Node) -> Node:
        if isinstance(node, Sequence):
            return node.replace(items=tuple(self.of(item) for item in node.items))
        if isinstance(node, Mapping):
            return node.replace(items={key: self.of(item) for key, item in node.items.items()})
        if "$" not in node.value:
            return node
        try:
            return node.replace(expansion=expand(node.value, self.values))
        except TemplateError as error:
            place = inside(node, error.offset)
            raise InvalidFile(str(error), path=place.path, line=place.line, column=place.column) from None


def inside(scalar: Scalar, offset: int) -> Location:
    """The place of a character of a scalar's value, or of the scalar where that cannot be told."""
    if scalar.value_start is None or "\n" in scalar.value[:offset]:
        return scalar.location
    return scalar.location.replace(column=scalar.location.column + scalar.value_start - scalar.span.start + offset)


class _Builder:
    def __init__(self, text: str, path: str, lines: Lines) -> None:
        self.text = text
        self.path = path
        self.lines = lines
        self.done: dict[int, Node] = {}

    def build(self, node: yaml.Node, depth: int) -> Node:
        if id(node) in self.done:
            return self.done[id(node)]
        if depth > _DEEPEST:
            raise self.error(f"nested more than {_DEEPEST} levels deep", node)
        if isinstance(node, yaml.ScalarNode):
            built: Node = self._scalar(node)
        elif isinstance(node, yaml.SequenceNode):
            items = tuple(self.build(item, depth + 1) for item in node.value)
            built = Sequence(items, _tag(node), self._place(node))
        elif isinstance(node, yaml.MappingNode):
            built = self._mapping(node, depth)
        else:
            raise self.error("not a scalar, a list or a mapping", node)
        self.done[id(node)] = built
        return built

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        start, end = node.start_mark.index, node.end_mark.index
        # the mark starts at an anchor or a tag: the value stands after it
        while start < end and self.text[start] in "&!":
            while start < end and not self.text[start].isspace():
                start += 1
            while start < end and self.text[start].isspace():
                start += 1
        value_start = start + (1 if node.style in ("'", '"') else 0)
        spelled = self.text.startswith(node.value, value_start) and node.style not in ("|", ">")
        return Scalar(
            value=node.value,
            plain=node.style is None or node.style == "",
            tag=_tag(node),
            span=Span(start, end),
            location=self.lines.at(start),
            value_start=value_start if spelled else None,
            source=self.text[start:end],
        )

    def _mapping(self, node: yaml.MappingNode, depth: int) -> Mapping:
        items: dict[str, Node] = {}
        keys: dict[str, Location] = {}
        merged: list[Node] = []
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self.error("a key must be a text", key)
            built = self.build(value, depth + 1)
            if key.value == "<<" and not key.style:
                merged += built.items if isinstance(built, Sequence) else (built,)
                continue
            if key.value in items:
                raise self.error(f"the key {key.value!r} stands here twice", key)
            items[key.value] = built
            keys[key.value] = self._place(key)
        for source in merged:
            if not isinstance(source, Mapping):
                raise self.error("<< merges mappings only", node)
            for name, inherited in source.items.items():
                if name not in items:
                    items[name] = inherited
                    keys[name] = source.keys[name]
        return Mapping(items, keys, _tag(node), self._place(node))

    def _place(self, node: yaml.Node) -> Location:
        return self.lines.at(node.start_mark.index)

    def error(self, message: str, node: yaml.Node) -> InvalidFile:
        place = self._place(node)
        return InvalidFile(message, path=self.path, line=place.line, column=place.column)


def _tag(node: yaml.Node) -> str | None:
    # without a resolver the loader gives untagged nodes the standard tags of their kind
    return node.tag if node.tag and not node.tag.startswith("tag:yaml.org,2002:") else None
