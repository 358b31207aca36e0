"""A port that is held never goes to anybody but the server that the hold is opened for."""

from __future__ import annotations

import _socket
import errno
import socket
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

import portward
from portward.errors import BindRefused, Unavailable
from portward.model import ANY, State, Transport
from portward.sockets import bind as bind_module
from portward.sockets import hold as hold_module
from portward.sockets import open_reader
from portward.sockets.bind import bind
from portward.sockets.hold import SUPPORTED, Hold
from tests.conftest import need, port_of, run_code, unmet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Listen, Spawn

ADDRESSES = ("127.0.0.1", "0.0.0.0", "::1", "::")


@pytest.fixture
def held(free_port: int) -> Iterator[Hold]:
    """A hold on a free port, shut."""
    if not SUPPORTED:
        unmet("holds are Linux only")
    with Hold.take(free_port) as hold:
        yield hold


def serve(port: int, address: str, *, reuse: bool) -> str:
    """What a program gets that binds and listens: "listens", or the name of the error."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            made.bind((address, port))
            made.listen()
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return "listens"


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_shut_hold_refuses_everybody(held: Hold, address: str, reuse: bool) -> None:
    """Shut, no address of either family can be had, with SO_REUSEADDR or without."""
    assert serve(held.port, address, reuse=reuse) == "EADDRINUSE"


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_open_hold_lets_servers_in_and_nobody_else(held: Hold, address: str) -> None:
    """Open, a bind with SO_REUSEADDR succeeds and one without does not; shut again, both are refused; open again, as before."""
    for _round in range(2):
        held.open()
        assert serve(held.port, address, reuse=True) == "listens"
        assert serve(held.port, address, reuse=False) == "EADDRINUSE"
        held.shut()
        assert serve(held.port, address, reuse=True) == "EADDRINUSE"


def test_a_listening_server_stays_when_the_hold_is_shut(held: Hold, listen: Listen) -> None:
    """Shutting the hold does not touch the server that is there, and keeps the other addresses from others."""
    held.open()
    server = listen("127.0.0.1", held.port, options=[socket.SO_REUSEADDR])
    held.shut()
    with closing(socket.create_connection(server.getsockname(), timeout=5)):
        pass
    assert serve(held.port, "::1", reuse=True) == "EADDRINUSE"


def test_the_kernel_never_picks_a_held_port() -> None:
    """Neither bind(0) nor connect() takes a port of the ephemeral range that is held, open or shut, however few are left."""
    code = """
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as file: file.write("40000 40009")
from portward.sockets.hold import Hold
held = [Hold.take(port) for port in range(40000, 40008)]
for hold in held[:4]: hold.open()
server = listen("127.0.0.1", 30000)
picked = set()
for _ in range(50):
    with socket.socket() as made: made.bind(("127.0.0.1", 0)); picked.add(made.getsockname()[1])
    client = socket.create_connection(("127.0.0.1", 30000)); picked.add(client.getsockname()[1])
    server.accept()[0].close(); client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0"); client.close()
ready(picked=sorted(picked))
"""
    prefix = [need("unshare"), "--net", "--map-root-user", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    assert set(run_code(code, prefix=prefix)["picked"]) <= {40008, 40009}


def test_a_hold_passes_over_old_connections(listen: Listen, connect: Callable[..., socket.socket]) -> None:
    """The rest of a stopped server's connections does not keep its port from being held, and then nobody else can listen."""
    server = listen(options=[socket.SO_REUSEADDR])
    port = port_of(server)
    client = connect(server)
    accepted, _ = server.accept()
    accepted.close()  # this side is the one that waits
    client.close()
    server.close()
    assert serve(port, "127.0.0.1", reuse=False) == "EADDRINUSE"
    with Hold.take(port) as held:
        for address in ADDRESSES:
            assert serve(port, address, reuse=True) == "EADDRINUSE"
        held.open()
        assert serve(port, "127.0.0.1", reuse=True) == "listens"


def test_a_hold_is_refused_where_somebody_listens_or_binds(listen: Listen, free_port: int) -> None:
    """A listener, a socket that is only bound, and another hold keep their port, with SO_REUSEADDR as well."""
    for listening in (True, False):
        with (
            listen("127.0.0.1", free_port, options=[socket.SO_REUSEADDR], listening=listening),
            pytest.raises(BindRefused) as refused,
        ):
            Hold.take(free_port)
        assert "in use" in refused.value.message
    with Hold.take(free_port) as held:
        held.open()
        with pytest.raises(BindRefused):
            Hold.take(free_port)


def test_a_hold_is_not_inherited(held: Hold, spawn: Spawn) -> None:
    """A child that outlives the holder does not keep the port: the socket is closed on exec."""
    spawn("ready()", close_fds=False)
    held.close()
    assert serve(held.port, "::", reuse=False) == "listens"


def test_a_hold_ends_with_its_process(free_port: int, spawn: Spawn) -> None:
    """Killed without warning, the holder leaves nothing behind."""
    code = "from portward.sockets.hold import Hold; held = Hold.take(int(sys.argv[1])); ready()"
    child = spawn(code, free_port)
    assert serve(free_port, "127.0.0.1", reuse=True) == "EADDRINUSE"
    child.process.kill()
    child.process.wait()
    assert serve(free_port, "127.0.0.1", reuse=False) == "listens"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", ANY])
def test_a_listening_socket_beside_a_shut_hold(held: Hold, host: str) -> None:
    """The socket for a handover answers, the hold is shut around it, and no other address of the port can be had."""
    with held.listening(host) as handed:
        assert port_of(handed) == held.port
        with closing(socket.create_connection(("127.0.0.1" if host == ANY else host, held.port), timeout=5)):
            handed.accept()[0].close()
        for address in ADDRESSES:
            assert serve(held.port, address, reuse=True) == "EADDRINUSE"


def test_a_listening_socket_is_refused_if_somebody_was_faster(held: Hold, listen: Listen) -> None:
    """Who listens already makes the handover fail at once, and the hold is shut again."""
    held.open()
    listen("127.0.0.1", held.port, options=[socket.SO_REUSEADDR])
    with pytest.raises(BindRefused):
        held.listening("127.0.0.1")
    assert serve(held.port, "::1", reuse=True) == "EADDRINUSE"


def test_a_listening_socket_against_a_process_that_wants_the_port(held: Hold, spawn: Spawn) -> None:
    """Taken 150 times against somebody who asks for the port without pause: each time it is ours alone, or refused at once."""
    code = """
import threading
port, tries = int(sys.argv[1]), 0
end = threading.Thread(target=sys.stdin.read); end.start()
while end.is_alive():
    made = socket.socket(); made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try: made.bind(("127.0.0.1", port)); made.listen()
    except OSError: pass
    made.close()
    tries += 1
    if tries == 1: ready()
"""
    rival = spawn(code, held.port)
    ours = 0
    while ours < 150:
        with suppress(BindRefused), held.listening("127.0.0.1") as handed:
            with closing(socket.create_connection(("127.0.0.1", held.port), timeout=5)):
                handed.accept()[0].close()
            ours += 1
        assert serve(held.port, "::1", reuse=True) == "EADDRINUSE"
    assert rival.process.poll() is None
    rival.process.communicate(timeout=30)


def test_a_hold_is_seen_as_bound(held: Hold) -> None:
    """Where the kernel lists sockets that are bound only, the hold is such a row with this process as its owner."""
    rows = open_reader().read(ports=[held.port]).listeners
    if not rows:
        unmet("this kernel does not list sockets that are bound only")
    assert {row.state for row in rows} == {State.BOUND}


def test_without_support_the_hold_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """On other systems taking a hold is an error with its remedy, not a hold that does not hold."""
    monkeypatch.setattr(hold_module, "SUPPORTED", False)
    with pytest.raises(Unavailable, match="Linux only") as refused:
        Hold.take(0)
    assert "--retry" in str(refused.value.hint)


@pytest.mark.parametrize(
    ("host", "reached"), [(ANY, ["127.0.0.1", "::1"]), ("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"])]
)
def test_bind_gives_a_socket_that_serves(host: str, reached: list[str], free_port: int) -> None:
    """`bind` gives a listening socket that clients reach on the addresses asked for, and on no other."""
    with bind(free_port, host) as made:
        assert made.getsockname()[1] == free_port
        for address in ("127.0.0.1", "::1"):
            with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as client:
                assert (client.connect_ex((address, free_port)) == 0) is (address in reached)


def test_bind_without_listening_keeps_the_port(free_port: int) -> None:
    """Bound only, the socket serves nobody, refuses everybody else, and may listen later."""
    with bind(free_port, listening=False) as made:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", free_port)) == errno.ECONNREFUSED
        assert serve(free_port, "127.0.0.1", reuse=True) == "EADDRINUSE"
        made.listen()
        socket.create_connection(("127.0.0.1", free_port), timeout=5).close()


def test_bind_lets_the_system_choose() -> None:
    """Port 0 gives some port, another one each time that the first is kept."""
    with bind() as first, bind() as second:
        assert 0 < port_of(first) != port_of(second) > 0


@pytest.mark.parametrize(("host", "why"), [("127.0.0.1", "in use"), ("192.0.2.1", "no such address")])
def test_bind_says_why_it_is_refused(host: str, why: str, listen: Listen) -> None:
    """The reason is told apart, and `who` is the hint for a port in use only."""
    with pytest.raises(BindRefused, match=why) as refused:
        bind(port_of(listen("127.0.0.1")), host)
    assert (refused.value.hint is not None) is (why == "in use")
    assert refused.value.exit_code == 1


def test_without_ipv6(free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without IPv6, every address is every IPv4 address, for `bind` and for a hold."""

    class OnlyIPv4:
        def __getattr__(self, name: str) -> object:
            return getattr(_socket, name)

        def socket(self, family: int, kind: int) -> _socket.socket:
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            return _socket.socket(family, kind)

    monkeypatch.setattr(bind_module, "socket", OnlyIPv4())
    with Hold.take(free_port) as held, held.listening(ANY) as handed:
        assert handed.getsockname() == ("0.0.0.0", free_port)
    with bind(free_port) as made:
        assert made.getsockname() == ("0.0.0.0", free_port)


def test_the_library_has_bind_and_is_free(listen: Listen, free_port: int) -> None:
    """`portward.is_free` says what a bind would say, on any family; `portward.bind` keeps the port."""
    assert portward.is_free(free_port)
    with portward.bind(free_port, "::1", listening=False):
        assert not portward.is_free(free_port)
    listen("127.0.0.1", free_port)
    assert not portward.is_free(free_port)
    assert portward.is_free(free_port, Transport.UDP)
