"""Docker, Podman, Compose and what carries them on Windows and macOS."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_NOT_AVAILABLE = r"ports are not available:[^\n]{0,80}?(?:exposing port )?(?:listen )?(?P<transport>TCP|UDP)[46]? {at}"
_HOST_PORT = r"failed to bind host port(?: for)? (?P<host>\[[\w.:]{2,45}\]|[\d.]{7,15}):{port}(?::\[?[\w.:]{1,45}\]?:\d{1,5})?/(?P<transport>tcp|udp)"

TABLE = (
    Pattern("Docker", Kind.CONTAINER_PORT_ALLOCATED, "port is already allocated", r"Bind for {at} failed: port is already allocated", "Error response from daemon: driver failed programming external connectivity on endpoint db-1 (0d28a52286a8): Bind for 0.0.0.0:5432 failed: port is already allocated", 5432, "0.0.0.0", source="docker 24"),
    Pattern("Docker", Kind.CONTAINER_PORT_ALLOCATED, "port is already allocated", r"port is already allocated", "docker: Error response from daemon: port is already allocated.", source="docker 19"),
    Pattern("Docker Desktop on Windows", Kind.OS_RESERVED_RANGE, "unexpected error permission denied", r"Bind for {at}: unexpected error Permission denied", "Error starting userland proxy: Bind for 0.0.0.0:50000: unexpected error Permission denied.", 50000, "0.0.0.0", source="docker/for-win#3188"),
    Pattern("Docker", Kind.RANGE_EXHAUSTED, "all ports are allocated", r"all ports are allocated", "docker: Error response from daemon: driver failed programming external connectivity on endpoint web: Error starting userland proxy: all ports are allocated.", source="moby"),
    Pattern("Docker on Windows", Kind.CONTAINER_PORT_ALLOCATED, "the specified port already exists", r"The specified port already exists", "docker: Error response from daemon: failed to create endpoint web on network nat: hnsCall failed in Win32: The specified port already exists. (0x803b0013).", source="Windows containers"),
    Pattern("Docker", Kind.CONTAINER_PORT_ALLOCATED, "as an ingress port", r"port '{port}' is already in use by service", "Error response from daemon: rpc error: code = InvalidArgument desc = port '8080' is already in use by service 'web' (kxpq8t0t) as an ingress port", 8080, source="docker swarm"),
    Pattern("Docker Desktop on Windows", Kind.OS_RESERVED_RANGE, "ports are not available", _NOT_AVAILABLE + r"[^\n]{0,200}(?:access permissions|10013)", "docker: Error response from daemon: Ports are not available: exposing port TCP 0.0.0.0:8080 -> 0.0.0.0:0: listen tcp 0.0.0.0:8080: bind: An attempt was made to access a socket in a way forbidden by its access permissions.", 8080, "0.0.0.0", source="docker/for-win#3171"),
    Pattern("Docker Desktop", Kind.PERMISSION_PRIVILEGED, "ports are not available", _NOT_AVAILABLE + r"[^\n]{0,200}bind: permission denied", "Error response from daemon: Ports are not available: exposing port TCP 127.0.0.1:80 -> 0.0.0.0:0: listen tcp 127.0.0.1:80: bind: permission denied", 80, "127.0.0.1", source="Docker Desktop 4 on macOS"),
    Pattern("Docker Desktop", Kind.ADDRESS_NOT_AVAILABLE, "ports are not available", _NOT_AVAILABLE + r"[^\n]{0,200}(?:assign requested address|address is not valid)", "Error response from daemon: Ports are not available: exposing port TCP 192.168.1.20:8080 -> 0.0.0.0:0: listen tcp 192.168.1.20:8080: bind: cannot assign requested address", 8080, "192.168.1.20", source="Docker Desktop 4 on macOS"),
    Pattern("Docker Desktop", Kind.PORT_IN_USE, "ports are not available", _NOT_AVAILABLE, "ERROR: for caddy  Cannot start service caddy: Ports are not available: listen tcp 0.0.0.0:3000: bind: address already in use", 3000, "0.0.0.0", source="dockprom#230"),
    Pattern("Docker", Kind.PERMISSION_PRIVILEGED, "failed to bind host port", _HOST_PORT + r": permission denied", "failed to bind host port 0.0.0.0:80/tcp: permission denied", 80, "0.0.0.0", source="docker 28, rootless"),
    Pattern("Docker", Kind.ADDRESS_NOT_AVAILABLE, "failed to bind host port", _HOST_PORT + r": cannot assign", "failed to set up container networking: driver failed programming external connectivity on endpoint web: failed to bind host port 10.0.0.9:8080/tcp: cannot assign requested address", 8080, "10.0.0.9", source="docker 28"),
    Pattern("Docker", Kind.PORT_IN_USE, "failed to bind host port", _HOST_PORT, "failed to bind host port for 0.0.0.0:8000:172.31.0.2:8000/tcp: address already in use", 8000, "0.0.0.0", source="docker 28"),
    Pattern("rootless containers", Kind.PERMISSION_PRIVILEGED, "cannot expose privileged port", r"cannot expose privileged port {port}", "Error: rootlessport cannot expose privileged port 80, you can add 'net.ipv4.ip_unprivileged_port_start=80' to /etc/sysctl.conf (currently 1024), or choose a larger port number (>= 1024): listen tcp 0.0.0.0:80: bind: permission denied", 80, source="podman 4"),
    Pattern("rootless containers", Kind.CONTAINER_PORT_ALLOCATED, "conflict with id", r"rootless[^\n]{0,60}conflict with ID", 'Error: failed to expose ports via rootlessport: "conflict with ID 1\\n"', source="podman#5646"),
    Pattern("Podman", Kind.PERMISSION_PRIVILEGED, "failed to bind port", r"Failed to bind port {port} \(Permission denied\)", "Error: pasta failed with exit code 1: Failed to bind port 80 (Permission denied) for option '-t 80-80:80-80', exiting", 80, source="podman 5"),
    Pattern("Podman", Kind.PORT_IN_USE, "failed to bind port", r"Failed to bind port {port} \(Address already in use\)", "Error: pasta failed with exit code 1: Failed to bind port 8000 (Address already in use) for option '-t 8000-8000:80-80', exiting", 8000, source="podman#24365"),
    Pattern("Docker client", Kind.CONNECTION_REFUSED, "cannot connect to the docker daemon at tcp", r"Cannot connect to the Docker daemon at {at}\. Is", "Cannot connect to the Docker daemon at tcp://localhost:2375. Is the docker daemon running?", 2375, "localhost", source="docker 24"),
)  # fmt: skip
