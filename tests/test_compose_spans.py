"""The span of each published port: another number in its place changes that port and no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats.compose import stack
from tests.reading import reader

if TYPE_CHECKING:
    from portward.model import PortSpec

HEAD = "# ä😀\nservices:\n  web:\n    image: x\n    ports:\n"


def _published(text: str, values: dict[str, str]) -> list[PortSpec]:
    (web,) = stack.read(["c.yaml"], reader({"c.yaml": text}), values).services
    return [spec for spec in web.ports if spec.origin == "compose"]


def _check(text: str, values: dict[str, str]) -> None:
    """Splices another number into the place of each port of a text, one at a time, and reads it again."""
    body = text.removeprefix("\ufeff")
    before = _published(text, values)
    for index, spec in enumerate(before):
        number = 40_000 + index if spec.published else 60_000  # the target, where there is no host part
        after = _published(body[: spec.span.start] + str(number) + body[spec.span.end :], values)
        assert len(after) == len(before)
        for old, new in zip(before, after, strict=True):
            if old.span != spec.span or old.location != spec.location:
                assert (new.published, new.target, new.host_ip) == (old.published, old.target, old.host_ip)
            elif spec.published:
                assert (new.published, new.target, new.host_ip) == (str(number), old.target, old.host_ip)
            else:
                assert (new.published, new.target, new.host_ip) == (None, number, old.host_ip)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize(
    "items",
    [
        "- \"8080:80\"\n- 8081:81\n- '8082:82/udp'  # 8080\n",
        '- "127.0.0.1:8080:80"\n- "[::1]:8081:80"\n- 127.0.0.1::80\n',
        "- 3000\n- '3001'\n- 0x50\n",
        "- &p !!str 8080:80\n- !!str &q '8081:80'\n",
        "- target: 80\n  published: 8080\n- {target: 81, published: '8081', host_ip: 127.0.0.1}\n- {target: 82}\n",
        "- >-\n  8080:80\n- |-\n  8081:80\n",
        '- "${PORT:-5000}:5000"\n- "${OTHER:-5001}:5001"\n- "$PORT:1"\n',
        '- "${HOST:-127.0.0.1}:${PORT:-5000}:5000"\n- {target: 1, published: "${PORT-9}"}\n',
        '- "${NONE:-${OTHER:-5001}}:5001"\n- "${NONE:-5${NONE}02}:5001"\n',
        '- "80${TAIL}:80"\n- "${HEAD}81:80"\n- "9${TAIL:-0}1:80"\n',
        '- "8000-8002:80"\n- "8010:81"\n',
    ],
)
def test_a_span_is_the_ports_own(items: str, mark: str, newline: str) -> None:
    """Whatever quotes, tags, marks or variables are around it, and whatever ends the lines."""
    indented = "".join(f"      {line}\n" for line in items.splitlines())
    text = mark + (HEAD + indented).replace("\n", newline)
    _check(text, {"PORT": "6000", "TAIL": "00", "HEAD": "80"})


_NUMBER = st.integers(1, 39_999).map(str)
_HOST = (
    _NUMBER | _NUMBER.map(lambda port: f"${{A:-{port}}}") | st.sampled_from(["$B", "${B}", "${A:-${B}}", "${C:-7${B}}"])
)
_ADDRESS = st.sampled_from(["", "", "127.0.0.1:", "[::1]:", "${IP:-127.0.0.1}:"])
_QUOTES = st.sampled_from(['"', "'"])


@given(
    entries=st.lists(st.tuples(_QUOTES, _ADDRESS, _HOST, st.integers(1, 39_999)), min_size=1, max_size=4),
    values=st.fixed_dictionaries({"B": _NUMBER}, optional={"A": _NUMBER}),
)
def test_spans_of_generated_entries(entries: list[tuple[str, str, str, int]], values: dict[str, str]) -> None:
    """Each of several entries has its own span, with or without values for its variables."""
    items = "".join(f"      - {quote}{ip}{host}:{target}{quote}\n" for quote, ip, host, target in entries)
    try:
        before = _published(HEAD + items, values)
    except InvalidFile:
        return  # a number that a variable made too large
    if len(before) == len(entries):
        _check(HEAD + items, values)


def test_the_defaults_own_digits() -> None:
    """Of `${PORT:-5000}` the span is the digits where PORT is not set, and the whole reference where it is."""
    text = HEAD + '      - "${PORT:-5000}:80"\n'
    (unset,), (given_one,) = _published(text, {}), _published(text, {"PORT": "6000"})
    assert text[unset.span.start : unset.span.end] == "5000"
    assert text[given_one.span.start : given_one.span.end] == "${PORT:-5000}"


def test_sides_that_are_written_elsewhere() -> None:
    """`expose`, `environment` and targets have the spans of their own digits, quoted or by a default."""
    text = """\
services:
  web:
    image: x
    build: .
    network_mode: service:db
    expose: ["9000/tcp", 9001]
    environment: {PORT: "5000", API_PORT: "${NONE:-5001}"}
    ports: ["8080:81"]
  db: {image: x, environment: ["DB_PORT=5432"]}
"""
    web, db = stack.read(["c.yaml"], reader({"c.yaml": text}), {}).services
    written = {text[spec.span.start : spec.span.end] for spec in (*web.ports, *db.ports)}
    assert written == {"9000", "9001", "5000", "5001", "8080", "81", "5432"}
    assert (web.network_of, web.folders, db.network_of, db.folders) == ("db", ("",), None, ())
