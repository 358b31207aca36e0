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

from portward.formats.text import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import PortSpec

_LONGEST_FILE = 1_000_000
_WORTH_READING = re.compile(
    r"(?<![A-Za-z0-9])[Pp][Oo][Rr][Tt](?![A-Za-z])|(?:bind|binds|listen)[\s=]|\b(?:bind|sendto|connect|connect_ex|create_connection)\("
    r"|\b(?:run|run_simple|start_server|create_server|make_server|start_http_server|open_connection|\w*Server)\("
    r"|\b(?:Redis|StrictRedis|MongoClient|SMTP|SMTP_SSL)\(|://[^\s/]*:[0-9]"
)
_DIGITS = re.compile(r"[1-9][0-9_]")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a source writes, in its order; none in a file over 1 MB. Raises InvalidFile for what `ast` refuses."""
    source = Source(text, path, "python")
    if len(source.text) > _LONGEST_FILE or not (_DIGITS.search(source.text) and _WORTH_READING.search(source.text)):
        return []
    from portward.formats import python_ports  # with it the parser, which a file without a port does without

    return python_ports.find(source, path)
