"""A checkout's Compose project on its leased ports: what Docker Compose itself makes of the variables and of the generated file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portward.cli import main
from portward.conventions import declared_ports
from portward.generated import Generated, from_root
from portward.verbs.composing import Composer, profiles
from portward.ward import Portward
from portward.workspace import Checkout
from tests import command
from tests.compose_oracle import program, theirs, write
from tests.conftest import need, unmet
from tests.ports import free_ports
from tests.test_compose_oracle import CORPUS, EXAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portward.model import Project
    from portward.verbs.composing import Told

FIRST = 41000
"""From here on ports are given in these tests: none is bound, and no file of the corpus has them."""


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of the test's own, no engine, and nothing that chooses other files."""
    for name in (
        "COMPOSE_FILE",
        "COMPOSE_PROJECT_NAME",
        "COMPOSE_PROFILES",
        "PORTWARD_STORE",
        "PORT",
        "CONDUCTOR_PORT",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


def given_ports(folder: Path, environment: Mapping[str, str] | None = None) -> tuple[Project, dict[str, int], Told]:
    """A project as a linked worktree with made-up leases: the project, its ports by `SERVICE[:TARGET]`, and what is told."""
    home = {"HOME": str(folder), "XDG_STATE_HOME": str(folder / ".state"), **(environment or {})}
    ward = Portward(str(folder), environment=home)
    composer = Composer(
        Checkout("/elsewhere", str(folder), False), ward.declared.source, ward.declared.generated(), home
    )
    assert composer.project is not None
    numbers = count(FIRST)
    leased = {}
    for wanted in declared_ports(composer.project, inactive=True):
        leased[wanted] = next(numbers)
        for _neighbour in range(1, wanted.count):
            next(numbers)
    told = composer.told({(wanted.service, wanted.instance): port for wanted, port in leased.items()})
    return composer.project, {str(wanted): port for wanted, port in leased.items()}, told


def compare(folder: Path, environment: Mapping[str, str] | None = None) -> bool:
    """Holds what Compose makes of the project against the leases. Whether Compose takes the project at all."""
    if theirs(folder, dict(environment or {})) is None:
        return False
    project, ports, told = given_ports(folder, environment)
    after = theirs(folder, {**(environment or {}), **told.values})
    assert after is not None, told
    names = {(wanted.service, wanted.spec): str(wanted) for wanted in declared_ports(project)}
    assert after.ports.keys() == {service.name for service in project.services}
    for service in project.services:
        entries = [spec for spec in service.claims if spec.origin == "compose"]
        if service.host_network:
            continue
        wanted = {
            (spec.host_ip, _range(ports[names[service.name, spec]], service.replicas), spec.protocol)
            for spec in entries
            if spec.protocol in ("tcp", "udp")
        }
        found = {
            (ip, published, protocol)
            for ip, published, _target, protocol in after.ports[service.name]
            if protocol in ("tcp", "udp")  # SCTP goes where its variables do, if it has any
        }
        assert found == wanted
    return True


def _range(port: int, count: int) -> str:
    return str(port) if count == 1 else f"{port}-{port + count - 1}"


def test_the_whole_corpus() -> None:
    """Every Compose file of the corpus of real projects comes up on leased ports alone, with its own addresses and protocols."""
    if not CORPUS.is_dir():
        unmet("the corpus is not there")
    folders = sorted({path.parent for path in CORPUS.rglob("*.y*ml") if "compose" in path.name})
    taken = 0
    for folder in folders:
        with tempfile.TemporaryDirectory(prefix="portward-") as place:
            copy = Path(place) / "shop"
            shutil.copytree(folder, copy, symlinks=True)
            taken += compare(copy)
    assert taken > 10


_HOSTS = st.sampled_from(
    ["", "8000", "8001", "${P:-8002}", "${P}", "1${Q:-80}", "8010-8015", "${R:-8010}-8020", "${P:-80}${Q:-1}"]
)
_SHORT = st.builds(
    lambda ip, host, target, protocol: f"{ip}{host}{':' if host or ip else ''}{target}{protocol}",
    st.sampled_from(["", "127.0.0.1:", "[::1]:", "0.0.0.0:"]),
    _HOSTS,
    st.sampled_from(["80", "81", "${T:-82}"]),
    st.sampled_from(["", "/udp", "/tcp", "/sctp"]),
)
_LONG = st.fixed_dictionaries(
    {"target": st.sampled_from([80, 81, "82"])},
    optional={
        "published": st.sampled_from(["8000", 8001, "${P:-8002}", "8010-8012"]),
        "host_ip": st.sampled_from(["127.0.0.1", "::1"]),
        "protocol": st.sampled_from(["tcp", "udp"]),
        "mode": st.sampled_from(["host", "ingress"]),
        "name": st.just("a $$name"),
        "app_protocol": st.just("http"),
    },
)
_PAIRED = st.sampled_from(["9000-9002:90-92", "9100-9101:90-91/udp", "127.0.0.1:9200-9201:92-93"])
_ENTRIES = st.lists(_SHORT | _LONG | _PAIRED, max_size=4)


@pytest.mark.timeout(600)
@settings(max_examples=max(10, EXAMPLES // 8), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    services=st.lists(st.tuples(_ENTRIES, st.sampled_from([1, 1, 1, 2, 3])), min_size=1, max_size=3),
    more=st.lists(_ENTRIES, max_size=2),
    variables=st.dictionaries(st.sampled_from(["P", "Q"]), st.sampled_from(["90", "8300"])),
)
def test_any_entries_come_to_their_leased_ports(
    services: list[tuple[list[Any], int]], more: list[list[Any]], variables: dict[str, str]
) -> None:
    """Short, long, paired and ranged entries, several on one target, variables alone and within numbers, several containers, an override file."""
    with tempfile.TemporaryDirectory(prefix="portward-") as place:
        folder = Path(place) / "shop"
        files: dict[str, Any] = {
            "compose.yaml": {
                "services": {
                    f"s{n}": {"image": "x", "ports": ports, "scale": scale} for n, (ports, scale) in enumerate(services)
                }
            },
            ".env": "".join(f"{name}={value}\n" for name, value in variables.items()),
        }
        if more:
            files["compose.override.yaml"] = {
                "services": {f"s{n}": {"image": "x", "ports": ports} for n, ports in enumerate(more)}
            }
        write(folder, files)
        compare(folder)


def _told(folder: Path, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    return dict(given_ports(folder, environment)[2].values)


def _config(folder: Path, environment: Mapping[str, str], cwd: Path | None = None) -> dict[str, Any]:
    """What Docker Compose makes of a folder, in full, asked from anywhere."""
    done = subprocess.run(
        [program(), "config", "--format", "json"],
        cwd=cwd or folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_key_of_an_entry_is_kept(tmp_path: Path) -> None:
    """Only the published number is another one; services without a port that moves are not in the generated file."""
    folder = tmp_path / "shop"
    entry = {"target": 80, "published": "8080", "host_ip": "127.0.0.1", "protocol": "tcp", "mode": "host", "name": "web $$1",
             "app_protocol": "http"}  # fmt: skip
    write(folder, {"compose.yaml": {"services": {"a": {"image": "x", "ports": [entry]},
                                                 "b": {"image": "x", "ports": ["${B_PORT:-9000}:90"]},
                                                 "c": {"image": "x"}}}})  # fmt: skip
    before, told = _config(folder, {}), _told(folder)
    after = _config(folder, told)
    assert after["services"]["a"]["ports"] == [{**before["services"]["a"]["ports"][0], "published": str(FIRST)}]
    assert after["services"]["b"]["ports"][0]["published"] == told["B_PORT"] == str(FIRST + 1)
    override = Path(told["COMPOSE_FILE"].split(":")[-1]).read_text()
    assert '"a"' in override
    assert '"b"' not in override
    assert '"c"' not in override


def test_included_extended_and_profiled_services_move_too(tmp_path: Path) -> None:
    """What another file brings in is moved like all else, and so is what only another profile activates; the files stay as they are."""
    folder = tmp_path / "shop"
    write(
        folder,
        {
            "compose.yaml": {
                "include": ["db/compose.yaml"],
                "services": {
                    "web": {"extends": {"file": "base.yaml", "service": "base"}, "ports": ["8081:81"]},
                    "tool": {"image": "x", "profiles": ["tools"], "ports": ["8090:90"]},
                    "debug": {"image": "x", "profiles": ["debug"], "ports": ["8091:91"]},
                },
            },
            "base.yaml": {"services": {"base": {"image": "x", "ports": ["127.0.0.1:8080:80"]}}},
            "db/compose.yaml": {"services": {"db": {"image": "x", "ports": ["5432:5432"]}}},
        },
    )
    chosen = {"COMPOSE_PROFILES": "tools"}
    assert compare(folder, chosen)
    told = _told(folder, chosen)
    services = _config(folder, {**told, "COMPOSE_PROFILES": "*"})["services"]
    ports = {name: [port["published"] for port in service["ports"]] for name, service in services.items()}
    moved = [int(port) for name in ("web", "db", "tool", "debug") for port in ports[name]]
    assert len(moved) == len(set(moved)) == 5
    assert min(moved) >= FIRST


def test_profiles_that_exclude_each_other_share_no_port(tmp_path: Path) -> None:
    """Two services on one port, by one variable, of which one runs at a time: the variable is the active one's."""
    folder = tmp_path / "shop"
    web = {"image": "x", "ports": ["${WEB_PORT:-8080}:80"]}
    write(
        folder,
        {"compose.yaml": {"services": {"prod": {**web, "profiles": ["prod"]}, "dev": {**web, "profiles": ["dev"]}}}},
    )
    told = _told(folder, {"COMPOSE_PROFILES": "dev"})
    services = _config(folder, {**told, "COMPOSE_PROFILES": "*"})["services"]
    ports = {name: service["ports"][0]["published"] for name, service in services.items()}
    assert ports == {"dev": told["WEB_PORT"], "prod": told["PROD_PORT"]}
    assert len(set(ports.values())) == 2


def test_each_container_of_a_service_gets_a_port(tmp_path: Path) -> None:
    """A fixed port, a range and a variable become ranges that are as wide as the service."""
    folder = tmp_path / "shop"
    write(folder, {"compose.yaml": {"services": {
        "fixed": {"image": "x", "scale": 3, "ports": ["8080:80", "127.0.0.1:8081:81/udp"]},
        "range": {"image": "x", "deploy": {"replicas": 2}, "ports": ["8000-8009:80"]},
        "written": {"image": "x", "scale": 2, "ports": ["${W_PORT:-9000}:80"]},
    }}})  # fmt: skip
    assert compare(folder)
    services = _config(folder, _told(folder))["services"]
    ports = {name: [port["published"] for port in service["ports"]] for name, service in services.items()}
    assert ports == {"fixed": ["41000-41002", "41003-41005"], "range": ["41006-41007"], "written": ["41008-41009"]}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        ("docker compose --profile a --profile=b up --profile c", ["a", "b"]),
        ("docker-compose --profile a up", ["a"]),
        ("docker --context x compose --profile * config", ["*"]),
        ("docker compose up", []),
        ("python serve.py --profile a", []),
    ],
)
def test_a_command_of_compose_activates_profiles(words: str, named: list[str]) -> None:
    """As far as they are told before its verb: they count instead of COMPOSE_PROFILES."""
    assert profiles(words.split()) == named


def test_sctp_is_left_and_said(tmp_path: Path) -> None:
    """No store leases its ports: a linked worktree is told which number stays the same."""
    folder = tmp_path / "shop"
    entries = ["8080:80", "3868:3868/sctp", "${P:-81}:81/tcp", "${P:-81}:81/sctp"]  # the last one follows its variable
    write(folder, {"compose.yaml": {"services": {"a": {"image": "x", "ports": entries}}}})
    assert compare(folder)
    ports = [port["published"] for port in _config(folder, _told(folder))["services"]["a"]["ports"]]
    assert ports == ["41000", "3868", "41001", "41001"]
    assert given_ports(folder)[2].remarks == ("a stays on 3868/sctp: only ports of TCP and UDP are leased",)


def test_what_the_engine_may_choose_from_is_left_to_it(tmp_path: Path) -> None:
    """A range with the leased ports in it, of one container or several, and a service on the host's network: nothing is generated."""
    folder = tmp_path / "shop"
    write(folder, {"compose.yaml": {"services": {
        "range": {"image": "x", "ports": [f"{FIRST}-{FIRST + 5}:80"]},
        "several": {"image": "x", "scale": 3, "ports": [f"{FIRST}-{FIRST + 5}:80"]},
        "host": {"image": "x", "network_mode": "host", "ports": ["8080:80"]},
    }}})  # fmt: skip
    told = _told(folder)
    assert "COMPOSE_FILE" not in told
    assert not (folder / ".state").exists()
    assert _config(folder, told)["services"].keys() == {"range", "several", "host"}


def test_a_fixed_name_of_a_container_moves_as_well(tmp_path: Path) -> None:
    """An engine has each name once: a linked worktree's container gets another, and answers to the old one in its networks."""
    folder = tmp_path / "shop"
    write(folder, {"compose.yaml": {"networks": {"back": {}}, "services": {
        "a": {"image": "x", "container_name": "shop-a"},
        "b": {"image": "x", "container_name": "shop-b", "networks": {"back": {"aliases": ["bee"]}}},
        "c": {"image": "x", "container_name": "${COMPOSE_PROJECT_NAME}-c"},
    }}})  # fmt: skip
    told = _told(folder)
    services = _config(folder, told)["services"]
    own = told["COMPOSE_PROJECT_NAME"].removeprefix("shop-")
    assert {name: each["container_name"] for name, each in services.items()} == {
        "a": f"shop-a-{own}", "b": f"shop-b-{own}", "c": f"shop-{own}-c",
    }  # fmt: skip
    assert services["a"]["networks"]["default"]["aliases"] == ["shop-a"]
    assert services["b"]["networks"]["back"]["aliases"] == ["bee", "shop-b"]


# In real working trees

LITERAL = """services:
  web:
    image: x
    ports: ["{web}:80", "127.0.0.1:{admin}:81"]
  api:
    image: x
    ports:
      - target: 5000
        published: {api}
  db:
    image: x
    ports: ["${{DB_PORT:-{db}}}:5432"]
"""


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """A repository whose Compose file has fixed ports, and a linked worktree of it."""
    primary, linked = tmp_path / "shop", tmp_path / "feature"
    primary.mkdir()
    names = ("web", "admin", "api", "db")
    first = free_ports(len(names))
    (primary / "compose.yaml").write_text(LITERAL.format(**{name: first + n for n, name in enumerate(names)}))
    _git(primary, "init", "--quiet")
    _git(primary, "add", ".")
    _git(primary, "-c", "user.name=t", "-c", "user.email=t@example.invalid", "commit", "--quiet", "-m", "start")
    _git(primary, "worktree", "add", "--quiet", str(linked))
    return primary, linked


def _git(folder: Path, *words: str) -> str:
    return subprocess.run([need("git"), "-C", str(folder), *words], check=True, capture_output=True, text=True).stdout


def _env(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, str]:
    capsys.readouterr()
    assert main(["-C", str(folder), "env", "--json"]) == 0
    values: dict[str, str] = json.loads(capsys.readouterr().out)
    return values


def _published(config: Mapping[str, Any]) -> list[int]:
    return [int(port["published"]) for service in config["services"].values() for port in service.get("ports", ())]


def test_a_linked_worktree_comes_up_beside_the_primary_one(
    trees: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Seen by Compose no port is shared, whatever folder it is asked in, and git sees no change in either tree."""
    primary, linked = trees
    ours, others = _env(capsys, primary), _env(capsys, linked)
    assert "COMPOSE_FILE" not in ours
    mine, moved = _published(_config(primary, ours)), _published(_config(linked, others))
    assert mine == _published(_config(primary, {}))
    assert len({*mine, *moved}) == 8
    assert _config(linked, others, cwd=tmp_path) == _config(linked, others)
    told = {int(value) for name, value in others.items() if name.endswith("_PORT")}
    assert set(moved) <= told
    for tree in trees:
        assert _git(tree, "status", "--porcelain", "--ignored") == ""


def test_containers_and_profiles_have_leases_that_stay(
    trees: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service of two containers has two neighbours, asked by `env`, by name or for all; a profile's service has a lease where all move."""
    primary, linked = trees
    for tree in trees:
        document = (
            (tree / "compose.yaml")
            .read_text()
            .replace("  api:\n    image: x\n", "  api:\n    image: x\n    scale: 2\n")
        )
        (tree / "compose.yaml").write_text(
            document.replace("  db:\n    image: x\n", "  db:\n    image: x\n    profiles: [data]\n")
        )
    values = [_env(capsys, tree) for tree in trees]
    assert "DB_PORT" not in values[0]
    assert "DB_PORT" in values[1]
    for tree, told in zip(trees, values, strict=True):
        low = int(told["API_PORT"])
        assert _config(tree, told)["services"]["api"]["ports"][0]["published"] == f"{low}-{low + 1}"
        capsys.readouterr()
        assert main(["-C", str(tree), "lease", "api"]) == 0
        assert capsys.readouterr().out == f"{low}\n"
        assert main(["-C", str(tree), "lease"]) == 0
        assert {low, low + 1} <= set(map(int, capsys.readouterr().out.split()))
        assert _env(capsys, tree) == told
    asking = tmp_path / "docker-compose"  # in the place of Compose: what it is told
    asking.write_text("#!/bin/sh\necho $COMPOSE_PROFILES $DB_PORT\n")
    asking.chmod(0o755)
    done = command.run("run", "api", "--", str(asking), "--profile", "data", "up", cwd=primary)
    assert done.stdout.split()[0] == "data"
    monkeypatch.setenv("COMPOSE_PROFILES", "data")
    assert _env(capsys, primary)["DB_PORT"] == done.stdout.split()[1]
    assert _env(capsys, linked) == values[1]


def test_asking_again_with_all_of_it_set_changes_nothing(
    trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a shell that has evaluated `env`: the same ports, names and files; `check` sees what Compose sees, `set` the files."""
    _primary, linked = trees
    before = _env(capsys, linked)
    for name, value in before.items():
        monkeypatch.setenv(name, value)
    assert _env(capsys, linked) == before
    capsys.readouterr()
    assert main(["-C", str(linked), "check", "--json"]) in (0, 1)
    services = json.loads(capsys.readouterr().out)["services"]
    shown = [int(port["published"]) for each in services for port in each["ports"] if port["from"] == "compose"]
    assert sorted(shown) == sorted(_published(_config(linked, before)))
    capsys.readouterr()
    assert main(["-C", str(linked), "set", "web=9999", "--json"]) == 0
    assert {change["path"] for change in json.loads(capsys.readouterr().out)["changes"]} == {"compose.yaml"}


def test_what_was_told_for_another_tree_is_not_taken_for_this_one(
    trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody went from one tree to the other in one shell: the files are those of the tree that is asked about."""
    primary, linked = trees
    expected = _env(capsys, primary)
    monkeypatch.setenv("COMPOSE_FILE", _env(capsys, linked)["COMPOSE_FILE"])
    assert _env(capsys, primary) == expected


def test_a_generated_file_that_is_not_needed_any_more_goes(
    trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fixed ports were replaced by variables: the file is removed, and Compose is told of the project's own files alone."""
    _primary, linked = trees
    chosen = _env(capsys, linked)["COMPOSE_FILE"]
    generated = Path(chosen.split(":")[-1])
    assert generated.exists()
    (linked / "compose.yaml").write_text('services: {web: {image: x, ports: ["${WEB_PORT:-8000}:80"]}}\n')
    monkeypatch.setenv("COMPOSE_FILE", chosen)
    assert _env(capsys, linked)["COMPOSE_FILE"] == str(linked / "compose.yaml")
    assert not generated.exists()


def test_the_file_of_a_tree_that_is_gone_goes(trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """When another one is made: what was generated does not only grow."""
    primary, linked = trees
    generated = Path(_env(capsys, linked)["COMPOSE_FILE"].split(":")[-1])
    _git(primary, "worktree", "move", str(linked), f"{linked}-2")
    other = Path(_env(capsys, Path(f"{linked}-2"))["COMPOSE_FILE"].split(":")[-1])
    assert other.exists()
    assert not generated.exists()


def test_where_nothing_can_be_generated_that_is_said(
    trees: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a read-only home: the variables are told all the same, and that the fixed ports stay."""
    _primary, linked = trees
    monkeypatch.setenv("PORTWARD_STORE", f"sqlite://{linked.parent}/leases.db")
    blocked = linked.parent / "blocked"
    blocked.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(blocked))
    assert main(["-C", str(linked), "env", "--json"]) == 0
    said = capsys.readouterr()
    assert "COMPOSE_FILE" not in json.loads(said.out)
    assert "fixed ports stay as they are" in said.err


def test_paths_with_separators(tmp_path: Path) -> None:
    """Another separator is told where a path has the usual one."""
    odd = tmp_path / "a:b"
    write(odd, {"compose.yaml": {"services": {"a": {"image": "x", "ports": ["8080:80"]}}}})
    told = _told(odd)
    assert told["COMPOSE_PATH_SEPARATOR"] == ";"
    assert _published(_config(odd, told)) == [FIRST]
    assert Generated(str(odd / ".state/portward/compose"), str(odd)).without(told) == {
        **{name: value for name, value in told.items() if name != "COMPOSE_FILE"},
        "COMPOSE_FILE": str(odd / "compose.yaml"),
    }
    assert from_root(told, str(odd))["COMPOSE_FILE"].startswith("compose.yaml;")
