"""Who is never stopped, and which way ends what: judged on facts made by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.model import (
    Container,
    ContainerPolicy,
    Endpoint,
    Listener,
    Owners,
    Process,
    State,
    Transport,
)
from portward.stops import Asker, Held, Owner, Refused, Stop, Terms, Way, name_of, plan
from portward.verbs.stopping import _together

if TYPE_CHECKING:
    from collections.abc import Sequence

ME = "you"
GENTLE, FORCED = Terms(), Terms(force=True)
SHELL = Process(50, "zsh", ("-zsh",), ME)
ASKER = Asker(900, (Process(800, "claude", ("claude",), ME), SHELL, Process(1, "systemd", user="root")), ME, "/a.scope")
CONTAINER = Container("0123456789ab", "shop-db-1", "postgres:16", "shop", "db", 5432)
ROW = Listener(Endpoint("127.0.0.1", 3000), State.LISTEN, ME, Owners.SEEN)


def process(name: str, *command: str, pid: int = 100, **more: Any) -> Process:
    """A process of the asker's own user."""
    return Process(**{"pid": pid, "name": name, "command": command or (name,), "user": ME, "start_ticks": pid, **more})


def held(*owners: Owner, **more: Any) -> Held:
    """A holder of 3000/tcp."""
    row = ROW.replace(processes=tuple(owner.process for owner in owners))
    return Held(**{"port": 3000, "transport": Transport.TCP, "rows": (row,), "owners": owners, **more})


def stop(*owners: Owner, terms: Terms = GENTLE, **more: Any) -> Stop:
    """The plan for a holder that may be stopped."""
    found = plan(held(*owners, **more), ASKER, terms)
    assert isinstance(found, Stop), found
    return found


def refused(*owners: Owner, terms: Terms = FORCED, **more: Any) -> Refused:
    """Why a holder may not be stopped, not even by force."""
    found = plan(held(*owners, **more), ASKER, terms)
    assert isinstance(found, Refused), found
    return found


@pytest.mark.parametrize(
    ("name", "signal", "last", "patience"),
    [
        ("node", "SIGTERM", "SIGKILL", 10),
        ("postgres", "SIGINT", "SIGQUIT", 60),
        ("redis-server", "SIGTERM", "SIGKILL", 60),
        ("mysqld", "SIGTERM", "SIGKILL", 60),
        ("mariadbd", "SIGTERM", "SIGKILL", 60),
        ("mongod", "SIGTERM", "SIGKILL", 60),
    ],
)
def test_each_in_its_own_way(name: str, signal: str, last: str, patience: float) -> None:
    """Nothing gets SIGKILL by default; what keeps data gets more time, and PostgreSQL its own signals."""
    owner = Owner(process(name))
    found = stop(owner)
    assert (found.way, found.signal, found.last, found.patience) == (Way.SIGNAL, signal, None, patience)
    forced = stop(owner, terms=Terms(force=True))
    assert (forced.signal, forced.last, forced.patience) == (signal, last, patience)
    assert stop(owner, terms=Terms(patience=3)).patience == 3


def test_java_by_its_main_class() -> None:
    """Elasticsearch keeps data, and a web server on Java does not."""
    server = process("java", "java", "-Xmx1g", "org.elasticsearch.bootstrap.Elasticsearch")
    assert stop(Owner(server)).keeps_data
    assert not stop(Owner(process("java", "java", "-jar", "app.jar"))).keeps_data


def test_the_first_of_those_who_share_a_socket() -> None:
    """All are named, the one that started the others gets the signal; without such a one, all do."""
    master = process("nginx", pid=10)
    workers = [process("nginx", pid=pid, parent=10, user="www-data") for pid in (11, 12)]
    found = stop(Owner(master, (SHELL,)), *(Owner(worker, (master, SHELL)) for worker in workers))
    assert (found.roots, found.processes) == ((master,), (master, *workers))
    assert found.what == "nginx (pid 10 and 2 more)"
    alone = [process("node", pid=pid, parent=9) for pid in (11, 12)]
    assert stop(*(Owner(each) for each in alone)).roots == tuple(alone)


@pytest.mark.parametrize(
    ("owner", "why"),
    [
        (Owner(process("node", pid=1)), "the first process"),
        (Owner(process("portward", pid=900)), "the one who asks"),
        (Owner(process("claude", pid=800)), "started the one who asks"),
        (Owner(process("zsh", pid=50)), "started the one who asks"),
        (Owner(process("sshd", user="root")), "how people reach this machine"),
        (Owner(process("sshd-session")), "how people reach this machine"),
        (Owner(process("systemd-resolved", user="systemd-resolve")), "starts and keeps everything else"),
        (Owner(process("docker-proxy", user="root")), "works for containers"),
        (Owner(process("rootlesskit")), "works for containers"),
        (Owner(process("containerd", user="root")), "works for containers"),
        (Owner(process("kubelet", user="root")), "works for containers"),
        (Owner(process("node"), cgroup=f"/docker/{'a' * 64}"), "runs in container aaaaaaaaaaaa"),
        (
            Owner(process("node"), cgroup=f"/user.slice/libpod-{'b' * 64}.scope/container"),
            "runs in container bbbbbbbbbbbb",
        ),
    ],
)
def test_never(owner: Owner, why: str) -> None:
    """Not even by force, and not as one of several owners."""
    assert why in refused(owner).why
    assert why in refused(Owner(process("node", pid=7)), owner).why


def test_in_the_same_container() -> None:
    """Who asks from inside a container may stop its processes."""
    cgroup = f"/docker/{'a' * 64}"
    found = plan(held(Owner(process("node"), cgroup=cgroup)), ASKER.replace(cgroup=cgroup), Terms())
    assert isinstance(found, Stop)


def test_whose() -> None:
    """Another user's only by force; another project's never with --mine, whatever else is said."""
    theirs = Owner(process("node", user="bob"))
    assert refused(theirs, terms=Terms()).why == "it belongs to bob"
    assert stop(theirs, terms=Terms(force=True)).last == "SIGKILL"
    assert (
        refused(Owner(process("node")), mine=False, terms=Terms(mine=True, force=True)).why
        == "it is not of this project"
    )
    assert stop(Owner(process("node")), mine=True, terms=Terms(mine=True)).signal == "SIGTERM"


def test_hidden_and_unknown_owners() -> None:
    """Nobody is guessed."""
    hidden = held(rows=(ROW.replace(owners=Owners.HIDDEN, user="root"),))
    found = plan(hidden, ASKER, Terms(force=True))
    assert isinstance(found, Refused)
    assert (found.what, found.hint) == ("a process of root", "`sudo portward kill 3000` may see it")
    unknown = plan(held(rows=(ROW.replace(owners=Owners.NONE),)), ASKER, Terms(force=True))
    assert isinstance(unknown, Refused)
    assert "no process that can be seen" in unknown.why


UNIT = "redis.service"
GROUP = "/system.slice/redis.service"


def _of_unit(*above: Process, terminal: bool = False, cgroup: str = GROUP, asker: Asker = ASKER) -> Way:
    owner = Owner(process("redis-server", unit=UNIT), tuple(above), cgroup, terminal)
    found = plan(held(owner), asker, Terms())
    assert isinstance(found, Stop)
    return found.way


def test_a_unit_only_where_it_is_its_own_program() -> None:
    """What was started from a terminal, an editor or cron, or by the one who asks, is not the unit of that."""
    first = Process(1, "systemd", user="root")
    assert _of_unit(first) is Way.UNIT
    assert _of_unit(Process(40, "npm run start", ("npm run start",), ME, unit=UNIT), first) is Way.UNIT
    assert _of_unit(Process(40, "crond", user=ME, unit=UNIT), first) is Way.SIGNAL
    assert _of_unit(first, terminal=True) is Way.SIGNAL
    assert _of_unit(first, asker=ASKER.replace(cgroup=GROUP)) is Way.SIGNAL
    inside = ASKER.replace(ancestors=(Process(800, "claude", unit=UNIT),))
    assert _of_unit(first, asker=inside) is Way.SIGNAL


def test_whose_manager_a_unit_has() -> None:
    """The system's, or this user's own."""
    for cgroup, command in (
        (GROUP, "`systemctl stop redis.service`"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/redis.service",
            "`systemctl --user stop redis.service`",
        ),
    ):
        found = stop(Owner(process("redis-server", unit=UNIT), (), cgroup))
        assert (found.how, found.unit, found.of_user) == (command, UNIT, "--user" in command)


@pytest.mark.parametrize(
    ("above", "said", "at_once"),
    [
        (["PM2 v5.3.0: God Daemon (/home/you/.pm2)"], "pm2 60 starts it again: `pm2 stop NAME` avoids that", True),
        (["/usr/bin/python3", "/usr/bin/supervisord", "-n"], "supervisord 60 starts it again: `supervisorctl stop NAME` avoids that", True),
        (["python3", "-m", "supervisor.supervisord"], "supervisord 60 starts it again: `supervisorctl stop NAME` avoids that", True),
        (["runsv", "web"], "runsv 60 starts it again: `sv down NAME` avoids that", True),
        (["/v/bin/python", "/v/bin/gunicorn", "app:app"], "gunicorn 60 starts another worker: `kill 60` avoids that", True),
        (["gunicorn: master [app:app]"], "gunicorn 60 starts another worker: `kill 60` avoids that", True),
        (["php-fpm: master process (/etc/php/fpm.conf)"], "php-fpm 60 starts another worker: `kill 60` avoids that", True),
        (["node", "/usr/lib/node_modules/nodemon/bin/nodemon.js", "app.js"], "nodemon 60 starts it again when a file changes", False),
        (["node", "--watch", "app.js"], "node 60 starts it again when a file changes", False),
        (["/usr/bin/honcho", "start"], "honcho 60 may end its other processes too", False),
    ],
)  # fmt: skip
def test_supervisors_are_named(above: Sequence[str], said: str, at_once: bool) -> None:
    """By what they run, not by any word of their command line; only those that restart at once are waited for."""
    name = above[0].rpartition("/")[2].split()[0].rstrip(":")[:15]
    found = stop(Owner(process("node", parent=60), (Process(60, name, tuple(above), ME), SHELL)))
    assert found.remarks == (said,)
    assert found.keeper == (said if at_once else None)


@pytest.mark.parametrize(
    "above", [["vim", "gunicorn.conf"], ["bash", "-c", "echo supervisord"], ["-zsh"], ["tail", "pm2.log"]]
)
def test_what_only_mentions_a_supervisor(above: Sequence[str]) -> None:
    """No supervisor is seen where there is none."""
    parent = Process(60, above[0], tuple(above), ME)
    assert stop(Owner(process("node", parent=60), (parent,))).remarks == ()


def test_a_master_that_is_an_owner_is_no_supervisor() -> None:
    """It is ended itself."""
    master = process("gunicorn", "gunicorn: master [app]", pid=60)
    found = stop(Owner(master, (SHELL,)), Owner(process("gunicorn", pid=61, parent=60), (master, SHELL)))
    assert (found.remarks, found.roots) == ((), (master,))


def container(terms: Terms = GENTLE, kind: str = "web", mine: bool | None = None, **policy: Any) -> Stop | Refused:
    """The plan for a container."""
    rows = (ROW.replace(container=CONTAINER, processes=()),)
    return plan(Held(3000, Transport.TCP, rows, (), ContainerPolicy(**policy), kind, mine), ASKER, terms)


def test_containers() -> None:
    """By the engine, with the grace of the container itself; what keeps data gets no SIGKILL by default."""
    found = container(grace=3.0)
    assert isinstance(found, Stop)
    assert (found.way, found.grace, found.what) == (Way.CONTAINER, 3, "container shop-db-1 (service db of shop)")
    data = container(kind="database", grace=3.0)
    assert isinstance(data, Stop)
    assert (data.grace, data.patience) == (None, 60)
    forced = container(Terms(force=True), kind="database", grace=100.0)
    assert isinstance(forced, Stop)
    assert (forced.grace, forced.patience) == (100, 100)
    for refusal in (container(Terms(mine=True), mine=False), container(keeper="swarm", kept_as="shop_db")):
        assert isinstance(refusal, Refused)
        assert refusal.what.startswith("container shop-db-1")


@pytest.mark.parametrize(
    "asker", [ASKER.replace(host=CONTAINER.id), ASKER.replace(cgroup=f"/docker/{CONTAINER.id}{'0' * 52}")]
)
def test_the_container_of_the_one_who_asks(asker: Asker) -> None:
    """It is never stopped: a coding agent in a dev container would end itself."""
    rows = (ROW.replace(container=CONTAINER, processes=()),)
    found = plan(Held(3000, Transport.TCP, rows, (), ContainerPolicy()), asker, FORCED)
    assert isinstance(found, Refused)
    assert found.why == "the one who asks runs in it"


@given(
    st.lists(st.frozensets(st.integers(1, 9), max_size=3), max_size=8),
)
def test_holders_share_no_process(owners: list[frozenset[int]]) -> None:
    """Sockets are put together by the processes that share them: every socket once, no process in two holders, unknown owners alone."""
    rows = [
        ROW.replace(
            endpoint=Endpoint("127.0.0.1", 1 + index), processes=tuple(process("node", pid=pid) for pid in sorted(pids))
        )
        for index, pids in enumerate(owners)
    ]
    groups = _together(rows)
    assert sorted(row.port for group in groups for row in group) == [row.port for row in rows]
    sets = [{each.pid for row in group for each in row.processes} for group in groups]
    assert sum(map(len, sets)) == len(set().union(*sets))
    assert all(len(group) == 1 for group, pids in zip(groups, sets, strict=True) if not pids)


@given(title=st.text(max_size=80))
def test_a_title_tells_no_secret(title: str) -> None:
    """A process may set its name to anything: only its first word is told, and nothing that a terminal obeys."""
    name = name_of(process(title))
    assert name.isprintable()
    assert " " not in name.removeprefix("a process")
    assert len(name) <= 40


@given(
    force=st.booleans(),
    mine=st.booleans(),
    is_mine=st.booleans(),
    pids=st.lists(st.sampled_from([1, 50, 100, 101, 800, 900]), min_size=1, max_size=4, unique=True),
    names=st.lists(st.sampled_from(["node", "sshd", "docker-proxy", "postgres"]), min_size=4, max_size=4),
    users=st.lists(st.sampled_from([ME, "bob", None]), min_size=4, max_size=4),
)
def test_what_is_planned_is_permitted(
    force: bool, mine: bool, is_mine: bool, pids: list[int], names: list[str], users: list[str | None]
) -> None:
    """Whatever holds a port: no plan touches the protected, strangers without force, or others' projects with --mine."""
    owners = [Owner(process(name, pid=pid, user=user)) for pid, name, user in zip(pids, names, users, strict=False)]
    found = plan(held(*owners, mine=is_mine), ASKER, Terms(force, mine))
    safe = all(owner.process.pid in (100, 101) and owner.process.name in ("node", "postgres") for owner in owners)
    permitted = (force or all(owner.process.user == ME for owner in owners)) and (is_mine or not mine)
    assert isinstance(found, Stop) == (safe and permitted)
    if isinstance(found, Stop):
        assert (found.last is None) == (not force)
        assert {each.pid for each in found.processes} == set(pids)
