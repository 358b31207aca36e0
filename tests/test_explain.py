"""`portward explain` on this machine: what the text says, joined with who really holds the port at that moment."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import portward
from portward.model import Kind
from portward.ward import Portward
from tests.command import run, run_json
from tests.conftest import Listen, Spawn, need, need_root, port_of
from tests.generated_docs import ROOT

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

KEYS = {"kind", "port", "host", "transport", "cause", "evidence", "holders", "fixes", "guess", "tool", "line", "text"}


def _explained(text: str, folder: Path) -> dict[str, Any]:
    """The first diagnosis of a text, asked in a folder."""
    document, status = run_json("explain", text, cwd=folder)
    assert status == 0, text
    found: dict[str, Any] = document["diagnoses"][0]
    assert set(found) == KEYS
    return found


def test_who_holds_the_port(listen: Listen, tmp_path: Path) -> None:
    """The holder, by pid; a free port first, and the holder's end last."""
    port = port_of(listen())
    found = _explained(f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{port}", tmp_path)
    assert (found["kind"], found["port"], found["host"], found["transport"]) == (
        "port_in_use",
        port,
        "127.0.0.1",
        "tcp",
    )
    assert [row["processes"][0]["pid"] for row in found["holders"]] == [os.getpid()]
    assert [fix["safe"] for fix in found["fixes"]] == sorted((fix["safe"] for fix in found["fixes"]), reverse=True)
    assert not found["fixes"][-1]["safe"]
    assert "a process of this machine holds it" in found["cause"]


def test_nobody_holds_it_any_more(free_port: int, tmp_path: Path) -> None:
    """The text may be old: then it is said that the port can be bound now."""
    found = _explained(f"listen tcp :{free_port}: bind: address already in use", tmp_path)
    assert found["holders"] == []
    assert f"nothing holds {free_port} here now, and it can be bound" in found["evidence"]


def test_a_connection_holds_it(
    listen: Listen, connect: Callable[..., socket.socket], free_port: int, tmp_path: Path
) -> None:
    """No listener shows, yet a bind is refused: an outgoing connection has that port at this end."""
    client = connect(listen(), source_address=("127.0.0.1", free_port))
    found = _explained(f"listen tcp 127.0.0.1:{port_of(client)}: bind: address already in use", tmp_path)
    assert any("refuses a bind" in sentence for sentence in found["evidence"]), found


def test_another_address_is_in_nobodys_way(listen: Listen, tmp_path: Path) -> None:
    """A holder on another address of the port is told as such, and is not the cause."""
    port = port_of(listen("127.0.0.1"))
    found = _explained(f"listen tcp 127.0.0.2:{port}: bind: address already in use", tmp_path)
    assert found["holders"] == []
    assert any("another address" in sentence for sentence in found["evidence"])


def test_the_other_family_of_localhost(listen: Listen, tmp_path: Path) -> None:
    """A client that asked ::1 is told that the server listens on 127.0.0.1 only."""
    port = port_of(listen("127.0.0.1"))
    found = _explained(f"Error: connect ECONNREFUSED ::1:{port}", tmp_path)
    assert found["kind"] == "refused_ipv6_localhost"
    assert f"the server listens on 127.0.0.1:{port} only" in found["cause"]
    assert found["fixes"][0]["title"] == "ask 127.0.0.1 instead of localhost"


def test_it_answers_by_now(listen: Listen, tmp_path: Path) -> None:
    """A server that has started since is told."""
    port = port_of(listen("127.0.0.1"))
    found = _explained(f"curl: (7) Failed to connect to localhost port {port} after 0 ms: Connection refused", tmp_path)
    assert any("it answers by now" in sentence for sentence in found["evidence"])
    assert found["holders"]


def test_nothing_listens(free_port: int, tmp_path: Path) -> None:
    """Refused, and nothing listens: that is said."""
    found = _explained(f"dial tcp 127.0.0.1:{free_port}: connect: connection refused", tmp_path)
    assert f"nothing listens on {free_port}/tcp in this network namespace" in found["evidence"]


def test_another_network_namespace(spawn: Spawn, tmp_path: Path) -> None:
    """What listens in a network namespace of its own is told for a port that is refused here."""
    need_root()
    code = "import subprocess; subprocess.run(['ip', 'link', 'set', 'lo', 'up']); s = listen('127.0.0.1'); ready(port=s.getsockname()[1])"
    child = spawn(code, prefix=[need("unshare"), "--net"])
    port = child.facts["port"]
    found = _explained(f"dial tcp 127.0.0.1:{port}: connect: connection refused", tmp_path)
    assert any(
        "does not publish it here" in sentence and "network namespace" in sentence for sentence in found["evidence"]
    ), found


def test_a_project_around(listen: Listen, tmp_path: Path) -> None:
    """The service that asks for the port is moved by one command; who asks for a container's port is told the published one."""
    port = port_of(listen("0.0.0.0"))
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  web:\n    image: nginx\n    ports: ['{port}:80']\n  db:\n    image: postgres\n    ports: ['5434:5432']\n"
    )
    found = _explained(f"Error: listen EADDRINUSE: address already in use :::{port}", tmp_path)
    assert found["fixes"][0]["command"].startswith("portward set web=")
    assert any("web asks for it in compose.yaml:4:" in sentence for sentence in found["evidence"])
    found = _explained("dial tcp 127.0.0.1:5432: connect: connection refused", tmp_path)
    assert found["fixes"][0]["title"] == "ask port 5434, on which db is published"
    found = _explained("web-1  | dial tcp 127.0.0.1:5432: connect: connection refused", tmp_path)
    assert found["kind"] == "refused_container_localhost"
    assert found["fixes"][0]["title"] == "ask db:5432"


def test_the_way_out_is_that_of_check(listen: Listen, tmp_path: Path) -> None:
    """The same port, whichever is asked: that of the service's own lease, of the right entry of several."""
    port, other = port_of(listen("0.0.0.0")), port_of(listen("0.0.0.0"))
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  web:\n    image: nginx\n    ports: ['{port}:80', '{other}:443']\n"
    )
    leased = run_json("lease", "web", cwd=tmp_path)[0]["leases"][0]["port"]
    checked = {finding["port"]: finding["fixes"][0] for finding in run_json("check", cwd=tmp_path)[0]["findings"][:2]}
    for asked in (port, other):
        found = _explained(f"Error: listen EADDRINUSE: address already in use :::{asked}", tmp_path)
        assert found["fixes"][0] == checked[asked]
    assert checked[port]["command"] == f"portward set web:80={leased} --write"
    assert checked[other]["command"].startswith("portward set web:443=")


@pytest.mark.parametrize("host", ["db-staging.internal", "192.0.2.7"])
def test_another_host_is_not_asked(host: str, free_port: int, tmp_path: Path) -> None:
    """Names are never looked up, and what this machine says is no evidence for another one."""
    found = _explained(f"Error: connect ECONNREFUSED {host}:{free_port}", tmp_path)
    assert (found["host"], found["evidence"], found["holders"]) == (host, [], [])


def test_privileged_ports(tmp_path: Path) -> None:
    """What this system's own rule is, and a port that needs no privilege first."""
    found = _explained("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", tmp_path)
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
        start = int(file.read())
    expected = (
        f"ports below {start} need root or CAP_NET_BIND_SERVICE here" if start > 80 else "80 needs no privilege here"
    )
    assert any(sentence.startswith(expected) for sentence in found["evidence"])
    assert found["fixes"][0]["title"].startswith("use ")


def test_a_blocked_port(tmp_path: Path) -> None:
    """A port that browsers refuse is on the list of the Fetch standard."""
    found = _explained("net::ERR_UNSAFE_PORT at http://localhost:6000/", tmp_path)
    assert found["evidence"] == ["6000 is on the list of blocked ports of the Fetch standard"]


def test_a_text_without_trouble(tmp_path: Path) -> None:
    """Exit 1 and no diagnosis; what it is instead is named."""
    document, status = run_json("explain", "Server listening on port 3000", cwd=tmp_path)
    assert (document["diagnoses"], document["others"], status) == ([], [], 1)
    done = run("explain", "curl: (35) error:1408F10B:SSL routines:ssl3_get_record:wrong version number", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "No trouble with a port in this text.",
        "It speaks of TLS spoken to a server without it, or the reverse.",
    ]


TEXT = "Error: listen EADDRINUSE: address already in use :::1\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("words", [[], ["-"], ["error.log"]], ids=["stdin", "dash", "file"])
def test_where_the_text_comes_from(words: list[str], encoding: str, tmp_path: Path) -> None:
    """Stdin with and without a dash, and a file; in UTF-8 and as PowerShell writes it."""
    (tmp_path / "error.log").write_bytes(TEXT.encode(encoding))
    done = subprocess.run(
        [sys.executable, "-m", "portward", "explain", *words],
        cwd=tmp_path,
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        input=TEXT.encode(encoding),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"port-in-use: ")


def test_words_without_quotes(tmp_path: Path) -> None:
    """Several words are one text; a very long one is no file's name."""
    assert run("explain", *TEXT.split(), cwd=tmp_path).returncode == 0
    assert run("explain", f"{'x' * 5000} {TEXT}", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize(
    ("word", "told"), [("no/such/file", "there is no"), ("missing.log", "there is no"), (".", "folder")]
)
def test_bad_input(word: str, told: str, tmp_path: Path) -> None:
    """A name that is no file's, and a folder, are bad input: exit 2, with the way out."""
    done = run("explain", word, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """Binary noise around the trouble is passed over."""
    (tmp_path / "core").write_bytes(os.urandom(300_000) + b"\n" + TEXT.encode() + os.urandom(1000))
    document, status = run_json("explain", "core", cwd=tmp_path)
    assert status == 0
    assert ("port_in_use", 1) in [(found["kind"], found["port"]) for found in document["diagnoses"]]


def test_what_is_printed_is_safe(tmp_path: Path) -> None:
    """Control characters of the text never reach the terminal, and a password in a URL is hidden."""
    done = run("explain", "\x1b]0;evil\x07 postgres://me:secret@127.0.0.1:9/x \x07 connection refused", cwd=tmp_path)
    assert done.returncode == 0
    assert not {char for char in done.stdout if char != "\n" and not char.isprintable()}
    assert "secret" not in done.stdout


def test_the_library(tmp_path: Path) -> None:
    """The method of the same name gives the same answer as records."""
    answer = Portward.open(tmp_path).explain(["listen tcp :1: bind: ", "address already in use"])
    assert [(found.symptom.kind, found.symptom.port) for found in answer.diagnoses] == [(Kind.PORT_IN_USE, 1)]
    assert Portward.open(tmp_path).explain("all is well").diagnoses == ()
    assert portward.explain("listen tcp :1: bind: address already in use", folder=tmp_path) == answer


def test_the_document_names_every_kind() -> None:
    """docs/explain.md has a row for each kind of trouble, and for nothing else."""
    text = (ROOT / "docs/explain.md").read_text("utf-8")
    rows = [line.split("`")[1] for line in text.splitlines() if line.startswith("| `")]
    assert rows == [str(kind) for kind in Kind]
