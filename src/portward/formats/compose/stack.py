"""Compose files: the services of a project and every port that they write.

`files.py` says which files are in force and what they come to; `ports.py` reads one entry of `ports:`. Here a
merged service becomes a `Service`: what it publishes, and every other port that it names, on its side.
"""

from __future__ import annotations

from portward.errors import UsageError
from portward.formats import Stack
from portward.formats.compose import checks
from portward.formats.compose.environment import check_files
from portward.formats.compose.files import Asked, Loader
from portward.formats.compose.interpolation import interpolated
from portward.formats.compose.ports import Published, ShortPort, long_port
from portward.formats.compose.references import places, references, replicas_of, unset, written
from portward.formats.compose.values import check_readable
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, first_line, mapping, problem
from portward.model import PortSpec, Role, Service, Side, Span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from collections.abc import Mapping as Values

    from portward.formats.yaml_tree import Node


def read(
    paths: Iterable[str],
    text_of: Callable[[str], str],
    values: Values[str, str],
    profiles: Collection[str] = (),
    folder_name: str | None = None,
) -> Stack:
    """Reads and merges Compose files, in the order of `--file`. Relative paths in them start at the folder of the first.

    `text_of` gives the text of a path relative to the project's root, raising OSError or UnicodeDecodeError. `values` are the
    variables for interpolation in their order of precedence. Services whose profiles are not among `profiles` ("*" for
    all) come back as inactive. `folder_name` names a project that no file and no COMPOSE_PROJECT_NAME names. Raises
    InvalidFile, with the place, where Compose would refuse a file.
    """
    files = [Asked(path) for path in paths]
    loader = Loader(text_of)
    name = project_name(loader, files, values, folder_name)
    if name is not None:
        values = {**values, "COMPOSE_PROJECT_NAME": name}
    tree = loader.model(files, files[0].path.rpartition("/")[0] if files else "", values)
    if files and not tree.items:
        raise problem("an empty Compose file", tree)
    check_readable(tree)
    services = tree.items.get("services")
    active: dict[str, Mapping] = {}
    inactive: dict[str, Mapping] = {}
    for key, node in services.items.items() if isinstance(services, Mapping) else ():
        assert isinstance(node, Mapping)  # so says the schema
        wanted = {item.text for item in _entries(node.items.get("profiles"))}
        is_active = not wanted or "*" in profiles or not wanted.isdisjoint(profiles)
        (active if is_active else inactive)[key] = node
    checks.check(tree, active)
    check_files(loader, active, values)
    return Stack(
        name,
        tuple(_Reader(key, node.items, values).service() for key, node in active.items()),
        tuple(_Reader(key, node.items, values).service() for key, node in inactive.items()),
        tuple(loader.variables),
    )


def project_name(loader: Loader, files: list[Asked], values: Values[str, str], folder_name: str | None) -> str | None:
    """The project's name: COMPOSE_PROJECT_NAME, else the last `name:` of the files, else that of the folder.

    None where there is none of them. Raises UsageError for one that Compose refuses.
    """
    given = values.get("COMPOSE_PROJECT_NAME")
    if given:
        if normal_name(given) != given:
            hint = "lower-case letters, digits, hyphens and underscores, and a letter or digit first"
            raise UsageError(f"COMPOSE_PROJECT_NAME: {given!r} cannot be the name of a project", hint=hint)
        return given
    found: Scalar | None = None
    for document in (document for file in files for document in loader.documents(file)):
        node = document.items.get("name") or document.dropped.get("name")  # Compose does not heed `!reset` here
        if node is not None and not isinstance(node, Scalar):
            raise problem("a project's name must be a text", node)
        if node is not None and node.value and not node.is_null:
            found = node
    if found is not None:
        return _named(found, values)
    name = None if folder_name is None else normal_name(folder_name)
    if name == "":
        raise UsageError(
            f"no name for the project can be made of {folder_name!r}", hint="write `name:` into the Compose file"
        )
    return name


def _named(node: Scalar, values: Values[str, str]) -> str:
    expanded = interpolated(mapping({"name": node}, node), values).items["name"]
    name = normal_name(expanded.text) if isinstance(expanded, Scalar) else ""
    if name:
        return name
    missing = expanded.expansion.unset if isinstance(expanded, Scalar) and expanded.expansion else ()
    hint = f"no value is set for {', '.join(missing)}" if missing else "a letter or a digit is wanted"
    raise problem(f"no name for the project can be made of {node.source}", node, hint)


def normal_name(text: str) -> str:
    """The name that Compose gives a project: lower case, and only letters, digits, `-` and `_`."""
    return "".join(char for char in text.lower() if char in _NAME_CHARACTERS).lstrip("_-")


_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


class _Reader:
    """Reads one merged service, in long form."""

    def __init__(self, name: str, items: dict[str, Node], values: Values[str, str]) -> None:
        self.name = name
        self.items = items
        self.values = values

    def service(self) -> Service:
        names = [self.name, *(_text(self.items[key]) for key in ("container_name", "hostname") if key in self.items)]
        mode = _text(self.items.get("network_mode"))
        return Service(
            name=self.name,
            ports=(*self._ports(), *references(self.name, self.items, self.values)),
            image=_text(self.items["image"]) if "image" in self.items else None,
            names=tuple(dict.fromkeys([*names, *_aliases(self.items.get("networks"))])),
            folders=tuple(dict.fromkeys(_folders(self.items))),
            command=tuple(_words(self.items.get("command"))),
            host_network=mode == "host",
            places=tuple(places(self.items)),
            unset=tuple(unset(self.items)),
            network_of=mode.removeprefix("service:") if mode.startswith("service:") else None,
            environment=tuple(_container_environment(self.items.get("environment"))),
            env_files=tuple(_env_files(self.items.get("env_file"))),
            replicas=_replicas(self.items),
            container_name=_text(self.items.get("container_name")) or None,
            networks=() if mode else _networks(self.items.get("networks")),
        )

    def _ports(self) -> Iterator[PortSpec]:
        """What the service publishes."""
        for item in self._items_of_ports():
            if isinstance(item, ShortPort):
                yield self._spec(item.entry, item.item, *written(item.item, item.part))
            elif isinstance(item, Mapping):
                node = item.items.get("published") or item.items["target"]
                assert isinstance(node, Scalar)  # so says the schema
                spec = self._spec(long_port(item), node, *written(node, Span(0, len(node.text))))
                yield spec.replace(options=tuple(_options(item))) if item.items.keys() & _OPTIONS else spec

    def _items_of_ports(self) -> tuple[Node, ...]:
        node = self.items.get("ports")
        return node.items if isinstance(node, Sequence) else ()

    def _spec(self, entry: Published, item: Scalar, variables: tuple[str, ...], span: Span) -> PortSpec:
        return PortSpec(
            origin="compose",
            role=Role.HOST,
            side=Side.HOST,
            location=item.location,
            span=span,
            text=first_line(item),
            service=self.name,
            published=entry.published,
            target=entry.target,
            protocol=entry.protocol,
            host_ip=entry.host_ip,
            variables=variables,
        )


_OPTIONS = {"mode", "name", "app_protocol"}


def _options(item: Mapping) -> Iterator[tuple[str, str]]:
    for key in sorted(_OPTIONS & item.items.keys()):
        yield key, _text(item.items[key])


def _networks(node: Node | None) -> tuple[str, ...]:
    """The project's networks that a service is in: where it names none, Compose makes one."""
    return tuple(node.items) if isinstance(node, Mapping) and node.items else ("default",)


def _container_environment(node: Node | None) -> Iterator[tuple[str, str | None]]:
    """Every variable that Compose sets in a container; None where it passes on what is set outside."""
    if isinstance(node, Mapping):
        for name, value in node.items.items():
            if isinstance(value, Scalar):
                yield name, None if value.is_null else value.text
    for item in _entries(node):
        name, equals, value_text = item.text.partition("=")
        yield name, value_text if equals else None


def _env_files(node: Node | None) -> Iterator[str]:
    """The files of `env_file:`, relative to the project's root."""
    for item in node.items if isinstance(node, Sequence) else ():
        path = item.items.get("path") if isinstance(item, Mapping) else None
        if isinstance(path, Scalar):
            yield path.text


def _replicas(items: dict[str, Node]) -> int:
    """How many containers a service runs as, 1 where nothing says it."""
    node = replicas_of(items)
    return int(node.data) if isinstance(node, Scalar) and isinstance(node.data, int | float) else 1


def _aliases(node: Node | None) -> Iterator[str]:
    for network in node.items.values() if isinstance(node, Mapping) else ():
        if isinstance(network, Mapping):
            yield from (alias.text for alias in _entries(network.items.get("aliases")))


def _folders(items: dict[str, Node]) -> Iterator[str]:
    """The project's folders that are a service's own, "" for the root: its build context, and what it mounts below the root."""
    build = items.get("build")
    context = build.items.get("context") if isinstance(build, Mapping) else None
    if isinstance(build, Mapping):
        folder = context.text if isinstance(context, Scalar) else "."
        if "://" not in folder and not folder.startswith(("/", "..", "git@", "github.com/")):
            yield "" if folder == "." else folder
    volumes = items.get("volumes")
    for volume in volumes.items if isinstance(volumes, Sequence) else ():
        found = volume.items if isinstance(volume, Mapping) else {}
        source, kind = found.get("source"), found.get("type")
        is_bind = isinstance(kind, Scalar) and kind.data == "bind"
        if (
            isinstance(source, Scalar)
            and is_bind
            and not source.text.startswith(("/", "~", ".."))
            and source.text != "."
        ):
            yield source.text


def _words(node: Node | None) -> list[str]:
    """A command or a list as words; nothing for what is not there."""
    if isinstance(node, Scalar):
        return [] if node.is_null else node.text.split()
    return [item.text for item in _entries(node)]


def _entries(node: Node | None) -> tuple[Scalar, ...]:
    return tuple(item for item in node.items if isinstance(item, Scalar)) if isinstance(node, Sequence) else ()


def _text(node: Node | None) -> str:
    return node.text if isinstance(node, Scalar) else ""
