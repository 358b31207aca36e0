"""Files that Portward makes for a working tree, in the user's own state: nothing of a project, never tracked by it."""

from __future__ import annotations

import os

from portward.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BEGIN = "# Made by Portward for "
"""How a generated file begins; the rest of its first line is the working tree that it was made for."""
_SEPARATORS = (":", ";", "|", ",", "\n")


class Generated:
    """The Compose file that is laid over the project in one folder. `folder` is that of all such files."""

    def __init__(self, folder: str, root: str) -> None:
        self._folder = folder
        self._root = root

    @property
    def path(self) -> str:
        """The file, whether it is there or not."""
        from zlib import crc32

        name = f"{os.path.basename(self._root) or 'root'}-{crc32(os.fsencode(self._root)):08x}.yaml"
        return os.path.join(self._folder, name)

    def write(self, text: str) -> None:
        """Puts the text into the file, at once or not at all. Raises Unavailable where the system refuses.

        Files of working trees that are gone are taken away: they would only become more.
        """
        from contextlib import suppress

        with suppress(OSError, UnicodeDecodeError), open(self.path, encoding="utf-8") as file:
            if file.read() == text:
                return
        part = f"{self.path}-{os.getpid()}"
        try:
            os.makedirs(self._folder, 0o700, exist_ok=True)
            with open(part, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(part, self.path)
            self._tidy()
        except OSError as error:
            with suppress(OSError):
                os.unlink(part)
            raise Unavailable(
                f"{self.path} cannot be written: {error.strerror}",
                hint="XDG_STATE_HOME chooses another place for Portward's own files",
            ) from error

    def _tidy(self) -> None:
        from contextlib import suppress

        for name in os.listdir(self._folder):
            path = os.path.join(self._folder, name)
            with suppress(OSError, UnicodeDecodeError):
                with open(path, encoding="utf-8") as file:
                    tree = file.readline().removeprefix(BEGIN).rstrip("\n")
                if tree.startswith("/") and not os.path.lexists(tree):
                    os.unlink(path)

    def remove(self) -> None:
        """Takes the file away, if there is one and the system lets us."""
        from contextlib import suppress

        with suppress(OSError):
            os.unlink(self.path)

    def without(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of the project's own files: COMPOSE_FILE without generated ones.

        Where it has the one of another working tree, it was told for that one, and none of its files is meant here.
        """
        files = _files(environment)
        others = [path for path in files if os.path.dirname(path) == self._folder]
        if not others:
            return environment
        kept = [path for path in files if path not in others] if others == [self.path] else []
        rest = {name: value for name, value in environment.items() if name not in _NAMES}
        return {**rest, **(self._told(kept) if kept else {})}

    def chosen(self, base: Sequence[str]) -> dict[str, str]:
        """The variables by which Compose reads the base files, wherever it is asked, and then this one."""
        return self._told([*(os.path.normpath(os.path.join(self._root, path)) for path in base), self.path])

    @staticmethod
    def _told(files: Sequence[str]) -> dict[str, str]:
        separator = next((each for each in _SEPARATORS if not any(each in path for path in files)), ":")
        own = {} if separator == ":" else {"COMPOSE_PATH_SEPARATOR": separator}
        return {"COMPOSE_FILE": separator.join(files), **own}


_NAMES = ("COMPOSE_FILE", "COMPOSE_PATH_SEPARATOR")


def from_root(environment: Mapping[str, str], root: str) -> Mapping[str, str]:
    """The environment with the project's own files in COMPOSE_FILE told from its root, as people know them."""
    files = _files(environment)
    own = [path.removeprefix(f"{root}/") for path in files]
    return environment if own == files else {**environment, "COMPOSE_FILE": _separator(environment).join(own)}


def _files(environment: Mapping[str, str]) -> list[str]:
    return environment["COMPOSE_FILE"].split(_separator(environment)) if environment.get("COMPOSE_FILE") else []


def _separator(environment: Mapping[str, str]) -> str:
    return environment.get("COMPOSE_PATH_SEPARATOR") or ":"
