"""What is measured, and how: commands of ours and of peers in turn, CPU time of whole processes. See `benchmarks.run`."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from statistics import median

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


@dataclass(frozen=True)
class Command:
    """What is run, and what it must print: a command that did not do its work is not measured.

    One that is `inner` does its work in a process that lives on, and prints the seconds of CPU time that this took, on its last line:
    that is its figure, not the process's.
    """

    words: Sequence[str]
    shows: Sequence[str] = ()
    inner: bool = False
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Work:
    """A command of ours and one of a peer that answer the same question, and the most that ours is to cost of it.

    `wall` compares the time that passes; `most` is a limit of its own, in seconds.
    """

    name: str
    ours: Command
    peer: Command
    goal: float | None
    wall: bool = False
    most: float | None = None


@dataclass(frozen=True)
class Result:
    """Seconds of a work's two commands, one pair for each round."""

    work: Work
    pairs: Sequence[tuple[float, float]]

    @property
    def ratio(self) -> float:
        return median(ours / peer for ours, peer in self.pairs)

    def row(self) -> list[str]:
        """The cells of the table."""
        ours, peer = (median(column) for column in zip(*self.pairs, strict=True))
        work = self.work
        judged = ["-", "-"]
        if work.goal is not None:
            met = self.ratio <= work.goal and (work.most is None or ours <= work.most)
            limit = f", {work.most * 1000:.0f} ms" if work.most else ""
            judged = [f"<= {ratio(work.goal)}{limit}", "yes" if met else "NO"]
        return [work.name, f"{ours * 1000:.1f}", f"{peer * 1000:.1f}", ratio(self.ratio), *judged]


def compare(works: Sequence[Work], rounds: int) -> list[Result]:
    """Measures works and peers in turn. A work whose peer is missing is left out, and said."""
    there = [work for work in works if is_there(work.peer)]
    for work in works:
        if work not in there:
            print(f"left out, since it is not installed: {work.name}", flush=True)
    for work in there:
        prove(work.ours)
        prove(work.peer)
    pairs: list[list[tuple[float, float]]] = [[] for _work in there]
    for _round in range(rounds):
        for work, found in zip(there, pairs, strict=True):
            found.append((seconds(work.ours, work.wall), seconds(work.peer, work.wall)))
    return [Result(work, found) for work, found in zip(there, pairs, strict=True)]


def is_there(peer: Command) -> bool:
    """Whether the peer is installed: a program of this system, a module in the venv that is measured, or one of npm's."""
    if peer.words[0] == "node" and "pid-port" in peer.words[-1]:
        return bool(shutil.which("node")) and not subprocess.run(peer.words, capture_output=True).returncode
    if "psutil" in peer.words[-1]:
        return not subprocess.run([peer.words[0], "-c", "import psutil"], stderr=subprocess.DEVNULL).returncode
    tools = ("lsof", "ss", "netstat", "fuser", "node", "nsenter")
    named = {word for word in " ".join(peer.words).split() if word in tools}
    return all(map(shutil.which, named)) and shutil.which(peer.words[0]) is not None


def prove(command: Command) -> None:
    """Raises RuntimeError where a command does not show what it is asked for."""
    done = subprocess.run(command.words, capture_output=True, text=True, env=_environment(command))
    missing = [text for text in command.shows if text not in done.stdout]
    if missing:
        raise RuntimeError(f"{' '.join(command.words)} does not show {', '.join(missing)}:\n{done.stdout}{done.stderr}")


def seconds(command: Command, wall: bool = False) -> float:
    """What a command costs: the user and system time of it and of the children that it waited for, or the time that passes."""
    if command.inner:
        done = subprocess.run(command.words, capture_output=True, text=True, env=_environment(command), check=True)
        return float(done.stdout.split()[-1])
    null = [(os.POSIX_SPAWN_OPEN, stream, os.devnull, os.O_RDWR, 0) for stream in range(3)]
    start = time.monotonic()
    pid = os.posix_spawnp(command.words[0], list(command.words), _environment(command), file_actions=null)
    _pid, _status, usage = os.wait4(pid, 0)
    return time.monotonic() - start if wall else usage.ru_utime + usage.ru_stime


def _environment(command: Command) -> Mapping[str, str]:
    return {**os.environ, **dict(command.environment)}


def table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Aligned columns; all but the first to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *rest in rows:
        yield "  ".join(
            [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        )


def ratio(value: float) -> str:
    """At most one as a fraction: 1/12.3."""
    return f"{value:.2f}" if value > 1 else f"1/{1 / value:.1f}".removesuffix(".0")
