"""Makes troubles for `doctor`: network namespaces of a test's own, joined by a cable, and servers in them.

Nothing of the machine's own network is touched: packet filters, routes and addresses are set inside these namespaces alone.
"""

from __future__ import annotations

import re
import secrets
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.conftest import need, need_root
from tests.engine import clean_environment, portward

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine import Answer

LISTEN = "held = listen(sys.argv[1], int(sys.argv[2])); ready()"
"""Code for `spawn`: a server that listens, and accepts nothing."""


class Net:
    """A network namespace, by the name that `ip netns` gives it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enter = ("nsenter", f"--net=/run/netns/{name}")

    def __call__(self, *words: str, seconds: float = 60) -> None:
        """Runs a command in there."""
        _run(*self.enter, *words, seconds=seconds)

    def doctor(self, *words: str, **environment: str) -> Answer:
        """Asks `portward doctor` from in there."""
        return doctor(*words, prefix=self.enter, **environment)


@contextmanager
def network() -> Iterator[Net]:
    """A new network namespace with a loopback that is up. Removed in the end."""
    need_root()
    need("ip")
    need("nsenter")
    name = f"pwt{secrets.token_hex(4)}"
    _run("ip", "netns", "add", name)
    try:
        net = Net(name)
        net("ip", "link", "set", "lo", "up")
        yield net
    finally:
        _run("ip", "netns", "delete", name)


@contextmanager
def joined() -> Iterator[tuple[Net, Net]]:
    """Two network namespaces with a cable between them: the client's has 10.77.0.1 and fd77::1, the server's ends in 2."""
    with network() as client, network() as server:
        client("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", server.name)
        for net, number in ((client, 1), (server, 2)):
            net("ip", "address", "add", f"10.77.0.{number}/24", "dev", "cable")
            net("ip", "-6", "address", "add", f"fd77::{number}/64", "dev", "cable", "nodad")
            net("ip", "link", "set", "cable", "up")
        yield client, server


def doctor(*words: str, prefix: tuple[str, ...] = (), folder: Path | str = "/", **environment: str) -> Answer:
    """Asks `portward doctor` in a process of its own."""
    return portward("doctor", *words, folder=folder, environment=clean_environment(**environment), prefix=prefix)


def blames(answer: Answer, pattern: str) -> None:
    """Checks that the one cause is the one that was made, that the answer is no, and that there is a way out."""
    assert re.search(pattern, answer.document.get("cause") or ""), (answer.text, answer.document)
    assert answer.status == 1
    assert answer.document["fixes"], answer.text
    safe = [fix["safe"] for fix in answer.document["fixes"]]
    assert safe == sorted(safe, reverse=True), "the safest comes first"


def is_well(answer: Answer) -> None:
    """Checks that no cause is named, and that the target can be reached."""
    assert answer.document["cause"] is None, answer.text
    assert answer.document["reachable"] is True
    assert answer.status == 0
    assert answer.document["fixes"] == []


def _run(*words: str, seconds: float = 60) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
