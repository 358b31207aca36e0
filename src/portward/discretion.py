"""What may be a secret in a line from outside: a log, a file, the words of a command."""

from __future__ import annotations

import re

from portward.wording import shown

_NAMES = r"[\w-]*(?:passw(?:or)?d|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w-]*"
_SECRET = re.compile(
    rf"""(?ix) ( {_NAMES} ["']? \s* [=:] \s* ["']? | --{_NAMES} \s+ ["']? | (?:bearer|basic) \s+ ) [^\s"',;&]+"""
)
_KEY = re.compile(
    r"\b(?:eyJ[\w-]{8,}(?:\.[\w-]+)*|gh[opsu]_\w{20,}|sk-[\w-]{16,}|AKIA[0-9A-Z]{12,}|xox[abp]-[\w-]{10,})"
)
_LONGEST = 160


def discreet(text: str, longest: int = _LONGEST) -> str:
    """A line without what is called a password, a token or the like, and without well-known forms of keys, safe to print.

    It has at most `longest` characters. A secret that nothing marks as one cannot be told from other words.
    """
    return shown(_KEY.sub("***", _SECRET.sub(r"\1***", text)), longest)
