"""SQLite as Python has it built in, without the rest of the package `sqlite3`: that loads `datetime`, for values that no lease has,
and takes more than a tenth of the time of a whole grant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import _sqlite3 as sqlite3
    except ImportError:  # another Python than CPython
        import sqlite3

__all__ = ("sqlite3",)
