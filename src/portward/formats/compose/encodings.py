"""The encodings in which Docker Compose takes its files: UTF-8, for YAML also UTF-16, for variables whatever bytes there are.

Source: go-yaml v3, `readerc.go`, which looks for a byte-order mark; the reader of variables never looks at the encoding.
"""

from __future__ import annotations

import codecs

from portward.errors import InvalidFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_YAML = (".yaml", ".yml", ".json")


def tolerant(read: Callable[[str], str]) -> Callable[[str], str]:
    """A `read` for the files that Compose itself reads. What is not UTF-8 in a file of variables becomes U+FFFD.

    It raises as `read` does; UnicodeDecodeError for what Compose refuses too.
    """

    def text_of(path: str) -> str:
        try:
            return read(path)
        except UnicodeDecodeError as error:
            data = bytes(error.object)
            if not path.endswith(_YAML):
                return data.decode("utf-8", "replace")
            if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return data.decode("utf-16")
            raise

    return text_of


def not_utf8(error: UnicodeDecodeError, path: str) -> InvalidFile:
    """What is said of a file that is not UTF-8, at its first byte that is not; `error` came from decoding all of it."""
    before = bytes(error.object[: error.start])
    line = before.rpartition(b"\n")[2].decode("utf-8", "replace").removeprefix("\ufeff")
    return InvalidFile(
        "not a text in UTF-8",
        hint="save the file in UTF-8",
        path=path,
        line=before.count(b"\n") + 1,
        column=len(line) + 1,
    )
