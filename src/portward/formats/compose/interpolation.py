"""Interpolation of a Compose document, and the types that Compose gives to its texts while it interpolates.

A text where Compose wants a number or a truth is read as one, whether a variable wrote it or not: `privileged: "yes"`,
`target: "80"`. Keys are never interpolated.

Source: compose-go v2.9, `loader/interpolate.go`.
"""

from __future__ import annotations

import re

from portward.formats.compose.paths import branches
from portward.formats.template import TemplateError, expand
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, inside, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Mapping as Values

    from portward.formats.compose.paths import Branch
    from portward.formats.yaml_scalars import Value
    from portward.formats.yaml_tree import Node

_DECIMAL = re.compile(r"[+-]?[0-9]+", re.ASCII)
_REAL = re.compile(
    r"[+-]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?|[+-]?inf(?:inity)?|nan", re.I
)
_TRUTHS = {
    **dict.fromkeys(("true", "y", "yes", "on"), True),
    **dict.fromkeys(("false", "n", "no", "off"), False),
}


def whole(text: str) -> int:
    """A whole number of 64 bits. Raises ValueError for any other text."""
    number = int(text) if _DECIMAL.fullmatch(text) and len(text) < 25 else 1 << 64
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError("a whole number is expected")
    return number


def real(text: str) -> float:
    """A number. Raises ValueError for any other text."""
    if not _REAL.fullmatch(text):
        raise ValueError("a number is expected")
    return float(text)


def truth(text: str) -> bool:
    """A truth, as YAML 1.1 writes it. Raises ValueError for any other text."""
    if text.lower() not in _TRUTHS:
        raise ValueError("true or false is expected")
    return _TRUTHS[text.lower()]


_IN_A_SERVICE: dict[str, Callable[[str], Value]] = {
    **dict.fromkeys(("cpu_count", "cpu_period", "cpu_quota", "cpu_rt_period", "cpu_rt_runtime", "cpu_shares"), whole),
    **dict.fromkeys(("cpus", "cpu_percent"), real),
    **dict.fromkeys(("init", "oom_kill_disable", "privileged", "read_only", "stdin_open", "tty"), truth),
    **dict.fromkeys(("oom_score_adj", "pids_limit", "scale", "ports.*.target"), whole),
    **dict.fromkeys(("ulimits.*", "ulimits.*.hard", "ulimits.*.soft"), whole),
    **dict.fromkeys(("deploy.update_config.parallelism", "deploy.rollback_config.parallelism"), whole),
    **dict.fromkeys(("deploy.update_config.max_failure_ratio", "deploy.rollback_config.max_failure_ratio"), real),
    **dict.fromkeys(("deploy.replicas", "deploy.restart_policy.max_attempts", "healthcheck.retries"), whole),
    "deploy.placement.max_replicas_per_node": whole,
    **dict.fromkeys(("healthcheck.disable", "volumes.*.read_only", "volumes.*.volume.nocopy"), truth),
}
_OUTSIDE = (
    *(f"networks.*.{key}" for key in ("external", "internal", "attachable", "enable_ipv4", "enable_ipv6")),
    *(f"{kind}.*.external" for kind in ("volumes", "secrets", "configs")),
)
_CASTS = branches(
    {
        **{f"services.*.{path}": cast for path, cast in _IN_A_SERVICE.items()},
        **dict.fromkeys(_OUTSIDE, truth),
    }
)


def interpolated(document: Mapping, values: Values[str, str]) -> Mapping:
    """The document with every text expanded. Raises InvalidFile at the place of what Compose refuses."""
    found = _Interpolation(values).of(document, _CASTS)
    assert isinstance(found, Mapping)
    return found


class _Interpolation:
    def __init__(self, values: Values[str, str]) -> None:
        self.values = values
        self.done: dict[tuple[int, int], Node] = {}

    def of(self, node: Node, branch: Branch | None) -> Node:
        if isinstance(node, Scalar):
            return self._scalar(node, branch)
        if branch is None and not node.dynamic:
            return node
        key = (id(node), id(branch))
        if key not in self.done:
            self.done[key] = self._container(node, branch)
        return self.done[key]

    def _container(self, node: Sequence | Mapping, branch: Branch | None) -> Node:
        if isinstance(node, Sequence):
            below = branch and branch.every
            return Sequence(node.file, node.start, node.tag, tuple(self.of(item, below) for item in node.items))
        if branch is None:
            return node.having({name: self.of(item, None) for name, item in node.items.items()})
        changed: dict[str, Node] = {}
        for name, item in node.items.items():
            below = branch.at(name)
            if below is not None or not isinstance(item, Scalar) or "$" in item.value:
                changed[name] = self.of(item, below)
        return node.having({**node.items, **changed})

    def _scalar(self, node: Scalar, branch: Branch | None) -> Scalar:
        data = node.data
        if type(data) is not str:
            return node
        if "$" in data:
            try:
                expansion = expand(data, self.values)
            except TemplateError as error:
                raise problem(str(error), inside(node, error.offset)) from None
            node = node.become(expansion.text, expansion)
        if branch is None or branch.rule is None:
            return node
        try:
            return node.become(branch.rule(node.data))
        except ValueError as error:
            unset = node.expansion.unset if node.expansion else ()
            hint = f"no value is set for {', '.join(unset)}" if unset else None
            raise problem(f"{error} here, not {node.data!r}", node, hint) from None
