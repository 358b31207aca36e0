"""Declared truth: pure readers of project files, one file per format.

`FORMATS` says which file is read as what, by its name alone; an unknown file is never guessed at. A pattern with a `/` is one of
the end of a path. Where a name is shared (any `*.yaml` may be a manifest), the reader looks at the text first and gives nothing
for what is not its own. To add a format, write the module of that name with `read(text, path)` (text in, `PortSpec`s out) and
give its names a line here.
"""

from __future__ import annotations

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from portward.formats.dotenv import Variables
    from portward.model import PortSpec, Service

FORMATS: dict[str, tuple[str, ...]] = {
    "compose": (
        "compose.yaml",
        "compose.yml",
        "docker-compose.yml",
        "docker-compose.yaml",
        "compose.override.y*ml",
        "docker-compose.override.y*ml",
    ),
    "dotenv": (".env", ".env.*"),
    "javascript": tuple(
        f"{stem}.{extension}"
        for stem in ("config", "*.config", "server", "index", "main", "app", "settings", "constants", "env", "proxy")
        for extension in ("js", "mjs", "cjs", "ts", "mts", "cts")
    ),
    "npm": ("package.json",),
    "procfile": ("Procfile", "Procfile.*"),
    "dockerfile": (
        *("Dockerfile", "Dockerfile.*", "*.Dockerfile", "dockerfile", "*.dockerfile"),
        *("Containerfile", "Containerfile.*"),
    ),
    "makefile": ("Makefile", "makefile", "GNUmakefile", "*.mk"),
    "shell": ("*.sh", "*.bash", ".envrc"),
    "python": (
        *("settings.py", "config.py", "app.py", "main.py", "manage.py", "wsgi.py", "asgi.py", "server.py", "run.py"),
        *("constants.py", "conf.py", "celeryconfig.py", "__main__.py", "*_settings.py", "settings_*.py", "*_config.py"),
        *("gunicorn*.py", "hypercorn*.py", "*.conf.py", "settings/*.py", "config/*.py"),
    ),
    "caddy": ("Caddyfile", "Caddyfile.*", "*.Caddyfile"),
    "haproxy": ("haproxy*.cfg", "haproxy/*.cfg"),
    "redis": ("redis*.conf", "valkey*.conf", "sentinel*.conf"),
    "postgresql": ("postgresql*.conf",),
    "mosquitto": ("mosquitto*.conf", "mosquitto/*.conf"),
    "supervisord": ("supervisord*.conf", "supervisor/*.conf", "supervisor/*.ini"),
    "nginx": (
        "nginx*.conf",
        "*.nginx",
        "default.conf",
        "nginx/*.conf",
        "conf.d/*.conf",
        "sites-available/*",
        "sites-enabled/*",
        "*.conf.template",
    ),
    "spring": (
        *("application.properties", "application.yml", "application.yaml"),
        *("application-*.properties", "application-*.yml", "application-*.yaml"),
    ),
    "dotnet": ("launchSettings.json", "appsettings.json", "appsettings.*.json"),
    "systemd": ("*.service", "*.socket", "*.container", "*.pod"),
    "streamlit": (".streamlit/config.toml",),
    "vscode": (".vscode/launch.json", ".vscode/tasks.json"),
    "devcontainer": ("devcontainer.json", ".devcontainer.json"),
    "markdown": (
        *("README*.md", "readme*.md", "Readme*.md", "PORTS*.md", "ports*.md", "PORT_*.md", "PORT-*.md", "docs/*.md"),
        *(
            "AGENTS.md",
            "CLAUDE.md",
            "GEMINI.md",
            "CONTRIBUTING.md",
            "DEVELOPMENT.md",
            "INSTALL.md",
            "SETUP.md",
            "HACKING.md",
        ),
    ),
    "kubernetes": ("*.yaml", "*.yml"),
}
_IN_A_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")
_NOT_IN_FORCE = (".example", ".sample", ".template", ".dist", ".defaults")


class Stack(Record):
    """What Compose files declare: the project's name if they give one, active and inactive services.

    `variables` are those that included files are interpolated from, besides the project's own.
    """

    name: str | None
    services: tuple[Service, ...]
    inactive: tuple[Service, ...]
    variables: tuple[Variables, ...] = ()


_NAMES = {
    name: format_name
    for format_name, patterns in FORMATS.items()
    for name in patterns
    if "*" not in name and "/" not in name
}
_PATTERNS = [
    (pattern, format_name) for format_name, patterns in FORMATS.items() for pattern in patterns if pattern not in _NAMES
]


def format_of(path: str) -> str | None:
    """The format that a file is read as, by its name: a key of `FORMATS`, or None for a file that is not read.

    A whole name goes before a pattern, and an earlier pattern before a later one. A file that is only an example by its
    ending is not read, unless the pattern says that ending too.
    """
    name = path.rpartition("/")[2]
    if name in _NAMES:
        return _NAMES[name]
    is_example = name.endswith(_NOT_IN_FORCE)
    for pattern, format_name in _PATTERNS:
        if not is_example or pattern.endswith(_NOT_IN_FORCE):
            whole = "/" in pattern
            if _matches(f"/{path}" if whole else name, f"*/{pattern}" if whole else pattern):
                return format_name
    return None


def _matches(name: str, pattern: str) -> bool:
    """Whether a name fits a pattern of which only `*` is special: as `fnmatchcase`, whose expressions cost more than a lease."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    end = len(name) - len(rest[-1])
    if not name.startswith(first) or not name.endswith(rest[-1]):
        return False
    start = len(first)
    for part in rest[:-1]:
        found = name.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return start <= end


def compose_name(folder: str) -> str:
    """The name that Compose gives a project by its folder: lower case, and only letters, digits, `-` and `_`."""
    return "".join(char for char in folder.lower() if char in _IN_A_NAME).lstrip("_-")


def reader_of(format_name: str) -> Callable[[str, str], list[PortSpec]]:
    """The `read(text, path)` of a format that one file is read by alone: any but Compose. Loads its module now.

    A reader gives the ports in the order of the text, and raises InvalidFile, with the place, for what is not of its format.
    """
    from importlib import import_module

    read: Callable[[str, str], list[PortSpec]] = import_module(f"portward.formats.{format_name}").read
    return read
