"""`portward mcp` with a real engine and a real stack, asked by the official SDK's client and by the MCP inspector's command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.agent import Agent, session
from tests.conftest import unmet
from tests.engine import REAL, Docker, clean_environment
from tests.nexus import Stack, stack

if TYPE_CHECKING:
    from collections.abc import Iterator

WITH_KILL = {"listeners", "who", "check", "lease", "release", "set_port", "explain", "doctor", "identify", "kill"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Stack]:
    """The worked example, up."""
    with stack(Docker.of(REAL), tmp_path / "nexus") as made:
        made.compose("up", "--detach", "--wait")
        yield made


def _told(made: Stack) -> dict[str, str]:
    return {"DOCKER_HOST": made.docker.host, "COMPOSE_PROJECT_NAME": made.name}


def test_every_tool_with_a_real_engine(running: Stack, spare_port: int) -> None:
    """Each tool is called on a stack that runs: containers are the owners, and `kill` stops one of them by the preview's id."""
    backend, redis, frontend = (running.ports[name] for name in ("PORT", "REDIS_PORT", "FRONTEND_PORT"))

    async def script(agent: Agent) -> None:
        assert set(await agent.tools()) == WITH_KILL
        rows = (await agent.ask("listeners", query=[str(backend)]))["listeners"]
        assert rows
        assert all(row["container"]["service"] == "backend" for row in rows)
        who = (await agent.ask("who", ports=[backend]))["ports"][0]
        assert who["listeners"][0]["container"]["project"] == running.name
        found = await agent.ask("check")
        states = {row["service"]: row["state"] for row in found["services"]}
        assert states["backend"] == states["redis"] == "running"
        assert found["summary"]["errors"] == 0
        leased = (await agent.ask("lease", services=["extra"]))["leases"]
        assert (await agent.ask("release", services=["extra"]))["leases"][0]["port"] == leased[0]["port"]
        shown = await agent.ask("set_port", wishes=[f"backend={spare_port}"])
        assert (await agent.ask("set_port", preview_id=shown["preview_id"]))["written"]
        assert f"PORT={spare_port}\n" in (running.folder / ".env").read_text()
        error = f"Bind for 0.0.0.0:{redis} failed: port is already allocated"
        diagnosis = (await agent.ask("explain", text=error))["diagnoses"][0]
        assert diagnosis["port"] == redis
        assert any(row.get("container") for row in diagnosis["holders"])
        assert (await agent.ask("doctor", target=f"127.0.0.1:{redis}"))["reachable"] is True
        assert (await agent.ask("identify", targets=[f"127.0.0.1:{redis}"]))["targets"][0]["port"] == redis
        plan = await agent.ask("kill", ports=[str(frontend)])
        done = await agent.ask("kill", preview_id=plan["preview_id"])
        assert done["ports"][0]["free"] is True, done

    session(script, running.folder, "--allow-kill", **_told(running))


def _inspector() -> str:
    """The inspector, as `.ci/servers.sh` installs it, or from the PATH."""
    there = Path(os.environ.get("PORTWARD_TEST_SERVERS", "/nonexistent")) / "js/node_modules/.bin/mcp-inspector"
    if there.exists():
        return str(there)
    return shutil.which("mcp-inspector") or unmet("the MCP inspector is not installed: `.ci/servers.sh` does it")


def test_the_inspector_lists_and_calls_every_tool(running: Stack, spare_port: int) -> None:
    """The inspector's own command line, over stdio, with a real engine: each tool answers without an error."""
    inspector = _inspector()
    environment = clean_environment(
        XDG_STATE_HOME=f"{running.folder}.state", PYTHONPATH=os.pathsep.join(sys.path), **_told(running)
    )

    def inspect(*words: str) -> dict[str, Any]:
        command = [inspector, "--cli", sys.executable, "-m", "portward", "mcp", "--allow-kill", *words]
        done = subprocess.run(
            command,
            cwd=running.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    port = running.ports["PORT"]
    calls: dict[str, tuple[str, ...]] = {
        "listeners": (f'query=["{port}"]',),
        "who": (f'ports=["{port}"]',),
        "check": (),
        "lease": ('services=["extra"]',),
        "release": ('services=["extra"]',),
        "set_port": (f'wishes=["backend={spare_port}"]',),
        "explain": (f"text=listen EADDRINUSE: address already in use :::{port}",),
        "doctor": (f"target=127.0.0.1:{port}",),
        "identify": (f'targets=["127.0.0.1:{port}"]',),
        "kill": (f'ports=["{port}"]',),
    }
    assert {tool["name"] for tool in inspect("--method", "tools/list")["tools"]} == set(calls)
    for tool, arguments in calls.items():
        given = [word for argument in arguments for word in ("--tool-arg", argument)]
        found = inspect("--method", "tools/call", "--tool-name", tool, *given)
        assert not found.get("isError"), found
        assert found["structuredContent"]["outside"]
