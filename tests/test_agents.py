"""What coding agents are told: `init --agents` and `leases --brief`."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest
import yaml

from portward import __version__, cli
from portward.verbs.agents import BEGIN, BLOCK, END, SKILL
from tests.command import run
from tests.generated_docs import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [ROOT / "src/portward/verbs/agents" / name for name in ("AGENTS.md", "SKILL.md")]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with nothing for agents yet, and a store of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = tmp_path / "shop"
    made.mkdir()
    (made / "compose.yaml").write_text('services: {web: {image: nginx, ports: ["8000:80"]}}\n')
    return made


def test_agents_are_told_only_with_write(project: Path) -> None:
    """The diff first; then a block in AGENTS.md and the skill; then nothing is left to do, and undo takes all of it back."""
    shown = run("init", "--agents", cwd=project)
    assert shown.returncode == 0
    assert SKILL in shown.stdout
    assert sorted(path.name for path in project.iterdir()) == ["compose.yaml"]
    assert run("init", "--agents", "--write", cwd=project).returncode == 0
    text = (project / BLOCK).read_text()
    assert text.startswith(BEGIN)
    assert text.rstrip().endswith(END)
    assert (project / SKILL).read_text() == TEXTS[1].read_text()
    assert run("init", "--agents", cwd=project).returncode == 1
    assert run("undo", cwd=project).returncode == 0
    assert sorted(path.name for path in project.iterdir()) == ["compose.yaml"]


def test_what_stands_around_the_block_stays(project: Path) -> None:
    """An AGENTS.md of somebody's own keeps every byte outside of the marks; an old block becomes the new one."""
    (project / BLOCK).write_bytes(f"# Ours\r\n\r\n{BEGIN}\r\nold\r\n{END}\r\nbehind\r\n".encode())
    assert run("init", "--agents", "--write", cwd=project).returncode == 0
    text = (project / BLOCK).read_bytes().decode()
    assert text.startswith(f"# Ours\r\n\r\n{BEGIN}\r\n## Ports\r\n")
    assert text.endswith(f"{END}\r\nbehind\r\n")
    assert "old" not in text
    assert re.search(r"(?<!\r)\n", text) is None


def test_a_mark_that_stands_alone_is_told(project: Path) -> None:
    """Where the block ends is never guessed."""
    (project / BLOCK).write_text(f"# Ours\n{BEGIN}\n")
    done = run("init", "--agents", "--write", cwd=project)
    assert done.returncode == 2
    assert f"{BLOCK}:2:1" in done.stderr
    assert not (project / SKILL).exists()


def test_a_claude_md_that_does_not_read_the_block_is_told_of(project: Path) -> None:
    """Claude Code reads CLAUDE.md: a remark says how to have it read AGENTS.md; it is not changed."""
    (project / "CLAUDE.md").write_text("# Ours\n")
    assert "@AGENTS.md" in run("init", "--agents", "--write", cwd=project).stderr
    assert (project / "CLAUDE.md").read_text() == "# Ours\n"


def test_the_skill_is_one() -> None:
    """Its head says what and when, within what readers of skills take (agentskills.io); its name is that of its folder."""
    text = TEXTS[1].read_text()
    _, head, body = text.split("---\n", 2)
    told = yaml.safe_load(head)
    assert set(told) == {"name", "description"}
    assert told["name"] == SKILL.split("/")[-2]
    assert 1 <= len(told["description"]) <= 500
    assert len(body.splitlines()) < 100
    assert len(TEXTS[0].read_text().splitlines()) < 30


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_agents_are_told_of_what_there_is(path: Path, project: Path) -> None:
    """Every verb and option that the texts name exists, and no port is written that would be taken for the project's."""
    text = path.read_text()
    commands = re.findall(r"portward ([a-z]+)((?: [^`\s|]+)*)", text)
    assert commands
    for verb, rest in commands:
        assert verb in cli.VERBS, verb
        shown = run(verb, "--help", cwd=project).stdout
        for option in re.findall(r"--[a-z][a-z-]*", rest):
            assert option in shown, (verb, option)
    assert not re.search(r"\d{3,}", text)


def test_a_few_lines_for_the_start(project: Path) -> None:
    """Without leases what to do, with leases this working tree's ports alone: always status 0, and never long."""
    empty = run("leases", "--brief", cwd=project)
    assert empty.returncode == 0
    assert "portward lease" in empty.stdout
    port = run("lease", "web", cwd=project).stdout.strip()
    assert run("lease", *(f"s{number}" for number in range(20)), cwd=project).returncode == 0
    told = run("leases", "--brief", cwd=project)
    assert told.returncode == 0
    assert f"web {port}" in told.stdout
    assert "and 11 more" in told.stdout
    assert len(told.stdout.splitlines()) <= 4
    assert len(told.stdout) <= 800


def test_another_working_tree_is_not_told(project: Path, tmp_path: Path) -> None:
    """What is leased elsewhere is nothing that an agent starts servers on."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "compose.yaml").write_bytes((project / "compose.yaml").read_bytes())
    port = run("lease", "web", cwd=other).stdout.strip()
    assert port not in run("leases", "--brief", cwd=project).stdout


def test_the_registry_is_told_what_is_true() -> None:
    """server.json: the limits of its schema (2025-12-11), this version, the marker in the README, and a command that there is."""
    told = json.loads((ROOT / "server.json").read_text())
    assert told["$schema"].endswith("/schemas/2025-12-11/server.schema.json")
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", told["name"])
    assert 1 <= len(told["description"]) <= 100
    assert f"\n<!-- mcp-name: {told['name']} -->\n" in (ROOT / "README.md").read_text()
    (package,) = told["packages"]
    assert told["version"] == package["version"] == __version__
    assert package["registryType"] == "pypi"
    assert package["transport"] == {"type": "stdio"}
    assert [argument["value"] for argument in package["packageArguments"]] == ["mcp"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == package["identifier"]
    assert project["optional-dependencies"]["mcp"]
