"""Snapshots made by hand from the texts of a project's files, and what one rule finds in them: no kernel, no engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portward import catalog, rules
from portward.formats.project import declare
from portward.formats.settings import parse
from portward.model import (
    ComposeOptions,
    Container,
    Endpoint,
    Listener,
    Owners,
    Project,
    Reading,
    Settings,
    Snapshot,
    State,
)
from tests.reading import reader

if TYPE_CHECKING:
    from portward.model import Finding

ROOT = "/home/me/shop"


def settings(text: str) -> Settings:
    """What a `portward.toml` of this text says."""
    return parse(text, "portward.toml", rules.NAMES, catalog.KINDS)


def snapshot(files: dict[str, str], *rows: Listener, toml: str = "", **facts: Any) -> Snapshot:
    """The snapshot of a project in ROOT with these files and this `portward.toml`; `facts` are more of its fields."""
    environment: dict[str, str] = facts.pop("environment", {})
    said = settings(toml)
    project = declare(ROOT, "shop", sorted(files), reader(files), environment, ComposeOptions())
    project = project.replace(
        services=tuple(
            service.replace(kind=said.kinds.get(service.name) or catalog.kind_of(service.image, service.name))
            for service in project.services
        )
    )
    ranges = {**catalog.DEFAULT_RANGES, **said.ranges}
    customs = {port: catalog.custom_of(port) for port in _ports(project)}
    made = Snapshot(Reading(rows), 1000.0, project, ranges=ranges, settings=said, customs=customs)
    return made.replace(**facts)


def _ports(project: Project) -> set[int]:
    claims = [spec for service in project.services for spec in service.claims]
    return {spec.range.low for spec in claims if spec.range} | {spec.target for spec in claims if spec.target}


def compose(*ports: str, image: str = "image: x", more: str = "", name: str = "web") -> dict[str, str]:
    """A project of one service that publishes these ports."""
    return {"compose.yaml": f"services:\n  {name}: {{{image}, {more}ports: [{', '.join(ports)}]}}\n"}


def found(snapshot: Snapshot, rule: str) -> list[Finding]:
    """What one rule finds."""
    return [finding for finding in rules.judge(snapshot) if finding.rule == rule]


def container(project: str | None, service: str, folder: str | None = "/home/me/other", **facts: Any) -> Container:
    """A container of a Compose project."""
    return Container(f"id-{project}-{service}", f"{project}-{service}-1", "x", project, service, folder=folder, **facts)


def claim(port: int, owner: Container, state: State = State.CLAIMED, address: str = "0.0.0.0") -> Listener:
    """A container's port, claimed or live."""
    return Listener(Endpoint(address, port), state, owners=Owners.SEEN, container=owner, project=owner.project)
