"""`Procfile`s of Foreman, Honcho and Heroku."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from portward.formats import format_of
from portward.formats.procfile import read
from portward.model import Role, Side
from tests.port_specs import check
from tests.test_formats_commands import TEXTS

PROCFILE = """# web: x --port 1
web: gunicorn app:app --bind 0.0.0.0:${PORT:-8000}
worker-2:   celery -A app flower --port=5555\r
release: python manage.py migrate
api:PORT=5001 node server.js
css tool: x --port 2
  indented: x --port 3
"""


def test_each_process_type_is_a_service() -> None:
    """The ports of each line are those of its process type; comments and what Foreman passes over are none."""
    specs = read(PROCFILE, "Procfile")
    check(PROCFILE, "Procfile", specs)
    assert [(spec.service, spec.published, spec.role, spec.variables) for spec in specs] == [
        ("web", "8000", Role.FALLBACK, ("PORT",)),
        ("worker-2", "5555", Role.HOST, ()),
        ("api", "5001", Role.HOST, ("PORT",)),
    ]
    assert {(spec.origin, spec.side) for spec in specs} == {("procfile", Side.HOST)}


def test_a_line_ends_where_it_ends() -> None:
    """A backslash at the end does not bring in the next line, which is another process."""
    specs = read("web: next dev \\\napi: x --port 5000\n", "Procfile")
    assert [(spec.service, spec.published) for spec in specs] == [("api", "5000")]


def test_file_names() -> None:
    """`Procfile` and `Procfile.dev`."""
    assert {format_of(path) for path in ("Procfile", "api/Procfile.dev")} == {"procfile"}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(TEXTS, TEXTS.map(lambda text: f"web: {text}"))).map("\n".join))
def test_any_text_is_read(text: str) -> None:
    """No text raises, and each span holds the digits that are told."""
    check(text, "Procfile", read(text, "Procfile"))
