"""`portward.toml`: what a project, or a user, decided about its ports.

    production = true

    [ranges]
    api = "11000-11999"

    [severity]
    customary-port = "off"

    [[pin]]
    service = "web"
    port = 8080
    reason = "the OAuth provider knows no other"

Every key is in `KEYS`; one that is not there is an error, since a misspelt setting would silently do nothing. `docs/settings.md`
describes them all.
"""

from __future__ import annotations

import re

from portward.arguments import parse_range
from portward.errors import InvalidFile, InvalidPort
from portward.formats.toml_places import Places, syntax_error
from portward.model import LAST_PORT, Ignore, Pin, PortRange, Settings, Severity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from portward.formats.toml_places import Path

KEYS: dict[str, tuple[str, ...]] = {
    "production": (),
    "probe": (),
    "store": (),
    "ranges": (),
    "kinds": (),
    "severity": (),
    "ignore": ("rule", "reason", "service", "port", "path"),
    "pin": ("service", "port", "reason"),
}
"""Every key, and the keys of one entry where the key is a list of tables."""

_BEGINNING = """# What this project decided about its ports. Every key: docs/settings.md of Portward.

# Where these files describe what serves strangers, exposure is judged more strictly.
# production = true

# Whether a process that was started here may be asked, in a service's own protocol, if it is that service.
# probe = false

# The ports that Portward picks from for each kind of service, both ends inclusive.
[ranges]
# ai = "10000-10999"
# api = "11000-11999"
# database = "12000-12999"
# web = "13000-13999"

# A service's kind, where neither its image nor its name tells it.
[kinds]
# ledger = "database"

# How a rule is judged here: error, warning, note or off.
[severity]
# customary-port = "off"

# A port that a service must keep, and why.
# [[pin]]
# service = "web"
# port = 8080
# reason = "the OAuth provider knows no other address"

# Findings that are lived with, and why.
# [[ignore]]
# rule = "exposed-database"
# service = "ledger"
# reason = "the test network has no way in from outside"
"""
OFF = "off"
_STORE = re.compile(r"sqlite:///.+|etcds?://.+")


def beginning() -> str:
    """A settings file to begin with: every key with an example, and nothing decided yet."""
    return _BEGINNING


def pinned(service: str, port: int, reason: str) -> str:
    """One more pin, to be written at the end of a settings file."""
    quoted = ("".join(f"\\{char}" if char in '"\\' else char for char in text) for text in (service, reason))
    return f'\n[[pin]]\nservice = "{next(quoted)}"\nport = {port}\nreason = "{next(quoted)}"\n'


def parse(text: str, path: str, rules: Collection[str], kinds: Collection[str]) -> Settings:
    """Reads one file. `rules` and `kinds` are the names that it may use; a kind of its own is one with a range and a service.

    Raises InvalidFile, with the place and a hint, for what is not TOML, a key that does not exist, or a value that cannot be.
    """
    import tomllib

    text = text.removeprefix("\ufeff")
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, line, column = syntax_error(str(error), text)
        raise InvalidFile(message, path=path, line=line, column=column) from None
    return _Reader(values, Places(text, path), rules, kinds).settings()


def merged(user: Settings, project: Settings) -> Settings:
    """The project's settings over the user's own: names are joined, the project's value wins, lists are appended.

    The user's ranges say what is picked, never what a project's own ports must keep to; nor is an ignore of the user's that
    nothing matches worth a word.
    """
    return Settings(
        ranges={**user.ranges, **project.ranges},
        severities={**user.severities, **project.severities},
        ignores=(*project.ignores, *(ignore.replace(location=None) for ignore in user.ignores)),
        pins=(*project.pins, *(pin for pin in user.pins if pin.service not in {own.service for own in project.pins})),
        kinds={**user.kinds, **project.kinds},
        store=project.store or user.store,
        production=project.production or user.production,
        policy=project.policy,
        probe=project.probe and user.probe,
    )


class _Reader:
    """Makes the values of one file into `Settings`, checking each."""

    def __init__(self, values: dict[str, Any], places: Places, rules: Collection[str], kinds: Collection[str]) -> None:
        self.values = values
        self.places = places
        self.rules = rules
        self.kinds = kinds

    def settings(self) -> Settings:
        self._check_keys((), self.values, tuple(KEYS))
        ranges = {kind: self._range(("ranges", kind), text) for kind, text in self._table("ranges").items()}
        kinds = {name: self._kind(("kinds", name), kind, ranges) for name, kind in self._table("kinds").items()}
        for kind in ranges:
            if kind not in self.kinds and kind not in kinds.values():
                hint = self._similar(kind, self.kinds) or "[kinds] gives a service a kind of your own"
                raise self._error(("ranges", kind), f"no service is of kind {kind!r}", hint, key=True)
        severities = {rule: self._severity(rule, word) for rule, word in self._table("severity").items()}
        pins = tuple(self._pins())
        return Settings(
            ranges=ranges,
            severities=severities,
            ignores=tuple(self._ignore(at, entry) for at, entry in self._entries("ignore")),
            pins=pins,
            kinds=kinds,
            store=self._store(),
            production=self._of_type((), "production", bool) or False,
            policy=tuple(ranges),
            probe=self._of_type((), "probe", bool) is not False,
        )

    # One setting each

    def _range(self, at: Path, value: object) -> PortRange:
        if not isinstance(value, str):
            raise self._error(at, "a range is a text", '"11000-11999"')
        try:
            return parse_range(value)
        except InvalidPort as error:
            raise self._error(at, error.message, error.hint) from None

    def _kind(self, at: Path, value: object, ranges: Collection[str]) -> str:
        known = dict.fromkeys((*self.kinds, *ranges))
        if not isinstance(value, str) or value not in known:
            raise self._error(at, f"{value!r} is not a kind", self._similar(value, known) or f"{', '.join(known)}")
        return value

    def _severity(self, rule: str, value: object) -> Severity | None:
        at = ("severity", rule)
        if rule not in self.rules:
            raise self._error(at, f"there is no rule {rule!r}", self._similar(rule, self.rules), key=True)
        words = (*(str(severity) for severity in Severity), OFF)
        if not isinstance(value, str) or value not in words:
            raise self._error(at, f"{value!r} is not a severity", self._similar(value, words) or ", ".join(words))
        return None if value == OFF else Severity(value)

    def _ignore(self, at: Path, entry: dict[str, Any]) -> Ignore:
        rule = self._needed(at, entry, "rule", "which rule is ignored")
        if rule not in self.rules:
            raise self._error((*at, "rule"), f"there is no rule {rule!r}", self._similar(rule, self.rules))
        return Ignore(
            rule=rule,
            reason=self._needed(at, entry, "reason", "why it may be ignored, for those who read it later"),
            service=self._of_type(at, "service", str, entry),
            port=self._port(at, entry),
            path=self._of_type(at, "path", str, entry),
            location=self.places.key(at),
        )

    def _pins(self) -> Iterator[Pin]:
        taken: dict[int, str] = {}
        for at, entry in self._entries("pin"):
            service = self._needed(at, entry, "service", "which service keeps the port")
            port = self._port(at, entry)
            if port is None:
                raise self._error(at, "a pin needs a port", "port = 8080", key=True)
            if taken.setdefault(port, service) != service:
                raise self._error((*at, "port"), f"{port} is pinned for {taken[port]} already")
            reason = self._needed(at, entry, "reason", "why the port must stay, for those who want to move it")
            yield Pin(service, port, reason, self.places.key(at))

    def _store(self) -> str | None:
        store: str | None = self._of_type((), "store", str)
        if store is not None and not _STORE.fullmatch(store):
            hint = "sqlite:///PATH, or etcd://HOST:PORT,…/PREFIX (etcds:// for TLS)"
            raise self._error(("store",), f"{store!r} is not the address of a lease store", hint)
        return store

    def _port(self, at: Path, entry: dict[str, Any]) -> int | None:
        port: int | None = self._of_type(at, "port", int, entry)
        if port is not None and not 1 <= port <= LAST_PORT:
            raise self._error((*at, "port"), f"{port} is not a port (1 to {LAST_PORT})")
        return port

    # Shapes

    def _table(self, key: str) -> dict[str, Any]:
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self._error((key,), f"{key} is a table", f"[{key}] on a line of its own", key=True)
        return value

    def _entries(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self._error((key,), f"{key} is a list of tables", f"[[{key}]] on a line of its own", key=True)
        for index, entry in enumerate(value):
            at = (key, index)
            self._check_keys(at, entry, KEYS[key])
            yield at, entry

    def _check_keys(self, at: Path, given: Collection[str], known: Collection[str]) -> None:
        for key in given:
            if key not in known:
                hint = self._similar(key, known) or f"the keys here are {', '.join(known)}"
                raise self._error((*at, key), f"{key!r} is not a key here", hint, key=True)

    def _needed(self, at: Path, entry: dict[str, Any], key: str, what: str) -> str:
        value: str | None = self._of_type(at, key, str, entry)
        if not value or not value.strip():
            raise self._error(at if value is None else (*at, key), f"{key} is missing: {what}", key=value is None)
        return value

    def _of_type(self, at: Path, key: str, kind: type, entry: dict[str, Any] | None = None) -> Any:
        value = (self.values if entry is None else entry).get(key)
        if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
            names = {str: "a text", int: "a whole number", bool: "true or false"}
            raise self._error((*at, key), f"{key} must be {names[kind]}")
        return value

    def _similar(self, word: object, known: Collection[str]) -> str | None:
        from difflib import get_close_matches

        close = get_close_matches(str(word), known, n=1)
        return f"did you mean {close[0]}?" if close else None

    def _error(self, at: Path, message: str, hint: str | None = None, *, key: bool = False) -> InvalidFile:
        place = self.places.key(at) if key else self.places.value(at)
        return InvalidFile(message, hint=hint, path=place.path, line=place.line, column=place.column)
