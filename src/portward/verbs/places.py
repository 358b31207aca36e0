"""The places of one machine from which something can be asked: its own network namespace, others, and those of containers."""

from __future__ import annotations

import os
import sys

from portward.errors import Unavailable, UsageError
from portward.evidence import HERE, ContainerState, Origin
from portward.records import Record
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeVar

    from portward.model import Project, Skipped
    from portward.sockets._netns import Namespace
    from portward.truths.live import Live

    T = TypeVar("T")


class Place(Record):
    """A network namespace that can be entered: its label ("" is ours), how, and where its names are looked up (None: our way)."""

    label: str = HERE
    namespace: Namespace | None = None
    names: str | None = None


class Scene(Record):
    """The containers of this machine, with a process of each that is visible here, and all other network namespaces."""

    containers: tuple[ContainerState, ...] = ()
    pids: Mapping[str, int] = {}
    namespaces: tuple[Namespace, ...] = ()
    skipped: tuple[Skipped, ...] = ()


def look_around(live: Live, environment: Mapping[str, str]) -> Scene:
    """The containers and the network namespaces of this machine, as far as they may be seen."""
    from portward import containers

    found, skipped = containers.read(environment)
    namespaces: list[Namespace] = []
    if sys.platform == "linux":
        from portward.sockets import _netns

        namespaces, hidden = _netns.others()
        skipped += hidden
    running = {identifier: state for state, _, identifier in found if state.state in ("running", "paused")}
    pids = {running[full].container.id: pid for full, pid in _processes(live, running).items()}
    labels = {namespace.inode: namespace.name for namespace in namespaces}
    states = tuple(state.replace(netns=_netns_of(pids.get(state.container.id), labels)) for state, _, _ in found)
    return Scene(states, pids, tuple(namespaces), tuple(skipped))


def _processes(live: Live, wanted: Iterable[str]) -> dict[str, int]:
    """For each full id of a container, one process of it: its control group tells, whatever pid namespace the engine is in.

    The shortest path is the container's own: those of containers inside it are longer.
    """
    known = tuple(wanted)
    found: dict[str, tuple[int, int]] = {}
    if not known or sys.platform != "linux":
        return {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            group = live.sockets.cgroup(int(name))
            for full in known if len(group) > 1 else ():
                if full in group:
                    found[full] = min(found.get(full, (len(group), int(name))), (len(group), int(name)))
    return {full: pid for full, (_, pid) in found.items()}


def vantage(name: str | None, scene: Scene, project: Project | None) -> tuple[Origin, Place]:
    """Where is asked from. Raises UsageError for what is neither a container nor a network namespace."""
    if name is None:
        return Origin(), Place()
    from portward.reach import names

    state = next((each for each in scene.containers if is_called(each, name, project)), None)
    if state is not None:
        label = state.container.name
        pid = scene.pids.get(state.container.id)
        if pid is None:
            raise Unavailable(
                f"nothing can be asked from {shown(label)}: it is {state.state}"
                if not state.is_up
                else f"the processes of {shown(label)} are not visible here",
                hint=None if state.is_up else f"docker start {shown(label)}",
            )
        namespace = entrance(pid, state.netns or HERE)
        origin = Origin(state.netns or HERE, label, f"in {shown(label)}")
        return origin, Place(state.netns or HERE, namespace, names.folder_of(pid))
    space = next((each for each in scene.namespaces if each.name == name), None)
    if space is None:
        known = [each.container.name for each in scene.containers if each.is_up]
        known += [each.name for each in scene.namespaces if not each.name.startswith("net:")]
        hint = f"there are {', '.join(map(shown, known[:10]))}" if known else "`ip netns` lists those with a name"
        raise UsageError(f"{shown(name)} is neither a container nor a network namespace here", hint=hint)
    return Origin(space.name, None, f"in {shown(name)}"), Place(space.name, space, names.folder_of_named(name))


def ask_in(place: Place, question: Callable[[], T]) -> T:
    """The answer to a question from inside a place. Raises Unavailable if it cannot be entered."""
    if place.namespace is None:
        return question()
    from portward.sockets import _netns

    answers, refused = _netns.ask_each([place.namespace], question)
    if not answers:
        reason = refused[0].reason if refused else "it is gone"
        raise Unavailable(f"{shown(place.label)} cannot be entered: {reason}", hint="sudo may enter it")
    return answers[0][1]


def place_of(label: str, scene: Scene) -> Place | None:
    """The network namespace of that label, None where it is unknown."""
    if label == HERE:
        return Place()
    space = next((each for each in scene.namespaces if each.name == label), None)
    return Place(label, space) if space else None


def is_called(state: ContainerState, name: str, project: Project | None) -> bool:
    """Whether a name means a container: its own, its id, or that of its service in this project."""
    container = state.container
    if name in (container.name, container.id) or (len(name) >= 12 and name.startswith(container.id)):
        return True
    return project is not None and container.service == name and container.project == project.name


def _netns_of(pid: int | None, labels: Mapping[int, str]) -> str | None:
    """The label of a process's network namespace, None where it is not known, or ours."""
    if pid is None:
        return None
    try:
        return labels.get(os.stat(f"/proc/{pid}/ns/net").st_ino)
    except OSError:
        return None


def entrance(pid: int, label: str) -> Namespace | None:
    """How the network namespace of a process is entered; None for our own."""
    if label == HERE:
        return None
    from portward.sockets._netns import Namespace

    return Namespace(0, f"/proc/{pid}/ns/net", label)
