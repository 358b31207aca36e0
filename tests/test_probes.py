"""What is sent to endpoints, how answers are judged, and what a bad one may cost: real sockets, with servers of every bad habit."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward import probes
from portward.catalog import fingerprints as prints
from portward.probes import Heard, Question
from portward.probes._http import is_whole, parse
from portward.probes._judge import fits_bytes, told
from tests import endpoints
from tests.conftest import need
from tests.endpoints import Server, http, response, serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

    from tests.endpoints import Talk

EVERY = prints.fingerprints()
PATIENT = 60.0  # a loaded machine must not make a server look silent


def ask(server: Server, seconds: float = PATIENT, **known: Any) -> Heard:
    """What one server is heard to be."""
    (heard,) = probes.identify([Question(("127.0.0.1",), server.port, EVERY, seconds=seconds, **known)])
    return heard


# What is sent


def test_what_is_not_known_gets_no_host_header() -> None:
    """The first request to anything is a bare line: Redis would break off at `Host:`, with an alarm in its log."""
    with serving(http({})) as server:
        heard = ask(server)
    first = server.sent[0]
    assert first == b"GET /__portward HTTP/1.0\r\n\r\n"
    assert heard.service == "HTTP server"


def test_never_more_than_three_questions() -> None:
    """Whatever is there, and whatever its port is customary for, three requests are the most."""
    for custom in ((), prints.customary_fingerprints(8080), prints.customary_fingerprints(3000), EVERY):
        for other in (
            response(404, "404 page not found"),
            response(200, "{}"),
            response(404, '{"detail":"Not Found"}', Server="uvicorn"),
        ):
            with serving(http({}, other)) as server:
                ask(server, custom=custom)
            assert 1 <= len(server.sent) <= probes.QUESTIONS


def test_only_reading_is_ever_asked() -> None:
    """Every request is a GET without a body or a cookie; every other question is the bytes of a fingerprint."""
    harmless = {bytes.fromhex(each.ask) for each in EVERY if not each.http and each.ask}
    with serving(http({})) as server:
        ask(server, custom=EVERY, http=True)
    for data in server.sent:
        assert data.startswith(b"GET /")
        assert b"Connection: close" in data
        assert b"ookie" not in data
    assert harmless
    assert not any(data.startswith((b"POST", b"PUT", b"DELETE")) for data in harmless)


def test_a_port_of_another_protocol_gets_no_http() -> None:
    """Unless it may be asked anything, a server hears its customary protocol and nothing else."""
    with serving(endpoints.silent) as server:
        heard = ask(server, seconds=6.0, custom=prints.of_service("PostgreSQL"), blind=False)
    assert server.sent == [bytes.fromhex("0000000804d2162f")]
    assert heard.service is None


def test_a_server_that_speaks_first_is_sent_nothing() -> None:
    """MySQL's greeting is enough: nothing is sent, and the connection is closed."""
    greeting = b"J\x00\x00\x00\x0a8.0.36\x00" + b"\x01" * 40

    def behave(talk: Talk) -> None:
        talk.say(greeting)
        talk.hear()

    with serving(behave) as server:
        heard = ask(server)
    assert (heard.service, heard.version) == ("MySQL", "8.0.36")
    assert server.sent == [b""]


def test_who_says_hello_hears_a_name_before_the_end() -> None:
    """An SSH server is told who called, as the protocol wants it, so that it logs no broken handshake."""

    def behave(talk: Talk) -> None:
        talk.say(b"SSH-2.0-OpenSSH_9.7\r\n")
        talk.until(b"\n")

    with serving(behave) as server:
        heard = ask(server)
    assert (heard.service, heard.version) == ("SSH", "OpenSSH_9.7")
    assert server.sent == [b"SSH-2.0-portward\r\n"]


def test_mqtt_takes_leave() -> None:
    """A session is opened with no client id of anybody's, and closed."""

    def behave(talk: Talk) -> None:
        talk.hear()
        talk.say(bytes.fromhex("20020000"))
        talk.hear()

    with serving(behave) as server:
        heard = ask(server, first=prints.of_service("Mosquitto"))
    assert heard.service == "MQTT broker"
    assert server.sent == [bytes.fromhex("100c00044d515454040200050000e000")]


def test_the_page_of_somebodys_own_app_is_not_asked_for() -> None:
    """Behind Express or Flask `/` may do anything: a path that does not exist tells the framework."""
    for headers in ({"X_Powered_By": "Express"}, {"Server": "Werkzeug/3.1.3 Python/3.11"}):
        with serving(http({}, response(404, "no", **headers))) as server:
            heard = ask(server)
        assert heard.service in ("Express", "Werkzeug")
        assert "/" not in server.paths


# Judgement


def test_the_version_of_the_owner_of_a_protocol() -> None:
    """Valkey and Dragonfly tell a Redis version too: what they are is in INFO."""
    for info, expected in (
        (b"redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n", ("Valkey", "8.0.1")),
        (b"redis_version:7.4.0\r\ndragonfly_version:df-v1.25.0\r\n", ("Dragonfly", "1.25.0")),
        (b"redis_version:7.0.15\r\n", ("Redis", "7.0.15")),
    ):

        def behave(talk: Talk, info: bytes = info) -> None:
            talk.say(b"+PONG\r\n" if talk.until(b"\n").startswith(b"PING") else b"$%d\r\n%s\r\n" % (len(info), info))

        with serving(behave) as server:
            heard = ask(server, first=prints.of_service("Redis"))
        assert (heard.service, heard.version) == expected


def test_a_locked_redis_is_a_redis() -> None:
    """NOAUTH identifies; the version stays unknown, and no password is tried."""

    def behave(talk: Talk) -> None:
        talk.until(b"\n")
        talk.say(b"-NOAUTH Authentication required.\r\n")

    with serving(behave) as server:
        heard = ask(server)
    assert (heard.service, heard.version) == ("Redis", None)


def test_tls_is_recognised(tmp_path: Path) -> None:
    """A server inside TLS is asked inside TLS, by whichever way it refuses plain text; the certificate proves nothing and is not checked."""
    need("openssl")
    context = endpoints.tls_context(tmp_path)
    with serving(
        http({"/version": response(200, '{"gitVersion":"v1.30.1","platform":"linux/amd64"}')}), context=context
    ) as server:
        heard = ask(server, custom=prints.customary_fingerprints(6443))
        told_so = ask(server, tls=True, http=True, custom=prints.customary_fingerprints(6443))
    assert (heard.service, heard.version, heard.speaks) == ("Kubernetes", "v1.30.1", "https")
    assert told_so.service == "Kubernetes"


@pytest.mark.parametrize(
    "said", ["Client sent an HTTP request to an HTTPS server.", "The plain HTTP request was sent to HTTPS port"]
)
def test_a_server_that_asks_for_tls_is_asked_in_tls(said: str) -> None:
    """A plain answer that says so is followed by a TLS handshake."""
    with serving(http({}, response(400, said))) as server:
        ask(server)
    assert any(data.startswith(b"\x16\x03") for data in server.sent)


def test_both_loopbacks(listen: Callable[..., socket.socket]) -> None:
    """The first address that takes the connection answers: a server on [::1] alone is found."""
    with serving(http({}, response(200, "Ollama is running")), "::1") as server:
        question = Question(("127.0.0.1", "::1"), server.port, EVERY, prints.of_service("Ollama"), seconds=PATIENT)
        (heard,) = probes.identify([question])
    assert (heard.address, heard.service) == ("::1", "Ollama")


def test_nobody_there(free_port: int) -> None:
    """A refused connection is said to be refused."""
    (heard,) = probes.identify([Question(("127.0.0.1",), free_port, EVERY)])
    assert (heard.trouble, heard.service) == ("connection refused", None)


def test_a_connection_to_oneself_is_nobody(monkeypatch: pytest.MonkeyPatch, free_port: int) -> None:
    """Where TCP lets a connection meet itself on a free port, nobody listens."""
    from portward.probes._line import Line

    def meet(address: tuple[str, int], timeout: float) -> socket.socket:
        made = socket.socket()
        made.settimeout(timeout)
        made.bind(address)
        made.connect(address)
        return made

    monkeypatch.setattr(socket, "create_connection", meet)
    with pytest.raises(ConnectionRefusedError):
        Line("127.0.0.1", free_port, time.monotonic() + 10)


# Bad manners


@pytest.mark.parametrize(
    "behaviour",
    [endpoints.silent, endpoints.flooding, endpoints.dribbling, endpoints.closing],
    ids=lambda each: each.__name__,
)
def test_a_bad_server_costs_its_own_deadline(behaviour: Callable[[Talk], None]) -> None:
    """One that never answers, never ends or dribbles is unknown when its time is over, and a good one beside it is found."""
    good = http({}, response(404, "", Server="nginx/1.22.1"))
    with serving(behaviour) as bad, serving(good) as other:
        begin = time.monotonic()
        heard = probes.identify(
            [
                Question(("127.0.0.1",), bad.port, EVERY, seconds=4),
                Question(("127.0.0.1",), other.port, EVERY, seconds=PATIENT),
            ]
        )
        took = time.monotonic() - begin
    assert heard[0].fingerprint is None
    assert heard[0].trouble == ""
    assert heard[1].service == "nginx"
    assert took < PATIENT / 2


def test_a_hundred_silent_targets_at_once() -> None:
    """They are asked side by side: all of them take far less than one after the other would."""
    with serving(endpoints.silent) as server:
        begin = time.monotonic()
        heard = probes.identify([Question(("127.0.0.1",), server.port, EVERY, seconds=0.5)] * 100)
        took = time.monotonic() - begin
    assert len(heard) == 100
    assert took < 100 * 0.5 / 2


def test_a_body_without_an_end_is_judged_by_its_beginning() -> None:
    """A page that never ends, and one larger than is read, are judged by what came."""
    big = '{"version":"6.31.0","mode":"blocks","components":[' + '{"id":1},' * 40000

    def endless(talk: Talk) -> None:
        talk.until(b"\r\n\r\n")
        talk.say(b"HTTP/1.1 200 OK\r\n\r\n" + big.encode())

    with serving(endless) as server:
        heard = ask(server, custom=[each for each in prints.of_service("Gradio") if each.ask == "/config"])
    assert (heard.service, heard.version) == ("Gradio", "6.31.0")


@given(st.binary(max_size=300))
def test_any_bytes_are_judged(data: bytes) -> None:
    """No answer of any kind breaks the judgement."""
    is_whole(data)
    answer = parse(data)
    for each in EVERY:
        fits_bytes(each, data)
        told(each.version, answer if answer and each.http else data)


@given(st.text(max_size=200), st.integers(0, 200))
def test_a_chunked_body_is_joined(text: str, at: int) -> None:
    """A body in chunks is the same body (RFC 9112, 7.1)."""
    data = text.encode()
    pieces = [piece for piece in (data[:at], data[at:]) if piece]
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    answer = parse(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert answer is not None
    assert answer.body == data.decode("utf-8", "replace")


def test_a_document_that_was_cut() -> None:
    """The members that are whole are there, of the one that was cut only its kind."""
    answer = parse(b'HTTP/1.1 200 OK\r\n\r\n{"a": 1, "b": "two", "c": [1, 2')
    assert answer is not None
    assert answer.document == {"a": 1, "b": "two", "c": []}


def test_every_fingerprint_has_its_source() -> None:
    """Each is known from somewhere, asks one thing, expects something, and is ranked."""
    for each in EVERY:
        assert each.source
        assert each.verified in ("live", "source", "unverified")
        assert each.confidence in ("high", "medium", "low")
        assert each.expect
        assert not each.http or each.ask.startswith("/")
    assert not {each.service for each in EVERY} & {"debugpy", "JDWP", "Node.js inspector", "Xdebug", "Delve"}
