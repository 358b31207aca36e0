"""`portward mcp --http`: the same tools over streamable HTTP on loopback, for those who know its URL."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio
import pytest
from mcp import Client

from tests.agent import SECONDS, Agent, nexus
from tests.engine import clean_environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def _server(folder: Path, *options: str) -> Iterator[str]:
    """The URL of a server that runs in a folder."""
    words = [sys.executable, "-m", "portward", "mcp", "--http", *options]
    told = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = clean_environment(XDG_STATE_HOME=f"{folder}.state", **told)
    with subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)


def test_the_tools_answer_over_http(tmp_path: Path, free_port: int) -> None:
    """The SDK's client lists and calls tools by the URL that is printed, on the port that was asked for."""
    with _server(nexus(tmp_path, free_port), "--port", str(free_port)) as url:
        assert urlsplit(url).netloc == f"127.0.0.1:{free_port}"

        async def talk() -> None:
            with anyio.fail_after(SECONDS):
                async with Client(url) as client:
                    agent = Agent(client)
                    assert "kill" not in await agent.tools()
                    rows = (await agent.ask("listeners", query=[str(free_port)]))["listeners"]
                    assert [row["port"] for row in rows] == [free_port]

        anyio.run(talk)


INITIALIZE = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},'
    '"clientInfo":{"name":"test","version":"1"}}}'
)


def test_others_are_refused(tmp_path: Path, free_port: int) -> None:
    """Another Host, another Origin, or a path without the secret: nothing is answered; with all three right, it is."""
    with _server(nexus(tmp_path, free_port)) as url:
        there = urlsplit(url)

        def status(path: str = there.path, **headers: str) -> int:
            connection = http.client.HTTPConnection(there.netloc, timeout=SECONDS)
            told = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **headers}
            connection.request("POST", path, body=INITIALIZE, headers=told)
            found = connection.getresponse().status
            connection.close()
            return found

        assert status() == 200
        assert status(Origin=f"http://{there.netloc}") == 200
        assert status(Host="evil.example") == 421
        assert status(Host=f"evil.example:{there.port}") == 421
        assert status(Origin="http://evil.example") == 403
        assert status("/mcp") == 404


@pytest.mark.parametrize(
    ("options", "status"), [(["--port", "1"], 2), (["--json"], 2), (["--http", "--host", "0.0.0.0"], 2)]
)
def test_bad_usage(options: list[str], status: int, tmp_path: Path) -> None:
    """What makes no sense is told, with a hint."""
    words = [sys.executable, "-m", "portward", "mcp", *options]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == status
    assert "hint: " in done.stderr
