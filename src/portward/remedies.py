"""What to do about a holder of a port. Pure: a remedy is shown, never done."""

from __future__ import annotations

from portward.model import Fix
from portward.wording import forwarding_engine, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import Listener


def stops(row: Listener) -> Iterator[Fix]:
    """How what holds a port is stopped, the right way for what it is."""
    container = row.container
    if container is not None and container.project and container.service:
        command = f"docker compose -p {shown(container.project)} stop {shown(container.service)}"
        yield Fix(f"stop {shown(container.name)}", command, False)
    elif container is not None:
        yield Fix(f"stop {shown(container.name)}", f"docker stop {shown(container.name)}", False)
    elif engine := forwarding_engine(row):
        command = f"docker ps --filter publish={row.port}" if engine == "docker" else f"{engine} ps"
        yield Fix("see which container it is for", command, True)
    elif row.processes:
        process = row.processes[0]
        asked = f"{row.port}/udp" if row.transport == "udp" else str(row.port)
        command = f"systemctl stop {shown(process.unit)}" if process.unit else f"portward kill {asked}"
        if row.note:  # a client, which is never stopped for its port
            command = f"kill {process.pid}"
        yield Fix(f"stop {shown(process.name)}", command, False)
