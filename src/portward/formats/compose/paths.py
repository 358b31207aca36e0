"""Rules by the path of a node in a Compose file, as compose-go keeps them: `services.*.ports.*.target`.

`*` stands for any key and for every item of a list.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


class Branch:
    """What holds at one node (`rule`, None if nothing does), and the branches for what is below it."""

    __slots__ = ("below", "every", "rule")

    def __init__(self) -> None:
        self.rule: Any = None
        self.below: dict[str, Branch] = {}
        self.every: Branch | None = None

    def at(self, key: str) -> Branch | None:
        """The branch of a key; None where no rule holds in it."""
        return self.below.get(key, self.every)

    def along(self, *keys: str) -> Branch:
        """The branch at the end of a path that has one. Raises KeyError for one that has none."""
        branch: Branch | None = self
        for key in keys:
            branch = branch and branch.at(key)
        if branch is None:
            raise KeyError(keys)
        return branch


def branches(rules: Mapping[str, Any]) -> Branch:
    """The tree of rules by path."""
    root = Branch()
    for path, rule in rules.items():
        branch = root
        for part in path.split("."):
            if part != "*":
                branch = branch.below.setdefault(part, Branch())
            else:
                branch.every = branch = branch.every or Branch()
        branch.rule = rule
    return root
