"""How the cost of an answer grows with the machine, ours and the peers', as plots in SVG: `python -m benchmarks.run --plots docs`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from statistics import median

from benchmarks import states
from benchmarks.measuring import Command, is_there, seconds
from benchmarks.works import PSUTIL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

ROUNDS = 3
NETNS_LOOP = "for p in $(lsns -t net -n -o PID); do nsenter -t $p -n ss -ltnup; done"


@dataclass(frozen=True)
class Axis:
    """What grows, through which values, on what machine."""

    name: str
    values: Sequence[int]
    state: Callable[[int], AbstractContextManager[None]]


@contextmanager
def _spaces(count: int) -> Iterator[None]:
    with states.namespaces(count, 5):
        yield


AXES = {
    "listeners": Axis(
        "listeners (200 processes)",
        (10, 100, 500, 1000, 2500, 5000),
        lambda count: states.running(states.State(count, 200)),
    ),
    "processes": Axis(
        "processes (100 listeners)",
        (20, 100, 250, 500, 1000, 2000),
        lambda count: states.running(states.State(100, count)),
    ),
    "files": Axis(
        "open files in each of 200 processes",
        (5, 50, 100, 250, 500),
        lambda count: states.running(states.State(100, 200, files=count)),
    ),
    "connections": Axis(
        "connections (100 listeners, 200 processes)",
        (0, 1000, 2500, 5000, 10000),
        lambda count: states.running(states.State(100, 200, connections=count)),
    ),
    "namespaces": Axis("network namespaces with 5 listeners each", (1, 10, 25, 50, 100), _spaces),
}


def draw(folder: Path, into: Path, rounds: int) -> None:
    """Measures along each axis, prints the figures, and writes `growth-AXIS.svg` into a folder."""
    for name, axis in AXES.items():
        commands = _commands(folder, name)
        lines: dict[str, list[float]] = {title: [] for title in commands}
        for value in axis.values:
            with axis.state(value):
                for title in commands:
                    lines[title].append(0.0)
                figures: dict[str, list[float]] = {title: [] for title in commands}
                for _round in range(rounds):
                    for title, command in commands.items():
                        figures[title].append(seconds(command) * 1000)
            for title, found in figures.items():
                lines[title][-1] = median(found)
            print(f"{name} {value}: " + ", ".join(f"{title} {lines[title][-1]:.0f} ms" for title in lines), flush=True)
        _plot(axis, lines, into / f"growth-{name}.svg")


def _commands(folder: Path, axis: str) -> dict[str, Command]:
    """Ours and the peers that are installed, by what is typed."""
    portward = str(folder / "portward")
    found = {
        "portward ls --udp": Command([portward, "ls", "--udp"]),
        "ss -ltnup": Command(["ss", "-ltnup"]),
        "netstat -tulnp": Command(["netstat", "-tulnp"]),
        "lsof -i -P -n": Command(["lsof", "-i", "-P", "-n"]),
        "psutil": Command([str(folder / "python"), "-c", PSUTIL]),
    }
    if axis == "namespaces":
        found = {
            "portward ls --udp --all-netns": Command([portward, "ls", "--udp", "--all-netns"]),
            "nsenter, ss -ltnup in each": Command(["sh", "-c", NETNS_LOOP]),
        }
    return {title: command for title, command in found.items() if is_there(command)}


def _plot(axis: Axis, lines: Mapping[str, Sequence[float]], path: Path) -> None:
    pygal = import_module("pygal")
    config = {"width": 720, "height": 420, "js": [], "show_dots": True, "legend_at_bottom": True, "truncate_legend": -1}
    chart = pygal.XY(**config, x_title=axis.name, y_title="CPU ms of the whole command", disable_xml_declaration=True)
    for title, figures in lines.items():
        chart.add(title, list(zip(axis.values, figures, strict=True)))
    path.write_text(chart.render(is_unicode=True) + "\n", "utf-8")
