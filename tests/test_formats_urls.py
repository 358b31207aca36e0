"""Ports inside URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.formats import urls
from portward.model import Side, Span

CASES = [
    ("http://localhost:5000/x", [("http", "localhost", "5000")]),
    ("see http://localhost:5000.", [("http", "localhost", "5000")]),
    ("(http://localhost:5000), ws://h:1", [("http", "localhost", "5000"), ("ws", "h", "1")]),
    ("http://localhost:5000: it runs", [("http", "localhost", "5000")]),
    ("WSS://API.example.com:8443?x=1", [("wss", "API.example.com", "8443")]),
    ("http://my_service:80#top", [("http", "my_service", "80")]),
    ("git+ssh://git@h:2222/r", [("git+ssh", "h", "2222")]),
    ("http://[::1]:3001/", [("http", "::1", "3001")]),
    ("redis://[fe80::1%25eth0]:6379", [("redis", "fe80::1%25eth0", "6379")]),
    ("http://+:80;https://*:443", [("http", "+", "80"), ("https", "*", "443")]),
    ("http://a:5000,http://b:5001", [("http", "a", "5000"), ("http", "b", "5001")]),
    ("http://localhost:5000${path}", [("http", "localhost", "5000")]),
    ("postgres://app:secret@db:5432/app", [("postgres", "db", "5432")]),
    ("postgres://app:p@ss:9,w[o]rd@db:5432/app", [("postgres", "db", "5432")]),
    ("postgres://user:5000@db:5432/x", [("postgres", "db", "5432")]),
    ("postgres://${U:-x/y}:${P:?no}@db:5432/x", [("postgres", "db", "5432")]),
    ("postgresql+asyncpg://u@${DB_HOST:-db}:5432/x", [("postgresql+asyncpg", "db", "5432")]),
    ("mongodb://u:p,q@a:27017,b:27018,c/db?replicaSet=r", [("mongodb", "a", "27017"), ("mongodb", "b", "27018")]),
    ("postgres://a:1,[::1]:2/x", [("postgres", "a", "1"), ("postgres", "::1", "2")]),
    ("amqp://guest:guest@r1:5672,r2:5673//", [("amqp", "r1", "5672"), ("amqp", "r2", "5673")]),
    ("jdbc:postgresql://a:5432,b:5433/db", [("postgresql", "a", "5432"), ("postgresql", "b", "5433")]),
    ("jdbc:mysql:loadbalance://a:1,b:2/d", [("loadbalance", "a", "1"), ("loadbalance", "b", "2")]),
    ("jdbc:sqlserver://h:1433;databaseName=x", [("sqlserver", "h", "1433")]),
    ("jdbc:oracle:thin:@h:1521:XE", [("oracle", "h", "1521")]),
    ("jdbc:oracle:thin:scott/tiger@//h:1521/s", [("oracle", "h", "1521")]),
]

NOTHING = [
    "",
    "://",
    "http://localhost",
    "http://localhost/",
    "https://example.com",
    "redis://cache",
    "mongodb://a,b/db",
    "mongodb+srv://cluster.example.net/db",
    "http://[::1]/",
    "postgres://user:5432@db/app",
    "localhost:5000",
    "//localhost:5000",
    "1http//localhost:5000",
    "http://$HOST:5000",
    "http://${HOST}:5000",
    "http://<host>:5000",
    "http://localhost:port",
    "http://localhost:50${SUFFIX}",
    "http://localhost:50%d",
    "http://localhost:3000-3010",
    "http://localhost:5000x",
    "http://localhost:5000.5",
    "http://localhost:12345678901",
    "file:///etc:80",
    "http://localhost,then:3 things",
]


@pytest.mark.parametrize(("text", "expected"), CASES)
def test_every_port_that_is_written(text: str, expected: list[tuple[str, str, str]]) -> None:
    """Scheme, host and port of each, and the span of just its digits, also behind an offset."""
    found = list(urls.find(text))
    assert [(url.scheme, url.host, url.port) for url in found] == expected
    assert [text[url.span.start : url.span.end] for url in found] == [port for _, _, port in expected]
    shifted = [Span(url.span.start + 7, url.span.end + 7) for url in found]
    assert [url.span for url in urls.find(text, 7)] == shifted


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_no_port_of_a_url(text: str) -> None:
    """A scheme's own port that is not written, hosts that nobody knows, and numbers that are not all there."""
    assert list(urls.find(text)) == []


def test_the_second_host_of_a_sentence_is_none() -> None:
    """Only schemes of several hosts are divided at commas: what follows a web address is text."""
    assert [url.port for url in urls.find("http://localhost:5000,then:3 things")] == ["5000"]


@pytest.mark.parametrize(
    ("host", "side"),
    [
        ("localhost", Side.HOST),
        ("LOCALHOST", Side.HOST),
        ("127.0.1.1", Side.HOST),
        ("app.localhost", Side.HOST),
        ("0.0.0.0", Side.HOST),
        ("::1", Side.HOST),
        ("+", Side.HOST),
        ("host.docker.internal", Side.HOST),
        ("db", Side.CONTAINER),
        ("localhost.example.com", Side.CONTAINER),
    ],
)
def test_whose_port(host: str, side: Side) -> None:
    """Loopback and every address are this machine's; any other name is a service's."""
    assert urls.side(host) is side


FRAGMENTS = [
    "://",
    "http",
    "@",
    ":",
    "5000",
    ",",
    "[",
    "::1",
    "]",
    "/",
    "${",
    "}",
    ":-",
    "db",
    ".",
    "jdbc:oracle:thin:",
    " ",
]


@given(st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=2))).map("".join))
def test_any_text(text: str) -> None:
    """Whatever the text, each span holds the digits that are given, and no digits twice."""
    found = list(urls.find(text))
    for url in found:
        assert text[url.span.start : url.span.end] == url.port
        assert url.port.isascii()
        assert url.port.isdecimal()
        assert url.host
    assert len({url.span for url in found}) == len(found)


@pytest.mark.parametrize(
    "part", ["http://", "postgres://a,", "a" * 40, "jdbc:oracle:thin:", "x://${", "mongodb://@", ":1", "://a:1,"]
)
@pytest.mark.timeout(20)
def test_long_texts_end(part: str) -> None:
    """Half a megabyte of any of these comes to its end: the work grows with the length, not with its square."""
    assert all(url.port for url in urls.in_value(part * (500_000 // len(part))))


ADDRESSES = [
    ("localhost:9092", [("localhost", "9092")]),
    ("kafka-1:9092,kafka-2:9093", [("kafka-1", "9092"), ("kafka-2", "9093")]),
    ("localhost:9092, 127.0.0.1:9093", [("localhost", "9092"), ("127.0.0.1", "9093")]),
    (":8080", [("0.0.0.0", "8080")]),
    ("*:8080", [("*", "8080")]),
    ("[::]:8080", [("::", "8080")]),
    ("[::1]:80", [("::1", "80")]),
    ("10.0.0.7:80", [("10.0.0.7", "80")]),
    ("localhost:80", [("localhost", "80")]),
]
NO_ADDRESSES = [
    "", ":", "8080", "12:30", "10:00,11:00", "postgres:16", "node:20,redis:7", "localhost:5000/image:1", "localhost:99999", "a:b", ":80",
    "http://localhost:8080", "localhost:08080", "see localhost:8080", "localhost:9092,", "aa:bb:cc:dd:ee:ff", "::1:8080", "user@h:8080",
    "localhost:${PORT}", "1.2.3:4000",
]  # fmt: skip


@pytest.mark.parametrize(("text", "found"), ADDRESSES)
def test_a_value_that_is_addresses(text: str, found: list[tuple[str, str]]) -> None:
    """As a whole, each with its port's own characters."""
    known = urls.addresses(f"{text}", 7)
    assert [(each.host, each.port) for each in known] == found
    assert [text[each.span.start - 7 : each.span.end - 7] for each in known] == [port for _, port in found]
    assert list(urls.in_value(text, 7)) == list(known)


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_a_value_that_may_be_something_else(text: str) -> None:
    """A time, an image with its tag, and what is an address only in part."""
    assert urls.addresses(text) == ()


@given(st.text(alphabet="ab1.:,[]*- 0", max_size=30))
def test_any_value_is_addresses_or_not(text: str) -> None:
    """Every span is that of its digits."""
    assert all(text[each.span.start : each.span.end] == each.port for each in urls.addresses(text))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("host=db port=5432 dbname=app password=x", "db", "5432"),
        ("dbname=app host=localhost port=5432", "localhost", "5432"),
        ("Host=db;Port=5432;Database=app;Username=a;Password=${PASSWORD}", "db", "5432"),
        ("Server=localhost; Port=3306; User Id=root", "localhost", "3306"),
        ("Server=tcp:sql.internal,1433;Database=app", "sql.internal", "1433"),
        ("Data Source=localhost , 1433;Integrated Security=true", "localhost", "1433"),
    ],
)
def test_a_connection_in_words(text: str, host: str, port: str) -> None:
    """As libpq and ADO.NET write it: the one port, where it stands."""
    (found,) = urls.in_value(text, 7)
    assert (found.host, found.port) == (host, port)
    assert text[found.span.start - 7 : found.span.end - 7] == port


@pytest.mark.parametrize(
    "text",
    [
        "host=db dbname=app",
        "port=5432 dbname=app",
        "Server=localhost;Database=port=5432x",
        "host=db port=54321234",
        "host=db port=99999",
        "host=a,b port=5432,5433",
        "host=/run/postgresql port=5432",
        "myhost=db myport=5432",
        "host=${HOST} port=5432",
    ],
)
def test_no_connection_in_words(text: str) -> None:
    """A part is missing, or says something else."""
    assert not list(urls.in_value(text))
