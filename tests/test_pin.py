"""Owners for who is not root: the iterator that root pins for a group, read by other users for real; and the walk of two processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.command import run
from tests.conftest import need, need_others, need_root, port_of, run_code, unmet

if sys.platform != "linux":
    pytest.skip("Linux alone", allow_module_level=True)

from portward.sockets import _bpf, _owners, _pin, _proc, _split

if TYPE_CHECKING:
    from tests.conftest import Listen

GROUP = 54321

# code for a process that is root in a mount namespace of its own, where nothing of the machine's /run is
APART = """
import ctypes, subprocess
subprocess.run(["mount", "-t", "tmpfs", "run", "/run"], check=True)
from portward.sockets import _bpf, _linux, _owners, _pin, _proc
def owners(held, uid, *groups):
    '''What an ordinary user is told of a socket: owners seen or hidden, their pids; and by which way.'''
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setgroups(list(groups))
        os.setgid(uid)
        os.setuid(uid)
        said = []
        port = held.getsockname()[1]
        held.close()
        (row,) = _linux.LinuxReader(said.append).read(ports={port}).listeners
        os.write(writing, json.dumps([str(row.owners), [p.pid for p in row.processes], [p.name for p in row.processes], said]).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        told = json.load(answer)
    os.wait()
    return told
_linux.LinuxReader().read()  # what is imported later may not be readable later
"""


def apart(code: str, *arguments: object) -> dict[str, Any]:
    """What code says that is root in a mount namespace of its own."""
    need_others()
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        unmet("this kernel has no type information")
    try:
        _bpf.socket_owners(())
    except _bpf.Unusable as error:
        unmet(f"this kernel runs no BPF iterator for us: {error}")
    return run_code(f"{APART}\n{code}", *arguments, prefix=[need("unshare"), "--mount"], env=_environment())


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in ("PORTWARD_OWNERS", "SUDO_GID")}


def test_a_member_of_the_group_sees_all_owners() -> None:
    """Root's socket has its owner for a member, by the pinned iterator; for any other user it is hidden, and for all once it is unpinned."""
    facts = apart(
        """
held = listen("127.0.0.1")
before = owners(held, 65534, 54321)
_pin.pin(54321)
member, other = owners(held, 65534, 54321), owners(held, 65534)
state, mode = _pin.state().gid, oct(os.stat(_pin.PATH).st_mode & 0o777)
_pin.pin(54322)
moved = owners(held, 65534, 54321), owners(held, 65534, 54322)
gone = _pin.unpin(), _pin.unpin(), os.path.exists("/run/portward"), _pin.state()
after = owners(held, 65534, 54322)
ready(me=os.getpid(), **{name: value for name, value in globals().items() if name in ("before", "member", "other", "state", "mode", "moved", "gone", "after")})
"""
    )
    me = facts["me"]
    assert facts["member"][:2] == ["seen", [me]]
    assert any("pinned" in step for step in facts["member"][3])
    assert (facts["state"], facts["mode"]) == (GROUP, "0o440")
    for hidden in (facts["before"], facts["other"], facts["moved"][0], facts["after"]):
        assert hidden[:2] == ["hidden", []]
    assert facts["moved"][1][:2] == ["seen", [me]]
    assert facts["gone"] == [True, False, False, None]


def test_it_says_what_the_other_ways_say() -> None:
    """For sockets of several kinds and owners, the pinned iterator, a fresh one and the walk agree."""
    facts = apart(
        """
sockets = [listen("127.0.0.1"), listen("::1"), listen("127.0.0.1", kind=socket.SOCK_DGRAM), *socket.socketpair()]
gate, closed = os.pipe()
child = os.fork()
if child == 0:
    os.close(closed)
    os.read(gate, 1)
    os._exit(0)
sockets += [listen("127.0.0.1")]
_pin.pin(54321)
inodes = [os.fstat(one.fileno()).st_ino for one in sockets]
found = _bpf.pinned_owners(inodes, _pin.PATH), _bpf.socket_owners(inodes), {key: sorted(value) for key, value in _proc.socket_owners(inodes)[0].items()}
os.environ["PORTWARD_OWNERS"] = "pinned"
said = []
forced = _owners.socket_owners(inodes, said.append)[0]
_pin.unpin()
ready(same=found[0] == found[1] == found[2] == forced, count=len(found[0]), pids=len(found[0][inodes[0]]), said=said, asked=len(inodes))
os.close(closed)
"""
    )
    assert facts["same"]
    assert facts["count"] == facts["asked"]
    assert facts["pids"] == 2
    assert "pinned" in facts["said"][0]


def test_what_is_there_is_not_believed_unless_root_made_it() -> None:
    """A file of somebody else's in its place is not read, and one that is no iterator gives no answer: the walk does."""
    facts = apart(
        """
held = listen("127.0.0.1")
os.makedirs(_pin.FOLDER, 0o755)
open(_pin.PATH, "w").close()
nothing = owners(held, 65534)
os.chown(_pin.PATH, 65533, 65533)
readable = _pin.is_readable()
ready(nothing=nothing, readable=readable)
"""
    )
    assert facts["nothing"][0] == "hidden"
    assert any("does not find our own socket" in step for step in facts["nothing"][3])
    assert facts["readable"] is False


def test_what_cannot_be_pinned_leaves_nothing() -> None:
    """Where the kernel refuses the name, there is no file system either, and a reason."""
    facts = apart(
        """
from portward.errors import Unavailable
def refuse(*_arguments):
    raise OSError(1, "not here")
_bpf.pin = refuse
try:
    _pin.pin(54321)
except Unavailable as error:
    why = error.message
ready(why=why, left=os.path.exists("/run/portward"))
"""
    )
    assert "not here" in facts["why"]
    assert facts["left"] is False


def setup(*words: str, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """`portward setup` where /run is empty, then whether anything is mounted there."""
    need_root()
    script = 'mount -t tmpfs run /run; shift; "$@"; status=$?; grep -c " /run/portward" /proc/mounts; exit $status'
    command = [need("unshare"), "--mount", "sh", "-c", script, "sh", "-", *prefix]
    return subprocess.run(
        [*command, sys.executable, "-m", "portward", "setup", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**_environment(), **environment},
        timeout=60,
    )


def test_setup_says_what_it_exposes_and_asks() -> None:
    """Without a yes nothing is pinned, and what it exposes is said either way; with one it is, for the group of sudo's user."""
    refused = setup("--pin-owners", "--group", str(GROUP))
    assert (refused.returncode, refused.stdout.splitlines()[-1]) == (2, "0")
    done = setup("--pin-owners", "--yes", SUDO_GID=str(GROUP))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "1"), done.stderr
    for answer in (refused, done):
        assert f"Every member of the group {GROUP} will see" in answer.stderr
        assert "which processes of this machine have which sockets open" in answer.stderr
    assert f"The group {GROUP} may see" in done.stdout


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--pin-owners"], 2, "which group"),
        (["--pin-owners", "--group", "no-such-group"], 2, "no group"),
        (["--pin-owners", "--unpin"], 2, "exclude"),
        (["--unpin"], 0, ""),
        ([], 0, ""),
    ],
)
def test_setup_with_nothing_pinned(words: list[str], status: int, says: str) -> None:
    """What is not to be done is bad usage; to take nothing away is no error."""
    done = setup(*words)
    assert done.returncode == status
    assert says in done.stderr
    assert done.stdout.splitlines()[-1] == "0"


def test_only_root_pins() -> None:
    """Another user is told so, with status 3."""
    need_others()
    code = (
        "import io, contextlib, os, sys; from portward.cli import main, setup; from portward.verbs import privileges; import grp\n"
        "from portward.render import setup as _\n"
        "import platform, textwrap\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "sys.exit(main(['setup', '--pin-owners', '--group', '65534', '--yes']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", timeout=60)
    assert (done.returncode, "only root" in done.stderr) == (3, True), done.stderr


def test_who_has_hidden_owners_is_told_of_it(listen: Listen) -> None:
    """The last line of an answer that lacks owners names the way out, and that verb is there."""
    assert run("setup", "--help").returncode == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_two_processes_walk_as_one(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same owners from halves; a child that fails leaves its half to us; no child is left behind."""
    inodes = [os.fstat(listen().fileno()).st_ino for _ in range(3)]
    children = set(psutil.Process().children())  # other tests' of this worker
    whole = _proc.socket_owners(inodes)
    assert _split.socket_owners(inodes) == whole

    def killed(*_arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    monkeypatch.setattr(_split, "_walk", killed)
    assert _split.socket_owners(inodes) == whole
    assert set(psutil.Process().children()) <= children


def test_a_process_with_threads_is_not_forked(monkeypatch: pytest.MonkeyPatch, listen: Listen) -> None:
    """Nor is one with a single processor: one walk answers, and says so."""
    import threading

    gate = threading.Event()
    thread = threading.Thread(target=gate.wait)
    thread.start()
    try:
        assert not _split.is_possible()
    finally:
        gate.set()
        thread.join()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert not _split.is_possible()
    monkeypatch.setenv("PORTWARD_OWNERS", "split")
    said: list[str] = []
    held = listen()
    inode = os.fstat(held.fileno()).st_ino
    assert _owners.socket_owners([inode], said.append)[0] == {inode: [os.getpid()]}
    assert port_of(held)
    assert "two processes" not in said[0]


def test_every_way_has_a_name() -> None:
    """Each can be forced, and another name is bad usage that tells them."""
    done = run("who", "1", PORTWARD_OWNERS="other")
    assert _owners.WAYS == ("bpf", "pinned", "proc", "split")
    assert _pin.PATH.startswith(_pin.FOLDER)
    assert done.returncode in (1, 2)
