"""Real etcd members for tests, on ports of their own, with their data in a folder of the test's own."""

from __future__ import annotations

import signal
import subprocess
import time
import warnings
from typing import TYPE_CHECKING, Any

import urllib3

from portward.leases._etcd_gateway import Access, Gateway
from tests.conftest import need
from tests.ports import kept_port

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STARTS_WITHIN = 120.0


class Cluster:
    """Members of one cluster. `options` are given to each; with `scheme` https they serve TLS to clients by those.

    `places` are the address and the beginning of the command of each, where they do not all run beside us.
    """

    def __init__(
        self,
        folder: Path,
        size: int = 3,
        options: Sequence[str] = (),
        scheme: str = "http",
        places: Sequence[tuple[str, Sequence[str]]] = (),
    ) -> None:
        self._program = need("etcd")
        self._folder = folder
        self._places = places or [("127.0.0.1", ())] * size
        self._options = options
        self._scheme = scheme
        self._files: dict[str, str | None] = {}
        ports = [kept_port() for _ in range(2 * size)]
        self.ports, self._peers = ports[:size], ports[size:]
        self._members: list[subprocess.Popen[bytes] | None] = [None] * size
        for number in range(size):
            self.start(number)

    @property
    def endpoints(self) -> str:
        return ",".join(f"{self.address(number)}" for number in range(len(self.ports)))

    def address(self, number: int) -> str:
        """HOST:PORT at which a member answers."""
        return f"{self._places[number][0]}:{self.ports[number]}"

    def gateway(self, *numbers: int, access: Access | None = None) -> Gateway:
        """A client of some members, or of all."""
        chosen = [self.address(number) for number in numbers or range(len(self.ports))]
        return Gateway(chosen, access or Access(), self._scheme == "https")

    def start(self, number: int) -> None:
        peers = ",".join(f"m{each}=http://{self._places[each][0]}:{port}" for each, port in enumerate(self._peers))
        client, peer = (
            f"{self._scheme}://{self.address(number)}",
            f"http://{self._places[number][0]}:{self._peers[number]}",
        )
        with (self._folder / f"m{number}.log").open("ab") as log:
            self._members[number] = subprocess.Popen(
                [
                    *self._places[number][1], self._program, f"--name=m{number}", f"--data-dir={self._folder}/m{number}", "--pre-vote=true", "--logger=zap",
                    f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
                    f"--initial-advertise-peer-urls={peer}", f"--initial-cluster={peers}", *self._options,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip

    def wait(self, environment: Mapping[str, str] | None = None, *, verified: bool = True) -> None:
        """Until the cluster has a leader. `environment` names the files for TLS."""
        named = environment or {}
        self._files = {
            "ca_certs": named.get("PORTWARD_ETCD_CA") if verified else None,
            "cert_file": named.get("PORTWARD_ETCD_CERT"),
            "key_file": named.get("PORTWARD_ETCD_KEY"),
            **({} if verified else {"cert_reqs": "CERT_NONE"}),
        }
        deadline = time.monotonic() + STARTS_WITHIN
        while time.monotonic() < deadline:
            if self.leader() is not None:
                return
            time.sleep(0.05)
        raise AssertionError((self._folder / "m0.log").read_text()[-2000:])

    def leader(self) -> int | None:
        """Which member the others say is the leader."""
        for number in range(len(self.ports)):
            told = self.status(number)
            if told and told.get("leader", "0") != "0" and told["leader"] == told["header"]["member_id"]:
                return number
        return None

    def status(self, number: int) -> dict[str, Any] | None:
        try:
            url = f"{self._scheme}://{self.address(number)}/v3/maintenance/status"
            files: Any = self._files if self._scheme == "https" else {}
            with urllib3.PoolManager(**files) as pool, warnings.catch_warnings():
                warnings.simplefilter("ignore", urllib3.exceptions.InsecureRequestWarning)
                answer = pool.request("POST", url, json={}, retries=False, timeout=5)
            return answer.json() if answer.status == 200 else None
        except urllib3.exceptions.HTTPError:
            return None

    def is_running(self, number: int) -> bool:
        """Whether a member's process has not ended."""
        member = self._members[number]
        return member is not None and member.poll() is None

    def kill(self, number: int) -> None:
        """`kill -9`."""
        member = self._members[number]
        assert member is not None
        member.send_signal(signal.SIGKILL)
        member.wait()
        self._members[number] = None

    def stop(self) -> None:
        for number, member in enumerate(self._members):
            if member is not None:
                self.kill(number)
