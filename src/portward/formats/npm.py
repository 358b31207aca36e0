"""`package.json`: the command lines of `scripts`, and what else in it names a port.

    "scripts": { "dev": "cross-env PORT=5000 next dev -p 3000" }     // variables and options
    "config": { "port": 8080 }                                       // npm gives it as npm_package_config_port
    "proxy": "http://localhost:5000"                                 // where the development server of CRA sends requests
    "nodemonConfig": { "exec": "node --inspect=9229 .", "env": { "PORT": "5000" } }

Other URLs in it (`repository`, `homepage`) are addresses of the package and not of its parts. Source: npm-package-json(5).
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats import commands, json_strings
from portward.formats.dotenv import is_port_name
from portward.formats.shell_words import Word
from portward.formats.text import Passage, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec

_SECTION = re.compile(r'"(?:scripts|config|proxy|nodemonConfig)"')


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a package's own commands and settings write. Raises InvalidFile for what is not JSON."""
    source = Source(text, path, "npm")
    if not _SECTION.search(source.text) or not commands.may_be_in(source.text):
        return []
    _check(source.text, path)
    found: list[commands.CommandPort] = []
    for keys, value in json_strings.scalars(Passage.of(source.text, 0, len(source.text))):
        found += _ports(keys, value)
    return list(commands.specs(source, sorted(found, key=lambda port: port.span.start)))


def _check(text: str, path: str) -> None:
    import json

    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidFile(f"not valid JSON: {error.msg}", path=path, line=error.lineno, column=error.colno) from None
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise InvalidFile(f"not read: {error}", path=path, line=1, column=1) from None


def _ports(keys: tuple[str, ...], value: Passage) -> Iterator[commands.CommandPort]:
    match keys:
        case ("scripts", _) | ("nodemonConfig", "exec"):
            yield from commands.find(value)
        case ("config", name) if is_port_name(name):
            yield from commands.find_in_value(f"npm_package_config_{name}", Word(value))
        case ("proxy", *_):
            for port in commands.find_in_value("", Word(value)):
                yield port.replace(variables=())
        case ("nodemonConfig", "env", name):
            yield from commands.find_in_value(name, Word(value))
