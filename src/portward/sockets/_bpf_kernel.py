"""bpf(2) without a library: the call itself, loading a program, and the machine code that programs are written in.

Names are those of include/uapi/linux/bpf.h. Nothing that is loaded can harm the kernel: its verifier refuses a program that
might (Documentation/bpf/verifier.rst).
"""

from __future__ import annotations

import errno
import os
import struct
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _ctypes
    from collections.abc import Callable

    Call = Callable[[int, bytes], int]

_SYS_BPF = {"x86_64": 321, "aarch64": 280}

_BPF_PROG_LOAD, _BPF_LINK_CREATE, _BPF_ITER_CREATE = 5, 28, 33
_BPF_PROG_TYPE_TRACEPOINT, _BPF_PROG_TYPE_TRACING = 5, 26
_BPF_TRACE_ITER = 28
# prog_type insn_cnt insns license log_level log_size log_buf, prog_name, expected_attach_type, attach_btf_id
_PROG_LOAD = "=IIQQIIQ8x16s4xI36xI"
_PSEUDO_MAP_VALUE, _PSEUDO_KFUNC_CALL = 2, 2
_LOG_BYTES = 1 << 16
_ATTEMPTS = 20

MOVE, SET, ADD, ADD_NUMBER, AND, AND_NUMBER, TIMES_NUMBER = 0xBF, 0xB7, 0x0F, 0x07, 0x5F, 0x57, 0x27
SHIFT_LEFT, SHIFT_RIGHT, SHIFT_RIGHT_BY = 0x67, 0x77, 0x7F
LOAD8, LOAD16, LOAD32, LOAD64, STORE32, STORE64 = 0x71, 0x69, 0x61, 0x79, 0x63, 0x7B
JUMP, JUMP_IF, JUMP_UNLESS, JUMP_IF_SAME, JUMP_UNLESS_SAME, JUMP_IF_LESS = 0x05, 0x15, 0x55, 0x1D, 0x5D, 0xAD
JUMP_FROM = 0x35  # if it is at least the number
CALL, EXIT = 0x85, 0x95
_SET_WIDE = 0x18


class Unusable(Exception):
    """Owners cannot be asked this way here. The message says why; `log` is what the kernel's verifier says, or ""."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


def system_call() -> Call:
    """bpf(2) as a function of a command and its attributes, which raises OSError where the kernel refuses. Raises Unusable."""
    if not (sys.platform == "linux" and sys.maxsize > 1 << 32 and sys.byteorder == "little"):
        raise Unusable("only on Linux, on machines of 64 bits")
    number = _SYS_BPF.get(os.uname().machine)
    if number is None:
        raise Unusable(f"not on {os.uname().machine}")
    from portward.sockets import _libc

    syscall = _libc.function("syscall")

    def bpf(command: int, attributes: bytes) -> int:
        for _attempt in range(_ATTEMPTS):
            result = int(syscall(number, command, attributes, len(attributes)))
            if result >= 0:
                return result
            code = _libc.errno()
            if code != errno.EAGAIN:  # the verifier stops for a signal
                break
        raise OSError(code, os.strerror(code))

    return bpf


def memory(content: bytes | bytearray) -> _ctypes.Array[_ctypes._SimpleCData[int]]:
    """A copy that has an address."""
    import _ctypes

    class Byte(_ctypes._SimpleCData):  # type: ignore[type-arg]
        _type_ = "B"

    class Bytes(_ctypes.Array):  # type: ignore[type-arg]
        _type_ = Byte
        _length_ = len(content)

    return Bytes.from_buffer_copy(content)


def linked(bpf: Call, program: bytes, iterator: int) -> int:
    """The descriptor of a link to a program that is loaded for an iterator: from it come passes. Raises as `load_program`."""
    loaded = load_program(bpf, _BPF_PROG_TYPE_TRACING, program, _BPF_TRACE_ITER, iterator)
    try:
        return bpf(_BPF_LINK_CREATE, struct.pack("=IIII", loaded, 0, _BPF_TRACE_ITER, 0))
    finally:
        os.close(loaded)


def passed(bpf: Call, link: int) -> int:
    """The descriptor of an iterator: to read it makes the kernel run the program over everything."""
    return bpf(_BPF_ITER_CREATE, struct.pack("=II", link, 0))


def require_permission(bpf: Call) -> None:
    """Raises OSError where no program of ours is taken."""
    os.close(load_program(bpf, _BPF_PROG_TYPE_TRACEPOINT, nothing()))


def load_program(bpf: Call, kind: int, program: bytes, attach_type: int = 0, attach_to: int = 0) -> int:
    """The descriptor of a program that the kernel took. Raises OSError where we may not, Unusable where it is not sound."""
    from _ctypes import addressof

    placed = memory(program + b"GPL\0")

    def load(*logs: int) -> int:
        places = addressof(placed), addressof(placed) + len(program)
        return bpf(
            _BPF_PROG_LOAD,
            struct.pack(_PROG_LOAD, kind, len(program) // 8, *places, *logs, b"portward", attach_type, attach_to),
        )

    try:
        return load(0, 0, 0)
    except OSError as refused:
        if refused.errno == errno.EPERM:
            raise
        log = memory(bytes(_LOG_BYTES))
        try:
            return load(1, _LOG_BYTES, addressof(log))  # once more, to be told why
        except OSError:
            said = bytes(log).rstrip(b"\0").decode(errors="replace")
            raise Unusable(f"the kernel refuses the program: {refused.strerror}", said) from None


class Assembler:
    """BPF machine code (Documentation/bpf/standardization/instruction-set.rst)."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int | str, int]] = []
        self._labels: dict[str, int] = {}

    def add(self, operation: int, to: int = 0, of: int = 0, at: int | str = 0, number: int = 0) -> None:
        """One more instruction, on the registers `to` and `of`. `at` is an offset in memory, or the label to jump to."""
        self._code.append((operation, to, of, at, number))

    def call_kernel(self, function: int) -> None:
        """A call of a function that the kernel offers to programs, by the number of its type (Documentation/bpf/kfuncs.rst)."""
        self.add(CALL, 0, _PSEUDO_KFUNC_CALL, number=function)

    def point(self, to: int, descriptor: int, offset: int) -> None:
        """`to` = the address of a byte of the value in an array map of one."""
        self.add(_SET_WIDE, to, _PSEUDO_MAP_VALUE, number=descriptor)
        self.add(0, number=offset)

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


def nothing() -> bytes:
    """The shortest program."""
    code = Assembler()
    code.add(SET, 0, number=0)
    code.add(EXIT)
    return code.assembled()
