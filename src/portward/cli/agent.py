"""The verb that keeps a host in a store of many machines: agent."""

from __future__ import annotations

import sys

from portward.cli import printable, say
from portward.cli.terminal import open_ward

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.cli.parser import Arguments, Declares

UNIT = """\
[Unit]
Description=Portward's agent: this host in the store of many machines
Documentation=man:portward(1)
Wants=network-online.target
After=network-online.target

[Service]
ExecStart={command} agent
EnvironmentFile=-/etc/portward/agent.env
Restart=on-failure
RestartSec=5
StateDirectory=portward
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""
"""A unit of systemd. Root's, since only root sees the owners of all sockets; it writes to its state folder alone (systemd.exec(5))."""


def add_agent(parser: Declares) -> None:
    parser.add_argument("--ttl", type=float, default=60.0, metavar="S", help="alive without a word (default: 60 s)")
    parser.add_argument("--unit", action="store_true", help="instead: print a unit for systemd")


def agent(arguments: Arguments) -> int:
    """`portward agent`: a line for each event, with `--json` a document on a line. Ends with SIGTERM or SIGINT, and says so to the store."""
    if arguments.unit:
        print(UNIT.format(command=_command()), end="")
        return 0
    import signal

    from portward.render import agent as rendered

    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: ended.append(number))
    for event in open_ward(arguments).agent(lambda: bool(ended), ttl=arguments.ttl):
        told = (
            [rendered.document(event)]
            if arguments.json
            else []
            if arguments.quiet
            else [printable(rendered.line(event))]
        )
        if not say(told):
            ended.append(signal.SIGPIPE)
    return 0


def _command() -> str:
    """How to start Portward by an absolute path, as systemd wants it."""
    from shutil import which

    return which("portward") or f"{sys.executable} -m portward"
