"""Short forms made long: `./data:/data` to a mount, `networks: [a]` to a mapping, `ports: ["80:80"]` to one entry for each port.

Compose merges a later file over the long forms of the earlier, so that what may be written in two ways can be laid over
each other. Here too is refused what no schema can tell: a volume or port that cannot be read.

Source: compose-go v2.9, `transform/`.
"""

from __future__ import annotations

import posixpath
import re

from portward.formats.compose import volumes
from portward.formats.compose.merge import named
from portward.formats.compose.paths import branches
from portward.formats.compose.ports import short_ports
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, mapping, problem, same, scalar, sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.formats.compose.paths import Branch
    from portward.formats.yaml_tree import Node

    Form = Callable[[Node, Branch], Node]

_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})(?:/[a-z]*)?$", re.ASCII)
_MOST_PORTS = 300_000


def long_forms(document: Mapping) -> Mapping:
    """The document in its long forms. It has passed the schema. Raises InvalidFile for what cannot be read."""
    _check_number_of_ports(document)
    found = _below(document, _FORMS)
    assert isinstance(found, Mapping)
    return found


def _check_number_of_ports(document: Mapping) -> None:
    """Raises InvalidFile where ranges of ports would make more of them than anything can hold."""
    services = document.items.get("services")
    total = 0
    for service in services.items.values() if isinstance(services, Mapping) else ():
        ports = service.items.get("ports") if isinstance(service, Mapping) else None
        for item in ports.items if isinstance(ports, Sequence) else ():
            if isinstance(item, Scalar) and "-" in item.value and (ends := _RANGE.search(item.text)):
                total += max(0, int(ends[2]) - int(ends[1]))
                if total > _MOST_PORTS:
                    raise problem(f"more than {_MOST_PORTS} ports are published up to here", item)


def _formed(node: Node, branch: Branch) -> Node:
    if branch.rule is None:
        return _below(node, branch)
    form: Form = branch.rule
    return form(node, branch)


def _below(node: Node, branch: Branch) -> Node:
    """The node with what is below it in long form; the same object where nothing changes."""
    if isinstance(node, Mapping):
        changed: dict[str, Node] = {}
        for name, item in node.items.items():
            below = branch.at(name)
            if below is not None:
                formed = _formed(item, below)
                if formed is not item:
                    changed[name] = formed
        return node.having({**node.items, **changed}) if changed else node
    if isinstance(node, Sequence) and branch.every is not None:
        every = branch.every
        return sequence((_formed(item, every) for item in node.items), node)
    return node


def _property(name: str) -> Form:
    """A text that stands for a mapping with that text under a name: `build: .` for `build: {context: .}`."""

    def form(node: Node, branch: Branch) -> Node:
        if _is_text(node):
            return mapping({name: node}, node)
        _require(node, "a text or a mapping", Mapping)
        return _below(node, branch)

    return form


def _is_text(node: Node) -> bool:
    return isinstance(node, Scalar) and isinstance(node.data, str)


def _require(node: Node, wanted: str, *kinds: type) -> None:
    """Raises InvalidFile for a node of no such kind: a file that is only extended has not passed the schema."""
    if not isinstance(node, kinds):
        raise problem(f"{wanted} is expected here", node)


def _require_text(node: Scalar) -> None:
    if not _is_text(node):
        raise problem(f"a text is expected here, not {node.source or 'nothing'}", node)


def _list(node: Node, _branch: Branch) -> Node:
    return sequence((node,), node) if isinstance(node, Scalar) and isinstance(node.data, str) else node


def _dns(node: Node, branch: Branch) -> Node:
    found = _list(node, branch)
    if not isinstance(found, Sequence):
        return node
    return sequence((item for item in found.items if not isinstance(item, Scalar) or item.data != ""), node)


def _text(node: Node, _branch: Branch) -> Node:
    """Whatever it is as a text: a file that is only extended has not passed the schema."""
    return scalar(node.text if isinstance(node, Scalar) else "", node)


def _names(node: Node, branch: Branch) -> Node:
    return named(node) if isinstance(node, Sequence) else _below(node, branch)


def _depends_on(node: Node, _branch: Branch) -> Node:
    if isinstance(node, Sequence):
        return named(node, "service_started")
    if not isinstance(node, Mapping):
        raise problem("names of services are expected here", node)
    items: dict[str, Node] = {}
    for name, item in node.items.items():
        if not isinstance(item, Mapping):
            raise problem("a mapping is expected here, with a condition", item)
        defaults = {"condition": scalar("service_started", item), "required": scalar(True, item)}
        items[name] = item.having({**defaults, **item.items})
    return node.having(items)


def _env_file(node: Node, _branch: Branch) -> Node:
    found: list[Node] = []
    if not _is_text(node):
        _require(node, "a path or a list of paths", Sequence)
    for item in node.items if isinstance(node, Sequence) else (node,):
        entry = item.items if isinstance(item, Mapping) else {"path": item} if _is_text(item) else None
        found.append(scalar(None, item) if entry is None else mapping({"required": scalar(True, item), **entry}, item))
    return sequence(found, node)


def _gpus(node: Node, branch: Branch) -> Node:
    if _is_text(node):
        return sequence((mapping({"count": scalar("all", node)}, node),), node)
    _require(node, "all or a list", Sequence)
    return _below(node, branch)


def _pairs(node: Node, _branch: Branch) -> Node:
    """A list of NAME=VALUE as a mapping."""
    if not isinstance(node, Sequence):
        _require(node, "a list or a mapping", Mapping)
        return node
    items: dict[str, Node] = {}
    for item in node.items:
        name, equals, value = item.text.partition("=") if isinstance(item, Scalar) else ("", "", "")
        if not equals:
            raise problem("NAME=VALUE is expected here", item)
        items[name] = scalar(value, item)
    return mapping(items, node)


def _ssh(node: Node, _branch: Branch) -> Node:
    if not isinstance(node, Sequence):
        _require(node, "a list or a mapping", Mapping)
        return node
    items: dict[str, Node] = {}
    for item in node.items:
        name, equals, value = item.text.partition("=") if isinstance(item, Scalar) else ("", "", "")
        if not equals and name != "default":
            raise problem("ID=PATH or default is expected here", item)
        items[name] = scalar(value if equals else None, item)
    return mapping(items, node)


def _device(node: Node, _branch: Branch) -> Node:
    if not isinstance(node, Scalar):
        _require(node, "a text or a mapping", Mapping)
        return node
    _require_text(node)
    parts = node.text.split(":")
    if len(parts) > 3:
        raise problem(
            f"{node.text!r} has too many colons for a device", node, hint="write source, target and permissions"
        )
    items = {
        "source": parts[0],
        "target": parts[1] if len(parts) > 1 else parts[0],
        "permissions": parts[2] if len(parts) > 2 else "rwm",
    }
    return mapping({key: scalar(value, node) for key, value in items.items()}, node)


def _volume(node: Node, _branch: Branch) -> Node:
    if not isinstance(node, Scalar):
        _require(node, "a text or a mapping", Mapping)
        return node
    _require_text(node)
    try:
        volume = volumes.parse(node.text)
    except volumes.VolumeError as error:
        raise problem(str(error), node) from None
    target = posixpath.normpath(volume.target)
    items = {"type": "bind" if volume.is_bind else "volume", "source": volume.source, "target": target}
    return mapping({key: scalar(value, node) for key, value in items.items() if value}, node)


def _limit(node: Node, _branch: Branch) -> Node:
    if not (isinstance(node, Scalar) and type(node.data) is int):
        _require(node, "a whole number or a mapping", Mapping)
    return node


def _external(node: Node, branch: Branch) -> Node:
    """`external: {name: x}`, which is old, as `external: true` and `name: x`."""
    if not isinstance(node, Mapping):
        if isinstance(node, Scalar) and node.is_null:
            return node
        raise problem("a mapping is expected here", node)
    external = node.items.get("external")
    if not isinstance(external, Mapping):
        return _below(node, branch)
    outer, inner = node.items.get("name"), external.items.get("name")
    if outer is not None and inner is not None and not same(outer, inner):
        raise problem("name and external.name differ", inner, hint="give just name, and external: true")
    items = {**node.items, "external": scalar(True, external)}
    return node.having({**items, "name": inner} if inner is not None else items)


def _ports(node: Node, _branch: Branch) -> Node:
    if not isinstance(node, Sequence):
        raise problem("ports must be a list", node)
    found: list[Node] = []
    for item in node.items:
        if isinstance(item, Sequence):
            raise problem("a port is a text, a number or a mapping, not a list", item)
        found += short_ports(item) if isinstance(item, Scalar) else (item,)
    return sequence(found, node)


_IN_A_SERVICE: dict[str, Form] = {
    "build": _property("context"),
    "build.additional_contexts": _pairs,
    "build.provenance": _text,
    "build.sbom": _text,
    "build.secrets.*": _property("source"),
    "build.ssh": _ssh,
    "build.ulimits.*": _limit,
    "configs.*": _property("source"),
    "depends_on": _depends_on,
    "develop.watch.*.ignore": _list,
    "develop.watch.*.include": _list,
    "devices.*": _device,
    "dns": _dns,
    "env_file": _env_file,
    "extends": _property("service"),
    "gpus": _gpus,
    "label_file": _list,
    "models": _names,
    "networks": _names,
    "ports": _ports,
    "secrets.*": _property("source"),
    "ulimits.*": _limit,
    "volumes.*": _volume,
}
_FORMS = branches(
    {
        **{f"services.*.{path}": form for path, form in _IN_A_SERVICE.items()},
        **dict.fromkeys(("volumes.*", "networks.*", "secrets.*", "configs.*"), _external),
    }
)
