"""Who asks for a process to be stopped."""

from __future__ import annotations

import os


def user_of() -> str | None:
    """The user that this process acts as, named as processes' users are; None where the system has no user ids."""
    if not hasattr(os, "geteuid"):
        return None
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def host() -> str:
    """The name of the host, "" where the system does not tell; that of a container is its id unless another was given."""
    return os.uname().nodename if hasattr(os, "uname") else ""
