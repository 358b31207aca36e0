"""Sets up an etcd cluster's users for Portward: `python -m portward.leases.etcd_roles ADDRESS HOST…`, as etcd's root.

Each HOST gets a user `portward-HOST` who may read all of the store and change that host's keys alone. Prints `USER PASSWORD` for each
new one; a user who is there keeps the password. Asks the cluster who everybody is from then on.
"""

from __future__ import annotations

import secrets
import sys
import time
from base64 import b64encode
from contextlib import suppress

from portward.errors import PortwardError, Unavailable, UsageError
from portward.leases import _etcd_gateway, _etcd_records, etcd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from portward.leases._etcd_gateway import Gateway

KINDS = "lforkd"
"""What a host's user changes: leases, those of a fleet, their holders, reclaimed ones, notes and what was set aside."""

OF_HOST = ("a", "inv", "h")
"""And what its agent does."""

_ROOT = "root"


def set_up(address: str, hosts: Sequence[str], environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Makes users and roles, and yields the new users with their passwords. May be run again, also for more hosts.

    Raises UsageError where `environment` does not name etcd's root and its password, Unavailable for what etcd refuses.
    """
    if environment.get("PORTWARD_ETCD_USER") != _ROOT:
        raise UsageError(
            "this is for etcd's root alone", hint="PORTWARD_ETCD_USER=root, and its PORTWARD_ETCD_PASSWORD"
        )
    store = etcd.store_at(address, environment)
    gateway, keys = store.gateway, store.keys
    if not store.draft().begin():
        gateway.put(keys.version, _etcd_records.made(time.time()))
    _made(gateway, "role", {"name": _ROOT})
    _made(gateway, "user", {"name": _ROOT, "password": _etcd_gateway.access(environment).password})
    gateway.call("auth/user/grant", {"user": _ROOT, "role": _ROOT})
    for host in hosts:
        name, password = f"portward-{host}", secrets.token_urlsafe(24)
        _made(gateway, "role", {"name": name})
        _permitted(gateway, name, "READ", keys.version)
        _permitted(gateway, name, "READ", keys.all_of("l").removesuffix("l/"))
        for kind in KINDS:
            _permitted(gateway, name, "READWRITE", keys.all_of(kind, host))
        for kind in OF_HOST:
            _permitted(gateway, name, "READWRITE", keys.of_host(kind, host))
        is_new = _made(gateway, "user", {"name": name, "password": password})
        gateway.call("auth/user/grant", {"user": name, "role": name})
        if is_new:
            yield name, password
    gateway.call("auth/enable", {})
    store.close()


def _made(gateway: Gateway, what: str, body: Mapping[str, Any]) -> bool:
    """Adds a user or a role: whether it was not there."""
    try:
        gateway.call(f"auth/{what}/add", body)
    except Unavailable as error:
        if "already exists" not in error.message:
            raise
        return False
    return True


def _permitted(gateway: Gateway, role: str, kind: str, first: str) -> None:
    """Lets a role do it to a key, or with a slash at its end to all that begin so."""
    end = b64encode(_etcd_gateway.after(first).encode()).decode() if first.endswith("/") else ""
    permission = {"permType": kind, "key": _etcd_gateway.encoded(first), **({"range_end": end} if end else {})}
    gateway.call("auth/role/grant", {"name": role, "perm": permission})


def main(words: Sequence[str], environment: Mapping[str, str]) -> int:
    """The command line: see the module. Returns the exit status."""
    if len(words) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        for user, password in set_up(words[0], words[1:], environment):
            print(user, password)
    except PortwardError as error:
        print(f"portward: error: {error}", *([f"hint: {error.hint}"] if error.hint else []), sep="\n", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    import os

    with suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:], os.environ))
