"""What containers are doing: whether they run, in which networks, what they publish, and the last words of those that ended.

Asked of the engine alone (Docker Engine API v1.41: `/containers/json`, `/containers/ID/json`, `/containers/ID/logs`); nothing is
changed, and nothing is run in a container.
"""

from __future__ import annotations

import time

from portward import engine
from portward.discretion import discreet
from portward.errors import Unavailable
from portward.evidence import ContainerState
from portward.model import ANY, Container, Endpoint, Publication, Skipped, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

PATIENCE_SECONDS = 4.0
"""For everything that is asked of one engine."""

_LINES = 3
_ENDED = ("exited", "dead", "restarting")
_FRAME_BYTES = 8  # head of each piece of a log: stream, three zeros, length (ContainerAttach in the API)


def read(environment: Mapping[str, str]) -> tuple[list[tuple[ContainerState, int, str]], list[Skipped]]:
    """Each container of each engine with the pid and the full id that the engine gives, and the engines that could not be asked.

    The pid is the engine's: it means the same process here only if the engine is in our pid namespace.
    """
    found: list[tuple[ContainerState, int, str]] = []
    skipped: list[Skipped] = []
    for address in engine.addresses(environment):
        deadline = time.monotonic() + PATIENCE_SECONDS
        asked = engine.Engine(address)
        try:
            listed = [raw["Id"] for raw in asked.get("/containers/json?all=1", deadline)]
        except Unavailable as error:
            skipped.append(Skipped(f"container engine {address}", error.message))
            continue
        except (LookupError, TypeError):
            skipped.append(Skipped(f"container engine {address}", "what answers there is not a container engine"))
            continue
        for identifier in listed:
            try:
                found.append(_inspect(asked, identifier, deadline))
            except (Unavailable, AttributeError, LookupError, TypeError, ValueError):
                if time.monotonic() >= deadline:
                    skipped.append(Skipped("containers", f"no answer within {PATIENCE_SECONDS:.0f} s"))
                    break  # otherwise: removed since it was listed
    return found, skipped


def _inspect(asked: engine.Engine, identifier: str, deadline: float) -> tuple[ContainerState, int, str]:
    raw = asked.get(f"/containers/{identifier}/json", deadline)
    config, host, state, network = raw["Config"], raw["HostConfig"], raw["State"], raw["NetworkSettings"]
    labels = config.get("Labels") or {}
    status = state.get("Status", "")
    networks = network.get("Networks") or {}
    restarts = int(raw.get("RestartCount") or 0)
    log = _log(asked, identifier, bool(config.get("Tty")), deadline) if status in _ENDED or restarts else ()
    found = ContainerState(
        container=Container(
            id=raw["Id"][:12],
            name=raw["Name"].lstrip("/"),
            image=config.get("Image", ""),
            project=labels.get("com.docker.compose.project"),
            service=labels.get("com.docker.compose.service"),
            status=status,
            folder=labels.get("com.docker.compose.project.working_dir"),
        ),
        state=status,
        exit_code=state.get("ExitCode") if status in _ENDED else None,
        restarts=restarts,
        error=state.get("Error") or "",
        health=(state.get("Health") or {}).get("Status"),
        log=log,
        host_network=host.get("NetworkMode") == "host",
        networks=tuple(_networks(networks)),
        names=tuple(dict.fromkeys(name for each in networks.values() for name in _names(each, labels))),
        publications=tuple(_publications(network.get("Ports"))) if status in ("running", "paused") else (),
        claims=tuple(_publications(host.get("PortBindings"))),
        exposed=tuple(int(key.partition("/")[0]) for key in config.get("ExposedPorts") or {} if key.endswith("/tcp")),
    )
    return found, int(state.get("Pid") or 0), raw["Id"]


def _networks(networks: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, each in networks.items():
        addresses = [each.get("IPAddress"), each.get("GlobalIPv6Address")]
        for address in filter(None, addresses):
            yield name, str(address)
        if not any(addresses):
            yield name, ""


def _names(network: Mapping[str, Any], labels: Mapping[str, str]) -> Iterator[str]:
    yield from network.get("Aliases") or ()
    if service := labels.get("com.docker.compose.service"):
        yield service


def _publications(bindings: Mapping[str, list[dict[str, str]] | None] | None) -> Iterator[Publication]:
    for key, bound in (bindings or {}).items():
        target, _, protocol = key.partition("/")
        for each in bound or ():
            port = each.get("HostPort") or ""
            if port.isdecimal() and int(port) and protocol in ("tcp", "udp"):
                address = each.get("HostIp") or ANY
                v6only = True if address == "::" else None  # Docker binds each family by itself
                yield Publication(Endpoint(address, int(port), Transport(protocol), v6only), int(target))


def _log(asked: engine.Engine, identifier: str, tty: bool, deadline: float) -> tuple[str, ...]:
    """The last lines of what a container wrote, without secrets; none where the engine does not keep them."""
    path = f"/containers/{identifier}/logs?stdout=1&stderr=1&tail={_LINES}"
    try:
        status, body = asked.ask("GET", path, deadline)
    except OSError:
        return ()
    if status != 200:
        return ()
    text = (body if tty else _unframed(body)).decode(errors="replace")
    lines = [discreet(line.strip()) for line in text.splitlines() if line.strip()]
    return tuple(lines[-_LINES:])


def _unframed(body: bytes) -> bytes:
    pieces = []
    while len(body) >= _FRAME_BYTES:
        end = _FRAME_BYTES + int.from_bytes(body[4:8], "big")
        pieces.append(body[_FRAME_BYTES:end])
        body = body[end:]
    return b"".join(pieces)
