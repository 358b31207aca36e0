"""Answers about many hosts, as JSON documents and as text: each with the age of what a host said.

A table of three hosts is read, one of ten thousand is not: beyond some rows there is a summary, what is out of the ordinary, and a hint.
"""

from __future__ import annotations

from portward import wire
from portward.model import Severity, is_complete
from portward.render import documents
from portward.render.text import Paint, address, judgement, partial, table, what
from portward.wording import age, brief, kind, leased, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from portward.answers import FleetCheck, FleetLeases, FleetReading, FleetWho, HostPort, Hosts
    from portward.model import Endpoint, Finding, HostReport
    from portward.render.documents import Document

MOST_HOSTS = 20
"""Hosts that are all shown; of more, only those that are not live."""

MOST_ROWS = 200
"""Rows of a table that are shown."""


def ls_document(answer: FleetReading) -> Document:
    """`ls --fleet --json`."""
    rows = [{"host": report.host, **wire.listener(row)} for report, row in answer.rows or ()]
    complete = is_complete((row for _, row in answer.rows or ()), answer.hosts.skipped)
    return {"listeners": rows, **_hosts_document(answer.hosts), "complete": complete}


def who_document(answer: FleetWho) -> Document:
    """`who --fleet --json`: a row for each host where a port is held or leased."""
    rows = [
        {
            "host": row.report.host,
            "port": row.endpoint.port,
            "transport": str(row.endpoint.transport),
            "listeners": [{"host": row.report.host, **wire.listener(each)} for each in row.listeners],
            "lease": _lease(row),
        }
        for row in answer.ports
    ]
    return {"ports": rows, **_hosts_document(answer.hosts)}


def check_document(answer: FleetCheck) -> Document:
    """`check --fleet --json`: `by` says what tells `available`: a bind, or who listens by the host's own word."""
    severities = [finding.severity for _, finding in answer.findings]
    document: Document = {
        "ports": [
            {
                "host": row.report.host,
                "port": row.endpoint.port,
                "transport": str(row.endpoint.transport),
                "address": row.endpoint.address or None,
                "available": row.available,
                "by": row.by,
                "listeners": [{"host": row.report.host, **wire.listener(each)} for each in row.listeners],
                "lease": _lease(row),
            }
            for row in answer.ports
        ],
        "findings": [{"host": report.host, **documents.finding(finding)} for report, finding in answer.findings],
        "summary": {"errors": severities.count(Severity.ERROR), "warnings": severities.count(Severity.WARNING)},
        **_hosts_document(answer.hosts, answer.fits),
    }
    if answer.project is not None:
        document |= {"project": answer.project.name, "root": answer.project.root}
    return document


def leases_document(answer: FleetLeases) -> Document:
    """`leases --fleet --json`: LEASEs with the name of their host; `state` is null where it is not known."""
    rows = [
        {**wire.lease(lease, bool(live)), **({"state": None} if live is None else {}), "name": name}
        for name, lease, live in answer.leases
    ]
    return {"leases": rows, **_hosts_document(answer.hosts)}


def _lease(row: HostPort) -> Document | None:
    return wire.lease(row.lease, bool(row.listeners)) if row.lease else None


def _hosts_document(hosts: Hosts, fits: Mapping[str, bool | None] | None = None) -> Document:
    return {
        "hosts": [
            {
                "host": report.host,
                "name": report.name,
                "seen": wire.moment(report.seen) if report.seen else None,
                "age": round(max(0.0, hosts.now - report.seen), 3) if report.seen else None,
                "state": hosts.state(report),
                "listeners": len(report.listeners),
                "problem": report.problem,
                **({"fits": fits.get(report.host)} if fits else {}),
            }
            for report in hosts.reports
        ],
        "skipped": [{"what": entry.what, "reason": entry.reason} for entry in hosts.skipped],
        "complete": not hosts.skipped,
    }


def ls(answer: FleetReading, queries: Sequence[str]) -> Iterator[str]:
    """Who listens where."""
    hosts = answer.hosts
    rows = answer.rows
    count = sum(len(report.listeners) for report in hosts.reports) if rows is None else len(rows)
    on = len({report.host for report, _ in rows}) if rows else 0
    matching = f" match{'es' * (count == 1)} {' '.join(queries)}, on {_hosts(on)}" if queries else ""
    yield f"{_summary(hosts)}; {count} listener{'s' * (count != 1)}{matching}"
    yield from () if queries else _each(hosts)
    if rows:
        yield ""
        head = ("HOST", "SEEN", "PORT", "ADDRESS", "HELD BY", "USER", "PROJECT", "COMMAND")
        cells = [
            [
                shown(report.name, 30),
                _seen(report, hosts),
                f"{row.port}{'' if row.transport == 'tcp' else f'/{row.transport}'}",
                address(row),
                brief(row),
                shown(row.user or (row.processes[0].user or "" if row.processes else ""), 20),
                shown(row.project or "", 20),
                what(row),
            ]
            for report, row in rows[:MOST_ROWS]
        ]
        yield from table(head, cells, right=(2,))
        yield from _more(len(rows), "portward ls --fleet 5432")
    elif rows is None:
        yield "hint: `portward ls --fleet 5432`, or a word of a name, shows those; --json has all"
    yield from _not_seen(hosts)


def who(answer: FleetWho) -> Iterator[str]:
    """Who has each port on which host, and to whom it is promised."""
    for endpoint in answer.asked:
        rows = [row for row in answer.ports if row.endpoint == endpoint]
        held = [row for row in rows if row.listeners]
        where = f"is held on {len(held)} of {_hosts(len(answer.hosts.reports))}" if held else "is held on no host"
        yield f"{_port(endpoint)} {where}"
        cells = [
            [
                shown(row.report.name, 30),
                _seen(row.report, answer.hosts),
                address(each),
                brief(each),
                shown(each.user or "", 20),
                shown(each.project or "", 20),
                what(each),
            ]
            for row in held
            for each in row.listeners
        ]
        if cells:
            yield from table(("HOST", "SEEN", "ADDRESS", "HELD BY", "USER", "PROJECT", "COMMAND"), cells[:MOST_ROWS])
            yield from _more(len(cells))
        promised = [row for row in rows if row.lease]
        for row in promised[:MOST_ROWS]:
            if row.lease:
                yield f"  {shown(row.report.name, 30)}: {leased(row.lease, '')}"
        yield from _more(len(promised))
    yield from _not_seen(answer.hosts)


def check(answer: FleetCheck, paint: Paint, full: bool = False) -> Iterator[str]:
    """The verdict, each finding with its host, then every host."""
    yield _fit(answer) if answer.project else _free(answer)
    worth = [(report, finding) for report, finding in answer.findings if full or finding.severity is not Severity.NOTE]
    for report, finding in worth[:MOST_HOSTS]:
        yield ""
        yield from judgement(finding.replace(message=f"{shown(report.name, 30)}: {finding.message}"), paint)
    yield from _more(len(worth), most=MOST_HOSTS)
    yield ""
    yield from _fits(answer) if answer.project else _ports(answer)
    told = "Other hosts are judged" if answer.hosts.own else "These hosts are judged"
    yield f"{told} by what they say of themselves, as old as is shown; no bind was tried there."
    yield from _not_seen(answer.hosts)


def _fit(answer: FleetCheck) -> str:
    assert answer.project is not None
    names = {report.host: shown(report.name, 30) for report in answer.hosts.reports}
    no = [names[host] for host, fits in answer.fits.items() if fits is False]
    yes = sum(fits is True for fits in answer.fits.values())
    unknown = sum(fits is None for fits in answer.fits.values())
    words = [f"fits on {yes} of {_hosts(len(names))}"]
    words += [f"not on {', '.join(no[:3])}" + (f" and {len(no) - 3} more" if len(no) > 3 else "")] if no else []
    words += [f"not known of {unknown}"] if unknown else []
    return f"{answer.project.name} {', '.join(words)}"


def _fits(answer: FleetCheck) -> Iterator[str]:
    wrong: dict[str, list[Finding]] = {}
    for report, finding in answer.findings:
        if finding.severity is Severity.ERROR:
            wrong.setdefault(report.host, []).append(finding)
    rows = []
    for report in answer.hosts.reports:
        ports = ", ".join(f"{each.port} ({each.service})" for each in wrong.get(report.host, ()))
        fits = answer.fits.get(report.host)
        if fits is not True or len(answer.hosts.reports) <= MOST_HOSTS:
            word = "not known" if fits is None else "yes" if fits else f"no: {ports}"
            rows.append([shown(report.name, 30), _seen(report, answer.hosts), word])
    yield from table(("HOST", "SEEN", "FITS"), rows[:MOST_ROWS]) if rows else ()
    yield from _more(len(rows))


def _free(answer: FleetCheck) -> str:
    endpoints = dict.fromkeys(row.endpoint for row in answer.ports)
    words = []
    for endpoint in endpoints:
        rows = [row for row in answer.ports if row.endpoint == endpoint]
        free = sum(row.available is True for row in rows)
        words.append(f"{_port(endpoint)} is free on {free} of {_hosts(len(rows))}")
    return "; ".join(words[:5]) + (f"; and {len(words) - 5} more ports" if len(words) > 5 else "")


_AVAILABLE = {True: "free", False: "taken", None: "not known"}
_BY = {"bind": "a bind", "published": "who listens there", None: ""}


def _ports(answer: FleetCheck) -> Iterator[str]:
    short = len(answer.ports) <= MOST_HOSTS
    rows = [
        [
            shown(row.report.name, 30),
            _seen(row.report, answer.hosts),
            _port(row.endpoint),
            _AVAILABLE[row.available],
            _BY[row.by],
            brief(row.listeners[0]) if row.listeners else "",
            leased(row.lease, "") if row.lease else "",
        ]
        for row in answer.ports
        if short or row.available is not True or row.lease
    ]
    if rows:
        head = ("HOST", "SEEN", "PORT", "STATE", "BY", "HELD BY", "PROMISED")
        yield from table(head, rows[:MOST_ROWS], right=(2,))
    yield from _more(len(rows))


def leases(answer: FleetLeases) -> Iterator[str]:
    """The leases of all hosts."""
    count = len(answer.leases)
    yield f"{_summary(answer.hosts)}; {count} lease{'s' * (count != 1)}"
    if answer.leases:
        yield ""
        cells = [
            [
                shown(name, 30),
                f"{lease.port}{'' if lease.transport == 'tcp' else f'/{lease.transport}'}",
                shown(lease.holder.service, 30),
                "" if live is None else "live" if live else "idle",
                kind(lease),
                shown(lease.holder.worktree),
            ]
            for name, lease, live in answer.leases[:MOST_ROWS]
        ]
        yield from table(("HOST", "PORT", "SERVICE", "STATE", "KIND", "WORKTREE"), cells, right=(1,))
        yield from _more(count)
    yield from _not_seen(answer.hosts)


def _summary(hosts: Hosts) -> str:
    """How many hosts there are, and how old what they said is."""
    states = [hosts.state(report) for report in hosts.reports]
    live = [hosts.now - each.seen for each in hosts.reports if each.alive and each.seen and each.host != hosts.own]
    words = [f"{states.count(state)} {state}" for state in ("live", "gone", "unreachable") if state in states]
    oldest = f" (told at most {age(max(live))} ago)" if live and max(live) >= 1 else ""
    return f"{_hosts(len(states))}: {', '.join(words) or 'none'}{oldest}"


def _each(hosts: Hosts) -> Iterator[str]:
    """How many listeners each of a few hosts has, and when it was heard. Of many, only those that are not live are named, as not seen."""
    if 1 < len(hosts.reports) <= MOST_HOSTS:
        rows = (
            [shown(report.name, 30), _seen(report, hosts), str(len(report.listeners)) if report.alive else ""]
            for report in hosts.reports
        )
        yield ""
        yield from table(("HOST", "SEEN", "LISTENERS"), rows, right=(2,))


def _seen(report: HostReport, hosts: Hosts) -> str:
    ago = hosts.now - report.seen
    when = "now" if report.host == hosts.own or ago < 1 else f"{age(ago)} ago" if report.seen else "never"
    state = hosts.state(report)
    return {"live": when, "gone": f"gone {when}", "unreachable": "unreachable"}[state]


def _hosts(count: int) -> str:
    return f"{count} host{'s' * (count != 1)}"


def _port(endpoint: Endpoint) -> str:
    return f"{endpoint}/{endpoint.transport}"


def _more(count: int, example: str = "", most: int = MOST_ROWS) -> Iterator[str]:
    if count > most:
        yield f"and {count - most} more: --json has all" + (f"; `{example}` narrows it" if example else "")


def _not_seen(hosts: Hosts) -> Iterable[str]:
    shown_ones = hosts.skipped[:MOST_HOSTS]
    yield from partial((), shown_ones)
    if len(hosts.skipped) > MOST_HOSTS:
        yield f"not seen: {len(hosts.skipped) - MOST_HOSTS} more: --json has all"
