"""The verb that reads error texts: explain."""

from __future__ import annotations

import errno
import os
import sys

from portward.cli.terminal import asked, paint, show
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from portward.cli.parser import Arguments, Declares

_PIECE = 1 << 16


def add_explain(parser: Declares) -> None:
    parser.add_argument(
        "text", nargs="*", metavar="FILE|-|TEXT", help="a file with the text, - for stdin (default), or the text itself"
    )


def explain(arguments: Arguments) -> int:
    """`portward explain`"""
    from portward.render import documents, explanation

    text = _text(arguments.text)
    answer = asked(arguments, lambda ward: ward.explain(text))
    show(arguments, lambda: documents.explain(answer), lambda: explanation.lines(answer, paint()))
    return 0 if answer.diagnoses else 1


def _text(words: list[str]) -> str | Iterator[str]:
    """What is to be read: stdin, a file, or the words themselves. Raises UsageError."""
    if words in ([], ["-"]):
        if not words and sys.stdin.isatty():
            raise UsageError("what to explain?", hint="COMMAND 2>&1 | portward explain, or portward explain 'the text'")
        return _pieces(sys.stdin.buffer)
    if len(words) > 1:
        return " ".join(words)
    if os.path.isdir(words[0]):
        raise UsageError(f"{words[0]} is a folder")
    try:
        return _pieces(open(words[0], "rb"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return _own(words[0])
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return words[0]
        raise UsageError(f"{words[0]}: {error.strerror}") from None


def _own(text: str) -> str:
    """The argument as the text itself. Raises UsageError for one that can only be the name of a file."""
    if " " not in text.strip() and ("/" in text or text.endswith((".log", ".txt"))):
        raise UsageError(f"there is no {text}", hint="a text is given in quotes, or on stdin")
    return text


def _pieces(stream: BinaryIO) -> Iterator[str]:
    """The stream's text, piece by piece: UTF-8, or UTF-16 with its mark as PowerShell writes it; what is neither becomes U+FFFD."""
    from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder

    with stream:
        piece = stream.read(_PIECE)
        name = "utf-16" if piece.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
        decoder = getincrementaldecoder(name)(errors="replace")
        while piece:
            yield decoder.decode(piece)
            piece = stream.read(_PIECE)
        yield decoder.decode(b"", final=True)
