"""Errors that real tools print, made to happen on this machine, and what `portward explain` makes of them.

Nothing here is written by hand: a port is taken, or is free, or is held by something that never answers; a real program is
started that must fail on it; what it prints is what is explained.
"""

from __future__ import annotations

import glob
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward import symptoms
from portward.model import Kind
from tests.conftest import need, need_root, port_of, unmet
from tests.engine import clean_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SECONDS = 250
pytestmark = pytest.mark.timeout(300)
USE, REFUSED, IPV6 = Kind.PORT_IN_USE, Kind.CONNECTION_REFUSED, Kind.REFUSED_IPV6_LOCALHOST
DENIED, ABSENT, SILENT = Kind.PERMISSION_PRIVILEGED, Kind.ADDRESS_NOT_AVAILABLE, Kind.RESET_OR_EMPTY_REPLY
ABSENT_ADDRESS = "192.0.2.7"  # TEST-NET-1 (RFC 5737)
NODE_SERVER = "require('http').createServer().listen"
WSGI = "def wsgi(environ, start_response):\n    start_response('200 OK', [])\n    return [b'']\nasync def asgi(scope, receive, send): ...\n"
FLASK = "from flask import Flask\napp = Flask(__name__)\n"
DJANGO = "import sys\nfrom django.conf import settings\nsettings.configure(DEBUG=True, ROOT_URLCONF=__name__, SECRET_KEY='x')\nurlpatterns = []\nif __name__ == '__main__':\n    from django.core.management import execute_from_command_line\n    execute_from_command_line(sys.argv)\n"  # fmt: skip
NGINX = "daemon off; pid nginx.pid; error_log stderr; events {} http { access_log off; server { listen %s; %s } }"


class Place:
    """A folder for a tool to run in, a port that somebody listens on, and one that nobody has."""

    def __init__(self, folder: Path, taken: int, free: int) -> None:
        self.folder = folder
        self.taken = taken
        self.free = free

    def run(self, *words: str, until: str | None = None, **environment: str) -> str:
        """What a command prints: to its end, or for one that goes on up to the line that has `until`."""
        command = [need(words[0]) if "/" not in words[0] else words[0], *words[1:]]
        child = subprocess.Popen(
            command,
            cwd=self.folder,
            env=clean_environment(
                HOME=str(self.folder), NO_COLOR="", PATH=f"{os.environ['PATH']}:/usr/sbin", **environment
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            if until is None:
                output, _ = child.communicate(timeout=SECONDS)
                return output
            assert child.stdout is not None
            output = ""
            for line in child.stdout:
                output += line
                if until in line:
                    break
            return output
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.communicate()

    def typed(self, *words: str) -> str:
        """The command as on a terminal, and what it prints."""
        return self.run("sh", "-xc", shlex.join(words))

    def python(self, code: str) -> str:
        """What Python code prints."""
        return self.run(sys.executable, "-c", code)

    def node(self, code: str) -> str:
        return self.run("node", "-e", code)

    def server(self, program: str, *words: str, typed: bool = False, **more: Any) -> str:
        """What a server of `.ci/servers.sh` prints; after its command, as on a terminal, if it is `typed`."""
        folder = os.environ.get("PORTWARD_TEST_SERVERS") or unmet(
            "PORTWARD_TEST_SERVERS is not set: see .ci/servers.sh"
        )
        path = Path(folder) / program
        if not path.exists():
            unmet(f"{path} is missing: .ci/servers.sh makes it")
        (self.folder / "web.py").write_text(WSGI)
        (self.folder / "flaskapp.py").write_text(FLASK)
        (self.folder / "manage.py").write_text(DJANGO)
        return self.typed(str(path), *words) if typed else self.run(str(path), *words, **more)

    def nginx(self, listen: str, rest: str = "", user: bool = False) -> str:
        """What nginx prints with such a configuration; as a user without privileges if asked."""
        (self.folder / "nginx.conf").write_text(NGINX % (listen, rest))
        return self.run(*(self.nobody() if user else []), need_in("nginx"), "-p", ".", "-c", "nginx.conf")

    def nobody(self) -> list[str]:
        """A prefix that runs a command as nobody, in a network namespace of its own where ports below 1024 need a privilege."""
        need_root()
        os.chmod(self.folder, 0o777)
        unshare = [need("unshare"), "--net", need("setpriv"), "--reuid=65534", "--regid=65534", "--clear-groups"]
        return [*unshare, "--bounding-set=-net_bind_service", "--inh-caps=-all"]


def need_in(program: str) -> str:
    """The path of a program that may be in /usr/sbin, which is not in every user's path."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or unmet(f"{program} is not installed")


@pytest.fixture
def place(tmp_path: Path, free_port: int) -> Iterator[Place]:
    """A folder that every user may enter, with a taken and a free port on 127.0.0.1."""
    with tempfile.TemporaryDirectory(prefix="portward-", ignore_cleanup_errors=True) as folder, ExitStack() as held:
        taken = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        yield Place(Path(folder), port_of(taken), free_port)


# what is printed, and by which means; the kind and which port it must be told to be
LIVE: dict[str, tuple[Callable[[Place], str], Kind, str | None]] = {
    "node: listen": (lambda on: on.node(f"{NODE_SERVER}({on.taken}, '127.0.0.1')"), USE, "taken"),
    "node: absent address": (lambda on: on.node(f"{NODE_SERVER}({on.free}, '{ABSENT_ADDRESS}')"), ABSENT, "free"),
    "node: privileged": (lambda on: on.run(*on.nobody(), need("node"), "-e", f"{NODE_SERVER}(80)"), DENIED, "80"),
    "node: connect": (lambda on: on.node(f"require('net').connect({on.free}, '127.0.0.1')"), REFUSED, "free"),
    "node: connect to ::1": (lambda on: on.node(f"require('net').connect({on.taken}, '::1')"), IPV6, "taken"),
    "node: fetch": (lambda on: on.node(f"fetch('http://127.0.0.1:{on.free}/')"), REFUSED, "free"),
    "node: fetch of a blocked port": (lambda on: on.node("fetch('http://127.0.0.1:6000/')"), Kind.UNSAFE_BROWSER_PORT, "none or 6000"),
    "node: udp": (
        lambda on: on.node(
            "const d = require('dgram'); const a = d.createSocket('udp4');"
            f"a.bind({on.free}, '127.0.0.1', () => d.createSocket('udp4').bind({on.free}, '127.0.0.1'))"
        ),
        USE,
        "free",
    ),
    "npm: registry": (
        lambda on: on.run("npm", "view", "x", f"--registry=http://127.0.0.1:{on.free}", "--fetch-retries=0"),
        REFUSED,
        "free",
    ),
    "python: asyncio": (
        lambda on: on.python(f"import asyncio; asyncio.run(asyncio.start_server(None, '127.0.0.1', {on.taken}))"),
        USE,
        "taken",
    ),
    "python: asyncio, absent address": (
        lambda on: on.python(f"import asyncio; asyncio.run(asyncio.start_server(None, '{ABSENT_ADDRESS}', {on.free}))"),
        ABSENT,
        "free",
    ),
    "python: asyncio, connect": (
        lambda on: on.python(f"import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', {on.free}))"),
        REFUSED,
        "free",
    ),
    "python: http.server": (
        lambda on: on.run(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(on.taken)),
        USE,
        None,
    ),
    "python: http.server, privileged": (
        lambda on: on.run(*on.nobody(), "/usr/bin/python3", "-m", "http.server", "80"),
        DENIED,
        None,
    ),
    "python: urllib": (
        lambda on: on.typed(sys.executable, "-c", f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{on.free}/')"),
        REFUSED,
        "free",
    ),
    "uvicorn": (lambda on: on.server("python/bin/uvicorn", "web:asgi", "--port", str(on.taken)), USE, "taken"),
    "gunicorn": (lambda on: on.server("python/bin/gunicorn", "web:wsgi", "-b", f"127.0.0.1:{on.taken}"), USE, "taken"),
    "hypercorn": (lambda on: on.server("python/bin/hypercorn", "web:asgi", "-b", f"127.0.0.1:{on.taken}"), USE, "taken or none"),
    "daphne": (lambda on: on.server("python/bin/daphne", "-p", str(on.taken), "web:asgi"), USE, "taken"),
    "waitress": (
        lambda on: on.server("python/bin/waitress-serve", f"--listen=127.0.0.1:{on.taken}", "web:wsgi"),
        USE,
        "taken or none",
    ),
    "flask": (lambda on: on.server("python/bin/flask", "--app", "flaskapp", "run", "--port", str(on.taken)), USE, "taken"),
    "django": (
        lambda on: on.server("python/bin/python", "manage.py", "runserver", "--noreload", f"127.0.0.1:{on.taken}", typed=True),
        USE,
        "taken",
    ),
    "jupyter": (
        lambda on: on.server(
            "python/bin/jupyter", "server", "--allow-root", "--no-browser", "--ip=127.0.0.1", f"--port={on.taken}", "--ServerApp.port_retries=0"
        ),
        USE,
        "taken",
    ),
    "streamlit": (
        lambda on: on.server(
            "python/bin/streamlit", "run", "flaskapp.py", "--server.headless=true", "--server.address=127.0.0.1", f"--server.port={on.taken}"
        ),
        USE,
        "taken",
    ),
    "vite": (
        lambda on: on.server("js/node_modules/.bin/vite", "--host", "127.0.0.1", "--port", str(on.taken), "--strictPort"),
        USE,
        "taken",
    ),
    "vite moves on": (
        lambda on: on.server("js/node_modules/.bin/vite", "--host", "127.0.0.1", "--port", str(on.taken), until="Local"),
        USE,
        "taken",
    ),
    "redis": (lambda on: on.run("redis-server", "--bind", "127.0.0.1", "--port", str(on.taken), "--save", ""), USE, "taken"),
    "redis: absent address": (
        lambda on: on.run("redis-server", "--bind", ABSENT_ADDRESS, "--port", str(on.free), "--save", ""),
        ABSENT,
        "free",
    ),
    "redis-cli": (lambda on: on.run("redis-cli", "-h", "127.0.0.1", "-p", str(on.free), "ping"), REFUSED, "free"),
    "nginx": (lambda on: on.nginx(f"127.0.0.1:{on.taken}"), USE, "taken"),
    "nginx: absent address": (lambda on: on.nginx(f"{ABSENT_ADDRESS}:{on.free}"), ABSENT, "free"),
    "nginx: privileged": (lambda on: on.nginx("80", user=True), DENIED, "80"),
    "curl": (lambda on: on.run("curl", "-sS", f"http://127.0.0.1:{on.free}/"), REFUSED, "free"),
    "curl -v": (lambda on: on.run("curl", "-v", f"http://localhost:{on.free}/"), REFUSED, "free"),
    "wget": (lambda on: on.run("wget", "-t1", "-O-", f"http://127.0.0.1:{on.free}/"), REFUSED, "free"),
    "git": (lambda on: on.run("git", "ls-remote", f"http://127.0.0.1:{on.free}/x.git"), REFUSED, "free"),
    "ssh": (lambda on: on.run("ssh", "-p", str(on.free), "-o", "BatchMode=yes", "127.0.0.1"), REFUSED, "free"),
    "docker over TCP": (lambda on: on.run("docker", "-H", f"tcp://127.0.0.1:{on.free}", "ps"), REFUSED, "free"),
    "nc": (lambda on: on.run("nc.openbsd", "-v", "-N", "127.0.0.1", str(on.free)), REFUSED, "free"),
    "nc -l": (lambda on: on.run("sh", "-xc", f"nc.openbsd -l 127.0.0.1 {on.taken}"), USE, "taken"),
    "socat": (lambda on: on.run("socat", f"TCP-LISTEN:{on.taken},bind=127.0.0.1", "STDOUT"), USE, "taken"),
    "socat: connect": (lambda on: on.run("socat", "-u", f"TCP:127.0.0.1:{on.free}", "STDOUT"), REFUSED, "free"),
    "php": (lambda on: on.run("php", "-S", f"127.0.0.1:{on.taken}"), USE, "taken"),
    "php: connect": (
        lambda on: on.run("php", "-r", f"stream_socket_client('tcp://127.0.0.1:{on.free}');"),
        REFUSED,
        "free",
    ),
    "ruby": (lambda on: on.run("ruby", "-rsocket", "-e", f"TCPServer.new('127.0.0.1', {on.taken})"), USE, "taken"),
    "ruby: connect": (lambda on: on.run("ruby", "-rsocket", "-e", f"TCPSocket.new('127.0.0.1', {on.free})"), REFUSED, "free"),
    "perl": (
        lambda on: on.typed("perl", "-MIO::Socket::INET", "-e", f"IO::Socket::INET->new(LocalAddr => '127.0.0.1:{on.taken}', Listen => 1) or die $@"),
        USE,
        "taken",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIVE)
def test_live(place: Place, name: str) -> None:
    """What the tool prints of its failure gives the kind, and the port where it prints one."""
    make, kind, which = LIVE[name]
    text = make(place)
    found = symptoms.read(text).found
    assert found, text
    assert found[0].kind is kind, text
    allowed = {
        "taken": (place.taken,),
        "free": (place.free,),
        "80": (80,),
        None: (None,),
        "none or 6000": (None, 6000),
        "taken or none": (place.taken, None),
    }
    assert found[0].port in allowed[which], (text, found)


def test_haproxy(place: Place) -> None:
    """HAProxy names the address in brackets behind the reason."""
    config = f"defaults\n mode http\n timeout client 1s\n timeout connect 1s\n timeout server 1s\nfrontend web\n bind 127.0.0.1:{place.taken}\n"
    (place.folder / "haproxy.cfg").write_text(config)
    text = place.run(need_in("haproxy"), "-f", "haproxy.cfg")
    assert _told(text) == (USE, place.taken), text


def test_apache(place: Place) -> None:
    """Apache httpd tells its errno first, and the address at the end."""
    modules = need_in("apache2") and "/usr/lib/apache2/modules"
    (place.folder / "httpd.conf").write_text(
        f"ServerRoot {place.folder}\nServerName localhost\nPidFile {place.folder}/pid\nErrorLog /dev/stderr\n"
        f"LoadModule mpm_event_module {modules}/mod_mpm_event.so\nLoadModule authz_core_module {modules}/mod_authz_core.so\n"
        f"Listen 127.0.0.1:{place.taken}\n"
    )
    text = place.run(need_in("apache2"), "-f", f"{place.folder}/httpd.conf", "-X")
    assert _told(text) == (USE, place.taken), text


def test_postgres(place: Place) -> None:
    """PostgreSQL tells the address in one line and the port in the hint of the next; psql is refused."""
    server = max(glob.glob("/usr/lib/postgresql/*/bin/postgres"), default="") or shutil.which("postgres") or ""
    folder = os.path.dirname(os.path.realpath(server)) if server else unmet("postgres is not installed")
    user: list[str] = []
    if os.geteuid() == 0:
        user = [need("setpriv"), "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        shutil.chown(place.folder, "postgres")
    data = f"{place.folder}/data"
    made = (
        place.run(*user, f"{folder}/initdb", "-D", data, "-A", "trust", "-N")
        if user
        else place.run(f"{folder}/initdb", "-D", data)
    )
    assert "Success" in made, made
    start = [
        *user,
        f"{folder}/postgres",
        "-D",
        data,
        "-k",
        str(place.folder),
        "-h",
        "127.0.0.1",
        "-p",
        str(place.taken),
    ]
    text = place.run(*start)
    assert _told(text) == (USE, place.taken), text
    client = shutil.which("psql") or f"{folder}/psql"
    text = place.run(client, "-h", "127.0.0.1", "-p", str(place.free), "-U", "x", "x")
    assert _told(text) == (REFUSED, place.free), text


def test_nginx_in_front_of_nobody(place: Place, spare_port: int) -> None:
    """A proxy whose upstream is not there names the upstream, not its own port, in its log."""
    (place.folder / "nginx.conf").write_text(
        NGINX % (f"127.0.0.1:{spare_port}", f"location / {{ proxy_pass http://127.0.0.1:{place.free}; }}")
    )
    script = f"{need_in('nginx')} -p . -c nginx.conf & until curl -s -o answer http://127.0.0.1:{spare_port}/; do :; done; echo asked; wait"
    text = place.run("sh", "-c", script, until="asked")
    assert _told(text) == (REFUSED, place.free), text


@pytest.mark.parametrize(("farewell", "status"), [("close", 52), ("reset", 56)])
def test_curl_and_a_server_that_says_nothing(place: Place, spawn: Any, farewell: str, status: int) -> None:
    """A server that takes the request and ends is an empty reply, or a reset."""
    child = spawn(
        """
import struct, threading
server = listen("127.0.0.1")
def serve():
    connection, _ = server.accept()
    connection.recv(65536)
    if sys.argv[1] == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
threading.Thread(target=serve, daemon=True).start()
ready(port=server.getsockname()[1])
""",
        farewell,
    )
    port = child.facts["port"]
    text = place.run("sh", "-xc", f"curl -sS http://127.0.0.1:{port}/")
    assert f"({status})" in text
    assert _told(text) == (SILENT, port), text


def test_curl_and_a_full_backlog(place: Place) -> None:
    """A server that accepts no more connections lets a client wait until its own limit."""
    with socket.socket() as server, ExitStack() as clients:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        text = place.run("sh", "-xc", f"curl -sS --connect-timeout 1 http://127.0.0.1:{port_of(server)}/")
        assert _told(text) == (Kind.TIMEOUT_FIREWALL, port_of(server)), text


def test_ssh_forwarding(place: Place, spare_port: int) -> None:
    """A forwarded port that is taken here: both of ssh's lines are one trouble. A service that is not there at the far end."""
    need_root()
    daemon = need_in("sshd")
    os.makedirs("/run/sshd", exist_ok=True)
    for name in ("host", "mine"):
        place.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place.folder}/{name}")
    shutil.copy(place.folder / "mine.pub", place.folder / "authorized")
    config = f"Port {spare_port}\nListenAddress 127.0.0.1\nHostKey {place.folder}/host\nPidFile none\nUsePAM no\nStrictModes no\nAuthorizedKeysFile {place.folder}/authorized\nPermitRootLogin yes\n"
    (place.folder / "sshd.conf").write_text(config)
    options = f"-i {place.folder}/mine -p {spare_port} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes root@127.0.0.1"
    start = f"{daemon} -D -f {place.folder}/sshd.conf & until nc.openbsd -z 127.0.0.1 {spare_port}; do :; done; "
    need("nc.openbsd")
    text = place.run(
        "sh",
        "-c",
        f"{start} ssh -N -o ExitOnForwardFailure=yes -L 127.0.0.1:{place.taken}:127.0.0.1:1 {options}; echo all done",
        until="all done",
    )
    assert _told(text) == (USE, place.taken), text
    assert len(symptoms.read(text).found) == 1, text
    text = place.run(
        "sh", "-c", f"{start} ssh -W 127.0.0.1:{place.free} {options} </dev/null; echo all done", until="all done"
    )
    assert _told(text)[0] is REFUSED, text


def test_tls_to_a_server_without_it_is_no_trouble_of_ports(place: Place, spawn: Any) -> None:
    """The port is fine: TLS was spoken to a server that does not know it. That is said, and no diagnosis is made."""
    child = spawn(
        """
import http.server, threading
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
threading.Thread(target=server.serve_forever, daemon=True).start()
ready(port=server.server_port)
"""
    )
    said = symptoms.read(place.run("curl", "-sS", f"https://127.0.0.1:{child.facts['port']}/"))
    assert (said.found, said.others) == ((), ("TLS spoken to a server without it, or the reverse",))


@pytest.mark.parametrize("words", [("redis-server", "--save", "", "--bind", "127.0.0.1", "--port"), ("node", "-e", "require('http').createServer().listen(process.argv[1], '127.0.0.1', () => console.log('Ready to accept connections'))")], ids=["redis", "node"])  # fmt: skip
def test_a_good_start_is_no_trouble(place: Place, words: Sequence[str]) -> None:
    """What a server prints that starts as it should says nothing of trouble."""
    text = place.run(*words, str(place.free), until="Ready to accept connections")
    assert "Ready" in text
    assert symptoms.read(text).found == ()


def test_the_live_errors_are_many() -> None:
    """There are at least twenty-five errors of real tools, of at least fifteen tools."""
    assert len(LIVE) >= 25
    assert len({re.split(r"[: ]", name)[0] for name in LIVE}) >= 15
    json.dumps(sorted(LIVE))


def _told(text: str) -> tuple[Kind, int | None]:
    found = symptoms.read(text).found
    assert found, text
    return found[0].kind, found[0].port
