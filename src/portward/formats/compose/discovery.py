"""Which variables and files Docker Compose starts from, before it reads the first file.

Variables, strongest first: the process's environment, then `--env-file` or COMPOSE_ENV_FILES, else the `.env` of the folder
where Compose is asked and that of the first file. Files: `--file`, else COMPOSE_FILE, which a `.env` may give too, else the
first usual name with its override.

Source: compose-go v2.9, `cli/options.go`, and docker/compose v2.40, `cmd/compose/compose.go`.
"""

from __future__ import annotations

import posixpath

from portward.errors import UsageError
from portward.formats import dotenv
from portward.formats.compose.encodings import not_utf8
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portward.formats.dotenv import Variables
    from portward.model import ComposeOptions

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
COMPOSE_OVERRIDES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
"""Where Compose looks, in its order: note yaml before yml here, and yml before yaml for the override."""
_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")


class Start(Record):
    """What Compose starts from: its files in order, all variables, the files that define some, and the active profiles."""

    files: tuple[str, ...]
    values: Mapping[str, str]
    variables: tuple[Variables, ...]
    profiles: tuple[str, ...]


def start(read: Callable[[str], str], environment: Mapping[str, str], options: ComposeOptions) -> Start:
    """What Compose starts from in a project's root. No files: it is no project of Compose.

    `read` gives the text of a path relative to the root, raising OSError or UnicodeDecodeError. Raises UsageError for a file
    that was asked for and cannot be read, InvalidFile where Compose would refuse a file of variables.
    """
    values = dict(environment)
    named = options.env_files or _split(environment.get("COMPOSE_ENV_FILES", ""), ",")
    folder = posixpath.dirname(options.files[0]) if options.files else ""
    found = [_variables(read, named or _default(read, environment, folder), values)]
    files = options.files or _chosen(values) or _usual(read)
    if files and not named and posixpath.dirname(files[0]) != folder:
        found.append(_variables(read, _default(read, environment, posixpath.dirname(files[0])), values))
    profiles = options.profiles or values.get("COMPOSE_PROFILES", "").split(",")  # "" is a profile too, and then active
    return Start(files, values, tuple(one for group in found for one in group), tuple(map(str.strip, profiles)))


def asked(path: str, read: Callable[[str], str]) -> str:
    """The text of a file that the answer cannot do without. Raises UsageError if it cannot be read."""
    try:
        return read(path)
    except OSError as error:
        raise UsageError(f"cannot read it: {error.strerror or error}", path=path) from None
    except UnicodeDecodeError as error:
        raise not_utf8(error, path) from None


def _variables(read: Callable[[str], str], paths: Sequence[str], values: dict[str, str]) -> list[Variables]:
    """The variables of some files, of which a later one wins. They are added to `values`, where what is there wins."""
    found: list[Variables] = []
    defined: dict[str, str] = {}
    for path in paths:
        found.append(dotenv.parse(asked(path, read), path, values, defined))
        defined.update(found[-1].values)
    values.update({name: value for name, value in defined.items() if name not in values})
    return found


def _default(read: Callable[[str], str], environment: Mapping[str, str], folder: str) -> tuple[str, ...]:
    """The `.env` of a folder, if there is one and it is not disabled. A folder of that name is none."""
    disabled = environment.get("COMPOSE_DISABLE_ENV_FILE", "0")
    if disabled not in (*_TRUE, *_FALSE):
        raise UsageError(f"COMPOSE_DISABLE_ENV_FILE: {disabled!r} is neither true nor false", hint="1 or 0")
    path = posixpath.join(folder, ".env")
    return () if disabled in _TRUE or not _is_there(path, read, folder_too=False) else (path,)


def _chosen(values: Mapping[str, str]) -> tuple[str, ...]:
    """The files that COMPOSE_FILE names; none if it is not set."""
    if "COMPOSE_FILE" not in values:
        return ()
    separator = values.get("COMPOSE_PATH_SEPARATOR") or ":"
    files = tuple(values["COMPOSE_FILE"].split(separator))
    if "" in files:
        raise UsageError(
            f"COMPOSE_FILE: {values['COMPOSE_FILE']!r} names no file where Compose wants one",
            hint="unset COMPOSE_FILE, or leave no empty part in it",
        )
    return files


def _usual(read: Callable[[str], str]) -> tuple[str, ...]:
    """The first of the usual names that is there, with the first override."""
    base = next((name for name in COMPOSE_FILES if _is_there(name, read)), None)
    if base is None:
        return ()
    override = next((name for name in COMPOSE_OVERRIDES if _is_there(name, read)), None)
    return (base, override) if override else (base,)


def _is_there(path: str, read: Callable[[str], str], *, folder_too: bool = True) -> bool:
    """Whether there is something at a path, readable or not."""
    try:
        read(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except IsADirectoryError:
        return folder_too
    except (OSError, UnicodeDecodeError):
        return True
    return True


def _split(text: str, separator: str) -> tuple[str, ...]:
    return tuple(text.split(separator)) if text else ()
