"""Shell text as commands made of words, each character with its place in the file.

Grammar: POSIX Shell Command Language, sections 2.2 (quoting), 2.3 (token recognition) and 2.7 (redirection). Nothing is expanded:
a word keeps its `$NAME` and `${…}` as they are written and says which of them the shell would expand. The commands inside
`$(…)` and backquotes are given as commands of their own. Comments, redirections and here-documents are left out. What the
shell would refuse, such as a quote that is never closed, goes on to the end of the text.
"""

from __future__ import annotations

import re

from portward.formats.text import Passage
from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DEEPEST = 8  # command substitutions inside each other
_PLAIN = re.compile(r"[^\s\\'\"`$;&|()<>#]+")
_QUOTED = re.compile(r'[^"\\$`]+')
_LINE_GOES_ON = re.compile(r"\\\r?\n")
_REDIRECTION = re.compile(r"<<<|<<-?|&>>?|>>|>\||<>|[<>]&|[<>]")
_IN_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_IN_PARENTHESES = re.compile(r"\\.|'[^']*+'|\"(?:[^\"\\]|\\.)*+\"|[()]", re.DOTALL)


class Word(Record):
    """One word without its quotes. `live` are the offsets, in it, of the dollar signs that the shell expands."""

    passage: Passage
    live: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        return self.passage.text


def commands(passage: Passage) -> Iterator[list[Word]]:
    """The words of every simple command: assignments, name, arguments. An inner command comes after the one around it."""
    pending = [(passage, 0)]
    while pending:
        around, depth = pending.pop()
        lexer = _Lexer(around)
        yield from lexer.commands()
        if depth < _DEEPEST:
            pending += [(inner, depth + 1) for inner in reversed(lexer.inner)]


class _Lexer:
    def __init__(self, passage: Passage) -> None:
        self.passage = passage
        self.text = passage.text
        self.at = 0
        self.inner: list[Passage] = []
        self.done: list[list[Word]] = []
        self.words: list[Word] = []
        self.parts: list[Passage] = []  # of the word that is being read
        self.length = 0
        self.live: list[int] = []
        self.is_open = False
        self.redirection = ""
        self.here_documents: list[tuple[str, bool]] = []

    def commands(self) -> Iterator[list[Word]]:
        while self.at < len(self.text):
            step = _STEPS.get(self.text[self.at])
            if step is not None:
                step(self)
            elif plain := _PLAIN.match(self.text, self.at):
                self._take(plain.start(), plain.end())
                self.at = plain.end()
            else:
                self._blank()
            if self.done:
                yield from self.done
                self.done.clear()
        self._end_command()
        yield from self.done

    def _take(self, start: int, end: int) -> None:
        """Adds characters to the word."""
        self.is_open = True
        if start < end:
            self.parts.append(self.passage.part(start, end))
            self.length += end - start

    def _end_word(self) -> None:
        if not self.is_open:
            return
        word = Word(Passage.join(self.parts), tuple(self.live))
        if self.redirection.startswith("<<") and self.redirection != "<<<":
            self.here_documents.append((word.text, self.redirection == "<<-"))
        elif not self.redirection:
            self.words.append(word)
        self._drop_word()
        self.redirection = ""

    def _drop_word(self) -> None:
        self.parts, self.live, self.length, self.is_open = [], [], 0, False

    def _end_command(self) -> None:
        self._end_word()
        self.redirection = ""
        if self.words:
            self.done.append(self.words)
            self.words = []

    def _blank(self) -> None:
        self._end_word()
        self.at += 1

    def _newline(self) -> None:
        self._end_command()
        self.at += 1
        for delimiter, indented in self.here_documents:
            self._pass_over(delimiter, indented)
        self.here_documents.clear()

    def _pass_over(self, delimiter: str, indented: bool) -> None:
        """Goes behind the here-document that begins here."""
        while self.at < len(self.text):
            end = self.text.find("\n", self.at)
            end = end if end >= 0 else len(self.text)
            line = self.text[self.at : end].removesuffix("\r")
            self.at = end + 1
            if (line.lstrip("\t") if indented else line) == delimiter:
                return

    def _operator(self) -> None:
        if self.text.startswith("&>", self.at):
            self._redirect()
        else:
            self._end_command()
            self.at += 1

    def _redirect(self) -> None:
        if self.is_open and all(part.text.isdecimal() for part in self.parts):
            self._drop_word()  # the number of a file descriptor
        self._end_word()
        operator = _REDIRECTION.match(self.text, self.at)
        assert operator is not None
        self.at = operator.end()
        self.redirection = operator.group()

    def _comment(self) -> None:
        if self.is_open:
            self._take(self.at, self.at + 1)
            self.at += 1
        else:
            end = self.text.find("\n", self.at)
            self.at = end if end >= 0 else len(self.text)

    def _escape(self) -> None:
        if line_end := _LINE_GOES_ON.match(self.text, self.at):
            self.at = line_end.end()
        else:
            self._take(self.at + 1, min(self.at + 2, len(self.text)))
            self.at += 2

    def _single_quotes(self) -> None:
        end = self.text.find("'", self.at + 1)
        end = end if end >= 0 else len(self.text)
        self._take(self.at + 1, end)
        self.at = end + 1

    def _double_quotes(self) -> None:
        self.is_open = True
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] != '"':
            if plain := _QUOTED.match(self.text, self.at):
                self._take(plain.start(), plain.end())
                self.at = plain.end()
            elif self.text[self.at] == "\\":
                self._escape_in_quotes()
            else:
                _STEPS[self.text[self.at]](self)
        self.at += 1

    def _escape_in_quotes(self) -> None:
        if self.text[self.at + 1 : self.at + 2] in ("", "$", "`", '"', "\\", "\n", "\r"):
            self._escape()
        else:
            self._take(self.at, self.at + 1)
            self.at += 1

    def _backquote(self) -> None:
        end = self.text.find("`", self.at + 1)
        self._substitute(self.at + 1, end if end >= 0 else len(self.text))

    def _dollar(self) -> None:
        if self.text.startswith("$(", self.at):
            self._substitute(self.at + 2, self._closing(_IN_PARENTHESES, "("))
        elif self.text.startswith("${", self.at):
            self.live.append(self.length)
            end = min(self._closing(_IN_BRACES, "{") + 1, len(self.text))
            self._take(self.at, end)
            self.at = end
        else:
            self.live.append(self.length)
            self._take(self.at, self.at + 1)
            self.at += 1

    def _substitute(self, start: int, end: int) -> None:
        """An inner command: its text stays in the word, for a word that has one is not known anyway."""
        self.inner.append(self.passage.part(min(start, end), end))
        end = min(end + 1, len(self.text))
        self._take(self.at, end)
        self.at = end

    def _closing(self, tokens: re.Pattern[str], opening: str) -> int:
        """Where what is opened two characters from here is closed, or the end of the text."""
        depth = 1
        for token in tokens.finditer(self.text, self.at + 2):
            if token.group() == opening:
                depth += 1
            elif token.group() in ("}", ")"):
                depth -= 1
                if depth == 0:
                    return token.start()
        return len(self.text)


_STEPS: dict[str, Callable[[_Lexer], None]] = {
    "\\": _Lexer._escape,
    "'": _Lexer._single_quotes,
    '"': _Lexer._double_quotes,
    "`": _Lexer._backquote,
    "$": _Lexer._dollar,
    "#": _Lexer._comment,
    "\n": _Lexer._newline,
    "<": _Lexer._redirect,
    ">": _Lexer._redirect,
    **dict.fromkeys(";&|()", _Lexer._operator),
}
