"""The works that are compared, by the state of the machine that they are done on: what is typed, what it must show, and the goal."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path

from benchmarks import states
from benchmarks.measuring import Command, Result, Work, compare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

CHECKOUT = Path(__file__).resolve().parent.parent
GUIDE_PORTS = ("3000", "5000", "8080", "1234", "11434", "27017", "6379")
GUIDE_LOOP = f'for port in {" ".join(GUIDE_PORTS)}; do lsof -i :$port || echo "Port $port is available"; done'
FEW_ROUNDS = 7  # where each takes seconds

SMALL = states.State(listeners=10, processes=20)
LARGE = states.State(listeners=100, processes=200)
BUSY = states.State(listeners=100, processes=200, connections=2_000)
CROWDED = states.State(listeners=1_000, processes=1_000)
TALKING = states.State(listeners=1_000, processes=1_000, connections=10_000)
HUGE = states.State(listeners=5_000, processes=3_000)
NAMESPACES, LISTENERS_EACH = 100, 5

PSUTIL = """
import psutil
facts = ["pid", "name", "cmdline", "username", "cwd", "create_time"]
processes = {}
for row in psutil.net_connections("inet"):
    if row.pid is not None and row.pid not in processes:
        processes[row.pid] = psutil.Process(row.pid).as_dict(facts)
    print(row.laddr, row.status, processes.get(row.pid))
"""
FKILL = """
import {allPortsWithPid} from "pid-port";
console.log((await allPortsWithPid()).get(PORT));
"""
# what follows is done in a process that lives on; the last line is the CPU time of it
TIMED = """
import os, resource, socket, sys, time
from portward.sockets import open_reader
def spent(act):
    start = time.process_time()
    found = act()
    return found, time.process_time() - start
"""
WARM = f"""{TIMED}
reader = open_reader("linux")
reader.remember(60)
reader.read(udp=True)
reading, seconds = spent(lambda: reader.read(udp=True))
assert all(row.processes for row in reading.listeners)
print(*(row.port for row in reading.listeners), seconds)
"""
SCAN = f"""{TIMED}
reader = open_reader("linux")
def free():
    taken = {{row.port for row in reader.read(owners=False, ports=range(30000, 58000)).listeners}}
    return [port for port in range(30000, 58000) if port not in taken]
found, seconds = spent(free)
print(len(found), seconds)
"""
BINDS = f"""{TIMED}
def free():
    found = []
    for port in range(30000, 58000):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        found.append(port)
    return found
found, seconds = spent(free)
print(len(found), seconds)
"""
NETNS = f"""{TIMED}
reader = open_reader("linux")
reading, seconds = spent(lambda: reader.read(udp=True, all_netns=True, owners=False))
print(sum(row.netns is not None for row in reading.listeners), "rows", seconds)
"""
NETNS_PROC = f"""{TIMED}
def listeners():
    spaces = {{}}
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        spaces.setdefault(os.readlink(f"/proc/{{pid}}/ns/net"), pid)
    del spaces[os.readlink("/proc/self/ns/net")]
    lines = []
    for pid in spaces.values():
        for name in ("tcp", "tcp6", "udp", "udp6"):
            with open(f"/proc/{{pid}}/net/{{name}}") as file:
                lines += file.read().splitlines()[1:]
    return lines
lines, seconds = spent(listeners)
print(len(lines), "rows", seconds)
"""


def all_works(folder: Path, rounds: int, wanted: Collection[str] = ()) -> Iterator[Result]:
    """Builds each state in turn and measures on it. `folder` has the commands; `wanted` names states, all if it is empty."""
    for name, measure in STATES.items():
        if not wanted or name in wanted:
            yield from measure(folder, rounds)


def _on_small(folder: Path, rounds: int) -> list[Result]:
    with _state(SMALL):
        ports = _ports(SMALL)
        works = [
            _check(folder, SMALL),
            _ls(folder, SMALL),
            Work("ls --udp (20 processes) : ss -ltnup", _udp(folder, ports), Command(["ss", "-ltnup"], ports), goal=2),
        ]
        return compare(works, rounds)


def _on_large(folder: Path, rounds: int) -> list[Result]:
    with _state(LARGE):
        results = compare([_check(folder, LARGE), _ls(folder, LARGE), *_start(folder), _lease(folder)], rounds)
        for taken in (GUIDE_PORTS[:3], GUIDE_PORTS):
            with states.listening([int(port) for port in taken]):
                results += compare([_check(folder, LARGE, taken)], rounds)
        python = str(folder / "python")
        scan = Command([python, "-c", SCAN], inner=True)
        binds = Command([python, "-c", BINDS], inner=True)
        return results + compare([Work("which of 28,000 ports are free : bind of each", scan, binds, 1 / 30)], rounds)


def _on_busy(folder: Path, rounds: int) -> list[Result]:
    with _state(BUSY):
        return compare([_ls(folder, BUSY)], rounds)


def _on_crowded(folder: Path, rounds: int) -> list[Result]:
    with _state(CROWDED):
        works = [*_everything(folder, CROWDED, (1 / 6, 1 / 12, 1 / 10)), *_others(folder, CROWDED)]
        works += [*_one(folder, CROWDED), *_unaided(folder, CROWDED)]
        return compare(works, rounds)


def _on_talking(folder: Path, rounds: int) -> list[Result]:
    with _state(TALKING):
        return compare(_everything(folder, TALKING, (1 / 7, 1 / 15, 1 / 12)), min(rounds, FEW_ROUNDS))


def _on_huge(folder: Path, rounds: int) -> list[Result]:
    with _state(HUGE):
        return compare(_everything(folder, HUGE, (1 / 6, 1 / 14, None)), min(rounds, FEW_ROUNDS))


def _on_namespaces(folder: Path, rounds: int) -> list[Result]:
    with states.namespaces(NAMESPACES, LISTENERS_EACH):
        python = str(folder / "python")
        rows = f"{NAMESPACES * LISTENERS_EACH} rows"
        ours = Command([python, "-c", NETNS], [rows], inner=True)
        peer = Command([python, "-c", NETNS_PROC], [rows], inner=True)
        name = f"{NAMESPACES} namespaces, {LISTENERS_EACH} listeners each, in process : /proc/PID/net"
        return compare([Work(name, ours, peer, 1 / 40, most=0.020)], min(rounds, FEW_ROUNDS))


STATES = {
    "small": _on_small,
    "large": _on_large,
    "busy": _on_busy,
    "crowded": _on_crowded,
    "talking": _on_talking,
    "huge": _on_huge,
    "namespaces": _on_namespaces,
}


@contextmanager
def _state(state: states.State) -> Iterator[None]:
    with states.running(state):
        print(f"{state}, {states.open_files():,} open files", flush=True)
        yield


def _ports(state: states.State) -> list[str]:
    return [str(port) for port in state.tcp_ports]


def _udp(folder: Path, ports: list[str], **environment: str) -> Command:
    return Command([str(folder / "portward"), "ls", "--udp"], ports, environment=tuple(environment.items()))


def _check(folder: Path, state: states.State, taken: Collection[str] = ()) -> Work:
    """The guide's check of the ports that its services need, against its own loop over lsof."""
    free = [port for port in GUIDE_PORTS if port not in taken]
    ours = [f"{port}/tcp is {'not ' * (port in taken)}available" for port in GUIDE_PORTS]
    peer = [f"Port {port} is available" for port in free] + ["(LISTEN)"] * bool(taken)
    return Work(
        f"check 7 ports, {len(taken) or 'none'} taken ({state.processes} processes) : lsof loop of the guide",
        Command([str(folder / "portward"), "check", *GUIDE_PORTS], ours),
        Command(["/bin/bash", "-c", GUIDE_LOOP], peer),
        goal=1 / 5 if state.processes > SMALL.processes else None,
    )


def _ls(folder: Path, state: states.State) -> Work:
    """Everything that listens, with its owners."""
    ports = _ports(state)
    connections = f", {state.connections:,} connections" if state.connections else ""
    return Work(
        f"ls ({state.processes} processes{connections}) : lsof -i -P -n",
        Command([str(folder / "portward"), "ls"], ports),
        Command(["lsof", "-i", "-P", "-n"], ports),
        goal=1 / 2 if state.processes > SMALL.processes else None,
    )


def _named(state: states.State) -> str:
    connections = f", {state.connections:,} connections" if state.connections else ""
    return f"({state.processes:,} processes, {state.listeners:,} listeners{connections})"


def _everything(folder: Path, state: states.State, goals: tuple[float | None, ...]) -> list[Work]:
    """Everything that listens on TCP, or on UDP too, with its owners and what they are; `goals` against ss, lsof and psutil."""
    ports, name = _ports(state), _named(state)
    ls = Command([str(folder / "portward"), "ls"], ports)
    psutil = Command([str(folder / "python"), "-c", PSUTIL], ports)
    return [
        Work(f"ls --udp {name} : ss -ltnup", _udp(folder, ports), Command(["ss", "-ltnup"], ports), goals[0]),
        Work(f"ls {name} : lsof -i -P -n", ls, Command(["lsof", "-i", "-P", "-n"], ports), goals[1]),
        Work(f"ls {name} : psutil", ls, psutil, goals[2]),
    ]


def _others(folder: Path, state: states.State) -> list[Work]:
    """The same by what else people use; and a second look of a program that goes on looking."""
    ports, name = _ports(state), _named(state)
    ls = Command([str(folder / "portward"), "ls"], ports)
    warm = Command([str(folder / "python"), "-c", WARM], ports, inner=True)
    return [
        Work(f"ls --udp {name} : netstat -tulnp", _udp(folder, ports), Command(["netstat", "-tulnp"], ports), None),
        Work(f"ls {name} : kport -l", ls, Command([str(folder / "kport"), "-l"], ports), None),
        Work(
            f"ls {name} : portsight --all --no-docker",
            ls,
            Command([str(folder / "portsight"), "--all", "--no-docker"], ports),
            None,
        ),
        Work(f"a second look {name} : ss -ltnup", warm, Command(["ss", "-ltnup"], ports), 1 / 15),
    ]


def _one(folder: Path, state: states.State) -> list[Work]:
    """All owners of one port."""
    port = str(state.tcp_ports[-1])
    who = Command([str(folder / "portward"), "who", port], [port])
    peers = {
        f"ss -ltnp sport = :{port}": (Command(["ss", "-ltnp", f"sport = :{port}"], [port]), 1 / 10),
        f"lsof -i :{port}": (Command(["lsof", "-i", f":{port}"], ["(LISTEN)"]), 1 / 20),
        f"fuser {port}/tcp": (Command(["fuser", f"{port}/tcp"]), None),
        f"kport -i {port}": (Command([str(folder / "kport"), "-i", port], [port]), None),
        f"portsight --port {port}": (Command([str(folder / "portsight"), "--port", port, "--no-docker"], [port]), None),
        "fkill's look": (Command(["node", "--input-type=module", "-e", FKILL.replace("PORT", port)]), None),
    }
    return [
        Work(f"who PORT ({state.processes:,} processes) : {name}", who, peer, goal)
        for name, (peer, goal) in peers.items()
    ]


def _unaided(folder: Path, state: states.State) -> list[Work]:
    """Without BPF: by walks over /proc."""
    ports = _ports(state)
    ours, ss = _udp(folder, ports, PORTWARD_OWNERS="split"), Command(["ss", "-ltnup"], ports)
    return [
        Work(f"ls --udp without BPF {_named(state)} : ss -ltnup", ours, ss, 1.0),
        Work("the same, time that passes", ours, ss, 0.7, wall=True),
    ]


def _start(folder: Path) -> list[Work]:
    """A question about one free port: hardly more than the start of Python, which is the peer here."""
    ours = Command([str(folder / "portward"), "check", "8080"], ["8080/tcp is available"])
    return [
        Work("check PORT : python -I -c pass", ours, Command([str(folder / "python"), "-I", "-c", "pass"]), goal=2.7),
        Work("check PORT : node -e 0", ours, Command(["node", "-e", "0"]), goal=0.5),
    ]


def _lease(folder: Path) -> Work:
    """A port that is leased already, in a project with a Compose file and settings: told from the store alone."""
    project = Path("nexus").resolve()
    if not project.exists():
        shutil.copytree(CHECKOUT / "examples/nexus", project)
        (project / "portward.toml").write_text('[kinds]\nbackend = "api"\n\n[severity]\ncustomary-port = "off"\n')
    return Work(
        "lease SERVICE, known : python -I -c pass",
        Command([str(folder / "portward"), "-C", str(project), "lease", "backend"], ["5000"]),
        Command([str(folder / "python"), "-I", "-c", "pass"]),
        goal=4,
    )
