"""What an ordinary user may be allowed to see, and by whom: `setup`."""

from __future__ import annotations

import os

from portward.answers import OwnersPin
from portward.errors import Unavailable, UsageError
from portward.sockets import _pin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def owners_state() -> OwnersPin:
    """Whether a group may see all owners now, as far as we may know: who is not in it is told that there is none."""
    pinned = _pin.state()
    return OwnersPin(_name(pinned.gid) if pinned else None, _pin.PATH, _pin.EXPOSES)


def owners_plan(group: str | None, environment: Mapping[str, str]) -> OwnersPin:
    """What would be pinned for a group; without one, for that of the user behind sudo. Nothing is done.

    Raises UsageError for a group that there is not, or none to be told.
    """
    _require_posix()
    if group is None:
        group = environment.get("SUDO_GID")
        if group is None:
            raise UsageError("which group is to see the owners?", hint="--group GROUP")
    return OwnersPin(_name(_number(group)), _pin.PATH, _pin.EXPOSES)


def pin_owners(plan: OwnersPin) -> OwnersPin:
    """Does what is planned. Raises Unavailable where it cannot be done: not as root, or not on this kernel."""
    assert plan.group is not None
    _require_root()
    _pin.pin(_number(plan.group))
    return plan.replace(changed=True)


def unpin_owners() -> OwnersPin:
    """Takes it back. Raises Unavailable where that is not permitted."""
    _require_posix()
    _require_root()
    return OwnersPin(None, _pin.PATH, _pin.EXPOSES, changed=_pin.unpin())


def _require_posix() -> None:
    if not hasattr(os, "geteuid"):
        raise Unavailable("owners are pinned on Linux only")


def _require_root() -> None:
    if os.geteuid() != 0:
        raise Unavailable("only root may pin or unpin", hint="sudo portward setup …")


def _number(group: str) -> int:
    import grp

    try:
        return int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError:
        raise UsageError(f"there is no group {group!r}", hint="`id` shows yours") from None


def _name(gid: int) -> str:
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
