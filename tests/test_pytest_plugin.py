"""The pytest plugin, in runs of pytest of their own: as it is installed, with workers, and where nobody uses it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from portward.leases import open_store
from tests.installation import ROOT, install

if TYPE_CHECKING:
    from collections.abc import Sequence

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.timeout(900)
LONG = 800  # seconds, for a busy machine

SOURCE = ROOT / "src"


@pytest.fixture
def store(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the lease store of a run in which the plugin is installed."""
    return install(pytester, monkeypatch)


def run(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    return pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, timeout=LONG)


USING = """
import socket, threading, pytest
from pathlib import Path

def note(ports):
    with open(Path(__file__).parent / "taken", "a") as file:
        file.write("".join(f"{port}\\n" for port in ports))

@pytest.mark.parametrize("turn", range(10))
def test_one(free_port, turn):
    with socket.create_server(("", free_port)), socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("", free_port))
        note([free_port])

@pytest.mark.parametrize("turn", range(5))
def test_several(free_ports, free_port, turn):
    ports = [*free_ports(3), *free_ports(2, contiguous=True), *free_ports(), free_port]
    assert len(set(ports)) == 7
    assert ports[4] == ports[3] + 1
    note(ports)

@pytest.mark.parametrize("turn", range(5))
def test_a_socket(leased_socket, turn):
    address, port = leased_socket.getsockname()
    assert address == "127.0.0.1"
    with socket.create_connection((address, port), timeout=30):
        leased_socket.accept()[0].close()
    note([port])
"""


@pytest.mark.parametrize("workers", [(), ("-n", "4")], ids=["alone", "four workers"])
def test_the_fixtures_give_ports(pytester: pytest.Pytester, store: str, workers: Sequence[str]) -> None:
    """Each of a kind: they can be bound on TCP and UDP, a server answers, and at the end nothing is leased any more."""
    pytester.makepyfile(USING)
    run(pytester, *workers).assert_outcomes(passed=20)
    assert len((pytester.path / "taken").read_text().split()) == 50
    assert open_store(store).leases() == ()


HOARDING = """
import os, time, pytest
from pathlib import Path

HERE = Path(__file__).parent

WORKERS = int(os.environ["PYTEST_XDIST_WORKER_COUNT"])

@pytest.mark.parametrize("worker", range(WORKERS))
def test_all_at_once(free_ports, worker):
    ports = [port for turn in range(50) for port in free_ports(2)]
    (HERE / f"ports-{os.getpid()}").write_text("\\n".join(map(str, ports)))
    while len(list(HERE.glob("ports-*"))) < WORKERS:
        time.sleep(0.01)
"""


@pytest.mark.parametrize(("home", "workers"), [("of the user", 4), ("that is read only", 2)])
def test_workers_never_share_a_port(
    pytester: pytest.Pytester, store: str, home: str, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred ports for each worker at one time are as many different ones, also where the user's store cannot be written."""
    if home == "that is read only":
        (pytester.path / "file").touch()
        monkeypatch.setenv("PORTWARD_STORE", f"sqlite://{pytester.path}/file/leases.db")
        monkeypatch.setenv("TMPDIR", str(pytester.mkdir("temporary")))
    pytester.makepyfile(HOARDING)
    run(pytester, "-n", str(workers)).assert_outcomes(passed=workers)
    ports = [port for path in pytester.path.glob("ports-*") for port in path.read_text().split()]
    assert len(ports) == len(set(ports)) == 100 * workers


KILLED = """
import os, signal
def test_killed(free_ports):
    free_ports(3)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_run_leaves_nothing(pytester: pytest.Pytester, store: str) -> None:
    """What it had is taken back by the next run, which says of whom in the store's log."""
    pytester.makepyfile(test_killed=KILLED)
    run(pytester)
    assert len(open_store(store).leases()) == 3
    (pytester.path / "test_killed.py").unlink()
    pytester.makepyfile("def test_next(free_port): pass")
    run(pytester).assert_outcomes(passed=1)
    assert open_store(store).leases() == ()
    reasons = {gone.lease.reason for gone in open_store(store).reclaimed()}
    assert reasons == {"test_killed.py::test_killed"}


def test_who_uses_nothing_pays_nothing(pytester: pytest.Pytester, store: str) -> None:
    """The plugin's own module is all that is loaded, from a source of at most 50 lines, and nothing is written."""
    pytester.makepyfile(
        """
        import sys
        def test_nothing():
            assert {name for name in sys.modules if name.startswith("portward")} == {"portward", "portward.pytest_plugin"}
        """
    )
    result = run(pytester, "-W", "error")
    result.assert_outcomes(passed=1)
    assert re.search(r"plugins: .*portward-0", result.stdout.str())
    assert not (pytester.path / "state").exists()
    assert len((SOURCE / "portward/pytest_plugin.py").read_text("utf-8").splitlines()) <= 50


def test_the_fixtures_are_listed(pytester: pytest.Pytester, store: str) -> None:
    """`pytest --fixtures` tells what each is for."""
    result = run(pytester, "--fixtures")
    result.stdout.fnmatch_lines(["free_ports*", "*no other test, worker or run has*", "leased_socket*"])


def test_a_users_own_fixture_comes_first(pytester: pytest.Pytester, store: str) -> None:
    """A conftest that has a `free_port` already keeps it, and the others work beside it."""
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef free_port(): return 1")
    pytester.makepyfile("def test_own(free_port, leased_socket): assert free_port == 1")
    run(pytester).assert_outcomes(passed=1)


def test_ports_of_the_project_are_left_to_it(pytester: pytest.Pytester, store: str) -> None:
    """What the project pins or publishes is given to no test: where the range has nothing else, there is none."""
    pytester.path.joinpath("portward.toml").write_text(
        '[ranges]\nother = "21000-21001"\n\n[[pin]]\nservice = "web"\nport = 21000\nreason = "x"\n'
    )
    pytester.path.joinpath("compose.yaml").write_text("services:\n  api:\n    image: x\n    ports: ['21001:80']\n")
    pytester.makepyfile("def test_range(free_port): pass")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*NoFreePort: No available ports found*"])
