"""Values of a Compose file that the schema lets pass and Compose refuses still: durations, sizes, command lines, modes, truths.

Source: compose-go v2.9, `validation/` and the decoders in `types/`; go-str2duration v2, docker/go-units and mattn/go-shellwords, which
read durations, sizes and command lines for it.
"""

from __future__ import annotations

import re

from portward.formats.compose.interpolation import real, truth, whole
from portward.formats.compose.paths import branches
from portward.formats.compose.ports import address_hint, is_address
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.formats.compose.paths import Branch
    from portward.formats.yaml_tree import Node

    Check = Callable[[Node], None]

_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)", re.ASCII)
_NANOSECONDS = {
    "ns": 1,
    "us": 1e3,
    "µs": 1e3,
    "μs": 1e3,
    "ms": 1e6,
    "s": 1e9,
    "m": 6e10,
    "h": 3.6e12,
    "d": 8.64e13,
    "w": 6.048e14,
}
_SUFFIX = re.compile(r"b?|[kmgtp](?:i?b)?")
_SPACES = " \t\r\n"
_CLOSES = {"'": '")', '"': "')", "`": "'\")", ")": "'\"`"}
"""What opens and closes a part of a word, and inside of what it does not."""


def check_consistent(document: Mapping) -> None:
    """Raises InvalidFile, with the place, for what excludes each other or lacks something, in one set of merged files."""
    _check(document, _CONSISTENT)


def check_readable(document: Mapping) -> None:
    """Raises InvalidFile, with the place, for a text that is not what Compose reads there, in the whole project."""
    _check(document, _READABLE)


def _check(node: Node, branch: Branch) -> None:
    if branch.rule is not None:
        branch.rule(node)
    if isinstance(node, Mapping):
        for name, item in node.items.items():
            below = branch.at(name)
            if below is not None:
                _check(item, below)
    elif isinstance(node, Sequence) and branch.every is not None:
        for item in node.items:
            _check(item, branch.every)


def _of_texts(read: Callable[[str], object]) -> Check:
    """The check of a scalar whose text must be readable; `read` raises ValueError. What is no text has passed the schema."""

    def check(node: Node) -> None:
        if isinstance(node, Scalar) and isinstance(node.data, str):
            try:
                read(node.data)
            except ValueError as error:
                raise problem(str(error), node) from None

    return check


def amount(node: Scalar, is_size: bool) -> float:
    """What a limit comes to: bytes for a size, else the number that is given. Its text has been checked."""
    return size(node.text) if is_size else real(node.text)


def duration(text: str) -> None:
    """Raises ValueError for what is not a duration: `90s`, `1h30m`, `1.5d`."""
    digits = text[1:] if text[:1] in ("-", "+") else text
    parts = _PART.findall(digits)
    if digits != "0" and (not parts or "".join(number + unit for number, unit in parts) != digits):
        raise ValueError(f"{text!r} is not a duration, such as 90s or 1m30s")
    if sum(float(number) * _NANOSECONDS[unit] for number, unit in parts) >= 1 << 63:
        raise ValueError(f"{text!r} is longer than any duration can be")


def size(text: str) -> int:
    """A number of bytes: `512m`, `1.5 GiB`. Raises ValueError for any other text."""
    end = max(text.rfind(char) for char in "0123456789. ") + 1
    number, suffix = text[:end].removesuffix(" "), text[end:].lower()
    try:
        amount = real(number)
    except ValueError:
        amount = -1
    if not amount >= 0 or not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"{text!r} is not a size, such as 512m or 2g")
    return int(amount * 1024 ** (" kmgtp".find(suffix[:1]) if suffix[:1] not in ("", "b") else 0))


def command_line(text: str) -> None:
    """Raises ValueError where quotes or brackets are left open, as the shell words of Compose see them."""
    opened: set[str] = set()
    word = ""
    escaped = False
    for char in text:
        if escaped:
            escaped, word = False, word + char
        elif char == "\\" and "'" not in opened:
            escaped = True
        elif char in _SPACES:
            word = word + char if opened else ""
        elif char in _CLOSES and opened.isdisjoint(_CLOSES[char]):
            opened ^= {char}
            word += char if char in "`)" else ""
        elif char == "(" and opened.isdisjoint("'\"`"):
            if opened or not word.endswith("$"):
                raise ValueError("a bracket opens here as it cannot in the words of a command")
            opened, word = {")"}, word + char
        elif char in ";&|<>" and not opened:
            break
        else:
            word += char
    if opened or escaped:
        raise ValueError("a quote, a bracket or a backslash is left open in this command")


def _mode(node: Node) -> None:
    _no_fraction(node)
    if isinstance(node, Scalar) and isinstance(node.data, str) and not re.fullmatch(r"[+-]?[0-7]+", node.data):
        raise problem(f"{node.text!r} is not a file mode in octal", node)


def _device_count(node: Node) -> None:
    _no_fraction(node)
    if isinstance(node, Scalar) and node.text.lower() != "all":
        _of_texts(whole)(node)


def _hosts(node: Node) -> None:
    """`extra_hosts`: HOST=IP or HOST:IP."""
    names: list[tuple[str, Node]] = [(name, node) for name in node.items] if isinstance(node, Mapping) else []
    if any(name.startswith("x-") for name, _ in names):
        hint = "write it in a list: - x-name=IP"
        raise problem("the name of a host cannot start with x- here, which marks extensions", node, hint)
    for item in node.items if isinstance(node, Sequence) else ():
        text = item.text if isinstance(item, Scalar) else ""
        name, found, _ = text.partition("=") if "=" in text else text.partition(":")
        if not found:
            raise problem(f"{text!r} has no address: HOST=IP is expected", item)
        names.append((name, item))
    for name, place in names:
        if not name or ":" in name or "=" in name:
            raise problem(f"{name!r} is not the name of a host", place)


def _variables(node: Node) -> None:
    """The names of variables do not end in a blank."""
    for item in node.items if isinstance(node, Sequence) else ():
        name = item.text.partition("=")[0] if isinstance(item, Scalar) else ""
        if name != name.rstrip():
            raise problem(f"the name of the variable {name!r} ends in a blank", item)


def _address(node: Node) -> None:
    if isinstance(node, Scalar) and not is_address(node.text):
        raise problem(f"{node.text!r} is not an IP address", node, address_hint(node.text))


def _target(node: Node) -> None:
    if isinstance(node, Scalar) and isinstance(node.data, int) and node.data < 0:
        raise problem(f"{node.data} is not a port", node)


def _volume(node: Node) -> None:
    external = node.items.get("external") if isinstance(node, Mapping) else None
    if isinstance(external, Scalar) and external.data is True and isinstance(node, Mapping):
        for key in node.items:
            if key not in ("name", "external") and not key.startswith("x-"):
                raise problem(f"{key} cannot be given for what is external", node.place(key))


def _content(*keys: str) -> Check:
    """A secret or config has its content from just one place."""

    def check(node: Node) -> None:
        items = node.items if isinstance(node, Mapping) else {}
        given = [key for key in keys if key in items]
        if len(given) > 1:
            raise problem(f"{' and '.join(given)} exclude each other", node)
        if not given and "driver" not in items and "external" not in items:
            raise problem(f"one of {', '.join(keys)} is missing here", node)

    return check


def _device(node: Node) -> None:
    if isinstance(node, Mapping) and "count" in node.items and "device_ids" in node.items:
        raise problem("count and device_ids exclude each other", node)


def _natural(node: Node) -> None:
    """A number of things: no text, and not below zero."""
    if isinstance(node, Scalar) and (
        isinstance(node.data, str) or (isinstance(node.data, int | float) and node.data < 0)
    ):
        raise problem(f"{node.text!r} is not a number of things", node)


def _limit(node: Node) -> None:
    """`ulimits`: a whole number, or a mapping of them."""
    for item in node.items.values() if isinstance(node, Mapping) else (node,):
        if isinstance(item, Scalar) and isinstance(item.data, str | float):
            raise problem(f"a whole number is expected here, not {item.text!r}", item)


def _no_fraction(node: Node) -> None:
    if isinstance(node, Scalar) and isinstance(node.data, float):
        raise problem(f"{node.source} cannot have a point here", node)


def _text(node: Node) -> None:
    if not isinstance(node, Scalar) or not isinstance(node.data, str):
        raise problem("a text is expected here", node)


def _storage(node: Node) -> None:
    for key, item in node.items.items() if isinstance(node, Mapping) else ():
        if key.startswith("x-") or not isinstance(item, Scalar) or isinstance(item.data, bool | float):
            raise problem(f"{key} must be a text here", item)


def _mount(node: Node) -> None:
    items = node.items if isinstance(node, Mapping) else {}
    kind, source = items.get("type"), items.get("source")
    if isinstance(kind, Scalar) and kind.data == "bind" and not (isinstance(source, Scalar) and source.data):
        raise problem("a bind mount needs a source: a path of the host", node)


def _model(node: Node) -> None:
    if not isinstance(node, Mapping) and not (isinstance(node, Scalar) and node.is_null):
        raise problem("a mapping is expected here", node)


def _given(node: Node) -> None:
    """The schema lets nothing stand here, over which Compose breaks down."""
    if isinstance(node, Scalar) and node.is_null:
        raise problem("a text is expected here, not nothing", node, hint="leave the key out")


def _watched(node: Node) -> None:
    if isinstance(node, Scalar) and not node.data:
        raise problem("a path is expected here", node)


_DURATIONS = (
    "stop_grace_period",
    *(f"healthcheck.{key}" for key in ("interval", "timeout", "start_period", "start_interval")),
    *(f"deploy.{when}_config.{key}" for when in ("update", "rollback") for key in ("delay", "monitor")),
    *(f"deploy.restart_policy.{key}" for key in ("delay", "window")),
)
_SIZES = (
    *("mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit", "shm_size", "build.shm_size"),
    *("volumes.*.tmpfs.size", "deploy.resources.limits.memory", "deploy.resources.reservations.memory"),
    *(f"blkio_config.device_{way}_{what}.*.rate" for way in ("read", "write") for what in ("bps", "iops")),
)
_TRUTHS = (
    *("attach", "build.no_cache", "build.privileged", "build.pull", "depends_on.*.restart", "env_file.*.required"),
    *("volumes.*.bind.create_host_path", "post_start.*.privileged", "pre_stop.*.privileged"),
    "develop.watch.*.exec.privileged",
)
_DEVICES = ("gpus.*", "deploy.resources.reservations.devices.*")
_NATURALS = (
    *("deploy.update_config.parallelism", "deploy.rollback_config.parallelism", "deploy.restart_policy.max_attempts"),
    *("deploy.placement.max_replicas_per_node", "healthcheck.retries"),
    *("volumes.*.tmpfs.mode", "blkio_config.weight", "blkio_config.weight_device.*.weight"),
)
_COMMANDS = ("command", "entrypoint", "post_start.*.command", "pre_stop.*.command", "develop.watch.*.exec.command")
_IN_A_SERVICE: dict[str, Check] = {
    **dict.fromkeys(_DURATIONS, _of_texts(duration)),
    **dict.fromkeys(_SIZES, _of_texts(size)),
    **dict.fromkeys(_TRUTHS, _of_texts(truth)),
    **dict.fromkeys(_COMMANDS, _of_texts(command_line)),
    **dict.fromkeys(("deploy.resources.limits.cpus", "deploy.resources.reservations.cpus"), _of_texts(real)),
    "deploy.resources.limits.pids": _of_texts(whole),
    "deploy.resources.reservations.generic_resources.*.discrete_resource_spec.value": _of_texts(whole),
    **dict.fromkeys(("secrets.*.mode", "configs.*.mode", "build.secrets.*.mode"), _mode),
    **dict.fromkeys(("extra_hosts", "build.extra_hosts"), _hosts),
    **dict.fromkeys(("environment", "build.args"), _variables),
    "pid": _given,
    **dict.fromkeys(_NATURALS, _natural),
    **dict.fromkeys(("ulimits.*", "build.ulimits.*"), _limit),
    **dict.fromkeys(("group_add.*", "ports.*.published"), _no_fraction),
    **dict.fromkeys((f"{path}.count" for path in _DEVICES), _device_count),
    "build.additional_contexts.*": _text,
    "storage_opt": _storage,
    "ports.*.target": _target,
}
_READABLE = branches(
    {
        **{f"services.*.{path}": check for path, check in _IN_A_SERVICE.items()},
        **dict.fromkeys(("models.*", "services.*.models.*"), _model),
    }
)
_CONSISTENT = branches(
    {
        "services.*.ports.*.host_ip": _address,
        "services.*.develop.watch.*.path": _watched,
        "services.*.volumes.*": _mount,
        **dict.fromkeys(("services.*.gpus.*", "services.*.deploy.resources.reservations.devices.*"), _device),
        "volumes.*": _volume,
        "configs.*": _content("file", "environment", "content"),
        "secrets.*": _content("file", "environment"),
    }
)
