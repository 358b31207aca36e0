"""Real servers, each on a free port that nothing is customary for: who they are by owner and protocol, and what their protocol alone tells.

Those of Debian, and the lighter ones of PyPI, run everywhere; the heavy ones of PyPI (`HEAVY`) only in `make soak`, where `.ci/servers.sh`
installs them.
"""

from __future__ import annotations

import glob
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portward import Portward, probes
from portward.catalog import fingerprints as prints
from tests.conftest import SOAK, need, unmet
from tests.endpoints import Talk, serving
from tests.engine import REAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 90.0
PATIENT = 45.0


class Stage:
    """A folder and ports for one server. `outside` may be entered by other users; `user` is one where we are root."""

    def __init__(self, outside: Path, port: int, spare: int) -> None:
        self.folder = outside
        self.port = port
        self.spare = spare
        self.user = "nobody" if os.geteuid() == 0 else None
        self.afterwards: list[str] = []

    def python(self, name: str, venv: str = "python") -> str:
        """A program of the servers' virtual environments."""
        folder = os.environ.get("PORTWARD_TEST_SERVERS") or unmet(
            "PORTWARD_TEST_SERVERS is not set: see .ci/servers.sh"
        )
        program = Path(folder) / venv / "bin" / name
        return str(program) if program.exists() else unmet(f"{program} is missing: .ci/servers.sh makes it")

    def write(self, name: str, text: str) -> str:
        """A file in the folder, and its path."""
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def own(self, name: str) -> str:
        """A subfolder that belongs to `user`."""
        path = self.folder / name
        path.mkdir()
        if self.user:
            shutil.chown(path, self.user)
        return str(path)

    def postgres(self) -> list[str]:
        """A database of its own."""
        bins = glob.glob("/usr/lib/postgresql/*/bin")
        folder = max(bins) if bins else unmet("postgres is not installed")
        data = self.own("data")
        subprocess.run(
            [f"{folder}/initdb", "-D", data, "-A", "trust", "-N"], check=True, capture_output=True, user=self.user
        )
        return [f"{folder}/postgres", "-D", data, "-k", data, "-h", "127.0.0.1", "-p", str(self.port)]

    def sshd(self) -> list[str]:
        """A host key of its own. Its privilege separation wants a folder of root's."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        subprocess.run([need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", f"{self.folder}/key"], check=True)
        return [need("sshd"), "-D", "-e", "-f", "/dev/null", "-p", str(self.port), "-h", f"{self.folder}/key"]

    def rabbitmq(self) -> list[str]:
        """A node of its own name, and an epmd of its own port, which ends when it is told to."""
        data = str(self.folder)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            epmd = str(probe.getsockname()[1])
        self.afterwards = ["epmd", "-port", epmd, "-kill"]
        settings = {
            "HOME": data,
            "ERL_EPMD_PORT": epmd,
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.spare),
            "RABBITMQ_MNESIA_BASE": data,
            "RABBITMQ_LOG_BASE": data,
            "RABBITMQ_PID_FILE": f"{data}/pid",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{data}/plugins",
        }
        program = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        if not os.path.exists(program):
            unmet("rabbitmq-server is not installed")
        return ["env", *(f"{name}={value}" for name, value in settings.items()), program]


NGINX = "daemon off; pid nginx.pid; error_log stderr; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:{}; return 200; }} }}"

DEBIAN: dict[str, tuple[str, Callable[[Stage], list[str]]]] = {
    "Redis": ("7", lambda on: [need("redis-server"), "--port", str(on.port), "--save", ""]),
    "PostgreSQL": ("", lambda on: on.postgres()),
    "MariaDB": (
        "1",
        lambda on: [need("mariadbd"), "--no-defaults", "--skip-grant-tables", f"--datadir={on.own('data')}", f"--port={on.port}",
                    "--bind-address=127.0.0.1", f"--socket={on.folder}/data/socket",
                    f"--tmpdir={on.folder}/data"],
    ),
    "nginx": ("1", lambda on: [need("nginx"), "-p", str(on.folder), "-c", on.write("nginx.conf", NGINX.format(on.port))]),
    "etcd": (
        "3",
        lambda on: [need("etcd"), f"--data-dir={on.folder}/etcd", f"--listen-client-urls=http://127.0.0.1:{on.port}",
                    f"--advertise-client-urls=http://127.0.0.1:{on.port}", f"--listen-peer-urls=http://127.0.0.1:{on.spare}"],
    ),
    "Memcached": ("1", lambda on: [need("memcached"), "-l", "127.0.0.1", "-p", str(on.port), *(["-u", on.user] if on.user else [])]),
    "NATS": ("2", lambda on: [need("nats-server"), "-a", "127.0.0.1", "-p", str(on.port)]),
    "NATS monitoring": ("2", lambda on: [need("nats-server"), "-a", "127.0.0.1", "-p", str(on.spare), "-m", str(on.port)]),
    "Mosquitto": ("", lambda on: [need("mosquitto"), "-p", str(on.port)]),
    "SSH": ("OpenSSH_", lambda on: on.sshd()),
    "Prometheus": (
        "2",
        lambda on: [need("prometheus"), f"--config.file={on.write('p.yml', 'global: {}')}", f"--storage.tsdb.path={on.folder}/data",
                    f"--web.listen-address=127.0.0.1:{on.port}"],
    ),
    "RabbitMQ": ("3", lambda on: on.rabbitmq()),
    "http.server": ("", lambda on: [need("python3"), "-m", "http.server", str(on.port)]),
    "Jupyter": ("", lambda on: [on.python("jupyter"), "server", "--allow-root", "--no-browser", f"--port={on.port}"]),
    "Streamlit": (
        "",
        lambda on: [on.python("streamlit"), "run", on.write("page.py", "import streamlit"), f"--server.port={on.port}",
                    "--server.headless=true", "--browser.gatherUsageStats=false"],
    ),
}  # fmt: skip
"""Service: how its version begins ("" for none that must be told), and the command that starts it."""

GRADIO = "import gradio\nwith gradio.Blocks() as page:\n    gradio.Textbox()\npage.launch(server_name='127.0.0.1', server_port={})\n"
HEAVY: dict[str, tuple[str, Callable[[Stage], list[str]]]] = {
    "Gradio": ("", lambda on: [on.python("python", "heavy"), on.write("page.py", GRADIO.format(on.port))]),
    "MLflow": ("", lambda on: [on.python("mlflow", "heavy"), "server", f"--port={on.port}", "--workers=1"]),
    "Chroma": ("", lambda on: [on.python("chroma", "heavy"), "run", f"--port={on.port}", f"--path={on.folder}/data"]),
    "llama.cpp server": (
        "",
        lambda on: [
            on.python("python", "llama"),
            str(Path(__file__).parent / "llama_server.py"),
            f"{on.folder}/model.gguf",
            str(on.port),
        ],
    ),
    "Open WebUI": ("", lambda on: [on.python("open-webui", "webui"), "serve", "--host=127.0.0.1", f"--port={on.port}"]),
}
QUIET = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "ANONYMIZED_TELEMETRY": "False",
    "HF_HUB_OFFLINE": "1",
    "OFFLINE_MODE": "true",
    "RAG_EMBEDDING_ENGINE": "openai",
}
"""They are to ask nobody outside, nor to load models from there."""

BY_OWNER_ALONE = ("Mosquitto", "Memcached")
"""What three harmless questions do not tell on a port of no custom."""


@pytest.fixture
def stage(free_port: int, spare_port: int) -> Iterator[Stage]:
    """Where one server runs."""
    with tempfile.TemporaryDirectory(prefix="portward-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o777)
        yield Stage(Path(folder), free_port, spare_port)


def _started(stage: Stage, command: list[str]) -> subprocess.Popen[bytes]:
    user = stage.user if any(name in command[0] for name in ("postgres", "mariadbd")) else None
    environment = {**os.environ, **QUIET, "HOME": str(stage.folder)}
    with open(stage.folder / "log", "wb") as log:
        return subprocess.Popen(
            command,
            cwd=stage.folder,
            env=environment,
            user=user,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _is_identified(stage: Stage, service: str, version: str, seconds: float) -> None:
    ward = Portward(None, environment={"DOCKER_HOST": "unix:///nonexistent/docker.sock"})
    waited = ward.wait(str(stage.port), seconds=seconds)
    assert waited.ready, (stage.folder / "log").read_text("utf-8", "replace")[-3000:]
    (found,) = ward.identify(str(stage.port), seconds=PATIENT)
    assert (found.service, found.by, found.answers) == (service, "protocol", True), found
    assert (found.version or "").startswith(version), found
    assert ward.wait(f"127.0.0.1:{stage.port}", service=service, seconds=PATIENT).ready
    known = service not in BY_OWNER_ALONE
    question = probes.Question(
        ("127.0.0.1", "::1"), stage.port, prints.fingerprints(), seconds=PATIENT if known else 1.5
    )
    (heard,) = probes.identify([question])
    assert heard.service == (service if known else None), heard


@pytest.mark.parametrize("service", DEBIAN)
def test_a_real_server_is_identified(service: str, stage: Stage) -> None:
    """By its owner and its protocol, with its version; by its protocol alone; and `wait` knows it too."""
    version, command = DEBIAN[service]
    _run(stage, service, version, command(stage), SECONDS)


if SOAK:

    @pytest.mark.timeout(600)
    @pytest.mark.parametrize("service", HEAVY)
    def test_a_heavy_server_is_identified(service: str, stage: Stage) -> None:
        """The same for those that take minutes to install and to start."""
        version, command = HEAVY[service]
        _run(stage, service, version, command(stage), 500)


def _run(stage: Stage, service: str, version: str, command: list[str], seconds: float) -> None:
    process = _started(stage, command)
    try:
        _is_identified(stage, service, version, seconds)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if stage.afterwards:
            while (
                b"not allowed"
                in subprocess.run(stage.afterwards, stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
            ):
                time.sleep(0.1)  # epmd refuses while it knows of a node, which has been ended (epmd(1))


def test_a_real_engine_is_identified() -> None:
    """A Docker Engine, whose socket is passed on to a TCP port as `dockerd -H tcp://` would answer there."""
    address = os.environ.get(REAL, "").removeprefix("unix://") or unmet("no Docker Engine")

    def relay(talk: Talk) -> None:
        with socket.socket(socket.AF_UNIX) as engine:
            engine.connect(address)
            engine.sendall(talk.until(b"\r\n\r\n"))
            engine.shutdown(socket.SHUT_WR)
            while data := engine.recv(1 << 16):
                talk.say(data)

    with serving(relay) as server:
        question = probes.Question(("127.0.0.1",), server.port, prints.fingerprints(), seconds=PATIENT)
        (heard,) = probes.identify([question])
    assert heard.service == "Docker"
    assert heard.version
