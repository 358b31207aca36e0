"""Answers as people and programs read them: `text` for terminals, `documents` for `--json`. Each is loaded when it is used."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from portward.render import documents as documents
    from portward.render import text as text


def __getattr__(name: str) -> ModuleType:
    if name not in ("documents", "text"):
        raise AttributeError(name)
    __import__(f"{__name__}.{name}")
    return sys.modules[f"{__name__}.{name}"]
