"""Shell scripts and `.envrc`: variables, the defaults of `${PORT:-5000}`, and command lines.

    PORT=5000
    export API_PORT="${API_PORT:-5001}"
    : "${WEB_PORT:=3000}"
    exec uvicorn app:app --port "$API_PORT"
    docker run -p 8080:80 nginx

What a script prints, the text of its here-documents and the lists of its loops are passed over.
"""

from __future__ import annotations

from portward.formats import commands
from portward.formats.text import Passage, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import PortSpec


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a script sets, falls back to, and gives to what it starts."""
    source = Source(text, path, "shell")
    if not commands.may_be_in(source.text):
        return []
    return list(commands.specs(source, commands.find(Passage.of(source.text, 0, len(source.text)))))
