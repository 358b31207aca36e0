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
from pathlib import Path

from benchmarks import growth, states
from benchmarks.measuring import table
from benchmarks.works import CHECKOUT, STATES, all_works

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HELP = {
    "rounds": "how often each pair is measured (default: 21)",
    "quick": "5 rounds",
    "venv": "measure the portward of this venv",
    "only": f"only this state, may be repeated: {', '.join(STATES)}",
    "plots": "instead, draw how the cost grows, as SVG files in this folder",
}
PEERS = ("psutil", "kport", "portsight")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21, metavar="N", help=HELP["rounds"])
    parser.add_argument("--quick", action="store_const", dest="rounds", const=5, help=HELP["quick"])
    parser.add_argument("--venv", type=Path, metavar="DIR", help=HELP["venv"])
    parser.add_argument("--only", action="append", default=[], choices=list(STATES), help=HELP["only"])
    parser.add_argument("--plots", type=Path, metavar="DIR", help=HELP["plots"])
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        measure(arguments)
        return 0
    if sys.platform != "linux" or os.geteuid() or not shutil.which("unshare"):
        print("benchmarks: needs Linux, root and unshare(1): a state has namespaces of its own", file=sys.stderr)
        return 3
    with tempfile.TemporaryDirectory(prefix="portward-bench-") as folder:
        venv = arguments.venv.resolve() if arguments.venv else install(Path(folder, "venv"))
        again = [sys.executable, "-m", "benchmarks.run", "--inside", "--venv", str(venv)]
        again += ["--rounds", str(arguments.rounds), *(f"--only={name}" for name in arguments.only)]
        again += ["--plots", str(arguments.plots.resolve())] if arguments.plots else []
        return subprocess.run(states.isolated(again), cwd=CHECKOUT).returncode


def install(venv: Path) -> Path:
    """Installs this checkout, and peers, as a user does: built, and compiled to bytecode by the newest pip.

    The launcher that an older one writes for a command imports `re`, for a tenth of the time of an answer. A peer that cannot be
    installed is left out.
    """
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    pip = [str(venv / "bin/python"), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "install", str(CHECKOUT)], check=True)
    for peer in PEERS:
        subprocess.run([*pip, "install", peer])
    if shutil.which("npm"):
        subprocess.run(["npm", "install", "--silent", "--prefix", str(venv / "npm"), "fkill-cli"])
    return venv


def measure(arguments: argparse.Namespace) -> None:
    """Builds each state in turn, measures on it, and prints the table. To be run in namespaces of its own."""
    states.bring_loopback_up()
    folder, rounds = arguments.venv / "bin", max(1, arguments.rounds)
    with tempfile.TemporaryDirectory(prefix="portward-bench-home-") as home:
        modules = arguments.venv / "npm/node_modules"
        if modules.exists():
            os.symlink(modules, f"{home}/node_modules")
        os.environ.clear()  # PYTHON… variables, a project's folder and Docker's settings would change what is measured
        os.environ.update(PATH=os.defpath, HOME=home, LANG="C.UTF-8", NO_COLOR="1", COLUMNS="200")
        os.chdir(home)
        print("\n".join(facts(folder / "python")), flush=True)
        if arguments.plots:
            growth.draw(folder, arguments.plots, min(rounds, growth.ROUNDS))
            return
        print(f"CPU time of whole processes, medians of {rounds} rounds", flush=True)
        results = list(all_works(folder, rounds, arguments.only))
    head = ["work", "ours ms", "peer ms", "ratio", "goal", "met"]
    print("\n".join(table([head, *(result.row() for result in results)])))


def facts(python: Path) -> Iterable[str]:
    """What machine the figures are of."""
    version = subprocess.run([str(python), "-V"], capture_output=True, text=True, check=True).stdout.strip()
    yield f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} cores, {version}"
    if shutil.which("lsof"):
        told = subprocess.run(["lsof", "-v"], capture_output=True, text=True).stderr
        yield f"lsof {told.partition('revision: ')[2].split()[0]}"


if __name__ == "__main__":
    sys.exit(main())
