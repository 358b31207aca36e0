"""Relative paths in a Compose file: each starts at the folder of its own file, and is told from the project's root.

Source: compose-go v2.9, `paths/resolve.go`.
"""

from __future__ import annotations

import posixpath

from portward.formats.compose.paths import branches
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, problem, sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.formats.compose.paths import Branch
    from portward.formats.yaml_tree import Node

    Move = Callable[[Node, str, str], Node]


def placed(document: Mapping, folder: str, home: str) -> Mapping:
    """The document, in long form, with its paths relative to where `folder` is relative to. `home` stands for `~`.

    Raises InvalidFile for a path that is no text, as it may be in a file that is only extended.
    """
    found = _below(document, _PATHS, folder, home)
    assert isinstance(found, Mapping)
    return found


def _below(node: Node, branch: Branch, folder: str, home: str) -> Node:
    if branch.rule is not None:
        move: Move = branch.rule
        return move(node, folder, home)
    if isinstance(node, Mapping):
        changed: dict[str, Node] = {}
        for name, item in node.items.items():
            below = branch.at(name)
            if below is not None:
                moved = _below(item, below, folder, home)
                if moved is not item:
                    changed[name] = moved
        return node.having({**node.items, **changed}) if changed else node
    if isinstance(node, Sequence) and branch.every is not None:
        every = branch.every
        items = tuple(_below(item, every, folder, home) for item in node.items)
        return Sequence(node.file, node.start, node.tag, items)
    return node


def _path(node: Node, folder: str, home: str) -> Node:
    if not isinstance(node, Scalar) or not isinstance(node.data, str):
        raise problem("a path is expected here", node)
    path = node.data
    if path.startswith("~"):
        path = home + path[1:]
    return node.become(posixpath.normpath(posixpath.join(folder, path)))


def _paths(node: Node, folder: str, home: str) -> Node:
    """Lists of paths stand only where no schema has been."""
    if isinstance(node, Sequence):
        return sequence((_paths(item, folder, home) for item in node.items), node)
    return _path(node, folder, home)


def _file(node: Node, folder: str, home: str) -> Node:
    return _path(node, folder, home) if isinstance(node, Scalar) and isinstance(node.data, str) else node


def _context(node: Node, folder: str, home: str) -> Node:
    """A context that is no path stays: a URL, a repository, another service."""
    text = node.text if isinstance(node, Scalar) else ""
    is_elsewhere = "://" in text or text.startswith(("git@", "github.com/", "service:"))
    return node if is_elsewhere else _path(node, folder, home)


def _volume(node: Node, folder: str, home: str) -> Node:
    kind = node.items.get("type") if isinstance(node, Mapping) else None
    if (
        not isinstance(node, Mapping)
        or "source" not in node.items
        or not isinstance(kind, Scalar)
        or kind.data != "bind"
    ):
        return node
    return node.having({**node.items, "source": _path(node.items["source"], folder, home)})


_PATHS = branches(
    {
        **dict.fromkeys(("configs.*.file", "secrets.*.file"), _file),
        "services.*.build.context": _context,
        "services.*.build.additional_contexts.*": _context,
        "services.*.env_file.*.path": _paths,
        "services.*.extends.file": _path,
        "services.*.label_file.*": _paths,
        "services.*.volumes.*": _volume,
        "services.*.develop.watch.*.path": _paths,
    }
)
