"""What `import portward` offers as plain functions: `find_port`, `check`, `lease` and `explain`; `is_free` and `bind` are those of `sockets.bind`.

They are the verbs of `Portward` for those who want one port and no object. `folder` is any folder of the project that is meant, by
default the one that the process is in.
"""

from __future__ import annotations

import os

from portward.arguments import parse_range
from portward.model import Transport
from portward.ward import Portward

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket as sockets
    from collections.abc import Iterable
    from typing import Self

    from portward.answers import Check, Explanation
    from portward.model import Lease, PortRange
    from portward.verbs.leasing import Granted

    Folder = str | os.PathLike[str]

_wards: dict[str, Portward] = {}
"""One for each folder that was asked about: so its store stays open from lease to lease."""


def find_port(
    preferred: int | None = None,
    *,
    ports: PortRange | str | None = None,
    transport: Transport = Transport.TCP,
    folder: Folder = ".",
) -> int:
    """A port that is free now: `preferred` or the next above it, up to 100 more; else one of `ports` ("9000-9099", both inclusive).

    By default from 20000-29999, or the project's own range of kind `other`, without what connections or browsers cannot use.

    Not promised: that it is free a moment later, or that nobody else was told the same one: two that ask at one time are.
    `lease` tells it to one alone, `bind` keeps it. Raises NoFreePort, InvalidPort.
    """
    return _ward(folder).find(preferred, ports=_range(ports), transport=transport)[0]


def check(*ports: int | str, folder: Folder = ".") -> Check:
    """Whether each port (5000, "127.0.0.1:5000", "53/udp") is free to bind now, and who is in the way; without any, whether the
    project's stack will start.

    Not promised: that the answer still holds when you read it. Raises InvalidPort, UsageError for a host without an address;
    without ports NoProject outside any project, InvalidFile where Compose would refuse the project's files.
    """
    ward = _ward(folder)
    return ward.check_ports([str(port) for port in ports]) if ports else ward.check()


def lease(
    service: str,
    *,
    preferred: int | None = None,
    ports: PortRange | str | None = None,
    count: int = 1,
    contiguous: bool = False,
    ttl: float | None = None,
    own: bool = False,
    folder: Folder = ".",
) -> Leased:
    """Promises a port to a service (`SERVICE` or `SERVICE:TARGET`) of this checkout: the one that the command line's verbs tell, too.

        with portward.lease("api") as leased:
            serve(leased.port)

    It is granted when this returns, whether there is a `with` or not, and is kept until it is released, for `ttl` seconds, or, with
    `own`, while this process lives: then each process that asks for the same service has ports of its own. Asking again gives the
    same ports. `preferred` and `ports` as for `find_port`; `count` ports are `contiguous` neighbours or not.

    Not promised: that a program which asks nobody does not bind the port (`Leased.bind` does it first); that all is recorded where
    the store cannot be written (then `Leased.is_recorded` is False, and the port is only free now). Raises NoFreePort; UsageError
    for what makes no sense; InvalidPort.
    """
    from portward.conventions import Terms

    ward = _ward(folder)
    return Leased(ward, ward.lease([service], Terms(_range(ports), preferred, count, contiguous, ttl, own)))


def explain(text: str | Iterable[str], *, folder: Folder = ".") -> Explanation:
    """What an error text (whole, or in pieces) says is wrong with a port, and who holds that port now.

    `diagnoses` is empty for a text without such a trouble. Not promised: that the text speaks of this machine, or that what is told
    of it still holds when you read it. Nothing is sent anywhere, and no host name is looked up.
    """
    return _ward(folder).explain(text)


class Leased:
    """Ports that `lease` was granted. As a context manager it gives back, at its end, what was not leased before.

    `remarks` are for people: that a preferred port was not free, say.
    """

    def __init__(self, ward: Portward, granted: Granted) -> None:
        self._ward = ward
        self._new = granted.new
        self.leases: tuple[Lease, ...] = granted.leases
        self.remarks: tuple[str, ...] = granted.remarks

    @property
    def port(self) -> int:
        """The port, or the first of several."""
        return self.leases[0].port

    @property
    def ports(self) -> tuple[int, ...]:
        """All of them, in the order in which they were granted."""
        return tuple(lease.port for lease in self.leases)

    @property
    def is_recorded(self) -> bool:
        """Whether others who ask are told that the ports are taken."""
        return all(lease.token for lease in self.leases)

    def bind(self, host: str | None = None, *, listening: bool = True) -> sockets.socket:
        """A socket of this process that has the (first) port, on every address or on one. See `portward.bind`.

        Raises BindRefused if a program that asked nobody was faster.
        """
        from portward.model import ANY
        from portward.sockets.bind import bind

        return bind(self.port, ANY if host is None else host, listening=listening)

    def release(self) -> None:
        """Gives the ports back, whoever leased them first. May be called again. Sockets stay as they are.

        Raises Unavailable where the store cannot be written.
        """
        self._ward.release(leases=[lease for lease in self.leases if lease.token])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._ward.release(leases=[lease for lease in self.leases if lease.token in self._new])

    def __repr__(self) -> str:
        return f"<Leased {', '.join(f'{lease.holder.service} {lease.port}' for lease in self.leases)}>"


def _ward(folder: Folder) -> Portward:
    """What was opened before, unless another project has the folder by now."""
    opened = Portward.open(folder)
    key = opened.root or os.path.realpath(folder)
    return _wards.setdefault(key, opened)


def _range(ports: PortRange | str | None) -> PortRange | None:
    return parse_range(ports) if isinstance(ports, str) else ports
