"""Dockerfiles: the ports of the container that an image makes.

    ARG PORT=8080                      # fallback for PORT
    ENV PORT=$PORT API_URL=http://api:5000
    EXPOSE $PORT 9000-9010 5353/udp    # does not publish: what the program is said to listen on
    HEALTHCHECK CMD curl -f http://localhost:8080/
    ENTRYPOINT ["gunicorn"]
    CMD ["-b", "0.0.0.0:8080", "app:app"]

All is the container's side: `localhost` in it is the container itself, unless the variable is one that a bundler gives to
browsers. RUN is passed over, for nothing that it starts goes on. Source: the Dockerfile reference, and the parser of BuildKit
(frontend/dockerfile/parser) on directives, continuation lines, comments in between and here-documents.
"""

from __future__ import annotations

import re
from itertools import chain

from portward.formats import commands, json_strings, shell_words, urls
from portward.formats.text import Passage, Source
from portward.model import Role, Side
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.formats.commands import CommandPort
    from portward.formats.shell_words import Word
    from portward.model import PortSpec

_WORTH_READING = re.compile(r"expose[ \t]", re.IGNORECASE)
_DIRECTIVE = re.compile(r"#[ \t]*([A-Za-z]+)[ \t]*=[ \t]*(\S+)[ \t]*\Z")
_INSTRUCTION = re.compile(r"\s*(?:onbuild\s+)?([a-z]+)\s+", re.IGNORECASE)
_HERE_DOCUMENT = re.compile(r"(?:\A|(?<=\s))[0-9]*<<(-?)([\"']?)([^\s\"'<>|;&]+)\2")
_CHECK = re.compile(r"(?:--\S+\s+)*+CMD\s+", re.IGNORECASE)
_EXEC_FORM = re.compile(rf"\s*\[\s*(?:{json_strings.STRING}\s*(?:,\s*{json_strings.STRING}\s*)*+)?\]\s*", re.DOTALL)
_STRING = re.compile(json_strings.STRING, re.DOTALL)
_EXPOSED = re.compile(
    r"(?:[0-9]+:)?(?P<port>[1-9][0-9]{0,9}(?:-[0-9]{1,10})?)(?:/(?P<protocol>tcp|udp|sctp))?", re.IGNORECASE
)
_EXPOSED_VARIABLE = re.compile(r"\$\{?(\w+)(?::?[-+?][^}]*)?\}?(?:/\w+)?")
_STAGE = re.compile(r"(?:--\S+\s+)*(?P<base>\S+)(?:\s+as\s+(?P<name>\S+))?\s*", re.IGNORECASE)
_ASSIGNMENT = re.compile(r"(\w+)=")
_HAS_BODY = re.compile(r"\s*(?:onbuild\s+)?(?:run|copy|add)\s", re.IGNORECASE)
_FOR_BROWSERS = (
    *("EXPO_PUBLIC_", "GATSBY_", "NEXT_PUBLIC_", "NG_APP_", "NUXT_PUBLIC_", "PUBLIC_"),
    *("REACT_APP_", "VITE_", "VUE_APP_"),
)


class _Instruction(Record):
    """One instruction: its name in capitals, and the rest of its line with those that continue it."""

    name: str
    rest: Passage


class _Stage(Record):
    """What stands between two FROM. `base` and `name` are those of stages, in small letters."""

    base: str
    name: str
    instructions: list[_Instruction]


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that an image's own instructions write, all on the container's side."""
    source = Source(text, path, "dockerfile")
    if not _WORTH_READING.search(source.text) and not commands.may_be_in(source.text):
        return []
    reader = _Reader(source)
    specs = {spec.span: spec for spec in reader.ports()}
    return sorted(specs.values(), key=lambda spec: spec.span.start)


class _Reader:
    def __init__(self, source: Source) -> None:
        self.source = source
        self.instructions = list(_instructions(source.text))
        self.exposed = {name for each in self.instructions if each.name == "EXPOSE" for name in _exposed(each.rest)}

    def ports(self) -> Iterator[PortSpec]:
        entries: dict[str, list[Passage] | None] = {}  # the words of the ENTRYPOINT of each stage, None in shell form
        for stage in _stages(self.instructions):
            own = [_exec_words(each.rest) for each in stage.instructions if each.name == "ENTRYPOINT"]
            entry = own[-1] if own else entries.get(stage.base, [])
            entries[stage.name] = entry
            for instruction in stage.instructions:
                yield from self._of_instruction(instruction, entry)

    def _of_instruction(self, instruction: _Instruction, entry: list[Passage] | None) -> Iterator[PortSpec]:
        match instruction.name:
            case "EXPOSE":
                yield from self._expose(instruction.rest)
            case "ENV" | "ARG":
                yield from self._define(instruction)
            case "ENTRYPOINT":
                yield from self._command(instruction.rest, [])
            case "CMD" if entry is not None:  # one in shell form takes no arguments
                yield from self._command(instruction.rest, entry)
            case "HEALTHCHECK":
                check = _CHECK.match(instruction.rest.text)
                if check:
                    yield from self._command(instruction.rest.part(check.end(), len(instruction.rest.text)), [])

    def _expose(self, rest: Passage) -> Iterator[PortSpec]:
        for word in _words(rest):
            match = _EXPOSED.fullmatch(word.text)
            span = word.passage.span(*match.span("port")) if match else None
            if match and span:
                protocol = (match["protocol"] or "tcp").lower()
                yield self.source.port(span, Role.CONTAINER, Side.CONTAINER, protocol=protocol)
            else:
                yield from map(self._spec, commands.find_in_value("", word, is_port=True))

    def _define(self, instruction: _Instruction) -> Iterator[PortSpec]:
        """`NAME=VALUE …`, or `ENV NAME VALUE`. What ARG gives is a default, which `--build-arg` replaces."""
        words = _words(instruction.rest)
        if len(words) == 2 and instruction.name == "ENV" and "=" not in words[0].text:
            definitions = [(words[0].text, words[1], 0)]
        else:
            names = [(_ASSIGNMENT.match(word.text), word) for word in words]
            definitions = [(name[1], word, name.end()) for name, word in names if name]
        for name, word, start in definitions:
            for port in commands.find_in_value(name, word, start, is_port=name in self.exposed):
                is_default = instruction.name == "ARG" and port.role is Role.HOST
                yield self._spec(port.replace(role=Role.FALLBACK) if is_default else port)

    def _command(self, rest: Passage, entry: list[Passage]) -> Iterator[PortSpec]:
        """A command in shell form, or in exec form by itself and behind the words of ENTRYPOINT."""
        words = _exec_words(rest)
        if words is None:
            yield from map(self._spec, commands.find(rest))
        else:
            yield from map(self._spec, commands.find_in_words(words))
            yield from map(self._spec, commands.find_in_words([*entry, *words]))

    def _spec(self, port: CommandPort) -> PortSpec:
        return self.source.port(
            port.span,
            Role.CONTAINER if port.role is Role.HOST else port.role,
            Side.CONTAINER if port.host is None else _side(port.host, port.variables),
            variables=port.variables,
            host=port.host,
            host_ip=port.host_ip,
            protocol=port.protocol,
        )


def _side(host: str, variables: tuple[str, ...]) -> Side:
    """Whose port a URL names in a container: its own by `localhost`, unless it is a browser that reads it, or Docker's host."""
    if host.endswith(".docker.internal") or any(name.startswith(_FOR_BROWSERS) for name in variables):
        return urls.side(host)
    return Side.CONTAINER


def _words(rest: Passage) -> list[Word]:
    return [word for command in shell_words.commands(rest) for word in command]


def _exposed(rest: Passage) -> list[str]:
    """The variables that an EXPOSE takes ports from."""
    return [match[1] for word in _words(rest) if (match := _EXPOSED_VARIABLE.fullmatch(word.text))]


def _exec_words(rest: Passage) -> list[Passage] | None:
    """The words of a command in exec form, which is a list of JSON; None for the shell form."""
    if not _EXEC_FORM.fullmatch(rest.text):
        return None
    return [json_strings.decoded(rest.part(word.start() + 1, word.end() - 1)) for word in _STRING.finditer(rest.text)]


def _stages(instructions: list[_Instruction]) -> Iterator[_Stage]:
    stage = _Stage("", "", [])
    for instruction in instructions:
        if instruction.name == "FROM":
            yield stage
            match = _STAGE.fullmatch(instruction.rest.text)
            base, name = (match["base"], match["name"] or "") if match else ("", "")
            stage = _Stage(base.lower(), name.lower(), [])
        else:
            stage.instructions.append(instruction)
    yield stage


def _instructions(text: str) -> Iterator[_Instruction]:
    lines = _lines(text)
    escape, first = _directives(lines)
    goes_on = re.compile(rf"(?:\A|[^{re.escape(escape)}]){re.escape(escape)}[ \t]*\Z")
    parts: list[Passage] = []
    for line in chain(first, lines):
        if _is_blank(line):
            continue  # also between the lines of one instruction
        if goes_on.search(line.text):
            parts.append(line.part(0, line.text.rindex(escape)))
            continue
        whole = Passage.join((*parts, line))
        parts = []
        yield from _instruction(whole)
        for indented, delimiter in _here_documents(whole.text):
            _pass_over(lines, delimiter, indented)
    if parts:
        yield from _instruction(Passage.join(parts))


def _lines(text: str) -> Iterator[Passage]:
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = end if end >= 0 else len(text)
        yield Passage.of(text, at, end - text.endswith("\r", at, end))
        at = end + 1


def _is_blank(line: Passage) -> bool:
    text = line.text.lstrip()
    return not text or text.startswith("#")


def _directives(lines: Iterator[Passage]) -> tuple[str, list[Passage]]:
    """The character that continues a line, by the directives at the top, and the first line that is none, if there is one."""
    escape = "\\"
    for line in lines:
        directive = _DIRECTIVE.match(line.text)
        if directive is None:
            return escape, [line]
        if directive[1].lower() == "escape" and directive[2] in ("\\", "`"):
            escape = directive[2]
    return escape, []


def _instruction(line: Passage) -> Iterator[_Instruction]:
    match = _INSTRUCTION.match(line.text)
    if match:
        yield _Instruction(match[1].upper(), line.part(match.end(), len(line.text)))


def _here_documents(line: str) -> list[tuple[bool, str]]:
    """Whether it is indented and the delimiter of every here-document that begins in a line."""
    if not _HAS_BODY.match(line):
        return []
    return [(match[1] == "-", match[3]) for match in _HERE_DOCUMENT.finditer(line)]


def _pass_over(lines: Iterator[Passage], delimiter: str, indented: bool) -> None:
    for line in lines:
        if (line.text.lstrip("\t") if indented else line.text) == delimiter:
            return
