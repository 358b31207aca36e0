"""The house rules: imports only go down, pure rooms stay pure, and start-up stays lean."""

from __future__ import annotations

import ast
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nexus import NEXUS, VARIABLES
from tests.ports import free_ports

SOURCE = Path(__file__).parent.parent / "src/portward"

# each room, and what it may import from the house besides itself and the records
ALLOWED = {
    "truths": set(),
    "verbs": set(),
    "memo": set(),
    "records": set(),
    "model": {"records"},
    "errors": set(),
    "wording": {"model"},
    "arguments": {"errors", "model", "wording"},
    "evidence": {"model"},
    "wire": {"model"},
    "discretion": {"wording"},
    "formats": {"arguments", "discretion", "errors", "model", "wording"},
    "occupancy": {"model", "wording"},
    "remedies": {"model", "wording"},
    "rules": {"errors", "model", "occupancy", "remedies", "wording"},
    "catalog": {"errors", "model", "wording"},
    "allocate": {"errors", "model", "wording"},
    "clearing": {"model"},
    "plan": {"errors", "model", "wording"},
    "symptoms": {"model"},
    "servers": {"errors", "formats", "model", "wording"},
    "packets": set(),
    "causes": {"evidence", "model", "packets", "remedies", "wording"},
    "stops": {"model", "wording"},
    "engine": {"errors", "model", "wording"},
    "remote": {"errors", "model", "wording"},
    "containers": {"discretion", "engine", "errors", "evidence", "model"},
    "reach": {"evidence", "model"},
    "sockets": {"engine", "errors", "model", "wording"},
    "leases": {"errors", "model", "wire"},
    "probes": {"evidence", "model", "wording"},
    "workspace": {"errors", "model", "wording"},
    "journal": {"errors", "model"},
    "change": {"answers", "arguments", "clearing", "errors", "formats", "journal", "model", "plan", "workspace"},
    "processes": {"engine", "errors", "model", "wording"},
    "answers": {"model", "plan", "stops"},
    "configuration": {"catalog", "errors", "formats", "model", "rules", "workspace"},
    "live": {"catalog", "engine", "errors", "model", "sockets", "wording", "workspace"},
    "declared": {"catalog", "change", "configuration", "errors", "formats", "generated", "journal", "model", "workspace"},
    "hosts": {"errors", "model", "remote", "wire", "wording"},
    "fleet": {
        "answers", "arguments", "catalog", "declared", "errors", "formats", "hosts", "leased", "live", "looking", "model", "remote",
        "rules", "survey", "wire", "wording",
    },
    "leased": {"errors", "leases", "live", "model", "workspace"},
    "looking": {
        "answers", "arguments", "catalog", "declared", "history", "identifying", "leased", "live", "model", "probes", "remedies",
        "sockets", "survey", "watching",
    },
    "finding": {"allocate", "catalog", "declared", "errors", "leased", "live", "model"},
    "changing": {
        "answers", "arguments", "change", "clearing", "declared", "errors", "formats", "leased", "live", "model", "plan",
        "rules", "survey", "wording", "workspace",
    },
    "agents": {"answers", "change", "declared", "formats"},
    "conventions": {"allocate", "catalog", "model"},
    "identifying": {"arguments", "catalog", "errors", "live", "model", "occupancy", "probes", "wording"},
    "host_agent": {"answers", "errors", "leases", "model", "sockets", "watching", "wire"},
    "watching": {"answers", "model", "sockets", "wording"},
    "history": {"answers", "model", "processes", "wording"},
    "privileges": {"answers", "errors", "sockets"},
    "waiting": {"answers", "arguments", "catalog", "errors", "identifying", "live", "model", "probes"},
    "places": {"containers", "errors", "evidence", "live", "model", "reach", "sockets", "wording"},
    "aiming": {"arguments", "catalog", "errors", "evidence", "model", "places", "wording"},
    "examining": {
        "aiming", "answers", "arguments", "catalog", "causes", "errors", "evidence", "identifying", "live", "model", "places",
        "probes", "reach", "sockets",
    },
    "asking": {"conventions", "leases", "live", "model", "workspace"},
    "leasing": {
        "allocate", "asking", "catalog", "conventions", "errors", "leases", "live", "missed", "model", "occupancy", "offline", "reaching", "wording", "workspace",
    },
    "offline": {"conventions", "errors", "leases", "leasing"},
    "reaching": {"errors", "hosts", "leases", "model", "wire", "wording"},
    "missed": {"errors", "leases", "live", "model", "wording"},
    "generated": {"errors"},
    "git": {"errors"},
    "filling": {"errors", "formats", "git"},
    "githook": {"answers", "errors", "formats", "git"},
    "composing": {"conventions", "errors", "formats", "generated", "model", "workspace"},
    "ownership": {"model", "wording", "workspace"},
    "starting": {
        "answers", "composing", "conventions", "errors", "history", "leasing", "live", "model", "occupancy", "processes",
        "servers", "sockets", "symptoms", "wording",
    },
    "upkeep": {"answers", "errors", "leases", "model"},
    "explaining": {"answers", "catalog", "live", "model", "preflight", "remedies", "rules", "survey", "symptoms", "wording"},
    "stopping": {"answers", "arguments", "catalog", "errors", "live", "model", "processes", "sockets", "stops", "wording"},
    "survey": {"allocate", "answers", "catalog", "identifying", "leased", "live", "model", "occupancy"},
    "preflight": {
        "answers", "arguments", "catalog", "declared", "errors", "leased", "live", "model", "remedies", "survey", "wording",
    },
    "ward": {
        "agents", "answers", "arguments", "catalog", "change", "changing", "composing", "conventions", "declared", "errors",
        "evidence", "examining", "explaining", "filling", "finding", "fleet", "githook", "history", "host_agent", "hosts", "identifying", "leased", "leases", "leasing", "live", "looking", "model", "ownership", "preflight", "privileges", "probes", "remote", "rules", "sockets", "starting",
        "stopping", "stops", "survey", "symptoms", "upkeep", "waiting", "watching", "workspace",
    },
    "render": {"answers", "catalog", "discretion", "errors", "evidence", "leasing", "model", "plan", "stops", "wire", "wording"},
    "cli": {
        "answers", "arguments", "conventions", "errors", "fleet", "formats", "leasing", "model", "render", "serve", "stops",
        "ward", "wording",
    },
    "serve": {"answers", "arguments", "conventions", "discretion", "errors", "model", "render", "stops", "ward", "watching", "wire", "wording"},
    "library": {"answers", "arguments", "conventions", "leasing", "model", "sockets", "ward"},
    "testing": {"allocate", "catalog", "errors", "leases", "model", "sockets", "ward", "workspace"},
    "pytest_plugin": {"testing"},
    "__init__": {"errors", "library", "model", "sockets", "ward"},
    "__main__": {"cli"},
}  # fmt: skip
PURE = {
    "allocate",
    "catalog",
    "causes",
    "clearing",
    "conventions",
    "formats",
    "occupancy",
    "packets",
    "plan",
    "remedies",
    "rules",
    "servers",
    "stops",
    "symptoms",
    "wire",
}
IMPURE_MODULES = {"os", "socket", "sqlite3", "subprocess", "time", "pathlib", "asyncio", "threading", "shutil"}
LOWEST = {"arguments", "discretion", "errors", "evidence", "memo", "model", "records", "wording"}


FOLDERS = {"truths", "verbs"}
"""Folders of several rooms: each module in them is one."""


def _room(path: Path) -> str:
    """The room of a file, or of a module's name told as a path."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[1] if parts[0] in FOLDERS and len(parts) > 1 else parts[0]


def _imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative imports hide where a thing lives"
            names.add(node.module)
            if node.module == "portward":
                names.update(f"portward.{alias.name}" for alias in node.names if (SOURCE / alias.name).exists())
                names.update(f"portward.{a.name}" for a in node.names if (SOURCE / f"{a.name}.py").exists())
            elif node.module.removeprefix("portward.") in FOLDERS:
                names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_go_down(path: Path) -> None:
    """No file imports from a room above it or beside it."""
    room = _room(path)
    assert room in ALLOWED, f"{room} is a new room: give it its place here and in docs/architecture.md"
    ours = [name.split(".")[1:] for name in _imports(path) if name.split(".")[0] == "portward"]
    used = {_room(SOURCE.joinpath(*parts)) for parts in ours if parts} - FOLDERS
    assert used - {room, "memo", "records"} <= ALLOWED[room], f"{path} imports {used - ALLOWED[room] - {room}}"


@pytest.mark.parametrize("path", [path for path in FILES if _room(path) in PURE], ids=lambda path: path.name)
def test_pure_rooms_stay_pure(path: Path) -> None:
    """The rooms of judgement never touch the machine."""
    assert not {name.split(".")[0] for name in _imports(path)} & IMPURE_MODULES


@pytest.mark.parametrize("path", [path for path in FILES if _room(path) in LOWEST], ids=lambda path: path.name)
def test_the_lowest_room_is_standard_library_only(path: Path) -> None:
    """The nouns depend on nothing that must be installed."""
    assert {name.split(".")[0] for name in _imports(path)} <= sys.stdlib_module_names | {"portward"}


def test_every_module_says_what_it_is() -> None:
    """Every module has a docstring, and none is called by a name that says nothing."""
    for path in FILES:
        assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), f"{path} has no docstring"
        assert path.stem not in {"utils", "util", "common", "helpers", "misc", "manager", "handler"}


HEAVY = {
    "dataclasses",
    "typing",
    "pathlib",
    "subprocess",
    "json",
    "yaml",
    "tree_sitter",
    "psutil",
    "asyncio",
    "http.client",
}


MOST_FOR_A_KNOWN_LEASE = 36
"""Modules of ours: of the standard library's own, each version has others."""


def test_a_known_lease_is_lean(tmp_path: Path) -> None:
    """A service that has its port already: neither the project nor its settings are parsed, whatever it declares."""
    project = tmp_path / "nexus"
    shutil.copytree(SOURCE.parent.parent / "examples/nexus", project)
    (project / "portward.toml").write_text(
        '[kinds]\nbackend = "api"\n\n[[pin]]\nservice = "redis"\nport = 6379\nreason = "x"\n'
    )
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": ""}
    first, loaded = (
        _loaded(["lease", "backend"], environment, project),
        _loaded(["lease", "backend"], environment, project),
    )
    assert "portward.formats.settings" in first
    assert not loaded & {
        *HEAVY,
        "tomllib",
        "portward.engine",
        "portward.formats",
        "portward.catalog",
        "portward.allocate",
    }
    ours = sorted(name for name in loaded if name.startswith("portward"))
    assert len(ours) <= MOST_FOR_A_KNOWN_LEASE, ours


def test_a_grant_is_lean(tmp_path: Path) -> None:
    """A service that gets a port where no file declares one: no reader of files is loaded, and no module of expressions."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "notes.txt").touch()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": ""}
    loaded = _loaded(["lease", "web"], environment, tmp_path)
    assert "portward.leases._grants" in loaded
    assert not loaded & {*HEAVY, "enum", "re", "portward.formats.project", "portward.formats.dotenv"}


@pytest.mark.parametrize("state", ["free", "taken", "taken in a project"])
@pytest.mark.parametrize("verb", ["check", "ls", "who"])
def test_start_up_is_lean(verb: str, state: str, tmp_path: Path) -> None:
    """The verbs that are asked all day load no heavy module and no rule, on a machine without an engine."""
    if state == "taken in a project":
        (tmp_path / ".env").write_text("PORT=5000\n")
        (tmp_path / ".git").mkdir()
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": ""}
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        if state == "free":
            holder.close()
        loaded = _loaded([verb, str(port)], environment, tmp_path)
    assert "portward.ward" in loaded
    assert not loaded & HEAVY
    if (verb, state) in {("check", "free"), ("ls", "free"), ("ls", "taken")}:  # the others read the catalog, or files
        assert not loaded & {"enum", "re"}
    assert not {name for name in loaded if name.startswith("portward.rules")}


BUDGETS = {
    "ls": ([], 79, 150),
    "who": (["1"], 83, 195),
    "check": (["1"], 32, 40),
    "services": ([], 92, 200),
    "set": (["redis=14001"], 88, 195),
    "resolve": ([], 133, 245),
    "docs": ([], 85, 200),
    "init": ([], 43, 80),
    "undo": (["--dry-run"], 41, 75),
    "find": ([], 38, 55),
    "lease": (["web"], 92, 210),
    "release": (["nobody"], 33, 65),
    "leases": ([], 37, 75),
    "env": ([], 100, 215),
    "run": (["web", "--", "true"], 122, 245),
    "verify": (["1"], 88, 200),
    "pin": (["web=5000", "--reason", "why"], 43, 95),
    "kill": (["1", "--dry-run"], 39, 72),
    "identify": (["1"], 46, 105),
    "wait": (["1", "--timeout", "0"], 42, 92),
    "explain": (["a text without a trouble"], 56, 88),
    "doctor": (["--store"], 41, 100),
    "catalog": (["5000"], 26, 55),
    "setup": ([], 27, 35),
    "serve": (["--json"], 20, 55),
    "top": ([], 15, 30),
    "mcp": (["--json"], 20, 55),
    "agent": (["--unit"], 20, 55),
    "completion": (["bash"], 16, 50),
}
"""Of each verb in examples/nexus: words, how many modules of ours it may load, and how many in all, whose number differs a little with
each version of Python. A module takes some 0.3 ms. Who needs more raises the number, and says why in the commit."""


@pytest.mark.parametrize("verb", BUDGETS)
def test_start_up_has_a_budget(verb: str, tmp_path: Path) -> None:
    """No verb loads more modules than it is granted: start-up is part of every answer, and a count is the same on any machine,
    whoever has the example's own ports there, and however many processes run.
    """
    words, most_of_ours, most = BUDGETS[verb]
    project = tmp_path / "nexus"
    shutil.copytree(NEXUS, project)
    first = free_ports(len(VARIABLES))
    (project / ".env").write_text("".join(f"{name}={first + step}\n" for step, name in enumerate(VARIABLES)))
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DOCKER_HOST": "", "PORTWARD_OWNERS": "proc"}
    loaded = _loaded([verb, *words], environment, project)
    ours = sorted(name for name in loaded if name.partition(".")[0] == "portward")
    assert "portward.ward" in ours
    assert len(ours) <= most_of_ours, ours
    assert len(loaded) <= most, sorted(loaded - set(ours))
    assert most_of_ours < len(ours) * 1.3 + 5, "the budget is far above what is needed: lower it"


def test_every_verb_has_a_budget() -> None:
    """A new verb gets its number of modules when it is made."""
    from portward import cli

    assert BUDGETS.keys() == cli.VERBS.keys()


def _loaded(words: list[str], environment: dict[str, str], folder: Path) -> set[str]:
    """The modules that a command loads, in a process of its own."""
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); before = set(sys.modules); from portward.cli import main; main(sys.argv[1:]); "
        "print(' '.join(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )
    command = [sys.executable, "-I", "-c", code, *words]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    return set(done.stderr.splitlines()[-1].split())
