"""Which network namespace is at the other end of a cable, where several have the same address: the hardware addresses tell.

Linux alone; IPv4 alone, since the kernel lists IPv6 neighbours by netlink only.
"""

from __future__ import annotations

import socket
from struct import pack

_SIOCGIFHWADDR = 0x8927  # netdevice(7)
_IFREQ_BYTES = 40


def neighbour(address: str) -> str | None:
    """The hardware address that the kernel knows for a neighbour of the namespace that this thread is in (proc_pid_net(5))."""
    try:
        with open("/proc/thread-self/net/arp", encoding="ascii") as file:
            rows = [line.split() for line in file.readlines()[1:]]
    except OSError:
        return None
    return next((row[3] for row in rows if row[0] == address and row[3] != "00:00:00:00:00:00"), None)


def own() -> frozenset[str]:
    """The hardware addresses of the namespace that this thread is in."""
    import fcntl

    found = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = pack(f"{_IFREQ_BYTES}s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe, _SIOCGIFHWADDR, request)
            except OSError:
                continue
            found.add(":".join(f"{byte:02x}" for byte in answer[18:24]))
    return frozenset(found)
