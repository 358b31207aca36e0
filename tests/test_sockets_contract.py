"""What every reader of sockets keeps to, on real sockets of our own, against a foreign program's answer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from portward.errors import UsageError
from portward.model import Endpoint, Listener, Owners, Process, State, Transport
from portward.sockets import open_reader, unit
from tests.conftest import need, port_of, unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from portward.sockets import SocketReader
    from tests.conftest import Listen, Spawn

EVERY_FORM = [("127.0.0.1", None), ("0.0.0.0", None), ("::1", None), ("::", True), ("::", False)]


@pytest.fixture(
    params=[
        "linux-bpf",
        "linux-proc",
        pytest.param("linux-split", marks=pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")),
        "psutil",
    ]
)
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SocketReader:
    """Each reader that this system can have, that of Linux with every way to find owners."""
    name, _, way = request.param.partition("-")
    if name == "linux" and sys.platform != "linux":
        pytest.skip("only on Linux")
    monkeypatch.setenv("PORTWARD_OWNERS", way)
    if way == "split":
        from portward.sockets import _split

        monkeypatch.setattr(_split, "is_possible", lambda: True)  # the test's process has threads
    return open_reader(name)


def rows_of(
    reader: SocketReader, ports: Collection[int], *, udp: bool = True, narrow: bool = False
) -> tuple[Listener, ...]:
    """The rows for some ports, picked out of everything, or asked for alone."""
    reading = reader.read(udp=udp, ports=ports if narrow else None)
    return tuple(row for row in reading.listeners if row.port in ports)


@pytest.mark.parametrize("narrow", [False, True], ids=["everything", "ports="])
@pytest.mark.parametrize("udp", [False, True], ids=["tcp", "udp"])
@pytest.mark.parametrize(("address", "v6only"), EVERY_FORM)
def test_a_socket_is_a_row_with_its_owner(
    reader: SocketReader, address: str, v6only: bool | None, udp: bool, narrow: bool, listen: Listen
) -> None:
    """Each address, family and transport is listed as the kernel writes it, with this process as its owner."""
    held = listen(address, udp=udp, v6only=v6only)
    (row,) = rows_of(reader, {port_of(held)}, narrow=narrow)
    assert row.endpoint.address == address
    assert row.transport is (Transport.UDP if udp else Transport.TCP)
    assert row.state is (State.UDP if udp else State.LISTEN)
    if reader.name == "linux" and held.family == socket.AF_INET6:
        assert row.endpoint.v6only is bool(held.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
    else:
        assert row.endpoint.v6only is None
    assert row.owners is Owners.SEEN
    assert [process.pid for process in row.processes] == [os.getpid()]
    assert row.user == row.processes[0].user
    assert (row.container, row.netns, row.project, row.service, row.note) == (None,) * 5


def test_udp_is_listed_only_when_asked_for(reader: SocketReader, listen: Listen) -> None:
    """Without `udp` there are TCP sockets alone."""
    port = port_of(listen(udp=True))
    assert rows_of(reader, {port}, udp=False) == ()
    assert rows_of(reader, {port}, udp=False, narrow=True) == ()


def test_what_is_told_of_an_owner(reader: SocketReader, spawn: Spawn, tmp_path: Any) -> None:
    """Pid, name, command, user, folder, parent and start of the process, as psutil gives them too."""
    before = time.time()
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])", "an argument", cwd=tmp_path)
    (row,) = rows_of(reader, {child.facts["port"]})
    (process,) = row.processes
    expected = psutil.Process(child.pid)
    assert process.pid == child.pid
    assert process.name == expected.name()
    assert process.command[0] == sys.executable
    assert process.command[-1] == "an argument"
    assert process.user == row.user == expected.username()
    assert process.cwd == os.path.realpath(tmp_path)
    assert process.parent == os.getpid()
    assert process.started is not None
    assert abs(process.started - expected.create_time()) < 1
    assert before - 2 < process.started < time.time() + 2
    if reader.name == "linux":
        assert process.start_ticks is not None


def test_an_owners_identity_stays_the_same(reader: SocketReader, listen: Listen) -> None:
    """Two looks at one process agree on pid and start, to the clock tick where the reader has it."""
    port = port_of(listen())
    (first,), (second,) = rows_of(reader, {port}), rows_of(reader, {port})
    assert first.processes[0].start_ticks == second.processes[0].start_ticks
    assert first.processes[0].started == pytest.approx(second.processes[0].started, abs=0.1)


def test_two_sockets_of_one_process_are_two_rows(reader: SocketReader, listen: Listen, free_port: int) -> None:
    """IPv4 and IPv6 on one port are told apart, in the order of their addresses."""
    listen("127.0.0.1", free_port)
    listen("::1", free_port)
    assert [row.endpoint.address for row in rows_of(reader, {free_port})] == ["127.0.0.1", "::1"]


def test_owners_of_one_endpoint_are_all_told(reader: SocketReader, spawn: Spawn, free_port: int) -> None:
    """With SO_REUSEPORT several processes have sockets on one endpoint: none of them is missing."""
    if not hasattr(socket, "SO_REUSEPORT"):
        pytest.skip("this system has no SO_REUSEPORT")
    code = """
held = socket.socket()
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
held.bind(("127.0.0.1", int(sys.argv[1])))
held.listen()
ready()
"""
    children = {spawn(code, free_port).pid for _ in range(4)}
    rows = rows_of(reader, {free_port})
    assert {process.pid for row in rows for process in row.processes} == children
    assert {row.state for row in rows} == {State.LISTEN}


def test_a_connection_is_no_listener(
    reader: SocketReader, listen: Listen, connect: Callable[..., socket.socket]
) -> None:
    """A client's port is not in the list, nor are the connections of a server."""
    server = listen()
    client = connect(server)
    accepted, _ = server.accept()
    with accepted:
        rows = rows_of(reader, {port_of(server), port_of(client)})
    assert [(row.port, row.state) for row in rows] == [(port_of(server), State.LISTEN)]


def test_asked_for_a_port_connections_are_told_with_a_note(
    reader: SocketReader, listen: Listen, connect: Callable[..., socket.socket]
) -> None:
    """A connection may be why a bind is refused: then it is a row of its own, never in state listen."""
    client = connect(listen())
    rows = rows_of(reader, {port_of(client)}, narrow=True)
    assert {row.state for row in rows} == {State.BOUND}
    owned = [(row.note, [process.pid for process in row.processes]) for row in rows]
    assert ("connection in ESTABLISHED", [os.getpid()]) in owned  # others may go out from the same number


@pytest.mark.parametrize("count", [1, 3, 40])
def test_only_the_ports_asked_for(reader: SocketReader, count: int, listen: Listen) -> None:
    """`ports` leaves out everything else, be they few or many."""
    wanted = {port_of(listen()) for _ in range(count)}
    others = {port_of(listen()) for _ in range(3)}
    found = {row.port for row in reader.read(ports=wanted).listeners}
    assert found == wanted
    assert not found & others


def test_a_port_that_nobody_has(reader: SocketReader, free_port: int) -> None:
    """Nothing is an answer."""
    assert reader.read(udp=True, ports={free_port}).listeners == ()


def test_rows_come_in_order(reader: SocketReader, listen: Listen) -> None:
    """By port, then transport, then address."""
    for address in ("127.0.0.1", "::1", "0.0.0.0"):
        listen(address)
        listen(address, udp=True)
    rows = reader.read(udp=True).listeners
    keys = [(row.port, row.transport, row.endpoint.address) for row in rows]
    assert keys == sorted(keys)


def test_processes_that_vanish_do_no_harm(reader: SocketReader, listen: Listen) -> None:
    """While programs start and end, each read answers, and what stays is always there.

    A program that is just being started still has what we have: a walk that comes by at that moment may name it.
    """
    port = port_of(listen())
    stop = threading.Event()
    pids: list[int] = []
    others: set[int] = set()

    def churn() -> None:
        while not stop.is_set():
            # posix_spawn: quick, and safe beside threads
            pid = os.posix_spawn("/bin/true", ["true"], os.environ)
            pids.append(pid)
            os.waitpid(pid, 0)

    if not os.path.exists("/bin/true"):
        pytest.skip("no /bin/true to start")
    threads = [threading.Thread(target=churn) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            (row,) = rows_of(reader, {port}, narrow=reader.name == "linux")
            owners = {process.pid for process in row.processes}
            assert os.getpid() in owners
            others |= owners - {os.getpid()}
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(pids) > 40
    assert others <= {*pids}


def test_an_owner_that_ends_takes_its_row_along(reader: SocketReader, spawn: Spawn) -> None:
    """After a process was killed its port is nobody's, and its ancestry and control group are empty or what is left."""
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])")
    (row,) = rows_of(reader, {child.facts["port"]})
    os.kill(child.pid, signal.SIGKILL)
    child.process.wait()
    assert rows_of(reader, {child.facts["port"]}) == ()
    assert reader.cgroup(child.pid) == ""
    assert reader.ancestry(row.processes[0])[0].pid == os.getpid()


def test_ancestry_is_the_chain_of_parents(reader: SocketReader, spawn: Spawn) -> None:
    """Nearest first: this process, then its parents as psutil gives them."""
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])")
    (row,) = rows_of(reader, {child.facts["port"]})
    chain = reader.ancestry(row.processes[0])
    assert [process.pid for process in chain] == [parent.pid for parent in psutil.Process(child.pid).parents()]
    assert chain[0].pid == os.getpid()


def test_no_parent_no_ancestry(reader: SocketReader) -> None:
    """The first process has none, and a parent that cannot be seen ends the chain."""
    assert reader.ancestry(Process(1, "init")) == ()
    assert reader.ancestry(Process(5, "lost", parent=2**22 + 1)) == ()


def test_the_control_group_is_the_kernels(reader: SocketReader) -> None:
    """On Linux the path of the process in /proc, elsewhere nothing; nothing for a process that is not there."""
    assert reader.cgroup(2**22 + 1) == ""
    if sys.platform == "linux":
        with open("/proc/self/cgroup", encoding="ascii") as file:
            assert reader.cgroup(os.getpid()) in file.read()
    else:
        assert reader.cgroup(os.getpid()) == ""


def test_what_ss_lists_is_what_we_list(reader: SocketReader, listen: Listen) -> None:
    """On the sockets of our own, the answer equals that of `ss`."""
    ss = need("ss") if sys.platform == "linux" else unmet("ss is a program of Linux")
    held = [listen(address, v6only=v6only) for address, v6only in EVERY_FORM]
    held += [listen(address, udp=True, v6only=v6only) for address, v6only in EVERY_FORM]
    ports = {port_of(one) for one in held}
    listed = subprocess.run([ss, "-H", "-n", "-l", "-t", "-u"], capture_output=True, text=True, check=True).stdout
    expected = set()
    for line in listed.splitlines():
        transport, _, _, _, local, *_ = line.split()
        address, _, port = local.rpartition(":")
        if int(port) in ports:
            # ss writes * for a dual-stack wildcard
            expected.add((transport, address.strip("[]").replace("*", "::"), int(port)))
    found = {(str(row.transport), row.endpoint.address, row.port) for row in rows_of(reader, ports)}
    assert found == expected
    assert len(found) == len(held)


def test_whom_lsof_names_is_whom_we_name(reader: SocketReader, listen: Listen, spawn: Spawn) -> None:
    """On the sockets of our own, the owners are those that `lsof` finds."""
    lsof = need("lsof")
    children = [spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])") for _ in range(3)]
    ours = {(child.facts["port"], child.pid) for child in children} | {(port_of(listen("::1")), os.getpid())}
    ports = {port for port, _ in ours}
    argument = f"-iTCP:{','.join(map(str, sorted(ports)))}"
    listed = subprocess.run(
        [lsof, "-nP", "-w", "-F", "pn", "-sTCP:LISTEN", argument], capture_output=True, text=True, check=True
    ).stdout
    expected, pid = set(), 0
    for line in listed.splitlines():
        if line.startswith("p"):
            pid = int(line[1:])
        elif line.startswith("n"):
            expected.add((int(line.rpartition(":")[2]), pid))
    found = {(row.port, process.pid) for row in rows_of(reader, ports) for process in row.processes}
    assert found == expected
    assert found >= ours  # on another address somebody else may have the same number


@pytest.mark.skipif(sys.platform != "linux", reason="two readers only on Linux")
def test_the_readers_agree(listen: Listen, spawn: Spawn) -> None:
    """The same sockets, the same owners, from the kernel and from psutil."""
    child = spawn("held = listen('::'); ready(port=held.getsockname()[1])")
    ports = {child.facts["port"], port_of(listen()), port_of(listen(udp=True))}
    linux, other = (
        [
            row.replace(
                endpoint=row.endpoint.replace(v6only=None),
                cookie=None,
                processes=tuple(one.replace(start_ticks=None, started=None) for one in row.processes),
            )
            for row in rows_of(open_reader(name), ports)
        ]
        for name in ("linux", "psutil")
    )
    assert linux == other


def test_psutil_says_that_it_cannot_see_other_namespaces() -> None:
    """Asked for every network namespace, psutil's answer is marked as incomplete."""
    reading = open_reader("psutil").read(all_netns=True, ports={1})
    assert [entry.what for entry in reading.skipped] == ["network namespaces"]
    assert not reading.complete


class FakeConnection:
    """A connection as psutil gives it."""

    def __init__(self, port: int, status: str = psutil.CONN_LISTEN, pid: int | None = None, peer: object = ()) -> None:
        self.type = socket.SOCK_STREAM
        self.laddr = type("Address", (), {"ip": "127.0.0.1", "port": port})() if port else ()
        self.raddr = peer
        self.status = status
        self.pid = pid


def test_process_by_process_where_all_at_once_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS without root (simulated): our own sockets are found, the denied processes are counted."""

    class FakeProcess:
        def __init__(self, pid: int, answer: list[FakeConnection] | Exception) -> None:
            self.pid = pid
            self.answer = answer

        def net_connections(self, _kind: str) -> list[FakeConnection]:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

    def denied(_kind: str) -> None:
        raise psutil.AccessDenied

    processes = [
        FakeProcess(os.getpid(), [FakeConnection(5000), FakeConnection(0)]),
        FakeProcess(os.getppid(), [FakeConnection(5000)]),
        FakeProcess(7, psutil.AccessDenied(7)),
        FakeProcess(8, psutil.NoSuchProcess(8)),
        FakeProcess(9, RuntimeError("proc_pidinfo")),  # psutil issue 2116
    ]
    monkeypatch.setattr(psutil, "net_connections", denied)
    monkeypatch.setattr(psutil, "process_iter", lambda: processes)
    reading = open_reader("psutil").read()
    (row,) = reading.listeners
    assert row.endpoint == Endpoint("127.0.0.1", 5000)
    assert {process.pid for process in row.processes} == {os.getpid(), os.getppid()}
    assert [entry.reason for entry in reading.skipped] == ["not permitted to see those of 2 processes"]


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (FakeConnection(5000, psutil.CONN_CLOSE), (State.BOUND, None)),
        (FakeConnection(5000, psutil.CONN_CLOSE, peer=("192.0.2.1", 80)), (State.BOUND, "connection in CLOSE")),
        (FakeConnection(5000, psutil.CONN_TIME_WAIT), (State.BOUND, "connection in TIME_WAIT")),
        (FakeConnection(5000), (State.LISTEN, None)),
    ],
)
def test_what_psutils_states_mean(
    connection: FakeConnection, expected: tuple[State, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed without a peer is bound without listening, as macOS shows it (simulated); other states are connections."""
    monkeypatch.setattr(psutil, "net_connections", lambda _kind: [connection])
    (row,) = open_reader("psutil").read(ports={5000}).listeners
    assert (row.state, row.note) == expected
    assert row.processes == ()


def test_a_process_that_ends_between_two_questions_is_no_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """psutil named a pid that is gone by now: the row stays, without processes."""
    monkeypatch.setattr(psutil, "net_connections", lambda _kind: [FakeConnection(5000, pid=2**22 + 1)])
    (row,) = open_reader("psutil").read().listeners
    assert (row.processes, row.owners, row.user) == ((), Owners.NONE, None)


def test_a_reader_is_chosen_by_name_or_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """PORTWARD_SOCKETS chooses; a name that is none is bad usage."""
    monkeypatch.setenv("PORTWARD_SOCKETS", "psutil")
    assert open_reader().name == "psutil"
    monkeypatch.delenv("PORTWARD_SOCKETS")
    assert open_reader().name == ("linux" if sys.platform == "linux" else "psutil")
    with pytest.raises(UsageError, match="'lsof' is not a reader"):
        open_reader("lsof")


def test_without_psutil_its_reader_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader whose library is not there is bad usage with a way out, not a bug."""
    monkeypatch.delitem(sys.modules, "portward.sockets._psutil", raising=False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    with pytest.raises(UsageError) as caught:
        open_reader("psutil")
    assert caught.value.hint == "pip install psutil"


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/web.service", "web.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/run-u7.scope", None),
        ("/user.slice/user-1000.slice/session-2.scope", None),
        ("/", None),
        ("", None),
    ],
)
def test_a_unit_is_read_from_the_control_group(cgroup: str, expected: str | None) -> None:
    """The innermost service; the manager of a user's services is not one."""
    assert unit(cgroup) == expected
