"""Who held a port before: what was watched, run, stopped and leased; never more than two files, and never a secret."""

from __future__ import annotations

import json
import os
import stat
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from portward.answers import Event
from portward.model import (
    Container,
    Endpoint,
    Holder,
    Lease,
    LeaseKind,
    Listener,
    Owners,
    Process,
    Reclaimed,
    State,
    Transport,
)
from portward.processes import stop_log
from portward.verbs import history
from portward.ward import Portward
from tests.command import run, run_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import Listen

PORT = 5000
SERVER = Process(41287, "node", ("node", "server.js", "--password=secret"), "ada", "/code/nexus")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"XDG_STATE_HOME": str(tmp_path)}


def row(*processes: Process, port: int = PORT, container: Container | None = None) -> Listener:
    endpoint = Endpoint("127.0.0.1", port)
    return Listener(endpoint, State.LISTEN, "ada", Owners.SEEN, processes, container, project="nexus")


def write(environment: Mapping[str, str], *events: tuple[str, float, Listener]) -> list[str]:
    """What a watch that saw these events says of its record."""
    said: list[str] = []
    with history.recording(environment, said.append) as record:
        for event in events:
            record([Event(*event)])
    return said


def told(environment: Mapping[str, str], port: int = PORT) -> list[tuple[str, float]]:
    return [(each.what, each.when) for each in history.past(environment, port, Transport.TCP)]


def test_what_was_watched_is_told_the_latest_first(environment: dict[str, str]) -> None:
    """Each event with its holder; other ports, transports and namespaces have a history of their own."""
    other = row(SERVER).replace(endpoint=Endpoint("127.0.0.1", PORT, Transport.UDP))
    write(
        environment,
        ("start", 100.5, row(SERVER)),
        ("stop", 200.25, row(SERVER)),
        ("start", 300.0, row(SERVER, port=PORT + 1)),
        ("start", 300.0, other),
        ("start", 300.0, row(SERVER).replace(netns="net:[1]")),
    )
    latest, first = history.past(environment, PORT, Transport.TCP)
    assert (latest.what, latest.when, first.what, first.when) == ("stop", 200.25, "start", 100.5)
    assert (first.by, first.who, first.pid, first.user, first.project) == ("watch", "node", 41287, "ada", "nexus")
    assert first.address == "127.0.0.1"
    assert len(history.past(environment, PORT, Transport.UDP)) == 1


def test_no_command_is_written_and_nobody_else_may_read(environment: dict[str, str], tmp_path: Path) -> None:
    """Arguments may hold secrets: the file has none, and is open to its owner alone."""
    write(environment, ("start", 1.0, row(SERVER)))
    file = tmp_path / "portward/history.jsonl"
    assert "secret" not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_was_there_is_written_once(environment: dict[str, str]) -> None:
    """A second watch of the same listener adds nothing, one after its end does."""
    write(environment, ("present", 1.0, row(SERVER)))
    write(environment, ("present", 2.0, row(SERVER)))
    assert told(environment) == [("present", 1.0)]
    write(environment, ("stop", 3.0, row(SERVER)))
    write(environment, ("present", 4.0, row(SERVER)))
    assert told(environment) == [("present", 4.0), ("stop", 3.0), ("present", 1.0)]


def test_two_who_watch_tell_it_once(environment: dict[str, str]) -> None:
    """Each event is in the file twice, and told once."""
    with history.recording(environment, print) as one, history.recording(environment, print) as two:
        for when, what in ((1.0, "start"), (2.0, "stop")):
            one([Event(what, when, row(SERVER))])
            two([Event(what, when, row(SERVER))])
    assert told(environment) == [("stop", 2.0), ("start", 1.0)]


def test_who_watches_later_tells_nothing_anew(environment: dict[str, str]) -> None:
    """One of two looks only after the server was started anew: what the other told already is not told again."""
    again = SERVER.replace(pid=SERVER.pid + 1)
    events = [Event("start", 1.0, row(SERVER)), Event("stop", 2.0, row(SERVER)), Event("start", 3.0, row(again))]
    with history.recording(environment, print) as one, history.recording(environment, print) as two:
        one(events[:1])
        two(events[:1])
        one(events[1:])
        two(events[1:])
    assert told(environment) == [("start", 3.0), ("stop", 2.0), ("start", 1.0)]


def test_who_is_a_life_behind_tells_nothing_anew(environment: dict[str, str]) -> None:
    """One of two writes down the whole life of a socket after the other did. What is opened anew by the same process has a life of its own."""
    first, again = row(SERVER).replace(cookie=7), row(SERVER).replace(cookie=8)
    life = [Event("start", 1.0, first), Event("stop", 2.0, first)]
    with history.recording(environment, print) as one, history.recording(environment, print) as two:
        for event in (*life, Event("start", 3.0, again)):
            one([event])
        for event in life:
            two([event])
    assert told(environment) == [("start", 3.0), ("stop", 2.0), ("start", 1.0)]


@pytest.mark.parametrize("sees_first", [True, False])
def test_who_cannot_tell_the_owner_any_more_tells_no_other_life(environment: dict[str, str], sees_first: bool) -> None:
    """The socket was there still when one of two looked, its process was not: the other knows who that was."""
    known = row(SERVER).replace(cookie=7)
    unknown = row().replace(cookie=7, owners=Owners.HIDDEN, project=None)
    blind = [Event(what, when, unknown) for what, when in (("start", 1.25), ("stop", 2.25))]
    seeing = [Event("start", 1.0, known), Event("stop", 2.0, known)]
    with history.recording(environment, print) as one, history.recording(environment, print) as two:
        first, second = (seeing, blind) if sees_first else (blind, seeing)
        one(first[:1])
        two(second[:1])
        one(first[1:])
        two(second[1:])
    past = history.past(environment, PORT, Transport.TCP)
    assert [each.what for each in past] == ["stop", "start"]
    assert {(each.who, each.pid, each.project) for each in past} == {("node", SERVER.pid, "nexus")}


def test_a_socket_that_is_given_away_has_another_owner(environment: dict[str, str]) -> None:
    """Each of two who watch says so, and it is told once."""
    heir = SERVER.replace(pid=SERVER.pid + 1, name="heir")
    events = [
        Event("start", 1.0, row(SERVER).replace(cookie=7)),
        Event("owner", 2.0, row(heir).replace(cookie=7)),
        Event("stop", 3.0, row(heir).replace(cookie=7)),
    ]
    with history.recording(environment, print) as one, history.recording(environment, print) as two:
        for event in events:
            one([event])
            two([event.replace(when=event.when + 0.5)])
    past = history.past(environment, PORT, Transport.TCP)
    assert [(each.what, each.who, each.when) for each in past] == [
        ("stop", "heir", 3.0),
        ("owner", "heir", 2.0),
        ("start", "node", 1.0),
    ]


def test_two_files_are_the_most(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much two watches write: the latest is there, and the size is bounded. Nothing is written into a file put aside."""
    monkeypatch.setattr(history, "FULL_BYTES", 4000)
    with history.recording(environment, print) as one, history.recording(environment, print) as two:
        for when in range(100):
            one([Event("start", float(2 * when), row(SERVER))])
            two([Event("stop", float(2 * when + 1), row(SERVER))])
    files = sorted((tmp_path / "portward").iterdir())
    assert [file.name for file in files] == ["history.jsonl", "history.old.jsonl"]
    assert all(file.stat().st_size < 4000 + 300 for file in files)
    whens = [when for _what, when in told(environment)]
    assert whens == [float(when) for when in range(199, 199 - history.SHOWN, -1)]


def test_lines_that_make_no_sense_are_passed_over(environment: dict[str, str], tmp_path: Path) -> None:
    """A torn line, other JSON, and what lacks something."""
    write(environment, ("start", 1.0, row(SERVER)))
    with (tmp_path / "portward/history.jsonl").open("a") as file:
        file.write(
            '{"port": 5000, "transp\n[1]\n"x"\n\xff\n{"port": 5000, "transport": "tcp"}\n{"what": [], "port": {}}\n'
        )
        file.write('{"port": 5000, "transport": "tcp", "time": "never", "what": 1, "by": 2, "who": 3, "address": 4}\n')
    write(environment, ("stop", 2.0, row(SERVER)))
    assert told(environment) == [("stop", 2.0), ("start", 1.0)]


def test_where_nothing_can_be_written(environment: dict[str, str], tmp_path: Path) -> None:
    """The reason is told once, and the events go on."""
    (tmp_path / "portward").write_text("a file in the folder's place")
    said = write(environment, ("start", 1.0, row(SERVER)), ("stop", 2.0, row(SERVER)))
    assert len(said) == 1
    assert "not recorded" in said[0]
    assert told(environment) == []


def test_a_container_is_the_holder(environment: dict[str, str]) -> None:
    """Not the process that forwards for it."""
    container = Container("0123456789ab", "nexus-db-1", "postgres:16")
    write(environment, ("start", 1.0, row(SERVER, container=container)))
    (past,) = history.past(environment, PORT, Transport.TCP)
    assert (past.who, past.pid) == ("nexus-db-1", None)


def test_what_other_verbs_know(environment: dict[str, str]) -> None:
    """A stop that succeeded, a run, a lease and one that was taken back; not a stop that failed."""
    entry = {
        "time": "1970-01-01T00:00:10Z",
        "ports": [f"{PORT}/tcp"],
        "what": "node (pid 7)",
        "pids": [7],
        "user": "ada",
    }
    with stop_log.opened(environment, print) as add:
        add({**entry, "result": "stopped"})
        add({**entry, "result": "it would not end"})
    lease = Lease("host", "", Transport.TCP, PORT, Holder("/code/nexus", "", "web"), LeaseKind.STICKY, "token", 5.0)
    reclaimed = Reclaimed(lease, "its folder is gone", 7.0)
    history.ran(environment, PORT, "web", "nexus", "ran")
    found = history.past(environment, PORT, Transport.TCP, (lease, reclaimed, lease.replace(port=1)))
    assert [(each.by, each.what) for each in found] == [
        ("run", "ran"),
        ("kill", "stopped"),
        ("lease", "reclaimed"),
        ("lease", "leased"),
    ]


def test_who_tells_the_past(listen: Listen, free_port: int, tmp_path: Path) -> None:
    """What a watch saw is in `who --history`, as text and as JSON, and only there; without any it says what would write it."""
    empty = run("who", str(free_port), "--history", XDG_STATE_HOME=str(tmp_path))
    assert empty.returncode == 1
    assert "nothing is known" in empty.stdout
    assert not list(tmp_path.iterdir())
    ward = Portward(environment={"XDG_STATE_HOME": str(tmp_path), "DOCKER_HOST": ""})
    listen("127.0.0.1", free_port)
    with closing(ward.watch([str(free_port)])) as batches:  # type: ignore[type-var]
        next(batches)
    done = run("who", str(free_port), "--history", "--json", XDG_STATE_HOME=str(tmp_path))
    (past,) = json.loads(done.stdout)["ports"][0]["history"]
    assert (past["what"], past["by"], past["pid"], past["address"]) == ("present", "watch", os.getpid(), "127.0.0.1")
    text = run("who", str(free_port), "--history", XDG_STATE_HOME=str(tmp_path)).stdout
    assert f"{os.getpid()} was there on 127.0.0.1" in text
    assert "history" not in run_json("who", str(free_port))[0]["ports"][0]


def test_a_run_is_written_down(tmp_path: Path) -> None:
    """What `run` started, and that it ended."""
    done = run("run", "web", "--", "sh", "-c", "echo $PORT", XDG_STATE_HOME=str(tmp_path), cwd=tmp_path)
    port = int(done.stdout)
    found = history.past({"XDG_STATE_HOME": str(tmp_path)}, port, Transport.TCP)
    assert [(each.what, each.by, each.who) for each in found] == [("ended", "run", "web"), ("ran", "run", "web")]
