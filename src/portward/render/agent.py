"""What `agent` tells: a line for each event, or a JSON document on a line (JSON Lines)."""

from __future__ import annotations

import json
import time

from portward import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.answers import AgentEvent


def line(event: AgentEvent) -> str:
    """The local time, and what happened."""
    return f"{time.strftime('%H:%M:%S', time.localtime(event.when))}  {event.message}"


def document(event: AgentEvent) -> str:
    """The same for programs."""
    told = {
        "event": event.kind,
        "when": wire.moment(event.when),
        "host": event.host,
        "message": event.message,
        "count": event.count,
        "lease": wire.lease(event.lease, live=False) if event.lease else None,
    }
    return json.dumps(told)
