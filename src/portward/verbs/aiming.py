"""What a target comes to: one host and one port, by its own words, by a URL's scheme, or by the name of a service or container."""

from __future__ import annotations

from portward.arguments import parse_target
from portward.errors import InvalidPort, UsageError
from portward.evidence import Aim
from portward.model import ANY, Transport
from portward.verbs.places import is_called
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.arguments import Target
    from portward.evidence import ContainerState, Origin
    from portward.model import Project
    from portward.verbs.places import Scene


def aim_at(text: str, scene: Scene, origin: Origin, project: Project | None) -> Aim:
    """Where a target is, seen from `origin`. Raises InvalidPort or UsageError for what is no target, or a name that nobody has."""
    target = parse_target(text)
    if target.service is not None:
        return _named(target.service, scene, origin, project)
    return _told(target)


def _told(target: Target) -> Aim:
    from portward.catalog import fingerprints

    scheme = fingerprints.scheme(target.scheme) if target.scheme else None
    port = target.port or (scheme.port if scheme else None)
    text = _without_secrets(target.text)
    if port is None:
        hint = f"{target.scheme}://HOST:PORT"
        raise InvalidPort(f"{text} names no port, and {target.scheme}:// has no usual one", hint=hint)
    if any(char.isspace() or not char.isprintable() for char in target.host + target.path):
        raise UsageError(f"{text!r} is no URL: there is a blank in it")
    host = "localhost" if target.host in (ANY, "*") else target.host
    spoken = target.scheme.removeprefix("jdbc:").partition("+")[0]
    aim = Aim(text, host, port, spoken, target.path)
    return aim.replace(meant=scheme.service, http=scheme.http, tls=scheme.tls) if scheme else aim


def _without_secrets(text: str) -> str:
    """A URL without user, password, query and fragment, any of which may be secret; other text as it is."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return shown(text)
    end = next((index for index, sign in enumerate(rest) if sign in "/?#"), len(rest))
    path = rest[end:].partition("?")[0].partition("#")[0]
    return shown(f"{scheme}://{rest[:end].rpartition('@')[2]}{path}")


def _named(name: str, scene: Scene, origin: Origin, project: Project | None) -> Aim:
    """What a service's or a container's name means: its own port from inside a container, else the one that is published."""
    service = project.service(name) if project else None
    states = [each for each in scene.containers if is_called(each, name, project)]
    state = next((each for each in states if each.is_up), states[0] if states else None)
    own = _own_port(state) if state else None
    if state is not None and own is not None and origin.container is not None:
        return Aim(name, name, own, service=state.container.name)
    for publication in (*state.publications, *state.claims) if state else ():
        if publication.endpoint.transport is Transport.TCP:
            return Aim(name, _host(publication.endpoint.address), publication.endpoint.port, service=name)
    for spec in service.claims if service else ():
        if spec.range is not None and spec.protocol.lower() == "tcp":
            return Aim(name, _host(spec.host_ip), spec.range.low, service=name)
    if state is not None and own is not None:
        return Aim(name, next(filter(None, state.addresses), "localhost"), own, service=state.container.name)
    if service is None and state is None:
        known = [each.name for each in project.services] if project else []
        hint = f"the project's services are {', '.join(known)}" if known else "HOST:PORT, a port, a URL, a container"
        raise UsageError(f"{shown(name)} is neither a service of this project nor a container", hint=hint)
    raise UsageError(f"{shown(name)} publishes no TCP port", hint=f"say which: {shown(name)}:PORT")


def _own_port(state: ContainerState) -> int | None:
    """A container's own port that is most likely meant: the first that it publishes, exposes, or listens on."""
    published = [
        each.target for each in (*state.publications, *state.claims) if each.endpoint.transport is Transport.TCP
    ]
    listening = sorted(each.port for each in state.listeners or ())
    return next(iter((*published, *sorted(state.exposed), *listening)), None)


def _host(address: str) -> str:
    return "localhost" if address in ("", "0.0.0.0", "::") else address
