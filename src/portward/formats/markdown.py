"""Ports that a project's documents tell, and the port table that Portward writes into them.

    | Backend | 5000 | 8000 | `PORT` |              tables and labelled lines: see markdown_rows.py
    curl http://localhost:5000, or localhost:5000   URLs, and addresses of this machine
    docker run -p 8080:80 web                       what a command publishes
    ports: / - "8080:80"                            an excerpt from a Compose file, in a block of code

A number by itself is never a port: years, versions and the numbers of lines stay what they are. What the text says of both
sides is kept apart: the host's port, and the container's behind it.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from portward.errors import InvalidFile
from portward.formats import docker_run, urls
from portward.formats.markdown_lines import joined, lines
from portward.formats.markdown_rows import Kind, Told, rows
from portward.formats.text import Lines, Source
from portward.model import LAST_PORT, PortSpec, Role, Side, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from portward.formats.markdown_lines import Line
    from portward.formats.markdown_rows import Row

BEGIN = "<!-- portward:ports begin -->"
END = "<!-- portward:ports end -->"

_KINDS = {
    Kind.HOST: (Role.MENTION, Side.HOST),
    Kind.CONTAINER: (Role.CONTAINER, Side.CONTAINER),
    Kind.NODE: (Role.HOST, Side.CLUSTER),
    Kind.DEFAULT: (Role.FALLBACK, Side.HOST),
}
_ABOUT_PORTS = re.compile(r"(?:.*[_-])?ports?[_.-]", re.IGNORECASE)  # a file's name
_HERE = re.compile(
    r"(?<![\w./:@$-])(?P<host>localhost|127\.0\.0\.1|\[::1\]|host\.docker\.internal)"
    r":(?P<port>[1-9][0-9]{1,4})(?![:.@-]*[0-9A-Za-z_@]|-?>)"
)
_KEY = re.compile(r"(?P<indent>[ ]*)(?P<key>[A-Za-z0-9_.-]+):[ ]*(?:#.*)?")
_ITEM = re.compile(r"[ ]*-[ ]*(?P<quote>[\"']?)(?P<value>[0-9][0-9A-Za-z.:/\[\]-]*)(?P=quote)[ ]*(?:#.*)?")


class PortRow(Record):
    """A row of the port table. `where` is the place that a person changes; what is None stays empty."""

    service: str
    host: str | None = None
    container: str | None = None
    variable: str | None = None
    where: str | None = None


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a document tells, in the order of the text, each once. Never refuses a text."""
    source = Source(text, path, "markdown")
    document = lines(source.text, always=_ABOUT_PORTS.match(path.rpartition("/")[2]) is not None)
    reader = _Reader(source, document)
    found: dict[int, PortSpec] = {}
    for spec in reader.ports():
        found.setdefault(spec.span.start, spec)
    return sorted(found.values(), key=lambda spec: spec.span.start)


class _Reader:
    def __init__(self, source: Source, document: Sequence[Line]) -> None:
        self.source = source
        self.document = document
        self.rows: list[Row] = list(rows(document))
        self.starts = [row.span.start for row in self.rows]

    def ports(self) -> Iterator[PortSpec]:
        """Every port, the surest first: of two that stand at the same place, the first counts."""
        for row in self.rows:
            yield from (self._told(told) for told in row.ports)
        yield from self._excerpts()
        text = joined(self.source.text, self.document)
        for command in docker_run.commands(text):
            yield from docker_run.ports(self.source, command, role=Role.MENTION)
        for url in urls.find(text):
            if 0 < int(url.port) <= LAST_PORT:
                yield self._address(url.span, url.host)
        for here in _HERE.finditer(text):
            if int(here["port"]) <= LAST_PORT:
                yield self._address(Span(*here.span("port")), here["host"].strip("[]"))

    def _told(self, told: Told) -> PortSpec:
        role, side = _KINDS[told.kind]
        return self.source.port(
            told.span,
            role,
            side,
            service=told.label,
            target=told.target,
            protocol=told.protocol,
            variables=told.variables,
        )

    def _address(self, span: Span, host: str) -> PortSpec:
        """A URL's port; a row that it stands in says whose it is."""
        index = bisect_right(self.starts, span.start) - 1
        row = self.rows[index] if index >= 0 and span.end <= self.rows[index].span.end else None
        return self.source.port(
            span,
            Role.URL,
            urls.side(host),
            host=host,
            service=row.label if row else None,
            variables=row.variables if row else (),
        )

    def _excerpts(self) -> Iterator[PortSpec]:
        """The entries of `ports:` and `expose:` in blocks of code, for the service that they stand under."""
        keys: list[tuple[int, str]] = []
        for line in self.document:
            key = _KEY.fullmatch(line.text) if line.language is not None else None
            item = _ITEM.fullmatch(line.text) if line.language is not None else None
            if key:
                keys = [*(outer for outer in keys if outer[0] < len(key["indent"])), (len(key["indent"]), key["key"])]
            elif item and keys and keys[-1][1] in ("ports", "expose"):
                word = docker_run.Word(item["value"], line.start + item.start("value"))
                service = keys[-2][1] if len(keys) > 1 else None
                yield from docker_run.published(self.source, word, service, Role.MENTION)
            elif line.text.strip() and not line.text.lstrip().startswith(("#", "-")):
                keys = keys[:-1] if keys and keys[-1][1] in ("ports", "expose") else keys
            if line.language is None:
                keys = []


def port_table(table: Iterable[PortRow]) -> str:
    """The port table in Markdown: a header and a line for each row, every line with its line feed.

    `read` finds in it the numbers that were put in.
    """
    heads = ("Service", "Host port", "Container port", "Variable", "Where")
    cells = [(row.service, row.host, row.container, row.variable and f"`{row.variable}`", row.where) for row in table]
    table_rows = [heads, ("---",) * len(heads), *cells]
    return "".join("| " + " | ".join(_cell(text) for text in row) + " |\n" for row in table_rows)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("\\", "\\\\").replace("|", "\\|")


def with_table(text: str, table: str, path: str | None = None) -> str:
    """The text with the table of ports between its markers: see `with_block`."""
    return with_block(text, table, BEGIN, END, path)


def with_block(text: str, block: str, begin: str, end: str, path: str | None = None) -> str:
    """The text with a block of lines between two markers, as the text ends its lines and indents its first marker.

    A text without markers gets them at its end. Nothing else changes. Raises InvalidFile where one of them stands alone or
    several times, and where a block of code has no end, so that nothing can stand behind it.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    begins, ends = _outside_code(text, begin), _outside_code(text, end)
    if not begins and not ends:
        gap = "" if not text else newline if text.endswith("\n") else 2 * newline
        text += gap + newline.join((begin, end, ""))
        begins, ends = _outside_code(text, begin), _outside_code(text, end)
    if len(begins) != 1 or len(ends) != 1 or begins[0] > ends[0]:
        place = Lines(path or "", text).at([len(text), *ends, *begins][-1])
        message = f"one {begin} and then one {end} is expected outside of code"
        raise InvalidFile(message, path=path, line=place.line, column=place.column)
    start = begins[0] + len(begin)
    indent = text[text.rfind("\n", 0, begins[0]) + 1 : begins[0]]
    indent = indent if indent.isspace() else ""
    inner = "".join(f"{indent}{line}{newline}" if line else newline for line in block.splitlines())
    return f"{text[:start]}{newline}{inner}{indent}{text[ends[0] :]}"


def _outside_code(text: str, marker: str) -> list[int]:
    """Where a marker stands in a text, but for code."""
    document = lines(text)
    starts = [line.start for line in document]
    found = [match.start() for match in re.finditer(re.escape(marker), text)]
    return [at for at in found if _is_text(document[bisect_right(starts, at) - 1], at, text)]


def _is_text(line: Line, at: int, text: str) -> bool:
    return line.language is None and text.count("`", line.start, at) % 2 == 0
