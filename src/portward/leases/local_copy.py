"""What this host's services have in a store of many machines, as it was last known: for the time in which that store does not answer.

A file in the user's state folder, one for each store and host; written whole or not at all, and only ever believed while the store is away.
Two commands that write it at one moment may lose one's news: then less is known, never something wrong. A lease without a token was
granted here alone, and is unconfirmed until the store has it.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from zlib import crc32

from portward.leases import _etcd_records
from portward.leases._grants import recalled
from portward.leases.unrecorded import unrecorded
from portward.model import LeaseKind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from portward.leases import LeaseRequest
    from portward.model import Lease, Transport

_FRESH_SECONDS = 60.0
"""Within which nothing is written that changes nothing but the time."""

_LARGEST = 16 << 20


class LocalCopy:
    """The copy of one store's leases of one host. Raises nothing: what cannot be read is empty, what cannot be written is not kept."""

    def __init__(self, environment: Mapping[str, str], address: str, host: str) -> None:
        state = environment.get("XDG_STATE_HOME", "")
        if not os.path.isabs(state):
            state = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".local", "state")
        self._host = host
        self._path = os.path.join(state, "portward", f"fleet-{crc32(f'{address} {host}'.encode()):08x}.json")

    def leases(self) -> tuple[tuple[Lease, ...], float]:
        """What is known, and of when it is, in seconds since the epoch."""
        try:
            with open(self._path, encoding="ascii") as file:
                told = json.loads(file.read(_LARGEST))
            found = tuple(map(_etcd_records.lease_of, told["leases"]))
            return tuple(lease for lease in found if lease.host == self._host), float(told["kept"])
        except (OSError, ValueError, LookupError, TypeError, RecursionError):
            return (), 0.0

    def recall(self, requests: Sequence[LeaseRequest]) -> tuple[tuple[Lease, ...], float] | None:
        """As `LeaseStore.recall`, and of when it is."""
        known, kept = self.leases()
        found: list[Lease] = []
        for request in requests:
            held = [lease for lease in known if _is_for(lease, request)]
            answer = recalled(sorted(held, key=lambda lease: lease.index), request)
            if answer is None:
                return None
            found += answer
        return tuple(found), kept

    def promise(
        self, requests: Sequence[LeaseRequest], is_free: Callable[[int, Transport], bool], now: float
    ) -> tuple[Lease, ...]:
        """As `LeaseStore.acquire`, by what is known here alone: new leases have no token."""
        known = self.leases()[0]
        self.forget(
            (each for each in known if any(each.port in one.avoid and _is_for(each, one) for one in requests)), now
        )
        found: list[Lease] = []
        for request in requests:
            same = self.recall([request])
            taken = {lease.port for lease in (*self.leases()[0], *found) if lease.netns == request.site.netns}
            found += same[0] if same else unrecorded([request], is_free, taken, now)
        return tuple(found)

    def unconfirmed(self) -> tuple[Lease, ...]:
        """What was granted while the store was away."""
        return tuple(lease for lease in self.leases()[0] if not lease.token)

    def keep(self, leases: Iterable[Lease], now: float) -> None:
        """Remembers sticky leases of this host; others end by themselves, and nobody here would know."""
        known, kept = self.leases()
        news = [lease for lease in leases if lease.kind is LeaseKind.STICKY and lease.host == self._host]
        wanted = {_place(lease): lease for lease in (*known, *news)}
        if tuple(wanted.values()) != known or not 0 <= now - kept < _FRESH_SECONDS:
            self._write(wanted.values(), now)

    def forget(self, leases: Iterable[Lease], now: float) -> None:
        """Leases that stand no more."""
        gone = {_place(lease) for lease in leases}
        known, _kept = self.leases()
        left = [lease for lease in known if _place(lease) not in gone]
        if len(left) < len(known):
            self._write(left, now)

    def _write(self, leases: Iterable[Lease], now: float) -> None:
        text = json.dumps({"kept": now, "leases": [json.loads(_etcd_records.lease_value(lease)) for lease in leases]})
        part = f"{self._path}-{os.getpid()}"
        with suppress(OSError):
            os.makedirs(os.path.dirname(self._path), 0o700, exist_ok=True)
            try:
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                    file.write(text)
                os.replace(part, self._path)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(part)


def _place(lease: Lease) -> tuple[str, str, int]:
    return lease.netns, str(lease.transport), lease.port


def _is_for(lease: Lease, request: LeaseRequest) -> bool:
    who, holder = lease.holder, request.holder
    return (
        (lease.netns, lease.transport) == (request.site.netns, request.transport)
        and (who.project, who.worktree, who.service, who.instance)
        == (holder.project, holder.worktree, holder.service, holder.instance)
        and holder.process is None
    )
