"""The container engine: the only client of its API.

Docker Engine, rootless Docker and Podman's compatible socket speak the same API (Docker Engine API v1.41, `/containers/json`
and `/containers/ID/json`). Requests are HTTP/1.0, so an answer ends with its connection: nothing of a full HTTP client is
needed, whose import would cost more than the rest of a look at one port.
"""

from __future__ import annotations

import _socket  # what `socket` is built on: all that is needed, for a tenth of the start-up
import os
import time

from portward.errors import Unavailable
from portward.model import ANY, Container, Endpoint, Publication, Skipped, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from typing import Any

DEADLINE_SECONDS = 0.8
"""For everything that is asked of all engines in one look."""

_LARGEST_ANSWER_BYTES = 64 << 20
_TRANSPORTS = ("tcp", "udp")  # Docker publishes SCTP too
_NO_ENGINE = "what answers there is not a container engine"
_HIDING = ("created", "exited", "dead", "restarting")  # states in which the list of containers leaves ports out


class EngineContainer(Record):
    """A container with what it publishes. `running` is False for one that only claims its ports until it is started."""

    container: Container
    running: bool
    host_network: bool
    publications: tuple[Publication, ...]


class Engine:
    """One engine, by the address of its API: `unix:///path` or `tcp://host:port`. `seconds` is what it is told to be given."""

    def __init__(self, address: str, seconds: float = DEADLINE_SECONDS) -> None:
        self.address = address
        self._seconds = seconds

    def containers(self, deadline: float) -> list[EngineContainer]:
        """All containers, stopped ones too. `deadline` is a time.monotonic() moment.

        Raises Unavailable, with the reason, if the engine cannot be reached, refuses or does not answer in time.
        """
        try:
            return [self._container(raw, deadline) for raw in self.get("/containers/json?all=1", deadline)]
        except (AttributeError, LookupError, TypeError, ValueError):  # JSON, but not of this shape
            raise Unavailable(_NO_ENGINE) from None

    def _container(self, raw: dict[str, Any], deadline: float) -> EngineContainer:
        labels = raw.get("Labels") or {}
        running = raw.get("State") not in _HIDING
        ports = raw.get("Ports") or []
        network = (raw.get("HostConfig") or {}).get("NetworkMode")
        if not running:
            publications = self._claims(raw["Id"], deadline)
        else:
            publications = tuple(
                _published(port) for port in ports if port.get("PublicPort") and port.get("Type", "tcp") in _TRANSPORTS
            )
        return EngineContainer(
            container=Container(
                id=raw["Id"][:12],
                name=(raw.get("Names") or [raw["Id"][:12]])[0].lstrip("/"),
                image=raw.get("Image", ""),
                project=labels.get("com.docker.compose.project"),
                service=labels.get("com.docker.compose.service"),
                status=raw.get("Status", ""),
                folder=labels.get("com.docker.compose.project.working_dir"),
            ),
            running=running,
            host_network=network == "host" or (network is None and not ports),
            publications=publications,
        )

    def _claims(self, identifier: str, deadline: float) -> tuple[Publication, ...]:
        """What a container that is not running will ask for when it is started."""
        try:
            raw = self.get(f"/containers/{identifier}/json", deadline)
        except Unavailable:
            if time.monotonic() < deadline:
                return ()  # removed since it was listed
            raise
        bindings = (raw.get("HostConfig") or {}).get("PortBindings") or {}
        return tuple(
            Publication(
                Endpoint(binding.get("HostIp") or ANY, int(binding["HostPort"]), Transport(protocol)), int(target)
            )
            for key, claimed in bindings.items()
            for target, _, protocol in [key.partition("/")]
            for binding in claimed or ()
            if (binding.get("HostPort") or "").isdecimal() and int(binding["HostPort"]) and protocol in _TRANSPORTS
        )

    def get(self, path: str, deadline: float) -> Any:
        """The JSON answer to a path. Raises Unavailable, with the reason."""
        try:
            status, body = self.ask("GET", path, deadline)
        except TimeoutError:
            raise Unavailable(f"no answer within {self._seconds:g} s") from None
        except OSError as error:
            raise Unavailable(reason(error)) from None
        if status != 200:
            raise Unavailable(f"the engine answers with HTTP status {status}")
        import json

        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise Unavailable(_NO_ENGINE) from None

    def ask(self, method: str, path: str, deadline: float) -> tuple[int, bytes]:
        """The status and the body of the answer to a request without a body. Raises OSError, TimeoutError after the deadline."""
        request = (
            f"{method} {path} HTTP/1.0\r\nHost: localhost\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n"
        )
        connection = _connect(self.address, deadline)
        try:
            connection.sendall(request.encode("ascii"))
            answer = bytearray()
            while chunk := connection.recv(1 << 16):
                answer += chunk
                if len(answer) > _LARGEST_ANSWER_BYTES:
                    raise OSError("the answer is too large")
                connection.settimeout(_left(deadline))
        finally:
            connection.close()
        head, _, body = bytes(answer).partition(b"\r\n\r\n")
        status = head.split(None, 2)[1:2]
        if not status or not status[0].isdigit():
            raise OSError("what answers there does not speak HTTP")
        return int(status[0]), body


def read(
    environment: Mapping[str, str], seconds: float = DEADLINE_SECONDS
) -> tuple[list[EngineContainer], list[Skipped]]:
    """The containers of every engine of this machine, and those engines that could not be asked, with the reason.

    A machine without an engine has neither. Takes at most so many seconds, however many engines there are.
    """
    deadline = time.monotonic() + seconds
    found: dict[str, EngineContainer] = {}
    skipped: list[Skipped] = []
    for address, answer in _ask_each(addresses(environment), deadline, seconds).items():
        if isinstance(answer, Unavailable):
            skipped.append(Skipped(f"container engine {address}", answer.message))
        else:
            for container in answer:
                found.setdefault(container.container.id, container)
    return list(found.values()), skipped


def _ask_each(asked: list[str], deadline: float, seconds: float) -> dict[str, list[EngineContainer] | Unavailable]:
    """The containers of each engine, or why it could not be asked. All at once: a silent one costs no other its time."""
    answers: dict[str, list[EngineContainer] | Unavailable] = dict.fromkeys(asked, Unavailable("not asked"))

    def ask(address: str) -> None:
        try:
            answers[address] = Engine(address, seconds).containers(deadline)
        except Unavailable as error:
            answers[address] = error

    if len(asked) == 1:
        ask(asked[0])
    elif asked:
        from threading import Thread

        threads = [Thread(target=ask, args=(address,), name=f"portward {address}") for address in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return answers


def addresses(environment: Mapping[str, str]) -> list[str]:
    """Where this user's engines are to be asked, as the Docker CLI decides it: DOCKER_HOST, else the current context.

    Without either, every usual socket that is there: Docker, rootless Docker, Docker Desktop, Podman.
    """
    if host := environment.get("DOCKER_HOST"):
        return [host]
    if host := _context_host(environment):
        return [host]
    home = environment.get("HOME", "")
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}" if hasattr(os, "getuid") else ""
    usual = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        f"{home}/.docker/run/docker.sock",
        f"{runtime}/podman/podman.sock",
        "/run/podman/podman.sock",
    )
    return [f"unix://{path}" for path in dict.fromkeys(usual) if os.path.exists(path)]


def _context_host(environment: Mapping[str, str]) -> str | None:
    """The endpoint of the Docker context in force, or None for the default one (docs.docker.com: "Docker contexts")."""
    folder = environment.get("DOCKER_CONFIG") or os.path.join(environment.get("HOME", ""), ".docker")
    name = environment.get("DOCKER_CONTEXT") or _field(f"{folder}/config.json", "currentContext")
    if not name or name == "default":
        return None
    from hashlib import sha256

    meta = f"{folder}/contexts/meta/{sha256(name.encode()).hexdigest()}/meta.json"
    return _field(meta, "Endpoints", "docker", "Host")


def _field(path: str, *keys: str) -> str | None:
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return None
    import json

    try:
        value = json.loads(text)
        for key in keys:
            value = value[key]
    except (ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _connect(address: str, deadline: float) -> _socket.socket:
    scheme, _, rest = address.partition("://")
    if scheme == "unix":
        return _connect_here(rest, deadline)
    if not rest:
        raise OSError("that is not the address of an engine: unix:///PATH or tcp://HOST:PORT")
    import socket

    host, _, port = rest.rstrip("/").rpartition(":")
    if scheme not in ("tcp", "http", "https") or not port.isdecimal():
        raise OSError(f"an engine by {scheme}:// is not asked: it is on another machine, whose ports are not ours")
    if not _is_ours(host.strip("[]")):
        raise OSError("it is on another machine, whose ports are not ours")
    connection = socket.create_connection((host.strip("[]"), int(port)), timeout=_left(deadline))
    if scheme == "https" or os.environ.get("DOCKER_TLS_VERIFY"):
        return _secure(connection, host.strip("[]"))
    return connection


def _is_ours(host: str) -> bool:
    """Whether a host is this machine: its usual name, or an address of it. No name is looked up, which may take long."""
    if host == "localhost":
        return True
    try:
        probe = _socket.socket(_socket.AF_INET6 if ":" in host else _socket.AF_INET, _socket.SOCK_STREAM)
    except OSError:
        return False
    try:
        numeric = _socket.inet_ntop(probe.family, _socket.inet_pton(probe.family, host))
        probe.bind((numeric, 0))
    except OSError:
        return False
    finally:
        probe.close()
    return True


def _connect_here(path: str, deadline: float) -> _socket.socket:
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        connection.settimeout(_left(deadline))
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _secure(connection: socket.socket, host: str) -> socket.socket:
    import ssl

    folder = os.environ.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    try:
        context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
        context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
        return context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def reason(error: OSError) -> str:
    """Why an engine could not be asked, in a few words."""
    if isinstance(error, PermissionError):
        return "not permitted to use its socket"
    if isinstance(error, ConnectionRefusedError):
        return "nothing answers at its socket"
    if isinstance(error, FileNotFoundError):
        return "its socket does not exist"
    return error.strerror or str(error)


def _published(port: dict[str, Any]) -> Publication:
    address = port.get("IP") or ANY  # Podman leaves the wildcard out
    v6only = True if address == "::" else None  # Docker binds each family by itself
    return Publication(
        Endpoint(address, int(port["PublicPort"]), Transport(port.get("Type", "tcp")), v6only),
        int(port["PrivatePort"]),
    )
