"""Which file is read as what, by its name, and which port of a URL is one."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.formats import FORMATS, _matches, format_of, reader_of, urls
from tests.port_specs import read_safely


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".env", "dotenv"),
        ("a/.env.local", "dotenv"),
        (".env.example", None),
        ("vite.config.ts", "javascript"),
        ("vite.config.ts.template", None),
        ("compose.override.yaml", "compose"),
        ("docker-compose.yml", "compose"),
        ("docker-compose.prod.yml", "kubernetes"),  # whose reader finds no manifest in it
        ("docs/compose.md", "markdown"),
        ("mydocs/compose.md", None),
        ("README/notes.txt", None),
        ("nginx/README.md", "markdown"),
        ("x.conf.template", "nginx"),
        ("x.conf.template.example", None),
        ("", None),
    ],
)
def test_a_file_is_known_by_its_name(path: str, expected: str | None) -> None:
    """A whole name first, then patterns in their order; an example is not in force."""
    assert format_of(path) == expected


@given(st.text("ab./", max_size=9), st.text("ab./*", max_size=7))
def test_a_star_is_any_text(name: str, pattern: str) -> None:
    """As for the standard library's own way to match names."""
    assert _matches(name, pattern) is fnmatchcase(name, pattern)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "compose"])
def test_every_format_has_a_reader(name: str) -> None:
    """And an empty text, or a text of nothing, has no ports."""
    assert reader_of(name)("{}" if "json" in FORMATS[name][0] else "", FORMATS[name][0].replace("*", "x")) == []


PIECES = (
    "a",
    "[",
    "{",
    '"',
    "'",
    "a=",
    "PORT=",
    "http://",
    ":",
    "\\",
    "#",
    "- ",
    "`",
    "|",
    "${",
    "1",
    "1,",
    "a:1 ",
    '\\"',
    "/*",
    "_",
    "a.",
)
STARTS = {
    "caddy": ":80 {\n reverse_proxy ",
    "devcontainer": '{"forwardPorts": [',
    "haproxy": "bind ",
    "kubernetes": "apiVersion: v1\nkind: Service\nx: ",
    "markdown": "## Ports\n",
    "nginx": "server { ",
    "postgresql": "primary_conninfo = '",
    "redis": "port ",
    "streamlit": "[server]\nport = ",
    "supervisord": "[program:a]\nenvironment=",
    "systemd": "[Service]\nEnvironment=",
    "vscode": '{"env": {"PORT": ',
}


@pytest.mark.parametrize("name", STARTS)
def test_no_text_takes_long(name: str) -> None:
    """Texts of one piece many times over, which patterns that go back and forth would take minutes for."""
    path = FORMATS[name][0].replace("*", "x")
    for piece in PIECES:
        read_safely(reader_of(name), STARTS[name] + piece * 40_000, path)


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("http://localhost:3000", ["3000"]),
        ("Open http://localhost:3000.", ["3000"]),
        ("http://localhost:3000: the web", ["3000"]),
        ("http://localhost:3000, http://localhost:3001)", ["3000", "3001"]),
        ("http://localhost:3000- ", ["3000"]),
        ("http://me:5000@localhost/", []),
        ("http://me:50.@localhost/", []),
        ("http://localhost:3000.5", []),
        ("http://localhost:3000x", []),
        ("http://a:1:2", []),
    ],
)
def test_the_end_of_a_port(text: str, ports: list[str]) -> None:
    """A full stop or a colon that ends a sentence does not belong to a URL; a password is no port."""
    assert [url.port for url in urls.find(text)] == ports
