"""The container behind the target: does it run, does it listen, where everybody may ask, and is that the port that is published?"""

from __future__ import annotations

from portward.causes.lookup import start_command
from portward.evidence import HERE, Evidence, Outcome, Step, is_loopback
from portward.model import Fix
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import ContainerState

NAME = "container"
_REFUSALS = ("permission denied", "operation not permitted", "eacces")
_BIND = ("bind", "listen")


def check(evidence: Evidence) -> Iterator[Step]:
    state = evidence.own_container()
    if state is None:
        if not evidence.reached and (near := _by_own_port(evidence)) is not None:
            yield near
        return
    name = shown(state.container.name)
    if evidence.reached and state.state != "paused":
        yield Step(NAME, True, f"it is the container {name}, {_status(state)}")
    elif state.state in ("exited", "dead", "created") or state.is_looping:
        others = (
            row for row in evidence.listening(HERE) if row.container is None or row.container.id != state.container.id
        )
        if next(others, None) is None:
            yield _ended(evidence, state)
    elif state.state == "paused":
        cause = f"the container {name} is paused: it keeps its port, and does nothing"
        yield Step(NAME, False, cause, cause, (Fix("let it go on", f"docker unpause {name}", True),))
    elif not state.host_network and not evidence.reached:
        yield from _inside(evidence, state)


def _status(state: ContainerState) -> str:
    return f"{state.state}, {state.health}" if state.health else state.state


def _ended(evidence: Evidence, state: ContainerState) -> Step:
    name, target = shown(state.container.name), evidence.target
    logs = Fix("read more of its log", f"docker logs --tail 50 {name}", True)
    start = Fix("start it", start_command(state), True)
    if state.state == "created":
        cause = f"the container {name} was made, and never started" + (f": {shown(state.error)}" if state.error else "")
        return Step(NAME, False, cause, cause, (start,))
    said = f"; its last words: {' / '.join(state.log)}" if state.log else ""
    published = state.published(target.port)
    port = published.target if published else target.port
    if _was_refused(state) and evidence.system.privileged and port in evidence.system.privileged:
        cause = f"{name} may not bind port {port}: ports below 1024 need root or CAP_NET_BIND_SERVICE{said}"
        fixes = (
            Fix(f'let it listen on a higher port, and publish that: "{target.port}:{port + 8000}"', None, True),
            Fix("cap_add: [NET_BIND_SERVICE]", None, False),
        )
        return Step(NAME, False, f"{name} has ended{said}", cause, fixes)
    if state.is_looping:
        status = f" (status {state.exit_code})" if state.exit_code is not None else ""
        cause = f"the container {name} crashes and is started again, over and over{status}{said}"
        return Step(NAME, False, cause, cause, (logs,))
    crashed = state.exit_code not in (0, None)
    how = f"crashed with status {state.exit_code}" if crashed else "has ended"
    cause = f"the container {name} {how}{said}"
    return Step(NAME, False, cause, cause, (logs, start) if crashed else (start, logs))


def _was_refused(state: ContainerState) -> bool:
    lines = [line.lower() for line in state.log]
    return any(any(no in line for no in _REFUSALS) and any(act in line for act in _BIND) for line in lines)


def _inside(evidence: Evidence, state: ContainerState) -> Iterator[Step]:
    """A container that runs: what listens in it, against what is published."""
    name, port = shown(state.container.name), evidence.target.port
    by_address = any(door.address in state.addresses for door in evidence.doors)
    published = None if by_address else state.published(port)
    target = published.target if published else port
    if state.listeners is None:
        return
    listening = [each for each in state.listeners if each.port == target]
    open_ones = [each for each in listening if not is_loopback(each.address)]
    if open_ones:
        yield Step(NAME, True, f"{name} runs, and listens on {open_ones[0]} inside")
        return
    if listening:
        cause = f"{name} listens on {listening[0]} inside the container only: nothing from outside reaches that"
        yield Step(
            NAME,
            False,
            f"{name} runs, and listens on {listening[0]} inside",
            cause,
            (
                Fix("let the server in the container listen on 0.0.0.0 (often --host or HOST)", None, True),
                Fix(f'keep it from other machines by the published address: "127.0.0.1:{port}:{target}"', None, True),
            ),
        )
        return
    yield _other_port(evidence, state, target, by_address)


def _other_port(evidence: Evidence, state: ContainerState, target: int, by_address: bool) -> Step:
    name, port = shown(state.container.name), evidence.target.port
    others = tuple(dict.fromkeys(each.port for each in state.listeners or () if not is_loopback(each.address)))
    if by_address and (published := state.published(port)) and published.target in others:
        cause = f"{port} is where the host publishes {name}; between containers its own port counts, {published.target}"
        return Step(NAME, False, cause, cause, (Fix(f"ask for {name}:{published.target}", None, True),))
    if others:
        seen = ", ".join(map(str, others))
        if by_address:
            cause = f"{name} does not listen on {port}, but on {seen}"
            return Step(NAME, False, cause, cause, (Fix(f"ask for {name}:{others[0]}", None, True),))
        cause = f"port {port} is published to {target} of {name}, but it listens on {seen}"
        return Step(NAME, False, cause, cause, (Fix(f'publish the right one: "{port}:{others[0]}"', None, True),))
    cause = f"{name} runs, but nothing listens on {target} in it: its server has not started, or not yet"
    if state.health:
        cause += f" (health: {state.health})"
    return Step(
        NAME,
        False,
        f"{name} runs; nothing listens in it",
        cause,
        (
            Fix("wait for it", f"portward wait {evidence.target.host}:{port}", True),
            Fix("see what it is doing", f"docker logs --tail 50 {name}", True),
        ),
    )


def _by_own_port(evidence: Evidence) -> Step | None:
    """A container that has the port inside, while the host was asked: published as another, or not at all."""
    port = evidence.target.port
    refused = any(door.outcome is Outcome.REFUSED and door.home == HERE for door in evidence.doors)
    if not refused or any(True for _ in evidence.listening(HERE)):
        return None
    for state in evidence.containers:
        if not state.is_up or state.host_network or not _concerns(evidence, state) or not evidence.may_be_meant(state):
            continue
        name = shown(state.container.name)
        published = state.published_from(port)
        if published is not None:
            other = published.endpoint.port
            cause = f"{port} is the port inside {name}; the host has it as {other}"
            return Step(NAME, False, cause, cause, (Fix(f"ask for port {other}", None, True),))
        if any(each.port == port for each in state.listeners or ()):
            cause = f"{name} listens on {port}, but does not publish it" + (
                ": EXPOSE alone publishes nothing" * (port in state.exposed)
            )
            return Step(
                NAME,
                False,
                cause,
                cause,
                (Fix(f'publish it: ports: ["127.0.0.1:{port}:{port}"], then start it anew', None, True),),
            )
    return None


def _concerns(evidence: Evidence, state: ContainerState) -> bool:
    """Whether a container has to do with the port at all."""
    port = evidence.target.port
    return (
        port in state.exposed
        or state.published_from(port) is not None
        or any(each.port == port for each in state.listeners or ())
    )
