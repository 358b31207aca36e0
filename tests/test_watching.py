"""`ls --watch`: every start and stop of a listener, told by the kernel or seen by looking; and owners that are remembered for it."""

from __future__ import annotations

import errno
import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from portward.errors import Unavailable
from portward.model import Endpoint, Listener, Process, Reading, State, Transport
from portward.sockets import open_reader
from portward.verbs import watching
from portward.ward import Portward
from tests.conftest import need, need_root, port_of, unmet

if sys.platform != "linux":
    pytest.skip("Linux alone tells of changes", allow_module_level=True)

from portward.sockets import _changes, _linux, _owners, _proc
from portward.sockets._changes import Changes
from portward.sockets._linux import LinuxReader

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from portward.answers import Event
    from tests.conftest import Listen, Spawn

SECONDS = 20.0
FOREVER = 3600.0


def refuse(*_arguments: object) -> int:
    raise PermissionError(errno.EACCES, "not permitted")


@pytest.fixture(params=["told", "looking"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How changes are found: told by the kernel, after which nothing is looked at unasked for an hour; or by looking."""
    if request.param == "told":
        require_bell()
        monkeypatch.setattr(_changes, "_SURE_SECONDS", FOREVER)
    else:
        monkeypatch.setattr(_changes, "_event_number", refuse)
    return str(request.param)


def require_bell() -> None:
    need_root()
    if not any(os.path.exists(f"{folder}/{_changes._TRACEPOINT}") for folder in _changes._TRACEFS):
        unmet("tracefs is not mounted")


class Watched:
    """The events of one port, from a thread that watches: `next` waits for one."""

    def __init__(self, port: int, state: Path, *, udp: bool = False, all_netns: bool = False) -> None:
        ward = Portward(environment={"XDG_STATE_HOME": str(state), "DOCKER_HOST": ""})
        self._events: list[Event] = []
        self._some = threading.Condition()
        self._over = False
        self._batches = ward.watch([str(port)], udp=udp, all_netns=all_netns)
        self._take()  # what is there
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()

    def _take(self) -> None:
        _reading, events = next(self._batches)
        with self._some:
            self._events += events
            self._some.notify()

    def _follow(self) -> None:
        while not self._over:
            self._take()

    def next(self) -> tuple[str, list[int]]:
        """The next event, and its owners' pids."""
        with self._some:
            assert self._some.wait_for(lambda: self._events, SECONDS)
            event = self._events.pop(0)
        return event.kind, [process.pid for process in event.listener.processes]

    def end(self, listen: Listen, port: int) -> None:
        """Ends the thread by one more event."""
        self._over = True
        with listen("127.0.0.2", port):
            self._thread.join(SECONDS)
        assert not self._thread.is_alive()
        self._batches.close()  # type: ignore[attr-defined]


@contextmanager
def watched(port: int, state: Path, listen: Listen, **options: bool) -> Iterator[Watched]:
    """A watch of one port on all addresses, over when the block is."""
    one = Watched(port, state, **options)
    try:
        yield one
    finally:
        one.end(listen, port)


@pytest.mark.usefixtures("way")
def test_starts_and_stops_are_events(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """What is there at first, then each start and each stop, in their order and with their owner."""
    first = listen("127.0.0.1", free_port)
    mine = [os.getpid()]
    with watched(free_port, tmp_path, listen) as events:
        assert events.next() == ("present", mine)
        second = listen("::1", free_port)
        assert events.next() == ("start", mine)
        first.close()
        assert events.next() == ("stop", mine)
        second.close()
        assert events.next() == ("stop", mine)


@pytest.mark.usefixtures("way")
def test_a_socket_is_no_listener_before_it_listens(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """A bind alone is no event; to listen is, and so is the end of that."""
    with watched(free_port, tmp_path, listen) as events:
        held = listen("127.0.0.1", free_port, listening=False)
        other = listen("::1", free_port)
        assert events.next()[0] == "start"
        other.close()
        assert events.next()[0] == "stop"
        held.listen()
        assert events.next()[0] == "start"


def test_a_server_that_is_started_anew_is_another(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """One socket goes and another comes on the same endpoint between two looks, of the same process: a stop and a start."""
    looks: list[tuple[str, ...]] = []
    reader = open_reader("linux")
    held = [listen("127.0.0.1", free_port)]

    def look() -> Any:
        return reader.read(ports={free_port})

    with closing(watching.Lookout(reader, look, time.time)) as lookout:
        batches = watching.watch(lookout)
        for _ in range(2):
            _reading, events = next(batches)
            looks.append(tuple(event.kind for event in events))
            held.pop().close()
            held.append(listen("127.0.0.1", free_port))
    assert looks == [("present",), ("stop", "start")]


def test_udp_is_watched_where_it_is_asked_for(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """A UDP socket is an event with `udp`."""
    with watched(free_port, tmp_path, listen, udp=True) as events:
        with listen("127.0.0.1", free_port, udp=True):
            assert events.next() == ("start", [os.getpid()])
        assert events.next() == ("stop", [os.getpid()])


def test_other_namespaces_are_watched_where_it_is_asked_for(
    listen: Listen, spawn: Spawn, free_port: int, tmp_path: Path
) -> None:
    """A listener of a network namespace that came after the watch."""
    need_root()
    with watched(free_port, tmp_path, listen, all_netns=True) as events:
        child = spawn(
            "held = listen('0.0.0.0', int(sys.argv[1])); ready()", free_port, prefix=[need("unshare"), "--net"]
        )
        assert _next_of(child.pid, events) == ("start", [child.pid])
        child.stop()
        assert _next_of(child.pid, events) == ("stop", [child.pid])


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ("A-.", [("present", "A"), ("stop", "A")]),
        ("A--.", [("present", "A"), ("owner", "-"), ("stop", "-")]),
        ("A-A-.", [("present", "A"), ("stop", "A")]),
        ("A-B.", [("present", "A"), ("owner", "B"), ("stop", "B")]),
        ("-A.", [("present", "-"), ("owner", "A"), ("stop", "A")]),
    ],
)
def test_a_socket_whose_process_ends_is_still_its(looks: str, expected: list[tuple[str, str]]) -> None:
    """It loses its descriptors a moment before they are closed: a look between tells of nobody. Each sign is who has it at one look."""
    rows = {
        sign: Listener(
            Endpoint("127.0.0.1", 5000),
            State.LISTEN,
            processes=() if sign == "-" else (Process(ord(sign), sign),),
            cookie=7,
        )
        for sign in "AB-"
    }
    readings = iter([Reading((rows[sign],) if sign != "." else ()) for sign in looks])
    with closing(watching.Lookout(open_reader("linux"), lambda: next(readings), time.time)) as lookout:
        events = [event for _ in looks for event in lookout.look()[1]]
    names = [event.listener.processes[0].name if event.listener.processes else "-" for event in events]
    assert list(zip([event.kind for event in events], names, strict=True)) == expected


def _next_of(pid: int, events: Any) -> tuple[str, list[int]]:
    """The next event of one process: in namespaces of their own, others may have the same port."""
    while True:
        kind, pids = events.next()
        if pids == [pid]:
            return kind, pids


def test_namespaces_are_not_kept_alive(spawn: Spawn) -> None:
    """A socket in a namespace that is gone is closed, since it would hold it."""
    need_root()
    with closing(Changes(udp=False, all_netns=True)) as changes:
        changes.wait(0)
        before = set(changes._namespaces)
        child = spawn("ready()", prefix=[need("unshare"), "--net"])
        changes._enter()
        assert set(changes._namespaces) - before
        inode = os.stat(f"/proc/{child.pid}/ns/net").st_ino
        assert inode in changes._namespaces
        child.stop()
        changes._enter()
        assert inode not in changes._namespaces


def test_the_kernel_rings_for_this_alone(listen: Listen) -> None:
    """The bell rings for the start and the end of listening, thousands of times, and not for a bind."""
    require_bell()
    with closing(_changes._Bell(lambda _step: None)) as bell:
        assert bell.hung
        for _ in range(2000):  # its buffers are far smaller
            with listen() as held:
                assert bell.wait(SECONDS)
            assert bell.wait(SECONDS)
        del held


def test_looking_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """After each look there is a rest of at least 24 times what it took, whatever that was: 4 % of a core."""
    monkeypatch.setattr(_changes, "_event_number", refuse)
    rests: list[float] = []
    monkeypatch.setattr(time, "sleep", rests.append)
    with closing(Changes(udp=True, all_netns=False)) as changes:
        for cost in (0.0, 0.001, 0.01):
            changes._cost = cost
            changes._rest(FOREVER)
    assert all(rest >= 24 * cost for rest, cost in zip(rests, (0.0, 0.001, 0.01), strict=True))
    assert max(rests[:2]) < 0.1


def test_owners_are_asked_for_the_new_ones_alone(listen: Listen, monkeypatch: pytest.MonkeyPatch, spawn: Spawn) -> None:
    """A reader that remembers asks for what it has not seen; one that does not asks for all, each time."""
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])")
    ports = {port_of(listen()), child.facts["port"]}
    asked: list[Collection[int]] = []
    real = _owners.socket_owners

    def owners(
        inodes: Collection[int], narrate: Callable[[str], None], seen: dict[int, _proc.Stat]
    ) -> tuple[dict[int, list[int]], bool]:
        asked.append(inodes)
        return real(inodes, narrate, seen)

    monkeypatch.setattr(_owners, "socket_owners", owners)
    reader = LinuxReader()
    reader.remember(FOREVER)
    first, second = reader.read(ports=ports), reader.read(ports=ports)
    assert first == second
    assert [len(inodes) for inodes in asked] == [2]
    ports.add(port_of(listen()))
    assert len(reader.read(ports=ports).listeners) == 3
    assert [len(inodes) for inodes in asked] == [2, 1]
    LinuxReader().read(ports=ports)
    assert len(asked[-1]) == 3


def test_an_owner_that_ended_or_became_another_program_is_not_remembered(spawn: Spawn) -> None:
    """Who has the socket now is found, though it was seen a moment ago: after an end, and after an execve."""
    child = spawn(
        """
held = listen('127.0.0.1')
held.set_inheritable(True)
if os.fork() == 0:
    os.read(0, 1)
    os.execlp("sleep", "sleep", "1000")
ready(port=held.getsockname()[1])
os.read(0, 1)
os._exit(0)
""",
        start_new_session=True,
    )
    port = child.facts["port"]
    reader = LinuxReader()
    reader.remember(FOREVER)

    def owners() -> list[tuple[int, str]]:
        (row,) = reader.read(ports={port}).listeners
        return [(process.pid, process.name) for process in row.processes]

    def until(count: int, name: str) -> list[tuple[int, str]]:
        end = time.monotonic() + SECONDS
        while not (len(found := owners()) == count and found[-1][1] == name):
            assert time.monotonic() < end, found
            time.sleep(0.01)
        return found

    try:
        both = owners()
        assert len(both) == 2
        assert child.process.stdin is not None
        child.process.stdin.write("gg")
        child.process.stdin.flush()
        (left,) = until(1, "sleep")
        assert left[0] in {pid for pid, _ in both}
    finally:
        os.killpg(child.pid, signal.SIGKILL)


def test_memory_ends_in_time(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the seconds that it was given, all owners are asked for anew."""
    port = port_of(listen())
    asked: list[Collection[int]] = []
    real = _owners.socket_owners

    def owners(
        inodes: Collection[int], narrate: Callable[[str], None], seen: dict[int, _proc.Stat]
    ) -> tuple[dict[int, list[int]], bool]:
        asked.append(inodes)
        return real(inodes, narrate, seen)

    monkeypatch.setattr(_owners, "socket_owners", owners)
    reader = LinuxReader()
    reader.remember(-1)
    reader.read(ports={port})
    reader.read(ports={port})
    assert len(asked) == 2


def test_sockets_that_nobody_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kernel does not list its sockets, there is a way out to name."""
    monkeypatch.setattr(_changes, "SockDiag", refuse)
    with pytest.raises(Unavailable) as caught:
        LinuxReader().changes()
    assert "psutil" in (caught.value.hint or "")


def test_kill_remembers_nothing(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """The reader of a watch is its own: the same `Portward` asks for owners anew whenever it stops something."""
    ward = Portward(environment={"XDG_STATE_HOME": str(tmp_path), "DOCKER_HOST": ""})
    listen("127.0.0.1", free_port)
    with closing(ward.watch([str(free_port)])) as batches:  # type: ignore[type-var]
        next(batches)
        assert isinstance(ward.live.sockets, _linux.LinuxReader)
        assert ward.live.sockets._memory is None


class Command:
    """A `portward ls --watch` in a process of its own."""

    def __init__(self, state: Path, *words: str, before: str = "", **options: Any) -> None:
        code = (
            f"import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n{before}\n"
            "from portward.cli import main; sys.exit(main(sys.argv[1:]))"
        )
        environment = {**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock", "XDG_STATE_HOME": str(state)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, "ls", "--watch", *words],
            env=environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options},
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return str(self.process.stdout.readline())

    def event(self) -> dict[str, Any]:
        """The next document, but for what cannot be seen: the engine here."""
        while (document := json.loads(self.line()))["event"] == "skipped":
            assert document.keys() == {"event", "what", "reason"}
        assert isinstance(document, dict)
        return document

    def interrupt(self) -> tuple[int, str, str]:
        """Ctrl-C: status, and what else was said."""
        self.process.send_signal(signal.SIGINT)
        output, errors = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, output, errors


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Watches that are over when the test is."""
    started: list[Command] = []

    def start(*words: str, **options: Any) -> Command:
        started.append(Command(tmp_path, *words, **options))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.communicate()


BECOME_NOBODY = """
import contextlib, ctypes, io, mmap, os, select
from portward.verbs import history, watching
from portward.cli import look, main
from portward.render import watching
from portward.sockets import _changes, _memory
with contextlib.redirect_stdout(io.StringIO()):
    main(["ls", "--json"])  # what is imported later may not be readable later
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
"""


@pytest.mark.parametrize("user", ["", "nobody"])
def test_json_is_a_document_on_each_line(
    command: Callable[..., Command], listen: Listen, free_port: int, user: str
) -> None:
    """What is there, then each event, for whoever asks; an interrupt ends it with 130 and says nothing."""
    if user:
        need_root()
    first = listen("127.0.0.1", free_port)
    started = command(str(free_port), "--json", before=BECOME_NOBODY if user else "")
    present = started.event()
    assert (present["event"], present["listener"]["port"]) == ("present", free_port)
    assert present["listener"]["owners"] == ("hidden" if user else "seen")
    second = listen("::1", free_port)
    assert started.event()["listener"]["address"] == "::1"
    first.close()
    stop = started.event()
    assert (stop["event"], stop["listener"]["address"]) == ("stop", "127.0.0.1")
    assert set(stop) == {"event", "time", "listener"}
    second.close()
    started.line()
    assert started.interrupt()[:2] == (130, "")


def test_lines_for_people(command: Callable[..., Command], listen: Listen, free_port: int) -> None:
    """The table, then a line for each event with its time, a sign, where and who; every line fits."""
    listen("127.0.0.1", free_port)
    started = command(str(free_port))
    table = [started.line(), started.line()]
    assert str(free_port) in table[1]
    while "Ctrl-C" not in started.line():
        pass
    held = listen("::1", free_port)
    lines = [started.line()]
    held.close()
    lines.append(started.line())
    for sign, line in zip("+-", lines, strict=True):
        clock, shown, where, *who = line.split()
        assert time.strptime(clock, "%H:%M:%S")
        assert (shown, where) == (sign, f"[::1]:{free_port}")
        assert str(os.getpid()) in who
        assert len(line) <= 101
    assert started.interrupt() == (130, "", "")


def test_the_terminal_is_left_clean(command: Callable[..., Command], listen: Listen, free_port: int) -> None:
    """Ctrl-C as it is typed: the terminal's own ^C is taken away, nothing is left to be undone, and the status is 130."""
    near, far = pty.openpty()
    listen("127.0.0.1", free_port)
    started = command(str(free_port), stdin=far, stdout=far, stderr=far, start_new_session=True)
    os.close(far)
    screen = ""
    while "Ctrl-C" not in screen:
        assert select.select([near], [], [], SECONDS)[0]
        screen += os.read(near, 4096).decode()
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(SECONDS) == 130
    while select.select([near], [], [], SECONDS)[0]:
        try:
            screen += os.read(near, 4096).decode()
        except OSError:
            break
    assert screen.endswith("\r\x1b[K")
    assert screen.count("\x1b") == 1
    os.close(near)


def test_a_reader_that_goes_away_ends_it(command: Callable[..., Command], listen: Listen, free_port: int) -> None:
    """`| head -1`: the next event finds nobody who reads."""
    listen("127.0.0.1", free_port)
    started = command(str(free_port), "--json")
    started.line()
    assert started.process.stdout is not None
    started.process.stdout.close()
    deadline = time.monotonic() + SECONDS
    while started.process.poll() is None:
        assert time.monotonic() < deadline
        with listen("::1", free_port):
            time.sleep(0.3)
    assert started.process.returncode == 0


def test_where_the_system_tells_nothing(command: Callable[..., Command], listen: Listen, free_port: int) -> None:
    """With psutil's reader a whole look in a second gives the same events."""
    environment = "import os; os.environ['PORTWARD_SOCKETS'] = 'psutil'"
    started = command(str(free_port), "--json", before=environment)
    assert started.process.poll() is None
    reader = threading.Thread(target=lambda: found.append(started.event()))
    found: list[dict[str, Any]] = []
    reader.start()
    deadline = time.monotonic() + SECONDS
    kept = listen("127.0.0.1", free_port)
    while not found:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    reader.join()
    assert found[0]["event"] in ("present", "start")
    kept.close()
    assert started.event()["event"] == "stop"
    assert started.interrupt()[0] == 130


def test_options_that_exclude_each_other(command: Callable[..., Command]) -> None:
    """A watch asks nobody what they are."""
    started = command("--identify")
    assert "exclude" in started.process.communicate(timeout=SECONDS)[1]
    assert started.process.returncode == 2


def test_an_owner_that_hands_its_socket_over(spawn: Spawn, monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    """Another process has the socket at the next look after what is remembered: an event of its own."""
    monkeypatch.setattr(watching, "REMEMBERED_SECONDS", -1.0)
    monkeypatch.setattr(watching, "_ENGINE_SECONDS", 0.0)
    child = spawn(
        """
held = listen('127.0.0.1', int(sys.argv[1]))
child = os.fork()
if child == 0:
    sys.stdin.close()
    while True: __import__("signal").pause()
ready(child=child)
sys.stdin.readline()
held.close()
""",
        free_port,
    )
    reader = open_reader("linux")
    try:
        with closing(watching.Lookout(reader, lambda: reader.read(ports={free_port}), time.time)) as lookout:
            batches = watching.watch(lookout)
            ((event,),) = [next(batches)[1]]
            assert event.kind == "present"
            assert {process.pid for process in event.listener.processes} == {child.pid, child.facts["child"]}
            assert child.process.stdin is not None
            child.process.stdin.write("go\n")
            child.process.stdin.flush()
            ((event,),) = [next(batches)[1]]
            assert (event.kind, [process.pid for process in event.listener.processes]) == (
                "owner",
                [child.facts["child"]],
            )
            assert (event.listener.state, event.listener.transport) == (State.LISTEN, Transport.TCP)
    finally:
        os.kill(child.facts["child"], signal.SIGKILL)
