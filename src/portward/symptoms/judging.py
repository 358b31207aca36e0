"""From what the lines say to what is wrong: one symptom for each trouble, decided by the block, the port and the signs."""

from __future__ import annotations

import re

from portward.model import Kind, Symptom, Transport
from portward.symptoms.others import DEVICES
from portward.symptoms.scan import BIND, Hit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from portward.symptoms.scan import Scan

_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")
_REFUSED = (Kind.CONNECTION_REFUSED, Kind.REFUSED_IPV6_LOCALHOST, Kind.REFUSED_CONTAINER_LOCALHOST)
_SILENT = (Kind.RESET_OR_EMPTY_REPLY, Kind.LOOPBACK_ONLY_IN_CONTAINER)
_REASONS = (Kind.PERMISSION_PRIVILEGED, Kind.OS_RESERVED_RANGE, Kind.ADDRESS_NOT_AVAILABLE)
_NEAR = 12  # lines
_CONNECTS = re.compile(
    r"\b(?:connect(?:ing|ion)?\b(?! pool)|dial)[^\n]{0,200}(?:assign requested|EADDRNOTAVAIL)", re.IGNORECASE
)
_PRIVILEGED = 1024
NO_IPV6 = "no IPv6 loopback"
"""The tool of patterns that say only that ::1 is not there: usual in a container, and no trouble if 127.0.0.1 was tried too."""


def judge(scan: Scan) -> tuple[Symptom, ...]:
    """One symptom for each kind and port: those of a bind first, since they explain connections that fail, then as in the text."""
    hits = [_judged(hit, scan) for hit in scan.hits if not _is_elsewhere(hit) and not _is_of_device(hit, scan)]
    hits = _told(hits)
    made: dict[tuple[object, ...], Hit] = {}
    for hit in hits:
        made.setdefault((_group(hit.kind), hit.port, hit.transport or hit.pattern.transport), hit)
    ordered = sorted(made.values(), key=lambda hit: (hit.kind not in BIND, hit.line))
    kept = [hit for hit in ordered if not _explained(hit, ordered)]
    return tuple(_symptom(hit, scan) for hit in kept)


def _published(hit: Hit, scan: Scan) -> int | None:
    """The port of a hit; where it has none, the only one that the text shows to be published."""
    ports = scan.signs.get("published", set())
    return next(iter(ports)) if hit.port is None and len(ports) == 1 else hit.port


def _is_elsewhere(hit: Hit) -> bool:
    """A connection that was reset counts only if it was to this machine: elsewhere it has many reasons that are none of ports."""
    return hit.kind is Kind.RESET_OR_EMPTY_REPLY and hit.pattern.tool == "system" and hit.host not in _LOOPBACK


def _is_of_device(hit: Hit, scan: Scan) -> bool:
    """A port without a number, in a text about ports that are plugs."""
    return hit.port is None and "port" in hit.text.lower() and not DEVICES.isdisjoint(scan.others)


def _group(kind: Kind) -> Kind:
    """Kinds that are one trouble if they are of one port."""
    return Kind.CONNECTION_REFUSED if kind in _REFUSED else Kind.RESET_OR_EMPTY_REPLY if kind in _SILENT else kind


def _told(hits: Sequence[Hit]) -> list[Hit]:
    """The hits without those that lack the port of a like one."""
    told = {_group(hit.kind) for hit in hits if _is_told(hit)}
    guessed = {_group(hit.kind) for hit in hits if hit.guess}
    refused = {hit.port for hit in hits if hit.kind in _REFUSED}
    kept = []
    for hit in hits:
        kind = _group(hit.kind)
        lacks = not _is_told(hit) and (kind in told or (not hit.guess and kind in guessed))
        if not lacks and not (hit.pattern.tool == NO_IPV6 and hit.port in refused):
            kept.append(hit)
    return kept


def _is_told(hit: Hit) -> bool:
    return hit.port is not None and not hit.guess


def _explained(hit: Hit, hits: Sequence[Hit]) -> bool:
    """Whether an earlier trouble with the same port, of a bind, already says why; or the same trouble is told with less."""
    for other in hits:
        if other is hit:
            return False
        if other.port == hit.port and other.kind in BIND and hit.port is not None:
            return True
    return False


def _judged(hit: Hit, scan: Scan) -> Hit:
    if hit.kind in BIND:
        return hit.replace(kind=_of_bind(hit, scan))
    if hit.kind in _REFUSED:
        return hit.replace(kind=_of_refusal(hit, scan))
    if hit.kind in _SILENT:
        return hit.replace(kind=_of_silence(hit, scan), port=_published(hit, scan))
    return hit


def _of_bind(hit: Hit, scan: Scan) -> Kind:
    if hit.kind is Kind.PORT_IN_USE:
        return _of_use(hit, scan)
    if hit.kind is Kind.ADDRESS_NOT_AVAILABLE:
        return _of_address(hit, scan)
    port = hit.port
    if hit.kind is Kind.PERMISSION_PRIVILEGED and port is not None and port >= _PRIVILEGED and _is_windows(hit, scan):
        return Kind.OS_RESERVED_RANGE
    if hit.kind is Kind.OS_RESERVED_RANGE and port in scan.signs.get("system service", ()):
        return Kind.HIJACKED_BY_SYSTEM_SERVICE
    if hit.kind is Kind.OS_RESERVED_RANGE and port in scan.signs.get("listed", ()):
        return Kind.PORT_IN_USE
    return hit.kind


def _of_use(hit: Hit, scan: Scan) -> Kind:
    if hit.pattern.soft and (reason := _reason(hit, scan)):
        return _of_address(hit, scan) if reason is Kind.ADDRESS_NOT_AVAILABLE else reason
    if hit.port == 0:
        return Kind.RANGE_EXHAUSTED
    return Kind.HIJACKED_BY_SYSTEM_SERVICE if _is_of_system(hit.port, scan) else hit.kind


def _of_address(hit: Hit, scan: Scan) -> Kind:
    """An address that is not there: of a client's own end it means that its ports are used up, or that it has no IPv6."""
    connects = _CONNECTS.search(hit.text) or ("connecting" in scan.signs and "binding" not in scan.signs)
    if hit.pattern.tool != NO_IPV6 and connects and "bind" not in hit.text.lower():
        return Kind.REFUSED_CONTAINER_LOCALHOST if hit.host in ("localhost", "::1") else Kind.RANGE_EXHAUSTED
    if hit.pattern.tool == "gunicorn" and "gunicorn in use" in scan.signs:
        return Kind.PORT_IN_USE
    if hit.pattern.tool == "gunicorn" and hit.port is not None and hit.port < _PRIVILEGED:
        return Kind.PERMISSION_PRIVILEGED
    return Kind.ADDRESS_NOT_AVAILABLE


def _reason(hit: Hit, scan: Scan) -> Kind | None:
    """Why a bind failed, as a line near says; None where none does, or where it says that the port is in use."""
    near = [other for other in scan.hits if other.kind in _REASONS and abs(other.line - hit.line) <= _NEAR]
    return min(near, key=lambda other: abs(other.line - hit.line)).kind if near else None


def _is_of_system(port: int | None, scan: Scan) -> bool:
    """Whether the text shows that a service of the operating system holds the port."""
    if "controlcenter" in scan.signs and port in (5000, 7000, None):
        return True
    return ("name resolution" in scan.signs and port == 53) or port in scan.signs.get("system service", ())


def _is_windows(hit: Hit, scan: Scan) -> bool:
    """Whether a refused bind of a port that is not privileged was Windows': its own signs, or Node without any."""
    if "not windows" in scan.signs or hit.pattern.tool not in ("Node.js", "Windows"):
        return "windows" in scan.signs and "not windows" not in scan.signs
    return True


def _of_refusal(hit: Hit, scan: Scan) -> Kind:
    if hit.pattern.soft and any(
        other.kind is Kind.TIMEOUT_FIREWALL and abs(other.line - hit.line) <= _NEAR for other in scan.hits
    ):
        return Kind.TIMEOUT_FIREWALL
    if hit.host in _LOOPBACK and _is_inside(hit, scan):
        return Kind.REFUSED_CONTAINER_LOCALHOST
    same = {other.host for other in scan.hits if other.kind in _REFUSED and other.port == hit.port}
    if hit.host == "::1" and not same & {"127.0.0.1"} and hit.pattern.tool != "Go":
        return Kind.REFUSED_IPV6_LOCALHOST
    if hit.port in scan.signs.get("published", ()) and hit.port in scan.signs.get("loopback server", ()):
        return Kind.LOOPBACK_ONLY_IN_CONTAINER
    answers = hit.port in scan.signs.get("ipv6 answers", ()) or "ipv6 only server" in scan.signs
    if hit.host == "127.0.0.1" and answers and "::1" not in same:
        return Kind.REFUSED_IPV6_LOCALHOST
    return hit.kind


def _is_inside(hit: Hit, scan: Scan) -> bool:
    """Whether who asked was in a container: by the prefix of its line, by words about it, or since it has no IPv6 loopback."""
    if hit.prefixed or hit.kind is Kind.REFUSED_CONTAINER_LOCALHOST:
        return True
    if {"compose exit", "in a container"} & scan.signs.keys():
        return True
    return any(other.host == "::1" and other.port == hit.port and other.pattern.tool == NO_IPV6 for other in scan.hits)


def _of_silence(hit: Hit, scan: Scan) -> Kind:
    published = scan.signs.get("published", set())
    if "loopback server" in scan.signs and published and hit.port in (None, *published):
        return Kind.LOOPBACK_ONLY_IN_CONTAINER
    return hit.kind


def _symptom(hit: Hit, scan: Scan) -> Symptom:
    port = None if hit.port == 0 else hit.port
    return Symptom(
        kind=hit.kind,
        port=port,
        host=hit.host,
        transport=hit.transport or hit.pattern.transport or Transport.TCP,
        tool=hit.pattern.tool,
        line=hit.line,
        text=hit.text[:300],
        guess=hit.guess and port is not None,
        inside=hit.prefixed if hit.kind in BIND else _is_inside(hit, scan),
    )
