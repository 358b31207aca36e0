"""Output as terminals, containers and loggers decorate it → plain lines."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LONGEST = 4000
"""Characters of a line that are read together; a longer line is read in pieces that overlap."""
_OVERLAP = 300
_LARGEST = 1 << 16

# ECMA-48: control sequences, strings (titles and links), and the two-character escapes of ISO 2022
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]{0,40}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[()*+][A-Za-z0-9]|[=>78cM])"
)
_LOST_ESCAPES = re.compile(r"(?:\\u001b|\\x1b|\\e|\\033|\^\[|␛)\[[0-9;]{0,20}m|\[(?:\d{1,3}(?:;\d{1,3}){0,5})m")
_BREAKS = re.compile(r"\r\n|\n|\r|\u2028")
_OF_CONTAINER = re.compile(
    r"^\s{0,4}(?P<name>(?!\d+\|)[A-Za-z0-9][\w.-]{0,80})\s{1,60}\| |^#\d{1,4} (?:\d+\.\d+ )|^\s{0,8}> \[[^\]]{1,80}\] RUN "
)
_FRAMES = re.compile(r"^\s{0,8}(?:[│|▏>!]\s{0,4})+")


def lines(chunks: Iterable[str]) -> Iterator[list[str]]:
    """Whole lines without colours, in lists of some dozen kilobytes, in order; a text of any size is never held at once."""
    rest = ""
    for chunk in chunks:
        rest += chunk
        if len(rest) < _LARGEST:
            continue
        end = max(rest.rfind("\n"), rest.rfind("\r", 0, -1)) + 1
        if not end:
            end = len(rest) - _OVERLAP
            yield _split(rest[:end])
            rest = rest[end - _OVERLAP :]
            continue
        yield _split(rest[:end])
        rest = rest[end:]
    if rest:
        yield _split(rest)


def _split(text: str) -> list[str]:
    if "\x00" in text:
        text = text.replace("\x00", "")
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    if "[" in text and "m" in text:
        text = _LOST_ESCAPES.sub("", text)
    found: list[str] = []
    for line in _BREAKS.split(text.removesuffix("\n").removesuffix("\r")):
        if "\\n" in line and '"' in line:  # the lines of a message in JSON
            found += line.replace('\\"', '"').replace("\\t", "\t").split("\\n")
        else:
            found.append(line)
    if any(len(line) > LONGEST for line in found):
        return [piece for line in found for piece in _pieces(line)]
    return found


def _pieces(line: str) -> Iterator[str]:
    for start in range(0, max(len(line) - _OVERLAP, 1), LONGEST - _OVERLAP):
        yield line[start : start + LONGEST]


def plain(line: str) -> tuple[str, bool]:
    """A line without what stands before it for the reader, and whether that says that a container printed it."""
    if "|" not in line and "│" not in line and line[:1] not in "#>▏ ":
        return line, False
    found = _OF_CONTAINER.match(line)
    if found:
        return line[found.end() :], True
    return _FRAMES.sub("", line), False
