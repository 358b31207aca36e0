"""Immutable, typed records and words: the bases of every noun in `model.py`.

To a type checker a record is a frozen dataclass (PEP 681), and `StrEnum` is that of `enum`. At run time small metaclasses make
them: importing `dataclasses` costs about as much as the whole of `portward check PORT`, `enum` a quarter of that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum as StrEnum
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    """Makes a class of annotated fields into an immutable record with `__slots__`."""

    _fields: tuple[str, ...]
    _defaults: dict[str, object]
    _setters: tuple[Any, ...]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        cls = super().__new__(mcs, name, bases, {**namespace, "__slots__": fields})
        cls._fields = fields
        cls._defaults = defaults
        cls._setters = tuple(cls.__dict__[field].__set__ for field in fields)
        cls.__match_args__ = fields  # type: ignore[attr-defined, misc]
        return cls


class Record(metaclass=_RecordType):
    """Base of all records: equality and hash by value, no assignment after construction."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        cls = type(self)
        if kwargs or len(args) != len(cls._fields):
            args = _bind(cls, args, kwargs)
        for assign, value in zip(cls._setters, args, strict=True):
            assign(self, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return astuple(self) == astuple(other)

    def __hash__(self) -> int:
        return hash(astuple(self))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in type(self)._fields)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), astuple(self)

    def replace(self, **changes: Any) -> Self:
        """A copy with the named fields changed. Raises TypeError for a name that is not a field."""
        cls = type(self)
        values = [changes.pop(field) if field in changes else getattr(self, field) for field in cls._fields]
        if changes:
            raise TypeError(f"{cls.__name__} has no field {', '.join(sorted(changes))}")
        return cls(*values)


def astuple(record: Record) -> tuple[Any, ...]:
    """The record's values in the order of its fields, one level deep."""
    return tuple(getattr(record, field) for field in type(record)._fields)


def _bind(cls: _RecordType, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, ...]:
    if len(args) > len(cls._fields):
        raise TypeError(f"{cls.__name__} takes {len(cls._fields)} values, {len(args)} were given")
    given: dict[str, object] = dict(zip(cls._fields, args, strict=False))
    for name, value in kwargs.items():
        if name not in cls._fields:
            raise TypeError(f"{cls.__name__} has no field {name!r}")
        if name in given:
            raise TypeError(f"{cls.__name__} got {name!r} twice")
        given[name] = value
    given = {**cls._defaults, **given}
    missing = [field for field in cls._fields if field not in given]
    if missing:
        raise TypeError(f"{cls.__name__} needs {', '.join(missing)}")
    return tuple(given[field] for field in cls._fields)


if not TYPE_CHECKING:

    class _WordsType(type):
        """Makes each text in a class's body a member of the class: a `str` with a `name` and a `value`, found by its value."""

        def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _WordsType:
            words = {key: value for key, value in namespace.items() if isinstance(value, str) and key[0] != "_"}
            rest = {key: namespace[key] for key in namespace if key not in words}
            cls = super().__new__(mcs, name, bases, {"__slots__": (), **rest})
            cls._members = {value: str.__new__(cls, value) for value in words.values()}
            for key, value in words.items():
                cls._members[value].name, cls._members[value].value = key, value
                setattr(cls, key, cls._members[value])
            return cls

        def __call__(cls, value: str) -> str:
            """The member of this value. Raises ValueError where there is none."""
            try:
                return cls._members[value]
            except (KeyError, TypeError):
                raise ValueError(f"{value!r} is not a valid {cls.__name__}") from None

        def __iter__(cls) -> Iterator[str]:
            return iter(cls._members.values())

        def __len__(cls) -> int:
            return len(cls._members)

        def __contains__(cls, value: object) -> bool:
            return value in cls._members

    class StrEnum(str, metaclass=_WordsType):
        """As `enum.StrEnum`, without aliases, `auto` and `__members__`."""

        __slots__ = ("name", "value")

        def __repr__(self) -> str:
            return f"<{type(self).__name__}.{self.name}: {self.value!r}>"

        def __reduce__(self) -> tuple[type, tuple[str]]:
            return type(self), (self.value,)
