"""Ports in `application.properties` and `application.yaml`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from portward.cli import main
from portward.formats import format_of
from portward.formats.spring import read
from portward.model import Role, Side
from tests.port_specs import check, fragments, read_found, read_safely

if TYPE_CHECKING:
    from pathlib import Path

PATH = "backend/src/main/resources/application.properties"
OURS = (Role.FALLBACK, Side.HOST, "backend")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("server.port=8080", [("8080", *OURS)]),
        ("server.port: 8080", [("8080", *OURS)]),
        ("  server.port  8080  ", [("8080", *OURS)]),
        ("server.port=${PORT:8080}", [("8080", *OURS)]),
        ("server.port=${SERVER_PORT:${PORT:8080}}", [("8080", *OURS)]),
        ("%dev.quarkus.http.port=8081\r", [("8081", *OURS)]),
        ("micronaut.server.port = 8082", [("8082", *OURS)]),
        ("management.server.port=9090", [("9090", Role.FALLBACK, Side.HOST, "backend-management")]),
        (
            "spring.datasource.url=jdbc:postgresql://localhost:5432/app?user=a&password=b",
            [("5432", Role.URL, Side.HOST, "localhost")],
        ),
        ("spring.datasource.url=jdbc:mysql://${DB:db}:3306/app", [("3306", Role.URL, Side.CONTAINER, "db")]),
        ("app.url=http://${HOST:localhost}:${API_PORT:8090}/v1", [("8090", Role.FALLBACK, Side.HOST, None)]),
        (
            "spring.kafka.bootstrap-servers=localhost:9092,kafka:29092",
            [("9092", Role.URL, Side.HOST, "localhost"), ("29092", Role.URL, Side.CONTAINER, "kafka")],
        ),
        ("spring.data.redis.port=6379", [("6379", Role.URL, Side.HOST, "localhost")]),
        ("spring.mail.host=mail\nspring.mail.port=1025", [("1025", Role.URL, Side.CONTAINER, "mail")]),
        ("spring.mail.host=${MAIL:localhost}\nspring.mail.port=1025", [("1025", Role.URL, Side.HOST, "localhost")]),
        ("spring.mail.port=${MAIL_PORT:1025}", [("1025", Role.FALLBACK, Side.HOST, None)]),
        ("spring.data.redis.port=${REDIS_PORT:6379}", [("6379", Role.FALLBACK, Side.HOST, None)]),
        ("server.port=0", []),
        ("server.port=-1", []),
        ("server.port=${PORT}", []),
        ("server.port=${PORT:8080", []),
        ("server.port=80\\\n80", []),
        ("#server.port=8080", []),
        ("! server.port=8080", []),
        ("%test.quarkus.http.port=8081", []),
        ("spring.mail.port=1025", []),
        ("server.tomcat.max-threads=2000", []),
    ],
)
def test_lines_of_properties(line: str, expected: list[object]) -> None:
    """Servers, those that are asked, and others that have numbers."""
    assert read_found(read, f"spring.application.name=shop\n{line}\nlast=1\n", PATH) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server:\n  port: 8080\n", [("8080", *OURS)]),
        ("server.port: 8080\n", [("8080", *OURS)]),
        ('server: {port: "${PORT:8080}"}\n', [("8080", *OURS)]),
        ("server:\n  port: ${PORT:8080}\n", [("8080", *OURS)]),
        ("info:\n  version: @project.version@\nserver:\n  port: 8080\n", [("8080", *OURS)]),
        ("server: {port: 8080}\n---\nspring.config.activate.on-profile: dev\nserver: {port: 8081}\n",
         [("8080", *OURS), ("8081", *OURS)]),
        ("spring:\n  datasource:\n    url: jdbc:postgresql://db:5432/app\n", [("5432", Role.URL, Side.CONTAINER, "db")]),
        ("spring:\n  data:\n    redis:\n      host: cache\n      port: 6379\n", [("6379", Role.URL, Side.CONTAINER, "cache")]),
        ("spring:\n  kafka:\n    bootstrap-servers:\n      - localhost:9092\n", [("9092", Role.URL, Side.HOST, "localhost")]),
        ("server:\n  port: {{ port }}\n", []),
        ("server:\n  port: 0\n", []),
        ("- server\n", []),
    ],
)  # fmt: skip
def test_yaml(text: str, expected: list[object]) -> None:
    """Nested or dotted, with what Maven fills in."""
    assert read_found(read, text, PATH.replace(".properties", ".yml")) == expected


def test_which_variables_go_before_a_number() -> None:
    """Those that it is the default of, and the one that Spring reads for the key."""
    spec, other = read("server.port=${PORT:8080}\nmanagement.server.port=81\nserver.address=127.0.0.1\n", PATH)
    assert (spec.variables, spec.host_ip) == (("PORT", "SERVER_PORT"), "127.0.0.1")
    assert (other.variables, other.host_ip) == (("MANAGEMENT_SERVER_PORT",), "")


def test_at_the_top_the_application_names_the_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it has no name, the project does."""
    folder = tmp_path / "shop/src/main/resources"
    folder.mkdir(parents=True)
    (tmp_path / "shop/portward.toml").write_text("")
    for settings, name in (
        ("server.port=${PORT:28080}\nspring.application.name=orders\n", "orders"),
        ("server.port=${PORT:28080}\n", "shop"),
    ):
        (folder / "application.properties").write_text(settings)
        assert main(["-C", str(tmp_path / "shop"), "services", "--json"]) == 0
        assert [each["name"] for each in json.loads(capsys.readouterr().out)["services"]] == [name]


def test_the_settings_of_tests_are_nobodys() -> None:
    """What is below `src/test` runs for a moment, where the build tool says."""
    assert read("server.port=8080\n", "src/test/resources/application.properties") == []


def test_a_manifest_of_that_name_is_one() -> None:
    """Argo's are called `application.yaml` too."""
    text = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n"
    assert [spec.origin for spec in read(text, "deploy/application.yaml")] == ["kubernetes"]


def test_no_password_is_shown() -> None:
    """A line that has one is shown without."""
    specs = read("url=jdbc:mysql://localhost:3306/a?password=hunter2\n", PATH)
    check("url=jdbc:mysql://localhost:3306/a?password=hunter2\n", PATH, specs)
    assert "hunter2" not in specs[0].text


def test_names() -> None:
    """By name, with or without a profile."""
    for name in ("application.properties", "a/src/main/resources/application-dev.yml", "config/application.yaml"):
        assert format_of(name) == "spring"
    assert format_of("my-application.yml") == "kubernetes"


@given(
    fragments("server.port", "=", ": ", "8080", "${PORT:", "}", "{", "localhost:", "http://", "\\", "%dev.", "#", "- ")
)
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, PATH)
    read_safely(read, text, PATH.replace(".properties", ".yaml"))


def test_a_port_moves_with_its_container(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The server's own number is the container's; who asks it from this machine follows the host's."""
    (tmp_path / "compose.yaml").write_text("""\
services:
  backend: {build: backend, ports: ["28080:8080"]}
  db: {image: postgres, ports: ["25432:5432"]}
""")
    resources = tmp_path / "backend/src/main/resources"
    resources.mkdir(parents=True)
    (resources / "application.properties").write_text("server.port=8080\nurl=jdbc:postgresql://db:5432/app\n")
    (resources / "application-local.yml").write_text("spring.datasource.url: jdbc:postgresql://localhost:25432/app\n")
    assert main(["-C", str(tmp_path), "set", "backend=28081", "db=25433", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [(row["path"].rpartition("/")[2], row["new"]) for row in changes] == [
        ("application-local.yml", "25433"),
        ("compose.yaml", "28081"),
        ("compose.yaml", "25433"),
    ]
    assert main(["-C", str(tmp_path), "set", "backend=28081", "--container", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [(row["path"].rpartition("/")[2], row["old"]) for row in changes] == [
        ("application.properties", "8080"),
        ("compose.yaml", "28080"),
        ("compose.yaml", "8080"),
    ]


def test_without_containers_the_folder_is_the_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the settings of several services say."""
    (tmp_path / "portward.toml").write_text("")
    for name, port in (("orders", 28080), ("billing", 28081)):
        resources = tmp_path / name / "src/main/resources"
        resources.mkdir(parents=True)
        (resources / "application.yml").write_text(f"server:\n  port: {port}\n")
    assert main(["-C", str(tmp_path), "services", "--json"]) == 0
    services = json.loads(capsys.readouterr().out)["services"]
    assert [(each["name"], each["ports"][0]["published"]) for each in services] == [
        ("billing", "28081"),
        ("orders", "28080"),
    ]
