"""Which Compose files make a project, and how they are merged: `-f a -f b`, `include`, `extends`, `!reset`, `!override`.

Each file is interpolated with its own variables, then merged as trees: mappings by key, lists appended, commands and scalars
replaced. Ports are appended here and rid of equals when they are read (`compose.py`).

Source: the Compose specification (10-fragments, 13-merge, 14-include, 05-services "extends") and compose-go v2.9, which
Docker Compose 2.40 uses. A service of the same name in an including and an included file is refused, as it does.
"""

from __future__ import annotations

import posixpath

from portward.errors import InvalidFile
from portward.formats import dotenv
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, interpolated, parse
from portward.model import Location
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from collections.abc import Mapping as Values

    from portward.formats.yaml_tree import Node

_REPLACED = ("command", "entrypoint")
_KEYED = ("environment", "labels", "extra_hosts", "sysctls", "args", "annotations")  # lists of NAME=VALUE or mappings
_TOP_KEYS = ("version", "name", "services", "networks", "volumes", "secrets", "configs", "include", "models")
_MOST_FILES = 200


class Tree(Record):
    """The merged services by name, each with the place of its name, and the project's name where a file gives one."""

    name: str | None
    services: dict[str, Mapping]
    places: dict[str, Location]


def load(paths: Iterable[str], read: Callable[[str], str], values: Values[str, str]) -> Tree:
    """Reads and merges files, in the order of `--file`.

    `read` gives the text of a path relative to the project's root, raising OSError or UnicodeDecodeError; `values` are the
    variables in their order of precedence. Raises InvalidFile, with the place, where Compose would refuse a file.
    """
    return _Loader(read).load(list(paths), values, ())


class _Loader:
    def __init__(self, read: Callable[[str], str]) -> None:
        self.read = read
        self.budget = _MOST_FILES

    def load(self, paths: list[str], values: Values[str, str], chain: tuple[str, ...]) -> Tree:
        merged: Mapping | None = None
        name: str | None = None
        included = Tree(None, {}, {})
        for path in paths:
            for document in self._documents(path, values, chain):
                if isinstance(given := document.items.get("name"), Scalar):
                    name = given.text
                included = _united(included, self._included(document, path, values, (*chain, path)))
                services = self._services(document, path, values)
                merged = services if merged is None else _merged_mapping(merged, services, "services")
        own = merged or Mapping({}, {}, None, Location(paths[0] if paths else "", 1, 1))
        services_by_name = {key: node for key, node in own.items.items() if isinstance(node, Mapping)}
        return _united(included, Tree(name, services_by_name, own.keys)).replace(name=name)

    def _documents(self, path: str, values: Values[str, str], chain: tuple[str, ...]) -> Iterator[Mapping]:
        self.budget -= 1
        if path in chain or self.budget < 0:
            raise InvalidFile("includes itself" if path in chain else "too many included files", path=path)
        documents = parse(self._text(path, None), path)
        if not documents:
            raise InvalidFile("an empty Compose file", path=path)
        for document in documents:
            if not isinstance(document, Mapping):
                raise error("a Compose file must be a mapping", document)
            _check_keys(document)
            expanded = interpolated(document, values)
            assert isinstance(expanded, Mapping)
            yield expanded

    def _text(self, path: str, asked: Location | None) -> str:
        """The text of a file. `asked` is the place that names it, if another file does."""
        try:
            return self.read(path)
        except OSError as failure:
            reason = f"cannot read {path}: {failure.strerror or failure}" if asked else failure.strerror or str(failure)
        except UnicodeDecodeError:
            reason = f"{path} is not a text in UTF-8" if asked else "not a text in UTF-8"
        if asked is None:
            raise InvalidFile(reason, path=path)
        raise InvalidFile(reason, path=asked.path, line=asked.line, column=asked.column)

    def _services(self, document: Mapping, path: str, values: Values[str, str]) -> Mapping:
        """The services of one document with what they extend merged below them."""
        services = document.items.get("services")
        if services is None:
            return Mapping({}, {}, None, document.location)
        if not isinstance(services, Mapping):
            raise error("services must be a mapping of names to services", services)
        whole: dict[str, Node] = {}
        for name in services.items:
            if not name.startswith("x-"):
                whole[name] = self._extended(services, name, path, values, ())
        return services.replace(items=whole, keys={name: services.keys[name] for name in whole})

    def _extended(
        self, services: Mapping, name: str, path: str, values: Values[str, str], chain: tuple[tuple[str, str], ...]
    ) -> Mapping:
        node = services.items[name]
        if not isinstance(node, Mapping):
            raise error(f"service {name!r} must be a mapping", node)
        extends = node.items.get("extends")
        if extends is None:
            return node
        if (path, name) in chain:
            raise error(f"service {name!r} extends itself", extends)
        base_name, file = _extends(extends)
        base_path = path if file is None else posixpath.normpath(posixpath.join(posixpath.dirname(path), file.text))
        if file is not None:
            services = self._services_of(base_path, file, values)
        if base_name not in services.items:
            raise error(f"service {name!r} extends {base_name!r}, which is not in {base_path}", extends)
        base = self._extended(services, base_name, base_path, values, (*chain, (path, name)))
        own = node.replace(items={key: value for key, value in node.items.items() if key != "extends"})
        return _merged_mapping(base, own, "service")

    def _services_of(self, path: str, asked: Scalar, values: Values[str, str]) -> Mapping:
        """The services of a file that another one extends, as they stand there."""
        self.budget -= 1
        if self.budget < 0:
            raise error("too many files are extended", asked)
        for document in parse(self._text(path, asked.location), path):
            services = document.items.get("services") if isinstance(document, Mapping) else None
            if isinstance(services, Mapping):
                expanded = interpolated(services, values)
                assert isinstance(expanded, Mapping)
                return expanded
        raise error(f"{path} has no services", asked)

    def _included(self, document: Mapping, path: str, values: Values[str, str], chain: tuple[str, ...]) -> Tree:
        """The services of every file that a document includes, each with the variables of its own folder."""
        found = Tree(None, {}, {})
        include = document.items.get("include")
        if include is None:
            return found
        if not isinstance(include, Sequence):
            raise error("include must be a list", include)
        for entry in include.items:
            files, folder, env_files = _include(entry, posixpath.dirname(path))
            variables = {**self._variables(env_files, folder, values), **values}
            for file in files:
                self._text(file.text, file.location)
            found = _united(found, self.load([file.text for file in files], variables, chain))
        return found

    def _variables(self, env_files: list[Scalar] | None, folder: str, values: Values[str, str]) -> dict[str, str]:
        """The variables of the `env_file` of an include, else of the `.env` in the included file's folder."""
        defined: dict[str, str] = {}
        if env_files is None:
            path = posixpath.join(folder, ".env")
            try:
                texts = {path: self.read(path)}
            except OSError:
                return defined
        else:
            texts = {file.text: self._text(file.text, file.location) for file in env_files}
        for path, text in texts.items():
            defined.update(dotenv.parse(text, path, values).values)
        return defined


def error(message: str, node: Node) -> InvalidFile:
    """What is wrong, at a node's place."""
    return error_at(message, node.location)


def error_at(message: str, place: Location) -> InvalidFile:
    """What is wrong, at a place."""
    return InvalidFile(message, path=place.path, line=place.line, column=place.column)


def _extends(node: Node) -> tuple[str, Scalar | None]:
    """The service that is extended, and the file it stands in, if another."""
    if isinstance(node, Scalar):
        return node.text, None
    service = node.items.get("service") if isinstance(node, Mapping) else None
    file = node.items.get("file") if isinstance(node, Mapping) else None
    if not isinstance(service, Scalar) or not (file is None or isinstance(file, Scalar)):
        raise error("extends needs the name of a service", node)
    return service.text, file


def _include(node: Node, folder: str) -> tuple[list[Scalar], str, list[Scalar] | None]:
    """The files of one entry of `include` with paths relative to the root, their folder, and their `env_file`s."""
    if isinstance(node, Scalar):
        paths, env_files, project = [node], None, None
    elif isinstance(node, Mapping) and "path" in node.items:
        paths, project = _scalars(node.items["path"]), node.items.get("project_directory")
        env_files = _scalars(node.items["env_file"]) if "env_file" in node.items else None
    else:
        raise error("an include is a path, or a mapping with a path", node)
    files = [_relative(path, folder) for path in paths]
    home = _relative(project, folder).text if isinstance(project, Scalar) else posixpath.dirname(files[0].text)
    return files, home, None if env_files is None else [_relative(file, folder) for file in env_files]


def _relative(path: Scalar, folder: str) -> Scalar:
    return path.replace(value=posixpath.normpath(posixpath.join(folder, path.text)), expansion=None)


def _scalars(node: Node) -> list[Scalar]:
    found = [node] if isinstance(node, Scalar) else list(node.items) if isinstance(node, Sequence) else []
    texts = [item for item in found if isinstance(item, Scalar)]
    if not texts or len(texts) != len(found):
        raise error("a path, or a list of paths, is expected here", node)
    return texts


def _united(included: Tree, own: Tree) -> Tree:
    """Two sets of services that must not share a name."""
    for name, place in own.places.items():
        if name in included.services:
            raise error_at(f"service {name!r} is also in the included {included.places[name].path}", place)
    return Tree(own.name, {**included.services, **own.services}, {**included.places, **own.places})


def _merged_mapping(base: Mapping, over: Mapping, key: str) -> Mapping:
    items = dict(base.items)
    keys = dict(base.keys)
    for name, node in over.items.items():
        keys[name] = over.keys[name]
        if node.tag == "!reset":
            items.pop(name, None)
        elif name not in items:
            items[name] = node
        else:
            items[name] = _merged(
                items[name], node, name if key == "service" else "service" if key == "services" else ""
            )
    return over.replace(items=items, keys=keys)


def _merged(base: Node, over: Node, key: str) -> Node:
    if over.tag == "!override" or (isinstance(base, Scalar) and base.is_null):
        return over
    if isinstance(over, Scalar) and over.is_null:
        return base
    if key in _KEYED:
        base, over = _as_mapping(base), _as_mapping(over)
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return _merged_mapping(base, over, key)
    if isinstance(base, Sequence) and isinstance(over, Sequence):
        return over if key in _REPLACED else over.replace(items=(*base.items, *over.items))
    if key == "ports":
        raise error("ports must be a list, as in the file before", over)
    return over


def _as_mapping(node: Node) -> Node:
    """A list of NAME=VALUE as a mapping of the same scalars; anything else as it is."""
    if not isinstance(node, Sequence):
        return node
    items: dict[str, Node] = {item.text.partition("=")[0]: item for item in node.items if isinstance(item, Scalar)}
    return Mapping(items, {name: item.location for name, item in items.items()}, node.tag, node.location)


def _check_keys(document: Mapping) -> None:
    """Raises InvalidFile for a key that a Compose file does not have, as a file without `services:` has."""
    for key, place in document.keys.items():
        if key not in _TOP_KEYS and not key.startswith("x-"):
            node = document.items[key]
            service = isinstance(node, Mapping) and ("image" in node.items or "build" in node.items)
            raise error_at(
                f"{key!r} {'stands outside `services:`' if service else 'is not a key of a Compose file'}", place
            )
