"""What only the kernel's own interface tells, trap by trap: each was measured before it was a test."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward.errors import Unavailable
from portward.model import Listener, Owners, State, Transport
from tests.conftest import need, need_others, need_root, port_of, run_code, unmet

if sys.platform != "linux":
    pytest.skip("Linux alone", allow_module_level=True)

from portward.sockets import _linux, _netlink, _netns, _proc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Listen, Spawn

READER = _linux.LinuxReader()
NOBODY = 65534
MPTCP = 262

# code for a process of its own: what the reader says of one port there, in few words
LOOK = """
from portward.sockets._linux import LinuxReader
def look(port, **options):
    reading = LinuxReader().read(udp=True, ports={port}, **options)
    return [[str(row.owners), row.user, [one.pid for one in row.processes], row.netns] for row in reading.listeners]
def become_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


def rows_of(*ports: int, udp: bool = False, narrow: bool = False, all_netns: bool = False) -> list[Listener]:
    reading = READER.read(udp=udp, all_netns=all_netns, ports=ports if narrow else None)
    return [row for row in reading.listeners if row.port in ports]


def pids_of(row: Listener) -> list[int]:
    return [process.pid for process in row.processes]


def lists_bound_sockets() -> bool:
    """Whether this kernel lists sockets that are bound without listening (Linux 6.8 and later)."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return bool(rows_of(port_of(held)))


@pytest.fixture
def bound_are_listed() -> None:
    """For tests that cannot do without TCP_BOUND_INACTIVE."""
    if not lists_bound_sockets():
        unmet("this kernel does not list sockets that are bound without listening")


@pytest.mark.usefixtures("bound_are_listed")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_bound_without_listening_is_a_row(address: str, listen: Listen) -> None:
    """Neither ss nor /proc/net/tcp shows it, yet it is in the way of a bind."""
    port = port_of(listen(address, listening=False))
    for narrow in (False, True):
        (row,) = rows_of(port, narrow=narrow)
        assert (row.state, row.note, row.owners) == (State.BOUND, None, Owners.SEEN)
        assert pids_of(row) == [os.getpid()]


@pytest.mark.usefixtures("bound_are_listed")
def test_the_kernel_itself_filters_bound_sockets_by_port(listen: Listen) -> None:
    """The port in the request is passed over for bound sockets; the byte code is not."""
    mine, other = (port_of(listen(listening=False)) for _ in range(2))
    with _netlink.SockDiag() as diag:
        rows = diag.dump(socket.IPPROTO_TCP, 1 << _netlink.BOUND_INACTIVE, mine)
        everything = {row.port for row in diag.dump(socket.IPPROTO_TCP, 1 << _netlink.BOUND_INACTIVE)}
    assert [row.port for row in rows] == [mine]
    assert {mine, other} <= everything


def test_every_process_of_a_pre_forked_server_is_an_owner(spawn: Spawn) -> None:
    """Five processes share one socket: five owners on one row, parent and children."""
    child = spawn("""
held = listen("127.0.0.1")
gate, closed = os.pipe()
children = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        os.close(closed)
        os.read(gate, 1)
        os._exit(0)
    children.append(pid)
os.close(gate)
ready(port=held.getsockname()[1], pids=[os.getpid(), *children])
""")
    (row,) = rows_of(child.facts["port"])
    assert pids_of(row) == sorted(child.facts["pids"])
    child.stop()  # closes the gate: the children end


def test_a_listener_outlives_the_process_that_opened_it(spawn: Spawn) -> None:
    """A child that inherited the socket is the owner once its parent has ended."""
    child = spawn("""
held = listen("127.0.0.1")
port = held.getsockname()[1]
pid = os.fork()
if pid == 0:
    sys.stdin.read()
    os._exit(0)
ready(port=port, heir=pid)
os._exit(0)
""")
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    (row,) = rows_of(child.facts["port"])
    assert child.facts["heir"] in pids_of(row)
    assert child.process.stdin is not None
    child.process.stdin.close()


def test_sockets_with_reuseport_are_a_row_each(listen: Listen, free_port: int) -> None:
    """Four sockets on one endpoint are four rows: a look-up of the endpoint would give one."""
    for _ in range(4):
        listen("127.0.0.1", free_port, options=[socket.SO_REUSEPORT])
    assert [pids_of(row) for row in rows_of(free_port)] == [[os.getpid()]] * 4


def test_a_socket_on_two_descriptors_has_one_owner(listen: Listen) -> None:
    """dup() makes no second owner."""
    held = listen()
    with held.dup():
        (row,) = rows_of(port_of(held))
    assert pids_of(row) == [os.getpid()]


def test_a_connection_that_nobody_accepted_has_no_owner(listen: Listen, connect: Callable[..., socket.socket]) -> None:
    """It has inode 0: that is no unknown process, and inode 0 is never looked up."""
    server = listen()
    connect(server)
    rows = {row.state: row for row in rows_of(port_of(server), narrow=True)}
    assert rows[State.LISTEN].owners is Owners.SEEN
    waiting = rows[State.BOUND]
    assert (waiting.owners, waiting.processes, waiting.user) == (Owners.NONE, (), None)
    assert waiting.note == "connection in ESTABLISHED"


def test_time_wait_has_no_owner(listen: Listen, connect: Callable[..., socket.socket]) -> None:
    """What is left of a closed connection belongs to nobody, and is not in the list without `ports`."""
    server = listen(options=[socket.SO_REUSEADDR])
    port = port_of(server)
    client = connect(server)
    accepted, _ = server.accept()
    accepted.close()
    assert client.recv(1) == b""
    client.close()
    server.close()
    (row,) = rows_of(port, narrow=True)
    assert (row.state, row.note) == (State.BOUND, "connection in TIME_WAIT")
    assert (row.owners, row.user) == (Owners.NONE, None)
    assert rows_of(port) == []


def test_a_descriptor_in_flight_has_no_owner_anyone_can_see() -> None:
    """A socket whose only descriptor waits in a message (SCM_RIGHTS): a row with its user, owners "none".

    Asked in a pid namespace of its own, since "none" can be said only where no process is hidden.
    """
    need_root()
    need("unshare")
    facts = run_code(
        LOOK
        + """
sender, receiver = socket.socketpair()
held = listen("127.0.0.1")
port = held.getsockname()[1]
socket.send_fds(sender, [b"x"], [held.fileno()])
before = look(port)
held.close()
flying = look(port)
_, descriptors, _, _ = socket.recv_fds(receiver, 1, 1)
ready(me=os.getpid(), before=before, flying=flying, landed=look(port))
""",
        prefix=["unshare", "--fork", "--pid", "--mount-proc"],
    )
    assert facts["before"] == facts["landed"] == [["seen", "root", [facts["me"]], None]]
    assert facts["flying"] == [["none", "root", [], None]]


def test_a_connected_udp_socket_is_a_row(listen: Listen) -> None:
    """It is in state ESTABLISHED, which `ss -ul` leaves out, and holds its port."""
    server, client = listen(udp=True), listen(udp=True)
    client.connect(server.getsockname())
    for narrow in (False, True):
        rows = rows_of(port_of(server), port_of(client), udp=True, narrow=narrow)
        assert {row.state for row in rows} == {State.UDP}
        assert {row.port: row.note for row in rows} == {
            port_of(server): None,
            port_of(client): "socket connected to one peer",
        }


@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize("v6only", [False, True])
def test_dual_stack_is_told_from_v6only(v6only: bool, udp: bool, listen: Listen) -> None:
    """Only the kernel's attribute tells: /proc shows both as [::]."""
    (row,) = rows_of(port_of(listen("::", v6only=v6only, udp=udp)), udp=True)
    assert (row.endpoint.address, row.endpoint.v6only) == ("::", v6only)


def test_ipv4_has_no_v6only(listen: Listen) -> None:
    """The question does not arise."""
    (row,) = rows_of(port_of(listen("0.0.0.0")))
    assert row.endpoint.v6only is None


def test_a_mapped_address_is_written_as_the_kernel_does(listen: Listen) -> None:
    """[::ffff:127.0.0.1] keeps its dotted form."""
    (row,) = rows_of(port_of(listen("::ffff:127.0.0.1", v6only=False)))
    assert row.endpoint.address == "::ffff:127.0.0.1"


def test_a_link_local_address_has_its_interface() -> None:
    """fe80::… is written with %interface, in a namespace with an interface of our own."""
    need_root()
    need("unshare")
    facts = run_code(
        LOOK
        + """
import subprocess
for words in ("link set lo up", "addr add fe80::7/64 dev lo nodad"):
    subprocess.run([sys.argv[1], *words.split()], check=True)
from portward.model import Endpoint
from portward.sockets.bind import refusal
from portward.ward import Portward
held = socket.create_server(("fe80::7", 0, 0, socket.if_nametoindex("lo")), family=socket.AF_INET6)
port = held.getsockname()[1]
(row,) = LinuxReader().read().listeners
asked = [refusal(Endpoint(address, port)) for address in ("fe80::7%lo", "fe80::8%lo", "fe80::7", "fe80::7%none")]
(check,) = Portward().check_ports([f"[fe80::7%lo]:{port}"]).ports
ready(address=row.endpoint.address, asked=asked, check=[check.available, len(check.listeners)])
""",
        need("ip"),
        prefix=["unshare", "-n"],
    )
    assert facts["address"] == "fe80::7%lo"
    assert facts["asked"] == ["in use", "no such address", "no such address", "no such address"]
    assert facts["check"] == [False, 1]


def test_multipath_tcp_is_in_the_list(listen: Listen) -> None:
    """An MPTCP listener is a TCP row with its owner, once."""
    try:
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
    except OSError as error:
        pytest.skip(f"this kernel has no MPTCP: {error.strerror}")
    with held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        (row,) = rows_of(port_of(held))
    assert (row.state, row.owners, pids_of(row)) == (State.LISTEN, Owners.SEEN, [os.getpid()])


def test_another_user_sees_every_row_but_not_its_owner(listen: Listen) -> None:
    """As nobody: the socket, its user's name, owners "hidden"; its own socket with itself as owner."""
    need_others()
    port = port_of(listen())
    facts = run_code(
        LOOK
        + """
look(1)  # what is imported later may not be readable later
become_nobody()
import pwd
held = listen("127.0.0.1")
ready(theirs=look(int(sys.argv[1])), mine=look(held.getsockname()[1]), me=os.getpid(), name=pwd.getpwuid(65534).pw_name)
""",
        port,
    )
    assert facts["theirs"] == [["hidden", "root", [], None]]
    assert facts["mine"] == [["seen", facts["name"], [facts["me"]], None]]


def test_a_reading_with_hidden_owners_is_not_complete() -> None:
    """The answer says itself that something could not be seen."""
    need_others()
    facts = run_code(
        LOOK
        + """
held = listen("127.0.0.1")
if os.fork() == 0:
    os._exit(0)
os.wait()
look(1)
pid = os.fork()
if pid == 0:
    port = held.getsockname()[1]
    held.close()
    become_nobody()
    reading = LinuxReader().read(ports={port})
    ready(complete=reading.complete, skipped=len(reading.skipped))
    os._exit(0)
os.waitpid(pid, 0)
"""
    )
    assert facts == {"complete": False, "skipped": 0}


def test_hidden_processes_are_told_where_proc_hides_them() -> None:
    """With /proc mounted hidepid=2 nobody's processes are in the list, not even as unreadable: owners are still "hidden"."""
    need_others()
    need("unshare")
    need("mount")
    facts = run_code(
        LOOK
        + """
import subprocess
done = subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"], capture_output=True, text=True)
held = listen("127.0.0.1")
port = held.getsockname()[1]
LinuxReader().read(all_netns=True, ports={1})  # what is imported later may not be readable later
if done.returncode:
    ready(refused=done.stderr)
elif os.fork() == 0:
    held.close()
    become_nobody()
    skipped = [one.reason for one in LinuxReader().read(all_netns=True, ports={port}).skipped]
    pids = [name for name in os.listdir("/proc") if name.isdecimal()]
    ready(look=look(port), pids=pids, me=os.getpid(), skipped=skipped)
    os._exit(0)
else:
    os.wait()
""",
        # a pid namespace of its own: hidepid is a setting of the whole one, and /proc stays as it is outside
        prefix=["unshare", "--fork", "--pid", "--mount"],
    )
    if "refused" in facts:
        unmet(f"cannot mount /proc: {facts['refused']}")
    assert facts["pids"] == [str(facts["me"])]
    assert facts["look"] == [["hidden", "root", [], None]]
    assert "/proc hides the processes of other users" in facts["skipped"]


@pytest.fixture
def in_another_namespace(spawn: Spawn, free_port: int) -> Iterator[tuple[int, int]]:
    """A listener in a network namespace of its own, on a port that nobody has in ours: (port, pid of its process)."""
    need_root()
    child = spawn("held = listen('0.0.0.0', int(sys.argv[1])); ready()", free_port, prefix=[need("unshare"), "-n"])
    yield free_port, child.pid
    child.stop()


def test_another_network_namespace_is_seen_only_when_asked_for(in_another_namespace: tuple[int, int]) -> None:
    """Its listener is a row that says where it is, with its owner; without `all_netns` it is not there."""
    port, pid = in_another_namespace
    (row,) = rows_of(port, all_netns=True)
    inode = os.stat(f"/proc/{pid}/ns/net").st_ino
    assert (row.netns, pids_of(row), row.owners) == (f"net:[{inode}]", [pid], Owners.SEEN)
    assert rows_of(port) == []
    assert [row.netns for row in rows_of(port, narrow=True, all_netns=True)] == [f"net:[{inode}]"]


def test_each_namespace_is_asked_once(spawn: Spawn) -> None:
    """Two processes in one namespace do not double its rows."""
    need_root()
    child = spawn(
        """
held = listen("0.0.0.0")
gate, closed = os.pipe()
if os.fork() == 0:
    os.close(closed)
    os.read(gate, 1)
    os._exit(0)
os.close(gate)
ready(port=held.getsockname()[1])
""",
        prefix=[need("unshare"), "-n"],
    )
    (row,) = rows_of(child.facts["port"], all_netns=True)
    assert len(row.processes) == 2
    child.stop()


def test_we_stay_in_our_own_namespace(in_another_namespace: tuple[int, int], listen: Listen) -> None:
    """After a look into the others, this process is where it was, and its own rows have no namespace."""
    home = os.stat("/proc/self/ns/net").st_ino
    port = port_of(listen())
    assert in_another_namespace
    own = [row for row in rows_of(port, all_netns=True) if row.netns is None]  # others may have the number in theirs
    assert len(own) == 1
    assert os.stat("/proc/self/ns/net").st_ino == home
    assert os.stat("/proc/thread-self/ns/net").st_ino == home


@pytest.mark.parametrize(("folder", "label"), [(0, "{name}"), (1, "docker:{name}")], ids=["ip netns", "docker"])
def test_a_namespace_with_a_name_is_called_by_it(
    folder: int, label: str, in_another_namespace: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names are those of `ip netns` and of Docker's sandboxes; here the folder is a stand-in, with a link as the mount."""
    port, pid = in_another_namespace
    (tmp_path / "blue").symlink_to(f"/proc/{pid}/ns/net")
    monkeypatch.setattr(_netns, "_NAMED", tuple(str(tmp_path) if folder == place else "/none" for place in range(2)))
    rows = rows_of(port, all_netns=True)  # others may have the number in theirs
    assert [row.netns for row in rows if row.processes and row.processes[0].pid == pid] == [label.format(name="blue")]


def test_a_namespace_of_ip_netns_without_a_process() -> None:
    """`ip netns add` leaves a namespace that no process is in: it is found by its mount (in a mount namespace of its own)."""
    need_root()
    need("unshare")
    facts = run_code(
        LOOK
        + """
import subprocess
def do(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        ready(refused=f"{words}: {done.stderr}")
        sys.exit()
do("mount", "-t", "tmpfs", "tmpfs", "/run")
do(sys.argv[1], "netns", "add", "blue")
from portward.sockets import _netns
namespaces, skipped = _netns.others()
answers, refused = _netns.ask_each(namespaces, lambda: os.stat("/proc/thread-self/ns/net").st_ino)
ready(found=[name.inode == inode for name, inode in answers if name.name == "blue"], refused=[str(one) for one in refused])
""",
        need("ip"),
        prefix=["unshare", "-m"],
    )
    assert facts == {"found": [True], "refused": []}


def test_namespaces_of_other_users_are_counted_as_hidden(in_another_namespace: tuple[int, int]) -> None:
    """As nobody: no row of the other namespace, and the answer says that it is incomplete."""
    port, _ = in_another_namespace
    facts = run_code(
        LOOK
        + """
look(1, all_netns=True)
become_nobody()
reading = LinuxReader().read(all_netns=True, ports={int(sys.argv[1])})
ready(rows=len(reading.listeners), complete=reading.complete, skipped=[one.what for one in reading.skipped])
""",
        port,
    )
    assert (facts["rows"], facts["complete"]) == (0, False)
    assert "network namespaces" in facts["skipped"]


def test_a_namespace_that_ends_before_it_is_entered_is_passed_over() -> None:
    """Its last process is gone: no row, and nothing that was skipped."""
    gone = _netns.Namespace(1, f"/proc/{2**22 + 1}/ns/net", "net:[1]")
    assert _netns.ask_each([gone], lambda: 1) == ([], [])


def test_a_namespace_that_refuses_is_skipped_with_its_reason(tmp_path: Path) -> None:
    """What is not a namespace cannot be entered; the others are asked all the same."""
    need_root()
    (tmp_path / "file").touch()
    wrong = _netns.Namespace(1, str(tmp_path / "file"), "blue")
    home = _netns.Namespace(2, "/proc/self/ns/net", "home")
    answers, skipped = _netns.ask_each([wrong, home], lambda: "answer")
    assert answers == [(home, "answer")]
    assert [(one.what, one.reason) for one in skipped] == [("network namespace blue", os.strerror(errno.EINVAL))]


def test_a_process_that_ends_in_the_walk_is_passed_over(
    listen: Listen, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its folder was listed and before its descriptors were read: the rest of the walk goes on."""
    mine = listen()
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])")
    readlink: Callable[..., str] = os.readlink

    def kill_first(name: str, **options: Any) -> str:
        if options and child.pid in walked and child.process.poll() is None:
            os.kill(child.pid, signal.SIGKILL)
            child.process.wait()
        return readlink(name, **options)

    walked: list[int] = []
    sockets_of = _proc._sockets_of

    def note_pid(pid: int, wanted: dict[str, int]) -> set[int]:
        walked[:] = [pid]
        return sockets_of(pid, wanted)

    monkeypatch.setenv("PORTWARD_OWNERS", "proc")
    monkeypatch.setattr(os, "readlink", kill_first)
    monkeypatch.setattr(_proc, "_sockets_of", note_pid)
    rows = {row.port: row for row in rows_of(child.facts["port"], port_of(mine))}
    assert child.process.returncode == -signal.SIGKILL
    assert pids_of(rows[port_of(mine)]) == [os.getpid()]
    gone = rows[child.facts["port"]]  # the socket was listed before
    assert gone.processes == ()
    assert gone.owners is not Owners.SEEN


def test_a_process_that_ends_before_it_is_described_is_no_owner(
    listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found as an owner, gone when its name is asked for: the row stays, without it."""
    port = port_of(listen())
    monkeypatch.setattr(_proc, "process", lambda *_arguments: None)
    (row,) = rows_of(port)
    assert row.processes == ()
    assert row.owners is not Owners.SEEN


def test_no_process_is_described_that_is_not_there() -> None:
    """A pid that nobody has."""
    assert _proc.process(2**22 + 1) is None
    assert _proc.cgroup(2**22 + 1) == ""


def test_a_dump_that_was_interrupted_is_asked_for_again(monkeypatch: pytest.MonkeyPatch, listen: Listen) -> None:
    """NLM_F_DUMP_INTR says that the kernel's list changed under the dump (the flag is simulated)."""
    port = port_of(listen())
    ask = _netlink.SockDiag._ask
    asked: list[bytes] = []

    def interrupted(self: _netlink.SockDiag, request: bytes) -> tuple[list[bytes], bool]:
        asked.append(request)
        messages, _ = ask(self, request)
        return (messages, True) if asked.count(request) > 1 else ([], False)

    monkeypatch.setattr(_netlink.SockDiag, "_ask", interrupted)
    with _netlink.SockDiag() as diag:
        assert [row.port for row in diag.dump(socket.IPPROTO_TCP, 1 << _netlink.LISTEN, port)] == [port]
    assert len(asked) == 2


def test_a_refusal_of_the_kernel_is_an_error_with_its_reason() -> None:
    """A request that the kernel does not know is answered with an error message, not with rows."""
    with _netlink.SockDiag() as diag, pytest.raises(OSError, match=os.strerror(errno.ENOENT)):
        diag.dump(254, 1 << _netlink.LISTEN)


@pytest.mark.parametrize("ports", [None, {5000}])
def test_a_system_without_netlink_cannot_answer(ports: set[int] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a sandbox denies the netlink socket (simulated) the question stays open: that is not "nobody listens"."""

    def denied(_self: _netlink.SockDiag) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(_netlink.SockDiag, "__init__", denied)
    with pytest.raises(Unavailable, match=os.strerror(errno.EPERM)):
        READER.read(ports=ports)


@pytest.mark.parametrize("name", ["plain", "with space", "a) R 1 (b", "exactly-15-byte", "longer than fifteen bytes"])
def test_a_process_name_may_hold_anything(name: str, tmp_path: Path) -> None:
    """Spaces and brackets do not upset the reading of /proc/PID/stat; a long name is completed from the command."""
    program = tmp_path / name
    program.symlink_to(sys.executable)
    command = (str(program), "-c", "print(flush=True); input()")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it runs: its name and its command are those of the program
        found = _proc.process(process.pid)
    finally:
        process.communicate(b"\n")
    assert found is not None
    assert found.name == name
    assert found.command == command
    assert found.parent == os.getpid()


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_command_longer_than_one_piece_is_read_in_full(
    more: int, spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What /proc tells comes in as many pieces as it needs, also where the last one is full."""
    child = spawn("ready()", "x" * 1000)
    command = tuple(map(str, child.process.args))  # type: ignore[arg-type]
    monkeypatch.setattr(_proc, "_PIECE", (sum(len(os.fsencode(word)) + 1 for word in command) + more) // 2)
    found = _proc.process(child.pid)
    assert found is not None
    assert found.command == command


@pytest.mark.parametrize(
    ("comm", "command", "expected"),
    [
        ("node-MainThread", ("node", "a.js"), "node"),
        ("MainThread", ("/usr/bin/node",), "MainThread"),
        ("postgres", ("postgres: writer process",), "postgres"),
        ("docker-proxy", (), "docker-proxy"),
        ("containerd-shim", ("/usr/bin/containerd-shim-runc-v2", "-id"), "containerd-shim-runc-v2"),
        ("kworker/u8:2-ev", (), "kworker/u8:2-ev"),
    ],
)
def test_names_are_completed_and_tidied(comm: str, command: tuple[str, ...], expected: str) -> None:
    """Fifteen bytes may be the start of a longer name; Node calls its main thread by a suffix."""
    assert _proc._name(comm, command) == expected


def test_a_user_without_a_name_is_shown_by_number() -> None:
    """Files of containers often belong to ids that this machine does not know."""
    assert _proc.user_name(0) == "root"
    assert _proc.user_name(3_999_999_999) == "3999999999"


def test_the_user_of_a_process_that_may_not_be_dumped_is_its_own(spawn: Spawn) -> None:
    """After setuid most that /proc has of a process belongs to root; the process does not."""
    need_root()
    child = spawn("os.setgroups([]); os.setgid(65534); os.setuid(65534); ready()")
    found = _proc.process(child.pid)
    assert found is not None
    assert found.user == _proc.user_name(NOBODY)


def test_udp_rows_are_udp(listen: Listen) -> None:
    """One number, both transports: each is a row of its own."""
    port = port_of(listen("127.0.0.1"))
    listen("127.0.0.1", port, udp=True)
    assert [row.transport for row in rows_of(port, udp=True)] == [Transport.TCP, Transport.UDP]
