"""A block of lines of Portward's own in somebody else's file, between two lines that mark it."""

from __future__ import annotations

from portward.errors import InvalidFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BEGIN = "# >>> portward >>>"
END = "# <<< portward <<<"


def block(body: Sequence[str], about: str) -> str:
    """The block: `about` stands behind the mark of its beginning, for whoever reads the file."""
    return "".join(f"{line}\n" for line in (f"{BEGIN} {about}", *body, END))


def without(text: str, path: str) -> str:
    """The text without the block. Raises InvalidFile, with the place, for one that begins or ends twice, or does not end."""
    lines = text.splitlines(keepends=True)
    begins = [number for number, line in enumerate(lines) if line.startswith(BEGIN)]
    ends = [number for number, line in enumerate(lines) if line.startswith(END)]
    if not begins and not ends:
        return text
    if len(begins) != 1 or len(ends) != 1 or ends[0] < begins[0]:
        line = (begins or ends)[0] + 1
        raise InvalidFile("Portward's block does not end where it should", path=path, line=line, column=1)
    return "".join(lines[: begins[0]] + lines[ends[0] + 1 :])


def hushed(text: str) -> str:
    """The text with its block made a comment of the same length: what stands there is said elsewhere, and all else keeps its place."""
    start, end = text.find(BEGIN), text.find(END)
    if not 0 <= start < end:
        return text
    return text[:start] + "".join(char if char in "\r\n" else "#" for char in text[start:end]) + text[end:]


def with_last(text: str, added: str, path: str) -> str:
    """The text with a block at its end, where it has the last word."""
    rest = without(text, path)
    return rest + ("" if not rest or rest.endswith("\n") else "\n") + added


def with_first(text: str, added: str, path: str) -> str:
    """The text with a block behind its first line, before anything that may end a script."""
    first, newline, rest = without(text, path).partition("\n")
    return f"{first}\n{added}{rest if newline else ''}"
