"""`.streamlit/config.toml`: the port of the server, and the one that browsers are sent to.

    [server]
    port = 8501
    [browser]
    serverPort = 80

Source: the Streamlit documentation, "config.toml". TOML is read by the standard library; its own port is the host's, whoever runs it.
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats.text import Source
from portward.formats.toml_places import Places, syntax_error
from portward.model import PortSpec, Role, Side, Span

_KEYS = {("server", "port"): Role.HOST, ("browser", "serverPort"): Role.URL}
_LONGEST_FILE = 50_000  # characters: of a longer one, the reader of TOML may take minutes
_NUMBER = re.compile(r"[1-9][0-9]{0,9}(?![0-9_.eE])")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file; none of one that is far too long. Raises InvalidFile for what is not TOML."""
    import tomllib

    source = Source(text, path, "streamlit")
    if len(source.text) > _LONGEST_FILE:
        return []
    try:
        values = tomllib.loads(source.text)
    except (ValueError, RecursionError) as error:
        message, line, column = syntax_error(str(error), source.text)
        raise InvalidFile(message, path=path, line=line, column=column) from None
    places = Places(source.text, path)
    specs = []
    for keys, role in _KEYS.items():
        table = values.get(keys[0])
        start = places.start_of_value(keys)
        if isinstance(table, dict) and type(table.get(keys[1])) is int and start is not None:
            number = _NUMBER.match(source.text, start)
            if number:
                specs.append(source.port(Span(*number.span()), role, Side.HOST))
    return sorted(specs, key=lambda spec: spec.span.start)
