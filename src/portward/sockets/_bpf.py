"""Who has a socket open, by one pass of the kernel over all descriptors of all processes: a BPF `task_file` iterator.

The kernel runs a little program of ours once per open file (kernel/bpf/task_iter.c); it writes (pid, inode) of every socket.
That is many times cheaper than reading the link of every descriptor in /proc. It needs CAP_BPF and CAP_PERFMON (or root),
Linux 5.11 and the kernel's type information (`_btf`). Nothing here can harm the kernel: its verifier refuses a program that
might (Documentation/bpf/verifier.rst). Names are those of include/uapi/linux/bpf.h.
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
    import _ctypes
    from collections.abc import Callable, Collection, Iterator

    Call = Callable[[int, bytes], int]

_SYS_BPF = {"x86_64": 321, "aarch64": 280}

_BPF_PROG_LOAD, _BPF_OBJ_PIN, _BPF_LINK_CREATE, _BPF_ITER_CREATE = 5, 6, 28, 33
_BPF_PROG_TYPE_TRACEPOINT, _BPF_PROG_TYPE_TRACING = 5, 26
_BPF_TRACE_ITER = 28
# prog_type insn_cnt insns license log_level log_size log_buf, prog_name, expected_attach_type, attach_btf_id
_PROG_LOAD = "=IIQQIIQ8x16s4xI36xI"
_BPF_FUNC_PROBE_READ_KERNEL, _BPF_FUNC_SEQ_WRITE = 113, 127
_BPF_FUNC_GET_CURRENT_TASK, _BPF_FUNC_SOCK_FROM_FILE = 35, 162

_META, _TASK, _FILE = 0, 8, 24  # struct bpf_iter__task_file
_SEQ = 0  # struct bpf_iter_meta
_UPID_SHIFT = 4  # struct upid has 16 bytes, and begins with the number
_RECORD = "=IIQ"  # pid, whether it is just being started, inode
_CHUNK = 1 << 18
_LOG_BYTES = 1 << 16
_ATTEMPTS = 20

_MOVE, _SET, _ADD, _ADD_NUMBER, _AND_NUMBER, _SHIFT_LEFT = 0xBF, 0xB7, 0x0F, 0x07, 0x57, 0x67
_LOAD8, _LOAD32, _LOAD64, _STORE32, _STORE64 = 0x71, 0x61, 0x79, 0x63, 0x7B
_JUMP_IF, _JUMP_UNLESS, _JUMP_IF_SAME, _JUMP_IF_LESS = 0x15, 0x55, 0x1D, 0xAD
_CALL, _EXIT = 0x85, 0x95


class Unusable(Exception):
    """Owners cannot be asked this way here. The message says why; `log` is what the kernel's verifier says, or ""."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


def socket_owners(inodes: Collection[int]) -> dict[int, list[int]]:
    """Which processes have the sockets of these inodes open: {inode: sorted pids}. Raises Unusable.

    The same as the walk over /proc (`_proc.socket_owners`), as root: pids are those of our own pid namespace, processes of
    namespaces inside it included, and a socket that no process of it has open has no entry. More than the walk, threads
    that do not share their process's descriptors are looked at, and count as their process. A program that is just being
    started, from its vfork or execve to the end of that, has what its parent has for a moment more: it is an owner only
    where nobody else is. Not an atomic picture: descriptors come and go during the pass.
    """
    return _settled(inodes, lambda wanted: _ask(system_call(), wanted))


def pinned_owners(inodes: Collection[int], path: str) -> dict[int, list[int]]:
    """The same by an iterator that root has pinned (`_pin`): nothing but to read its file is needed. Raises Unusable."""
    return _settled(inodes, lambda wanted: set(_told(os.open(path, os.O_RDONLY | os.O_CLOEXEC), wanted)))


def _settled(inodes: Collection[int], ask: Callable[[set[int]], set[tuple[int, ...]]]) -> dict[int, list[int]]:
    """Whose the sockets are by the answer of `ask`, which must find a socket of our own too."""
    witness = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)  # if we do not find ourselves, the answer is wrong
    try:
        known = os.fstat(witness.fileno()).st_ino
        found = ask({known, *inodes} - {0})
    except (OSError, ValueError, LookupError, AttributeError, ImportError, struct.error) as error:
        raise Unusable(str(error)) from error
    finally:
        witness.close()
    settled = {inode for _, starting, inode in found if not starting}
    owners: dict[int, list[int]] = {}
    for pid, inode in sorted({(pid, inode) for pid, starting, inode in found if not starting or inode not in settled}):
        owners.setdefault(inode, []).append(pid)
    if os.getpid() not in owners.pop(known, ()):
        raise Unusable("the kernel does not find our own socket")
    return owners


def _ask(bpf: Call, wanted: set[int]) -> set[tuple[int, ...]]:
    """Every (pid, whether it is just being started, inode) of the wanted sockets, by a program that is loaded for this."""
    link = attached(bpf)
    try:
        return set(_told(bpf(_BPF_ITER_CREATE, struct.pack("=II", link, 0)), wanted))
    finally:
        os.close(link)


def attached(bpf: Call) -> int:
    """The descriptor of a link to the loaded program: from it come iterators, and a link can be pinned.

    Raises OSError where this is refused, Unusable with the verifier's log where it is the program that is refused.
    """
    offsets = _btf.cached()
    if offsets is None:
        os.close(_load(bpf, _BPF_PROG_TYPE_TRACEPOINT, _nothing()))  # not permitted? Then reading them would be in vain
        offsets = _btf.read()
    program = _load(bpf, _BPF_PROG_TYPE_TRACING, _program(offsets), _BPF_TRACE_ITER, offsets[_btf.ITERATOR])
    try:
        return bpf(_BPF_LINK_CREATE, struct.pack("=IIII", program, 0, _BPF_TRACE_ITER, 0))
    finally:
        os.close(program)


def pin(bpf: Call, link: int, path: str) -> None:
    """Gives a link a name in a BPF file system, from which it can be read until the name is removed. Raises OSError."""
    from _ctypes import addressof

    memory = _memory(os.fsencode(path) + b"\0")
    bpf(_BPF_OBJ_PIN, struct.pack("=QII", addressof(memory), link, 0))


def _told(iterator: int, wanted: set[int]) -> Iterator[tuple[int, ...]]:
    """What the program writes for the wanted sockets in one pass over all open files. Closes the iterator."""
    with open(iterator, "rb", buffering=0) as file:
        while (chunk := file.read(_CHUNK)) != b"":
            if chunk:  # else the kernel takes a breath, after a million files without a socket
                yield from (record for record in struct.iter_unpack(_RECORD, chunk) if record[2] in wanted)


def system_call() -> Call:
    """bpf(2) as a function of a command and its attributes, which raises OSError where the kernel refuses. Raises Unusable."""
    if not (sys.platform == "linux" and sys.maxsize > 1 << 32 and sys.byteorder == "little"):
        raise Unusable("only on Linux, on machines of 64 bits")
    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        raise Unusable(f"not on {os.uname().machine}")
    import _ctypes  # what `ctypes` is built on: all that is needed, for a third of its start-up

    class Long(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "l"

    class Function(_ctypes.CFuncPtr):
        _flags_ = _ctypes.FUNCFLAG_CDECL | _ctypes.FUNCFLAG_USE_ERRNO
        _restype_ = Long

    program = _ctypes.dlopen(None, os.RTLD_NOW)  # type: ignore[arg-type]
    syscall = Function(_ctypes.dlsym(program, "syscall"))

    def bpf(command: int, attributes: bytes) -> int:
        for _attempt in range(_ATTEMPTS):
            result = int(syscall(number, command, attributes, len(attributes)))
            if result >= 0:
                return result
            code = _ctypes.get_errno()
            if code != errno.EAGAIN:  # the verifier stops for a signal
                break
        raise OSError(code, os.strerror(code))

    return bpf


def _memory(content: bytes) -> _ctypes.Array[_ctypes._SimpleCData[int]]:
    """A copy that has an address."""
    import _ctypes

    class Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "B"

    class Bytes(_ctypes.Array):  # type: ignore[type-arg]
        _type_ = Byte
        _length_ = len(content)

    return Bytes.from_buffer_copy(content)


def _load(bpf: Call, kind: int, program: bytes, attach_type: int = 0, attach_to: int = 0) -> int:
    """The descriptor of a program that the kernel took. Raises OSError where we may not, Unusable where it is not sound."""
    from _ctypes import addressof

    memory = _memory(program + b"GPL\0")

    def load(*logs: int) -> int:
        places = addressof(memory), addressof(memory) + len(program)
        return bpf(
            _BPF_PROG_LOAD,
            struct.pack(_PROG_LOAD, kind, len(program) // 8, *places, *logs, b"portward", attach_type, attach_to),
        )

    try:
        return load(0, 0, 0)
    except OSError as refused:
        if refused.errno == errno.EPERM:
            raise
        log = _memory(bytes(_LOG_BYTES))
        try:
            return load(1, _LOG_BYTES, addressof(log))  # once more, to be told why
        except OSError:
            said = bytes(log).rstrip(b"\0").decode(errors="replace")
            raise Unusable(f"the kernel refuses the program: {refused.strerror}", said) from None


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
    """What the kernel runs for every open file: `if (it is a socket) seq_write({pid, whether it is being started, inode})`.

    The offsets are in bits.
    """
    code = _Assembler()
    add = code.add
    context, file, level, stack = 6, 7, 8, 10  # kept over calls; 1 to 5 are arguments, 0 is the result
    at = {name: bits // 8 for name, bits in offsets.items()}

    def read(place: int, offset: int, size: int) -> None:
        """stack[-16:] = so many bytes of the kernel's memory."""
        add(_MOVE, 3, place)
        add(_ADD_NUMBER, 3, number=offset)
        add(_MOVE, 1, stack)
        add(_ADD_NUMBER, 1, number=-16)
        add(_SET, 2, number=size)
        add(_CALL, number=_BPF_FUNC_PROBE_READ_KERNEL)
        add(_JUMP_UNLESS, 0, at="done", number=0)

    # is it a socket? The last call of all has neither file nor task
    add(_MOVE, context, 1)
    add(_LOAD64, file, context, _FILE)
    add(_JUMP_IF, file, at="done", number=0)
    add(_MOVE, 1, file)
    add(_CALL, number=_BPF_FUNC_SOCK_FROM_FILE)
    add(_JUMP_IF, 0, at="done", number=0)

    # how deep our own pid namespace is: the iterator keeps to that of its reader. Read without types, whose look-up for the
    # current task takes the verifier a millisecond
    add(_CALL, number=_BPF_FUNC_GET_CURRENT_TASK)
    read(0, at["task_struct.thread_pid"], 8)
    add(_LOAD64, 4, stack, -16)
    read(4, at["pid.level"], 4)
    add(_LOAD32, level, stack, -16)

    # the process that the task is a thread of
    add(_LOAD64, 4, context, _TASK)
    add(_JUMP_IF, 4, at="done", number=0)
    add(_LOAD64, 4, 4, at["task_struct.group_leader"])

    # it is just being started while it uses its parent's memory (vfork), and then until execve has closed what it closes
    add(_SET, 3, number=1)
    add(_LOAD64, 1, 4, at["task_struct.mm"])
    add(_LOAD64, 2, 4, at["task_struct.real_parent"])
    add(_LOAD64, 2, 2, at["task_struct.mm"])
    add(_JUMP_IF_SAME, 1, 2, "told")
    add(_LOAD8, 3, 4, at["task_struct.in_execve"])
    add(_AND_NUMBER, 3, number=1 << offsets["task_struct.in_execve"] % 8)
    code.label("told")
    add(_STORE64, stack, 3, -24)

    # its number in that namespace, which goes first
    add(_LOAD64, 4, 4, at["task_struct.thread_pid"])
    add(_LOAD32, 5, 4, at["pid.level"])
    add(_JUMP_IF_LESS, 5, level, "done")
    add(_SHIFT_LEFT, level, number=_UPID_SHIFT)
    add(_ADD, level, 4)
    read(level, at["pid.numbers"], 4)

    # then the rest
    add(_LOAD64, 1, stack, -24)
    add(_STORE32, stack, 1, -12)
    add(_LOAD64, 1, file, at["file.f_inode"])
    add(_LOAD64, 1, 1, at["inode.i_ino"])
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
