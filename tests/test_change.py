"""`set`, `resolve` and `undo` on files on disk: what they show, what they write, and what they refuse."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from portward.cli import main
from tests.nexus import NEXUS, VARIABLES
from tests.ports import free_ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Listen


@pytest.fixture
def nexus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the worked example, with a journal of its own and no engine."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    for name in ("PORT", "FRONTEND_PORT", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "nexus"
    shutil.copytree(NEXUS, folder)
    return folder


def _json(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = main([*map(str, words), "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, document


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_set_shows_and_then_writes(nexus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written without --write; with it, exactly the host's side of the backend changes, and undo takes it back."""
    before = _bytes(nexus)
    status, document = _json(capsys, "-C", nexus, "set", "backend=5001")
    assert (status, document["written"], document["undo"]) == (0, False, None)
    assert _bytes(nexus) == before
    places = {(change["path"], change["old"], change["new"], change["service"]) for change in document["changes"]}
    assert places >= {
        (path, "5000", "5001", "backend")
        for path in (".env", "docker-compose.yml", "server/config.js", "client/.env")
    }  # fmt: skip
    assert "+PORT=5001" in document["diff"]

    status, document = _json(capsys, "-C", nexus, "set", "backend=5001", "--write")
    assert (status, document["written"]) == (0, True)
    assert document["undo"]
    after = _bytes(nexus)
    assert after[".env"] == before[".env"].replace(b"\nPORT=5000", b"\nPORT=5001")
    assert after["docker-compose.yml"] == before["docker-compose.yml"].replace(b"PORT:-5000", b"PORT:-5001")
    assert after["server/config.js"] == before["server/config.js"].replace(b"|| 5000", b"|| 5001")
    assert after["client/.env"] == before["client/.env"].replace(b"5000", b"5001")
    assert b"http://nexus-server:5000" in after["docker-compose.yml"]
    assert b"PORT: 5000" in after["docker-compose.yml"]

    status, document = _json(capsys, "-C", nexus, "undo", "--dry-run")
    assert (status, document["written"]) == (0, False)
    assert _bytes(nexus) == after
    assert _json(capsys, "-C", nexus, "undo")[0] == 0
    assert _bytes(nexus) == before
    assert _json(capsys, "-C", nexus, "undo")[0] == 1


def test_resolve_moves_what_is_taken(nexus: Path, listen: Listen, capsys: pytest.CaptureFixture[str]) -> None:
    """With a stranger on a port, resolve moves just that service, into its own range, and the check is clean then."""
    first = free_ports(len(VARIABLES))
    ports = {name: first + step for step, name in enumerate(VARIABLES)}
    (nexus / ".env").write_text("".join(f"{name}={port}\n" for name, port in ports.items()))
    listen(port=ports["PORT"])
    status, document = _json(capsys, "-C", nexus, "resolve", "--write")
    assert (status, document["written"]) == (0, True)
    assert {change["service"] for change in document["changes"]} == {"backend"}
    moved = next(change["new"] for change in document["changes"] if change["path"] == ".env")
    assert 11000 <= int(moved) <= 11999
    status, checked = _json(capsys, "-C", nexus, "check")
    assert not [found for found in checked["findings"] if found["rule"] == "address-in-use"]
    assert _json(capsys, "-C", nexus, "resolve")[0] == 1


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["set", "backed=5001"], 2, "did you mean backend"),
        (["set", "worker=5001"], 2, "publishes no port"),
        (["set", "backend=70000"], 2, "not a port"),
        (["set", "backend=5001-5002"], 2, "not a range"),
        (["set", "backend"], 2, "SERVICE=PORT"),
        (["set", "backend:81=5001"], 2, "it publishes 5000"),
        (["set", "backend=3000"], 1, "published by frontend"),
        (["set", "backend=5000"], 1, ""),
    ],
)
def test_what_cannot_be_set(
    nexus: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, message: str
) -> None:
    """Bad wishes are told with a way out, and nothing is written."""
    before = _bytes(nexus)
    assert main(["-C", str(nexus), *words, "--write"]) == status
    assert message in capsys.readouterr().err
    assert _bytes(nexus) == before


def test_other_targets_are_named(nexus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a target the first entry moves, and the others are named; with one, that one moves."""
    assert main(["-C", str(nexus), "set", "open-webui=8081"]) == 0
    assert "open-webui:1234" in capsys.readouterr().err
    _, document = _json(capsys, "-C", nexus, "set", "open-webui:1234=1235")
    assert {change["old"] for change in document["changes"]} == {"1234"}


def test_a_variable_of_the_environment_is_told(
    nexus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the shell sets wins over every file: editing files would change nothing."""
    monkeypatch.setenv("PORT", "6000")
    assert main(["-C", str(nexus), "set", "backend=5001", "--write"]) == 1
    assert "unset PORT" in capsys.readouterr().err


def test_undo_refuses_a_file_that_changed_since(nexus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Somebody's later work is never lost."""
    assert main(["-C", str(nexus), "set", "backend=5001", "--write"]) == 0
    with (nexus / ".env").open("a") as file:
        file.write("# mine\n")
    after = _bytes(nexus)
    assert main(["-C", str(nexus), "undo"]) == 3
    assert ".env" in capsys.readouterr().err
    assert _bytes(nexus) == after


def test_links_modes_and_line_ends_stay(nexus: Path) -> None:
    """A linked .env stays a link, its file keeps its mode, byte-order mark and CRLF."""
    real = nexus / "config" / "ports.env"
    real.parent.mkdir()
    text = (nexus / ".env").read_text("utf-8").replace("\n", "\r\n")
    real.write_bytes(b"\xef\xbb\xbf" + text.encode())
    real.chmod(0o640)
    (nexus / ".env").unlink()
    (nexus / ".env").symlink_to("config/ports.env")
    assert main(["-C", str(nexus), "set", "backend=5001", "--write"]) == 0
    assert os.readlink(nexus / ".env") == "config/ports.env"
    assert real.read_bytes() == b"\xef\xbb\xbf" + text.replace("\r\nPORT=5000", "\r\nPORT=5001").encode()
    assert real.stat().st_mode & 0o777 == 0o640


def test_init_writes_settings_to_begin_with(nexus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A portward.toml that decides nothing yet; a second time there is nothing to do, and undo removes it."""
    before = _bytes(nexus)
    status, document = _json(capsys, "-C", nexus, "init")
    assert (status, document["written"]) == (0, False)
    assert _bytes(nexus) == before
    assert _json(capsys, "-C", nexus, "init", "--write")[0] == 0
    assert (nexus / "portward.toml").is_file()
    assert main(["-C", str(nexus), "-q", "check", "1"]) in (0, 1)  # it is read, and nothing is wrong with it
    assert _json(capsys, "-C", nexus, "init")[0] == 1
    assert _json(capsys, "-C", nexus, "undo")[0] == 0
    assert _bytes(nexus) == before


def test_docs_keeps_the_table_true(nexus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table goes between markers in the README; it is stale once a port moves by hand, and `set` keeps it true."""
    assert main(["-C", str(nexus), "docs", "--check"]) == 1
    assert main(["-C", str(nexus), "docs", "--write"]) == 0
    text = (nexus / "README.md").read_text("utf-8")
    assert text.startswith((NEXUS / "README.md").read_text("utf-8"))
    assert "| backend | 5000 | 5000 | `PORT` | docker-compose.yml |" in text
    assert main(["-C", str(nexus), "docs", "--check"]) == 0
    assert main(["-C", str(nexus), "set", "backend=5001", "--write"]) == 0
    assert "| backend | 5001 | 5000 | `PORT` | docker-compose.yml |" in (nexus / "README.md").read_text("utf-8")
    assert main(["-C", str(nexus), "docs", "--check"]) == 0
    (nexus / ".env").write_text((nexus / ".env").read_text("utf-8").replace("PORT=5001", "PORT=5002"))
    assert main(["-C", str(nexus), "docs", "--check"]) == 1
    capsys.readouterr()


def test_a_file_of_another_encoding_is_read_and_not_changed(nexus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`.env` with a byte that is no UTF-8: Compose reads it, so we do; a change that would have to edit it is refused."""
    with (nexus / ".env").open("ab") as file:
        file.write(b"# caf\xe9\n")
    status, document = _json(capsys, "-C", nexus, "services")
    assert status == 0
    assert "5000" in [port["published"] for service in document["services"] for port in service["ports"]]
    before = _bytes(nexus)
    status, document = _json(capsys, "-C", nexus, "set", "backend=5001", "--write")
    error = document["error"]
    assert (status, error["path"]) == (1, ".env")
    assert (nexus / ".env").read_bytes().split(b"\n")[error["line"] - 1][error["column"] - 1 :] == b"\xe9"
    assert "UTF-8" in error["message"]
    assert "UTF-8" in error["hint"]
    assert _bytes(nexus) == before


def test_a_compose_file_in_utf16_is_not_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compose reads it, so `services` does; `set` says that it is not UTF-8, and what to do."""
    written = "services: {a: {image: x, ports: ['5000:80']}}\n".encode("utf-16")
    (tmp_path / "compose.yaml").write_bytes(written)
    assert _json(capsys, "-C", tmp_path, "services")[0] == 0
    status, document = _json(capsys, "-C", tmp_path, "set", "a=5001", "--write")
    assert (status, document["error"]["path"], document["error"]["line"]) == (1, "compose.yaml", 1)
    assert "UTF-8" in document["error"]["hint"]
    assert (tmp_path / "compose.yaml").read_bytes() == written


@pytest.mark.timeout(600)
def test_thousands_of_ports_in_one_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A relay publishes a large part of the dynamic range (RFC 6335): each of its ports is read, one finding speaks of all of them."""
    ports = '["23478:3478/udp", "49152-53247:49152-53247/udp"]'
    (tmp_path / "compose.yaml").write_text(f"services: {{relay: {{image: x, ports: {ports}}}}}\n")
    _, document = _json(capsys, "-C", tmp_path, "services")
    assert len([port for port in document["services"][0]["ports"] if port["from"] == "compose"]) == 4097
    _, document = _json(capsys, "-C", tmp_path, "check", "--fail-on", "error")
    told = [finding["message"] for finding in document["findings"] if finding["rule"] == "ephemeral-range"]
    assert len(told) <= 1
    assert all("49152-53247" in message for message in told)
    main(["-C", str(tmp_path), "services"])
    table = [line for line in capsys.readouterr().out.splitlines() if line.startswith("relay")]
    assert any("49152-53247" in line for line in table) or len(table) > 2  # or some of them are held here
    _, document = _json(capsys, "-C", tmp_path, "set", "relay=23479")
    assert [(change["old"], change["new"]) for change in document["changes"]] == [("23478", "23479")]


def test_a_range_moves_by_its_lowest_port(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compose orders the ports of a range as texts; without a target it is the lowest that gets the number."""
    (tmp_path / "compose.yaml").write_text('services: {a: {image: x, ports: ["9-11:9-11"]}}\n')
    _, document = _json(capsys, "-C", tmp_path, "set", "a=29001")
    assert [(change["old"], change["new"]) for change in document["changes"]] == [("9-11", "29001-29003")]


@pytest.mark.parametrize(
    ("files", "changed"),
    [
        ({"sub/.env": "P=29080\n"}, "sub/.env"),
        ({"sub/.env": "P=29080\n", ".env": "P=29080\n"}, ".env"),
        ({"sub/.env": "P=29082\n", ".env": "P=29080\n"}, ".env"),
        ({"sub/.env": "P=29082\n", "my.conf": "P=29080\n"}, "my.conf"),
    ],
)
def test_an_included_file_with_variables_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], files: dict[str, str], changed: str
) -> None:
    """The definition that is in force is changed: the project's, else the `env_file` of the include, else the `.env` beside its file."""
    include = "{path: sub/c.yaml, env_file: my.conf}" if "my.conf" in files else "sub/c.yaml"
    (tmp_path / "sub").mkdir()
    (tmp_path / "compose.yaml").write_text(f"include: [{include}]\n")
    (tmp_path / "sub/c.yaml").write_text('services: {a: {image: x, ports: ["${P}:80"]}}\n')
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    status, document = _json(capsys, "-C", tmp_path, "set", "a=29081", "--write")
    assert status == 0
    assert (changed, "29080", "29081") in [
        (change["path"], change["old"], change["new"]) for change in document["changes"]
    ]
    assert (tmp_path / changed).read_text() == "P=29081\n"


@pytest.mark.parametrize(
    "item", ['"${P}:80"', '"127.0.0.1:$P:80/udp"', "'${P:-}:80'", '{target: 80, published: "${P}"}']
)
def test_a_variable_without_a_value(tmp_path: Path, capsys: pytest.CaptureFixture[str], item: str) -> None:
    """The engine chooses the port for now: what is missing is the definition, and no second number beside the variable."""
    (tmp_path / "compose.yaml").write_text(f"services: {{a: {{image: x, ports: [{item}]}}}}\n")
    status, document = _json(capsys, "-C", tmp_path, "set", "a=29081", "--write")
    assert status == 1
    assert "P=29081" in document["error"]["hint"]


@pytest.mark.parametrize("way", ["variable", "dotenv", "option"])
def test_files_that_are_named_make_a_project(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A folder without any of the usual names, as Compose takes it: read, changed, and taken back."""
    text = "services: {a: {image: x, ports: ['29080:80']}}\n"
    (tmp_path / "a.yaml").write_text(text)
    if way == "variable":
        monkeypatch.setenv("COMPOSE_FILE", "a.yaml")
    elif way == "dotenv":
        (tmp_path / ".env").write_text("COMPOSE_FILE=a.yaml\n")
    monkeypatch.chdir(tmp_path)
    named = ("--file", "a.yaml") if way == "option" else ()
    assert _json(capsys, "services", *named)[0] == 0
    status, document = _json(capsys, "set", "a=29081", "--write", *named)
    assert (status, document["written"]) == (0, True)
    assert _json(capsys, "undo")[0] == 0
    assert (tmp_path / "a.yaml").read_text() == text
    assert _json(capsys, "undo")[0] == (2 if way == "option" else 1)


def test_a_range_is_told_to_move_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No port of it is said to stay; what cannot be is refused with the reason."""
    (tmp_path / "compose.yaml").write_text('services: {a: {image: x, ports: ["9000-9003:9000-9003", "7000:80"]}}\n')
    assert main(["-C", str(tmp_path), "set", "a:9001=29001"]) == 0
    told = capsys.readouterr()
    assert "29000-29003" in told.out
    assert "a publishes 4 ports by one range, which moves as a whole" in told.err
    assert main(["-C", str(tmp_path), "set", "a=29000"]) == 0
    assert "a publishes more: a:80 stay" in capsys.readouterr().err
    for wish, status, hint in (("a:9003=2", 1, "would begin below 1"), ("a=8000-8003", 2, "moves as a whole")):
        assert _json(capsys, "-C", tmp_path, "set", wish)[0] == status
        assert main(["-C", str(tmp_path), "set", wish]) == status
        assert hint in capsys.readouterr().err


def test_resolve_moves_a_range_as_a_whole(tmp_path: Path, listen: Listen, capsys: pytest.CaptureFixture[str]) -> None:
    """One of its ports is taken: it moves to as many free neighbours, so that no port of it is in the way."""
    low = free_ports(4)
    (tmp_path / "compose.yaml").write_text(f'services: {{a: {{image: x, ports: ["{low}-{low + 3}:8000-8003"]}}}}\n')
    listen(port=low + 1)
    status, document = _json(capsys, "-C", tmp_path, "resolve", "--write")
    assert (status, document["written"]) == (0, True)
    assert [change["service"] for change in document["changes"]] == ["a"]
    first, last = map(int, document["changes"][0]["new"].split("-"))
    assert (first >= 20000, last - first) == (True, 3)
    status, checked = _json(capsys, "-C", tmp_path, "check")
    assert not {"address-in-use", "duplicate-host-port"} & {found["rule"] for found in checked["findings"]}


def test_no_neighbours_for_a_range(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A range that is larger than what its service may have is told, and nothing is written."""
    text = (
        'services: {a: {image: x, ports: ["1000-12000:1000-12000"]}, b: {image: x, ports: ["1000-12000:1000-12000"]}}\n'
    )
    (tmp_path / "compose.yaml").write_text(text)
    status, document = _json(capsys, "-C", tmp_path, "resolve", "--write")
    assert status != 0
    assert "in a row" in document["error"]["hint"]
    assert (tmp_path / "compose.yaml").read_text() == text


_SHARED = """\
services:
  web: {image: x, ports: ["${P}:80"]}
  api: {image: x, ports: ["%s${P}:80"]}
  old: {image: x, profiles: [old], ports: ["${P}:80"]}
"""


def test_what_moves_along_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One variable for several services: it moves them all, and the remarks name those that were not asked for."""
    (tmp_path / "compose.yaml").write_text(_SHARED % "")
    (tmp_path / ".env").write_text("P=28080\n")
    assert main(["-C", str(tmp_path), "set", "web=28081"]) == 0
    told = capsys.readouterr().err
    assert "api moves too, from 28080 to 28081" in told
    assert "old moves too, from 28080 to 28081" in told


def test_a_port_of_the_same_service_that_moves_along_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One variable for two addresses: the other entry is not said to stay."""
    ports = '["127.0.0.1:${P}:80", "[::1]:${P}:81", "29000:82"]'
    (tmp_path / "compose.yaml").write_text(f"services: {{web: {{image: x, ports: {ports}}}}}\n")
    (tmp_path / ".env").write_text("P=28080\n")
    assert main(["-C", str(tmp_path), "set", "web=28081"]) == 0
    told = capsys.readouterr().err
    assert "web:81 moves too, from 28080 to 28081" in told
    assert "web publishes more: web:82 stays as it is" in told
    assert main(["-C", str(tmp_path), "services"]) == 0
    assert "[::1]:28080" in capsys.readouterr().out


def test_a_port_that_is_published_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of two entries for one port of the container the first moves, and the other is named."""
    (tmp_path / "compose.yaml").write_text('services: {web: {image: x, ports: ["28080:80", "28090:80", "29000:82"]}}\n')
    assert main(["-C", str(tmp_path), "set", "web:80=28081"]) == 0
    told = capsys.readouterr()
    assert "28081" in told.out
    assert "publishes its port 80 again, as 28090" in told.err


def test_a_conflict_in_one_variable_is_not_resolved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two services that take one number from one variable share the next one too: `resolve` says so instead of moving both."""
    (tmp_path / "compose.yaml").write_text(_SHARED % "")
    (tmp_path / ".env").write_text("P=28080\n")
    status, document = _json(capsys, "-C", tmp_path, "resolve", "--write")
    assert status == 1
    assert any(words in document["error"]["message"] for words in ("is published by", "it would have to be"))
    assert (tmp_path / ".env").read_text() == "P=28080\n"


@pytest.mark.parametrize(
    ("environment", "moved", "with_container"),
    [
        ("", ["compose.yaml"], ["api/settings.py", "compose.yaml", "compose.yaml"]),
        (
            "environment: {QDRANT_PORT: 6333}",
            ["api/settings.py", "compose.yaml"],
            ["api/settings.py", *["compose.yaml"] * 3],
        ),
    ],
)
def test_the_port_of_another_service_in_the_code_of_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], environment: str, moved: list[str], with_container: list[str]
) -> None:
    """A default that the container reads is the other's port inside: it is named, and moves with that one. Else it is the host's."""
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  api: {{build: ./api, {environment}}}\n  qdrant: {{image: qdrant/qdrant, ports: ['6333:6333']}}\n"
    )
    (tmp_path / "api").mkdir()
    (tmp_path / "api/settings.py").write_text('import os\nQDRANT_PORT = int(os.getenv("QDRANT_PORT") or 6333)\n')
    _, document = _json(capsys, "-C", tmp_path, "set", "qdrant=6433")
    assert [row["path"] for row in document["changes"]] == moved
    assert ["api/settings.py" in row["path"] for row in document["unchanged"]].count(True) == (not environment)
    _, document = _json(capsys, "-C", tmp_path, "set", "qdrant=6433", "--container")
    assert [row["path"] for row in document["changes"]] == with_container


def test_the_other_protocol_of_a_port_is_addressed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One port of the container over TCP and UDP: each is named, and what a finding tells to type moves the one that it is about."""
    ports = '["81:80", "443:443/tcp", "443:443/udp", "443:443/sctp"]'
    (tmp_path / "compose.yaml").write_text(f"services: {{web: {{image: x, ports: {ports}}}}}\n")
    _, document = _json(capsys, "-C", tmp_path, "set", "web=28081")
    assert document["remarks"] == ["web publishes more: web:443, web:443/udp, web:443/sctp stay as they are"]
    _, checked = _json(capsys, "-C", tmp_path, "check")
    told = [finding["fixes"][0]["command"] for finding in checked["findings"] if finding["rule"] == "privileged-port"]
    moved = []
    for command in told:
        _, document = _json(capsys, "-C", tmp_path, *command.removesuffix(" --write").split()[1:])
        moved += [change["column"] for change in document["changes"]]
    text = (tmp_path / "compose.yaml").read_text()
    assert (
        moved
        == [text.index(entry) + 1 for entry in ("81:80", "443:443/tcp", "443:443/udp", "443:443/sctp")][: len(moved)]
    )
    assert len(moved) >= 3


@pytest.mark.parametrize("written", ["env_file: api/api.env", "env_file: [{path: api/api.env, required: false}]"])
def test_a_file_of_a_containers_variables_is_read_whatever_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: str
) -> None:
    """Its ports are the container's: they move with that one alone. One that is not there and not required is nothing."""
    (tmp_path / "compose.yaml").write_text(f"services: {{api: {{build: api, ports: ['28080:8080'], {written}}}}}\n")
    (tmp_path / "api").mkdir()
    (tmp_path / "api/api.env").write_text("PORT=8080\n")
    _, document = _json(capsys, "-C", tmp_path, "set", "api=28081")
    assert [row["path"] for row in document["changes"]] == ["compose.yaml"]
    assert "api/api.env" in json.dumps(document["unchanged"])
    _, document = _json(capsys, "-C", tmp_path, "set", "api=28081", "--container")
    assert [row["path"] for row in document["changes"]] == ["api/api.env", "compose.yaml", "compose.yaml"]
    if "required" in written:
        (tmp_path / "api/api.env").unlink()
        status, document = _json(capsys, "-C", tmp_path, "services")
        assert (status, document["skipped"]) == (0, [])


def test_packages_of_a_workspace_are_services(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without Compose: what lies in packages/web is web, as WEB_PORT is; each of its ports is addressed by its number."""
    web, dev, preview = tmp_path / "packages/web", free_ports(), free_ports()
    web.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".env").write_text(f"WEB_PORT={dev}\nAPI_PORT={free_ports()}\n")
    (web / "package.json").write_text(
        json.dumps({"scripts": {"dev": f"vite --port {dev}", "preview": f"vite preview --port={preview}"}})
    )
    (web / "vite.config.js").write_text(
        f"export default {{ server: {{ port: Number(process.env.WEB_PORT) || {dev} }} }}\n"
    )
    status, checked = _json(capsys, "-C", tmp_path, "check")
    assert (status, [finding["rule"] for finding in checked["findings"] if finding["severity"] != "note"]) == (0, [])
    _, document = _json(capsys, "-C", tmp_path, "set", "web=1527")
    assert [row["path"] for row in document["changes"]] == [
        ".env",
        "packages/web/package.json",
        "packages/web/vite.config.js",
    ]
    assert document["remarks"] == [f"web publishes more: web:{preview} stays as it is"]
    _, document = _json(capsys, "-C", tmp_path, "set", f"web:{preview}=1427")
    assert ([row["old"] for row in document["changes"]], document["remarks"]) == ([str(preview)], [])
    status, document = _json(capsys, "-C", tmp_path, "set", "web:9=1427")
    assert (status, document["error"]["hint"]) == (2, f"it publishes {dev}, {preview}")


def test_projects_of_folders_below_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A repository whose Compose files are all in folders of their own: nothing is declared above them, and it is told where to go."""
    (tmp_path / ".git").mkdir()
    port = free_ports()
    for name in ("front end", "backend"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "compose.yaml").write_text(f"services: {{api: {{image: x, ports: ['{port}:80']}}}}\n")
    for verb in ("check", "services"):
        assert main(["-C", str(tmp_path), verb]) == 0
        told = capsys.readouterr().out
        command = shlex.split(told.rpartition("`portward ")[2].partition("`")[0])
        assert "are in backend and front end" in told
        assert command[0] == "-C"
        assert os.path.samefile(command[1], tmp_path / "backend")
    assert main(["-C", str(tmp_path), "set", "api=1808"]) == 2
    assert "projects of their own are below, as backend" in capsys.readouterr().err
    (tmp_path / "compose.yaml").write_text(f"services: {{web: {{image: x, ports: ['{port}:80']}}}}\n")
    assert main(["-C", str(tmp_path), "check"]) == 0
    assert "of their own" not in capsys.readouterr().out


def test_addresses_without_a_scheme_move_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`localhost:9092` is the host's port wherever it is written, `kafka:9092` the container's, and so is what a container listens on."""
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  kafka: {image: apache/kafka, ports: ['9092:9092'], environment: {LISTEN: '0.0.0.0:9092'}}\n"
        "  api: {build: api, environment: ['BROKERS=kafka:9092', 'AT=12:30']}\n"
    )
    (tmp_path / ".env").write_text("BROKERS=localhost:9092\n")
    (tmp_path / "config.js").write_text("export default { brokers: ['localhost:9092'] }\n")
    (tmp_path / "settings.py").write_text("BROKERS = ['127.0.0.1:9092']\n")
    _, document = _json(capsys, "-C", tmp_path, "set", "kafka=9192")
    assert [row["path"] for row in document["changes"]] == [".env", "compose.yaml", "config.js", "settings.py"]
    left = json.dumps(document["unchanged"])
    assert ("LISTEN" in left or "0.0.0.0:9092" in left, "kafka:9092" in left) == (True, True)
    _, document = _json(capsys, "-C", tmp_path, "set", "kafka=9192", "--container")
    assert [row["path"] for row in document["changes"]] == [".env", *["compose.yaml"] * 4, "config.js", "settings.py"]


def test_ports_that_two_services_take_from_one_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By `extends`: the one place is told once, and nobody is told to change it, for that would move both."""
    base = "services:\n  base: {image: x, ports: ['28080:80']}\n  child: {extends: {service: base}}\n"
    (tmp_path / "compose.yaml").write_text(base)
    _, checked = _json(capsys, "-C", tmp_path, "check")
    (finding,) = [finding for finding in checked["findings"] if finding["rule"] == "duplicate-host-port"]
    assert len(finding["locations"]) == 1
    assert [fix["title"].partition(":")[0] for fix in finding["fixes"]] == ["give child ports of its own"]


def test_all_that_names_the_port_of_a_container_moves_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Arguments of its build, its health checks with and without a scheme, a proxy's label in a list, and options that take an address."""
    (tmp_path / "compose.yaml").write_text("""\
services:
  api:
    build: {context: ./api, args: {PORT: 8000, LIMIT: 8000}}
    ports: ["28000:8000"]
    healthcheck: {test: curl -f localhost:8000/health}
    labels: ["traefik.http.services.api.loadbalancer.server.port=8000", "retries=8000"]
  proxy:
    image: traefik:v3
    command: ["--entrypoints.web.address=:8081", "--limit=:8081x"]
    ports: ["28081:8081"]
""")
    (tmp_path / "api").mkdir()
    (tmp_path / "api/Dockerfile").write_text(
        "FROM x\nARG PORT=8000\nHEALTHCHECK CMD curl http://localhost:8000/health\n"
    )
    _, document = _json(capsys, "-C", tmp_path, "set", "api=28001", "--container")
    assert [(row["path"], row["line"]) for row in document["changes"]] == [
        *[("api/Dockerfile", line) for line in (2, 3)],
        *[("compose.yaml", line) for line in (3, 4, 4, 5, 6)],
    ]
    assert all(row["old"] in ("8000", "28000") for row in document["changes"])
    _, document = _json(capsys, "-C", tmp_path, "set", "api=28001")
    assert [row["line"] for row in document["changes"]] == [4]
    assert {(row["path"], row["line"]) for row in document["unchanged"]} == {
        *[("api/Dockerfile", line) for line in (2, 3)],
        *[("compose.yaml", line) for line in (3, 5, 6)],
    }
    _, document = _json(capsys, "-C", tmp_path, "set", "proxy=28082", "--container")
    assert [(row["line"], row["column"]) for row in document["changes"]] == [(9, 43), (10, 14), (10, 20)]


def test_a_makefile_is_shown_without_its_tabs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And the address that its command asks for moves."""
    (tmp_path / "compose.yaml").write_text("services: {api: {image: x, ports: ['28000:80']}}\n")
    (tmp_path / "Makefile").write_text("smoke:\n\tcurl -sf localhost:28000/health\n")
    assert main(["-C", str(tmp_path), "set", "api=28001"]) == 0
    assert "Makefile:2       curl -sf localhost:[-28000-]{+28001+}/health" in capsys.readouterr().out


def test_a_default_in_the_environment_of_another_service_moves_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable is the port's, wherever a service falls back for it."""
    (tmp_path / "compose.yaml").write_text("""\
services:
  api: {image: x, ports: ["${API_PORT:-28000}:80"]}
  web:
    image: y
    environment: ["API=http://localhost:${API_PORT:-28000}", "WAIT=${SECONDS:-28000}"]
""")
    _, document = _json(capsys, "-C", tmp_path, "set", "api=28001")
    assert [(row["line"], row["column"]) for row in document["changes"]] == [(2, 40), (5, 53)]


def test_where_else_the_number_stands_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In files that no reader knows, where it may be a port: they stay, and nothing else is said to."""
    (tmp_path / "compose.yaml").write_text("services: {api: {image: x, ports: ['28000:80']}}\n")
    (tmp_path / ".github/workflows").mkdir(parents=True)
    (tmp_path / ".github/workflows/ci.yml").write_text("steps:\n  - run: curl http://localhost:28000/health\n")
    (tmp_path / "notes.txt").write_text(
        "The port is 28000.\nIt waits 28000 ms.\napi_key=hunter2 port 28000\nport 128000, v1.28000, 28000.5\n"
    )
    (tmp_path / "data.csv").write_text("port\n28000\n")
    (tmp_path / "picture.bin").write_bytes(b"\xff\xfe port 28000")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    _, document = _json(capsys, "-C", tmp_path, "set", "api=28001", "--write")
    assert [(row["path"], row["line"], row["why"]) for row in document["unchanged"]] == [
        (".github/workflows/ci.yml", 2, "nothing says whether it is this port"),
        ("notes.txt", 1, "nothing says whether it is this port"),
        ("notes.txt", 3, "nothing says whether it is this port"),
    ]
    assert "hunter2" not in json.dumps(document)
    assert [path.name for path, data in before.items() if path.read_bytes() != data] == ["compose.yaml"]
    assert main(["-C", str(tmp_path), "undo"]) == 0
    assert main(["-C", str(tmp_path), "set", "api=28001"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert (
        "(.github/workflows/ci.yml:2), The port is 28000. (notes.txt:1), api_key=*** port 28000 (notes.txt:3): nothing says whether it is this port"
        in told
    )


_TWICE = """\
services:
  api: {image: x, ports: ["28000:80", "127.0.0.1:28010:80", "28000:80/udp"]}
  web: {image: x, ports: ["127.0.0.1:28020:80", "[::1]:28020:80"], environment: ["API=http://localhost:28010"]}
  one: {image: x, ports: ["127.0.0.1:28030:80"]}
  two: {image: x, ports: ["127.0.0.2:28030:80"]}
"""


@pytest.mark.parametrize(
    ("wish", "old", "new"),
    [
        ("28010=28011", ("127.0.0.1:28010:80", "localhost:28010"), ("127.0.0.1:28011:80", "localhost:28011")),
        ("28000=28001", ('"28000:80"',), ('"28001:80"',)),
        ("28000/udp=28001", ("28000:80/udp",), ("28001:80/udp",)),
        ("28020=28021", ("127.0.0.1:28020", "[::1]:28020"), ("127.0.0.1:28021", "[::1]:28021")),
    ],
)
def test_a_port_may_be_named_by_its_number(tmp_path: Path, wish: str, old: list[str], new: list[str]) -> None:
    """Whatever has the number, of one service: so a port that is published again can be moved alone."""
    path = tmp_path / "compose.yaml"
    path.write_text(_TWICE)
    assert main(["-C", str(tmp_path), "set", wish, "--write"]) == 0
    expected = _TWICE
    for before, after in zip(old, new, strict=True):
        expected = expected.replace(before, after)
    assert path.read_text() == expected


@pytest.mark.parametrize(
    ("wish", "message", "hint"),
    [
        ("28040=28041", "no service of stack publishes 28040/tcp", "`portward services` shows what is"),
        ("28020/udp=28041", "no service of stack publishes 28020/udp", "28020/tcp is published"),
        ("28030=28041", "28030 is published by one and two", "say which: one=28041"),
        (
            "28000/icmp=28041",
            "'28000/icmp=28041' does not say which port",
            "write SERVICE=PORT, SERVICE:TARGET=PORT, or OLD=NEW",
        ),
    ],
)
def test_a_number_that_means_none_or_several_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wish: str, message: str, hint: str
) -> None:
    """With what there is instead."""
    (tmp_path / "compose.yaml").write_text(f"name: stack\n{_TWICE}")
    code, document = _json(capsys, "-C", tmp_path, "set", wish)
    assert (code, document["error"]["message"], document["error"]["hint"]) == (2, message, hint)


def test_a_service_named_by_digits_is_meant_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compose allows it."""
    (tmp_path / "compose.yaml").write_text(
        "services: {'28001': {image: x, ports: ['28000:80']}, b: {image: x, ports: ['28001:80']}}\n"
    )
    _, document = _json(capsys, "-C", tmp_path, "set", "28001=28002")
    assert [row["old"] for row in document["changes"]] == ["28000"]


def test_a_connection_in_words_moves_and_shows_no_password(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On the side of its host: another service's container, or this machine."""
    (tmp_path / "compose.yaml").write_text("""\
services:
  db: {image: postgres, ports: ["25432:5432"]}
  api:
    image: api
    environment:
      ConnectionStrings__Main: "Host=db;Port=5432;Password=${DB_PASSWORD};Database=app"
""")
    (tmp_path / ".env").write_text("DB_PASSWORD=hunter2\nDSN='host=localhost port=25432 password=hunter2'\n")
    status, document = _json(capsys, "-C", tmp_path, "set", "db=25433", "--container")
    assert status == 0
    assert [(row["path"], row["line"], row["old"]) for row in document["changes"]] == [
        (".env", 2, "25432"),
        ("compose.yaml", 2, "25432"),
        ("compose.yaml", 2, "5432"),
        ("compose.yaml", 6, "5432"),
    ]
    assert main(["-C", str(tmp_path), "set", "db=25433", "--write"]) == 0
    assert main(["-C", str(tmp_path), "undo"]) == 0
    assert main(["-C", str(tmp_path), "services", "--json"]) == 0
    assert "hunter2" not in capsys.readouterr().out


@pytest.mark.parametrize("wish", ["backend:5000=15001", "5000=15001", "53/udp=15001"])
def test_a_pin_is_of_a_whole_service(tmp_path: Path, capsys: pytest.CaptureFixture[str], wish: str) -> None:
    """One port of it, or a number, which `set` would take, names none."""
    (tmp_path / "portward.toml").write_text("")
    status, document = _json(capsys, "-C", tmp_path, "pin", wish, "--reason", "x")
    assert (status, document["error"]["hint"]) == (2, "write SERVICE=PORT: a service is pinned as a whole")
    assert (tmp_path / "portward.toml").read_text() == ""
