"""The verb that helps shells to complete: completion. It prints their scripts, and what the scripts ask for."""

from __future__ import annotations

import os
import re
import shlex

from portward.cli import VERBS, say
from portward.cli.declarations import declarations
from portward.cli.terminal import open_ward, show
from portward.errors import PortwardError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from portward.cli.declarations import Declaration
    from portward.cli.parser import Arguments, Declares
    from portward.ward import Portward

    Choice = tuple[str, str]

SHELLS = ("bash", "zsh", "fish")
_PORTS = {"PORT", "PORT|DIR", "PORT[/udp]", "QUERY", "TARGET"}
_SERVICES = {"SERVICE", "TARGET"}
_WISHES = {"SERVICE[:TARGET]=PORT", "SERVICE=PORT"}
_WORD = re.compile(r"[\w.@:/=+-]+", re.ASCII)
"""What a shell takes as it is: a name with anything else is not offered."""
_PLACES = ("-C", "--directory")


def add_completion(parser: Declares) -> None:
    parser.add_argument("shell", nargs="?", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish: print its script")
    parser.add_argument("--line", metavar="TEXT", help="what is typed so far: print what may come next, a line each")


def completion(arguments: Arguments) -> int:
    """`portward completion`"""
    if arguments.line is not None:
        say(f"{word}\t{about}" for word, about in candidates(arguments, arguments.line))
        return 0
    if arguments.shell is None:
        hint = (
            "`source <(portward completion bash)` in ~/.bashrc, the same for zsh; `portward completion fish | source`"
        )
        raise UsageError("which shell?", hint=hint)
    path = os.path.join(os.path.dirname(__file__), "completions", f"portward.{arguments.shell}")
    with open(path, encoding="utf-8") as file:
        script = file.read()
    show(arguments, lambda: {"shell": arguments.shell, "script": script}, script.splitlines)
    return 0


def candidates(arguments: Arguments, line: str) -> Iterator[Choice]:
    """What may stand in the place of the last word of a line, each with a few words about it. Nothing where files are meant."""
    *before, current = _split(line)[1:] or [""]
    if "--" in before:
        return  # another program's words
    for index, word in enumerate(before[:-1]):
        if word in _PLACES:
            arguments.directory = before[index + 1]
    try:
        found = _choices(arguments, before, current)
        yield from ((word, about) for word, about in found if word.startswith(current) and _WORD.fullmatch(word))
    except PortwardError:
        return  # a half-typed line may be anything


def _split(line: str) -> list[str]:
    """The words as a shell has them; the last one is empty behind a blank."""
    for end in ("", "'", '"'):
        try:
            words = shlex.split(line + end)
        except ValueError:
            continue
        return [*words, ""] if line[-1:].isspace() and not end else words
    return line.split(" ")


def _choices(arguments: Arguments, before: list[str], current: str) -> Iterable[Choice]:
    verb, words = _verb(before)
    known = declarations(verb)
    options = {flag: each for each in known for flag in each.flags}
    if before and (option := options.get(before[-1])) and option.takes:
        return _values(arguments, option)
    if current.startswith("-"):
        return [(each.flags[-1], each.help) for each in known if each.flags]
    if verb is None:
        return [(name, about) for name, (_, about) in VERBS.items()]
    places = [each for each in known if not each.flags]
    given = _given(words, options)
    place = places[min(given, len(places) - 1)] if places else None
    if place is None or (given >= len(places) and not place.many):
        return []
    return _values(arguments, place)


def _verb(before: list[str]) -> tuple[str | None, list[str]]:
    """The verb, and the words behind it."""
    position = 0
    while position < len(before):
        if before[position] in VERBS:
            return before[position], before[position + 1 :]
        position += 2 if before[position] in _PLACES else 1
    return None, []


def _given(words: list[str], options: dict[str, Declaration]) -> int:
    """How many words are no options and no values of options."""
    count, is_value = 0, False
    for word in words:
        count += not is_value and not word.startswith("-")
        is_value = not is_value and word in options and options[word].takes
    return count


def _values(arguments: Arguments, declared: Declaration) -> Iterator[Choice]:
    if declared.choices:
        yield from ((choice, "") for choice in declared.choices)
        return
    if declared.metavar in _SERVICES:
        yield from ((name, "") for name in _services(open_ward(arguments)))
    if declared.metavar in _WISHES:
        yield from ((f"{name}=", "") for name in _services(open_ward(arguments)))
    if declared.metavar in _PORTS:
        yield from _ports(open_ward(arguments))


def _ports(ward: Portward) -> Iterator[Choice]:
    """The ports that somebody listens on now, each once, with who does."""
    from portward.wording import brief

    found: dict[int, str] = {}
    for row in ward.ls().listeners:
        found.setdefault(row.port, brief(row))
    yield from ((str(port), about) for port, about in sorted(found.items()))


def _services(ward: Portward) -> list[str]:
    """The services that the project declares, and those that have a lease."""
    names = [lease.holder.service for lease in ward.leases(own=True).leases]
    if ward.root is not None:
        names += [service.name for service in ward.project().services]
    return sorted(set(names))
