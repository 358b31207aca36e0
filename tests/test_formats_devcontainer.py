"""Ports in `devcontainer.json`, and JSON with comments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats import format_of, json_tree
from portward.formats.devcontainer import read
from portward.model import PortSpec, Role, Side
from portward.workspace import Files
from tests.port_specs import check, found, fragments, read_safely

if TYPE_CHECKING:
    from pathlib import Path

HOST = (Role.HOST, Side.HOST)
CONTAINER = (Role.CONTAINER, Side.CONTAINER)
REFERENCE = (Role.URL, Side.CONTAINER)


def ports(text: str) -> list[PortSpec]:
    """What is read, after the checks that every reader passes."""
    specs = read(text, ".devcontainer/devcontainer.json")
    check(text, ".devcontainer/devcontainer.json", specs)
    return specs


def test_a_whole_file() -> None:
    """Comments and trailing commas are no obstacle; every key counts, for the service that the container is."""
    text = """\ufeff// For format details, see http://example.com:1
{
    "name": "App", "service": "app", /* "forwardPorts": [1], */
    "forwardPorts": [3000, "db:5432", "localhost:9000",],
    "portsAttributes": {
        "3000": { "label": "App on 1" },
        "40000-40010": {},
        "db:5432": {},
        ".+\\\\/server.js": {},
    },
    "containerEnv": { "PORT": "3001", "API_URL": "http://api:5000", "SIZE": "3002" },
    "remoteEnv": { "WEB": "http://localhost:8080" },
    "postCreateCommand": "serve --port 1",
}
"""
    specs = ports(text)
    assert found(text, specs) == [
        ("3000", *CONTAINER),
        ("5432", *REFERENCE),
        ("9000", *CONTAINER),
        ("3000", *CONTAINER),
        ("40000-40010", *CONTAINER),
        ("5432", *REFERENCE),
        ("3001", *CONTAINER),
        ("5000", *REFERENCE),
        ("8080", Role.URL, Side.HOST),
    ]
    assert {spec.service for spec in specs if spec.role is Role.CONTAINER} == {"app"}
    assert [spec.host for spec in specs if spec.role is Role.URL] == ["db", "db", "api", "localhost"]
    assert specs[6].variables == ("PORT",)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ('"appPort": 8000', [("8000", 8000, "127.0.0.1", "tcp")]),
        ('"appPort": "8080:80"', [("8080", 80, "", "tcp"), (None, 80, "", "tcp")]),
        ('"appPort": [8000, "9000"]', [("8000", 8000, "127.0.0.1", "tcp"), (None, 9000, "", "tcp")]),
        ('"appPort": "[::1]:53:53/udp"', [("53", 53, "::1", "udp"), (None, 53, "", "udp")]),
        ('"appPort": "8000-8010:80"', [("8000-8010", 80, "", "tcp"), (None, 80, "", "tcp")]),
        ('"runArgs": ["--init", "-p", "1:2"]', [("1", 2, "", "tcp"), (None, 2, "", "tcp")]),
        ('"runArgs": ["-p=1:2"]', [("1", 2, "", "tcp"), (None, 2, "", "tcp")]),
        ('"runArgs": ["-itp1:2"]', [("1", 2, "", "tcp"), (None, 2, "", "tcp")]),
        ('"runArgs": ["--publish", "1:2"]', [("1", 2, "", "tcp"), (None, 2, "", "tcp")]),
        ('"runArgs": ["--publish=1:2"]', [("1", 2, "", "tcp"), (None, 2, "", "tcp")]),
        ('"runArgs": ["--name", "p", "-p", "1:2"]', [("1", 2, "", "tcp"), (None, 2, "", "tcp")]),
        ('"runArgs": ["-p", "0:2"]', [(None, 2, "", "tcp")]),
    ],
)
def test_what_is_published(setting: str, expected: list[tuple[str | None, int, str, str]]) -> None:
    """`appPort` and `docker run` arguments, in every spelling."""
    specs = ports(f"{{{setting}}}")
    assert [(spec.published, spec.target, spec.host_ip, spec.protocol) for spec in specs] == expected


@pytest.mark.parametrize(
    "text",
    [
        "[3000]",
        '{"ports": [3000]}',
        '{"forwardPorts": {"a": 3000}}',
        '{"forwardPorts": ["http", 0, -1, 3000.5, 1e3, true, null, [3000], {"a": 3000}, "a b:3000", "3000/tcp"]}',
        '{"forwardPorts": ["\\u0033000"]}',
        '{"portsAttributes": [3000], "appPort": {"a": 1}, "runArgs": "-p 1:2", "containerEnv": 1}',
        '{"appPort": ["0:0", "a:b", "1:2:3:4", "localhost:1:2"]}',
        '{"runArgs": ["-p", "--init", "1:2", "-p", "$PORT:80", "--expose", "80", "-P", "3:4"]}',
        '{"runArgs": ["--env", "A=1", "image", "-p", "1:2"]}',
        '{"containerEnv": {"PORT": "${localEnv:PORT}", "PORTS": "1", "X_PORT": 80.5}}',
        '{"customizations": {"vscode": {"settings": {"forwardPorts": [3000]}}}}',
    ],
)
def test_what_is_no_port(text: str) -> None:
    """Other shapes, keys elsewhere, and what Docker would refuse give nothing."""
    assert ports(text) == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", (1, 1)),
        ("{", (1, 2)),
        ('{"a" 1}', (1, 6)),
        ('{"a": 1 "b": 2}', (1, 9)),
        ("{'a': 1}", (1, 2)),
        ('{"a": [1 2]}', (1, 10)),
        ('{"a": "b\n"}', (1, 7)),
        ("{}\n{}", (2, 1)),
        ("[,]", (1, 2)),
        ("[/* a ]", (1, 2)),
        ('{"a": NaN}', (1, 7)),
        ("[" * 300 + "]" * 300, (1, 202)),
    ],
)
def test_what_is_not_json_is_refused(text: str, place: tuple[int, int]) -> None:
    """The place is that of the first character that does not fit."""
    with pytest.raises(InvalidFile) as refusal:
        read(text, "devcontainer.json")
    assert (refusal.value.line, refusal.value.column) == place


def test_which_files_are_found(tmp_path: Path) -> None:
    """The file's two names, in a hidden folder that is entered even with a Compose file in it, and one folder below."""
    for path in (
        ".devcontainer.json",
        ".devcontainer/devcontainer.json",
        ".devcontainer/docker-compose.yml",
        ".devcontainer/api/devcontainer.json",
        ".devcontainer/api/compose.yaml",
        ".devcontainer/node_modules/devcontainer.json",
        ".cache/devcontainer.json",
        "web/.devcontainer/devcontainer.json",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    paths, skipped = Files(str(tmp_path)).find(lambda path: format_of(path) == "devcontainer")
    assert not skipped
    assert paths == [
        ".devcontainer.json",
        ".devcontainer/api/devcontainer.json",
        ".devcontainer/devcontainer.json",
        "web/.devcontainer/devcontainer.json",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def _plain(node: json_tree.Node) -> object:
    if isinstance(node, json_tree.Scalar):
        return node.value if node.is_string else json.loads(node.value)
    if isinstance(node, json_tree.Array):
        return [_plain(item) for item in node.items]
    return {name: _plain(item) for name, item in node.items.items()}


@given(JSON, st.booleans(), st.sampled_from((None, 0, 2)))
def test_json_is_read_as_the_standard_library_does(value: object, ascii_only: bool, indent: int | None) -> None:
    """The tree says what json.loads does, however the text is written."""
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert _plain(json_tree.parse(text, "a.json")) == json.loads(text)


@given(
    fragments(
        *"{}[]:,/*\\",
        "//",
        '"forwardPorts": [',
        '"appPort": ',
        '"runArgs": ["-p", ',
        '"portsAttributes": {',
        '"containerEnv": {"PORT": ',
        '"8080:80"',
        '"db:5432"',
        '"-p1:2"',
        '"\\u0033"',
        "3000, ",
        "{\n",
        "],",
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, it is read or refused with a place, and every span holds what it says."""
    read_safely(read, text, "devcontainer.json")
    read_safely(read, '{"forwardPorts": [' + text + "]}", "devcontainer.json")
