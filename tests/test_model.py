"""The nouns: records behave like values, and endpoints overlap exactly where the kernel refuses a second bind."""

from __future__ import annotations

import copy
import enum
import errno
import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.model import (
    ANY,
    LAST_PORT,
    Endpoint,
    Listener,
    Location,
    Owners,
    PortRange,
    PortSpec,
    Process,
    Reading,
    Refusal,
    Role,
    Severity,
    Side,
    Skipped,
    Span,
    State,
    Transport,
)
from portward.records import Record, astuple
from tests.conftest import Listen, port_of

if TYPE_CHECKING:
    import socket

V4, V4_OTHER, V4_ANY = "127.0.0.1", "127.0.0.2", "0.0.0.0"
MAPPED, V6 = "::ffff:127.0.0.1", "::1"

ADDRESSES: dict[str, tuple[str, bool | None]] = {
    "127.0.0.1": (V4, None),
    "127.0.0.2": (V4_OTHER, None),
    "0.0.0.0": (V4_ANY, None),
    "[::] dual": ("::", False),
    "[::] v6only": ("::", True),
    "[::1]": (V6, False),
    "[::ffff:127.0.0.1]": (MAPPED, False),
}

# measured on Linux 6.18: holder → newcomers that are refused with EADDRINUSE, TCP and UDP alike, without options
REFUSED = {
    "127.0.0.1": ("127.0.0.1", "0.0.0.0", "[::] dual", "[::ffff:127.0.0.1]"),
    "127.0.0.2": ("127.0.0.2", "0.0.0.0", "[::] dual"),
    "0.0.0.0": ("127.0.0.1", "127.0.0.2", "0.0.0.0", "[::] dual", "[::ffff:127.0.0.1]"),
    "[::] dual": tuple(ADDRESSES),
    "[::] v6only": ("[::] dual", "[::] v6only", "[::1]"),
    "[::1]": ("[::] dual", "[::] v6only", "[::1]"),
    "[::ffff:127.0.0.1]": ("127.0.0.1", "0.0.0.0", "[::] dual", "[::ffff:127.0.0.1]"),
}
PAIRS = [(holder, newcomer) for holder in ADDRESSES for newcomer in ADDRESSES]

linux = pytest.mark.skipif(sys.platform != "linux", reason="the matrix was measured on Linux; others bind otherwise")


def endpoint(name: str, port: int = 5000, transport: Transport = Transport.TCP) -> Endpoint:
    address, v6only = ADDRESSES[name]
    return Endpoint(address, port, transport, v6only)


class Point(Record):
    """A record for tests."""

    x: int
    y: int = 0


@pytest.mark.parametrize(("holder", "newcomer"), PAIRS)
def test_overlaps_follows_the_matrix(holder: str, newcomer: str) -> None:
    """Two endpoints overlap exactly where the kernel refused the second bind."""
    assert endpoint(holder).overlaps(endpoint(newcomer)) is (newcomer in REFUSED[holder])


@linux
@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize(("holder", "newcomer"), PAIRS)
def test_overlaps_follows_this_kernel(holder: str, newcomer: str, transport: Transport, listen: Listen) -> None:
    """What overlaps() says is what this kernel does, for TCP listeners and for UDP sockets."""
    udp = transport is Transport.UDP
    first, second = ADDRESSES[holder], ADDRESSES[newcomer]
    held = listen(first[0], udp=udp, v6only=first[1])
    refused = _refused(lambda: listen(second[0], port_of(held), udp=udp, v6only=second[1]))
    assert endpoint(holder, transport=transport).overlaps(endpoint(newcomer, transport=transport)) is refused


@linux
@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "::", "::1"])
def test_udp_never_blocks_tcp(address: str, listen: Listen) -> None:
    """The same number in the other transport is another endpoint, for overlaps() and for the kernel."""
    held = listen(address, udp=True)
    assert not _refused(lambda: listen(address, port_of(held)))
    assert not Endpoint(address, 5000, Transport.UDP).overlaps(Endpoint(address, 5000, Transport.TCP))


def test_another_port_never_overlaps() -> None:
    """30001 is not 3000."""
    assert not Endpoint(ANY, 30001).overlaps(Endpoint(ANY, 3000))


@pytest.mark.parametrize("name", ADDRESSES)
def test_any_overlaps_every_address(name: str) -> None:
    """A port without an address is all interfaces of both families."""
    assert Endpoint(ANY, 5000).overlaps(endpoint(name))
    assert endpoint(name).overlaps(Endpoint(ANY, 5000))


def test_an_unknown_v6only_counts_as_dual_stack() -> None:
    """Where the system does not tell, an IPv6 wildcard may be in the way of IPv4."""
    assert Endpoint("::", 5000).overlaps(Endpoint("127.0.0.1", 5000))


def test_the_mapped_wildcard_is_the_ipv4_wildcard() -> None:
    """[::ffff:0.0.0.0] takes every IPv4 address and no IPv6 one."""
    mapped = Endpoint("::ffff:0.0.0.0", 5000)
    assert mapped.overlaps(Endpoint("127.0.0.2", 5000))
    assert not mapped.overlaps(Endpoint("::1", 5000))


def test_link_local_addresses_of_two_interfaces_do_not_overlap() -> None:
    """The interface is part of a link-local address."""
    assert not Endpoint("fe80::1%eth0", 5000).overlaps(Endpoint("fe80::1%eth1", 5000))


addresses = st.sampled_from([ANY, V4, V4_OTHER, V4_ANY, V6, "::", MAPPED, "192.0.2.7", "2001:db8::7", "::ffff:0.0.0.0"])
endpoints = st.builds(
    Endpoint, addresses, st.sampled_from([80, 81]), st.sampled_from([*Transport]), st.sampled_from([None, True, False])
)


@given(endpoints, endpoints)
def test_overlaps_is_symmetric_and_reflexive(one: Endpoint, other: Endpoint) -> None:
    """Who came first does not matter, and an endpoint is always in its own way."""
    assert one.overlaps(other) is other.overlaps(one)
    assert one.overlaps(one)


@pytest.mark.parametrize(
    ("address", "text"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), (ANY, "80"), ("::", "[::]:80")]
)
def test_an_endpoint_is_written_as_in_a_url(address: str, text: str) -> None:
    """IPv6 goes in brackets; no address leaves the port alone."""
    assert str(Endpoint(address, 80)) == text


def test_a_record_shows_nothing_of_the_tuple_that_it_is() -> None:
    """It has no length, order or items, is true even without fields, and equals no tuple; ranges that no list could hold are copied."""

    class Empty(Record):
        pass

    class Pair(Record):
        x: int
        y: int

    pair: Any = Pair(1, 2)
    for use in (
        len,
        iter,
        list,
        lambda one: one[0],
        lambda one: 1 in one,
        lambda one: one < one,
        lambda one: one + one,
    ):
        with pytest.raises(TypeError):
            use(pair)
    assert bool(Empty())
    assert pair != (1, 2)
    assert pair != (1, 2)
    vast = PortRange(0, 1 << 80)
    assert (astuple(vast), vast.replace(low=1).low) == ((0, 1 << 80), 1)
    assert copy.deepcopy(vast) == vast


def test_records_are_values() -> None:
    """Equality and hash go by type and content."""
    assert Point(1, 2) == Point(y=2, x=1)
    assert Point(1) == Point(1, 0)
    assert Point(1, 2) != Point(2, 1)
    assert Point(80, 81) != PortRange(80, 81)
    assert len({Point(1), Point(1, 0), Point(2)}) == 2
    assert Point(1, 2) != (1, 2)


def test_records_are_immutable() -> None:
    """No field can be set or deleted, none can be added."""
    point = Point(1)
    for name in ("x", "z"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(point, name, 5)
    with pytest.raises(AttributeError, match="immutable"):
        del point.x
    assert not hasattr(point, "__dict__")


@pytest.mark.parametrize(
    ("args", "kwargs", "complaint"),
    [
        ((), {}, "needs x"),
        ((1, 2, 3), {}, "takes 2 values, 3"),
        ((1,), {"z": 1}, "no field 'z'"),
        ((1,), {"x": 1}, "'x' twice"),
    ],
)
def test_records_refuse_wrong_arguments(args: tuple[int, ...], kwargs: dict[str, int], complaint: str) -> None:
    """A field too many, too few, unknown or given twice is told by name."""
    make: Any = Point
    with pytest.raises(TypeError, match=complaint):
        make(*args, **kwargs)


def test_replace_copies() -> None:
    """replace() changes the copy alone, and knows the fields."""
    point = Point(1, 2)
    assert point.replace(y=3) == Point(1, 3)
    assert point == Point(1, 2)
    with pytest.raises(TypeError, match="no field z"):
        point.replace(z=1)


def test_records_show_and_match_their_fields() -> None:
    """repr(), astuple() and `match` go by the order of the fields."""
    assert repr(Point(1, 2)) == "Point(x=1, y=2)"
    assert astuple(Point(1, 2)) == (1, 2)
    match Point(1, 2):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_records_can_be_copied_and_pickled() -> None:
    """A record passes through copy and pickle as the same value."""
    row = Listener(Endpoint("::1", 80), State.LISTEN, processes=(Process(1, "init"),))
    assert pickle.loads(pickle.dumps(row)) == copy.deepcopy(row) == copy.copy(row) == row


def test_a_listener_has_its_endpoints_port_and_transport() -> None:
    """Short cuts to what is asked for most."""
    row = Listener(Endpoint("::1", 53, Transport.UDP), State.UDP)
    assert (row.port, row.transport) == (53, Transport.UDP)


@pytest.mark.parametrize(
    ("low", "high", "text", "length"),
    [(80, 80, "80", 1), (8000, 8010, "8000-8010", 11), (1, LAST_PORT, "1-65535", 65535)],
)
def test_a_range_is_inclusive(low: int, high: int, text: str, length: int) -> None:
    """Both ends belong to a range, in its text, its length, its iteration and `in`."""
    ports = PortRange(low, high)
    assert str(ports) == text
    assert len(ports) == length == len(list(ports))
    assert low in ports
    assert high in ports
    assert low - 1 not in ports
    assert high + 1 not in ports


@given(*[st.integers(1, 60)] * 4)
def test_ranges_overlap_where_they_share_a_port(a: int, b: int, c: int, d: int) -> None:
    """overlaps() is the same as having a port in common."""
    one, other = PortRange(min(a, b), max(a, b)), PortRange(min(c, d), max(c, d))
    assert one.overlaps(other) is bool(set(one) & set(other))


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        ("8080", PortRange(8080, 8080)),
        ("8000-8010", PortRange(8000, 8010)),
        ("65535", PortRange(65535, 65535)),
        (None, None),
        ("", None),
        ("0", None),
        ("65536", None),
        ("8010-8000", None),
        ("-1", None),
        ("${PORT}", None),
    ],
)
def test_a_specs_range_is_none_where_there_is_no_valid_one(published: str | None, expected: PortRange | None) -> None:
    """What is not a port from 1 to 65535, or an ascending range, is no range."""
    spec = PortSpec("compose", Role.HOST, Side.HOST, Location("a", 1, 1), Span(0, 1), "", published=published)
    assert spec.range == expected


def test_a_reading_is_complete_when_nothing_was_hidden() -> None:
    """A skipped entry or a hidden owner makes it incomplete; a socket that nobody has open does not."""
    row = Listener(Endpoint("::1", 80), State.LISTEN)
    assert Reading((row,)).complete
    assert not Reading((row.replace(owners=Owners.HIDDEN),)).complete
    assert not Reading((row,), (Skipped("a", "b"),)).complete


def test_severities_have_an_order() -> None:
    """An error is worse than a warning, a warning than a note."""
    assert sorted(Severity, key=lambda severity: severity.rank) == [Severity.NOTE, Severity.WARNING, Severity.ERROR]


def test_the_four_refusals_have_names_of_their_own() -> None:
    """In use, not permitted, sandboxed and no such address are never mixed up."""
    assert [str(refusal) for refusal in Refusal] == ["in use", "not permitted", "sandboxed", "no such address"]


def _refused(bind: Any) -> bool:
    try:
        made: socket.socket = bind()
    except OSError as error:
        assert error.errno == errno.EADDRINUSE  # noqa: PT017 - the kernel answers either way
        return True
    made.close()
    return False


def test_words_are_what_an_enumeration_of_the_standard_library_is() -> None:
    """Members are texts with a name, found by their value, one object each, whatever they go through."""

    class Standard(enum.StrEnum):
        ERROR = "error"
        WARNING = "warning"
        NOTE = "note"

    for kind in (Severity, Standard):
        assert list(kind) == ["error", "warning", "note"]
        assert [member.name for member in kind] == ["ERROR", "WARNING", "NOTE"]
        assert len(kind) == 3
        assert kind("error") is kind.ERROR
        assert kind(kind.ERROR) is kind.ERROR
        assert kind.ERROR in kind
        assert (kind.ERROR.value, str(kind.ERROR), f"{kind.ERROR:>6}") == ("error", "error", " error")
        assert type(kind.ERROR.value) is type(str(kind.ERROR)) is str
        assert repr(kind.ERROR) == f"<{kind.__name__}.ERROR: 'error'>"
        assert json.dumps({kind.ERROR: kind.NOTE}) == '{"error": "note"}'
        assert isinstance(kind.ERROR, kind)
        assert copy.deepcopy(kind.ERROR) is copy.copy(kind.ERROR) is kind.ERROR
        assert hash(kind.ERROR) == hash("error")
        with pytest.raises(ValueError, match="'fatal' is not a valid"):
            kind("fatal")
    assert pickle.loads(pickle.dumps(Severity.ERROR)) is Severity.ERROR
    assert Severity.ERROR.rank == 2
