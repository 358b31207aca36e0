"""Ports in JavaScript and TypeScript sources."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.formats.javascript import read
from portward.model import Location, PortSpec, Role, Side

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"
SUFFIXES = ("js", "cjs", "mjs", "jsx", "ts", "cts", "mts", "tsx")

FALLBACKS = [
    ("const p = process.env.PORT || 5000;", "PORT"),
    ("process.env.PORT ?? 5000", "PORT"),
    ("process.env.PORT ||= 5000", "PORT"),
    ("process.env.PORT ??= '5000'", "PORT"),
    ("x = process.env['PORT'] || 5000", "PORT"),
    ('x = process.env["API_PORT"] || "5000"', "API_PORT"),
    ("x = process.env.PORT || `5000`", "PORT"),
    ("x = process?.env?.PORT || 5000", "PORT"),
    ("x = globalThis.process.env.PORT || 5000", "PORT"),
    ("x = Number(process.env.PORT) || 5000", "PORT"),
    ("x = Number(process.env.PORT || 5000)", "PORT"),
    ("x = +(process.env.PORT || 5000)", "PORT"),
    ("x = parseInt(process.env.PORT ?? '5000', 10)", "PORT"),
    ("x = Number.parseInt(process.env.PORT, 10) || 5000", "PORT"),
    ("x = normalizePort(process.env.PORT || '5000')", "PORT"),
    ("x = process.env.PORT ? +process.env.PORT : 5000", "PORT"),
    ("x = process.env.PORT === undefined ? 5000 : Number(process.env.PORT)", "PORT"),
    ("x = process.env.PORT && Number(process.env.PORT) || 5000", "PORT"),
    ("x = process.env.PORT /* ours */ || /* or */ 5000 // done", "PORT"),
    ("const { PORT = 5000 } = process.env", "PORT"),
    ("const { HOST, PORT = '5000', TTL = 60 } = process.env", "PORT"),
    ("const { API_PORT: p = 5000 } = process.env", "API_PORT"),
    ("const { P: port = 5000 } = process.env", "P"),
    ("({ PORT: p = 5000 } = process.env)", "PORT"),
    ("x = import.meta.env.VITE_PORT ?? 5000", "VITE_PORT"),
    ("x = env.PORT || 5000", "PORT"),
    ("x = ctx.env.PORT || 5000", "PORT"),
    ("x = viteEnv.PORT || 5000", "PORT"),
    ("x = Deno.env.get('PORT') ?? 5000", "PORT"),
    ("x = Bun.env.PORT ?? 5000", "PORT"),
    ("const port = process.env.LISTEN_ON || 5000", "LISTEN_ON"),
    ("app.listen(process.env.LISTEN_ON || 5000, done)", "LISTEN_ON"),
    ("x = `http://localhost:${process.env.PORT || 5000}/api`", "PORT"),
    ("const getPort = () => process.env.PORT || 5000", "PORT"),
]

LITERALS = [
    "const o = { port: 5000 }",
    "const o = { PORT: 5000 }",
    "const o = { apiPort: 5000 }",
    "const o = { api_port: 5000 }",
    "const o = { 'client-reload/hmr-port': 5000 }",
    "const o = { ['port']: '5000' }",
    "export default defineConfig({ server: { port: 5000, strictPort: true } })",
    "app.listen(5000)",
    "app.listen('5000')",
    "app?.listen(5000, () => console.log('up'))",
    "http.createServer(app).listen(/* public */ 5000, '0.0.0.0')",
    "const PORT = 5000",
    "export const API_PORT_2 = 5000",
    "let port; port = 5000",
    "this.port = 5000",
    "config['port'] = 5000",
    "port ||= 5000",
    "const port = options.port ?? 5000",
    "start(options.port || 5000)",
    "const port = isDocker && 5000",
    "const port = Number(5000)",
    "const port = process.env.NODE_ENV === 'test' ? 5000 : other",
    "const port = (process.env.NODE_ENV === 'test' && mine) || 5000",
    "function start(port = 5000) {}",
    "class Server { port = 5000 }",
    "class Server { static #port = 5000 }",
    "app.listen(makePort(1, 2) || 5000)",
    "function start({ port = 5000 }) {}",
    "const { port = 5000 } = options",
    "const port = (process.env.CI === '1') || 5000",
    "const port = env.get() || 5000",
    "const port = env.get(name) || 5000",
    "const port = process.env[name] || 5000",
    "const port = env.camelCase || 5000",
]

TYPESCRIPT = [
    "const port: number = 5000",
    "const port = 5000 as const",
    "const port = <number>5000",
    "const o = { port: 5000 } satisfies Options",
    "class Server { private readonly port: number = 5000 }",
    "function start(port: number = 5000): void {}",
    "enum Defaults { PORT = 5000 }",
]

NOTHING = [
    "",
    "// port = 5000, http://localhost:5000",
    "/* app.listen(5000) */ const port = x",
    "/** @example app.listen(5000) http://localhost:5000 */ listen()",
    "const s = 'port: 5000'",
    "const s = 'user:5000'",
    "const s = 'at localhost:5000'",
    "const s = '0.0.0.0:5000'",
    "const s = `${host}:5000`",
    "const s = `port = 5000`",
    "const r = /port: 5000 http:..localhost:5000/.test(port)",
    "app.listen(0)",
    "const MAX_PORT = 65535",
    "const port = 0",
    "const port = process.env.PORT || 0",
    "const port = -5000",
    "const port = 0x1388",
    "const port = 5000.5",
    "const port = 05000",
    "const port = 5000n",
    "const port = 12345678901",
    "const port = base + 5000",
    "const port = 5000 ? a : b",
    "config[port] = 5000",
    "({ [port()]: p = 5000 } = process.env)",
    f"const port = {'(' * 40}5000{')' * 40}",
    "port += 5000",
    "if (port === 5000) {}",
    "if (port > 65535) {}",
    "const ports = [5000]",
    "const o = { transport: 5000, viewport: 5001, report: 5002, port: x }",
    "const REPORT = 5000, port = x",
    "const ttl = process.env.PORT_TTL || 5000",
    "const x = process.env.TIMEOUT || 5000, port = y",
    "const { TIMEOUT = 5000, port } = process.env",
    "listener.on('listen', 5000)",
    "listen(5000)",
    "server.listen(path, 5000)",
    "const s = 'http://localhost/port'",
    "const s = 'http://localhost:0/'",
    "const s = `http://localhost:${port}`",
    "const s = `http://localhost:300${index}`",
    "const s = 'http://localhost:' + port",
    "const port = f(function () { return process.env.PORT }, 5000)",
]

URLS = [
    ("'http://localhost:5000/x'", "localhost", Side.HOST),
    ("'localhost:5000'", "localhost", Side.HOST),
    ("'127.0.0.1:5000'", "127.0.0.1", Side.HOST),
    ('"ws://127.0.0.1:5000"', "127.0.0.1", Side.HOST),
    ("`https://0.0.0.0:5000/`", "0.0.0.0", Side.HOST),
    ("'http://[::1]:5000/'", "::1", Side.HOST),
    ("'http://host.docker.internal:5000'", "host.docker.internal", Side.HOST),
    ("'postgres://user:secret@db:5000/app'", "db", Side.CONTAINER),
    ("'http://example.com:5000'", "example.com", Side.CONTAINER),
    ("'Listening on http://localhost:5000/ now'", "localhost", Side.HOST),
    ("`http://${host}:5000/x`", None, Side.HOST),
    ("`http://api-${n}.internal:5000/x`", None, Side.HOST),
    ("`http://[${address}]:5000/x`", None, Side.HOST),
    ("`${scheme}://${host}:5000`", None, Side.HOST),
    ("`postgres://${user}:${secret}@db:5000/${name}`", "db", Side.CONTAINER),
    ("`http://localhost:5000${path}`", "localhost", Side.HOST),
]


def only(text: str, path: str = "config.js") -> PortSpec:
    """The one port of a text, whose span must be its digits."""
    specs = read(text, path)
    assert len(specs) == 1, specs
    assert text[specs[0].span.start : specs[0].span.end] == "5000"
    return specs[0]


@pytest.mark.parametrize(("text", "name"), FALLBACKS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_fallback_knows_its_variable(text: str, name: str, suffix: str) -> None:
    """Every way to write a default for an environment variable gives that variable's name."""
    spec = only(text, f"server.{suffix}")
    assert (spec.origin, spec.role, spec.side) == ("javascript", Role.FALLBACK, Side.HOST)
    assert (spec.published, spec.variables, spec.host) == ("5000", (name,), None)


@pytest.mark.parametrize("text", LITERALS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_literal_is_the_programs_own_port(text: str, suffix: str) -> None:
    """A number under a name that ends in port, or given to `listen`, is what the program listens on."""
    spec = only(text, f"server.{suffix}")
    assert (spec.role, spec.side, spec.published, spec.variables) == (Role.HOST, Side.HOST, "5000", ())


@pytest.mark.parametrize("text", TYPESCRIPT)
@pytest.mark.parametrize("suffix", ["ts", "mts", "cts"])
def test_typescript_syntax(text: str, suffix: str) -> None:
    """Types around a number do not hide it."""
    assert only(text, f"server.{suffix}").role is Role.HOST


def test_typescript_casts_around_a_variable() -> None:
    """A cast or a non-null assertion around the variable or the number is passed through."""
    assert only("x = (process.env.PORT as string)! ?? (5000 as number)", "a.ts").variables == ("PORT",)
    assert only("const { PORT = 5000 } = process.env as Env", "a.ts").variables == ("PORT",)


def test_a_number_in_a_type_is_no_port() -> None:
    """`port: 5000` in a type alias or an interface declares no port."""
    assert read("type T = { port: 5000 }; interface I { port: 5000 }", "a.ts") == []


@pytest.mark.parametrize("text", NOTHING)
def test_what_is_no_port(text: str) -> None:
    """Comments, other strings, regular expressions, other names and ends of ranges are passed over."""
    assert read(text, "config.js") == []


@pytest.mark.parametrize(("literal", "host", "side"), URLS)
def test_a_url_in_a_literal(literal: str, host: str | None, side: Side) -> None:
    """A URL's port belongs to the host for a loopback address or an expression, else to a container."""
    spec = only(f"const target = {literal}")
    assert (spec.role, spec.host, spec.side, spec.variables) == (Role.URL, host, side, ())
    assert spec.text == literal


@pytest.mark.parametrize(
    "text",
    [
        "x = import.meta.env.VITE_API_URL ?? 'http://localhost:5000'",
        "x = process.env.VITE_API_URL || `http://localhost:5000`",
        "const { VITE_API_URL = 'http://localhost:5000' } = process.env",
        "x = process.env.VITE_API_URL ? process.env.VITE_API_URL : 'http://localhost:5000'",
    ],
)
def test_a_url_that_is_a_fallback(text: str) -> None:
    """A URL that an environment variable replaces stays a URL and knows the variable."""
    spec = only(text)
    assert (spec.role, spec.host, spec.variables) == (Role.URL, "localhost", ("VITE_API_URL",))


def test_two_urls_in_one_string() -> None:
    """Every URL of a string is found, as in a list of brokers."""
    specs = read("x = 'http://a:5000,http://b:5001'", "a.js")
    assert [(spec.host, spec.published) for spec in specs] == [("a", "5000"), ("b", "5001")]


def test_urls_in_jsx() -> None:
    """URLs in an attribute and in the text of an element are found."""
    specs = read('const a = <a href="http://localhost:5000">or http://localhost:5001/x</a>', "App.jsx")
    assert [spec.published for spec in specs] == ["5000", "5001"]


def test_several_variables() -> None:
    """A chain of variables is given in its order, each once."""
    assert only("x = process.env.A_PORT || process.env.B_PORT || 5000").variables == ("A_PORT", "B_PORT")
    assert only("x = process.env.A_PORT || (process.env.B_PORT || 5000)").variables == ("A_PORT", "B_PORT")
    assert only("x = process.env.PORT || process.env['PORT'] || 5000").variables == ("PORT",)


def test_underscores() -> None:
    """`5_000` is port 5000, and the span covers the underscore."""
    text = "const port = process.env.PORT ?? 5_000"
    (spec,) = read(text, "a.js")
    assert spec.published == "5000"
    assert text[spec.span.start : spec.span.end] == "5_000"


def test_an_impossible_fallback_is_given() -> None:
    """A number over 65535 is given, for a rule to object to; 65535 itself is a port in a fallback."""
    (spec,) = read("const port = process.env.PORT || 70000", "a.js")
    assert (spec.published, spec.range) == ("70000", None)
    assert [spec.published for spec in read("process.env.PORT || 65535", "a.js")] == ["65535"]


def test_a_config_module() -> None:
    """The guide's kind of `config.js`, with places and excerpts."""
    text = (
        "module.exports = {\n"
        "  port: process.env.PORT || 5000,\n"
        "  mongoUrl: process.env.MONGO_URL || 'mongodb://localhost:27017/nexus',\n"
        "}\n"
    )
    port, url = read(text, "config.js")
    assert port.location == Location("config.js", 2, 29)
    assert port.text == "process.env.PORT || 5000"
    assert (port.role, port.variables) == (Role.FALLBACK, ("PORT",))
    assert url.location == Location("config.js", 3, 59)
    assert (url.role, url.variables, url.host) == (Role.URL, ("MONGO_URL",), "localhost")
    assert (url.published, url.side) == ("27017", Side.HOST)


def test_spans_count_code_points() -> None:
    """Text that is not ASCII before the number, an emoji too, moves no span."""
    spec = only("/* für 日本 🚢 */ const größe = 'é🚢', port\u00a0= process.env.PORT || 5000")
    assert spec.span.start == spec.location.column - 1
    assert spec.variables == ("PORT",)


def test_a_byte_order_mark_does_not_count() -> None:
    """Spans and columns start after a byte-order mark."""
    assert read("\ufeffconst port = 5000", "a.js") == read("const port = 5000", "a.js")


def test_carriage_returns() -> None:
    """Lines that end in CRLF count as one, and the excerpt is one line."""
    spec = only("'use strict'\r\nconst port =\r\n  process.env.PORT ||\r\n  5000\r\n")
    assert spec.location == Location("config.js", 4, 3)
    assert spec.text == "process.env.PORT || 5000"


def test_lone_surrogates() -> None:
    """A lone surrogate, as `surrogateescape` makes, is no obstacle."""
    assert only("const s = '\udcff', port = 5000").published == "5000"


def test_a_long_excerpt_shows_the_port() -> None:
    """The text around a port is cut to 120 characters, among them the port."""
    spec = only(f"const port = process.env.PORT || {'f(' + '1, ' * 100 + '2)'} || 5000")
    assert len(spec.text) <= 120
    assert "5000" in spec.text


def test_a_broken_statement_is_passed_over() -> None:
    """A statement that the grammar cannot read is skipped, and its neighbours are not."""
    assert only("const a = { port: 5001, %% };\nconst port = 5000;\n").location.line == 2
    assert read("const port = 5000 5001 = ;", "a.js") == []


def test_bundles_are_not_read() -> None:
    """A file over 1 MB, or with a line over 20,000 characters, gives nothing."""
    assert read("const port = 5000\n" + "// filler\n" * 100_001, "a.js") == []
    assert read("const port = 5000;" + " " * 20_000, "a.js") == []
    assert len(read("const port = 5000\n" + "// filler\n" * 1_000, "a.js")) == 1


def test_nothing_is_imported_for_a_text_without_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    """The grammar is loaded only where something looks like a port."""
    monkeypatch.setitem(__import__("sys").modules, "tree_sitter", None)
    assert read("import x from 'x'\nexport const report = 5000 // https://example.com\n", "a.js") == []
    with pytest.raises(ImportError):
        read("const port = 5000", "a.js")


@pytest.mark.parametrize(
    ("opening", "closing"), [("(", ")"), ("[\n", "]\n"), ("({ a:\n", "})\n"), ("`${\n", "}`\n"), ("if (a) {\n", "}\n")]
)
def test_deep_nesting(opening: str, closing: str) -> None:
    """Nesting deeper than any stack, closed or not, is no obstacle."""
    depth = 9_000
    for ending in (closing * depth, ""):
        read(opening * depth + "port = 5000" + ending, "a.js")


FRAGMENTS = [
    *(text for text, _ in FALLBACKS),
    *LITERALS,
    *NOTHING,
    *(literal for literal, _, _ in URLS),
    *"(){}[]`'\"/;,.?:!&|=<>$\\\r\n\u2028é🚢 ",
    "/*",
    "*/",
    "//",
    "${",
    "process.env",
    "const {",
    "PORT = 5_000",
    "://",
    ":8080",
    "?.",
    "||=",
]
SOURCES = st.one_of(
    st.text(),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3))).map("".join),
    st.lists(st.sampled_from(FRAGMENTS)).map("\n".join),
)


@settings(max_examples=400, deadline=None)
@given(text=SOURCES, suffix=st.sampled_from(SUFFIXES))
def test_any_text_is_read(text: str, suffix: str) -> None:
    """No text raises, and each span holds the digits that are published, at the place that is told."""
    check(text, read(text, f"a.{suffix}"))


def check(text: str, specs: list[PortSpec]) -> None:
    """That spans, places and numbers agree with each other."""
    text = text.removeprefix("\ufeff")
    for spec in specs:
        digits = text[spec.span.start : spec.span.end]
        assert re.fullmatch("[0-9][0-9_]*", digits)
        assert spec.published == str(int(digits))
        line = text.split("\n")[spec.location.line - 1]
        assert line[spec.location.column - 1 :].startswith(digits)
        assert digits in spec.text
        assert "\n" not in spec.text
        assert len(spec.text) <= 120
    assert len({spec.span for spec in specs}) == len(specs)
    assert specs == sorted(specs, key=lambda spec: spec.span.start)


def test_real_files() -> None:
    """The JavaScript of real projects is read, and its spans hold digits."""
    if not CORPUS.is_dir():
        if os.environ.get("PORTWARD_REQUIRE_REAL") == "1":
            pytest.fail(f"{CORPUS} is missing")
        pytest.skip(f"{CORPUS} is missing")
    files = sorted(path for suffix in SUFFIXES for path in CORPUS.rglob(f"*.{suffix}"))
    assert files
    found = []
    for path in files:
        text = path.read_bytes().decode()
        specs = read(text, path.relative_to(CORPUS).as_posix())
        check(text, specs)
        found += specs
    assert ("8080", ("PORT",)) in [(spec.published, spec.variables) for spec in found]
