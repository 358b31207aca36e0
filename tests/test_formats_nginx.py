"""Ports in nginx configuration."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given

from portward.errors import InvalidFile
from portward.formats import format_of
from portward.formats.nginx import directives, read
from portward.model import PortSpec, Role, Side
from tests.conftest import unmet
from tests.port_specs import check, found, fragments, read_safely

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"


def ports(text: str, path: str = "nginx.conf") -> list[PortSpec]:
    """What is read, after the checks that every reader passes."""
    specs = read(text, path)
    check(text, path, specs)
    return specs


@pytest.mark.parametrize(
    ("listen", "port", "host_ip", "protocol"),
    [
        ("80", "80", "", "tcp"),
        ("80 default_server", "80", "", "tcp"),
        ("*:80", "80", "", "tcp"),
        ("127.0.0.1:8080 ssl http2", "8080", "127.0.0.1", "tcp"),
        ("[::]:80 ipv6only=on", "80", "::", "tcp"),
        ("[::1]:80", "80", "::1", "tcp"),
        ("localhost:8000", "8000", "127.0.0.1", "tcp"),
        ("example.com:8000", "8000", "", "tcp"),
        ("443 quic reuseport", "443", "", "udp"),
        ("53 udp", "53", "", "udp"),
        ("127.0.0.1:8000-8010", "8000-8010", "127.0.0.1", "tcp"),
        ('"9000"', "9000", "", "tcp"),
        ("\n    # the web\n    80", "80", "", "tcp"),
        ("80880", "80880", "", "tcp"),
    ],
)
def test_listen(listen: str, port: str, host_ip: str, protocol: str) -> None:
    """Every form of `listen` that writes a port, also one that is none, for a rule to object to."""
    text = f"server {{\r\n  listen {listen};\r\n}}\r\n"
    specs = ports(text)
    assert found(text, specs) == [(port, Role.HOST, Side.HOST)]
    assert [(spec.host_ip, spec.protocol) for spec in specs] == [(host_ip, protocol)]


@pytest.mark.parametrize(
    ("directive", "port", "host", "side"),
    [
        ("proxy_pass http://backend:5000;", "5000", "backend", Side.CONTAINER),
        ("proxy_pass http://backend:5000$request_uri;", "5000", "backend", Side.CONTAINER),
        ("proxy_pass http://127.0.0.1:5000/;", "5000", "127.0.0.1", Side.HOST),
        ("proxy_pass http://[::1]:5000;", "5000", "::1", Side.HOST),
        ("proxy_pass db:5432;", "5432", "db", Side.CONTAINER),
        ("proxy_pass 'https://backend:5000';", "5000", "backend", Side.CONTAINER),
        ("grpc_pass grpc://api:50051;", "50051", "api", Side.CONTAINER),
        ("grpc_pass api:50051;", "50051", "api", Side.CONTAINER),
        ("fastcgi_pass php:9000;", "9000", "php", Side.CONTAINER),
        ("uwsgi_pass app:3031;", "3031", "app", Side.CONTAINER),
        ("uwsgi_pass uwsgi://app:3031;", "3031", "app", Side.CONTAINER),
        ("scgi_pass localhost:9000;", "9000", "localhost", Side.HOST),
        ("memcached_pass cache:11211;", "11211", "cache", Side.CONTAINER),
        ("set $backend http://api:5000;", "5000", "api", Side.CONTAINER),
        ("set $backend api:5000;", "5000", "api", Side.CONTAINER),
        ("return 301 https://localhost:8443$request_uri;", "8443", "localhost", Side.HOST),
        ("return 301 https://$host:8443$request_uri;", "8443", None, Side.HOST),
        ("rewrite ^/(.*)$ https://${server_name}:8443/$1 permanent;", "8443", None, Side.HOST),
        ("proxy_redirect http://app:8000/ /;", "8000", "app", Side.CONTAINER),
        ('add_header Content-Security-Policy "connect-src ws://localhost:3001";', "3001", "localhost", Side.HOST),
        ("upstream api { server backend:5000 weight=5; }", "5000", "backend", Side.CONTAINER),
        ("upstream api { server 127.0.0.1:5000; }", "5000", "127.0.0.1", Side.HOST),
    ],
)
def test_where_requests_go(directive: str, port: str, host: str | None, side: Side) -> None:
    """Everything that passes or redirects requests to a port that is written."""
    text = f"http {{ {directive} }}"
    specs = ports(text)
    assert found(text, specs) == [(port, Role.URL, side)]
    assert [spec.host for spec in specs] == [host]


@pytest.mark.parametrize(
    "directive",
    [
        "listen unix:/var/run/nginx.sock;",
        "listen localhost;",
        "listen 127.0.0.1;",
        "listen ${PORT};",
        "listen $PORT;",
        "# listen 80;",
        "server_name a:80 'listen 80;';",
        "proxy_pass http://backend;",
        "proxy_pass http://$backend:5000;",
        "proxy_pass http://unix:/tmp/a.sock;",
        "upstream x { server unix:/tmp/a.sock; server backend; }",
        "server backend:5000;",
        "proxy_set_header Host $host:8080;",
        "proxy_read_timeout 3000;",
        "return 404;",
        'return 200 "port: 80";',
        "location ~ ^/(?<id>\\d+):80$ { }",
        "content_by_lua_block { local a = { b = '}' } -- } http://lua:1\n a = [==[ } ]==] --[[ } ]] listen 80; }",
        'if ($http_host ~ "x:80") { return 403; }',
        "allow 10.0.0.0/24;",
    ],
)
def test_what_is_no_port(directive: str) -> None:
    """Comments, variables, sockets by path, code of Lua, and numbers that are something else."""
    assert ports(f"http {{ server {{ {directive}\n }} }}") == []


def test_directives_know_their_block() -> None:
    """Words are told apart as nginx does: quotes, escapes, `${…}` and braces."""
    text = "events {} http { map $a ${b} { default \"x;}\"; '' close\\;d; } }"
    assert [([word.value for word in found.words], found.block) for found in directives(text, "a")] == [
        (["events"], ""),
        (["http"], ""),
        (["map", "$a", "${b}"], "http"),
        (["default", "x;}"], "map"),
        (["", "close\\;d"], "map"),
    ]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("server {\n  listen 80;\n", (3, 1)),
        ("server {\n  listen 80\n}\n", (3, 1)),
        ("server {}\n}\n", (2, 1)),
        ("server { return 200 'a; }", (1, 21)),
        ("server { return 200 'a'b; }", (1, 21)),
        ("server { {} }", (1, 10)),
        ("server { ; }", (1, 10)),
        ("server { content_by_lua_block { [[ } ", (1, 32)),
    ],
)
def test_what_nginx_refuses(text: str, place: tuple[int, int]) -> None:
    """A text that nginx would not parse is refused with its place."""
    with pytest.raises(InvalidFile) as refusal:
        read(text, "conf.d/web.conf")
    assert (refusal.value.line, refusal.value.column) == place


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("conf.d/httpd.conf", "<VirtualHost *:80>\n  ProxyPass / http://backend:5000/\n</VirtualHost>\n"),
        ("sites-available/default", "Listen 8080\n"),
        ("conf.d/postgres.conf", "port = 5432\n"),
        ("nginx/mime.txt.conf", "this is no configuration"),
        ("nginx.conf", "server { listen {{ port }}; }"),
        ("nginx.conf", "{% for port in ports %}\nserver { listen 80; }\n{% endfor %}"),
    ],
)
def test_what_is_another_programs(path: str, text: str) -> None:
    """Files of other servers in the same folders, and templates of other tools."""
    assert ports(text, path) == []


def test_an_excerpt_in_a_folder_of_nginx() -> None:
    """A file that others include needs no block round it where its path says nginx."""
    text = "proxy_pass http://backend:5000;\n"
    assert found(text, ports(text, "nginx/proxy.conf")) == [("5000", Role.URL, Side.CONTAINER)]
    assert ports(text, "conf.d/proxy.conf") == []


def test_which_files_are_read() -> None:
    """By name, by folder, and templates of the official image, which are in force."""
    for path in (
        "nginx.conf",
        "proxy/nginx.conf",
        ".nginx/nginx.conf",
        "nginx.dev.conf",
        "docker/nginx/app.conf",
        "default.conf",
        "conf.d/web.conf",
        "sites-enabled/web",
        "templates/default.conf.template",
    ):
        assert format_of(path) == "nginx", path
    assert format_of("app.conf") is None
    assert format_of("nginx.conf.example") is None


def test_time_is_linear() -> None:
    """Texts made to be slow are not."""
    size = 100_000
    for text in (
        "server {" * size,
        "a_by_lua_block {" + "[" * size,
        "a_by_lua_block {" + '"\\' * size,
        "a '" + "\\'" * size,
        "proxy_pass " + "a:" * size + ";",
        "#" * size + "\n" * size,
        "server" + "\n" * size,
    ):
        read_safely(read, text, "nginx.conf")


@given(
    fragments(
        *"{};#\"'\\$",
        "server {\n",
        "upstream a {",
        "listen 80;",
        "listen [::]:8080 ssl;",
        "listen 8000-8010",
        "proxy_pass http://a:5000",
        "return 301 https://$host:8443",
        "server b:5000;",
        "set_by_lua_block $a {",
        "[==[",
        "]==]",
        "--",
        "${",
        "}\n",
        ":80;",
    )
)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Whatever the text, it is read or refused with a place, and every span holds what it says."""
    read_safely(read, text, "nginx.conf")
    read_safely(read, f"server {{ {text} }}", "nginx/a.conf")


def test_real_files() -> None:
    """The nginx files of real projects are read, with what they say."""
    if not CORPUS.is_dir():
        unmet(f"{CORPUS} is missing")
    expected = {
        "nginx-flask-mongo/nginx/nginx.conf": ["80"],
        "nginx-golang-mysql/proxy/nginx.conf": ["80", "8000"],
        "nginx-golang-postgres/proxy/nginx.conf": ["80", "8000"],
        "nginx-golang/proxy/nginx.conf": ["80", "80"],
        "nginx-nodejs-redis/nginx/nginx.conf": ["5000", "5000", "80"],
        "nginx-wsgi-flask/nginx/default.conf": ["80"],
        "nginx-wsgi-flask/nginx/nginx.conf": [],
        "react-nginx/.nginx/nginx.conf": ["80"],
    }
    root = CORPUS / "awesome-compose"
    files = [Path(folder, name) for folder, _, names in os.walk(root) for name in names]
    paths = {str(path.relative_to(root)) for path in files}
    assert {path for path in paths if format_of(path) == "nginx"} == set(expected)
    for path, numbers in expected.items():
        assert [spec.published for spec in ports((root / path).read_text("utf-8"), path)] == numbers
