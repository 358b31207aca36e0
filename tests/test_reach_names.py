"""Names as a container or a network namespace has them: its own hosts file, then its own name servers."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from struct import pack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.reach import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def name_server(address: str, answers: dict[str, list[str]], *, code: int = 3, garbage: bytes = b"") -> Iterator[None]:
    """A name server at an address of its own on loopback: IPv4 addresses for names, an error code for all others."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((address, names.PORT))
        held.settimeout(0.2)
        over = threading.Event()

        def serve() -> None:
            while not over.is_set():
                try:
                    question, client = held.recvfrom(512)
                except TimeoutError:
                    continue
                held.sendto(garbage or answered(question, answers, code), client)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def answered(question: bytes, answers: dict[str, list[str]], code: int) -> bytes:
    """An answer by RFC 1035, with a compressed name in each record."""
    labels, rest = [], question[12:]
    while rest[0]:
        labels.append(rest[1 : rest[0] + 1].decode())
        rest = rest[rest[0] + 1 :]
    kind = int.from_bytes(rest[1:3], "big")
    name = ".".join(labels)
    found = answers.get(name, []) if kind == 1 else []
    records = b"".join(b"\xc0\x0c" + pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(each) for each in found)
    head = question[:2] + pack("!BB4H", 0x81, 0x80 | (0 if name in answers else code), 1, len(found), 0, 0)
    return head + question[12:] + records


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch, free_port: int) -> str:
    """Where a test's own name server is; on a port that is free, since 53 may be the machine's own."""
    monkeypatch.setattr(names, "PORT", free_port)
    return "127.0.0.1"


def files(folder: Path, hosts: str = "", servers: str = "") -> str:
    """A folder with a hosts file and a resolv.conf."""
    (folder / "hosts").write_text(hosts, "utf-8")
    (folder / "resolv.conf").write_text(servers, "utf-8")
    return str(folder)


def test_hosts_come_first(tmp_path: Path) -> None:
    """The hosts file decides, with comments, several names, and both families, IPv6 first where it can be reached."""
    folder = files(tmp_path, "# a comment\n127.0.0.1 web Alias # another\nnot-an-address web\n\n::1 web\n")
    assert names.by_files("web", folder).addresses == ("::1", "127.0.0.1")
    assert names.by_files("alias", folder).addresses == ("127.0.0.1",)


def test_localhost_needs_no_file(tmp_path: Path) -> None:
    """`localhost` is there even without any file (RFC 6761)."""
    assert names.by_files("localhost", str(tmp_path / "nowhere")).addresses == ("127.0.0.1",)


def test_no_server(tmp_path: Path) -> None:
    """Without a name server, a name that is in no file has no address, and it is said why."""
    found = names.by_files("web", files(tmp_path))
    assert (found.addresses, found.error) == ((), "it is not there, and no name server is set")


def test_name_server(tmp_path: Path, address: str) -> None:
    """A name server is asked, with search domains for a short name; a name that it does not know is no such name."""
    with name_server(address, {"web.own": ["127.0.0.5", "127.0.0.6"], "db": ["127.0.0.7"]}):
        folder = files(tmp_path, servers=f"search own other\nnameserver {address}\noptions ndots:0\n")
        assert names.by_files("web", folder).addresses == ("127.0.0.5", "127.0.0.6")
        assert names.by_files("db", folder).addresses == ("127.0.0.7",)
        assert names.by_files("nobody", folder).error == "no such name"


def test_refusing_server(tmp_path: Path, address: str) -> None:
    """A name server that fails says so; one that talks nonsense is told so."""
    folder = files(tmp_path, servers=f"nameserver {address}\n")
    with name_server(address, {}, code=5):
        assert "refuses (code 5)" in (names.by_files("web", folder).error or "")
    with name_server(address, {}, garbage=b"nonsense"):
        assert "nonsense" in (names.by_files("web", folder).error or "")


@given(st.binary(max_size=80), st.integers(0, 3))
def test_any_answer_is_read_or_refused(answer: bytes, count: int) -> None:
    """Bytes that no name server would send give addresses or ValueError."""
    try:
        found = list(names.addresses_in(answer, 12, count, 1))
    except ValueError:
        return
    assert len(found) <= count
