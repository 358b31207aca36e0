"""From the texts of a project's files to one `Project`: which files are in force, and what they declare.

Which references mean the same port is for `links.py` to say.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile, UsageError
from portward.formats import Stack, dotenv, format_of, links, reader_of
from portward.model import ComposeOptions, PortSpec, Project, Service, Skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
COMPOSE_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
"""Where Compose looks, in its order: note yaml before yml here, and yml before yaml for the override."""


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
    env_files = _env_files(paths, environment, options)
    variables = [
        dotenv.parse(_asked(path, read), path, environment) for path in env_files if path in paths or options.env_files
    ]
    defined: dict[str, str] = {}
    for found in variables:
        defined.update(found.values)
    values = {**defined, **environment}
    files = _compose_files(paths, values, options)
    profiles = (*options.profiles, *_split(values.get("COMPOSE_PROFILES", ""), ","))
    stack = _stack(files, read, values, profiles)
    services, chain = _by_definitions((*stack.services, *stack.inactive), variables)
    references: list[PortSpec] = [spec for found in variables for spec in dotenv.ports(found, chain)]
    skipped: list[Skipped] = []
    for path in paths:
        if path not in env_files and path not in files:
            found_here, problem = _read_other(path, read)
            references += found_here
            skipped += problem
    name = values.get("COMPOSE_PROJECT_NAME") or stack.name or compose_name(folder) or folder
    services, loose, found_links = links.link(services, references, name, env_files)
    active = {service.name for service in stack.services}
    return Project(
        name=name,
        root=root,
        services=tuple(service for service in services if service.name in active or not stack.services),
        inactive=tuple(service for service in services if service.name not in active and stack.services),
        links=found_links,
        references=loose,
        skipped=tuple(skipped),
        overridden=tuple(sorted(name for name, value in defined.items() if environment.get(name, value) != value)),
    )


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


def compose_name(folder: str) -> str:
    """The name that Compose gives a project by its folder: lower case, and only letters, digits, `-` and `_`."""
    return re.sub(r"[^a-z0-9_-]", "", folder.lower()).lstrip("_-")


def _env_files(paths: Sequence[str], environment: Mapping[str, str], options: ComposeOptions) -> tuple[str, ...]:
    if options.env_files:
        return options.env_files
    if environment.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "true"):
        return ()
    return _split(environment.get("COMPOSE_ENV_FILES", ""), ",") or ((".env",) if ".env" in paths else ())


def _compose_files(paths: Sequence[str], values: Mapping[str, str], options: ComposeOptions) -> tuple[str, ...]:
    """The Compose files in force: those asked for, else COMPOSE_FILE, else the first usual name and its override."""
    if options.files:
        return options.files
    if chosen := values.get("COMPOSE_FILE"):
        return _split(chosen, values.get("COMPOSE_PATH_SEPARATOR") or ":")
    base = next((name for name in COMPOSE_FILES if name in paths), None)
    if base is None:
        return ()
    override = next((name for name in COMPOSE_OVERRIDES if name in paths), None)
    return (base, override) if override else (base,)


def _stack(
    files: Sequence[str], read: Callable[[str], str], values: Mapping[str, str], profiles: Sequence[str]
) -> Stack:
    if not files:
        return Stack(None, (), ())
    for path in files:
        _asked(path, read)
    from portward.formats import compose  # with it a YAML parser, which a project without Compose does without

    return compose.read(files, read, values, profiles)


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(separator) if part.strip())


def _asked(path: str, read: Callable[[str], str]) -> str:
    """The text of a file that the answer cannot do without."""
    try:
        return read(path)
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror or error}", path=path) from None
    except UnicodeDecodeError:
        raise InvalidFile("not a text in UTF-8", path=path) from None


def _read_other(path: str, read: Callable[[str], str]) -> tuple[list[PortSpec], list[Skipped]]:
    kind = format_of(path)
    if kind is None or kind == "compose":  # a Compose file that is not in force
        return [], []
    try:
        return reader_of(kind)(read(path), path), []
    except InvalidFile as error:
        return [], [Skipped(str(error).partition(": ")[0], error.message)]
    except OSError as error:
        return [], [Skipped(path, error.strerror or str(error))]
    except UnicodeDecodeError:
        return [], [Skipped(path, "not a text in UTF-8")]
