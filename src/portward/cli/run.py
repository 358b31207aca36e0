"""The verb that starts a command: run. stdout is the command's alone."""

from __future__ import annotations

import sys

from portward.cli.terminal import add_offline, open_ward
from portward.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares


def add_run(parser: Declares) -> None:
    parser.add_argument(
        "words", nargs="*", metavar="[SERVICE] -- COMMAND", help="the service, and after `--` what to start"
    )
    parser.add_argument("--fd", action="store_true", help="hand over a listening socket, for servers that take one")
    parser.add_argument("--retry", type=int, default=0, metavar="N", help="start again on another port, up to N times")
    parser.add_argument(
        "--no-explain",
        action="store_true",
        help="leave the command's stderr alone, and do not explain what its last lines say of ports",
    )
    add_offline(parser)


def run(arguments: Arguments) -> int:
    """`portward run`"""
    words, command = list(arguments.words), list(arguments.command)
    if not command or len(words) > 1:
        raise UsageError("what to run stands after `--`", hint="portward run [SERVICE] -- COMMAND")

    def tell(sentence: str) -> None:
        if not arguments.quiet:
            print(f"portward: {sentence}", file=sys.stderr, flush=True)

    ward = open_ward(arguments)
    return ward.run(
        command,
        words[0] if words else None,
        socket=arguments.fd,
        retries=arguments.retry,
        tell=tell,
        explain=not arguments.no_explain,
        offline=arguments.offline_ok,
    )
