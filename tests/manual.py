"""The manual page, made from the declarations of the verbs: `make docs` writes docs/portward.1, a test compares it.

In the macros of man(7). What roff would obey is told to it as text.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from portward.cli import VERBS
from portward.cli.declarations import declarations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.cli.declarations import Declaration

PAGE = Path(__file__).parent.parent / "docs/portward.1"
_STATUSES = (
    ("0", "yes, clean"),
    ("1", "the answer is no: a finding, a port that is taken, nothing that matches"),
    ("2", "bad usage or bad input, with a hint"),
    ("3", "the question could not be answered, or the act not done"),
    ("4", "a bug; a log file is named"),
    ("130", "interrupted"),
)
_ENVIRONMENT = (
    ("PORTWARD_STORE", "where leases are kept: sqlite:///PATH"),
    ("PORTWARD_OWNERS", "how owners of sockets are found on Linux: bpf or proc"),
    ("DOCKER_HOST", "the container engine to ask"),
    ("XDG_STATE_HOME", "where Portward keeps its own files (default: ~/.local/state)"),
    ("NO_COLOR", "no colours"),
)


def page() -> str:
    """The whole page."""
    everywhere = [each for each in declarations(None) if each.group]
    lines = [
        r".\" Made by `make docs`.",
        '.TH PORTWARD 1 "" "Portward" "User Commands"',
        ".SH NAME",
        r"portward \- who holds this port, and will my stack start?",
        ".SH SYNOPSIS",
        r".B portward",
        r"[\fB\-C\fR \fIDIR\fR] [\fB\-v\fR | \fB\-q\fR] [\fIVERB\fR] [\fB\-\-json\fR] \&...",
        ".SH DESCRIPTION",
        "Without a verb: the project's state, or what listens on this machine.",
        ".PP",
        "A port is written [HOST:]PORT[/udp], a range LOW\\-HIGH. Nothing asks for an answer where stdin is no terminal.",
        ".SH VERBS",
    ]
    for verb, (_, about) in VERBS.items():
        lines += _verb(verb, about)
    lines += [".SH OPTIONS", "Every verb takes these.", *_entries(everywhere)]
    lines += [".SH EXIT STATUS", *_table(_STATUSES)]
    lines += [".SH ENVIRONMENT", *_table(_ENVIRONMENT)]
    return "\n".join(lines) + "\n"


def _verb(verb: str, about: str) -> Iterator[str]:
    own = [each for each in declarations(verb) if each.group != "everywhere"]
    words = " ".join(_usage(each) for each in own if not each.flags)
    yield f".SS portward {verb}"
    yield rf"\fBportward {verb}\fR [\fIOPTION\fR \&...] {words}".rstrip()
    yield ".PP"
    yield _plain(about[:1].upper() + about[1:] + ("" if about.endswith("?") else "."))
    yield from _entries(own)


def _usage(declared: Declaration) -> str:
    word = _italic(declared.metavar) + (r" \&..." if declared.many else "")
    return word if declared.needed else f"[{word}]"


def _entries(found: list[Declaration]) -> Iterator[str]:
    for declared in found:
        flags = ", ".join(rf"\fB{_roff(flag)}\fR" for flag in declared.flags)
        value = _italic(declared.metavar) if declared.takes else ""
        yield ".TP"
        yield f"{flags} {value}".strip()
        yield _plain(declared.help)


def _table(rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    for name, about in rows:
        yield from (".TP", rf"\fB{_roff(name)}\fR", _plain(about))


def _italic(text: str) -> str:
    return rf"\fI{_roff(text)}\fR"


def _plain(text: str) -> str:
    """A line of text: one that begins with a point or an apostrophe would be a request."""
    told = _roff(text)
    return rf"\&{told}" if told.startswith((".", "'")) else told


def _roff(text: str) -> str:
    """Text without anything that roff reads as its own, in ASCII."""
    told = text.replace("\\", r"\e").replace("-", r"\-").replace("`", r"\`").replace("…", r"\&...")
    assert told.isascii(), told
    return told
