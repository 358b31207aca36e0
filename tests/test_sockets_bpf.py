"""Owners as the kernel tells them at once: the same as the walk over /proc finds, and where it cannot be asked, a reason."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from portward.errors import UsageError
from portward.model import Owners
from tests.conftest import need, need_root, port_of, run_code, unmet

if sys.platform != "linux":
    pytest.skip("Linux alone", allow_module_level=True)

from portward.sockets import _bpf, _bpf_files, _bpf_kernel, _bpf_tasks, _btf, _linux, _owners, _pin, _proc, _split

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path
    from typing import NoReturn

    from tests.conftest import Listen, Spawn

NOBODY = 65534
F_SETSIG = 10  # <fcntl.h>

# code for a process of its own: what both ways say of some sockets
BOTH = """
from portward.sockets import _bpf, _owners, _proc
def both(*inodes):
    try:
        found = sorted(_bpf.socket_owners(inodes).items())
    except _bpf.Unusable:
        found = None
    walked, hidden = _proc.socket_owners(inodes)
    return [found, sorted(walked.items())]
def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
def inode(held):
    return os.fstat(held.fileno()).st_ino
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the offsets are kept in, of this test alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "portward" / "kernel-offsets"


@pytest.fixture(params=["tasks", "files"])
def answers(request: pytest.FixtureRequest, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what the kernel says, by each of the two programs: it must be able to."""
    need_root()
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        pytest.skip("this kernel has no type information")
    try:
        _bpf.socket_owners(())
    except _bpf.Unusable as error:
        unmet(f"this kernel runs no BPF iterator for us: {error}")
    other = "_bpf_tasks.ask" if request.param == "files" else "_bpf_files.told"

    def refused(*_arguments: object) -> NoReturn:
        raise _bpf.Unusable("the other program is tested")

    monkeypatch.setattr(f"portward.sockets.{other}", refused)


@contextmanager
def leased(path: Path) -> Iterator[None]:
    """Whoever opens the file waits until the block ends (fcntl(2), "Leases"; at most /proc/sys/fs/lease-break-time)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except OSError as error:
            pytest.skip(f"this file system has no leases: {error}")
        fcntl.fcntl(descriptor, F_SETSIG, signal.SIGURG)  # ignored, unlike SIGIO
        yield
    finally:
        os.close(descriptor)


def until(holds: Callable[[], bool]) -> None:
    """Waits for a condition. Fails after a long time."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def inode(held: socket.socket) -> int:
    return os.fstat(held.fileno()).st_ino


def both(inodes: Sequence[int]) -> dict[int, list[int]]:
    """What the kernel says of these sockets. Fails where the walk says otherwise."""
    found = _bpf.socket_owners(inodes)
    walked, _ = _proc.socket_owners(inodes)
    assert found == walked
    return found


def not_usable() -> str:
    """Why the kernel does not answer."""
    with pytest.raises(_bpf.Unusable) as caught:
        _bpf.socket_owners(())
    return str(caught.value)


@pytest.mark.usefixtures("answers")
def test_every_kind_of_socket_has_its_owner(listen: Listen) -> None:
    """TCP, UDP, both families, bound without listening, a copy on a second descriptor: one owner each, by both ways."""
    made = [
        listen("127.0.0.1"),
        listen("::1"),
        listen(udp=True),
        listen("::1", udp=True),
        listen(listening=False),
    ]
    with made[0].dup():
        assert both([inode(one) for one in made]) == {inode(one): [os.getpid()] for one in made}


# code for a process of its own, with a name and a child that are unlike others: what each way tells of the two, but not of whose child we are
TOLD = """
import signal
from portward.sockets import _bpf, _proc
held, started = listen("127.0.0.1"), os.fork()
if not started:
    with open("/proc/self/comm", "w") as name:
        name.write("a) (b c")
    os.setuid(65534)
    signal.pause()
while "a) (b c" not in open(f"/proc/{started}/comm").read():
    pass
while os.stat(f"/proc/{started}").st_uid != 65534:
    pass
seen = {}
_bpf.socket_owners([os.fstat(held.fileno()).st_ino], seen)
ready(
    told=[repr(seen[pid].replace(folder=b"") if pid in seen else None) for pid in (os.getpid(), started)],
    stat=[repr(_proc._stat(pid)) for pid in (os.getpid(), started)],
    process=[repr(_proc.process(pid, seen.get(pid)).replace(started=None)) for pid in (os.getpid(), started)],
    walked=[repr(_proc.process(pid).replace(started=None)) for pid in (os.getpid(), started)],
)
os.kill(started, 9)
"""


@pytest.mark.parametrize("apart", [(), ("--pid", "--fork", "--mount-proc"), ("--time", "--boottime", "5000", "--fork")])
def test_what_is_told_of_processes_by_the_way_is_what_proc_says(apart: tuple[str, ...], answers: None) -> None:
    """Name, parent, start and user; in a time namespace of one's own, nothing, for that is not the time of /proc."""
    prefix = [need("unshare"), *apart, "--kill-child"] if apart else []
    if prefix and subprocess.run([*prefix, "true"], capture_output=True).returncode:
        unmet(f"unshare {' '.join(apart)} is not possible")
    facts = run_code(TOLD, prefix=prefix)
    assert facts["process"] == facts["walked"]
    is_told = _btf.TASK_ITERATOR in _btf.read() and "--time" not in apart
    assert facts["told"] == (facts["stat"] if is_told else ["None", "None"])


# a process with a child in its folder, and one in another, all with a socket in common
FOLDERS = """
import signal
from portward.sockets import _bpf, _proc
held, children = listen("127.0.0.1"), []
for place in (".", "/"):
    ready_end, child_end = os.pipe()
    children.append(os.fork())
    if not children[-1]:
        os.chdir(place)
        os.write(child_end, b"x")
        signal.pause()
    os.read(ready_end, 1)
seen, folders = {}, {}
_bpf.socket_owners([os.fstat(held.fileno()).st_ino], seen)
pids = (os.getpid(), *children)
found = [_proc.process(pid, seen.get(pid), folders if seen else None).cwd for pid in pids]
ready(found=found, links=[os.readlink(f"/proc/{pid}/cwd") for pid in pids], read=len(folders), told=len(seen))
for child in children:
    os.kill(child, 9)
"""


@pytest.mark.usefixtures("answers")
def test_a_folder_is_read_once_for_all_that_are_in_it() -> None:
    """And each process has its own."""
    facts = run_code(FOLDERS)
    assert facts["found"] == facts["links"]
    assert len(set(facts["found"])) == 2
    assert facts["read"] == (2 if facts["told"] else 0)


@pytest.mark.usefixtures("answers")
def test_all_processes_are_told_as_proc_tells_them() -> None:
    """Who lived before and after, with start and name; an ended one that its parent has not heard of is not told."""
    if _btf.TASK_ITERATOR not in _btf.read():
        unmet("this kernel has no loops for programs")
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        before = {pid: _proc.stamp(pid) for pid in _proc.pids()}
        told = _bpf.processes()
        lasting = {pid: stamp for pid, stamp in before.items() if stamp and stamp == _proc.stamp(pid)}
        assert ended.pid in before
        assert ended.pid not in told
    assert os.getpid() in lasting
    with_files = [pid for pid in lasting if pid > 1 and _proc._command(pid)]  # not the kernel's own
    assert {pid: _proc.stamp_of(told[pid]) for pid in with_files} == {pid: lasting[pid] for pid in with_files}


@pytest.mark.usefixtures("answers")
def test_only_what_was_asked_for_is_told(listen: Listen) -> None:
    """Other sockets are left out, and so are inode 0 and one that is nobody's."""
    mine, _other = listen(), listen()
    assert _bpf.socket_owners({inode(mine), 0, 2**40}) == {inode(mine): [os.getpid()]}
    assert _bpf.socket_owners(()) == {}


@pytest.mark.usefixtures("answers")
def test_every_process_of_a_pre_forked_server_is_an_owner(spawn: Spawn) -> None:
    """Five processes share one socket, and one of them has it twice."""
    child = spawn("""
held = listen("127.0.0.1")
twice = held.dup()
gate, closed = os.pipe()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        os.close(closed)
        os.read(gate, 1)
        os._exit(0)
    children.append(pid)
ready(inode=os.fstat(held.fileno()).st_ino, pids=[os.getpid(), *children])
""")
    assert both([child.facts["inode"]]) == {child.facts["inode"]: sorted(child.facts["pids"])}
    child.stop()  # closes the gate: the children end


@pytest.mark.usefixtures("answers")
def test_a_descriptor_in_flight_is_nobodys() -> None:
    """A socket whose only descriptor waits in a message (SCM_RIGHTS) has no entry until it is received."""
    sender, receiver = socket.socketpair()
    with sender, receiver, socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        number = inode(held)
        socket.send_fds(sender, [b"x"], [held.fileno()])
        assert both([number]) == {number: [os.getpid()]}
        held.close()
        assert both([number]) == {}
        _, descriptors, _, _ = socket.recv_fds(receiver, 1, 1)
        with socket.socket(fileno=descriptors[0]):
            assert both([number]) == {number: [os.getpid()]}


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("deeper", [0, 1])
def test_a_process_in_a_container_has_its_number_out_here(deeper: int, spawn: Spawn) -> None:
    """In a pid and a network namespace of its own it is process 1, one or two namespaces deep. In there we are nobody."""
    need("unshare")
    into = ["unshare", "--pid", "--fork", "--mount-proc", "--net", "--kill-child"]
    with socket.socket() as outside:
        outside.bind(("127.0.0.1", 0))
        child = spawn(
            BOTH + "held = listen('0.0.0.0')\n"
            "ready(pid=os.getpid(), inode=inode(held), both=both(inode(held), int(sys.argv[1])))",
            inode(outside),
            prefix=into * (1 + deeper),
        )
        number = child.facts["inode"]
        assert child.facts["both"] == [[[number, [1]]]] * 2  # seen from inside: only what is inside
        found = both([number, inode(outside)])
        assert found[inode(outside)] == [os.getpid()]
        (pid,) = found[number]
        assert child.facts["pid"] == 1 != pid
        child.stop()


@pytest.mark.usefixtures("answers")
def test_where_proc_counts_otherwise_the_walk_answers() -> None:
    """In a new pid namespace with the /proc of the old one the kernel's numbers would name other processes."""
    need("unshare")
    facts = run_code(
        BOTH
        + """
held = listen('127.0.0.1')
said = []
owners, hidden = _owners.socket_owners([inode(held)], said.append)
ready(owners=sorted(owners.items()), me=int(os.readlink('/proc/self')), inode=inode(held), said=said)
""",
        prefix=["unshare", "--pid", "--fork"],
        env={**os.environ, "PORTWARD_OWNERS": "bpf"},
    )
    assert facts["owners"] == [[facts["inode"], [facts["me"]]]]
    assert "another pid namespace" in facts["said"][0]


@pytest.mark.usefixtures("answers")
def test_a_thread_with_descriptors_of_its_own_counts_as_its_process(spawn: Spawn) -> None:
    """After unshare(CLONE_FILES) the walk does not see what the thread opens; the kernel does."""
    child = spawn("""
import ctypes, threading
def alone():
    assert ctypes.CDLL(None).unshare(0x400) == 0
    held = listen("127.0.0.1")
    ready(inode=os.fstat(held.fileno()).st_ino)
    sys.stdin.read()
threading.Thread(target=alone).start()
""")
    assert _bpf.socket_owners([child.facts["inode"]]) == {child.facts["inode"]: [child.pid]}
    child.stop()


@pytest.mark.usefixtures("answers")
def test_a_program_that_is_being_started_is_no_owner(spawn: Spawn, tmp_path: Path) -> None:
    """Between vfork and exec a child has all its parent has, for a moment. Here it hangs in it: it waits to open a pipe."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    child = spawn(
        """
held = listen("127.0.0.1")
ready(inode=os.fstat(held.fileno()).st_ino)
waits = [(os.POSIX_SPAWN_OPEN, 9, sys.argv[1], os.O_RDONLY, 0)]
os.waitpid(os.posix_spawn("/bin/true", ["true"], {}, file_actions=waits), 0)
""",
        pipe,
    )
    number = child.facts["inode"]
    until(lambda: len(_proc.socket_owners([number])[0].get(number, ())) == 2)
    assert _bpf.socket_owners([number]) == {number: [child.pid]}
    with pipe.open("wb"):
        child.stop()


@pytest.mark.usefixtures("answers")
def test_inside_execve_a_process_is_an_owner_only_where_nobody_else_is(spawn: Spawn, tmp_path: Path) -> None:
    """There too it has all its parent has, until the kernel closes it. Here it hangs: its interpreter's file is leased."""
    interpreter, script = tmp_path / "interpreter", tmp_path / "script"
    shutil.copy(os.path.realpath("/bin/true"), interpreter)
    script.write_text(f"#!{interpreter}\n")
    script.chmod(0o755)
    with leased(interpreter):
        child = spawn(
            """
held = listen("127.0.0.1")
starting = os.fork()
if not starting:
    os.execv(sys.argv[1], [sys.argv[1]])
ready(inode=os.fstat(held.fileno()).st_ino, starting=starting)
sys.stdin.readline()
held.close()
""",
            script,
        )
        number, starting = child.facts["inode"], child.facts["starting"]
        until(lambda: _bpf.socket_owners([number]) == {number: [child.pid]})  # a fork is an owner up to its execve
        assert _proc.socket_owners([number])[0] == {number: sorted([child.pid, starting])}  # numbers of processes wrap
        assert child.process.stdin is not None
        child.process.stdin.write("\n")
        child.process.stdin.flush()
        until(lambda: _proc.socket_owners([number])[0] == {number: [starting]})
        assert _bpf.socket_owners([number]) == {number: [starting]}
    until(lambda: _bpf.socket_owners([number]) == {})
    child.stop()


@pytest.mark.usefixtures("answers")
def test_processes_that_come_and_go_are_never_owners(spawn: Spawn) -> None:
    """What stays is told every time, and it alone, while its programs start and end."""
    child = spawn("""
import threading
held = listen("127.0.0.1")
def churn():
    while True:
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)
for _ in range(3):
    threading.Thread(target=churn, daemon=True).start()
ready(inode=os.fstat(held.fileno()).st_ino)
sys.stdin.read()
os._exit(0)
""")
    for _ in range(100):
        assert _bpf.socket_owners([child.facts["inode"]]) == {child.facts["inode"]: [child.pid]}
    child.stop()


@pytest.mark.usefixtures("answers")
def test_many_sockets_come_in_several_pieces(spawn: Spawn) -> None:
    """The kernel's buffer holds about two thousand: nothing is lost or told twice where the next piece begins."""
    child = spawn("""
pairs = [one for _ in range(400) for one in socket.socketpair()]
pids = []
for _ in range(9):
    pids.append(os.fork())
    if not pids[-1]:
        sys.stdin.read()
        os._exit(0)
ready(inodes=[os.fstat(one.fileno()).st_ino for one in pairs], pids=sorted([os.getpid(), *pids]))
""")
    assert both(child.facts["inodes"]) == dict.fromkeys(child.facts["inodes"], child.facts["pids"])
    child.stop()


# --- the cache -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("answers")
def test_offsets_are_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read once, for this user alone; afterwards the kernel's type information is not read again."""
    assert cache.stat().st_mode & 0o777 == 0o600
    assert cache.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(cache.parent) == [cache.name]
    kept = _btf.cached()
    assert kept is not None
    assert kept == _btf.read()

    def refused() -> dict[str, int]:
        raise AssertionError("read again")

    monkeypatch.setattr(_btf, "read", refused)
    assert _bpf.socket_owners(()) == {}


def swap(text: str, one: str, other: str) -> str:
    return text.replace(one, "|").replace(other, one).replace("|", other)


BAD_CACHES: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "one line": lambda text: text.splitlines()[0],
    "half": lambda text: text[: len(text) // 2],
    "another kernel": lambda text: "5" + text,
    "no number": lambda text: text[:-2] + "x\n",
    "negative": lambda text: text.replace("file.f_inode ", "file.f_inode -"),
    "too large": lambda text: text[:-1] + "0" * 9 + "\n",
    "too many words": lambda text: text[:-1] + " 1\n",
    "an unknown member": lambda text: text + "file.f_mode 4\n",
    "no text": lambda text: text + "\N{SNOWMAN}",
}


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("spoil", BAD_CACHES.values(), ids=BAD_CACHES)
def test_a_cache_that_makes_no_sense_is_made_anew(spoil: Callable[[str], str], cache: Path) -> None:
    """It is passed over, replaced, and the answer is right."""
    text = cache.read_text()
    cache.write_text(spoil(text), "utf-8")
    assert _btf.cached() is None
    assert _bpf.socket_owners(()) == {}
    assert cache.read_text() == text


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("file.f_inode", "inode.i_ino"),
        ("task_struct.group_leader", "task_struct.thread_pid"),
        ("task_struct.mm", "task_struct.thread_pid"),
        ("pid.level", "pid.numbers"),
        ("inode.i_ino", "pid.level"),
    ],
)
def test_plausible_but_wrong_offsets_give_no_wrong_answer(one: str, other: str, cache: Path) -> None:
    """The kernel's verifier refuses them, or we do not find ourselves in what it says: the walk has to answer."""
    cache.write_text(swap(cache.read_text(), one, other))
    assert _btf.cached() is not None
    assert not_usable()


@pytest.mark.usefixtures("answers")
def test_the_cache_of_another_user_is_not_believed(cache: Path) -> None:
    """Nor is a symbolic link followed."""
    os.chown(cache, NOBODY, NOBODY)
    assert _btf.cached() is None
    os.chown(cache, 0, 0)
    assert _btf.cached() is not None
    real = cache.rename(cache.with_name("real"))
    cache.symlink_to(real)
    assert _btf.cached() is None


@pytest.mark.usefixtures("answers")
def test_nothing_is_written_into_the_home_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As sudo may have it: HOME is the user's. It still answers."""
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(home))
    assert _bpf.socket_owners(()) == {}
    assert list(home.iterdir()) == []


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("folder", ["/dev/null/cache", "/proc/none"])
def test_without_a_place_for_the_cache_it_answers(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only slower."""
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    assert _bpf.socket_owners(()) == {}
    assert _btf.cached() is None


@pytest.mark.usefixtures("answers")
def test_a_folder_of_the_cache_that_is_no_path_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative XDG_CACHE_HOME is to be ignored (XDG Base Directory Specification)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert _bpf.socket_owners(()) == {}
    assert not (tmp_path / "relative").exists()
    assert (tmp_path / "home/.cache/portward/kernel-offsets").exists()


# --- where it cannot be asked ----------------------------------------------------------------------------------------


def test_without_permission_it_is_silent_and_ls_answers(listen: Listen) -> None:
    """As nobody: no answer by this way, even where it is forced; `ls` lists the row all the same."""
    need_root()
    port = port_of(listen("127.0.0.1"))
    facts = run_code(
        BOTH
        + """
import contextlib, io
from portward.cli import main
def ls():
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main(["ls"])
    return output.getvalue()
os.environ["PORTWARD_OWNERS"] = "bpf"
ls()  # all is imported: nobody may not read Python's own files everywhere
become_nobody()
held = listen("127.0.0.1")
ready(both=both(inode(held)), inode=inode(held), me=os.getpid(), output=ls())
""",
        cwd="/",
    )
    assert facts["both"] == [None, [[facts["inode"], [facts["me"]]]]]
    assert str(port) in facts["output"]


def test_in_a_user_namespace_of_ones_own_root_is_not_enough(tmp_path: Path) -> None:
    """Root there may not ask the kernel, and does not read its type information in vain."""
    need_root()
    need("unshare")
    tried = subprocess.run(["unshare", "--user", "--map-root-user", "true"], capture_output=True)
    if tried.returncode:
        unmet("user namespaces are not permitted")
    code = BOTH + "held = listen('127.0.0.1'); ready(both=both(inode(held)), inode=inode(held), me=os.getpid())"
    facts = run_code(code, prefix=["unshare", "--user", "--map-root-user"])
    assert facts["both"] == [None, [[facts["inode"], [facts["me"]]]]]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("machine", ["i686", "armv7l", "riscv64"])
def test_on_another_architecture_it_does_not_try(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of the system call is another one there."""
    system = os.uname()
    other = os.uname_result((*system[:4], machine))
    monkeypatch.setattr(os, "uname", lambda: other)
    monkeypatch.setattr(_bpf, "_ask", lambda _number: pytest.fail("it tried"))
    assert machine in not_usable()


@pytest.mark.usefixtures("answers")
def test_without_type_information_it_does_not_answer(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONFIG_DEBUG_INFO_BTF is off, or what is there is something else."""
    monkeypatch.setattr(_btf, "_BTF", "/none")
    assert "/none" in not_usable()
    cache.unlink()
    for content in (b"", b"\0" * 100, b"\x9f\xeb\x01\0" + b"\xff" * 200):
        (tmp_path / "btf").write_bytes(content)
        monkeypatch.setattr(_btf, "_BTF", str(tmp_path / "btf"))
        assert not_usable()
        assert not cache.exists()


def test_the_verifier_says_why_it_refuses_a_program(monkeypatch: pytest.MonkeyPatch, answers: None) -> None:
    """Its log comes with the reason, and to who asks with -v."""
    for module, name in ((_bpf_files, "program"), (_bpf_tasks, "_program")):
        monkeypatch.setattr(module, name, lambda *_, **__: _bpf_kernel.nothing()[8:])  # returns what it never set
    with pytest.raises(_bpf.Unusable, match="refuses the program") as caught:
        _bpf.socket_owners(())
    assert "R0 !read_ok" in caught.value.log
    monkeypatch.setenv("PORTWARD_OWNERS", "bpf")
    said: list[str] = []
    _owners.socket_owners([1], said.append)
    assert any("R0 !read_ok" in line for line in said)
    assert "refuses the program" in said[-1]


# --- which way is taken ----------------------------------------------------------------------------------------------

ALL, BPF_ALONE, BOTH_NEEDED, NONE = 0x1FFFFFFFFFF, 1 << 39, 1 << 39 | 1 << 38, 0


@pytest.mark.parametrize(
    ("forced", "held", "processes", "works", "expected"),
    [
        ("", ALL, 500, True, ["bpf"]),
        ("", ALL, 500, False, ["bpf", "proc"]),
        ("", ALL, 5, True, ["proc"]),
        ("", BPF_ALONE, 500, True, ["proc"]),
        ("", BOTH_NEEDED, 500, True, ["bpf"]),
        ("", NONE, 500, True, ["proc"]),
        ("bpf", ALL, 5, True, ["bpf"]),
        ("bpf", NONE, 500, True, ["proc"]),
        ("bpf", ALL, 500, False, ["bpf", "proc"]),
        ("proc", ALL, 500, True, ["proc"]),
        ("", ALL, 5, True, ["split"]),
        ("", ALL, 500, False, ["bpf", "split"]),
        ("split", ALL, 500, True, ["split"]),
        ("", NONE, 500, True, ["pinned"]),
        ("", NONE, 5, True, ["pinned"]),
        ("pinned", ALL, 500, True, ["pinned"]),
        ("pinned", NONE, 500, False, ["pinned", "proc"]),
    ],
)
def test_the_way_is_chosen_by_what_may_be_done_and_by_what_it_costs(
    forced: str, held: int, processes: int, works: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PORTWARD_OWNERS forces one, whatever it costs; where the kernel does not answer, the walk does.

    The pinned iterator is there, and a second processor, where they are expected.
    """
    ways: list[str] = []

    def by_bpf(inodes: Collection[int], path: str = "") -> dict[int, list[int]]:
        ways.append("pinned" if path else "bpf")
        if not works:
            raise _bpf.Unusable("not today")
        return {inode: [1] for inode in inodes}

    def by_walk(inodes: Collection[int], among: Collection[int] | None = None) -> tuple[dict[int, list[int]], bool]:
        if among is None:
            ways.append("proc")
        return {inode: [1] for inode in inodes}, False

    def by_two(inodes: Collection[int]) -> tuple[dict[int, list[int]], bool]:
        ways.append("split")
        return {inode: [1] for inode in inodes}, False

    monkeypatch.setattr(_bpf, "socket_owners", by_bpf)
    monkeypatch.setattr(_bpf, "pinned_owners", by_bpf)
    monkeypatch.setattr(_pin, "is_readable", lambda: "pinned" in expected)
    monkeypatch.setattr(_proc, "socket_owners", by_walk)
    monkeypatch.setattr(_split, "socket_owners", by_two)
    monkeypatch.setattr(_split, "is_possible", lambda: "split" in expected)
    monkeypatch.setattr(_owners, "_WORTH_A_FORK", 0)
    monkeypatch.setattr(_owners, "_status", lambda: {b"CapEff": b"%x" % held, b"NSpid": b"\t7"})
    monkeypatch.setattr(_owners, "_dear", lambda: "few" if processes < 100 else None)
    monkeypatch.setenv("PORTWARD_OWNERS", forced)
    said: list[str] = []
    assert _owners.socket_owners([7], said.append) == ({7: [1]}, False)
    assert ways == expected
    assert said[-1].startswith("owners by BPF" if expected[-1] in ("bpf", "pinned") else "owners by a walk")


def test_few_processes_are_walked(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """To load a program costs more than to look at some dozens; to read the type information for one look, more than at hundreds."""
    for few, many, kept, expected in [
        (10**7, 10**8, True, "few"),
        (1, 10**8, True, "none"),
        (1, 10**8, False, "kept"),
        (1, 2, False, "none"),
    ]:
        monkeypatch.setattr(_owners, "_FEW_PROCESSES", few)
        monkeypatch.setattr(_owners, "_MANY_PROCESSES", many)
        monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent.parent) if kept else "/dev/null")
        reason = _owners._dear()
        assert expected in (reason or "none")


def test_a_way_that_is_none_is_bad_usage(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """PORTWARD_OWNERS is bpf or proc."""
    monkeypatch.setenv("PORTWARD_OWNERS", "magic")
    with pytest.raises(UsageError):
        _linux.LinuxReader().read(ports={port_of(listen())})


def test_without_a_socket_nobody_is_asked_for_owners() -> None:
    """A port that nobody has costs neither a look at processes nor the modules for it."""
    facts = run_code("""
from portward.sockets._linux import LinuxReader
with socket.socket() as held:
    held.bind(("127.0.0.1", 0))
    port = held.getsockname()[1]
read = LinuxReader().read(ports={port}).listeners
ready(loaded=sorted({"ctypes", "portward.sockets._owners", "portward.sockets._bpf"} & {*sys.modules}))
""")
    assert facts["loaded"] == []


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("way", ["bpf", "proc"])
def test_a_socket_of_a_hidden_first_process_is_hidden(
    way: str, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel may keep process 1 from BPF and from ptrace alike: what nobody has may be its own."""
    sockets_of = _proc._sockets_of

    def kept(pid: int, wanted: dict[str, int]) -> set[int]:
        if pid == 1:
            raise PermissionError
        return sockets_of(pid, wanted)

    monkeypatch.setattr(_proc, "_sockets_of", kept)
    monkeypatch.setenv("PORTWARD_OWNERS", way)
    mine = inode(listen())
    assert _owners.socket_owners([mine, 2**40], lambda _step: None) == ({mine: [os.getpid()]}, True)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("way", ["bpf", "proc"])
def test_the_reader_gives_the_same_by_both_ways(way: str, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of a row is this process."""
    monkeypatch.setenv("PORTWARD_OWNERS", way)
    port = port_of(listen())
    (row,) = _linux.LinuxReader().read(ports={port}).listeners
    assert row.owners is Owners.SEEN
    assert [process.pid for process in row.processes] == [os.getpid()]
