"""Where the members of the kernel's structures are: its type information (BTF, Documentation/bpf/btf.rst), and a cache of it.

They differ from kernel to kernel. Reading them takes some 70 ms, hence they are kept in a small file of this user's own.
"""

from __future__ import annotations

import os
import struct

ITERATOR, TASK_ITERATOR = (
    "bpf_iter_task_file",
    "bpf_iter_task",
)  # functions that stand for iterators: the numbers of their types
MEMBERS = (  # for the program of `_bpf_files`
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
TASK_MEMBERS = (  # more, for that of `_bpf_tasks`
    "task_struct.files",
    "task_struct.comm",
    "task_struct.fs",
    "task_struct.real_cred",
    "task_struct.start_boottime",
    "cred.euid",
    "files_struct.fdt",
    "fdtable.fd",
    "fdtable.max_fds",
    "fs_struct.pwd",
    "inode.i_mode",
    "inode.i_sb",
    "super_block.s_magic",
)
STRUCTURES = ("file", "list_head", "task_struct", "upid")
FUNCTIONS = (TASK_ITERATOR, "bpf_rdonly_cast", "bpf_iter_num_new", "bpf_iter_num_next", "bpf_iter_num_destroy")
_FUNCS = (ITERATOR, *FUNCTIONS)
_TYPES = (*STRUCTURES, *FUNCTIONS)
_BTF = "/sys/kernel/btf/vmlinux"
_LAYOUT = 4  # of the file
_LARGEST_OFFSET, _LARGEST_TYPE, _LARGEST_CACHE = 8 * (1 << 15) - 1, 1 << 24, 4096

_STRUCT, _UNION, _FUNC = 4, 5, 12  # BTF_KIND_…
# what follows a type of each kind: so many bytes, and so many for each of its members
_SIZES = (
    *((0, 0), (4, 0), (0, 0), (12, 0), (0, 12), (0, 12), (0, 8), (0, 0), (0, 0), (0, 0)),
    *((0, 0), (0, 0), (0, 0), (0, 8), (4, 0), (0, 12), (0, 0), (4, 0), (0, 0), (0, 12)),
)


def read() -> dict[str, int]:
    """The offset of each of `MEMBERS` in bits, and the number of `ITERATOR`. Goes into the cache too, if that can be.

    Where this kernel has them all, those of `TASK_MEMBERS`, and the numbers of `STRUCTURES` and `FUNCTIONS`, as well.

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
    return f"{system.release} {system.version} {os.stat(_BTF).st_size} {_LAYOUT}"


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
    """What `read` tells, out of the kernel's type information. Raises ValueError where it has not all that is needed."""
    _magic, header, _types, _types_size, strings, strings_size = struct.unpack_from("<H2xIIIII", btf)
    text = btf[header + strings : header + strings + strings_size]
    names = {name: text.find(b"\0" + name.encode() + b"\0") + 1 for name in _names()}
    positions, numbers = _types_called(btf, {place: name for name, place in names.items() if place})
    found = {
        name: numbers[kind, name][0] for kind, name in numbers if name in (_FUNCS if kind == _FUNC else STRUCTURES)
    }
    for path in (*MEMBERS, *TASK_MEMBERS):
        structure, _, name = path.partition(".")
        for number in numbers.get((_STRUCT, structure), ()):
            place = _member(btf, positions, positions[number], names[name]) if names[name] else None
            if place is not None:
                found[path] = place
    if not found.keys() >= {*TASK_MEMBERS, *_TYPES}:
        found = {name: found[name] for name in (*MEMBERS, ITERATOR) if name in found}
    return _sane(found)


def _types_called(btf: bytes, called: dict[int, str]) -> tuple[list[int], dict[tuple[int, str], list[int]]]:
    """Where each type is told, by its number; and the numbers of the structures and functions with a name, {(kind, name): numbers}."""
    _magic, header, types, types_size = struct.unpack_from("<H2xIII", btf)
    unpack = struct.Struct("<II").unpack_from
    positions, numbers = [0], dict[tuple[int, str], list[int]]()
    position, end = header + types, header + types + types_size
    while position < end:
        place, info = unpack(btf, position)
        kind = info >> 24 & 0x1F
        if place in called and kind in (_STRUCT, _FUNC):
            numbers.setdefault((kind, called[place]), []).append(len(positions))
        positions.append(position)
        once, each = _SIZES[kind]
        position += 12 + once + each * (info & 0xFFFF)
    return positions, numbers


def _member(btf: bytes, positions: list[int], structure: int, name: int) -> int | None:
    """How many bits the member of this name is behind the start of a structure, or of one without a name in it."""
    unpack = struct.Struct("<III").unpack_from
    _, info, _ = unpack(btf, structure)
    for place in range(structure + 12, structure + 12 + 12 * (info & 0xFFFF), 12):
        called, kind, bits = unpack(btf, place)
        bits &= 0xFFFFFF if info >> 31 else 0xFFFFFFFF
        if called == name:
            return int(bits)
        if not called and unpack(btf, positions[kind])[1] >> 24 & 0x1F in (_STRUCT, _UNION):
            inner = _member(btf, positions, positions[kind], name)
            if inner is not None:
                return int(bits) + inner
    return None


def _names() -> set[str]:
    """All that is looked for in the kernel's list of names."""
    return {*".".join((*MEMBERS, *TASK_MEMBERS)).split("."), *_TYPES, ITERATOR}


def _sane(offsets: dict[str, int]) -> dict[str, int]:
    """The same. Raises ValueError unless all are there and could be true: that they are, the kernel's verifier looks."""
    needed = {*MEMBERS, ITERATOR}
    if offsets.keys() != needed and offsets.keys() != needed | {*TASK_MEMBERS, *_TYPES}:
        raise ValueError("not the offsets of a kernel")
    for name, value in offsets.items():
        if not (0 <= value <= _LARGEST_OFFSET if "." in name else 0 < value < _LARGEST_TYPE):
            raise ValueError("not the offsets of a kernel")
    return offsets
