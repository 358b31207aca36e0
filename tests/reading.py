"""Files of a test that are on no disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def reader(files: Mapping[str, str]) -> Callable[[str], str]:
    """Reads from a dictionary as from a disk: what is not there raises FileNotFoundError."""

    def read(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return files[path]

    return read
