"""Reads what `nft --json list ruleset` prints (libnftables-json(5)). Pure: text in, chains out."""

from __future__ import annotations

import json

from portward.packets import Chain, Condition, Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Sets = Mapping[tuple[str, str], tuple[str, ...]]

_VERDICTS = ("accept", "drop", "reject", "return", "jump", "goto")
_SILENT = ("counter", "log", "comment", "mangle", "meter", "notrack", "quota")
_KEYS = {
    ("tcp", "dport"): "dport", ("tcp", "sport"): "sport", ("th", "dport"): "dport", ("th", "sport"): "sport",
    ("ip", "saddr"): "saddr", ("ip6", "saddr"): "saddr", ("ip", "daddr"): "daddr", ("ip6", "daddr"): "daddr",
    ("ip", "protocol"): "protocol", ("ip6", "nexthdr"): "protocol",
}  # fmt: skip
_META = {"iifname": "iif", "iif": "iif", "oifname": "oif", "oif": "oif", "l4proto": "protocol", "nfproto": "family"}
_FAMILIES = {"ip": "ipv4", "ip6": "ipv6"}
_ANSWERED = {"icmp": "ipv4", "icmpv6": "ipv6"}


def read(text: str) -> tuple[Chain, ...]:
    """The chains of a ruleset. What is not understood becomes a condition that may hold. Raises ValueError for what is no ruleset."""
    try:
        listed = json.loads(text)["nftables"]
        sets = {
            (each["set"]["table"], each["set"]["name"]): tuple(_values(each["set"].get("elem", []), {}, ""))
            for each in listed
            if "set" in each
        }
        rules: dict[tuple[str, str, str], list[Rule]] = {}
        for each in listed:
            if "rule" in each:
                rule = each["rule"]
                key = (rule["family"], rule["table"], rule["chain"])
                rules.setdefault(key, []).extend(_rules(rule, sets))
        return tuple(_chain(each["chain"], rules) for each in listed if "chain" in each)
    except (AttributeError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise ValueError(f"not a ruleset as nft lists it: {error}") from None


def _chain(raw: dict[str, Any], rules: Mapping[tuple[str, str, str], list[Rule]]) -> Chain:
    return Chain(
        table=f"{raw['family']} {raw['table']}",
        name=raw["name"],
        rules=tuple(rules.get((raw["family"], raw["table"], raw["name"]), ())),
        hook=raw.get("hook", "") if raw.get("type", "filter") == "filter" else "",
        priority=int(raw.get("prio", 0)),
        policy=raw.get("policy", "accept"),
    )


def _rules(raw: dict[str, Any], sets: Sets) -> Iterator[Rule]:
    """The rules that one rule is: a verdict map is one for each of its elements."""
    conditions: list[Condition] = []
    if raw["family"] in _FAMILIES:
        conditions.append(Condition("family", (_FAMILIES[raw["family"]],)))
    words: list[str] = []
    for expression in raw["expr"]:
        ((kind, body),) = expression.items()
        words.append(_shown(kind, body))
        if kind == "match":
            conditions += _implied(body["left"])
            conditions.append(_condition(body, sets, raw["table"]))
        elif kind in _VERDICTS:
            if kind == "reject" and isinstance(body, dict) and (family := _ANSWERED.get(body.get("type", ""))):
                conditions.append(Condition("family", (family,)))  # nft does not list the condition that this implies
            yield _ends(conditions, kind, body, " ".join(filter(None, words)))
        elif kind == "vmap":
            conditions += _implied(body["key"])
            key = _key(body["key"])
            data = body["data"]
            for value, verdict in data["set"] if isinstance(data, dict) else ():
                ((name, target),) = verdict.items()
                values = tuple(_values(value, sets, raw["table"]))
                found = [*conditions, Condition(key, values)]
                yield _ends(found, name, target, f"{' '.join(filter(None, words))} {', '.join(values)}: {name}")
            if not isinstance(data, dict):
                yield Rule((*conditions, Condition("?")), "drop", " ".join(words))
        elif kind not in _SILENT:
            conditions.append(Condition("?"))


def _ends(conditions: list[Condition], verdict: str, body: Any, text: str) -> Rule:
    if verdict in ("jump", "goto"):
        return Rule(tuple(conditions), "", text, body["target"], verdict == "jump")
    refusal = ""
    if verdict == "reject" and isinstance(body, dict):
        refusal = "reset" if body.get("type") == "tcp reset" else str(body.get("expr", ""))
    return Rule(tuple(conditions), verdict, text, refusal=refusal)


def _condition(match: dict[str, Any], sets: Sets, table: str) -> Condition:
    key, operator = _key(match["left"]), match.get("op", "==")
    if operator not in ("==", "!=", "in"):
        return Condition("?")
    return Condition(key, tuple(_values(match["right"], sets, table)), operator == "!=")


def _implied(left: Any) -> Iterator[Condition]:
    """What a look into a header demands of the packet: that it has one."""
    protocol = left["payload"].get("protocol", "") if isinstance(left, dict) and "payload" in left else ""
    if protocol in _FAMILIES:
        yield Condition("family", (_FAMILIES[protocol],))
    elif protocol not in ("", "th", "ether"):
        yield Condition("protocol", (protocol,))


def _key(left: Any) -> str:
    """The key of a condition, "?" for one that is not understood."""
    if not isinstance(left, dict):
        return "?"
    if "payload" in left:
        return _KEYS.get((left["payload"].get("protocol", ""), left["payload"].get("field", "")), "?")
    if "meta" in left:
        return _META.get(left["meta"]["key"], "?")
    return "state" if left.get("ct", {}).get("key") == "state" else "?"


def _values(right: Any, sets: Sets, table: str) -> Iterator[str]:
    """The values as text; a named set is looked up."""
    if isinstance(right, list):
        for each in right:
            yield from _values(each, sets, table)
    elif isinstance(right, dict):
        ((kind, body),) = list(right.items())[:1]
        if kind == "set":
            yield from _values(body, sets, table)
        elif kind == "range":
            yield "-".join(str(end) for end in body)
        elif kind == "prefix":
            yield f"{body['addr']}/{body['len']}"
        elif kind == "elem":
            yield from _values(body["val"], sets, table)
        else:
            yield f"@{kind}"
    elif isinstance(right, str) and right.startswith("@"):
        yield from sets.get((table, right[1:]), (right,))
    else:
        yield str(right)


def _shown(kind: str, body: Any) -> str:
    """An expression much as nft itself writes it."""
    if kind == "match":
        left = body["left"]
        if isinstance(left, dict) and "payload" in left:
            left = f"{left['payload'].get('protocol', '')} {left['payload'].get('field', '')}"
        elif isinstance(left, dict) and ("meta" in left or "ct" in left):
            ((word, inner),) = left.items()
            left = inner["key"] if word == "meta" else f"ct {inner['key']}"
        values = ", ".join(_values(body["right"], {}, ""))
        return f"{left} {'!= ' if body.get('op') == '!=' else ''}{values}"
    if kind in ("jump", "goto"):
        return f"{kind} {body['target']}"
    if kind == "reject" and isinstance(body, dict) and body:
        return f"reject with {body.get('type', '')} {body.get('expr', '')}".rstrip()
    return "" if kind in ("counter", "log", "vmap") else kind
