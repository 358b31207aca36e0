"""`Procfile`: one line for each type of process, its name and its command.

    web: gunicorn app:app --bind 0.0.0.0:${PORT:-8000}
    worker: celery -A app flower --port 5555

Source: the grammar of Foreman and Honcho, `^([A-Za-z0-9_-]+):\\s*(.+)$`; any other line is passed over, as they do. The name is
the service. Both set PORT themselves (5000 and up by 100 for each type), which no file says.
"""

from __future__ import annotations

import re

from portward.formats import commands
from portward.formats.text import Passage, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import PortSpec

_LINE = re.compile(r"^([A-Za-z0-9_-]+):[ \t]*(\S[^\n]*)", re.MULTILINE)


def read(text: str, path: str) -> list[PortSpec]:
    """The ports in the commands, for the services that the process types are."""
    source = Source(text, path, "procfile")
    specs: list[PortSpec] = []
    for line in _LINE.finditer(source.text) if commands.may_be_in(source.text) else ():
        command = Passage.of(source.text, *line.span(2))
        specs += commands.specs(source, commands.find(command), service=line[1])
    return specs
