"""What packet filters do to a new connection: read from their own listings, and compared with what the kernel does."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.packets import Packet, iptables, nft, stops
from tests.conftest import need
from tests.doctor import joined

if TYPE_CHECKING:
    from portward.packets import Chain
    from tests.conftest import Spawn
    from tests.doctor import Net

PACKET = Packet("input", "10.77.0.2", 8080, "10.77.0.1", "cable")


def verdict(chains: tuple[Chain, ...], packet: Packet = PACKET) -> str:
    """What becomes of a packet: accept, drop or reject; "?" where a rule that may hold decides."""
    found = list(stops(chains, packet))
    certain = next((stop.verdict for stop in found if stop.certain), None)
    return certain or ("?" if found else "accept")


IPTABLES = """
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p tcp -m tcp --dport 31000 -j DNAT --to-destination 172.17.0.2:80
COMMIT
*filter
:INPUT {policy} [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:own - [0:0]
{rules}
COMMIT
"""


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("-A INPUT -p tcp -m tcp --dport 8080 -j DROP", "drop"),
        ("-A INPUT -p tcp -m tcp --dport 8081 -j DROP", "accept"),
        ("-A INPUT -p udp -m udp --dport 8080 -j DROP", "accept"),
        ("-A INPUT -p tcp -m tcp ! --dport 8080 -j DROP", "accept"),
        ("-A INPUT -p tcp -m multiport --dports 22,8000:8100 -j REJECT --reject-with tcp-reset", "reject"),
        ("-A INPUT -i lo -j ACCEPT\n-A INPUT -j DROP", "drop"),
        ("-A INPUT -s 10.77.0.0/24 -j ACCEPT\n-A INPUT -j DROP", "accept"),
        ("-A INPUT -s 10.78.0.0/24 -j ACCEPT\n-A INPUT -j DROP", "drop"),
        ("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -j DROP", "drop"),
        ("-A INPUT -m state --state NEW -j ACCEPT\n-A INPUT -j DROP", "accept"),
        ("-A INPUT -j own\n-A own -p tcp -m tcp --dport 8080 -j DROP", "drop"),
        ("-A INPUT -j own\n-A own -j RETURN\n-A own -j DROP", "accept"),
        ("-A INPUT -g own\n-A INPUT -j DROP\n-A own -p udp -j DROP", "accept"),
        ("-A INPUT -j LOG\n-A INPUT -p tcp -m comment --comment 'a b' -j DROP", "drop"),
        ("-A INPUT -j own\n-A own -m addrtype --dst-type LOCAL -j RETURN\n-A own -j DROP", "accept"),
        ("-A INPUT -m addrtype --dst-type MULTICAST,BROADCAST -j ACCEPT\n-A INPUT -j DROP", "drop"),
        ("-A INPUT -m addrtype ! --dst-type LOCAL -j DROP", "accept"),
        ("-A INPUT -m addrtype --src-type LOCAL -j DROP", "?"),
        ("-A INPUT -m owner --uid-owner 0 -j DROP", "?"),
        ("-A INPUT -m set --match-set good src -j ACCEPT\n-A INPUT -p tcp -j REJECT", "reject"),
        ("-A INPUT -m recent --name x -j own\n-A own -j DROP", "?"),
    ],
)
def test_iptables(rules: str, expected: str) -> None:
    """One listing for each kind of condition and jump."""
    assert verdict(iptables.read(IPTABLES.format(policy="ACCEPT", rules=rules))) == expected


def test_iptables_policy() -> None:
    """A chain's policy decides where no rule does, and the rule's text is what is told."""
    (stop,) = stops(iptables.read(IPTABLES.format(policy="DROP", rules="")), PACKET)
    assert stop.text == "policy drop (chain INPUT of table filter, iptables)"
    rule = "-A INPUT -p tcp -m tcp --dport 8080 -j REJECT --reject-with icmp-port-unreachable"
    (stop,) = stops(iptables.read(IPTABLES.format(policy="DROP", rules=rule)), PACKET)
    assert stop.text.startswith(rule)
    assert stop.answers == "icmp-port-unreachable"


def test_a_family_is_no_other() -> None:
    """A rule of iptables says nothing about IPv6, one of ip6tables nothing about IPv4."""
    text = IPTABLES.format(policy="ACCEPT", rules="-A INPUT -p tcp -j DROP")
    over_six = PACKET.replace(daddr="fd77::2", saddr="fd77::1")
    assert verdict(iptables.read(text), over_six) == "accept"
    assert verdict(iptables.read(text, "ip6tables"), over_six) == "drop"
    assert verdict(iptables.read(text, "ip6tables")) == "accept"


def test_rules_that_forward() -> None:
    """Whether the nat table leads a port to a container's."""
    text = IPTABLES.format(policy="ACCEPT", rules="")
    assert iptables.forwards(text, 31000, 80)
    assert not iptables.forwards(text, 31000, 8080)
    assert not iptables.forwards(text, 31001, 80)


@given(st.text(max_size=200) | st.lists(st.sampled_from([*IPTABLES.split(), "-A", "!", "-j", "'", "\n"])).map(" ".join))
def test_any_text_is_read(text: str) -> None:
    """A listing of anything is read as rules, and a packet has some fate by them."""
    assert verdict(iptables.read(text)) in ("accept", "drop", "reject", "?")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=8),
        lambda each: (
            st.lists(each)
            | st.dictionaries(
                st.sampled_from(["nftables", "rule", "chain", "set", "expr", "table", "name", "family"]), each
            )
        ),
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    """What nft cannot have said raises ValueError, and nothing else."""
    try:
        chains = nft.read(json.dumps(document))
    except ValueError:
        return
    assert verdict(chains) in ("accept", "drop", "reject", "?")


RULES = (
    "tcp dport 8080 reject with tcp reset",
    "tcp dport != 8080 reject with tcp reset",
    "tcp dport 8000-8100 reject with tcp reset",
    "tcp dport { 22, 8080 } reject with tcp reset",
    "tcp dport @ports reject with tcp reset",
    "tcp dport @others reject with tcp reset",
    "th dport 8080 reject with tcp reset",
    "udp dport 8080 drop",
    "ip saddr 10.77.0.1 tcp dport 8080 reject with tcp reset",
    "ip saddr 10.77.0.0/24 tcp dport 1-65535 reject with tcp reset",
    "ip saddr != 10.77.0.0/24 reject",
    "ip6 saddr fd77::/64 drop",
    "ip daddr 10.77.0.2 meta l4proto tcp reject with tcp reset",
    'iifname "lo" reject',
    'iifname "cable" tcp dport 8080 reject with tcp reset',
    'iifname "cab*" tcp dport 8080 reject with tcp reset',
    "ct state related,invalid drop",
    "ct state new tcp dport 8080 reject with tcp reset",
    "ct state vmap { established : accept, new : jump onward, invalid : drop }",
    "tcp dport vmap { 22 : accept, 8080 : jump onward }",
    "tcp dport 8080 accept; add rule inet guard input reject",
    "jump onward",
    "tcp dport 22 goto onward",
    "counter log tcp dport 8080 jump onward",
    "meta nfproto ipv6 reject",
    "tcp dport 8080 return; add rule inet guard input reject",
)
TABLE = (
    "flush ruleset; add table inet guard; add chain inet guard input { type filter hook input priority 0; policy accept; }; "
    "add set inet guard ports { type inet_service; flags interval; elements = { 8080-8090 }; }; "
    "add set inet guard others { type inet_service; elements = { 22, 23 }; }; "
    "add chain inet guard onward; add rule inet guard onward tcp dport 8080 reject with tcp reset; "
)


def test_as_the_kernel_does(spawn: Spawn) -> None:
    """Each rule is given to nft in a network namespace of its own: a connection there ends as was foretold."""
    need("nft")
    with joined() as (client, server):
        spawn("held = listen('0.0.0.0', 8080); ready()", prefix=server.enter)
        for rule in RULES:
            server("nft", f"{TABLE} add rule inet guard input {rule}")
            listed = nft.read(output(server, "nft", "--json", "list", "ruleset"))
            assert (verdict(listed) == "accept") is connects(client), rule
            assert verdict(listed) != "?", rule


FLAT = (
    "-p tcp --dport 8080 -j REJECT --reject-with tcp-reset",
    "-p tcp ! --dport 8080 -j REJECT",
    "-p tcp -m multiport --dports 22,8000:8100 -j REJECT --reject-with tcp-reset",
    "-p tcp -m multiport ! --dports 8080,22 -j REJECT",
    "-s 10.77.0.1 -p tcp -j REJECT --reject-with tcp-reset",
    "! -s 10.77.0.0/24 -j REJECT",
    "-i cable -p tcp -j REJECT --reject-with tcp-reset",
    "-i cab+ -p tcp -j REJECT --reject-with tcp-reset",
    "-i lo -j REJECT",
    "-m conntrack --ctstate NEW -p tcp -j REJECT --reject-with tcp-reset",
    "-m conntrack --ctstate RELATED,INVALID -j REJECT",
    "-d 10.77.0.2/32 -p tcp -j REJECT --reject-with tcp-reset",
    "-p udp -j REJECT",
)


def test_as_the_kernel_does_by_iptables(spawn: Spawn) -> None:
    """The same for rules of iptables."""
    need("iptables")
    with joined() as (client, server):
        spawn("held = listen('0.0.0.0', 8080); ready()", prefix=server.enter)
        for rule in FLAT:
            server("iptables", "-F", "INPUT")
            server("iptables", "-A", "INPUT", *rule.split())
            listed = iptables.read(output(server, "iptables-save"))
            assert (verdict(listed) == "accept") is connects(client), rule
            assert verdict(listed) != "?", rule


def output(net: Net, *words: str) -> str:
    """What a command prints in there."""
    return subprocess.run([*net.enter, *words], capture_output=True, text=True, check=True, timeout=60).stdout


CONNECT = "import socket; socket.create_connection(('10.77.0.2', 8080), timeout=30).close()"


def connects(net: Net) -> bool:
    """Whether a connection from there is taken."""
    import sys

    done = subprocess.run([*net.enter, sys.executable, "-S", "-c", CONNECT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 or "Refused" in done.stderr, done.stderr
    return done.returncode == 0
