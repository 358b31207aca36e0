"""From files to a project: which ports are declared, and which of them mean the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from portward.errors import InvalidFile, UsageError
from portward.formats import format_of
from portward.formats.project import declare
from portward.model import ComposeOptions, Project, Side
from portward.workspace import Files, find_root
from tests.reading import reader

NEXUS = Path(__file__).parent.parent / "examples/nexus"


def _declare(
    files: dict[str, str], environment: dict[str, str] | None = None, options: ComposeOptions | None = None
) -> Project:
    return declare("/p", "p", sorted(files), reader(files), environment or {}, options or ComposeOptions())


def _nexus(**changes: str) -> Project:
    files = Files(str(NEXUS))
    paths, skipped = files.find(lambda path: format_of(path) is not None)
    assert skipped == []
    texts = {path: files.read(path) for path in paths} | changes
    return _declare(texts)


def _origins(project: Project, service: str) -> set[tuple[str, str | int | None, str]]:
    found = project.service(service)
    assert found is not None
    return {(str(spec.location), spec.published or spec.target, str(spec.side)) for spec in found.ports}


def test_the_guides_project() -> None:
    """Project Nexus publishes the guide's seven ports, and the worker none."""
    project = _nexus()
    assert project.name == "nexus"
    claims = {(service.name, spec.published) for service in project.services for spec in service.claims}
    assert claims == {
        ("frontend", "3000"),
        ("backend", "5000"),
        ("open-webui", "8080"),
        ("open-webui", "1234"),
        ("ollama", "11434"),
        ("mongodb", "27017"),
        ("redis", "6379"),
    }
    assert project.references == ()


def test_the_backend_has_both_sides() -> None:
    """Everything that names the backend is linked to it, each on its own side."""
    assert _origins(_nexus(), "backend") == {
        ("docker-compose.yml:22:9", "5000", "host"),
        ("docker-compose.yml:22:18", "5000", "host"),
        (".env:3:6", "5000", "host"),
        ("server/config.js:3:29", "5000", "host"),
        ("client/.env:1:36", "5000", "host"),
        ("docker-compose.yml:22:24", 5000, "container"),
        ("docker-compose.yml:24:13", 5000, "container"),
        ("docker-compose.yml:41:36", "5000", "container"),
        ("README.md:11:19", "5000", "host"),
        ("README.md:11:26", 5000, "container"),
        ("README.md:20:22", "5000", "container"),
    }


def test_a_stale_url_is_linked_by_the_words_of_its_variable() -> None:
    """A URL whose port nobody publishes still belongs to the API that its variable speaks of."""
    project = _nexus(**{"client/.env": "REACT_APP_API_URL=http://localhost:5999\n"})
    assert ("client/.env:1:36", "5999", "host") in _origins(project, "backend")


def test_a_folders_own_port_is_its_own() -> None:
    """`PORT` in the client's own `.env` is not the backend's, although Compose interpolates PORT there."""
    project = _nexus(**{"client/.env": "PORT=3001\n"})
    assert ("client/.env:1:6", "3001", "unknown") in _origins(project, "frontend")
    assert not [port for port in _origins(project, "backend") if port[1] == "3001"]


def test_the_environment_wins_over_the_file() -> None:
    """A variable of the process's environment wins, as in Compose, and is told as overriding."""
    files = {".env": "PORT=5000\n", "compose.yaml": 'services: {web: {image: x, ports: ["${PORT}:80"]}}\n'}
    project = _declare(files, {"PORT": "6000"})
    assert [spec.published for spec in project.services[0].claims] == ["6000"]
    assert project.overridden == ("PORT",)


@pytest.mark.parametrize(
    ("environment", "options", "expected"),
    [
        ({}, ComposeOptions(), ["1", "3"]),
        ({"COMPOSE_FILE": "other.yml"}, ComposeOptions(), ["2"]),
        ({}, ComposeOptions(files=("other.yml",)), ["2"]),
        ({"COMPOSE_FILE": "compose.yaml:other.yml"}, ComposeOptions(), ["1", "2"]),
    ],
)
def test_which_files_are_in_force(environment: dict[str, str], options: ComposeOptions, expected: list[str]) -> None:
    """`--file`, else COMPOSE_FILE, else the usual name with its override."""
    files = {
        "compose.yaml": 'services: {web: {image: x, ports: ["1:80"]}}\n',
        "compose.override.yml": 'services: {web: {image: x, ports: ["3:80"]}}\n',
        "other.yml": 'services: {web: {image: x, ports: ["2:80"]}}\n',
    }
    project = _declare(files, environment, options)
    assert [spec.published for spec in project.services[0].claims] == expected


def test_variables_from_another_file() -> None:
    """`--env-file` replaces `.env`; COMPOSE_PROFILES and COMPOSE_PROJECT_NAME may stand in either."""
    files = {
        ".env": "PORT=1\n",
        "dev.env": "PORT=2\nCOMPOSE_PROFILES=debug\nCOMPOSE_PROJECT_NAME=named\n",
        "compose.yaml": 'services: {web: {image: x, profiles: [debug], ports: ["${PORT}:80"]}}\n',
    }
    project = _declare(files, {}, ComposeOptions(env_files=("dev.env",)))
    assert project.name == "named"
    assert [spec.published for spec in project.services[0].claims] == ["2"]


def test_services_behind_profiles_stay_inactive_where_no_other_is() -> None:
    """A project whose every service waits for a profile claims no port, as in Compose."""
    files = {"compose.yaml": 'services: {a: {image: x, profiles: [debug], ports: ["1:80"]}}\n'}
    project = _declare(files)
    assert (project.services, [service.name for service in project.inactive]) == ((), ["a"])
    active = _declare(files, {}, ComposeOptions(profiles=("debug",)))
    assert [service.name for service in active.services] == ["a"]


def test_a_project_without_compose() -> None:
    """On bare metal each port variable is a service, and a fallback for it is its own."""
    files = {
        ".env": "PORT=5000\nAPI_PORT=5001\n",
        "config.js": "const port = process.env.PORT || 5000;\n",
    }
    project = _declare(files)
    assert {service.name: [spec.published for spec in service.claims] for service in project.services} == {
        "p": ["5000"],
        "api": ["5001"],
    }


def test_a_bad_dotenv_elsewhere_hides_nothing() -> None:
    """A malformed `.env` that Compose does not read is skipped with its place; one that it reads is an error."""
    files = {"client/.env": "A B=1\n", "compose.yaml": 'services: {web: {image: x, ports: ["1:80"]}}\n'}
    project = _declare(files)
    assert project.skipped[0].what == "client/.env:1:1"
    assert project.services
    with pytest.raises(InvalidFile, match="blank"):
        _declare({**files, ".env": "A B=1\n"})


def test_a_named_file_that_is_not_there() -> None:
    """A file that was asked for by name must exist."""
    with pytest.raises(UsageError, match=r"none\.yml: cannot read it"):
        _declare({}, {}, ComposeOptions(files=("none.yml",)))


def test_sides_are_kept_apart() -> None:
    """A service name in a URL means the container's port, loopback the host's, of the same service."""
    files = {
        "compose.yaml": 'services: {api: {image: x, ports: ["6000:5000"]}}\n',
        "web/.env": "A_URL=http://api:5000\nB_URL=http://localhost:6000\n",
    }
    urls = {spec.host: spec.side for spec in _declare(files).services[0].ports if spec.host}
    assert urls == {"api": Side.CONTAINER, "localhost": Side.HOST}


def test_the_root_of_a_project(tmp_path: Path) -> None:
    """The topmost portward.toml below `.git`, else the nearest Compose file, else the folder of `.git`."""
    deep = tmp_path / "repo/apps/shop/src"
    deep.mkdir(parents=True)
    repo = tmp_path / "repo"
    (repo / ".git").mkdir()
    assert find_root(str(deep)) == str(repo)
    (repo / "apps/shop/compose.yaml").touch()
    assert find_root(str(deep)) == str(repo / "apps/shop")
    (repo / "apps/portward.toml").touch()
    (repo / "apps/shop/portward.toml").touch()
    assert find_root(str(deep)) == str(repo / "apps")
    assert find_root(str(repo)) == str(repo)


def test_other_projects_below_are_not_entered(tmp_path: Path) -> None:
    """Dependencies, hidden folders and projects of their own below are left alone."""
    for path in (".env", "client/.env", "node_modules/x/.env", ".cache/.env", "other/.env", "worktree/.env"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("PORT=1\n")
    (tmp_path / "other/compose.yaml").touch()
    (tmp_path / "worktree/.git").write_text("gitdir: elsewhere\n")
    paths, skipped = Files(str(tmp_path)).find(lambda path: format_of(path) is not None)
    assert (paths, skipped) == ([".env", "client/.env"], [])
