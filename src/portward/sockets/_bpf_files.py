"""The program that the kernel runs once for every open file: it writes (pid, whether it is being started, inode) of each socket.

The iterator is `task_file` (kernel/bpf/task_iter.c, Linux 5.11). What it writes is read like a file, hence it can be pinned for others.
"""

from __future__ import annotations

import struct

from portward.sockets._bpf_kernel import (
    ADD,
    ADD_NUMBER,
    AND_NUMBER,
    CALL,
    EXIT,
    JUMP_IF,
    JUMP_IF_LESS,
    JUMP_IF_SAME,
    JUMP_UNLESS,
    LOAD8,
    LOAD32,
    LOAD64,
    MOVE,
    SET,
    SHIFT_LEFT,
    STORE32,
    STORE64,
    Assembler,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_BPF_FUNC_PROBE_READ_KERNEL, _BPF_FUNC_SEQ_WRITE = 113, 127
_BPF_FUNC_GET_CURRENT_TASK, _BPF_FUNC_SOCK_FROM_FILE = 35, 162

_META, _TASK, _FILE = 0, 8, 24  # struct bpf_iter__task_file
_SEQ = 0  # struct bpf_iter_meta
_UPID_SHIFT = 4  # struct upid has 16 bytes, and begins with the number
_RECORD = "=IIQ"  # pid, whether it is just being started, inode
_CHUNK = 1 << 18


def told(iterator: int, wanted: set[int]) -> Iterator[tuple[int, ...]]:
    """What the program writes for the wanted sockets in one pass over all open files. Closes the iterator."""
    with open(iterator, "rb", buffering=0) as file:
        while (chunk := file.read(_CHUNK)) != b"":
            if chunk:  # else the kernel takes a breath, after a million files without a socket
                yield from (record for record in struct.iter_unpack(_RECORD, chunk) if record[2] in wanted)


def program(offsets: dict[str, int]) -> bytes:
    """What the kernel runs for every open file: `if (it is a socket) seq_write({pid, whether it is being started, inode})`.

    The offsets are in bits.
    """
    code = Assembler()
    add = code.add
    context, file, level, stack = 6, 7, 8, 10  # kept over calls; 1 to 5 are arguments, 0 is the result
    at = {name: bits // 8 for name, bits in offsets.items()}

    def read(place: int, offset: int, size: int) -> None:
        """stack[-16:] = so many bytes of the kernel's memory."""
        add(MOVE, 3, place)
        add(ADD_NUMBER, 3, number=offset)
        add(MOVE, 1, stack)
        add(ADD_NUMBER, 1, number=-16)
        add(SET, 2, number=size)
        add(CALL, number=_BPF_FUNC_PROBE_READ_KERNEL)
        add(JUMP_UNLESS, 0, at="done", number=0)

    # is it a socket? The last call of all has neither file nor task
    add(MOVE, context, 1)
    add(LOAD64, file, context, _FILE)
    add(JUMP_IF, file, at="done", number=0)
    add(MOVE, 1, file)
    add(CALL, number=_BPF_FUNC_SOCK_FROM_FILE)
    add(JUMP_IF, 0, at="done", number=0)

    # how deep our own pid namespace is: the iterator keeps to that of its reader. Read without types, whose look-up for the
    # current task takes the verifier a millisecond
    add(CALL, number=_BPF_FUNC_GET_CURRENT_TASK)
    read(0, at["task_struct.thread_pid"], 8)
    add(LOAD64, 4, stack, -16)
    read(4, at["pid.level"], 4)
    add(LOAD32, level, stack, -16)

    # the process that the task is a thread of
    add(LOAD64, 4, context, _TASK)
    add(JUMP_IF, 4, at="done", number=0)
    add(LOAD64, 4, 4, at["task_struct.group_leader"])

    # it is just being started while it uses its parent's memory (vfork), and then until execve has closed what it closes
    add(SET, 3, number=1)
    add(LOAD64, 1, 4, at["task_struct.mm"])
    add(LOAD64, 2, 4, at["task_struct.real_parent"])
    add(LOAD64, 2, 2, at["task_struct.mm"])
    add(JUMP_IF_SAME, 1, 2, "told")
    add(LOAD8, 3, 4, at["task_struct.in_execve"])
    add(AND_NUMBER, 3, number=1 << offsets["task_struct.in_execve"] % 8)
    code.label("told")
    add(STORE64, stack, 3, -24)

    # its number in that namespace, which goes first
    add(LOAD64, 4, 4, at["task_struct.thread_pid"])
    add(LOAD32, 5, 4, at["pid.level"])
    add(JUMP_IF_LESS, 5, level, "done")
    add(SHIFT_LEFT, level, number=_UPID_SHIFT)
    add(ADD, level, 4)
    read(level, at["pid.numbers"], 4)

    # then the rest
    add(LOAD64, 1, stack, -24)
    add(STORE32, stack, 1, -12)
    add(LOAD64, 1, file, at["file.f_inode"])
    add(LOAD64, 1, 1, at["inode.i_ino"])
    add(STORE64, stack, 1, -8)
    add(LOAD64, 1, context, _META)
    add(LOAD64, 1, 1, _SEQ)
    add(MOVE, 2, stack)
    add(ADD_NUMBER, 2, number=-16)
    add(SET, 3, number=16)
    add(CALL, number=_BPF_FUNC_SEQ_WRITE)
    code.label("done")
    add(SET, 0, number=0)
    add(EXIT)
    return code.assembled()
