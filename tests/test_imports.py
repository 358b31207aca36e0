"""The house rules: imports only go down, pure rooms stay pure, and start-up stays lean."""

from __future__ import annotations

import ast
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src/portward"

# each room, and what it may import from the house besides itself and the records
ALLOWED = {
    "records": set[str](),
    "model": {"records"},
    "errors": set[str](),
    "wording": {"model"},
    "arguments": {"errors", "model", "wording"},
    "evidence": {"model"},
    "formats": {"arguments", "errors", "model", "wording"},
    "occupancy": {"model", "wording"},
    "remedies": {"model", "wording"},
    "rules": {"errors", "model", "occupancy", "remedies", "wording"},
    "catalog": {"errors", "model", "wording"},
    "allocate": {"errors", "model", "wording"},
    "plan": {"errors", "model", "wording"},
    "symptoms": {"model"},
    "servers": {"errors", "formats", "model", "wording"},  # formats: the data of its tools
    "packets": set[str](),
    "causes": {"evidence", "model", "packets", "remedies", "wording"},
    "stops": {"model", "wording"},
    "engine": {"errors", "model", "wording"},
    "containers": {"engine", "errors", "evidence", "model", "wording"},
    "reach": {"evidence", "model"},
    "sockets": {"engine", "errors", "model", "wording"},
    "leases": {"errors", "model"},
    "probes": {"model", "wording"},
    "workspace": {"errors", "model", "wording"},
    "journal": {"errors", "model"},
    "change": {"answers", "arguments", "errors", "formats", "journal", "model", "plan", "workspace"},
    "processes": {"engine", "errors", "model", "wording"},
    "answers": {"model", "plan", "stops"},
    "configuration": {"catalog", "errors", "formats", "model", "rules", "workspace"},
    "live": {"catalog", "engine", "errors", "model", "sockets", "wording", "workspace"},
    "declared": {"catalog", "change", "configuration", "errors", "formats", "generated", "journal", "model", "workspace"},
    "leased": {"errors", "leases", "live", "model", "workspace"},
    "looking": {"answers", "arguments", "catalog", "declared", "identifying", "leased", "live", "model", "probes", "remedies", "survey"},
    "finding": {"allocate", "catalog", "declared", "errors", "leased", "live", "model"},
    "changing": {
        "answers", "arguments", "change", "declared", "errors", "formats", "leased", "live", "model", "plan", "rules", "survey",
        "wording", "workspace",
    },
    "agents": {"answers", "change", "declared", "formats"},
    "conventions": {"allocate", "catalog", "model"},
    "identifying": {"arguments", "catalog", "errors", "live", "model", "occupancy", "probes", "wording"},
    "waiting": {"answers", "arguments", "catalog", "errors", "identifying", "live", "model", "probes"},
    "places": {"containers", "errors", "evidence", "live", "model", "reach", "sockets", "wording"},
    "aiming": {"arguments", "catalog", "errors", "evidence", "model", "places", "wording"},
    "examining": {
        "aiming", "answers", "arguments", "catalog", "causes", "errors", "evidence", "identifying", "live", "model", "places",
        "probes", "reach", "sockets",
    },
    "leasing": {"allocate", "catalog", "conventions", "errors", "leases", "live", "model", "occupancy", "wording", "workspace"},
    "generated": {"errors"},
    "git": {"errors"},
    "filling": {"errors", "formats", "git"},
    "githook": {"answers", "errors", "formats", "git"},
    "composing": {"conventions", "errors", "formats", "generated", "model", "workspace"},
    "ownership": {"model", "wording", "workspace"},
    "starting": {"composing", "conventions", "errors", "leasing", "live", "model", "occupancy", "processes", "servers", "sockets"},
    "upkeep": {"answers", "errors", "leases", "model"},
    "explaining": {"answers", "catalog", "live", "model", "preflight", "remedies", "survey", "symptoms", "wording"},
    "stopping": {"answers", "arguments", "catalog", "errors", "live", "model", "processes", "sockets", "stops", "wording"},
    "survey": {"allocate", "answers", "catalog", "identifying", "leased", "live", "model", "occupancy"},
    "preflight": {"answers", "arguments", "catalog", "declared", "errors", "leased", "live", "model", "remedies", "survey", "wording"},
    "ward": {
        "agents", "answers", "arguments", "catalog", "change", "changing", "composing", "conventions", "declared", "errors", "evidence",
        "examining", "explaining", "filling", "finding", "githook", "identifying", "leased", "leases", "leasing", "live", "looking",
        "model", "ownership", "preflight", "probes", "rules", "sockets", "starting", "stopping", "stops", "survey", "symptoms",
        "upkeep", "waiting", "workspace",
    },
    "render": {"answers", "catalog", "errors", "evidence", "leasing", "model", "plan", "stops", "wording"},
    "serve": {"answers", "arguments", "conventions", "errors", "model", "render", "stops", "ward", "wording"},
    "cli": {
        "answers", "arguments", "conventions", "errors", "formats", "leasing", "model", "render", "serve", "stops", "ward", "wording",
    },
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
}
IMPURE_MODULES = {"os", "socket", "sqlite3", "subprocess", "time", "pathlib", "asyncio", "threading", "shutil"}
LOWEST = {"arguments", "errors", "evidence", "model", "records", "wording"}


def _room(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


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
    return names


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_only_go_down(path: Path) -> None:
    """No file imports from a room above it or beside it."""
    room = _room(path)
    assert room in ALLOWED, f"{room} is a new room: give it its place here and in docs/architecture.md"
    used = {name.partition(".")[2].partition(".")[0] for name in _imports(path) if name.split(".")[0] == "portward"}
    assert used - {room, "records", ""} <= ALLOWED[room], f"{path} imports {used - ALLOWED[room] - {room}}"


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


MOST_FOR_A_KNOWN_LEASE = 32
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


def _loaded(words: list[str], environment: dict[str, str], folder: Path) -> set[str]:
    """The modules that a command loads, in a process of its own."""
    code = (
        f"import sys; sys.path.insert(0, {str(SOURCE.parent)!r}); before = set(sys.modules); from portward.cli import main; main(sys.argv[1:]); "
        "print(' '.join(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )
    command = [sys.executable, "-I", "-c", code, *words]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)
    return set(done.stderr.splitlines()[-1].split())
