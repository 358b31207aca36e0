"""The command line as people and agents use it: whole processes, real sockets, real files."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward import cli
from portward.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

NEXUS = Path(__file__).parent.parent / "examples/nexus"


def _run(*words: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portward", *words],
        cwd=cwd,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _json(*words: str, cwd: Path | None = None) -> tuple[dict[str, Any], int]:
    done = _run(*words, "--json", cwd=cwd)
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document, done.returncode


@pytest.fixture
def listener() -> Iterator[int]:
    """A port on which this very process listens, on all IPv4 addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port: int = server.getsockname()[1]
    return port


@pytest.fixture
def nexus(tmp_path: Path) -> Path:
    """A copy of the worked example whose host ports are free ones of our own."""
    folder = tmp_path / "nexus"
    shutil.copytree(NEXUS, folder)
    names = [line.partition("=")[0] for line in (folder / ".env").read_text("utf-8").splitlines() if "=" in line]
    servers = [socket.create_server(("0.0.0.0", 0)) for _ in names]
    ports = [server.getsockname()[1] for server in servers]
    for server in servers:
        server.close()
    (folder / ".env").write_text("".join(f"{name}={port}\n" for name, port in zip(names, ports, strict=True)))
    return folder


def _port_of(folder: Path, name: str) -> int:
    lines = (folder / ".env").read_text("utf-8").splitlines()
    return next(int(line.partition("=")[2]) for line in lines if line.startswith(f"{name}="))


def test_check_of_a_clean_project(nexus: Path) -> None:
    """Every service is free: exit 0, and a row for each of the seven ports."""
    document, status = _json("-C", str(nexus), "check")
    ports = [row for service in document["services"] for row in service["ports"] if row["from"] == "compose"]
    assert [row["state"] for row in ports] == ["free"] * 7
    assert document["summary"]["errors"] == 0
    assert (status, document["ports"]) == (0, [])


def test_check_names_the_stranger(nexus: Path) -> None:
    """A stranger on the backend's port: its program and pid, the files with lines, and a free port of the API range."""
    port = _port_of(nexus, "PORT")
    with socket.create_server(("0.0.0.0", port)):
        document, status = _json("-C", str(nexus), "check")
        text = _run("-C", str(nexus), "check")
    errors = [finding for finding in document["findings"] if finding["severity"] == "error"]
    assert (status, text.returncode, len(errors)) == (1, 1, 1)
    finding = errors[0]
    assert (finding["rule"], finding["service"], finding["port"]) == ("address-in-use", "backend", port)
    assert finding["holders"][0]["processes"][0]["pid"] == os.getpid()
    assert [(place["path"], place["line"]) for place in finding["locations"]] == [
        ("docker-compose.yml", 22),
        (".env", 2),
    ]
    offered = int(finding["fixes"][0]["command"].split()[0].removeprefix("PORT="))
    assert 11000 <= offered <= 11999
    for said in (str(os.getpid()), "docker-compose.yml:22:9", ".env:2:6", str(offered), f"backend cannot have {port}"):
        assert said in text.stdout


def test_fail_on(nexus: Path) -> None:
    """`--fail-on` moves the line: a warning is no failure by default."""
    (nexus / "client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    assert _run("-C", str(nexus), "check").returncode == 0
    assert _run("-C", str(nexus), "check", "--fail-on", "warning").returncode == 1


def test_a_folder_as_argument(nexus: Path) -> None:
    """`check DIR` is `-C DIR check`; a name that is neither port nor folder is bad usage."""
    assert _json("check", str(nexus))[0]["project"] == "nexus"
    assert _run("check", "no-such-folder").returncode == 2


def test_the_same_from_below(nexus: Path) -> None:
    """The project is found from a folder below, and paths stay relative to its root."""
    document, _ = _json("services", cwd=nexus / "client/src")
    assert document["root"] == str(nexus.resolve())
    assert document["services"][0]["ports"][0]["path"] == "docker-compose.yml"


def test_services_has_the_contracts_keys(nexus: Path) -> None:
    """The keys of `services --json` are those of the contract."""
    document, status = _json("-C", str(nexus), "services")
    assert status == 0
    assert {"project", "root", "services", "inactive"} <= document.keys()
    row = document["services"][0]["ports"][0]
    keys = {"from", "host_ip", "published", "target", "protocol", "path", "line", "column", "text", "state", "bound"}
    assert keys <= row.keys()
    assert row["published"] == str(_port_of(nexus, "FRONTEND_PORT"))


def test_ls_finds_a_listener(listener: int) -> None:
    """`ls PORT` shows our own listener with its process; the keys are those of the contract."""
    document, status = _json("ls", str(listener))
    (row,) = [row for row in document["listeners"] if row["processes"] and row["processes"][0]["pid"] == os.getpid()]
    keys = {
        "transport", "address", "port", "state", "v6only", "user", "owners", "processes", "container", "netns", "project",
        "service",
    }  # fmt: skip
    assert keys <= row.keys()
    assert (status, row["state"], row["owners"], row["port"]) == (0, "listen", "seen", listener)
    assert {"pid", "name", "command", "user", "cwd", "started"} <= row["processes"][0].keys()
    assert row["processes"][0]["started"].endswith("Z")


def test_ls_without_a_match(free_port: int) -> None:
    """A query that matches nothing is a no, and says what to do next."""
    done = _run("ls", str(free_port))
    assert done.returncode == 1
    assert "hint:" in done.stdout
    assert _run("ls", "no-such-program-anywhere").returncode == 1


def test_who(listener: int, free_port: int) -> None:
    """`who` names the holder and its parents, and is a no for a free port."""
    document, status = _json("who", str(listener))
    (row,) = document["ports"]
    assert status == 0
    assert {"port", "transport", "listeners", "ancestry", "lease", "declared", "customary", "fixes"} <= row.keys()
    assert row["ancestry"][0][0]["pid"] == os.getppid()
    assert _run("who", str(free_port)).returncode == 1


def test_check_of_one_port_twice(listener: int) -> None:
    """Each argument has its line, also when it is the same."""
    done = _run("check", str(listener), str(listener))
    assert done.returncode == 1
    assert done.stdout.count("is not available") == 2


def test_find(listener: int) -> None:
    """`find PORT` passes over a taken port as the guide does; `--count` and `--contiguous` give several."""
    document, status = _json("find", str(listener))
    assert status == 0
    assert listener < document["ports"][0] <= listener + 100
    ports = _json("find", "--count", "3", "--contiguous", "--range", "20000-20999")[0]["ports"]
    assert ports == list(range(ports[0], ports[0] + 3))
    done = _run("find", "--range", f"{listener}-{listener}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No available ports found" in done.stderr


def test_find_is_the_same_each_time() -> None:
    """Without a wish, the same folder is offered the same port while it is free."""
    assert _run("find").stdout == _run("find").stdout


def test_catalog() -> None:
    """The catalog answers by port and by name, and says where upstream disagrees with the guide."""
    document, status = _json("catalog", "1234")
    services = {row["service"]: row for row in document["services"]}
    assert status == 0
    assert "LM Studio" in services
    assert services["Open WebUI API"]["note"]
    assert {"service", "port", "transport", "role", "source"} <= services["LM Studio"].keys()
    assert _run("catalog", "no-such-service").returncode == 1


@pytest.mark.parametrize(
    "words",
    [
        ["check", "0"],
        ["check", "65536"],
        ["check", "9000-8000"],
        ["who", "5000/sctp"],
        ["who", "http"],
        ["find", "70000"],
        ["ls", "70000"],
        ["ls", "--no-such-option"],
        ["frobnicate"],
        ["-C", "/no/such/folder", "check"],
        ["check", "--file", "missing.yml"],
    ],
    ids=" ".join,
)
def test_bad_input_is_exit_2(words: list[str], nexus: Path) -> None:
    """Bad input: one line on stderr, a hint where there is one, exit 2, and an error document under --json."""
    done = _run(*words, cwd=nexus)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    document, status = _json(*words, cwd=nexus)
    assert status == 2
    assert set(document["error"]) == {"code", "message", "hint", "path", "line", "column"}


def test_no_project(tmp_path: Path) -> None:
    """A project verb outside any project is exit 2 and says what to do; `portward` alone shows what listens."""
    done = _run("services", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    alone = _run(cwd=tmp_path)
    assert alone.returncode == 0
    assert "No project here" in alone.stderr


def test_a_refused_file_has_its_place(nexus: Path) -> None:
    """What Compose would refuse is `path:line:column: what` and a hint, for check and services; ls goes on."""
    path = nexus / "docker-compose.yml"
    path.write_text(path.read_text("utf-8").replace("${PORT:-5000}:5000", "80880:5000"))
    for verb in ("check", "services"):
        done = _run("-C", str(nexus), verb)
        assert done.returncode == 2
        assert done.stderr.startswith("docker-compose.yml:22:9: ")
        assert "hint: did you mean 8080?" in done.stderr
    for words in (["ls"], ["who", "1"]):
        answer, _ = _json("-C", str(nexus), *words)
        assert any(entry["what"].startswith("docker-compose.yml") for entry in answer["skipped"])


def test_an_engine_out_of_reach_is_skipped(nexus: Path) -> None:
    """An engine that cannot be asked is an entry under `skipped`, and never changes the status."""
    document, status = _json("-C", str(nexus), "check")
    assert status == 0
    assert document["complete"] is False
    assert any("container engine" in entry["what"] for entry in document["skipped"])


def test_quiet_and_verbose(nexus: Path) -> None:
    """`-q` leaves the exit status alone as the answer; `-v` tells the steps on stderr."""
    quiet = _run("-C", str(nexus), "check", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert "sockets by the reader" in _run("-v", "-C", str(nexus), "check").stderr


def test_version_and_help() -> None:
    """`--version` and `--help` work alone and with every verb."""
    assert _run("--version").stdout.startswith("portward ")
    for verb in cli.VERBS:
        done = _run(verb, "--help")
        assert done.returncode == 0
        assert f"portward {verb}" in done.stdout
        assert cli.VERBS[verb][1] in done.stdout


def test_no_escape_codes_in_a_pipe(nexus: Path) -> None:
    """Colour is for terminals."""
    (nexus / "client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    assert "\x1b" not in _run("-C", str(nexus), "check").stdout


def test_colour_on_a_terminal_turns_off(nexus: Path) -> None:
    """On a terminal the severity is coloured, and NO_COLOR turns that off."""
    import pty

    (nexus / "client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    for environment, coloured in (({"TERM": "xterm"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "portward", "-C", str(nexus), "check"],
            stdout=theirs,
            stdin=subprocess.DEVNULL,
            env={**{key: value for key, value in os.environ.items() if key != "NO_COLOR"}, **environment},
        )
        os.close(theirs)
        output = b""
        try:
            while chunk := os.read(ours, 4096):
                output += chunk
        except OSError:
            pass  # the terminal's other end is closed
        os.close(ours)
        process.wait(timeout=30)
        assert (b"\x1b[33mwarning:" in output) is coloured


def test_lines_fit(nexus: Path) -> None:
    """Tables fit a hundred columns."""
    for line in _run("-C", str(nexus), "services").stdout.splitlines()[1:]:
        assert len(line) <= 100


def test_a_closed_pipe_is_no_error() -> None:
    """`portward catalog | head -1` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "portward", "catalog"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=30) == 0


def test_a_bug_is_logged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Anything unforeseen is exit 4, and names a log file without the environment's values."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("TOP_SECRET", "hunter2")
    monkeypatch.setattr("portward.cli.look.ls", lambda _arguments: 1 // 0)
    assert main(["ls"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    (log,) = (tmp_path / "portward").iterdir()
    assert str(log) in said.err
    text = log.read_text("utf-8")
    assert "ZeroDivisionError" in text
    assert "hunter2" not in text
    assert log.stat().st_mode & 0o077 == 0


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C is exit 130."""

    def interrupt(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("portward.cli.look.ls", interrupt)
    assert main(["ls"]) == 130


def test_hostile_names_are_shown_safely(tmp_path: Path) -> None:
    """Control characters in a process's command never reach the terminal."""
    code = "import socket,sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "\x1b[31mred\x07"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        for verb in ("ls", "who", "check"):
            output = _run(verb, port).stdout
            assert port in output
            assert "\x1b" not in output
            assert "\x07" not in output
    finally:
        process.communicate()
