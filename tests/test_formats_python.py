"""Python settings and sources."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats import format_of, python_ports
from portward.formats.python import read
from portward.formats.text import Source
from portward.model import Location, PortSpec, Role, Side
from tests.port_specs import check, read_safely


def only(text: str, path: str = "settings.py") -> PortSpec:
    """The one port of a source, which must be 5000."""
    (spec,) = read(text, path)
    check(text, path, [spec])
    assert spec.published == "5000"
    return spec


OWN = [
    "PORT = 5000",
    "PORT = '5000'",
    'API_PORT = """5000"""',
    "PORT = 5_000",
    "port: int = 5000",
    "PORT = int('5000')",
    "PORT = other = 5000",
    "self.port = 5000",
    "c.ServerApp.port = 5000",
    "config['port'] = 5000",
    "app.config['PORT'] = 5000",
    "if (port := 5000): pass",
    "app.run(port=5000)",
    "app.run(debug=True, host='0.0.0.0', port=5000)",
    "app.run('0.0.0.0', 5000)",
    "uvicorn.run(app, port=5000)",
    "uvicorn.run('main:app', host='127.0.0.1', port=5000, reload=True)",
    "web.run_app(make(), port=5000)",
    "demo.launch(server_port=5000)",
    "Config(server_port=5000)",
    "def main(port=5000): pass",
    "def main(a, /, b, port: int = 5000, *, c=1): pass",
    "def main(a, port=5000, /, b=1): pass",
    "async def main(*, port=5000): pass",
    "lambda port=5000: port",
    "CONFIG = {'port': 5000}",
    "CONFIG = {'HOST': '0.0.0.0', 'PORT': 5000}",
    "CONFIG = {**a, 'api_port': '5000'}",
    "app.config.update(PORT=5000)",
    "port = options.get('port', 5000)",
    "port = options.get('port') or 5000",
    "port = args.port or 5000",
    "port = getattr(settings, 'PORT', 5000)",
    "port = options['port'] if options else 5000",
    "class Settings(BaseModel):\n    port: int = 5000",
    "class Settings:\n    port: int = Field(5000, ge=1024, le=65535)",
    "class Settings:\n    port: int = field(default=5000)",
    "port = attr.ib(default=5000)",
    "parser.add_argument('--port', type=int, default=5000)",
    "parser.add_argument('-p', '--server-port', default='5000')",
    "@click.option('--port', default=5000)\ndef main(port): pass",
    "def main(port: int = typer.Option(5000, '--port')): pass",
    "sock.bind(('', 5000))",
    "sock.bind(('0.0.0.0', 5000))",
    "HTTPServer(('127.0.0.1', 5000), Handler).serve_forever()",
    "make_server('', 5000, app)",
    "run_simple('localhost', 5000, app)",
    "start_http_server(5000)",
    "await asyncio.start_server(cb, '0.0.0.0', 5000)",
    "bind = '0.0.0.0:5000'",
    "bind = ['0.0.0.0:5000']",
    "bind = ':5000'",
    "bind = f'{host}:5000'",
    "serve(app, listen='*:5000')",
    "server.add_insecure_port('[::]:5000')",
]

FALLBACKS = [
    ("PORT = os.environ.get('PORT', 5000)", ("PORT",)),
    ("PORT = int(os.environ.get('PORT', '5000'))", ("PORT",)),
    ("PORT = os.getenv('PORT', '5000')", ("PORT",)),
    ("PORT = getenv('PORT', default=5000)", ("PORT",)),
    ("x = environ.get('API_PORT', 5000)", ("API_PORT",)),
    ("PORT = int(os.environ.get('PORT') or 5000)", ("PORT",)),
    ("PORT = int(os.getenv('PORT') or os.getenv('WEB_PORT') or 5000)", ("PORT", "WEB_PORT")),
    ("PORT = os.environ.get('PORT', os.environ.get('WEB_PORT', 5000))", ("PORT", "WEB_PORT")),
    ("PORT = int(os.environ['PORT']) if 'PORT' in os.environ else 5000", ("PORT",)),
    ("PORT = 5000 if 'PORT' not in os.environ else os.environ['PORT']", ("PORT",)),
    ("port = os.environ.get('LISTEN_ON', 5000)", ("LISTEN_ON",)),
    ("os.environ.setdefault('PORT', '5000')", ("PORT",)),
    ("PORT = env('PORT', default=5000)", ("PORT",)),
    ("PORT = env.int('PORT', 5000)", ("PORT",)),
    ("PORT = config('PORT', default=5000, cast=int)", ("PORT",)),
    ("app.run(port=int(os.environ.get('PORT', 5000)))", ("PORT",)),
    ("app.run(host='0.0.0.0', port=os.getenv('PORT', 5000))", ("PORT",)),
    ("sock.bind(('', int(os.environ.get('PORT', 5000))))", ("PORT",)),
    ("bind = f\"0.0.0.0:{os.environ.get('PORT', 5000)}\"", ("PORT",)),
    ("bind = '0.0.0.0:' + os.environ.get('PORT', '5000')", ("PORT",)),
    ("bind = os.environ.get('BIND', '0.0.0.0:5000')", ("BIND",)),
    ("@click.option('--port', default=5000, envvar='MY_PORT')\ndef f(): pass", ("MY_PORT",)),
    ("parser.add_argument('--port', default=os.environ.get('PORT', 5000))", ("PORT",)),
    ("class S(BaseSettings):\n    port: int = 5000", ("PORT",)),
    ("class S(pydantic_settings.BaseSettings):\n    api_port: int = Field(default=5000)", ("API_PORT",)),
    ("class S(BaseSettings):\n    port: int = Field(5000, validation_alias='WEB_PORT')", ("WEB_PORT",)),
    ("class S(BaseSettings):\n    port: int = Field(5000, env='WEB_PORT')", ("WEB_PORT",)),
    (
        "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='app_')\n    port: int = 5000",
        ("APP_PORT",),
    ),
    ("class S(BaseSettings):\n    port = 5000\n    class Config:\n        env_prefix = 'APP_'", ("APP_PORT",)),
]

OTHERS = [
    ("DATABASES = {'default': {'ENGINE': 'x', 'HOST': 'db', 'PORT': '5000'}}", "db", Side.CONTAINER),
    ("DATABASES = {'default': {'ENGINE': 'x', 'HOST': 'localhost', 'PORT': 5000}}", "localhost", Side.HOST),
    ("DATABASES = {'default': {'ENGINE': 'x', 'HOST': '', 'PORT': 5000}}", "localhost", Side.HOST),
    ("DATABASES = {'default': {'ENGINE': 'x', 'PORT': 5000}}", "localhost", Side.HOST),
    ("DATABASES = {'default': {'HOST': os.environ.get('DB_HOST', 'db'), 'PORT': 5000}}", "db", Side.CONTAINER),
    ("DATABASES = {'default': {'USER': 'x', 'HOST': HOST, 'PORT': 5000}}", None, Side.HOST),
    ("QUEUE = {'host': 'rabbit', 'port': 5000}", "rabbit", Side.CONTAINER),
    ("redis.Redis(host='cache', port=5000)", "cache", Side.CONTAINER),
    ("redis.Redis(host='localhost', port=5000)", "localhost", Side.HOST),
    ("redis.Redis('cache', 5000)", "cache", Side.CONTAINER),
    ("redis.Redis(host=HOST, port=5000)", None, Side.HOST),
    ("psycopg2.connect(host=os.getenv('H') or 'db', port=5000)", "db", Side.CONTAINER),
    ("MongoClient('mongo', port=5000)", "mongo", Side.CONTAINER),
    ("sock.connect(('db', 5000))", "db", Side.CONTAINER),
    ("smtplib.SMTP('mail', 5000)", "mail", Side.CONTAINER),
    ("dict(host='db', port=5000)", "db", Side.CONTAINER),
    ("x = 'http://localhost:5000/x'", "localhost", Side.HOST),
    ("x = 'localhost:5000'", "localhost", Side.HOST),
    ("x = ['127.0.0.1:5000']", "127.0.0.1", Side.HOST),
    ('x = r"""localhost:5000"""', "localhost", Side.HOST),
    ("x = Producer(bootstrap_servers='localhost:5000')", "localhost", Side.HOST),
    ("x = ['http://web:5000']", "web", Side.CONTAINER),
    ("x = f'http://localhost:5000/{path}'", "localhost", Side.HOST),
    ("x = f'http://localhost:5000{path}'", "localhost", Side.HOST),
    ("x = f'postgres://{user}:{secret!r:>{width}}@db:5000/{name}'", "db", Side.CONTAINER),
    ("x = f'http://{host}:5000/x'", None, Side.HOST),
    ("x = 'amqp://guest:guest@rabbit:5000//'", "rabbit", Side.CONTAINER),
    ('x = """see\nhttp://localhost:5000\n"""', "localhost", Side.HOST),
]

NOTHING = [
    "",
    "# PORT = 5000, http://localhost:5000",
    '"""PORT = 5000, http://localhost:5000"""',
    "def f():\n    'http://localhost:5000'",
    "TIMEOUT = 5000; port = x",
    "REPORT = 5000; SUPPORT = 5000; port = x",
    "PORTS = [5000]; port = x",
    "PORT = 0",
    "PORT = -5000",
    "PORT = 0x1388",
    "PORT = 5000.0",
    "PORT = 5000 + offset",
    "PORT = base + 5000",
    "PORT = '50' '00'",
    "PORT = b'5000x'",
    "MAX_PORT = 65535",
    "PORT = True",
    "port = f(5000)",
    "port = y if 5000 else x",
    "if port == 5000: pass",
    "assert port in (5000, 5001)",
    "x = os.environ.get('TIMEOUT', 5000); port = y",
    "x = os.environ.get('PORT_TTL', 5000)",
    "x = 'port: 5000'",
    "x = 'user:5000'; port = y",
    "x = f'localhost:{port}'",
    "x = f'http://localhost:{port}'",
    "x = f'http://localhost:50{port}'",
    "x = 'http://localhost:50%d' % port",
    "x = 'http://localhost'  # port",
    "subprocess.run(['x'], 5000)  # port",
    "run('name', 5000)  # port",
    "sock.listen(5000)  # port",
    "foo(('', 5000))  # port",
    "CONFIG = {port: 5000}",
    "CONFIG = {'timeout': 5000, 'port': x}",
    "bind = 'key:5000x'",
    "x = '0.0.0.0:5000'  # bind =",
]


@pytest.mark.parametrize("text", OWN)
def test_the_programs_own_port(text: str) -> None:
    """A number under a name that says port, or where a server takes one."""
    spec = only(text)
    assert (spec.role, spec.side, spec.variables, spec.host) == (Role.HOST, Side.HOST, (), None)


@pytest.mark.parametrize(("text", "names"), FALLBACKS)
def test_a_fallback_knows_its_variables(text: str, names: tuple[str, ...]) -> None:
    """Every way to write a default for a variable of the environment gives its name."""
    spec = only(text)
    assert (spec.role, spec.side, spec.variables) == (Role.FALLBACK, Side.HOST, names)


@pytest.mark.parametrize(("text", "host", "side"), OTHERS)
def test_the_port_of_another(text: str, host: str | None, side: Side) -> None:
    """The number beside the host of a client, and URLs; of a host that is an expression the name is not known."""
    spec = only(text)
    assert (spec.role, spec.host, spec.side) == (Role.URL, host, side)


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_no_port(text: str) -> None:
    """Comments, documentation, other names, sums, comparisons, and what is no decimal number."""
    assert read(text, "settings.py") == []


def test_a_fallback_beside_a_host() -> None:
    """The default of DB_PORT is the container's where the host beside it is a service's name."""
    spec = only("X = {'HOST': os.getenv('DB_HOST', 'db'), 'PORT': os.getenv('DB_PORT', '5000')}")
    assert (spec.role, spec.host, spec.side, spec.variables) == (Role.FALLBACK, "db", Side.CONTAINER, ("DB_PORT",))


def test_what_sets_the_environment() -> None:
    """`os.environ["PORT"] = …` defines that variable."""
    assert only("os.environ['PORT'] = '5000'").variables == ("PORT",)
    assert only("os.environ['API'] = 'http://x:5000'").variables == ("API",)


def test_a_url_that_is_a_fallback() -> None:
    """A URL that a variable replaces stays a URL and knows the variable."""
    for text in (
        "x = os.environ.get('REDIS_URL', 'redis://cache:5000/0')",
        "x = os.environ.get('REDIS_URL') or 'redis://cache:5000/0'",
        "class S(BaseSettings):\n    redis_url: str = 'redis://cache:5000/0'",
    ):
        spec = only(text)
        assert (spec.role, spec.variables, spec.host) == (Role.URL, ("REDIS_URL",), "cache")


@pytest.mark.parametrize(
    ("text", "host_ip"),
    [
        ("app.run(host='127.0.0.1', port=5000)", "127.0.0.1"),
        ("app.run(host='localhost', port=5000)", ""),
        ("app.run(host=HOST, port=5000)", ""),
        ("bind = '[::]:5000'", "::"),
        ("sock.bind(('0.0.0.0', 5000))", "0.0.0.0"),
    ],
)
def test_the_address_that_is_bound(text: str, host_ip: str) -> None:
    """A numeric address beside the program's own port is told."""
    assert only(text).host_ip == host_ip


def test_places_and_excerpts() -> None:
    """Lines and columns count code points, after a byte-order mark, over CRLF and text that is not ASCII."""
    text = "\ufeff# größe 🚢\r\nñ, port = '🚢', 5001\r\nx = 1; ß_port = 5000  # ü\r\n"
    spec = only(text, "app/settings.py")
    assert spec.location == Location("app/settings.py", 3, 17)
    assert (spec.text, spec.origin) == ("x = 1; ß_port = 5000  # ü", "python")


@pytest.mark.parametrize(
    "text", ["print 'PORT', 5000\n", "PORT = 5000\nx = (\n", "port = 5000\n  x = 1\n", "PORT = 50\0"]
)
def test_another_python_is_refused(text: str) -> None:
    """What this Python's grammar does not know, Python 2 above all, is refused with the place."""
    with pytest.raises(InvalidFile) as refusal:
        read(text, "settings.py")
    assert (refusal.value.path, bool(refusal.value.line)) == ("settings.py", True)


def test_a_file_without_a_port_is_not_parsed() -> None:
    """Python 2 without a port is nobody's business; nor does it load a parser."""
    assert read("print 'hello', 5000\n", "settings.py") == []
    code = "import sys; from portward.formats.python import read; read('x = 5000', 'a.py'); print('ast' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


STAND_INS = """
import os
from os import environ, getenv as _getenv
def getenv(name, default=None): return _getenv(name, default)
def env(name, default=None, cast=str): return environ.get(name, default)
config = env.int = env
"""
"""What the lines below take from django-environ and python-decouple."""


@pytest.mark.parametrize("text", [text for text, _ in FALLBACKS if text.startswith(("PORT = ", "bind = "))])
def test_a_fallback_is_one_to_python(text: str) -> None:
    """Executed by a real Python, the number is in force while the variable is unset, and gives way where it is set."""
    spec = only(text)
    target = text.partition(" = ")[0]
    name = spec.variables[0]
    for value in (None, "4321"):
        environment = {"PATH": os.environ["PATH"], **({name: value} if value else {})}
        script = f"{STAND_INS}\n{text}\nprint({target})"
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert ("5000" in done.stdout) == (value is None)


def test_file_names() -> None:
    """Settings and entry points by their names, and the modules of a settings package; no other module."""
    names = ("settings.py", "a/config.py", "manage.py", "prod_settings.py", "gunicorn.conf.py", "app/settings/base.py")
    assert {format_of(path) for path in names} == {"python"}
    assert {format_of(path) for path in ("views.py", "settings/deep/base.py", "tests/test_app.py")} <= {None, "python"}
    assert format_of("views.py") is None


FRAGMENTS = [
    *OWN,
    *(text for text, _ in FALLBACKS),
    *(text for text, _, _ in OTHERS),
    *NOTHING,
    *(
        "\n",
        "    ",
        "port",
        "=",
        "5000",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "'",
        '"',
        '"""',
        "f'",
        "\\",
        "#",
        " or ",
        " if ",
        " else ",
    ),
    *(
        "os.environ.get(",
        "class A(BaseSettings):\n",
        "def f(",
        "lambda ",
        "http://h:",
        "é🚢",
        "\r\n",
        "\f",
        "\t",
        "b'",
        "u'",
    ),
]
SOURCES = st.one_of(
    st.text(),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3))).map("".join),
    st.lists(st.sampled_from(FRAGMENTS)).map("\n".join),
)


@settings(max_examples=300, deadline=None)
@given(SOURCES)
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text does anything else, and each span holds the digits that are told."""
    read_safely(read, text, "settings.py")


@settings(max_examples=200, deadline=None)
@given(SOURCES)
def test_the_quick_look_misses_nothing(text: str) -> None:
    """What is not worth parsing has no port of two digits or more in its tree, as long as word and number stand near."""
    text = text[:400]
    with contextlib.suppress(InvalidFile):
        found = python_ports.find(Source(text, "settings.py", "python"), "settings.py")
        assert [spec for spec in found if len(spec.number) > 1] == [
            spec for spec in read(text, "settings.py") if len(spec.number) > 1
        ]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("opening", "closing"),
    [("(", ")"), ("-", ""), ("[", "]"), ("f(", ")"), ("x = 5000 or ", ""), ("lambda: ", ""), ("not ", ""), ("a.", "b")],
)
def test_nesting_deeper_than_any_stack(opening: str, closing: str) -> None:
    """Deep nesting is read or refused, never a crash."""
    for depth in (90, 50_000):
        read_safely(read, f"port = {opening * depth}5000{closing * depth}", "settings.py")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "x = {" + "'PORT': 5000, " * 15_000 + "}",
        "f(" + ", ".join(f"a{number}_port=5000" for number in range(12_000)) + ")",
        "def f(" + ", ".join(f"a{number}_port=5000" for number in range(12_000)) + "): pass",
        "class S(BaseSettings):\n" + "".join(f"    a{number}_port: int = 5000\n" for number in range(8_000)),
        "port = " + " or ".join(["5000"] * 20_000),
    ],
    ids=["dictionary", "call", "parameters", "class", "or"],
)
def test_long_sources_end(text: str) -> None:
    """Two hundred kilobytes come to their end: the work grows with the length, not with its square."""
    assert len(read(text, "settings.py")) > 5_000


def test_large_sources_are_not_read() -> None:
    """A file over 1 MB is data, not settings."""
    assert read("PORT = 5000\n" + "# filler\n" * 120_000, "settings.py") == []
