"""Starts one command (POSIX): fork and exec, nothing between it and the terminal."""

from __future__ import annotations

import errno
import fcntl
import os
import signal

from portward.errors import NotStarted
from portward.processes.tree import die_with_parent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)  # at its start; programs expect the default
_OUT_OF_THE_WAY = 10
_HANDED_OVER = 3  # the first descriptor of systemd's protocol, sd_listen_fds(3)


def spawn(
    command: Sequence[str],
    environment: Mapping[str, str],
    mask: Collection[int],
    *,
    descriptor: int | None = None,
    announced: bool = False,
    streams: Mapping[int, int] | None = None,
) -> int:
    """Starts the command as a child in our process group, and gives its pid when the program has been loaded.

    The child has our stdin, stdout and stderr, our working folder, the signal mask `mask`, and only the environment given. `descriptor` is a
    listening socket that it gets as descriptor 3; `announced` adds LISTEN_FDS and LISTEN_PID. `streams` are descriptors that it gets
    instead of ours: {2: …} is another stderr. On Linux it gets SIGTERM if this process ends before it. Raises NotStarted with a shell's status: 127 no such program, 126 it cannot be run.
    """
    reading, lower = os.pipe()
    writing = fcntl.fcntl(
        lower, fcntl.F_DUPFD_CLOEXEC, _OUT_OF_THE_WAY
    )  # closed on exec: its end tells that all went well
    os.close(lower)
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            for number, own in (streams or {}).items():
                os.dup2(own, number)
            _become(command, dict(environment), mask, descriptor, announced, parent)
        except OSError as error:
            os.write(writing, str(error.errno).encode())
        except ValueError:  # a word or a variable that no program can be given
            os.write(writing, str(errno.EINVAL).encode())
        finally:
            os._exit(127)
    os.close(writing)
    with open(reading, "rb") as report:
        told = report.read()
    if told:
        os.waitpid(pid, 0)
        raise _not_started(command[0], int(told))
    return pid


def _become(
    command: Sequence[str],
    environment: dict[str, str],
    mask: Collection[int],
    descriptor: int | None,
    announced: bool,
    parent: int,
) -> None:
    """The child's part, up to the exec. Raises OSError."""
    die_with_parent(signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    if descriptor is not None:
        os.dup2(descriptor, _HANDED_OVER)
        os.set_inheritable(_HANDED_OVER, True)
    if announced:
        environment |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    for number in (*_IGNORED_BY_PYTHON, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.execvpe(command[0], list(command), environment)  # noqa: S606 (no shell is meant)


def _not_started(name: str, number: int) -> NotStarted:
    missing = number in (errno.ENOENT, errno.ENOTDIR)
    hint = "is it installed, and in a folder of PATH?" if missing else None
    failure = NotStarted(f"{name}: {'no such program' if missing else os.strerror(number)}", hint=hint)
    failure.exit_code = 127 if missing else 126
    return failure
