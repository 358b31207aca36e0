"""Reads a command line: the options that every verb has, and the verb's own.

A verb declares its arguments in the way of argparse (`add_<verb>(parser)`), which is loaded only to print help: its import and
its set-up take longer than a look at a port. `Reader` keeps the part of argparse's conventions that the verbs use; options
and positional arguments may come in any order.
"""

from __future__ import annotations

from portward import __version__
from portward.cli import VERBS, module_of, say
from portward.errors import UsageError
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Any, Protocol

    class Declares(Protocol):
        """What `add_<verb>` is given: a `Reader`, or argparse's own parser."""

        def add_argument(self, *flags: str, **settings: Any) -> object: ...
        def add_argument_group(self, title: str) -> Any: ...


class Arguments:
    """What was asked: one attribute for each declared argument, and `verb`."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...


class _Argument(Record):
    """A declared argument: an option (`flags`), or a positional one. `many` and `needed` are those of `nargs`."""

    name: str
    flags: tuple[str, ...]
    action: str
    metavar: str
    default: Any
    type: Callable[[str], object]
    choices: Collection[str] | None
    many: bool
    needed: bool

    def value(self, text: str) -> object:
        """The value that a text is. Raises UsageError."""
        label = self.flags[-1] if self.flags else self.metavar
        try:
            value = self.type(text)
        except ValueError:
            raise UsageError(f"{label}: {text!r} is not a number") from None
        if self.choices is not None and value not in self.choices:
            raise UsageError(
                f"{label}: {text!r} is none of {', '.join(self.choices)}", hint=similar(text, self.choices)
            )
        return value


class Reader:
    """Collects declarations, then reads words by them."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._options: dict[str, _Argument] = {}
        self._positional: list[_Argument] = []

    def add_argument(self, *flags: str, **settings: Any) -> None:
        """As argparse has it: actions store, store_true and append; nargs "?", "*" and "+"; type, choices, default."""
        is_option = flags[0].startswith("-")
        name = settings.get("dest") or flags[-1].lstrip("-").replace("-", "_")
        action, nargs = settings.get("action", "store"), settings.get("nargs")
        argument = _Argument(
            name=name,
            flags=flags if is_option else (),
            action=action,
            metavar=settings.get("metavar") or name.upper(),
            default=settings.get("default", False if action == "store_true" else None),
            type=settings.get("type", str),
            choices=settings.get("choices"),
            many=nargs in ("*", "+"),
            needed=not is_option and nargs in (None, "+"),
        )
        if is_option:
            self._options.update(dict.fromkeys(flags, argument))
        else:
            self._positional.append(argument)

    def add_argument_group(self, _title: str) -> Reader:
        """Groups are for help alone."""
        return self

    def read(self, words: list[str]) -> Arguments:
        """The arguments that the words give. Raises UsageError."""
        arguments = Arguments()
        for argument in (*self._options.values(), *self._positional):
            default = argument.default
            setattr(arguments, argument.name, list(default) if isinstance(default, list) else default)
        left: list[str] = []
        pending = iter(words)
        for word in pending:
            if word == "--":
                left += pending
            elif word.startswith("-") and not word[1:2].isdigit() and word != "-":
                self._option(word, pending, arguments)
            else:
                left.append(word)
        self._place(left, arguments)
        return arguments

    def _option(self, word: str, pending: Iterator[str], arguments: Arguments) -> None:
        """Takes an option: `--long value`, `--long=value`, `-s value`, `-svalue`, or several short ones in one word."""
        flag, equals, value = word.partition("=")
        if not word.startswith("--"):
            flag, value = word[:2], word[2:].removeprefix("=")
        argument = self._options.get(flag)
        if argument is None:
            raise UsageError(
                f"{flag} is not an option of `{self._program}`", hint=similar(flag, self._options) or self._help
            )
        if argument.action == "store_true":
            if equals and word.startswith("--"):
                raise UsageError(f"{flag} takes no value", hint=self._help)
            setattr(arguments, argument.name, True)
            if value:
                self._option(f"-{value}", pending, arguments)
            return
        if not (value or equals):
            value = next(pending, "--")
            if value.startswith("-") and not value[1:2].isdigit():
                raise UsageError(f"{flag} needs a value: {argument.metavar}", hint=self._help)
        taken = argument.value(value)
        if argument.action == "append":
            getattr(arguments, argument.name).append(taken)
        else:
            setattr(arguments, argument.name, taken)

    def _place(self, words: list[str], arguments: Arguments) -> None:
        """Gives the words without an option to the positional arguments in turn; one that takes many takes the rest."""
        for argument in self._positional:
            if not words and argument.needed:
                raise UsageError(f"{argument.metavar} is missing", hint=self._help)
            if argument.many:
                setattr(arguments, argument.name, [argument.value(word) for word in words])
                words = []
            elif words:
                setattr(arguments, argument.name, argument.value(words[0]))
                words = words[1:]
        if words:
            raise UsageError(f"{words[0]!r} is one argument too many", hint=self._help)

    @property
    def _help(self) -> str:
        return f"`{self._program} --help` shows how it is used"


def parse(words: list[str]) -> Arguments | None:
    """Reads the command line; None when help or the version was shown. Raises UsageError."""
    verb, position = _verb(words)
    rest = words[:position] + words[position + 1 :] if verb else words
    asked = next((word for word in rest if word in ("-h", "--help", "--version", "--")), "--")
    if asked == "--version":
        say([f"portward {__version__}"])
        return None
    if asked != "--":
        from portward.cli import help as text

        text.show(verb)
        return None
    reader = Reader(f"portward {verb}" if verb else "portward")
    declare(verb, reader)
    command: list[str] = []
    if verb == "run" and "--" in rest:  # what stands behind it is another program's
        rest, command = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
    arguments = reader.read(rest)
    arguments.command = command
    arguments.verb = verb or "glance"
    return arguments


def declare(verb: str | None, parser: Declares) -> None:
    """Tells a parser what a verb may be given; None is `portward` alone."""
    if verb is not None:
        getattr(module_of(verb), f"add_{verb}")(parser)
    group = parser.add_argument_group("everywhere")
    group.add_argument("-C", "--directory", metavar="DIR", default=".", help="the project's folder (default: this one)")
    group.add_argument("--json", action="store_true", help="print one JSON document")
    group.add_argument("-v", "--verbose", action="store_true", help="say more, on stderr")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="print nothing but errors: the exit status is the answer"
    )


def _verb(words: list[str]) -> tuple[str | None, int]:
    """The verb and its place: the first word that is no option and no option's value."""
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("-"):
            if word not in VERBS:
                raise UsageError(f"{word!r} is not a verb", hint=_similar_verb(word))
            return word, position
        position += 2 if word in ("-C", "--directory") else 1
    return None, 0


def _similar_verb(word: str) -> str:
    close = similar(word, VERBS, "`portward {}`")
    return close or f"the verbs are {', '.join(VERBS)}"


def similar(word: str, known: Collection[str], form: str = "{}") -> str | None:
    """A question whether the known word that is most like this one was meant; None if none is."""
    from difflib import get_close_matches

    close = get_close_matches(word, known, n=1)
    return f"did you mean {form.format(close[0])}?" if close else None
