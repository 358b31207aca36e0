"""What `portward run` does, without leases: `python -m tests.run_command --port P [options] -- COMMAND`. For tests.

The ports come from the command line: `--port`, and for each retry the next of `--next`. Sentences go to stderr. With `--heard` a file gets
the last words of a command that dies.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from portward.errors import PortwardError
from portward.processes import Launch, run
from portward.servers import prepare
from portward.sockets import open_reader
from portward.sockets.hold import Hold
from portward.verbs.starting import ports_in_use


def scripts(folder: str, name: str) -> str | None:
    """A script of a package.json."""
    package = Path(folder, "package.json")
    return json.loads(package.read_text())["scripts"].get(name) if package.exists() else None


def tell(sentence: str) -> None:
    """To stderr, as `portward run` does."""
    print(f"portward: {sentence}", file=sys.stderr, flush=True)


def launch(options: argparse.Namespace, port: int) -> Launch:
    """The command on that port, held unless --no-hold, its socket handed over with --fd."""
    prepared = prepare(options.command, port, socket=options.fd, scripts=scripts)
    hold = None if options.no_hold else Hold.take(prepared.port)
    handover = prepared.handover
    for note in prepared.notes:
        tell(note)
    return Launch(
        prepared.command,
        {**os.environ, **prepared.environment},
        prepared.port,
        hold,
        hold.listening(handover.host) if handover and hold else None,
        announced=handover is not None and handover.announced,
        known=prepared.server is not None,
        serves=prepared.serves,
    )


def main() -> int:
    """Parses, runs, and returns the status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--next", type=int, nargs="*", default=[])
    parser.add_argument("--retry", type=int, default=0)
    parser.add_argument("--fd", action="store_true")
    parser.add_argument("--no-hold", action="store_true")
    parser.add_argument(
        "--wait", action="store_true", help="when the port is held, say so and wait for a line on stdin"
    )
    parser.add_argument("--no-explain", action="store_true")
    parser.add_argument("--heard", type=Path)
    parser.add_argument("command", nargs="*")
    options = parser.parse_args()
    following = iter(options.next)
    reader = open_reader()

    def again(port: int) -> Launch:
        new = next(following)
        tell(f"{port} is lost, trying {new}")
        return launch(options, new)

    try:
        first = launch(options, options.port)
        if options.wait:
            print("held", flush=True)
            os.read(0, 100)  # one line of a pipe: nothing that the child is to read
        return run(
            first,
            listeners=lambda: reader.read().listeners,
            tell=tell,
            retries=options.retry,
            again=again,
            in_use=None if options.no_explain else ports_in_use,
            explain=lambda text, _port: options.heard.write_bytes(text.encode()) if options.heard else None,
        )
    except PortwardError as error:
        tell(f"error: {error}" + (f" (hint: {error.hint})" if error.hint else ""))
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
