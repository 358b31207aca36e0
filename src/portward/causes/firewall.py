"""Packet filters on the way, as far as they are on this machine: nftables, iptables, and what manages them."""

from __future__ import annotations

from portward.evidence import HERE, Evidence, Outcome, Step
from portward.model import Fix
from portward.packets import Chain, Packet, Stop, iptables, nft, stops
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.evidence import Door

NAME = "firewall"
_SUSPECT = (Outcome.SILENT, Outcome.UNREACHABLE, Outcome.REFUSED)
_IPTABLES_TABLES = ("filter", "nat", "mangle", "raw", "security")


def check(evidence: Evidence) -> Iterator[Step]:
    if not evidence.rulesets or not evidence.doors:
        return
    doors = [door for door in evidence.doors if door.outcome in _SUSPECT]
    if evidence.reached:
        doors = [door for door in evidence.doors if door.answers and evidence.is_mute]
    for door in doors:
        found = [
            (place, stop)
            for place, packet in way(evidence, door)
            for stop in stops(chains(evidence, place), packet)
            if _explains(stop, door, evidence)
        ]
        certain = [(place, stop) for place, stop in found if stop.certain]
        if certain or found:
            yield _step(evidence, door, *(certain or found)[0])
            return
    if any(door.outcome is not Outcome.REFUSED for door in doors):
        yield Step(NAME, True, "no packet filter of this machine stops it, as far as they are understood")


def way(evidence: Evidence, door: Door) -> Iterator[tuple[str, Packet]]:
    """The first packet at each hook of this machine that it passes, with the network namespace of that hook."""
    port, origin = evidence.target.port, evidence.origin.netns
    local = door.home == origin
    if not door.answers:
        yield origin, Packet("output", door.address, port, door.source, oif="lo" if local else None)
        if door.home is None:
            return
        came = "lo" if local else None
        yield door.home, Packet("prerouting", door.address, port, door.source, came)
        yield door.home, Packet("input", door.address, port, door.source, came)
    yield from _to_the_container(evidence, door)


def _to_the_container(evidence: Evidence, door: Door) -> Iterator[tuple[str, Packet]]:
    """The hooks between a published port and its container, whether a forwarder or packet rules lead there."""
    state = evidence.own_container()
    published = state.published(evidence.target.port) if state and door.home == HERE else None
    if state is None or published is None or state.host_network:
        return
    for address in filter(None, state.addresses):
        if evidence.origin.netns == HERE:
            yield HERE, Packet("output", address, published.target)
        yield HERE, Packet("forward", address, published.target)
        if state.netns is not None:
            yield state.netns, Packet("input", address, published.target)


def chains(evidence: Evidence, netns: str) -> tuple[Chain, ...]:
    """The chains of one network namespace. Those that iptables keeps in nftables are taken from iptables, which knows them whole."""
    found: list[Chain] = []
    texts = [each for each in evidence.rulesets if each.netns == netns]
    has_iptables = any(each.tool == "iptables" for each in texts)
    for each in texts:
        if each.tool != "nft":
            found += iptables.read(each.text, each.tool)
            continue
        try:
            listed = nft.read(each.text)
        except ValueError:
            continue
        for chain in listed:
            family, _, table = chain.table.partition(" ")
            if not (has_iptables and family in ("ip", "ip6") and table in _IPTABLES_TABLES):
                found.append(chain)
    return tuple(found)


def _explains(stop: Stop, door: Door, evidence: Evidence) -> bool:
    """Whether a rule would have just the effect that was seen."""
    if door.outcome in (Outcome.SILENT, Outcome.OPEN):
        return stop.answers == ""
    if door.outcome is Outcome.UNREACHABLE:
        return stop.answers not in ("", "reset")
    # ICMP port-unreachable reads as refused too; where nobody listens that alone says it all
    return stop.answers != "" and (door.home is None or bool(evidence.serving(door)))


def _step(evidence: Evidence, door: Door, place: str, stop: Stop) -> Step:
    port = evidence.target.port
    where = "" if place == HERE else f" in {place}"
    does = "rejects" if stop.verdict == "reject" else "drops"
    cause = f"a firewall rule{where} {does} it: {shown(stop.text)}"
    if not stop.certain:
        cause = f"a firewall rule{where} probably {does} it: {shown(stop.text)}"
    by_ufw = any("ufw-user-input" in each.text for each in evidence.rulesets if each.netns == place)
    return Step(NAME, False, shown(stop.text), cause, _remedies(stop, port, door, by_ufw=by_ufw))


def _remedies(stop: Stop, port: int, door: Door, *, by_ufw: bool) -> tuple[Fix, ...]:
    source = door.source or "the asking address"
    name = f"{stop.chain.table} {stop.chain.name}".lower()
    if stop.chain.tool != "nft" and by_ufw and ("ufw" in name or stop.rule is None or "ufw" in stop.rule.text):
        first = "insert 1 " if stop.rule else ""  # the first rule that fits decides (ufw(8))
        allow = f"ufw {first}allow proto tcp from {source} to any port {port}"
        return (Fix(f"allow it from {source} alone", allow, False),)
    if "firewalld" in name:
        return (Fix("allow it until the next reload, then for good", f"firewall-cmd --add-port={port}/tcp", False),)
    return (
        Fix(
            f"let whoever keeps these rules allow port {port} from {source} alone; do not switch the firewall off",
            None,
            True,
        ),
    )
