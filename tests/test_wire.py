"""What machines tell each other: nothing is lost on the way, and nothing that comes back is believed unread."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward import wire
from portward.model import (
    Container,
    Endpoint,
    Holder,
    Identity,
    Lease,
    LeaseKind,
    Listener,
    Owners,
    Process,
    State,
    Transport,
)

text = st.text(max_size=20)
some = st.none() | text
port = st.integers(1, 65535)
moment = st.none() | st.integers(0, 4_000_000_000_000).map(lambda thousandths: thousandths / 1000)
processes = st.builds(
    Process,
    pid=st.integers(0, 1 << 22), name=text, command=st.lists(text, max_size=3).map(tuple), user=some, cwd=some,
    started=moment, start_ticks=st.none(), parent=st.none(), unit=some,
)  # fmt: skip
containers = st.builds(
    Container,
    id=text, name=text, image=text, project=some, service=some, target=st.none() | port, status=text, folder=some,
)  # fmt: skip
identities = st.builds(
    Identity,
    target=text, service=some, version=some, confidence=some, by=some, evidence=st.lists(text, max_size=2).map(tuple),
    answers=st.none() | st.booleans(), endpoint=st.none() | st.builds(Endpoint, text, port, st.just(Transport.TCP), st.none()), customary=st.just(()),
)  # fmt: skip
listeners = st.builds(
    Listener,
    endpoint=st.builds(Endpoint, text.filter(bool), port, st.sampled_from(list(Transport)), st.none() | st.booleans()),
    state=st.sampled_from(list(State)), user=some, owners=st.sampled_from(list(Owners)),
    processes=st.lists(processes, max_size=2).map(tuple), container=st.none() | containers, netns=some, project=some,
    service=some, note=some, identity=st.none() | identities, speaks_for=st.just(()), leased_to=st.just(()), cookie=st.none(),
)  # fmt: skip
words = text.filter(lambda each: ":" not in each)
leases = st.builds(
    Lease,
    host=text, netns=text, transport=st.sampled_from(list(Transport)), port=port,
    holder=st.builds(Holder, text, text, words, words, st.none(), st.none(), st.none()), kind=st.sampled_from(list(LeaseKind)), token=text,
    granted=moment.filter(lambda each: each is not None), expires=moment, preferred=st.none() | port,
    index=st.just(0), boot=st.just(""), reason=st.none(),
)  # fmt: skip
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(listeners)
def test_a_listener_comes_back_as_it_was(row: Listener) -> None:
    """Through JSON text and back, with all that the dictionary carries."""
    assert wire.read_listener(json.loads(json.dumps(wire.listener(row)))) == row


@given(leases, st.booleans())
def test_a_lease_comes_back_as_it_was(row: Lease, live: bool) -> None:
    """Through JSON text and back, with whether somebody has its port."""
    assert wire.read_lease(json.loads(json.dumps(wire.lease(row, live)))) == (row.replace(index=0, boot=""), live)


@settings(max_examples=300)
@given(st.data())
def test_no_value_of_a_stranger_breaks_the_reader(data: st.DataObject) -> None:
    """An honest document with some of its values replaced by anything is read, or refused as malformed."""
    document = wire.listener(data.draw(listeners))
    for key in data.draw(st.lists(st.sampled_from(list(document)), max_size=3)):
        document[key] = data.draw(json_values)
    try:
        row = wire.read_listener(document)
    except wire.Malformed:
        return
    assert 0 < row.port <= 65535
    assert all(each is None or type(each) is str for each in (row.user, row.project, row.service, row.netns))


@pytest.mark.parametrize("value", [None, 5, [], "listener", {}, {"port": True}, {"port": 80}, {"port": 70000}])
def test_what_is_no_listener_is_refused(value: object) -> None:
    """Neither a wrong type nor a missing key becomes a listener."""
    with pytest.raises(wire.Malformed):
        wire.read_listener(value)


@pytest.mark.parametrize("time", ["2026-11-25", "2026-11-25T10:00:00", "soon", "9999-99-99T00:00:00Z"])
def test_a_time_without_a_zone_is_refused(time: str) -> None:
    """Only ISO 8601 with an offset is a moment."""
    with pytest.raises(wire.Malformed):
        wire.read_process({"pid": 1, "name": "x", "started": time})


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300, -1e300])
def test_a_time_that_no_calendar_has_is_none(seconds: float) -> None:
    """A lease of another machine may say anything."""
    assert wire.moment(seconds) is None


def test_what_is_too_long_is_cut() -> None:
    """A text, and a list of processes, at lengths that no honest answer has."""
    row = Listener(Endpoint("127.0.0.1", 80), State.LISTEN, processes=(Process(1, "n" * 10_000, ("w",) * 5000),) * 3000)
    found = wire.read_listener(wire.listener(row))
    assert (len(found.processes), len(found.processes[0].command)) == (wire.MOST, wire.MOST)
    assert len(found.processes[0].name) == wire.LONGEST


@given(st.lists(listeners, max_size=3))
def test_unread_listeners_are_read_when_they_are_looked_at(rows: list[Listener]) -> None:
    """All of them, or those of some ports; their number without a look."""
    unread = wire.Unread(json.dumps([wire.listener(row) for row in rows]), len(rows))
    assert (len(unread), list(unread)) == (len(rows), rows)
    wanted = {row.port for row in rows[:1]}
    assert list(unread.on(wanted)) == [row for row in rows if row.port in wanted]
    assert list(wire.Unread(b"garbage", 1).on({5432})) == []


@given(st.lists(listeners, max_size=3), st.data())
def test_a_word_finds_whatever_mentions_it(rows: list[Listener], data: st.DataObject) -> None:
    """Any part of a name or of a command, in whatever script; others may be left out unread."""
    unread = wire.Unread(json.dumps([wire.listener(row) for row in rows]).encode(), len(rows))
    texts = [text for row in rows for text in _texts(row)]
    whole = data.draw(st.sampled_from(texts or ["nothing"]))
    start = data.draw(st.integers(0, len(whole)))
    word = whole[start : start + data.draw(st.integers(1, 8))].lower() or "nothing"
    found = list(unread.on(None, (word,)))
    assert [row for row in rows if any(word in text.lower() for text in _texts(row))] == [
        row for row in found if any(word in text.lower() for text in _texts(row))
    ]
    assert list(unread.on(None, ("no such word anywhere",))) == []


def _texts(row: Listener) -> list[str]:
    """What `ls WORD` looks at."""
    named = [
        row.project,
        row.service,
        *(each.name for each in row.processes),
        *(" ".join(each.command) for each in row.processes),
    ]
    named += [row.container.name, row.container.image] if row.container else []
    return [text for text in named if text]


@pytest.mark.parametrize("text", ["", "{}", "[5]", "[" * 100_000, b"\xff", '[{"port": 80}]'])
def test_unread_garbage_is_refused_when_it_is_looked_at(text: str | bytes) -> None:
    """Whatever was published as a host's listeners and is none."""
    with pytest.raises(wire.Malformed):
        list(wire.Unread(text, 1))
