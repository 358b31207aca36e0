"""How `Portward` looks after what it keeps itself: the lease store is looked at, and put right where that was asked for."""

from __future__ import annotations

from portward.answers import Checkup
from portward.errors import Unavailable
from portward.model import Fix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.leases import LeaseStore
    from portward.model import StoreCheck

_REPAIR = "portward doctor --store --write"


def checkup(store: LeaseStore, now: float, *, write: bool) -> Checkup:
    """Looks at a lease store from all sides; with `write`, puts right what it can. Raises Unavailable where that is refused."""
    found = store.check(now)
    done = store.repair(now) if write and any(check.repair for check in found) else ()
    checks = store.check(now) if done else found
    wrong = [check for check in checks if not check.ok]
    return Checkup(
        target=store.address,
        reachable=_is_readable(store),
        checks=checks,
        cause=wrong[0].detail if wrong else None,
        fixes=tuple(dict.fromkeys(_fixes(wrong))),
        found=found if done else (),
        done=done,
    )


def _is_readable(store: LeaseStore) -> bool:
    try:
        store.leases(ports=())
    except Unavailable:
        return False
    return True


def _fixes(wrong: Sequence[StoreCheck]) -> Iterator[Fix]:
    for check in wrong:
        if check.repair:
            yield Fix(check.repair, _REPAIR, True)
        elif check.hint:
            yield Fix(check.hint, None, True)
