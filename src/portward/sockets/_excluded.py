"""Ports that Windows keeps for itself: a bind there is refused with WSAEACCES although nobody has the port."""

from __future__ import annotations

import sys

from portward.model import LAST_PORT, PortRange

_COMMAND = ("netsh", "interface", "ipv4", "show", "excludedportrange", "protocol=tcp")
_LONGEST_SECONDS = 5


def read() -> tuple[PortRange, ...]:
    """What Windows keeps for itself now, which differs after each boot; nothing on other systems, or if it does not tell."""
    if sys.platform != "win32":
        return ()
    import subprocess

    try:
        done = subprocess.run(_COMMAND, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return excluded_ranges(done.stdout)


def excluded_ranges(text: str) -> tuple[PortRange, ...]:
    """The ranges in the answer of `netsh interface ipv4 show excludedportrange protocol=tcp`, as they come.

    A row is two numbers, with a "*" where an administrator made the exclusion. Headings are in the language of the system,
    so rows are known by their numbers alone.
    """
    rows = (line.split() for line in text.splitlines())
    numbers = ([int(word) for word in row[:2] if word.isdecimal()] for row in rows if row[2:] in ([], ["*"]))
    ranges = (PortRange(*pair) for pair in numbers if len(pair) == 2)
    return tuple(ports for ports in ranges if 0 < ports.low <= ports.high <= LAST_PORT)
