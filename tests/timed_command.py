"""`portward` as it is, and at its end on stderr how long its grant took, from asking to the answer, in seconds.

`python tests/timed_command.py lease SERVICE`. What it has loaded before it asks, and what it does afterwards, is no part of that.
"""

from __future__ import annotations

import atexit
import sys
import time

from portward.__main__ import main
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portward.conventions import Terms
    from portward.verbs.leasing import Granted

_lease = Portward.lease


def lease(self: Portward, names: Sequence[str] = (), terms: Terms | None = None) -> Granted:
    """`Portward.lease`, with a look at the clock before and after."""
    asked = time.monotonic()
    granted = _lease(self, names, terms)
    taken = time.monotonic() - asked
    atexit.register(lambda: print(taken, file=sys.stderr))
    return granted


if __name__ == "__main__":
    Portward.lease = lease  # type: ignore[method-assign]
    main()
