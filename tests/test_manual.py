"""The manual page: current, whole, and read by groff without a complaint."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from portward import cli
from portward.cli.declarations import declarations
from tests.conftest import need
from tests.manual import PAGE, page

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_is_current() -> None:
    """`make docs` would change nothing."""
    assert PAGE.read_text("ascii") == page()


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as a terminal shows it; every warning of groff is an error."""
    path: Path = tmp_path_factory.mktemp("man") / "portward.1"
    path.write_text(page())
    command = [need("groff"), "-ww", "-man", "-Tascii", "-P-cbou", str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_and_option_is_told(verb: str, shown: str) -> None:
    """Each verb has its part, with every option and what it is for."""
    heading = f"   portward {verb}\n"
    assert heading in shown
    part = shown.partition(heading)[2].partition("\n   portward ")[0]
    text = " ".join(part.split())
    for declared in declarations(verb):
        if declared.group != "everywhere":
            assert all(flag in text for flag in declared.flags)
            assert declared.metavar.split()[0] in text or not declared.takes


def test_the_page_has_its_sections(shown: str) -> None:
    """Name, synopsis, exit status and environment, as man-pages(7) orders them."""
    sections = ["NAME", "SYNOPSIS", "DESCRIPTION", "VERBS", "OPTIONS", "EXIT STATUS", "ENVIRONMENT"]
    assert [line for line in shown.splitlines() if line in sections] == sections
