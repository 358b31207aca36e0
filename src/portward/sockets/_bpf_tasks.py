"""The program that the kernel runs once for every task: it goes through the task's table of descriptors by itself.

Several times cheaper than to be called for every open file (`_bpf_files`), where the kernel takes and gives back each of them. It needs
Linux 6.4, for its loops and casts (kernel/bpf/helpers.c: `bpf_iter_num_new`, `bpf_rdonly_cast`). Nothing is locked: a table is read as it
stands, under RCU as all iterators of tasks are, and a socket counts only if it is still there after it was looked at.

What is wanted, and what is found, is in the one value of an array map: a bit for the last bits of each wanted inode, so that little that
is not asked for is told, how many records there are, and the records. The program is loaded for one answer; nobody else runs it.
"""

from __future__ import annotations

import os
import struct

from portward.sockets import _btf
from portward.sockets._bpf_kernel import (
    ADD,
    ADD_NUMBER,
    AND_NUMBER,
    CALL,
    EXIT,
    JUMP,
    JUMP_FROM,
    JUMP_IF,
    JUMP_IF_LESS,
    JUMP_IF_SAME,
    JUMP_UNLESS,
    JUMP_UNLESS_SAME,
    LOAD8,
    LOAD16,
    LOAD32,
    LOAD64,
    MOVE,
    SET,
    SHIFT_LEFT,
    SHIFT_RIGHT,
    SHIFT_RIGHT_BY,
    STORE32,
    STORE64,
    TIMES_NUMBER,
    Assembler,
    Unusable,
    linked,
    memory,
    passed,
)
from portward.sockets._proc import Stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from portward.sockets._bpf_kernel import Call

_BPF_MAP_CREATE, _BPF_MAP_LOOKUP_ELEM, _BPF_MAP_UPDATE_ELEM = 0, 1, 2
_BPF_MAP_TYPE_ARRAY = 2
_BPF_FUNC_GET_CURRENT_TASK = 35
_META, _TASK = 0, 8  # struct bpf_iter__task
_UPID_SHIFT = 4  # struct upid has 16 bytes, and begins with the number
_POINTER_SHIFT = 3
_S_IFMT, _S_IFSOCK, _SOCKFS_MAGIC = 0xF000, 0xC000, 0x534F434B  # include/uapi/linux/stat.h, magic.h

_BITS = 1 << 16
_COUNT, _WANTED = 0, 8
_FOUND = _WANTED + _BITS // 8
_RECORD = struct.Struct(
    "=IIQQII16s16s"
)  # pid, whether it is just being started, inode; start, user, parent, name, folder
_TICK = 10_000_000  # nanoseconds: USER_HZ is 100 on all machines that are asked
_MOST = 1 << 14  # records: more than 16,000 owners of what is wanted are left to `_bpf_files`
_ROOM = 1 << 10  # records, at least; and for four owners of each socket that is wanted


class _Full(Unusable):
    pass


def ask(
    bpf: Call, offsets: dict[str, int], wanted: Collection[int], seen: dict[int, Stat] | None = None
) -> set[tuple[int, ...]]:
    """Every (pid, whether it is just being started, inode) of the wanted sockets. What else is told of the processes goes into `seen`.

    Raises OSError, or Unusable where the program is refused or there is more to tell than it has room for.
    """
    try:
        told = _records(bpf, offsets, min(_MOST, max(_ROOM, 4 * len(wanted))), wanted)
    except _Full:
        told = _records(bpf, offsets, _MOST, wanted)
    records = [each for each in told if each[2] in wanted]
    if seen is not None:
        seen.update((record[0], _stat(record)) for record in records)
    return {record[:3] for record in records}


def processes(bpf: Call, offsets: dict[str, int]) -> dict[int, Stat]:
    """What is told of every process, by its pid, without a look at its descriptors. Raises as `ask`."""
    room = min(_MOST, max(_ROOM, 2 * os.stat("/proc").st_nlink))
    return {record[0]: _stat(record) for record in _records(bpf, offsets, room, None)}


def _records(
    bpf: Call, offsets: dict[str, int], room: int, wanted: Collection[int] | None
) -> Iterator[tuple[Any, ...]]:
    """The records of one pass: of each socket that may be wanted, or with None of each process. Raises _Full where `room` is too small."""
    value = bytearray(_FOUND + room * _RECORD.size)
    for inode in wanted or ():
        value[_WANTED + (inode % _BITS >> 3)] |= 1 << (inode & 7)
    size = struct.pack("=IIII", _BPF_MAP_TYPE_ARRAY, 4, len(value), 1)
    table = bpf(_BPF_MAP_CREATE, size)
    try:
        program = _program(offsets, table, room, of_sockets=wanted is not None)
        found = _filled(bpf, table, value, program, offsets)
    finally:
        os.close(table)
    count = int.from_bytes(found[_COUNT:_WANTED], "little")
    if count >= room:
        raise _Full("more than there is room for")
    return _RECORD.iter_unpack(found[_FOUND : _FOUND + count * _RECORD.size])


def _stat(record: tuple[Any, ...]) -> Stat:
    _pid, _starting, _inode, start, uid, parent, name, folder = record
    return Stat(name.rstrip(b"\0").decode(errors="replace"), parent, start // _TICK, uid, folder)


def _filled(bpf: Call, table: int, value: bytearray, program: bytes, offsets: dict[str, int]) -> memoryview:
    """The value of the map after one pass."""
    from _ctypes import addressof

    key, place = memory(bytes(4)), memory(value)
    element = struct.pack("=I4xQQQ", table, addressof(key), addressof(place), 0)
    bpf(_BPF_MAP_UPDATE_ELEM, element)
    link = linked(bpf, program, offsets[_btf.TASK_ITERATOR])
    try:
        with open(passed(bpf, link), "rb", buffering=0) as iterator:
            while iterator.read(1) != b"":
                continue  # the kernel takes a breath, after a million tasks
    finally:
        os.close(link)
    bpf(_BPF_MAP_LOOKUP_ELEM, element)
    return memoryview(place).cast("B")


def _program(offsets: dict[str, int], table: int, room: int, *, of_sockets: bool) -> bytes:
    """What the kernel runs for every task: it tells of each socket, or else of the process alone.

    The offsets are in bits; `table` is the descriptor of the map, with `room` for so many records.
    """
    code = _Code(offsets, room)
    add = code.add
    add(LOAD64, 1, 1, _TASK)
    add(JUMP_IF, 1, at="out", number=0)  # the last call of all has no task
    code.cast(
        1, "task_struct"
    )  # the verifier then spares itself to look up the names of what is trusted, for a millisecond
    add(MOVE, code.TASK, 0)
    code.load(code.FILES, code.TASK, "task_struct.files")
    add(JUMP_IF, code.FILES, at="out", number=0)  # it has ended

    # a thread is passed over, unless it has descriptors of its own
    code.load(9, code.TASK, "task_struct.group_leader")
    add(JUMP_IF_SAME, code.TASK, 9, "process")
    code.load(1, 9, "task_struct.files")
    add(JUMP_IF_SAME, code.FILES, 1, "out")
    code.label("process")
    code.note_process(9)
    if of_sockets:
        code.each_descriptor(table)
    else:
        code.tell_process(table)
    code.label("out")
    add(SET, 0, number=0)
    add(EXIT)
    return code.assembled()


class _Code(Assembler):
    """The parts of the program. Registers 6 to 9 are kept over calls; 1 to 5 are arguments, 0 is the result; 10 is the stack."""

    TASK, FILES, TABLE, STACK = 6, 7, 8, 10
    LOOP, SLOT, FILE, RECORD = -8, -16, -24, -88  # places on the stack

    def __init__(self, offsets: dict[str, int], room: int) -> None:
        super().__init__()
        self._offsets = offsets
        self._room = room

    def load(self, to: int, of: int, member: str, operation: int = LOAD64) -> None:
        """`to` = the member of what `of` points to. What is no longer there reads as 0 (BPF_PROBE_MEM)."""
        self.add(operation, to, of, self._offsets[member] // 8)

    def cast(self, address: int, name: str) -> None:
        """Register 0 = the address, as that of a structure of this name."""
        if address != 1:
            self.add(MOVE, 1, address)
        self.add(SET, 2, number=self._offsets[name])
        self.call_kernel(self._offsets["bpf_rdonly_cast"])

    def note_process(self, leader: int) -> None:
        """Puts into the record what is told of the process."""
        self._note_whether_it_starts(leader)
        # how deep our own pid namespace is: the iterator keeps to that of its reader
        self.add(CALL, number=_BPF_FUNC_GET_CURRENT_TASK)
        self.cast(0, "task_struct")
        self.load(1, 0, "task_struct.thread_pid")
        self.load(8, 1, "pid.level", LOAD32)
        self._load_number(leader, "out")
        self.add(STORE32, self.STACK, 1, self.RECORD)
        # as /proc/PID/stat has it (fs/proc/array.c)
        self.add(SET, 1, number=0)
        self.add(STORE32, self.STACK, 1, self.RECORD + 28)
        self.load(1, leader, "task_struct.start_boottime")
        self.add(STORE64, self.STACK, 1, self.RECORD + 16)
        self.load(1, leader, "task_struct.real_cred")
        self.load(1, 1, "cred.euid", LOAD32)
        self.add(STORE32, self.STACK, 1, self.RECORD + 24)
        for half in (0, 8):
            self.add(LOAD64, 1, leader, self._offsets["task_struct.comm"] // 8 + half)
            self.add(STORE64, self.STACK, 1, self.RECORD + 32 + half)
        # its working folder is a struct path: the mount and the name, which are the same for all who are in it
        self.load(1, leader, "task_struct.fs")
        for half in (0, 8):
            self.add(LOAD64, 2, 1, self._offsets["fs_struct.pwd"] // 8 + half)
            self.add(STORE64, self.STACK, 2, self.RECORD + 48 + half)
        self.load(1, leader, "task_struct.real_parent")
        self.load(9, 1, "task_struct.group_leader")
        self._load_number(9, "noted")
        self.add(STORE32, self.STACK, 1, self.RECORD + 28)
        self.label("noted")

    def _note_whether_it_starts(self, leader: int) -> None:
        """It does while it uses its parent's memory (vfork), and then until execve has closed what it closes."""
        self.add(SET, 3, number=1)
        self.load(1, leader, "task_struct.mm")
        self.load(2, leader, "task_struct.real_parent")
        self.load(2, 2, "task_struct.mm")
        self.add(JUMP_IF_SAME, 1, 2, "told")
        self.load(3, leader, "task_struct.in_execve", LOAD8)
        self.add(AND_NUMBER, 3, number=1 << self._offsets["task_struct.in_execve"] % 8)
        self.label("told")
        self.add(STORE32, self.STACK, 3, self.RECORD + 4)

    def _load_number(self, task: int, unless: str) -> None:
        """Register 1 = the number of a task in the pid namespace that is as deep as register 8 says. Where it has none, jumps."""
        self.load(1, task, "task_struct.thread_pid")
        self.load(2, 1, "pid.level", LOAD32)
        self.add(JUMP_IF_LESS, 2, 8, unless)
        self.add(MOVE, 2, 8)
        self.add(SHIFT_LEFT, 2, number=_UPID_SHIFT)
        self.add(ADD, 1, 2)
        self.add(ADD_NUMBER, 1, number=self._offsets["pid.numbers"] // 8)
        self.cast(1, "upid")
        self.add(LOAD32, 1, 0, 0)
        self.add(JUMP_IF, 1, at=unless, number=0)

    def each_descriptor(self, table: int) -> None:
        """Tells each wanted socket in the table of descriptors."""
        self.load(1, self.FILES, "files_struct.fdt")
        self.load(self.TABLE, 1, "fdtable.fd")
        self.load(3, 1, "fdtable.max_fds", LOAD32)
        self.add(SET, 2, number=0)
        self._call_loop("bpf_iter_num_new")
        self.label("next")
        self._call_loop("bpf_iter_num_next")
        self.add(JUMP_IF, 0, at="end", number=0)
        self.add(LOAD32, 1, 0, 0)
        self.add(SHIFT_LEFT, 1, number=_POINTER_SHIFT)
        self.add(ADD, 1, self.TABLE)
        self.add(STORE64, self.STACK, 1, self.SLOT)
        self._load_slot()
        self.add(JUMP_IF, 0, at="next", number=0)
        self.add(STORE64, self.STACK, 0, self.FILE)
        self._pass_over_other_than_sockets()
        self._pass_over_unwanted(table)
        self._pass_over_what_is_gone()
        self._tell(table)
        self.add(JUMP, at="next")
        self.label("end")
        self._call_loop("bpf_iter_num_destroy")

    def tell_process(self, table: int) -> None:
        """Tells the process, without a socket."""
        self.add(SET, 1, number=0)
        self.add(STORE64, self.STACK, 1, self.RECORD + 8)
        self._tell(table)
        self.label("end")

    def _call_loop(self, function: str) -> None:
        self.add(MOVE, 1, self.STACK)
        self.add(ADD_NUMBER, 1, number=self.LOOP)
        self.call_kernel(self._offsets[function])

    def _load_slot(self) -> None:
        """Register 0 = the pointer at the address in register 1: as if it were the first member of a structure."""
        self.cast(1, "list_head")
        self.add(LOAD64, 0, 0, 0)

    def _pass_over_other_than_sockets(self) -> None:
        """Puts the inode of the socket in register 0 into the record."""
        self.cast(0, "file")
        self.load(1, 0, "file.f_inode")
        self.load(2, 1, "inode.i_mode", LOAD16)
        self.add(AND_NUMBER, 2, number=_S_IFMT)
        self.add(JUMP_UNLESS, 2, at="next", number=_S_IFSOCK)
        self.load(2, 1, "inode.i_sb")
        self.load(2, 2, "super_block.s_magic")
        self.add(JUMP_UNLESS, 2, at="next", number=_SOCKFS_MAGIC)
        self.load(1, 1, "inode.i_ino")
        self.add(STORE64, self.STACK, 1, self.RECORD + 8)

    def _pass_over_unwanted(self, table: int) -> None:
        self.add(MOVE, 2, 1)
        self.add(AND_NUMBER, 1, number=_BITS - 1)
        self.add(SHIFT_RIGHT, 1, number=3)
        self.add(AND_NUMBER, 2, number=7)
        self.point(3, table, _WANTED)
        self.add(ADD, 3, 1)
        self.add(LOAD8, 3, 3, 0)
        self.add(SHIFT_RIGHT_BY, 3, 2)
        self.add(AND_NUMBER, 3, number=1)
        self.add(JUMP_IF, 3, at="next", number=0)

    def _pass_over_what_is_gone(self) -> None:
        """The task may have ended or closed the file meanwhile, and what was its memory may be another's."""
        self.add(LOAD64, 1, self.STACK, self.SLOT)
        self._load_slot()
        self.add(LOAD64, 1, self.STACK, self.FILE)
        self.add(JUMP_UNLESS_SAME, 0, 1, "next")
        self.load(1, self.TASK, "task_struct.files")
        self.add(JUMP_UNLESS_SAME, 1, self.FILES, "end")

    def _tell(self, table: int) -> None:
        """Puts the record behind the others, and counts it."""
        self.point(1, table, _COUNT)
        self.add(LOAD64, 2, 1, 0)
        self.add(JUMP_FROM, 2, at="end", number=self._room)
        self.add(MOVE, 3, 2)
        self.add(ADD_NUMBER, 3, number=1)
        self.add(STORE64, 1, 3, 0)
        self.add(TIMES_NUMBER, 2, number=_RECORD.size)
        self.point(3, table, _FOUND)
        self.add(ADD, 3, 2)
        for offset in range(0, _RECORD.size, 8):
            self.add(LOAD64, 1, self.STACK, self.RECORD + offset)
            self.add(STORE64, 3, 1, offset)
