"""`package.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats import format_of, json_strings
from portward.formats.npm import read
from portward.formats.text import Passage
from portward.model import Location, Role, Side
from tests.conftest import unmet
from tests.port_specs import check, found_with_variables, read_safely
from tests.test_formats_commands import TEXTS

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"

PACKAGE = """{
  "name": "api", "version": "1.0.5000",
  "repository": "http://git.example.com:3000/x",
  "config": { "port": 8080, "api_port": "8081", "retries": 5000 },
  "proxy": "http://backend:3001",
  "scripts": {
    "dev": "cross-env PORT=5000 next dev -p 3000",
    "docker": "sh -c \\"uvicorn app:app --port ${PORT:-8000}\\"",
    "build": "tsc -p 5001",
    "e2e": "start-server-and-test \\"serve -l 5002\\" http://localhost:5002 test"
  },
  "nodemonConfig": { "exec": "node --inspect=9229 .", "env": { "PORT": "5005", "PORTS": "1" } },
  "nested": { "scripts": { "x": "next dev -p 5006" } }
}
"""


def test_a_package() -> None:
    """Scripts, npm's own config, the proxy of CRA and nodemon's settings; nothing of the rest."""
    assert found_with_variables(PACKAGE, read(PACKAGE, "package.json")) == [
        ("8080", "host", "host", ("npm_package_config_port",)),
        ("8081", "host", "host", ("npm_package_config_api_port",)),
        ("3001", "url", "container", ()),
        ("5000", "host", "host", ("PORT",)),
        ("3000", "host", "host", ()),
        ("8000", "fallback", "host", ("PORT",)),
        ("5002", "host", "host", ()),
        ("5002", "url", "host", ()),
        ("9229", "host", "host", ()),
        ("5005", "host", "host", ("PORT",)),
    ]


def test_a_spec_is_whole() -> None:
    """Origin, place and excerpt of one port."""
    spec = next(spec for spec in read(PACKAGE, "web/package.json") if spec.published == "3000")
    assert spec.location == Location("web/package.json", 7, 45)
    assert spec.text == '"dev": "cross-env PORT=5000 next dev -p 3000",'
    assert (spec.origin, spec.role, spec.side) == ("npm", Role.HOST, Side.HOST)


def test_a_proxy_for_each_path() -> None:
    """The older form of `proxy`, an object."""
    text = '{"proxy": {"/api": {"target": "http://localhost:5000"}, "/ws": {"target": "ws://chat:5001", "ws": true}}}'
    assert [(spec.host, spec.published, spec.side) for spec in read(text, "package.json")] == [
        ("localhost", "5000", Side.HOST),
        ("chat", "5001", Side.CONTAINER),
    ]


def test_escapes() -> None:
    """Escapes before a number move no span; a number that is itself written with one is left out."""
    text = r'{"scripts": {"a": "echo \"\u00e9\ud83d\udea2\/\" && next dev -p 5000", "b": "next dev -p \u0035001 --port 500\u0030"}}'
    assert found_with_variables(text, read(text, "package.json")) == [("5000", "host", "host", ())]


def test_a_long_line_shows_the_port() -> None:
    """A file on one line: the excerpt is the part with the port."""
    text = json.dumps({"description": "x" * 500, "scripts": {"dev": "next dev -p 5000", "x": "y" * 500}})
    (spec,) = read(text, "package.json")
    check(text, "package.json", [spec])


@pytest.mark.parametrize(
    "text", ['{"scripts": {"a": "next dev -p 5000",}}', '{"scripts": "--port 5000', '{"scripts": "--port 5000"} x']
)
def test_what_is_no_json(text: str) -> None:
    """A file that npm would refuse is refused with its place."""
    with pytest.raises(InvalidFile) as refusal:
        read(text, "package.json")
    assert (refusal.value.path, refusal.value.line) == ("package.json", 1)
    assert refusal.value.column


def test_nesting_beyond_measure() -> None:
    """A file that is nested deeper than any parser goes is refused, not a crash."""
    text = '{"scripts": {"port": ' + "[" * 200_000 + "5000"
    assert read_safely(read, text, "package.json") == []


def test_a_file_without_a_port_is_not_parsed() -> None:
    """Nothing in it looks like one, so not even an error in it is of interest."""
    assert read('{"scripts": {"start": "node server.js",}', "package.json") == []


def test_only_package_json() -> None:
    """The name decides; a lock file is not read."""
    assert format_of("client/package.json") == "npm"
    assert format_of("package-lock.json") is None


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(st.sampled_from(["scripts", "config", "proxy", "port", "env"]), st.text()), inner, max_size=4
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_any_json_is_read(value: object, indent: int | None, escapes: bool) -> None:
    """Valid JSON never raises, however it is laid out, and each span holds the digits that are told."""
    text = json.dumps({"scripts": value, "proxy": value}, indent=indent, ensure_ascii=escapes)
    check(text, "package.json", read(text, "package.json"))


@settings(max_examples=200, deadline=None)
@given(JSON, st.booleans())
def test_scalars_are_those_of_the_standard_library(value: object, escapes: bool) -> None:
    """The strings and numbers that are found, with their keys, are those that the json module reads."""
    text = json.dumps(value, ensure_ascii=escapes)
    found_here = [(keys, passage.text) for keys, passage in json_strings.scalars(Passage.of(text, 0, len(text)))]
    assert found_here == list(_scalars(json.loads(text), ()))


def _scalars(value: object, keys: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in _scalars(inner, (*keys, key))]
    if isinstance(value, list):
        return [found for inner in value for found in _scalars(inner, (*keys, ""))]
    return [(keys, value if isinstance(value, str) else json.dumps(value))]


@settings(max_examples=200, deadline=None)
@given(st.one_of(TEXTS, TEXTS.map(lambda text: f'{{"scripts": {{"port": {text}')))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Other texts are refused with their place."""
    read_safely(read, text, "package.json")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("npm run dev -- --port 5000", ["5000"]),
        ("npm run dev -- -p 5000", ["5000"]),
        ("npm run-script dev -- -p 5000 --host x", ["5000"]),
        ("pnpm dev -p 5000", ["5000"]),
        ("yarn run dev -p 5000", ["5000"]),
        ("bun run dev --port=5000", ["5000"]),
        ("PORT=4999 npm start -- -l 5000 && npm run tail", ["4999", "5000"]),
        ("npm run sql -- --port 5432", []),
        ("npm run build -- -p 5000", []),
        ("npm run gone -- -p 5000", []),
        ("npm run gone -- --port 5000", ["5000"]),
        ("npm run x -- -p 5000", []),
        ("npm run", []),
    ],
)
def test_words_that_another_script_is_passed(script: str, expected: list[str]) -> None:
    """They are that script's: an option is a port if it is one of the program that it runs at last."""
    scripts = {"x": script, "dev": "tsc -p . && next dev", "start": "serve", "build": "tsc", "sql": "psql shop"}
    text = json.dumps({"scripts": scripts})
    specs = read(text, "package.json")
    check(text, "package.json", specs)
    assert [spec.published for spec in specs] == expected


def test_real_packages() -> None:
    """What the packages of real projects write, as a person reads them."""
    if not CORPUS.is_dir():
        unmet(f"{CORPUS} is missing")
    expected = {
        "react-express-mongodb/frontend": ["3000"],
        "react-express-mysql/backend": ["9229", "9229", "8081", "9230", "8081", "9230"],
    }
    files = sorted((CORPUS / "awesome-compose").rglob("package.json"))
    assert len(files) == 10
    for file in files:
        text = file.read_bytes().decode()
        specs = read(text, file.name)
        check(text, "package.json", specs)
        name = os.fspath(file.parent.relative_to(CORPUS / "awesome-compose"))
        assert [spec.published for spec in specs] == expected.get(name, [])
