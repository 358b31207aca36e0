"""The documentation cannot rot: what is generated is compared, what is shown is run, what is linked exists."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from portward import cli, rules
from tests import generated_docs, pictures
from tests.conftest import unmet
from tests.installation import install

if TYPE_CHECKING:
    from pathlib import Path

pytest_plugins = ["pytester"]

ROOT = generated_docs.ROOT


def _can_make_namespaces() -> bool:
    return os.geteuid() == 0 and bool(shutil.which("unshare") and shutil.which("ip"))


@pytest.mark.parametrize("path", generated_docs.documents(), ids=lambda path: path.name)
def test_generated_parts_are_current(path: Path) -> None:
    """`make docs` would change nothing: help, verbs, rules and the session are what the program prints."""
    made = {
        "verbs": generated_docs.verbs(),
        "help": generated_docs.help_texts(),
        "rules": generated_docs.rule_table(),
        "servers": generated_docs.server_table(),
        "never-stopped": generated_docs.stop_tables(),
        "checks": generated_docs.check_list(),
    }
    text = path.read_text("utf-8")
    if "<!-- begin session -->" in text:
        if not _can_make_namespaces():
            unmet("the README's session needs root, unshare and ip")
        made["session"] = generated_docs.session()
    assert generated_docs.rewritten(text, made) == text


def test_the_picture_of_the_terminal_is_current() -> None:
    """It shows what the program prints in colour; it asks nobody else for anything."""
    if not _can_make_namespaces():
        unmet("the session of the picture needs root, unshare and ip")
    picture = (ROOT / "docs/pictures/terminal.svg").read_text("utf-8")
    assert _texts(picture) == _texts(pictures.terminal())
    assert "url(" not in picture.replace("url(#", "")


def _texts(picture: str) -> list[str]:
    """What an SVG shows: how it is drawn depends on the version of what draws it."""
    return re.findall(r"<text[^>]*>([^<]+)</text>", picture)


def test_every_rule_and_verb_is_documented() -> None:
    """Every rule says what, why, before and after; every verb has a line of help."""
    text = (ROOT / "docs/rules.md").read_text("utf-8")
    for name in rules.NAMES:
        section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        for word in ("Why:", "Before:", "After:"):
            assert word in section, f"{name} lacks {word}"
    assert all(text for _, text in cli.VERBS.values())


def test_the_readmes_library_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines of the library do what they say."""
    text = (ROOT / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.setenv("PORTWARD_STORE", f"sqlite://{tmp_path}/state/leases.db")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.timeout(900)
def test_the_librarys_examples_run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block of the library's document does what it says, in a checkout of its own; those with tests are run by pytest."""
    text = (ROOT / "docs/library.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    tests = [block for block in blocks if "def test_" in block]
    install(pytester, monkeypatch)
    pytester.path.joinpath(".git").mkdir()
    pytester.path.joinpath(".env").write_text("PORT=3000\n")
    for block in blocks:
        if block not in tests:
            done = pytester.run(sys.executable, "-c", block, timeout=800)
            assert done.ret == 0, f"{block}\n{done.stderr.str()}"
    path = pytester.makepyfile("".join(tests))
    pytester.run(sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(path), timeout=800).assert_outcomes(
        passed=3
    )


def test_links_exist() -> None:
    """Every relative link in the documents leads to a file."""
    for path in [*generated_docs.documents(), ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text("utf-8")):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_readme_is_short() -> None:
    """At most 150 lines."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_the_examples_table_is_true() -> None:
    """The port table of the worked example says what its `.env` says."""
    text = (ROOT / "examples/nexus/README.md").read_text("utf-8")
    table = dict(re.findall(r"\| (\d+) \| \d+ \| `(\w+)` \|", text))
    lines = (ROOT / "examples/nexus/.env").read_text("utf-8").splitlines()
    declared = dict(line.split("=") for line in lines if "=" in line)
    assert {name: port for port, name in table.items()} == declared
