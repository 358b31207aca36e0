"""`functools.cache`, without what `functools` loads: that is a tenth of an answer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import cache as cache
else:
    from _functools import _lru_cache_wrapper  # what `functools.cache` is made of

    def cache(function):
        kept = _lru_cache_wrapper(function, None, False, tuple)
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(kept, name, getattr(function, name))
        kept.__wrapped__ = function
        return kept
