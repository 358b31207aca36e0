"""The process that gets a signal is the one that was looked at: its pid is reused, for real, at every moment in between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import need, need_root, unmet

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are stopped on Linux only")

# runs in pid, mount and network namespaces of its own, where the next pid can be chosen (ns_last_pid of proc_sys_kernel(5))
INSIDE = """
import json, os, signal, subprocess, sys, time
from portward import Portward
from portward.processes.ending import Ending, start_of

subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
PORT = 23456
SERVER = '''
import signal, socket, sys, time
if sys.argv[2] == "serves":
    made = socket.socket(); made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", int(sys.argv[1]))); made.listen()
def got(number, frame):
    print("got", number, flush=True)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGCONT):
    if sys.argv[2] != "serves" or sys.argv[3] == "second": signal.signal(number, got)
print("ready", flush=True)
time.sleep(600)
'''
def start(role, which, pid=None):
    if pid is not None:
        with open("/proc/sys/kernel/ns_last_pid", "w") as file: file.write(str(pid - 1))
    child = subprocess.Popen([sys.executable, "-c", SERVER, str(PORT), role, which], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\\n"
    return child

first = start("serves", "first")
ticks = start_of(first.pid)[1]
second = []
def swap(*_ignored):
    # ends the first, and gives its pid to another
    if second: return True
    first.kill(); first.wait()
    while time.clock_gettime(time.CLOCK_BOOTTIME) < (ticks + 2) / os.sysconf("SC_CLK_TCK"): time.sleep(0.01)
    for _attempt in range(100):
        child = start(sys.argv[2], "second", first.pid)
        if child.pid == first.pid:
            second.append(child)
            return True
        child.kill(); child.wait()
    sys.exit("the pid could not be reused")

moment = sys.argv[1]
ward = Portward()
if moment == "between the look and the signal":
    answer = ward.kill([str(PORT)], confirm=swap, force=True)
else:
    if moment == "after the hold on the process was taken":
        holders = Ending._still
        def still(self, handles):
            swap()
            return holders(self, handles)
        Ending._still = still
    else:
        sent = Ending._sent
        def sending(self, *words):
            swap()
            return sent(self, *words)
        Ending._sent = sending
    answer = ward.kill([str(PORT)], force=True, timeout=1)
(other,) = second
alive = other.poll() is None
other.kill()
output = other.communicate()[0]
print(json.dumps({
    "same pid": other.pid == first.pid, "alive": alive, "got": output,
    "stopped": [freed.how for freed in answer.stopped], "left alone": [*answer.remarks, *(each.why for each in answer.refused)], "complete": answer.complete,
}))
"""


@pytest.mark.parametrize("role", ["serves", "does something else"])
@pytest.mark.parametrize(
    "moment",
    [
        "between the look and the signal",
        "after the hold on the process was taken",
        "at the last moment",
    ],
)
def test_a_pid_that_is_reused(moment: str, role: str, tmp_path: Path) -> None:
    """Whatever has the pid now, and be it another server on the very port, gets no signal, not even with --force."""
    need_root()
    facts = _inside(INSIDE, moment, role, folder=tmp_path)
    assert facts["same pid"]
    assert (facts["alive"], facts["got"], facts["stopped"]) == (True, "", [])
    (why,) = facts["left alone"]
    assert why.endswith(": nothing was signalled")
    assert facts["complete"] == (role != "serves")  # is the port free?


def _inside(code: str, *words: str, folder: Path) -> dict[str, Any]:
    if not os.path.exists("/proc/sys/kernel/ns_last_pid"):
        unmet("this kernel does not let the next pid be chosen")
    done = subprocess.run(
        [need("unshare"), "--pid", "--net", "--fork", "--mount-proc", sys.executable, "-c", code, *words],
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent", "XDG_STATE_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts
