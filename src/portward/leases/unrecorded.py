"""What could be granted where no store can be written: ports that are free now, and promised to nobody."""

from __future__ import annotations

from portward.model import Lease

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from portward.leases import LeaseRequest
    from portward.model import Transport


def unrecorded(
    requests: Sequence[LeaseRequest],
    is_free: Callable[[int, Transport], bool],
    taken: Collection[int],
    now: float,
) -> tuple[Lease, ...]:
    """Leases without a token, of the first offers that are free and not `taken`: fewer than asked for where the offers end."""
    chosen = {*taken, *(port for request in requests for port in request.avoid)}
    return tuple(lease for request in requests for lease in _of(request, is_free, chosen, now))


def _of(
    request: LeaseRequest, is_free: Callable[[int, Transport], bool], chosen: set[int], now: float
) -> Iterator[Lease]:
    site, index = request.site, 0
    for group in request.offers:
        if index >= request.count:
            return
        if not chosen.isdisjoint(group) or not all(is_free(port, request.transport) for port in group):
            continue
        for port in group:
            yield Lease(
                site.host, site.netns, request.transport, port, request.holder, request.kind, "", now, index=index
            )
            index += 1
        chosen.update(group)
