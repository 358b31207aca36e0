"""The shape of a Compose file, held against the JSON schema that Docker Compose itself uses: `compose_spec.json`.

That file is the schema of the Compose specification (https://github.com/compose-spec/compose-go, `schema/compose-spec.json`, Apache
License 2.0) as Docker Compose 2.40 embeds it, without its descriptions. Only the keywords that it has are known here. Its
alternatives (`oneOf`) always differ in type, so that a node has one rule, and what is wrong one place.
"""

from __future__ import annotations

import json
import re

from portward.formats.yaml_scalars import Timestamp
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from portward.errors import InvalidFile
    from portward.formats.yaml_tree import Node

    Schema = dict[str, Any]

_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "nothing",
    "number": "a number",
    "object": "a mapping",
    "string": "a text",
}


class Rule:
    """What one node must be: `types`, and for each of them what the schema asks of it."""

    __slots__ = ("any", "array", "object", "scalar", "types")

    def __init__(self) -> None:
        self.types: list[str] = []
        self.any = False
        self.scalar: Schema = {}
        self.array: tuple[Rule | None, bool] = None, False
        self.object: _Properties = _Properties()

    def check(self, node: Node) -> None:
        """Raises InvalidFile at the place of what differs."""
        if self.any:
            return
        if isinstance(node, Scalar):
            self._check_scalar(node)
        elif isinstance(node, Sequence):
            if "array" not in self.types:
                raise self._mismatch(node)
            self._check_list(node)
        else:
            if "object" not in self.types:
                raise self._mismatch(node)
            self.object.check(node)

    def _check_scalar(self, node: Scalar) -> None:
        data = node.data
        if type(data) is str:
            if "string" not in self.types:
                raise self._mismatch(node)
            if self.scalar:
                self._check_text(node, data)
        elif not any(kind in self.types for kind in _kinds(data)):
            raise self._mismatch(node)
        elif isinstance(data, int | float) and self.scalar:
            low, high = self.scalar.get("minimum", data), self.scalar.get("maximum", data)
            if not low <= data <= high:
                limit = f"at least {low}" if data < low else f"at most {high}"
                raise problem(f"{node.source} is out of range: {limit}", node)

    def _check_text(self, node: Scalar, data: str) -> None:
        allowed = self.scalar.get("enum", (data,))
        if data not in allowed:
            raise problem(f"{data!r} is not one of {', '.join(allowed)}", node, _closest(data, allowed))
        pattern = self.scalar.get("pattern")
        if pattern and not re.search(pattern, data):
            raise problem(f"{data!r} does not match {pattern}", node)

    def _check_list(self, node: Sequence) -> None:
        rule, is_set = self.array
        if rule is not None:
            for item in node.items:
                rule.check(item)
        if is_set and (twice := _repeated(node.items)) is not None:
            raise problem("this stands in the list twice", twice)

    def _mismatch(self, node: Node) -> InvalidFile:
        wanted = " or ".join(_NAMES[kind] for kind in self.types)
        if not isinstance(node, Scalar):
            found = "a list" if isinstance(node, Sequence) else "a mapping"
            return problem(f"{wanted} is expected here, not {found}", node)
        found = "a date" if isinstance(node.data, Timestamp) else node.source.partition("\n")[0] or "nothing"
        hint = f'write "{node.source}"' if node.plain and node.source and "string" in self.types else None
        return problem(f"{wanted} is expected here, not {found}", node, hint)


class _Properties:
    """What a mapping must have and may have."""

    __slots__ = ("by_name", "by_pattern", "others", "required")

    def __init__(self) -> None:
        self.by_name: dict[str, Rule] = {}
        self.by_pattern: list[tuple[re.Pattern[str], Rule]] = []
        self.others: Rule | None = _ANYTHING
        self.required: list[str] = []

    def check(self, node: Mapping) -> None:
        for key, item in node.items.items():
            rule = self.by_name.get(key)
            if rule is None:
                rule = self._other(key)
                if rule is None:
                    raise self._unknown(key, node)
            if not rule.any:
                rule.check(item)
        for key in self.required:
            if key not in node.items:
                raise problem(f"{key} is missing here", node)

    def _unknown(self, key: str, node: Mapping) -> InvalidFile:
        if self.by_name:
            hint = _closest(key, self.by_name)
            return problem(f"{key!r} is not a property that Compose knows here", node.place(key), hint)
        return problem(
            f"{key!r} cannot be a name here", node.place(key), "letters, digits, dots, hyphens and underscores"
        )

    def _other(self, key: str) -> Rule | None:
        for pattern, rule in self.by_pattern:
            if pattern.search(key):
                return rule
        return self.others


_ANYTHING = Rule.__new__(Rule)
_ANYTHING.any = True
_ANYTHING.types = []


def load() -> Rule:
    """The rule of a whole document."""
    from portward.formats import __path__ as folders

    loader: Any = __spec__.loader  # importlib.resources would cost more than the schema itself
    schema = json.loads(loader.get_data(f"{folders[0]}/compose_spec.json"))
    return _Compiler(schema["definitions"]).rule(schema)


class _Compiler:
    """Makes rules of a schema, each definition once."""

    def __init__(self, definitions: Schema) -> None:
        self.definitions = definitions
        self.made: dict[str, Rule] = {}

    def rule(self, schema: Schema) -> Rule:
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            if name not in self.made:
                self.made[name] = self.rule(self.definitions[name])
            return self.made[name]
        rule = Rule()
        for alternative in schema.get("oneOf", (schema,)):
            self._add(rule, alternative)
        rule.any = not rule.types
        return rule

    def _add(self, rule: Rule, schema: Schema) -> None:
        if "$ref" in schema or "oneOf" in schema:
            other = self.rule(schema)
            rule.types += other.types
            rule.scalar = {**rule.scalar, **other.scalar}
            rule.array = other.array if "array" in other.types else rule.array
            rule.object = other.object if "object" in other.types else rule.object
            return
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types
        rule.types += types
        rule.scalar = {**rule.scalar, **{key: schema[key] for key in _SCALAR_KEYWORDS if key in schema}}
        if "array" in types:
            items = schema.get("items")
            rule.array = (self.rule(items) if items else None), schema.get("uniqueItems", False)
        if "object" in types:
            rule.object = self._properties(schema)

    def _properties(self, schema: Schema) -> _Properties:
        found = _Properties()
        found.by_name = {key: self.rule(below) for key, below in schema.get("properties", {}).items()}
        found.by_pattern = [
            (re.compile(pattern), self.rule(below)) for pattern, below in schema.get("patternProperties", {}).items()
        ]
        others = schema.get("additionalProperties", True)
        found.others = None if others is False else _ANYTHING if others is True else self.rule(others)
        found.required = schema.get("required", [])
        return found


_MOST_IN_PAIRS = 20
_SCALAR_KEYWORDS = ("enum", "pattern", "minimum", "maximum")


def _kinds(data: object) -> tuple[str, ...]:
    """The types of JSON that a value has. A number without a fraction is a whole one, however it is written."""
    if data is None:
        return ("null",)
    if isinstance(data, bool):
        return ("boolean",)
    if isinstance(data, int):
        return ("integer", "number")
    if isinstance(data, float):
        return ("integer", "number") if data.is_integer() else ("number",)
    return ("string",) if isinstance(data, str) else ()


def _repeated(items: tuple[Node, ...]) -> Node | None:
    """The first item that equals an earlier one. Short lists are compared in pairs, as Compose's validator does."""
    if len(items) <= _MOST_IN_PAIRS and not all(isinstance(item, Scalar) and type(item.data) is str for item in items):
        pairs = ((item, earlier) for index, item in enumerate(items) for earlier in items[:index])
        return next((item for item, earlier in pairs if _equal(item, earlier)), None)
    seen: set[object] = set()
    for item in items:
        key = _key(item)
        if key in seen:
            return item
        seen.add(key)
    return None


def _equal(item: Node, earlier: Node) -> bool:
    """Whether two items are equal to that validator, for which a text that writes a number equals this number after it."""
    if isinstance(item, Scalar) and isinstance(earlier, Scalar):
        if isinstance(earlier.data, str) and _number(item.data) is not None:
            try:
                return float(earlier.data) == _number(item.data)
            except ValueError:
                return False
        return _key(item) == _key(earlier)
    if isinstance(item, Sequence) and isinstance(earlier, Sequence):
        return len(item.items) == len(earlier.items) and all(map(_equal, item.items, earlier.items))
    if isinstance(item, Mapping) and isinstance(earlier, Mapping):
        names = item.items.keys()
        return names == earlier.items.keys() and all(_equal(item.items[name], earlier.items[name]) for name in names)
    return False


def _key(node: Node) -> object:
    """What a node is equal by."""
    if isinstance(node, Scalar):
        number = _number(node.data)
        return (type(node.data), node.data) if number is None else (float, number)
    if isinstance(node, Sequence):
        return tuple(map(_key, node.items))
    return frozenset((name, _key(item)) for name, item in node.items.items())


def _number(data: object) -> float | None:
    return data if isinstance(data, int | float) and not isinstance(data, bool) else None


def _closest(word: str, known: Any) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, 0.75)
    return f"did you mean {found[0]}?" if found else None
