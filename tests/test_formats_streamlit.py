"""Ports in Streamlit's `config.toml`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.errors import InvalidFile
from portward.formats import format_of
from portward.formats.streamlit import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely

HOST = (Role.HOST, Side.HOST, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[server]\nport = 8501 # ours\n", [("8501", *HOST)]),
        ("server.port = 8501\r\n", [("8501", *HOST)]),
        (
            "[browser]\nserverPort = 80\n[server]\n'port'=8501",
            [("80", Role.URL, Side.HOST, None), ("8501", *HOST)],
        ),
        ("server = { headless = true, port = 8501 }\n", []),
        ("[server]\nport = '8501'\n", []),
        ("[server]\nport = 8_501\n", []),
        ("[server]\nport = 0x2135\n", []),
        ("[server]\nport = true\n", []),
        ("[server]\nmaxUploadSize = 200\n", []),
        ("[other]\nport = 8501\n", []),
        ("a = '''\n[server]\nport = 8501\n'''\n", []),
        ("server = 1\n", []),
        ("", []),
    ],
)
def test_texts(text: str, expected: list[object]) -> None:
    """The two settings, and nothing that only looks like them; a table in one line is left out."""
    assert read_found(read, text, ".streamlit/config.toml") == expected


def test_what_is_not_toml_is_refused() -> None:
    """With the place."""
    with pytest.raises(InvalidFile) as refusal:
        read("[server]\nport = \n", ".streamlit/config.toml")
    assert (refusal.value.line, refusal.value.column) == (2, 8)


def test_names() -> None:
    """In its own hidden folder only."""
    assert format_of(".streamlit/config.toml") == format_of("app/.streamlit/config.toml") == "streamlit"
    assert format_of("config.toml") is None


@given(
    fragments(
        "[server]\n", "port", " = ", "8501", "server.", "[browser]\nserverPort = 80", '"', "'''", "{", "}", "#", "\n"
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, it is read or refused with a place, and every span holds what it says."""
    read_safely(read, text, ".streamlit/config.toml")
