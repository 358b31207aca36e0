"""The command line: parse, one call of `Portward`, render, exit code. Only the asked verb's module is loaded."""

from __future__ import annotations

import gc
import os
import sys

from portward.errors import Bug, PortwardError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from types import ModuleType

VERBS: dict[str, tuple[str, str]] = {
    "ls": ("look", "who listens: all TCP listeners, or those that match"),
    "who": ("look", "everything about what holds a port"),
    "check": ("project", "are these ports free? or: will this project's stack start?"),
    "services": ("project", "what the project declares, and its state now"),
    "set": ("change", "gives a service another port, everywhere that it is written"),
    "resolve": ("change", "moves the fewest ports that clear every conflict"),
    "docs": ("change", "the project's port table in Markdown, kept true"),
    "init": ("change", "a portward.toml to begin with"),
    "undo": ("change", "takes the last write back"),
    "find": ("look", "free ports; nothing is recorded"),
    "lease": ("lease", "promises ports to services: the same ones every time, and to nobody else"),
    "release": ("lease", "gives leased ports back"),
    "leases": ("lease", "which ports are promised to whom"),
    "env": ("lease", "the project's ports as environment variables"),
    "run": ("run", "starts a command with its ports, which nobody else can have"),
    "verify": ("lease", "is what answers on a port this checkout's own?"),
    "pin": ("lease", "keeps a service on one port, with a reason"),
    "kill": ("kill", "stops what holds a port, the right way for what it is"),
    "identify": ("reach", "which service answers there, and its version"),
    "wait": ("reach", "until targets take connections, answer, or are what they should be"),
    "explain": ("explain", "why an error says that a port is taken, refused or not to be had"),
    "doctor": ("doctor", "why can this not be reached? and: is the lease store sound?"),
    "agent": ("agent", "keeps this host in a store of many machines, and publishes who listens here"),
    "mcp": ("mcp", "the verbs for coding agents, by the Model Context Protocol"),
    "completion": ("completion", "scripts by which bash, zsh and fish complete, live ports included"),
    "serve": ("serve", "the dashboard in the browser: who listens, the project, and its changes"),
    "top": ("serve", "who listens, live and full-screen, with what can be done about it"),
    "catalog": ("look", "what a port is customarily used for"),
    "setup": ("setup", "opt-in privileges: what an ordinary user may see of owners"),
}
"""Verb → the module that has `add_<verb>(parser)` and `<verb>(arguments)`, and one line of help."""

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status; never raises, never exits by itself."""
    if argv is None:
        gc.disable()  # a command ends long before there is garbage worth a search
        _settle_streams()
    words = list(sys.argv[1:] if argv is None else argv)
    own = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in own or "--format=json" in own or " --format json" in f" {' '.join(own)}"
    try:
        return _run(words)
    except PortwardError as error:
        failure = error
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place that turns a bug into a log file
        from portward.cli.bug import write_log

        failure = Bug(f"a bug in Portward: {type(error).__name__}; see {write_log(error)}")
    _report(failure, as_json)
    return failure.exit_code


def _settle_streams() -> None:
    """A stream that the caller closed takes everything in silence, or has nothing to read; what a stream's encoding lacks is written as "?"."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for the life of the process
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - for the life of the process
        getattr(sys, name).reconfigure(errors="replace")


def module_of(verb: str) -> ModuleType:
    """The module of a verb's family, loaded now. "glance" is `portward` without a verb."""
    name = f"portward.cli.{VERBS[verb][0] if verb in VERBS else 'project'}"
    __import__(name)  # importlib's own function would have to be imported first
    return sys.modules[name]


def _run(words: list[str]) -> int:
    from portward.cli.parser import parse

    arguments = parse(words)
    if arguments is None:
        return 0
    module = module_of(arguments.verb)
    status: int = getattr(module, arguments.verb)(arguments)
    return status


def say(lines: Iterable[str]) -> bool:
    """Prints lines on stdout. A reader who has gone away has seen enough: False. Raises Unavailable for a full disk and the like."""
    try:
        for line in lines:
            print(line)
        sys.stdout.flush()
    except BrokenPipeError:
        _let_go()
        return False
    except OSError as error:
        _let_go()
        raise Unavailable(f"the answer cannot be written: {error.strerror}") from None
    return True


def printable(line: str, colours: Collection[str] = ()) -> str:
    """The line without control characters: names of files and programs may hold what a terminal would obey.

    `colours` are the codes of select graphic rendition (ECMA-48) that stay.
    """
    if line.isprintable():
        return line
    first, *pieces = line.split("\x1b[")
    parts = [_plain(first)]
    for piece in pieces:
        code, end, rest = piece.partition("m")
        parts.append(f"\x1b[{code}m{_plain(rest)}" if end and code in colours else f"?[{_plain(piece)}")
    return "".join(parts)


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _let_go() -> None:
    """What is still unwritten goes nowhere: the interpreter would try, and fail, once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(failure: PortwardError, as_json: bool) -> None:
    try:
        if as_json:
            from portward.render import documents

            say([documents.dump(documents.error(failure))])
        lines = [f"portward: {failure}" if failure.path is None else str(failure)]
        lines += [f"hint: {failure.hint}"] if failure.hint else []
        for line in lines:
            print(printable(line), file=sys.stderr)
    except (OSError, Unavailable):
        pass  # neither stream takes anything: the exit status is all that is left to say
