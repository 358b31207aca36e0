"""Changes a text by spans and by nothing else, and shows the difference as a unified diff.

Comments, quotes, order, line ends, a byte-order mark and the lack of a final newline all stay, since nothing is parsed here:
only the code points that an edit names are replaced.
"""

from __future__ import annotations

from itertools import pairwise

from portward.errors import InvalidEdit
from portward.formats.text import Lines
from portward.model import Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portward.model import Edit

_BYTE_ORDER_MARK = "\ufeff"
_ESCAPED = {"\t": "\\t", "\n": "\\n", "\r": "\\r", '"': '\\"', "\\": "\\\\"}
_CONTEXT = 3
_NO_NEWLINE = "\n\\ No newline at end of file\n"


class _Block(Record):
    """Lines that differ: counted from 0, those of `old` were replaced by those of `new`."""

    old: Span
    new: Span


def splice(text: str, edits: Iterable[Edit]) -> str:
    """The text of one file with each edit's `new` in the place of its `old`. Without edits, the text itself.

    Spans count code points after a leading byte-order mark, which stays. The order of the edits does not matter. Raises
    InvalidEdit, with the place, where `old` does not stand at its span or two edits overlap (so do two insertions at one
    point, whose order nobody could tell).
    """
    mark = text[: text.startswith(_BYTE_ORDER_MARK)]
    body = text[len(mark) :]
    ordered = sorted(edits, key=lambda edit: (edit.span.start, edit.span.end))
    for edit in ordered:
        if not 0 <= edit.span.start <= edit.span.end <= len(body):
            raise InvalidEdit(f"there is nothing at {edit.span.start} to {edit.span.end} to change", path=edit.path)
        found = body[edit.span.start : edit.span.end]
        if found != edit.old:
            raise _invalid(edit, body, f"{edit.old!r} was to be changed, and {found!r} stands here")
    for first, second in pairwise(ordered):
        if first.span.end > second.span.start or first.span == second.span:
            raise _invalid(second, body, f"{first.old!r} and {second.old!r} overlap: only one of them can be changed")
    pieces, end = [mark], 0
    for edit in ordered:
        pieces += body[end : edit.span.start], edit.new
        end = edit.span.end
    return "".join((*pieces, body[end:]))


def _invalid(edit: Edit, body: str, message: str) -> InvalidEdit:
    place = Lines(edit.path, body).at(edit.span.start)
    return InvalidEdit(message, path=place.path, line=place.line, column=place.column)


def diff(path: str, before: str | None, after: str | None) -> str:
    """The unified diff of one file, as `git apply` and `patch -p1` take it; "" where nothing differs.

    None stands for a file that is not there. Only a line feed ends a line: what else Unicode calls a line break, and the
    carriage return of a CRLF, belong to the line. An empty file that comes or goes has no line to show, and gives "".
    """
    if before == after:
        return ""
    old, new = _lines(before or ""), _lines(after or "")
    names = [
        "/dev/null" if text is None else _name(path if path.startswith("/") else side + path)
        for side, text in (("a/", before), ("b/", after))
    ]
    hunks = [line for group in _grouped(_differences(old, new)) for line in _hunk(group, old, new)]
    return "".join([f"--- {names[0]}\n+++ {names[1]}\n", *hunks]) if hunks else ""


def _differences(old: list[str], new: list[str]) -> Iterator[_Block]:
    """Where the lines differ, in order.

    Edits seldom add a line, and then line is compared with line: a search for the best match may take quadratic time.
    """
    if len(old) == len(new):
        for index, (line, other) in enumerate(zip(old, new, strict=True)):
            if line != other:
                yield _Block(Span(index, index + 1), Span(index, index + 1))
        return
    from difflib import SequenceMatcher

    for tag, low, high, new_low, new_high in SequenceMatcher(None, old, new).get_opcodes():
        if tag != "equal":
            yield _Block(Span(low, high), Span(new_low, new_high))


def _grouped(blocks: Iterable[_Block]) -> list[list[_Block]]:
    """Blocks so near to each other that the context between them is one, and neighbours as one block."""
    groups: list[list[_Block]] = []
    for block in blocks:
        last = groups[-1][-1] if groups else None
        if last is None or block.old.start - last.old.end > 2 * _CONTEXT:
            groups.append([block])
        elif block.old.start == last.old.end:
            joined = _Block(Span(last.old.start, block.old.end), Span(last.new.start, block.new.end))
            groups[-1][-1] = joined
        else:
            groups[-1].append(block)
    return groups


def _hunk(blocks: list[_Block], old: list[str], new: list[str]) -> Iterator[str]:
    first, last = blocks[0], blocks[-1]
    before, after = min(_CONTEXT, first.old.start), min(_CONTEXT, len(old) - last.old.end)
    ranges = [
        _range(first.old.start - before, last.old.end + after),
        _range(first.new.start - before, last.new.end + after),
    ]
    yield f"@@ -{ranges[0]} +{ranges[1]} @@\n"
    at = first.old.start - before
    for block in blocks:
        yield from _marked(" ", old[at : block.old.start])
        yield from _marked("-", old[block.old.start : block.old.end])
        yield from _marked("+", new[block.new.start : block.new.end])
        at = block.old.end
    yield from _marked(" ", old[at : at + after])


def _marked(sign: str, lines: list[str]) -> Iterator[str]:
    return (sign + (line if line.endswith("\n") else line + _NO_NEWLINE) for line in lines)


def _range(start: int, end: int) -> str:
    """First line and number of lines, as GNU diffutils' manual defines a hunk's header; of no lines, the one before."""
    return f"{start + 1 if end > start else start},{end - start}"


def _lines(text: str) -> list[str]:
    *ended, last = text.split("\n")
    return [line + "\n" for line in ended] + ([last] if last else [])


def _name(path: str) -> str:
    """A file's name in a diff: quoted as git does where a control character, a quote or a backslash is in it.

    A tab after a name with a blank tells where it ends.
    """
    escaped = "".join(
        _ESCAPED.get(character)
        or (character if character.isprintable() or ord(character) > 126 else f"\\{ord(character):03o}")
        for character in path
    )
    if escaped != path:
        return f'"{escaped}"'
    return f"{path}\t" if " " in path else path
