"""The command line in a process of its own, on a machine whose container engine is out of reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


def run(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `portward` with these words to its end."""
    return subprocess.run(
        [sys.executable, "-m", "portward", *words],
        cwd=cwd,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def run_json(*words: str, cwd: Path | None = None) -> tuple[dict[str, Any], int]:
    """The one document that `portward … --json` prints, and its exit status."""
    done = run(*words, "--json", cwd=cwd)
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document, done.returncode
