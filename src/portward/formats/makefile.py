"""Makefiles: variables, and the command lines of recipes.

    PORT ?= 5000                         # fallback for PORT
    API_PORT := $(or $(PORT),5001)       # fallback for PORT
    serve: PORT = 5002                   # the variable of one target
    serve:
        $(PYTHON) manage.py runserver 0.0.0.0:8000
        PORT=$${PORT:-5003} npm start    # `$$` is the shell's dollar

A definition inside `ifndef NAME` is a fallback for NAME too. Source: the GNU make manual, "How to Use Variables", "Conditional
Parts" and "Recipe Syntax". What `define` holds, and what other functions than `or` compute, is passed over.
"""

from __future__ import annotations

import re

from portward.formats import commands, shell_words
from portward.formats.text import Passage, Source
from portward.model import Role
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portward.formats.commands import CommandPort
    from portward.model import PortSpec

_GOES_ON = re.compile(r"(?<!\\)(?:\\\\)*\\\r?\Z")
_KEYWORDS = r"(?:(?:export|override|private)[ \t]+)*"
_DEFINITION = re.compile(
    rf"[ \t]*(?:[^\s:=#][^:=#]*:[ \t]+)?{_KEYWORDS}(?P<name>[A-Za-z_][\w.-]*)[ \t]*(?P<operator>\?=|:{{0,3}}=)[ \t]*(?P<value>[^#]*)"
)
_RULE = re.compile(r"[^\s:=#][^:=#;]*::?(?!=)[^=;#]*(?:;(?P<recipe>.*))?", re.DOTALL)
_PREFIX = re.compile(r"[\s@+-]*")
_DIRECTIVE = re.compile(r"[ \t]*(ifndef|ifdef|ifeq|ifneq|else|endif|define|endef)\b[ \t]*(\w*)")
_REFERENCE = re.compile(
    r"\$\$|\$[({]or \$[({](?P<other>\w+)[)}], *(?P<number>[0-9]+)[)}]|\$[({](?P<name>\w+)[)}]|\$[({]|\$.", re.DOTALL
)
_BRACKET = re.compile(r"[(){}]")


class _Line(Record):
    """A line with those that continue it, and where it starts."""

    text: str
    start: int


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that variables hold and that recipes give to what they start."""
    source = Source(text, path, "makefile")
    if not commands.may_be_in(source.text):
        return []
    found = sorted(_ports(_lines(source.text)), key=lambda port: port.span.start)
    return list(commands.specs(source, found))


def _lines(text: str) -> Iterator[_Line]:
    start = at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = end if end >= 0 else len(text)
        if not _GOES_ON.search(text, at, end):
            yield _Line(text[start:end], start)
            start = end + 1
        at = end + 1
    if start < len(text):
        yield _Line(text[start:], start)


def _ports(lines: Iterable[_Line]) -> Iterator[CommandPort]:
    in_rule = False
    conditions: list[str] = []  # the name for each `ifndef` that is open, "" for another condition
    defining = False
    for line in lines:
        directive = _DIRECTIVE.match(line.text)
        if directive or defining:
            defining = _is_defining(directive, defining)
            _follow(directive, conditions)
        elif line.text.startswith("\t") and in_rule:
            yield from commands.find(_recipe(line, 0))
        elif definition := _DEFINITION.fullmatch(line.text.partition("#")[0].rstrip()):
            yield from _defined(line, definition, conditions)
            in_rule = in_rule or ":" in line.text[: definition.start("name")]
        elif rule := _RULE.match(line.text):
            in_rule = True
            if rule["recipe"]:
                yield from commands.find(_recipe(line, rule.start("recipe")))


def _is_defining(directive: re.Match[str] | None, defining: bool) -> bool:
    if directive and directive[1] in ("define", "endef"):
        return directive[1] == "define"
    return defining


def _follow(directive: re.Match[str] | None, conditions: list[str]) -> None:
    """Opens, turns round or closes a condition."""
    word = directive[1] if directive else ""
    if word.startswith("if"):
        conditions.append(directive[2] if directive and word == "ifndef" else "")
    elif word == "else" and conditions:
        conditions[-1] = ""
    elif word == "endif" and conditions:
        conditions.pop()


def _recipe(line: _Line, start: int) -> Passage:
    prefix = _PREFIX.match(line.text, start)
    return _expanded(line, prefix.end() if prefix else start, len(line.text))


def _defined(line: _Line, definition: re.Match[str], conditions: list[str]) -> Iterator[CommandPort]:
    name, operator = definition["name"], definition["operator"]
    value = _expanded(line, *definition.span("value"))
    words = [word for command in shell_words.commands(value) for word in command]
    found = commands.find_in_value(name, words[0]) if len(words) == 1 else commands.find(value)
    is_default = operator == "?=" or name in conditions
    for port in found:
        if port.role is Role.HOST and is_default and name in port.variables:
            yield port.replace(role=Role.FALLBACK)
        else:
            yield port


def _expanded(line: _Line, start: int, end: int) -> Passage:
    """What the shell gets: `$$` is a dollar sign, `$(NAME)` a variable of that name, and what only make knows is one strange letter."""
    whole = Passage.of(line.text, 0, end).replace(origins=range(line.start, line.start + end))
    parts: list[Passage] = []
    at = start
    while reference := _REFERENCE.search(whole.text, at):
        parts.append(whole.part(at, reference.start()))
        at = reference.end()
        if reference["number"]:
            number = whole.part(*reference.span("number"))
            parts += _made(f"${{{reference['other']}:-"), number, _made("}")
        elif reference["name"]:
            parts.append(_made(f"${{{reference['name']}}}"))
        elif reference.group() == "$$":
            parts.append(_made("$"))
        else:
            parts.append(_made("\N{REPLACEMENT CHARACTER}"))
            at = _behind(whole.text, at) if reference.group() in ("$(", "${") else at
    return Passage.join((*parts, whole.part(at, end)))


def _made(text: str) -> Passage:
    return Passage(text, (-1,) * len(text))


def _behind(text: str, at: int) -> int:
    """Behind the bracket that closes the one before `at`, or the end of the text."""
    depth = 1
    for bracket in _BRACKET.finditer(text, at):
        depth += 1 if bracket.group() in "({" else -1
        if depth == 0:
            return bracket.end()
    return len(text)
