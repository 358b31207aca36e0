"""How what holds a port is stopped: who is never stopped, and which way ends what. Pure: facts in, a plan out.

`plan` judges one holder of one port. Nothing is stopped for a part of a port's number, for its connections, or for being a client.
"""

from __future__ import annotations

from portward.model import Owners
from portward.stops import databases, protected, supervisors
from portward.stops.facts import Asker, Held, Owner, Refused, Stop, StopPlan, Terms, Way
from portward.wording import is_interpreter, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portward.model import Container, ContainerPolicy, Process

__all__ = ["Asker", "Held", "Owner", "Refused", "Stop", "StopPlan", "Terms", "Way", "name_of", "plan"]

_UNIT_PATIENCE = 90.0  # what systemd itself gives a unit (DefaultTimeoutStopSec of systemd-system.conf(5))
_LONGEST_NAME = 40
_NOT_MINE = "without --mine it can be stopped"


def plan(held: Held, asker: Asker, terms: Terms) -> Stop | Refused:
    """How a holder of a port is to be stopped, or why it is left alone."""
    container = next((row.container for row in held.rows if row.container is not None), None)
    if container is not None:
        why = "the one who asks runs in it" if protected.runs_in(container, asker) else None
        return _refused_container(held, container, why) if why else _container(held, container, terms)
    if not held.owners:
        return _nobody(held)
    if all(row.note for row in held.rows):
        hint = f"`kill {held.owners[0].process.pid}` ends it" if len(held.owners) == 1 else None
        return _refused(held, "it is only a client there, or talks to a single peer", hint)
    for owner in held.owners:
        if never := protected.why_never(owner, asker, held.port):
            return _refused(held, never[0], never[1], owner.process)
    if terms.mine and not held.mine:
        return _refused(held, "it is not of this project", _NOT_MINE)
    strangers = [root.process for root in _roots(held.owners) if root.process.user != asker.user]
    if strangers and not terms.force:
        user = shown(strangers[0].user or "an unknown user")
        return _refused(held, f"it belongs to {user}", "--force stops it all the same", strangers[0])
    unit = _unit(held, asker)
    return _of_unit(held, unit, terms) if unit else _by_signal(held, terms)


def _container(held: Held, container: Container, terms: Terms) -> Stop | Refused:
    """A container is stopped by its engine, and stays so."""
    policy = held.policy
    if policy is None:
        return _refused_container(held, container, "its engine does not answer for it", failed=True)
    if terms.mine and not held.mine:
        return _refused_container(held, container, "it is not of this project", _NOT_MINE)
    if policy.keeper is not None:
        hint = (
            f"`docker service scale {shown(policy.kept_as)}=0`"
            if policy.keeper == "swarm"
            else "delete or scale what made the pod"
        )
        return _refused_container(
            held, container, f"{policy.keeper} would start it again ({shown(policy.kept_as)})", hint
        )
    keeps_data = held.kind in databases.KINDS
    careful = keeps_data and not terms.force
    grace = terms.patience or (max(policy.grace, databases.PATIENCE) if keeps_data else policy.grace)
    after = "and never SIGKILL" if careful else f"SIGKILL after {_seconds(grace)}"
    return Stop(
        held.port,
        held.transport,
        Way.CONTAINER,
        _told_container(container),
        f"its engine stops it: its stop signal, {after}",
        grace,
        container=container,
        grace=None if careful else grace,
        remarks=tuple(_remarks(policy)),
    )


def _remarks(policy: ContainerPolicy) -> list[str]:
    remarks = []
    if policy.removed:
        remarks.append("it was started with --rm: the container and its anonymous volumes are removed")
    if policy.restart == "always":
        remarks.append("its restart policy is `always`: the engine starts it again when the engine itself is restarted")
    return remarks


def _nobody(held: Held) -> Refused:
    row = held.rows[0]
    if row.owners is Owners.HIDDEN:
        what = f"a process of {shown(row.user or 'another user')}"
        hint = f"`sudo portward kill {held.port}{_suffix(held)}` may see it"
        return Refused(held.port, held.transport, what, "you are not permitted to see it", hint, failed=True)
    why = "no process that can be seen has it open: the kernel, a packet rule, or another pid namespace"
    return Refused(held.port, held.transport, "a socket", why, f"`portward who {held.port}{_suffix(held)}` tells more")


def _suffix(held: Held) -> str:
    return "" if held.transport == "tcp" else f"/{held.transport}"


def _unit(held: Held, asker: Asker) -> str | None:
    """The systemd unit to stop instead of the holder's processes, None where they are no unit's own program.

    A control group alone does not tell: what is started from a terminal, an editor, cron or a CI runner is in the unit of that. So
    all between the unit's manager and the holder must be the holder's own, or what starts it (a shell, npm, …).
    """
    units = {owner.process.unit for owner in held.owners}
    unit = units.pop() if len(units) == 1 else None
    if unit is None or any(owner.terminal for owner in held.owners):
        return None
    cgroup = held.owners[0].cgroup
    if asker.cgroup == cgroup or any(ancestor.unit == unit for ancestor in asker.ancestors):
        return None
    pids = {owner.process.pid for owner in held.owners}
    above = (parent for owner in held.owners for parent in owner.ancestry if parent.unit == unit)
    return unit if all(parent.pid in pids or is_interpreter(_first_word(parent)) for parent in above) else None


def _first_word(process: Process) -> str:
    return process.name.partition(" ")[0]


def _of_unit(held: Held, unit: str, terms: Terms) -> Stop:
    """A unit is stopped by its manager, which would start its processes again."""
    of_user = "/user@" in held.owners[0].cgroup
    command = f"systemctl {'--user ' if of_user else ''}stop {shown(unit)}"
    return Stop(
        held.port,
        held.transport,
        Way.UNIT,
        f"{_told(held)} of {shown(unit)}",
        f"`{command}`",
        terms.patience or _UNIT_PATIENCE,
        processes=tuple(owner.process for owner in held.owners),
        unit=unit,
        of_user=of_user,
    )


def _by_signal(held: Held, terms: Terms) -> Stop:
    """The processes that started the others get the signal: a server's first process ends its workers, and not the other way round."""
    roots = _roots(held.owners)
    ending = databases.ending_of(roots[0].process)
    patience = terms.patience or ending.patience
    keeper = supervisors.keeper_of(roots[0].ancestry, (owner.process.pid for owner in held.owners))
    remarks = [str(keeper)] if keeper else []
    if roots[0].process.unit and not keeper:
        remarks.append(f"it is in {shown(roots[0].process.unit)}, which is left alone")
    meaning = f" ({ending.meaning})" if ending.meaning else ""
    last = f", {ending.last} after {_seconds(patience)}" if terms.force else ""
    return Stop(
        held.port,
        held.transport,
        Way.SIGNAL,
        _told(held),
        f"{ending.signal}{meaning}{last}",
        patience,
        processes=tuple(owner.process for owner in held.owners),
        roots=tuple(owner.process for owner in roots),
        signal=ending.signal,
        last=ending.last if terms.force else None,
        keeps_data=databases.keeps_data(roots[0].process),
        keeper=str(keeper) if keeper and supervisors.restarts(keeper) else None,
        keeper_pid=keeper.pid if keeper else None,
        remarks=tuple(remarks),
    )


def _roots(owners: Sequence[Owner]) -> list[Owner]:
    pids = {owner.process.pid for owner in owners}
    roots = [owner for owner in owners if not any(parent.pid in pids for parent in owner.ancestry)]
    return roots or list(owners)


def _told(held: Held) -> str:
    """The processes in a few words: "gunicorn (pid 4129 and 2 more)"."""
    return _told_process(_roots(held.owners)[0].process, len(held.owners) - 1)


def _told_process(process: Process, others: int = 0) -> str:
    more = f" and {others} more" if others else ""
    return f"{name_of(process)} (pid {process.pid}{more})"


def name_of(process: Process) -> str:
    """A process's name, without the arguments that a title may hold."""
    words = process.name.split()
    return shown(words[0] if words else "a process", _LONGEST_NAME)


def _told_container(container: Container) -> str:
    name = f"container {shown(container.name)}"
    if not (container.project and container.service):
        return name
    return f"{name} (service {shown(container.service)} of {shown(container.project)})"


def _refused(held: Held, why: str, hint: str | None, process: Process | None = None) -> Refused:
    what = _told_process(process, len(held.owners) - 1) if process is not None else _told(held)
    return Refused(held.port, held.transport, what, why, hint)


def _refused_container(
    held: Held, container: Container, why: str, hint: str | None = None, *, failed: bool = False
) -> Refused:
    return Refused(held.port, held.transport, _told_container(container), why, hint, failed)


def _seconds(seconds: float) -> str:
    return f"{seconds:g} s"
