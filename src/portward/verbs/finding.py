"""Free ports for whoever asks, without a promise: the verb `find`."""

from __future__ import annotations

from portward import allocate, catalog
from portward.errors import InvalidPort, NoFreePort, UsageError
from portward.model import LAST_PORT, PortRange, PortRequest, Snapshot, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.truths.declared import Declared
    from portward.truths.leased import Leased
    from portward.truths.live import Live


def find(
    live: Live,
    declared: Declared,
    leased: Leased,
    now: float,
    preferred: int | None,
    *,
    count: int,
    contiguous: bool,
    ports: PortRange | None,
    transport: Transport,
) -> tuple[int, ...]:
    """See `Portward.find`."""
    if count < 1:
        raise UsageError(f"cannot find {count} ports")
    if preferred is not None and not 1 <= preferred <= LAST_PORT:
        raise InvalidPort(f"{preferred} is not a port (1 to {LAST_PORT})")
    settings = declared.settings()
    asked = ports or settings.ranges.get("other", catalog.DEFAULT_RANGES["other"])
    request = PortRequest(f"find\0{declared.place}", asked, preferred, count, contiguous, transport)
    reserved = () if ports else live.reserved()
    promises = leased.promises()
    # as for `check`, what this checkout has leased itself is there for whoever asks for it by its number
    leases = tuple(each for each in promises.leases if preferred is None or not promises.is_mine(each))
    snapshot = Snapshot(live.seen(), now, reserved=reserved, settings=settings, leases=leases)
    found: list[int] = []
    for group in allocate.candidates(request, snapshot):
        if all(live.is_free(port, transport) for port in group):
            found += group
        if len(found) >= count:
            return tuple(sorted(found))
    where = f"from {preferred} to {min(preferred + allocate.FALLBACK, LAST_PORT)}" if preferred else f"in {asked}"
    raise NoFreePort(f"No available ports found: {count} wanted {where}", hint="--range gives another range")
