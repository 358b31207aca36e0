"""Live truth: the only code that asks the operating system and the container engine who listens.

`open_reader()` chooses the reader of sockets once: the kernel's own interface on Linux, psutil elsewhere. Every reader
keeps the same contract (`SocketReader`), so one suite of tests runs over them all.
"""

from __future__ import annotations

import os
import sys

from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Protocol

    from portward.model import Process, Reading

    class Changes(Protocol):
        """Tells when sockets come and go. `told` is whether the system says so by itself."""

        told: bool

        def wait(self, seconds: float) -> bool:
            """Until another look is worth it, at most `seconds`. Whether it is: what listens may have changed since the last call."""

        def close(self) -> None:
            """Lets go of all that is open."""

    class SocketReader(Protocol):
        """What every reader of sockets can do."""

        name: str

        def read(
            self,
            *,
            udp: bool = False,
            all_netns: bool = False,
            ports: Collection[int] | None = None,
            owners: bool = True,
        ) -> Reading:
            """Who holds which endpoint now.

            TCP listeners and TCP sockets that are bound without listening (where the system tells), with `udp` also UDP
            sockets, with `all_netns` also those of every network namespace that may be entered (there without what is only bound, which is in
            nobody's way here and takes the kernel ten times as long). With `ports`, only those
            ports, but also the connections that hold one of them (state `bound`, with a `note`). Without `owners`, nobody's processes
            are looked for, which is most of the work.

            Raises Unavailable where the system refuses to list sockets at all. Never fails because a process vanished:
            what could not be read is in `Reading.skipped`, or its row says that the owner is hidden. Not an atomic
            picture: sockets come and go while it is taken.
            """

        def ancestry(self, process: Process) -> tuple[Process, ...]:
            """The process's parent, its parent, … up to the first process. Empty where that may not be seen."""

        def cgroup(self, pid: int) -> str:
            """The control group path of a process, "" where there is none or it may not be seen."""

    class WatchingReader(SocketReader, Protocol):
        """A reader for programs that look again and again."""

        def remember(self, seconds: float) -> None:
            """From now on, who was seen to own a socket may be told again for so long, while that process lives.

            For programs that look again and again; never where something is stopped.
            """

        def changes(self, *, udp: bool = False, all_netns: bool = False) -> Changes:
            """Tells from now on when sockets that listen come and go. Raises Unavailable as `read` does."""


def open_reader(name: str | None = None, narrate: Callable[[str], None] | None = None) -> WatchingReader:
    """The reader called `name` ("linux" or "psutil"), else by `PORTWARD_SOCKETS`, else the best one for this system.

    `narrate` is told how it reads, where that may differ. Raises UsageError for a name that is not a reader's.
    """
    name = name or os.environ.get("PORTWARD_SOCKETS") or ("linux" if sys.platform == "linux" else "psutil")
    if name == "linux":
        from portward.sockets._linux import LinuxReader

        return LinuxReader(narrate)
    if name == "psutil":
        try:
            from portward.sockets._psutil import PsutilReader
        except ImportError:
            raise UsageError("this reader of sockets needs psutil", hint="pip install psutil") from None
        return PsutilReader()
    raise UsageError(f"{name!r} is not a reader of sockets", hint="PORTWARD_SOCKETS is linux or psutil")


def unit(cgroup: str) -> str | None:
    """The systemd unit that a control group path names, of the system or of a user, or None."""
    services = [part for part in cgroup.split("/") if part.endswith(".service") and not part.startswith("user@")]
    return services[-1] if services else None
