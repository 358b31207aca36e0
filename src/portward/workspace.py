"""Project files on disk: finds a project's folder and its files, and reads them.

Nothing is written here: `journal` does that. Folders that hold other people's code or built output are never entered.
"""

from __future__ import annotations

import errno
import os
import stat

from portward.model import Skipped
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

SETTINGS = "portward.toml"
USER_SETTINGS = "config.toml"
COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
_MARKERS = frozenset({SETTINGS, ".git", *COMPOSE_NAMES})

_NOT_OURS = {
    "node_modules",
    "bower_components",
    "vendor",
    "third_party",
    "site-packages",
    "venv",
    "dist",
    "build",
    "out",
    "target",
    "coverage",
    "__pycache__",
}
_HIDDEN_BUT_OURS = {".circleci", ".devcontainer", ".github", ".nginx", ".streamlit", ".vscode"}
_DEEPEST = 6
_LONGEST_GIT_FILE = 4096
_MOST_FILES = 20_000
_LARGEST_FILE_BYTES = 4 << 20

_NOT_WRITTEN = (
    *(".lock", ".log", ".csv", ".tsv", ".svg", ".map", ".min.js", ".min.css"),
    *("-lock.json", "-lock.yaml", "go.sum"),
)


def _is_written(path: str) -> bool:
    """Whether people write a file of this name: not what tools do."""
    return not path.endswith(_NOT_WRITTEN)


class TooLarge(OSError):
    """A project file is larger than a file that people write."""


def find_root(start: str) -> str | None:
    """The folder of the project that `start` (a folder) is in, or None.

    From there up to the nearest one with `.git` (a file or a folder): the topmost with a portward.toml, else the nearest with
    a Compose file, else the one with `.git`. Without any `.git` above, only the first two count.
    """
    return Roots().of(os.path.abspath(start))


class Checkout(Record):
    """Which working tree a folder is in: `project` is the primary tree's folder, the same for all trees of a repository.

    Both are absolute paths. A linked worktree (git-worktree(1)) is not primary; a folder without git is.
    """

    project: str
    worktree: str
    is_primary: bool = True

    @property
    def linked(self) -> str | None:
        """The folder of a linked worktree, None for the primary one."""
        return None if self.is_primary else self.worktree


def checkout(root: str) -> Checkout:
    """The checkout of a project's folder, by its `.git` alone: no program is asked."""
    for folder in _upward(root):
        path = os.path.join(folder, ".git")
        if os.path.isdir(path):
            break
        try:
            with open(path, encoding="utf-8") as file:
                target = file.read(_LONGEST_GIT_FILE).partition("gitdir:")[2].strip()
        except (OSError, UnicodeDecodeError):
            continue
        common, linked, _ = os.path.normpath(os.path.join(folder, target)).partition(
            f"{os.sep}.git{os.sep}worktrees{os.sep}"
        )
        if not linked:
            break  # a submodule
        return Checkout(os.path.normpath(os.path.join(common, os.path.relpath(root, folder))), root, False)
    return Checkout(root, root)


class Roots:
    """Finds the projects of many folders in one look: each folder is listed once."""

    def __init__(self) -> None:
        self._markers: dict[str, frozenset[str]] = {}
        self._found: dict[str, str | None] = {}

    def of(self, start: str) -> str | None:
        """`find_root` for an absolute path."""
        if start not in self._found:
            self._found[start] = self._search(start)
        return self._found[start]

    def _search(self, start: str) -> str | None:
        with_settings = with_compose = None
        for folder in _upward(start):
            markers = self._markers_of(folder)
            if SETTINGS in markers:
                with_settings = folder
            if with_compose is None and not markers.isdisjoint(COMPOSE_NAMES):
                with_compose = folder
            if ".git" in markers:
                return with_settings or with_compose or folder
        return with_settings or with_compose

    def _markers_of(self, folder: str) -> frozenset[str]:
        if folder not in self._markers:
            try:
                self._markers[folder] = _MARKERS.intersection(os.listdir(folder))
            except OSError:  # a folder that may be entered, but not listed, can still be asked for each
                self._markers[folder] = frozenset(filter(lambda name: os.path.lexists(f"{folder}/{name}"), _MARKERS))
        return self._markers[folder]


def _upward(folder: str) -> Iterator[str]:
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent


def user_folder(environment: Mapping[str, str]) -> str:
    """Where the user's own configuration is (XDG Base Directory specification): a relative XDG_CONFIG_HOME is none."""
    given = environment.get("XDG_CONFIG_HOME", "")
    base = (
        given if os.path.isabs(given) else os.path.join(environment.get("HOME") or os.path.expanduser("~"), ".config")
    )
    return os.path.join(base, "portward")


def _at_once(path: str, flags: int) -> int:
    """Opens without waiting for the other end of a named pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class Files:
    """The files below a project's root, by paths relative to it with `/` between the parts."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.aside: list[str] = []
        """The folders with a Compose file or settings of their own that `find` did not enter, sorted."""

    def find(self, wanted: Callable[[str], bool]) -> tuple[list[str], list[Skipped]]:
        """Sorted paths for which `wanted` says yes, and what of the tree could not be seen.

        Hidden folders (but the few that hold a project's own configuration), links to folders, and folders of
        dependencies or built output are not entered; nor are projects of their own below this one (`.git`, a Compose
        file, a portward.toml), nor anything more than six folders deep.
        """
        found: list[str] = []
        skipped: list[Skipped] = []
        self.aside = []
        seen = 0
        pending = [("", 0)]
        while pending:
            folder, depth = pending.pop()
            for name, is_folder in self._entries(folder, skipped):
                path = f"{folder}{name}"
                seen += 1
                if seen > _MOST_FILES:
                    return sorted(found), [*skipped, Skipped(self.root, "too many files: not all were looked at")]
                if not is_folder:
                    if wanted(path):
                        found.append(path)
                elif depth < _DEEPEST and self._is_ours(path, name):
                    pending.append((f"{path}/", depth + 1))
        self.aside.sort()
        return sorted(found), skipped

    def texts(self, having: Collection[str]) -> Iterator[tuple[str, str]]:
        """The files that people write and in which one of the given texts is, path and text; what cannot be read is passed over."""
        wanted = [each.encode() for each in having]
        for path in self.find(_is_written)[0]:
            try:
                data = self._bytes(path)
                if any(each in data for each in wanted):
                    yield path, data.decode("utf-8")
            except (OSError, UnicodeDecodeError):
                continue

    def top(self) -> tuple[list[str], list[Skipped]]:
        """The names of the files in the root itself, sorted; what could not be seen."""
        skipped: list[Skipped] = []
        return sorted(name for name, is_folder in self._entries("", skipped) if not is_folder), skipped

    def _is_ours(self, path: str, name: str) -> bool:
        if name in _HIDDEN_BUT_OURS:
            return True
        if name in _NOT_OURS or name.startswith("."):
            return False
        if path.startswith(".devcontainer/"):
            return True  # a Compose file there makes it no project of its own
        markers = {marker for marker in _MARKERS if os.path.lexists(os.path.join(self.root, path, marker))}
        if markers - {".git"}:
            self.aside.append(path)
        return not markers

    def _entries(self, folder: str, skipped: list[Skipped]) -> list[tuple[str, bool]]:
        """The names in a folder, and whether each is a folder; a folder that may not be listed is added to `skipped`."""
        try:
            with os.scandir(os.path.join(self.root, folder)) as entries:
                return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
        except OSError as error:
            skipped.append(Skipped(folder or self.root, error.strerror or str(error)))
            return []

    def read(self, path: str) -> str:
        """A file's text, line ends as they are. Raises OSError or UnicodeDecodeError."""
        return self._bytes(path).decode("utf-8")

    def snapshot(self, path: str) -> tuple[str, str]:
        """A file's text, byte-order mark and line ends as they are, and the SHA-256 (hex) of the very bytes it was read from.

        Raises OSError or UnicodeDecodeError.
        """
        from hashlib import sha256

        data = self._bytes(path)
        return data.decode("utf-8"), sha256(data).hexdigest()

    def _bytes(self, path: str) -> bytes:
        full = os.path.join(self.root, path)
        with open(full, "rb", opener=_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "not a regular file")
            if status.st_size > _LARGEST_FILE_BYTES:
                raise TooLarge(0, f"larger than {_LARGEST_FILE_BYTES >> 20} MiB")
            return file.read(_LARGEST_FILE_BYTES + 1)
