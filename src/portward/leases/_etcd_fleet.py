"""A port for several hosts, or a whole fleet: made sure of in two steps, so that no host is granted it meanwhile or has it already.

First the intent is written where every grant looks (`Draft.at`): from that revision on no host is granted the port. Then what the hosts
have is read once more; if none has it, the lease is granted, and the intent becomes its claim. An intent ends by itself if its author does.
"""

from __future__ import annotations

from contextlib import suppress

from portward.errors import Unavailable
from portward.model import EVERYWHERE, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.leases._etcd_draft import Draft, Place
    from portward.leases._etcd_gateway import Gateway
    from portward.leases._etcd_records import Keys

SECONDS = 30
"""How long an intent lasts: three times what a grant is tried at most."""


def taken(gateway: Gateway, keys: Keys, hosts: tuple[str, ...], own: str) -> set[Place]:
    """The ports that others of the hosts have, however long ago their time ran out: only they can tell that."""
    prefixes = [keys.all_of("l", host) for host in hosts] if hosts != EVERYWHERE else [keys.all_of("l")]
    places = (keys.place(kv.key) for prefix in prefixes for kv in gateway.all_below(prefix, values=False))
    known = {str(each): each for each in Transport}
    return {
        (port, known[transport]) for host, port, transport in filter(None, places) if host != own and transport in known
    }


class Intent:
    """What one grant intends to claim of hosts."""

    def __init__(self, gateway: Gateway, keys: Keys, hosts: tuple[str, ...], own: str) -> None:
        self._gateway = gateway
        self._keys = keys
        self._hosts = hosts
        self._own = own
        self._lifeline = 0

    def taken(self) -> set[Place]:
        """See `taken`."""
        return taken(self._gateway, self._keys, self._hosts, self._own) if self._hosts else set()

    def is_ours(self, draft: Draft) -> bool:
        """Whether nobody has what a draft would claim, nor can be granted it any more."""
        claims = draft.new_claims()
        if not claims:
            return True
        self._lifeline = self._gateway.grant(SECONDS)
        return draft.intend(self._lifeline) and claims.isdisjoint(self.taken())

    def end(self) -> None:
        """Takes back what has not become a claim."""
        if self._lifeline:
            with suppress(Unavailable):  # then it ends by itself
                self._gateway.call("lease/revoke", {"ID": str(self._lifeline)})
            self._lifeline = 0
