"""Hosts of an Ansible inventory, in its INI or its YAML form (docs.ansible.com, "How to build your inventory").

Read are hosts, ranges of them (`web[01:10]`, `db[a:c]`, with a step), groups and their children, and, of a host or a group, the variables
`ansible_host`, `ansible_user`, `ansible_port` and their older names `ansible_ssh_host`, `…_user`, `…_port`. What is nearer to the host
wins: its own, then those of its group, then of that group's parents, then of `all`.

Not read: group_vars and host_vars beside the file, inventories that are programs or plug-ins, patterns of several groups (`web:&db`), all other
variables, and values with a template in them (`{{ … }}`): a host whose address or user is one is passed over, and so is one that is not
reached over SSH (`ansible_connection`).
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile, UsageError
from portward.model import RemoteHost, Skipped
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from portward.formats.yaml_tree import Mapping as Tree
    from portward.formats.yaml_tree import Node

    Values = dict[str, str]

MOST_HOSTS = 100_000

_RANGE = re.compile(r"\[(?:(\d{1,9}):(\d{1,9})|([A-Za-z]):([A-Za-z]))(?::(\d{1,9}))?\]")
_HEADER = re.compile(r"\[([^\[\]:\s]+)(?::(children|vars|hosts))?\]\s*(?:[#;].*)?")
_WORD = re.compile(r"""(?:[^\s"'#]|"[^"]*"|'[^']*')(?:[^\s"']|"[^"]*"|'[^']*')*""")
_OVER_SSH = ("ssh", "smart", "paramiko", "ansible.builtin.ssh", "ansible.builtin.paramiko_ssh", "paramiko_ssh")


class _Groups:
    """Groups as they are read: which hosts and children each has, and the variables of all of them."""

    def __init__(self) -> None:
        self.hosts: dict[str, Values] = {}
        self.members: dict[str, dict[str, None]] = {"all": {}, "ungrouped": {}}
        self.children: dict[str, dict[str, None]] = {}
        self.variables: dict[str, Values] = {}

    def add(self, group: str, name: str, values: Mapping[str, str]) -> None:
        if not name:
            return
        if len(self.hosts) >= MOST_HOSTS and name not in self.hosts:
            raise UsageError(f"the inventory has more than {MOST_HOSTS} hosts")
        self.hosts.setdefault(name, {}).update(values)
        self.members.setdefault(group, {})[name] = None

    def nest(self, group: str, child: str) -> None:
        self.children.setdefault(group, {})[child] = None
        self.members.setdefault(group, {})
        self.members.setdefault(child, {})

    def below(self, group: str) -> list[str]:
        """The group and all that is nested in it, the outer before the inner; a circle is walked once."""
        found: dict[str, None] = {}
        waiting = [group]
        while waiting:
            name = waiting.pop(0)
            if name not in found:
                found[name] = None
                waiting += self.children.get(name, ())
        return list(found)

    def chosen(self, group: str | None) -> list[str]:
        """The names of a group's hosts, or of the one host of that name, or of all; in the order of the file."""
        if group is None or group == "all":
            return list(self.hosts)
        if group in self.members:
            inside = {name for each in self.below(group) for name in self.members[each]}
            return [name for name in self.hosts if name in inside]
        return [group] if group in self.hosts else []

    def inherited(self) -> dict[str, Values]:
        """The variables of each host: what stands nearer to it comes later, and wins."""
        around = {group: self._around(group) for group in self.members}
        groups_of: dict[str, set[str]] = {name: set() for name in self.hosts}
        for group, members in self.members.items():
            for name in members:
                groups_of[name].update(around[group])
        found: dict[str, Values] = {}
        for name, own in self.hosts.items():
            values = found[name] = dict(self.variables.get("all", {}))
            for group in sorted(groups_of[name], key=lambda each: (len(around[each]), each)):
                values.update(self.variables.get(group, {}))
            values.update(own)
        return found

    def _around(self, group: str) -> list[str]:
        """The group and those that it is nested in, without `all`, which is around everything."""
        found, waiting = {group: None}, [group]
        while waiting:
            name = waiting.pop(0)
            for outer, inner in self.children.items():
                if name in inner and outer not in found:
                    found[outer] = None
                    waiting.append(outer)
        return [name for name in found if name != "all"]


def hosts(text: str, path: str, group: str | None = None) -> tuple[tuple[RemoteHost, ...], tuple[Skipped, ...]]:
    """The hosts of a group (or the one host of that name, or all), and those that are passed over, with the reason.

    Raises InvalidFile, with the place, for what is no inventory; UsageError for a group that is not in it.
    """
    groups = _of_yaml(text, path) if _is_yaml(text, path) else _of_ini(text, path)
    names = groups.chosen(group)
    if not names:
        known = ", ".join(name for name in groups.members if groups.chosen(name)) or "none"
        what = f"no host or group {shown(group)!r}" if group else "no host"
        raise UsageError(f"{path}: there is {what}", hint=f"its groups with hosts: {shown(known)}" if group else None)
    values = groups.inherited()
    found: list[RemoteHost] = []
    skipped: list[Skipped] = []
    for name in names:
        reason = _unreadable(values[name])
        if reason:
            skipped.append(Skipped(f"host {shown(name)}", reason))
        else:
            found.append(_host(name, values[name]))
    return tuple(found), tuple(skipped)


def _unreadable(values: Values) -> str | None:
    connection = values.get("connection", "ssh")
    if connection not in _OVER_SSH:
        return f"it is not reached over SSH, but by {shown(connection)!r}"
    template = next((value for value in values.values() if "{{" in value), None)
    return None if template is None else f"{shown(template)!r} is a template, which only Ansible can fill"


def _host(name: str, values: Values) -> RemoteHost:
    address, user, port = values.get("host") or name, values.get("user"), values.get("port")
    number = int(port) if port and port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 1 << 16 else None
    return RemoteHost(name, f"{user}@{address}" if user else address, number)


def _variable(key: str) -> str | None:
    """Under which name a variable is kept, if it is one that is read."""
    for prefix in ("ansible_ssh_", "ansible_"):
        if key.removeprefix(prefix) in ("host", "user", "port") and key.startswith(prefix):
            return key.removeprefix(prefix)
    return "connection" if key == "ansible_connection" else None


def _expanded(pattern: str) -> Iterator[str]:
    """The names that a pattern with ranges means; a range is closed on both sides, and keeps its leading zeros."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    head, tail, step = pattern[: found.start()], pattern[found.end() :], int(found[5] or 1)
    if found[1] is not None:
        width = len(found[1]) if found[1].startswith("0") else 0
        middles: Iterator[str] = (f"{each:0{width}}" for each in range(int(found[1]), int(found[2]) + 1, step or 1))
    else:
        middles = map(chr, range(ord(found[3]), ord(found[4]) + 1, step or 1))
    for middle in middles:
        for rest in _expanded(tail):
            yield f"{head}{middle}{rest}"


def _is_yaml(text: str, path: str) -> bool:
    """As its name tells, else as its first line does: a section or a bare host is INI, a key is YAML."""
    if path.endswith((".yml", ".yaml", ".json")):
        return True
    if path.endswith((".ini", ".cfg")):
        return False
    first = next((line.strip() for line in text.splitlines() if line.strip() and line.strip()[0] not in "#;"), "")
    return first == "---" or first.startswith("{") or (first.endswith(":") and not first.startswith("["))


def _of_ini(text: str, path: str) -> _Groups:
    groups = _Groups()
    group, kind = "ungrouped", "hosts"
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        header = _HEADER.fullmatch(stripped)
        if header:
            group, kind = header[1], header[2] or "hosts"
            groups.members.setdefault(group, {})
        elif kind == "vars":
            key, equals, value = stripped.partition("=")
            if not equals:
                raise InvalidFile(f"{shown(stripped)!r} is not NAME=VALUE", path=path, line=number, column=1)
            _keep(groups.variables.setdefault(group, {}), key.strip(), _unquoted(value.strip()))
        elif kind == "children":
            groups.nest(group, _words(stripped, path, number)[0])
        else:
            _add_line(groups, group, _words(stripped, path, number))
    return groups


def _words(line: str, path: str, number: int) -> list[str]:
    """The words of a line up to a comment; quotes stay. Raises InvalidFile for a section that is none, or an open quote."""
    found: list[str] = []
    at = 0
    while at < len(line):
        if line[at].isspace():
            at += 1
            continue
        if line[at] == "#":
            break
        word = _WORD.match(line, at)
        if word is None or (not found and word[0].startswith("[")):
            message = f"{shown(line[at:])!r} is neither a host nor a [group]"
            raise InvalidFile(message, path=path, line=number, column=at + 1)
        found.append(word[0])
        at = word.end()
    return found or [""]


def _add_line(groups: _Groups, group: str, words: list[str]) -> None:
    values: Values = {}
    pattern, colon, port = words[0].rpartition(":")
    if colon and port.isdecimal() and "[" not in port and (":" not in pattern or pattern.endswith("]")):
        values["port"] = port
    else:
        pattern = words[0]
    for word in words[1:]:
        key, _, value = word.partition("=")
        _keep(values, key, _unquoted(value))
    for name in _expanded(_unquoted(pattern)):
        groups.add(group, name, values)


def _keep(values: Values, key: str, value: str) -> None:
    name = _variable(key)
    if name:
        values[name] = value


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _of_yaml(text: str, path: str) -> _Groups:
    from portward.formats.yaml_parse import parse

    groups = _Groups()
    documents = parse(text, path)
    for name, node in _items(documents[0], path) if documents else ():
        _add_group(groups, name, node, path, 0)
    return groups


_DEEPEST = 50


def _add_group(groups: _Groups, name: str, node: Node, path: str, depth: int) -> None:
    """A group with its hosts, its variables and its children."""
    if depth > _DEEPEST:
        raise InvalidFile(
            f"groups are nested more than {_DEEPEST} deep",
            path=path,
            line=node.location.line,
            column=node.location.column,
        )
    groups.members.setdefault(name, {})
    for key, value in _items(node, path):
        if key == "hosts":
            for pattern, given in _items(value, path):
                values = _values(given, path)
                for each in _expanded(pattern):
                    groups.add(name, each, values)
        elif key == "vars":
            groups.variables.setdefault(name, {}).update(_values(value, path))
        elif key == "children":
            for child, inner in _items(value, path):
                groups.nest(name, child)
                _add_group(groups, child, inner, path, depth + 1)


def _values(node: Node, path: str) -> Values:
    from portward.formats.yaml_tree import Scalar

    found: Values = {}
    for key, value in _items(node, path):
        if isinstance(value, Scalar):
            _keep(found, key, value.value)
    return found


def _items(node: Node, path: str) -> list[tuple[str, Node]]:
    """The entries of a mapping; nothing (`web01:`) has none. Raises InvalidFile, with the place, for what is neither."""
    from portward.formats.yaml_tree import Mapping, Scalar

    if isinstance(node, Mapping):
        tree: Tree = node
        return list(tree.items.items())
    if isinstance(node, Scalar) and node.value in ("", "null", "~"):
        return []
    place = node.location
    raise InvalidFile(
        "an inventory has mappings here: all, hosts, children, vars", path=path, line=place.line, column=place.column
    )
