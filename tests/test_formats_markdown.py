"""Ports in Markdown documents, and the port table that is written into them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import InvalidFile
from portward.formats import format_of
from portward.formats.markdown import BEGIN, END, PortRow, port_table, read, with_table
from portward.model import PortSpec, Role, Side
from tests.conftest import unmet
from tests.port_specs import check, found, fragments, read_safely

SHARED = Path(__file__).parent.parent.parent / "shared"
HOST = (Role.MENTION, Side.HOST)
CONTAINER = (Role.CONTAINER, Side.CONTAINER)
URL = (Role.URL, Side.HOST)


def ports(text: str, path: str = "README.md") -> list[PortSpec]:
    """What is read, after the checks that every reader passes."""
    specs = read(text, path)
    check(text, path, specs)
    return specs


def told(text: str) -> list[tuple[str | None, str]]:
    """What is called what, as far as rows tell it."""
    return [(spec.service, spec.number) for spec in ports(text)]


def table(header: str, *body: str) -> str:
    """A table under a heading that says nothing."""
    delimiters = "|".join("---" for _ in header.strip("|").split("|"))
    return "\n".join(("# Project", "", header, f"|{delimiters}|", *body, ""))


# Tables


def test_a_table_with_both_sides() -> None:
    """Each number on its side, called by its row, the host's with its variable and the container's port."""
    text = table(
        "| Service | Host port | Container port | Variable in `.env` |", "| API | 5000 | `8000` | `API_PORT` |"
    )
    specs = ports(text)
    assert found(text, specs) == [("5000", *HOST), ("8000", *CONTAINER)]
    assert [spec.service for spec in specs] == ["API", "API"]
    assert [spec.variables for spec in specs] == [("API_PORT",), ()]
    assert specs[0].target == 8000


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Port", HOST),
        ("**Port** (_default_)", HOST),
        ("Ports", HOST),
        ("Host", HOST),
        ("Outer Port", HOST),
        ("Published port", HOST),
        ("External", HOST),
        ("Container", CONTAINER),
        ("Internal Port", CONTAINER),
        ("Port (container)", CONTAINER),
        ("Inner Docker port", CONTAINER),
        ("Target port", CONTAINER),
        ("NodePort", (Role.HOST, Side.CLUSTER)),
        ("Node port", (Role.HOST, Side.CLUSTER)),
    ],
)
def test_what_a_column_holds(header: str, expected: tuple[Role, Side]) -> None:
    """The header says whose a number is."""
    text = table(f"| Service | {header} |", "| web | 3000 |")
    assert found(text, ports(text)) == [("3000", *expected)]


@pytest.mark.parametrize(
    "header",
    ["Users", "Version", "Year", "Port range", "Transport", "Airport", "Report", "Default", "Line", "Host name"],
)
def test_columns_of_other_numbers(header: str) -> None:
    """A column that does not say port holds none."""
    assert ports(table(f"| Service | {header} |", "| web | 3000 |")) == []


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("3000", ["3000"]),
        ("`3000`", ["3000"]),
        ("**3000**", ["3000"]),
        ("_3000_", ["3000"]),
        ("[3000](http://x)", ["3000"]),
        (":3000", ["3000"]),
        ("localhost:3000", ["3000"]),
        ("3000/tcp", ["3000"]),
        ("3000 (was 2000)", ["3000"]),
        ("3000, 3001", ["3000", "3001"]),
        ("3000 / 3001", ["3000", "3001"]),
        ("3000<br>3001", ["3000", "3001"]),
        ("3000 and 3001", ["3000", "3001"]),
        ("8000-8010", ["8000-8010"]),
        ("8080:80", ["8080", "80"]),
        ("8080 → 80", ["8080", "80"]),
        ("0.0.0.0:8080->80/tcp", ["8080", "80"]),
        ("", []),
        ("-", []),
        ("n/a", []),
        ("3000 users", []),
        ("3000+", []),
        ("10,000", []),
        ("3.14", []),
        ("0300", []),
        ("7", []),
        ("70000", []),
        ("3000ms", []),
        ("`${PORT}`", []),
        ("3000_1", []),
        ("1:2:3", []),
        ("none (3000 before)", []),
    ],
)
def test_cells(cell: str, expected: list[str]) -> None:
    """A cell that lists ports and nothing else."""
    text = table("| Service | Port |", f"| web | {cell} |")
    assert [text[spec.span.start : spec.span.end] for spec in ports(text)] == expected


def test_mappings() -> None:
    """A column of both sides: `host:container`, or one and then the other."""
    text = table("| Service | Host / container port |", "| a | 8080:80 |", "| b | 8081 / 81 |", "| c | 8082 |")
    assert [(spec.service, spec.number, spec.side) for spec in ports(text)] == [
        ("a", "8080", Side.HOST),
        ("a", "80", Side.CONTAINER),
        ("b", "8081", Side.HOST),
        ("b", "81", Side.CONTAINER),
        ("c", "8082", Side.HOST),
    ]


def test_defaults_of_variables() -> None:
    """In a table of variables, the default of one that holds a port falls back for it; other defaults are no ports."""
    text = table("| Variable | Default | Description |", "| `API_PORT` | 5000 | port |", "| `TIMEOUT` | 3000 | ms |")
    (spec,) = ports(text)
    assert (spec.role, spec.number, spec.variables, spec.service) == (Role.FALLBACK, "5000", ("API_PORT",), None)


def test_the_shapes_of_tables() -> None:
    """Without outer bars, in a quote, in a list, with escaped bars, CRLF, and cells that are missing."""
    text = "> Name | Port\r\n> --- | :-:\r\n> a \\| b | 3000\r\n> c\r\n\r\n- x\r\n\r\n  | Port | App |\r\n  |--|--|\r\n  | 3001 | d | e |\r\n"
    assert told(text) == [("a | b", "3000"), ("d", "3001")]


def test_names_in_a_column_called_container() -> None:
    """A column whose cells are no numbers holds names, whatever it is called."""
    assert told(table("| Container | Host | Port |", "| web-1 | local | 3000 |")) == [("web-1", "3000")]


def test_protocols() -> None:
    """By a column, behind the number, or in a remark."""
    text = table(
        "| Name | Port | Protocol |", "| a | 53 | UDP |", "| b | 54/udp | |", "| c | 55 (UDP) | tcp |", "| d | 56 | |"
    )
    assert [spec.protocol for spec in ports(text)] == ["udp", "udp", "udp", "tcp"]


def test_a_url_in_a_row_is_the_rows() -> None:
    """A URL is called by the row that it stands in, with the variable there."""
    text = table("| Service | URL | Variable |", "| **Web** | http://localhost:3000/x | `WEB_URL` |")
    (spec,) = ports(text)
    assert (spec.role, spec.service, spec.variables, spec.host) == (Role.URL, "Web", ("WEB_URL",), "localhost")


@pytest.mark.parametrize(
    "text",
    [
        "| Service | Port |\n| web | 3000 |\n",
        "| Service | Port |\n|---|\n| web | 3000 |\n",
        "```\n| Service | Port |\n|---|---|\n| web | 3000 |\n```\n",
        "<!--\n| Service | Port |\n|---|---|\n| web | 3000 |\n-->\n",
        "| Service | Port |\n|---|---|\n\n| web | 3000 |\n",
    ],
)
def test_what_is_no_table(text: str) -> None:
    """No delimiters, too few, code, a comment, or a blank line before the rows."""
    assert ports(text) == []


# Lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("- Frontend: 3000", [("Frontend", "3000")]),
        ("* **Ollama**: 11434", [("Ollama", "11434")]),
        ("1. **Ollama:** `11434`", [("Ollama", "11434")]),
        ("- [ ] Web - 3000", [("Web", "3000")]),
        ("- Web => 3000", [("Web", "3000")]),
        ("- Next.js app (dev) – 3000", [("Next.js app (dev)", "3000")]),
        ("Frontend: 3000", [("Frontend", "3000")]),
        ("- Open Web UI: 8080 (UI), 1234 (API)", [("Open Web UI (UI)", "8080"), ("Open Web UI (API)", "1234")]),
        ("- Elasticsearch: 9200, 9300", [("Elasticsearch", "9200"), ("Elasticsearch", "9300")]),
        ("- LM Studio: 1234 (OpenAI-compatible API)", [("LM Studio", "1234")]),
        ("- Redis: 6379, used by the worker", [("Redis", "6379")]),
        ("- Kafka: 9092 — the broker", [("Kafka", "9092")]),
        ("- Web: runs on port 3000.", [("Web", "3000")]),
        ("- Web (port 3000): React", [("Web", "3000")]),
        ("- Web: 8080:80", [("Web", "8080"), ("Web", "80")]),
        ("- 3000: the frontend. Really", [("the frontend", "3000")]),
        ("- `3000` - Frontend", [("Frontend", "3000")]),
        ("- **Port 3000** → Frontend", [("Frontend", "3000")]),
        ("- PORT=3000", [(None, "3000")]),
        ("- Host port: 3000", [(None, "3000")]),
        ("- API port: 3000", [("API port", "3000")]),
        ("- AI services: 10000-10999", []),
        ("- Year: 2024", []),
        ("- Python version: 3000", []),
        ("- Last updated: 2024", []),
        ("- 2024-01-02: released", []),
        ("- 2024: the year", []),
        ("- Web: 3000 users", []),
        ("- Web: 10,000", []),
        ("- Web: 1.25", []),
        ("- Web: 3000ms", []),
        ("- Web: 80880", []),
        ("- Web: none", []),
        ("- See app.py:3000", []),
        ("- commit 1234567, line 120", []),
        ("- a = 3000", []),
        ("3000", []),
        ("- 3000", []),
    ],
)
def test_lines(line: str, expected: list[tuple[str | None, str]]) -> None:
    """A label and its ports, where the heading speaks of ports; other numbers are left alone."""
    assert told(f"# Nexus\n\n## Ports\n\n{line}\n") == expected


@pytest.mark.parametrize(
    "before",
    [
        "# Title\n# Ports\n",
        "## Ports\n\n### Services\n\nThese are they:\n\n",
        "Used ports\n==========\n\n",  # a title says nothing, but a second heading does
        "The project takes these ports\non your machine:\n",
        "1. **Ports**:\n   ",
        "- Of ports there are\n  many:\n\n  - And:\n    ",
        "> ## Ports\n> ",
        "## Ports\n\n```\n",
        "1. Ports:\n   ```text\n   ",
    ],
)
def test_what_speaks_of_ports(before: str) -> None:
    """A heading above, the paragraph before, or the item round it."""
    text = f"# Title\n\n{before}Web: 3000\n"
    assert told(text) == [("Web", "3000")]


@pytest.mark.parametrize(
    "before",
    [
        "",
        "# Ports of call\n\n",  # the title
        "## Ports\n\n## Other\n\n",
        "The ports.\n\nMore text.\n\n",
        "- Ports\n- ",
        "- a\n  - Ports\n- ",
        "## Import, export, support, viewport\n\n",
        "## Ports\n\n```python\n",
        "## Ports\n\n<!--\n",
    ],
)
def test_what_does_not(before: str) -> None:
    """What belongs to another section, paragraph or item, other words, code of a language, and comments."""
    assert told(f"{before}Web: 3000\n") == []


def test_a_document_about_ports() -> None:
    """In a file that is called so, everything speaks of ports."""
    assert [spec.service for spec in ports("# Nexus\n\nWeb: 3000\n", "docs/PORTS.md")] == ["Web"]
    assert [spec.service for spec in ports("# Nexus\n\nWeb: 3000\n", "docs/used_ports.md")] == ["Web"]
    assert ports("# Nexus\n\nWeb: 3000\n", "docs/portward.md") == []


def test_which_side_a_line_is_on() -> None:
    """The label may say so."""
    text = "- Backend container port: 8000\n- Backend host port: 5000\n- Backend node port: 30000\n"
    assert [spec.side for spec in ports(text)] == [Side.CONTAINER, Side.HOST, Side.CLUSTER]


def test_assignments() -> None:
    """`PORT=5000` in a block of settings, but not in code, nor as an entry of YAML, whose reader is not told."""
    assert [spec.variables for spec in ports("```env\nPORT=5000\nexport A=1\nSIZE=3000\n```\n")] == [("PORT",)]
    assert ports("```python\nPORT=5000\n```\n") == []
    assert ports("```\nenvironment:\n  PORT: 5000\n```\n") == []


# URLs, commands and excerpts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Open http://localhost:3000.", [("3000", "localhost")]),
        ("Open [http://localhost:3000](http://localhost:3000/a)!", [("3000", "localhost")] * 2),
        ("`curl localhost:3000/health`", [("3000", "localhost")]),
        ("(127.0.0.1:3000), [::1]:3001; host.docker.internal:3002", [("3000", "127.0.0.1"), ("3001", "::1"), ("3002", "host.docker.internal")]),
        ("```sh\ncurl http://api:5000/x\n```", [("5000", "api")]),
        ("    psql postgres://me:secret@localhost:5432/app", [("5432", "localhost")]),
        ("http://localhost:99999 localhost:99999 http://localhost:0", []),
        ("http://localhost http://localhost:port localhost:$PORT", []),
        ("ssh -L 8080:localhost:80 me@host", []),
        ("user@localhost:3000 a.localhost:3000b /localhost:3000 x-localhost:3000", []),
        ("0.0.0.0:3000->3000/tcp 127.0.0.1:3000->3000/tcp", []),
        ("127.0.0.1:6379> monitor", []),
        ("file.py:3000 12:30:4500 2024:01", []),
        ("<!-- http://localhost:3000 -->", []),
        ("<!-- a\nhttp://localhost:3000\n--> localhost:3001", [("3001", "localhost")]),
        ("in `<!--` code http://localhost:3000", [("3000", "localhost")]),
    ],
)  # fmt: skip
def test_urls(text: str, expected: list[tuple[str, str]]) -> None:
    """URLs that write a port, in text and code, and addresses of this machine."""
    assert [(spec.published, spec.host) for spec in ports(text)] == expected


def test_the_sides_of_urls() -> None:
    """This machine's port, or a container's by its name."""
    text = "http://localhost:3000 http://nexus-server:5000"
    assert found(text, ports(text)) == [("3000", *URL), ("5000", Role.URL, Side.CONTAINER)]


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("- Web: http://localhost:3000", "Web"),
        ("* **Web**: [`http://localhost:3000`](x)", "Web"),
        ("- Web - <http://localhost:3000>", "Web"),
        ("```\nWeb: http://localhost:3000\n```", "Web"),
        ("See the web at: http://localhost:3000", None),
        ("- See http://localhost:3000", None),
        ("- Web: see http://localhost:3000", None),
        ("```sh\ncurl localhost:3000\n```", None),
    ],
)
def test_whose_a_url_is(text: str, service: str | None) -> None:
    """The item of a list that has a label says it."""
    assert [spec.service for spec in ports(text)] == [service]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("docker run -p 8080:80 web", ["8080", "80"]),
        ("docker run -d --name web -p 127.0.0.1:8080:80/tcp -p 9000 nginx", ["8080", "80", "9000"]),
        ("docker container run -dp 3000:3000 app", ["3000", "3000"]),
        ("docker run --publish=8080:80 --rm web", ["8080", "80"]),
        ("podman run -it -p8080:80 web -p 1:2", ["8080", "80"]),
        ("docker run \\\n  --rm \\\n  -p 8080:80 \\\n  -v $(pwd):/a -v \"$PWD\":/b -e 'A=b c' -p 81:81 web", ["8080", "80", "81", "81"]),
        ("docker run `\r\n  -p 8080:80 web", ["8080", "80"]),
        ("docker run -p '8080:80' -e KEY=<your key> web", ["8080", "80"]),
        ("docker run ... -p 8080:80 web", ["8080", "80"]),
        ("docker run -p 8000-8010:80 web", ["8000-8010", "80"]),
        ("docker run -p ${PORT}:80 -p $PORT:81 web", []),
        ("docker run -p \"80\"80:80 web", []),
        ("docker run web -p 8080:80", []),
        ("docker run web; serve -p 8080:80", []),
        ("docker build -p 8080:80 .", []),
        ("docker runs -p 8080:80", []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("around", ["```sh\n{}\n```", "$ {}\n", "    {}"])
def test_docker_run(command: str, expected: list[str], around: str) -> None:
    """What a command publishes, up to its image."""
    text = around.format(command)
    assert [text[spec.span.start : spec.span.end] for spec in ports(text)] == expected


def test_the_service_of_docker_run() -> None:
    """`--name` says it; the host's port is told, the container's is its own."""
    text = "Use `docker run --name web -p 8080:80 image`."
    specs = ports(text)
    assert found(text, specs) == [("8080", *HOST), ("80", *CONTAINER)]
    assert [(spec.service, spec.target) for spec in specs] == [("web", 80), ("web", 80)]


def test_an_excerpt_from_a_compose_file() -> None:
    """Its entries of `ports:` and `expose:`, for the service above them."""
    text = """\
```yaml
services:
  web:
    ports:
      # the web
      - "8080:80"
      - '127.0.0.1:9000:9000/udp' # admin
      - 5000
    environment:
      - 6000:6000
  db:
    expose: # inside
    - 5432
    ports: [1:2]
    volumes:
    - 70:70
```
- 90:90
"""
    assert [(spec.service, spec.number, spec.side) for spec in ports(text)] == [
        ("web", "8080", Side.HOST),
        ("web", "80", Side.CONTAINER),
        ("web", "9000", Side.HOST),
        ("web", "9000", Side.CONTAINER),
        ("web", "5000", Side.CONTAINER),
        ("db", "5432", Side.CONTAINER),
    ]


# The port table


ROWS = [
    PortRow("web", "3000", "80", "WEB_PORT", "docker-compose.yml:9"),
    PortRow("odd | name", "8000-8010"),
    PortRow("worker", None, "9000"),
]


def test_the_table() -> None:
    """A header and a line for each row, with bars escaped and what is not known left empty."""
    assert port_table(ROWS) == (
        "| Service | Host port | Container port | Variable | Where |\n"
        "| --- | --- | --- | --- | --- |\n"
        "| web | 3000 | 80 | `WEB_PORT` | docker-compose.yml:9 |\n"
        "| odd \\| name | 8000-8010 |  |  |  |\n"
        "| worker |  | 9000 |  |  |\n"
    )


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_table_goes_between_its_markers(newline: str) -> None:
    """Nothing else changes: not the byte-order mark, the line ends, nor a missing last one."""
    lines = ["\ufeff# A", "", f"`{BEGIN}`", "```", BEGIN, "```", f"x {BEGIN}", "old", f"{END} y", "", "last"]
    text = newline.join(lines)
    result = with_table(text, "| a |\n| b |\n")
    assert result == newline.join([*lines[:7], "| a |", "| b |", *lines[8:]])
    assert with_table(result, "| a |\n| b |\n") == result


def test_markers_keep_their_indent() -> None:
    """In an item of a list, the table is indented as the marker is."""
    text = f"- a\n\n  {BEGIN}\n  {END}\n"
    assert with_table(text, "| a |\n") == f"- a\n\n  {BEGIN}\n  | a |\n  {END}\n"


@pytest.mark.parametrize(
    ("text", "before"), [("", ""), ("# A\r\n", "# A\r\n\r\n"), ("# A", "# A\n\n"), ("# A\n\n", "# A\n\n\n")]
)
def test_a_text_without_markers_gets_them(text: str, before: str) -> None:
    """At its end, after a blank line."""
    newline = "\r\n" if "\r" in text else "\n"
    assert with_table(text, "| a |\n") == before + newline.join((BEGIN, "| a |", END, ""))


@pytest.mark.parametrize(
    ("text", "line"),
    [(f"{BEGIN}\n", 1), (f"a\n{END}\n", 2), (f"{END}\n{BEGIN}\n", 2), (f"{BEGIN}\n{END}\n{BEGIN}\n", 3), ("```\n", 5)],
)
def test_markers_that_do_not_match(text: str, line: int) -> None:
    """One alone, two of a kind, or the last before the first: refused with the place."""
    with pytest.raises(InvalidFile) as refusal:
        with_table(text, "| a |\n", "README.md")
    assert (refusal.value.path, refusal.value.line) == ("README.md", line)


NAMES = st.text("abcXYZ |\\`*-_é", min_size=1).map(lambda name: f"s{name}s")
NUMBERS = st.integers(10, 65535).map(str)


@given(st.lists(st.builds(PortRow, NAMES, NUMBERS, NUMBERS, st.sampled_from((None, "A_PORT")), st.just("a.yml:80"))))
def test_the_table_is_read_back(rows: list[PortRow]) -> None:
    """What the table was made of is what is read from it, between its markers in any text."""
    text = with_table("# Nexus\n\nport: 1\n", port_table(rows))
    specs = ports(text)
    assert [spec.published for spec in specs if spec.side is Side.HOST] == [row.host for row in rows]
    assert [spec.number for spec in specs if spec.side is Side.CONTAINER] == [row.container for row in rows]
    assert [spec.variables for spec in specs if spec.side is Side.HOST] == [
        (row.variable,) if row.variable else () for row in rows
    ]


# Any text


FRAGMENTS = fragments(
    *"|-:`>#*[]()<",
    "| Service | Host port | Container port |\n|---|---|---|\n",
    "| web | 8080:80 | `3000` |\n",
    "## Ports\n",
    "- **Web**: 3000",
    "8000-8010",
    "```\n",
    "```yaml\nports:\n  - 8080:80\n",
    "~~~",
    "<!--",
    "-->",
    "docker run -p 1:2 \\\n",
    "http://localhost:3000",
    "localhost:3000",
    "(port 3000)",
    BEGIN,
    END,
    "    ",
    "70000",
    "/tcp",
    "PORT=5000\n",
)


@given(FRAGMENTS)
def test_any_text_is_read(text: str) -> None:
    """Whatever the text, it is read, and every span holds what it says."""
    assert read_safely(read, text, "README.md") == read(text, "README.md")
    read_safely(read, text, "PORTS.md")


@given(FRAGMENTS)
def test_a_table_goes_into_any_text(text: str) -> None:
    """Between markers or refused; what is outside of them stays, and doing it again changes nothing."""
    text = text.replace("\r\n", "\n").replace("\r", "")
    try:
        result = with_table(text, "| a |\n")
    except InvalidFile:
        return
    assert with_table(result, "| a |\n") == result
    assert result.startswith(text.partition(BEGIN)[0]) or BEGIN not in text


def test_time_is_linear() -> None:
    """Texts made to be slow are not."""
    size = 50_000
    for part in (
        "|",
        "- a" * 3 + "\n",
        "<!--",
        "`",
        "[",
        "docker run -",
        "a ",
        "> ",
        "http://",
        "localhost:",
        "**",
        "1,",
        " ",
    ):
        read_safely(read, "## Ports\n" + part * size, "README.md")
        read_safely(read, "| a | Port |\n|--|--|\n|" + part * size, "README.md")


def test_the_guides_lists() -> None:
    """The guide's own lists are read, the ranges among them are not, and no number of its code is."""
    guide = SHARED / "guide.md"
    if not guide.is_file():
        unmet(f"{guide} is missing")
    text = guide.read_text("utf-8")
    rows = told(text)
    for row in (
        ("Ollama", "11434"),
        ("Open Web UI (API)", "1234"),
        ("Backend API", "5000"),
        ("Nexus Frontend", "3000"),
    ):
        assert row in rows
    assert not [number for _, number in rows if number in ("100", "10000", "10999", "9")]


def test_real_documents() -> None:
    """Every number found in the documents of real projects is one that its line calls a port."""
    corpus = SHARED / "corpus"
    if not corpus.is_dir():
        unmet(f"{corpus} is missing")
    files = [
        Path(folder, name) for folder, _, names in os.walk(corpus) for name in names if format_of(name) == "markdown"
    ]
    specs = [spec for path in files for spec in ports(path.read_bytes().decode(), path.name)]
    assert len(specs) > 200
    for spec in specs:
        number = spec.number
        assert any(sign in spec.text for sign in (f":{number}", f"{number}:", f"- {number}")), spec
    named = {spec.service for spec in specs if spec.role is Role.MENTION}
    assert {"gitea", "frontend", "pihole", "redpanda"} <= named


def test_which_documents_are_read() -> None:
    """A project's own documents for people and agents, by name or folder."""
    for path in (
        "README.md",
        "sub/README.de.md",
        "PORTS.md",
        "docs/ports.md",
        "docs/dev/setup.md",
        "AGENTS.md",
        "CLAUDE.md",
    ):
        assert format_of(path) == "markdown", path
    for path in ("CHANGELOG.md", "notes.md", "README.rst", "README", "docs/a.txt"):
        assert format_of(path) is None, path
