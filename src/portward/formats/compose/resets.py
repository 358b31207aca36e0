"""`!reset` and `!override`: what a file takes away from the files below it, or from the service that it extends.

Source: the Compose specification, 13-merge, and compose-go v2.9, `loader/reset.go`. A value with `!reset` is not there at all,
one with `!override` stands alone. Entries of a list cannot be taken away.
"""

from __future__ import annotations

from portward.formats.yaml_tree import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portward.formats.yaml_tree import Node

    Path = tuple[str, ...]

_ALONE = "!override"


def resets(document: Node) -> list[Path]:
    """The paths that a document takes away, in the order of its text.

    What an anchor names is taken away there, and where an alias repeats it only as far as it is tagged itself.
    """
    found: list[Path] = []
    seen: set[int] = set()

    def walk(node: Node, path: Path) -> None:
        if node.tag == _ALONE:
            found.append(path)
        elif isinstance(node, Mapping):
            if id(node) not in seen:
                found.extend((*path, name) for name in node.dropped)
                seen.add(id(node))
            for name, item in node.items.items():
                walk(item, (*path, name))

    if any(tag in document.file.text for tag in ("!reset", _ALONE)):
        walk(document, ())
    return found


def without(target: Mapping, paths: Iterable[Path]) -> Mapping:
    """The target without what is at the paths, as far as there is something."""
    for path in paths:
        target = _without(target, path)
    return target


def _without(target: Mapping, path: Path) -> Mapping:
    if not path or path[0] not in target.items:
        return target
    items = dict(target.items)
    if len(path) == 1:
        del items[path[0]]
        return target.having(items)
    below = items[path[0]]
    if isinstance(below, Mapping):
        items[path[0]] = _without(below, path[1:])
    return target.having(items)
