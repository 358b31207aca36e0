"""Stops containers by their engine's own API, so that it knows that they were meant to end, and does not start them again.

Docker Engine API v1.41, `POST /containers/ID/stop`: the engine sends the container's stop signal, and SIGKILL after `t` seconds.
"""

from __future__ import annotations

import json
import math
import time

from portward import engine
from portward.errors import Unavailable
from portward.model import ContainerPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_ANSWER_SECONDS = 10.0
_NO_LIMIT = 1_000_000  # seconds; as good as never, while -1 is not understood by every engine
_GONE, _STOPPED_ALREADY, _DONE = 404, 304, 204
_KEEPERS = {"swarm": "com.docker.swarm.service.name", "kubernetes": "io.kubernetes.pod.name"}


def policy_of(environment: Mapping[str, str], identifier: str) -> ContainerPolicy | None:
    """What the engine that has the container does when it ends; None where no engine that answers has it."""
    found = _find(environment, identifier)
    return _policy(found[1]) if found else None


def _policy(raw: Mapping[str, Any]) -> ContainerPolicy:
    host, settings = raw.get("HostConfig") or {}, raw.get("Config") or {}
    labels = settings.get("Labels") or {}
    keeper = next((name for name, label in _KEEPERS.items() if label in labels), None)
    grace = settings.get("StopTimeout")
    return ContainerPolicy(
        restart=(host.get("RestartPolicy") or {}).get("Name") or "no",
        removed=bool(host.get("AutoRemove")),
        grace=ContainerPolicy().grace if grace is None else float(grace),
        keeper=keeper,
        kept_as=labels[_KEEPERS[keeper]] if keeper else "",
    )


def stop(environment: Mapping[str, str], identifier: str, *, grace: float | None, patience: float) -> str | None:
    """Stops a container. Returns why it has not ended, None when it has, or had already.

    `grace` are the seconds after which the engine sends SIGKILL, None for never; `patience` is how long its end is waited for at least.
    Raises Unavailable where its engine cannot be asked, or refuses.
    """
    found = _find(environment, identifier)
    if found is None:
        return None  # removed since it was looked at, and its ports with it
    home = found[0]
    seconds = _NO_LIMIT if grace is None else math.ceil(grace)
    deadline = time.monotonic() + max(patience, grace or 0) + _ANSWER_SECONDS
    try:
        status, body = home.ask("POST", f"/containers/{identifier}/stop?t={seconds}", deadline)
    except TimeoutError:
        return f"it is still shutting down after {patience:g} s, and goes on doing so"
    except OSError as error:
        raise Unavailable(engine.reason(error)) from None
    if status in (_DONE, _STOPPED_ALREADY, _GONE):
        return None
    raise Unavailable(f"the engine refuses with HTTP status {status}: {_message(body)}")


def _find(environment: Mapping[str, str], identifier: str) -> tuple[engine.Engine, dict[str, Any]] | None:
    """The engine that has a container, and all that it says of it."""
    for address in engine.addresses(environment):
        home = engine.Engine(address)
        try:
            status, body = home.ask("GET", f"/containers/{identifier}/json", time.monotonic() + _ANSWER_SECONDS)
            raw = json.loads(body) if status == 200 else None
        except (OSError, ValueError):
            continue
        if isinstance(raw, dict) and str(raw.get("Id", "")).startswith(identifier):
            return home, raw
    return None


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return "no reason given"
