"""Whether an answer fits a fingerprint, and which version it tells. Pure: no question is asked here."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from portward.model import Fingerprint
    from portward.probes._http import Answer

_RANKS = ("high", "medium", "low")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "number": (int, float),
    "object": dict,
    "array": list,
    "boolean": bool,
}


def best(fingerprints: Iterable[Fingerprint]) -> Fingerprint | None:
    """The one that tells most: a product before a framework, then by confidence, then the first."""
    return min(fingerprints, key=lambda each: (each.generic, _RANKS.index(each.confidence)), default=None)


def fits(fingerprint: Fingerprint, answer: Answer, path: str) -> bool:
    """Whether an answer to a GET of `path` is as the fingerprint says. One of headers alone holds for any path."""
    expect = fingerprint.expect
    if not fingerprint.http or (fingerprint.ask != path and not (fingerprint.anywhere or set(expect) == {"headers"})):
        return False
    if "status" in expect and answer.status not in expect["status"]:
        return False
    headers = expect.get("headers", {}).items()
    if not all(re.search(pattern, answer.headers.get(name, "\0"), re.IGNORECASE) for name, pattern in headers):
        return False
    if "body" in expect and not re.search(expect["body"], answer.body.strip()):
        return False
    return "json" not in expect or _has_members(answer.document, expect["json"])


def fits_bytes(fingerprint: Fingerprint, data: bytes) -> bool:
    """Whether what came back, not in HTTP, is as the fingerprint says."""
    expect = fingerprint.expect
    if fingerprint.http or not data:
        return False
    if "text" in expect and not re.search(expect["text"], data.decode("latin-1"), re.DOTALL):
        return False
    return "bytes" not in expect or re.search(expect["bytes"], data.hex()) is not None


def told(version: Mapping[str, Any], said: Answer | bytes) -> tuple[str | None, str | None]:
    """The version that an answer tells, and the name of the service where the answer is what tells that too."""
    if isinstance(said, bytes):
        patterns = version.get("text", ())
        for service, pattern in [(None, patterns)] if isinstance(patterns, str) else patterns:
            if found := re.search(pattern, said.decode("latin-1"), re.DOTALL):
                return _short(found[1]), service
        return None, None
    if "json" in version:
        value = _member(said.document, version["json"])
        return (_short(value), None) if isinstance(value, str) else (None, None)
    name, pattern = version["header"] if "header" in version else ("", version.get("body", r"(?!)"))
    found = re.search(pattern, said.headers.get(name, "") if name else said.body.strip())
    return (_short(found[1]), None) if found else (None, None)


def _short(text: str) -> str | None:
    """A version as it may be shown: one printable word, of 40 characters at most."""
    word = text.strip().partition(" ")[0][:40]
    return word if word and word.isprintable() else None


def _has_members(document: Any, rules: Mapping[str, Any]) -> bool:
    return all(_holds(_member(document, pointer), rule) for pointer, rule in rules.items())


def _holds(value: Any, rule: Any) -> bool:
    if not isinstance(rule, dict):
        return type(value) is type(rule) and bool(value == rule)
    if value is None:
        return False
    if "type" in rule:
        return isinstance(value, _TYPES[rule["type"]])
    if "regex" in rule:
        return isinstance(value, str) and re.search(rule["regex"], value) is not None
    return "equals" not in rule or bool(value == rule["equals"])


def _member(document: Any, pointer: str) -> Any:
    """What a JSON pointer names (RFC 6901), None where nothing is there."""
    for name in pointer.split("/")[1:]:
        if isinstance(document, dict):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
