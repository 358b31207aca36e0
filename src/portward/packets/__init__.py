"""What a packet filter does to the first packet of a TCP connection: rules as text → the rule that stops it. Pure.

Only what decides about new connections is understood: addresses, ports, interfaces, protocol and connection state. A condition
that is not understood may hold or not: a rule with one is passed over, but remembered as one that may stop the packet.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Named = Mapping[tuple[str, str, str], "Chain"]

STOPPING = ("drop", "reject")
_DEEPEST = 32


class Condition(Record):
    """One condition of a rule. `key` is dport, sport, saddr, daddr, iif, oif, protocol, family, state or dtype (what kind of address it
    goes to: local, unicast, …); "?" is not understood.

    It holds if the packet's value is one of `values` (a number or word, LOW-HIGH, or a network), or, `negated`, none of them.
    """

    key: str
    values: tuple[str, ...] = ()
    negated: bool = False


class Rule(Record):
    """A rule: if all conditions hold, its verdict. `verdict` is accept, drop, reject, return, or "" for none of these.

    `chain` is the chain that it jumps to (`back` tells whether it comes back from there). `text` is the rule as its program
    shows it, `refusal` how a reject answers: "reset", or the ICMP word.
    """

    conditions: tuple[Condition, ...]
    verdict: str
    text: str
    chain: str | None = None
    back: bool = True
    refusal: str = ""


class Chain(Record):
    """A chain of one table. `hook` is where it begins (input, output, forward, prerouting, …), "" for one that is only jumped to."""

    table: str
    name: str
    rules: tuple[Rule, ...] = ()
    hook: str = ""
    priority: int = 0
    policy: str = "accept"
    tool: str = "nft"


class Packet(Record):
    """The first packet of a TCP connection at one hook. What is not known is None: a condition on it may hold."""

    hook: str
    daddr: str
    dport: int
    saddr: str | None = None
    iif: str | None = None
    oif: str | None = None

    def value(self, key: str) -> str | None:
        """The packet's own value for a condition's key."""
        fixed = {"protocol": "tcp", "state": "new", "family": "ipv6" if ":" in self.daddr else "ipv4"}
        if key in fixed:
            return fixed[key]
        if key == "dtype":  # at these hooks the routing has decided
            return {"input": "local", "forward": "unicast"}.get(self.hook)
        found = getattr(self, key, None) if key in type(self)._names else None
        return None if found is None else str(found)


class Stop(Record):
    """What stops a packet: a rule, or the policy of a chain (`rule` is None). `certain` is False if a condition is not understood."""

    chain: Chain
    rule: Rule | None
    verdict: str
    certain: bool = True

    @property
    def text(self) -> str:
        """The rule as its program shows it, with the chain that it is in."""
        what = self.rule.text if self.rule else f"policy {self.verdict}"
        return f"{what} (chain {self.chain.name} of table {self.chain.table}, {self.chain.tool})"

    @property
    def answers(self) -> str:
        """What the sender is told: "" (nothing), "reset", or the word of an ICMP message."""
        if self.verdict == "drop":
            return ""
        return (self.rule.refusal if self.rule else "") or "icmp"


def stops(chains: Sequence[Chain], packet: Packet) -> Iterator[Stop]:
    """What stops the packet at its hook: the certain rule last, those that may do it before. Nothing if it may pass."""
    by_name = {(chain.tool, chain.table, chain.name): chain for chain in chains}
    starts = sorted((chain for chain in chains if chain.hook == packet.hook), key=lambda chain: chain.priority)
    for chain in starts:
        ended = False
        for stop in _walk(chain, by_name, packet, _DEEPEST):
            if stop is None:
                ended = True
                break
            yield stop
            if stop.certain:
                return
        if not ended and chain.policy in STOPPING:
            yield Stop(chain, None, chain.policy)
            return


def _walk(chain: Chain, by_name: Named, packet: Packet, depth: int) -> Iterator[Stop | None]:
    """Each stop on the way; None where the packet is accepted by this chain for good."""
    for rule in chain.rules:
        holds = _all_hold(rule, packet)
        if holds is False:
            continue
        if rule.chain is not None:
            ended = False
            for stop in _jump(chain, rule, by_name, packet, depth, sure=holds is True):
                yield stop
                ended = stop is None or stop.certain
            if ended or (holds and not rule.back):
                return
        elif rule.verdict in STOPPING:
            yield Stop(chain, rule, rule.verdict, holds is True)
        elif rule.verdict == "accept" and holds:
            yield None
        if holds and rule.verdict:
            return


def _jump(chain: Chain, rule: Rule, by_name: Named, packet: Packet, depth: int, *, sure: bool) -> Iterator[Stop | None]:
    """What a rule's other chain does; all of it is only possible where it is not sure that the packet gets there."""
    onward = by_name.get((chain.tool, chain.table, rule.chain or ""))
    for stop in _walk(onward, by_name, packet, depth - 1) if onward and depth else ():
        if sure:
            yield stop
        elif stop is None:
            return
        else:
            yield stop.replace(certain=False)


def _all_hold(rule: Rule, packet: Packet) -> bool | None:
    """Whether all conditions of a rule hold for the packet; None where that cannot be told."""
    answers = [_holds(condition, packet) for condition in rule.conditions]
    if False in answers:
        return False
    return None if None in answers else True


def _holds(condition: Condition, packet: Packet) -> bool | None:
    value = packet.value(condition.key)
    if value is None:
        return None
    found = [_fits(value, wanted) for wanted in condition.values]
    if None in found and True not in found:
        return None
    return (True in found) is not condition.negated


def _fits(value: str, wanted: str) -> bool | None:
    """Whether a value is the wanted one, in its range, or in its network; None for what cannot be compared."""
    if value == wanted:
        return True
    if wanted.startswith("@"):
        return None  # a named set that was not listed
    if value.isdecimal():
        low, dash, high = wanted.partition("-")
        if not low.isdecimal() or (dash and not high.isdecimal()):
            return None
        return int(low) <= int(value) <= int(high or low)
    if wanted.endswith(("+", "*")):
        return value.startswith(wanted[:-1])
    if ":" in value or value.replace(".", "").isdecimal():
        return _in_network(value, wanted)
    return False


def _in_network(value: str, wanted: str) -> bool | None:
    try:
        address = ip_address(value.partition("%")[0])
        low, dash, high = wanted.partition("-")
        if dash:
            first, last = ip_address(low), ip_address(high)
            return first.version == address.version and int(first) <= int(address) <= int(last)
        return address in ip_network(wanted, strict=False)
    except ValueError:
        return None
