"""Which program a command really starts: through wrappers, interpreters, package managers and the scripts of a package.json.

    env DEBUG=1 uv run --with httpx python -m uvicorn app:app   ->  `-m uvicorn`, whose own words begin at `app:app`
    npm run dev                                                 ->  the script "dev"; words for it come after `--`

What cannot be told for sure is not guessed: then the answer is None, and the port is in the environment only.
"""

from __future__ import annotations

import re

from portward.formats.tools import WRAPPERS, Wrapper
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Scripts = Callable[[str, str], str | None]
    """Gives the script of that name in the package.json of a folder ("" is the current one), or None."""


class Program(Record):
    """A program in a command. `words` are its own words in `command`, from index `first`; those of a script are not in it.

    `words` of a script are the script's. Words for it can then only be put at the command's end, after `separators`.
    """

    name: str
    words: tuple[str, ...]
    first: int | None
    separators: tuple[str, ...] = ()


_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SUFFIX = re.compile(r"\.(exe|cmd|bat|ps1)$", re.IGNORECASE)
_INTERPRETER = re.compile(r"(python|pypy)[0-9.]*w?|node|nodejs|bun|php|ruby")
_PYTHON = re.compile(r"(python|pypy)[0-9.]*w?")
_MODULE = ("-m", "--module")
_DEEPEST_SCRIPT = 5
_OTHER_PACKAGES = ("-w", "--workspace", "--workspaces", "-F", "--filter", "-r", "--recursive")  # of one repository

# what runs the scripts of a package.json: its words for running a script, its words for running a program, the options that
# name the folder, and whether words for the script need a `--` before them
_MANAGERS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], bool]] = {
    "npm": (("run", "run-script", "start"), ("exec", "x"), ("--prefix", "-C"), True),
    "pnpm": (("run", "start", "dev"), ("exec", "dlx"), ("--dir", "-C"), False),
    "yarn": (("run", "start", "dev"), (), ("--cwd",), False),
    "bun": (("run", "start", "dev"), ("x",), ("--cwd",), False),
}


def program(command: Sequence[str], scripts: Scripts = lambda _folder, _name: None) -> Program | None:
    """The program that a command starts in the end, or None where that cannot be told.

    `scripts` reads a package.json. Both forms of a path are understood, `.venv/bin/uvicorn` and `.venv\\Scripts\\uvicorn.exe`.
    """
    return _program(tuple(command), 0, scripts, 0)


def base_name(word: str) -> str:
    """The name of a program without its folder and without a Windows suffix."""
    return _SUFFIX.sub("", re.split(r"[/\\]", word)[-1])


def _program(words: tuple[str, ...], at: int, scripts: Scripts, depth: int) -> Program | None:
    while at < len(words):
        if _ASSIGNMENT.match(words[at]):
            at += 1
            continue
        name = base_name(words[at])
        if name in _MANAGERS:
            return _managed(words, at, name, scripts, depth)
        if name not in WRAPPERS or _INTERPRETER.fullmatch(name):
            return _plain(words, at, name)
        at = _after_wrapper(words, at, WRAPPERS[name])
        if words[at - 1] in _MODULE and at < len(words):
            return Program(f"-m {words[at]}", words[at + 1 :], at + 1)
    return None


def _after_wrapper(words: tuple[str, ...], at: int, wrapper: Wrapper) -> int:
    """Where the wrapped command begins. A wrapper that is used for something else leaves the word that says so as the program."""
    place = _skip_options(words, at + 1, wrapper.valued)
    if place < len(words) and words[place] in wrapper.passes:
        place = _skip_options(words, place + 1, wrapper.valued)
    return place + wrapper.operands


def _skip_options(words: Sequence[str], at: int, values: Sequence[str]) -> int:
    """The index of the first word that is no option, nor the value of one. `-m` ends the options, and so does `--`."""
    while at < len(words) and words[at].startswith("-"):
        if words[at] in ("--", *_MODULE):
            return at + 1
        at += 2 if words[at] in values else 1
    return at


def _plain(words: tuple[str, ...], at: int, name: str) -> Program | None:
    """A program that is named itself, or one that an interpreter runs."""
    if not _INTERPRETER.fullmatch(name):
        return Program(name, words[at + 1 :], at + 1)
    python = bool(_PYTHON.fullmatch(name))
    place = _skip_options(
        words, at + 1, ("-X", "-W", "--check-hash-based-pycs") if python else ("-r", "--require", "--import", "-d")
    )
    if place >= len(words):
        return None
    if words[place - 1] in _MODULE:
        return Program(f"-m {words[place]}", words[place + 1 :], place + 1) if python else None
    script = base_name(words[place])
    if "node_modules" in words[place]:
        script = re.sub(r"\.[cm]?js$", "", script)
    return Program(script, words[place + 1 :], place + 1)


def _managed(words: tuple[str, ...], at: int, name: str, scripts: Scripts, depth: int) -> Program | None:
    """What `npm run dev`, `pnpm dev`, `yarn dev`, `npm exec vite` start."""
    running, executing, folders, separated = _MANAGERS[name]
    own = words[: words.index("--")] if "--" in words else words
    if any(word.partition("=")[0] in _OTHER_PACKAGES for word in own):
        return None
    place, folder = at + 1, ""
    while place < len(words) and words[place].startswith("-"):
        option, equals, value = words[place].partition("=")
        if option in folders:
            folder = value if equals else "".join(words[place + 1 : place + 2])
            place += 0 if equals else 1
        place += 1
    verb = "".join(words[place : place + 1])
    if verb in executing:
        return _executed(words, _skip_options(words, place + 1, ("-p", "--package")), scripts, depth, separated)
    if verb in running or (not separated and scripts(folder, verb) is not None):
        named = place + 1 if verb in ("run", "run-script") else place
        named = _skip_options(words, named, ())
        return _script(words, named, scripts, depth, folder, separated) if named < len(words) else None
    return None


def _executed(words: tuple[str, ...], at: int, scripts: Scripts, depth: int, separated: bool) -> Program | None:
    """`npm exec vite` takes options for itself up to `--`, the others do not."""
    found = _program(words, at, scripts, depth)
    if found is None or not separated or "--" in words[:at]:
        return found
    return found.replace(first=None, separators=() if "--" in words[at:] else ("--",))


def _script(
    words: tuple[str, ...], at: int, scripts: Scripts, depth: int, folder: str, separated: bool
) -> Program | None:
    """The program that a script of a package.json ends with: words that are added to the script's command reach that one."""
    text = scripts(folder, words[at])
    last = _last_command(text) if text is not None and depth < _DEEPEST_SCRIPT else None
    found = _program(last, 0, lambda inner, name: scripts(inner or folder, name), depth + 1) if last else None
    if found is None:
        return None
    given = words[at + 1 :]
    needs = ("--",) if separated and "--" not in given else ()
    return found.replace(words=(*found.words, *given), first=None, separators=(*needs, *found.separators))


def _last_command(script: str) -> tuple[str, ...] | None:
    """The words of a script's last command, None where its input or output goes elsewhere or a shell must work it out."""
    import shlex

    if "`" in script or "$(" in script:
        return None
    lexer = shlex.shlex(script, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = list(lexer)
    except ValueError:  # a quotation mark without its other
        return None
    ends = [at for at, word in enumerate(words) if word in ("&&", ";", "||", "&")]
    last = words[ends[-1] + 1 :] if ends else words
    if not last or any(set(word) <= set("|<>()&;") for word in last if word):
        return None
    return tuple(last)
