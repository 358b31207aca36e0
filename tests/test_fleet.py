"""The verbs over many hosts: what each says of itself, judged as this machine is, with its age."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from portward import wire
from portward.errors import UsageError
from portward.leases import here
from portward.model import (
    Container,
    Endpoint,
    Holder,
    HostReport,
    Lease,
    LeaseKind,
    Listener,
    Owners,
    Process,
    State,
    Transport,
)
from portward.render import fleet as render
from portward.render.text import Paint
from portward.truths.hosts import Published
from portward.verbs.fleet import Fleet
from portward.ward import Portward
from tests.ssh import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOW = 2_000_000_000.0
COMPOSE = 'services:\n  db:\n    image: postgres\n    ports: ["{}:5432"]\n'


def _row(port: int, name: str = "postgres", **more: Any) -> Listener:
    process = Process(4242, name, (name, "-D", "/data"), "ada", "/srv", NOW - 3600)
    return Listener(Endpoint("0.0.0.0", port), State.LISTEN, "ada", Owners.SEEN, (process,), **more)


def _host(name: str, *rows: Listener, age: float = 8, alive: bool = True, **more: Any) -> HostReport:
    text = json.dumps([wire.listener(row) for row in rows])
    return HostReport(f"{name}-0f3a", name, "boot", NOW - age, alive, wire.Unread(text, len(rows)), **more)


def _lease(host: str, port: int, service: str = "web", worktree: str = "/home/me/shop") -> Lease:
    holder = Holder(worktree, worktree, service)
    return Lease(f"{host}-0f3a", "", Transport.TCP, port, holder, LeaseKind.STICKY, "token", NOW - 60)


def _fleet(reports: Sequence[HostReport], leases: Sequence[Lease] = (), folder: Path | None = None) -> Fleet:
    """The verbs over hosts that have published this, and this machine as it is."""
    ward = Portward(
        str(folder) if folder else None, clock=lambda: NOW, environment={"DOCKER_HOST": "", "HOME": "/none"}
    )
    source = Published(
        here.site(),
        here.name(),
        lambda: reports,
        lambda: tuple(leases),
        lambda udp: ward.live.read(udp=udp),
        lambda: NOW,
    )
    return Fleet(source, ward.live, ward.declared, ward._leased().promises, lambda: NOW)


def test_ls_tells_the_host_of_each_listener_and_the_age_of_its_word(listen: Any) -> None:
    """This machine is looked at now; others are as old as they are; QUERY filters all of them."""
    mine = listen().getsockname()[1]
    fleet = _fleet([_host("build-1", _row(5432)), _host("build-2", _row(5432), _row(mine), age=7200)])
    answer = fleet.ls([str(mine), "postgres"])
    document = render.ls_document(answer)
    assert [(row["host"], row["port"]) for row in document["listeners"] if row["host"] != here.site().host] == [
        ("build-1-0f3a", 5432),
        ("build-2-0f3a", 5432),
        ("build-2-0f3a", mine),
    ]
    assert [row["port"] for row in document["listeners"] if row["host"] == here.site().host] == [mine]
    own, *others = document["hosts"]
    assert (own["host"], own["age"], own["state"]) == (here.site().host, 0, "live")
    assert [(each["name"], each["age"], each["listeners"]) for each in others] == [
        ("build-1", 8, 1),
        ("build-2", 7200, 2),
    ]
    text = "\n".join(render.ls(answer, ["postgres"]))
    assert "3 hosts: 3 live (told at most 2 h ago); 4 listeners match postgres" in text
    assert "8 s ago" in text


def test_udp_is_shown_where_it_is_asked_for() -> None:
    """Agents publish it too; `ls` lists it with `udp`, or by a query that says so."""
    udp = Listener(Endpoint("0.0.0.0", 5353, Transport.UDP), State.UDP, "ada")
    fleet = _fleet([_host("a", _row(5353), udp)])
    for queries, wide, wanted in (([], False, 1), ([], True, 2), (["5353"], False, 1), (["5353/udp"], False, 1)):
        rows = fleet.ls(queries, udp=wide).rows or ()
        assert len([row for report, row in rows if report.name == "a"]) == wanted


def test_a_host_that_is_gone_or_cannot_be_read_hides_no_other() -> None:
    """Both are told as skipped, the answer is incomplete, and what can be seen is shown."""
    garbage = _host("bad").replace(listeners=wire.Unread(b'[{"port": 99999, "project": "postgres"}]', 1))
    gone = _host("gone", age=7200, alive=False).replace(listeners=())
    answer = _fleet([garbage, gone, _host("good", _row(5432))]).ls(["/srv", "postgres"])
    document = render.ls_document(answer)
    assert [row["host"] for row in document["listeners"]] == ["good-0f3a"]
    assert document["complete"] is False
    assert {each["name"]: each["state"] for each in document["hosts"][1:]} == {
        "bad": "live",
        "gone": "gone",
        "good": "live",
    }
    reasons = {each["what"]: each["reason"] for each in document["skipped"]}
    assert "cannot be read" in reasons["bad"]
    assert "told of itself last 2 h ago" in reasons["gone"]


def test_a_name_from_a_hostile_host_is_text() -> None:
    """Escape sequences and long names of hosts and programs neither move the cursor nor fill the screen."""
    nasty = _host("\x1b[2Jroot\n" + "x" * 500, _row(5432, "\x1b]0;owned\x07"))
    fleet = _fleet([nasty])
    lines = [*render.ls(fleet.ls(["5432"]), ["5432"]), *render.who(fleet.who(["5432"]))]
    lines += render.check(fleet.check_ports(["5432"]), Paint(False))
    assert all("\x1b" not in line and "\n" not in line for line in lines)
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("seen", [float("inf"), float("nan"), -1e300, 1e300, 1e15])
def test_a_host_of_no_time_is_shown_without_an_age(seen: float) -> None:
    """Whatever stands there as a time, and as a number of listeners."""
    strange = _host("strange").replace(seen=seen, listeners=wire.Unread(b"[]", 10**400))
    answer = _fleet([strange, _host("good")]).ls()
    (document,) = [each for each in render.ls_document(answer)["hosts"] if each["name"] == "strange"]
    assert (document["seen"], document["age"]) == (None, None)
    assert "never" in "\n".join(render.ls(answer, []))


def test_who_names_each_host_that_has_the_port_or_promised_it() -> None:
    """One row for each; nobody else is listed."""
    fleet = _fleet([_host("a", _row(5432)), _host("b"), _host("c")], [_lease("c", 5432)])
    answer = fleet.who(["5432"])
    assert [(row.report.name, len(row.listeners), row.lease is not None) for row in answer.ports] == [
        ("a", 1, False),
        ("c", 0, True),
    ]
    over = _lease("b", 5432).replace(kind=LeaseKind.TTL, expires=NOW - 1)
    assert "b" not in {row.report.name for row in _fleet([_host("b")], [over]).who(["5432"]).ports}
    lines = list(render.who(answer))
    assert lines[0] == "5432/tcp is held on 1 of 4 hosts"
    assert lines[-1] == "  c: leased to web of /home/me/shop"
    assert render.who_document(answer)["ports"][0]["host"] == "a-0f3a"


def test_leases_of_every_host_with_its_name_and_whether_they_are_live() -> None:
    """A lease of a host that says nothing has no known state."""
    fleet = _fleet(
        [_host("a", _row(3000)), _host("gone", alive=False)],
        [_lease("a", 3000), _lease("a", 3001), _lease("gone", 3000), _lease("never-heard", 3000)],
    )
    document = render.leases_document(fleet.leases())
    assert [(each["name"], each["port"], each["state"]) for each in document["leases"]] == [
        ("a", 3000, "live"),
        ("a", 3001, "idle"),
        ("gone", 3000, None),
        ("never-heard-0f3a", 3000, None),
    ]
    assert "WORKTREE" in "\n".join(render.leases(fleet.leases()))


def test_check_of_ports_says_by_what_it_is_told(listen: Any) -> None:
    """A bind here, the hosts' own word elsewhere, nothing of a host that is gone."""
    port = listen().getsockname()[1]
    fleet = _fleet([_host("a", _row(port)), _host("b"), _host("c", alive=False), _host("d")], [_lease("d", port)])
    answer = fleet.check_ports([str(port)])
    told = {
        row["host"].removesuffix("-0f3a"): (row["available"], row["by"])
        for row in render.check_document(answer)["ports"]
    }
    assert told == {
        here.site().host: (False, "bind"),
        "a": (False, "published"),
        "b": (True, "published"),
        "c": (None, None),
        "d": (True, "published"),
    }
    assert [(report.name, finding.rule) for report, finding in answer.findings[1:]] == [
        ("a", "address-in-use"),
        ("d", "leased-to-another"),
    ]
    text = "\n".join(render.check(answer, Paint(False)))
    assert f"error: a: {port}/tcp is not available: held by postgres (pid 4242, ada, 1 h, /srv: postgres" in text
    assert "no bind was tried there" in text


def test_check_of_a_project_tells_where_it_fits(tmp_path: Path, free_port: int) -> None:
    """Each host by its own listeners and leases; what is offered instead is free on all of them."""
    (tmp_path / "compose.yaml").write_text(COMPOSE.format(free_port))
    busy = [[_row(port, "other") for port in range(12000, 13000) if port % 3 == rest] for rest in (0, 1)]
    hosts = [_host("a"), _host("b", _row(free_port), *busy[0]), _host("c", *busy[1]), _host("gone", alive=False)]
    answer = _fleet(hosts, [_lease("c", free_port)], tmp_path).check()
    names = {report.host: report.name for report in answer.hosts.reports}
    assert {names[host]: fits for host, fits in answer.fits.items()} | {"own": True} == {
        names[here.site().host]: True, "a": True, "b": False, "c": True, "gone": None, "own": True,
    }  # fmt: skip
    found = {report.name: finding for report, finding in answer.findings}
    assert (found["b"].rule, found["c"].rule) == ("address-in-use", "leased-to-another")
    ((_, offered),) = [str(fix.command).removesuffix(" --write").split("=") for fix in found["b"].fixes]
    assert int(offered) % 3 == 2
    text = "\n".join(render.check(answer, Paint(False)))
    assert "fits on 3 of 5 hosts, not on b, not known of 1" in text
    assert f"no: {free_port} (db)" in text


def test_the_stack_itself_is_in_nobodys_way(tmp_path: Path, free_port: int) -> None:
    """Where this very stack runs on another host, it fits."""
    (tmp_path / "compose.yaml").write_text(COMPOSE.format(free_port))
    container = Container("f" * 12, "db-1", "postgres", tmp_path.name.lower(), "db", 5432, "Up 2 hours", str(tmp_path))
    row = Listener(Endpoint("0.0.0.0", free_port), State.LISTEN, container=container)
    project = Portward(str(tmp_path), environment={"DOCKER_HOST": ""}).project()
    row = row.replace(container=container.replace(project=project.name))
    answer = _fleet([_host("a", row)], folder=tmp_path).check()
    assert set(answer.fits.values()) == {True}


def test_thousands_of_hosts_are_a_summary() -> None:
    """Not a line for each, and no listener is read that nobody looks at."""

    class Untouched(wire.Unread):
        def on(self, ports: Any, words: Any = ()) -> Any:
            raise AssertionError("read")

    report = _host("h").replace(listeners=Untouched(b"[]", 40))
    reports = [report.replace(host=f"h{number}", name=f"h{number}") for number in range(3000)]
    reports += [_host(f"gone{number}", alive=False) for number in range(100)]
    answer = _fleet(reports).ls(most=render.MOST_ROWS)
    lines = list(render.ls(answer, []))
    assert "3101 hosts: 3001 live, 100 gone" in lines[0].replace(" (told at most 8 s ago)", "")
    assert len(lines) < 50
    assert any("portward ls --fleet 5432" in line for line in lines)


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all tests here."""
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    try:
        yield server
    finally:
        server.stop()


def _run(server: Sshd, *words: str, **environment: str) -> tuple[Any, int]:
    """The document that a command prints, and its exit status; the far side is this tree's own `portward`."""
    command = [sys.executable, "-m", "portward", *words, "--json"]
    variables = {**os.environ, "DOCKER_HOST": "", **server.environment(), **environment}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    return json.loads(done.stdout), done.returncode


def test_hosts_are_asked_over_ssh(sshd: Sshd, listen: Any) -> None:
    """`ls --host` of two that answer and one that does not: the same document, and the failure is one host's."""
    port = listen().getsockname()[1]
    document, status = _run(sshd, "ls", str(port), "--host", "one", "--host", "two", "--host", "closed")
    assert status == 0
    assert [(row["host"], row["port"], row["processes"][0]["pid"]) for row in document["listeners"]] == [
        ("one", port, os.getpid()),
        ("two", port, os.getpid()),
    ]
    assert [each["state"] for each in document["hosts"]] == ["live", "live", "unreachable"]
    assert document["complete"] is False
    assert any(each["what"] == "closed" and "refuses" in each["reason"] for each in document["skipped"])


def test_check_who_and_leases_over_ssh(sshd: Sshd, listen: Any, free_port: int) -> None:
    """A port that is taken there, one that is leased there, and both from an inventory."""
    taken = listen().getsockname()[1]
    store = f"XDG_STATE_HOME={sshd.folder}/state"
    lease = [sys.executable, "-m", "portward", "-C", str(sshd.folder), "lease", "web", "--prefer", str(free_port)]
    subprocess.run(lease, env={**os.environ, **dict([store.split("=", 1)])}, check=True, capture_output=True)
    (sshd.folder / "hosts").write_text("[web]\none\n[web:vars]\nansible_port=1\n[db]\ntwo\nbad ansible_host=-oX\n")
    inventory = f"{sshd.folder}/hosts:db"
    document, status = _run(sshd, "check", str(taken), str(free_port), "--inventory", inventory)
    assert status == 1
    assert [(row["port"], row["available"], row["by"]) for row in document["ports"]] == [
        (taken, False, "published"),
        (free_port, True, "published"),
    ]
    assert [(each["host"], each["rule"]) for each in document["findings"]] == [
        ("two", "address-in-use"),
        ("two", "leased-to-another"),
    ]
    assert any(each["what"] == "host bad" for each in document["skipped"])
    document, status = _run(sshd, "who", str(taken), str(free_port), "--host", "one")
    assert (status, [row["lease"] is not None for row in document["ports"]]) == (1, [False, True])
    document, status = _run(sshd, "leases", "--host", "one")
    assert (status, [(each["name"], each["port"]) for each in document["leases"]]) == (0, [("one", free_port)])


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("ls", "--host", "closed", "--host", "denied"), 3, "no host could be asked: closed: it refuses"),
        (("ls", "--host=-oProxyCommand=true"), 2, "is not [USER@]HOST"),
        (("ls", "--fleet", "--host", "one"), 2, "exclude each other"),
        (("ls", "--fleet", "--watch"), 2, "--watch is of this machine alone"),
        (("who", "1", "--fleet", "--history"), 2, "--history is of this machine alone"),
        (("ls", "--fleet"), 2, "this machine's alone"),
        (("ls", "--inventory", "/nonexistent"), 2, "No such file"),
    ],
)
def test_what_cannot_be_asked_is_an_error(sshd: Sshd, words: tuple[str, ...], status: int, said: str) -> None:
    """Usage is exit 2; hosts of which none answers are exit 3."""
    document, code = _run(sshd, *words, PORTWARD_STORE=f"sqlite://{sshd.folder}/none.db")
    assert (code, said in document["error"]["message"]) == (status, True), document


def test_an_inventory_that_is_a_program_is_not_run(tmp_path: Path) -> None:
    """It is named, and refused."""
    script = tmp_path / "hosts"
    script.write_text("#!/bin/sh\ntouch owned\n")
    script.chmod(0o755)
    with pytest.raises(UsageError, match="is a program"):
        Portward(None, environment={}).fleet(inventories=[str(script)])
