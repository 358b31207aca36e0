"""A lease store as a dictionary, and a machine of hypothesis that holds a real one against it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from portward.errors import NoFreePort
from portward.leases import SIGHTINGS, SPACING, LeaseRequest, open_store
from portward.model import Holder, Lease, LeaseKind, ProcessId, Site, Transport

if TYPE_CHECKING:
    from collections.abc import Sequence

SITES = [Site("here", "", "boot"), Site("here", "net:[1]", "boot"), Site("there", "", "boot")]
HERE = SITES[0]
TTL = 100.0
PORTS = range(1, 7)

ports = st.integers(PORTS[0], PORTS[-1])
holders = st.builds(
    Holder,
    st.just("/p"),
    st.sampled_from(["/p", "/q"]),
    st.sampled_from(["web", "api"]),
    process=st.sampled_from([None, None, ProcessId("boot", 1, 1)]),
)


@st.composite
def requests(draw: st.DrawFn) -> LeaseRequest:
    """Any request that makes sense, for few ports, so that holders meet."""
    who = draw(holders)
    kind = LeaseKind.PROCESS if who.process else draw(st.sampled_from([LeaseKind.STICKY, LeaseKind.TTL]))
    count = draw(st.integers(1, 3))
    contiguous = draw(st.booleans())
    firsts = draw(st.lists(ports, unique=True))
    return LeaseRequest(
        site=draw(st.sampled_from(SITES)),
        holder=who,
        offers=[tuple(range(first, first + count)) for first in firsts] if contiguous else [(port,) for port in firsts],
        count=count,
        contiguous=contiguous,
        transport=draw(st.sampled_from([*Transport])),
        kind=kind,
        ttl=TTL if kind is LeaseKind.TTL else None,
        avoid=draw(st.frozensets(ports, max_size=2)),
    )


Key = tuple[str, str, Transport, int]


class Model:
    """What a store should have: leases by what they are on, and how often each was seen gone, and when last."""

    def __init__(self) -> None:
        self.leases: dict[Key, Lease] = {}
        self.sightings: dict[str, tuple[int, float]] = {}
        self.log: set[str] = set()

    def copy(self) -> Model:
        made = Model()
        made.leases, made.sightings, made.log = dict(self.leases), dict(self.sightings), set(self.log)
        return made

    def acquire(self, request: LeaseRequest, free: frozenset[int], now: float) -> list[Lease]:
        """What is granted; new leases have the token "". Raises NoFreePort."""
        held = sorted(
            (lease for lease in self.leases.values() if _is_held(lease, request)), key=lambda each: each.index
        )
        kept = [lease for lease in held if lease.port not in request.avoid]
        first = kept[0].port if kept else 0
        if request.contiguous and [lease.port for lease in kept[: request.count]] != list(
            range(first, first + request.count)
        ):
            kept = []
        for lease in held:
            del self.leases[_key(lease)]
        kept = [lease.replace(kind=request.kind, expires=request.expires(now)) for lease in kept]
        self.leases.update((_key(lease), lease) for lease in kept)
        for group in request.offers:
            if len(kept) >= request.count:
                break
            if all(self._may_have(port, request, free, now) for port in group):
                for port in group:
                    index = min(set(range(9)) - {lease.index for lease in kept})
                    kept.append(self._given(port, index, request, now))
        if len(kept) < request.count:
            raise NoFreePort("")
        return sorted(kept, key=lambda lease: lease.index)[: request.count]

    def _may_have(self, port: int, request: LeaseRequest, free: frozenset[int], now: float) -> bool:
        key = (request.site.host, request.site.netns, request.transport, port)
        other = self.leases.get(key)
        if port in request.avoid or port not in free:
            return False
        if other is None:
            return True
        if other.expires is None or other.expires > now:
            return False
        self.take_back(other)
        return True

    def _given(self, port: int, index: int, request: LeaseRequest, now: float) -> Lease:
        site = request.site
        lease = Lease(
            site.host, site.netns, request.transport, port, request.holder, request.kind, "", now,
            request.expires(now), index=index, boot=site.boot,
        )  # fmt: skip
        self.leases[_key(lease)] = lease
        return lease

    def take_back(self, lease: Lease) -> None:
        del self.leases[_key(lease)]
        self.log.add(lease.token)

    def reclaim(self, dead: frozenset[str], free: frozenset[int], now: float) -> set[str]:
        """The tokens of what is taken back."""
        taken = set()
        for lease in list(self.leases.values()):
            near = lease.netns == HERE.netns
            expired = lease.expires is not None and lease.expires <= now
            if lease.host != HERE.host:
                continue
            if not (expired or lease.holder.service in dead) or (near and lease.port not in free):
                self.sightings.pop(lease.token, None)
                continue
            times, last = self.sightings.get(lease.token, (0, now - SPACING))
            times, last = (times + 1, now) if now - last >= SPACING else (times, min(last, now))
            self.sightings[lease.token] = times, last
            if times >= SIGHTINGS or (near and lease.kind is not LeaseKind.STICKY):
                self.take_back(lease)
                taken.add(lease.token)
        return taken


def _is_held(lease: Lease, request: LeaseRequest) -> bool:
    site = request.site
    mine = (site.host, site.netns, request.transport, request.holder)
    return (lease.host, lease.netns, lease.transport, lease.holder) == mine


def _key(lease: Lease) -> Key:
    return lease.host, lease.netns, lease.transport, lease.port


class LeaseMachine(RuleBasedStateMachine):
    """Does the same to a store and to its model, and finds them equal after each step."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.store = open_store(address)
        self.model = Model()
        self.seen: list[Lease] = []
        self.now = 1_000_000.0

    def teardown(self) -> None:
        self.store.close()

    @rule(asked=st.lists(requests(), min_size=1, max_size=3), free=st.frozensets(ports, min_size=2))
    def acquire(self, asked: Sequence[LeaseRequest], free: frozenset[int]) -> None:
        changed = self.model.copy()
        try:
            expected = [lease for request in asked for lease in changed.acquire(request, free, self.now)]
        except NoFreePort:
            expected = None
        recalled = self.store.recall(asked, self.now)
        try:
            given = self.store.acquire(asked, lambda port, _transport: port in free, self.now)
        except NoFreePort:
            assert expected is None
            return
        assert expected is not None
        assert recalled in (None, given)
        tokens = {lease.token for lease in self.model.leases.values()}
        assert [each.replace(token=each.token if each.token in tokens else "") for each in given] == expected
        self.model = changed
        by_key = {_key(lease): lease for lease in given}
        for key, lease in changed.leases.items():
            if not lease.token and key in by_key:
                changed.leases[key] = lease.replace(token=by_key[key].token)
        self._adopt_tokens()
        self.seen = [*self.seen, *given][-20:]

    def _adopt_tokens(self) -> None:
        """Leases that were granted beyond what an answer shows have their tokens in the store alone."""
        if any(not lease.token for lease in self.model.leases.values()):
            stored = {_key(lease): lease.token for lease in self.store.leases()}
            for key, lease in self.model.leases.items():
                self.model.leases[key] = lease.replace(token=stored[key])

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        chosen = self._some(data)
        given_back = self.store.release(chosen)
        expected = [lease for lease in chosen if self._stands(lease)]
        assert [lease.token for lease in given_back] == [lease.token for lease in expected]
        for lease in expected:
            del self.model.leases[_key(lease)]

    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        chosen = self._some(data)
        renewed = self.store.renew(chosen, TTL, self.now)
        for lease in chosen:
            standing = self.model.leases.get(_key(lease))
            if standing and standing.token == lease.token and standing.kind is LeaseKind.TTL:
                self.model.leases[_key(lease)] = standing.replace(expires=self.now + TTL)
        lasting = {lease.token for lease in self.model.leases.values() if lease.kind is LeaseKind.TTL}
        assert [lease.token for lease in renewed] == [lease.token for lease in chosen if lease.token in lasting]

    @rule(dead=st.frozensets(st.sampled_from(["web", "api"])), free=st.frozensets(ports, min_size=4))
    def reclaim(self, dead: frozenset[str], free: frozenset[int]) -> None:
        taken = self.store.reclaim(
            HERE,
            lambda lease: "gone" if lease.holder.service in dead else None,
            lambda port, _transport: port in free,
            self.now,
        )
        assert {row.lease.token for row in taken} == self.model.reclaim(dead, free, self.now)

    @rule(seconds=st.sampled_from([1.0, 30.0, SPACING, SPACING, TTL, -3600.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        self.store.close()

    @invariant()
    def the_store_has_what_the_model_has(self) -> None:
        assert {_key(lease): lease for lease in self.store.leases()} == self.model.leases

    @invariant()
    def the_log_has_what_was_taken_back(self) -> None:
        assert {row.lease.token for row in self.store.reclaimed()} == self.model.log

    def _some(self, data: st.DataObject) -> list[Lease]:
        if not self.seen:
            return []
        drawn: list[Any] = data.draw(st.lists(st.sampled_from(self.seen), unique_by=lambda lease: lease.token))
        return drawn

    def _stands(self, lease: Lease) -> bool:
        standing = self.model.leases.get(_key(lease))
        return standing is not None and standing.token == lease.token
