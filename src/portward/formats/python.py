"""Ports in Python settings and sources: `settings.py`, `config.py`, `app.py`, `gunicorn.conf.py`.

    PORT = int(os.environ.get("PORT") or 5000)                  # fallback for PORT
    class Settings(BaseSettings): port: int = 8000              # fallback for PORT: pydantic reads the environment
    app.run(host="0.0.0.0", port=5000)                          # the program's own port
    bind = "0.0.0.0:8000"                                       # an address
    DATABASES = {"default": {"HOST": "db", "PORT": "5432"}}     # the port of the host beside it
    redis.Redis(host="localhost", port=6379)                    # the same
    BROKER_URL = "amqp://guest@rabbit:5672//"                   # URL

The standard library's `ast` tells code from comments and strings; it is built only for a text in which something looks like a
port. It knows the grammar of the Python that runs Portward: a file of Python 2, or of a newer Python, is refused with the place
at which that one gave up, and is told as skipped. A client's port whose host is an expression has no host here.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from portward.formats.text import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec

_LONGEST_FILE = 1_000_000
_PORT = re.compile(r"[Pp](?<![A-Za-z0-9].)[Oo][Rr][Tt](?![A-Za-z])")
_ADDRESS = re.compile(r"(?:binds?|listen)[\s=]")
_CALLS = (
    *("bind(", "sendto(", "connect(", "connect_ex(", "create_connection(", "open_connection(", "run(", "run_simple("),
    *("_server(", "Server(", "Redis(", "MongoClient(", "SMTP(", "SMTP_SSL(", "://", "localhost:", "127.0.0.1:"),
)
_NUMBER = re.compile(r"[1-9](?<![\w.].)[0-9_]{1,12}(?![\w.])")
_NEAR = 400  # characters between a word that speaks of a port and its number


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a source writes, in its order; none in a file over 1 MB. Raises InvalidFile for what `ast` refuses."""
    source = Source(text, path, "python")
    if len(source.text) > _LONGEST_FILE or not _is_worth_reading(source.text):
        return []
    from portward.formats import python_ports  # with it the parser, which a file without a port does without

    return python_ports.find(source, path)


def _is_worth_reading(text: str) -> bool:
    """Whether a number stands near a word that may make it a port: a quick look, that says yes too often."""
    numbers = [number.start() for number in _NUMBER.finditer(text)]
    for start in _words(text) if numbers else ():
        following = bisect_left(numbers, start - _NEAR)
        if following < len(numbers) and numbers[following] < start + _NEAR:
            return True
    return False


def _words(text: str) -> Iterator[int]:
    """Where a word stands that may make a number a port."""
    for pattern in (_PORT, _ADDRESS):
        for word in pattern.finditer(text):
            yield word.start()
    for call in _CALLS:
        at = text.find(call)
        while at >= 0:
            yield at
            at = text.find(call, at + 1)
