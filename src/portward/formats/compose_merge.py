"""How Compose lays one tree over another (a later file, the service that extends), and what makes entries of a list equal.

Mappings are merged by key and lists appended; what differs from that stands in `_MERGES`. Entries of a list that mean the
same thing (`_KEYS`: an equal port, a volume with an equal target) are one, and the later stands in the place of the earlier.

Source: the Compose specification, 13-merge, and compose-go v2.9, `override/`. What is odd there is so here: a scalar laid over
the list of `environment` leaves it as it is, and a number as `published` never equals a text.
"""

from __future__ import annotations

from portward.formats import compose_volumes
from portward.formats.compose_paths import branches
from portward.formats.yaml_scalars import shown
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, mapping, problem, same, scalar, sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.formats.compose_paths import Branch
    from portward.formats.yaml_tree import Node

    Merge = Callable[[Node, Node, Branch | None], Node]
    Key = Callable[[Node], str]


def merged(base: Mapping, over: Mapping) -> Mapping:
    """One Compose file over another. Raises InvalidFile, with the place, where Compose cannot lay it over the other."""
    return _mappings(base, over, _MERGES)


def extended(base: Mapping, service: Mapping) -> Mapping:
    """A service over the one that it extends. Raises InvalidFile like `merged`."""
    return _mappings(base, service, _MERGES.along("services", "*"))


def without_equals(document: Mapping) -> Mapping:
    """The document with just one of several equal entries in each list. Raises InvalidFile for an entry that has no key."""
    found = _unique(document, _KEYS)
    assert isinstance(found, Mapping)
    return found


def _merge(base: Node, over: Node, branch: Branch | None) -> Node:
    if branch is not None and branch.rule is not None:
        rule: Merge = branch.rule
        return rule(base, over, branch)
    if isinstance(over, Scalar) and over.is_null:
        return base
    if isinstance(base, Mapping):
        return _mappings(base, _as_mapping(over), branch)
    if isinstance(base, Sequence):
        return sequence((*base.items, *_as_list(over)), over)
    return over


def _mappings(base: Mapping, over: Mapping, branch: Branch | None) -> Mapping:
    if over is base or not over.items:
        return base
    items = dict(base.items)
    for key, node in over.items.items():
        known = items.get(key)
        items[key] = node if known is None else _merge(known, node, branch and branch.at(key))
    return Mapping(over.file, over.start, over.tag, items, {**base.names, **over.names})


def _as_mapping(node: Node) -> Mapping:
    if not isinstance(node, Mapping):
        raise problem("a mapping is expected here, as in the file or service below this one", node)
    return node


def _as_list(node: Node) -> tuple[Node, ...]:
    if not isinstance(node, Sequence):
        raise problem("a list is expected here, as in the file or service below this one", node)
    return node.items


def _replace(_base: Node, over: Node, _branch: Branch | None) -> Node:
    return over


def _append_words(base: Node, over: Node, _branch: Branch | None) -> Node:
    return sequence((*_words(base), *_words(over)), over)


def _append_hosts(base: Node, over: Node, _branch: Branch | None) -> Node:
    known = _words(base)
    return sequence((*known, *(word for word in _words(over) if not any(same(word, other) for other in known))), over)


def _words(node: Node) -> tuple[Node, ...]:
    """A text, a list, or a mapping as a list of NAME=VALUE; nothing for anything else."""
    if isinstance(node, Sequence):
        return node.items
    if isinstance(node, Scalar):
        return (node,) if isinstance(node.data, str) else ()
    words: list[Node] = []
    for key, value in sorted(node.items.items()):
        values = value.items if isinstance(value, Sequence) else (value,)
        for item in values:
            written = shown(item.data) if isinstance(item, Scalar) else "map[…]"
            is_null = isinstance(item, Scalar) and item.is_null
            words.append(scalar(key if is_null else f"{key}={written}", item))
    return tuple(words)


def _by_name(default: str) -> Merge:
    """Merges what is a mapping, or a list of its keys. `default` says what a key in a list stands for."""

    def merge(base: Node, over: Node, branch: Branch | None) -> Node:
        mine, theirs = named(base, default), named(over, default)
        return _mappings(_something(mine, base, theirs), theirs, branch)

    return merge


def _something(mine: Mapping, base: Node, theirs: Mapping) -> Mapping:
    """The mapping to merge into. Raises InvalidFile where Compose breaks down, having nothing to lay `theirs` over."""
    if isinstance(base, Scalar) and not mine.items and theirs.items:
        raise problem("Compose cannot lay this over what stands below it, which is empty", theirs)
    return mine


def named(node: Node, default: str = "") -> Mapping:
    """A list of names as a mapping, each to nothing or to the condition `default`; a mapping as it is; else an empty one."""
    if isinstance(node, Mapping):
        return node
    items: dict[str, Node] = {}
    names: dict[str, Scalar] = {}
    for item in node.items if isinstance(node, Sequence) else ():
        if not isinstance(item, Scalar) or not isinstance(item.data, str):
            raise problem("a name is expected here", item)
        value: dict[str, Node] = {"condition": scalar(default, item), "required": scalar(True, item)}
        items[item.data] = mapping(value, item) if default else scalar(None, item)
        names[item.data] = item
    return mapping(items, node, names)


def _merge_build(base: Node, over: Node, branch: Branch | None) -> Node:
    mine, theirs = _build(base), _build(over)
    return _mappings(_something(mine, base, theirs), theirs, branch)


def _build(node: Node) -> Mapping:
    if isinstance(node, Scalar) and isinstance(node.data, str):
        return mapping({"context": node}, node)
    return mapping({}, node) if isinstance(node, Sequence) or not isinstance(node, Mapping) else node


def _merge_logging(base: Node, over: Node, branch: Branch | None) -> Node:
    """Options are merged for one driver only."""
    mine, theirs = _as_mapping(base), _as_mapping(over)
    drivers = [one.items["driver"] for one in (mine, theirs) if "driver" in one.items]
    if len(drivers) == 2 and not same(*drivers):
        return theirs
    return _mappings(mine, theirs, branch)


def _merge_ipam(base: Node, over: Node, branch: Branch | None) -> Node:
    """Pools are merged by their subnet."""
    found: list[Mapping] = []
    for mine in map(named, _as_list(base)):
        for theirs in map(named, _as_list(over)):
            if not _same_subnet(mine, theirs) and not any(_same_subnet(theirs, known) for known in found):
                found.append(theirs)
                continue
            pool = _mappings(mine, theirs, branch)
            found = [pool if _same_subnet(pool, known) else known for known in found]
            if pool not in found:
                found.append(pool)
    return sequence(found, over)


def _same_subnet(one: Mapping, other: Mapping) -> bool:
    mine, theirs = one.items.get("subnet"), other.items.get("subnet")
    return mine is theirs or (mine is not None and theirs is not None and same(mine, theirs))


_MERGES = branches(
    {
        "networks.*.ipam.config": _merge_ipam,
        **dict.fromkeys(("networks.*.labels", "volumes.*.labels"), _append_words),
        "services.*.build": _merge_build,
        "services.*.depends_on": _by_name("service_started"),
        "services.*.logging": _merge_logging,
        **dict.fromkeys(("services.*.models", "services.*.networks"), _by_name("")),
        **dict.fromkeys(("services.*.extra_hosts", "services.*.build.extra_hosts"), _append_hosts),
        **{f"services.*.{key}": _replace for key in ("command", "entrypoint", "healthcheck.test", "ulimits.*")},
        **{f"services.*.build.{key}": _append_words for key in ("args", "additional_contexts", "labels")},
        **{
            f"services.*.{key}": _append_words
            for key in ("annotations", "deploy.labels", "dns", "dns_opt", "dns_search", "env_file", "environment")
        },
        **{
            f"services.*.{key}": _append_words
            for key in ("label_file", "labels", "sysctls", "tmpfs", "volumes.*.volume.labels")
        },
    }
)


def _unique(node: Node, branch: Branch) -> Node:
    if isinstance(node, Mapping):
        changed: dict[str, Node] = {}
        for name, item in node.items.items():
            below = branch.at(name)
            if below is not None and not isinstance(item, Scalar):
                kept = _unique(item, below)
                if kept is not item:
                    changed[name] = kept
        return node.having({**node.items, **changed}) if changed else node
    if isinstance(node, Sequence) and branch.rule is not None:
        key: Key = branch.rule
        found = {key(item): item for item in node.items}
        return node if len(found) == len(node.items) else sequence(found.values(), node)
    return node


def _name_key(node: Node) -> str:
    if not isinstance(node, Scalar) or not isinstance(node.data, str):
        raise problem("a text is expected here", node)
    return node.data.partition("=")[0]


def _volume_key(node: Node) -> str:
    if isinstance(node, Mapping):
        return _target(node, "volume")
    if not isinstance(node, Scalar) or not isinstance(node.data, str):
        return ""
    try:
        return compose_volumes.parse(node.data).target
    except compose_volumes.VolumeError as error:
        raise problem(str(error), node) from None


def _device_key(node: Node) -> str:
    if isinstance(node, Mapping):
        return _target(node, "device")
    parts = node.data.split(":") if isinstance(node, Scalar) and isinstance(node.data, str) else [""]
    return parts[min(1, len(parts) - 1)]


def _target(node: Mapping, what: str) -> str:
    target = node.items.get("target")
    if not isinstance(target, Scalar) or not isinstance(target.data, str):
        raise problem(f"a {what} needs a target: its path in the container", target or node)
    return target.data


def _expose_key(node: Node) -> str:
    if not isinstance(node, Scalar) or type(node.data) not in (str, int):
        raise problem("a port is expected here", node)
    return node.text


def _mount_key(folder: str) -> Key:
    def key(node: Node) -> str:
        if isinstance(node, Scalar) and isinstance(node.data, str):
            return f"{folder}/{node.data}"
        if not isinstance(node, Mapping):
            raise problem("a name or a mapping is expected here", node)
        source = node.items.get("source")
        return _target(node, "mount") if "target" in node.items else f"{folder}/{_shown(source)}"

    return key


def _env_file_key(node: Node) -> str:
    path = node.items.get("path") if isinstance(node, Mapping) else node
    if isinstance(node, Mapping) and not (isinstance(path, Scalar) and isinstance(path.data, str)):
        raise problem("an env_file needs a path", path or node)
    return path.data if isinstance(path, Scalar) and isinstance(path.data, str) else ""


def _port_key(node: Node) -> str:
    """The type counts: a `published` that is a number never equals one that is a text."""
    if isinstance(node, Mapping):
        if "target" not in node.items:
            raise problem("a port needs a target: the container's port", node)
        defaults = (("host_ip", "0.0.0.0"), ("published", None), ("target", None), ("protocol", "tcp"))
        data = [node.items.get(key, default) for key, default in defaults]
        return repr([item.data if isinstance(item, Scalar) else item for item in data])
    return node.text if isinstance(node, Scalar) and type(node.data) in (str, int) else ""


def _shown(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""


_KEYS = branches(
    {
        **dict.fromkeys(("networks.*.labels", "networks.*.ipam.options"), _name_key),
        **{
            f"services.*.{key}": _name_key
            for key in ("annotations", "cap_add", "cap_drop", "deploy.labels", "dns", "dns_opt", "dns_search")
        },
        **{
            f"services.*.build.{key}": _name_key
            for key in ("args", "additional_contexts", "platform", "tags", "labels")
        },
        **{
            f"services.*.{key}": _name_key for key in ("environment", "labels", "links", "profiles", "sysctls", "tmpfs")
        },
        **{f"services.*.networks.*.{key}": _name_key for key in ("aliases", "link_local_ips")},
        "services.*.volumes": _volume_key,
        "services.*.devices": _device_key,
        "services.*.expose": _expose_key,
        "services.*.env_file": _env_file_key,
        "services.*.ports": _port_key,
        "services.*.configs": _mount_key(""),
        "services.*.secrets": _mount_key("/run/secrets"),
    }
)
