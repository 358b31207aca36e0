"""What must fit together in a Compose project: names that are used are defined, and nothing is said in two ways.

Only active services are looked at, as in Compose: one behind a profile may name what is not there.

Source: compose-go v2.9, `loader/validate.go`, `loader/normalize.go` and `graph/cycle.go`.
"""

from __future__ import annotations

import posixpath

from portward.formats.compose.values import amount
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from portward.formats.yaml_tree import Node

_NAMESPACES = ("network_mode", "ipc", "pid", "uts", "cgroup")
_SERVICE = "service:"


def check(document: Mapping, active: dict[str, Mapping]) -> None:
    """Raises InvalidFile, with the place, where an active service does not fit its project. All is in long form."""
    _Checks(document, active).run()


def dependencies(service: Mapping) -> dict[str, tuple[Node, bool]]:
    """The services that one needs, each with the place that says so and whether it must be active."""
    found: dict[str, tuple[Node, bool]] = {}
    stated = service.items.get("depends_on")
    for name, condition in stated.items.items() if isinstance(stated, Mapping) else ():
        required = condition.items.get("required") if isinstance(condition, Mapping) else None
        found[name] = condition, not (isinstance(required, Scalar) and required.data is False)
    for link in _texts(service.items.get("links")):
        name, _, alias = link.text.partition(":")
        found.setdefault(link.text if ":" in alias else name, (link, True))
    for key in _NAMESPACES:
        shared = service.items.get(key)
        if isinstance(shared, Scalar) and shared.text.startswith(_SERVICE):
            found.setdefault(shared.text.removeprefix(_SERVICE), (shared, True))
    for volume in _texts(service.items.get("volumes_from")):
        if not volume.text.startswith("container:"):
            found.setdefault(volume.text.partition(":")[0], (volume, True))
    return found


class _Checks:
    def __init__(self, document: Mapping, active: dict[str, Mapping]) -> None:
        self.document = document
        services = document.items.get("services")
        self.all = services.items if isinstance(services, Mapping) else {}
        self.active = active
        self.needs = {name: dependencies(service) for name, service in active.items()}

    def run(self) -> None:
        for name, service in self.active.items():
            for one in _OF_A_SERVICE:
                one(name, service)
            self._check_dependencies(name)
            self._check_resources(name, service)
            self._check_contexts(name, service)
        self._check_secrets()
        self._check_names()
        self._check_circles()

    def _check_dependencies(self, name: str) -> None:
        for needed, (place, is_required) in self.needs[name].items():
            if needed not in self.active and (is_required or needed not in self.all):
                known = "is behind a profile that is not active" if needed in self.all else "does not exist"
                raise problem(f"service {name!r} needs {needed!r}, which {known}", place)

    def _check_resources(self, name: str, service: Mapping) -> None:
        for kind, used in _used(service):
            defined = self.document.items.get(kind)
            if _is_defined(kind, used.text, defined.items if isinstance(defined, Mapping) else {}):
                continue
            is_extension = used.text.startswith("x-")
            hint = "choose a name without x-, which marks extensions" if is_extension else f"define it under `{kind}:`"
            raise problem(
                f"service {name!r} uses {kind.removesuffix('s')} {used.text!r}, which is not defined", used, hint
            )

    def _check_contexts(self, name: str, service: Mapping) -> None:
        contexts = _below(service, "build", "additional_contexts")
        for context in contexts.items.values() if isinstance(contexts, Mapping) else ():
            if isinstance(context, Scalar) and context.text.startswith(_SERVICE):
                needed = self.active.get(context.text.removeprefix(_SERVICE))
                if needed is None or "build" not in needed.items:
                    raise problem(f"service {name!r} builds on {context.text!r}, which is not built here", context)

    def _check_secrets(self) -> None:
        secrets = self.document.items.get("secrets")
        for secret in secrets.items.values() if isinstance(secrets, Mapping) else ():
            if not isinstance(secret, Mapping) or _data(secret, "external") is True or "file" in secret.items:
                continue
            if not _data(secret, "environment"):
                raise problem("a secret needs a file or an environment variable", secret)

    def _check_names(self) -> None:
        owners: dict[str, str] = {}
        for name, service in sorted(self.active.items()):
            node = service.items.get("container_name")
            if isinstance(node, Scalar) and node.text and owners.setdefault(node.text, name) != name:
                raise problem(f"the container of service {owners[node.text]!r} has this name already", node)

    def _check_circles(self) -> None:
        """Services must not wait for each other in a circle. Walks without recursion: chains may be long."""
        done: set[str] = set()
        for start in self.active:
            path: list[str] = []
            pending = [(start, iter(self.needs[start]))] if start not in done else []
            path += [start] if pending else []
            while pending:
                name, left = pending[-1]
                needed = next((other for other in left if other in self.active and other not in done), None)
                if needed is None:
                    done.add(name)
                    pending.pop()
                    path.pop()
                elif needed in path:
                    circle = " -> ".join([*path[path.index(needed) :], needed])
                    raise problem(f"services need each other in a circle: {circle}", self.needs[name][needed][0])
                else:
                    pending.append((needed, iter(self.needs[needed])))
                    path.append(needed)


def _check_source(name: str, service: Mapping) -> None:
    if not ({"build", "provider"} & service.items.keys() or _data(service, "image")):
        raise problem(f"service {name!r} has neither an image nor a build", service)


def _check_build(_name: str, service: Mapping) -> None:
    build = service.items.get("build")
    if not isinstance(build, Mapping):
        return
    if _data(build, "dockerfile") and _data(build, "dockerfile_inline"):
        raise problem("dockerfile and dockerfile_inline exclude each other", build.place("dockerfile_inline"))
    platforms = [item.text for item in _texts(build.items.get("platforms"))]
    platform = _data(service, "platform")
    if platforms and platform and platform not in platforms:
        raise problem(f"the service's platform {platform!r} is not among these", build.items["platforms"])


def _check_networks(_name: str, service: Mapping) -> None:
    networks = service.items.get("networks")
    if _data(service, "network_mode") and isinstance(networks, Mapping) and networks.items:
        raise problem("network_mode and networks exclude each other", service.place("networks"))


def _check_health(_name: str, service: Mapping) -> None:
    test = _below(service, "healthcheck", "test")
    words = _texts(test) if isinstance(test, Sequence) else ()
    first = next(iter(words), None)
    if first is not None and first.text not in ("CMD", "CMD-SHELL", "NONE"):
        raise problem("a health check that is a list starts with CMD, CMD-SHELL or NONE", first)


def _check_scale(_name: str, service: Mapping) -> None:
    scale, deploy = service.items.get("scale"), service.items.get("deploy")
    replicas = deploy.items.get("replicas") if isinstance(deploy, Mapping) else None
    counts = [node for node in (scale, replicas) if isinstance(node, Scalar) and isinstance(node.data, int | float)]
    if len({int(node.text) for node in counts}) > 1:
        raise problem("scale and deploy.replicas differ", counts[1])
    for node in counts:
        if int(node.text) < 0:
            raise problem("it cannot run in fewer than no containers", node)
        if int(node.text) > 1 and _data(service, "container_name"):
            raise problem("several containers cannot have one name: container_name is given", node)


_LIMITS = (
    ("cpus", "limits", "cpus"),
    ("mem_limit", "limits", "memory"),
    ("mem_reservation", "reservations", "memory"),
    ("pids_limit", "limits", "pids"),
)


def _check_limits(_name: str, service: Mapping) -> None:
    for key, group, limit in _LIMITS:
        own, limits = service.items.get(key), _below(service, "deploy", "resources", group)
        is_size = limit == "memory"
        if isinstance(own, Scalar) and isinstance(limits, Mapping) and amount(own, is_size):
            other = limits.items.get(limit)
            if amount(own, is_size) != (amount(other, is_size) if isinstance(other, Scalar) else 0):
                raise problem(f"{key} and deploy.resources.{group}.{limit} differ", own)


def _check_mounts(_name: str, service: Mapping) -> None:
    seen: set[str] = set()
    for node in _targets(service):
        if node.text and node.text in seen:
            raise problem(f"something is mounted at {node.text} already", node)
        seen.add(node.text)


def _targets(service: Mapping) -> Iterator[Scalar]:
    tmpfs = service.items.get("tmpfs")
    for item in (tmpfs,) if isinstance(tmpfs, Scalar) else _texts(tmpfs):
        yield item.become(item.text.partition(":")[0])
    volumes = service.items.get("volumes")
    for volume in volumes.items if isinstance(volumes, Sequence) else ():
        target = volume.items.get("target") if isinstance(volume, Mapping) else None
        if isinstance(target, Scalar):
            yield target.become(posixpath.normpath(target.text)) if target.text else target


def _check_watch(_name: str, service: Mapping) -> None:
    watch = _below(service, "develop", "watch")
    for trigger in watch.items if isinstance(watch, Sequence) else ():
        if not isinstance(trigger, Mapping) or _data(trigger, "target"):
            continue
        if _data(trigger, "action") not in ("rebuild", "restart"):
            raise problem("a target is missing for this action", trigger)


_OF_A_SERVICE: tuple[Callable[[str, Mapping], None], ...] = (
    _check_source,
    _check_build,
    _check_networks,
    _check_health,
    _check_scale,
    _check_limits,
    _check_mounts,
    _check_watch,
)


def _used(service: Mapping) -> Iterator[tuple[str, Scalar]]:
    """The kind and name of every resource of the project that a service uses."""
    for kind in ("networks", "models"):
        named = service.items.get(kind)
        for name, item in named.items.items() if isinstance(named, Mapping) else ():
            place = named.names.get(name) if isinstance(named, Mapping) else None
            yield kind, place or Scalar(item.file, item.start, None, item.start, name, False, name)
    volumes = service.items.get("volumes")
    for volume in volumes.items if isinstance(volumes, Sequence) else ():
        if isinstance(volume, Mapping) and _data(volume, "type") == "volume":
            yield from (("volumes", item) for item in _sources(volume) if item.text)
    for kind, node in (
        ("configs", service.items.get("configs")),
        ("secrets", service.items.get("secrets")),
        ("secrets", _below(service, "build", "secrets")),
    ):
        for mount in node.items if isinstance(node, Sequence) else ():
            yield from ((kind, item) for item in _sources(mount))


def _is_defined(kind: str, name: str, defined: Collection[str]) -> bool:
    """Whether what a service uses is there. Compose takes a network or model `x-…` of a service for an extension.

    So it takes the project's models, but not its networks.
    """
    if name.startswith("x-") and kind in ("networks", "models"):
        return kind == "models" and any(other.startswith("x-") for other in defined)
    return name in defined or (kind == "networks" and name == "default")


def _sources(mount: Node) -> Iterator[Scalar]:
    source = mount.items.get("source") if isinstance(mount, Mapping) else None
    if isinstance(source, Scalar):
        yield source
    elif isinstance(mount, Mapping):
        yield Scalar(mount.file, mount.start, None, mount.start, "", False, "")


def _below(node: Node | None, *keys: str) -> Node | None:
    for key in keys:
        node = node.items.get(key) if isinstance(node, Mapping) else None
    return node


def _texts(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Sequence) else ()


def _data(node: Mapping, key: str) -> object:
    item = node.items.get(key)
    return item.data if isinstance(item, Scalar) else None
