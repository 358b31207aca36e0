"""Where the members of the kernel's structures are: its type information (BTF, Documentation/bpf/btf.rst), and a cache of it.

They differ from kernel to kernel. Reading them takes some 70 ms, hence they are kept in a small file of this user's own.
"""

from __future__ import annotations

import os
import struct

ITERATOR = "bpf_iter_task_file"  # the function that stands for the iterator: the number of its type
MEMBERS = (
    "file.f_inode",
    "inode.i_ino",
    "task_struct.group_leader",
    "task_struct.in_execve",
    "task_struct.mm",
    "task_struct.real_parent",
    "task_struct.thread_pid",
    "pid.level",
    "pid.numbers",
)
_BTF = "/sys/kernel/btf/vmlinux"
_LARGEST_OFFSET, _LARGEST_TYPE, _LARGEST_CACHE = 8 * (1 << 15) - 1, 1 << 24, 4096

_STRUCT, _UNION, _FUNC = 4, 5, 12  # BTF_KIND_…
# what follows a type of each kind: so many bytes, and so many for each of its members
_SIZES = (
    *((0, 0), (4, 0), (0, 0), (12, 0), (0, 12), (0, 12), (0, 8), (0, 0), (0, 0), (0, 0)),
    *((0, 0), (0, 0), (0, 0), (0, 8), (4, 0), (0, 12), (0, 0), (4, 0), (0, 0), (0, 12)),
)


def read() -> dict[str, int]:
    """The offset of each of `MEMBERS` in bits, and the number of `ITERATOR`. Goes into the cache too, if that can be.

    Raises OSError, ValueError, LookupError or struct.error where this kernel does not tell.
    """
    from contextlib import suppress

    with open(_BTF, "rb") as file:
        offsets = _offsets(file.read())
    with suppress(OSError, ValueError):  # then they are read again each time
        _write_cache(offsets)
    return offsets


def cached() -> dict[str, int] | None:
    """What `read` once found on this kernel, or None: no file, one of another kernel or user, or one that makes no sense."""
    try:
        with open(os.open(_cache(), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), encoding="utf-8") as file:
            key, *lines = file.read(_LARGEST_CACHE).splitlines()
            if os.fstat(file.fileno()).st_uid != os.geteuid() or key != _kernel():
                return None
        return _sane({name: int(offset) for name, offset in (line.split(" ") for line in lines)})
    except (OSError, ValueError):
        return None


def is_kept() -> bool:
    """Whether what `read` finds is there at the next look too. Never by root in the home of another user."""
    nearest = os.path.dirname(_cache())
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    return os.lstat(nearest).st_uid == os.geteuid() and os.path.isdir(nearest) and os.access(nearest, os.W_OK)


def _cache() -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.abspath(os.path.expanduser("~/.cache"))
    return os.path.join(base, "portward", "kernel-offsets")


def _kernel() -> str:
    system = os.uname()
    return f"{system.release} {system.version} {os.stat(_BTF).st_size}"


def _write_cache(offsets: dict[str, int]) -> None:
    if not is_kept():
        return
    path = _cache()
    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join([_kernel(), *(f"{name} {offset}" for name, offset in offsets.items()), ""]))
        os.replace(temporary, path)
    except (OSError, ValueError):
        os.unlink(temporary)
        raise


def _offsets(btf: bytes) -> dict[str, int]:
    """Where the members in `MEMBERS` are in their structures, in bits, and the number of `ITERATOR`.

    `btf` is the kernel's type information (Documentation/bpf/btf.rst). Raises ValueError where it has not all of them.
    """
    _magic, header, types, types_size, strings, strings_size = struct.unpack_from("<H2xIIIII", btf)
    text = btf[header + strings : header + strings + strings_size]
    names = {name: text.index(b"\0" + name.encode() + b"\0") + 1 for name in {*".".join(MEMBERS).split("."), ITERATOR}}
    wanted = {names[member.partition(".")[0]] for member in MEMBERS}
    unpack = struct.Struct("<III").unpack_from
    positions, structures, found = [0], dict[int, list[int]](), dict[str, int]()
    position, end = header + types, header + types + types_size
    while position < end:
        name, info, _ = unpack(btf, position)
        kind = info >> 24 & 0x1F
        if kind == _STRUCT and name in wanted:
            structures.setdefault(name, []).append(position)
        elif kind == _FUNC and name == names[ITERATOR]:
            found[ITERATOR] = len(positions)
        positions.append(position)
        once, each = _SIZES[kind]
        position += 12 + once + each * (info & 0xFFFF)

    def member(structure: int, name: int) -> int | None:
        _, info, _ = unpack(btf, structure)
        for place in range(structure + 12, structure + 12 + 12 * (info & 0xFFFF), 12):
            called, kind, bits = unpack(btf, place)
            bits &= 0xFFFFFF if info >> 31 else 0xFFFFFFFF
            if called == name:
                return int(bits)
            if not called and unpack(btf, positions[kind])[1] >> 24 & 0x1F in (_STRUCT, _UNION):
                inner = member(positions[kind], name)
                if inner is not None:
                    return int(bits) + inner
        return None

    for path in MEMBERS:
        outer, _, inner = path.partition(".")
        places = (member(structure, names[inner]) for structure in structures.get(names[outer], ()))
        found.update((path, place) for place in places if place is not None)
    return _sane(found)


def _sane(offsets: dict[str, int]) -> dict[str, int]:
    """The same. Raises ValueError unless all are there and could be true: that they are, the kernel's verifier looks."""
    if set(offsets) != {*MEMBERS, ITERATOR} or not 0 < offsets[ITERATOR] < _LARGEST_TYPE:
        raise ValueError("not the offsets of a kernel")
    if not all(0 <= offsets[name] <= _LARGEST_OFFSET for name in MEMBERS):
        raise ValueError("not the offsets of a kernel")
    return offsets
