"""What ports customarily mean: services and the ports they use, special ranges, and kinds of services. Pure.

Custom is not evidence. Twenty and more services use 8080 by default, so a look-up by port answers with all of them;
what really listens is for `sockets` and `probes` to say. The ports that the project's guide names come first
everywhere; where upstream contradicts the guide, the row stays and its `note` says what upstream does.

Nothing is read before the first look-up.
"""

from portward.catalog.kinds import DEFAULT_RANGES, KINDS, kind_of
from portward.catalog.ranges import (
    BROWSER_BLOCKED,
    NODE_PORTS,
    PRIVILEGED,
    SpecialRange,
    browser_blocked,
    reasons_to_avoid,
    special_ranges,
)
from portward.catalog.services import CatalogEntry, by_port, custom_of, customary, entries, kind_of_port, search

__all__ = [
    "BROWSER_BLOCKED",
    "DEFAULT_RANGES",
    "KINDS",
    "NODE_PORTS",
    "PRIVILEGED",
    "CatalogEntry",
    "SpecialRange",
    "browser_blocked",
    "by_port",
    "custom_of",
    "customary",
    "entries",
    "kind_of",
    "kind_of_port",
    "reasons_to_avoid",
    "search",
    "special_ranges",
]
