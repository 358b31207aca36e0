"""Sandboxes for tests, as agents have them: system calls that are refused, networks of one's own, homes that cannot be written."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBERS = {"x86_64": {"bind": 49, "socket": 41}, "aarch64": {"bind": 200, "socket": 198}}
_FAMILY_AT = 16
"""Where a filter finds the first argument of a call (struct seccomp_data of linux/seccomp.h)."""


def number(call: str) -> int | None:
    """The number of a system call on this machine, None where that is not known."""
    return _NUMBERS.get(platform.machine(), {}).get(call)


def refuse(call: str, code: int = errno.EPERM, family: int | None = None) -> None:
    """From now on the system refuses a call to this process and its children (seccomp(2)), with `family` only for that one."""
    calls = number(call)
    assert calls is not None
    steps = [(_LOAD, 0, 0, 0), (_EQUAL, 0, 1 if family is None else 3, calls)]
    steps += [] if family is None else [(_LOAD, 0, 0, _FAMILY_AT), (_EQUAL, 0, 1, family)]
    steps += [(_RETURN, 0, 0, _ERRNO | code), (_RETURN, 0, 0, _ALLOW)]
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    filters = struct.pack("HL", len(steps), ctypes.addressof(program))
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(_PR_SET_SECCOMP, _FILTER, filters, 0, 0) == 0, ctypes.get_errno()


if __name__ == "__main__":
    import os

    refuse(sys.argv[1], family=int(sys.argv[2]) if sys.argv[2] != "-" else None)
    os.execv(sys.argv[3], sys.argv[3:])
