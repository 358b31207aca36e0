"""`portward kill` on real processes: what holds the port is stopped, the right way, and nobody else is ever signalled."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need, need_others, need_root
from tests.killing import (
    BYSTANDER,
    DEAF,
    PRE_FORK,
    ROLES,
    SERVER,
    Kill,
    end_group,
    gone,
    listens,
    until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Child, Spawn

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are stopped on Linux only")


@pytest.fixture
def kill(tmp_path: Path) -> Kill:
    """`portward kill` in a folder that is no project."""
    (tmp_path / "elsewhere").mkdir()
    return Kill(tmp_path / "state", tmp_path / "elsewhere")


@pytest.fixture
def crowd(free_port: int, spawn: Spawn) -> Iterator[Callable[[], None]]:
    """Called when the server listens, it gathers bystanders of every kind. In the end none of them has had any signal."""
    children: list[Child] = []

    def gather() -> None:
        children.extend(spawn(BYSTANDER, free_port, role) for role in ROLES)

    yield gather
    for child in children:
        assert child.process.poll() is None
        said, errors = child.process.communicate(timeout=60)
        assert (said, errors, child.process.returncode) == ("", "", 0)


def test_a_server_is_stopped(kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]) -> None:
    """SIGTERM, its end, a free port, exit 0; clients, neighbours and namesakes are not touched."""
    server = spawn(SERVER, free_port)
    crowd()
    answer = kill(free_port)
    assert server.process.wait(60) == -signal.SIGTERM
    (stopped,) = answer.stopped
    assert (answer.status, answer.refused, stopped["port"], stopped["pid"]) == (0, [], free_port, server.pid)
    assert (stopped["how"], stopped["container"], stopped["alive"]) == ("SIGTERM", None, [])
    assert [(row["port"], row["free"]) for row in answer.document["ports"]] == [(free_port, True)]
    with socket.create_server(("127.0.0.1", free_port)):
        pass


def test_a_pre_fork_server(kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]) -> None:
    """All that share the socket are told, and the first process alone gets the signal: it ends its workers itself."""
    server = spawn(PRE_FORK, free_port)
    crowd()
    answer = kill(free_port)
    assert server.process.wait(60) == 0
    (stopped,) = answer.stopped
    assert (answer.status, stopped["pid"]) == (0, server.pid)
    assert set(stopped["pids"]) == {server.pid, *server.facts["workers"]}
    assert all(map(gone, server.facts["workers"]))


def test_workers_whose_first_process_leaves_them(
    kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]
) -> None:
    """A first process that just ends: the workers that still have the socket are ended next."""
    server = spawn(PRE_FORK.replace("end)", "signal.SIG_DFL)"), free_port)
    crowd()
    answer = kill(free_port)
    assert server.process.wait(60) == -signal.SIGTERM
    assert (answer.status, len(answer.stopped)) == (0, 1)
    assert all(map(gone, server.facts["workers"]))
    assert not listens(free_port)


def test_several_servers_on_one_port(kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]) -> None:
    """One on each family: both are stopped; with an address, only the one that is there."""
    v4 = spawn(SERVER, free_port)
    v6 = spawn('made = listen("::1", int(sys.argv[1])); ready()', free_port)
    crowd()
    one = kill(f"[::1]:{free_port}")
    assert v6.process.wait(60) == -signal.SIGTERM
    assert ([row["pid"] for row in one.stopped], v4.process.poll()) == ([v6.pid], None)
    assert kill(free_port).stopped[0]["pid"] == v4.pid
    assert v4.process.wait(60) == -signal.SIGTERM


def test_one_server_on_two_ports(kill: Kill, free_port: int, spare_port: int, spawn: Spawn) -> None:
    """It is told for each port, and stopped once."""
    code = 'made = [listen("127.0.0.1", int(port)) for port in sys.argv[1:]]; ready()'
    server = spawn(code, free_port, spare_port)
    answer = kill(free_port, spare_port)
    assert server.process.wait(60) == -signal.SIGTERM
    assert [(row["port"], row["pid"]) for row in answer.stopped] == [(free_port, server.pid), (spare_port, server.pid)]
    assert (answer.status, len(kill.log)) == (0, 1)
    assert kill.log[0]["ports"] == [f"{free_port}/tcp", f"{spare_port}/tcp"]


def test_udp(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """A UDP port is another port: its server alone is stopped."""
    tcp = spawn(SERVER, free_port)
    udp = spawn('made = listen("127.0.0.1", int(sys.argv[1]), socket.SOCK_DGRAM); ready()', free_port)
    answer = kill(f"{free_port}/udp")
    assert udp.process.wait(60) == -signal.SIGTERM
    assert (answer.status, answer.stopped[0]["pid"], answer.stopped[0]["transport"]) == (0, udp.pid, "udp")
    assert tcp.process.poll() is None


def test_a_connection_is_never_stopped(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """A port that only a client has, TCP or connected UDP: refused, with the reason and the way to end it by hand."""
    code = """
there = listen("127.0.0.1")
kept = socket.socket()
kept.bind(("127.0.0.1", int(sys.argv[1])))
kept.connect(there.getsockname())
datagrams = socket.socket(type=socket.SOCK_DGRAM)
datagrams.bind(("127.0.0.1", int(sys.argv[1])))
datagrams.connect(("127.0.0.1", 9))
ready()
"""
    client = spawn(code, free_port)
    for port in (str(free_port), f"{free_port}/udp"):
        answer = kill(port)
        assert answer.status == 1
        assert "only a client" in answer.only_refusal["why"]
        assert answer.only_refusal["hint"] == f"`kill {client.pid}` ends it"
    assert client.process.poll() is None


def test_nothing_holds_it(kill: Kill, free_port: int) -> None:
    """Exit 1, nothing stopped, nothing refused, and the port is told to be free."""
    answer = kill(free_port)
    assert (answer.status, answer.stopped, answer.refused) == (1, [], [])
    assert answer.document["ports"][0]["free"] is True
    assert kill.run(free_port, "--yes").stdout.splitlines()[0] == f"{free_port}/tcp: nothing holds it"
    assert kill.log == []


def test_a_process_that_ignores_sigterm(kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]) -> None:
    """It is still there after its time: exit 1, and --force is named, which ends it with SIGKILL."""
    server = spawn(DEAF + SERVER, free_port)
    crowd()
    answer = kill(free_port, "--timeout", "0.5")
    refusal = answer.only_refusal
    assert (answer.status, refusal["why"]) == (1, "still there 0.5 s after SIGTERM")
    assert (refusal["hint"], server.process.poll()) == ("--force ends it with SIGKILL", None)
    forced = kill(free_port, "--timeout", "0.5", "--force")
    assert server.process.wait(60) == -signal.SIGKILL
    assert (forced.status, forced.stopped[0]["how"]) == (0, "SIGTERM, SIGKILL")
    assert [entry["result"] for entry in kill.log] == ["still there 0.5 s after SIGTERM", "stopped"]


def test_force_is_patient_too(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """With --force, what obeys SIGTERM gets no SIGKILL."""
    server = spawn(SERVER, free_port)
    assert kill(free_port, "--force").stopped[0]["how"] == "SIGTERM"
    assert server.process.wait(60) == -signal.SIGTERM


def test_a_server_that_finishes_its_requests(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """It lets the port go at once and works on: that is success, it is told, and gets no SIGKILL."""
    code = """
import signal
made = listen("127.0.0.1", int(sys.argv[1]))
signal.signal(signal.SIGTERM, lambda *_: made.close())
ready()
"""
    server = spawn(code, free_port)
    answer = kill(free_port, "--force")
    assert (answer.status, answer.stopped[0]["how"], answer.stopped[0]["alive"]) == (0, "SIGTERM", [server.pid])
    assert server.process.poll() is None
    server.stop()


def test_a_stopped_job(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """A server that was stopped with Ctrl-Z cannot obey: it is let go on."""
    server = spawn(SERVER, free_port)
    os.kill(server.pid, signal.SIGSTOP)
    answer = kill(free_port)
    assert server.process.wait(60) == -signal.SIGTERM
    assert (answer.status, answer.stopped[0]["how"]) == (0, "SIGTERM")


def test_bound_without_listening(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """Who keeps the port from others without serving it is a holder too, where nobody serves."""
    holder = spawn('made = socket.socket(); made.bind(("127.0.0.1", int(sys.argv[1]))); ready()', free_port)
    answer = kill(free_port)
    assert holder.process.wait(60) == -signal.SIGTERM
    assert (answer.status, answer.stopped[0]["pid"]) == (0, holder.pid)


RESTARTING = """
import signal, subprocess, sys, time
command = [sys.executable, "-c", sys.argv[2], sys.argv[1]]
while True:
    subprocess.run(command, stdin=subprocess.DEVNULL)
    time.sleep(float(sys.argv[3]))
"""
SIMPLE = (
    "import socket, sys, time; made = socket.socket(); made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); "
    "made.bind(('127.0.0.1', int(sys.argv[1]))); made.listen(); time.sleep(600)"
)


@pytest.fixture
def supervised(free_port: int, tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Starts a supervisor that starts a server again whenever it ends; gives the supervisor's pid. `name` is its script's."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str = "keep", pause: float = 0, code: str = RESTARTING) -> int:
        script = tmp_path / name
        script.write_text(code)
        command = [sys.executable, str(script), str(free_port), SIMPLE, str(pause)]
        started.append(subprocess.Popen(command, start_new_session=True))
        until(lambda: listens(free_port), "the server listens")
        return started[-1].pid

    yield start
    for process in started:
        end_group(process)


def test_an_unknown_supervisor(kill: Kill, free_port: int, supervised: Callable[..., int]) -> None:
    """It cannot be known before; afterwards the port is not free, exit 1, and who has it and who started it is told."""
    parent = supervised()
    answer = kill(free_port)
    (stopped,) = answer.stopped
    (after,) = answer.document["ports"]
    (process,) = after["listeners"][0]["processes"]
    assert (answer.status, after["free"]) == (1, False)
    assert process["pid"] != stopped["pid"]
    assert after["by"].endswith(f" {parent} starts it again")
    text = kill.run(free_port, "--yes")
    assert text.returncode == 1
    assert f"{free_port}/tcp is not free: python" in text.stdout
    assert f" {parent} starts it again" in text.stdout


def test_a_supervisor_behind_a_shell(kill: Kill, free_port: int, supervised: Callable[..., int]) -> None:
    """What it starts is a shell, which ends with the server: the supervisor is found above that."""
    command = "command = [sys.executable"
    behind = RESTARTING.replace(command, """command = ["sh", "-c", '"$@"; exit 1', "sh", sys.executable""")
    assert behind != RESTARTING
    parent = supervised(code=behind)
    answer = kill(free_port)
    assert (answer.status, len(answer.stopped), answer.document["ports"][0]["free"]) == (1, 1, False)
    assert answer.document["ports"][0]["by"].endswith(f" {parent} starts it again")


def test_a_known_supervisor(kill: Kill, free_port: int, supervised: Callable[..., int]) -> None:
    """It is named before anything is done, with the command that stops it for good; and waited for."""
    parent = supervised("supervisord", pause=0.8)
    planned = kill.run(free_port, "--dry-run").stdout
    assert f"supervisord {parent} starts it again: `supervisorctl stop NAME` avoids that" in planned
    answer = kill(free_port)
    assert (answer.status, answer.document["ports"][0]["free"]) == (1, False)
    assert answer.document["ports"][0]["by"].startswith(f"supervisord {parent} starts it again")


HANDING_ON = """
import signal, subprocess
made = listen("127.0.0.1", int(sys.argv[1]))
def hand_on(number, frame):
    made.close()
    heir = subprocess.Popen([sys.executable, "-u", "-c", sys.argv[2], sys.argv[1]], stdout=subprocess.PIPE, start_new_session=True)
    print(heir.pid, heir.stdout.readline(), flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, hand_on)
ready()
"""


def test_a_port_that_is_taken_by_another(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """What was meant is stopped, and yet the port is not free: exit 1, and who has it is told."""
    heir = SIMPLE.replace("time.sleep", "print('ready'); time.sleep")
    server = spawn(HANDING_ON, free_port, heir)
    answer = kill(free_port)
    assert server.process.stdout is not None
    pid = int(server.process.stdout.readline().split()[0])
    handle = os.pidfd_open(pid)
    try:
        (after,) = answer.document["ports"]
        assert (answer.status, [row["pid"] for row in answer.stopped], after["free"]) == (1, [server.pid], False)
        assert [each["pid"] for row in after["listeners"] for each in row["processes"]] == [pid]
    finally:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def test_a_holder_that_ends_with_another(kill: Kill, free_port: int, spare_port: int, spawn: Spawn) -> None:
    """What ends because another does needs no signal: all is free, exit 0, and that is told."""
    both = """
import signal
child = os.fork()
if child == 0:
    made = listen("127.0.0.1", int(sys.argv[2])); signal.pause()
made = listen("127.0.0.1", int(sys.argv[1]))
def end(number, frame):
    os.kill(child, signal.SIGKILL); os.waitpid(child, 0); os._exit(0)
signal.signal(signal.SIGTERM, end)
ready(child=child)
"""
    server = spawn(both, free_port, spare_port)
    until(lambda: listens(spare_port), "the child listens")
    answer = kill(free_port, spare_port)
    assert (answer.status, [row["pid"] for row in answer.stopped], answer.refused) == (0, [server.pid], [])
    (remark,) = answer.document["remarks"]
    assert f"(pid {server.facts['child']}): it does not hold the port any more" in remark


def test_an_interruption_is_recorded(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """Ctrl-C while a server takes its time: exit 130; the log knows that it got its signal."""
    code = 'import signal; signal.signal(signal.SIGTERM, lambda *_: print("got it", flush=True)); '
    server = spawn(code + SERVER, free_port)
    words = [sys.executable, "-m", "portward", "kill", str(free_port), "--yes", "--timeout", "600"]
    environment = {**os.environ, "DOCKER_HOST": "unix:///nonexistent", "XDG_STATE_HOME": str(kill.state)}
    with subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL) as process:
        assert server.process.stdout is not None
        assert server.process.stdout.readline() == "got it\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
    assert [(entry["pids"], entry["result"]) for entry in kill.log] == [([server.pid], "interrupted")]


def test_refuses_its_own_ancestors(kill: Kill, free_port: int, crowd: Callable[[], None]) -> None:
    """What started the one who asks (this very test) is left alone, --force or not."""
    with socket.create_server(("127.0.0.1", free_port)):
        crowd()
        for words in ([], ["--force"]):
            answer = kill(free_port, *words)
            assert answer.status == 1
            assert answer.only_refusal["why"] == "it started the one who asks, who would end with it"


def test_refuses_itself(free_port: int) -> None:
    """A library user that holds the port itself."""
    from portward import Portward

    with socket.create_server(("127.0.0.1", free_port)):
        answer = Portward().kill([str(free_port)], force=True)
    assert [each.why for each in answer.refused] == ["it is the one who asks"]
    assert not answer.acted


@pytest.mark.parametrize("name", ["sshd", "docker-proxy", "rootlesskit", "containerd", "systemd-resolved", "conmon"])
def test_refuses_what_others_depend_on(
    name: str, kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]
) -> None:
    """sshd, engines and their proxies: left alone even with --force, with the reason and what to ask instead."""
    server = spawn(f'open("/proc/self/comm", "w").write({name!r}[:15]); ' + SERVER, free_port)
    crowd()
    refusal = kill(free_port, "--force").only_refusal
    assert (refusal["what"].split()[0][:15], server.process.poll()) == (name[:15], None)
    assert refusal["why"]


def test_the_first_process(free_port: int, tmp_path: Path) -> None:
    """In a pid namespace of its own, where the server is process 1: refused."""
    need_root()
    script = tmp_path / "first.py"
    script.write_text(
        f"""
import json, os, socket, subprocess, sys
made = socket.create_server(("127.0.0.1", {free_port}))
words = [sys.executable, "-m", "portward", "kill", "{free_port}", "--yes", "--json", "--force"]
done = subprocess.run(["setsid", "-f", *words], stdout=subprocess.PIPE, env={{**os.environ, "XDG_STATE_HOME": {str(tmp_path)!r}}})
print(done.stdout.decode())
"""
    )
    command = [need("unshare"), "--pid", "--fork", "--mount-proc", sys.executable, str(script)]
    done = subprocess.run(
        command, env={**os.environ, "DOCKER_HOST": "unix:///nonexistent"}, capture_output=True, text=True, timeout=100
    )
    document = json.loads(done.stdout)
    assert document["stopped"] == []
    assert document["refused"][0]["why"] == "it is the first process: all others end with it"
    assert "(pid 1)" in document["refused"][0]["what"]


def _as_nobody(server: str, free_port: int, spawn: Spawn) -> Child:
    drop = "import ctypes; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
    drop += "ctypes.CDLL(None).prctl(4, 1, 0, 0, 0); "  # PR_SET_DUMPABLE: as after an exec, its user may look into it
    return spawn(drop + server, free_port)


def test_another_users_process(kill: Kill, free_port: int, spawn: Spawn, crowd: Callable[[], None]) -> None:
    """Root may, but is not asked to: refused without --force, and named."""
    need_root()
    server = _as_nobody(SERVER, free_port, spawn)
    crowd()
    answer = kill(free_port)
    assert (answer.status, server.process.poll()) == (1, None)
    assert (answer.only_refusal["why"], answer.only_refusal["hint"]) == (
        "it belongs to nobody",
        "--force stops it all the same",
    )
    assert kill(free_port, "--force").status == 0
    assert server.process.wait(60) == -signal.SIGTERM


AS_USER = """
import contextlib, io, os, sys
from portward.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main([*sys.argv[1:3], "--dry-run"])  # loads what the interpreter may not read as that user
from portward.processes import asker, ending, stop_log
from portward.render import documents, kill
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


def test_as_a_user_who_may_not_see(kill: Kill, free_port: int, spawn: Spawn, tmp_path: Path) -> None:
    """A hidden owner is refused as such; nothing is guessed from names. A user's own process is stopped."""
    need_others()
    server = spawn(SERVER, free_port)

    def ask() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", AS_USER, "kill", str(free_port), "--yes", "--json", "--force"],
            cwd="/",
            env={**os.environ, "DOCKER_HOST": "unix:///nonexistent", "XDG_STATE_HOME": str(tmp_path)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )

    done = ask()
    refused = json.loads(done.stdout)["refused"]
    assert (done.returncode, server.process.poll()) == (3, None)
    assert [(row["what"], row["why"]) for row in refused] == [("a process of root", "you are not permitted to see it")]
    server.stop()
    own = _as_nobody(SERVER, free_port, spawn)
    done = ask()
    assert own.process.wait(60) == -signal.SIGTERM
    document = json.loads(done.stdout)
    assert (done.returncode, document["stopped"][0]["pid"]) == (0, own.pid)
    assert document["remarks"] == [f"nothing is recorded: {tmp_path}/portward/stopped.jsonl: Permission denied"]


def test_mine(kill: Kill, free_port: int, spare_port: int, spawn: Spawn, tmp_path: Path) -> None:
    """--mine stops what was started in this checkout, and nothing that was started elsewhere, --force or not."""
    for name in ("shop", "other"):
        (tmp_path / name / ".git").mkdir(parents=True)
    kill.folder = tmp_path / "shop"
    mine = spawn(SERVER, free_port, cwd=tmp_path / "shop")
    other = spawn(SERVER, spare_port, cwd=tmp_path / "other")
    answer = kill(free_port, spare_port, "--mine", "--force")
    assert mine.process.wait(60) == -signal.SIGTERM
    assert (answer.status, [row["pid"] for row in answer.stopped]) == (1, [mine.pid])
    assert [(row["port"], row["why"]) for row in answer.refused] == [(spare_port, "it is not of this project")]
    assert other.process.poll() is None


def test_mine_outside_of_a_project(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """Bad usage: nothing could be mine."""
    server = spawn(SERVER, free_port)
    done = kill.run(free_port, "--mine", "--yes", "--json")
    assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (2, "no-project")
    assert server.process.poll() is None


def test_needs_yes(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """Where nobody can be asked, nothing is done without --yes: exit 2, with a hint. -q and --json never ask."""
    server = spawn(SERVER, free_port)
    for words in ([], ["--force"], ["-q"]):
        done = kill.run(free_port, *words)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == (
            "portward: kill needs --yes where nobody can be asked\nhint: --dry-run shows what would be stopped\n"
        )
    assert json.loads(kill.run(free_port, "--json").stdout)["error"]["code"] == "usage"
    assert server.process.poll() is None


def test_dry_run(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """The plan, and nothing else: no signal, no log, exit 0 as all could be stopped."""
    server = spawn(SERVER, free_port)
    done = kill.run(free_port, "--dry-run", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["stopped"], document["dry_run"]) == (0, [], True)
    assert [(row["pid"], row["how"]) for row in document["planned"]] == [(server.pid, "SIGTERM")]
    text = kill.run(free_port, "--dry-run", "--force").stdout
    assert f"{free_port}/tcp: python" in text
    assert "SIGTERM, SIGKILL after 10 s" in text
    assert (server.process.poll(), kill.log) == (None, [])


def test_the_log(kill: Kill, free_port: int, spawn: Spawn) -> None:
    """Each stop is one more line: what, how, by whom, through what, and why; never a command's arguments."""
    for reason in ("to run the tests", "again"):
        server = spawn(SERVER + "#--password=hunter2", free_port, "--token=hunter2")
        kill(free_port, "--reason", reason)
        server.process.wait(60)
    first, second = kill.log
    assert (first["reason"], second["reason"]) == ("to run the tests", "again")
    assert (second["pids"], second["ports"], second["how"]) == ([server.pid], [f"{free_port}/tcp"], "SIGTERM")
    assert (second["result"], second["by"] == second["user"]) == ("stopped", True)
    assert second["through"]
    path = kill.state / "portward/stopped.jsonl"
    assert "hunter2" not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_bad_usage(kill: Kill) -> None:
    """What is no port, and a time that is none."""
    assert kill.run("web", "--yes").returncode == 2
    assert kill.run("70000", "--yes").returncode == 2
    assert kill.run("1", "--yes", "--timeout", "0").returncode == 2
    assert kill.run("1", "--yes", "--timeout", "nan").returncode == 2
