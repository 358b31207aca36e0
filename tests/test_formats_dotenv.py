"""`.env` files as Docker Compose reads them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats import dotenv
from portward.model import Role, Side
from tests.port_specs import check, read_safely

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "data/env_cases.json").read_text("utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_case_table(case: dict[str, Any]) -> None:
    """Every case that was measured with compose-go reads the same here."""
    if case.get("error"):
        with pytest.raises(InvalidFile):
            dotenv.parse(case["text"], ".env", case["env"])
    else:
        assert dotenv.parse(case["text"], ".env", case["env"]).values == case["expect"]


def test_ports_have_their_place() -> None:
    """The number of a PORT variable is found with line, column and span, whatever quotes it."""
    text = "\ufeff# ports\r\nPORT=5000 # api\r\nexport API_PORT = '5001'\r\nOTHER=5002\r\n"
    specs = dotenv.ports(dotenv.parse(text, ".env"))
    assert [(spec.published, spec.location.line, spec.location.column) for spec in specs] == [
        ("5000", 2, 6),
        ("5001", 3, 20),
    ]
    body = text.removeprefix("\ufeff")
    assert [body[spec.span.start : spec.span.end] for spec in specs] == ["5000", "5001"]
    assert all(spec.role is Role.HOST and spec.side is Side.HOST for spec in specs)


def test_urls_are_references() -> None:
    """A URL's port is a reference: to the host's side on loopback, to a container's by a service name."""
    text = (
        "REACT_APP_API_URL=http://localhost:5000/api\nDB=postgres://app:secret@db:5432/app\nPLAIN=http://localhost/\n"
    )
    specs = dotenv.ports(dotenv.parse(text, "client/.env"))
    assert [(spec.published, spec.host, spec.side, spec.role) for spec in specs] == [
        ("5000", "localhost", Side.HOST, Role.URL),
        ("5432", "db", Side.CONTAINER, Role.URL),
    ]
    assert [text[spec.span.start : spec.span.end] for spec in specs] == ["5000", "5432"]


def test_an_error_has_its_place() -> None:
    """A line that Compose would refuse is told with line and column."""
    with pytest.raises(InvalidFile) as failure:
        dotenv.parse("A=1\nPO RT=2\n", "sub/.env")
    assert (failure.value.path, failure.value.line, failure.value.column) == ("sub/.env", 2, 1)


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, it is read or refused, and every span lies in it."""
    try:
        variables = dotenv.parse(text, ".env")
    except InvalidFile:
        return
    body = text.removeprefix("\ufeff")
    for variable in variables.definitions:
        assert 0 <= variable.span.start <= variable.span.end <= len(body)
        assert body[variable.span.start : variable.span.end] == variable.raw


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_only_what_all_readers_agree_on(case: dict[str, Any]) -> None:
    """A port of a file that Compose does not read is the same to python-dotenv, npm's dotenv and Node, as measured."""
    try:
        specs = dotenv.read(case["text"], "client/.env.local")
    except InvalidFile:
        assert case.get("error")
        return
    readings = [values.get("values", values) for values in case.get("differs", {}).values()]
    for spec in specs:
        name = spec.variables[0]
        assert all(str(spec.published) in (values.get(name) or "") for values in readings)
        assert all(spec.role is not Role.HOST or values[name] == spec.published for values in readings)


@pytest.mark.parametrize(
    ("line", "agreed"),
    [
        ("PORT=5000", True),
        ("PORT=5000  ", True),
        ("PORT = '5000'", True),
        ('export PORT="5000" # web', True),
        ("PORT=5000 # web", True),
        ("URL=http://localhost:5000/#/top", True),
        ('URL="http://a/#http://localhost:5000"', True),
        ("PORT=5000\r", True),
        ("PASSWORD=a${b\nPORT=5000", True),
        ("PORT=5000#web", False),
        ("PORT=5000\t# web", False),
        ("PORT: 5000", False),
        ("PORT:5000", False),
        ("PORT=`5000`", False),
        ('PORT="5000"x', False),
        ("\tPORT=5000", False),
        ("export\tPORT=5000", False),
        ("PORT=5000\u00a0", False),
        ("URL=http://a/#http://localhost:5000", False),
        ("PORT=1\nPORT=5000", True),
        ("PORT=5000\nPORT", False),
        ('URL="http://a\\"b@localhost:5000"', False),
        ("PORT=${WEB_PORT:-5000}", False),
        ("URLS='http://localhost:5000\n'", False),
        ("\ufeffPORT=5000", False),
        ("\ufeffX=1\nPORT=5000", True),
    ],
)
def test_dialects(line: str, agreed: bool) -> None:
    """Blanks, quotes and comments that readers take differently make a port uncertain, and it is left out."""
    specs = dotenv.read(f"{line}\n", ".env.production")
    check(f"{line}\n", ".env.production", specs)
    assert [spec.published for spec in specs] == (["5000"] if agreed else [])


def test_a_value_that_falls_back() -> None:
    """In the file that Compose interpolates from, the number of `${NAME:-N}` is a fallback for that name."""
    text = (
        "PORT=${WEB_PORT:-5000}\n"
        'API_PORT="${A:-${B_PORT-5001}}"\n'
        "URL=http://localhost:${PORT:-5002}/\n"
        "TTL=${TTL:-5003}\n"
        "C_PORT='${D_PORT:-5004}'\n"
        "E_PORT=$${F_PORT:-5005}\n"
        "G_PORT=${H_PORT:-5006}0\n"
    )
    specs = dotenv.ports(dotenv.parse(text, ".env"))
    assert [(spec.published, spec.role, spec.variables) for spec in specs] == [
        ("5000", Role.FALLBACK, ("WEB_PORT", "PORT")),
        ("5001", Role.FALLBACK, ("A", "B_PORT", "API_PORT")),
        ("5002", Role.FALLBACK, ("PORT",)),
        ("5006", Role.FALLBACK, ("H_PORT",)),
    ]
    check(text, ".env", specs)


@given(
    st.lists(
        st.one_of(
            st.sampled_from(["PORT=", "5000", "\n", " ", "#", "'", '"', "`", ":", "http://h:", "${X:-"]),
            st.text(max_size=2),
        )
    ).map("".join)
)
def test_any_text_gives_digits(text: str) -> None:
    """Each span of a file of the family holds the digits that are told."""
    read_safely(dotenv.read, text, ".env.local")


def test_addresses_are_references_or_listened_on() -> None:
    """A value that is nothing but addresses: of others, or, where it names no host, one's own."""
    text = "BROKERS=localhost:9092,kafka:9093\nADDR=:8080\nOLLAMA_HOST='0.0.0.0:11434'\nIMAGE=postgres:16\nAT=12:30\n"
    found = [(spec.variables[0], spec.number, spec.role, spec.side, spec.host) for spec in dotenv.read(text, ".env")]
    assert found == [
        ("BROKERS", "9092", Role.URL, Side.HOST, "localhost"),
        ("BROKERS", "9093", Role.URL, Side.CONTAINER, "kafka"),
        ("ADDR", "8080", Role.HOST, Side.HOST, None),
        ("OLLAMA_HOST", "11434", Role.HOST, Side.HOST, None),
    ]
