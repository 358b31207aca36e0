"""The worked example as a stack under a real engine: its services are stand-ins on the same ports of the container."""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.engine import IMAGE, Answer, Docker
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator

NEXUS = Path(__file__).parent.parent / "examples/nexus"


class Stack:
    """A copy of examples/nexus on ports of its own, whose services are stand-ins on the same ports of the container."""

    def __init__(self, docker: Docker, folder: Path, ports: dict[str, int], name: str) -> None:
        self.docker = docker
        self.folder = folder
        self.ports = ports
        self.name = name
        self._override = folder.parent / f"{folder.name}.stand-in.yml"
        shutil.copytree(NEXUS, folder)
        (folder / ".env").write_text("".join(f"{variable}={port}\n" for variable, port in ports.items()))
        services = {name: self._stand_in(*targets) for name, targets in TARGETS.items()}
        self._override.write_text(json.dumps({"services": services}))

    @staticmethod
    def _stand_in(*targets: int) -> dict[str, Any]:
        servers = [f"httpd -f -p {port} -h /www &" for port in targets]
        return {
            "image": IMAGE,
            "pull_policy": "never",
            "command": ["sh", "-c", " ".join([*servers, "sleep 3600"])],
            "stop_grace_period": "0s",
        }

    def compose(self, *words: str) -> str:
        files = ["--file", "docker-compose.yml", "--file", str(self._override)]
        return self.docker.compose(*files, *words, folder=self.folder, COMPOSE_PROJECT_NAME=self.name)

    def portward(self, *words: str, name: str | None = None) -> Answer:
        """Asks Portward in the stack's folder; what it changes is kept beside that."""
        state = str(self.folder.parent / "state")
        return self.docker.portward(
            *words, folder=self.folder, COMPOSE_PROJECT_NAME=name or self.name, XDG_STATE_HOME=state
        )

    def copy(self, name: str) -> Stack:
        """Another checkout of the same project, with the same ports."""
        return Stack(self.docker, self.folder.with_name("other"), self.ports, name)


TARGETS = {
    "frontend": [3000],
    "backend": [5000],
    "worker": [],
    "open-webui": [8080, 1234],
    "ollama": [11434],
    "mongodb": [27017],
    "redis": [6379],
}
VARIABLES = {
    "FRONTEND_PORT": ("frontend", 3000),
    "PORT": ("backend", 5000),
    "OPEN_WEBUI_PORT": ("open-webui", 8080),
    "OPEN_WEBUI_API_PORT": ("open-webui", 1234),
    "OLLAMA_PORT": ("ollama", 11434),
    "MONGODB_PORT": ("mongodb", 27017),
    "REDIS_PORT": ("redis", 6379),
}
ON_LOOPBACK = {"mongodb", "redis"}


def published(answer: Answer) -> dict[tuple[str, int], dict[str, Any]]:
    """The ports that a project's `check` says are published, by service and target."""
    return {
        (service["name"], port["target"]): port
        for service in answer.document["services"]
        for port in service["ports"]
        if port["from"] == "compose"
    }


@contextmanager
def stack(docker: Docker, folder: Path) -> Iterator[Stack]:
    """A copy of the example in a new folder that is not started yet. Removed in the end."""
    first = free_ports(len(VARIABLES))
    ports = {variable: first + step for step, variable in enumerate(VARIABLES)}
    made = Stack(docker, folder, ports, f"nexus-{secrets.token_hex(4)}")
    try:
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "0")
