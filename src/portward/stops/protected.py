"""Who is never stopped, whoever asks: what the machine, its containers or the way to it depend on, and those who ask."""

from __future__ import annotations

import re

from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Container, Process
    from portward.stops.facts import Asker, Owner

_ENGINES = {
    "docker": "docker-proxy dockerd dockerd-rootless rootlesskit containerd containerd-shim containerd-shim-runc-v2 "
    "com.docker.backend com.docker.vpnkit vpnkit OrbStack",
    "podman": "podman conmon rootlessport containers-rootlessport slirp4netns pasta pasta.avx2 gvproxy",
    "nerdctl": "buildkitd",
    "crictl": "crio",
    "kubectl": "kubelet kube-proxy kube-apiserver k3s k3s-server k3s-agent",
    "lxc": "lxd incusd",
    "limactl": "limactl",
}
_FORWARDS = {name: engine for engine, names in _ENGINES.items() for name in names.split()}
_LISTED_BY = {"docker": "docker ps --filter publish={port}", "kubectl": "kubectl get services --all-namespaces"}

_NEEDED = {
    "it is how people reach this machine": "sshd sshd-session sshd-auth dropbear tailscaled",
    "it starts and keeps everything else": "systemd init launchd openrc-init runit",
    "the machine's other programs depend on it": "dbus-daemon dbus-broker NetworkManager udevd polkitd wslrelay",
    "it is the desktop, with all that is open there": "Xorg Xwayland gnome-shell kwin_wayland kwin_x11 ControlCenter WindowServer",
}
_WHY = {name: why for why, names in _NEEDED.items() for name in names.split()}

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")


NEVER = {**dict.fromkeys(_FORWARDS, "it works for containers"), **_WHY}
"""Programs that are never stopped, each with the reason."""


def why_never(owner: Owner, asker: Asker, port: int) -> tuple[str, str | None] | None:
    """Why a process is never stopped, and what to do instead; None for one that may be."""
    process = owner.process
    if process.pid == 1:
        return "it is the first process: all others end with it", _by_socket_unit(process)
    if process.pid == asker.pid:
        return "it is the one who asks", None
    if process.pid in {ancestor.pid for ancestor in asker.ancestors}:
        return "it started the one who asks, who would end with it", None
    if engine := _FORWARDS.get(process.name):
        listed = _LISTED_BY.get(engine, f"{engine} ps").format(port=port)
        return "it works for containers, all or some of which would be cut off", f"`{listed}` tells for which"
    why = _WHY.get(process.name) or (_WHY["systemd"] if process.name.startswith("systemd-") else None)
    if why:
        return why, _by_socket_unit(process)
    container = container_of(owner.cgroup)
    if container and container != container_of(asker.cgroup):
        short = shown(container[:12])
        return (
            f"it runs in container {short}, whose engine cannot be asked",
            f"`docker stop {short}`, or its own engine's",
        )
    return None


def runs_in(container: Container, asker: Asker) -> bool:
    """Whether the one who asks runs in a container. One that sees no control groups has the container's id as the name of its host."""
    return container.id in (asker.host[: len(container.id)], (container_of(asker.cgroup) or "")[: len(container.id)])


def container_of(cgroup: str) -> str | None:
    """The id of the container that a control group's path names, or None."""
    found = _CONTAINER_ID.findall(cgroup)
    return found[-1] if found else None


def _by_socket_unit(process: Process) -> str | None:
    """systemd itself listens for a service that is started when somebody connects (systemd.socket(5))."""
    if process.name != "systemd":
        return None
    user = "" if process.pid == 1 else " --user"
    return f"`systemctl{user} list-sockets` names the unit; `systemctl{user} stop NAME.socket` frees the port"
