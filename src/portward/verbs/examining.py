"""`doctor`: gathers the evidence about one target, from where it was asked for, and lets `causes` judge it.

Nothing is changed: names are looked up, one connection is made to each address, one page is asked for where the target is a URL
of HTTP, and what the kernel, the engine and the packet filters show is read.
"""

from __future__ import annotations

import sys
from functools import partial

from portward.errors import Unavailable
from portward.evidence import HERE, Aim, ContainerState, Declared, Evidence, Lookup, Origin, Queue, Speech
from portward.model import Endpoint, Side, Skipped, State
from portward.verbs.places import Place, ask_in, entrance, is_called, look_around, place_of, vantage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from portward.answers import Verified
    from portward.evidence import Door, Examined, Ruleset
    from portward.model import Listener, PortSpec, Process, Project
    from portward.truths.live import Live
    from portward.verbs.places import Scene

_LOCAL_HOSTS = ("localhost", "0.0.0.0", "::", "[::]")


class Examining:
    """One examination. `verify` says whose a port is, as `Portward.verify`."""

    def __init__(
        self,
        live: Live,
        project: Project | None,
        environment: Mapping[str, str],
        verify: Callable[[Sequence[str]], tuple[Verified, ...]],
    ) -> None:
        self._live = live
        self._project = project
        self._environment = environment
        self._verify = verify

    def examine(self, text: str, origin: str | None = None) -> Examined:
        """See `Portward.doctor`."""
        from portward import causes
        from portward.verbs.aiming import aim_at

        scene = look_around(self._live, self._environment)
        scene = scene.replace(containers=self._look_inside(scene))
        asker, place = vantage(origin, scene, self._project)
        target = aim_at(text, scene, asker, self._project)
        return causes.examine(self._gathered(target, asker, place, scene))

    def _gathered(self, target: Aim, origin: Origin, place: Place, scene: Scene) -> Evidence:
        host = "localhost" if target.host in _LOCAL_HOSTS else target.host
        lookup = self._lookup(host, place)
        doors = self._doors(lookup.addresses, target.port, place, scene)
        rows, stopped, unseen = self._rows(target.port, scene)
        evidence = Evidence(
            target=target,
            origin=origin,
            lookup=lookup,
            doors=doors,
            rows=rows,
            containers=scene.containers,
            system=ask_in(place, self._live.system),
            stopped=stopped,
            declared=self._declared(target, origin, lookup, scene),
            skipped=(*scene.skipped, *unseen),
        )
        evidence = evidence.replace(queues=self._queues(target.port, evidence.homes, scene))
        if any(row.container is not None for row in evidence.listening(HERE)):
            evidence = evidence.replace(forwarder=self._forwarder(target.port))
        if evidence.reached:
            evidence = evidence.replace(speech=self._speech(target, evidence, place))
            if evidence.forwarder != "dockerd" and not evidence.is_mute:
                return evidence
        return self._why_not(evidence, place, scene)

    def _why_not(self, evidence: Evidence, place: Place, scene: Scene) -> Evidence:
        """What is only of interest where nobody answers: packet filters, and whether the port may be bound."""
        involved = dict.fromkeys((place.label, *evidence.homes))
        state = evidence.own_container()
        if state is not None and state.netns is not None:
            involved.update(dict.fromkeys((HERE, state.netns)))
        rulesets: list[Ruleset] = []
        skipped = list(evidence.skipped)
        for label in involved:
            found, unread = self._rulesets(label, scene)
            rulesets += found
            skipped += unread
        refusal = None
        if HERE in evidence.homes and not any(True for _ in evidence.listening(HERE)):
            door = next(door for door in evidence.doors if door.home == HERE)
            refusal = self._live.refusal(Endpoint(door.address, evidence.target.port))
        return evidence.replace(rulesets=tuple(rulesets), may_bind=refusal, skipped=tuple(dict.fromkeys(skipped)))

    # what is seen there

    def _lookup(self, host: str, place: Place) -> Lookup:
        from portward.reach import names

        if names.is_numeric(host):
            return Lookup((host,), "as it was typed")
        folder = place.names
        return names.by_system(host) if folder is None else ask_in(place, lambda: names.by_files(host, folder))

    def _doors(self, addresses: Sequence[str], port: int, place: Place, scene: Scene) -> tuple[Door, ...]:
        from portward.reach import link
        from portward.reach.knock import is_local, knock_at_each

        def ask() -> tuple[list[Door], dict[str, bool], dict[str, str | None]]:
            doors = knock_at_each(addresses, port)
            return (
                doors,
                {each: is_local(each) for each in addresses},
                {each: link.neighbour(each) for each in addresses},
            )

        doors, local, neighbours = ask_in(place, ask)
        homes: dict[str, str | None] = {address: place.label for address in addresses if local[address]}
        strangers = [address for address in addresses if not local[address]]
        candidates: dict[str, list[tuple[str, bool]]] = {address: [] for address in strangers}
        for label, (here, hardware) in self._everywhere(strangers, place, scene).items():
            for address in here:
                candidates[address].append((label, neighbours[address] in hardware))
        for address, found in candidates.items():
            sure = [label for label, is_neighbour in found if is_neighbour] or [label for label, _ in found]
            homes[address] = sure[0] if len(sure) == 1 else None
        return tuple(door.replace(home=homes[door.address]) for door in doors)

    def _everywhere(
        self, strangers: Sequence[str], place: Place, scene: Scene
    ) -> Mapping[str, tuple[list[str], frozenset[str]]]:
        """For each other network namespace, which of the addresses it has, and its hardware addresses."""
        from portward.reach import link
        from portward.reach.knock import is_local

        def ask() -> tuple[list[str], frozenset[str]]:
            found = [address for address in strangers if is_local(address)]
            return found, link.own() if found else frozenset()

        answers: dict[str, tuple[list[str], frozenset[str]]] = {}
        if not strangers:
            return answers
        if place.label != HERE:
            answers[HERE] = ask()
        if scene.namespaces:
            from portward.sockets import _netns

            others = [space for space in scene.namespaces if space.name != place.label]
            answers.update({space.name: answer for space, answer in _netns.ask_each(others, ask)[0]})
        return answers

    def _rows(self, port: int, scene: Scene) -> tuple[tuple[Listener, ...], tuple[Process, ...], tuple[Skipped, ...]]:
        """The sockets on the port everywhere, the processes of it and behind it that are stopped, and what could not be seen."""
        behind = {each.target for state in scene.containers if (each := state.published(port)) is not None}
        reading = self._live.read(udp=True, all_netns=bool(scene.namespaces), ports={port, *behind})
        rows = tuple(row for row in reading.listeners if row.port == port)
        netns = {state.netns for state in scene.containers if state.netns and state.published(port) is not None}
        served = [row for row in reading.listeners if row.port == port or row.netns in netns]
        stopped = tuple(
            row.processes[0]
            for row in served
            if row.state is State.LISTEN
            and row.processes
            and all(_is_stopped(process.pid) for process in row.processes)
        )
        return rows, stopped, reading.skipped

    def _forwarder(self, port: int) -> str | None:
        """The program that has a published port open; its row shows the container instead."""
        rows = self._live.sockets.read(ports={port}).listeners
        names = (process.name for row in rows if row.state is State.LISTEN for process in row.processes)
        return next(names, None)

    def _look_inside(self, scene: Scene) -> tuple[ContainerState, ...]:
        """The containers with what listens in each of them."""
        if sys.platform != "linux":
            return scene.containers
        from portward.sockets import inside

        seen = []
        for state in scene.containers:
            pid = scene.pids.get(state.container.id)
            listeners = None
            if pid is not None and not state.host_network:
                try:
                    rows = ask_in(Place(state.netns or HERE, entrance(pid, state.netns or HERE)), inside.listening)
                    listeners = tuple(row for row, _, _ in rows if not _is_engines_own(row))
                except (Unavailable, OSError):
                    listeners = None
            seen.append(state.replace(listeners=listeners))
        return tuple(seen)

    def _queues(self, port: int, homes: Iterable[str], scene: Scene) -> tuple[Queue, ...]:
        if sys.platform != "linux":
            return ()
        from portward.sockets import inside

        found: list[Queue] = []
        for label in homes:
            place = place_of(label, scene)
            if place is not None:
                try:
                    rows = ask_in(place, lambda: inside.listening(port))
                except (Unavailable, OSError):
                    continue
                found += (Queue(label, endpoint, waiting, limit) for endpoint, waiting, limit in rows)
        return tuple(found)

    def _rulesets(self, label: str, scene: Scene) -> tuple[Sequence[Ruleset], Sequence[Skipped]]:
        from portward.reach import firewall

        place = place_of(label, scene)
        if place is None or sys.platform != "linux":
            return (), ()
        try:
            return ask_in(place, lambda: firewall.read(label))
        except Unavailable as error:
            return (), (Skipped(f"firewall rules in {label}", error.message),)

    def _speech(self, target: Aim, evidence: Evidence, place: Place) -> Speech | None:
        door = evidence.door
        if door is None:
            return None
        if not target.http:
            return self._identified(target, evidence, door, place)
        from portward.probes.speech import speak

        asked = "https" if target.tls else "http"
        heard = ask_in(place, lambda: speak(asked, door.address, target.port, target.host, target.path))
        if heard.status is None and heard.tls is None and not heard.timed_out:
            return heard.replace(service=self._identified(target.replace(scheme=""), evidence, door, place).service)
        return heard

    def _identified(self, target: Aim, evidence: Evidence, door: Door, place: Place) -> Speech:
        """Who answers there by its own words; nobody is asked who may not be (see `identifying`)."""
        from portward.arguments import Target
        from portward.catalog import fingerprints
        from portward.probes import SECONDS
        from portward.verbs.identifying import Identifying

        identifying = Identifying(self._live, lambda: self._project)
        row = next(iter(evidence.serving(door)), None)
        service: str | None = None
        # a server that greets may not wait for what the target's scheme asks first
        for scheme in dict.fromkeys((target.scheme, "")):
            asked = Target(target.text, door.address, target.port, scheme)
            identity = ask_in(place, partial(identifying.at, asked, row, SECONDS))
            if identity.by == "protocol" and identity.confidence != "low":
                service = identity.service
                break
        known = {each.service for each in fingerprints.of_service(target.meant)}
        return Speech("identify", service=service, fits=service in known if service and known else None)

    # what should be there

    def _declared(self, target: Aim, origin: Origin, lookup: Lookup, scene: Scene) -> Declared | None:
        """The service of this project whose port the target is, if it is asked for on this machine itself."""
        if self._project is None or origin.netns != HERE or not _is_here(lookup):
            return None
        spec = self._publisher(target)
        if spec is None or spec.service is None:
            return None
        (verified,) = self._verify([str(target.port)])
        compose = spec.origin == "compose"
        unreached = any(each.what.startswith("container engine") for each in scene.skipped)
        exists = any(is_called(each, spec.service, self._project) for each in scene.containers)
        runs = verified.whose != "mine" or any(row.service == spec.service for row in verified.listeners)
        return Declared(spec.service, verified.whose, runs, compose, None if unreached else exists, self._project.name)

    def _publisher(self, target: Aim) -> PortSpec | None:
        assert self._project is not None
        for service in self._project.services:
            for spec in service.claims:
                if spec.side is Side.HOST and spec.range and target.port in spec.range and spec.protocol == "tcp":
                    return spec.replace(service=service.name)
        return None


def _is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal (state T of proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def _is_engines_own(endpoint: Endpoint) -> bool:
    """The engine's name server listens in each container of a network that has names: 127.0.0.11, at a random port."""
    return endpoint.address == "127.0.0.11"


def _is_here(lookup: Lookup) -> bool:
    from portward.reach.knock import is_local

    return any(is_local(address) for address in lookup.addresses)
