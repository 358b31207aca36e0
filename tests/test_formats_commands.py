"""Ports in command lines, and the words of a shell."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.formats import commands, shell_words
from portward.formats.text import Passage
from portward.formats.tools import TOOLS, Tool
from portward.model import Role
from tests.conftest import need

if TYPE_CHECKING:
    from portward.formats.commands import CommandPort


def ports(text: str) -> list[CommandPort]:
    """The ports of a command line, whose spans must be digits."""
    found = commands.find(Passage.of(text, 0, len(text)))
    for port in found:
        assert text[port.span.start : port.span.end].replace("-", "").isdecimal()
    return found


def only(text: str) -> CommandPort:
    """The one port of a command line, which must be 5000."""
    (port,) = ports(text)
    assert text[port.span.start : port.span.end] == "5000"
    return port


VARIABLES = [
    ("PORT=5000", "PORT"),
    ("PORT=5000 npm start", "PORT"),
    ("PORT='5000' npm start", "PORT"),
    ('NODE_ENV=x API_PORT="5000" node .', "API_PORT"),
    ("export PORT=5000", "PORT"),
    ("export A=1 PORT=5000", "PORT"),
    ("declare -x PORT=5000", "PORT"),
    ("env -u X PORT=5000 cmd", "PORT"),
    ("sudo -u www PORT=5000 cmd", "PORT"),
    ("cross-env PORT=5000 NODE_ENV=test next dev", "PORT"),
    ("npx cross-env PORT=5000 next dev", "PORT"),
    ("set PORT=5000&& node .", "PORT"),
    ('set "PORT=5000" && node .', "PORT"),
    ("make run PORT=5000", "PORT"),
    ("PORT=${1:-5000}", "PORT"),
    ("if true; then PORT=5000; fi", "PORT"),
    ('[ -n "$PORT" ] || PORT=5000', "PORT"),
    ("x=$(PORT=5000 cmd)", "PORT"),
    ("x=`PORT=5000 cmd`", "PORT"),
    ("(cd x && PORT=5000 cmd)", "PORT"),
    ("port=5000", "port"),
]

FALLBACKS = [
    ("PORT=${PORT:-5000}", ("PORT",)),
    ('export PORT="${PORT:-5000}"', ("PORT",)),
    (': "${PORT:=5000}"', ("PORT",)),
    (": ${PORT=5000}", ("PORT",)),
    ("PORT=${WEB_PORT-5000}", ("WEB_PORT", "PORT")),
    ("x --port ${PORT:-${WEB_PORT:-5000}}", ("PORT", "WEB_PORT")),
    ("x --port=${P:-'5000'}", ("P",)),
    ("next dev -p ${P:-5000}", ("P",)),
    ("gunicorn -b 0.0.0.0:${P:-5000} app", ("P",)),
    ('echo "on http://localhost:${PORT:-5000}/"', ("PORT",)),
    ("sh -c 'x --port ${P:-5000}'", ("P",)),
    ("cat <<< ${PORT:-1} ${API_PORT:-5000}", ("API_PORT",)),
]

OPTIONS = [
    ("x --port 5000", "x"),
    ("x --port=5000", "x"),
    ("./bin/x -port 5000", "x"),
    ("node server.js --port 5000", "server.js"),
    ("npm run dev -- --port 5000", "run"),
    ("next dev -p 5000", "next"),
    ("next dev -p5000", "next"),
    ("npx next start -p '5000'", "next"),
    ("yarn next dev -p 5000", "next"),
    ("pnpm exec vite --port 5000", "vite"),
    ("vite preview --port=5000 --strictPort", "vite"),
    ("serve -s build -l 5000", "serve"),
    ("serve -l tcp://0.0.0.0:5000", "serve"),
    ("http-server . -p 5000 -c-1", "http-server"),
    ("json-server --watch db.json -p 5000", "json-server"),
    ("webpack-dev-server --port 5000", "webpack-dev-server"),
    ("ng serve --port 5000", "ng"),
    ("node --inspect=5000 index.js", "node"),
    ("nodemon --inspect=0.0.0.0:5000 index.js", "nodemon"),
    ("bundle exec rails s -p 5000", "rails"),
    ("bin/rails server -p 5000", "rails"),
    ("puma -b tcp://0.0.0.0:5000", "puma"),
    ("gunicorn app:app -b 0.0.0.0:5000", "gunicorn"),
    ("gunicorn --bind=[::]:5000 app:app", "gunicorn"),
    ("gunicorn -b :5000 app", "gunicorn"),
    ("poetry run uvicorn app:app --port 5000", "uvicorn"),
    ("uv run --with x uvicorn app:app --port 5000", "uvicorn"),
    ("hypercorn -b 127.0.0.1:5000 app", "hypercorn"),
    ("daphne -b 0.0.0.0 -p 5000 app", "daphne"),
    ("granian --port 5000 app", "granian"),
    ("flask --app x run -p 5000", "flask"),
    ("python3 -m flask run --port 5000", "flask"),
    ("python manage.py runserver 5000", "manage.py"),
    ("python3.12 -W ignore manage.py runserver 0.0.0.0:5000 --noreload", "manage.py"),
    ("./manage.py runserver --settings a.b -v 2 5000", "manage.py"),
    ("$PYTHON manage.py runserver 5000", "manage.py"),
    ("python -m http.server 5000", "http.server"),
    ("python -m http.server -b 127.0.0.1 5000", "http.server"),
    ("streamlit run app.py --server.port 5000", "streamlit"),
    ("jupyter lab --port=5000", "jupyter"),
    ("redis-server --port 5000", "redis-server"),
    ("postgres -p 5000", "postgres"),
    ("php -S localhost:5000 -t public", "php"),
    ("php artisan serve --port=5000", "artisan"),
    ("java -Dserver.port=5000 -jar app.jar", "java"),
    ("java -jar app.jar --server.port=5000", "java"),
    ("mkdocs serve -a localhost:5000", "mkdocs"),
    ("timeout -s INT 10 gunicorn -b :5000 app", "gunicorn"),
    ("exec gosu app gunicorn -b :5000 app", "gunicorn"),
    ("tini -- gunicorn -b :5000 app", "gunicorn"),
    ("dotenv -e .env -- next dev -p 5000", "next"),
    ("bash -lc 'next dev -p 5000'", "next"),
    ('concurrently -n a,b "npm run watch" "next dev -p 5000"', "next"),
    ('nodemon --exec "gunicorn -b :5000 app"', "gunicorn"),
    ("next dev \\\n  -p \\\n  5000", "next"),
    ("next dev -p 5000 2>&1 | tee log", "next"),
    ("NEXT.EXE dev --port 5000", "NEXT.EXE"),
    ("node_modules/.bin/next.cmd dev -p 5000", "next"),
]

FALSE_FRIENDS = [
    "",
    "5000",
    "tsc -p 5000",
    "mkdir -p 5000",
    "ssh -p 5000 host",
    "scp -P 5000 a b",
    "webpack -p 5000",
    "psql --port 5000",
    "mysql --port=5000",
    "redis-cli -p 5000",
    "curl -p 5000 http://localhost/",
    "kubectl expose deploy x --port=5000",
    "echo next dev -p 5000",
    "echo use --port 5000",
    "git commit -m 'next dev -p 5000'",
    "rails new x -p 5000",
    "flask db upgrade -p 5000",
    "npm run dev -- -p 5000",
    "docker run -p 5000 nginx",
    "docker run nginx serve -p 5000",
    "docker build --build-arg PORT=5000 .",
    "gunicorn -b 5000 app",
    "gunicorn -w 5000 app",
    "python manage.py migrate 5000",
    "python -m http.server -d 5000",
    "python -m timeit 5000",
    "next dev -p $PORT",
    "next dev -p 5000x",
    "next dev -p 05000",
    "next dev -p 0",
    "next dev -p",
    "PORTS=5000",
    "PORT=5000x",
    "PORT=0",
    "MAX_PORT=65535",
    "PORT=$((4000 + 1000))",
    "TIMEOUT=${TIMEOUT:-5000}",
    "echo '${PORT:-5000}'",
    "echo \\${PORT:-5000}",
    "echo ${PORT:+5000}",
    "echo ${PORT:-5000x}",
    "# PORT=5000",
    "x # --port 5000",
    "cat <<EOF\nPORT=5000\n${PORT:-5000}\nEOF",
    "cat <<-'EOF' > x\nPORT=5000\n\tEOF",
    "for port in 3000 5000; do lsof -i :$port; done",
    "x > 5000 --port",
    "sleep 5000",
    "echo 'PORT=5000' is text",
]


@pytest.mark.parametrize(("text", "name"), VARIABLES)
def test_a_variable(text: str, name: str) -> None:
    """A definition of a variable called …PORT, wherever a shell or a program takes one."""
    port = only(text)
    assert (port.role, port.variables, port.tool) == (Role.HOST, (name,), None)


@pytest.mark.parametrize(("text", "names"), FALLBACKS)
def test_a_fallback(text: str, names: tuple[str, ...]) -> None:
    """What `${NAME:-N}` falls back to, if the name or the place says that it is a port."""
    port = only(text)
    assert (port.role, port.variables) == (Role.FALLBACK, names)


@pytest.mark.parametrize(("text", "tool"), OPTIONS)
def test_an_option(text: str, tool: str) -> None:
    """The option or operand of a program that has it, behind whatever runs the program."""
    port = only(text)
    assert (port.role, port.variables, port.tool, port.target) == (Role.HOST, (), tool, None)


@pytest.mark.parametrize("text", FALSE_FRIENDS)
def test_false_friends(text: str) -> None:
    """The same flags of other programs, numbers of other things, comments and texts."""
    assert ports(text) == []


@pytest.mark.parametrize(
    ("text", "host_ip"),
    [
        ("gunicorn -b 127.0.0.1:5000 x", "127.0.0.1"),
        ("gunicorn -b [::1]:5000 x", "::1"),
        ("gunicorn -b :5000 x", ""),
        ("php -S localhost:5000", ""),
        ("docker run -p 10.0.0.1:5000:80 x", "10.0.0.1"),
    ],
)
def test_the_address_that_is_bound(text: str, host_ip: str) -> None:
    """A numeric address beside the port is told; a name is not resolved."""
    assert only(text).host_ip == host_ip


@pytest.mark.parametrize(
    ("text", "number", "target", "protocol"),
    [
        ("docker run -p 8080:80 nginx", "8080", 80, "tcp"),
        ("docker run --rm --publish=8080:80/udp nginx", "8080", 80, "udp"),
        ("sudo docker container run -p8080:80 nginx", "8080", 80, "tcp"),
        ("podman run -p [::1]:8080:80 nginx", "8080", 80, "tcp"),
        ("docker compose run -p 8080:80 web", "8080", 80, "tcp"),
        ("docker run -p 8000-8010:9000-9010 x", "8000-8010", None, "tcp"),
    ],
)
def test_a_published_port(text: str, number: str, target: int | None, protocol: str) -> None:
    """`docker run -p` is a host port, with the container's behind it."""
    (port,) = ports(text)
    assert text[port.span.start : port.span.end] == number
    assert (port.role, port.target, port.protocol) == (Role.HOST, target, protocol)


def test_a_published_fallback() -> None:
    """The host's side of `-p ${PORT:-N}:C`."""
    port = only("docker run -p ${WEB:-5000}:80 nginx")
    assert (port.role, port.variables, port.target) == (Role.FALLBACK, ("WEB",), 80)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("curl -f http://localhost:5000/health", "localhost"),
        ("wait-on http-get://localhost:5000 && x", "localhost"),
        ("wait-on tcp:5000", "localhost"),
        ("wait-on tcp:127.0.0.1:5000", "127.0.0.1"),
        ("./wait-for-it.sh -t 30 db:5000 -- x", "db"),
        ("wait-port db:5000", "db"),
        ('x --api-url="http://api:5000"', "api"),
        ('echo "open http://localhost:5000"', "localhost"),
        ("start-server-and-test start http://localhost:5000 test", "localhost"),
    ],
)
def test_a_url(text: str, host: str) -> None:
    """A URL anywhere in the words, and what a program waits for."""
    port = only(text)
    assert (port.role, port.host) == (Role.URL, host)


def test_a_url_in_a_variable() -> None:
    """The variable that a URL is given to is told."""
    assert only("API_URL=http://api:5000/x cmd").variables == ("API_URL",)


def test_several_in_one_line() -> None:
    """Each port once, in the order of the text."""
    text = "PORT=1 next dev -p 2 & API_PORT=3 sh -c 'flask run -p 4 --port 5; curl http://x:6/'"
    assert [text[port.span.start : port.span.end] for port in ports(text)] == ["1", "2", "3", "4", "5", "6"]


def test_nothing_is_expanded_in_exec_form() -> None:
    """Words that no shell reads keep their dollar signs; the command line of `sh -c` among them is expanded."""
    words = [Passage.of(word, 0, len(word)) for word in ("x", "--port", "${PORT:-5000}")]
    assert commands.find_in_words(words) == []
    words = [Passage.of(word, 0, len(word)) for word in ("sh", "-c", "x --port ${PORT:-5000}")]
    assert [port.variables for port in commands.find_in_words(words)] == [("PORT",)]


@pytest.mark.parametrize("tool", TOOLS, ids=lambda tool: tool.names[0])
def test_every_tool_of_the_table(tool: Tool) -> None:
    """Each name with each of its options, as the table says, in all ways to write an option."""
    for name in tool.names:
        for flag in tool.ports:
            for text in (f"{name} {flag} 5000", f"{name} {flag}=5000", f"{name} {flag} '5000' x"):
                assert only(text).role is Role.HOST
        for flag in tool.addresses:
            assert only(f"{name} x {flag} 0.0.0.0:5000").host_ip == "0.0.0.0"
        for flag in tool.published:
            assert only(f"{name} {flag} 5000:80 x").target == 80
        if tool.operand:
            assert only(f"{name} --x=y h:5000").tool == name.partition(" ")[0]


FRAGMENTS = [
    *(text for text, _ in (*VARIABLES, *OPTIONS)),
    *(text for text, _ in FALLBACKS),
    *FALSE_FRIENDS,
    *" \n\t\r;&|()<>#'\"`\\${}=:-",
    *(
        "$(",
        "${",
        "PORT=",
        ":-",
        "5000",
        "<<EOF\n",
        "EOF\n",
        "--port",
        " -p ",
        "sh -c ",
        "next dev",
        "é🚢",
        "http://h:",
        "\\\n",
    ),
]
TEXTS = st.one_of(
    st.text(),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.text(max_size=3))).map("".join),
    st.lists(st.sampled_from(FRAGMENTS)).map(" ".join),
)


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_any_text(text: str) -> None:
    """Whatever the text, spans hold digits, each once; and the quick look never misses what the slow one finds."""
    found = ports(text)
    assert len({port.span for port in found}) == len(found)
    assert commands.may_be_in(text) or not found


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_words_know_where_they_stand(text: str) -> None:
    """Each character of each word is the one at its place, and live dollar signs are dollar signs."""
    for words in shell_words.commands(Passage.of(text, 0, len(text))):
        for word in words:
            assert word.text == "".join(text[origin] for origin in word.passage.origins)
            assert all(word.text[offset] == "$" for offset in word.live)


QUOTED = st.one_of(
    st.text("ab=:/.-5", min_size=1, max_size=4),
    st.text('ab \\#;&|$`"\n<>(){}*?', max_size=4).map(lambda text: f"'{text}'"),
    st.text("ab #;&|<>(){}*?'\n", max_size=4).map(lambda text: f'"{text}"'),
    st.sampled_from(
        ['"\\$a"', '"\\\\"', '"\\""', '"a\\b"', "\\ ", "\\#", "\\'", '\\"', "\\$x", "a\\\nb", '"a\\\nb"', "b#c"]
    ),
    st.sampled_from([" ", "  ", "\t", " \\\n "]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(QUOTED, min_size=1, max_size=6).map("".join), min_size=1, max_size=8))
def test_words_against_a_shell(lines: list[str]) -> None:
    """Quotes, escapes and blanks make the same words here as in a real shell."""
    script = "\n".join(f"printf '%s\\0' : {line}" for line in lines)
    done = subprocess.run([need("sh"), "-f", "-c", script], capture_output=True, check=True, text=True)
    expected = done.stdout.removesuffix("\0").split("\0")
    found = [word.text for words in shell_words.commands(Passage.of(script, 0, len(script))) for word in words[2:]]
    assert found == expected


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "part",
    [
        "$(",
        "`",
        "${",
        "'",
        '"',
        "\\",
        "<<a\n",
        "a=$(b) ",
        "sh -c '",
        "-- x ",
        "${A:-",
        "PORT=5000 ",
        "x --port ",
        "#",
        "((",
    ],
)
def test_long_texts_end(part: str) -> None:
    """A hundred kilobytes of any of these come to their end: the work grows with the length, not with its square."""
    ports(part * (100_000 // len(part)))
