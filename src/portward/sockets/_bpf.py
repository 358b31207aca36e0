"""Who has a socket open, by one pass of the kernel over all descriptors of all processes: a BPF `task_file` iterator.

The kernel runs a little program of ours once per open file (kernel/bpf/task_iter.c); it writes (pid, inode) of every socket.
That is many times cheaper than reading the link of every descriptor in /proc. It needs CAP_BPF and CAP_PERFMON (or root),
Linux 5.11 and the kernel's type information (`_btf`). Nothing here can harm the kernel: its verifier refuses a program that
might. Names are those of include/uapi/linux/bpf.h.
"""

from __future__ import annotations

import _socket as socket  # see _netlink
import errno
import os
import struct
import sys

from portward.sockets import _btf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SYS_BPF = {"x86_64": 321, "aarch64": 280}

_BPF_PROG_LOAD, _BPF_LINK_CREATE, _BPF_ITER_CREATE = 5, 28, 33
_BPF_PROG_TYPE_TRACEPOINT, _BPF_PROG_TYPE_TRACING = 5, 26
_BPF_TRACE_ITER = 28
_PROG_LOAD = "=IIQQ24x16s4xI36xI"  # prog_type insn_cnt insns license, prog_name, expected_attach_type, attach_btf_id
_BPF_FUNC_PROBE_READ_KERNEL, _BPF_FUNC_SEQ_WRITE = 113, 127
_BPF_FUNC_GET_CURRENT_TASK_BTF, _BPF_FUNC_SOCK_FROM_FILE = 158, 162

_META, _TASK, _FILE = 0, 8, 24  # struct bpf_iter__task_file
_SEQ = 0  # struct bpf_iter_meta
_UPID_SHIFT, _UPID_NR, _UPID_NS = 4, 0, 8  # struct upid: 16 bytes
_RECORD = "=QQ"  # pid, inode
_CHUNK = 1 << 18
_ATTEMPTS = 20

_MOVE, _SET, _ADD, _ADD_NUMBER, _SHIFT_LEFT = 0xBF, 0xB7, 0x0F, 0x07, 0x67
_LOAD32, _LOAD64, _STORE64 = 0x61, 0x79, 0x7B
_JUMP_IF, _JUMP_UNLESS, _JUMP_UNLESS_SAME, _JUMP_IF_LESS = 0x15, 0x55, 0x5D, 0xAD  # register is number; is register
_CALL, _EXIT = 0x85, 0x95


def socket_owners(inodes: Collection[int]) -> dict[int, list[int]] | None:
    """Which processes have the sockets of these inodes open: {inode: sorted pids}. None where it cannot be asked this way.

    The same as the walk over /proc (`_proc.socket_owners`), as root: pids are those of our own pid namespace, processes of
    namespaces inside it included, and a socket that no process of it has open has no entry. More than the walk, threads
    that do not share their process's descriptors are looked at, and count as their process; less than the walk, a process
    between its vfork and its exec is none yet. Not an atomic picture: descriptors come and go during the pass.
    """
    if not (sys.platform == "linux" and sys.maxsize > 1 << 32 and sys.byteorder == "little" and _proc_is_ours()):
        return None
    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        return None
    wanted = set(inodes)
    wanted.discard(0)
    witness = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # if we do not find ourselves, the answer is wrong
    try:
        known = os.fstat(witness.fileno()).st_ino
        wanted.add(known)
        found = _ask(number, wanted)
    except (OSError, ValueError, LookupError, ImportError, struct.error):
        return None
    finally:
        witness.close()
    owners: dict[int, list[int]] = {}
    for pid, inode in sorted(found):
        owners.setdefault(inode, []).append(pid)
    return owners if os.getpid() in owners.pop(known, ()) else None


def _proc_is_ours() -> bool:
    """Whether /proc numbers processes as our own pid namespace does: only then do our answers name the same ones."""
    try:
        with open("/proc/self/status", "rb", buffering=0) as file:
            lines = file.readall().splitlines()
    except OSError:
        return False
    # one number for each pid namespace from that of /proc to our own
    return any(line.startswith(b"NSpid:") and len(line.split()) == 2 for line in lines)


def _ask(number: int, wanted: set[int]) -> set[tuple[int, ...]]:
    """Every (pid, inode) of the wanted sockets. Raises OSError where this is refused. `number` is the system call's.

    Where a socket has several owners, those alone that are still there at a second look: others were about to exec.
    """
    import ctypes

    syscall = ctypes.CDLL(None, use_errno=True).syscall
    syscall.restype = ctypes.c_long

    def bpf(command: int, attributes: bytes) -> int:
        buffer = ctypes.create_string_buffer(attributes, len(attributes))
        for _attempt in range(_ATTEMPTS):
            result = int(syscall(number, command, buffer, len(attributes)))
            if result >= 0:
                return result
            code = ctypes.get_errno()
            if code != errno.EAGAIN:  # the verifier stops for a signal
                break
        raise OSError(code, os.strerror(code))

    def load(kind: int, program: bytes, attach_type: int = 0, attach_to: int = 0) -> int:
        code, license_ = ctypes.create_string_buffer(program, len(program)), ctypes.create_string_buffer(b"GPL")
        places = ctypes.addressof(code), ctypes.addressof(license_)
        return bpf(
            _BPF_PROG_LOAD,
            struct.pack(_PROG_LOAD, kind, len(program) // 8, *places, b"portward", attach_type, attach_to),
        )

    offsets = _btf.cached()
    if offsets is None:
        os.close(load(_BPF_PROG_TYPE_TRACEPOINT, _nothing()))  # are we permitted? else reading them would be in vain
        offsets = _btf.read()
    opened = [load(_BPF_PROG_TYPE_TRACING, _program(offsets), _BPF_TRACE_ITER, offsets[_btf.ITERATOR])]
    try:
        opened.append(bpf(_BPF_LINK_CREATE, struct.pack("=IIII", opened[-1], 0, _BPF_TRACE_ITER, 0)))
        found = _look(bpf(_BPF_ITER_CREATE, struct.pack("=II", opened[-1], 0)), wanted)
        if len(found) > len({inode for _, inode in found}):
            found &= _look(bpf(_BPF_ITER_CREATE, struct.pack("=II", opened[-1], 0)), wanted)
        return found
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _look(iterator: int, wanted: set[int]) -> set[tuple[int, ...]]:
    """What the program writes for the wanted sockets in one pass over all open files. Closes the iterator."""
    found: set[tuple[int, ...]] = set()
    with open(iterator, "rb", buffering=0) as file:
        while (chunk := file.read(_CHUNK)) != b"":
            if chunk:  # else the kernel takes a breath, after a million files without a socket
                found.update(record for record in struct.iter_unpack(_RECORD, chunk) if record[1] in wanted)
    return found


class _Assembler:
    """BPF machine code (Documentation/bpf/standardization/instruction-set.rst)."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int | str, int]] = []
        self._labels: dict[str, int] = {}

    def add(self, operation: int, to: int = 0, of: int = 0, at: int | str = 0, number: int = 0) -> None:
        """One more instruction, on the registers `to` and `of`. `at` is an offset in memory, or the label to jump to."""
        self._code.append((operation, to, of, at, number))

    def label(self, name: str) -> None:
        """The next instruction can be jumped to by this name."""
        self._labels[name] = len(self._code)

    def assembled(self) -> bytes:
        """The machine code. Raises struct.error for an offset that no instruction can hold."""
        made = []
        for index, (operation, to, of, at, number) in enumerate(self._code):
            offset = self._labels[at] - index - 1 if isinstance(at, str) else at
            made.append(struct.pack("=BBhi", operation, to | of << 4, offset, number))
        return b"".join(made)


def _nothing() -> bytes:
    """The shortest program."""
    code = _Assembler()
    code.add(_SET, 0, number=0)
    code.add(_EXIT)
    return code.assembled()


def _program(offsets: dict[str, int]) -> bytes:
    """What the kernel runs for every open file: `if (it is a socket) seq_write({pid, inode})`."""
    code = _Assembler()
    add = code.add
    context, file, level, namespace, stack = 6, 7, 8, 9, 10  # kept over calls; 1 to 5 are arguments, 0 is the result

    def read_upid(pid: int) -> None:
        """stack[-16:] = pid->numbers[level]: the number of a process in a pid namespace, and that namespace."""
        add(_MOVE, 3, level)
        add(_SHIFT_LEFT, 3, number=_UPID_SHIFT)
        add(_ADD, 3, pid)
        add(_ADD_NUMBER, 3, number=offsets["pid.numbers"])
        add(_MOVE, 1, stack)
        add(_ADD_NUMBER, 1, number=-16)
        add(_SET, 2, number=16)
        add(_CALL, number=_BPF_FUNC_PROBE_READ_KERNEL)
        add(_JUMP_UNLESS, 0, at="done", number=0)

    # is it a socket? The last call of all has neither file nor task
    add(_MOVE, context, 1)
    add(_LOAD64, file, context, _FILE)
    add(_JUMP_IF, file, at="done", number=0)
    add(_MOVE, 1, file)
    add(_CALL, number=_BPF_FUNC_SOCK_FROM_FILE)
    add(_JUMP_IF, 0, at="done", number=0)

    # our own pid namespace: that of whoever reads from the iterator
    add(_CALL, number=_BPF_FUNC_GET_CURRENT_TASK_BTF)
    add(_LOAD64, 4, 0, offsets["task_struct.thread_pid"])
    add(_LOAD32, level, 4, offsets["pid.level"])
    read_upid(4)
    add(_LOAD64, namespace, stack, -16 + _UPID_NS)

    # the process that the task is a thread of. Between vfork and exec it has what its parent has, for a moment: no owner
    add(_LOAD64, 4, context, _TASK)
    add(_JUMP_IF, 4, at="done", number=0)
    add(_LOAD64, 4, 4, offsets["task_struct.group_leader"])
    add(_LOAD64, 5, 4, offsets["task_struct.vfork_done"])
    add(_JUMP_UNLESS, 5, at="done", number=0)

    # its number there
    add(_LOAD64, 4, 4, offsets["task_struct.thread_pid"])
    add(_LOAD32, 5, 4, offsets["pid.level"])
    add(_JUMP_IF_LESS, 5, level, "done")
    read_upid(4)
    add(_LOAD64, 1, stack, -16 + _UPID_NS)
    add(_JUMP_UNLESS_SAME, 1, namespace, "done")

    # write it with the inode
    add(_LOAD32, 1, stack, -16 + _UPID_NR)
    add(_STORE64, stack, 1, -16)
    add(_LOAD64, 1, file, offsets["file.f_inode"])
    add(_LOAD64, 1, 1, offsets["inode.i_ino"])
    add(_STORE64, stack, 1, -8)
    add(_LOAD64, 1, context, _META)
    add(_LOAD64, 1, 1, _SEQ)
    add(_MOVE, 2, stack)
    add(_ADD_NUMBER, 2, number=-16)
    add(_SET, 3, number=16)
    add(_CALL, number=_BPF_FUNC_SEQ_WRITE)
    code.label("done")
    add(_SET, 0, number=0)
    add(_EXIT)
    return code.assembled()
