"""The log of what was stopped keeps to its size, and loses no entry of those who add to it at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from portward.processes import stop_log

if TYPE_CHECKING:
    from pathlib import Path

ADDING = """
import os, sys
from portward.processes import stop_log
stop_log.LIMIT = int(sys.argv[2])
for number in range(int(sys.argv[3])):
    with stop_log.opened({"XDG_STATE_HOME": sys.argv[1]}, sys.exit) as add:
        add({"writer": os.getpid(), "number": number, "more": "x" * 100})
"""


def _entries(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _add(state: Path, number: int) -> None:
    def never(reason: str) -> None:
        raise AssertionError(reason)

    with stop_log.opened({"XDG_STATE_HOME": str(state)}, never) as add:
        add({"number": number})


def test_a_full_log_gets_another_name(tmp_path: Path) -> None:
    """The new one begins with the next entry; of full ones, only the last is kept."""
    log, former = tmp_path / "portward/stopped.jsonl", tmp_path / "portward/stopped.1.jsonl"
    for number in range(3):
        _add(tmp_path, number)
        assert [entry["number"] for entry in _entries(log)] == [number]
        with log.open("a") as file:
            file.write(json.dumps({"number": "filled", "with": "x" * stop_log.LIMIT}) + "\n")
        if number:
            assert [entry["number"] for entry in _entries(former)] == [number - 1, "filled"]
    assert log.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(log.parent)) == ["stopped.1.jsonl", "stopped.jsonl"]


def test_whoever_has_the_full_log_open_goes_on(tmp_path: Path) -> None:
    """An entry of a stop that began before the change of names is in the former log."""
    with stop_log.opened({"XDG_STATE_HOME": str(tmp_path)}, print) as add:
        add({"number": 1, "with": "x" * stop_log.LIMIT})
        _add(tmp_path, 2)
        add({"number": 3})
    assert [entry["number"] for entry in _entries(tmp_path / "portward/stopped.1.jsonl")] == [1, 3]
    assert [entry["number"] for entry in _entries(tmp_path / "portward/stopped.jsonl")] == [2]


def test_many_at_once_change_names_once(tmp_path: Path) -> None:
    """Four processes fill one log twice over: each new one begins where the last was full, and none is lost to a second change."""
    limit, each = 60_000, 200  # 4 x 200 entries of about 150 bytes: two logs, or a little more
    adding = [sys.executable, "-c", ADDING, str(tmp_path), str(limit), str(each)]
    for process in [subprocess.Popen(adding) for _writer in range(4)]:
        assert process.wait(60) == 0
    log, former = tmp_path / "portward/stopped.jsonl", tmp_path / "portward/stopped.1.jsonl"
    assert limit <= former.stat().st_size < limit + 4 * 200
    kept = [*_entries(former), *_entries(log)]
    for writer in {entry["writer"] for entry in kept}:
        numbers = [entry["number"] for entry in kept if entry["writer"] == writer]
        assert numbers == list(range(each - len(numbers), each))


def test_a_log_that_cannot_be_renamed_is_used_on(tmp_path: Path) -> None:
    """Rather a large record than none: here the other name is a folder's."""
    _add(tmp_path, 1)
    log = tmp_path / "portward/stopped.jsonl"
    log.write_text(json.dumps({"number": 1, "with": "x" * stop_log.LIMIT}) + "\n")
    (tmp_path / "portward/stopped.1.jsonl").mkdir()
    _add(tmp_path, 2)
    assert [entry["number"] for entry in _entries(log)] == [1, 2]
