"""Portward beside the tools that people use today: `python -m benchmarks.run`, as root.

Method
    What is timed is the installed command: a wheel of this checkout, in a virtual environment made for the run. Every
    figure is the CPU time, user and system, of a whole process with its children (wait4(2)), from its start to its end:
    the elapsed time would measure what else the machine does. The works and their peers take turns, round by round, on
    the same state (`benchmarks.states`), and a ratio is the median of the rounds' own ratios, so that a slow moment
    meets both. Before it is timed, each command must have shown what it is asked for.

    On the small state there is no goal: the start of Python is most of what any answer costs there.

    Nothing here fails for being slow: the table says whether a goal is met, and the reader decides. Timed tests do not
    belong into the suite, for they fail on a busy machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks import states

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

CHECKOUT = Path(__file__).resolve().parent.parent
GUIDE_PORTS = ("3000", "5000", "8080", "1234", "11434", "27017", "6379")
GUIDE_LOOP = f'for port in {" ".join(GUIDE_PORTS)}; do lsof -i :$port || echo "Port $port is available"; done'

SMALL = states.State(listeners=10, processes=20)
LARGE = states.State(listeners=100, processes=200)
BUSY = states.State(listeners=100, processes=200, connections=2_000)
CROWDED = states.State(listeners=1_000, processes=1_000)
PSUTIL = """
import psutil
facts = ["pid", "name", "cmdline", "username", "cwd", "create_time"]
processes = {}
for row in psutil.net_connections("inet"):
    if row.pid is not None and row.pid not in processes:
        processes[row.pid] = psutil.Process(row.pid).as_dict(facts)
    print(row.laddr, row.status, processes.get(row.pid))
"""
HELP = {
    "rounds": "how often each pair is measured (default: 21)",
    "quick": "5 rounds",
    "venv": "measure the portward of this venv",
}


@dataclass(frozen=True)
class Command:
    """What is run, and what it must print: a command that did not do its work is not measured."""

    words: Sequence[str]
    shows: Sequence[str] = ()


@dataclass(frozen=True)
class Work:
    """A command of ours and one of a peer that answer the same question, and the most that ours is to cost of it."""

    name: str
    ours: Command
    peer: Command
    goal: float | None


@dataclass(frozen=True)
class Result:
    """CPU seconds of a work's two commands, one pair for each round."""

    work: Work
    pairs: Sequence[tuple[float, float]]

    @property
    def ratio(self) -> float:
        return median(ours / peer for ours, peer in self.pairs)

    def row(self) -> list[str]:
        """The cells of the table."""
        ours, peer = (f"{median(column) * 1000:.1f}" for column in zip(*self.pairs, strict=True))
        goal = self.work.goal
        judged = ["-", "-"] if goal is None else [f"<= {_ratio(goal)}", "yes" if self.ratio <= goal else "NO"]
        return [self.work.name, ours, peer, _ratio(self.ratio), *judged]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, metavar="N", help=HELP["rounds"])
    parser.add_argument("--quick", action="store_const", dest="rounds", const=5, help=HELP["quick"])
    parser.add_argument("--venv", type=Path, metavar="DIR", help=HELP["venv"])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        measure(arguments.venv / "bin", max(1, arguments.rounds))
        return 0
    if sys.platform != "linux" or os.geteuid() or not shutil.which("unshare"):
        print("benchmarks: needs Linux, root and unshare(1): a state has namespaces of its own", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="portward-bench-") as folder:
        venv = arguments.venv.resolve() if arguments.venv else install(Path(folder, "venv"))
        again = [sys.executable, "-m", "benchmarks.run", "--inside", "--venv", str(venv)]
        command = states.isolated([*again, "--rounds", str(arguments.rounds)])
        return subprocess.run(command, cwd=CHECKOUT).returncode


def install(venv: Path) -> Path:
    """Installs this checkout, and psutil, as a user does: built, and compiled to bytecode by the newest pip.

    The launcher that an older one writes for a command imports `re`, for a tenth of the time of an answer.
    """
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "install", str(CHECKOUT), "psutil"], check=True)
    return venv


def measure(folder: Path, rounds: int) -> None:
    """Builds each state in turn, measures on it, and prints the table. To be run in namespaces of its own."""
    states.bring_loopback_up()
    with tempfile.TemporaryDirectory(prefix="portward-bench-home-") as home:
        os.environ.clear()  # PYTHON… variables, a project's folder and Docker's settings would change what is measured
        os.environ.update(PATH=os.defpath, HOME=home, LANG="C.UTF-8")
        os.chdir(home)
        print("\n".join(facts(folder / "python")), flush=True)
        print(f"CPU time of whole processes, medians of {rounds} rounds", flush=True)
        measures = (_on_small, _on_large, _on_busy, _on_crowded)
        results = [result for measure_on in measures for result in measure_on(folder, rounds)]
    head = ["work", "ours ms", "peer ms", "ratio", "goal", "met"]
    print("\n".join(table([head, *(result.row() for result in results)])))


def facts(python: Path) -> Iterable[str]:
    """What machine the figures are of."""
    version = subprocess.run([str(python), "-V"], capture_output=True, text=True, check=True).stdout.strip()
    yield f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores, {version}"
    if shutil.which("lsof"):
        told = subprocess.run(["lsof", "-v"], capture_output=True, text=True).stderr
        yield f"lsof {told.partition('revision: ')[2].split()[0]}"
    else:
        yield "lsof is not installed: its rows are left out"


def _on_small(folder: Path, rounds: int) -> list[Result]:
    with _state(SMALL):
        return compare([_check(folder, SMALL), _ls(folder, SMALL)], rounds)


def _on_large(folder: Path, rounds: int) -> list[Result]:
    with _state(LARGE):
        results = compare([_check(folder, LARGE), _ls(folder, LARGE), _start(folder), _lease(folder)], rounds)
        for taken in (GUIDE_PORTS[:3], GUIDE_PORTS):
            with states.listening([int(port) for port in taken]):
                results += compare([_check(folder, LARGE, taken)], rounds)
        return results


def _on_busy(folder: Path, rounds: int) -> list[Result]:
    with _state(BUSY):
        return compare([_ls(folder, BUSY)], rounds)


def _on_crowded(folder: Path, rounds: int) -> list[Result]:
    with _state(CROWDED):
        return compare([*_everything(folder, CROWDED), *_one(folder, CROWDED)], rounds)


@contextmanager
def _state(state: states.State) -> Iterator[None]:
    with states.running(state):
        print(f"{state}, {states.open_files():,} open files", flush=True)
        yield


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
    ports = [str(port) for port in state.tcp_ports]
    connections = f", {state.connections:,} connections" if state.connections else ""
    return Work(
        f"ls ({state.processes} processes{connections}) : lsof -i -P -n",
        Command([str(folder / "portward"), "ls"], ports),
        Command(["lsof", "-i", "-P", "-n"], ports),
        goal=1 / 2 if state.processes > SMALL.processes else None,
    )


def _everything(folder: Path, state: states.State) -> list[Work]:
    """Everything that listens on TCP, or on UDP too, with its owners and what they are."""
    ports = [str(port) for port in state.tcp_ports]
    name = f"({state.processes:,} processes, {state.listeners:,} listeners)"
    ls = Command([str(folder / "portward"), "ls"], ports)
    psutil = Command([str(folder / "python"), "-c", PSUTIL], ports)
    return [
        Work(
            f"ls --udp {name} : ss -ltnup",
            Command([*ls.words, "--udp"], ports),
            Command(["ss", "-ltnup"], ports),
            goal=1 / 6,
        ),
        Work(f"ls {name} : lsof -i -P -n", ls, Command(["lsof", "-i", "-P", "-n"], ports), goal=1 / 12),
        Work(f"ls {name} : psutil", ls, psutil, goal=1 / 10),
    ]


def _one(folder: Path, state: states.State) -> list[Work]:
    """All owners of one port."""
    port = str(state.tcp_ports[-1])
    who = Command([str(folder / "portward"), "who", port], [port])
    return [
        Work(
            f"who PORT ({state.processes:,} processes) : ss -ltnp sport = :PORT",
            who,
            Command(["ss", "-ltnp", f"sport = :{port}"], [port]),
            goal=1 / 10,
        ),
        Work(
            f"who PORT ({state.processes:,} processes) : lsof -i :PORT",
            who,
            Command(["lsof", "-i", f":{port}"], ["(LISTEN)"]),
            goal=1 / 20,
        ),
    ]


def _start(folder: Path) -> Work:
    """A question about one free port: hardly more than the start of Python, which is the peer here."""
    return Work(
        "check PORT : python -I -c pass",
        Command([str(folder / "portward"), "check", "8080"], ["8080/tcp is available"]),
        Command([str(folder / "python"), "-I", "-c", "pass"]),
        goal=3,
    )


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


def compare(works: Sequence[Work], rounds: int) -> list[Result]:
    """Measures works and peers in turn. A work whose peer is missing is left out."""
    works = [work for work in works if _is_there(work.peer)]
    for work in works:
        _prove(work.ours)
        _prove(work.peer)
    pairs: list[list[tuple[float, float]]] = [[] for _work in works]
    for _round in range(rounds):
        for work, found in zip(works, pairs, strict=True):
            found.append((cpu_seconds(work.ours.words), cpu_seconds(work.peer.words)))
    return [Result(work, found) for work, found in zip(works, pairs, strict=True)]


def _is_there(peer: Command) -> bool:
    """Whether the peer is installed: a program of this system, or psutil in the venv that is measured."""
    if PSUTIL in peer.words:
        return not subprocess.run([peer.words[0], "-c", "import psutil"], stderr=subprocess.DEVNULL).returncode
    return all(shutil.which(tool) for tool in ("lsof", "ss") if tool in " ".join(peer.words).split())


def _prove(command: Command) -> None:
    output = subprocess.run(command.words, capture_output=True, text=True).stdout
    missing = [text for text in command.shows if text not in output]
    if missing:
        raise RuntimeError(f"{' '.join(command.words)} does not show {', '.join(missing)}:\n{output}")


def cpu_seconds(command: Sequence[str]) -> float:
    """The user and system time of a command and of the children that it waited for."""
    null = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
    pid = os.posix_spawnp(command[0], list(command), os.environ, file_actions=null)
    _pid, _status, usage = os.wait4(pid, 0)
    return usage.ru_utime + usage.ru_stime


def table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Aligned columns; all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        yield "  ".join(
            [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        )


def _ratio(value: float) -> str:
    """At most one as a fraction: 1/12.3."""
    return f"{value:.2f}" if value > 1 else f"1/{1 / value:.1f}".removesuffix(".0")


if __name__ == "__main__":
    sys.exit(main())
