"""Answers as text for people: the answer first, then the evidence, then what to type next. No line is a decoration.

Colour only marks what is wrong, and is the caller's choice (`Paint`).
"""

from __future__ import annotations

import os

from portward.model import Owners, PortState, Severity, State
from portward.wording import brief, command_line, holder, leased, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from portward.answers import Check, PortCheck, PortReport, ServiceReport, Services, Who, WhoAnswer
    from portward.catalog import CatalogEntry
    from portward.model import Finding, Fix, Listener, Project, Reading, Skipped

WIDTH = 100
_LONGEST_PATH = 34  # of a file in a table


class Paint:
    """Colours for a terminal, or none."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, style: str) -> str:
        code = {"error": "1;31", "warning": "33", "note": "36", "dim": "2", "bold": "1", "good": "32"}[style]
        return f"\x1b[{code}m{text}\x1b[0m" if self.on else text


def table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Aligned columns, two blanks apart; those of the indexes in `right` to the right. The last is cut at `WIDTH`."""
    cells = [head, *rows]
    columns = []
    for index, column in enumerate(zip(*cells, strict=True)):
        width = max(map(len, column))
        align = str.rjust if index in right else str.ljust
        columns.append([align(cell, width) for cell in column])
    return [cut("  ".join(row).rstrip()) for row in zip(*columns, strict=True)]


def cut(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def ls(reading: Reading, queries: Sequence[str]) -> Iterator[str]:
    """The listeners as a table, or what to do when there are none."""
    if reading.listeners:
        foreign = any(row.netns for row in reading.listeners)
        asked = any(row.identity for row in reading.listeners)
        more = [*(["NETNS"] if foreign else []), *(["SERVICE"] if asked else [])]
        head = ["PORT", "ADDRESS", "HELD BY", "USER", "PROJECT", *more, "COMMAND"]
        yield from table(head, (_listener(row, foreign, asked) for row in reading.listeners), right=(0,))
    elif queries:
        yield f"Nothing that listens matches {' '.join(queries)}."
        yield "hint: `portward ls` shows everything; --udp and --all-netns look further"
    else:
        yield "Nothing listens on TCP here."
        yield "hint: --udp shows UDP, --all-netns looks into other network namespaces"
    yield from partial(reading.listeners, reading.skipped)


def _listener(row: Listener, foreign: bool, asked: bool) -> list[str]:
    transport = "" if row.transport == "tcp" else f"/{row.transport}"
    return [
        f"{row.port}{transport}",
        address(row),
        brief(row),
        shown(row.user or (row.processes[0].user or "" if row.processes else "")),
        shown(row.project or ""),
        *([row.netns or ""] if foreign else []),
        *([_identity(row)] if asked else []),
        what(row),
    ]


def _identity(row: Listener) -> str:
    from portward.render.reach import brief as named

    return named(row.identity)


def address(row: Listener) -> str:
    address = row.endpoint.address
    if address == "::" and row.endpoint.v6only is False:
        return "*"
    return f"[{address}]" if ":" in address else address or "*"


def what(row: Listener) -> str:
    if row.container is not None:
        target = f":{row.container.target} of " if row.container.target else ""
        return f"{target}{shown(row.container.image)}"
    if row.state is State.BOUND:
        return row.note or "bound, not listening"
    if len(row.processes) > 1:
        return f"{command_line(row.processes[0])}  (+{len(row.processes) - 1} processes)"
    return command_line(row.processes[0]) if row.processes else ""


def partial(rows: Iterable[Listener], skipped: Iterable[Skipped]) -> Iterator[str]:
    """What the answer lacks, in its last lines."""
    rows = list(rows)
    hidden = sum(row.owners is Owners.HIDDEN for row in rows)
    if hidden:
        more = "even root may not see them" if _is_root() else "run with sudo, or see `portward setup`"
        yield f"{hidden} of {len(rows)} owners {'is' if hidden == 1 else 'are'} hidden from you: {more}"
    for entry in skipped:
        yield from wrapped(f"not seen: {entry.what}: {entry.reason}", "      ")


def who(answer: WhoAnswer, now: float) -> Iterator[str]:
    """What holds each port, and what there is to know about it."""
    for index, row in enumerate(answer.ports):
        if index:
            yield ""
        yield from _who(row, now, answer.worktree)
    yield from partial(answer.rows, answer.skipped)


def _who(row: Who, now: float, worktree: str) -> Iterator[str]:
    name = f"{row.port}/{row.transport}"
    live = [listener for listener in row.listeners if listener.state is not State.CLAIMED]
    if not live:
        yield f"{name}: nothing listens there" + (", but it is claimed" if row.listeners else "")
    else:
        yield f"{name} is held on {_list(address(listener) for listener in live)}{_split_families(live)}"
    for listener, chain in zip(row.listeners, row.ancestry, strict=True):
        where = f" in network namespace {listener.netns}" if listener.netns else ""
        yield from wrapped(f"  {address(listener)}{where}  {holder(listener, now)}", "      ")
        if chain:
            parents = " < ".join(f"{shown(process.name)} {process.pid}" for process in chain)
            yield cut(f"      started by: {parents}")
    if row.declared:
        yield from wrapped(f"declared in {_list(str(place) for place in row.declared)}", "  ")
    if row.customary:
        yield from wrapped(f"customarily {_list(row.customary)}", "  ")
    if row.lease:
        yield from wrapped(leased(row.lease, worktree), "  ")
    if row.history is not None:
        from portward.render.watching import history

        yield from history(row.history)
    yield from _hints(None, row.fixes)
    if not row.listeners:
        asked = f"{row.port}/udp" if row.transport == "udp" else str(row.port)
        yield f"hint: `portward check {asked}` tells whether it can be had; --all-netns looks further"


def _split_families(rows: Sequence[Listener]) -> str:
    """Says that "localhost" is ambiguous when two different servers share a number, one for each family."""
    here = [row for row in rows if row.netns is None]
    v4 = {process.pid for row in here if ":" not in row.endpoint.address for process in row.processes}
    v6 = {process.pid for row in here if ":" in row.endpoint.address for process in row.processes}
    return ': two different servers, and "localhost" means either' if v4 and v6 and v4.isdisjoint(v6) else ""


def _list(items: Iterable[str]) -> str:
    *first, last = dict.fromkeys(items)
    return f"{', '.join(first)} and {last}" if first else last


def check(answer: Check, paint: Paint, full: bool = False) -> Iterator[str]:
    """The verdict, each error and warning with its evidence, then the table of what was asked for, and the notes.

    A note takes a line, and several of one rule share it; with `full` each is told like an error.
    """
    if answer.project is None:
        yield from _check_ports(answer, paint)
    else:
        yield from _check_project(answer, paint, full)
    yield from partial(answer.rows, answer.skipped)


def _check_ports(answer: Check, paint: Paint) -> Iterator[str]:
    findings = {finding.message.partition(" ")[0]: finding for finding in answer.findings}
    for row in answer.ports:
        finding = findings.get(f"{row.endpoint}/{row.endpoint.transport}")
        if finding is None:
            yield _available(row)
        else:
            yield from judgement(finding, paint)


def _available(row: PortCheck) -> str:
    here = [listener for listener in row.listeners if not listener.netns]
    remark = ""
    if here:  # a stopped container's claim, or a container that is reached by packet rules alone
        remark = f", but {brief(here[0])} {'claims' if here[0].state is State.CLAIMED else 'publishes'} it"
    if row.lease:
        remark += f", leased to {shown(row.lease.holder.service)} here"
    other = [listener for listener in row.listeners if listener.netns]
    remark += f" here; held by {brief(other[0])} in network namespace {other[0].netns}" if other else ""
    return f"{row.endpoint}/{row.endpoint.transport} is available{remark}"


def _check_project(answer: Check, paint: Paint, full: bool) -> Iterator[str]:
    assert answer.project is not None
    ports = [report for service in answer.services for report in _entries(service)]
    if ports:
        yield f"{answer.project.name}: {_verdict(answer, ports)}"
    else:
        yield f"{answer.project.name}: no port is declared in {answer.project.root}"
        if not answer.project.aside:
            yield "hint: ports are read from Compose files, .env files, code and configuration: README.md of Portward has the list"
    yield from _aside(answer.project)
    for finding in answer.findings:
        if full or finding.severity is not Severity.NOTE:
            yield ""
            yield from judgement(finding, paint)
    if ports:
        yield ""
        yield from _services(answer.services)
    for row in answer.elsewhere:
        yield from wrapped(f"not in the way: {brief(row)} has {row.port} in network namespace {row.netns}", "      ")
    yield from _in_short(answer, paint, full)


def _aside(project: Project) -> Iterator[str]:
    """Where the projects are, if no Compose file is in force in this folder."""
    if project.aside:
        from shlex import quote

        first, *others = project.aside
        folder = quote(os.path.relpath(f"{project.root}/{first}"))
        named = _list([first, *others[:2], *([f"{len(others) - 2} more"] if len(others) > 2 else [])])
        yield from wrapped(f"hint: projects of their own are in {named}: `portward -C {folder} check`", "      ")


def _verdict(answer: Check, ports: Sequence[PortReport]) -> str:
    counts = [f"{len(ports)} port{'s' * (len(ports) != 1)} published"]
    running = sum(report.state is PortState.RUNNING for report in ports)
    rules = [finding.rule for finding in answer.findings]
    words = {
        "address-in-use": "in the way",
        "leased-to-another": "leased to others",
        "duplicate-host-port": "published twice",
        "invalid-port": "invalid",
    }
    words["stale-port-reference"] = "stale reference" + "s" * (rules.count("stale-port-reference") != 1)
    others = [finding.severity for finding in answer.findings if finding.rule not in words]
    found = [f"{rules.count(rule)} {word}" for rule, word in words.items() if rule in rules]
    named = {finding.severity for finding in answer.findings if finding.rule in words}
    for severity in (Severity.ERROR, Severity.WARNING):
        count = others.count(severity)
        found += [f"{count} {'more ' * (severity in named)}{severity}{'s' * (count != 1)}"] if count else []
    counts += [f"{running} running"] if running else []
    return ", ".join([*counts, *found] if found or running else [*counts, "all free"])


def _in_short(answer: Check, paint: Paint, full: bool) -> Iterator[str]:
    """The notes, a line for each rule, and how many findings are ignored; with `full` what is ignored and why."""
    notes: dict[str, list[Finding]] = {}
    for finding in answer.findings if not full else ():
        if finding.severity is Severity.NOTE:
            notes.setdefault(finding.rule, []).append(finding)
    if notes or answer.ignored:
        yield ""
    for rule, found in notes.items():
        several = ", ".join(dict.fromkeys(f"{finding.service or ''} {finding.port or ''}".strip() for finding in found))
        line = found[0].message if len(found) == 1 else f"{rule}: {several}"
        yield cut(f"note: {line}").replace("note:", paint("note:", "note"), 1)
    if notes:
        yield "hint: `portward check -v` tells each note in full"
    for finding, ignore in answer.ignored if full else ():
        yield from wrapped(f"ignored: {finding.message} ({ignore.reason})", "      ")
    if answer.ignored and not full:
        count = len(answer.ignored)
        yield f"{count} finding{'s are' if count > 1 else ' is'} ignored by the settings"


def judgement(finding: Finding, paint: Paint) -> Iterator[str]:
    """A finding with its places and every way out."""
    first, *more = wrapped(f"{finding.severity}: {finding.message}", "      ")
    yield first.replace(f"{finding.severity}:", paint(f"{finding.severity}:", str(finding.severity)), 1)
    yield from more
    width = max((len(str(place)) for place in finding.locations), default=0)
    for place in finding.locations:
        yield cut(f"  {str(place).ljust(width)}   {shown(place.excerpt or '')}".rstrip())
    yield from _hints(finding.hint, finding.fixes, "  ")


def _hints(hint: str | None, fixes: Iterable[Fix], indent: str = "") -> Iterator[str]:
    """Every way out, a line each; the hint first, unless it is the title of a fix."""
    fixes = list(fixes)
    if hint and hint not in (fix.title for fix in fixes):
        yield from wrapped(f"{indent}hint: {hint}", f"{indent}      ")
    for fix in fixes:
        line = f"{indent}hint: {fix.title}"
        if fix.command and len(line) + len(fix.command) + 4 <= WIDTH:
            yield f"{line}: `{fix.command}`"
            continue
        yield from wrapped(f"{line}:" if fix.command else line, f"{indent}      ")
        if fix.command:
            yield f"{indent}      {fix.command}"  # whole on its line, to be copied


def wrapped(line: str, indent: str) -> list[str]:
    """The line in as many as it takes to fit `WIDTH`; words are never broken."""
    if len(line) <= WIDTH:
        return [line]
    lines, words = [], line.split(" ")  # `textwrap` loads `re`, which takes a fifth of an answer
    made = words.pop(0)
    for word in words:
        if len(made) + 1 + len(word) <= WIDTH or not made.strip():
            made += f" {word}"
        elif word:
            lines.append(made.rstrip())
            made = indent + word
    return [*lines, made.rstrip()]


def services(answer: Services) -> Iterator[str]:
    """The project's ports as a table, and the services behind a profile that is not active."""
    yield f"{answer.project.name} ({answer.project.root})"
    yield from _services(answer.services)
    yield from _aside(answer.project)
    for report in answer.inactive:
        claims = [spec.published or "engine's choice" for spec in report.service.entries]
        ports = _list(claims) if claims else "no port"
        yield f"inactive: {report.service.name} ({ports}); --profile activates it"
    yield from partial(answer.rows, answer.skipped)


def _services(reports: Sequence[ServiceReport]) -> list[str]:
    rows = [_port_row(service, group) for service in reports for group in _as_written(_entries(service))]
    if not rows:
        return ["No service publishes a port."]
    return table(("SERVICE", "HOST", "CONTAINER", "STATE", "HELD BY", "WRITTEN IN"), rows, right=(1, 2))


def _entries(service: ServiceReport) -> list[PortReport]:
    """What the files give the service of the host's ports."""
    entries = {id(spec) for spec in service.service.entries}  # there may be thousands
    return [report for report in service.ports if id(report.spec) in entries]


def _as_written(reports: Iterable[PortReport]) -> Iterator[list[PortReport]]:
    """The ports of one written range together, as far as they are in one state and in the same hands."""
    groups: dict[object, list[PortReport]] = {}
    for report in reports:
        holder = brief(report.holders[0]) if report.holders else ""
        groups.setdefault((report.spec.location, report.spec.span, report.state, holder), []).append(report)
    yield from groups.values()


def _port_row(service: ServiceReport, reports: Sequence[PortReport]) -> list[str]:
    report = min(reports, key=lambda report: report.spec.range.low if report.spec.range else 0)
    last = max(reports, key=lambda report: report.spec.range.high if report.spec.range else 0)
    spec = report.spec
    more = f"-{last.spec.published}" if last is not report and last.spec.published else ""
    address = f"[{spec.host_ip}]" if ":" in spec.host_ip else spec.host_ip or "0.0.0.0"
    host = f"{address}:{spec.published}{more}" if spec.published else _chosen(report)
    target = f"{spec.target}-{last.spec.target}" if last.spec.target != spec.target else f"{spec.target}"
    if service.service.host_network and spec.origin == "compose":
        host = f"{target} by itself"
    return [
        service.service.name,
        host,
        f"{target}{spec.suffix}" if spec.target else "",
        str(report.state or ""),
        _held_by(report),
        f"{_abridged(spec.location.path)}:{spec.location.line}",
    ]


def _abridged(path: str) -> str:
    """A path without the middle of it, where it would not fit beside the rest: `shop/…/application.yml`."""
    parts = path.split("/")
    return f"{parts[0]}/…/{parts[-1]}" if len(path) > _LONGEST_PATH and len(parts) > 2 else path


def _held_by(report: PortReport) -> str:
    if report.state is PortState.LEASED and report.lease:
        holder = report.lease.holder
        return shown(f"{holder.service} of {os.path.basename(holder.worktree) or 'nowhere'}", 40)
    if not report.holders:
        return ""
    return brief(report.holders[0]) + (f" (by its {report.sign})" if report.sign in ("lease", "protocol") else "")


def _chosen(report: PortReport) -> str:
    return str(report.bound[0]) if report.bound else "engine's choice"


def catalog(entries: Sequence[CatalogEntry], query: str) -> Iterator[str]:
    """The catalog's rows as a table."""
    if not entries:
        yield f"The catalog knows nothing about {query}."
        yield "hint: `portward catalog` shows all of it"
        return
    rows = (
        [entry.port_text, entry.transport, entry.service, f"{entry.role}; {entry.note}" if entry.note else entry.role]
        for entry in entries
    )
    yield from table(("PORT", "", "SERVICE", "USED FOR"), rows, right=(0,))


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0
