"""Reads what `iptables-save` and `ip6tables-save` print (iptables-save(8), iptables-extensions(8)). Pure: text in, chains out."""

from __future__ import annotations

import shlex

from portward.packets import Chain, Condition, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PRIORITIES = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}  # iptables(8), nf_ip_hook_priorities
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_KEYS = {
    "-s": "saddr", "-d": "daddr", "-i": "iif", "-o": "oif", "-p": "protocol", "--dport": "dport", "--sport": "sport",
    "--dports": "dport", "--sports": "sport", "--ctstate": "state", "--state": "state", "--dst-type": "dtype",
}  # fmt: skip
_WORDS = ("--ctstate", "--state", "--dst-type")
_UNDERSTOOD = ("tcp", "conntrack", "state", "multiport", "comment", "udp", "addrtype")
_IGNORED = {"--comment": 1, "-g": 1, "--syn": 0, "-c": 2}
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return"}
_PASSING = ("LOG", "NFLOG", "MARK", "CONNMARK", "TCPMSS", "CT", "TRACE", "AUDIT", "ULOG", "")


def read(text: str, tool: str = "iptables") -> tuple[Chain, ...]:
    """The chains of all tables but nat, which decides about no packet. Lines that are no rules are passed over."""
    family = "ipv6" if tool.startswith("ip6") else "ipv4"
    chains: dict[tuple[str, str], tuple[str, list[Rule]]] = {}
    table = ""
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":") and len(line.split()) > 1:
            name, policy, *_ = line[1:].split()
            chains.setdefault((table, name), (policy, []))
        elif line.startswith("-A "):
            words = _words(line)
            name = words[1] if len(words) > 1 else ""
            chains.setdefault((table, name), ("-", []))[1].append(_rule(words[2:], line, family))
    return tuple(
        Chain(
            table=table,
            name=name,
            rules=tuple(rules),
            hook=name.lower() if name in _HOOKS else "",
            priority=_PRIORITIES[table],
            policy=_VERDICTS.get(policy, "accept"),
            tool=tool,
        )
        for (table, name), (policy, rules) in chains.items()
        if table in _PRIORITIES
    )


def forwards(text: str, port: int, target: int) -> bool:
    """Whether the nat table leads a TCP port of this machine to a port elsewhere, as a container engine's rules do."""
    wanted = f":{target}"
    for line in text.splitlines():
        words = _words(line)
        leads = "DNAT" in words and _after(words, "--to-destination").endswith(wanted)
        if leads and _after(words, "--dport") == str(port):
            return True
    return False


def _after(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1] if flag in words[:-1] else ""


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def _rule(words: list[str], line: str, family: str) -> Rule:
    conditions = [Condition("family", (family,)), *_conditions(words)]
    target, jumps_back = _after(words, "-j"), True
    if "-g" in words:
        target, jumps_back = _after(words, "-g"), False
    verdict, chain = _VERDICTS.get(target, ""), None
    if not verdict and target not in _PASSING:
        chain = target
    how = _after(words, "--reject-with")
    refusal = "reset" if how == "tcp-reset" else how
    return Rule(tuple(conditions), verdict, line, chain, jumps_back, refusal)


def _conditions(words: list[str]) -> Iterator[Condition]:
    """The conditions before the target. An option that is not understood is a condition that may hold."""
    pending = iter(words)
    negated = False
    for word in pending:
        if word in ("-j", "-g"):
            return
        if word == "!":
            negated = True
            continue
        if word in _KEYS:
            values = tuple(
                each.replace(":", "-", 1) if "port" in word else each for each in next(pending, "").split(",")
            )
            yield Condition(
                _KEYS[word], tuple(value.lower() for value in values) if word in _WORDS else values, negated
            )
        elif word == "-m":
            if next(pending, "") not in _UNDERSTOOD:
                yield Condition("?")
        elif word in _IGNORED:
            for _ in range(_IGNORED[word]):
                next(pending, "")
        elif word.startswith("-"):
            yield Condition("?")
        negated = False
