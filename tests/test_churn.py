"""While processes and sockets come and go: what stays is told as `ss` and `lsof` tell it, and nothing that comes and goes is given to a stranger."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need, need_root

if sys.platform != "linux":
    pytest.skip("ss is for Linux alone", allow_module_level=True)

from portward.sockets._linux import LinuxReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Child, Spawn

ROUNDS = 5
STAYS = """
held = [listen("127.0.0.1"), listen("::1"), listen("0.0.0.0", kind=socket.SOCK_DGRAM)]
for _ in range(2):
    if os.fork() == 0:
        sys.stdin.read()
        os._exit(0)
ready(ports=[one.getsockname()[1] for one in held])
"""
CHURN = """
import select
ready()
while not select.select([sys.stdin], [], [], 0.005)[0]:  # one process at a time, until this one's stdin ends
    if os.fork() == 0:
        for _ in range(3):
            try:
                with listen("127.0.0.1", int(sys.argv[1])), listen("::1", int(sys.argv[1])):
                    pass
            except OSError:
                pass  # the one before still has it
        os._exit(0)
    os.wait()
"""


@pytest.fixture
def staying(spawn: Spawn, free_port: int, spare_port: int) -> Iterator[list[Child]]:
    """Three servers of three processes and three sockets each, while two others start processes that listen for a moment."""
    children = [spawn(STAYS, start_new_session=True) for _ in range(3)]
    churning = [spawn(CHURN, port, start_new_session=True) for port in (free_port, spare_port)]
    yield children
    for child in (*children, *churning):
        os.killpg(child.pid, signal.SIGKILL)


def by_ss(ports: set[int]) -> dict[int, set[int]]:
    """{port: pids} as `ss` has it."""
    listed = subprocess.run(
        [need("ss"), "-Hltnup"], capture_output=True, text=True, errors="replace", check=True
    ).stdout
    found: dict[int, set[int]] = {}
    for line in listed.splitlines():
        port = int(line.split()[4].rpartition(":")[2])
        if port in ports:
            found.setdefault(port, set()).update(int(pid) for pid in re.findall(r"pid=(\d+)", line))
    return found


def by_lsof(ports: set[int]) -> dict[int, set[int]]:
    """{port: pids} as `lsof` has it."""
    listed = subprocess.run(
        [need("lsof"), "-nP", "-w", "-F", "pn", "-i"], capture_output=True, text=True, errors="replace"
    ).stdout
    found: dict[int, set[int]] = {}
    pid = 0
    for line in listed.splitlines():
        if line.startswith("p"):
            pid = int(line[1:])
        elif line.startswith("n") and "->" not in line and line.rpartition(":")[2].isdecimal():
            port = int(line.rpartition(":")[2])
            if port in ports:
                found.setdefault(port, set()).add(pid)
    return found


@pytest.mark.parametrize("way", ["bpf", "proc", "split", "remembered"])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_what_stays_is_told_as_ss_and_lsof_do(way: str, staying: list[Child], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every owner of every socket, round after round; of what comes and goes a row has no owner or one that is no server of these."""
    need_root()
    monkeypatch.setenv("PORTWARD_OWNERS", "" if way == "remembered" else way)
    if way == "split":
        from portward.sockets import _split

        monkeypatch.setattr(_split, "is_possible", lambda: True)  # the test's process has threads
    reader = LinuxReader()
    if way == "remembered":
        reader.remember(3600)
    ports = {port for child in staying for port in child.facts["ports"]}
    expected = by_ss(ports)
    assert expected == by_lsof(ports)
    # the kernel may give one server's TCP the number that it gave another one's UDP
    assert {port: len(pids) for port, pids in expected.items()} == {
        port: 3 * sum(port in child.facts["ports"] for child in staying) for port in ports
    }
    servers = set().union(*expected.values())
    for _round in range(ROUNDS):
        rows = reader.read(udp=True).listeners
        found = {row.port: {process.pid for process in row.processes} for row in rows if row.port in ports}
        assert found == expected
        for row in rows:
            if row.port not in ports:
                assert not servers & {process.pid for process in row.processes}
    assert by_ss(ports) == expected
