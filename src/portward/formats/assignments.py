"""Variables as a shell, direnv, mise or a `.env` file takes them: the other way round than `dotenv` reads them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-@%+,")


def assignments(values: Mapping[str, str], form: str) -> Iterator[str]:
    """A line for each variable. `form` is "shell", "direnv" (which is a shell's), "mise" or "dotenv"."""
    if form == "mise":
        yield "[env]"
    for name, value in values.items():
        if form in ("shell", "direnv"):
            yield f"export {name}={_for_shell(value)}"
        elif form == "mise":
            yield f"{name} = {_for_toml(value)}"
        else:
            yield f"{name}={_for_dotenv(value)}"


def _is_safe(value: str) -> bool:
    return bool(value) and set(value) <= _SAFE


def _for_shell(value: str) -> str:
    return value if _is_safe(value) else "'" + value.replace("'", "'\\''") + "'"


def _for_toml(value: str) -> str:
    """A basic string (TOML 1.0): as in JSON, but for the character that JSON leaves as it is."""
    import json

    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _for_dotenv(value: str) -> str:
    """Single quotes keep everything, in all dialects; where there is one in the text, double ones with escapes."""
    if _is_safe(value):
        return value
    if "'" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'
