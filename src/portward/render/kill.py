"""What is stopped, and what became of it, as text."""

from __future__ import annotations

from portward.render.text import wrapped
from portward.wording import age, brief, command_line, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.answers import Freed, Killed, PortAfter
    from portward.model import Process
    from portward.stops import Refused, Stop, StopPlan


def plan(planned: StopPlan, now: float) -> Iterator[str]:
    """What would be stopped, and how; what would be left alone, and why."""
    for line in _plan(planned, now):
        yield from wrapped(line, "      ")


def killed(answer: Killed, now: float, *, asked: bool = False) -> Iterator[str]:
    """What was stopped, and who has the ports now. A plan that was shown when it was `asked` for is not shown again."""
    for line in _done(answer) if answer.acted else _not_done(answer.planned, now, asked):
        yield from wrapped(line, "      ")


def _plan(planned: StopPlan, now: float) -> Iterator[str]:
    for stop in planned.stops:
        yield f"{_port(stop)}: {stop.what}"
        for process in (stop.roots or stop.processes)[:1]:
            yield f"    {_in_detail(process, now)}"
        yield f"    {stop.how}"
        yield from (f"    {remark}" for remark in stop.remarks)
    yield from _left_alone(planned.refused)
    yield from _free(planned)


def _in_detail(process: Process, now: float) -> str:
    """What tells a process from others to somebody who is asked: its command, its folder, its user and its age."""
    facts = [shown(process.user)] if process.user else []
    facts += [age(now - process.started)] if process.started else []
    facts += [shown(process.cwd, 80)] if process.cwd else []
    return f"{command_line(process)} ({', '.join(facts)})"


def _not_done(planned: StopPlan, now: float, asked: bool) -> Iterator[str]:
    if not (asked and planned.stops):
        yield from _plan(planned, now)
    if planned.stops:
        yield "Nothing was stopped." + ("" if asked else " `portward kill PORT --yes` does it.")
    yield from (f"not seen: {entry.what}: {entry.reason}" for entry in planned.skipped)


def _done(answer: Killed) -> Iterator[str]:
    for freed in answer.stopped:
        yield f"{_port(freed.stop)}: stopped {freed.stop.what} {_how(freed)}"
        if freed.alive:
            pids = ", ".join(map(str, freed.alive))
            yield f"    it has let the port go, and is still finishing (pid {pids})"
    yield from _left_alone(answer.refused)
    yield from _free(answer.planned)
    for port in answer.ports:
        yield from _after(port, answer)


def _how(freed: Freed) -> str:
    return (
        f"by {freed.how} in {freed.seconds:.1f} s"
        if freed.how.startswith("SIG")
        else f"in {freed.seconds:.1f} s ({freed.how})"
    )


def _left_alone(refused: Sequence[Refused]) -> Iterator[str]:
    for each in refused:
        yield f"{_port(each)}: left alone: {each.what}: {each.why}"
        if each.hint:
            yield f"    hint: {each.hint}"


def _free(planned: StopPlan) -> Iterator[str]:
    """The ports that nobody holds."""
    held = {(stop.port, stop.transport) for stop in planned.stops}
    held |= {(refused.port, refused.transport) for refused in planned.refused}
    for port, transport in planned.ports:
        if (port, transport) not in held:
            yield f"{port}/{transport}: nothing holds it"


def _after(after: PortAfter, answer: Killed) -> Iterator[str]:
    name = f"{after.port}/{after.transport}"
    if not any((freed.stop.port, freed.stop.transport) == (after.port, after.transport) for freed in answer.stopped):
        return
    if not after.listeners:
        yield f"{name} is free"
        return
    holders = ", ".join(dict.fromkeys(brief(row) for row in after.listeners))
    yield f"{name} is not free: {holders} has it now" + (f"; {after.by}" if after.by else "")


def _port(each: Stop | Refused) -> str:
    return f"{each.port}/{each.transport}"
