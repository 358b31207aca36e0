"""Help, as argparse prints it. Loaded only to show it."""

from __future__ import annotations

from argparse import ArgumentParser, HelpFormatter

from portward.cli import VERBS, say
from portward.cli.parser import declare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Action


def show(verb: str | None) -> None:
    """Prints the help of a verb, or of `portward` alone for None."""
    parser = _of_verb(verb) if verb else _of_all()
    declare(verb, parser)
    say(parser.format_help().splitlines())


def _of_verb(verb: str) -> ArgumentParser:
    return ArgumentParser(prog=f"portward {verb}", description=VERBS[verb][1], formatter_class=_Plain)


def _of_all() -> ArgumentParser:
    width = max(map(len, VERBS)) + 2
    listing = "\n".join(f"  {name:<{width}}{VERBS[name][1]}" for name in VERBS)
    return ArgumentParser(
        prog="portward",
        usage="portward [-C DIR] [-v | -q] [VERB] [--json] …",
        description="Who holds this port, and will my stack start?",
        epilog=f"verbs:\n{listing}\n\nWithout a verb: the project's state, or what listens on this machine.\n"
        "`portward VERB --help` shows a verb's own options.\n\n"
        "exit status: 0 yes, clean; 1 the answer is no; 2 bad usage or bad input; 3 it could not be answered;\n"
        "4 a bug; 130 interrupted",
        formatter_class=_Plain,
    )


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
