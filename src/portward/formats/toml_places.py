"""Where the keys and the values of a TOML text stand.

The standard library's reader of TOML tells the place of a syntax error and of nothing else. This is not another reader: it
walks over a text that has already been read, and passes over whatever it does not know.
"""

from __future__ import annotations

import re

from portward.formats.text import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Location

    Path = tuple[str | int, ...]

_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = re.compile(rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*")
_GAP = re.compile(r"(?:\s|#[^\n]*)*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_TOKEN = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*|[\[\]{}\n]|[^"\'#\[\]{}\n]+|.',
    re.DOTALL,
)


class Places:
    """The places of one text. A path is the names of the tables and the key, with the index in a list of tables."""

    def __init__(self, text: str, path: str) -> None:
        self._text = text
        self._lines = Lines(path, text)
        self._keys: dict[Path, int] = {}
        self._values: dict[Path, int] = {}
        self._is_read = False

    def key(self, path: Path) -> Location:
        """Where a key or a table's name stands; what is not found has the place of what it is in."""
        return self._place(path, self._keys)

    def value(self, path: Path) -> Location:
        """Where the value of a key starts."""
        self._scan()
        return self._place(path, self._values if path in self._values else self._keys)

    def start_of_value(self, path: Path) -> int | None:
        """The offset of the value of a key, or None for a key that is not there."""
        self._scan()
        return self._values.get(path)

    def _place(self, path: Path, offsets: dict[Path, int]) -> Location:
        self._scan()
        while path and path not in offsets:
            path = path[:-1]
        return self._lines.at(offsets.get(path, 0))

    def _scan(self) -> None:
        """Reads the text when the first place is asked for: most texts have no place that anybody wants to know."""
        if self._is_read:
            return
        self._is_read = True
        table: Path = ()
        lists: dict[Path, int] = {}
        at = 0
        while at < len(self._text):
            at = self._after(_GAP, at)
            is_header = self._text.startswith("[", at)
            is_list = self._text.startswith("[[", at)
            start = self._after(_GAP, at + is_header + is_list)
            key = _KEY.match(self._text, start)
            if key is None:
                at = self._end_of_line(at) + 1
            elif is_header:
                table = _names(key.group())
                self._keys.setdefault(table, start)
                if is_list:
                    lists[table] = lists.get(table, -1) + 1
                    table = (*table, lists[table])
                self._keys[table] = start
                at = self._end_of_line(key.end())
            else:
                path = (*table, *_names(key.group()))
                self._keys[path] = start
                at = self._values[path] = self._after(_EQUALS, key.end())
                at = self._end_of_value(at)

    def _after(self, pattern: re.Pattern[str], at: int) -> int:
        found = pattern.match(self._text, at)
        return found.end() if found else at

    def _end_of_line(self, at: int) -> int:
        end = self._text.find("\n", at)
        return end if end >= 0 else len(self._text)

    def _end_of_value(self, at: int) -> int:
        """The end of the line that a value ends on: texts and lists may go over several."""
        depth = 0
        for token in _TOKEN.finditer(self._text, at):
            depth += (token.group() in "[{") - (token.group() in "]}")
            if token.group() == "\n" and depth <= 0:
                return token.start()
        return len(self._text)


def syntax_error(message: str, text: str) -> tuple[str, int, int]:
    """tomllib's message without its place, the line and the column."""
    found = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    if found:
        return f"not valid TOML: {message[: found.start()]}", int(found[1]), int(found[2])
    lines = text.split("\n")
    return f"not valid TOML: {message.removesuffix(' (at end of document)')}", len(lines), len(lines[-1]) + 1


def _names(key: str) -> Path:
    return tuple(name[1:-1] if name[0] in "\"'" else name for name in re.findall(_PART, key))
