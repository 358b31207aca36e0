"""In sandboxes as agents have them answers still come, and say what could not be recorded, tried or seen."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import sandbox
from tests.conftest import need, need_root, unmet
from tests.engine import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import Listen

ROOT = str(Path(__file__).parent.parent)
REFUSED = "a policy denies bind() here"


class Project:
    """A project with one fixed port, a home with a store, and Portward in any sandbox."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder / "shop"
        self.home = folder / "home"
        self.port = port
        self.home.mkdir()
        self.folder.mkdir()
        (self.folder / "compose.yaml").write_text(f'services: {{web: {{image: x, ports: ["{port}:80"]}}}}\n')

    def __call__(self, *words: str, inside: Sequence[str] = (), status: int = 0) -> tuple[str, str]:
        """What `portward` says on stdout and stderr, in a sandbox if `inside` starts one."""
        environment = clean_environment(
            HOME=str(self.home),
            DOCKER_HOST=f"unix://{self.home}/none.sock",
            PYTHONPATH=os.pathsep.join([ROOT, *sys.path]),
        )
        for name in ("PORT", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "CONDUCTOR_PORT"):
            environment.pop(name, None)
        done = subprocess.run(
            [*inside, sys.executable, "-m", "portward", *words],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == status, done
        return done.stdout, done.stderr

    def read_only(self) -> list[str]:
        """Runs a command where the home is mounted for reading alone."""
        need_root()
        mount = f'mount --bind {self.home} {self.home} && mount -o remount,bind,ro {self.home} && exec "$@"'
        return [need("unshare"), "--mount", "sh", "-c", mount, "sh"]

    @staticmethod
    def without(call: str, family: str = "-") -> list[str]:
        """Runs a command to which the system refuses a call, by EPERM."""
        if sandbox.number(call) is None:
            unmet("the numbers of system calls are not known here")
        return [sys.executable, "-m", "tests.sandbox", call, family]


@pytest.fixture
def project(tmp_path: Path, free_port: int) -> Project:
    """See `Project`."""
    return Project(tmp_path, free_port)


def test_where_every_bind_is_refused_ports_are_told(project: Project) -> None:
    """The leased port is the one that its files declare, it is recorded, and that none was tried is said by each verb."""
    refused = project.without("bind")
    for words in (("lease", "web"), ("find", str(project.port))):
        said, remarks = project(*words, inside=refused)
        assert said == f"{project.port}\n"
        assert REFUSED in remarks
    said, remarks = project("env", "--json", inside=refused)
    assert json.loads(said)["WEB_PORT"] == str(project.port)
    assert REFUSED in remarks
    assert project("lease", "web")[0] == f"{project.port}\n"
    assert [lease["port"] for lease in json.loads(project("leases", "--json")[0])["leases"]] == [project.port]


def test_where_every_bind_is_refused_what_listens_is_passed_over(project: Project, listen: Listen) -> None:
    """The kernel's list still tells who is there."""
    listen("127.0.0.1", project.port)
    said, _remarks = project("lease", "web", inside=project.without("bind"))
    assert int(said) != project.port
    said, _remarks = project("find", str(project.port), inside=project.without("bind"))
    assert project.port < int(said) <= project.port + 100


def test_where_every_bind_is_refused_a_command_runs(project: Project) -> None:
    """Without a hold, which is said; its port is in its environment, and its status is its own."""
    said, remarks = project(
        "run", "web", "--", "sh", "-c", "echo $PORT; exit 7", inside=project.without("bind"), status=7
    )
    assert said == f"{project.port}\n"
    assert REFUSED in remarks
    assert "not held here" in remarks


def test_where_every_bind_is_refused_nothing_is_taken_back(project: Project) -> None:
    """That a port binds is a proof that no sandbox can give: an expired lease stays until somebody outside looks."""
    project("lease", "job", "--ttl", "0.001")
    assert "job" in project("leases", inside=project.without("bind"))[0]
    said, remarks = project("leases")
    assert "job" not in said
    assert "its time ran out" in remarks


def test_where_the_kernel_lists_no_sockets_the_bind_decides(project: Project, listen: Listen) -> None:
    """Netlink is refused: a free port is leased, a taken one is not, and that nobody could be seen is said."""
    blind = project.without("socket", str(int(socket.AF_NETLINK)))
    held = listen("127.0.0.1", project.port)
    said, remarks = project("lease", "web", inside=blind)
    assert int(said) != project.port
    assert "not seen: who listens" in remarks
    held.close()
    assert project("find", str(project.port), inside=blind)[0] == f"{project.port}\n"
    assert project("check", str(project.port), inside=blind)[0].startswith(f"{project.port}/tcp is available")
    said, remarks = project("verify", str(project.port), inside=blind, status=3)
    assert "does not list its sockets" in remarks


def test_a_network_of_its_own_is_another_place(project: Project, listen: Listen) -> None:
    """A port that is taken on the machine is free there: it is leased there alone, and that the machine is not seen is said."""
    need_root()
    inside = [need("unshare"), "--net"]
    listen("127.0.0.1", project.port)
    said, remarks = project("lease", "web", inside=inside)
    assert said == f"{project.port}\n"
    assert "in a network namespace of its own" in remarks
    assert int(project("lease", "web")[0]) != project.port
    leases = json.loads(project("leases", "--json")[0])["leases"]
    assert len({lease["netns"] for lease in leases}) == len(leases) == 2


def test_with_a_read_only_home_ports_are_found(project: Project) -> None:
    """Nothing is recorded, which is said with the way out; the next one that asks is told the same port."""
    inside = project.read_only()
    for _turn in range(2):
        said, remarks = project("lease", "web", "extra", inside=inside)
        assert int(said.split()[0]) == project.port
        assert "not recorded, so not promised" in remarks
        assert "read-only file system" in remarks
        first = said
    assert project("lease", "web", "extra", inside=inside)[0] == first
    said, remarks = project("env", "--json", inside=inside)
    assert json.loads(said)["WEB_PORT"] == str(project.port)
    said, remarks = project("run", "web", "--", "sh", "-c", "echo $PORT", inside=inside)
    assert said == f"{project.port}\n"
    assert "not recorded" in remarks
    assert list(project.home.iterdir()) == []


def test_with_a_read_only_home_what_is_leased_is_told(project: Project) -> None:
    """A port that was leased outside is the same inside, without a remark; giving it back is refused: exit 3."""
    outside = project("lease", "web", "--range", "21000-21999")[0]
    inside = project.read_only()
    said, remarks = project("lease", "web", inside=inside)
    assert (said, remarks) == (outside, "")
    said, remarks = project("leases", "--json", inside=inside)
    assert [str(lease["port"]) for lease in json.loads(said)["leases"]] == outside.split()
    assert "read-only" in project("release", "web", inside=inside, status=3)[1]
    assert project("lease", "web")[0] == outside
    assert "read-only" in project("doctor", "--store", inside=inside, status=1)[0]


def test_all_of_it_at_once(project: Project) -> None:
    """Read-only, a network of its own and no bind: a port is told, and each thing that is missing."""
    inside = [*project.read_only(), need("unshare"), "--net", *project.without("bind")]
    said, remarks = project("lease", "web", inside=inside)
    assert said == f"{project.port}\n"
    for missing in ("not recorded", "in a network namespace of its own", REFUSED):
        assert missing in remarks
    said, _remarks = project("check", str(project.port), inside=inside, status=1)
    assert "sandboxed" in said


def test_a_sandbox_that_may_bind_keeps_its_port(project: Project) -> None:
    """In a network of its own `run` holds the port there, as anywhere."""
    need_root()
    need("ip")
    code = (
        "import os, socket; s = socket.create_server(('127.0.0.1', int(os.environ['PORT']))); print(s.getsockname()[1])"
    )
    up = [need("unshare"), "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    said, remarks = project("run", "web", "--", sys.executable, "-c", code, inside=up)
    assert said == f"{project.port}\n"
    assert "held until it binds" in remarks


def test_the_refusal_is_real(project: Project) -> None:
    """The sandbox of these tests refuses what it says, and nothing else."""
    code = "import errno, socket\nprobe = socket.socket()\ntry: probe.bind(('127.0.0.1', 0))\nexcept OSError as error: print(error.errno)"
    done = subprocess.run(
        [*project.without("bind"), sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "1\n"
