"""From the texts of a project's files to one `Project`: which files are in force, and what they declare.

Which references mean the same port is for `links.py` to say.
"""

from __future__ import annotations

import posixpath

from portward.errors import InvalidFile
from portward.formats import Stack, compose_name, dotenv, format_of, links, reader_of
from portward.formats.compose import discovery
from portward.formats.compose.encodings import tolerant
from portward.model import ComposeOptions, PortSpec, Project, Service, Skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def declare(
    root: str,
    folder: str,
    paths: Sequence[str],
    read: Callable[[str], str],
    environment: Mapping[str, str],
    options: ComposeOptions,
) -> Project:
    """What the files of a project declare.

    `root` is the project's folder as people know it, `folder` its last part, `paths` its files relative to it; `read` gives
    the text of one, raising OSError or UnicodeDecodeError. Raises InvalidFile where Compose would refuse its files or the
    `.env` that they are interpolated from, and UsageError for a file that was asked for and is not there. Any other
    unreadable file is in `Project.skipped`.
    """
    read = _once(read)
    read_own = tolerant(read)
    start = discovery.start(read_own, environment, options)
    stack = _stack(root, folder, start, read_own)
    env_files = [found.path for found in start.variables]
    in_force = (*start.variables, *_of_includes(stack, start))
    services, chain = _by_definitions((*stack.services, *stack.inactive), in_force)
    references: list[PortSpec] = [spec for found in in_force for spec in dotenv.ports(found, chain)]
    known = {(spec.location, spec.span) for spec in references}
    skipped: list[Skipped] = []
    of_containers = _env_files(services)
    for path in dict.fromkeys((*paths, *of_containers)):
        if path not in env_files and path not in start.files:
            found_here, problem = _read_other(path, "dotenv" if path in of_containers else format_of(path), read)
            references += (spec for spec in found_here if (spec.location, spec.span) not in known)
            skipped += problem
    name = stack.name or start.values.get("COMPOSE_PROJECT_NAME") or compose_name(folder) or folder
    defined = {name: value for found in (*stack.variables, *start.variables) for name, value in found.values.items()}
    places = {(found.path, definition.location.line) for found in in_force for definition in found.definitions}
    services, loose, found_links = links.link(services, references, name, places)
    inactive = {service.name for service in stack.inactive}
    return Project(
        name=name,
        root=root,
        services=tuple(service for service in services if service.name not in inactive),
        inactive=tuple(service for service in services if service.name in inactive),
        links=found_links,
        references=loose,
        skipped=tuple(skipped),
        files=start.files,
        overridden=tuple(sorted(name for name, value in defined.items() if environment.get(name, value) != value)),
    )


def _of_includes(stack: Stack, start: discovery.Start) -> list[dotenv.Variables]:
    """What included files alone have their variables from: a definition that is in force everywhere wins over theirs."""
    own = {found.path for found in start.variables}
    found = {found.path: found for found in stack.variables if found.path not in own}
    return [
        each.replace(definitions=tuple(one for one in each.definitions if one.name not in start.values))
        for each in found.values()
    ]


def _by_definitions(
    services: tuple[Service, ...], files: Sequence[dotenv.Variables]
) -> tuple[tuple[Service, ...], set[str]]:
    """The services, their ports with the variables that their variables are defined by; and all names of such variables."""
    used = {definition.name: dotenv.used(definition) for found in files for definition in found.definitions}
    used = {name: others for name, others in used.items() if others}
    names = {name for service in services for spec in service.ports for name in spec.variables}
    if not used:
        return services, names
    wider = tuple(
        service.replace(ports=tuple(spec.replace(variables=_closed(spec.variables, used)) for spec in service.ports))
        for service in services
    )
    return wider, set(_closed(tuple(names), used))


def _closed(names: tuple[str, ...], used: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    found = list(dict.fromkeys(names))
    for name in found:  # it grows as it is walked
        found += (other for other in used.get(name, ()) if other not in found)
    return tuple(found)


def _stack(root: str, folder: str, start: discovery.Start, read: Callable[[str], str]) -> Stack:
    if not start.files:
        return Stack(None, (), ())
    for path in start.files:
        discovery.asked(path, read)
    from portward.formats.compose import stack  # with it a YAML parser, which a project without Compose does without

    home = posixpath.dirname(start.files[0])
    if home not in ("", "."):
        folder = posixpath.basename(posixpath.normpath(posixpath.join(root, home)))
    return stack.read(start.files, read, {**start.values, "PWD": root}, start.profiles, folder)


def _once(read: Callable[[str], str]) -> Callable[[str], str]:
    """A `read` that looks at each readable file once."""
    texts: dict[str, str] = {}

    def text_of(path: str) -> str:
        if path not in texts:
            texts[path] = read(path)
        return texts[path]

    return text_of


def _env_files(services: Sequence[Service]) -> set[str]:
    """What containers have their variables from, whatever it is called: the files below the root."""
    paths = {posixpath.normpath(path) for service in services for path in service.env_files}
    return {path for path in paths if not path.startswith(("/", "../"))}


def _read_other(path: str, kind: str | None, read: Callable[[str], str]) -> tuple[list[PortSpec], list[Skipped]]:
    if kind is None or kind == "compose":  # a Compose file that is not in force
        return [], []
    try:
        return reader_of(kind)(read(path), path), []
    except InvalidFile as error:
        return [], [Skipped(str(error).partition(": ")[0], error.message)]
    except FileNotFoundError:
        return [], []  # it is not required, or was removed just now
    except OSError as error:
        return [], [Skipped(path, error.strerror or str(error))]
    except UnicodeDecodeError:
        return [], [Skipped(path, "not a text in UTF-8")]
