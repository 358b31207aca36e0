"""Immutable, typed records and words: the bases of every noun in `model.py`.

To a type checker a record is a frozen dataclass (PEP 681), and `StrEnum` is that of `enum`. At run time small metaclasses make
them: importing `dataclasses` costs about as much as the whole of `portward check PORT`, `enum` a quarter of that.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum as StrEnum
    from typing import Any, Self, TypeVar, dataclass_transform

    _T = TypeVar("_T")

    _Values = object

    def _tuplegetter(place: int, told: str) -> object: ...
    def _values(record: object) -> Iterator[Any]: ...
    def _made(cls: type[_T], values: list[Any]) -> _T: ...
else:
    from _collections import _tuplegetter  # what `collections.namedtuple` is made of

    _Values, _values, _made = tuple, tuple.__iter__, tuple.__new__

    def dataclass_transform(**_options):
        return lambda cls: cls


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    """Makes a class of annotated fields into an immutable record: a tuple of their values, each with a name."""

    _names: tuple[str, ...]  # not `_fields`, by which a tuple is taken for a named tuple
    _places: dict[str, int]
    _defaults: dict[str, object]

    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {field: namespace.pop(field) for field in fields if field in namespace}
        getters = {field: _tuplegetter(place, "") for place, field in enumerate(fields)}
        cls = super().__new__(mcs, name, bases, {**namespace, **getters, "__slots__": ()})
        cls._names = fields
        cls._places = {field: place for place, field in enumerate(fields)}
        cls._defaults = defaults
        cls.__match_args__ = fields  # type: ignore[attr-defined, misc]
        return cls


class Record(_Values, metaclass=_RecordType):
    """Base of all records: equality and hash by type and value, no assignment after construction.

    That it is a tuple is a matter of speed alone, and hidden: it has no length, no order, is not gone through, and is always true,
    unless a class says otherwise.
    """

    if not TYPE_CHECKING:

        def __new__(cls, *args: Any, **kwargs: Any) -> Self:
            if kwargs or len(args) != len(cls._names):
                args = _bind(cls, args, kwargs)
            return tuple.__new__(cls, args)

        __len__ = __iter__ = __reversed__ = __contains__ = __getitem__ = None
        __lt__ = __le__ = __gt__ = __ge__ = __add__ = __mul__ = __rmul__ = None

        def __bool__(self) -> bool:
            return True

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot set {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable: cannot delete {name!r}")

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return False if isinstance(other, tuple) else NotImplemented
        return bool(_Values.__eq__(self, other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = _Values.__hash__

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in type(self)._names)
        return f"{type(self).__name__}({shown})"

    def __reduce__(self) -> tuple[type, tuple[object, ...]]:
        return type(self), astuple(self)

    def replace(self, **changes: Any) -> Self:
        """A copy with the named fields changed. Raises TypeError for a name that is not a field."""
        cls = type(self)
        values = list(_values(self))
        try:
            for name, value in changes.items():
                values[cls._places[name]] = value
        except KeyError:
            unknown = ", ".join(sorted(changes.keys() - cls._places.keys()))
            raise TypeError(f"{cls.__name__} has no field {unknown}") from None
        return _made(cls, values)


def astuple(record: Record) -> tuple[Any, ...]:
    """The record's values in the order of its fields, one level deep."""
    return tuple(_values(record))


def _bind(cls: _RecordType, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, ...]:
    if len(args) > len(cls._names):
        raise TypeError(f"{cls.__name__} takes {len(cls._names)} values, {len(args)} were given")
    rest = cls._names[len(args) :]
    for name in kwargs:
        if name not in rest:
            twice = name in cls._names
            raise TypeError(f"{cls.__name__} got {name!r} twice" if twice else f"{cls.__name__} has no field {name!r}")
    values = {**cls._defaults, **kwargs} if kwargs else cls._defaults
    try:
        return (*args, *[values[field] for field in rest])
    except KeyError:
        missing = ", ".join(field for field in rest if field not in values)
        raise TypeError(f"{cls.__name__} needs {missing}") from None


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
