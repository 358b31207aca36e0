"""Ports in `launch.json` and `tasks.json`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.vscode import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely

HOST = (Role.HOST, Side.HOST, None)
HERE = (Role.URL, Side.HOST, "localhost")


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ('"module": "uvicorn", "args": ["app:app", "--port", "8000"]', [("8000", *HOST)]),
        ('"module": "flask", "args": ["run", "-p", "5000"]', [("5000", *HOST)]),
        ('"program": "${workspaceFolder}/server.js", "args": ["--port=8000"]', [("8000", *HOST)]),
        ('"runtimeExecutable": "next", "args": ["dev", "-p", "3000"]', [("3000", *HOST)]),
        ('"env": {"PORT": "5000", "SIZE": "3000"}', [("5000", *HOST)]),
        ('"env": {"API_URL": "http://localhost:5001"}', [("5001", *HERE)]),
        ('"request": "attach", "port": 9229', [("9229", *HERE)]),
        ('"request": "attach", "address": "app", "port": 9229', [("9229", Role.URL, Side.CONTAINER, "app")]),
        ('"connect": {"host": "localhost", "port": 5678}', [("5678", *HERE)]),
        ('"url": "http://localhost:3000"', [("3000", *HERE)]),
        ('"serverReadyAction": {"uriFormat": "http://localhost:3000/x"}', [("3000", *HERE)]),
        ('"type": "shell", "command": "npx serve -l 3001"', [("3001", *HOST)]),
        ('"command": "flask", "args": ["run", "--port", "5000"]', [("5000", *HOST)]),
        ('"options": {"env": {"PORT": "5000"}}', [("5000", *HOST)]),
        ('"request": "launch", "port": 9229', []),
        ('"name": "on port 3000", "timeout": 10000', []),
        ('"args": ["--port", "8000"]', []),
        ('"program": "a", "args": ["-p", "8000"]', []),
        ('"request": "attach", "port": "${input:port}"', []),
        ('"env": {"PORT": "${env:PORT}", "A_PORT": 0}', []),
        ('"env": {"PORT": "\\u0035000"}', []),
        ('"uriFormat": "http://localhost:%s"', []),
    ],
)
def test_entries(entry: str, expected: list[object]) -> None:
    """Commands, variables, debuggers and pages, and others that have numbers."""
    text = f'// VS Code\n{{ "version": "0.2.0", "configurations": [ {{ {entry}, }}, ], }}\n'
    assert read_found(read, text, ".vscode/launch.json") == expected


def test_names() -> None:
    """In their hidden folder only."""
    assert format_of(".vscode/launch.json") == format_of("web/.vscode/tasks.json") == "vscode"
    assert format_of("tasks.json") is None


@given(
    fragments(
        *(
            '{"port": 9229, "host": ',
            '"env": {"PORT": ',
            '"args": [',
            '"command": "',
            '"--port"',
            '"5000"',
            "serve -l 3000",
        ),
        *("]", "}", ",", '"', "//"),
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, it is read or refused with a place, and every span holds what it says."""
    read_safely(read, text, ".vscode/launch.json")
