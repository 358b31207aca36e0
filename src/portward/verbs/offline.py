"""Leases while a store of many machines does not answer: by what this machine knows of it, and settled when it answers again."""

from __future__ import annotations

import time

from portward.errors import NoFreePort, Unavailable
from portward.leases import LeaseRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.conventions import Terms, Wanted
    from portward.leases.local_copy import LocalCopy
    from portward.verbs.leasing import Granted, Leasing


def lease(
    leasing: Leasing, copy: LocalCopy, names: Sequence[str | Wanted], terms: Terms, avoid: frozenset[int]
) -> Granted:
    """See `Leasing.lease`. Raises Unavailable where the store is away and a port is not known, unless that is allowed to be granted."""
    try:
        settled = list(_settled(leasing, copy))
        granted = leasing.by_store(names, terms, avoid)
    except Unavailable as error:
        return _offline(leasing, copy, names, terms, avoid, error)
    copy.keep(granted.leases, leasing.now())
    return granted.replace(remarks=(*settled, *granted.remarks))


def _offline(
    leasing: Leasing,
    copy: LocalCopy,
    names: Sequence[str | Wanted],
    terms: Terms,
    avoid: frozenset[int],
    error: Unavailable,
) -> Granted:
    wanted = leasing.asking.wanted(names, terms)
    recalled = copy.recall(leasing.requests(wanted, terms, avoid)) if terms.ttl is None else None
    if recalled:
        return leasing.told(recalled[0], [_of(recalled[1], error)])
    if not terms.offline or terms.hosts:
        raise Unavailable(
            error.message,
            hint=f"{error.hint}; with `--offline-ok` a port is granted here, unconfirmed" if error.hint else None,
        ) from error
    granted = leasing.by_another(wanted, terms, avoid, copy.promise)
    copy.keep(granted.leases, leasing.now())
    said = f"unconfirmed: this port is this machine's word alone, until the store answers: {error.message}"
    return granted.replace(remarks=(said, *granted.remarks))


def known(leasing: Leasing, copy: LocalCopy, error: Unavailable, everyone: bool) -> Granted:
    """What this machine knows of its own leases. Raises the error where it knows nothing."""
    leases, kept = copy.leases()
    if not leases:
        raise error
    mine = [each for each in leases if everyone or each.holder.project == leasing.checkout.project]
    return leasing.told(mine, [f"this host's alone, {_of(kept, error)}"])


def _of(kept: float, error: Unavailable) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(kept))
    return f"from this machine's copy of {moment}, as the store does not answer: {error.message}"


def _settled(leasing: Leasing, copy: LocalCopy) -> Iterator[str]:
    """Has confirmed what was granted while the store was away, or says that another has it. Raises Unavailable while it is."""
    for lease in copy.unconfirmed():
        where = f"{lease.port} of {lease.holder.service}, granted while the store was away,"
        request = LeaseRequest(
            site=leasing.site,
            holder=lease.holder,
            offers=iter([(lease.port,)]),
            transport=lease.transport,
            preferred=lease.preferred,
        )
        try:
            (again,) = leasing.store.acquire([request], lambda _port, _transport: True, leasing.now())
        except NoFreePort:
            copy.forget([lease], leasing.now())
            yield f"{where} is another's: it gets another port when it asks"
            continue
        copy.forget([lease], leasing.now())
        copy.keep([again], leasing.now())
        yield f"{where} is {'confirmed' if again.port == lease.port else f'not its port: it has {again.port}'}"
