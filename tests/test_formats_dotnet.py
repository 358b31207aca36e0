"""Ports in `launchSettings.json` and `appsettings.json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given

from portward.cli import main
from portward.formats import format_of
from portward.formats.dotnet import read
from portward.model import Role, Side
from tests.port_specs import check, fragments, read_found, read_safely

if TYPE_CHECKING:
    from pathlib import Path

LAUNCH = "Shop.Api/Properties/launchSettings.json"
SETTINGS = "Shop.Api/appsettings.Development.json"
OURS = (Role.HOST, Side.HOST, "Shop.Api")


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            LAUNCH,
            '{"profiles": {"http": {"applicationUrl": "https://localhost:7001;http://localhost:5001"}}}',
            [("7001", *OURS), ("5001", *OURS)],
        ),
        (
            LAUNCH,
            '{"profiles": {"a": {"environmentVariables": {"ASPNETCORE_URLS": "http://+:5002", "API": "http://api:5003"}}}}',
            [("5002", *OURS), ("5003", Role.URL, Side.CONTAINER, "api")],
        ),
        (LAUNCH, '{"iisSettings": {"iisExpress": {"applicationUrl": "http://localhost:5004", "sslPort": 44300}}}', []),
        (SETTINGS, '{"Urls": "http://*:5000"} // all', [("5000", *OURS)]),
        (SETTINGS, '{"Kestrel": {"Endpoints": {"Http": {"Url": "http://[::1]:5005"}}}}', [("5005", *OURS)]),
        (SETTINGS, '{"Billing": {"Url": "http://billing:80"}}', [("80", Role.URL, Side.CONTAINER, "billing")]),
        (
            SETTINGS,
            '{"ConnectionStrings": {"Main": "Host=localhost;Port=5432;Password=x", "Old": "Server=tcp:sql, 1433;User=a"}}',
            [("5432", Role.URL, Side.HOST, "localhost"), ("1433", Role.URL, Side.CONTAINER, "sql")],
        ),
        (SETTINGS, '{"ConnectionStrings": {"Cache": "redis://cache:6379"}}', [("6379", Role.URL, Side.CONTAINER, "cache")]),
        (SETTINGS, '{"ConnectionStrings": {"Main": "Port=5432;Database=a"}, "Text": "Port=1 of Host=a, and more"}', []),
        (SETTINGS, '{"AllowedHosts": "*", "Port": 5000, "Many": ["a", 1, null]}', []),
    ],
)  # fmt: skip
def test_documents(path: str, text: str, expected: list[object]) -> None:
    """What is listened on, what is asked, and others that have numbers."""
    assert read_found(read, text, path) == expected


def test_the_address_that_is_bound() -> None:
    """As Kestrel takes the host of a URL."""
    text = '{"Urls": "http://localhost:1;http://*:2;http://+:3;http://any.name:4;http://10.0.0.1:5;http://[::1]:6"}'
    assert [spec.host_ip for spec in read(text, SETTINGS)] == ["127.0.0.1", "", "", "", "10.0.0.1", "::1"]


def test_no_password_is_shown() -> None:
    """A line that has one is shown without."""
    text = '{"ConnectionStrings": {"Main": "Host=localhost;Port=5432;Password=hunter2"}}'
    specs = read(text, SETTINGS)
    check(text, SETTINGS, specs)
    assert "hunter2" not in specs[0].text


def test_names() -> None:
    """By name, with or without an environment."""
    assert format_of("a/Properties/launchSettings.json") == format_of("appsettings.json") == format_of(SETTINGS)
    assert format_of("settings.json") is None


@given(fragments('"Urls"', ":", "{", "}", '"http://localhost:5000"', "[", "]", ",", '"Host=a;Port=1"', "//", "\\u0035"))
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, SETTINGS)


def test_a_port_moves_in_the_launch_settings_of_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are of this machine: they follow the host's side, what containers read keeps the container's."""
    (tmp_path / "compose.yaml").write_text('services:\n  api: {build: api, ports: ["28080:8080"]}\n')
    (tmp_path / "api/Properties").mkdir(parents=True)
    (tmp_path / "api/Properties/launchSettings.json").write_text('{"applicationUrl": "http://localhost:28080"}\n')
    (tmp_path / "api/appsettings.json").write_text('{"Urls": "http://*:8080"}\n')
    assert main(["-C", str(tmp_path), "set", "api=28081", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [row["path"] for row in changes] == ["api/Properties/launchSettings.json", "compose.yaml"]
    assert main(["-C", str(tmp_path), "set", "api=28081", "--container", "--json"]) == 0
    changes = json.loads(capsys.readouterr().out)["changes"]
    assert [row["path"] for row in changes] == [
        "api/Properties/launchSettings.json",
        "api/appsettings.json",
        "compose.yaml",
        "compose.yaml",
    ]
