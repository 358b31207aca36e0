"""From the texts of a project's files to one `Project`: which ports are declared, and which of them mean the same.

Every number is kept on its side. Inside a Compose network, `http://nexus-server:5000` names the container's port;
`http://localhost:5000` in a browser's configuration names the host's. A reference belongs to a service through, in this
order, the name of a variable that the service's published port is interpolated from, the host name of a URL, the published
port that it equals, and at last the words of the variable that holds it (`REACT_APP_API_URL` asks for an API).
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile, UsageError
from portward.formats import Stack, dotenv, format_of, reader_of
from portward.model import ComposeOptions, PortSpec, Project, Role, Service, Side, Skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
COMPOSE_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
"""Where Compose looks, in its order: note yaml before yml here, and yml before yaml for the override."""
_SCHEMES = {
    "mongodb": "mongo",
    "mongodb+srv": "mongo",
    "postgresql": "postgres",
    "amqp": "rabbit",
    "amqps": "rabbit",
    "rediss": "redis",
    "mariadb": "mysql",
}
_SYNONYMS = {
    "api": {"backend", "server", "api"},
    "backend": {"backend", "server", "api"},
    "server": {"backend", "server", "api"},
    "frontend": {"frontend", "client", "web", "ui"},
    "client": {"frontend", "client", "web", "ui"},
    "web": {"frontend", "client", "web"},
}
_WORDS_OF_EVERY_URL = {"react", "app", "vite", "next", "public", "nuxt", "url", "uri", "base", "host", "http", "https"}


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
    references: list[PortSpec] = [spec for found in variables for spec in dotenv.ports(found)]
    skipped: list[Skipped] = []
    for path in paths:
        if path not in env_files and path not in files:
            found_here, problem = _read_other(path, read)
            references += found_here
            skipped += problem
    name = values.get("COMPOSE_PROJECT_NAME") or stack.name or compose_name(folder) or folder
    services, loose = _link(stack.services or _bare_services(references, name), references)
    return Project(
        name=name,
        root=root,
        services=services,
        inactive=stack.inactive,
        references=loose,
        skipped=tuple(skipped),
        overridden=tuple(sorted(name for name, value in defined.items() if environment.get(name, value) != value)),
    )


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


def _link(
    services: tuple[Service, ...], references: Iterable[PortSpec]
) -> tuple[tuple[Service, ...], tuple[PortSpec, ...]]:
    """The services with the references that are theirs, and the references that are nobody's."""
    ports = {service.name: [spec for spec in service.ports if spec.service] for service in services}
    loose = [spec for service in services for spec in service.ports if not spec.service]
    known = {(spec.location, spec.span) for specs in ports.values() for spec in specs}
    left: list[PortSpec] = []
    for spec in (*loose, *(spec for spec in references if (spec.location, spec.span) not in known)):
        owner = _owner(spec, services)
        if owner is None:
            left.append(spec)
        else:
            ports[owner.name].append(spec.replace(service=owner.name))
    return tuple(service.replace(ports=tuple(ports[service.name])) for service in services), tuple(left)


def _bare_services(references: Iterable[PortSpec], project: str) -> tuple[Service, ...]:
    """The services of a project without Compose: one for each variable that holds a port, or number in a folder's code."""
    found: dict[str, Service] = {}
    for spec in references:
        if spec.role in (Role.HOST, Role.FALLBACK) and spec.side is Side.HOST:
            folder = spec.location.path.rpartition("/")[0]
            prefix = next((name.lower().rpartition("port")[0].strip("_-") for name in spec.variables), "")
            name = prefix.replace("_", "-") or folder.partition("/")[0] or project
            service = found.setdefault(name, Service(name, names=(name,), folders=(folder,) if folder else ()))
            found[name] = service.replace(ports=(*service.ports, spec.replace(service=name)))
    return tuple(found.values())


def _owner(spec: PortSpec, services: tuple[Service, ...]) -> Service | None:
    if spec.role is not Role.URL:
        near = _nearby(spec, services)
        by_variable = [service for service in services if _interpolates(service, spec.variables)]
        if near and not (set(near) & set(by_variable)):
            return _publisher(near)  # `client/.env` may say PORT too, and mean its own
        return _publisher([service for service in by_variable if service in near] or by_variable)
    if spec.side is Side.CONTAINER:
        return next((service for service in services if spec.host in service.names), None)
    port = spec.range
    equal = [service for service in services if port and any(_publishes(entry, port.low) for entry in service.ports)]
    return _publisher(equal) or _named(spec, services)


def _nearby(spec: PortSpec, services: tuple[Service, ...]) -> list[Service]:
    """The services in whose own folder the file is."""
    path = spec.location.path
    return [service for service in services if any(path.startswith(f"{folder}/") for folder in service.folders)]


def _publisher(services: list[Service]) -> Service | None:
    """The one that publishes ports, where several come into question."""
    return next((service for service in services if _published(service)), services[0] if services else None)


def _published(service: Service) -> list[PortSpec]:
    return [spec for spec in service.ports if spec.origin == "compose"]


def _publishes(spec: PortSpec, port: int) -> bool:
    return spec.origin == "compose" and spec.range is not None and port in spec.range


def _interpolates(service: Service, names: tuple[str, ...]) -> bool:
    return any(not set(spec.variables).isdisjoint(names) for spec in _published(service))


def _named(spec: PortSpec, services: tuple[Service, ...]) -> Service | None:
    """The service that the words of a variable or the scheme of a URL speak of, if it is just one."""
    words = {word for name in spec.variables for word in _words(name)} - _WORDS_OF_EVERY_URL
    url = re.search(r"([a-z][a-z0-9+.-]*)://", spec.text)
    if url and url[1] not in ("http", "https", "ws", "wss"):
        words.add(_SCHEMES.get(url[1], url[1]))
    wanted = words.union(*(_SYNONYMS.get(word, set()) for word in words))
    candidates = [service for service in services if _published(service)]
    for test in (words, wanted):
        found = [service for service in candidates if _is_called(service, test)]
        if len(found) == 1:
            return found[0]
    return None


def _is_called(service: Service, words: set[str]) -> bool:
    image = (service.image or "").rpartition("/")[2].partition(":")[0]
    own = {word for name in (*service.names, image) for word in _words(name)}
    return any(word == known or (len(word) > 3 and known.startswith(word)) for word in words for known in own)


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]
