"""What this host is called in a store of many machines: an id that is made once, and stays when the machine gets another name.

It stands in a file, with a hash of the machine id and the machine's start of that time (random(4)) beside it. One for all users of the
machine is `/var/lib/portward/host.json`, or the file that `PORTWARD_HOST_FILE` names; root's agent makes it. Without it, each user has one
in the state folder.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from portward.errors import Unavailable
from portward.leases import here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

FOR_ALL = "/var/lib/portward/host.json"
_RANDOM_BYTES = 4
_LONGEST = 4096


def host_id(environment: Mapping[str, str]) -> str | None:
    """The id of this host, made for this user where there is none yet; None where none can be kept.

    Raises Unavailable for a file that was copied from another machine: two hosts of one id would get each other's ports.
    """
    path = own(environment)
    found = _read(for_all(environment)) or _read(path)
    if not found:
        with suppress(OSError):
            _make(path, f"{here.name()}-{os.urandom(_RANDOM_BYTES).hex()}", 0o700)
            found = _read(path)
    return found


def share(environment: Mapping[str, str]) -> str:
    """The id, for all users of the machine from now on, where we may write it for them. Raises Unavailable where none can be kept."""
    found, path = host_id(environment), for_all(environment)
    if found is None:
        raise Unavailable(
            f"this host has no id, and none can be written to {own(environment)}",
            hint="PORTWARD_HOST_FILE=PATH names a file that can be written",
        )
    with suppress(OSError):
        _make(path, found, 0o755)
    return _read(path) or found


def for_all(environment: Mapping[str, str]) -> str:
    """Where the one for all users is kept."""
    return environment.get("PORTWARD_HOST_FILE") or FOR_ALL


def own(environment: Mapping[str, str]) -> str:
    """Where the user's own is kept."""
    state = environment.get("XDG_STATE_HOME", "")
    if not os.path.isabs(state):
        state = os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".local", "state")
    return os.path.join(state, "portward", "host.json")


def _read(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            told = json.loads(file.read(_LONGEST))
        host, machine = told["id"], told["machine"]
        if type(host) is not str or not host or not host.isprintable() or type(machine) is not str:
            raise ValueError
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Unavailable(
            f"{path} is not the id of a host ({error})", hint="remove it, and the host gets a new id"
        ) from error
    if machine and here.machine() and machine != here.machine():
        raise Unavailable(
            f"{path} was copied from another machine: its id {host} is that one's",
            hint="remove it, and this host gets an id of its own",
        )
    return host


def _make(path: str, host: str, mode: int) -> None:
    """Makes the file, whole or not at all, unless there is one. Its folder gets the mode."""
    os.makedirs(os.path.dirname(path), mode, exist_ok=True)
    part = f"{path}-{os.getpid()}"
    try:
        with open(part, "x", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(json.dumps({"id": host, "machine": here.machine(), "boot": here.site().boot}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, path)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(part)
