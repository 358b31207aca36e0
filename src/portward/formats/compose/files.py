"""Which Compose files make a project, and what they come to: `-f a -f b`, `include`, several documents in a file.

Each document is interpolated with the variables of its folder, what its services extend is laid below them, it is laid over
the documents before it, held against the schema, and brought into long form.

Source: the Compose specification (10-fragments, 13-merge, 14-include) and compose-go v2.9, `loader/`, which Docker Compose 2.40
uses. A service that stands in an including and an included file is refused, as it is there, unless both are equal.
"""

from __future__ import annotations

import posixpath

from portward.errors import InvalidFile
from portward.formats import dotenv
from portward.formats.compose import schema
from portward.formats.compose.encodings import not_utf8
from portward.formats.compose.extends import apply_extends
from portward.formats.compose.forms import long_forms
from portward.formats.compose.interpolation import interpolated
from portward.formats.compose.merge import merged, without_equals
from portward.formats.compose.places import placed
from portward.formats.compose.resets import resets, without
from portward.formats.compose.values import check_consistent
from portward.formats.yaml_parse import parse
from portward.formats.yaml_tree import File, Mapping, Scalar, Sequence, problem, same
from portward.model import Location
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Mapping as Values

    from portward.formats.yaml_tree import Node

_MOST_FILES = 1000
_RESOURCES = ("services", "volumes", "networks", "secrets", "configs", "models")


class Asked(Record):
    """A file that is to be read: its path relative to the root, and the place that names it, None where the user did."""

    path: str
    place: Location | None = None


class Loader:
    """Reads the files of one project, each once.

    `read` gives the text of a path relative to the project's root, raising OSError or UnicodeDecodeError. `variables` are those
    that were read for included files.
    """

    def __init__(self, read: Callable[[str], str]) -> None:
        self.read = read
        self.rule = schema.load()
        self.variables: list[dotenv.Variables] = []
        self._documents: dict[str, list[Node]] = {}

    def documents(self, asked: Asked) -> list[Mapping]:
        """The documents of a file as they are written. Raises InvalidFile for what is no Compose file."""
        if asked.path not in self._documents:
            if len(self._documents) >= _MOST_FILES:
                raise problem(f"more than {_MOST_FILES} files are included or extended", _place_of(asked))
            self._documents[asked.path] = parse(self.text(asked), asked.path)
        found = self._documents[asked.path]
        for document in found:
            if not isinstance(document, Mapping):
                raise problem("a Compose file must be a mapping", document)
        return [document for document in found if isinstance(document, Mapping)]

    def text(self, asked: Asked) -> str:
        """The text of a file. Raises InvalidFile at the place that names it."""
        if "://" in asked.path or asked.path.startswith("git@"):
            raise problem(f"{asked.path} is remote: Portward reads files of this machine only", _place_of(asked))
        try:
            return self.read(asked.path)
        except OSError as failure:
            reason = f"cannot read it: {failure.strerror or failure}"
        except UnicodeDecodeError as error:
            raise not_utf8(error, asked.path) from None
        if asked.place is None:
            raise InvalidFile(reason, path=asked.path)
        raise problem(f"{asked.path}: {reason}", asked.place)

    def model(self, files: list[Asked], folder: str, values: Values[str, str], chain: tuple[str, ...] = ()) -> Mapping:
        """What files come to that are laid over each other, in this order.

        Relative paths in them start at `folder`; `chain` are the files that include them.
        """
        tree = Mapping(File(files[0].path if files else "", ""), 0, None, {}, {})
        for file in files:
            for document in self.documents(file):
                tree = self._laid_over(tree, document, file.path, folder, values, chain)
        check_consistent(tree)
        return placed(tree, folder, values.get("HOME", "~"))

    def base(self, asked: Asked, values: Values[str, str]) -> Mapping:
        """A file that a service extends: in long form, but neither its own `extends` nor `include` followed."""
        tree = Mapping(File(asked.path, ""), 0, None, {}, {})
        for document in self.documents(asked):
            tree = without(tree, resets(document))
            tree = without_equals(merged(tree, interpolated(document, values)))
            tree = without_equals(long_forms(tree))
        return tree

    def _laid_over(
        self, tree: Mapping, document: Mapping, path: str, folder: str, values: Values[str, str], chain: tuple[str, ...]
    ) -> Mapping:
        taken = resets(document)
        own = apply_extends(self, interpolated(document, values), path, folder, values, taken)
        tree = without(tree, taken)
        own = self._with_included(own, folder, values, (*chain, path))
        tree = without_equals(merged(tree, own))
        _check_keys(tree)
        self.rule.check(tree)
        if "version" in tree.items:
            tree = tree.having({key: node for key, node in tree.items.items() if key != "version"})
        return without_equals(long_forms(tree))

    def _with_included(self, own: Mapping, folder: str, values: Values[str, str], chain: tuple[str, ...]) -> Mapping:
        """A document with all that it includes, each file with the variables of its own folder."""
        include = own.items.get("include")
        if include is None:
            return own
        items = {key: node for key, node in own.items.items() if key != "include"}
        if not isinstance(include, Sequence) and not (isinstance(include, Scalar) and include.is_null):
            raise problem("include must be a list", include)
        for entry in include.items if isinstance(include, Sequence) else ():
            files, home, env_files = _include(entry, folder)
            if files and files[0].path in chain:
                circle = " -> ".join([*chain[chain.index(files[0].path) :], files[0].path])
                raise problem(f"files include each other in a circle: {circle}", entry)
            variables = {**self._variables(env_files, home, values), **values}
            _add(items, self.model(files, home, variables, chain))
        return own.having(items)

    def _variables(self, env_files: list[Asked] | None, folder: str, values: Values[str, str]) -> dict[str, str]:
        """The variables of the `env_file` of an include, else of the `.env` in the included file's folder."""
        defined: dict[str, str] = {}
        for file in [Asked(posixpath.join(folder, ".env"))] if env_files is None else env_files:
            try:
                text = self.read(file.path) if env_files is None else self.text(file)
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                continue
            except OSError as failure:
                raise problem(f"cannot read it: {failure.strerror or failure}", _place_of(file)) from None
            except UnicodeDecodeError as error:
                raise not_utf8(error, file.path) from None
            found = dotenv.parse(text, file.path, values, defined)
            self.variables.append(found)
            defined.update(found.values)
        return defined


def _place_of(asked: Asked) -> Location:
    return asked.place or Location(asked.path, 1, 1)


def _include(node: Node, folder: str) -> tuple[list[Asked], str, list[Asked] | None]:
    """The files of one entry of `include`, the folder that their paths start at, and their `env_file`s."""
    items = node.items if isinstance(node, Mapping) else {"path": node}
    if not isinstance(node, Mapping) and not (isinstance(node, Scalar) and isinstance(node.data, str)):
        raise problem("an include is a path, or a mapping with a path", node)
    files = [_asked(path, folder) for path in _paths(items.get("path"))]
    env_files = [_asked(path, folder) for path in _paths(items.get("env_file"))]
    project = items.get("project_directory")
    home = posixpath.dirname(files[0].path) if files else folder
    if isinstance(project, Scalar) and project.text:
        home = posixpath.normpath(posixpath.join(folder, project.text))
    return files, "" if home == "." else home, env_files or None


def _asked(path: Scalar, folder: str) -> Asked:
    is_remote = "://" in path.text
    return Asked(path.text if is_remote else posixpath.normpath(posixpath.join(folder, path.text)), path.location)


def _paths(node: Node | None) -> Iterator[Scalar]:
    found = node.items if isinstance(node, Sequence) else () if node is None else (node,)
    for item in found:
        if isinstance(item, Scalar) and isinstance(item.data, str):
            yield item
        elif item is not node or not (isinstance(item, Scalar) and item.is_null):
            raise problem("a path, or a list of paths, is expected here", item)


def _add(items: dict[str, Node], included: Mapping) -> None:
    """Adds what another model defines. Raises InvalidFile for a name that both define, if not in the same way."""
    for kind in _RESOURCES:
        theirs = included.items.get(kind)
        if not isinstance(theirs, Mapping):
            continue
        own = items.get(kind, Mapping(theirs.file, theirs.start, None, {}, {}))
        if not isinstance(own, Mapping):
            raise problem(f"{kind} must be a mapping", own)
        for name, node in theirs.items.items():
            if name in own.items and not same(node, own.items[name]):
                other = theirs.place(name)
                raise problem(f"{name!r} is defined in another way in {other.path}, line {other.line}", own.place(name))
        items[kind] = Mapping(
            own.file, own.start, own.tag, {**own.items, **theirs.items}, {**theirs.names, **own.names}
        )


def _check_keys(document: Mapping) -> None:
    """Raises InvalidFile for services that stand outside `services:`, as in files of long ago."""
    for key, node in document.items.items():
        if key in (*_RESOURCES, "version") or key.startswith("x-") or not isinstance(node, Mapping):
            continue
        if "image" in node.items or "build" in node.items:
            place = document.place(key)
            raise problem(f"{key!r} stands outside `services:`", place, hint="put it below `services:`")
