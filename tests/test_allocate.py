"""Which ports are offered: pure, distinct, in range, and the same each time."""

from __future__ import annotations

from itertools import islice
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from portward.allocate import FALLBACK, candidates
from portward.model import Endpoint, Listener, PortRange, PortRequest, Reading, Snapshot, State

RANGES = st.tuples(st.integers(1024, 60000), st.integers(0, 300)).map(lambda pair: PortRange(pair[0], sum(pair)))


def _snapshot(*taken: int, reserved: tuple[PortRange, ...] = ()) -> Snapshot:
    rows = tuple(Listener(Endpoint("127.0.0.1", port), State.LISTEN) for port in taken)
    return Snapshot(Reading(rows), 0.0, reserved=reserved)


@given(st.text(max_size=20), RANGES, st.sets(st.integers(1024, 60300), max_size=50))
def test_candidates_are_distinct_and_in_range(key: str, ports: PortRange, taken: set[int]) -> None:
    """Every free port of the range is offered once, and no taken one; the same question has the same answer."""
    request = PortRequest(key, ports)
    offered = [port for (port,) in candidates(request, _snapshot(*taken))]
    assert sorted(offered) == [port for port in ports if port not in taken]
    assert offered == [port for (port,) in candidates(request, _snapshot(*taken))]


@given(RANGES, st.integers(1, 5), st.sets(st.integers(1024, 60300), max_size=50))
def test_contiguous_groups_are_neighbours(ports: PortRange, count: int, taken: set[int]) -> None:
    """A contiguous request gets groups of neighbours, none of them taken."""
    for group in islice(candidates(PortRequest("k", ports, count=count, contiguous=True), _snapshot(*taken)), 20):
        assert list(group) == list(range(group[0], group[0] + count))
        assert taken.isdisjoint(group)
        assert all(port in ports for port in group)


def test_a_preferred_port_falls_back_upward() -> None:
    """The guide's fallback: the port, then up to 100 above it, inclusive; never past the last port."""
    offered = [port for (port,) in candidates(PortRequest("k", PortRange(1, 2), preferred=5000), _snapshot(5000))]
    assert (offered[0], offered[-1], len(offered)) == (5001, 5000 + FALLBACK, FALLBACK)
    last = [port for (port,) in candidates(PortRequest("k", PortRange(1, 2), preferred=65530), _snapshot())]
    assert last[-1] == 65535


def test_reserved_ports_are_never_picked_but_may_be_preferred() -> None:
    """Reserved ranges bind the ports that Portward picks, not the one that somebody asks for."""
    snapshot = _snapshot(reserved=(PortRange(2000, 2009),))
    assert [port for (port,) in candidates(PortRequest("k", PortRange(2005, 2012)), snapshot)] != []
    assert all(port > 2009 for (port,) in candidates(PortRequest("k", PortRange(2005, 2012)), snapshot))
    assert next(candidates(PortRequest("k", PortRange(1, 2), preferred=2001), snapshot)) == (2001,)


def test_candidates_are_lazy() -> None:
    """The first of ten thousand costs no more than it must: nothing is judged before it is asked for."""
    asked = []

    class Watched:
        """A range that notes what it is asked for."""

        def __contains__(self, port: int) -> bool:
            asked.append(port)
            return False

    reserved = (cast("PortRange", Watched()),)
    (first,) = next(candidates(PortRequest("k", PortRange(20000, 29999)), _snapshot(reserved=reserved)))
    assert asked == [first]
