"""The command line as people and agents use it: whole processes, real sockets, real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward import cli
from portward.cli import main
from portward.cli.parser import Reader, declare, parse
from portward.cli.terminal import COLOURS
from portward.render.text import Paint
from tests.conftest import need, need_root, port_of
from tests.engine import PretendedEngine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Listen, Spawn

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
    offered = int(finding["fixes"][0]["command"].removeprefix("portward set backend=").removesuffix(" --write"))
    assert 11000 <= offered <= 11999
    for said in (str(os.getpid()), "docker-compose.yml:22:9", ".env:2:6", str(offered), f"backend cannot have {port}"):
        assert said in text.stdout


def test_the_way_out_reaches_every_file(nexus: Path) -> None:
    """What check offers, done as it is printed, moves the port in all files: nobody is left asking for the old one."""
    port = _port_of(nexus, "PORT")
    (nexus / "client/.env").write_text(f"REACT_APP_API_URL=http://localhost:{port}\n")
    with socket.create_server(("0.0.0.0", port)):
        (finding,) = [
            found for found in _json("-C", str(nexus), "check")[0]["findings"] if found["severity"] == "error"
        ]
        program, *words = finding["fixes"][0]["command"].split()
        assert program == "portward"
        assert _run("-C", str(nexus), *words, XDG_STATE_HOME=str(nexus.parent)).returncode == 0
        document, status = _json("-C", str(nexus), "check")
    stale = [place for found in document["findings"] for place in found["locations"] if place["path"] == "client/.env"]
    assert (status, stale) == (0, [])
    assert (nexus / "client/.env").read_text(
        "utf-8"
    ) == f"REACT_APP_API_URL=http://localhost:{_port_of(nexus, 'PORT')}\n"
    assert _port_of(nexus, "PORT") != port


def test_a_port_that_moved_in_one_file_alone(nexus: Path) -> None:
    """Who still asks for the old one is named, file by file."""
    (nexus / ".env").write_text("PORT=5001\n")
    document, _ = _json("-C", str(nexus), "check")
    stale = [found for found in document["findings"] if found["rule"] == "stale-port-reference"]
    places = {place["path"] for found in stale for place in found["locations"]}
    assert {"client/.env", "docker-compose.yml"} <= places
    assert all(found["severity"] == "warning" for found in stale)


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


def test_ls_by_a_port_argument(listener: int) -> None:
    """`ls` understands a port as every verb does: with a host, with a transport, and not by part of its digits."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", listener))
        for query, expected in (
            (f"{listener}", [("tcp", "0.0.0.0")]),
            (f"{listener}/tcp", [("tcp", "0.0.0.0")]),
            (f"{listener}/udp", [("udp", "127.0.0.1")]),
            (f"127.0.0.1:{listener}", [("tcp", "0.0.0.0")]),
            (f"127.0.0.2:{listener}/udp", []),
            (f"{listener}-{listener}", [("tcp", "0.0.0.0")]),
        ):
            document, status = _json("ls", query)
            assert [(row["transport"], row["address"]) for row in document["listeners"]] == expected, query
            assert status == (0 if expected else 1)
        both = _json("ls", str(listener), "--udp")[0]["listeners"]
        assert [row["transport"] for row in both] == ["tcp", "udp"]
        by_name = _json("ls", Path(sys.executable).name[:6])[0]["listeners"]
        assert not any(row["transport"] == "udp" for row in by_name)


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
    nobody = _run("who", str(free_port))
    assert nobody.returncode == 1
    assert f"{free_port}/tcp: nothing listens there" in nobody.stdout
    assert f"hint: `portward check {free_port}`" in nobody.stdout


def test_who_tells_two_servers_on_localhost_apart(listen: Listen, spawn: Spawn, free_port: int) -> None:
    """127.0.0.1 and [::1] are two servers on one number: "localhost" means either, and that is said."""
    listen("127.0.0.1", free_port)
    spawn("held = listen('::1', int(sys.argv[1])); ready()", free_port)
    text = _run("who", str(free_port)).stdout
    assert f"{free_port}/tcp is held on 127.0.0.1 and [::1]: two different servers" in text
    assert '"localhost" means either' in text


def test_a_dual_stack_socket_is_shown_as_every_address(listen: Listen) -> None:
    """[::] that takes IPv4 too is `*`; one that does not is [::]."""
    for v6only, shown in ((False, "*"), (True, "[::]")):
        port = port_of(listen("::", v6only=v6only))
        assert f"{port:>5}  {shown}  " in _run("ls", str(port)).stdout


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
    assert _run("find", f"{listener}/udp").stdout.strip() != str(listener)  # who has TCP is not to share the number
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
    assert "Open WebUI API  API; upstream has no such listener" in _run("catalog", "1234").stdout
    head, *rows = _run("catalog").stdout.splitlines()
    assert head.split() == ["PORT", "SERVICE", "USED", "FOR"]
    assert len(rows) > 300
    assert all(len(row) <= 100 for row in rows)


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
        ["check", "5000/sctp"],
        ["check", "-5"],
        ["check", ""],
        ["check", "--fail-on", "bogus"],
        ["check", "--json=yes"],
        ["who"],
        ["services", "extra"],
        ["find", "5000", "--count"],
        ["find", "--count", "x"],
        ["find", "--count", "0"],
        ["find", "5000-6000"],
        ["find", "127.0.0.1:5000"],
        ["find", "5000", "--range", "1-9"],
        ["catalog", "99999"],
        ["catalog", "5000-4000"],
        ["-C"],
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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["check", "5000", "--json", "5001"], {"what": ["5000", "5001"], "json": True}),
        (["-C", "here", "check"], {"directory": "here", "what": [], "verb": "check"}),
        (["-Chere", "-qv", "check"], {"directory": "here", "quiet": True, "verbose": True}),
        (["check", "--directory=here", "--fail-on=note"], {"directory": "here", "fail_on": "note"}),
        (["check", "--file", "a", "--file=b", "--profile", "*"], {"file": ["a", "b"], "profile": ["*"]}),
        (["find", "--count", "3", "5000"], {"count": 3, "port": "5000", "contiguous": False}),
        (["find"], {"count": 1, "port": None, "range": None}),
        (["ls", "--", "--udp"], {"query": ["--udp"], "udp": False}),
        (["ls", "-"], {"query": ["-"]}),
        (["--json"], {"verb": "glance", "json": True, "directory": "."}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_words_are_read_as_argparse_would(words: list[str], expected: dict[str, object]) -> None:
    """Options in any place and form; the values are those that the verb declares."""
    arguments = parse(words)
    assert arguments is not None
    assert {name: getattr(arguments, name) for name in expected} == expected


def test_what_is_declared_is_what_argparse_makes_of_it() -> None:
    """The reader and argparse, which prints the help, read the same defaults and names out of a declaration."""
    for verb in cli.VERBS:
        ours, theirs = Reader(verb), ArgumentParser()
        declare(verb, ours)
        declare(verb, theirs)
        words = {"who": ["5000"], "set": ["web=5000"]}.get(verb, [])
        assert vars(ours.read(words)) == vars(theirs.parse_args(words))


def test_no_project(tmp_path: Path) -> None:
    """A project verb outside any project is exit 2 and says what to do; `portward` alone shows what listens."""
    done = _run("services", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    alone = _run(cwd=tmp_path)
    assert alone.returncode == 0
    assert "No project here" in alone.stderr
    assert json.loads(_run("--json", cwd=tmp_path).stdout).keys() == {"listeners", "skipped", "complete"}
    quiet = _run("-q", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_every_failure_is_a_document_under_json(tmp_path: Path) -> None:
    """Nothing but one document on stdout, the text on stderr: also for errors that are no bad input."""
    document, status = _json("services", cwd=tmp_path)
    assert (status, document["error"]["code"]) == (2, "no-project")
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        document, status = _json("find", "--range", f"{port}-{port}")
        assert (status, document["error"]["code"]) == (1, "no-free-port")
        assert _run("find", "--range", f"{port}-{port}", "--json").stderr.startswith(
            "portward: No available ports found"
        )


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """From a folder that was removed, what needs no project answers, and what does says why it cannot."""
    for words, status in ((["ls"], 0), (["find"], 0), ([], 0), (["check"], 3), (["services", "--json"], 3)):
        place = tmp_path / "gone"
        place.mkdir()
        code = f"import os, sys; os.rmdir({str(place)!r}); from portward.cli import main; sys.exit(main({words!r}))"
        done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "unavailable"


def _as_nobody(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Portward as an unprivileged user. Asked once before, so that all is loaded that this user may not read."""
    code = f"""
import contextlib, io, os, sys
from portward.cli import main
os.chdir({str(cwd)!r})
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    main({list(words)!r})
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main({list(words)!r}))
"""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def open_nexus() -> Iterator[Path]:
    """The worked example where every user can reach it: the folders of pytest are closed to others."""
    need_root()
    with tempfile.TemporaryDirectory(prefix="portward-") as folder:
        os.chmod(folder, 0o755)
        shutil.copytree(NEXUS, f"{folder}/nexus")
        yield Path(folder, "nexus").resolve()


def test_who_may_not_see_owners_is_told_how_to(open_nexus: Path, free_port: int) -> None:
    """Not root: the socket is listed with its user, its owner is said to be hidden, and the last line tells how to see more."""
    with socket.create_server(("127.0.0.1", free_port)):
        said = subprocess.run(
            [need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups", "cat", f"/proc/{os.getpid()}/maps"],
            capture_output=True,
        )
        assert said.returncode  # that user may really not look into this process
        text = _as_nobody("ls", str(free_port), cwd=open_nexus).stdout.splitlines()
        who = _as_nobody("who", str(free_port), cwd=open_nexus).stdout
    assert text[1].split() == [str(free_port), "127.0.0.1", "hidden", "(root)", "root"]
    assert text[2] == "1 of 1 owners is hidden from you: run with sudo to see them"
    assert "a process of root that you are not permitted to see" in who


def test_a_folder_that_may_not_be_read_is_skipped(open_nexus: Path) -> None:
    """One unreadable folder or file of a project is named, and hides nothing else."""
    (open_nexus / "server").chmod(0o700)
    (open_nexus / "client/.env").chmod(0o600)
    done = _as_nobody("services", "--json", cwd=open_nexus)
    document = json.loads(done.stdout)
    skipped = {entry["what"]: entry["reason"] for entry in document["skipped"] if "engine" not in entry["what"]}
    assert skipped == {"server/": "Permission denied", "client/.env": "Permission denied"}
    assert (done.returncode, len(document["services"]), document["complete"]) == (0, 7, False)


@pytest.mark.parametrize("name", ["docker-compose.yml", ".env"])
def test_a_file_that_compose_could_not_read_either(name: str, open_nexus: Path) -> None:
    """Without it there is no project to judge: exit 2 for what asks about the project; ls and who go on and say so."""
    (open_nexus / name).chmod(0o600)
    for words in (["check"], ["services"], []):
        done = _as_nobody(*words, cwd=open_nexus)
        assert (done.returncode, done.stderr) == (2, f"{name}: cannot read it: Permission denied\n")
    for words in (["ls"], ["who", "1"]):
        assert f"not seen: {name}: cannot read it: Permission denied" in _as_nobody(*words, cwd=open_nexus).stdout


def test_a_project_folder_that_may_not_be_read(open_nexus: Path) -> None:
    """Whether there is a project cannot be told: exit 3. One that may be entered, but not listed, is found."""
    open_nexus.chmod(0o711)
    assert json.loads(_as_nobody("services", "--json", cwd=open_nexus).stdout)["root"] == str(open_nexus)
    open_nexus.chmod(0o700)
    done = _as_nobody("-C", str(open_nexus), "check", cwd=Path("/"))
    assert (done.returncode, done.stderr) == (3, f"portward: cannot look into {open_nexus}: Permission denied\n")
    assert _as_nobody("-C", str(open_nexus), "ls", cwd=Path("/")).returncode == 0


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


@pytest.mark.parametrize("words", [["check", "70000", "--json"], ["--help"], ["ls", "--json"]], ids=" ".join)
def test_a_pipe_that_is_closed_before_anything_is_said(words: list[str]) -> None:
    """The answer is then in the exit status alone."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "portward", *words]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert done.returncode == (2 if "70000" in words else 0)
    assert "Traceback" not in done.stderr


def test_streams_that_are_closed() -> None:
    """`>&-` and `2>&-` are no bug: the exit status is left as the answer."""
    for redirection in (">&-", "2>&-", ">&- 2>&- <&-"):
        for words, status in (
            ("ls", 0),
            ("ls --json", 0),
            ("check 70000", 2),
            ("check 70000 --json", 2),
            ("--help", 0),
        ):
            command = f"{sys.executable} -m portward {words} {redirection}"
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
            assert (done.returncode, "Traceback" in done.stderr) == (status, False), command


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="as Linux answers")
def test_a_full_disk() -> None:
    """What cannot be written is exit 3 with the reason, and never a bug."""
    for words, status in ((["ls"], 3), (["catalog", "--json"], 3), (["check", "70000", "--json"], 2)):
        command = [sys.executable, "-m", "portward", *words]
        with open("/dev/full", "w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        if status == 3:
            assert done.stderr == "portward: the answer cannot be written: No space left on device\n"


def test_a_terminal_without_our_letters() -> None:
    """What the encoding of stdout lacks is shown as a question mark."""
    done = _run("catalog", "webui", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Open WebUI" in done.stdout


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


def test_control_c_while_an_engine_is_silent() -> None:
    """An interrupted question is exit 130, without a traceback and without half an answer."""
    with PretendedEngine(lambda _path: None) as engine:
        process = subprocess.Popen(
            [sys.executable, "-m", "portward", "ls", "--json"],
            env={**os.environ, "DOCKER_HOST": engine.address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: engine.requests)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


def test_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Control-C is exit 130."""

    def interrupt(_arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("portward.cli.look.ls", interrupt)
    assert main(["ls"]) == 130


def test_hostile_paths_are_shown_safely(tmp_path: Path) -> None:
    """Control characters in the name of a folder, of a file, or in an argument never reach the terminal either."""
    place = tmp_path / "a\x1b]0;title\x07b"
    place.mkdir()
    (place / ".git").mkdir()
    (place / ".env.\x1b[31m").write_text("PORT=70000\n")
    for words in (["check"], ["services"], ["-v", "check"], ["check", "\x1b[2J"], ["ls", "\x1b[2J"], ["\x1b[2J"]):
        done = _run(*words, cwd=place)
        assert done.stdout or done.stderr
        assert "\x1b" not in done.stdout + done.stderr, words
        assert "\x07" not in done.stdout + done.stderr, words


def test_only_our_own_colours_pass() -> None:
    """On a terminal too, nothing but the codes that we use is let through."""
    line = "\x1b[1;31merror:\x1b[0m a\x1b[2Jb \x1b[5mc\x07"
    assert cli.printable(line, COLOURS) == "\x1b[1;31merror:\x1b[0m a?[2Jb ?[5mc?"
    assert cli.printable(line) == "?[1;31merror:?[0m a?[2Jb ?[5mc?"
    for style in ("error", "warning", "note", "dim", "bold", "good"):
        painted = Paint(True)("x", style)
        assert cli.printable(painted, COLOURS) == painted


EVERY_VERB = {
    "ls": [],
    "who": ["5000"],
    "check": [],
    "services": [],
    "set": ["redis=14001"],
    "resolve": [],
    "docs": [],
    "init": [],
    "undo": ["--dry-run"],
    "find": [],
    "catalog": ["5000"],
}
"""Each verb with what it cannot do without."""


def test_every_verb_keeps_to_the_rules(nexus: Path) -> None:
    """`--json` prints one document and nothing else, -q nothing, -C chooses the project: for each verb, and with the same status."""
    assert EVERY_VERB.keys() == cli.VERBS.keys()
    for verb, words in {**EVERY_VERB, "": []}.items():
        command = [*([verb] if verb else []), *words]
        place = {"cwd": nexus.parent, "XDG_STATE_HOME": str(nexus.parent)}
        plain = _run("-C", "nexus", *command, **place)  # type: ignore[arg-type]
        assert plain.returncode in (0, 1), plain.stderr
        document = _run(*command, "--json", "-C", "nexus", **place)  # type: ignore[arg-type]
        assert isinstance(json.loads(document.stdout), dict)
        assert document.returncode == plain.returncode, command
        quiet = _run("-q", *command, "-C", "nexus", **place)  # type: ignore[arg-type]
        assert (quiet.returncode, quiet.stdout) == (plain.returncode, ""), command
        assert _run(*command, "--version").stdout.startswith("portward ")
        bad = _run(*command, "-C", "no-such-folder", "--json", **place)  # type: ignore[arg-type]
        assert (bad.returncode, set(json.loads(bad.stdout))) == (2, {"error"}), command


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
