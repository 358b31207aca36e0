"""Stops systemd units by their manager (systemctl(1)), which would start again what ends by itself."""

from __future__ import annotations

import os
import subprocess

from portward.errors import Unavailable

_BOOTED = "/run/systemd/system"  # sd_booted(3)


def stop(unit: str, *, of_user: bool, patience: float) -> str | None:
    """Stops a unit of the system, or of this user. Returns why it has not ended, None when it has.

    Nobody is asked for a password. Raises Unavailable where systemd does not run, or refuses.
    """
    command = ["systemctl", *(["--user"] if of_user else []), "--no-ask-password", "stop", "--", unit]
    if not os.path.isdir(_BOOTED):
        raise Unavailable("systemd does not run here")
    try:
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=patience
        )
    except subprocess.TimeoutExpired:
        return f"it is still stopping after {patience:g} s, and goes on doing so"
    except OSError as error:
        raise Unavailable(f"systemctl cannot be run: {error.strerror}") from None
    if done.returncode:
        reason = done.stderr.strip().partition("\n")[0]
        raise Unavailable(reason or f"systemctl ends with status {done.returncode}")
    return None
