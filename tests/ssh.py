"""A real sshd for tests, on a loopback port of its own, with keys of its own."""

from __future__ import annotations

import getpass
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import need
from tests.ports import kept_port

ROOT = Path(__file__).parent.parent
STARTS_WITHIN = 60.0


class Sshd:
    """A server that lets this user in by a key. `alias`es of it are hosts for ssh, by a configuration of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # privilege separation wants a folder of root's
        for name in ("host", "user", "stranger"):
            command = [need("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", f"{folder}/{name}"]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        (folder / "authorized").write_text((folder / "user.pub").read_text())
        self._process = self._started()
        key = (folder / "host.pub").read_text().split()
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {key[0]} {key[1]}\n")
        self._config: list[str] = []
        self.alias("one")
        self.alias("two")
        self.alias("unknown", UserKnownHostsFile="/dev/null", StrictHostKeyChecking="yes")
        self.alias("denied", IdentityFile=f"{folder}/stranger")
        self.alias("closed", Port="1")
        self.alias("nowhere", HostName="no-such-host.invalid")

    def _started(self) -> subprocess.Popen[bytes]:
        """The server, on a port that nobody took before it."""
        for _try in range(20):
            self.port = kept_port()
            (self.folder / "sshd.conf").write_text(
                f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\n"
                f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nUsePAM no\nPidFile none\n"
                "PasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\n"
                f"SetEnv HOME={self.folder}\n"  # no start-up files of the user's shell
            )
            with (self.folder / "log").open("wb") as log:
                command = [need("sshd"), "-D", "-e", "-f", f"{self.folder}/sshd.conf"]
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
            if self._listens(process):
                return process
            process.kill()
            process.wait()
        raise AssertionError((self.folder / "log").read_text())

    def alias(self, name: str, **settings: str) -> None:
        """Another name for the server, or for what is none."""
        given = {
            "HostName": "127.0.0.1",
            "Port": str(self.port),
            "User": getpass.getuser(),
            "IdentityFile": f"{self.folder}/user",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": f"{self.folder}/known",
            **settings,
        }
        self._config += [f"Host {name}", *(f"  {key} {value}" for key, value in given.items())]
        (self.folder / "ssh.conf").write_text("\n".join(self._config) + "\n")

    def environment(self, remote: str | None = None) -> dict[str, str]:
        """The variables by which Portward asks these hosts; `remote` is what is run there, by default this tree's own."""
        source = f"env PYTHONPATH={ROOT}/src DOCKER_HOST=unix:///nonexistent XDG_STATE_HOME={self.folder}/state"
        return {
            "PORTWARD_SSH": f"{need('ssh')} -F {self.folder}/ssh.conf -o ConnectTimeout=100",  # a loaded machine is slow
            "PORTWARD_REMOTE": remote or f"{source} {sys.executable} -m portward",
        }

    def script(self, text: str) -> str:
        """What `PORTWARD_REMOTE` is for a shell script in the place of portward."""
        return shlex.join(["sh", "-c", text])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def _listens(self, process: subprocess.Popen[bytes]) -> bool:
        """Waits until the server says so, or ends."""
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline and process.poll() is None:
            if f"Server listening on 127.0.0.1 port {self.port}." in (self.folder / "log").read_text():
                return True
            time.sleep(0.02)
        return False
