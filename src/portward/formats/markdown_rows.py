"""Ports that a document tells in rows: tables with a column of ports, and lines of a label and a number.

    | Service | Host port | Container port | Variable |        - **Ollama**: 11434
    |---|---|---|---|                                        - Open Web UI: 8080 (UI), 1234 (API)
    | API | 5000 | `8000` | `API_PORT` |                      - 3000 - the frontend
    | Web | 8080:80 | | |                                     Backend (port 5000)

A line counts only where the text round it speaks of ports. A number is a port of two to five digits with nothing of its own
behind it but a remark: `3000 users`, `2.0`, `10,000` and `3000+` are none; a range in a line is a policy and no port.
"""

from __future__ import annotations

import re
from enum import StrEnum

from portward.formats.dotenv import is_port_name
from portward.model import LAST_PORT, Span
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from portward.formats.markdown_lines import Line

_MARKS = r"[\[`*_~\"']{0,6}"
_VALUE = re.compile(
    rf"\s*{_MARKS}(?:(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\*)?:)?"
    r"(?P<port>[1-9][0-9]{1,4}(?:-[1-9][0-9]{1,4})?)"
    r"(?:(?::|[ ]*(?:->|→)[ ]*)(?P<target>[1-9][0-9]{1,4}))?"
    r"(?:[ ]?/[ ]?(?P<protocol>tcp|udp)\b(?:[ ]?[/,+&][ ]?(?:tcp|udp)\b)?)?"
    rf"(?![0-9A-Za-z%°+]|_[0-9A-Za-z]|[.:-][0-9]|,[0-9]{{3}}(?![0-9])){_MARKS}(?:\]\([^()\s]*\){_MARKS})?"
    rf"(?:[ ]*\((?P<remark>[^()\n]{{0,60}})\)?{_MARKS})?",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"[ ]*(?:[,;/&+]|\b(?:and|or)\b|<br[ ]?/?>)[ ]*")
_AFTER = re.compile(r"\s*(?:$|[#;,)—–<]|-\s|\.(?:\s|$)|//)")
_MARKER = r"[\s>]*(?:(?:[-*+•]|[0-9]{1,9}[.)])[ \t]+)?(?:\[[ xX]\][ \t]+)?"
_LABELLED = re.compile(
    rf"{_MARKER}(?P<label>{_MARKS}[A-Za-z][^:=|→\n]{{0,60}}?)"
    r"(?:[ \t]*(?::[*_`]{0,4}(?=[ \t])|=>?|→|->)[ \t]*|[ \t]+[-–—][ \t]+|[ \t]*\((?=(?:on )?ports?\b))"
    r"(?:(?:[A-Za-z]+[ \t]+){0,4}ports?:?[ \t]+)?",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    rf"{_MARKER}{_MARKS}(?:port[ \t]+)?{_MARKS}:?(?P<port>[1-9][0-9]{{1,4}})(?:/(?P<protocol>tcp|udp))?{_MARKS}"
    rf"[ \t]*(?::|[-–—]|→|=>?|->)[ \t]+(?P<label>{_MARKS}[A-Za-z][^.:;(|\n]{{0,60}})",
    re.IGNORECASE,
)
_NOT_A_PORT = re.compile(
    r"\b(?:version|year|date|updated|since|copyright|rfc|timeout|ttl|lines?|max|min|maximum|minimum|limit|size|count|total"
    r"|workers|retries|seconds|minutes|ms|memory|pid|uid|gid|id|release|commit|issue)\b",
    re.IGNORECASE,
)
_DELIMITERS = re.compile(r"[\s>]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_CELL = re.compile(r"(?:\\.|[^|\\])*")
_NAME = re.compile(r"\b[A-Z][A-Z0-9_]+\b")
_WORDS_OF_SIDES = {"port", "ports", "host", "container", "internal", "external"}
_ITEM = re.compile(r"[\s>]*(?:[-*+•]|[0-9]{1,9}[.)])[ \t]")
_URL = re.compile(rf"{_MARKS}<?(?:[a-z][a-z0-9+.-]*://|localhost|127\.0\.0\.1)", re.IGNORECASE)
_MOST_COLUMNS = 40
_LANGUAGES_OF_LISTS = ("", "text", "txt", "plain", "plaintext", "env", "dotenv", "ini", "properties")


class Kind(StrEnum):
    """What a column or a number in it is."""

    HOST = "host"
    CONTAINER = "container"
    BOTH = "both"
    NODE = "node"
    DEFAULT = "default"
    VARIABLE = "variable"
    PROTOCOL = "protocol"
    LABEL = "label"
    OTHER = "other"


class Told(Record):
    """One port of a row. `label` is what the row calls it, `target` the container's port beside a host's."""

    span: Span
    kind: Kind
    label: str | None
    variables: tuple[str, ...] = ()
    protocol: str = "tcp"
    target: int | None = None


class Row(Record):
    """A row or a labelled line: what it calls whatever stands in it, and the ports that it tells."""

    span: Span
    label: str | None
    variables: tuple[str, ...]
    ports: tuple[Told, ...]


def rows(lines: Sequence[Line]) -> Iterator[Row]:
    """The rows of all tables and the labelled lines, in the order of the text."""
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.language is None and "|" in line.text and _is_table(lines, at):
            end = at + 2
            while end < len(lines) and "|" in lines[end].text and lines[end].language is None:
                end += 1
            yield from _Table(line, lines[at + 2 : end]).rows()
            at = end
            continue
        row = _labelled(line) or _numbered(line)
        if row is not None:
            yield row
        at += 1


def plain(text: str) -> str:
    """A label without its marks: `**[Web](url)**` is Web."""
    text = re.sub(r"\[([^\[\]]*)\]\([^()]*\)", r"\1", text)
    return " ".join(re.sub(r"[*`~\"\[\]\\]|\b_|_\b", "", text).split())


# Tables


def _is_table(lines: Sequence[Line], at: int) -> bool:
    below = lines[at + 1] if at + 1 < len(lines) else None
    if below is None or below.language is not None or not _DELIMITERS.fullmatch(below.text):
        return False
    return len(_cells(lines[at])) == len(_cells(below)) <= _MOST_COLUMNS


def _cells(line: Line) -> list[Span]:
    """Where the cells of a row stand in its line, without the blanks round them."""
    text = line.text
    at = len(text) - len(text.lstrip(" \t>"))
    end = len(text.rstrip())
    at += text.startswith("|", at)
    found: list[Span] = []
    while at < end:
        cell = _CELL.match(text, at, end)
        stop = max(cell.end() if cell else at, at)
        inner = text[at:stop]
        start = at + len(inner) - len(inner.lstrip())
        found.append(Span(start, max(start, at + len(inner.rstrip()))))
        at = stop + 1 if stop < end and text[stop] == "|" else end if stop >= end else stop + 1
    return found


def column(header: str) -> Kind:
    """What a column holds by its header."""
    words = set(re.findall(r"[a-z]+", header.lower()))
    is_port = not words.isdisjoint(("port", "ports", "nodeport"))
    inside = words & {"container", "internal", "inner", "inside", "target", "pod", "guest"}
    outside = words & {"host", "external", "outer", "outside", "published", "public", "exposed", "opened"}
    if words & {"range", "ranges"}:
        return Kind.OTHER
    if words & {"variable", "variables"} or (words & {"env", "environment"} and not is_port):
        return Kind.VARIABLE
    if "nodeport" in words or (is_port and "node" in words):
        return Kind.NODE
    if (inside and outside) or words & {"mapping", "mappings"}:
        return Kind.BOTH
    if inside and (is_port or words == inside):
        return Kind.CONTAINER
    if is_port or (outside and words == outside):
        return Kind.HOST
    if "default" in words:
        return Kind.DEFAULT
    if words & {"protocol", "transport"}:
        return Kind.PROTOCOL
    return Kind.LABEL if words & {"service", "services", "name", "component", "application", "app"} else Kind.OTHER


class _Table:
    """One table: the kind of each column, and its rows."""

    def __init__(self, header: Line, body: Sequence[Line]) -> None:
        self.body = [(line, _cells(line)) for line in body]
        headers = [header.text[span.start : span.end] for span in _cells(header)]
        self.kinds = [self._kind(index, text) for index, text in enumerate(headers)]
        named = [index for kind in (Kind.LABEL, Kind.OTHER) for index, is_ in enumerate(self.kinds) if is_ is kind]
        is_of_services = Kind.LABEL in self.kinds or Kind.VARIABLE not in self.kinds
        self.label = named[0] if named and is_of_services else None

    def _kind(self, index: int, header: str) -> Kind:
        """A column called Host or Container may hold names as well as ports: its cells tell."""
        kind = column(header)
        if kind in (Kind.HOST, Kind.CONTAINER) and "port" not in header.lower():
            cells = [(line.text, spans[index]) for line, spans in self.body if index < len(spans)]
            if not any(_values(text, span.start, span.end) for text, span in cells):
                return Kind.LABEL
        return kind

    def rows(self) -> Iterator[Row]:
        for line, spans in self.body:
            texts = [line.text[span.start : span.end] for span in spans]
            by_kind = dict(zip(self.kinds, texts, strict=False))
            label = plain(texts[self.label]) if self.label is not None and self.label < len(texts) else ""
            variables = tuple(dict.fromkeys(_NAME.findall(by_kind.get(Kind.VARIABLE, ""))))
            protocol = "udp" if by_kind.get(Kind.PROTOCOL, "").strip("`* ").lower() == "udp" else "tcp"
            row = Row(Span(line.start, line.start + len(line.text)), label or None, variables, ())
            ports = [
                told for kind, span in zip(self.kinds, spans, strict=False) for told in _cell(line, span, kind, row)
            ]
            inside = [told for told in ports if told.kind is Kind.CONTAINER]
            yield row.replace(ports=tuple(_completed(told, inside, protocol) for told in ports))


def _completed(told: Told, inside: Sequence[Told], protocol: str) -> Told:
    """A host's port with the container's of its row, where there is just one of it, and with the row's protocol."""
    target = told.target or (inside[0].target if len(inside) == 1 and told.kind is Kind.HOST else None)
    return told.replace(target=target, protocol=protocol if told.protocol == "tcp" else told.protocol)


def _cell(line: Line, span: Span, kind: Kind, row: Row) -> Iterator[Told]:
    if kind not in (Kind.HOST, Kind.CONTAINER, Kind.BOTH, Kind.NODE, Kind.DEFAULT):
        return
    values = _values(line.text, span.start, span.end)
    if kind is Kind.DEFAULT and not any(is_port_name(name) for name in row.variables):
        return
    if kind is Kind.BOTH and len(values) == 2 and not any(value["target"] for value in values):
        yield from _told(line, values[:1], Kind.HOST, row.label, row.variables)
        yield from _told(line, values[1:], Kind.CONTAINER, row.label, ())
        return
    kind = Kind.HOST if kind is Kind.BOTH else kind
    yield from _told(line, values, kind, row.label, () if kind is Kind.CONTAINER else row.variables)


# Lines of a label and a number


def _labelled(line: Line) -> Row | None:
    """`Label: 3000`, or `Label: http://localhost:3000`, which at least says whose the URL is."""
    found = _LABELLED.match(line.text)
    if found is None or line.language not in (None, *_LANGUAGES_OF_LISTS):
        return None
    label = plain(found["label"])
    sign = line.text[found.end("label") : found.end()]
    is_variable = is_port_name(label) and _NAME.fullmatch(label) is not None
    is_assignment = sign.lstrip().startswith("=") and ">" not in sign
    if is_assignment != is_variable and (is_assignment or line.language is not None):
        return None  # an excerpt of some program's settings: whose they are is not told
    words = set(re.findall(r"[a-z]+", label.lower()))
    name = None if is_variable or words <= _WORDS_OF_SIDES else label
    row = Row(Span(line.start, line.start + len(line.text)), name, (label,) if is_variable else (), ())
    says_port = is_variable or (name is not None and ("port" in sign.lower() or bool(words & {"port", "ports"})))
    values = [value for value in _values(line.text, found.end(), len(line.text)) if "-" not in value["port"]]
    if values and (line.speaks_of_ports or says_port) and not _NOT_A_PORT.search(label):
        kind = column(label) if words & {"port", "ports"} and not is_variable else Kind.HOST
        kind = kind if kind in (Kind.HOST, Kind.CONTAINER, Kind.NODE) else Kind.HOST
        return row.replace(ports=tuple(_told(line, values, kind, name, row.variables)))
    is_list = line.speaks_of_ports or _ITEM.match(line.text) is not None or line.language is not None
    return row if is_list and sign.endswith((" ", "\t")) and _URL.match(line.text, found.end()) else None


def _numbered(line: Line) -> Row | None:
    """`3000: label`, the other way round."""
    found = _NUMBERED.match(line.text)
    if found is None or line.language not in (None, *_LANGUAGES_OF_LISTS) or int(found["port"]) > LAST_PORT:
        return None
    label = plain(found["label"])
    says_port = line.speaks_of_ports or "port" in line.text[: found.start("port")].lower()
    if not says_port or _NOT_A_PORT.search(label):
        return None
    span = Span(line.start + found.start("port"), line.start + found.end("port"))
    told = Told(span, Kind.HOST, label, (), (found["protocol"] or "tcp").lower())
    return Row(Span(line.start, line.start + len(line.text)), label, (), (told,))


# Values


def _values(text: str, start: int, end: int) -> list[re.Match[str]]:
    """The ports that a cell or the rest of a line lists; none where it says anything else too."""
    found: list[re.Match[str]] = []
    while value := _VALUE.match(text, start, end):
        found.append(value)
        start = value.end()
        between = _BETWEEN.match(text, start, end)
        if between is None or not _VALUE.match(text, between.end(), end):
            break
        start = between.end()
    return found if found and _AFTER.match(text, start, end) else []


def _told(
    line: Line, values: Sequence[re.Match[str]], kind: Kind, label: str | None, variables: tuple[str, ...]
) -> Iterator[Told]:
    """The ports of values. Of several, each is called by its remark too: `8080 (UI), 1234 (API)`."""
    for value in values:
        numbers = [int(number) for number in (*value["port"].split("-"), value["target"]) if number]
        if max(numbers) > LAST_PORT:
            continue
        remark = plain(value["remark"] or "")
        protocol = (value["protocol"] or (remark if remark.lower() in ("tcp", "udp") else "tcp")).lower()
        name = f"{label} ({remark})" if label and remark and len(values) > 1 and remark.lower() != protocol else label
        target = int(value["target"]) if value["target"] else None
        if kind is Kind.CONTAINER:
            target = numbers[0]
        span = Span(line.start + value.start("port"), line.start + value.end("port"))
        yield Told(span, kind, name, variables, protocol, target)
        if value["target"] and kind is not Kind.CONTAINER:
            inner = Span(line.start + value.start("target"), line.start + value.end("target"))
            yield Told(inner, Kind.CONTAINER, name, (), protocol, target)
