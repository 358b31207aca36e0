"""The command line as people and agents use it: whole processes, real sockets, real files."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portward import cli
from portward.cli.parser import Reader, declare, parse
from tests.command import run, run_json
from tests.conftest import port_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Listen, Spawn

NEXUS = Path(__file__).parent.parent / "examples/nexus"


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
    document, status = run_json("-C", str(nexus), "check")
    ports = [row for service in document["services"] for row in service["ports"] if row["from"] == "compose"]
    assert [row["state"] for row in ports] == ["free"] * 7
    assert document["summary"]["errors"] == 0
    assert (status, document["ports"]) == (0, [])


def test_check_names_the_stranger(nexus: Path) -> None:
    """A stranger on the backend's port: its program and pid, the files with lines, and a free port of the API range."""
    port = _port_of(nexus, "PORT")
    with socket.create_server(("0.0.0.0", port)):
        document, status = run_json("-C", str(nexus), "check")
        text = run("-C", str(nexus), "check")
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
            found for found in run_json("-C", str(nexus), "check")[0]["findings"] if found["severity"] == "error"
        ]
        program, *words = finding["fixes"][0]["command"].split()
        assert program == "portward"
        assert run("-C", str(nexus), *words, XDG_STATE_HOME=str(nexus.parent)).returncode == 0
        document, status = run_json("-C", str(nexus), "check")
    stale = [place for found in document["findings"] for place in found["locations"] if place["path"] == "client/.env"]
    assert (status, stale) == (0, [])
    assert (nexus / "client/.env").read_text(
        "utf-8"
    ) == f"REACT_APP_API_URL=http://localhost:{_port_of(nexus, 'PORT')}\n"
    assert _port_of(nexus, "PORT") != port


def test_a_port_that_moved_in_one_file_alone(nexus: Path) -> None:
    """Who still asks for the old one is named, file by file."""
    (nexus / ".env").write_text("PORT=5001\n")
    document, _ = run_json("-C", str(nexus), "check")
    stale = [found for found in document["findings"] if found["rule"] == "stale-port-reference"]
    places = {place["path"] for found in stale for place in found["locations"]}
    assert {"client/.env", "docker-compose.yml"} <= places
    assert all(found["severity"] == "warning" for found in stale)


def test_fail_on(nexus: Path) -> None:
    """`--fail-on` moves the line: a warning is no failure by default."""
    (nexus / "client/.env").write_text("REACT_APP_API_URL=http://localhost:1\n")
    assert run("-C", str(nexus), "check").returncode == 0
    assert run("-C", str(nexus), "check", "--fail-on", "warning").returncode == 1


def test_a_folder_as_argument(nexus: Path) -> None:
    """`check DIR` is `-C DIR check`; a name that is neither port nor folder is bad usage."""
    assert run_json("check", str(nexus))[0]["project"] == "nexus"
    assert run("check", "no-such-folder").returncode == 2


def test_the_same_from_below(nexus: Path) -> None:
    """The project is found from a folder below, and paths stay relative to its root."""
    document, _ = run_json("services", cwd=nexus / "client/src")
    assert document["root"] == str(nexus.resolve())
    assert document["services"][0]["ports"][0]["path"] == "docker-compose.yml"


def test_services_has_the_contracts_keys(nexus: Path) -> None:
    """The keys of `services --json` are those of the contract."""
    document, status = run_json("-C", str(nexus), "services")
    assert status == 0
    assert {"project", "root", "services", "inactive"} <= document.keys()
    row = document["services"][0]["ports"][0]
    keys = {"from", "host_ip", "published", "target", "protocol", "path", "line", "column", "text", "state", "bound"}
    assert keys <= row.keys()
    assert row["published"] == str(_port_of(nexus, "FRONTEND_PORT"))


def test_ls_finds_a_listener(listener: int) -> None:
    """`ls PORT` shows our own listener with its process; the keys are those of the contract."""
    document, status = run_json("ls", str(listener))
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
            document, status = run_json("ls", query)
            assert [(row["transport"], row["address"]) for row in document["listeners"]] == expected, query
            assert status == (0 if expected else 1)
        both = run_json("ls", str(listener), "--udp")[0]["listeners"]
        assert [row["transport"] for row in both] == ["tcp", "udp"]
        by_name = run_json("ls", Path(sys.executable).name[:6])[0]["listeners"]
        assert not any(row["transport"] == "udp" for row in by_name)


def test_ls_without_a_match(free_port: int) -> None:
    """A query that matches nothing is a no, and says what to do next."""
    done = run("ls", str(free_port))
    assert done.returncode == 1
    assert "hint:" in done.stdout
    assert run("ls", "no-such-program-anywhere").returncode == 1


def test_who(listener: int, free_port: int) -> None:
    """`who` names the holder and its parents, and is a no for a free port."""
    document, status = run_json("who", str(listener))
    (row,) = document["ports"]
    assert status == 0
    assert {"port", "transport", "listeners", "ancestry", "lease", "declared", "customary", "fixes"} <= row.keys()
    assert row["ancestry"][0][0]["pid"] == os.getppid()
    nobody = run("who", str(free_port))
    assert nobody.returncode == 1
    assert f"{free_port}/tcp: nothing listens there" in nobody.stdout
    assert f"hint: `portward check {free_port}`" in nobody.stdout


def test_who_tells_two_servers_on_localhost_apart(listen: Listen, spawn: Spawn, free_port: int) -> None:
    """127.0.0.1 and [::1] are two servers on one number: "localhost" means either, and that is said."""
    listen("127.0.0.1", free_port)
    spawn("held = listen('::1', int(sys.argv[1])); ready()", free_port)
    text = run("who", str(free_port)).stdout
    assert f"{free_port}/tcp is held on 127.0.0.1 and [::1]: two different servers" in text
    assert '"localhost" means either' in text


def test_a_dual_stack_socket_is_shown_as_every_address(listen: Listen) -> None:
    """[::] that takes IPv4 too is `*`; one that does not is [::]."""
    for v6only, shown in ((False, "*"), (True, "[::]")):
        port = port_of(listen("::", v6only=v6only))
        assert f"{port:>5}  {shown}  " in run("ls", str(port)).stdout


def test_check_of_one_port_twice(listener: int) -> None:
    """Each argument has its line, also when it is the same."""
    done = run("check", str(listener), str(listener))
    assert done.returncode == 1
    assert done.stdout.count("is not available") == 2


def test_find(listener: int) -> None:
    """`find PORT` passes over a taken port as the guide does; `--count` and `--contiguous` give several."""
    document, status = run_json("find", str(listener))
    assert status == 0
    assert listener < document["ports"][0] <= listener + 100
    assert run("find", f"{listener}/udp").stdout.strip() != str(listener)  # who has TCP is not to share the number
    ports = run_json("find", "--count", "3", "--contiguous", "--range", "20000-20999")[0]["ports"]
    assert ports == list(range(ports[0], ports[0] + 3))
    done = run("find", "--range", f"{listener}-{listener}")
    assert (done.returncode, done.stdout) == (1, "")
    assert "No available ports found" in done.stderr


def test_find_is_the_same_each_time() -> None:
    """Without a wish, the same folder is offered the same port while it is free."""
    assert run("find").stdout == run("find").stdout


def test_catalog() -> None:
    """The catalog answers by port and by name, and says where upstream disagrees with the guide."""
    document, status = run_json("catalog", "1234")
    services = {row["service"]: row for row in document["services"]}
    assert status == 0
    assert "LM Studio" in services
    assert services["Open WebUI API"]["note"]
    assert {"service", "port", "transport", "role", "source"} <= services["LM Studio"].keys()
    assert run("catalog", "no-such-service").returncode == 1
    assert "Open WebUI API  API; upstream has no such listener" in run("catalog", "1234").stdout
    head, *rows = run("catalog").stdout.splitlines()
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
    done = run(*words, cwd=nexus)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr
    document, status = run_json(*words, cwd=nexus)
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
        words = {
            "who": ["5000"],
            "identify": ["1"],
            "wait": ["1"],
            "set": ["web=5000"],
            "verify": ["1"],
            "kill": ["1"],
            "pin": ["a=1"],
        }.get(verb, [])
        assert vars(ours.read(words)) == vars(theirs.parse_args(words))


def test_no_project(tmp_path: Path) -> None:
    """A project verb outside any project is exit 2 and says what to do; `portward` alone shows what listens."""
    done = run("services", cwd=tmp_path)
    assert done.returncode == 2
    assert "hint:" in done.stderr
    alone = run(cwd=tmp_path)
    assert alone.returncode == 0
    assert "No project here" in alone.stderr
    assert json.loads(run("--json", cwd=tmp_path).stdout).keys() == {"listeners", "skipped", "complete"}
    quiet = run("-q", cwd=tmp_path)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")


def test_every_failure_is_a_document_under_json(tmp_path: Path) -> None:
    """Nothing but one document on stdout, the text on stderr: also for errors that are no bad input."""
    document, status = run_json("services", cwd=tmp_path)
    assert (status, document["error"]["code"]) == (2, "no-project")
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        document, status = run_json("find", "--range", f"{port}-{port}")
        assert (status, document["error"]["code"]) == (1, "no-free-port")
        assert run("find", "--range", f"{port}-{port}", "--json").stderr.startswith(
            "portward: No available ports found"
        )


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """From a folder that was removed, what needs no project answers, and what does says why it cannot."""
    for words, status in ((["ls"], 0), (["find"], 0), ([], 0), (["check"], 3), (["services", "--json"], 3)):
        place = tmp_path / "gone"
        place.mkdir()
        code = f"import os, sys; os.rmdir({str(place)!r}); from portward.cli import main; sys.exit(main({words!r}))"
        # -P: like the installed command, with no relative path to look for modules in
        done = subprocess.run([sys.executable, "-P", "-c", code], cwd=place, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "unavailable"


def test_a_refused_file_has_its_place(nexus: Path) -> None:
    """What Compose would refuse is `path:line:column: what` and a hint, for check and services; ls goes on."""
    path = nexus / "docker-compose.yml"
    path.write_text(path.read_text("utf-8").replace("${PORT:-5000}:5000", "80880:5000"))
    for verb in ("check", "services"):
        done = run("-C", str(nexus), verb)
        assert done.returncode == 2
        assert done.stderr.startswith("docker-compose.yml:22:9: ")
        assert "hint: did you mean 8080?" in done.stderr
    for words in (["ls"], ["who", "1"]):
        answer, _ = run_json("-C", str(nexus), *words)
        assert any(entry["what"].startswith("docker-compose.yml") for entry in answer["skipped"])


def test_an_engine_out_of_reach_is_skipped(nexus: Path) -> None:
    """An engine that cannot be asked is an entry under `skipped`, and never changes the status."""
    document, status = run_json("-C", str(nexus), "check")
    assert status == 0
    assert document["complete"] is False
    assert any("container engine" in entry["what"] for entry in document["skipped"])


def test_quiet_and_verbose(nexus: Path) -> None:
    """`-q` leaves the exit status alone as the answer; `-v` tells the steps on stderr."""
    quiet = run("-C", str(nexus), "check", "-q")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    assert "sockets by the reader" in run("-v", "-C", str(nexus), "check").stderr


def test_version_and_help() -> None:
    """`--version` and `--help` work alone and with every verb."""
    assert run("--version").stdout.startswith("portward ")
    for verb in cli.VERBS:
        done = run(verb, "--help")
        assert done.returncode == 0
        assert f"portward {verb}" in done.stdout
        assert cli.VERBS[verb][1] in done.stdout


def test_lines_fit(nexus: Path) -> None:
    """Tables fit a hundred columns."""
    for line in run("-C", str(nexus), "services").stdout.splitlines()[1:]:
        assert len(line) <= 100


EVERY_VERB = {
    "ls": [],
    "who": ["1"],
    "check": [],
    "services": [],
    "set": ["redis=14001"],
    "resolve": [],
    "docs": [],
    "init": [],
    "lease": ["a-service"],
    "release": ["nobody"],
    "leases": [],
    "env": [],
    "verify": ["1"],
    "pin": ["web=5000", "--reason", "why"],
    "undo": ["--dry-run"],
    "kill": ["1", "--dry-run"],
    "explain": ["listen tcp :1: bind: address already in use"],
    "doctor": ["--store"],
    "find": [],
    "identify": ["1"],
    "wait": ["1", "--timeout", "0"],
    "catalog": ["5000"],
    "setup": [],
}
"""Each verb with what it cannot do without."""


def test_every_verb_keeps_to_the_rules(nexus: Path) -> None:
    """`--json` prints one document and nothing else, -q nothing, -C chooses the project: for each verb, and with the same status."""
    others = {
        "run",
        "serve",
        "top",
        "mcp",
        "agent",
        "completion",
    }  # a command's output, a URL, a terminal, a protocol, events, a script
    assert EVERY_VERB.keys() | others == cli.VERBS.keys()
    for verb, words in {**EVERY_VERB, "": []}.items():
        command = [*([verb] if verb else []), *words]
        place = {"cwd": nexus.parent, "XDG_STATE_HOME": str(nexus.parent)}
        plain = run("-C", "nexus", *command, **place)  # type: ignore[arg-type]
        assert plain.returncode in (0, 1), plain.stderr
        document = run(*command, "--json", "-C", "nexus", **place)  # type: ignore[arg-type]
        assert isinstance(json.loads(document.stdout), dict)
        assert document.returncode == plain.returncode, command
        quiet = run("-q", *command, "-C", "nexus", **place)  # type: ignore[arg-type]
        assert (quiet.returncode, quiet.stdout) == (plain.returncode, ""), command
        assert run(*command, "--version").stdout.startswith("portward ")
        bad = run(*command, "-C", "no-such-folder", "--json", **place)  # type: ignore[arg-type]
        assert (bad.returncode, set(json.loads(bad.stdout))) == (2, {"error"}), command


def test_a_long_path_is_shown_without_its_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """So that the file and the line are seen; the document has all of it."""
    folder = tmp_path / "orders/src/main/resources"
    folder.mkdir(parents=True)
    (tmp_path / "portward.toml").write_text("")
    (folder / "application.properties").write_text("server.port=28080\n")
    assert cli.main(["-C", str(tmp_path), "services"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("  orders/…/application.properties:1")
    assert cli.main(["-C", str(tmp_path), "services", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["services"][0]["ports"][0]["path"] == "orders/src/main/resources/application.properties"
