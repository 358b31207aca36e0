"""What a verb may be given, as data: for completion and the manual, which tell it in their own way."""

from __future__ import annotations

from portward.cli.parser import declare
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any


class Declaration(Record):
    """An option (`flags`) or a positional argument. `many` may be given several times; an option without `takes` has no value."""

    flags: tuple[str, ...]
    metavar: str
    help: str
    choices: tuple[str, ...] = ()
    many: bool = False
    needed: bool = False
    takes: bool = True
    group: str = ""


class _Collector:
    def __init__(self, found: list[Declaration], group: str = "") -> None:
        self._found = found
        self._group = group

    def add_argument(self, *flags: str, **settings: Any) -> None:
        is_option = flags[0].startswith("-")
        name = flags[-1].lstrip("-").replace("-", "_").upper()
        nargs, action = settings.get("nargs"), settings.get("action", "store")
        choices: Collection[Any] = settings.get("choices") or ()
        self._found.append(
            Declaration(
                flags if is_option else (),
                settings.get("metavar") or name,
                settings.get("help") or "",
                tuple(map(str, choices)),
                nargs in ("*", "+") or action == "append",
                not is_option and nargs in (None, "+"),
                action != "store_true",
                self._group,
            )
        )

    def add_argument_group(self, title: str) -> _Collector:
        return _Collector(self._found, title)


def declarations(verb: str | None) -> list[Declaration]:
    """All that a verb may be given, in the order of its help; None is `portward` alone."""
    found: list[Declaration] = []
    declare(verb, _Collector(found))
    return found
