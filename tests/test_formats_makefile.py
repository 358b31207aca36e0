"""Makefiles."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.formats import format_of
from portward.formats.makefile import read
from portward.model import Location, PortSpec, Role, Side
from tests.conftest import need
from tests.port_specs import check, found_with_variables
from tests.test_formats_commands import TEXTS

if TYPE_CHECKING:
    from pathlib import Path

MAKEFILE = """PORT ?= 5000
API_PORT := 5001  # the API's
URL = http://localhost:5002/
SERVE = uvicorn app:app --port 5003

ifndef WEB_PORT
WEB_PORT = 5004
else
OTHER_PORT = 5005
endif

define HELP
PORT=1
endef

serve: PORT = 5006
serve: build
\t@$(PYTHON) manage.py runserver 0.0.0.0:5007
\t-PORT=$${PORT:-5008} npm start \\
\t    --port 5009
\t$(DOCKER) run -p $(PORT):80 -p 5010:80 nginx
quick: ; $(BIN)/flask run -p 5011
"""


def only(text: str) -> PortSpec:
    """The one port of a Makefile."""
    (spec,) = read(text, "Makefile")
    check(text, "Makefile", [spec])
    return spec


def test_a_makefile() -> None:
    """Variables, defaults, the variable of one target, and recipes."""
    assert found_with_variables(MAKEFILE, read(MAKEFILE, "Makefile")) == [
        ("5000", "fallback", "host", ("PORT",)),
        ("5001", "host", "host", ("API_PORT",)),
        ("5002", "url", "host", ("URL",)),
        ("5003", "host", "host", ()),
        ("5004", "fallback", "host", ("WEB_PORT",)),
        ("5005", "host", "host", ("OTHER_PORT",)),
        ("5006", "host", "host", ("PORT",)),
        ("5007", "host", "host", ()),
        ("5008", "fallback", "host", ("PORT",)),
        ("5009", "host", "host", ()),
        ("5010", "host", "host", ()),
        ("5011", "host", "host", ()),
    ]


def test_a_spec_is_whole() -> None:
    """Origin, place, excerpt and target of one port."""
    spec = next(spec for spec in read(MAKEFILE, "sub/Makefile") if spec.target)
    assert spec.location == Location("sub/Makefile", 21, 33)
    assert (spec.origin, spec.published, spec.target, spec.side) == ("makefile", "5010", 80, Side.HOST)
    assert spec.text == "$(DOCKER) run -p $(PORT):80 -p 5010:80 nginx"


@pytest.mark.parametrize(
    ("line", "role", "variables"),
    [
        ("PORT = 5000", Role.HOST, ("PORT",)),
        ("PORT=5000", Role.HOST, ("PORT",)),
        ("PORT := 5000", Role.HOST, ("PORT",)),
        ("PORT ::= 5000", Role.HOST, ("PORT",)),
        ("export PORT := 5000", Role.HOST, ("PORT",)),
        ("  override PORT = 5000", Role.HOST, ("PORT",)),
        ("PORT = \\\n  5000", Role.HOST, ("PORT",)),
        ("PORT = 5000\r", Role.HOST, ("PORT",)),
        ("PORT ?= 5000 # default", Role.FALLBACK, ("PORT",)),
        ("export PORT?=5000", Role.FALLBACK, ("PORT",)),
        ("PORT := $(or $(WEB_PORT),5000)", Role.FALLBACK, ("WEB_PORT", "PORT")),
        ("PORT := ${or ${WEB_PORT}, 5000}", Role.FALLBACK, ("WEB_PORT", "PORT")),
        ("ifndef PORT\n  PORT = 5000\nendif", Role.FALLBACK, ("PORT",)),
        ("ifdef CI\nelse\nPORT = 5000\nendif", Role.HOST, ("PORT",)),
        ("run stop: export PORT = 5000", Role.HOST, ("PORT",)),
        ("run:\n\tPORT=5000 npm start", Role.HOST, ("PORT",)),
        ("run:\n\n# x\n\t@+-npx next dev -p 5000", Role.HOST, ()),
        ("run::\n\tx --port $$(( 1 )) --port 5000", Role.HOST, ()),
        ("run:\n\tx --port $(or $(WEB_PORT),5000)", Role.FALLBACK, ("WEB_PORT",)),
        ("run:\n\tx --port $(shell echo 1 $(y)) --port 5000", Role.HOST, ()),
        ("run:\n\t$(MAKE) serve & make x PORT=5000", Role.HOST, ("PORT",)),
    ],
)
def test_a_form(line: str, role: Role, variables: tuple[str, ...]) -> None:
    """Every way to define a variable, and make's own expansions in a recipe."""
    spec = only(line + "\n")
    assert (spec.published, spec.role, spec.side, spec.variables) == ("5000", role, Side.HOST, variables)


@pytest.mark.parametrize(
    "text",
    [
        "# PORT = 5000",
        "PORTS = 5000 5001",
        "PORT != echo 5000",
        "MAX_PORT = 65535",
        "PORT = $(shell echo 5000)",
        "PORT = $(OTHER)5000",
        "define X\nPORT = 5000\n\tx --port 5001\nendef",
        "run:\n\tx --port ${PORT:-5000}",
        "run:\n\tx --port $(PORT)",
        "run:\n\tmkdir -p 5000; tsc -p 5000",
        "run:\n\t# x --port 5000",
        "run: # x --port 5000",
        "run: 5000",
    ],
)
def test_what_is_no_port(text: str) -> None:
    """Comments, lists, what make computes, and make's own reading of `${PORT:-5000}`."""
    assert read(text + "\n", "Makefile") == []


@pytest.mark.parametrize(
    ("line", "replacing"),
    [
        ("PORT = 5000", set[str]()),
        ("PORT := 5000", set[str]()),
        ("show: PORT = 5000", set[str]()),
        ("PORT ?= 5000", {"PORT"}),
        ("PORT := $(or $(PORT),5000)", {"PORT"}),
        ("PORT := $(or $(OTHER_PORT),5000)", {"OTHER_PORT"}),
        ("ifndef PORT\nPORT = 5000\nendif", {"PORT"}),
        ("export PORT ?= $(or $(OTHER_PORT),5000)", {"PORT", "OTHER_PORT"}),
    ],
)
def test_a_fallback_is_one_to_make(line: str, replacing: set[str], tmp_path: Path) -> None:
    """Where this reader says fallback, and nowhere else, a variable of the environment replaces the number in a real make."""
    text = f"{line}\nshow:\n\t@echo $(PORT)\n"
    (tmp_path / "Makefile").write_text(text)
    for name in ("PORT", "OTHER_PORT"):
        environment = {"PATH": os.environ["PATH"], name: "1234"}
        done = subprocess.run(
            [need("make"), "-s"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == ("1234" if name in replacing else "5000")
    spec = only(text)
    assert (spec.role is Role.FALLBACK) == bool(replacing)
    assert not replacing or spec.variables[0] in replacing


def test_file_names() -> None:
    """Make's own names, and included files."""
    assert {format_of(path) for path in ("Makefile", "makefile", "GNUmakefile", "build/serve.mk")} == {"makefile"}


FRAGMENTS = [
    *(
        "PORT",
        " = ",
        " ?= ",
        ":=",
        "5000",
        "\n",
        "\n\t",
        "run:",
        "\\\n",
        "$(",
        "${",
        ")",
        "}",
        "$$",
        "$(PORT)",
        "$(or $(PORT),5000)",
    ),
    *("ifndef PORT\n", "else\n", "endif\n", "define X\n", "endef\n", "#", ";", "export ", "x --port ", "é🚢", "\r\n"),
]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(FRAGMENTS), TEXTS)).map("".join)))
def test_any_text_is_read(text: str) -> None:
    """No text raises, and each span holds the digits that are told."""
    check(text, "Makefile", read(text, "Makefile"))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "part", ["\\\n", "$(", "${or $(", "a:", "a:\n\tb\n", "ifndef A\n", "A = ", "export ", "\\", ")"]
)
def test_long_texts_end(part: str) -> None:
    """A hundred kilobytes of any of these come to their end."""
    assert read("PORT = 5000\n" + part * (100_000 // len(part)), "Makefile")[0].published == "5000"
