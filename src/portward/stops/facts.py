"""What is known of a holder of a port, and what is decided about it."""

from __future__ import annotations

from enum import StrEnum

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Container, ContainerPolicy, Listener, Process, Skipped, Transport


class Owner(Record):
    """A process that has a socket open, with what decides how it may be ended.

    `ancestry` are its parents, nearest first. `cgroup` is its control group's path ("" where there is none). `terminal` tells that
    it belongs to a terminal: somebody started it by hand.
    """

    process: Process
    ancestry: tuple[Process, ...] = ()
    cgroup: str = ""
    terminal: bool = False


class Held(Record):
    """One holder of one port: a container, or the processes that share its sockets.

    `rows` are those sockets. `kind` is what the container's image or service is ("database", …). `mine` tells whether all of it
    belongs to the project of the one who asks, None where nobody wants to know.
    """

    port: int
    transport: Transport
    rows: tuple[Listener, ...]
    owners: tuple[Owner, ...] = ()
    policy: ContainerPolicy | None = None
    kind: str = "other"
    mine: bool | None = None


class Asker(Record):
    """Who wants a port to be free: this process with its ancestors, nearest first, its user, and the name of its host."""

    pid: int
    ancestors: tuple[Process, ...] = ()
    user: str | None = None
    cgroup: str = ""
    host: str = ""


class Terms(Record):
    """How a port is to be freed. `patience` are the seconds given to each holder, None for what is usual for it."""

    force: bool = False
    mine: bool = False
    patience: float | None = None


class Way(StrEnum):
    """By whom a holder is stopped."""

    CONTAINER = "container"
    UNIT = "unit"
    SIGNAL = "signal"


class Stop(Record):
    """How one holder of one port is to be stopped.

    `what` names it, without its command line; `how` says the way. `processes` are all that have the socket open, `roots` those of them
    that started the others: they get `signal` first. `last` is what they get after `patience` seconds, None for nothing. A container
    with `grace` gets SIGKILL from its engine that many seconds after its stop signal. `unit` is a systemd unit, `of_user` tells that a
    user's manager keeps it. `keeps_data` tells that its end must be waited for, not only its port. `keeper` is who starts it again at once,
    `remarks` are for people.
    """

    port: int
    transport: Transport
    way: Way
    what: str
    how: str
    patience: float
    processes: tuple[Process, ...] = ()
    roots: tuple[Process, ...] = ()
    signal: str = "SIGTERM"
    last: str | None = None
    container: Container | None = None
    grace: float | None = None
    unit: str | None = None
    of_user: bool = False
    keeps_data: bool = False
    keeper: str | None = None
    keeper_pid: int | None = None
    remarks: tuple[str, ...] = ()

    @property
    def thing(self) -> tuple[object, ...]:
        """What is stopped: the same thing on two ports is stopped once."""
        if self.container is not None:
            return Way.CONTAINER, self.container.id
        return (self.way, self.unit, *((process.pid, process.start_ticks) for process in self.processes))


class Refused(Record):
    """A holder that is left alone, and why.

    `failed` tells that it was tried, and not permitted or out of reach; `gone` that it was no holder any more when it was to be stopped.
    """

    port: int
    transport: Transport
    what: str
    why: str
    hint: str | None = None
    failed: bool = False
    gone: bool = False


class StopPlan(Record):
    """What is to be stopped for some ports to be free, what is left alone, and what could not be looked at."""

    ports: tuple[tuple[int, Transport], ...]
    stops: tuple[Stop, ...]
    refused: tuple[Refused, ...]
    skipped: tuple[Skipped, ...] = ()

    def stops_as(self, other: StopPlan) -> bool:
        """Whether it stops just what another plan does, in the same way: a pid that another process has by now is another thing."""
        ours, theirs = (
            [(each.port, each.transport, each.how, each.thing) for each in plan.stops] for plan in (self, other)
        )
        return ours == theirs
