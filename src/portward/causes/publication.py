"""A published port: is there what leads from the host to the container, a forwarder or packet rules, and on the address asked for?"""

from __future__ import annotations

from portward.causes.door import at
from portward.evidence import HERE, Evidence, Outcome, Step, covers
from portward.model import Endpoint, Fix
from portward.packets import iptables
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import ContainerState, Door
    from portward.model import Publication

NAME = "published"
_ENGINE = "dockerd"
"""Without the userland proxy the engine holds the port itself and serves nobody: packet rules alone lead to the container."""


def check(evidence: Evidence) -> Iterator[Step]:
    state, port = evidence.own_container(), evidence.target.port
    if state is None or not state.is_up or state.is_looping or state.host_network:
        return
    if evidence.reached and evidence.forwarder != _ENGINE:
        return
    published = [each for each in state.publications if each.endpoint.port == port]
    door = next((each for each in evidence.doors if each.home == HERE), None)
    if not published or door is None or not _is_ready(state, published[0].target):
        return
    where = ", ".join(dict.fromkeys(str(each.endpoint) for each in published))
    name = shown(state.container.name)
    if not any(covers(each.endpoint, door.address) for each in published):
        cause = f"{name} is published on {where} only, and {at(door, evidence)} is another address"
        yield Step(
            NAME,
            False,
            cause,
            cause,
            (
                Fix(f"ask for {_asked(published[0])}", None, True),
                Fix(f'publish it on every address, to every machine: "{port}:{published[0].target}"', None, False),
            ),
        )
    elif (missing := _missing(evidence, door, published[0])) is not None:
        cause = f"{name} should be published on {where}, but {missing}"
        yield Step(NAME, False, cause, cause, (Fix("let the engine lay it anew", f"docker restart {name}", False),))
    else:
        yield Step(NAME, True, f"{where} leads to {published[0].target} of {name}")


def _is_ready(state: ContainerState, target: int) -> bool:
    return state.listeners is None or any(each.port == target for each in state.listeners)


def _asked(published: Publication) -> str:
    return str(Endpoint(published.endpoint.address or "127.0.0.1", published.endpoint.port))


def _missing(evidence: Evidence, door: Door, published: Publication) -> str | None:
    """What is missing on the way, None where all is there, or nothing could be seen of it."""
    if evidence.forwarder not in (None, _ENGINE) or (door.outcome is not Outcome.REFUSED and not door.answers):
        return None
    rules = [each.text for each in evidence.rulesets if each.netns == HERE and each.tool.startswith("iptables")]
    led = any(iptables.forwards(text, published.endpoint.port, published.target) for text in rules)
    led = led or any(each.tool == "nft" and '"dnat"' in each.text for each in evidence.rulesets)  # Docker 28's own
    if evidence.forwarder == _ENGINE:
        if led or not rules:
            return None
        return "the packet rules (iptables, table nat) that lead there are gone: the engine only holds the port"
    if led:
        return "its forwarder (docker-proxy) is gone: nothing takes connections to it from this machine itself"
    if rules:
        return "neither a forwarder (docker-proxy) nor packet rules lead there: something has removed them"
    return "no forwarder (docker-proxy) takes connections there"
