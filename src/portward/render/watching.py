"""What `ls --watch` tells: a line for each event, or a JSON document on a line (JSON Lines); and the past of a port."""

from __future__ import annotations

import json
import time

from portward.render import documents as shapes
from portward.render.text import address, cut, ls, what
from portward.wording import brief, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.answers import Event, Past
    from portward.model import Reading

_SIGNS = {"start": "+", "stop": "-", "owner": "~"}
_PAST = {
    "present": "was there",
    "start": "began",
    "stop": "ended",
    "owner": "took it over",
    "ran": "was started",
    "ended": "has ended",
    "leased": "has a lease",
    "reclaimed": "lost its lease",
    "stopped": "was stopped",
}


def beginning(reading: Reading, queries: Sequence[str]) -> Iterator[str]:
    """What is there, and what follows."""
    yield from ls(reading, queries)
    yield "Watching: + begins to listen, - ends, ~ changes hands. Ctrl-C ends this."


def lines(events: Sequence[Event]) -> Iterator[str]:
    """The local time, what happened, where, and who."""
    for event in events:
        row = event.listener
        transport = "" if row.transport == "tcp" else f"/{row.transport}"
        where = f"{address(row)}:{row.port}{transport}" + (f" in {row.netns}" if row.netns else "")
        facts = [brief(row), shown(row.user or ""), shown(row.project or ""), what(row)]
        moment = time.strftime("%H:%M:%S", time.localtime(event.when))
        yield cut(f"{moment}  {_SIGNS[event.kind]} {where:<22}  {'  '.join(filter(None, facts))}")


def documents(reading: Reading, events: Sequence[Event], is_first: bool) -> Iterator[str]:
    """A document for each event; at first also one for each thing that cannot be seen."""
    for event in events:
        yield json.dumps(shapes.event(event))
    for entry in reading.skipped if is_first else ():
        yield json.dumps({"event": "skipped", "what": entry.what, "reason": entry.reason})


def history(past: Sequence[Past]) -> Iterator[str]:
    """Who held a port before, the latest first."""
    if not past:
        yield "  before: nothing is known; `portward ls --watch`, `top` and `serve` write down what they see"
        return
    yield "  before, as far as Portward looked:"
    for each in past:
        who = f"{each.who} {each.pid}" if each.pid and str(each.pid) not in each.who else each.who
        where = f" on {each.address}" if each.address else ""
        known = ", ".join(shown(text) for text in (each.user, each.project) if text)
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.when))
        yield cut(f"    {moment}  {who} {_PAST.get(each.what, each.what)}{where}" + (f" ({known})" if known else ""))
