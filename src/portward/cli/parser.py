"""The parser: options that every verb has, and the verb's own."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, HelpFormatter, Namespace

from portward import __version__
from portward.cli import VERBS, module_of
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action
    from typing import NoReturn


class _Parser(ArgumentParser):
    """Reports bad usage as an error like any other, so that `--json` can carry it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"`{self.prog} --help` shows how it is used")


def parse(words: list[str]) -> Namespace | None:
    """Reads the command line; None when help or the version was shown. Raises UsageError."""
    verb, position = _verb(words)
    parser = build(verb)
    try:
        arguments = parser.parse_args(words[:position] + words[position + 1 :] if verb else words)
    except SystemExit:
        return None
    arguments.verb = verb or "glance"
    return arguments


def _verb(words: list[str]) -> tuple[str | None, int]:
    """The verb and its place: the first word that is no option and no option's value."""
    position = 0
    while position < len(words):
        word = words[position]
        if not word.startswith("-"):
            if word not in VERBS:
                raise UsageError(f"{word!r} is not a verb", hint=_similar(word))
            return word, position
        position += 2 if word in ("-C", "--directory") else 1
    return None, 0


def _similar(word: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word, VERBS, n=1)
    return f"did you mean `portward {close[0]}`?" if close else f"the verbs are {', '.join(VERBS)}"


def build(verb: str | None) -> ArgumentParser:
    """The parser of one verb, or of `portward` alone."""
    if verb is None:
        listing = "\n".join(f"  {name:<10}{VERBS[name][1]}" for name in VERBS)
        parser: ArgumentParser = _Parser(
            prog="portward",
            usage="portward [-C DIR] [-v | -q] [VERB] [--json] …",
            description="Who holds this port, and will my stack start?",
            epilog=f"verbs:\n{listing}\n\nWithout a verb: the project's state, or what listens on this machine.\n"
            "`portward VERB --help` shows a verb's own options.\n\n"
            "exit status: 0 yes, clean; 1 the answer is no; 2 bad usage or bad input; 3 it could not be answered;\n"
            "4 a bug; 130 interrupted",
            formatter_class=_Plain,
            allow_abbrev=False,
        )
    else:
        parser = _Parser(
            prog=f"portward {verb}", description=VERBS[verb][1], formatter_class=_Plain, allow_abbrev=False
        )
        getattr(module_of(verb), f"add_{verb}")(parser)
    _add_common(parser)
    return parser


def _add_common(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("everywhere")
    group.add_argument("-C", "--directory", metavar="DIR", default=".", help="the project's folder (default: this one)")
    group.add_argument("--json", action="store_true", help="print one JSON document")
    group.add_argument("-v", "--verbose", action="store_true", help="say more, on stderr")
    group.add_argument(
        "-q", "--quiet", action="store_true", help="print nothing but errors: the exit status is the answer"
    )
    group.add_argument("--version", action="version", version=f"portward {__version__}", help=SUPPRESS)


class _Plain(HelpFormatter):
    """Help at a fixed width, with the description's own line ends."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=100, max_help_position=28)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in text.splitlines())

    def _format_action_invocation(self, action: Action) -> str:
        """`-C, --directory DIR`, as from Python 3.13 on; earlier ones repeat the value."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"
