"""The verbs over HTTP: what each is asked with, one call of `Portward`, and the document that the command line prints with `--json`.

What changes nothing is a GET with its arguments in the query; what changes something is a POST with a JSON object. A change is shown
first, with a digest of what it would do, and is done only where the digest still is that.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from portward.arguments import parse_port, parse_range
from portward.errors import FileChanged, Unavailable, UsageError
from portward.records import Record
from portward.render import documents, fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portward.answers import Changes
    from portward.render.documents import Document
    from portward.stops import StopPlan
    from portward.ward import Portward


MOST_OF_FLEET = 1_000_000
"""Listeners of all hosts that are told when nothing was searched for."""


class Asked:
    """What a request gives a verb: lists of texts by name. Raises UsageError for what is not as it should be."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def texts(self, name: str) -> list[str]:
        """All values of a name, none if it is not given."""
        value = self._values.get(name, [])
        found = value if isinstance(value, list) else [value]
        if not all(isinstance(each, str | int) for each in found):
            raise UsageError(f"{name} is not a text")
        return [str(each) for each in found]

    def needed(self, name: str) -> list[str]:
        """All values of a name that must be given."""
        found = [each for each in self.texts(name) if each]
        if not found:
            raise UsageError(f"{name} is missing", hint=f"{name}=…")
        return found

    def text(self, name: str, default: str = "") -> str:
        """The last value of a name."""
        found = self.texts(name)
        return found[-1] if found else default

    def flag(self, name: str) -> bool:
        """Whether a name is given as true, in JSON or as "1"."""
        return self._values.get(name) is True or self.text(name) in ("1", "true", "True")

    def number(self, name: str, default: float) -> float:
        """The number that a name is given."""
        text = self.text(name)
        try:
            return float(text) if text else default
        except ValueError:
            raise UsageError(f"{name}: {text!r} is not a number") from None


class Call(Record):
    """One verb: whether it changes something, and how it is asked."""

    changes: bool
    ask: Callable[[Portward, Asked], Document]


def _ls(ward: Portward, asked: Asked) -> Document:
    if asked.flag("fleet"):
        most = int(asked.number("most", MOST_OF_FLEET))
        return fleet.ls_document(ward.fleet().ls(asked.texts("query"), udp=asked.flag("udp"), most=most))
    udp, everywhere, identify = asked.flag("udp"), asked.flag("all_netns"), asked.flag("identify")
    return documents.ls(ward.ls(asked.texts("query"), udp=udp, all_netns=everywhere, identify=identify))


def _who(ward: Portward, asked: Asked) -> Document:
    ports, everywhere, history = asked.needed("port"), asked.flag("all_netns"), asked.flag("history")
    if asked.flag("fleet"):
        return fleet.who_document(ward.fleet().who(ports))
    return documents.who(ward.who(ports, all_netns=everywhere, history=history))


def _check(ward: Portward, asked: Asked) -> Document:
    ports = asked.texts("port")
    if asked.flag("fleet"):
        many = ward.fleet()
        return fleet.check_document(many.check_ports(ports) if ports else many.check())
    return documents.check(ward.check_ports(ports) if ports else ward.check())


def _find(ward: Portward, asked: Asked) -> Document:
    port, ports = asked.text("port"), asked.text("range")
    preferred = parse_port(port).ports.low if port else None
    count = int(asked.number("count", 1))
    return documents.find(ward.find(preferred, count=count, ports=parse_range(ports) if ports else None))


def _offer(ward: Portward, asked: Asked) -> Document:
    """A free port of the range that suits a service."""
    name = asked.needed("service")[0]
    found = [report for report in ward.services().services if report.service.name == name]
    if not found:
        raise UsageError(f"the project has no service {name!r}")
    return documents.find(ward.find(ports=ward.ranges()[found[0].service.kind]))


def _explain(ward: Portward, asked: Asked) -> Document:
    return documents.explain(ward.explain(asked.text("text")))


def _leases(ward: Portward, asked: Asked) -> Document:
    if asked.flag("fleet"):
        return fleet.leases_document(ward.fleet().leases())
    return documents.leases(ward.leases(everyone=asked.flag("all")))


def _lease(ward: Portward, asked: Asked) -> Document:
    return documents.leases(ward.lease(asked.texts("service")))


def _set(ward: Portward, asked: Asked) -> Document:
    wishes, container = asked.needed("wish"), asked.flag("container")
    return _shown_first(
        asked, lambda write, shown: ward.set_ports(wishes, container=container, write=write, shown=shown)
    )


def _kill(ward: Portward, asked: Asked) -> Document:
    """What would be stopped, with its digest; with that digest, it is stopped, if it still is that."""
    ports, force, mine = asked.needed("port"), asked.flag("force"), asked.flag("mine")
    agreed = asked.text("digest")
    plans: list[str] = []

    def is_agreed(plan: StopPlan) -> bool:
        plans.append(_digest_of(plan))
        return plans[-1] == agreed

    reason = asked.text("reason") or "by the dashboard"
    answer = ward.kill(ports, force=force, mine=mine, reason=reason, confirm=is_agreed)
    if agreed and plans and plans[-1] != agreed:
        raise Unavailable("what would be stopped is no longer what was shown", hint="look again")
    document = documents.kill(answer, dry_run=not agreed)
    return {**document, "digest": plans[-1] if plans else None}


def _digest_of(plan: StopPlan) -> str:
    """Who would be stopped, and how: processes by pid and start, so that a pid that was reused is another."""
    parts = [(stop.port, str(stop.transport), stop.how, *map(str, stop.thing)) for stop in plan.stops]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _shown_first(asked: Asked, change: Callable[[bool, Changes | None], Changes]) -> Document:
    """A change that would be made, with its digest; with `digest`, it is made, if it still is the one that was shown when it is written."""
    agreed = asked.text("digest")
    answer = change(False, None)
    digest = hashlib.sha256(repr((answer.before, answer.diff)).encode()).hexdigest()
    if agreed and agreed != digest:
        raise FileChanged("what would be changed is no longer what was shown", hint="look at the change again")
    if agreed:
        answer = change(True, answer)
    return {**documents.changes(answer), "digest": digest}


CALLS = {
    "ls": Call(False, _ls),
    "who": Call(False, _who),
    "check": Call(False, _check),
    "services": Call(False, lambda ward, _asked: documents.services(ward.services())),
    "find": Call(False, _find),
    "offer": Call(False, _offer),
    "leases": Call(False, _leases),
    "verify": Call(False, lambda ward, asked: documents.verify(ward.verify(asked.needed("port")))),
    "identify": Call(False, lambda ward, asked: documents.identify(ward.identify(*asked.needed("target")))),
    "doctor": Call(False, lambda ward, asked: documents.examined(ward.doctor(asked.needed("target")[0]))),
    "catalog": Call(False, lambda ward, asked: documents.catalog(ward.catalog(asked.text("query")))),
    "explain": Call(True, _explain),  # a log is too long for a URL
    "env": Call(True, lambda ward, _asked: dict(ward.env()[0])),  # leases what is not leased yet
    "lease": Call(True, _lease),
    "release": Call(True, lambda ward, asked: documents.leases(ward.release(asked.needed("service")))),
    "set": Call(True, _set),
    "resolve": Call(
        True, lambda ward, asked: _shown_first(asked, lambda write, shown: ward.resolve(write=write, shown=shown))
    ),
    "docs": Call(
        True, lambda ward, asked: _shown_first(asked, lambda write, shown: ward.docs(write=write, shown=shown))
    ),
    "undo": Call(
        True, lambda ward, asked: _shown_first(asked, lambda write, _shown: ward.undo(dry_run=not write))
    ),  # the journal refuses what was changed since
    "kill": Call(True, _kill),
}
"""Verb → how it is asked."""
