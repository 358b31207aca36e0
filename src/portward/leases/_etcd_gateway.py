"""A client of etcd's v3 JSON gateway (etcd.io/docs/v3.5/dev-guide/api_grpc_gateway): several endpoints, TLS, users.

Keys and values are base64 there, 64 bit numbers are texts, and fields that are zero are left out.
"""

from __future__ import annotations

import json
import os
import random
import time
from base64 import b64decode, b64encode
from contextlib import suppress
from functools import lru_cache
from threading import Lock

import urllib3

from portward.errors import UsageError
from portward.leases import _etcd_trouble
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    Pool = urllib3.HTTPConnectionPool

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 2.0
PATIENCE = 10.0
"""Seconds in which one call is tried on all endpoints: an election takes 1 to 2."""

_DEFAULT_PORT = 2379
_written = json.JSONEncoder(separators=(",", ":")).encode
_PAUSE = 0.05
_PAGE = 1000


class Access(Record):
    """Who we are to etcd, and whom we trust: files in PEM, and a user's name and password."""

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    user: str | None = None
    password: str | None = None


def access(environment: Mapping[str, str]) -> Access:
    """What the variables `PORTWARD_ETCD_…` say. Raises UsageError for a password without a user, or one that cannot be read."""
    named = {
        name: environment.get(f"PORTWARD_ETCD_{name}") or None for name in ("CA", "CERT", "KEY", "USER", "PASSWORD")
    }
    file = environment.get("PORTWARD_ETCD_PASSWORD_FILE")
    if file and not named["PASSWORD"]:
        try:
            with open(file, encoding="utf-8") as opened:
                named["PASSWORD"] = opened.read().rstrip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read PORTWARD_ETCD_PASSWORD_FILE: {error}") from None
    if (named["USER"] is None) != (named["PASSWORD"] is None):
        raise UsageError(
            "PORTWARD_ETCD_USER and its password go together",
            hint="PORTWARD_ETCD_PASSWORD, or PORTWARD_ETCD_PASSWORD_FILE",
        )
    return Access(named["CA"], named["CERT"], named["KEY"], named["USER"], named["PASSWORD"])


class Kv(Record):
    """A key with its value; `revision` is that of its last change, 0 for a key that is not there; `lifeline` its etcd lease."""

    key: str
    value: bytes = b""
    revision: int = 0
    created: int = 0
    lifeline: int = 0


def absent(key: str) -> Kv:
    """A key that is not there."""
    return Kv(key, b"", 0, 0, 0)


class Outcome(Record):
    """What became of a transaction, and the store's revision with it. One that is `repeated` was sent more than once: an earlier try
    may have been the one.
    """

    succeeded: bool
    found: tuple[tuple[Kv, ...], ...] = ()
    repeated: bool = False
    revision: int = 0


class Gateway:
    """The members of one cluster. `endpoints` are HOST:PORT. May be used by several threads, and by a forked child."""

    def __init__(self, endpoints: Sequence[str], access: Access, tls: bool) -> None:
        self.endpoints = tuple(endpoints)
        self._access = access
        self._tls = tls
        self._mutex = Lock()
        self._pools: dict[str, Pool] = {}
        self._pid = os.getpid()
        self._token = ""
        self._first = random.randrange(len(self.endpoints))

    def transact(self, compares: Sequence[dict[str, Any]], acts: Sequence[dict[str, Any]]) -> Outcome:
        """One transaction. It must not succeed twice: then it may be sent to the next endpoint if the first gives no answer."""
        body = {"compare": list(compares), "success": list(acts)}
        answer, repeated = self.call("kv/txn", body)
        found = tuple(
            _kvs(each["response_range"]) if "response_range" in each else () for each in answer.get("responses", ())
        )
        return Outcome(answer.get("succeeded", False) is True, found, repeated, int(answer["header"]["revision"]))

    def read(self, acts: Sequence[dict[str, Any]]) -> tuple[tuple[Kv, ...], ...]:
        """What the ranges have, all at one instant, and no older than this call."""
        return self.transact((), acts).found

    def all_below(self, prefix: str, *, values: bool = True) -> list[Kv]:
        """All keys that begin with a prefix, with their values or without, at one instant, page by page."""
        found: list[Kv] = []
        more: dict[str, Any] = {"limit": _PAGE, **({} if values else {"keys_only": True})}
        body: dict[str, Any] = {**span(prefix, after(prefix)), **more}
        while True:
            answer, _ = self.call("kv/range", body)
            page = _kvs(answer)
            found += page
            if not answer.get("more") or not page:
                return found
            body = {
                **span(page[-1].key + "\0", after(prefix)),
                **more,
                "revision": body.get("revision") or answer["header"]["revision"],
            }

    def put(self, key: str, value: bytes) -> None:
        """Sets one key, whatever it was."""
        self.call("kv/put", {"key": encoded(key), "value": b64encode(value).decode()})

    def grant(self, seconds: int) -> int:
        """A new etcd lease."""
        return int(self.call("lease/grant", {"TTL": str(seconds)})[0]["ID"])

    def keep_alive(self, lifeline: int) -> int:
        """Lets an etcd lease last as long anew: for how many seconds, 0 if it has ended (that answer has no TTL)."""
        answer, _ = self.call("lease/keepalive", {"ID": str(lifeline)})
        return int(answer.get("result", {}).get("TTL", 0))

    def call(self, path: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
        """The answer, and whether the call was sent more than once. Raises Unavailable where no endpoint answers in time."""
        deadline, repeated = time.monotonic() + PATIENCE, False
        while True:
            failures: dict[str, Exception] = {}
            for endpoint in self._in_turn():
                try:
                    return self._asked(endpoint, path, body), repeated
                except (urllib3.exceptions.HTTPError, _etcd_trouble.Busy) as error:
                    failures[endpoint] = error
                    self._first += 1
                    repeated = repeated or not _etcd_trouble.was_not_sent(error)
            if all(map(_etcd_trouble.was_not_sent, failures.values())) or time.monotonic() > deadline:
                raise _etcd_trouble.of_connections(failures, self._tls)
            time.sleep(_PAUSE * (1 + random.random()))

    def status(self, endpoint: str) -> dict[str, Any]:
        """What one member says of itself. Raises Unavailable."""
        try:
            return self._asked(endpoint, "maintenance/status", {})
        except (urllib3.exceptions.HTTPError, _etcd_trouble.Busy) as error:
            raise _etcd_trouble.of_connections({endpoint: error}, self._tls) from None

    def close(self) -> None:
        """Closes all connections. The next call opens them again."""
        with self._mutex:
            pools, self._pools = self._pools, {}
        if self._pid == os.getpid():
            for pool in pools.values():
                pool.close()

    def _in_turn(self) -> list[str]:
        first = self._first % len(self.endpoints)
        return [*self.endpoints[first:], *self.endpoints[:first]]

    def _asked(self, endpoint: str, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One endpoint's answer. A token that is no longer good is renewed once."""
        for last in (False, True):
            token = self._token
            if self._access.user and not token:
                token = self._authenticated(endpoint)
            status, answer = self._post(endpoint, path, body, token)
            if status == 200:
                return answer
            if last or not self._access.user or not _etcd_trouble.is_stale_token(answer):
                break
            self._token = ""
        raise _etcd_trouble.of_answer(answer, status, endpoint, self._access.user)

    def _authenticated(self, endpoint: str) -> str:
        body = {"name": self._access.user, "password": self._access.password}
        status, answer = self._post(endpoint, "auth/authenticate", body, "")
        if status != 200:
            if _etcd_trouble.is_without_users(answer):
                return ""
            raise _etcd_trouble.of_answer(answer, status, endpoint, self._access.user)
        self._token = answer["token"]
        return self._token

    def _post(self, endpoint: str, path: str, body: Mapping[str, Any], token: str) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
        try:
            response = self._pool(endpoint).urlopen(
                "POST",
                f"/v3/{path}",
                body=_written(body).encode(),
                headers=headers,
                retries=False,
                redirect=False,
                assert_same_host=False,
            )
        except urllib3.exceptions.ProtocolError as error:
            if isinstance(
                error.args[-1], (FileNotFoundError, PermissionError)
            ):  # of our own files, as urllib3 tells it
                raise _etcd_trouble.of_files(error.args[-1]) from error
            raise
        try:
            answer = json.loads(response.data)
        except (ValueError, RecursionError):
            answer = {"error": response.data[:200].decode(errors="replace")}
        return response.status, answer if isinstance(answer, dict) else {}

    def _pool(self, endpoint: str) -> Pool:
        with self._mutex:
            if self._pid != os.getpid():  # a parent's connections are not ours
                self._pools, self._pid = {}, os.getpid()
            if endpoint not in self._pools:
                self._pools[endpoint] = self._made(endpoint)
            return self._pools[endpoint]

    def _made(self, endpoint: str) -> Pool:
        host, _, port = (
            endpoint.rpartition(":") if not endpoint.endswith("]") and ":" in endpoint else (endpoint, "", "")
        )
        number = int(port) if port else _DEFAULT_PORT
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        if not self._tls:
            return urllib3.HTTPConnectionPool(host, number, timeout=timeout, maxsize=4, retries=False)
        return urllib3.HTTPSConnectionPool(
            host, number, timeout=timeout, maxsize=4, retries=False,
            ca_certs=self._access.ca, cert_file=self._access.certificate, key_file=self._access.key,
        )  # fmt: skip


@lru_cache(1024)  # a grant reads a key, rests on it and changes it
def encoded(key: str) -> str:
    """A key as the gateway takes it."""
    return b64encode(key.encode()).decode()


def after(prefix: str) -> str:
    """The first key behind all that begin with a prefix, which is ASCII."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def span(first: str, end: str | None = None) -> dict[str, Any]:
    """The keys from one to another, which is not one of them; or one key."""
    return {"key": encoded(first), **({"range_end": encoded(end)} if end else {})}


def is_as_read(kv: Kv) -> dict[str, Any]:
    """Compares: nobody has changed the key since, or made it if it was not there."""
    return {"key": encoded(kv.key), "target": "MOD", "result": "EQUAL", "mod_revision": str(kv.revision)}


def none_is_newer(prefix: str, revision: int) -> dict[str, Any]:
    """Compares: no key that begins with a prefix was made or changed after a revision (etcd's apply.go compares each in a range)."""
    return {**span(prefix, after(prefix)), "target": "MOD", "result": "LESS", "mod_revision": str(revision + 1)}


def _kvs(answer: Mapping[str, Any]) -> tuple[Kv, ...]:
    rows: Iterable[Mapping[str, str]] = answer.get("kvs", ())
    if not rows:
        return ()
    found = []
    for row in rows:
        with suppress(UnicodeDecodeError):  # no key of ours
            found.append(
                Kv(
                    b64decode(row["key"]).decode(),
                    b64decode(row.get("value", "")),
                    int(row["mod_revision"]),
                    int(row["create_revision"]),
                    int(row.get("lease", 0)),
                )
            )
    return tuple(found)
