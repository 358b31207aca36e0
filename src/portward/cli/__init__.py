"""The command line: parse, one call of `Portward`, render, exit code. Only the asked verb's module is loaded."""

from __future__ import annotations

import gc
import os
import sys

from portward.errors import PortwardError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

VERBS: dict[str, tuple[str, str]] = {
    "ls": ("look", "who listens: all TCP listeners, or those that match"),
    "who": ("look", "everything about what holds a port"),
    "check": ("project", "are these ports free? or: will this project's stack start?"),
    "services": ("project", "what the project declares, and its state now"),
    "set": ("change", "gives a service another port, everywhere that it is written"),
    "resolve": ("change", "moves the fewest ports that clear every conflict"),
    "undo": ("change", "takes the last write back"),
    "find": ("look", "free ports; nothing is recorded"),
    "catalog": ("look", "what a port is customarily used for"),
}
"""Verb → the module that has `add_<verb>(parser)` and `<verb>(arguments)`, and one line of help."""

BUG = 4
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Returns the exit status; never raises, never exits by itself."""
    if argv is None:
        gc.disable()  # a command ends long before there is garbage worth a search
    words = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in words or "--format=json" in words or " --format json" in f" {' '.join(words)}"
    try:
        return _run(words)
    except PortwardError as error:
        _report(error, as_json)
        return error.exit_code
    except BrokenPipeError:
        # the reader has enough: let nothing be flushed into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place that turns a bug into a log file
        from portward.cli.bug import write_log

        _report(PortwardError(f"a bug in Portward: {type(error).__name__}; see {write_log(error)}"), as_json)
        return BUG


def module_of(verb: str) -> ModuleType:
    """The module of a verb's family, loaded now. "glance" is `portward` without a verb."""
    from importlib import import_module

    return import_module(f"portward.cli.{VERBS[verb][0] if verb in VERBS else 'project'}")


def _run(words: list[str]) -> int:
    from portward.cli.parser import parse

    arguments = parse(words)
    if arguments is None:
        return 0
    module = module_of(arguments.verb)
    status: int = getattr(module, arguments.verb)(arguments)
    sys.stdout.flush()
    return status


def _report(error: PortwardError, as_json: bool) -> None:
    if as_json:
        from portward.render import documents

        print(documents.dump(documents.error(error)), flush=True)
    print(f"portward: {error}" if error.path is None else str(error), file=sys.stderr)
    if error.hint:
        print(f"hint: {error.hint}", file=sys.stderr)
