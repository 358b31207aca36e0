"""What error texts say of ports: every wording's own example, whole noisy logs, and texts that say nothing of them."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward import symptoms
from portward.model import Kind, Symptom, Transport
from portward.symptoms import FAMILIES, cleaning, signs
from portward.symptoms.causes import advice, cause
from portward.symptoms.pattern import PIECES, Pattern
from tests.symptom_texts import LOGS, QUIET

ERRORS = Path(__file__).parent.parent.parent / "shared/facts/errors.json"
PATTERNS = [pattern for family in FAMILIES.values() for pattern in family]
IN_USE = "Error: listen EADDRINUSE: address already in use :::3000"


def _only(text: str) -> Symptom:
    """The one trouble that a text tells."""
    found = symptoms.read(text).found
    assert len(found) == 1, found
    return found[0]


def _seen(text: str) -> list[tuple[str, int | None]]:
    return [(str(symptom.kind), symptom.port) for symptom in symptoms.read(text).found]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: f"{pattern.tool}: {pattern.word}")
def test_every_example(pattern: Pattern) -> None:
    """A wording's own example gives the kind, port, host and transport that its table claims."""
    near = f"{pattern.near}(\n" if pattern.near else ""
    said = symptoms.read(near + pattern.example)
    if pattern.kind is None:
        assert (said.found, said.others) == ((), (pattern.tool,))
        return
    first = said.found[0]
    told = (pattern.expected, pattern.port, pattern.host, pattern.transport)
    assert (first.kind, first.port, first.host, first.transport) == told
    assert first.guess == (
        pattern.usual is not None and pattern.usual == pattern.port and str(pattern.port) not in pattern.example
    )
    assert cause(first)


@pytest.mark.parametrize("pattern", [*PATTERNS, *signs.TABLE], ids=lambda pattern: f"{pattern.tool}: {pattern.word}")
def test_every_pattern_is_announced_by_its_word(pattern: Pattern) -> None:
    """The word that is looked for first is in lower case and in the example, and the expression matches there."""
    regex = pattern.regex
    for piece, meaning in PIECES.items():
        regex = regex.replace(piece, meaning)
    assert pattern.word == pattern.word.lower()
    assert pattern.word in pattern.example.lower()
    assert re.search(regex, cleaning.plain(pattern.example)[0], re.IGNORECASE)
    assert pattern.source or pattern in signs.TABLE


@pytest.mark.parametrize("entry", range(142))
def test_the_corpus_of_real_errors(entry: int) -> None:
    """Kind and port of every real error are those that it is marked with, or that it accepts; nothing is seen in the others."""
    if not ERRORS.exists():
        unmet_corpus()
    errors = json.loads(ERRORS.read_text("utf-8"))
    if entry >= len(errors):
        return
    expected, accepted = errors[entry]["expect"], errors[entry].get("accept", {})
    found = symptoms.read(errors[entry]["text"]).found
    if expected["kind"] == "not_a_port_error":
        assert not found
        return
    assert found[0].kind in (expected["kind"], *accepted.get("kinds", ()))
    assert found[0].port in (expected["port"], *accepted.get("ports", ()))


def unmet_corpus() -> None:
    """The corpus stands beside a working tree; it is no part of the project."""
    pytest.skip("the corpus of errors is not there")


@pytest.mark.parametrize(("text", "kind", "port"), LOGS, ids=range(len(LOGS)))
def test_logs(text: str, kind: str, port: int | None) -> None:
    """Output of many tools, as it is pasted: the first trouble's kind and port."""
    assert _seen(text)[0] == (kind, port)


@pytest.mark.parametrize("text", QUIET, ids=range(len(QUIET)))
def test_no_false_alarm(text: str) -> None:
    """What says nothing of a port in trouble gives no symptom."""
    assert symptoms.read(text).found == ()


def test_a_noisy_log_with_several_troubles() -> None:
    """Colours, CRLF, clocks, JSON, prefixes and repetitions: three troubles, each once, those of a bind first."""
    lines = [
        "\x1b[36mweb-1  |\x1b[0m 10:00:01 starting on port 9999",
        '{"level":"error","msg":"Error: connect ECONNREFUSED 10.0.0.7:5432\\n    at TCPConnectWrap (net.js:1159:16)"}',
        "\x1b[1;31m2026-01-01T10:00:02Z ERROR\x1b[0m listen tcp 0.0.0.0:\x1b[1m8080\x1b[22m: bind: address already in use",
        *["\x1b[31mnginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)\x1b[m"] * 5,
        "GET /port/8080 200 12ms",
    ]
    text = "\r\n".join(lines * 40)
    assert _seen(text) == [
        ("port_in_use", 8080),
        ("permission_privileged", 80),
        ("connection_refused", 5432),
    ]
    assert symptoms.read(text).found[0].line == 4  # the message in JSON is two lines


@pytest.mark.parametrize(
    "around",
    [
        "{}",
        "\x1b[31m{}\x1b[39m",
        "\x1b(B\x1b[m{}\x1b[?25h",
        "2026-01-01 10:00:00,000 ERROR {}",
        "Nov 25 00:00:00 host app[812]: {}",
        "[12:00:00] [server] {}",
        "0|api      | {}",
        "web-1  | {}",
        "│ {}",
        "npm ERR! {}",
        "{}\r",
        "\ufeff{}",
        '{{"level":"error","msg":"{}"}}',
        "progress 10%\rprogress 90%\r{}",
    ],
)
def test_decorations(around: str) -> None:
    """What terminals, loggers and containers put around a line changes nothing of what it says."""
    found = _only(around.format(IN_USE))
    assert (found.kind, found.port, found.host) == (Kind.PORT_IN_USE, 3000, "::")


def test_the_same_trouble_is_told_once() -> None:
    """Both families, a retry and the fields of the error are one trouble; another port is another."""
    text = f"{IN_USE}\n  code: 'EADDRINUSE',\n  address: '::',\n  port: 3000\n{IN_USE}\nlisten tcp :3001: bind: address already in use"
    assert _seen(text) == [("port_in_use", 3000), ("port_in_use", 3001)]


@pytest.mark.parametrize("port", [70000, 99999, 65536])
def test_a_number_that_is_no_port(port: int) -> None:
    """A number beyond the last port is never told as one."""
    assert all(
        symptom.port is None for symptom in symptoms.read(f"listen tcp :{port}: bind: address already in use").found
    )


def test_numbers_of_a_stack_trace_are_no_ports() -> None:
    """Lines, columns, pids and clocks are passed over, and the port is unknown."""
    text = "(node:2825) Error: listen EADDRINUSE\n    at errnoException (net.js:769:11)\n    at listen (net.js:936:10)\n08:04:01 pid 659"
    assert _seen(text) == [("port_in_use", None)]


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("$ python3 -m http.server 8000 --bind x\nOSError: [Errno 98] Address already in use", 8000),
        ("$ python -m http.server --directory /srv 8001\nOSError: [Errno 98] Address already in use", 8001),
        ("$ python manage.py runserver 0.0.0.0:8002\nError: That port is already in use.", 8002),
        ("$ nc -l 8003\nnc: Address already in use", 8003),
        ("$ nc -lk -p 8004\nnc: Address already in use", 8004),
        ("$ flask run --port 5001\nOSError: [Errno 98] Address already in use", 5001),
        ("$ PORT=3100 npm start\nbind: Address already in use", 3100),
        ("$ nc -l localhost 7777\nbind: Address already in use", 7777),
        ("Starting server on port 9100\nbind: Address already in use", 9100),
        ("bind: Address already in use\nHINT: is another one running on port 9101?", 9101),
        ("Address already in use\n  port: 9102,", 9102),
    ],
)
def test_a_port_of_the_block(text: str, port: int | None) -> None:
    """A line without a port takes that of its block: of its fields, of the command, or of what was said before and after."""
    assert _seen(text) == [("port_in_use", port)]


def test_a_guess_is_marked() -> None:
    """The usual port of a tool is told as a guess where the text gives none, and only there."""
    guessed = _only(
        "pymysql.err.OperationalError: (2003, \"Can't connect to MySQL server on 'db' ([Errno 111] Connection refused)\")"
    )
    assert (guessed.port, guessed.guess) == (3306, True)
    told = _only("ERROR 2003 (HY000): Can't connect to MySQL server on 'db:3307' (111)")
    assert (told.port, told.guess) == (3307, False)


def test_both_families_refused_is_plain() -> None:
    """Only ::1 refused means the other family; both refused means that nobody listens."""
    assert _seen("connect ECONNREFUSED ::1:3000") == [("refused_ipv6_localhost", 3000)]
    assert _seen("connect ECONNREFUSED ::1:3000\nconnect ECONNREFUSED 127.0.0.1:3000") == [("connection_refused", 3000)]


def test_a_reason_near_a_soft_wording_decides() -> None:
    """ "Perhaps a server is already running" is printed for every failed bind: the errno beside it counts."""
    text = "Starting Minecraft server on 10.9.9.9:25565\n**** FAILED TO BIND TO PORT!\n{}\nPerhaps a server is already running on that port?"
    assert _seen(text.format("java.net.BindException: Address already in use")) == [("port_in_use", 25565)]
    refused = text.format("java.net.BindException: Cannot assign requested address: bind")
    assert _seen(refused) == [("address_not_available", 25565)]


def test_transport() -> None:
    """UDP is told where the text tells it."""
    assert _only("listen udp :53: bind: address already in use").transport is Transport.UDP
    assert _only("FATAL: unable to bind to requested udp port 43210").transport is Transport.UDP
    assert _only(IN_USE).transport is Transport.TCP


@given(st.text(max_size=400), st.integers(0, len(LOGS) - 1))
def test_any_text_is_read(noise: str, index: int) -> None:
    """No text breaks the reader; ports are ports; kinds have causes."""
    for symptom in symptoms.read(f"{noise}\n{LOGS[index][0]}\n{noise}").found:
        assert symptom.port is None or 0 < symptom.port <= 65535
        assert isinstance(advice(symptom), tuple)
        assert str(symptom.port or "") in cause(symptom)


@given(st.lists(st.integers(1, 200), max_size=60), st.integers(0, len(LOGS) - 1))
def test_pieces_do_not_matter(lengths: list[int], index: int) -> None:
    """A text says the same whole and in pieces of any size."""
    text, pieces = LOGS[index][0], []
    rest = text
    for length in lengths:
        pieces.append(rest[:length])
        rest = rest[length:]
    assert symptoms.read([*pieces, rest]) == symptoms.read(text)


def test_a_trouble_far_inside_a_long_log() -> None:
    """It is found with its line's number wherever it stands, also across the pieces in which a log is read."""
    quiet = "2026-01-01 10:00:00 INFO request handled in 12 ms\n"
    for before in (0, 1, 39, 40, 41, 100, 1311, 1312, 5000):
        found = _only(quiet * before + "bind: Address already in use\n" + "  port: 4321\n" + quiet * 3000)
        assert (found.line, found.port) == (before + 1, 4321)


HOSTILE = ("a", "1", ":", "a:", "port ", " ", "\x1b[", "[1;", "in use ", "connection refused ", "\n", "\r", '"\\n', "failed to bind to ",
           "http://", "127.0.0.1:", "address ", "listen tcp ", "((((", "upstream: ", "TCP ", "port 1 in use ", "::", "ECONNREFUSED ", "-p 1:",
           "bind 0.0.0.0:8080: ", "Several ports (", "1, ", "connect to x: ")  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_lines_take_time_in_proportion(piece: str) -> None:
    """Lines made to send an expression astray: eight times as much takes about eight times as long, not sixty-four."""

    def seconds(length: int) -> float:
        text = piece * (length // len(piece)) + f"\n{IN_USE}\n"
        begin = time.process_time()
        assert ("port_in_use", 3000) in _seen(text) or piece in ("port 1 in use ",)
        return time.process_time() - begin

    seconds(1000)
    small, large = seconds(50_000), seconds(400_000)
    assert large < 24 * small + 1, f"{large:.2f} s after {small:.2f} s"


def test_a_long_line_of_every_wording() -> None:
    """All examples in one line, shuffled and without a break, are read in time too."""
    random.seed(1)
    words = [pattern.example for pattern in PATTERNS] * 3
    random.shuffle(words)
    begin = time.process_time()
    assert symptoms.read(" ".join(words)).found
    assert time.process_time() - begin < 30


@pytest.mark.timeout(600)
def test_fifty_megabytes_are_read_as_a_stream(tmp_path: Path) -> None:
    """A log of 50 MB through stdin takes no more memory than a small one: its trouble at the very end is told."""
    line = "2026-01-01 10:00:00,123 INFO  [main] com.example.Service - request GET /api/v1/items/12345 took 12 ms\n"
    code = (
        "import sys; from portward.cli import main; main(sys.argv[1:]); "
        "print(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "explain", "--json", "-C", str(tmp_path)]
    environment = {**os.environ, "DOCKER_HOST": "unix:///nonexistent/docker.sock"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment) as child:
        assert child.stdin is not None
        block = (line * 1000).encode()
        for _ in range(50_000_000 // len(block)):
            child.stdin.write(block)
        output, errors = child.communicate(f"{IN_USE}\n".encode(), timeout=500)
    document: dict[str, Any] = json.loads(output)
    assert [found["port"] for found in document["diagnoses"]] == [3000]
    assert int(errors.split()[-1]) < 100_000  # KiB
