"""Strings of JSON with their places: what the standard library's parser does not tell.

Grammar: RFC 8259, section 7. A text is taken to be valid: whoever calls has checked it, or cannot be harmed.
"""

from __future__ import annotations

import re

from portward.formats.text import Passage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

STRING = r'"(?:[^"\\]|\\.)*+"'
_TOKEN = re.compile(rf"{STRING}|[{{}}\[\]:,]|[^\s{{}}\[\]:,\"]++", re.DOTALL)
_ESCAPE = re.compile(
    r"\\u(?P<high>[Dd][89ABab][0-9A-Fa-f]{2})\\u(?P<low>[Dd][C-Fc-f][0-9A-Fa-f]{2})"
    r"|\\(?:u(?P<code>[0-9A-Fa-f]{4})|(?P<letter>.))",
    re.DOTALL,
)
_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


def decoded(passage: Passage) -> Passage:
    """What stands between a string's quotes, without its escapes."""
    if "\\" not in passage.text:
        return passage
    parts: list[Passage] = []
    end = 0
    for escape in _ESCAPE.finditer(passage.text):
        parts += passage.part(end, escape.start()), Passage(_character(escape), (-1,))
        end = escape.end()
    return Passage.join((*parts, passage.part(end, len(passage.text))))


def _character(escape: re.Match[str]) -> str:
    if escape["high"]:
        return chr(0x10000 + ((int(escape["high"], 16) - 0xD800) << 10) + int(escape["low"], 16) - 0xDC00)
    return chr(int(escape["code"], 16)) if escape["code"] else _ESCAPED.get(escape["letter"], escape["letter"])


def scalars(passage: Passage) -> Iterator[tuple[tuple[str, ...], Passage]]:
    """Every string, number and word with the keys that lead to it; the key of an element of a list is empty."""
    keys: list[str] = []
    pending: Passage | None = None
    for token in _TOKEN.finditer(passage.text):
        mark = token.group()
        if mark == ":" and keys:
            keys[-1] = pending.text if pending else ""
            pending = None
        elif mark in ",]}" or mark in "[{":
            if pending:
                yield tuple(keys), pending
            pending = None
            if mark in "[{":
                keys.append("")
            elif mark != "," and keys:
                keys.pop()
        else:
            is_string = mark[0] == '"'
            pending = passage.part(token.start() + is_string, token.end() - is_string)
            pending = decoded(pending) if is_string else pending
    if pending:
        yield tuple(keys), pending
