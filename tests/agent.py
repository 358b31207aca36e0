"""A coding agent's side of `portward mcp`: the official SDK's client, and a copy of the worked example to ask about."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import anyio
from mcp import Client, types
from mcp.client.stdio import StdioServerParameters

from tests.engine import clean_environment
from tests.nexus import NEXUS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

SECONDS = 120.0


class Agent:
    """One session with one server."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def tools(self) -> dict[str, types.Tool]:
        """The tools that are offered, by name."""
        return {tool.name: tool for tool in (await self.client.list_tools()).tools}

    async def result(self, tool: str, **arguments: Any) -> types.CallToolResult:
        """What a call comes to. The client holds a good answer against the tool's output schema."""
        found = await self.client.call_tool(tool, arguments)
        assert isinstance(found, types.CallToolResult)
        assert json.loads(text_of(found)) == found.structured_content
        return found

    async def ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The document that a call answers with."""
        found = await self.result(tool, **arguments)
        assert not found.is_error, text_of(found)
        document: dict[str, Any] = found.structured_content
        return document

    async def refusal(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """What a call that cannot be answered says."""
        found = await self.result(tool, **arguments)
        assert found.is_error, text_of(found)
        document: dict[str, Any] = found.structured_content
        assert document["next"]
        return document


def text_of(found: types.CallToolResult) -> str:
    """What a model reads of an answer."""
    assert len(found.content) == 1
    assert isinstance(found.content[0], types.TextContent)
    return found.content[0].text


def session(script: Callable[[Agent], Awaitable[None]], folder: Path, *options: str, **environment: str) -> None:
    """Starts `portward mcp` in a folder, lets the script talk to it, and ends it."""
    told = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "PYTHONPATH": os.pathsep.join(sys.path), **environment}
    words = ["-m", "portward", "mcp", *options]
    server = StdioServerParameters(
        command=sys.executable, args=words, cwd=folder, env=clean_environment(XDG_STATE_HOME=f"{folder}.state", **told)
    )

    async def talk() -> None:
        with anyio.fail_after(SECONDS):
            async with Client(server) as client:
                await script(Agent(client))

    anyio.run(talk)


def nexus(folder: Path, port: int) -> Path:
    """A copy of the worked example whose backend has this port."""
    made = folder / "nexus"
    shutil.copytree(NEXUS, made)
    (made / ".env").write_text(f"PORT={port}\n")
    return made
