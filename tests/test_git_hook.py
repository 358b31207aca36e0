"""`init --git-hook` and `env --into`: a new worktree gets its ports by git itself, and git never gets them from it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portward.cli import main
from portward.formats import dotenv, marked
from portward.formats.assignments import assignments
from tests.conftest import need
from tests.engine import clean_environment
from tests.nexus import VARIABLES

COMPOSE = """services:
  web: {image: x, ports: ["${WEB_PORT:-WEB}:80"]}
  db: {image: x, ports: ["DB:5432"]}
"""


class Repository:
    """A git repository with a Compose file, its worktrees, and git as one types it."""

    def __init__(self, folder: Path, first: int) -> None:
        self.folder = folder
        self.tree = folder / "shop"
        self.tree.mkdir()
        (self.tree / "compose.yaml").write_text(COMPOSE.replace("WEB}", f"{first}}}").replace("DB:", f"{first + 1}:"))
        (self.tree / ".gitignore").write_text(".env.local\n")
        programs = folder / "bin"
        programs.mkdir()
        self.program = programs / "portward"
        self.program.write_text(f'#!/bin/sh\nexec {sys.executable} -m portward "$@"\n')
        self.program.chmod(0o755)
        self.environment = clean_environment(
            PATH=f"{programs}:{os.environ['PATH']}",
            PYTHONPATH=os.pathsep.join(sys.path),
            XDG_STATE_HOME=str(folder / "state"),
            DOCKER_HOST=f"unix://{folder}/none.sock",
            GIT_CONFIG_GLOBAL=os.devnull,
        )
        for name in ("PORT", "CONDUCTOR_PORT", *VARIABLES):
            self.environment.pop(name, None)
        self.git("init", "--quiet")
        self.commit()

    def git(self, *words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "advice.detachedHead=false"]
        return self.run(need("git"), *identity, *words, folder=folder)

    def commit(self) -> None:
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", "more")

    def run(self, *command: str, folder: Path | None = None, status: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command,
            cwd=folder or self.tree,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == status, done
        return done

    def portward(self, *words: str, folder: Path | None = None, status: int = 0) -> subprocess.CompletedProcess[str]:
        return self.run(str(self.program), *words, folder=folder, status=status)

    def worktree(self, name: str) -> tuple[Path, subprocess.CompletedProcess[str]]:
        path = self.folder / name
        return path, self.git("worktree", "add", "--quiet", "--detach", str(path))

    @property
    def hook(self) -> Path:
        return self.tree / ".git/hooks/post-checkout"


@pytest.fixture
def repository(tmp_path: Path, free_port: int) -> Repository:
    """A repository without a hook."""
    return Repository(tmp_path, free_port // 16 * 16 - 8)


def _values(file: Path) -> dict[str, str]:
    return dict(dotenv.parse(file.read_text(), ".env.local", {}, {}).values)


def test_a_new_worktree_has_its_ports_at_once(repository: Repository) -> None:
    """`git worktree add` writes what `env` tells there, git sees no change, and the primary tree stays as it was."""
    shown = repository.portward("init", "--git-hook").stdout
    assert "+    portward env --into .env.local --write -q </dev/null || :" in shown
    assert "`portward init --git-hook --write` does it" in shown
    assert not repository.hook.exists()
    repository.portward("init", "--git-hook", "--write")
    path, done = repository.worktree("feature")
    assert (done.stdout, done.stderr) == ("", "")
    told = json.loads(repository.portward("env", "--json", folder=path).stdout)
    assert _values(path / ".env.local") == told
    assert repository.git("status", "--porcelain", folder=path).stdout == ""
    repository.git("checkout", "--quiet", "-b", "other")
    assert not (repository.tree / ".env.local").exists()
    assert repository.git("status", "--porcelain").stdout == ""


def test_where_portward_is_absent_nothing_is_different(repository: Repository) -> None:
    """The hook says nothing and succeeds, and no file appears."""
    repository.portward("init", "--git-hook", "--write")
    repository.program.unlink()
    repository.environment["PATH"] = os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "portward").exists()
    )
    path, done = repository.worktree("feature")
    assert (done.stdout, done.stderr) == ("", "")
    assert sorted(each.name for each in path.iterdir()) == [".git", ".gitignore", "compose.yaml"]


def test_a_portward_that_fails_does_not_fail_git(repository: Repository) -> None:
    """A broken installation says what it says, and the worktree is there."""
    repository.portward("init", "--git-hook", "--write")
    repository.program.write_text("#!/bin/sh\necho broken >&2\nexit 4\n")
    path, done = repository.worktree("feature")
    assert done.stderr == "broken\n"
    assert (path / "compose.yaml").exists()


@pytest.mark.parametrize("before", ["#!/bin/sh\necho mine\nexit 0\n", "#!/usr/bin/env bash\nset -eu\necho mine"])
def test_a_hook_that_is_there_goes_on(repository: Repository, before: str) -> None:
    """Its own lines run after ours, whatever ends it; taking ours out gives it back to the byte, and its mode."""
    repository.hook.parent.mkdir(exist_ok=True)
    repository.hook.write_text(before)
    repository.hook.chmod(0o750)
    repository.portward("init", "--git-hook", "--write")
    assert repository.portward("init", "--git-hook", "--write", status=1).stdout == "The hook is there.\n"
    path, done = repository.worktree("feature")
    assert "mine" in done.stdout + done.stderr
    assert (path / ".env.local").exists()
    assert "-# >>> portward >>>" in repository.portward("init", "--git-hook", "--remove").stdout
    repository.portward("init", "--git-hook", "--remove", "--write")
    assert repository.hook.read_text() == before
    assert stat.S_IMODE(repository.hook.stat().st_mode) == 0o750


def test_a_hook_of_ours_alone_is_taken_away(repository: Repository) -> None:
    """Nothing is left of it; a second time there is nothing to remove."""
    repository.portward("init", "--git-hook", "--write")
    assert os.access(repository.hook, os.X_OK)
    repository.portward("init", "--git-hook", "--remove", "--write")
    assert not repository.hook.exists()
    repository.portward("init", "--git-hook", "--remove", status=1)


@pytest.mark.parametrize("content", [b"#!/usr/bin/env python3\nprint()\n", b"\x7fELF\xff\xfe", b"echo no first line\n"])
def test_what_is_no_shell_script_is_left_alone(repository: Repository, content: bytes) -> None:
    """Exit 1, with the command that it may run itself."""
    repository.hook.parent.mkdir(exist_ok=True)
    repository.hook.write_bytes(content)
    done = repository.portward("init", "--git-hook", "--write", status=1)
    assert "portward env --into .env.local --write" in done.stderr
    assert repository.hook.read_bytes() == content


@pytest.mark.parametrize(("configured", "where"), [(".githooks", ".githooks"), (".husky/_", ".husky")])
def test_the_configured_folder_of_hooks_is_used(repository: Repository, configured: str, where: str) -> None:
    """core.hooksPath, also Husky's, whose own folder is made anew with each installation; and that it may be others' is said."""
    repository.git("config", "core.hooksPath", configured)
    done = repository.portward("init", "--git-hook", "--write")
    assert "core.hooksPath" in done.stderr
    assert (repository.tree / where / "post-checkout").exists()
    assert not repository.hook.exists()


def test_from_a_linked_worktree_the_one_hook_is_written(repository: Repository) -> None:
    """All worktrees have the hooks of the repository."""
    path, _done = repository.worktree("feature")
    repository.portward("init", "--git-hook", "--write", folder=path)
    assert repository.hook.exists()


def test_outside_of_a_repository_there_is_no_hook(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said, with exit status 3."""
    assert main(["-C", str(tmp_path), "init", "--git-hook"]) == 3
    assert "in no git repository" in capsys.readouterr().err


# The file itself


def test_a_tracked_file_is_refused(repository: Repository) -> None:
    """Exit 2; by the hook too, which says why, and the checkout succeeds."""
    (repository.tree / ".env.local").write_text("A=1\n")
    repository.git("add", "--force", ".env.local")
    repository.commit()
    repository.portward("init", "--git-hook", "--write")
    path, done = repository.worktree("feature")
    assert ".env.local is tracked by git" in done.stderr
    assert (path / ".env.local").read_text() == "A=1\n"
    refused = repository.portward("env", "--into", ".env.local", "--write", folder=path, status=2)
    assert "git rm --cached" in refused.stderr


def test_what_else_stands_in_the_file_stays(repository: Repository) -> None:
    """Ours comes last and is renewed in place of the old one; `undo` takes it back; a diff is shown before."""
    file = repository.tree / ".env.local"
    file.write_text("# mine\nSECRET='a b'\nWEB_PORT=1")
    shown = repository.portward("env", "--into", ".env.local").stdout
    assert "+# >>> portward >>>" in shown
    assert file.read_text() == "# mine\nSECRET='a b'\nWEB_PORT=1"
    for _turn in range(2):
        repository.portward("env", "--into", ".env.local", "--write")
        text = file.read_text()
        assert text.startswith("# mine\nSECRET='a b'\nWEB_PORT=1\n# >>> portward >>>")
        assert text.count("# >>> portward >>>") == text.count("# <<< portward <<<") == 1
    told = json.loads(repository.portward("env", "--json").stdout)
    assert _values(file) == {"SECRET": "a b", **told}
    repository.portward("undo")
    assert file.read_text() == "# mine\nSECRET='a b'\nWEB_PORT=1"


def test_a_file_that_others_have_too_is_refused(repository: Repository) -> None:
    """A link to another tree's file, and a path that leaves the project."""
    (repository.folder / "shared").write_text("A=1\n")
    (repository.tree / ".env.local").symlink_to("../shared")
    assert "is a link" in repository.portward("env", "--into", ".env.local", "--write", status=2).stderr
    repository.portward("env", "--into", "../shared", "--write", status=2)
    repository.portward("env", "--into", str(repository.folder / "shared"), "--write", status=2)
    assert (repository.folder / "shared").read_text() == "A=1\n"


def test_a_file_that_git_does_not_ignore_is_named(repository: Repository) -> None:
    """It is written, and that it could be committed is said."""
    done = repository.portward("env", "--into", "ports.env", "--write")
    assert "git does not ignore ports.env" in done.stderr


def test_a_block_without_an_end_is_not_guessed(repository: Repository) -> None:
    """Exit 2 with the line; nothing is lost."""
    (repository.tree / ".env.local").write_text(f"A=1\n{marked.BEGIN}\nB=2\n")
    done = repository.portward("env", "--into", ".env.local", "--write", status=2)
    assert ".env.local:2:1" in done.stderr
    assert "B=2" in (repository.tree / ".env.local").read_text()


def test_our_own_block_is_no_declaration(repository: Repository) -> None:
    """What Portward wrote is not read as a port that the project asks for: `check` finds the same as before."""
    path, _done = repository.worktree("feature")
    before = json.loads(repository.portward("check", "--json", folder=path).stdout)
    repository.portward("env", "--into", ".env.local", "--write", folder=path)
    assert json.loads(repository.portward("check", "--json", folder=path).stdout) == before


_TEXTS = st.text(st.characters(exclude_categories=["C", "Zl", "Zp"]), max_size=12)
_VALUES = st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]{0,6}", fullmatch=True), _TEXTS, max_size=4)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=_VALUES)
def test_any_value_comes_back_from_dotenv_and_mise(values: dict[str, str]) -> None:
    """As Compose and as TOML read it."""
    text = "".join(f"{line}\n" for line in assignments(values, "dotenv"))
    assert dotenv.parse(text, ".env", {}, {}).values == values
    assert tomllib.loads("\n".join(assignments(values, "mise")))["env"] == values


def _shells(text: str, names: list[str], shell: list[str]) -> list[str]:
    print_all = "; ".join(f"printf '%s\\n' \"${name}\"" for name in names)
    done = subprocess.run([*shell, f"{text}\n{print_all}"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


ODD = {"A": "plain", "B": "a b", "C": "it's", "D": '$HOME "x" `id`', "E": "/tmp/a:b#c", "F": ""}


def test_a_shell_takes_every_value(tmp_path: Path) -> None:
    """Whatever is in it: nothing is expanded or run."""
    text = "\n".join(assignments(ODD, "shell"))
    assert _shells(text, list(ODD), [need("sh"), "-c"]) == list(ODD.values())


def test_direnv_takes_every_value(repository: Repository) -> None:
    """The real direnv loads an `.envrc` that asks Portward, and has its ports; leaving the folder takes them away."""
    direnv = need("direnv")
    (repository.tree / ".envrc").write_text('eval "$(portward env --format direnv)"\n')
    repository.environment |= {"HOME": str(repository.folder), "XDG_CONFIG_HOME": str(repository.folder / "config")}
    repository.run(direnv, "allow", ".")
    done = repository.run(direnv, "exec", ".", "env", "-0")
    loaded = dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)
    told: dict[str, str] = json.loads(repository.portward("env", "--json").stdout)
    assert {name: loaded[name] for name in told} == told
