"""Names as the machine, a container or another network namespace resolves them.

Our own are the system resolver's. For a container its own `hosts` and `resolv.conf` are read, and the name servers there are asked
from inside (RFC 1035), since the system's resolver would read ours.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
from ipaddress import ip_address
from struct import pack, unpack_from

from portward.evidence import Lookup
from portward.reach.knock import source_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_SECONDS = 6.0
PORT = 53
_ASK_SECONDS = 2.0
_A, _AAAA = 1, 28
_NXDOMAIN = 3
_SERVERS = 3  # MAXNS of resolv.h
_NO_SUCH_NAME = "no such name"


def is_numeric(host: str) -> bool:
    """Whether a host is an address, not a name."""
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def by_system(host: str) -> Lookup:
    """As this process's own resolver has it, in its order (RFC 6724), within `PATIENCE_SECONDS`."""
    answer: list[Lookup] = []

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            answer.append(Lookup(error=error.strerror or str(error)))
        except UnicodeError:
            answer.append(Lookup(error="it is not a name of a host"))
        else:
            answer.append(Lookup(tuple(dict.fromkeys(_with_interface(address) for *_, address in found))))

    thread = threading.Thread(target=ask, name="portward resolver", daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return answer[0] if answer else Lookup(error=f"the resolver says nothing within {PATIENCE_SECONDS:.0f} s")


def _with_interface(address: tuple[object, ...]) -> str:
    interface = int(str(address[3])) if len(address) == 4 else 0
    return f"{address[0]}%{socket.if_indextoname(interface)}" if interface else str(address[0])


def by_files(host: str, folder: str) -> Lookup:
    """As a program with these `hosts` and `resolv.conf` in `folder` has it, from the network namespace that this thread is in."""
    found = _in_hosts(host, f"{folder}/hosts")
    if found:
        return Lookup(_ordered(found), f"{folder}/hosts" if not folder.startswith("/proc") else "its /etc/hosts")
    if host == "localhost" or host.endswith(".localhost"):
        return Lookup(_ordered(["127.0.0.1"]), "by custom (RFC 6761)")
    servers, search = _settings(f"{folder}/resolv.conf")
    if not servers:
        return Lookup(source="its hosts file", error="it is not there, and no name server is set")
    error = _NO_SUCH_NAME
    names = [host] if "." in host else [*(f"{host}.{domain}" for domain in search), host]
    for server in servers[:_SERVERS]:
        for name in names:
            found, error = _asked(name.rstrip("."), server)
            if found:
                return Lookup(_ordered(found), f"the name server {server}")
            if error != _NO_SUCH_NAME:
                break  # this server says nothing, or nonsense: the next one may
        else:
            break
    return Lookup(source=f"the name server {server}", error=error)


def _in_hosts(host: str, path: str) -> list[str]:
    """The addresses of a name in a hosts file (hosts(5))."""
    return [
        words[0]
        for words in _lines(path)
        if host.lower() in (word.lower() for word in words[1:]) and is_numeric(words[0])
    ]


def _settings(path: str) -> tuple[list[str], list[str]]:
    """Name servers and search domains (resolv.conf(5))."""
    servers, search = [], []
    for words in _lines(path):
        if words[0] == "nameserver" and len(words) > 1 and is_numeric(words[1]):
            servers.append(words[1])
        elif words[0] in ("search", "domain"):
            search = words[1:]
    return servers, search


def _lines(path: str) -> Iterator[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(1 << 20).splitlines()
    except OSError:
        return
    for line in lines:
        words = line.partition("#")[0].partition(";")[0].split()
        if words:
            yield words


def _ordered(addresses: list[str]) -> tuple[str, ...]:
    """IPv6 first where there is a way to it, as RFC 6724 has it; what has no way comes last."""

    def rank(address: str) -> tuple[bool, bool]:
        return source_of(address, 9) is None, ":" not in address

    return tuple(sorted(dict.fromkeys(addresses), key=rank))


def _asked(name: str, server: str) -> tuple[list[str], str]:
    """The addresses that a name server gives for a name; and why none."""
    found: list[str] = []
    error = _NO_SUCH_NAME
    for kind in (_A, _AAAA):
        try:
            found += _query(name, server, kind)
        except LookupError:
            continue
        except TimeoutError:
            return found, f"no answer within {_ASK_SECONDS:.0f} s"
        except (OSError, ValueError) as failure:
            error = getattr(failure, "strerror", None) or str(failure)
    return found, error


def _query(name: str, server: str, kind: int) -> list[str]:
    """Raises LookupError for a name that does not exist, OSError if the server is out of reach, ValueError for nonsense."""
    number = secrets.randbits(16)
    labels = b"".join(bytes([len(part)]) + part for part in (each.encode("idna") for each in name.split("."))) + b"\0"
    question = pack("!6H", number, 0x0100, 1, 0, 0, 0) + labels + pack("!HH", kind, 1)
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as made:
        made.settimeout(_ASK_SECONDS)
        made.connect((server, PORT))
        made.send(question)
        answer = made.recv(4096)
    if len(answer) < 12 or unpack_from("!H", answer)[0] != number:
        raise ValueError("the name server answers nonsense")
    code, count = answer[3] & 15, unpack_from("!H", answer, 6)[0]
    if code == _NXDOMAIN:
        raise LookupError(name)
    if code:
        raise OSError(code, f"the name server refuses (code {code})")
    return list(addresses_in(answer, len(question), count, kind))


def addresses_in(answer: bytes, offset: int, count: int, kind: int) -> Iterator[str]:
    """The addresses of one kind (1: A, 28: AAAA) in `count` records of a name server's answer. Raises ValueError if it is cut off."""
    for _ in range(count):
        while offset < len(answer) and answer[offset] and answer[offset] < 0xC0:
            offset += answer[offset] + 1
        offset += 2 if answer[offset : offset + 1] >= b"\xc0" else 1
        if offset + 10 > len(answer):
            raise ValueError("the answer is cut off")
        found, _class, _ttl, size = unpack_from("!HHIH", answer, offset)
        data = answer[offset + 10 : offset + 10 + size]
        offset += 10 + size
        if found == kind and len(data) == (4 if kind == _A else 16):
            yield socket.inet_ntop(socket.AF_INET if kind == _A else socket.AF_INET6, data)


def folder_of(pid: int) -> str:
    """Where a process's own `hosts` and `resolv.conf` are, whatever mount namespace it is in (proc(5))."""
    return f"/proc/{pid}/root/etc"


def folder_of_named(name: str) -> str:
    """Where `ip netns exec NAME` takes `hosts` and `resolv.conf` from (ip-netns(8)): its own folder, else the machine's."""
    own = f"/etc/netns/{name}"
    return own if os.path.exists(f"{own}/resolv.conf") or os.path.exists(f"{own}/hosts") else "/etc"
