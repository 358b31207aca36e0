"""Answers as JSON documents: plain dicts with the keys of the contract, which may grow but are never renamed.

Absent is null, ports are integers, times are ISO 8601 in UTC.
"""

from __future__ import annotations

from portward import wire
from portward.model import Severity, State, is_complete
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from portward.answers import (
        Changes,
        Check,
        Event,
        Explanation,
        Killed,
        Past,
        PortReport,
        ServiceReport,
        Services,
        Verified,
        Waited,
        Who,
        WhoAnswer,
    )
    from portward.catalog import CatalogEntry
    from portward.errors import PortwardError
    from portward.evidence import Examined
    from portward.model import (
        Finding,
        Fix,
        Identity,
        Link,
        Listener,
        Location,
        PortSpec,
        Reading,
        Skipped,
    )
    from portward.stops import Stop
    from portward.verbs.leasing import Granted

    Document = dict[str, Any]


_MOST_READABLE = 5000


def dump(document: Document) -> str:
    """The document as text: readable, in ASCII, and one document to any parser whatever the names in it.

    One of very many listeners is on one line: nobody reads it, and the lines take most of the time.
    """
    import json  # costs as much as a bind of a hundred ports: only for those who asked for JSON

    return json.dumps(document, indent=2 if len(document.get("listeners", ())) <= _MOST_READABLE else None)


def ls(reading: Reading) -> Document:
    return {
        "listeners": [wire.listener(row) for row in reading.listeners],
        "skipped": _skipped(reading.skipped),
        "complete": reading.complete,
    }


def event(event: Event) -> Document:
    """A line of `ls --watch`."""
    return {"event": event.kind, "time": wire.moment(event.when), "listener": wire.listener(event.listener)}


def who(answer: WhoAnswer) -> Document:
    return {
        "ports": [_who(row) for row in answer.ports],
        "skipped": _skipped(answer.skipped),
        "complete": is_complete(answer.rows, answer.skipped),
    }


def check(answer: Check) -> Document:
    severities = [each.severity for each in answer.findings]
    document: Document = {
        "ports": [
            {
                "port": row.endpoint.port,
                "transport": str(row.endpoint.transport),
                "address": row.endpoint.address or None,
                "available": row.available,
                "refusal": str(row.refusal) if row.refusal else None,
                "listeners": [wire.listener(each) for each in row.listeners],
                "lease": wire.lease(row.lease, _is_live(row.listeners)) if row.lease else None,
            }
            for row in answer.ports
        ],
        "findings": [finding(each) for each in answer.findings],
        "summary": {"errors": severities.count(Severity.ERROR), "warnings": severities.count(Severity.WARNING)},
        "complete": is_complete(answer.rows, answer.skipped),
        "ignored": [{**finding(each), "reason": ignore.reason} for each, ignore in answer.ignored],
        "skipped": _skipped(answer.skipped),
    }
    if answer.project is not None:
        document |= {"project": answer.project.name, "root": answer.project.root}
        document["services"] = [_service(report) for report in answer.services]
        document["elsewhere"] = [wire.listener(row) for row in answer.elsewhere]
    return document


def services(answer: Services) -> Document:
    return {
        "project": answer.project.name,
        "root": answer.project.root,
        "services": [_service(report) for report in answer.services],
        "inactive": [_service(report) for report in answer.inactive],
        "links": [_link(found) for found in answer.project.links],
        "unlinked": [_reference(spec) for spec in answer.project.references],
        "skipped": _skipped(answer.skipped),
        "complete": is_complete(answer.rows, answer.skipped),
    }


def changes(answer: Changes) -> Document:
    return {
        "changes": [
            {
                "path": change.path,
                "line": change.line,
                "column": change.column,
                "old": change.old,
                "new": change.new,
                "service": change.service,
            }
            for change in answer.changes
        ],
        "unchanged": [_reference(spec) for spec in answer.planned.kept] if answer.planned else [],
        "diff": answer.diff,
        "written": answer.written,
        "undo": answer.undo,
        "remarks": list(answer.remarks),
    }


def leases(answer: Granted) -> Document:
    return {
        "leases": [wire.lease(lease, lease in answer.live) for lease in answer.leases],
        "remarks": list(answer.remarks),
    }


def _is_live(rows: Iterable[Listener]) -> bool:
    """Whether anybody has the port that the rows are on, here and now."""
    return any(row.netns is None and row.state is not State.CLAIMED for row in rows)


def explain(answer: Explanation) -> Document:
    return {
        "diagnoses": [
            {
                "kind": str(diagnosis.symptom.kind),
                "port": diagnosis.symptom.port,
                "guess": diagnosis.symptom.guess,
                "host": diagnosis.symptom.host,
                "transport": str(diagnosis.symptom.transport),
                "cause": diagnosis.cause,
                "evidence": list(diagnosis.evidence),
                "holders": [wire.listener(row) for row in diagnosis.holders],
                "fixes": [_fix(fix) for fix in diagnosis.fixes],
                "tool": diagnosis.symptom.tool,
                "line": diagnosis.symptom.line,
                "text": shown(diagnosis.symptom.text),
            }
            for diagnosis in answer.diagnoses
        ],
        "others": list(answer.others),
        "skipped": _skipped(answer.skipped),
    }


def verify(answer: Sequence[Verified]) -> Document:
    return {
        "ports": [
            {"port": row.port, "whose": row.whose, "listeners": [wire.listener(each) for each in row.listeners]}
            for row in answer
        ]
    }


def kill(answer: Killed, *, dry_run: bool = False) -> Document:
    """`stopped` is what really was; `planned` is what was to be; `ports` tells who has each port afterwards."""
    return {
        "stopped": [
            {**_stop(freed.stop), "how": freed.how, "seconds": round(freed.seconds, 3), "alive": list(freed.alive)}
            for freed in answer.stopped
        ],
        "refused": [
            {
                "port": each.port,
                "transport": str(each.transport),
                "what": each.what,
                "why": each.why,
                "hint": each.hint,
            }
            for each in answer.refused
        ],
        "planned": [_stop(stop) for stop in answer.planned.stops],
        "ports": [
            {
                "port": after.port,
                "transport": str(after.transport),
                "free": not after.listeners,
                "listeners": [wire.listener(row) for row in after.listeners],
                "by": after.by,
            }
            for after in answer.ports
        ],
        "dry_run": dry_run,
        "remarks": list(answer.remarks),
        "skipped": _skipped(answer.planned.skipped),
    }


def _stop(stop: Stop) -> Document:
    return {
        "port": stop.port,
        "transport": str(stop.transport),
        "what": stop.what,
        "how": stop.how,
        "pid": next((process.pid for process in (*stop.roots, *stop.processes)), None),
        "pids": [process.pid for process in stop.processes],
        "container": stop.container.name if stop.container else None,
        "unit": stop.unit,
        "remarks": list(stop.remarks),
    }


def examined(answer: Examined) -> Document:
    return {
        "target": answer.target,
        "reachable": answer.reachable,
        "checks": [{"name": step.name, "ok": step.ok, "detail": step.detail} for step in answer.checks],
        "cause": answer.cause,
        "fixes": [_fix(fix) for fix in answer.fixes],
        "skipped": _skipped(answer.skipped),
    }


def find(ports: Sequence[int]) -> Document:
    return {"ports": list(ports)}


def catalog(entries: Iterable[CatalogEntry]) -> Document:
    return {
        "services": [
            {
                "service": entry.service,
                "port": _port_or_text(entry),
                "transport": str(entry.transport),
                "role": entry.role,
                "source": entry.source,
                "category": entry.category,
                "kind": entry.kind,
                "protocol": entry.protocol,
                "note": entry.note,
                "env_var": entry.env_var,
                "cli_flag": entry.cli_flag,
            }
            for entry in entries
        ]
    }


def error(failure: PortwardError) -> Document:
    return {
        "error": {
            "code": failure.code,
            "message": failure.message,
            "hint": failure.hint,
            "path": failure.path,
            "line": failure.line,
            "column": failure.column,
        }
    }


def _port_or_text(entry: CatalogEntry) -> int | str:
    return entry.port.low if entry.port and entry.port.low == entry.port.high else entry.port_text


def _skipped(skipped: Iterable[Skipped]) -> list[Document]:
    return [{"what": entry.what, "reason": entry.reason} for entry in skipped]


def identify(answers: Sequence[Identity]) -> Document:
    """One target's answer as the document itself, several as a list."""
    return (
        wire.identity(answers[0]) if len(answers) == 1 else {"targets": [wire.identity(answer) for answer in answers]}
    )


def wait(answer: Waited) -> Document:
    return {"ready": list(answer.ready), "waiting": list(answer.waiting), "seen": dict(answer.seen)}


def _who(row: Who) -> Document:
    return {
        "port": row.port,
        "transport": str(row.transport),
        "listeners": [wire.listener(each) for each in row.listeners],
        "ancestry": [[wire.process(process) for process in chain] for chain in row.ancestry],
        "lease": wire.lease(row.lease, _is_live(row.listeners)) if row.lease else None,
        "declared": [_location(place) for place in row.declared],
        "customary": list(row.customary),
        "fixes": [_fix(fix) for fix in row.fixes],
        **({} if row.history is None else {"history": [_past(past) for past in row.history]}),
    }


def _past(past: Past) -> Document:
    return {
        "time": wire.moment(past.when),
        "what": past.what,
        "by": past.by,
        "who": past.who,
        "address": past.address or None,
        "pid": past.pid,
        "user": past.user,
        "project": past.project,
    }


def _location(place: Location) -> Document:
    return {
        "path": place.path,
        "line": place.line,
        "column": place.column,
        "text": shown(place.excerpt) if place.excerpt else None,
    }


def _fix(fix: Fix) -> Document:
    return {"title": fix.title, "command": fix.command, "safe": fix.safe}


def finding(finding: Finding) -> Document:
    """A FINDING of the contract."""
    return {
        "rule": finding.rule,
        "severity": str(finding.severity),
        "message": finding.message,
        "service": finding.service,
        "port": finding.port,
        "transport": str(finding.transport) if finding.transport else None,
        "locations": [_location(place) for place in finding.locations],
        "holders": [*map(wire.listener, finding.holders), *(wire.lease(lease, False) for lease in finding.leases)],
        "hint": finding.hint,
        "fixes": [_fix(fix) for fix in finding.fixes],
    }


def _link(found: Link) -> Document:
    """One port of one service: who publishes it, and every reference that means it, by side."""
    return {
        "service": found.service,
        "published": found.entry.published if found.entry else None,
        "target": found.target,
        "host": [_reference(spec) for spec in found.host],
        "container": [_reference(spec) for spec in found.container],
        "unknown": [_reference(spec) for spec in found.unsure],
    }


def _reference(spec: PortSpec) -> Document:
    return {
        "from": spec.origin,
        "port": spec.number,
        "path": spec.location.path,
        "line": spec.location.line,
        "column": spec.location.column,
        "text": shown(spec.text),
        "why": spec.why or None,
    }


def _service(report: ServiceReport) -> Document:
    return {
        "name": report.service.name,
        "kind": report.service.kind,
        "ports": [_port(port) for port in report.ports],
    }


def _port(report: PortReport) -> Document:
    spec = report.spec
    return {
        "from": spec.origin,
        "role": str(spec.role),
        "side": str(spec.side),
        "host_ip": spec.host_ip or None,
        "published": spec.published,
        "target": spec.target,
        "protocol": spec.protocol,
        "path": spec.location.path,
        "line": spec.location.line,
        "column": spec.location.column,
        "text": shown(spec.text),
        "why": spec.why or None,
        "state": str(report.state) if report.state else None,
        "bound": [{"host_ip": endpoint.address or None, "port": endpoint.port} for endpoint in report.bound],
        "sign": report.sign,
        "lease": wire.lease(report.lease, _is_live(report.holders)) if report.lease else None,
    }
