"""Owners as the kernel tells them at once: the same as the walk over /proc finds, and where it cannot be asked, silence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from portward.errors import UsageError
from portward.model import Owners
from tests.conftest import need, need_root, port_of, run_code, unmet

if sys.platform != "linux":
    pytest.skip("Linux alone", allow_module_level=True)

from portward.sockets import _bpf, _btf, _linux, _proc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from tests.conftest import Listen, Spawn

NOBODY = 65534

# code for a process of its own: what both ways say of some sockets
BOTH = """
from portward.sockets import _bpf, _proc
def both(*inodes):
    found = _bpf.socket_owners(inodes)
    walked, hidden = _proc.socket_owners(inodes)
    return [found if found is None else sorted(found.items()), sorted(walked.items())]
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


@pytest.fixture
def answers(cache: Path) -> None:
    """For tests of what the kernel says: it must be able to."""
    need_root()
    if not os.path.exists("/sys/kernel/btf/vmlinux"):
        pytest.skip("this kernel has no type information")
    if _bpf.socket_owners(()) is None:
        unmet("this kernel runs no BPF iterator for us")


def inode(held: socket.socket) -> int:
    return os.fstat(held.fileno()).st_ino


def both(inodes: Sequence[int]) -> dict[int, list[int]]:
    """What the kernel says of these sockets. Fails where the walk says otherwise."""
    found = _bpf.socket_owners(inodes)
    walked, _ = _proc.socket_owners(inodes)
    assert found == walked
    assert found is not None
    return found


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
    """In a new pid namespace with the /proc of the old one our numbers would name other processes: we do not answer."""
    need("unshare")
    facts = run_code(
        BOTH
        + "held = listen('127.0.0.1'); ready(both=both(inode(held)), me=os.readlink('/proc/self'), inode=inode(held))",
        prefix=["unshare", "--pid", "--fork"],
    )
    assert facts["both"] == [None, [[facts["inode"], [int(facts["me"])]]]]


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
    deadline = time.monotonic() + 10
    while len(_proc.socket_owners([child.facts["inode"]])[0].get(child.facts["inode"], ())) < 2:
        assert time.monotonic() < deadline
    assert _bpf.socket_owners([child.facts["inode"]]) == {child.facts["inode"]: [child.pid]}
    with pipe.open("wb"):
        child.stop()


@pytest.mark.usefixtures("answers")
def test_processes_that_come_and_go_do_no_harm(listen: Listen) -> None:
    """What stays is told every time, whatever starts and ends meanwhile."""
    mine = inode(listen())
    churn = subprocess.Popen(["sh", "-c", "while :; do true | true; done"])
    try:
        for _ in range(100):
            assert _bpf.socket_owners([mine]) == {mine: [os.getpid()]}
    finally:
        churn.kill()
        churn.wait()


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
        ("pid.level", "pid.numbers"),
        ("inode.i_ino", "pid.level"),
    ],
)
def test_plausible_but_wrong_offsets_give_no_wrong_answer(one: str, other: str, cache: Path) -> None:
    """The kernel's verifier refuses them, or we do not find ourselves in what it says: the walk has to answer."""
    cache.write_text(swap(cache.read_text(), one, other))
    assert _btf.cached() is not None
    assert _bpf.socket_owners(()) is None


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
    assert _bpf.socket_owners(()) is None


@pytest.mark.usefixtures("answers")
def test_without_type_information_it_does_not_answer(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CONFIG_DEBUG_INFO_BTF is off, or what is there is something else."""
    monkeypatch.setattr(_btf, "_BTF", "/none")
    assert _bpf.socket_owners(()) is None
    cache.unlink()
    for content in (b"", b"\0" * 100, b"\x9f\xeb\x01\0" + b"\xff" * 200):
        (tmp_path / "btf").write_bytes(content)
        monkeypatch.setattr(_btf, "_BTF", str(tmp_path / "btf"))
        assert _bpf.socket_owners(()) is None
        assert not cache.exists()


# --- which way is taken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forced", "user", "works", "expected"),
    [
        ("", 0, True, ["bpf"]),
        ("", 0, False, ["bpf", "proc"]),
        ("", 1000, True, ["proc"]),
        ("bpf", 1000, True, ["bpf"]),
        ("bpf", 1000, False, ["bpf", "proc"]),
        ("proc", 0, True, ["proc"]),
    ],
)
def test_the_way_is_chosen_by_user_and_environment(
    forced: str, user: int, works: bool, expected: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root asks the kernel, others walk; PORTWARD_OWNERS forces one; where the kernel does not answer, the walk does."""
    ways: list[str] = []

    def by_bpf(inodes: Collection[int]) -> dict[int, list[int]] | None:
        ways.append("bpf")
        return {inode: [1] for inode in inodes} if works else None

    def by_walk(inodes: Collection[int]) -> tuple[dict[int, list[int]], bool]:
        ways.append("proc")
        return {inode: [1] for inode in inodes}, False

    monkeypatch.setattr(_bpf, "socket_owners", by_bpf)
    monkeypatch.setattr(_proc, "socket_owners", by_walk)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    monkeypatch.setenv("PORTWARD_OWNERS", forced)
    assert _linux._owners([7]) == ({7: [1]}, False)
    assert ways == expected


def test_a_way_that_is_none_is_bad_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """PORTWARD_OWNERS is bpf or proc."""
    monkeypatch.setenv("PORTWARD_OWNERS", "magic")
    with pytest.raises(UsageError):
        _linux.LinuxReader().read()


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("way", ["bpf", "proc"])
def test_the_reader_gives_the_same_by_both_ways(way: str, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of a row is this process."""
    monkeypatch.setenv("PORTWARD_OWNERS", way)
    port = port_of(listen())
    (row,) = _linux.LinuxReader().read(ports={port}).listeners
    assert row.owners is Owners.SEEN
    assert [process.pid for process in row.processes] == [os.getpid()]
