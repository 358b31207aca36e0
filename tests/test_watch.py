"""What is made of who listens while a command starts: verdicts by a clock that is passed in."""

from __future__ import annotations

import pytest

from portward.model import Container, Endpoint, Listener, Process, State
from portward.processes.watch import PATIENCE, SETTLING, Sight, Verdict, Watch, sight

PORT = 11437


def row(port: int = PORT, pid: int | None = 1, address: str = "127.0.0.1", state: State = State.LISTEN) -> Listener:
    """A listener of one process, or of one that is hidden."""
    processes = (Process(pid, f"server{pid}"),) if pid else ()
    return Listener(Endpoint(address, port), state, processes=processes)


def seen(*rows: Listener) -> Sight:
    """What is seen by a command whose process is pid 1."""
    return sight(PORT, rows, {1}, lambda _row: False)


def test_listeners_are_sorted_by_whose_they_are() -> None:
    """Ours, strangers and our others are told apart; hidden owners, other namespaces and sockets that do not listen are nobody's."""
    foreign = row(pid=3).replace(netns="other")
    found = seen(
        row(),
        row(pid=2, address="::1"),
        row(9229),
        row(80, pid=2),
        row(pid=None),
        row(pid=2, state=State.BOUND),
        foreign,
    )
    assert found == Sight((row(),), (row(pid=2, address="::1"),), (row(9229),))


def test_a_container_may_be_ours() -> None:
    """A row of no process of ours is ours if the caller knows it, as a container of the project; else it is a stranger."""
    container = row(pid=None).replace(container=Container("c1", "web-1", "web"))
    assert sight(PORT, [container], {1}, lambda found: found.container is not None).ours == (container,)
    assert seen(container).strangers == (container,)


def test_ours_alone() -> None:
    """Seen on its port once, there is nothing more to look for."""
    watch = Watch(PORT, 100.0)
    assert watch.look(seen(), 100.1) is None
    assert watch.pause(100.1)
    assert watch.look(seen(row(), row(9229)), 100.3) is Verdict.OURS
    assert watch.confirmed
    assert watch.pause(100.3) is None


def test_shared() -> None:
    """With somebody else on another address, "localhost" means either."""
    watch = Watch(PORT, 0.0)
    assert watch.look(seen(row(), row(pid=2, address="::1")), 1.0) is Verdict.SHARED
    assert watch.confirmed


def test_lost_only_after_a_while() -> None:
    """Somebody else may end in time; only who stays has taken the port. It can still be got later."""
    watch = Watch(PORT, 0.0)
    stranger = row(pid=2)
    assert watch.look(seen(stranger), 1.0) is None
    assert watch.look(seen(), 2.0) is None
    assert watch.look(seen(stranger), 3.0) is None
    assert watch.look(seen(stranger), 3.0 + SETTLING - 0.1) is None
    assert watch.look(seen(stranger), 3.0 + SETTLING) is Verdict.LOST
    assert watch.look(seen(stranger), 4.0 + SETTLING) is None
    assert watch.look(seen(row()), 5.0 + SETTLING) is Verdict.OURS


def test_moved_is_told_once_and_watched_on() -> None:
    """A debugger's port comes before the own one: `moved` is told after a while only, and taken back."""
    watch = Watch(PORT, 0.0)
    other = seen(row(9229))
    assert [watch.look(other, now) for now in (1.0, 2.0, 1.0 + SETTLING, 5.0)] == [None, None, Verdict.MOVED, None]
    assert watch.pause(5.0)
    assert watch.look(seen(row(), row(9229)), 6.0) is Verdict.OURS


@pytest.mark.parametrize("late", [PATIENCE, PATIENCE + 30])
def test_silent_when_patience_ends(late: float) -> None:
    """A command that listens nowhere is said to be silent once, after a minute."""
    watch = Watch(PORT, 10.0)
    assert watch.look(seen(), 9.9 + PATIENCE) is None
    assert watch.look(seen(), 10.0 + late) is Verdict.SILENT
    assert watch.pause(10.0 + late) is None


def test_the_looks_become_rarer() -> None:
    """The first after a tenth of a second, later ones once a second, some 65 in all."""
    watch, now, looks = Watch(PORT, 0.0), 0.0, 0
    while (pause := watch.pause(now)) is not None:
        assert 0.1 <= pause <= 1.0
        now, looks = now + pause, looks + 1
        watch.look(seen(), now)
    assert now == pytest.approx(PATIENCE, abs=1.5)
    assert 60 <= looks <= 70
