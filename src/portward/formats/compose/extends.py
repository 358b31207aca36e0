"""`extends`: a service over one of the same file or of another.

Source: the Compose specification, 05-services "extends", and compose-go v2.9, `loader/extends.go`.
"""

from __future__ import annotations

import posixpath

from portward.formats.compose.merge import extended
from portward.formats.compose.places import placed
from portward.formats.compose.resets import resets, without
from portward.formats.yaml_tree import Mapping, Scalar, mapping, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping as Values

    from portward.formats.compose.files import Asked, Loader
    from portward.formats.compose.resets import Path
    from portward.formats.yaml_tree import Node

    Chain = tuple[tuple[str, str], ...]


def apply_extends(
    loader: Loader, document: Mapping, path: str, folder: str, values: Values[str, str], taken: list[Path]
) -> Mapping:
    """A document whose services have what they extend below them.

    `path` is the document's file, `folder` where relative paths start, `taken` what the document resets. Raises InvalidFile for
    a service or file that is not there, and for one that extends itself.
    """
    services = document.items.get("services")
    if services is None:
        return document
    if not isinstance(services, Mapping):
        raise problem("services must be a mapping of names to services", services)
    if not any(isinstance(service, Mapping) and "extends" in service.items for service in services.items.values()):
        return document
    whole = dict(services.items)
    extension = _Extension(loader, path, folder, values)
    for name in whole:
        extension.resolve(whole, name, taken, ())
    return document.having({**document.items, "services": services.having(whole)})


class _Extension:
    def __init__(self, loader: Loader, path: str, folder: str, values: Values[str, str]) -> None:
        self.loader = loader
        self.path = path
        self.folder = folder
        self.values = values

    def resolve(self, whole: dict[str, Node], name: str, taken: list[Path], chain: Chain) -> Node:
        """The service of that name, complete, which it is in `whole` afterwards."""
        service = whole[name]
        if isinstance(service, Scalar) and service.is_null:
            return service
        if not isinstance(service, Mapping):
            raise problem(f"service {name!r} must be a mapping", service)
        extends = service.items.get("extends")
        if extends is None:
            return service
        base_name, file = _reference(extends)
        key = (file.text if file else self.path, name)
        if key in chain:
            raise problem(f"service {name!r} extends itself", extends)
        found, path = whole, self.path
        if file is not None:
            found, path, more = self._other_file(file)
            taken = [*taken, *more]
        if base_name not in found:
            raise problem(f"service {name!r} extends {base_name!r}, which is not in {path}", extends)
        base = self.resolve(found, base_name, taken, (*chain, key))
        if not isinstance(base, Mapping):
            return service
        below = without(mapping({"services": mapping({name: base}, base)}, base), taken)
        rest = below.items.get("services")
        kept = rest.items.get(name) if isinstance(rest, Mapping) else None
        both = extended(kept, service) if isinstance(kept, Mapping) else service
        complete = both.having({key: node for key, node in both.items.items() if key != "extends"})
        whole[name] = complete
        return complete

    def _other_file(self, file: Scalar) -> tuple[dict[str, Node], str, list[Path]]:
        """The services of another file, with its path and what its documents reset."""
        from portward.formats.compose.files import Asked

        path = posixpath.normpath(posixpath.join(self.folder, file.text))
        asked: Asked = Asked(file.text if "://" in file.text else path, file.location)
        folder = posixpath.dirname(posixpath.normpath(file.text))
        tree = placed(self.loader.base(asked, self.values), folder, self.values.get("HOME", "~"))
        services = tree.items.get("services")
        if not isinstance(services, Mapping):
            raise problem(f"{path} has no services", file)
        taken = [away for document in self.loader.documents(asked)[-1:] for away in resets(document)]
        return dict(services.items), path, taken


def _reference(node: Node) -> tuple[str, Scalar | None]:
    """The service that is extended, and the file it stands in, if another."""
    if isinstance(node, Scalar) and isinstance(node.data, str):
        return node.data, None
    service = node.items.get("service") if isinstance(node, Mapping) else None
    file = node.items.get("file") if isinstance(node, Mapping) else None
    if not isinstance(service, Scalar) or not isinstance(service.data, str):
        raise problem("extends needs the name of a service", node)
    if isinstance(file, Scalar) and file.is_null:
        file = None
    if file is not None and not (isinstance(file, Scalar) and isinstance(file.data, str)):
        raise problem("a path is expected here", file)
    return service.data, file
