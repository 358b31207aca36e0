"""When sockets begin and end to listen: told by the kernel where we may hear it, else seen by looking ten times in a second.

The kernel marks each change of a TCP socket's state (tracepoint `sock:inet_sock_set_state`, include/trace/events/sock.h).
perf_event_open(2) lets root, or who has CAP_PERFMON, wait for those to and from LISTEN; nothing of it outlives this process.
The mark comes a moment before the socket is listed, and says nothing of its network namespace: it is taken as a bell that
rings, and the sockets are looked at then. UDP has no such mark.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress

from portward.sockets import _netns
from portward.sockets._netlink import CLOSE, ESTABLISHED, LISTEN, SockDiag

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    from collections.abc import Callable

_TCP, _UDP = 6, 17  # IPPROTO_…
_SYS_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}
_TRACEPOINT = "events/sock/inet_sock_set_state/id"
_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_FILTER = f"newstate == {LISTEN} || oldstate == {LISTEN}\0".encode()
_PERF_TYPE_TRACEPOINT, _PERF_FLAG_FD_CLOEXEC, _PERF_EVENT_IOC_SET_FILTER = 2, 8, 0x40082406
# perf_event_attr: type, size, config, sample_period, sample_type, read_format, flags, wakeup_events; the rest is zero
_ATTRIBUTES = "=IIQQQQQI60x"
_ATTRIBUTES_BYTES = 112

_POLL_SECONDS = 0.09
_UDP_SECONDS = 0.25  # between two looks at UDP where TCP rings
_SHARE = 25  # a look is followed by a rest of so many times what it took: at most 4 % of a core
_SETTLING_SECONDS = 0.004  # from the mark to where the socket is listed
_AFTER_BELL_SECONDS = 0.05  # then once more: whoever changes it may have been put aside just then
_SURE_SECONDS = 1.0  # a look that nothing asked for, and how soon a new network namespace is found


class Changes:
    """Tells when the TCP sockets that listen, with `udp` also UDP sockets, are others than before.

    With `all_netns` those of every network namespace that may be entered; one that is new counts within a second. `told` is
    whether the kernel rings. A socket that comes and goes within a few milliseconds (without the bell: within 0.1 s) may be missed.
    Raises OSError where the kernel does not list its sockets.
    """

    def __init__(self, *, udp: bool, all_netns: bool, narrate: Callable[[str], None] = lambda _step: None) -> None:
        self._udp = udp
        self._namespaces = {0: SockDiag()}
        self._all_netns = all_netns
        self._bell = _Bell(narrate)
        self._asked = [(_TCP, 1 << LISTEN), *([(_UDP, 1 << CLOSE | 1 << ESTABLISHED)] if udp else [])]
        self._seen: dict[tuple[int, int], set[bytes] | None] | None = None
        self._cost = self._entered = self._listed = 0.0
        self._rang = False
        self.told = self._bell.hung

    def close(self) -> None:
        """Lets go of all that is open."""
        self._bell.close()
        for diag in self._namespaces.values():
            diag.close()

    def wait(self, seconds: float) -> bool:
        """Until something is other than at the last call, at most `seconds`. Whether it is. The first call says so at once."""
        deadline = time.monotonic() + seconds
        is_due = True
        while not self._look(is_due):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            is_due = self._rest(left)
        return True

    def _look(self, is_due: bool) -> bool:
        """Whether something is other than before. TCP is looked at when it is due, UDP always."""
        start = time.monotonic()
        if self._all_netns and (self._rang or start - self._entered > _SURE_SECONDS):
            self._enter()
        seen = self._seen or {}
        now = {
            (inode, protocol): diag.keys(protocol, states)
            if is_due or protocol == _UDP
            else seen.get((inode, protocol))
            for inode, diag in self._namespaces.items()
            for protocol, states in self._asked
        }
        changed = now != self._seen
        self._seen = now
        self._cost = time.monotonic() - start
        return changed

    def _enter(self) -> None:
        """A socket in each network namespace that is new, none in those that are gone: it would keep them alive."""
        self._entered = time.monotonic()
        found, _hidden = _netns.others()
        there = {namespace.inode for namespace in found}
        for gone in self._namespaces.keys() - there - {0}:
            self._namespaces.pop(gone).close()
        if new := [namespace for namespace in found if namespace.inode not in self._namespaces]:
            opened, _refused = _netns.ask_each(new, SockDiag)
            self._namespaces.update((namespace.inode, diag) for namespace, diag in opened)

    def _rest(self, left: float) -> bool:
        """Until the bell rings or it is time for another look. At most `left` seconds, but never too short a rest. Whether TCP is due."""
        if not self.told:
            time.sleep(min(left, max(_POLL_SECONDS, _SHARE * self._cost)))
            return True
        rang_before = self._rang
        at_most = _AFTER_BELL_SECONDS if rang_before else _UDP_SECONDS if self._udp else _SURE_SECONDS
        self._rang = self._bell.wait(min(left, at_most))
        if self._rang:
            time.sleep(max(_SETTLING_SECONDS, self._cost))
        is_due = self._rang or rang_before or not self._udp or time.monotonic() - self._listed > _SURE_SECONDS
        if is_due:
            self._listed = time.monotonic()
        return is_due


class _Bell:
    """Rings when a TCP socket of this machine begins or ends to listen. `hung` is whether it can."""

    def __init__(self, narrate: Callable[[str], None]) -> None:
        self._stack = ExitStack()
        self.hung = False
        try:
            self._poll = self._hang()
        except (OSError, ValueError, LookupError, ImportError, AttributeError) as error:
            self._stack.close()
            narrate(f"changes are seen by looking ten times in a second, not told by the kernel: {error}")
        else:
            self.hung = True
            narrate("changes are told by the kernel: the tracepoint sock:inet_sock_set_state")

    def wait(self, seconds: float) -> bool:
        """Whether it rings within so many seconds."""
        return bool(self._poll.poll(seconds * 1000))

    def close(self) -> None:
        """Takes it down."""
        self._stack.close()

    def _hang(self) -> select.poll:
        """One event for each processor. Its buffer may only be read, so that it is written over and over and never full."""
        import mmap
        import select
        from fcntl import ioctl

        event = _event_number()
        poll = select.poll()
        for processor in _processors():
            descriptor = _open_event(event, processor)
            self._stack.callback(os.close, descriptor)
            ioctl(descriptor, _PERF_EVENT_IOC_SET_FILTER, _FILTER)
            size = 2 * mmap.PAGESIZE  # one to tell where it is written, and one that is written
            self._stack.enter_context(mmap.mmap(descriptor, size, mmap.MAP_SHARED, mmap.PROT_READ))
            poll.register(descriptor, select.POLLIN)
        return poll


def _event_number() -> int:
    """The tracepoint's number. Raises FileNotFoundError or PermissionError where tracefs is not mounted, or not for us."""
    for folder in _TRACEFS:
        with suppress(FileNotFoundError), open(f"{folder}/{_TRACEPOINT}", encoding="ascii") as file:
            return int(file.read())
    raise FileNotFoundError(f"{_TRACEFS[0]}/{_TRACEPOINT} is not there")


def _processors() -> list[int]:
    """The numbers of the processors that are on, such as "0-3,8" tells them."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        pairs = [part.partition("-") for part in file.read().strip().split(",")]
    return [number for low, _, high in pairs for number in range(int(low), int(high or low) + 1)]


def _open_event(event: int, processor: int) -> int:
    """The descriptor of a tracepoint's events on one processor, of all processes. Raises OSError where that is refused."""
    import ctypes
    import struct

    size, every = _ATTRIBUTES_BYTES, 1
    attributes = struct.pack(_ATTRIBUTES, _PERF_TYPE_TRACEPOINT, size, event, every, 0, 0, 0, every)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    number = _SYS_PERF_EVENT_OPEN[os.uname().machine]
    descriptor = libc.syscall(number, attributes, -1, processor, -1, _PERF_FLAG_FD_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), f"perf_event_open: {os.strerror(ctypes.get_errno())}")
    return int(descriptor)
