"""The verbs that change a project's files: `set`, `resolve`, `undo`, `pin` and `init`. Each shows what it would do, or does it."""

from __future__ import annotations

from portward.answers import Changes
from portward.errors import FileChanged, NoFreePort, UsageError
from portward.truths.change import Draft, Texts, chosen, undone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portward.model import ComposeOptions, Finding, Link
    from portward.truths.declared import Declared
    from portward.truths.leased import Leased
    from portward.truths.live import Live


_SHOWN = 8  # of a service's other ports, which may be thousands


def set_ports(
    declared: Declared,
    wishes: Sequence[str],
    *,
    container: bool,
    write: bool,
    options: ComposeOptions | None,
    shown: Changes | None = None,
) -> Changes:
    """See `Portward.set_ports`."""
    from portward.arguments import parse_wish
    from portward.plan import Move

    parsed = [parse_wish(wish) for wish in wishes]
    session = declared.change(options)
    moves, remarks = [], list(session.remarks)
    for wish in parsed:
        links, others = chosen(session.project, wish)
        moves += [Move(link, wish.port, container) for link in links]
        if others and wish.target is None:
            ports = ", ".join(_names(links[0], others)[:_SHOWN])
            more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
            stay = "stays as it is" if len(others) == 1 else "stay as they are"
            remarks.append(f"{wish.service} publishes more: {ports}{more} {stay}")
        remarks += _again(links[0], others) if wish.target is not None else ()
    return session.change(moves, verb=" ".join(["set", *wishes]), write=write, remarks=remarks, shown=shown)


def _names(link: Link, others: Sequence[Link]) -> list[str]:
    """What `set` calls the other ports of a service: by what is behind each, or by its own number where several have that."""
    from collections import Counter

    entries = [each.entry for each in others if each.entry]
    times = Counter(each.entry.handle for each in (link, *others) if each.entry)
    return [
        f"{link.service}:{entry.handle}" if times[entry.handle] == 1 else f"{entry.number}{entry.suffix}"
        for entry in entries
    ]


def _again(link: Link, others: Sequence[Link]) -> list[str]:
    """What is said where one port of the container is published by several entries: the first of them is meant."""
    entry = link.entry
    same = [other.entry for other in others if other.entry and link.target and other.target == link.target]
    numbers = [f"{each.number}{each.suffix}" for each in same if entry and each.protocol == entry.protocol]
    if not numbers:
        return []
    again = f"{link.service} publishes its port {link.target} again, as {', '.join(numbers)}"
    return [f"{again}: that stays as it is (`portward set {numbers[0]}=PORT` moves it)"]


def resolve(
    live: Live,
    declared: Declared,
    leased: Leased,
    now: float,
    *,
    write: bool,
    options: ComposeOptions | None,
    shown: Changes | None = None,
) -> Changes:
    """See `Portward.resolve`."""
    from portward import rules
    from portward.clearing import to_move
    from portward.plan import Move
    from portward.verbs import survey

    session = declared.change(options)
    snapshot = survey.snapshot_of(live, session.project, session.settings, leased.promises(), now)
    pinned = {pin.service for pin in session.settings.pins}
    findings = rules.judge(snapshot)
    links, stuck = to_move(session.project, findings, pinned)
    free = survey.offering(live, snapshot, {link.service for link in links}, ranges=True).free
    moves = []
    for link in links:
        if link.entry is None or link.entry not in free:
            raise NoFreePort(
                f"no port is free for {link.service} in the place of {link.entry.text if link.entry else ''}",
                hint="`ranges` in portward.toml gives it others; a written range needs as many free ports in a row",
            )
        moves.append(Move(link, free[link.entry], why=_in_the_way(link, findings, snapshot.worktree)))
    remarks = [*session.remarks, *stuck]
    return session.change(moves, verb="resolve", write=write, remarks=remarks, clears=True, shown=shown)


def _in_the_way(link: Link, findings: Sequence[Finding], worktree: str) -> str:
    """Why a published port must move, in a few words."""
    from portward.wording import brief, leased

    entry = link.entry
    assert entry is not None
    twice = entry.number
    for finding in findings:
        if entry.place not in finding.locations:
            continue
        port = str(finding.port or entry.number)
        if finding.holders:
            return f"{port} is held by {brief(finding.holders[0])}"
        if finding.leases:
            return f"{port} is {leased(finding.leases[0], worktree)}"
        twice = port if finding.rule == "duplicate-host-port" else twice
    return f"{twice} is published twice"


def undo(declared: Declared, *, dry_run: bool, shown: Changes | None = None) -> Changes:
    """See `Portward.undo`."""
    if shown is not None and undo(declared, dry_run=True).diff != shown.diff:
        raise FileChanged("the last write is no longer the one that was shown", hint="look at it again")
    if not declared.place:
        declared.files()  # says why there is none
    journal = declared.journal()
    remarks = journal.pending() if dry_run else journal.recover()
    taken_back = journal.undo(dry_run=dry_run)
    if not taken_back and not remarks:
        declared.files()  # `--file` may have made a project of this folder for once: then something was taken back
    return undone(taken_back, dry_run, remarks) if taken_back else Changes((), "", remarks=remarks)


def pin(declared: Declared, wish: str, reason: str, *, write: bool) -> Changes:
    """See `Portward.pin`."""
    from portward.arguments import parse_wish
    from portward.formats.settings import beginning, pinned
    from portward.workspace import SETTINGS

    parsed = parse_wish(wish)
    if parsed.target is not None or parsed.service.isdecimal():
        raise UsageError(
            f"{wish!r} does not say which service", hint="write SERVICE=PORT: a service is pinned as a whole"
        )
    if not reason.strip():
        raise UsageError("a pin needs a reason", hint="--reason tells those who read it later")
    for known in declared.settings().pins:
        already = f"{known.service} is pinned to {known.port} already: {known.reason}"
        if (known.service, known.port) == (parsed.service, parsed.port):
            return Changes((), "", remarks=(already,))
        if known.service == parsed.service or known.port == parsed.port:
            raise UsageError(already, hint=f"change {SETTINGS}")
    files = declared.files()
    texts = Texts(files)
    before = texts(SETTINGS) if SETTINGS in files.top()[0] else beginning()
    draft = Draft(texts, {SETTINGS: before + pinned(parsed.service, parsed.port, reason)})
    return draft.change(declared.journal(), "pin", write)


def init(declared: Declared, *, write: bool) -> Changes:
    """See `Portward.init`."""
    from portward.formats.settings import beginning
    from portward.workspace import SETTINGS

    files = declared.own_files()
    if SETTINGS in files.top()[0]:
        return Changes((), "", remarks=(f"{SETTINGS} is there already",))
    return Draft(Texts(files), {SETTINGS: beginning()}).change(declared.journal(), "init", write)
