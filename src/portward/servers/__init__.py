"""How a command is told its port: which server it starts, and the words and variables that make that server take the port.

`prepare` fills in `{port}` and `{service.port}`, finds the server in `table.SERVERS` through whatever stands before it, and adds the
flag that it obeys, with the flag that keeps it from moving to another port. What the command says itself is left as it is.
"""

from __future__ import annotations

import re

from portward.errors import UsageError
from portward.model import ANY, LAST_PORT
from portward.records import Record
from portward.servers.commands import Program, program
from portward.servers.table import DESCRIPTOR, SERVERS, Form, Moves, Server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from portward.servers.commands import Scripts

__all__ = ["DESCRIPTOR", "SERVERS", "Form", "Handover", "Moves", "Prepared", "Server", "prepare"]

_PLACEHOLDER = re.compile(r"(?<!\{)\{(?:(?P<service>[A-Za-z0-9][\w.-]*)\.)?port\}(?!\})")
_PORT_AT_END = re.compile(r"(?:^|:)(\d{1,5})$")
_OWN_PROGRAM = re.compile(r"\.{1,2}/.*|.*\.(py|[cm]?[jt]s|rb|php|pl|jar|exs?)")
_SOCKET_TAKERS = "uvicorn, gunicorn, hypercorn and daphne"


class Handover(Record):
    """A listening socket that the command takes as descriptor `DESCRIPTOR`.

    `host` is the numeric address to bind, `ANY` for all. With `announced`, it is announced as systemd does it: LISTEN_FDS and LISTEN_PID
    (sd_listen_fds(3)), for programs that are not in the table.
    """

    host: str
    announced: bool = False


class Prepared(Record):
    """A command that is ready to be started.

    `port` is where it will listen: the port given, or the one that the command itself names. `environment` is to be added to
    the child's. `server` is None for a program that is not known, which is told its port by PORT only. `serves` says whether the command
    may be a server at all: most commands are none. `notes` are sentences for people.
    """

    command: tuple[str, ...]
    port: int
    environment: Mapping[str, str]
    server: Server | None = None
    handover: Handover | None = None
    notes: tuple[str, ...] = ()
    serves: bool = True


def prepare(
    command: Sequence[str],
    port: int,
    *,
    ports: Mapping[str, int] | None = None,
    socket: bool = False,
    scripts: Scripts = lambda _folder, _name: None,
) -> Prepared:
    """Makes a command start its server on the port.

    `ports` are the ports of the project's services, for `{service.port}`. With `socket`, the server is to take a listening socket
    instead of binding (`run --fd`). `scripts(folder, name)` reads a script from the package.json of a folder, "" being the current one.

    Raises UsageError for an empty command, a service that has no port, and a server that cannot take a socket.
    """
    words = tuple(fill(word, port, ports or {}) for word in command)
    if not words:
        raise UsageError("no command to run", hint="portward run SERVICE -- COMMAND")
    found = program(words, scripts)
    server = _server(found) if found else None
    if socket:
        return _with_socket(words, port, found, server)
    environment = {"PORT": str(port)}
    if found is None or server is None:
        return Prepared(words, port, environment, serves=_may_serve(words, port, found))
    environment |= {name: text.replace("{port}", str(port)) for name, text in server.environment}
    said = given(server, found.words)
    if said is not None and (named := _port_of(said)) not in (None, port):
        note = f"the command itself says port {named}: leave it out, or write {{port}}, to have it on {port}"
        return Prepared(words, named or port, environment, server, notes=(note,))
    added = () if said is not None else _flag(server, port)
    strict = () if any(_option(word) in map(_option, server.strict) for word in found.words) else server.strict
    return Prepared(_inserted(words, found, server, (*added, *strict)), port, environment, server)


def fill(word: str, port: int, ports: Mapping[str, int]) -> str:
    """The word with `{port}` and `{service.port}` replaced. Other braces, and doubled ones, stay. Raises UsageError."""

    def number(match: re.Match[str]) -> str:
        service = match["service"]
        if service is None:
            return str(port)
        if service not in ports:
            known = ", ".join(f"{{{name}.port}}" for name in sorted(ports))
            raise UsageError(
                f"{match[0]}: no service {service} has a port", hint=f"there is {known}" if known else None
            )
        return str(ports[service])

    return _PLACEHOLDER.sub(number, word)


def given(server: Server, words: Sequence[str]) -> str | None:
    """What the words say themselves about the server's port or address: its text, None where they say nothing.

    Said twice, the last one counts, as it does for most servers.
    """
    if server.form is Form.BARE:
        return next(iter(_bare(server, words)), None)
    said = None
    for at, word in enumerate(words):
        if word == "--":
            break
        for flag in server.flags:
            attached = flag if len(flag) == 2 and server.form is not Form.JOINED else f"{flag}="
            if word == flag:
                said = "".join(words[at + 1 : at + 2])
            elif word.startswith((f"{flag}=", attached)):
                said = word.removeprefix(flag).removeprefix("=")
    return said


def _may_serve(words: Sequence[str], port: int, found: Program | None) -> bool:
    """Whether an unknown command may be a server: it says the port or the variable PORT, or runs a program of one's own, by its path."""
    told = re.compile(rf"(?<![A-Za-z0-9])({port}|PORT)(?![A-Za-z0-9])")
    own = "" if found is None else words[found.first - 1] if found.first else found.name
    return any(map(told.search, words)) or _OWN_PROGRAM.fullmatch(own) is not None


def _bare(server: Server, words: Sequence[str]) -> list[str]:
    """The words that are neither options, nor values of options, nor the verb."""
    values = (False, *(word in server.values for word in words))
    verb = next((word for word in words if word in server.verbs), None)
    bare = [word for word, is_value in zip(words, values, strict=False) if not is_value and not word.startswith("-")]
    if verb is not None:
        bare.remove(verb)
    return bare


def _server(found: Program) -> Server | None:
    """The server that a program is. The verb may come after options, as in `flask --app web run`."""
    for server in SERVERS:
        if found.name not in server.programs:
            continue
        if server.verbs and _verb(server, found) is None:
            continue
        if found.words and found.words[0] in server.other_verbs:
            continue
        return server
    return None


def _verb(server: Server, found: Program) -> int | None:
    """Where the verb stands among the words."""
    return next((at for at, word in enumerate(found.words) if word in server.verbs), None)


def _flag(server: Server, port: int) -> tuple[str, ...]:
    match server.form:
        case Form.SPLIT:
            return server.flags[0], str(port)
        case Form.JOINED:
            return (f"{server.flags[0]}={port}",)
        case Form.ADDRESS:
            return server.flags[0], f"{server.listens}:{port}"
        case Form.BARE:
            return (str(port),)
        case Form.NONE:
            return ()


def _inserted(words: tuple[str, ...], found: Program, server: Server, added: tuple[str, ...]) -> tuple[str, ...]:
    """The command with words added for its server: right after the program and its verb, or at the end where it must be."""
    if not added:
        return words
    if found.first is None:
        return (*words, *found.separators, *added)
    if server.last or server.form is Form.BARE:
        return (*words, *added)
    verb = _verb(server, found)
    place = found.first + (verb + 1 if verb is not None else 0)
    return (*words[:place], *added, *words[place:])


def _with_socket(words: tuple[str, ...], port: int, found: Program | None, server: Server | None) -> Prepared:
    environment = {"PORT": str(port)}
    if found is None or server is None:
        return Prepared(words, port, environment, handover=Handover("127.0.0.1", announced=True))
    if not server.socket:
        raise UsageError(
            f"{server.name} does not take a socket",
            hint=f"leave out --fd: the port is held until it binds; {_SOCKET_TAKERS} take one",
        )
    said = given(server, found.words)
    if said is not None:
        raise UsageError(
            f"with --fd, {server.name} is handed its socket: the command must not say {said}", hint="leave its port out"
        )
    host = _host(server, found.words)
    command = _inserted(words, found, server, server.socket)
    return Prepared(command, port, environment, server, Handover(host))


def _host(server: Server, words: Sequence[str]) -> str:
    """The address that a server is told to take, else the one that it takes by default."""
    for at, word in enumerate(words):
        for flag in server.hosts:
            if word == flag or word.startswith(f"{flag}="):
                told = "".join(words[at + 1 : at + 2]) if word == flag else word.removeprefix(f"{flag}=")
                return {"localhost": "127.0.0.1", "::": ANY}.get(told, told)
    return server.listens


def _option(word: str) -> str:
    return word.partition("=")[0]


def _port_of(said: str) -> int | None:
    """The port in `8000`, `127.0.0.1:8000`, `[::1]:8000`; None for anything else, as a variable of a shell or a Unix socket."""
    match = _PORT_AT_END.search(said)
    return int(match[1]) if match and 0 < int(match[1]) <= LAST_PORT else None
