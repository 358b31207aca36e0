"""The ports in a command line: what `Procfile`, `package.json`, `Dockerfile`, `Makefile` and shell scripts have in common.

    PORT=5000 cross-env API_PORT=5001 next dev -p 3000      # variables, and the option of a program that has it
    uvicorn app:app --port ${PORT:-8000}                    # fallback for PORT
    gunicorn -b 0.0.0.0:8000 app:app                        # an address
    python manage.py runserver 8000                         # an operand
    docker run -p 8080:80 nginx                             # a host port, with the container's
    wait-on http://localhost:5000 && start                  # a URL

Which flag means a port for which program is data, in `tools.py`. A number that no variable, known option or URL makes a port is
left out; so is one that the file spells otherwise than by its digits.
"""

from __future__ import annotations

import re

from portward.formats import shell_words, urls
from portward.formats.dotenv import is_port_name
from portward.formats.shell_words import Word
from portward.formats.tools import (
    CLIENTS,
    COMMAND_OPTIONS,
    COMMAND_WORDS,
    PORT_OPTIONS,
    TOOLS,
    WRAPPERS,
    Tool,
)
from portward.model import ANY, PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from portward.formats.text import Passage, Source

_DEEPEST = 4  # command lines inside the words of command lines
_ANY_PORT = "65535"  # in a variable, the end of a range and no port
_NUMBER = r"(?P<defaults>(?:\$\{\w+:?[-=])*+)['\"]?(?P<port>[1-9][0-9]{0,9})['\"]?(?P<close>\}*+)"
_PORT = re.compile(_NUMBER)
_ADDRESS = re.compile(rf"(?:[a-z]+://)?(?P<host>\[[^\]\s]*\]|[^\s:/\[\]]*):{_NUMBER}/?")
_PUBLISHED = re.compile(
    rf"(?:(?P<ip>\[[^\]\s]*\]|[0-9.]+):)?{_NUMBER}(?P<last>-[0-9]+)?:(?P<target>[0-9]+)(?:-[0-9]+)?(?:/(?P<protocol>tcp|udp|sctp))?"
)
_AWAITED = re.compile(rf"(?:tcp:)?(?:(?P<host>[A-Za-z0-9_.-]+):)?{_NUMBER}")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=")
_REFERENCE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_VERSIONED = re.compile(r"(python|pypy|php|ruby|node)[0-9.]+")
_DIGIT = re.compile(r"[1-9]")


def _by_program() -> dict[str, list[tuple[str, Tool]]]:
    """For each program its subcommands ("" for any) with what is known of them."""
    table: dict[str, list[tuple[str, Tool]]] = {}
    for tool in TOOLS:
        for name in tool.names:
            program, _, subcommand = name.partition(" ")
            table.setdefault(program, []).append((subcommand, tool))
    return table


_TOOLS = _by_program()
_HINT = re.compile(
    r"(?<![A-Za-z0-9])[Pp][Oo][Rr][Tt](?![A-Za-z])|:(?:\$\{|[1-9])|-[A-Za-z][1-9]"
    r"|(?<![\w-])--?[A-Za-z][\w.-]*[\s\"'=,\\]{1,12}(?:\$\{|[1-9])|runserver|(?:http\.|HTTP)[Ss]erver|server:run|wait-"
)


class CommandPort(Record):
    """A port in a command line: its own characters in the file, and what it is.

    `tool` is the program that takes it, None for a variable's. `variables` are the names that the number is given to or falls
    back for. `host` is the host of a URL or of a port that is waited for, `host_ip` the address that the program binds.
    """

    span: Span
    role: Role
    tool: str | None = None
    variables: tuple[str, ...] = ()
    host: str | None = None
    host_ip: str = ANY
    target: int | None = None
    protocol: str = "tcp"


def may_be_in(text: str) -> bool:
    """Whether it is worth reading a text for its command lines: a quick look, that says yes too often and never no wrongly."""
    return _HINT.search(text) is not None


def find(passage: Passage) -> list[CommandPort]:
    """The ports of a shell text, in the order of the file, each once."""
    return _once(port for words in shell_words.commands(passage) for port in _of_command(words, 0))


def find_in_command(words: Sequence[Word]) -> list[CommandPort]:
    """The ports of one command, in words as a shell has split them."""
    return _once(_of_command(words, 0))


def find_in_words(words: Sequence[Passage]) -> list[CommandPort]:
    """The ports of one command that no shell reads: nothing in its words is expanded."""
    return _once(_of_command([Word(word) for word in words], 0))


def find_in_value(name: str, word: Word, start: int = 0, *, is_port: bool = False) -> list[CommandPort]:
    """The ports of a variable's value, which is the rest of a word: its URLs, and its number if the name or the caller says so."""
    return _once((*_value_ports(name, word, start, is_port or is_port_name(name)), *_fallbacks(word)))


def specs(source: Source, found: Iterable[CommandPort], service: str | None = None) -> Iterator[PortSpec]:
    """The ports of a command that runs on the host."""
    for port in found:
        side = urls.side(port.host) if port.host is not None else Side.HOST
        yield source.port(
            port.span,
            port.role,
            side,
            service=service,
            variables=port.variables,
            host=port.host,
            host_ip=port.host_ip,
            target=port.target,
            protocol=port.protocol,
        )


def _once(found: Iterable[CommandPort]) -> list[CommandPort]:
    """What is found first at a place is what is known best."""
    ports: dict[Span, CommandPort] = {}
    for port in found:
        ports.setdefault(port.span, port)
    return sorted(ports.values(), key=lambda port: port.span.start)


def _of_command(words: Sequence[Word], depth: int) -> Iterator[CommandPort]:
    if not any(_DIGIT.search(word.text) for word in words):
        return
    programs, assignments = _programs(words)
    for word in assignments:
        yield from _assigned(word)
    is_client = any(_program(words[at]) in CLIENTS for at in programs)
    for at in programs:
        yield from _of_program(_program(words[at]), words[at + 1 :])
    if programs and not is_client:
        known = Tool((_program(words[programs[-1]]),), PORT_OPTIONS)
        yield from _options(known, known.names[0], words[programs[0] :])
    if depth < _DEEPEST:
        yield from _inner(words, programs, depth)
    for word in words:
        yield from _urls(word, 0)
        yield from _fallbacks(word)
        yield from _addresses(word, _program(words[programs[-1]]) if programs else None)


# Which program is run


def _programs(words: Sequence[Word]) -> tuple[list[int], list[Word]]:
    """Where the program's name stands, after those of the programs that run it; and the definitions of variables."""
    programs: list[int] = []
    assignments: list[Word] = []
    at, assigns = 0, True
    while at < len(words):
        if assigns and _ASSIGNMENT.match(words[at].text):
            assignments.append(words[at])
            at += 1
            continue
        programs.append(at)
        name = _program(words[at])
        wrapper = WRAPPERS.get(name)
        if wrapper is None:
            if name in ("make", "gmake"):
                assignments += [word for word in words[at + 1 :] if _ASSIGNMENT.match(word.text)]
            break
        at = _after_options(words, at + 1, wrapper.valued) + wrapper.operands
        while at < len(words) and words[at].text in wrapper.passes:
            at = _after_options(words, at + 1, wrapper.valued)
        assigns = wrapper.assigns
    return [at for at in programs if not words[at].text.startswith("-")], assignments


def _after_options(words: Sequence[Word], at: int, valued: Sequence[str]) -> int:
    while at < len(words) and words[at].text.startswith("-"):
        at += 2 if words[at].text in valued else 1
    return at


def _program(word: Word) -> str:
    """The name of a program without its folder, version and suffix; for `$(PYTHON)` and the like what the variable says."""
    reference = _REFERENCE.fullmatch(word.text)
    if reference:
        return reference[1].lower()
    name = word.text.replace("\\", "/").rpartition("/")[2]
    name = name.removesuffix(".exe").removesuffix(".cmd")
    versioned = _VERSIONED.fullmatch(name)
    return versioned[1] if versioned else name


# What it is told


def _of_program(name: str, arguments: Sequence[Word]) -> Iterator[CommandPort]:
    for subcommand, tool in _TOOLS.get(name, ()):
        at = next((at for at, word in enumerate(arguments) if word.text == subcommand), -1) if subcommand else -1
        if not subcommand or at >= 0:
            given = arguments[at + 1 :]
            yield from _options(tool, name, given)
            if tool.operand:
                yield from _operands(tool, name, given)


def _options(tool: Tool, name: str, arguments: Sequence[Word]) -> Iterator[CommandPort]:
    for pattern, flags in ((_PORT, tool.ports), (_ADDRESS, tool.addresses), (_PUBLISHED, tool.published)):
        for flag in flags:
            for word, start in _values(flag, arguments):
                yield from _number(pattern, word, start, name)


def _values(flag: str, arguments: Sequence[Word]) -> Iterator[tuple[Word, int]]:
    """The values of an option, each as a word and the offset that the value has in it."""
    is_short = len(flag) == 2
    for at, word in enumerate(arguments):
        if word.text == flag:
            if at + 1 < len(arguments):
                yield arguments[at + 1], 0
        elif word.text.startswith(flag):
            rest = word.text[len(flag) :]
            if rest.startswith("="):
                yield word, len(flag) + 1
            elif is_short:
                yield word, len(flag)


def _operands(tool: Tool, name: str, arguments: Sequence[Word]) -> Iterator[CommandPort]:
    for at, word in enumerate(arguments):
        if word.text == "--":
            return
        if word.text.startswith("-") or (at and arguments[at - 1].text in tool.valued):
            continue
        if tool.refers:
            yield from _awaited(word, name)
        else:
            yield from _number(_PORT, word, 0, name)
            yield from _number(_ADDRESS, word, 0, name)
            return


def _number(
    pattern: re.Pattern[str], word: Word, start: int, tool: str | None, name: str | None = None
) -> Iterator[CommandPort]:
    """The port that the rest of a word is, with what stands round it by the pattern. `name` is a variable that gets it."""
    match = pattern.fullmatch(word.text, start)
    names = _defaults(match, word) if match else None
    if match is None or names is None:
        return
    groups = match.groupdict()
    span = word.passage.span(match.start("port"), match.end("last") if groups.get("last") else match.end("port"))
    if span is None:
        return
    address = (groups.get("host") or groups.get("ip") or "").strip("[]")
    yield CommandPort(
        span=span,
        role=Role.FALLBACK if names else Role.HOST,
        tool=tool,
        variables=tuple(dict.fromkeys((*names, name) if name else names)),
        host_ip=urls.bound(address),
        target=int(groups["target"]) if groups.get("target") and not groups["last"] else None,
        protocol=groups.get("protocol") or "tcp",
    )


def _defaults(match: re.Match[str], word: Word) -> tuple[str, ...] | None:
    """The variables that a number is the default of, outermost first. None where the text is not what it looks like."""
    names = re.findall(r"\{(\w+)", match["defaults"])
    if len(match["close"]) != len(names) or (names and match.start("defaults") not in word.live):
        return None
    return tuple(name for name in names if not name[0].isdecimal())  # `${1:-5000}` falls back for an argument


def _awaited(word: Word, tool: str) -> Iterator[CommandPort]:
    match = _AWAITED.fullmatch(word.text)
    for port in _number(_AWAITED, word, 0, tool) if match else ():
        role = Role.FALLBACK if port.role is Role.FALLBACK else Role.URL
        yield port.replace(role=role, host=(match and match["host"]) or "localhost", host_ip=ANY)


# Command lines inside words


def _inner(words: Sequence[Word], programs: Sequence[int], depth: int) -> Iterator[CommandPort]:
    """The ports of the command lines that a program is given as a word, or after `--`."""
    for at in programs:
        name, arguments = _program(words[at]), words[at + 1 :]
        lines = [
            word for flag in COMMAND_OPTIONS.get(name, ()) for word, start in _values(flag, arguments) if not start
        ]
        if name in COMMAND_WORDS:
            lines += [word for word in arguments if " " in word.text]
        for line in lines:
            for inner in shell_words.commands(line.passage):
                yield from _of_command(inner, depth + 1)
    separator = next((at for at, word in enumerate(words) if word.text == "--"), len(words))
    rest = words[separator + 1 :]
    if rest and programs and not rest[0].text.startswith("-"):
        yield from _of_command(rest, depth + 1)


# Variables and URLs


def _assigned(word: Word) -> Iterator[CommandPort]:
    match = _ASSIGNMENT.match(word.text)
    if match:
        yield from _value_ports(match[1], word, match.end(), is_port_name(match[1]))


def _value_ports(name: str, word: Word, start: int, is_port: bool) -> Iterator[CommandPort]:
    if is_port:
        for port in _number(_PORT, word, start, None, name):
            if port.role is not Role.HOST or word.text[start:] != _ANY_PORT:
                yield port
    for port in _urls(word, start):
        yield port.replace(variables=(name,))


def _urls(word: Word, start: int) -> Iterator[CommandPort]:
    for url in urls.find(word.text[start:], start) if "://" in word.text else ():
        span = word.passage.span(url.span.start, url.span.end)
        if span is not None and int(url.port):
            yield CommandPort(span, Role.URL, host=url.host)


def _addresses(word: Word, program: str | None) -> Iterator[CommandPort]:
    """The port of an address without a scheme that a word, or an option's value, is: `localhost:8000/health`, `--listen=:9000`."""
    start = word.text.find("=") + 1 if word.text.startswith("-") else 0
    text = word.text[start:].partition("/")[0]
    for address in urls.addresses(text, start):
        span = word.passage.span(address.span.start, address.span.end)
        if span is not None and urls.is_unspecific(address.host) and start + len(text) == len(word.text):
            yield CommandPort(span, Role.HOST, program, host_ip=ANY)
        elif span is not None and urls.is_loopback(address.host) and not urls.is_unspecific(address.host):
            yield CommandPort(span, Role.URL, host=address.host)


def _fallbacks(word: Word) -> Iterator[CommandPort]:
    """The numbers that any `${PORT:-5000}` in a word falls back to."""
    for at in word.live:
        match = _PORT.match(word.text, at)
        names = _defaults(match, word) if match else ()
        span = word.passage.span(*match.span("port")) if match and names else None
        if span is not None and names and any(is_port_name(name) for name in names):
            yield CommandPort(span, Role.FALLBACK, variables=names)
