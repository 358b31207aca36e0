"""Functions of the C library by `_ctypes`, what `ctypes` is built on: all that is needed, for a third of its start-up."""

from __future__ import annotations

import _ctypes
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def function(name: str) -> Callable[..., int]:
    """A function that takes numbers, and bytes as addresses, and returns a long. `errno` tells why it failed. Raises OSError for none of this name."""

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Long

    library = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]
    found: Callable[..., int] = Function(_ctypes.dlsym(library, name))
    return found


def errno() -> int:
    """Why the last call by `function` failed."""
    return _ctypes.get_errno()
