"""`check PORT…`: the bind decides, the sockets tell why. Each trap that other tools fall into is a test."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward.errors import InvalidPort, Unavailable, UsageError
from portward.model import Endpoint, Owners, Reading, Refusal, Severity, State
from portward.sockets import bind
from portward.ward import Portward
from tests.conftest import need, need_root, port_of, run_code
from tests.test_bind import close_from_the_server, refusing_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from portward.answers import Check
    from portward.model import Process
    from tests.conftest import Listen, Spawn

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux answers")
NO_ENGINE = {"DOCKER_HOST": "unix:///portward/no/engine"}


def check(*ports: object, **options: Any) -> Check:
    """`check` in a place without project and engine."""
    return Portward(root=None, environment={}).check_ports([str(port) for port in ports], **options)


def portward(folder: Path, *words: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command line in a folder."""
    command = [sys.executable, "-m", "portward", *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, **options)


def document(done: subprocess.CompletedProcess[str]) -> Any:
    """The one document on stdout: json.loads refuses a second one."""
    return json.loads(done.stdout)


def test_a_free_port_is_available(free_port: int) -> None:
    """Nothing in the way: no listeners, no finding, TCP and UDP."""
    for argument in (free_port, f"{free_port}/udp", f"127.0.0.1:{free_port}", f"[::1]:{free_port}/tcp"):
        answer = check(argument)
        assert [(row.available, row.refusal, row.listeners) for row in answer.ports] == [(True, None, ())]
        assert answer.findings == ()


@pytest.mark.parametrize("suffix", ["", "/udp"])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_a_listener_on_any_address_makes_a_port_unavailable(address: str, suffix: str, listen: Listen) -> None:
    """A server on [::1] alone, as Node's are, is seen like one on 127.0.0.1 alone."""
    port = port_of(listen(address, udp=bool(suffix)))
    answer = check(f"{port}{suffix}")
    (row,) = answer.ports
    assert (row.available, row.refusal) == (False, Refusal.IN_USE)
    assert [listener.endpoint.address for listener in row.listeners] == [address]
    assert [process.pid for process in row.listeners[0].processes] == [os.getpid()]
    (finding,) = answer.findings
    assert (finding.rule, finding.severity, finding.port) == ("address-in-use", Severity.ERROR, port)
    assert f"pid {os.getpid()}" in finding.message


def test_two_servers_on_the_two_localhosts_are_both_told(listen: Listen, free_port: int) -> None:
    """127.0.0.1 and [::1] coexist on one port: "localhost" means either."""
    listen("127.0.0.1", free_port)
    listen("::1", free_port)
    (row,) = check(free_port).ports
    assert [listener.endpoint.address for listener in row.listeners] == ["127.0.0.1", "::1"]


def test_udp_does_not_hold_tcp(listen: Listen, free_port: int) -> None:
    """A UDP socket leaves the TCP port of the same number free."""
    listen("0.0.0.0", free_port, udp=True)
    tcp, udp = check(free_port, f"{free_port}/udp").ports
    assert (tcp.available, tcp.listeners) == (True, ())
    assert (udp.available, len(udp.listeners)) == (False, 1)


def test_another_port_that_begins_alike_does_not_matter(listen: Listen) -> None:
    """A listener on 30001 says nothing about 3000."""
    for _ in range(50):
        port = port_of(listen())
        short = port // 10
        if bind.refusal(Endpoint("127.0.0.1", short)) is None:
            break
    (row,) = check(f"127.0.0.1:{short}").ports
    assert (row.available, row.listeners) == (True, ())


def test_the_source_port_of_a_connection_is_held_by_a_connection(
    listen: Listen, connect: Callable[..., socket.socket], tmp_path: Path
) -> None:
    """A client's own port refuses a bind: check says that it is a connection, ls and who name no holder, no fix kills it."""
    port = port_of(connect(listen()))
    answer = check(port)
    (row,) = answer.ports
    assert (row.available, row.refusal) == (False, Refusal.IN_USE)
    (listener,) = row.listeners
    assert (listener.state, listener.note) == (State.BOUND, "connection in ESTABLISHED")
    (finding,) = answer.findings
    assert "connection in ESTABLISHED" in finding.message
    assert not any("kill" in (fix.command or "") for fix in finding.fixes)
    ward = Portward(root=None, environment={})
    assert ward.ls([str(port)]).listeners == ()
    (who,) = ward.who([str(port)]).ports
    assert (who.listeners, who.fixes) == ((), ())
    assert portward(tmp_path, "ls", port).returncode == 1
    assert portward(tmp_path, "who", port).returncode == 1


@pytest.mark.parametrize("address", ["127.0.0.1", "::"])
def test_the_connections_of_a_server_are_not_its_holders(address: str, listen: Listen) -> None:
    """A server with clients is one listener, and it is the server that is named, not one of its connections."""
    server = listen(address, v6only=False if address == "::" else None)
    port = port_of(server)
    with socket.create_connection(("127.0.0.1", port), timeout=10):
        answer = check(port)
        who = Portward(root=None, environment={}).who([str(port)])
    assert [listener.state for listener in answer.ports[0].listeners] == [State.LISTEN]
    assert [holder.state for holder in answer.findings[0].holders] == [State.LISTEN]
    assert [listener.state for listener in who.ports[0].listeners] == [State.LISTEN]


@linux
@pytest.mark.parametrize("options", [(), (socket.SO_REUSEADDR,)], ids=["plain", "SO_REUSEADDR"])
def test_a_socket_that_is_bound_only_is_a_holder(options: tuple[int, ...], listen: Listen) -> None:
    """It is in no list of listeners; a SO_REUSEADDR server could take its port, yet somebody holds it."""
    port = port_of(listen(options=options, listening=False))
    answer = check(port)
    (row,) = answer.ports
    assert row.available is False
    assert [listener.state for listener in row.listeners] in ([State.BOUND], [])  # before Linux 6.8 it is not listed
    if row.listeners:
        assert "bound but not listening" in answer.findings[0].message


@linux
def test_what_is_left_of_a_connection_does_not_take_a_port(
    listen: Listen, connect: Callable[..., socket.socket]
) -> None:
    """TIME_WAIT on a server's port is passed over by the next server, so the port is free again."""
    server = listen(options=[socket.SO_REUSEADDR])
    port = port_of(server)
    close_from_the_server(server, connect(server))
    answer = check(port)
    (row,) = answer.ports
    assert (row.available, row.refusal) == (True, None)
    assert answer.findings == ()


@linux
def test_time_wait_of_a_server_without_reuse_is_named(listen: Listen, connect: Callable[..., socket.socket]) -> None:
    """There the next bind is refused until it is over, and check says by what."""
    server = listen()
    port = port_of(server)
    close_from_the_server(server, connect(server))
    answer = check(port)
    (row,) = answer.ports
    assert (row.available, row.refusal) == (False, Refusal.IN_USE)
    assert "connection in TIME_WAIT" in answer.findings[0].message


def test_a_listener_in_another_namespace_is_seen_only_when_asked_for(spawn: Spawn, free_port: int) -> None:
    """It is not in the way of a bind here: available, and with `all_netns` shown with where it is."""
    need_root()
    child = spawn("held = listen('0.0.0.0', int(sys.argv[1])); ready()", free_port, prefix=[need("unshare"), "-n"])
    (row,) = check(free_port).ports
    assert (row.available, row.listeners) == (True, ())
    (row,) = check(free_port, all_netns=True).ports
    (listener,) = row.listeners
    assert row.available is True
    assert listener.netns == f"net:[{os.stat(f'/proc/{child.pid}/ns/net').st_ino}]"
    assert [process.pid for process in listener.processes] == [child.pid]
    child.stop()


def test_who_answers_everywhere_holds_nothing() -> None:
    """Security software and proxies that accept every connection make all ports look busy: a bind is not deceived."""
    need_root()
    need("iptables")
    facts = run_code(
        """
import subprocess
from portward.ward import Portward
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
catcher = listen("127.0.0.1", 21000)
for program in ("iptables", "iptables-legacy", "iptables-nft"):
    rule = [program, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-d", "127.0.0.1", "-j", "REDIRECT", "--to-ports", "21000"]
    if subprocess.run(rule, stderr=subprocess.DEVNULL).returncode == 0:
        break
with socket.create_connection(("127.0.0.1", 5000), timeout=5) as caught:
    answer = Portward(root=None, environment={}).check_ports(["5000", "21000"])
ready(available=[row.available for row in answer.ports], holders=[len(row.listeners) for row in answer.ports])
""",
        prefix=[need("unshare"), "-n"],
    )
    assert facts == {"available": [True, False], "holders": [0, 1]}


def test_a_port_below_1024_is_not_permitted_to_others() -> None:
    """As nobody, 80 is "not permitted": that is not "in use", and the hint is another. In a namespace of its own."""
    need_root()
    facts = run_code(
        """
from portward.ward import Portward
open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w").write("1024")
held = listen("0.0.0.0", 81)
ward = Portward(root=None, environment={})
ward.check_ports(["80", "81"])  # what is imported later may not be readable later
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
answer = ward.check_ports(["80", "81"])
ready(ports=[[row.available, row.refusal, [str(one.owners) for one in row.listeners]] for row in answer.ports],
      message=answer.findings[0].message, hint=answer.findings[0].hint,
      rules=[finding.rule for finding in answer.findings])
""",
        prefix=[need("unshare"), "-n"],
    )
    assert facts["rules"] == ["bind-not-permitted", "bind-not-permitted"]
    assert facts["ports"][0] == [False, "not permitted", []]
    assert "not permitted" in facts["message"]
    assert "in use" not in facts["message"]
    assert "1024" in facts["hint"]
    # who listens there is told all the same (here the process itself)
    assert facts["ports"][1] == [False, "not permitted", ["seen"]]


def test_a_sandbox_is_named_and_needs_nothing_more_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that denies bind() (simulated) is "sandboxed"; the sockets, which it may deny as well, are not asked."""

    class Denied:
        name = "denied"

        def read(self, **_options: object) -> Reading:
            raise AssertionError("asked for sockets")

        def ancestry(self, _process: Process) -> tuple[Process, ...]:
            return ()

        def cgroup(self, _pid: int) -> str:
            return ""

    monkeypatch.setattr(bind, "socket", refusing_sockets(errno.EPERM, "bind"))
    answer = Portward(sockets=Denied(), environment={}).check_ports(["5000"])
    (row,) = answer.ports
    assert (row.available, row.refusal) == (False, Refusal.SANDBOXED)
    assert "sandboxed" in answer.findings[0].message
    assert answer.findings[0].rule == "bind-sandboxed"


def test_a_bind_that_is_refused_without_a_reason_to_show(listen: Listen) -> None:
    """Where sockets cannot be listed the bind's answer stands, and says that it is not the whole one."""

    class Refused:
        name = "refused"

        def read(
            self,
            *,
            udp: bool = False,
            all_netns: bool = False,
            ports: Collection[int] | None = None,
            owners: bool = True,
        ) -> Reading:
            raise Unavailable(f"no netlink here ({udp}, {all_netns}, {ports})")

        def ancestry(self, _process: Process) -> tuple[Process, ...]:
            return ()

        def cgroup(self, _pid: int) -> str:
            return ""

    answer = Portward(sockets=Refused(), environment={}).check_ports([str(port_of(listen()))])
    assert answer.ports[0].refusal is Refusal.IN_USE
    assert "a socket that is not shown" in answer.findings[0].message
    assert [entry.what for entry in answer.skipped] == ["sockets"]


@pytest.mark.parametrize("address", ["203.0.113.1", "[2001:db8::1]"])
def test_an_address_that_is_not_this_machines(address: str, free_port: int) -> None:
    """It is no such address, not a port in use."""
    answer = check(f"{address}:{free_port}")
    assert answer.ports[0].refusal is Refusal.NO_SUCH_ADDRESS
    assert "no such address" in answer.findings[0].message
    assert answer.findings[0].rule == "no-such-address"


@linux
def test_a_host_in_the_argument_narrows_the_question(listen: Listen) -> None:
    """127.0.0.1:P is in use, 127.0.0.2:P and [::1]:P are free, the wildcards meet the holder."""
    port = port_of(listen("127.0.0.1"))
    hosts = ["127.0.0.1:", "127.0.0.2:", "[::1]:", "0.0.0.0:", "[::]:", ""]
    assert [row.available for row in check(*[f"{host}{port}" for host in hosts]).ports] == [
        False,
        True,
        True,
        False,
        False,  # a server on [::] takes IPv4 too
        False,
    ]


def test_a_host_name_is_one_row(listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with two addresses is unavailable if one of them is; an address that this machine lacks does not count."""
    port = port_of(listen("::1"))
    addresses = {
        "both.test": ["127.0.0.1", "::1"],
        "lacking.test": ["203.0.113.1", "127.0.0.1"],
        "elsewhere.test": ["203.0.113.1", "203.0.113.2"],
    }

    def resolve(host: str, *_args: object, **_options: object) -> list[Any]:
        return [(0, 0, 0, "", (address, 0)) for address in addresses[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    rows = check(*[f"{host}:{port}" for host in addresses]).ports
    assert [(row.endpoint.address, row.available, row.refusal) for row in rows] == [
        ("::1", False, Refusal.IN_USE),
        ("127.0.0.1", True, None),
        ("203.0.113.1", False, Refusal.NO_SUCH_ADDRESS),
    ]


def test_each_argument_has_its_row(listen: Listen, free_port: int) -> None:
    """In the order of the arguments, an argument that is given twice twice; but a trouble is told once."""
    port = port_of(listen())
    answer = check(port, free_port, port)
    assert [(row.endpoint.port, row.available) for row in answer.ports] == [
        (port, False),
        (free_port, True),
        (port, False),
    ]
    assert len(answer.findings) == 1


def test_a_range_is_a_row_for_each_port(free_port: int, listen: Listen) -> None:
    """Both ends included."""
    listen("127.0.0.1", free_port)
    answer = check(f"{free_port - 2}-{free_port + 2}")
    assert [row.endpoint.port for row in answer.ports] == list(range(free_port - 2, free_port + 3))
    assert answer.ports[2].available is False


def test_the_hint_names_a_port_that_is_free(listen: Listen) -> None:
    """What is offered instead can be bound now."""
    (finding,) = check(port_of(listen())).findings
    assert finding.hint is not None
    offered = next(int(word.rstrip(",")) for word in finding.hint.split() if word.rstrip(",").isdecimal())
    assert check(offered).ports[0].available


@pytest.mark.parametrize(
    "argument", ["0", "65536", "70000", "-1", "5010-5000", "abc", "5000/sctp", "::1:5000", "٥٠٠٠", "5000:", "", "5000-"]
)
def test_what_is_no_port(argument: str) -> None:
    """A port is 1 to 65535, a range ascends, an IPv6 address goes in brackets."""
    with pytest.raises(InvalidPort):
        check(argument)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "300.1.1.1", f"{'x' * 70}.test", "a..b"])
def test_a_host_without_an_address(host: str) -> None:
    """A name that nobody knows, or that is none, is bad input."""
    with pytest.raises(UsageError):
        check(f"{host}:5000")


LISTENER_KEYS = {
    "transport", "address", "port", "state", "v6only", "user", "owners", "processes", "container", "netns", "project",
    "service",
}  # fmt: skip
FINDING_KEYS = {
    "rule", "severity", "message", "service", "port", "transport", "locations", "holders", "hint", "fixes",
}  # fmt: skip


def test_the_document_of_a_held_port(listen: Listen, tmp_path: Path) -> None:
    """The keys of the contract, with their types, exit 1, and one document alone on stdout."""
    port = port_of(listen())
    done = portward(tmp_path, "check", port, "--json", env={**os.environ, **NO_ENGINE})
    assert done.returncode == 1
    answer = document(done)
    assert {"ports", "findings", "summary", "complete"} <= answer.keys()
    assert answer["summary"] == {"errors": 1, "warnings": 0}
    (row,) = answer["ports"]
    assert {"port", "transport", "available", "listeners", "lease"} <= row.keys()
    assert (row["port"], row["transport"], row["available"], row["lease"]) == (port, "tcp", False, None)
    (listener,) = row["listeners"]
    assert listener.keys() >= LISTENER_KEYS
    assert (listener["address"], listener["port"], listener["state"]) == ("127.0.0.1", port, "listen")
    assert (listener["v6only"], listener["container"], listener["netns"], listener["owners"]) == (
        None,
        None,
        None,
        "seen",
    )
    (process,) = listener["processes"]
    assert process.keys() >= {"pid", "name", "command", "user", "cwd", "started"}
    assert process["pid"] == os.getpid()
    assert process["started"].endswith("Z")
    (finding,) = answer["findings"]
    assert finding.keys() >= FINDING_KEYS
    assert (finding["rule"], finding["severity"], finding["port"], finding["transport"]) == (
        "address-in-use",
        "error",
        port,
        "tcp",
    )
    assert [holder["processes"][0]["pid"] for holder in finding["holders"]] == [os.getpid()]
    assert all(fix.keys() >= {"title", "command", "safe"} for fix in finding["fixes"])


def test_the_document_of_a_free_port(free_port: int, tmp_path: Path) -> None:
    """Exit 0, no findings."""
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_HOST"}
    done = portward(tmp_path, "check", f"{free_port}/udp", "--json", env=environment)
    assert done.returncode == 0
    answer = document(done)
    assert [(row["port"], row["transport"], row["available"]) for row in answer["ports"]] == [(free_port, "udp", True)]
    assert (answer["findings"], answer["summary"]) == ([], {"errors": 0, "warnings": 0})


def test_several_ports_of_which_one_is_held(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """One that is not available makes the answer no."""
    done = portward(tmp_path, "check", free_port, port_of(listen("::1")), "--json")
    assert done.returncode == 1
    assert [row["available"] for row in document(done)["ports"]] == [True, False]


@pytest.mark.parametrize("argument", ["70000", "5010-5000", "no-such-host.invalid:5000"])
def test_bad_input_is_exit_2_with_an_error_document(argument: str, tmp_path: Path) -> None:
    """The failure is the one document on stdout, and the same text is on stderr."""
    done = portward(tmp_path, "check", argument, "--json")
    assert done.returncode == 2
    error = document(done)["error"]
    assert error.keys() == {"code", "message", "hint", "path", "line", "column"}
    assert error["message"] in done.stderr


def test_bad_input_without_json_leaves_stdout_empty(tmp_path: Path) -> None:
    """Errors are for stderr, with a hint."""
    done = portward(tmp_path, "check", "30000-3000")
    assert (done.returncode, done.stdout) == (2, "")
    assert "hint: " in done.stderr


def test_people_are_told_who_and_what_to_do(listen: Listen, tmp_path: Path) -> None:
    """The text names the port, the process and a way out."""
    port = port_of(listen())
    done = portward(tmp_path, "check", port)
    assert done.returncode == 1
    for word in (str(port), str(os.getpid()), "hint"):
        assert word in done.stdout + done.stderr


@pytest.mark.parametrize("reader", ["linux", "psutil"])
def test_either_reader_gives_the_same_answer(reader: str, listen: Listen, tmp_path: Path) -> None:
    """PORTWARD_SOCKETS changes who reads, not what is said."""
    if reader == "linux" and sys.platform != "linux":
        pytest.skip("only on Linux")
    port = port_of(listen("::1"))
    done = portward(tmp_path, "check", port, "--json", env={**os.environ, "PORTWARD_SOCKETS": reader})
    assert done.returncode == 1
    (row,) = document(done)["ports"]
    assert [(one["address"], one["processes"][0]["pid"]) for one in row["listeners"]] == [("::1", os.getpid())]


def test_as_another_user_the_owner_is_hidden_but_the_user_is_told() -> None:
    """Without permission to see processes the answer is still "in use", by whose socket, and incomplete."""
    need_root()
    facts = run_code("""
from portward.ward import Portward
held = listen("127.0.0.1")
port = str(held.getsockname()[1])
ward = Portward(root=None, environment={})
ward.check_ports([port])
if os.fork():
    os.wait()
else:
    held.close()
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    answer = ward.check_ports([port])
    (row,) = answer.ports[0].listeners
    ready(owners=row.owners, user=row.user, processes=len(row.processes), complete=answer.reading.complete,
          message=answer.findings[0].message)
    sys.stdout.flush()
    os._exit(0)
""")
    assert (facts["owners"], facts["user"], facts["processes"]) == (Owners.HIDDEN, "root", 0)
    assert facts["complete"] is False
    assert "a process of root that you are not permitted to see" in facts["message"]
