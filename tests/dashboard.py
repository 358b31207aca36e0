"""The dashboard of a project as a process of its own, and a client that asks it as the page does."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Answered = tuple[int, dict[str, str], bytes]


class Dashboard:
    """A running `portward serve`. `url` is what it printed."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url
        parts = urlsplit(url)
        self.host = parts.netloc
        self.port = parts.port or 0
        self.token = parse_qs(parts.query)["token"][0]

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Answered:
        """One request, with just these headers and the Host."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Host": self.host, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def ask(self, verb: str, **values: Any) -> dict[str, Any]:
        """What a verb that changes nothing answers."""
        return self._document(self.request("GET", f"/api/{verb}?{urlencode(values, doseq=True)}", self.known))

    def change(self, verb: str, **values: Any) -> dict[str, Any]:
        """What a verb that changes something answers."""
        body = json.dumps(values).encode()
        return self._document(self.request("POST", f"/api/{verb}", self.known, body))

    def news(self) -> Iterator[dict[str, Any]]:
        """The documents of the stream, as they come."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET", "/api/events", headers={"Host": self.host, **self.known})
            answer = connection.getresponse()
            while line := answer.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])
        finally:
            connection.close()

    @property
    def known(self) -> dict[str, str]:
        """The headers that the page sends."""
        return {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}

    @staticmethod
    def _document(answered: Answered) -> dict[str, Any]:
        document = json.loads(answered[2])
        assert isinstance(document, dict)
        return document


@contextmanager
def dashboard(folder: Path, *options: str, prefix: Sequence[str] = (), **environment: str) -> Iterator[Dashboard]:
    """`portward serve` in a folder; its leases and changes are kept beside that."""
    state = {"XDG_STATE_HOME": str(folder.parent / "state"), "DOCKER_HOST": "", **environment}
    process = subprocess.Popen(
        [*prefix, sys.executable, "-m", "portward", "serve", "--no-open", *options],
        cwd=folder,
        env={**os.environ, **state},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        yield Dashboard(process, line.strip())
    finally:
        process.kill()
        process.communicate()
