"""The verbs over HTTP: what each is asked with, one call of `Portward`, and the document that the command line prints with `--json`.

What changes nothing is a GET with its arguments in the query; what changes something is a POST with a JSON object. A change is shown
first, with the id of the preview, and is done by that id, only where it still is what was shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from portward.arguments import parse_port, parse_range
from portward.errors import UsageError
from portward.records import Record
from portward.render import documents, fleet
from portward.serve.previews import Preview, Previews
from portward.stops import StopPlan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from portward.answers import Changes
    from portward.render.documents import Document
    from portward.ward import Portward


MOST_OF_FLEET = 1_000_000
"""Listeners of all hosts that are told when nothing was searched for."""


class Asked:
    """What a request gives a verb: lists of texts by name. Raises UsageError for what is not as it should be."""

    def __init__(self, values: Mapping[str, Any], previews: Previews) -> None:
        self._values = values
        self._previews = previews

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

    def chosen(self, verb: str) -> Preview | None:
        """What was shown of a verb and is now to be done, None where it is to be shown first."""
        name = self.text("preview_id")
        return self._previews.take(name, verb) if name else None

    def of(self, preview: Preview) -> Asked:
        """What a preview was asked with."""
        return Asked(preview.asked, self._previews)

    def keep(self, verb: str, shown: Changes | StopPlan) -> str:
        """The id by which what is shown now can be done."""
        return self._previews.keep(Preview(verb, self._values, shown))

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


def _shown_first(
    verb: str, change: Callable[[Portward, Asked, bool, Any], Changes]
) -> Callable[[Portward, Asked], Document]:
    """A verb whose change is shown first, with the id of that, and made by the id, where it still is what was shown.

    `change` is given whether to write, and what was shown.
    """

    def ask(ward: Portward, asked: Asked) -> Document:
        preview = asked.chosen(verb)
        if preview is not None:
            return documents.changes(change(ward, asked.of(preview), True, preview.shown))
        answer = change(ward, asked, False, None)
        name = asked.keep(verb, answer) if answer.changes else None
        return {**documents.changes(answer), "preview_id": name}

    return ask


def _set(ward: Portward, asked: Asked, write: bool, shown: Changes | None) -> Changes:
    return ward.set_ports(asked.needed("wish"), container=asked.flag("container"), write=write, shown=shown)


def _kill(ward: Portward, asked: Asked) -> Document:
    """What would be stopped, with the id of that; by the id, it is stopped, if it still is that."""
    preview = asked.chosen("kill")
    if preview is not None:
        asked = asked.of(preview)
    ports, force, mine = asked.needed("port"), asked.flag("force"), asked.flag("mine")
    reason = asked.text("reason") or "by the dashboard"
    if preview is not None:
        assert isinstance(preview.shown, StopPlan)
        return documents.kill(ward.kill(ports, force=force, mine=mine, reason=reason, shown=preview.shown))
    answer = ward.kill(ports, force=force, mine=mine, dry_run=True)
    name = asked.keep("kill", answer.planned) if answer.planned.stops else None
    return {**documents.kill(answer, dry_run=True), "preview_id": name}


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
    "set": Call(True, _shown_first("set", _set)),
    "resolve": Call(
        True, _shown_first("resolve", lambda ward, _asked, write, shown: ward.resolve(write=write, shown=shown))
    ),
    "docs": Call(True, _shown_first("docs", lambda ward, _asked, write, shown: ward.docs(write=write, shown=shown))),
    "undo": Call(
        True, _shown_first("undo", lambda ward, _asked, write, shown: ward.undo(dry_run=not write, shown=shown))
    ),
    "kill": Call(True, _kill),
}
"""Verb → how it is asked."""
