"""The live truth of many machines: what each host says of itself, and how it is reached."""

from __future__ import annotations

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from portward.model.live import Listener


class HostReport(Record):
    """What one host says of itself.

    `host` is its stable id, `name` what people call it, `boot` the start of the machine that it speaks of ("" where it does not tell).
    `seen` is when it told this, seconds since the epoch (0: never), and `alive` whether it is still heard: then nothing has changed since.
    `problem` is what is wrong with the report.
    """

    host: str
    name: str
    boot: str
    seen: float
    alive: bool
    listeners: Collection[Listener] = ()
    problem: str | None = None


class RemoteHost(Record):
    """A machine that is asked over SSH: `name` as the user calls it, `destination` and `port` as ssh(1) takes them."""

    name: str
    destination: str
    port: int | None = None
