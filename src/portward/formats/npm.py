"""`package.json`: the command lines of `scripts`, and what else in it names a port.

    "scripts": { "dev": "cross-env PORT=5000 next dev -p 3000" }     // variables and options
    "dev:alt": "npm run dev -- -p 5001"                              // read as what `dev` runs, with these words behind it
    "config": { "port": 8080 }                                       // npm gives it as npm_package_config_port
    "proxy": "http://localhost:5000"                                 // where the development server of CRA sends requests
    "nodemonConfig": { "exec": "node --inspect=9229 .", "env": { "PORT": "5000" } }

Other URLs in it (`repository`, `homepage`) are addresses of the package and not of its parts. Source: npm-package-json(5).
"""

from __future__ import annotations

import re

from portward.errors import InvalidFile
from portward.formats import commands, json_strings, shell_words
from portward.formats.dotenv import is_port_name
from portward.formats.shell_words import Word
from portward.formats.text import Passage, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from portward.model import PortSpec, Span

_RUNNERS = ("npm", "pnpm", "yarn", "bun")
_RUN = ("run", "run-script")
_SECTION = re.compile(r'"(?:scripts|config|proxy|nodemonConfig)"')


def read(text: str, path: str) -> list[PortSpec]:
    """The ports that a package's own commands and settings write. Raises InvalidFile for what is not JSON."""
    source = Source(text, path, "npm")
    if not _SECTION.search(source.text) or not commands.may_be_in(source.text):
        return []
    _check(source.text, path)
    values = list(json_strings.scalars(Passage.of(source.text, 0, len(source.text))))
    scripts = {keys[1]: value for keys, value in values if len(keys) == 2 and keys[0] == "scripts"}
    found: dict[Span, commands.CommandPort] = {}
    for keys, value in values:
        for port in _ports(keys, value, scripts):
            found.setdefault(port.span, port)
    return list(commands.specs(source, sorted(found.values(), key=lambda port: port.span.start)))


def _check(text: str, path: str) -> None:
    import json

    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidFile(f"not valid JSON: {error.msg}", path=path, line=error.lineno, column=error.colno) from None
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise InvalidFile(f"not read: {error}", path=path, line=1, column=1) from None


def _ports(keys: tuple[str, ...], value: Passage, scripts: Mapping[str, Passage]) -> Iterator[commands.CommandPort]:
    match keys:
        case ("scripts", _) | ("nodemonConfig", "exec"):
            for words in shell_words.commands(value):
                yield from commands.find_in_command(_resolved(words, scripts))
        case ("config", name) if is_port_name(name):
            yield from commands.find_in_value(f"npm_package_config_{name}", Word(value))
        case ("proxy", *_):
            for port in commands.find_in_value("", Word(value)):
                yield port.replace(variables=())
        case ("nodemonConfig", "env", name):
            yield from commands.find_in_value(name, Word(value))


def _resolved(words: Sequence[Word], scripts: Mapping[str, Passage]) -> Sequence[Word]:
    """The words of a command; of one that runs another script, the last command of that script with what it is passed.

    `npm run NAME -- WORDS` (npm-run(1)); `pnpm`, `yarn` and `bun` pass on what follows the name, with or without `--`.
    """
    texts = [word.text for word in words]
    at = next((at for at, text in enumerate(texts) if text in _RUNNERS), None)
    names = [] if at is None else [place for place in range(at + 1, len(texts)) if not texts[place].startswith("-")]
    if names and texts[names[0]] in _RUN:
        del names[0]
    script = scripts.get(texts[names[0]]) if names else None
    if script is None:
        return words
    passed = words[names[0] + 1 :]
    if passed and passed[0].text == "--":
        passed = passed[1:]
    *_, last = [[], *shell_words.commands(script)]
    return [*words[: at or 0], *last, *passed]
