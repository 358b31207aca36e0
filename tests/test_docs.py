"""The documentation cannot rot: what is generated is compared, what is shown is run, what is linked exists."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from portward import cli, rules
from tests import generated_docs

if TYPE_CHECKING:
    from pathlib import Path

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
    }
    text = path.read_text("utf-8")
    if "<!-- begin session -->" in text:
        if not _can_make_namespaces():
            if os.environ.get("PORTWARD_REQUIRE_REAL"):
                pytest.fail("the README's session needs root, unshare and ip")
            pytest.skip("the README's session needs root, unshare and ip")
        made["session"] = generated_docs.session()
    assert generated_docs.rewritten(text, made) == text


def test_every_rule_and_verb_is_documented() -> None:
    """Every rule says what, why, before and after; every verb has a line of help."""
    text = (ROOT / "docs/rules.md").read_text("utf-8")
    for name in rules.RULES:
        section = text.partition(f"### {name}\n")[2].partition("\n### ")[0]
        for word in ("Why:", "Before:", "After:"):
            assert word in section, f"{name} lacks {word}"
    assert all(text for _, text in cli.VERBS.values())


def test_the_readmes_library_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ten lines of the library do what they say."""
    text = (ROOT / "README.md").read_text("utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {})


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
