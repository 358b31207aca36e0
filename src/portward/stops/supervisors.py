"""Who would start a process again as soon as it has ended, or when a file changes, and how that is told to stop."""

from __future__ import annotations

from portward.records import Record
from portward.wording import is_interpreter, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portward.model import Process


class Keeper(Record):
    """A process above another that reacts to its end: by which name, what it does then, and the command that avoids it."""

    name: str
    pid: int
    does: str
    command: str | None = None

    def __str__(self) -> str:
        hint = f": `{self.command}` avoids that" if self.command else ""
        return f"{self.name} {self.pid} {self.does}{hint}"


_RESTARTS = "starts it again"
_ON_CHANGE = "starts it again when a file changes"
_ENDS_OTHERS = "may end its other processes too"
_WORKER = "starts another worker"

KEEPERS = {
    "pm2": (_RESTARTS, "pm2 stop NAME"),
    "supervisord": (_RESTARTS, "supervisorctl stop NAME"),
    "circusd": (_RESTARTS, "circusctl stop NAME"),
    "runsv": (_RESTARTS, "sv down NAME"),
    "s6-supervise": (_RESTARTS, "s6-svc -d FOLDER"),
    "supervise": (_RESTARTS, "svc -d FOLDER"),
    "forever": (_RESTARTS, "forever stop NAME"),
    "process-compose": (_RESTARTS, "process-compose process stop NAME"),
    "pitchfork": (_RESTARTS, "pitchfork stop NAME"),
    "gunicorn": (_WORKER, None),
    "uvicorn": (_WORKER, None),
    "hypercorn": (_WORKER, None),
    "granian": (_WORKER, None),
    "unicorn": (_WORKER, None),
    "puma": (_WORKER, None),
    "uwsgi": (_WORKER, None),
    "php-fpm": (_WORKER, None),
    "nodemon": (_ON_CHANGE, None),
    "watchexec": (_ON_CHANGE, None),
    "watchmedo": (_ON_CHANGE, None),
    "watchfiles": (_ON_CHANGE, None),
    "cargo-watch": (_ON_CHANGE, None),
    "air": (_ON_CHANGE, None),
    "reflex": (_ON_CHANGE, None),
    "entr": (_ON_CHANGE, None),
    "overmind": (_ENDS_OTHERS, "overmind stop NAME"),
    "hivemind": (_ENDS_OTHERS, None),
    "foreman": (_ENDS_OTHERS, None),
    "honcho": (_ENDS_OTHERS, None),
    "goreman": (_ENDS_OTHERS, "goreman run stop NAME"),
    "concurrently": (_ENDS_OTHERS, None),
}
"""What is known to react to the end of a process below it: what it does then, and the command that avoids it."""


def keeper_of(ancestry: Iterable[Process], owners: Iterable[int]) -> Keeper | None:
    """The nearest of a process's ancestors that is known to react to its end, and that has not the socket open itself."""
    known = set(owners)
    for process in ancestry:
        if process.pid in known:
            continue
        name = _told(process)
        if name in KEEPERS:
            does, command = KEEPERS[name]
            return Keeper(name, process.pid, does, f"kill {process.pid}" if does is _WORKER else command)
        if _watches(process):
            return Keeper(shown(process.name), process.pid, _ON_CHANGE)
    return None


def restarts(keeper: Keeper) -> bool:
    """Whether a keeper starts something on the same port at once."""
    return keeper.does in (_RESTARTS, _WORKER)


def _told(process: Process) -> str:
    """What a process runs: its program, or the script or module that it has an interpreter run; pm2 says so in its title."""
    words = list(process.command)
    if words and words[0].startswith("PM2 "):
        return "pm2"
    first = words[0].partition(":")[0].partition(" ")[0].rpartition("/")[2] if words else process.name
    if not is_interpreter(first):
        return shown(first)
    script = _script(words[1:])
    return shown(script) if script else shown(process.name)


def _script(words: list[str]) -> str:
    """The name of the script, or of the module's package, that an interpreter's words run; "" where there is none."""
    for position, word in enumerate(words):
        if word == "-m":
            package, _, last = (words[position + 1] if position + 1 < len(words) else "").partition(".")
            return last.rpartition(".")[2] if package == "supervisor" else package
        if not word.startswith("-"):
            name = word.rpartition("/")[2]
            return name.rpartition(".")[0] or name
    return ""


def _watches(process: Process) -> bool:
    """Whether a process is told to start its program again: `node --watch app.js`, `tsx watch app.ts`, `bun --hot app.ts`."""
    options = process.command[1:4]
    return is_interpreter(process.name) and any(word in ("--watch", "--hot", "watch") for word in options)
