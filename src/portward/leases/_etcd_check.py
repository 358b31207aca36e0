"""Looks at the etcd store from all sides, and sets aside what is no lease."""

from __future__ import annotations

from contextlib import suppress

from portward.errors import Unavailable
from portward.leases import _etcd_records, _etcd_trouble
from portward.model import StoreCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from portward.leases._etcd_gateway import Kv
    from portward.leases.etcd import EtcdStore

_CLOCK_SLACK = 5.0
_LONGEST_TOLD = 60


def check(store: EtcdStore, now: float) -> Iterator[StoreCheck]:
    """See `LeaseStore.check`."""
    yield _members(store)
    try:
        is_there = store.draft().begin()
        yield StoreCheck("store", True, "as it should be" if is_there else "nothing is leased yet")
        if is_there:
            yield from _contents(store, now)
    except Unavailable as error:
        yield StoreCheck("store", False, error.message, error.hint)


def _members(store: EtcdStore) -> StoreCheck:
    """Which endpoints answer."""
    silent, versions = [], []
    for endpoint in store.gateway.endpoints:
        try:
            versions.append(str(store.gateway.status(endpoint).get("version", "")))
        except Unavailable as error:
            silent.append(error.message)
    told = f"{len(versions)} of {len(store.gateway.endpoints)} endpoints answer"
    if silent:
        return StoreCheck("members", False, f"{told}; {'; '.join(silent)}", "a majority of the members must run")
    return StoreCheck("members", True, f"{told}: etcd {', '.join(sorted(set(versions)))}")


def _contents(store: EtcdStore, now: float) -> Iterator[StoreCheck]:
    kvs = store.gateway.all_below(store.keys.all_of("l"))
    entries = [entry for kv in kvs if (entry := _etcd_records.entry(kv, store.keys))]
    wrong = [kv for kv in kvs if _etcd_records.entry(kv, store.keys) is None]
    yield StoreCheck(
        "rows",
        not wrong,
        _told(wrong, "is no lease") if wrong else f"{len(entries)} leases, each as it should be",
        repair=f"what is no lease is set aside, below {store.keys.all_of('d')}" if wrong else None,
    )
    stray = _stray_claims(store, {entry.lease.token for entry in entries})
    yield StoreCheck(
        "claims",
        not stray,
        _told(stray, "is the claim of no lease") if stray else "each port of several hosts is a lease of one",
        repair="what is the claim of no lease is set aside, and hosts may have the port again" if stray else None,
    )
    ahead = max((entry.lease.granted for entry in entries), default=0.0) - now
    yield StoreCheck(
        "clock",
        ahead <= _CLOCK_SLACK,
        "no lease is from the future" if ahead <= _CLOCK_SLACK else f"a lease is from {ahead:.0f} s in the future",
        None
        if ahead <= _CLOCK_SLACK
        else "a clock was set back, or a host's is wrong: leases with a time to live last that much longer",
    )


def _stray_claims(store: EtcdStore, tokens: Collection[str]) -> list[Kv]:
    """What keeps hosts off a port for no lease, or cannot be read and keeps nobody off."""
    found = []
    for kv in store.gateway.all_below(store.keys.all_of("f")):
        claim = _etcd_records.claim(kv, store.keys)
        if claim is None or (not claim[1] and claim[0].token not in tokens):  # an intent ends by itself
            found.append(kv)
    return found


def _told(wrong: list[Kv], what: str) -> str:
    kv = wrong[0]
    value = ascii(kv.value[:_LONGEST_TOLD].decode(errors="replace"))
    more = f", and {len(wrong) - 1} more" if wrong[1:] else ""
    return f"what stands at {kv.key!a} {what}: {value} ({len(kv.value)} bytes){more}"


def repair(store: EtcdStore) -> Iterator[str]:
    """See `LeaseStore.repair`. What this user may not change is left as it is."""
    if not store.draft().begin():
        return
    kvs = store.gateway.all_below(store.keys.all_of("l"))
    entries = [entry for kv in kvs if (entry := _etcd_records.entry(kv, store.keys))]
    for kv in kvs:
        if _etcd_records.entry(kv, store.keys) is None:
            yield from _set_aside(store, kv, "l", "was no lease")
    for kv in _stray_claims(store, {entry.lease.token for entry in entries}):
        yield from _set_aside(store, kv, "f", "was the claim of no lease")


def _set_aside(store: EtcdStore, kv: Kv, kind: str, what: str) -> Iterator[str]:
    draft = store.draft()
    draft.begin()
    aside = f"{store.keys.all_of('d')}{kv.key.removeprefix(store.keys.all_of(kind))}@{kv.revision}"
    draft.move(kv, aside)
    with suppress(_etcd_trouble.Forbidden):
        if draft.commit()[0]:
            yield f"{kv.key!a} {what}: it is {aside!a} now"
