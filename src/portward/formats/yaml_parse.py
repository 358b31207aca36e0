"""A YAML text as a tree, built as go-yaml v3 would: anchors and merge keys (`<<`) are followed, a repeated key is refused.

libyaml, through PyYAML's C parser, gives the events. What is nested or aliased beyond measure is refused with its place.
"""

from __future__ import annotations

import binascii
import re

import yaml

from portward.formats.yaml_scalars import typed
from portward.formats.yaml_tree import File, Mapping, Scalar, Sequence, problem
from portward.model import Location

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from portward.errors import InvalidFile
    from portward.formats.yaml_scalars import Value
    from portward.formats.yaml_tree import Node

    Event = Any  # the stubs know neither which events have an anchor nor that all have marks

_DEEPEST = 200
_STANDARD = "tag:yaml.org,2002:"
_TYPES = {"int": (int,), "float": (float, int), "bool": (bool,), "null": (type(None),)}
_DROPPED = "!reset"
_COMMENT_BELOW_COMMENT = re.compile(r"^([ \t]*#.*\n)([ \t]*\t[ \t]*(?=#))", re.MULTILINE)


def parse(text: str, path: str, *, strict: bool = True) -> list[Node]:
    """The documents of a YAML text. Raises InvalidFile, with the place, for what is not YAML or repeats a key.

    If `strict`, so are keys that are no texts (`80:`, `true:`), and aliases that make far more of the text than it is; else keys
    count as texts, and who walks the tree must look at each node once.
    Bounded in time and memory by the length of the text: what aliases would blow up is refused, as go-yaml does.
    """
    text = text.removeprefix("\ufeff")
    file = File(path, text)
    if strict and (inside := text.find("\n\ufeff")) >= 0:
        raise problem("a byte-order mark is no character of YAML but at the beginning of a file", file.at(inside + 1))
    try:
        return _Builder(file, strict).documents(yaml.parse(text, Loader=yaml.CBaseLoader))
    except yaml.MarkedYAMLError as error:
        plainer = _COMMENT_BELOW_COMMENT.sub(lambda line: line[1] + line[2].replace("\t", " "), text)
        if plainer != text:  # libyaml refuses a tab before a comment; go-yaml takes it where a comment stands above
            return parse(plainer, path, strict=strict)
        mark = error.problem_mark or error.context_mark
        place = file.at(mark.index) if mark else Location(path, 1, 1)
        raise problem(f"not valid YAML: {(error.problem or error.context or '').strip()}", place) from None
    except yaml.reader.ReaderError as error:
        offset = len(text.encode()[: error.position].decode(errors="ignore"))
        raise problem(f"not valid YAML: {error.reason}", file.at(offset)) from None


class _Builder:
    """Builds the nodes of one text from its events. `open` are the containers that have not ended yet."""

    def __init__(self, file: File, strict: bool) -> None:
        self.file = file
        self.strict = strict
        self.anchors: dict[str, Node | None] = {}
        self.open: list[tuple[Event, list[Node]]] = []
        self.count = 0
        self.aliased = 0

    def documents(self, events: Iterator[Event]) -> list[Node]:
        found: list[Node] = []
        into = found
        for event in events:
            kind = type(event)
            if kind is yaml.ScalarEvent:
                into.append(self._scalar(event))
            elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                into = self._begin(event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                start, children = self.open.pop()
                node = self._ended(start, children)
                into = self.open[-1][1] if self.open else found
                into.append(node)
            elif kind is yaml.AliasEvent:
                into.append(self._alias(event))
            elif kind is yaml.DocumentStartEvent:
                if self.strict and event.version not in (None, (1, 1)):
                    raise self._problem("only version 1.1 may stand after %YAML, as in Docker Compose", event)
                self.anchors, self.count, self.aliased = {}, 0, 0
        return found

    def _begin(self, event: Event) -> list[Node]:
        if len(self.open) >= _DEEPEST:
            raise self._problem(f"nested more than {_DEEPEST} levels deep", event)
        if event.anchor:
            self.anchors[event.anchor] = None
        children: list[Node] = []
        self.open.append((event, children))
        return children

    def _ended(self, event: Event, children: list[Node]) -> Node:
        start = self._after_properties(event)
        self.count += 1
        node: Node
        if type(event) is yaml.SequenceStartEvent:
            kept = tuple(item for item in children if item.tag != _DROPPED)
            node = Sequence(self.file, start, _own_tag(event.tag), kept, _is_dynamic(kept))
        else:
            node = self._mapping(start, _own_tag(event.tag), children)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _scalar(self, event: Event) -> Scalar:
        value: str = event.value
        plain = not event.style
        start = event.start_mark.index
        self.count += 1
        if event.tag is None and event.anchor is None:
            return Scalar(self.file, start, None, event.end_mark.index, value, plain, typed(value) if plain else value)
        start = self._after_properties(event)
        node = Scalar(self.file, start, _own_tag(event.tag), event.end_mark.index, value, plain, None)
        node.data = _tagged(node, event.tag)
        if event.anchor:
            self.anchors[event.anchor] = node
        return node

    def _alias(self, event: Event) -> Node:
        if event.anchor not in self.anchors:
            raise self._problem(f"no anchor &{event.anchor} stands before this alias", event)
        node = self.anchors[event.anchor]
        if node is None:
            raise self._problem(f"*{event.anchor} is inside of what &{event.anchor} names", event)
        if not self.strict:
            return node
        weight = _weight(node, {})
        self.count += weight
        self.aliased += weight
        if self.aliased > 100 and self.count > 1000 and self.aliased > self.count * _allowed(self.count):
            raise self._problem("aliases make far more of this file than is written in it", event)
        return node

    def _mapping(self, start: int, tag: str | None, children: list[Node]) -> Mapping:
        items: dict[str, Node] = {}
        names: dict[str, Scalar] = {}
        node = Mapping(self.file, start, tag, items, names)
        merged: list[Mapping] = []
        written: set[str] = set()
        pairs = iter(children)
        for key, value in zip(pairs, pairs, strict=True):
            if type(key) is not Scalar:
                raise problem("a key must be a text", key)
            name = key.value
            if name in written:
                raise problem(f"the key {name!r} stands here twice", key)
            written.add(name)
            if value.tag == _DROPPED:
                node.dropped[name] = value
                continue
            if name == "<<" and key.plain:
                merged = _sources(value)
            elif type(key.data) is not str and self.strict:
                raise problem(f"the key {key.source} must be a text", key, hint=f'write "{key.source}"')
            else:
                name = key.data if type(key.data) is str else name  # a !!binary key is another text than is written
                items[name] = value
                names[name] = key
        for source in merged:
            for name, inherited in source.items.items():
                if name not in items:
                    items[name] = inherited
                    names[name] = source.names[name]
        node.dynamic = _is_dynamic(items.values())
        return node

    def _after_properties(self, event: Event) -> int:
        """Where the node itself starts: a mark starts at its anchor or tag."""
        text = self.file.text
        start: int = event.start_mark.index
        end = len(text)
        if event.anchor is None and event.tag is None:
            return start
        while start < end and text[start] in "&!":
            while start < end and not text[start].isspace():
                start += 1
            while start < end and text[start].isspace():
                start += 1
        return start

    def _problem(self, message: str, event: Event) -> InvalidFile:
        return problem(message, self.file.at(event.start_mark.index))


def _is_dynamic(nodes: Iterable[Node]) -> bool:
    return any("$" in node.value if isinstance(node, Scalar) else node.dynamic for node in nodes)


def _own_tag(tag: str | None) -> str | None:
    return tag if tag and tag != "!" and not tag.startswith(_STANDARD) else None


def _tagged(node: Scalar, tag: str | None) -> Value:
    """The data of a scalar with a tag. A tag that YAML does not know makes a text of it."""
    if tag is None or tag == "!":
        return typed(node.value) if node.plain else node.value
    kind = tag.removeprefix(_STANDARD)
    if kind == "binary":
        try:
            return binascii.a2b_base64(node.value.replace("\n", ""), strict_mode=True).decode(errors="replace")
        except ValueError:
            raise problem("not a !!binary value in base 64", node) from None
    if tag == kind or kind not in (*_TYPES, "timestamp"):
        return node.value
    data = typed(node.value)
    if kind == "timestamp" or type(data) in _TYPES[kind]:
        return float(data) if kind == "float" and isinstance(data, int) else data
    raise problem(f"{node.source} is not a !!{kind}", node)


def _sources(value: Node) -> list[Mapping]:
    """The mappings that a merge key names, in order of precedence."""
    nodes = value.items if isinstance(value, Sequence) else (value,)
    sources = [node for node in nodes if isinstance(node, Mapping)]
    if len(sources) != len(nodes):
        raise problem("<< merges mappings only", value)
    return sources


def _weight(node: Node, known: dict[int, int]) -> int:
    """How many nodes a node is when its aliases are written out."""
    if isinstance(node, Scalar):
        return 1
    if id(node) not in known:
        children = node.items if isinstance(node, Sequence) else node.items.values()
        own = 1 if isinstance(node, Sequence) else 1 + len(node.items)
        known[id(node)] = own + sum(_weight(child, known) for child in children)
    return known[id(node)]


def _allowed(count: int) -> float:
    """Which part of so many nodes aliases may make, as go-yaml has it (`decode.go`, allowedAliasRatio)."""
    low, high = 400_000, 4_000_000
    return 0.99 if count <= low else 0.10 if count >= high else 0.99 - 0.89 * (count - low) / (high - low)
