"""Promised ports as text for people and for shells."""

from __future__ import annotations

from portward.render.text import table
from portward.wording import brief, kind, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.answers import Verified
    from portward.verbs.leasing import Granted


def table_of(answer: Granted) -> Iterator[str]:
    """The leases as a table, or what to do when there are none."""
    if not answer.leases:
        yield "Nothing is leased."
        yield "hint: `portward lease SERVICE` promises a port; --all shows everyone's"
        return
    many = len({lease.host for lease in answer.leases}) > 1
    rows = []
    for lease in answer.leases:
        holder = lease.holder
        service = f"{holder.service}:{holder.instance}" if holder.instance else holder.service
        transport = "" if lease.transport == "tcp" else f"/{lease.transport}"
        state = ("live" if lease in answer.live else "idle") + ("" if lease.token else ", unconfirmed")
        place = shown(f"{lease.host}:{holder.worktree}" if many else holder.worktree)
        rows.append([f"{lease.port}{transport}", shown(service), state, kind(lease), place])
    yield from table(("PORT", "SERVICE", "STATE", "KIND", "WORKTREE"), rows, right=(0,))


_MOST = 10


def brief_of(answer: Granted) -> Iterator[str]:
    """The leases of one working tree in a few lines, and what to do with them: what an agent reads when it starts."""
    if answer.leases:
        told = []
        for lease in answer.leases[:_MOST]:
            service = (
                f"{lease.holder.service}:{lease.holder.instance}" if lease.holder.instance else lease.holder.service
            )
            told.append(f"{shown(service, 40)} {lease.port}" + (" (live)" if lease in answer.live else ""))
        more = f" and {len(answer.leases) - _MOST} more" if len(answer.leases) > _MOST else ""
        yield f"Ports of this working tree, promised to nobody else (Portward): {', '.join(told)}{more}."
    else:
        yield "No port is promised to this working tree yet (Portward): `portward lease` gives each service one."
    yield 'Start servers with `portward run SERVICE -- COMMAND`. On "address already in use": `portward explain`, not a change of the code.'
    yield "Never kill by port or name: `portward kill PORT --mine --yes` stops only what is of this working tree."


def verified(answer: Sequence[Verified]) -> Iterator[str]:
    """A line for each port: whose it is, and by what."""
    for row in answer:
        holders = ", ".join(dict.fromkeys(brief(each) for each in row.listeners))
        yield f"{row.port}: {row.whose}" + (f" ({holders})" if holders else "")
