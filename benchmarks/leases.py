"""Who hands out a port twice: Portward's leases beside its peers, many processes at once: `python -m benchmarks.leases`.

Method
    Each contender is asked by as many processes at the same time for as many ports each, through its own library, as its
    documentation shows. Nobody gives a port back, and every process lives to the end, so that every port is somebody's:
    one that was handed out twice is a duplicate. All are installed into a virtual environment made for the run. Portward
    binds every candidate, and each of its grants is on the disk when it returns.

    What a figure means differs by what is promised: only Portward's leases and port-for's store outlive the process, a port
    of `bind(0)` is promised to nobody, and ephemeral-port-reserve's lasts for a minute. The rates depend on the machine and
    its disk; duplicates depend on chance where nothing is recorded.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
PEERS = ("portpicker", "port-for", "ephemeral-port-reserve", "portsight")
LOW, HIGH = 20000, 29999
FEW = 2  # of a contender that takes a second for each


@dataclass(frozen=True)
class Contender:
    """One way of getting a port. `picker(folder)` gives a function that gets one for a name that nobody else uses."""

    name: str
    keeps: str
    picker: Callable[[str], Callable[[str], int]]
    slow: bool = False


def portward(folder: str) -> Callable[[str], int]:
    """A lease from the store, with the candidates that the verbs offer."""
    from portward import allocate
    from portward.leases import LeaseRequest, here, open_store
    from portward.model import ANY, Endpoint, Holder, PortRange, PortRequest, Reading, Snapshot, Transport
    from portward.sockets.bind import refusal

    store, site, nothing = open_store(f"sqlite://{folder}/leases.db"), here.site(), Snapshot(Reading(()), 0.0)

    def is_free(port: int, transport: Transport) -> bool:
        return refusal(Endpoint(ANY, port, transport)) is None

    def pick(name: str) -> int:
        offers = allocate.candidates(PortRequest(name, PortRange(LOW, HIGH)), nothing)
        request = LeaseRequest(site, Holder("/project", "/project", name), offers)
        (lease,) = store.acquire([request], is_free, time.time())
        return lease.port

    return pick


def portpicker(folder: str) -> Callable[[str], int]:
    """With the server where there is one."""
    picker = import_module("portpicker")
    address = f"{folder}/portserver"
    server = address if os.path.exists(address) else None
    return lambda _name: int(picker.pick_unused_port(os.getpid(), server))


def port_for(_folder: str) -> Callable[[str], int]:
    """A random port that nobody has just now."""
    select_random = import_module("port_for").select_random
    return lambda _name: int(select_random())


def port_for_store(folder: str) -> Callable[[str], int]:
    """A port that is written to its file."""
    store = import_module("port_for").PortStore(f"{folder}/port-for.conf")
    return lambda name: int(store.bind_port(name))


def ephemeral_port_reserve(_folder: str) -> Callable[[str], int]:
    """A port that an ended connection keeps."""
    reserve = import_module("ephemeral_port_reserve").reserve
    return lambda _name: int(reserve())


def portsight(_folder: str) -> Callable[[str], int]:
    """A random port out of those that its scan finds free."""
    run = import_module("portsight.cli").main

    def pick(_name: str) -> int:
        with redirect_stdout(io.StringIO()) as shown:
            run(["--random", "--no-docker", "--from", str(LOW), "--to", str(HIGH)])
        return int(shown.getvalue())

    return pick


def bind_0(_folder: str) -> Callable[[str], int]:
    """The port that the kernel gives to a socket, which is closed again."""

    def pick(_name: str) -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return pick


CONTENDERS = {
    "portward": Contender("Portward lease", "until it is released", portward),
    "portserver": Contender("portpicker, with its server", "while the process lives", portpicker),
    "portpicker": Contender("portpicker, without", "nothing", portpicker),
    "port-for": Contender("port-for select_random", "nothing", port_for),
    "port-for-store": Contender("port-for PortStore", "in a file", port_for_store),
    "reserve": Contender("ephemeral-port-reserve", "for a minute", ephemeral_port_reserve),
    "portsight": Contender("portsight --random", "nothing", portsight, slow=True),
    "bind": Contender("bind(0)", "nothing", bind_0),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leases", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, default=32, metavar="N", help="how many ask at once (default: 32)")
    parser.add_argument("--each", type=int, default=100, metavar="N", help="ports for each of them (default: 100)")
    parser.add_argument("--venv", type=Path, metavar="DIR", help="an environment with Portward and its peers")
    parser.add_argument("--work", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        key, folder, number = arguments.work
        work(key, folder, number, arguments.each)
        return 0
    with tempfile.TemporaryDirectory(prefix="portward-bench-") as folder:
        venv = arguments.venv.resolve() if arguments.venv else install(Path(folder, "venv"))
        print(
            f"{arguments.processes} processes at once, {arguments.each} ports each ({FEW} where a port takes a second)\n"
        )
        print(f"{'':28}{'kept':>24}{'ports':>8}{'twice':>7}{'errors':>8}{'per s':>8}{'slowest':>10}")
        for key, contender in CONTENDERS.items():
            with tempfile.TemporaryDirectory(dir=folder) as own, serving(key, venv, own):
                each = min(FEW, arguments.each) if contender.slow else arguments.each
                print(row(contender, *contest(key, venv, own, arguments.processes, each)), flush=True)
    return 0


def install(venv: Path) -> Path:
    """This checkout and its peers, in an environment of their own."""
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", str(CHECKOUT), *PEERS], check=True)
    return venv


@contextmanager
def serving(key: str, venv: Path, folder: str) -> Iterator[None]:
    """portpicker's server, for the contender that asks one."""
    if key != "portserver":
        yield
        return
    address = f"{folder}/portserver"
    command = [str(venv / "bin/python"), str(venv / "bin/portserver.py"), "--portserver_static_pool", f"{LOW}-{HIGH}"]
    with subprocess.Popen([*command, "--portserver_address", address], stderr=subprocess.DEVNULL) as server:
        try:
            while not os.path.exists(address):
                if server.poll() is not None:
                    raise SystemExit("benchmarks: portpicker's server does not start")
                time.sleep(0.05)
            yield
        finally:
            server.terminate()


def contest(
    key: str, venv: Path, folder: str, processes: int, each: int
) -> tuple[list[list[tuple[int, float]]], float]:
    """What every process got, as (port, seconds), 0 for an error; and the seconds from the start to the end of all."""
    command = [str(venv / "bin/python"), "-m", "benchmarks.leases", "--each", str(each), "--work", key, folder]
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen([*command, str(number)], cwd=CHECKOUT, stdin=pipe, stdout=pipe, text=True)
        for number in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    start = time.monotonic()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    answers = []
    for worker in workers:
        assert worker.stdout is not None
        answers.append(json.loads(worker.stdout.readline()))
    elapsed = time.monotonic() - start
    for worker in workers:
        worker.communicate()
    return answers, elapsed


def work(key: str, folder: str, number: str, each: int) -> None:
    """One process of a contest: gets ready, waits for the start, and lives until its stdin ends."""
    pick = CONTENDERS[key].picker(folder)
    print("ready", flush=True)
    sys.stdin.readline()
    got = []
    for turn in range(each):
        start = time.monotonic()
        try:
            port = pick(f"app-{number}-{turn}")
        except Exception:  # noqa: BLE001 - whatever a peer raises is an error of its own
            port = 0
        got.append((port, time.monotonic() - start))
    print(json.dumps(got), flush=True)
    sys.stdin.read()


def row(contender: Contender, answers: list[list[tuple[int, float]]], elapsed: float) -> str:
    """A line of the table."""
    ports = [port for each in answers for port, _ in each if port]
    asked = sum(map(len, answers))
    twice = len(ports) - len(set(ports))
    slowest = max(seconds for each in answers for _, seconds in each)
    figures = f"{len(ports):8}{twice:7}{asked - len(ports):8}{len(ports) / elapsed:8.0f}{slowest * 1000:7.0f} ms"
    return f"{contender.name:28}{contender.keeps:>24}{figures}"


if __name__ == "__main__":
    sys.exit(main())
