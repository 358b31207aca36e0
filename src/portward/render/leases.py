"""Promised ports as text for people and for shells."""

from __future__ import annotations

from portward.render.text import table
from portward.wording import brief, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.answers import Verified
    from portward.leasing import Granted


def table_of(answer: Granted) -> Iterator[str]:
    """The leases as a table, or what to do when there are none."""
    if not answer.leases:
        yield "Nothing is leased."
        yield "hint: `portward lease SERVICE` promises a port; --all shows everyone's"
        return
    rows = []
    for lease in answer.leases:
        holder = lease.holder
        service = f"{holder.service}:{holder.instance}" if holder.instance else holder.service
        transport = "" if lease.transport == "tcp" else f"/{lease.transport}"
        state = "live" if lease.port in answer.live else "idle"
        rows.append([f"{lease.port}{transport}", shown(service), state, str(lease.kind), shown(holder.worktree)])
    yield from table(("PORT", "SERVICE", "STATE", "KIND", "WORKTREE"), rows, right=(0,))


def verified(answer: Sequence[Verified]) -> Iterator[str]:
    """A line for each port: whose it is, and by what."""
    for row in answer:
        holders = ", ".join(dict.fromkeys(brief(each) for each in row.listeners))
        yield f"{row.port}: {row.whose}" + (f" ({holders})" if holders else "")
