"""The verb `agent`: a host in a store of many machines, kept alive by a small program that publishes who listens there."""

from __future__ import annotations

import json
import random
import time

from portward import __version__
from portward.answers import AgentEvent
from portward.errors import NoFreePort, Unavailable, UsageError
from portward.leases import LeaseRequest, etcd_host, here
from portward.model import State
from portward.verbs.watching import REMEMBERED_SECONDS
from portward.wire import listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from portward.leases import LeaseStore
    from portward.leases.etcd import EtcdStore
    from portward.model import Lease, Reading, Site
    from portward.sockets import Changes, WatchingReader

SHORTEST_TTL, LONGEST_TTL = 5.0, 3600.0
"""Seconds: etcd itself raises a shorter one to about two, and who waits longer for a dead host has little of it."""

SETTLING_SECONDS = 2.0
"""Between a change and its publication, and at random up to as much again: a stack that starts is told once, and a fleet not at one moment."""

_MARGIN_SECONDS = 5.0  # for a host that was started anew: its old place ends by itself
_TURN_SECONDS = 1.0  # how soon an end that was asked for is noticed
_LONGEST_PAUSE = 15.0


def open_agent(
    store: LeaseStore,
    environment: Mapping[str, str],
    reader: WatchingReader,
    look: Callable[[], Reading],
    clock: Callable[[], float],
    ttl: float,
) -> HostAgent:
    """The agent of this host, whose id is from now on that of all users of the machine, if we may write it.

    `reader` remembers owners from now on: it is to be for nothing else. Raises UsageError for a store of one machine, Unavailable.
    """
    from portward.leases import host_id
    from portward.leases.etcd import EtcdStore

    if not isinstance(store, EtcdStore):
        raise UsageError(
            f"{store.address} is the store of one machine, which needs no agent",
            hint="PORTWARD_STORE=etcd://HOST:PORT,…/PREFIX, or `store` in portward.toml",
        )
    if not SHORTEST_TTL <= ttl <= LONGEST_TTL:
        raise UsageError(f"{ttl:g} s is no time to live", hint=f"{SHORTEST_TTL:g} to {LONGEST_TTL:g} seconds")
    site = here.site().replace(host=host_id.share(environment))
    reader.remember(REMEMBERED_SECONDS)
    return HostAgent(store, site, look, reader.changes(udp=True), clock, ttl)


class HostAgent:
    """Keeps one host in the store. `look` gives what listens, `changes` when that may be something else, `clock` the time for others."""

    def __init__(
        self,
        store: EtcdStore,
        site: Site,
        look: Callable[[], Reading],
        changes: Changes,
        clock: Callable[[], float],
        ttl: float,
    ) -> None:
        self._store = store
        self._site = site
        self._look = look
        self._changes = changes
        self._clock = clock
        self._ttl = ttl
        self._presence = etcd_host.Presence(store, site, round(ttl))
        self._is_present = False
        self._published = ""
        self._attached: dict[str, Lease] = {}
        self._failures = 0
        self._keep_at = self._publish_at = 0.0

    def run(self, is_over: Callable[[], bool]) -> Iterator[AgentEvent]:
        """What happens, until `is_over`. Raises Copied where another machine has our id; an unreachable store is told and waited for."""
        patient_until = time.monotonic() + self._ttl + _MARGIN_SECONDS
        try:
            while not is_over():
                try:
                    yield from self._turn()
                except etcd_host.Copied as error:
                    if time.monotonic() > patient_until:
                        raise
                    yield self._event(
                        "waiting", f"{error.message}: before this start? That ends within {self._ttl:g} s"
                    )
                    self._rest(_MARGIN_SECONDS, is_over)
                except Unavailable as error:
                    yield from self._unreachable(error, is_over)
            if self._is_present:
                yield from self._end()
        finally:
            self._changes.close()

    def _turn(self) -> Iterator[AgentEvent]:
        """What is due now; then a rest until something changes or becomes due."""
        if not self._is_present:
            yield from self._begin()
        now = time.monotonic()
        if now >= self._keep_at:
            yield from self._keep()
        if self._is_present and now >= self._publish_at:
            yield from self._publish()
        if self._failures:
            self._failures = 0
            yield self._event("back", "the store answers again")
        due = min(self._keep_at, self._publish_at) - time.monotonic()
        if self._changes.wait(max(0.0, min(_TURN_SECONDS, due))) and self._publish_at == float("inf"):
            self._publish_at = time.monotonic() + random.uniform(SETTLING_SECONDS, 2 * SETTLING_SECONDS)

    def _begin(self) -> Iterator[AgentEvent]:
        self._presence.begin()
        self._is_present, self._published = True, ""
        self._keep_at = time.monotonic() + self._ttl / 3
        self._publish_at = 0.0
        yield self._event(
            "began", f"{self._site.host} is in {self._store.address}, and stays {self._ttl:g} s without a word"
        )
        lost, self._attached = self._attached, {}
        for lease in lost.values():
            yield self._claimed_again(lease)
        self._remember()

    def _keep(self) -> Iterator[AgentEvent]:
        if self._presence.keep():
            self._keep_at = time.monotonic() + self._ttl / 3
            self._remember()
            return
        self._is_present = False
        count = len(self._attached)
        yield self._event(
            "lost", f"the host was not heard for too long: its place in the store ended, and {count} leases with it"
        )
        yield from self._begin()

    def _remember(self) -> None:
        self._attached = {lease.token: lease for lease in self._presence.attached()}

    def _publish(self) -> Iterator[AgentEvent]:
        reading = self._look()
        rows = [listener(row) for row in reading.listeners if row.state in (State.LISTEN, State.UDP)]
        text = json.dumps(rows, separators=(",", ":"), sort_keys=True)
        self._publish_at = float("inf")
        if text == self._published:
            return
        if not self._presence.publish(text, self._facts(len(rows))):
            self._keep_at = 0.0  # it tells whether we are still there
            self._publish_at = time.monotonic() + SETTLING_SECONDS
            return
        self._published = text
        yield self._event("published", f"{len(rows)} listeners", count=len(rows))

    def _facts(self, count: int) -> etcd_host.Facts:
        return {
            "name": here.name(),
            "boot": self._site.boot,
            "machine": here.machine(),
            "version": __version__,
            "seen": self._clock(),
            "listeners": count,
        }

    def _claimed_again(self, lease: Lease) -> AgentEvent:
        """What becomes of a lease that ended with our place in the store: it is ours again if its holder lives and nobody has it now."""
        where = f"{lease.port} of {lease.holder.service} ({lease.holder.worktree or lease.holder.project})"
        gone = here.why_gone(lease, self._site)
        if gone:
            return self._event("ended", f"{where} is not claimed again: {gone}", lease)
        request = LeaseRequest(
            site=self._site,
            holder=lease.holder,
            offers=iter([(lease.port,)]),
            transport=lease.transport,
            kind=lease.kind,
            preferred=lease.preferred,
            hosts=lease.hosts,
        )
        try:
            (again,) = self._store.acquire([request], lambda _port, _transport: True, self._clock())
        except NoFreePort:
            return self._event("taken", f"{where} is lost: another has it by now", lease)
        return self._event("claimed", f"{where} is claimed again", again)

    def _unreachable(self, error: Unavailable, is_over: Callable[[], bool]) -> Iterator[AgentEvent]:
        self._failures += 1
        if self._failures == 1:
            yield self._event("unreachable", error.message)
        pause = min(_LONGEST_PAUSE, 2 ** (self._failures - 1))
        self._rest(random.uniform(pause / 2, pause), is_over)
        self._publish_at = min(self._publish_at, time.monotonic())

    def _rest(self, seconds: float, is_over: Callable[[], bool]) -> None:
        until = time.monotonic() + seconds
        while not is_over() and (left := until - time.monotonic()) > 0:
            time.sleep(min(_TURN_SECONDS, left))

    def _end(self) -> Iterator[AgentEvent]:
        self._is_present = False
        try:
            self._presence.end(self._facts(0))
        except Unavailable as error:
            yield self._event(
                "unreachable", f"the store was not told of the end, and will see it in {self._ttl:g} s: {error.message}"
            )
            return
        yield self._event("gone", "the host has left the store; it was last seen now")

    def _event(self, kind: str, message: str, lease: Lease | None = None, count: int | None = None) -> AgentEvent:
        return AgentEvent(kind, self._clock(), self._site.host, message, lease, count)
