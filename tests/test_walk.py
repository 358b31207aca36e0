"""Every verb, as a program calls it: stdin closed, `--json`, and nobody to ask."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward import cli
from tests.engine import clean_environment
from tests.nexus import NEXUS
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

CALLS: dict[str, dict[str, int]] = {
    "ls": {"": 0, "{free}": 1},
    "who": {"{free}": 1},
    "check": {"": 0, "{free}": 0, "--fail-on note": 1},
    "services": {"": 0},
    "set": {"backend={free}": 0, "nobody={free}": 2},
    "resolve": {"": 1},
    "docs": {"": 0, "--check": 1},
    "init": {"": 0, "--agents": 0},
    "undo": {"": 1},
    "find": {"": 0, "--range 1-1 --count 2": 1},
    "lease": {"": 0, "web --prefer {free}": 0, "web --count 0": 2},
    "release": {"": 1},
    "leases": {"": 0, "--brief": 0},
    "env": {"": 0, "--into .env.local": 0},
    "run": {"web -- true": 0, "web": 2, "web -- no-such-program": 127},
    "verify": {"{free}": 1},
    "pin": {"backend={free} --reason x": 0, "backend={free}": 2},
    "kill": {"{free}": 2, "{free} --yes": 1, "{free} --dry-run": 1},
    "identify": {"127.0.0.1:{free}": 1},
    "wait": {"127.0.0.1:{free} --timeout 0": 1},
    "explain": {"": 1, "EADDRINUSE :::{free}": 0},
    "doctor": {"": 2, "127.0.0.1:{free}": 1, "--store": 0},
    "setup": {"": 0},
    "serve": {"": 2},
    "top": {"": 2},
    "mcp": {"": 2},
    "agent": {"": 2},
    "completion": {"bash": 0, "zsh": 0, "fish": 0, "": 2, "bahs": 2},
    "catalog": {"5432": 0, "nothing-is-called-so": 1},
}
"""Verb → what it is called with, and the exit status that docs/cli.md and the README tell for that. `{free}` is a free port."""
STATUSES = {0, 1, 2, 3}
WALK = [(verb, words, status) for verb, calls in CALLS.items() for words, status in calls.items()]
PORTS = ("FRONTEND_PORT", "PORT", "OPEN_WEBUI_PORT", "OPEN_WEBUI_API_PORT", "OLLAMA_PORT", "MONGODB_PORT", "REDIS_PORT")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the worked example, on ports of its own."""
    made = tmp_path / "nexus"
    made.mkdir()
    for name in ("docker-compose.yml", "README.md"):
        (made / name).write_bytes((NEXUS / name).read_bytes())
    first = free_ports(len(PORTS))
    (made / ".env").write_text("".join(f"{name}={first + step}\n" for step, name in enumerate(PORTS)))
    return made


def _called(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs Portward as a program may: its stdin is not there at all."""
    told = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-m", "portward", *words],
        cwd=folder,
        env=clean_environment(XDG_STATE_HOME=f"{folder}.state", PYTHONWARNINGS="error", **told),
        capture_output=True,
        text=True,
        timeout=250,
    )


def _document(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one document on stdout."""
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


def test_the_walk_is_whole() -> None:
    """A new verb is walked too."""
    assert set(CALLS) == set(cli.VERBS)


@pytest.mark.parametrize(("verb", "words", "status"), WALK, ids=lambda value: str(value) or "-")
def test_every_verb_answers_programs(verb: str, words: str, status: int, project: Path, free_port: int) -> None:
    """One document and the documented status; a failure is told on both streams, with a hint at the way out."""
    done = _called([verb, *_words(verb, words.format(free=free_port))], project)
    assert done.returncode == status, done.stderr
    if verb == "run" and status == 0:
        assert done.stdout == ""  # the command's own, which says nothing
        return
    document = _document(done)
    assert ("error" in document) == (status in (2, 3, 127) or (verb, status) == ("find", 1))
    if "error" in document:
        assert document["error"]["message"]
        assert document["error"]["hint"], document
        assert "hint: " in done.stderr


def _words(verb: str, text: str) -> list[str]:
    if verb == "explain" and text:
        return ["--json", text]
    words = text.split()
    return [*words[: words.index("--")], "--json", *words[words.index("--") :]] if "--" in words else [*words, "--json"]


@pytest.mark.parametrize("verb", cli.VERBS)
def test_bad_usage_of_every_verb(verb: str, project: Path) -> None:
    """An option that does not exist: status 2, one document, and a hint."""
    done = _called([verb, "--no-such-option", "--json"], project)
    assert done.returncode == 2
    error = _document(done)["error"]
    assert (error["code"], bool(error["hint"])) == ("usage", True)


@pytest.mark.parametrize("verb", ["services", "set x=1", "resolve", "docs", "env", "check", "undo"])
def test_project_verbs_outside_any_project(verb: str, tmp_path: Path) -> None:
    """Status 2, and a hint where a project is looked for."""
    done = _called([*verb.split(), "--json"], tmp_path)
    assert done.returncode == 2
    error = _document(done)["error"]
    assert (error["code"], bool(error["hint"])) == ("no-project", True)


@pytest.mark.parametrize("verb", ["who", "check", "verify", "kill --yes", "find"])
def test_a_port_that_is_none(verb: str, project: Path) -> None:
    """Every verb that takes ports refuses what is none in the same way."""
    done = _called([*verb.split(), "80880", "--json"], project)
    assert done.returncode == 2
    assert _document(done)["error"]["code"] == "invalid-port"


@pytest.mark.parametrize("words", ["kill {free}", "explain", "init", "undo", "wait {free} --timeout 0"])
def test_nothing_prompts(words: str, project: Path, free_port: int) -> None:
    """Without --json and without a stdin, too, nothing waits for an answer, and nothing is a bug."""
    done = _called(words.format(free=free_port).split(), project)
    assert done.returncode in STATUSES
    assert "[y/N]" not in done.stdout + done.stderr
