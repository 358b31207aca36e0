"""Compose files: ports, places, merging, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats.compose import stack
from portward.formats.compose.ports import PortError, parse_short
from portward.formats.project import declare
from portward.formats.template import TemplateError, expand
from portward.formats.yaml_parse import parse
from portward.model import ComposeOptions, PortSpec, Role, Side
from tests.reading import reader

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/compose_cases.json").read_text("utf-8"))[
    "cases"
]
if TYPE_CHECKING:
    from collections.abc import Iterable

    from portward.formats import Stack

KEYS = ("host_ip", "published", "target", "protocol")


def _cases(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [c for c in CASES if c["kind"] in kinds], ids=lambda case: case["id"])


def _ports(text: str, values: dict[str, str] | None = None) -> list[PortSpec]:
    return [spec for spec in _read(text, values).services[0].ports if spec.origin == "compose"]


def _read(text: str, values: dict[str, str] | None = None, *profiles: str) -> Stack:
    """One Compose file by itself."""
    return stack.read(["compose.yaml"], reader({"compose.yaml": text}), values or {}, profiles)


Entries = list[dict[str, Any]]


def _readings(case: dict[str, Any]) -> list[Entries | None]:
    """What a case may be read as, None for refused: versions of Compose disagree on some (docs/compose.md says which is ours)."""
    measured = None if case.get("error") else case.get("expect")
    others = [None if isinstance(other, str) else other for other in case.get("differs", {}).values()]
    return [reading and _plain(reading) for reading in (measured, *others)]


def _plain(entries: Iterable[Any]) -> Entries:
    as_dicts = [entry if isinstance(entry, dict) else {key: getattr(entry, key) for key in KEYS} for entry in entries]
    return [{key: entry[key] or "" for key in KEYS} for entry in as_dicts]


def test_the_case_tables_are_whole() -> None:
    """All measured cases are there, and every kind of them is run by a test below."""
    assert len(CASES) == 252
    assert {case["kind"] for case in CASES} == {
        *("short", "interpolation", "yaml_item", "long", "interpolation_long", "project")
    }


@_cases("short", "interpolation")
def test_short_syntax(case: dict[str, Any]) -> None:
    """Every measured short entry, interpolated or not, publishes what Compose publishes."""
    try:
        found = _plain(parse_short(expand(case["input"], case["env"]).text).entries)
    except (PortError, TemplateError):
        assert None in _readings(case)
        return
    assert found in _readings(case)


@_cases("yaml_item", "long", "interpolation_long")
def test_long_syntax_and_yaml_typing(case: dict[str, Any]) -> None:
    """Every measured mapping and unquoted scalar is typed as go-yaml types it; what is refused has a place."""
    item = case["input"] if case["kind"] == "yaml_item" else json.dumps(case["input"])
    text = f"services:\n  web:\n    image: x\n    ports:\n      - {item}\n"
    try:
        found: Entries | None = _plain(_ports(text, case.get("env")))
    except InvalidFile as failure:
        found, line = None, failure.line
    assert found in _readings(case)
    assert found is not None or line is not None


@pytest.mark.parametrize(
    ("item", "values", "written"),
    [
        ('"8080:80"', {}, "8080"),
        ("8080:80", {}, "8080"),
        ("'127.0.0.1:8080:80/tcp'", {}, "8080"),
        ('"${PORT:-5000}:5000"', {}, "5000"),
        ('"${PORT:-5000}:5000"', {"PORT": "6000"}, "${PORT:-5000}"),
        ('"127.0.0.1:${PORT}:5000"', {"PORT": "6000"}, "${PORT}"),
        ('&p "8080:80" # comment', {}, "8080"),
        ('!!str "8080:80"', {}, "8080"),
        ("{target: 80, published: '8080'}", {}, "8080"),
    ],
)
def test_the_span_is_what_writes_the_host_port(item: str, values: dict[str, str], written: str) -> None:
    """The span covers the port's own characters, or the variable that gives it."""
    text = f"services:\n  web:\n    image: ä\n    ports:\n      - {item}\n"
    (spec,) = _ports(text, values)
    assert text[spec.span.start : spec.span.end] == written


def test_an_overridden_default_is_a_fallback() -> None:
    """The default of a variable that has a value is a reference of its own, with its own place."""
    text = 'services:\n  web:\n    image: x\n    ports: ["${PORT:-5000}:5000"]\n'
    specs = {spec.origin: spec for spec in _read(text, {"PORT": "6000"}).services[0].ports}
    fallback = specs["compose-fallback"]
    assert (fallback.published, fallback.role, fallback.side) == ("5000", Role.FALLBACK, Side.HOST)
    assert text[fallback.span.start : fallback.span.end] == "5000"
    assert specs["compose"].published == "6000"


def test_both_sides_of_a_service() -> None:
    """`environment: PORT`, `expose` and URLs by service name are the container's side."""
    text = """\
services:
  api:
    image: node
    expose: ["9000"]
    environment:
      PORT: 5000
      DB: postgres://db:5432/x
    networks:
      net:
        aliases: [nexus-server]
    ports: ["6000:5000"]
networks:
  net:
"""
    api = _read(text).services[0]
    assert api.names == ("api", "nexus-server")
    sides = {(spec.origin, spec.published or spec.target, spec.side) for spec in api.ports}
    assert sides == {
        ("compose", "6000", Side.HOST),
        ("compose-target", 5000, Side.CONTAINER),
        ("compose-expose", 9000, Side.CONTAINER),
        ("compose-environment", 5000, Side.CONTAINER),
        ("compose-url", "5432", Side.CONTAINER),
    }


def test_anchors_and_merge_keys() -> None:
    """An aliased list and a merged mapping give their ports to every service that uses them."""
    text = 'x-a: &a\n  image: x\n  ports: &p ["1:1"]\nservices:\n  one: {<<: *a}\n  two: {image: x, ports: *p}\n'
    assert [spec.published for service in _read(text).services for spec in service.claims] == ["1", "1"]


def test_files_are_merged_in_order() -> None:
    """`ports:` of a later file are appended, equals once; other values win."""
    base = 'services:\n  web: {image: a, ports: ["8080:80", "1:1"]}\n'
    override = 'services:\n  web: {image: b, ports: ["8081:80", "0.0.0.0:1:1/tcp"]}\n'
    (web,) = stack.read(["a.yml", "b.yml"], reader({"a.yml": base, "b.yml": override}), {}).services
    assert web.image == "b"
    assert [spec.published for spec in web.claims] == ["8080", "1", "8081"]


def test_profiles() -> None:
    """A service behind a profile is inactive until the profile is asked for, or all are."""
    text = 'services:\n  a: {image: x}\n  b: {image: x, profiles: [debug], ports: ["1:1"]}\n'
    assert [service.name for service in _read(text).inactive] == ["b"]
    assert [service.name for service in _read(text, {}, "debug").services] == ["a", "b"]
    assert [service.name for service in _read(text, {}, "*").services] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ('services:\n  web:\n    ports:\n      - "80880:80"\n', 4, 9, "80880"),
        ("services:\n  web:\n    ports: 80\n", 3, 12, "list"),
        ("services: [a]\n", 1, 11, "mapping"),
        ("services:\n  web: {}\n  web: {}\n", 3, 3, "twice"),
        ('services:\n  web:\n    ports:\n      - "${A!}:80"\n', 4, 10, "A"),
        ('services:\n  web:\n    ports:\n      - "${A:?set it}:80"\n', 4, 10, "set it"),
        ("services:\n\tweb: {}\n", 2, 1, "YAML"),
        ("web: {image: x}\n", 1, 1, "services"),
        ("services:\n", 1, 10, "mapping"),
    ],
)
def test_refusals_have_their_place(text: str, line: int, column: int, says: str) -> None:
    """What Compose refuses is refused at its line and column, with the reason."""
    with pytest.raises(InvalidFile, match=says) as failure:
        _read(text)
    assert (failure.value.line, failure.value.column) == (line, column)


@_cases("project")
def test_projects(case: dict[str, Any]) -> None:
    """Every measured project of several files, profiles and variables declares what Compose 2.40 declares."""

    def found() -> dict[str, list[dict[str, Any]]]:
        options = ComposeOptions(tuple(case["f_args"]), tuple(case["profiles"]))
        project = declare("/p", "p", sorted(case["files"]), reader(case["files"]), case["env"], options)
        return {
            service.name: [{key: getattr(s, key) or "" for key in KEYS} for s in service.ports if s.origin == "compose"]
            for service in project.services
        }

    if case.get("error") or "error" in str(case.get("differs", "")):
        with pytest.raises(InvalidFile):
            found()
        return
    expected = {
        name: [{key: entry[key] for key in KEYS} for entry in entries]
        for name, entries in case["expect_services"].items()
    }
    assert found() == expected


def test_extends_from_another_file() -> None:
    """A service extends one of another file, by a path relative to the file that says so; a circle is refused."""
    files = {
        "compose.yaml": "services:\n  a:\n    extends: {file: sub/base.yaml, service: b}\n    ports: ['2:2']\n",
        "sub/base.yaml": "services:\n  b:\n    extends: {file: more/base.yaml, service: c}\n",
        "sub/more/base.yaml": "services:\n  c:\n    image: x\n    ports: ['1:1']\n",
    }
    (service,) = stack.read(["compose.yaml"], reader(files), {}).services
    assert [(spec.published, spec.location.path) for spec in service.claims] == [
        ("1", "sub/more/base.yaml"),
        ("2", "compose.yaml"),
    ]
    with pytest.raises(InvalidFile, match="extends itself"):
        _read("services:\n  a: {extends: b}\n  b: {extends: a}\n")
    with pytest.raises(InvalidFile, match="not in"):
        _read("services:\n  a: {extends: nobody}\n")


def test_include_has_its_own_variables() -> None:
    """An included file is interpolated with the `.env` of its folder, or with its `env_file`; a missing one is refused."""
    files = {
        "compose.yaml": "include:\n  - sub/compose.yaml\n  - {path: [two.yaml], env_file: two.env}\n",
        "sub/compose.yaml": 'services: {a: {image: x, ports: ["${PORT}:1"]}}\n',
        "sub/.env": "PORT=10\n",
        "two.yaml": 'services: {b: {image: x, ports: ["${PORT}:1"]}}\n',
        "two.env": "PORT=20\n",
    }

    found = stack.read(["compose.yaml"], reader(files), {})
    assert [spec.published for service in found.services for spec in service.claims] == ["10", "20"]
    with pytest.raises(InvalidFile, match="missing") as failure:
        _read("include: [missing.yaml]\n")
    assert failure.value.line == 1


def test_a_file_that_includes_itself_is_refused() -> None:
    """A circle of includes ends with an error."""
    with pytest.raises(InvalidFile, match=r"circle: compose\.yaml -> compose\.yaml"):
        _read("include: [compose.yaml]\n")


def test_nesting_and_alias_bombs_are_bounded() -> None:
    """What is nested too deep, or made far larger by aliases than it is written, is refused at its place."""
    with pytest.raises(InvalidFile, match="levels deep") as failure:
        parse("a: " + "[" * 500 + "]" * 500, "compose.yaml")
    assert (failure.value.line, failure.value.column) == (1, 203)
    with pytest.raises(InvalidFile):
        parse("a: " + "[" * 50_000, "compose.yaml")
    bomb = "x-0: &a0 [x, x]\n" + "".join(f"x-{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
    with pytest.raises(InvalidFile, match="aliases") as failure:
        _read(bomb + "services: {web: {image: x}}\n")
    assert failure.value.line == 9
    shared = "x-0: &a [x, x]\nservices:\n" + "".join(f"  web{n}: {{image: x, command: *a}}\n" for n in range(500))
    assert len(_read(shared).services) == 500


@given(st.text(max_size=60))
def test_any_short_text_is_read_or_refused(text: str) -> None:
    """Any text is read or refused; what is read lies in the range of ports."""
    try:
        ports = parse_short(text)
    except PortError:
        return
    for entry in ports.entries:
        assert 0 < entry.target <= 65535


@given(st.text(alphabet="$${}:-+?ABab 0\n", max_size=40), st.dictionaries(st.sampled_from("AB"), st.text(max_size=4)))
def test_any_template_is_expanded_or_refused(text: str, values: dict[str, str]) -> None:
    """Any template is expanded or refused; without a dollar sign it stays what it is."""
    try:
        expansion = expand(text, values)
    except TemplateError:
        return
    if "$" not in text:
        assert expansion.text == text
    for piece in expansion.pieces:
        assert 0 <= piece.span.start <= piece.span.end <= len(text)
