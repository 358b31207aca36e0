"""Where a text says which address and port it speaks of, and which numbers are no ports at all."""

from __future__ import annotations

import re

from portward.model import LAST_PORT, Transport
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMES = {"http": 80, "ws": 80, "https": 443, "wss": 443, "redis": 6379, "postgres": 5432, "postgresql": 5432, "mysql": 3306,
           "amqp": 5672, "mongodb": 27017, "ldap": 389, "ftp": 21, "ssh": 22}  # fmt: skip
"""Schemes whose URLs need no port (IANA's registry of services)."""


class Place(Record):
    """An address and port as written. The host is None where only a port is told, the port where only a host is."""

    host: str | None
    port: int | None
    transport: Transport | None = None


def read(text: str) -> Place | None:
    """The place that a piece of text is: `host:port` with or without brackets, a URL, `:port`, `::1:port`, `tcp/[::]:port`."""
    text = text.strip("'\"`<>(){},;").rstrip(".:")
    lower = text.lower()
    transport = Transport.UDP if lower.startswith("udp") or lower.endswith("/udp") else None
    scheme, marked, rest = text.rpartition("://")
    rest = rest if marked else re.sub(r"^(?:tcp|udp)[46]?[/:]", "", text, flags=re.IGNORECASE)
    rest = rest.partition("/")[0].rpartition("@")[2].rstrip(".:")
    if rest.endswith("]") and marked:
        host, port = rest, ""
    else:
        host, colon, port = rest.rpartition(":")
        if not colon:
            host, port = rest, ""
    port = port.strip("[]")
    if port and not (port.isascii() and port.isdecimal() and int(port) <= LAST_PORT):
        return None
    if not port and not (marked and host):
        return None
    number = int(port) if port else SCHEMES.get(scheme.lower())
    return Place(cleaned(host), number, transport)


def cleaned(host: str | None) -> str | None:
    """A host without brackets and quotes, None where nothing is left."""
    return (host or "").strip("[]'\"`<>(), ").rstrip(".") or None


_V4 = r"(?:\d{1,3}\.){3}\d{1,3}"
_HOST = rf"{_V4}|\[[0-9a-fA-F:.%\w]{{2,60}}\]|\*|localhost|::(?:1|ffff:{_V4})?"
_NOT_A_FILE = (
    r"(?![\w.-]{0,80}\.(?:m?[jt]sx?|c[jt]s|py|go|rs|rb|java|kt|scala|c|cc|cpp|h|php|exs?|erl|cs|ya?ml|json|sh|lua):)"
)
_NO_HOST = r"(?!(?:node|pid|tid|line|code|errno|id|status|exit|size|took|thread|time|version|level):)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        # "localhost" (127.0.0.1), port 5432; host='localhost', port=8080; "0.0.0.0" port 3030; address 0.0.0.0, port 8080
        rf"""(?:\bhost|address|server at|for|to)\s{{0,2}}[=:]?\s{{0,2}}["'`(]?(?P<host>{_HOST}|[A-Za-z][\w.-]{{0,80}})["'`)]?(?:\s?\((?P<as>[0-9a-fA-F:.]{{2,45}})\))?,?\s{{1,3}}(?:and )?\(?(?:tcp )?port\)?\s{{0,2}}[=:#]?\s{{0,2}}(?P<port>\d{{1,5}})(?!\d)""",
        # ('127.0.0.1', 8000)
        r"""(?<!from )(?<!laddr=)\(["'](?P<host>[\w.:*-]{0,80})["'],\s?(?P<port>\d{1,5})[,)]""",
        # ["http-nio-8080"], JVM_Bind <null>:8080
        r"""(?:\[?"(?:https?|ajp)-(?:nio2?|bio|apr|openssl-nio)-(?:[\d.%]{1,40}-)?|<null>:)(?P<port>\d{1,5})(?!\d)""",
        # [AF_INET]0.0.0.0:1194, [AF_INET][undef]:1194, AF_INET(0.0.0.0:514)
        rf"""\[?AF_INET6?\]?[(\[]?(?P<host>{_V4}|[0-9a-f:]{{2,45}}|undef)\]?:(?P<port>\d{{1,5}})(?!\d)""",
        # 10.0.0.5#53
        rf"""(?<![\w.])(?P<host>{_V4}|[0-9a-f]{{0,4}}:[0-9a-f:]{{1,40}})#(?P<port>\d{{1,5}})(?!\w)""",
        # b'127.0.0.1':1080, `localhost`:`5432`
        rf"""(?:(?<=')|(?<=`))(?P<host>{_HOST}|(?<=`)[A-Za-z][\w.-]{{0,80}})["'`]:["'`]?(?P<port>\d{{2,5}})(?!\d)""",
        # 'cluster0.example.net:27017'
        rf"""["'`]{_NOT_A_FILE}{_NO_HOST}(?P<host>[A-Za-z][\w.-]{{0,80}}):(?P<port>\d{{3,5}})["'`]""",
        # failed to listen on 1883, server running at 3000
        r"""\b(?:listen(?:s|ing|er)?|bind(?:ing)?|bound|running|serv(?:er|ing)|start(?:ed|ing)) (?:on|at|to) :?(?P<port>\d{2,5})(?![\w:/%-]|[.,]\d| (?:ms|s|sec|min|h|of|%|[A-Z][a-z]{2} )\b)""",
        # http://localhost:3000, redis://[::1]:6379
        r"""(?P<url>\b[a-z][a-z0-9+.-]{1,20}://(?:[^\s/@'"<>]{1,100}@)?(?:\[[0-9a-fA-F:.]{2,45}\]|[\w.*-]{1,100}):\d{1,5})(?!\d)""",
        rf"""(?:(?<![\w.:\]-])|(?<=ipv4:)|(?<=ipv6:))(?P<host>{_HOST}):(?P<port>\d{{1,5}})(?![\d.:]\d|\d|->)""",
        r"""(?<!attempting )(?<!trying )(?<!available )(?<!alternative )(?<!fallback )\b(?:(?:host|server|listen|local|http|bind|node|container|target|rpc)[-_]?)?port(?:\(s\)|s)?(?: number| no\.?|_number)?["']?\s{0,3}[=:#(]?\s{0,2}(?:["'`(\[]|Some\()?(?:default:? )?(?P<port>\d{1,5})(?![\d.]\d|\d)""",
        rf"""(?<![\w./:-]){_NOT_A_FILE}{_NO_HOST}(?P<host>[A-Za-z][A-Za-z0-9_-]{{0,60}}(?:\.[\w-]{{1,60}}){{0,6}}):(?P<port>\d{{2,5}})(?![\d:.]|\w)""",
        r"""(?:^|[\s(=]|(?<=[\s:])["'])(?P<host>):(?P<port>\d{2,5})(?!\d|:\d)""",
        r"""(?:^|\s)(?:--?(?:server[-_.]?)?port|-p|PORT|--bind|--listen)[=\s]\s{0,2}(?P<port>\d{2,5})(?![\d.])""",
    )
)
_REACH = 400
_STRONG = 11  # so many forms are unlikely to be anything else, wherever they stand

_FRAME = re.compile(
    r"""^\s{0,20}(?:at\s(?!\w{2,8}://)|\.{3}|File "|from /|[│|]?\s{0,4}\d{1,6}:\s{1,8}[\w<]|-->|goroutine )"""
)
_COMMAND = re.compile(
    r"""(?:\s|^)(?:--?(?:server[-_.]?|http[-_.]?)?port|-p|-P|PORT|--publish)[=\s]\s{0,2}["']?(?:[\d.]{7,15}:)?(?P<port>\d{2,5})(?![\d.])"""
)
_CALL = re.compile(
    r"""(?:^|[\s$#>])(?:nc|ncat|netcat|telnet)(?:\.\w{3,12})?(?: -\w{1,12}){0,4} (?P<host>[\w.:-]{1,80}) (?P<port>\d{1,5})\b"""
    r"""|\badb\b[^\n]{0,40} (?:forward|reverse)(?: --?[\w-]{1,20}){0,2} tcp:(?P<forwarded>\d{1,5})"""
    r"""|\b(?:http\.server|SimpleHTTPServer|runserver|serve -l|nc(?:\.\w{3,12})? -[a-z]{0,4}l[a-z]{0,4}(?: -p)?)(?: -{1,2}[\w-]{1,20}[ =]\S{1,60}){0,3} (?:[\w.*\[\]:]{1,45}:)?(?P<served>\d{2,5})\b"""
    r"""|(?:lsof|ss|fuser)\b[^\n]{0,40}?[ :](?P<asked>\d{2,5})(?:/tcp|\b)"""
    r"""|\bssh\b[^\n]{0,80}? -[A-Za-z]{0,4}[LR] ?(?:[\w.*\[\]:]{1,45}:)?\d{1,5}:(?P<far>[\w.-]{1,80}):(?P<there>\d{1,5})"""
)
_BIND_ANY = re.compile(r"""bind\(\(?(?:["'][\w.]{0,15}["']),\s?0\)""")


def find(line: str, near: int = 0) -> Place | None:
    """The place that a line speaks of: by the form that is the most certain, then by the distance from the character `near`."""
    start = max(near - _REACH, 0)
    line, near = line[start : near + _REACH], near - start
    for form in _FORMS:
        found = list(form.finditer(line))
        for match in sorted(found, key=lambda each: min(abs(each.start() - near), abs(each.end() - near))):
            if place := _place(match):
                return place
    return None


def _place(match: re.Match[str]) -> Place | None:
    groups = match.groupdict()
    if groups.get("url"):
        return read(groups["url"])
    if not 0 < int(groups["port"]) <= LAST_PORT:
        return None
    host = cleaned(groups.get("host"))
    return Place(None if host == "undef" else host, int(groups["port"]))


_AFTER, _BEFORE, _LATER = 14, 40, 25


def around(lines: Sequence[str], index: int, of_bind: bool) -> Place | None:
    """The place that the block around a line speaks of, None where nothing tells it.

    Asked in turn: what follows closely, as an error's fields do, what stands before, the nearest first, and what follows later. Frames of
    a stack trace have line numbers, and are passed over, but for a bind to port 0 in their code.
    """
    after = range(index + 1, min(index + 1 + _AFTER, len(lines)))
    before = range(index - 1, max(index - 1 - _BEFORE, -1), -1)
    later = range(index + 1 + _AFTER, min(index + 1 + _LATER, len(lines)))
    for number in after:
        if _FIELD.match(lines[number]):
            return _fields(lines, number)
    for numbers in (before, after, later):
        for number in numbers:
            if place := _told(lines[number], of_bind):
                return place
    return None


_FIELD = re.compile(r"""^\W{0,12}["']?port["']?\s{0,2}[:=]\s{0,2}["']?(?P<port>\d{1,5})["']?,?\s{0,4}\}?\W{0,4}$""")
_ADDRESS = re.compile(r"""^\W{0,12}["']?address["']?\s{0,2}[:=]\s{0,2}["'](?P<host>[\w.:%-]{1,80})["'],?\W{0,4}$""")


def _fields(lines: Sequence[str], number: int) -> Place | None:
    found = _FIELD.match(lines[number])
    assert found is not None
    hosts = (_ADDRESS.match(line) for line in lines[max(number - 4, 0) : number + 4])
    host = next((each["host"] for each in hosts if each), None)
    return Place(host, int(found["port"])) if int(found["port"]) <= LAST_PORT else None


def _told(line: str, of_bind: bool) -> Place | None:
    if of_bind and _BIND_ANY.search(line):
        return Place(None, 0)
    if _FRAME.match(line) or (of_bind and _WELL.search(line)):
        return None
    if not of_bind and (far := _ARROW.split(line))[1:] and (place := _told(far[-1], of_bind)):
        return place
    for form in _FORMS[:_STRONG]:
        for match in form.finditer(line):
            if place := _place(match):
                return place
    if found := _CALL.search(line):
        port = int(found[found.lastgroup or "port"])
        return Place(found["host"] or found["far"], port) if port <= LAST_PORT else None
    if (found := _COMMAND.search(line)) and int(found["port"]) <= LAST_PORT:
        return Place(None, int(found["port"]))
    return default_of(line) if _REQUEST.search(line) else None


_ARROW = re.compile(r"\s(?:→|=>|-->?)\s")
"""What a proxy or a forwarding leads to stands behind it."""

_WELL = re.compile(r"\bsuccessfully\b|\b(?:accepted|connection)\b[^\n]{0,80}? from ", re.IGNORECASE)
"""Lines that tell what went well, or who came: a bind that failed was of another port."""

_REQUEST = re.compile(r"\b(?:curl|wget|http|https|GET|POST|PUT|HEAD|webpage at)\s")


def default_of(line: str) -> Place | None:
    """The place of a URL that needs no port: http://localhost/ is port 80."""
    found = _URL.search(line)
    place = read(found[0]) if found else None
    return place if place and place.port else None


_URL = re.compile(
    r"""\b[a-z][a-z0-9+.-]{1,20}://(?:\[[0-9a-fA-F:.]{2,45}\]|[\w.*-]{1,100})(?::\d{1,5})?""", re.IGNORECASE
)
