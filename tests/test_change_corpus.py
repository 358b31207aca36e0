"""Every published port of every real project, moved: Docker Compose sees exactly that port changed, and undo leaves no trace."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from portward.errors import NoPlan
from portward.ward import Portward
from tests.conftest import unmet
from tests.engine import clean_environment, compose_program

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
NEW = 23456


def _projects() -> list[Path]:
    return sorted({path.parent for name in NAMES for path in CORPUS.rglob(name)}) if CORPUS.is_dir() else []


def _config(folder: Path) -> dict[str, Any] | None:
    """What Docker Compose makes of a folder, None where it refuses."""
    done = subprocess.run(
        [compose_program(), "config", "--format", "json"],
        cwd=folder,
        env=clean_environment(HOME=str(folder)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        return None
    config: dict[str, Any] = json.loads(done.stdout)
    return config


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_there_is_a_corpus() -> None:
    """The projects are there, or the tests below would show nothing."""
    if len(_projects()) < 30:
        unmet("the corpus is not there")


@pytest.mark.parametrize("project", _projects(), ids=lambda path: path.name)
def test_each_port_moves_alone(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One service after the other: a plan changes what Compose publishes for it and nothing else, or says why it cannot."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / project.name
    shutil.copytree(project, folder)
    for path in (folder, *folder.rglob("*")):
        os.chmod(path, 0o755 if path.is_dir() else 0o644)
    before, files = _config(folder), _bytes(folder)
    if before is None:
        return
    ward = Portward(str(folder), environment=clean_environment(XDG_STATE_HOME=str(tmp_path / "state")))
    for link in ward.project().links:
        if link.entry is None or link.entry.origin != "compose":
            continue
        wish = f"{link.service}:{link.target}/{link.entry.protocol}={NEW}"
        with contextlib.suppress(NoPlan):
            ward.set_ports([wish], write=True)
        if _bytes(folder) == files:
            continue  # refused
        after = _config(folder)
        assert after is not None, wish
        entries = [
            port for port in after["services"][link.service]["ports"] if port.get("published", "").startswith(str(NEW))
        ]
        assert [port["target"] for port in entries] == [link.target]
        ward.undo()
        assert _bytes(folder) == files
        entries[0].pop("published")
        for port in before["services"][link.service]["ports"]:
            if port["target"] == link.target and port["protocol"] == link.entry.protocol:
                old = port.pop("published", None)
                break
        assert _sorted(after) == _sorted(before), wish
        if old is not None:
            port["published"] = old


def _sorted(config: dict[str, Any]) -> str:
    """A configuration with its ports in an order of their own: Compose orders them by their numbers."""
    copy = json.loads(json.dumps(config))
    for service in copy["services"].values():
        service["ports"] = sorted(service.get("ports") or (), key=lambda port: json.dumps(port, sort_keys=True))
    return json.dumps(copy, sort_keys=True)
