"""JSON schemas (2020-12) of what tools are asked with and answer: small, as an agent reads all of them in each session."""

from __future__ import annotations

from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Schema = dict[str, Any]

_TYPES: dict[str, type] = {"string": str, "integer": int, "boolean": bool}


def given(*needed: str, **arguments: tuple[str | list[str], str]) -> Schema:
    """What a tool is asked with: each argument's type ([type] for a list of it) and what it means."""
    properties = {name: _described(kind, about) for name, (kind, about) in arguments.items()}
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": list(needed)} if needed else schema


def _described(kind: str | list[str], about: str) -> Schema:
    schema: Schema = {"type": kind} if isinstance(kind, str) else _many({"type": kind[0]})
    return {**schema, "description": about} if about else schema


def checked(arguments: Mapping[str, Any], schema: Schema) -> Mapping[str, Any]:
    """The arguments. Raises UsageError, with what is expected, for those that are not as the schema says."""
    properties, needed = schema["properties"], schema.get("required", ())
    expected = ", ".join(f"{name} ({_named(properties[name])})" for name in properties)
    for name, value in arguments.items():
        if name not in properties:
            raise UsageError(f"{name} is not an argument", hint=f"the arguments are {expected}")
        if not _fits(value, properties[name]):
            raise UsageError(
                f"{name} is not of the type {_named(properties[name])}", hint=f"the arguments are {expected}"
            )
    for name in needed:
        if not arguments.get(name):
            raise UsageError(f"{name} is missing", hint=f"the arguments are {expected}")
    return arguments


def _named(schema: Schema) -> str:
    return f"list of {_named(schema['items'])}" if schema["type"] == "array" else str(schema["type"])


def _fits(value: Any, schema: Schema) -> bool:
    if schema["type"] == "array":  # a port is often given as a number, which is as good
        return isinstance(value, list) and all(isinstance(each, str | int) for each in value)
    return isinstance(value, _TYPES[schema["type"]]) and (schema["type"] == "boolean" or not isinstance(value, bool))


def _many(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _object(words: str, **more: Schema) -> Schema:
    """An object: names of texts, with "#" behind them of integers, with "?" of truths."""
    types = {"#": "integer", "?": "boolean"}
    properties = {word.rstrip("#?"): {"type": types.get(word[-1], "string")} for word in words.split()}
    return {"type": "object", "properties": {**properties, **more}}


def _answer(*needed: str, words: str = "", **more: Schema) -> Schema:
    """What a tool answers: some keys are always there."""
    return {**_object(words, **more), "required": list(needed)}


_ANY = {"type": "object"}
_LIST = {"type": "array"}
_TEXTS = _many({"type": "string"})
_FIXES = _many(_object("title command safe?"))
_LISTENERS = _many(
    _object(
        "transport address port# state owners project service",
        processes=_many(_object("pid# name command cwd started")),
        container=_object("name image project service"),
    )
)

LS = _answer("listeners", "complete", words="complete?", listeners=_LISTENERS)
WHO = _answer(
    "ports",
    words="complete?",
    ports=_many(
        _object(
            "port# transport",
            listeners=_LIST,
            ancestry=_LIST,
            declared=_many(_object("path line#")),
            customary=_TEXTS,
            lease=_ANY,
            fixes=_FIXES,
        )
    ),
)
CHECK = _answer(
    "ports",
    "findings",
    "summary",
    "complete",
    words="project root complete?",
    ports=_many(_object("port# address available? refusal", listeners=_LIST, lease=_ANY)),
    findings=_many(
        _object(
            "rule severity message service port# hint",
            locations=_many(_object("path line# text")),
            holders=_LIST,
            fixes=_FIXES,
        )
    ),
    services=_many(_object("service published target# state")),
    summary=_object("errors# warnings#"),
)
LEASES = _answer(
    "leases",
    words="next",
    leases=_many(_object("port# transport service state kind expires project worktree")),
    remarks=_TEXTS,
)
CHANGE = _answer("written", "files", words="diff written? preview_id undo next", files=_TEXTS, remarks=_TEXTS)
EXPLAIN = _answer(
    "diagnoses",
    words="next",
    diagnoses=_many(_object("kind port# host cause", evidence=_TEXTS, holders=_LIST, fixes=_FIXES)),
)
EXAMINED = _answer(
    "target", "reachable", words="target reachable? cause", checks=_many(_object("name ok? detail")), fixes=_FIXES
)
IDENTITIES = _answer(
    "targets", targets=_many(_object("target service version confidence by answers? address port#", evidence=_TEXTS))
)
KILL = _answer(
    "planned",
    "stopped",
    "refused",
    words="preview_id next",
    planned=_many(_object("port# what how pid#")),
    stopped=_many(_object("port# how")),
    refused=_many(_object("port# what why")),
    ports=_many(_object("port# free?")),
)
