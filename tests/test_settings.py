"""`portward.toml`: what it may say, and where each mistake in it is."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward import catalog, rules
from portward.errors import InvalidFile
from portward.formats.settings import KEYS, merged, parse
from portward.formats.toml_places import Places
from portward.model import PortRange, Settings, Severity
from tests.generated_docs import ROOT
from tests.judging import settings

WHOLE = """\
# what this project decided
production = true
store = "sqlite:///var/ports.db"

[ranges]
api = "11000-11499"
gpu = "15000-15999"

[kinds]
trainer = "gpu"
ledger = "database"

[severity]
customary-port = "off"
privileged-port = "note"

[[ignore]]
rule = "exposed-database"
service = "ledger"
port = 5432
path = "compose*.yaml"
reason = "the network is closed"

[[ignore]]
rule = "hardcoded-port"
reason = "generated"

[[pin]]
service = "web"
port = 8080
reason = "the OAuth provider knows no other"
"""


def test_a_whole_file() -> None:
    """Every key, read into the records that the verbs use."""
    said = settings(WHOLE)
    assert said.production
    assert said.store == "sqlite:///var/ports.db"
    assert said.ranges == {"api": PortRange(11000, 11499), "gpu": PortRange(15000, 15999)}
    assert said.policy == ("api", "gpu")
    assert said.kinds == {"trainer": "gpu", "ledger": "database"}
    assert said.severities == {"customary-port": None, "privileged-port": Severity.NOTE}
    first, second = said.ignores
    assert (first.rule, first.service, first.port, first.path) == ("exposed-database", "ledger", 5432, "compose*.yaml")
    assert (second.service, second.port, second.path, second.reason) == (None, None, None, "generated")
    assert [str(ignore.location) for ignore in said.ignores] == ["portward.toml:17:3", "portward.toml:24:3"]
    (pin,) = said.pins
    assert (pin.service, pin.port, str(pin.location)) == ("web", 8080, "portward.toml:28:3")
    assert settings("") == Settings()


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("production = tru", "1:14", "not valid TOML", None),
        ("[ranges", "1:8", "not valid TOML", None),
        ("a = 1\na = 2", "2:6", "not valid TOML: Cannot overwrite a value", None),
        ('a = """', "1:8", "not valid TOML", None),
        ("x\n", "1:2", "not valid TOML", None),
        ("\n[range]\n", "2:2", "'range' is not a key here", "did you mean ranges?"),
        ("[[ignores]]\n", "1:3", "'ignores' is not a key here", "did you mean ignore?"),
        ("xyzzy = 1", "1:1", "'xyzzy' is not a key here", "the keys here are production"),
        ('production = "yes"', "1:14", "production must be true or false", None),
        ("store = 5", "1:9", "store must be a text", None),
        ('store = "ports.db"', "1:9", "not the address of a lease store", "sqlite:///PATH"),
        ("ranges = 5", "1:1", "ranges is a table", "[ranges] on a line of its own"),
        ("[ranges]\napi = 5000\n", "2:7", "a range is a text", '"11000-11999"'),
        ('[ranges]\napi = "12000-11000"', "2:7", "descending range", "did you mean 11000-12000?"),
        ('[ranges]\napi = "1-70000"', "2:7", "70000 is not a port", "did you mean 7000?"),
        ('[ranges]\ndatabse = "1-2"\n', "2:1", "no service is of kind 'databse'", "did you mean database?"),
        ('ranges.api = "x"\n', "1:14", "'x' is not a port", None),
        ('[kinds]\nweb = "databse"', "2:7", "'databse' is not a kind", "did you mean database?"),
        ("[kinds]\nweb = 5", "2:7", "5 is not a kind", "ai, api, database"),
        ('[severity]\n"customery-port" = "off"', "2:1", "there is no rule", "did you mean customary-port?"),
        ('[severity]\ncustomary-port = "warn"', "2:18", "'warn' is not a severity", "did you mean warning?"),
        ("[severity]\ncustomary-port = false", "2:18", "False is not a severity", None),
        ("[ignore]\nrule = 'x'", "1:2", "ignore is a list of tables", "[[ignore]] on a line of its own"),
        ("[[ignore]]\nreason = 'x'", "1:3", "rule is missing", None),
        ("[[ignore]]\nrule = 'customary-port'", "1:3", "reason is missing", None),
        ("[[ignore]]\nrule = 'customary-port'\nreason = ' '", "3:10", "reason is missing", None),
        ("[[ignore]]\nrule = 'x'\nreason = 'x'", "2:8", "there is no rule 'x'", None),
        ("[[ignore]]\nrule = 'customary-port'\nreason = 'x'\nprot = 5", "4:1", "'prot' is not a key", "port"),
        ("[[ignore]]\nrule = 'customary-port'\nreason = 'x'\nport = 0", "4:8", "0 is not a port", None),
        ("[[ignore]]\nrule = 'customary-port'\nreason = 'x'\nport = true", "4:8", "port must be a whole number", None),
        ("[[pin]]\nservice = 'a'\nport = 1", "1:3", "reason is missing", None),
        ("[[pin]]\nservice = 'a'\nreason = 'r'", "1:3", "a pin needs a port", None),
        ("[[pin]]\nservice = 5", "2:11", "service must be a text", None),
        (
            "[[pin]]\nservice = 'a'\nport = 1\nreason = 'r'\n[[pin]]\nservice = 'b'\nport = 1\nreason = 'r'\n",
            "7:8",
            "1 is pinned for a already",
            None,
        ),
        ("pin = [\n  {service = 'a', port = 1},\n]\n", "1:1", "reason is missing", None),
    ],
)
def test_every_mistake_has_its_place(text: str, place: str, message: str, hint: str | None) -> None:
    """Line and column of the key or of the value, what is wrong, and the way out."""
    with pytest.raises(InvalidFile) as failure:
        settings(text)
    error = failure.value
    assert (error.path, f"{error.line}:{error.column}") == ("portward.toml", place)
    assert message in error.message
    if hint is not None:
        assert error.hint is not None
        assert hint in error.hint


def test_a_byte_order_mark_is_no_mistake() -> None:
    """Editors on Windows write one."""
    assert settings("\ufeffproduction = true\r\n[kinds]\r\nweb = 'api'\r\n").production


def test_the_project_wins_over_the_user() -> None:
    """Names are joined; the user's ranges are no policy for the project, nor are the user's ignores ever called unused."""
    user = settings('store = "sqlite:///u"\n[ranges]\napi = "1-2"\nai = "3-4"\n[severity]\ninvalid-port = "off"\n')
    user = user.replace(ignores=settings(WHOLE).ignores, pins=settings(WHOLE).pins)
    project = settings('[ranges]\napi = "5-6"\n[[pin]]\nservice = "web"\nport = 9\nreason = "r"\n')
    both = merged(user, project)
    assert both.ranges == {"api": PortRange(5, 6), "ai": PortRange(3, 4)}
    assert both.policy == ("api",)
    assert both.severities == {"invalid-port": None}
    assert both.store == "sqlite:///u"
    assert [ignore.location for ignore in both.ignores] == [None, None]
    assert [(pin.service, pin.port) for pin in both.pins] == [("web", 9)]


def test_the_documentation_has_every_key() -> None:
    """docs/settings.md describes each key of the parser, and its examples are read without a mistake."""
    text = (ROOT / "docs/settings.md").read_text("utf-8")
    examples = [part.partition("```")[0] for part in text.split("```toml\n")[1:]]
    assert examples
    for example in examples:
        settings(example)
    for key, inner in KEYS.items():
        section = text.partition(f"## {key}\n")[2].partition("\n## ")[0]
        assert section, f"{key} has no section"
        for name in inner:
            assert f"`{name}`" in section, f"{key}.{name} is not described"
    for kind in catalog.KINDS:
        assert f"`{kind}`" in text
    whole = settings(examples[0])
    assert all((whole.ranges, whole.severities, whole.ignores, whole.pins, whole.kinds, whole.store))


_NAMES = st.text("abcdefgh_-0123456789", min_size=1, max_size=6)
_VALUES = st.sampled_from(
    [
        "1",
        "true",
        '"a [b] {c} # d"',
        "'x = 1'",
        '"""\nk = 1\n[t]\n"""',
        "'''\n[u]\nk = 2\n'''",
        "[\n1, # ]\n2]",
        "{a = 1}",
    ]
)


@given(
    st.dictionaries(_NAMES, st.dictionaries(_NAMES, _VALUES, max_size=4), max_size=4), st.sampled_from(["\n", "\r\n"])
)
def test_places_are_where_the_keys_are(tables: dict[str, dict[str, str]], newline: str) -> None:
    """In any text, whatever its values look like, a key and its value are found where they stand."""
    text = "# [ranges]\n"
    places: dict[tuple[str, str], tuple[int, int]] = {}
    for table, pairs in tables.items():
        text += f"  [ {table} ] # x = 1\n"
        for key, value in pairs.items():
            places[table, key] = (text.count("\n") + 1, 2)
            text += f" {key} = {value} # [y]\n"
    text = text.replace("\n", newline)
    tomllib.loads(text)
    found = Places(text, "p")
    for (table, key), (line, column) in places.items():
        place = found.key((table, key))
        assert (place.line, place.column) == (line, column)
        assert found.value((table, key)) == place.replace(column=column + len(key) + 3)


@given(st.text("[]{}=.'\"#\\\n abk1-_"))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text is a bug: settings, or an error with a place in the text."""
    error = None
    try:
        parse(text, "p", rules.NAMES, catalog.KINDS)
    except InvalidFile as refusal:
        error = refusal
    assert error is None or (error.line is not None and 1 <= error.line <= text.count("\n") + 1)
    Places(text, "p")
