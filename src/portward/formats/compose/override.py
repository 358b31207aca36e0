"""A Compose file to lay over a project, which publishes services elsewhere without a change of the project's own files.

Compose appends the `ports:` of a later file to those of an earlier one. Only `!override` puts a list in the place of another
(Compose specification, 13-merge; Docker Compose 2.24.4 and later), so each service that moves is written with all its entries.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from portward.model import PortSpec, Service

    Entries = Iterable[tuple[PortSpec, str | None]]


def override(services: Mapping[str, Entries], renamed: Mapping[str, tuple[Service, str]], about: str) -> str:
    """The text of the file: for each service its entries, each with what it is to publish, None where the engine chooses.

    `renamed` gives services other names for their containers. `about` is a comment: who made the file, and for what.
    """
    return "".join(f"{line}\n" for line in (*_comment(about), "services:", *_services(services, renamed)))


def _comment(about: str) -> Iterator[str]:
    return (f"# {''.join(char if char.isprintable() else '?' for char in line)}" for line in about.split("\n"))


def _services(services: Mapping[str, Entries], renamed: Mapping[str, tuple[Service, str]]) -> Iterator[str]:
    for name in dict.fromkeys((*services, *renamed)):
        yield f"  {json.dumps(name)}:"
        if name in renamed:
            yield from _renamed(*renamed[name])
        if name in services:
            yield "    ports: !override"
            for spec, published in services[name]:
                yield from _entry(spec, published)


def _renamed(service: Service, name: str) -> Iterator[str]:
    """Another name for a service's container, which goes on answering to its old one."""
    yield f"    container_name: {_text(name)}"
    if service.networks:
        yield "    networks:"
    for network in service.networks:
        yield f"      {json.dumps(network)}:"
        yield f"        aliases: [{_text(service.container_name or service.name)}]"


def _entry(spec: PortSpec, published: str | None) -> Iterator[str]:
    """One entry in long syntax. `published` is a text, as Compose compares it."""
    yield f"      - target: {spec.target}"
    written = (("published", published), ("host_ip", spec.host_ip), ("protocol", spec.protocol), *spec.options)
    yield from (f"        {key}: {_text(value)}" for key, value in written if value)


def _text(value: str) -> str:
    """A text that is neither taken for a number nor interpolated: YAML reads JSON, and `$$` is a dollar sign."""
    return json.dumps(value.replace("$", "$$"))
