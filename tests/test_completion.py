"""Completion in real shells: live ports, services, verbs and options."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from portward.cli.completion import SHELLS, candidates
from portward.cli.parser import Arguments
from tests.agent import nexus
from tests.conftest import Listen, need
from tests.engine import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 120
START = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
}
LOAD = {
    "bash": "source <(portward completion bash)",
    "zsh": "autoload -Uz compinit; compinit -u -D; source <(portward completion zsh)",
}


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A PATH with `portward` in it, and a store of its own."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "portward").write_text(f'#!/bin/sh\nexec {sys.executable} -m portward "$@"\n')
    (programs / "portward").chmod(0o755)
    told = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "dumb"}
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return clean_environment(
        PATH=path, HOME=str(tmp_path), XDG_STATE_HOME=str(tmp_path / "state"), PS1="ready> ", **told
    )


def _words(line: str, folder: Path | str = ".") -> list[str]:
    arguments = Arguments()
    arguments.directory, arguments.verbose = str(folder), False
    return [word for word, _ in candidates(arguments, line)]


def test_what_may_come_next(tmp_path: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verbs, options, choices, ports that are taken, services, wishes; nothing for files and another program's words."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    port = str(listen().getsockname()[1])
    folder = nexus(tmp_path, int(port))
    assert _words("portward ch") == ["check"]
    assert {"ls", "who", "mcp", "completion"} <= set(_words("portward "))
    assert "--all-netns" in _words("portward who -")
    assert _words("portward -C / who --al") == ["--all-netns"]
    assert _words("portward check --fail-on w") == ["warning"]
    assert port in _words("portward who ")
    assert port in _words(f"portward kill {port[:3]}")
    assert port in _words("portward who 1 2 ")
    assert {"backend", "redis"} <= set(_words("portward lease ", folder))
    assert _words(f"portward -C {folder} set back") == ["backend="]
    assert _words("portward completion z") == ["zsh"]
    assert _words("portward completion zsh ") == []
    assert _words("portward run web -- ") == []
    assert _words("portward -C ") == []
    assert _words("portward who 'a") == []


def test_names_that_a_shell_would_obey_are_not_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that is called like a command stays out of the command line."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "Procfile").write_text("web: serve --port 8000\n")
    (tmp_path / "portward.toml").write_text('[kinds]\n"$(touch x)" = "web"\n')
    assert all(word.isalnum() for word in _words("portward lease ", tmp_path))


def test_a_broken_project_stays_silent(tmp_path: Path, environment: dict[str, str]) -> None:
    """What is wrong is told by verbs: a shell that completes hears nothing, and the status is 0."""
    (tmp_path / "compose.yaml").write_text("services: [\n")
    command = [sys.executable, "-m", "portward", "completion", "--line=portward lease "]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_live_port_is_completed(shell: str, environment: dict[str, str], tmp_path: Path, listen: Listen) -> None:
    """The beginning of a port that somebody listens on, and the tab key, in a real shell on a real terminal."""
    need(shell)
    port = str(listen().getsockname()[1])
    seen = _typed(shell, f"portward who {port[:-1]}\t\t", port, environment, tmp_path)
    assert port in seen


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_service_is_completed(shell: str, environment: dict[str, str], tmp_path: Path, free_port: int) -> None:
    """`set back` becomes `set backend=`, and the port is typed behind it."""
    need(shell)
    folder = nexus(tmp_path, free_port)
    seen = _typed(shell, "portward set back\t", "backend=", environment, folder)
    assert "backend= " not in seen


def _typed(shell: str, keys: str, expected: str, environment: dict[str, str], folder: Path) -> str:
    """What a shell shows for some keys, once what is expected is there."""
    main, terminal = pty.openpty()
    with subprocess.Popen(
        START[shell],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env=environment,
        cwd=folder,
        start_new_session=True,
    ) as process:
        os.close(terminal)
        try:
            os.write(main, f"{LOAD[shell]}; echo load''ed\n".encode())
            _until(main, "loaded")
            os.write(main, keys.encode())
            return _until(main, expected)
        finally:
            process.kill()
            os.close(main)


def _until(terminal: int, expected: str) -> str:
    seen = ""
    end = time.monotonic() + SECONDS
    while expected not in seen:
        left = end - time.monotonic()
        ready = select.select([terminal], [], [], max(0, left))[0]
        assert ready, f"{expected!r} is not in {seen!r}"
        seen += os.read(terminal, 4096).decode(errors="replace")
    return seen


def test_fish_completes(environment: dict[str, str], tmp_path: Path, listen: Listen, free_port: int) -> None:
    """fish tells what it would complete."""
    fish = need("fish")
    port = str(listen().getsockname()[1])
    folder = nexus(tmp_path, free_port)
    code = f'portward completion fish | source; complete -C "portward who {port[:-1]}"; complete -C "portward set back"'
    done = subprocess.run(
        [fish, "--no-config", "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS
    )
    found = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert port in found
    assert "backend=" in found


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_are_read_without_a_complaint(shell: str, environment: dict[str, str], tmp_path: Path) -> None:
    """The shell's own reader of syntax finds nothing."""
    program = need(shell)
    script = tmp_path / "script"
    with open(script, "w") as file:
        subprocess.run(
            [sys.executable, "-m", "portward", "completion", shell], env=environment, stdout=file, check=True
        )
    done = subprocess.run([program, "-n", str(script)], capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
