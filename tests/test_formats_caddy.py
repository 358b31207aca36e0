"""Ports in a `Caddyfile`."""

from __future__ import annotations

import pytest
from hypothesis import given

from portward.formats import format_of
from portward.formats.caddy import read
from portward.model import Role, Side
from tests.port_specs import fragments, read_found, read_safely

HOST = (Role.HOST, Side.HOST, None)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (":8080", [("8080", *HOST)]),
        ("localhost:8080", [("8080", *HOST)]),
        ("http://localhost:8080", [("8080", *HOST)]),
        ("https://*.example.com:8443/path", [("8443", *HOST)]),
        ("[::1]:8080", [("8080", *HOST)]),
        (":8080, :8081", [("8080", *HOST), ("8081", *HOST)]),
        (":8080,\n:8081", [("8080", *HOST), ("8081", *HOST)]),
        (":8080-8085", [("8080-8085", *HOST)]),
        (":{$PORT:8080}", [("8080", Role.FALLBACK, Side.HOST, None)]),
        ("{$DOMAIN}:8080", [("8080", *HOST)]),
        ("{$DOMAIN:localhost}:8080", [("8080", *HOST)]),
        ("example.com", []),
        (":{$PORT}", []),
        ("(snippet)", []),
        ("a # :8080", []),
    ],
)
@pytest.mark.parametrize("body", [" {\n\trespond ok\n}\n", "\nrespond ok\n"])
def test_the_address_of_a_site(address: str, expected: list[object], body: str) -> None:
    """With braces, or without where it is the only one."""
    if "#" in address:
        address, _, comment = address.partition("#")
        body = body.replace("{\n", "{ #" + comment + "\n")
    assert read_found(read, address + body, "Caddyfile") == expected


def test_the_default_of_a_variable() -> None:
    """It falls back for the variable."""
    (spec,) = read(":{$PORT:8080} {\n}\n", "Caddyfile")
    assert spec.variables == ("PORT",)


@pytest.mark.parametrize(
    ("directive", "expected"),
    [
        ("reverse_proxy backend:5000", [("5000", Role.URL, Side.CONTAINER, "backend")]),
        ("reverse_proxy /api/* backend:5000", [("5000", Role.URL, Side.CONTAINER, "backend")]),
        ("reverse_proxy @api http://backend:5000", [("5000", Role.URL, Side.CONTAINER, "backend")]),
        ("reverse_proxy h2c://backend:5000", [("5000", Role.URL, Side.CONTAINER, "backend")]),
        ("reverse_proxy :5000", [("5000", Role.URL, Side.HOST, "localhost")]),
        (
            "reverse_proxy a:1 localhost:2",
            [("1", Role.URL, Side.CONTAINER, "a"), ("2", Role.URL, Side.HOST, "localhost")],
        ),
        (
            "reverse_proxy {\n to a:5000 b:5001\n }",
            [("5000", Role.URL, Side.CONTAINER, "a"), ("5001", Role.URL, Side.CONTAINER, "b")],
        ),
        ("reverse_proxy \\\n  a:5000 {\n header_up X 1\n }", [("5000", Role.URL, Side.CONTAINER, "a")]),
        ("reverse_proxy localhost:{$API_PORT:5000}", [("5000", Role.URL, Side.HOST, "localhost")]),
        ("php_fastcgi php:9000", [("9000", Role.URL, Side.CONTAINER, "php")]),
        ("forward_auth authelia:9091 {\n uri /verify\n }", [("9091", Role.URL, Side.CONTAINER, "authelia")]),
        ("redir https://{host}:8443{uri}", [("8443", Role.URL, Side.HOST, None)]),
        ("redir http://localhost:8080{uri} 302", [("8080", Role.URL, Side.HOST, "localhost")]),
        ('header Link "<http://localhost:3000>"', [("3000", Role.URL, Side.HOST, "localhost")]),
        ("reverse_proxy backend", []),
        ("reverse_proxy unix//run/a.sock", []),
        ("# reverse_proxy backend:5000", []),
        ("respond a:5000", []),
        ("header X :5000", []),
        ("respond `\n:8080 {\n` 200", []),
    ],
)
def test_directives(directive: str, expected: list[object]) -> None:
    """Where a site passes requests to, in a site with braces and in one without."""
    assert read_found(read, f"example.com {{\n\t{directive}\n}}\n", "Caddyfile") == expected
    assert read_found(read, f"example.com\r\n\r\n{directive}\r\n", "Caddyfile") == expected


def test_global_options() -> None:
    """Caddy's own ports; other numbers there are none, and sites come after."""
    text = (
        "{\n\thttp_port 8080\n\thttps_port 8443\n\tadmin localhost:2019\n\tgrace_period 3000\n"
        "\tlog {\n\t\toutput net a:1\n\t}\n}\n:80 {\n}\n"
    )
    assert [entry[0] for entry in read_found(read, text, "Caddyfile")] == ["8080", "8443", "2019", "80"]


def test_names() -> None:
    """The file's own name, and variants of it."""
    assert format_of("Caddyfile") == format_of("docker/Caddyfile.dev") == "caddy"
    assert format_of("Caddyfile.example") is None


@given(
    fragments(
        *(":8080", " {\n", "}\n", "reverse_proxy ", "a:5000", "{$PORT:8080}", ",", "http_port 80", "`", '"', "\\\n"),
        "redir https://{host}:8443",
    )
)
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, every span holds what it says."""
    read_safely(read, text, "Caddyfile")


def test_a_heredoc_is_one_word() -> None:
    """What stands in it is text: no site, no directive; what follows its end marker is read on."""
    text = """\
:8080 {
  respond <<HTML
    reverse_proxy backend:5000
    }
    :8081 {
    HTML5
    HTML 200
  reverse_proxy backend:5001
}
:8082 {
  respond \\<<HTML
}
:8083
"""
    assert [spec.number for spec in read(text, "Caddyfile")] == ["8080", "5001", "8082", "8083"]
    open_end = ":8080 {\n  respond <<HTML\n  reverse_proxy backend:5000\n}\n"
    assert [spec.number for spec in read(open_end, "Caddyfile")] == ["8080", "5000"]
