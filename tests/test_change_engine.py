"""A changed project against the real thing: what Docker Compose makes of it, and what a real engine runs."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from tests.engine import REAL, Docker
from tests.nexus import Stack, stack
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def nexus(tmp_path: Path) -> Iterator[Stack]:
    """A nexus stack that is not started yet. Removed in the end."""
    with stack(Docker.of(REAL), tmp_path / "nexus") as made:
        yield made


def _config(nexus: Stack) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(nexus.compose("config", "--format", "json"))
    return config


def test_the_moved_backend_answers(nexus: Stack) -> None:
    """From the host on the new port, from its neighbour on the old name and number; Compose agrees with every file."""
    port = free_ports()
    before = _config(nexus)
    answer = nexus.portward("set", f"backend={port}", "--write")
    assert (answer.status, answer.document["written"]) == (0, True), answer.text
    after = _config(nexus)
    assert after["services"]["backend"]["ports"][0]["published"] == str(port)
    after["services"]["backend"]["ports"] = before["services"]["backend"]["ports"]
    assert after == before
    nexus.compose("up", "--detach", "backend", "worker")
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as response:
        assert response.read() == b"stand-in\n"
    assert nexus.compose("exec", "-T", "worker", "wget", "-q", "-O-", "http://nexus-server:5000") == "stand-in\n"


def test_resolve_moves_what_the_first_copy_holds(nexus: Stack) -> None:
    """A second checkout whose ports are all taken comes up beside the first after `resolve --write`."""
    nexus.compose("up", "--detach")
    other = nexus.copy(f"{nexus.name}-other")
    answer = other.portward("resolve", "--write")
    assert (answer.status, answer.document["written"]) == (0, True), answer.text
    assert other.portward("check").status == 0
    try:
        other.compose("up", "--detach")
        states = {port["state"] for service in other.portward("check").document["services"] for port in service["ports"]
                  if port["from"] == "compose"}  # fmt: skip
        assert states == {"running"}
    finally:
        other.compose("down", "--volumes", "--timeout", "0")
