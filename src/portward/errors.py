"""Every error that Portward raises on purpose.

    PortwardError               something that the user can read and act on
     ├─ UsageError              bad usage or bad input (exit 2)
     │   ├─ InvalidPort         not a port, or not a range of ports
     │   ├─ InvalidFile         a project file that cannot be read as what it is, with its place
     │   ├─ InvalidEdit         a change that does not fit the text it was made for, with its place
     │   └─ NoProject           a project was asked about where there is none
     ├─ NoFreePort              nothing in the range is free (exit 1)
     ├─ NoPlan                  a change that cannot be made, or not without changing more than was asked for (exit 1)
     ├─ BindRefused             a port was to be taken, and the system refuses it (exit 1)
     ├─ NotStarted              a command that cannot be started (exit 126 or 127, as a shell's)
     ├─ Unavailable             not answered, or not done: permission, engine or store out of reach (exit 3)
     │   └─ FileChanged         a file is no longer what was read or written, and is left as it is
     └─ Bug                     something that should not have happened (exit 4)

An error carries fields, not a formatted text: the command line and the JSON answer are two ways to show the same fields.
"""

from __future__ import annotations


class PortwardError(Exception):
    """Base of all errors on purpose: a message, a hint at the way out, and the place in a file where there is one."""

    code = "error"
    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        line: int | None = None,
        column: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.line = line
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.path, self.line, self.column) if part is not None)
        return f"{place}: {self.message}" if place else self.message


class UsageError(PortwardError):
    """Bad usage or bad input."""

    code = "usage"


class InvalidPort(UsageError):
    """A text that is not a port (1 to 65535) or not an ascending range of ports."""

    code = "invalid-port"


class InvalidFile(UsageError):
    """A project file that its own tool would refuse; `path`, `line` and `column` say where."""

    code = "invalid-file"


class InvalidEdit(UsageError):
    """A change that does not fit the text it was made for: something else stands there, or two changes overlap."""

    code = "invalid-edit"


class NoProject(UsageError):
    """A verb that needs a project was used where there is none."""

    code = "no-project"


class NoFreePort(PortwardError):
    """Every port that was allowed is taken."""

    code = "no-free-port"
    exit_code = 1


class NoPlan(PortwardError):
    """A change that cannot be made by editing files, or not without changing more than was asked for."""

    code = "no-plan"
    exit_code = 1


class BindRefused(PortwardError):
    """A port was to be taken, and the system refuses the bind."""

    code = "bind-refused"
    exit_code = 1


class NotStarted(PortwardError):
    """A command that cannot be started. `exit_code` is 127 where there is no such program, else 126, as a shell gives them."""

    code = "not-started"
    exit_code = 126


class Unavailable(PortwardError):
    """The question could not be answered, or the act not done: permission, engine or store out of reach."""

    code = "unavailable"
    exit_code = 3


def missing(what: str, package: str | None, extra: str) -> Unavailable:
    """What is said where a package is not installed that `what` needs."""
    return Unavailable(f"{what} needs the package {package}", hint=f"pip install 'portward[{extra}]'")


class FileChanged(Unavailable):
    """A file is no longer what was read or written, so that writing it would lose somebody's work."""

    code = "file-changed"


class Bug(PortwardError):
    """Something unforeseen: a log file has the details."""

    code = "bug"
    exit_code = 4
