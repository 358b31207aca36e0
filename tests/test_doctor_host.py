"""`doctor` on this machine and between network namespaces: each trouble is made for real, and named as the cause."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import need, need_root, port_of
from tests.doctor import LISTEN, blames, doctor, is_well, joined, network
from tests.engine import Answer, clean_environment

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.conftest import Listen, Spawn

PORT = "8080"
"""In network namespaces of a test's own, every port is free."""

FILTER = "add table inet guard; add chain inet guard {hook} {{ type filter hook {hook} priority 0; policy accept; }}; "


@contextmanager
def answering(
    held: socket.socket, answer: bytes, *, first: bool = False, heard: list[bytes] | None = None
) -> Iterator[int]:
    """Gives each connection the same answer to the first thing it says, or before that; the port. `heard` gets what each says."""
    over = threading.Event()
    held.settimeout(0.2)

    def serve() -> None:
        while not over.is_set():
            try:
                connection, _ = held.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(20)
                try:
                    said = b"" if first else connection.recv(4096)
                    if heard is not None:
                        heard.append(said)
                    if first or said:
                        connection.sendall(answer)
                    if first:
                        connection.recv(4096)
                except OSError:
                    pass  # the client has gone

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield port_of(held)
    finally:
        over.set()
        thread.join()


# healthy targets: no cause


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("::", "127.0.0.1"),
        ("::", "[::1]"),
        ("0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
    ],
)
def test_healthy(address: str, target: str, listen: Listen) -> None:
    """A server that is asked where it listens: IPv4 alone, IPv6 alone, both, any address."""
    held = listen(address, v6only=False if address == "::" else None)
    is_well(doctor(f"{target}:{port_of(held)}"))


def test_healthy_http(listen: Listen) -> None:
    """A URL that is answered; the server's name is told."""
    with answering(listen(), b"HTTP/1.1 204 No Content\r\nServer: told/1\r\n\r\n") as port:
        answer = doctor(f"http://127.0.0.1:{port}/path")
    is_well(answer)
    assert any("204 (told/1)" in check["detail"] for check in answer.document["checks"])


def test_what_is_asked(listen: Listen) -> None:
    """One GET of the URL's path, with the host and the port as a browser names them, and none of its secrets."""
    held = listen("::1")
    heard: list[bytes] = []
    with answering(held, b"HTTP/1.1 200 OK\r\n\r\n", heard=heard) as port:
        is_well(doctor(f"http://me:hunter2@[::1]:{port}/path?x=1"))
    (request,) = filter(None, heard)
    assert request.startswith(f"GET /path?x=1 HTTP/1.1\r\nHost: [::1]:{port}\r\n".encode())
    assert b"hunter2" not in request


def test_healthy_from_a_namespace(spawn: Spawn) -> None:
    """A server in another network namespace, asked from its client's."""
    with joined() as (client, server):
        spawn(LISTEN, "10.77.0.2", PORT, prefix=server.enter)
        is_well(client.doctor(f"10.77.0.2:{PORT}"))
        is_well(doctor(f"10.77.0.2:{PORT}", "--from", client.name))
        is_well(doctor(f"10.77.0.2:{PORT}", "--from", server.name))


def test_healthy_behind_a_filter(spawn: Spawn) -> None:
    """Rules that let the packet pass are no trouble."""
    need("nft")
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        server("nft", FILTER.format(hook="input") + f"add rule inet guard input tcp dport != {PORT} drop")
        is_well(client.doctor(f"10.77.0.2:{PORT}"))


# nobody there, or elsewhere


def test_nothing_listens(free_port: int) -> None:
    """A port that nobody has."""
    blames(doctor(f"127.0.0.1:{free_port}"), f"nothing listens on {free_port}")


def test_ipv4_alone(listen: Listen) -> None:
    """A server of IPv4, asked over IPv6."""
    port = port_of(listen("127.0.0.1"))
    answer = doctor(f"[::1]:{port}")
    blames(answer, "listens on IPv4 only")
    assert f"127.0.0.1:{port}" in answer.document["fixes"][0]["title"]
    assert answer.document["reachable"] is False


def test_ipv6_alone(listen: Listen) -> None:
    """A server of IPv6, asked over IPv4."""
    blames(doctor(f"127.0.0.1:{port_of(listen('::', v6only=True))}"), "listens on IPv6 only")


def test_localhost_tries_the_other_family_first(spawn: Spawn) -> None:
    """`localhost` is ::1 first, and the server has IPv4 alone: reachable, and a cause all the same."""
    with network() as net, names_of(net.name, "::1 localhost\n127.0.0.1 localhost\n"):
        spawn(LISTEN, "127.0.0.1", PORT, prefix=net.enter)
        answer = doctor(f"localhost:{PORT}", "--from", net.name)
    blames(answer, r"listens on IPv4 only.*\[::1\]")
    assert answer.document["reachable"] is True


WERKZEUG = """
import threading
def serve():
    while True:
        connection, _ = held.accept()
        with connection:
            if connection.recv(4096):
                connection.sendall(b"HTTP/1.1 200 OK\\r\\nServer: Werkzeug\\r\\n\\r\\n")
held = listen("127.0.0.1", 5000)
threading.Thread(target=serve, daemon=True).start()
ready()
"""


def test_the_document_shows_what_is_printed(spawn: Spawn) -> None:
    """The session in docs/doctor.md, made for real."""
    text = (Path(__file__).parent.parent / "docs/doctor.md").read_text("utf-8")
    (shown,) = re.findall(r"```console\n\$ portward doctor http://localhost:5000\n(.*?)```", text, re.DOTALL)
    with network() as net, names_of(net.name, "::1 localhost\n127.0.0.1 localhost\n"):
        spawn(WERKZEUG, prefix=net.enter)
        words = [sys.executable, "-m", "portward", "doctor", "http://localhost:5000", "--from", net.name]
        done = subprocess.run(words, cwd="/", env=clean_environment(), capture_output=True, text=True, timeout=60)
    told = re.sub(r"python[\d.]* \d+", "python3 41287", done.stdout).replace(
        f"/etc/netns/{net.name}/hosts", "the resolver"
    )
    assert told.split() == shown.split()


@contextmanager
def names_of(name: str, hosts: str) -> Iterator[None]:
    """Gives a network namespace a hosts file of its own, as ip-netns(8) has it."""
    folder = f"/etc/netns/{name}"
    os.makedirs(folder)
    try:
        with open(f"{folder}/hosts", "w", encoding="ascii") as file:
            file.write(hosts)
        yield
    finally:
        os.unlink(f"{folder}/hosts")
        os.rmdir(folder)


def test_another_address(listen: Listen) -> None:
    """A server on one loopback address, asked at another."""
    port = port_of(listen("127.0.0.1"))
    blames(doctor(f"127.0.0.2:{port}"), rf"127\.0\.0\.1:{port} alone")


def test_loopback_asked_from_outside(spawn: Spawn) -> None:
    """A server on loopback, asked from another machine."""
    with joined() as (client, server):
        spawn(LISTEN, "127.0.0.1", PORT, prefix=server.enter)
        blames(client.doctor(f"10.77.0.2:{PORT}"), rf"loopback only \(127\.0\.0\.1:{PORT}\)")


def test_another_namespace(spawn: Spawn, free_port: int) -> None:
    """A server in another network namespace, asked in this one."""
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", free_port, prefix=server.enter)
        blames(client.doctor(f"127.0.0.1:{free_port}"), f"in the network namespace {server.name}")


def test_bound_without_listening(spawn: Spawn) -> None:
    """A socket that is bound, and does not listen yet."""
    code = f"held = socket.socket(); held.bind(('127.0.0.1', {PORT})); ready()"
    with network() as net:
        spawn(code, prefix=net.enter)
        blames(net.doctor(f"127.0.0.1:{PORT}"), "has bound port 8080, and does not listen")


def test_udp_alone(listen: Listen) -> None:
    """A server of UDP, asked over TCP."""
    port = port_of(listen("127.0.0.1", udp=True))
    blames(doctor(f"127.0.0.1:{port}"), f"has port {port} on UDP")


# somebody there, who does not serve


def test_stopped_process(spawn: Spawn, free_port: int) -> None:
    """A server that Ctrl-Z has stopped."""
    child = spawn(LISTEN, "127.0.0.1", free_port)
    os.kill(child.pid, 19)
    try:
        os.waitpid(child.pid, os.WUNTRACED)
        blames(doctor(f"127.0.0.1:{free_port}"), f"{child.pid} is stopped")
    finally:
        os.kill(child.pid, 18)


def test_stuck_server(listen: Listen) -> None:
    """A server that takes the connection and says nothing."""
    blames(doctor(f"http://127.0.0.1:{port_of(listen())}"), "says nothing within")


def test_queue_is_full(spawn: Spawn) -> None:
    """A server that accepts nothing, with a backlog of one, and as many clients as that takes."""
    code = f"""
held = socket.socket(); held.bind(('127.0.0.1', {PORT})); held.listen(1)
waiting = [socket.create_connection(('127.0.0.1', {PORT}), timeout=30) for _ in range(2)]
ready()
"""
    with network() as net:
        spawn(code, prefix=net.enter)
        blames(net.doctor(f"127.0.0.1:{PORT}"), "accepts no connections: its queue is full")


def test_tls_to_plain_text(listen: Listen) -> None:
    """https:// to a server of plain HTTP."""
    with answering(listen(), b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        answer = doctor(f"https://127.0.0.1:{port}")
    blames(answer, "does not speak TLS")
    assert answer.document["fixes"][0]["title"] == f"ask for http://127.0.0.1:{port}"
    assert answer.document["reachable"] is False


def test_plain_text_to_tls(listen: Listen, certificate: ssl.SSLContext) -> None:
    """http:// to a server of HTTPS; and the same server asked rightly is well."""
    with serving_tls(listen(), certificate) as port:
        blames(doctor(f"http://127.0.0.1:{port}"), "speaks TLS, and http:// speaks without")
        is_well(doctor(f"https://127.0.0.1:{port}"))


def test_another_service(listen: Listen) -> None:
    """redis:// to a server of something else that is known by its words; asked rightly, that one is well."""
    with answering(listen(), b"SSH-2.0-OpenSSH_9.2\r\n", first=True) as port:
        blames(doctor(f"redis://127.0.0.1:{port}"), rf"SSH.* answers on {port}, not the Redis that redis:// means")
        is_well(doctor(f"ssh://127.0.0.1:{port}"))


def test_another_protocol(listen: Listen) -> None:
    """http:// to a server that speaks something else."""
    with answering(listen(), b"-ERR unknown command 'GET'\r\n") as port:
        blames(doctor(f"http://127.0.0.1:{port}"), "does not speak HTTP: .*-ERR unknown command")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server's context with a certificate of its own."""
    folder = tmp_path_factory.mktemp("tls")
    words = f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout {folder}/key -out {folder}/cert"
    subprocess.run([need("openssl"), *words.split()], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/cert", f"{folder}/key")
    return context


@contextmanager
def serving_tls(held: socket.socket, context: ssl.SSLContext) -> Iterator[int]:
    """A server of HTTPS; the port."""
    over = threading.Event()
    held.settimeout(0.2)

    def serve() -> None:
        while not over.is_set():
            try:
                plain, _ = held.accept()
            except TimeoutError:
                continue
            plain.settimeout(20)
            try:
                with context.wrap_socket(plain, server_side=True) as secure:
                    secure.recv(4096)
                    secure.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            except OSError:
                pass  # what the client says is no TLS
            finally:
                plain.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield port_of(held)
    finally:
        over.set()
        thread.join()


# packet filters and routes


def test_another_protocol_in_another_namespace(spawn: Spawn) -> None:
    """With --from, what answers there is asked who it is from there as well."""
    greeting = (
        "import threading\n"
        "made = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "def greet():\n"
        "    while True:\n"
        "        with made.accept()[0] as client: client.sendall(b'SSH-2.0-OpenSSH_9.2\\r\\n')\n"
        "threading.Thread(target=greet, daemon=True).start()\n"
        "ready()"
    )
    with network() as net:
        spawn(greeting, PORT, prefix=net.enter)
        answer = doctor(f"redis://127.0.0.1:{PORT}", "--from", net.name)
        blames(answer, rf"SSH.* answers on {PORT}, not the Redis that redis:// means")
        is_well(doctor(f"ssh://127.0.0.1:{PORT}", "--from", net.name))


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        ("tcp dport 8080 drop", "drops"),
        ("tcp dport 8080 reject with tcp reset", "rejects"),
        ("tcp dport 8080 reject with icmpx type admin-prohibited", "rejects"),
        ("ip saddr 10.77.0.0/24 tcp dport { 22, 8000-8100 } drop", "drops"),
    ],
)
def test_nftables(rule: str, verdict: str, spawn: Spawn) -> None:
    """A rule of nftables before a server that listens: dropped, refused, prohibited."""
    need("nft")
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        server("nft", FILTER.format(hook="input") + f"add rule inet guard input {rule}")
        blames(client.doctor(f"10.77.0.2:{PORT}"), rf"firewall rule in {server.name} {verdict} it: .*8080|8000")


def test_nftables_policy(spawn: Spawn) -> None:
    """A chain that drops what no rule of it allows."""
    need("nft")
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        rules = FILTER.format(hook="input").replace("policy accept", "policy drop")
        server(
            "nft",
            rules
            + "add rule inet guard input ct state established,related accept; add rule inet guard input tcp dport 22 accept",
        )
        blames(client.doctor(f"10.77.0.2:{PORT}"), "drops it: policy drop .*guard")


def test_nftables_on_the_way_out(spawn: Spawn) -> None:
    """A rule on the client's own side."""
    need("nft")
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        client("nft", FILTER.format(hook="output") + "add rule inet guard output tcp dport 8080 drop")
        blames(client.doctor(f"10.77.0.2:{PORT}"), "firewall rule drops it: .*8080.*chain output")


def test_iptables(spawn: Spawn) -> None:
    """Rules of iptables, in a chain of their own, as ufw has them."""
    need("iptables")
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        server("iptables", "-N", "ufw-user-input")
        server("iptables", "-A", "INPUT", "-j", "ufw-user-input")
        server("iptables", "-A", "ufw-user-input", "-p", "tcp", "--dport", PORT, "-j", "DROP")
        answer = client.doctor(f"10.77.0.2:{PORT}")
    blames(answer, "drops it: -A ufw-user-input .*--dport 8080 -j DROP")
    assert answer.document["fixes"][0]["command"] == "ufw insert 1 allow proto tcp from 10.77.0.1 to any port 8080"


@pytest.mark.parametrize(
    ("rule", "cause"),
    [
        ("ufw deny 8080/tcp", "drops it: -A ufw-user-input .*--dport 8080 -j DROP"),
        ("ufw reject 8080/tcp", "rejects it: -A ufw-user-input .*--dport 8080 -j REJECT"),
        ("ufw allow 22/tcp", "drops it: policy drop .chain INPUT"),
    ],
)
def test_ufw(rule: str, cause: str, spawn: Spawn, tmp_path: Path) -> None:
    """The real ufw, with rules and settings of its own: a rule against the port, or none for it; and its remedy helps."""
    need("ufw")
    subprocess.run(["cp", "-a", "/etc/ufw", str(tmp_path)], check=True)
    with joined() as (client, server):

        def ufw(commands: str) -> None:
            server("unshare", "--mount", "sh", "-ec", f"mount --bind {tmp_path}/ufw /etc/ufw; {commands}")

        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        ufw(f"{rule}; ufw --force enable")
        answer = client.doctor(f"10.77.0.2:{PORT}")
        blames(answer, cause)
        ufw(answer.document["fixes"][0]["command"])
        is_well(client.doctor(f"10.77.0.2:{PORT}"))


def test_no_route() -> None:
    """An address to which no route leads."""
    with network() as net:
        blames(net.doctor(f"10.99.0.1:{PORT}"), "there is no route here to 10.99.0.1")


def test_no_machine() -> None:
    """An address of our own network that no machine has."""
    with joined() as (client, _):
        blames(client.doctor(f"10.77.0.3:{PORT}"), r"no machine answers at 10\.77\.0\.3|does not answer")


def test_no_port_left(spawn: Spawn) -> None:
    """All ports for outgoing connections are in use."""
    code = f"""
waiting = [socket.create_connection(('10.77.0.2', {PORT}), timeout=30) for _ in range(2)]
ready()
"""
    with joined() as (client, server):
        spawn(LISTEN, "0.0.0.0", PORT, prefix=server.enter)
        client("sh", "-c", "echo 40000 40001 >/proc/sys/net/ipv4/ip_local_port_range")
        spawn(code, prefix=client.enter)
        blames(client.doctor(f"10.77.0.2:{PORT}"), "no port is left for another connection .*40000-40001")


def test_no_ipv6() -> None:
    """::1 where IPv6 is off."""
    with network() as net:
        net("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6")
        blames(net.doctor(f"[::1]:{PORT}"), "there is no IPv6 here")


# names


def test_unknown_name() -> None:
    """A name that nobody has."""
    with network() as net, names_of(net.name, "127.0.0.1 localhost\n"):
        blames(doctor("no-such-host.invalid:80", "--from", net.name), "the name no-such-host.invalid does not exist")


# what the project says


def test_declared_and_not_started(free_port: int, tmp_path: Path) -> None:
    """A port that the project's own files give to a service which is not running."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "package.json").write_text(f'{{"name": "web", "scripts": {{"dev": "vite --port {free_port}"}}}}')
    answer = doctor(f"127.0.0.1:{free_port}", folder=tmp_path)
    blames(answer, f"is not running: nothing has port {free_port}")


def test_stranger(listen: Listen, tmp_path: Path) -> None:
    """A process from elsewhere answers on the port that the project's service is to have."""
    held = listen("127.0.0.1")
    (tmp_path / ".git").mkdir()
    (tmp_path / "compose.yaml").write_text(
        f"services:\n  api:\n    image: stand-in\n    ports: ['127.0.0.1:{port_of(held)}:80']\n"
    )
    blames(doctor(f"127.0.0.1:{port_of(held)}", folder=tmp_path), "it is not api that answers")


AS_NOBODY = """
import contextlib, io, os, sys
from portward.cli import main
os.chdir(sys.argv[1])
words = ["doctor", *sys.argv[2:], "--json"]
with contextlib.redirect_stdout(io.StringIO()):
    main(words)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(main(words))
"""


def test_privileged_port() -> None:
    """A service on port 81, asked by a user who may not bind it, and nothing is there."""
    need_root()
    with network() as net, tempfile.TemporaryDirectory(prefix="pw-") as folder:  # pytest's are closed to other users
        os.chmod(folder, 0o755)
        (Path(folder) / ".git").mkdir()
        (Path(folder) / "package.json").write_text('{"name": "web", "scripts": {"dev": "vite --port 81"}}')
        answer = as_nobody("127.0.0.1:81", folder=folder, prefix=net.enter)
    blames(answer, "you may not bind 81")


def test_place_that_may_not_be_entered(spawn: Spawn) -> None:
    """Without root no other network namespace can be entered: the question is not answered, and it is said why."""
    need_root()
    with network() as net:
        spawn(LISTEN, "127.0.0.1", PORT, prefix=net.enter)
        answer = as_nobody(f"127.0.0.1:{PORT}", "--from", net.name)
    assert answer.status == 3
    assert f"{net.name} cannot be entered" in answer.document["error"]["message"]


def as_nobody(*words: str, folder: str = "/", prefix: tuple[str, ...] = ()) -> Answer:
    """Asks `portward doctor` as a user without any right."""
    done = subprocess.run(
        [*prefix, sys.executable, "-c", AS_NOBODY, folder, *words],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return Answer(done.returncode, json.loads(done.stdout), done.stdout + done.stderr)


# what it refuses


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["70000"], 2, "70000 is not a port"),
        (["8000-8010"], 2, "one TCP port is wanted"),
        (["53/udp"], 2, "one TCP port is wanted"),
        (["127.0.0.1:80", "--from", "no-such-place"], 2, "neither a container nor a network namespace"),
        (["no-such-service"], 2, "neither a service"),
        (["foo://host"], 2, "no usual one"),
    ],
)
def test_refusals(words: list[str], status: int, said: str) -> None:
    """What is no target, and what is no place to ask from, is bad usage."""
    answer = doctor(*words)
    assert answer.status == status
    assert said in answer.document["error"]["message"]


def test_password_is_not_shown(free_port: int) -> None:
    """The password of a connection URL is in no part of the answer."""
    answer = doctor(f"postgresql://me:hunter2@127.0.0.1:{free_port}/app?password=hunter3")
    assert answer.document["target"] == f"postgresql://127.0.0.1:{free_port}/app"
    assert "hunter" not in answer.text
