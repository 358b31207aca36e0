"""The bind probe: it says what a new socket would be told, and names the system's refusals apart."""

from __future__ import annotations

import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward.model import ANY, LAST_PORT, Endpoint, Refusal, Transport
from portward.sockets import bind
from tests.conftest import Listen, Spawn, need, need_root, port_of, run_code

if TYPE_CHECKING:
    from collections.abc import Callable

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux answers")
ADDRESSES = [
    ("127.0.0.1", None),
    ("0.0.0.0", None),
    ("::", False),
    ("::", True),
    ("::1", None),
    ("::ffff:127.0.0.1", None),
]


@pytest.mark.parametrize("transport", Transport)
def test_a_free_port_is_not_refused(free_port: int, transport: Transport) -> None:
    """Nothing speaks against a free port, on any address."""
    for address in (ANY, *bind.EVERY_ADDRESS):
        assert bind.refusal(Endpoint(address, free_port, transport)) is None


def test_a_probe_lets_go(free_port: int, listen: Listen) -> None:
    """After the probe the port is as free as before."""
    bind.refusal(Endpoint(ANY, free_port))
    listen("127.0.0.1", free_port)


@pytest.mark.parametrize(("address", "v6only"), ADDRESSES)
@pytest.mark.parametrize("transport", Transport)
def test_any_sees_a_holder_on_whatever_address(
    address: str, v6only: bool | None, transport: Transport, listen: Listen
) -> None:
    """A port without an address is refused whoever holds one of its addresses: [::1] alone, too."""
    held = listen(address, udp=transport is Transport.UDP, v6only=v6only)
    assert bind.refusal(Endpoint(ANY, port_of(held), transport)) is Refusal.IN_USE


@linux
@pytest.mark.parametrize(("address", "v6only"), ADDRESSES)
@pytest.mark.parametrize(("asked", "asked_v6only"), ADDRESSES)
def test_a_probe_answers_for_just_what_is_asked(
    address: str, v6only: bool | None, asked: str, asked_v6only: bool | None, listen: Listen
) -> None:
    """For a named address the answer agrees with overlaps(): [::1] does not refuse 127.0.0.1, dual-stack [::] does."""
    port = port_of(listen(address, v6only=v6only))
    endpoint = Endpoint(asked, port, v6only=asked_v6only)
    expected = Refusal.IN_USE if endpoint.overlaps(Endpoint(address, port, v6only=v6only)) else None
    assert bind.refusal(endpoint) is expected


@linux
def test_an_ipv6_wildcard_of_which_nothing_is_known_is_asked_as_dual_stack(listen: Listen) -> None:
    """A server on [::] takes IPv4 too unless it says otherwise, so a holder on IPv4 is in its way."""
    port = port_of(listen("127.0.0.1"))
    assert bind.refusal(Endpoint("::", port)) is Refusal.IN_USE
    assert bind.refusal(Endpoint("::", port, v6only=True)) is None


def test_udp_and_tcp_do_not_refuse_each_other(free_port: int, listen: Listen) -> None:
    """UDP never blocks TCP, nor TCP UDP."""
    listen("0.0.0.0", free_port, udp=True)
    assert bind.refusal(Endpoint(ANY, free_port)) is None


@linux
def test_bound_without_listening_is_in_use(listen: Listen) -> None:
    """A socket that is bound only is in the way of a bind, with SO_REUSEADDR on either side alone too."""
    port = port_of(listen(listening=False))
    assert bind.refusal(Endpoint(ANY, port)) is Refusal.IN_USE
    assert bind.refusal(Endpoint(ANY, port), reuse=True) is Refusal.IN_USE


@linux
def test_a_held_port_is_given_to_a_server_with_reuse(listen: Listen) -> None:
    """Where holder and newcomer both set SO_REUSEADDR, a port that is only bound can be handed over."""
    port = port_of(listen(options=[socket.SO_REUSEADDR], listening=False))
    assert bind.refusal(Endpoint(ANY, port)) is Refusal.IN_USE
    assert bind.refusal(Endpoint(ANY, port), reuse=True) is None


@linux
@pytest.mark.parametrize(
    ("had_reuse", "expected"), [(True, None), (False, Refusal.IN_USE)], ids=["with SO_REUSEADDR", "without"]
)
def test_time_wait_yields_to_reuse_only_if_the_server_had_it(
    had_reuse: bool, expected: Refusal | None, listen: Listen, connect: Callable[..., socket.socket]
) -> None:
    """What is left of a connection refuses a plain bind; SO_REUSEADDR passes over it if the old server set it as well."""
    server = listen(options=[socket.SO_REUSEADDR] if had_reuse else [])
    port = port_of(server)
    close_from_the_server(server, connect(server))
    assert bind.refusal(Endpoint(ANY, port)) is Refusal.IN_USE
    assert bind.refusal(Endpoint(ANY, port), reuse=True) is expected


@linux
def test_an_address_that_is_not_this_machines(free_port: int) -> None:
    """An address for documentation (RFC 5737, RFC 3849) is nobody's here."""
    for address in ("203.0.113.1", "2001:db8::1"):
        assert bind.refusal(Endpoint(address, free_port)) is Refusal.NO_SUCH_ADDRESS


@linux
def test_a_link_local_address_without_its_interface(free_port: int) -> None:
    """fe80::1 means nothing without %interface: the kernel says EINVAL, which is no such address."""
    assert bind.refusal(Endpoint("fe80::1", free_port)) is Refusal.NO_SUCH_ADDRESS


@linux
def test_a_privileged_port_is_not_permitted_to_others() -> None:
    """As another user, port 80 is refused for want of permission, which is not being in use."""
    need_root()
    need("unshare")
    facts = run_code(
        """
from portward.model import ANY, Endpoint
from portward.sockets.bind import refusal
open("/proc/sys/net/ipv4/ip_unprivileged_port_start", "w").write("1024")
as_root = refusal(Endpoint(ANY, 80))
os.setgid(65534)
os.setuid(65534)
ready(root=as_root, nobody=refusal(Endpoint(ANY, 80)), above=refusal(Endpoint(ANY, 8080)))
""",
        prefix=["unshare", "-n"],
    )
    assert facts == {"root": None, "nobody": "not permitted", "above": None}


@linux
def test_a_machine_without_ipv6_still_has_free_ports() -> None:
    """A family that is lacking refuses nothing; asked by name, its addresses do not exist."""
    need_root()
    need("unshare")
    facts = run_code(
        """
from portward.model import ANY, Endpoint
from portward.sockets.bind import refusal
for where in ("all", "default", "lo"):
    open(f"/proc/sys/net/ipv6/conf/{where}/disable_ipv6", "w").write("1")
held = listen("0.0.0.0")
ready(any=refusal(Endpoint(ANY, 5000)), v6=refusal(Endpoint("::1", 5000)),
      held=refusal(Endpoint(ANY, held.getsockname()[1])))
""",
        prefix=["unshare", "-n"],
    )
    assert facts == {"any": None, "v6": "no such address", "held": "in use"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EADDRINUSE, Refusal.IN_USE),
        (errno.EACCES, Refusal.NOT_PERMITTED),
        (errno.EPERM, Refusal.SANDBOXED),
        (errno.EADDRNOTAVAIL, Refusal.NO_SUCH_ADDRESS),
        (errno.EAFNOSUPPORT, Refusal.NO_SUCH_ADDRESS),
    ],
)
@pytest.mark.parametrize("step", ["socket", "bind"])
def test_the_systems_words_are_kept_apart(
    code: int, expected: Refusal, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each error number has its own name, whether a sandbox refuses the socket or its bind (simulated)."""
    monkeypatch.setattr(bind, "socket", refusing_sockets(code, step))
    assert bind.refusal(Endpoint("127.0.0.1", 5000)) is expected
    assert bind.refusal(Endpoint(ANY, 5000)) is expected


def test_an_unforeseen_error_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory is no answer about a port."""
    monkeypatch.setattr(bind, "socket", refusing_sockets(errno.ENOBUFS, "bind"))
    with pytest.raises(OSError, match=os.strerror(errno.ENOBUFS)):
        bind.refusal(Endpoint("127.0.0.1", 5000))


@linux
def test_the_ephemeral_range_is_the_kernels() -> None:
    """On Linux the range is what the kernel says."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        low, high = map(int, file.read().split())
    assert (bind.ephemeral_range().low, bind.ephemeral_range().high) == (low, high)


def test_the_ephemeral_range_elsewhere_is_the_dynamic_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without /proc it is that of RFC 6335."""

    def missing(*_args: object, **_kwargs: object) -> Any:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", missing)
    assert (bind.ephemeral_range().low, bind.ephemeral_range().high) == (49152, LAST_PORT)


def test_a_holder_in_another_process_is_in_use(spawn: Spawn) -> None:
    """Not only our own sockets count."""
    child = spawn("held = listen('127.0.0.1'); ready(port=held.getsockname()[1])")
    assert bind.refusal(Endpoint(ANY, child.facts["port"])) is Refusal.IN_USE


def close_from_the_server(server: socket.socket, client: socket.socket) -> None:
    """Leaves a connection in TIME_WAIT on the server's port, and nothing else."""
    accepted, _ = server.accept()
    accepted.close()
    assert client.recv(1) == b""  # the server's FIN is here
    client.close()
    server.close()


def refusing_sockets(code: int, step: str) -> Any:
    """Stands for the socket module: every socket is refused with an error number, at creation or at the bind."""

    class Refusing(socket.socket):
        def __init__(self, *args: Any) -> None:
            if step == "socket":
                raise OSError(code, os.strerror(code))
            super().__init__(*args)

        def bind(self, _address: object) -> None:
            raise OSError(code, os.strerror(code))

    class Module:
        def __getattr__(self, name: str) -> Any:
            return Refusing if name == "socket" else getattr(socket, name)

    return Module()
