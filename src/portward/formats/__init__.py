"""Declared truth: pure readers of project files, one file per format.

`FORMATS` says which file is read as what, by its name alone; an unknown file is never guessed at. To add a format, write its
module (text in, `PortSpec`s out), give its names a line here, and call it in `project.py`.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Service

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
}
_NOT_IN_FORCE = (".example", ".sample", ".template", ".dist", ".defaults")


class Stack(Record):
    """What Compose files declare: the project's name if they give one, active and inactive services."""

    name: str | None
    services: tuple[Service, ...]
    inactive: tuple[Service, ...]


def format_of(path: str) -> str | None:
    """The format that a file is read as, by its name: a key of `FORMATS`, or None for a file that is not read."""
    name = path.rpartition("/")[2]
    if name.endswith(_NOT_IN_FORCE):
        return None
    for format_name, patterns in FORMATS.items():
        if any(fnmatchcase(name, pattern) for pattern in patterns):
            return format_name
    return None
