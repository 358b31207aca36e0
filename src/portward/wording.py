"""How holders, times and places are named in sentences: the same words in every finding, table and hint."""

from __future__ import annotations

from portward.model import Listener, Owners, Process, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Lease

_INTERPRETERS = (
    "python", "pypy", "node", "nodejs", "deno", "bun", "java", "ruby", "perl", "php", "dotnet", "mono", "beam.smp", "erl",
    "lua", "luajit", "sh", "bash", "dash", "zsh", "fish", "busybox", "npm", "npx", "pnpm", "yarn", "uv", "tsx", "ts-node",
)  # fmt: skip
_FORWARDERS = {
    "docker-proxy": "docker", "dockerd": "docker", "rootlesskit": "docker", "com.docker.backend": "docker",
    "conmon": "podman", "rootlessport": "podman", "containers-rootlessport": "podman", "slirp4netns": "podman",
    "pasta": "podman", "pasta.avx2": "podman",
}  # fmt: skip
_QUOTED = frozenset(" \"'$`\\|&;<>()*?")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
_LONGEST_COMMAND = 60


def is_interpreter(name: str) -> bool:
    """Whether a process name only says what runs a program, not which: python3.11, node, java."""
    return name.rstrip("0123456789.-") in _INTERPRETERS or name in _INTERPRETERS


def forwarding_engine(row: Listener) -> str | None:
    """The command of the container engine that a row's processes forward for; None where one is an ordinary program."""
    engines = {_FORWARDERS.get(process.name) for process in row.processes}
    return engines.pop() if len(engines) == 1 else None


def command_line(process: Process, longest: int = _LONGEST_COMMAND) -> str:
    """The command as one would type it, the program without its folder, cut to `longest` characters."""
    typed = (process.command[0].rpartition("/")[2], *process.command[1:]) if process.command else ()
    words = [word if word and _QUOTED.isdisjoint(word) else f"'{word}'" for word in typed]
    return shown(" ".join(words), longest)


def shown(text: str, longest: int = 200) -> str:
    """A text from outside, safe to print: no control characters, no password of a URL, at most `longest` characters."""
    if len(text) <= longest and text.isprintable() and "://" not in text:
        return text
    if "://" in text:
        first, *urls = text.split("://")
        text = "://".join([first, *map(_without_password, urls)])
    text = text[: longest + 1]
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " if char == "\t" else "?" for char in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _without_password(url: str) -> str:
    """What follows "://", up to the next one: "me:secret@host/x" is "me:***@host/x" (RFC 3986, 3.2.1)."""
    authority = url.split(None, 1)[0].partition("/")[0] if url[:1].strip() else ""
    user, _, rest = authority.partition(":")
    password = rest.rpartition("@")[0]
    return f"{user}:***{url[len(user) + 1 + len(password) :]}" if password and "@" not in user else url


def age(seconds: float) -> str:
    """A duration in its largest unit: "2 h", "5 d"."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def holder(row: Listener, now: float) -> str:
    """Who holds a port, with what tells it from others: container and project, or pid, user, age, folder and command."""
    if row.container is not None:
        return _container(row)
    if not row.processes:
        return _nobody(row)
    process = row.processes[0]
    facts = [f"pid {process.pid}"]
    if len(row.processes) > 1:
        facts[0] += f" and {len(row.processes) - 1} more"
    facts += [shown(process.user)] if process.user else []
    facts += [age(now - process.started)] if process.started else []
    facts += [process.unit] if process.unit else []
    if forwarding_engine(row):
        for_whom = "the engine, for itself or a container" if process.name == "dockerd" else "forwarding to a container"
        return f"{shown(process.name)} ({', '.join(facts)}), {for_whom}"
    place = f"{shown(process.cwd, 80)}: " if process.cwd and process.cwd != "/" else ""
    facts += [place + command_line(process)] if process.command else []
    name = shown(process.name) + (", bound but not listening" if row.state is State.BOUND and not row.note else "")
    return f"{name} ({', '.join(facts)})" + (f", {row.note}" if row.note else "")


def brief(row: Listener) -> str:
    """Who holds a port, in two words for a table: "python3 41287", "nexus-db-1", "hidden (root)"."""
    if row.container is not None:
        return shown(row.container.name) + (" (stopped)" if row.state is State.CLAIMED else "")
    if row.processes:
        return f"{shown(row.processes[0].name)} {row.processes[0].pid}"
    if row.owners is Owners.HIDDEN:
        return f"hidden ({row.user})"
    return row.note or "no visible process"


def leased(lease: Lease, worktree: str) -> str:
    """Whom a port is leased to, seen from a working tree: "leased to backend of /home/me/shop-2"."""
    holder = lease.holder
    here = " here" if worktree and holder.worktree == worktree else ""
    place = holder.worktree or holder.project
    of = here or (f" of {shown(place, 80)}" if place else "")
    alone = f", process {holder.process.pid}" if holder.process else ""
    return f"leased to {shown(holder.service, 80)}{of}{alone}"


def kind(lease: Lease) -> str:
    """What ends a lease, and of which other hosts it is: "sticky", "process, the whole fleet"."""
    if not lease.hosts:
        return str(lease.kind)
    from portward.model import EVERYWHERE

    where = "the whole fleet" if lease.hosts == EVERYWHERE else f"{len(lease.hosts)} host{'s' * (len(lease.hosts) > 1)}"
    return f"{lease.kind}, {where}"


def _container(row: Listener) -> str:
    container = row.container
    assert container is not None
    of = f" of project {shown(container.project)}" if container.project else f", image {shown(container.image)}"
    place = f", {shown(container.folder, 80)}" if container.folder else ""
    if row.state is State.CLAIMED:
        return f"container {shown(container.name)}{of} (stopped, takes it when started{place})"
    status = container.status[:1].lower() + container.status[1:]
    return f"container {shown(container.name)}{of} ({shown(status)}{place})"


def _nobody(row: Listener) -> str:
    if row.owners is Owners.HIDDEN:
        return f"a process of {row.user or 'another user'} that you are not permitted to see"
    if row.note:
        return f"a {row.note}"
    return f"a socket of {row.user or 'unknown user'} that no visible process has open"
