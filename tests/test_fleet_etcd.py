"""The views of a fleet on real etcd members, with real agents; and the five commands of its document."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from portward.serve.calls import CALLS, Asked
from portward.serve.previews import Previews
from portward.ward import Portward
from tests.generated_docs import ROOT
from tests.test_host_agent import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Listen
    from tests.etcd import Cluster


@pytest.fixture
def address(etcd: Cluster) -> str:
    """A store of the test's own."""
    return f"etcd://{etcd.endpoints}/views-{time.time_ns()}"


@pytest.fixture
def other(address: str, tmp_path: Path) -> Iterator[Agent]:
    """Another host of the fleet: an agent with an id of its own, in `tmp_path/other`."""
    folder = tmp_path / "other"
    folder.mkdir()
    started = Agent(address, folder, ttl=60)
    try:
        started.wait_for("published")
        yield started
    finally:
        started.end()


def _environment(address: str, folder: Path) -> dict[str, str]:
    """This host, which is not the other one, in the same store."""
    own = {"HOME": str(folder), "PORTWARD_HOST_FILE": str(folder / "host.json"), "DOCKER_HOST": ""}
    return {**os.environ, **own, "PORTWARD_STORE": address}


def _run(address: str, folder: Path, *words: str) -> tuple[dict[str, Any], int]:
    done = subprocess.run(
        [sys.executable, "-m", "portward", *words, "--json"],
        env=_environment(address, folder), cwd=folder, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return json.loads(done.stdout), done.returncode


def _id(path: Path) -> str:
    host = json.loads(path.read_text())["id"]
    assert isinstance(host, str)
    return host


def test_every_view_has_both_hosts(other: Agent, address: str, tmp_path: Path, listen: Listen, free_port: int) -> None:
    """A listener that the other host has published by now, and a lease of each: by the words of both."""
    theirs = _id(tmp_path / "other/host.json")
    held = listen().getsockname()[1]
    deadline = time.monotonic() + 60
    while True:
        document, status = _run(address, tmp_path, "ls", str(held), "--fleet")
        if len(document["listeners"]) == 2 or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    mine = _id(tmp_path / ".local/state/portward/host.json")
    assert (status, [row["host"] for row in document["listeners"]]) == (0, [mine, theirs])
    assert [(each["host"], each["state"]) for each in document["hosts"]] == [(mine, "live"), (theirs, "live")]
    assert 0 <= document["hosts"][1]["age"] < 3600

    lease = [sys.executable, "-m", "portward", "lease", "web", "--prefer", str(free_port)]
    subprocess.run(
        lease, env={**os.environ, **other.environment, "DOCKER_HOST": ""}, cwd=tmp_path, check=True, capture_output=True
    )
    document, _ = _run(address, tmp_path, "leases", "--fleet")
    assert (theirs, free_port) in [(each["host"], each["port"]) for each in document["leases"]]
    document, status = _run(address, tmp_path, "check", str(free_port), "--fleet")
    assert {row["host"]: (row["available"], row["by"]) for row in document["ports"]} == {
        mine: (True, "bind"),
        theirs: (True, "published"),
    }
    document, status = _run(address, tmp_path, "who", str(held), str(free_port), "--fleet")
    rows = {(row["host"], row["port"]): (len(row["listeners"]), row["lease"] is not None) for row in document["ports"]}
    assert (status, rows) == (1, {(mine, held): (1, False), (theirs, held): (1, False), (theirs, free_port): (0, True)})


def test_the_dashboards_calls_tell_of_the_fleet(other: Agent, address: str, tmp_path: Path) -> None:
    """`/api/ls?fleet=1` and its like: the documents of the command line."""
    ward = Portward(None, folder=str(tmp_path), environment=_environment(address, tmp_path))
    for verb, more in (("ls", {}), ("who", {"port": ["1"]}), ("check", {"port": ["1"]}), ("leases", {})):
        document = CALLS[verb].ask(ward, Asked({"fleet": ["1"], **more}, Previews(time.monotonic)))
        assert _id(tmp_path / "other/host.json") in [each["host"] for each in document["hosts"]], verb


def test_a_host_that_left_is_gone_and_that_is_said(other: Agent, address: str, tmp_path: Path) -> None:
    """Its name and when it was seen stay; a port there is neither free nor taken."""
    assert other.end() == 0
    document, _ = _run(address, tmp_path, "check", "1", "--fleet")
    gone = document["hosts"][1]
    assert (gone["host"], gone["state"], gone["listeners"]) == (_id(tmp_path / "other/host.json"), "gone", 0)
    assert [row["available"] for row in document["ports"] if row["host"] == gone["host"]] == [None]
    assert document["complete"] is False
    assert any("no agent is heard there" in each["reason"] for each in document["skipped"])


def test_the_five_commands_of_the_document_do_what_they_say(address: str, tmp_path: Path) -> None:
    """They are taken from docs/fleet.md as they stand, but for the addresses, and run by a shell."""
    text = (ROOT / "docs/fleet.md").read_text("utf-8").partition("## From one machine to a fleet in five commands")[2]
    commands = [line.strip() for line in text.partition("\n## ")[0].splitlines() if line.startswith("    ")]
    assert len(commands) == 5
    commands = [re.sub(r"etcds?://\S+", address, command) for command in commands]
    shim = tmp_path / "bin/portward"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m portward "$@"\n')
    shim.chmod(stat.S_IRWXU)
    environment = {**_environment(address, tmp_path), "PATH": f"{shim.parent}:{os.environ['PATH']}"}
    del environment["PORTWARD_STORE"]
    script = "\n".join(["set -e", *(f"echo '$ {command}'; {command}" for command in commands), "kill $!; wait $!"])
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = dict(re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", done.stdout, re.MULTILINE))
    assert re.search(r"^\d+$", said["portward lease web"], re.MULTILINE)
    assert "1 host: 1 live" in said["portward ls --fleet"]
