"""A bug of ours: exit status 4, and a log that its finder can send, of which a few are kept."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from portward.cli.bug import KEPT, write_log

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BROKEN = "import sys, portward.cli as cli\ncli._run = lambda words: {}['a key']\nsys.exit(cli.main(['ls']))"


def test_it_is_told_and_logged(tmp_path: Path) -> None:
    """The traceback and the versions stand in a file of the user's own; nothing of the environment does."""
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "PASSWORD": "opensesame"}
    done = subprocess.run([sys.executable, "-c", BROKEN], env=environment, capture_output=True, text=True, timeout=60)
    (log,) = (tmp_path / "portward").glob("bug-*.log")
    assert (done.returncode, done.stdout) == (4, "")
    assert str(log) in done.stderr
    assert "Traceback" not in done.stderr
    text = log.read_text()
    assert "KeyError: 'a key'" in text
    assert "opensesame" not in text
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_only_the_latest_logs_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that fails in a loop does not fill the disk; other files are left alone."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    folder = tmp_path / "portward"
    folder.mkdir()
    (folder / "leases.db").write_text("")
    for number in range(KEPT + 5):
        (folder / f"bug-20260101-0000{number:02}-x.log").write_text("old")
    newest = write_log(ValueError("new"))
    logs = sorted(folder.glob("bug-*.log"))
    assert len(logs) == KEPT
    assert str(logs[-1]) == newest
    assert (folder / "leases.db").exists()
