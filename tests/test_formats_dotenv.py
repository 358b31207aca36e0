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
