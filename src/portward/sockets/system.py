"""What this system does with ranges of ports: which need a privilege, which go to connections, and which it keeps."""

from __future__ import annotations

import os

from portward.model import PortRange, System
from portward.sockets import _excluded
from portward.sockets.bind import ephemeral_range

_SYSCTL = "/proc/sys/net/ipv4"


def read() -> System:
    """The system's own word where it gives one: on Linux the sysctls of Documentation/networking/ip-sysctl.rst."""
    return System(_privileged(), ephemeral_range(), kept_ranges(_sysctl("ip_local_reserved_ports")), _excluded.read())


def kept_ranges(text: str) -> tuple[PortRange, ...]:
    """The ranges of `ip_local_reserved_ports`, such as "8080,9000-9010"; what is not a range is passed over."""
    pairs = (part.strip().partition("-") for part in text.split(","))
    return tuple(PortRange(int(low), int(high or low)) for low, _, high in pairs if (low + high).isdecimal())


def _privileged() -> PortRange | None:
    if os.name == "nt":
        return None
    start = _sysctl("ip_unprivileged_port_start").strip()
    last = int(start) - 1 if start.isdecimal() else 1023
    return PortRange(1, last) if last > 0 else None


def _sysctl(name: str) -> str:
    """A setting of this network namespace; empty where the system has none."""
    try:
        with open(f"{_SYSCTL}/{name}", encoding="utf-8") as file:
            return file.read()
    except (OSError, ValueError):
        return ""
