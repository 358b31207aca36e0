"""`portward.find_port`, `is_free`, `check`, `lease` and `bind`, as programs use them: in processes and checkouts of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

import portward
from portward.errors import BindRefused, InvalidPort, NoFreePort, NoProject, UsageError
from portward.leases import open_store
from portward.model import LeaseKind
from tests.conftest import port_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Listen, Spawn


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A checkout that the test is in, and the address of a lease store of its own."""
    for name in ("PORT", "CONDUCTOR_PORT", "EMDASH_PORT", "SUPERSET_PORT_BASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("PORTWARD_STORE", f"sqlite://{tmp_path}/state/leases.db")
    (tmp_path / "project/.git").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    yield f"sqlite://{tmp_path}/state/leases.db"
    from portward import library

    library._wards.clear()


def test_every_name_is_there() -> None:
    """What is offered can be had, is listed, and nothing else is."""
    assert set(portward.__all__) <= set(dir(portward))
    for name in portward.__all__:
        assert getattr(portward, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'leese'"):
        _ = portward.leese


def test_importing_costs_nothing() -> None:
    """One module, until a name is used."""
    code = "import sys, portward; print(sorted(name for name in sys.modules if name.startswith('portward')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['portward']\n"


def test_a_found_port_can_be_bound(store: str, free_port: int, listen: Listen) -> None:
    """The preferred one or the next above it, or one of a range; nothing is recorded."""
    assert portward.find_port(free_port) == free_port
    with listen("::1", free_port):
        assert free_port < portward.find_port(free_port) <= free_port + 100
    assert portward.find_port(ports=f"{free_port}-{free_port}") == free_port
    assert 20000 <= portward.find_port() <= 29999
    assert open_store(store).leases() == ()


def test_none_found_is_said(store: str, listen: Listen) -> None:
    """A range that is taken has none; what is no port is none."""
    port = port_of(listen("0.0.0.0"))
    with pytest.raises(NoFreePort, match="No available ports found"):
        portward.find_port(ports=portward.PortRange(port, port))
    with pytest.raises(InvalidPort):
        portward.find_port(70000)
    with pytest.raises(InvalidPort):
        portward.find_port(ports="9-1")


def test_is_free_asks_every_family(free_port: int, listen: Listen) -> None:
    """Whoever has one address of the port is in the way."""
    assert portward.is_free(free_port)
    assert portward.is_free(free_port, portward.Transport.UDP)
    listen("::1", free_port)
    assert not portward.is_free(free_port)
    assert portward.is_free(free_port, portward.Transport.UDP)


def test_check_says_who(store: str, free_port: int, listen: Listen) -> None:
    """Ports are numbers or what the command line takes; without any, the project is checked."""
    held = port_of(listen("127.0.0.1"))
    free, taken, udp = portward.check(free_port, held, f"{held}/udp").ports
    assert (free.available, taken.available, udp.available) == (True, False, True)
    assert [process.pid for row in taken.listeners for process in row.processes] == [os.getpid()]
    assert portward.check().ports == ()
    with pytest.raises(InvalidPort):
        portward.check(0)
    with pytest.raises(NoProject):
        portward.check(folder="/")


def test_a_lease_ends_with_its_block(store: str) -> None:
    """It is there inside, gone afterwards, also after an error, and next time it is the same port."""
    with portward.lease("api") as leased:
        (lease,) = open_store(store).leases()
        assert (lease.port, lease.kind, lease.holder.service) == (leased.port, LeaseKind.STICKY, "api")
        assert leased.is_recorded
        assert leased.ports == (leased.port,)
        assert str(leased.port) in repr(leased)
    assert open_store(store).leases() == ()
    with suppress(ZeroDivisionError), portward.lease("api") as again:
        assert again.port == leased.port
        _ = 1 / 0
    assert open_store(store).leases() == ()


def test_what_was_leased_before_stays(store: str) -> None:
    """A block inside another, or after the command line's lease, takes nothing away; `release` does."""
    kept = portward.lease("api")
    with portward.lease("api") as inner:
        assert inner.port == kept.port
    assert [lease.port for lease in open_store(store).leases()] == [kept.port]
    kept.release()
    kept.release()
    assert open_store(store).leases() == ()


def test_library_and_commands_agree(store: str) -> None:
    """One resolver: the port of a service is the same for `portward lease`, in a folder below, and for the library."""
    command = [sys.executable, "-m", "portward", "lease", "api"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    os.mkdir("below")
    with portward.lease("api", folder="below") as leased:
        assert f"{leased.port}\n" == done.stdout
    assert len(open_store(store).leases()) == 1


OWN = "import portward; leased = portward.lease('job', own=True); ready(port=leased.port)"


def test_an_own_lease_is_one_processs(store: str, spawn: Spawn) -> None:
    """Each process has another port, however alike they ask; `release` of the checkout leaves it, the process's end ends it."""
    children = [spawn(OWN) for _ in range(3)]
    with portward.lease("job", own=True) as mine, portward.lease("job") as shared:
        ports = {child.facts["port"] for child in children} | {mine.port, shared.port}
        assert len(ports) == 5
        portward.Portward.open(".").release()
        assert {lease.port for lease in open_store(store).leases()} == ports - {shared.port}
        assert portward.lease("job", own=True).port == mine.port
    for child in children:
        child.process.kill()
        child.process.wait()
    assert portward.Portward.open(".").leases().leases == ()
    whys = {gone.why for gone in open_store(store).reclaimed()}
    assert whys == {f"process {child.pid} has ended" for child in children}


def test_terms_of_a_lease(store: str, free_port: int, listen: Listen) -> None:
    """Several, neighbours, a range, a preference that falls back and says so, a time to live."""
    with portward.lease("a", count=3, contiguous=True) as three:
        assert three.ports == tuple(range(three.port, three.port + 3))
    with portward.lease("b", ports=f"{free_port}-{free_port}") as ranged:
        assert ranged.port == free_port
    with listen("127.0.0.1", free_port), portward.lease("c", preferred=free_port) as moved:
        assert free_port < moved.port <= free_port + 100
        assert moved.remarks[0].startswith(f"{free_port} is not free, held by ")
        assert f"pid {os.getpid()}" in moved.remarks[0]
        assert moved.remarks[0].endswith(f": c has {moved.port}")
    with portward.lease("d", ttl=60) as timed:
        (lease,) = timed.leases
        assert lease.expires == pytest.approx(lease.granted + 60)
    for senseless in ({"count": 0}, {"ttl": 0.0}, {"ttl": 5.0, "own": True}):
        with pytest.raises(UsageError):
            portward.lease("e", **senseless)


def test_a_lease_can_be_bound(store: str) -> None:
    """The socket is on the leased port, and the one that others cannot have."""
    with portward.lease("api") as leased, leased.bind("127.0.0.1") as server:
        assert server.getsockname() == ("127.0.0.1", leased.port)
        with socket.create_connection(server.getsockname(), timeout=30):
            pass
        with pytest.raises(BindRefused):
            leased.bind()
    with portward.lease("quiet") as leased, leased.bind(listening=False) as kept:
        assert kept.getsockname()[1] == leased.port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", leased.port), timeout=30)


def test_without_a_store_there_is_still_a_port(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """In a read-only home the answer says that it is no promise, and giving it back is no error."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PORTWARD_STORE", f"sqlite://{tmp_path}/file/leases.db")
    with portward.lease("api", preferred=free_port) as leased:
        assert leased.port == free_port
        assert not leased.is_recorded
        assert "not recorded" in leased.remarks[0]


FORKING = """
import portward
first = portward.lease("parent")
read, write = os.pipe()
for name in ("a", "b"):
    if not os.fork():
        with portward.lease(name) as leased:
            os.write(write, f"{leased.port} ".encode())
        os._exit(0)
    os.wait()
last = portward.lease("last")
ready(ports=[first.port, last.port, *map(int, os.read(read, 100).split())])
"""


def test_a_forked_child_may_lease_too(store: str, spawn: Spawn) -> None:
    """On both sides of a fork, with the store that was open before it."""
    ports = spawn(FORKING).facts["ports"]
    assert len(set(ports)) == 4
    assert {lease.port for lease in open_store(store).leases()} == set(ports[:2])
