"""The etcd store on real members: their leader killed, users and TLS, and what others put into it."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from portward import cli
from portward.errors import Unavailable
from portward.leases import open_store
from portward.leases.etcd import EtcdStore, store_at
from portward.model import LeaseKind
from tests.test_leases_contract import HERE, NOW, PROCESS, always, ask, grant, holder, ports_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.etcd import Cluster


@pytest.fixture
def store(etcd: Cluster, tmp_path: Path) -> Iterator[EtcdStore]:
    """An empty store."""
    with closing(store_at(f"etcd://{etcd.endpoints}/{tmp_path.name}-{time.time_ns()}", {})) as opened:
        yield opened


def test_a_try_without_an_answer_finds_its_own(store: EtcdStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first try is carried out, and its answer lost: grant, renewal and release are told as done, once."""
    (before,) = grant(store, ask("web", kind=LeaseKind.TTL, ttl=60))
    call, lost = store.gateway.call, [True]

    def unheard(path: str, body: Any) -> Any:
        if path == "kv/txn" and body["compare"] and not lost:
            lost.append(call(path, body)[0].get("succeeded", False))
            return call(path, body)[0], True
        return call(path, body)

    monkeypatch.setattr(store.gateway, "call", unheard)
    lost.clear()
    (lease,) = grant(store, ask("api"))
    assert lost == [True]
    assert store.leases() == (before, lease)
    lost.clear()
    (renewed,) = store.renew([before], 90, NOW)
    assert renewed.expires == NOW + 90
    lost.clear()
    assert store.release([lease, renewed]) == (lease, renewed)
    assert lost == [True]
    (web,) = grant(store, ask(holder(process=PROCESS), kind=LeaseKind.PROCESS))
    lost.clear()
    (gone,) = store.reclaim(HERE, lambda _lease: "gone", always, NOW)
    assert lost == [True]
    assert gone.lease == web
    assert store.reclaimed() == (gone,)
    assert store.leases() == ()


def test_what_etcd_itself_ended_is_lost(store: EtcdStore) -> None:
    """A lease of kind ttl goes with its etcd lease; then it cannot be renewed, and its port is another's."""
    (lease,) = grant(store, ask("web", kind=LeaseKind.TTL, ttl=60))
    (entry,) = store.entries(None)
    assert entry.kv.lifeline
    assert store.gateway.keep_alive(entry.kv.lifeline) == 60 + 3600
    store.gateway.call("lease/revoke", {"ID": str(entry.kv.lifeline)})
    assert store.gateway.keep_alive(entry.kv.lifeline) == 0
    assert store.renew([lease], 60, NOW) == ()
    assert ports_of(grant(store, ask("api"))) == [20000]
    assert not store.gateway.all_below(store.keys.all_of("o", HERE.host))[1:]


def test_a_newer_store_is_refused(store: EtcdStore) -> None:
    """Also one that says nothing of its version; nothing is changed."""
    acts: list[Callable[[], object]] = [
        store.leases,
        lambda: grant(store, ask()),
        lambda: store.reclaim(HERE, lambda _lease: None, always, NOW),
    ]
    for value, told in ((b'{"version": 2, "made": 1}', "newer Portward"), (b"\xff", "is not a lease store's")):
        store.gateway.put(store.keys.version, value)
        for act in acts:
            with pytest.raises(Unavailable, match=told) as refused:
                act()
            assert refused.value.hint
        assert [check.name for check in store.check(NOW) if not check.ok] == ["store"]


HOSTILE = [
    b"", b"\xff\x00\x1b[2J", b"[" * 60000, b"{}", b"null", b'{"holder": 1}', b"1" * 9000, b'"\x1b]0;x\x07"', b"x" * 300_000,
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_is_shown_as_text_and_breaks_nothing(store: EtcdStore, value: bytes) -> None:
    """It is no lease, and in nobody's hands: its port is not granted, the check tells it, and a repair sets it aside."""
    (web,) = grant(store, ask("web"))
    (entry,) = store.entries(None)
    for key in (
        entry.kv.key.replace("20000", "20001"),
        f"{store.keys.all_of('l', HERE.host)}\x1b[2J",
        store.keys.looked(HERE.host),
    ):
        store.gateway.put(key, value)
    (mine,) = store.gateway.all_below(store.keys.all_of("o"))
    store.gateway.put(mine.key.rpartition("/")[0] + "/0", value)
    store.gateway.put(f"{store.keys.all_of('r', HERE.host)}x", value)
    (api,) = grant(store, ask("api"))
    assert api.port == 20002
    assert store.leases() == (web, api)
    assert store.reclaimed() == ()
    assert isinstance(store.looked(HERE.host), float)
    (rows,) = [check for check in store.check(NOW) if not check.ok]
    assert rows.name == "rows"
    assert rows.detail.isprintable()
    assert rows.repair
    done = store.repair(NOW)
    assert len(done) == 2
    assert all(each.isprintable() for each in done)
    assert all(check.ok for check in store.check(NOW))
    assert {kv.value for kv in store.gateway.all_below(store.keys.all_of("d"))} == {value}
    assert ports_of(grant(store, ask("new"))) == [20001]


def test_a_lease_that_says_something_else_is_no_lease(store: EtcdStore) -> None:
    """A value of the right form, under another's key, or with types, kinds or times that cannot be."""
    grant(store, ask("web"))
    (entry,) = store.entries(None)
    sound = json.loads(entry.kv.value)
    wrong: list[dict[str, Any]] = [
        {"port": 20002}, {"port": "20000"}, {"port": True}, {"kind": "ttl"}, {"expires": 5}, {"granted": 1e999}, {"token": None},
        {"host": "other"}, {"transport": "sctp"}, {"holder": {}}, {"index": -1}, {"sightings": "3"},
    ]  # fmt: skip
    for change in wrong:
        store.gateway.put(entry.kv.key, json.dumps({**sound, **change}).encode())
        assert store.leases(ports=[20000]) == (), change
        assert ports_of(grant(store, ask("api"))) == [20001]


def test_a_store_out_of_reach_says_so(free_port: int) -> None:
    """At once where nobody listens; nothing is granted."""
    with closing(open_store(f"etcd://127.0.0.1:{free_port}/p", {})) as store:
        acts: list[Callable[[], object]] = [
            store.leases,
            lambda: grant(store, ask()),
            lambda: store.recall([ask()], NOW),
        ]
        for act in acts:
            with pytest.raises(Unavailable, match="no lease store within reach") as refused:
                act()
            assert refused.value.hint
            assert refused.value.exit_code == 3
        assert [check.name for check in store.check(NOW) if not check.ok] == ["members", "store"]


def test_nothing_is_told_that_was_not_granted(
    etcd: Cluster, free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line: ports of a shared store that answers, and none, with status 3, while it does not; `check` goes on."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setenv("PORTWARD_STORE", f"etcd://{etcd.endpoints}/{tmp_path.name}-{time.time_ns()}")
    assert cli.main(["lease", "web", "api"]) == 0
    first = capsys.readouterr().out
    assert cli.main(["lease", "web", "api"]) == 0
    assert capsys.readouterr().out == first
    assert cli.main(["leases"]) == 0
    table = capsys.readouterr().out
    assert all(port in table for port in first.split())
    assert cli.main(["doctor", "--store"]) == 0
    assert "3 of 3 endpoints answer" in capsys.readouterr().out
    monkeypatch.setenv("PORTWARD_STORE", f"etcd://127.0.0.1:{free_port}/p")
    assert cli.main(["lease", "web"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert "no lease store within reach" in told.err
    assert cli.main(["check", "--json", str(free_port)]) == 0
    assert "no lease store within reach" in capsys.readouterr().out
