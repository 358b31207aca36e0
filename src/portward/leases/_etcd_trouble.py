"""What went wrong with etcd, as a person needs it told: the reason, and what to do."""

from __future__ import annotations

import ssl

from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError, ProtocolError, SSLError

from portward.errors import Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

_UNAVAILABLE, _DEADLINE, _NOT_FOUND = 14, 4, 5  # gRPC's status codes
_EXPIRED, _OTHER_HOST = 10, 62  # X509_V_ERR_…


class Busy(Exception):
    """A member that has no leader just now, or is starting: the next one may answer."""


class Forbidden(Unavailable):
    """The user may not change, or read, these keys."""


class Gone(Unavailable):
    """The etcd lease has ended, and its keys with it."""


def was_not_sent(error: Exception) -> bool:
    """Whether a failed call certainly changed nothing, and waiting does not help: no connection came about."""
    return isinstance(error, (NewConnectionError, SSLError))


def is_stale_token(answer: Mapping[str, Any]) -> bool:
    """Whether to authenticate anew: the token has expired, or users were changed since."""
    text = _text(answer)
    return "invalid auth token" in text or "revision of auth store is old" in text or "user name is empty" in text


def is_without_users(answer: Mapping[str, Any]) -> bool:
    """Whether the cluster asks nobody who they are."""
    return "authentication is not enabled" in _text(answer)


def of_answer(answer: Mapping[str, Any], status: int, endpoint: str, user: str | None) -> Exception:
    """The error that a member answered with."""
    text = _text(answer)
    if answer.get("code") in (_UNAVAILABLE, _DEADLINE) or status in (502, 503, 504):
        return Busy(f"{endpoint}: {text}")
    if "requested lease not found" in text:
        return Gone(f"etcd at {endpoint}: {text}")
    known = (
        ("invalid user ID or password", f"etcd refuses the password of {user}", "PORTWARD_ETCD_USER and PORTWARD_ETCD_PASSWORD"),
        ("CommonName of client", "etcd refuses a client certificate with a common name", "issue one without CN, and name the user: PORTWARD_ETCD_USER"),
        ("database space exceeded", "etcd's database is full (NOSPACE)", "compact and defragment it, then `etcdctl alarm disarm`; what is leased stays so"),
        ("too many operations", "more ports than etcd changes at once", "ask for fewer at a time, or start etcd with a higher --max-txn-ops"),
    )  # fmt: skip
    if "permission denied" in text and user:
        return Forbidden(
            f"etcd does not permit this to user {user}",
            hint="a host's user may change that host's keys alone: see docs/fleet.md",
        )
    if not user and ("permission denied" in text or "user name is empty" in text):
        return Unavailable("etcd wants to know who asks", hint="PORTWARD_ETCD_USER and PORTWARD_ETCD_PASSWORD say it")
    for part, message, hint in known:
        if part in text:
            return Unavailable(message, hint=hint)
    return Unavailable(f"etcd at {endpoint} answered {status}: {text}", hint="is this an etcd of version 3.4 or newer?")


def of_files(error: OSError) -> Unavailable:
    """The files of our certificate, its key or the authority cannot be used."""
    return Unavailable(
        f"cannot use the certificates for etcd: {error.strerror or error}",
        hint="PORTWARD_ETCD_CA, PORTWARD_ETCD_CERT and PORTWARD_ETCD_KEY name files in PEM",
    )


def of_connections(failures: Mapping[str, Exception], tls: bool) -> Unavailable:
    """No endpoint gave an answer."""
    for endpoint, failure in failures.items():
        error = failure.args[0] if failure.args else failure
        if isinstance(error, ssl.SSLCertVerificationError):
            return _distrusted(endpoint, error)
    told = "; ".join(f"{endpoint}: {_why(failure)}" for endpoint, failure in failures.items())
    if tls and any(isinstance(failure, (SSLError, ProtocolError)) for failure in failures.values()):
        return Unavailable(
            f"etcd ended TLS: it refuses our client certificate, or that there is none ({told})",
            hint="PORTWARD_ETCD_CERT and PORTWARD_ETCD_KEY name one that its authority has signed and that has not expired",
        )
    return Unavailable(
        f"no lease store within reach: {told}",
        hint="nothing new is leased until a majority of its members answers; PORTWARD_STORE chooses another store",
    )


def _distrusted(endpoint: str, error: ssl.SSLCertVerificationError) -> Unavailable:
    if error.verify_code == _EXPIRED:
        return Unavailable(
            f"the certificate of etcd at {endpoint} has expired", hint="renew it; or is this machine's clock wrong?"
        )
    if error.verify_code == _OTHER_HOST:
        return Unavailable(
            f"the certificate of etcd at {endpoint} is for another host: {error.verify_message}",
            hint="name the endpoint as its certificate does",
        )
    return Unavailable(
        f"the certificate of etcd at {endpoint} is signed by nobody whom we trust: {error.verify_message}",
        hint="PORTWARD_ETCD_CA names the file of its authority",
    )


def _why(error: Exception) -> str:
    if isinstance(error, NameResolutionError):
        return "there is no host of this name"
    if isinstance(error, NewConnectionError):
        return str(error.__cause__ or error).rpartition("] ")[2]
    if isinstance(error, HTTPError) and "timed out" in str(error):
        return "no answer in time"
    return str(error)


def _text(answer: Mapping[str, Any]) -> str:
    told = answer.get("error") or answer.get("message") or ""
    return str(told if not isinstance(told, dict) else told.get("message", told))[:500]
