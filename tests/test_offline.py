"""While the store of a fleet does not answer: known ports are told from the machine's copy, new ones only where that is allowed, and settled later."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from portward.leases import host_id
from portward.leases.local_copy import LocalCopy
from portward.model import Lease, LeaseKind, Transport
from tests.command import run
from tests.etcd import Cluster
from tests.test_leases_contract import NOW, holder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """One member, which a test may end."""
    (tmp_path / "etcd").mkdir()
    started = Cluster(tmp_path / "etcd", 1)
    try:
        started.wait()
        yield started
    finally:
        started.stop()


class Host:
    """A machine with an id and a state of its own, in whose project commands are run."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        (folder / "project/.git").mkdir(parents=True)
        self.project = folder / "project"
        self.environment = {
            "HOME": str(folder),
            "XDG_STATE_HOME": "",
            "PORTWARD_STORE": f"etcd://{cluster.endpoints}/p",
            "PORTWARD_HOST_FILE": str(folder / "host.json"),
        }
        host_id.share(self.environment)

    def lease(self, *words: str, status: int = 0) -> tuple[dict[str, Any], str]:
        done = run("lease", *words, "--json", cwd=self.project, **self.environment)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout), done.stderr

    def leases(self) -> tuple[list[dict[str, Any]], str]:
        done = run("leases", "--json", cwd=self.project, **self.environment)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)["leases"]
        return found, done.stderr


@pytest.fixture
def host(tmp_path: Path, cluster: Cluster) -> Host:
    return Host(tmp_path / "host", cluster)


def test_a_known_port_is_told_from_the_copy(cluster: Cluster, host: Host) -> None:
    """The same one, and that it is from the copy, of which moment; the list of leases too. A new one is refused with the way out."""
    (before,) = host.lease("web")[0]["leases"]
    cluster.kill(0)
    document, said = host.lease("web")
    (again,) = document["leases"]
    assert (again["port"], again["token"], again["confirmed"]) == (before["port"], before["token"], True)
    assert re.search(r"from this machine's copy of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d, as the store does not answer", said)
    listed, said = host.leases()
    assert [lease["port"] for lease in listed] == [before["port"]]
    assert "this host's alone" in said
    refused, said = host.lease("new", status=3)
    assert refused["error"]["code"] == "unavailable"
    assert "--offline-ok" in said


def test_a_new_port_is_unconfirmed_until_the_store_answers(cluster: Cluster, host: Host) -> None:
    """It is told so, stays the same, and is confirmed by the next command that reaches the store."""
    host.lease("web")
    cluster.kill(0)
    (promised,) = host.lease("api", "--offline-ok")[0]["leases"]
    assert not promised["confirmed"]
    document, said = host.lease("api", "--offline-ok")
    assert document["leases"] == [promised]
    assert "does not answer" in said
    cluster.start(0)
    cluster.wait()
    document, said = host.lease("web")
    assert f"{promised['port']} of api, granted while the store was away, is confirmed" in said
    (confirmed,) = [lease for lease in host.leases()[0] if lease["service"] == "api"]
    assert (confirmed["port"], confirmed["confirmed"]) == (promised["port"], True)


def test_a_promise_that_another_has_by_then_is_told(cluster: Cluster, host: Host) -> None:
    """The store decides: the service is given another port, and that is said."""
    host.lease("web")
    cluster.kill(0)
    (promised,) = host.lease("api", "--offline-ok")[0]["leases"]
    cluster.start(0)
    cluster.wait()
    other = {**host.environment, "XDG_STATE_HOME": f"{host.environment['HOME']}/other-users"}
    taken = run("lease", "rival", "--prefer", str(promised["port"]), cwd=host.project, **other)
    assert taken.stdout.strip() == str(promised["port"]), taken.stderr
    document, said = host.lease("api")
    assert f"{promised['port']} of api, granted while the store was away, is another's" in said
    (again,) = document["leases"]
    assert again["port"] != promised["port"]
    assert again["confirmed"]


def test_env_and_run_do_without_the_store_where_they_may(cluster: Cluster, host: Host) -> None:
    """Known ports as they were; new ones unconfirmed, the same for both; without `--offline-ok` refused, with the way out."""
    (host.project / "compose.yaml").write_text("services:\n  web: {image: x, ports: ['8000:80']}\n")
    (web,) = host.lease("web")[0]["leases"]
    (host.project / "compose.yaml").write_text(
        "services:\n  web: {image: x, ports: ['8000:80']}\n  api: {image: x, ports: ['9000:90']}\n"
    )
    cluster.kill(0)
    refused = run("env", cwd=host.project, **host.environment)
    assert (refused.returncode, "--offline-ok" in refused.stderr) == (3, True)
    done = run("env", "--offline-ok", "--format", "json", cwd=host.project, **host.environment)
    values = json.loads(done.stdout)
    assert "unconfirmed" in done.stderr
    assert values["WEB_PORT"] == str(web["port"])
    started = run(
        "run", "--offline-ok", "api", "--", "printenv", "API_PORT", "PORT", cwd=host.project, **host.environment
    )
    assert started.stdout.split() == [values["API_PORT"]] * 2, started.stderr
    assert run("run", "new", "--", "true", cwd=host.project, **host.environment).returncode == 3


def test_what_is_given_back_is_forgotten(cluster: Cluster, host: Host) -> None:
    """A released port is not told from the copy."""
    host.lease("web")
    assert run("release", "web", cwd=host.project, **host.environment).returncode == 0
    cluster.kill(0)
    host.lease("web", status=3)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kept": 1}', '{"kept": "x", "leases": [1]}', "\x00"])
def test_a_copy_that_makes_no_sense_is_empty(tmp_path: Path, text: str) -> None:
    """And is written anew."""
    copy = LocalCopy({"XDG_STATE_HOME": str(tmp_path)}, "etcd://a/p", "h")
    lease = Lease("h", "", Transport.TCP, 20000, holder(), LeaseKind.STICKY, "t", NOW)
    copy.keep([lease], NOW)
    (file,) = (tmp_path / "portward").iterdir()
    assert copy.leases() == ((lease,), NOW)
    file.write_text(text)
    assert copy.leases()[0] == ()
    copy.keep([lease], NOW)
    assert copy.leases() == ((lease,), NOW)
    assert LocalCopy({"XDG_STATE_HOME": str(tmp_path)}, "etcd://a/p", "other").leases() == ((), 0.0)
