"""How `Portward` changes a project's files: read once, plan, prove on what they would become, and only then write.

Everything is planned on texts that are read once, with the digest of their bytes; the journal refuses to write over a file that
is not what was read.
"""

from __future__ import annotations

from portward.answers import Change, Changes
from portward.clearing import claims_of, overlapping
from portward.errors import FileChanged, InvalidFile, NoPlan, UsageError
from portward.formats.splice import diff, splice
from portward.formats.text import Lines
from portward.plan import Move, Plan, plan, prove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from portward.arguments import Wish
    from portward.formats.markdown import PortRow
    from portward.journal import Journal, Undo
    from portward.model import Edit, Link, PortSpec, Project, Settings
    from portward.workspace import Files

_BYTE_ORDER_MARK = "\ufeff"


class Texts:
    """A project's files, each read at most once: what was planned on is what is written over."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._read: dict[str, tuple[str, str]] = {}

    def __call__(self, path: str) -> str:
        """A file's text. Raises OSError or UnicodeDecodeError."""
        return self._of(path)[0]

    def editable(self, path: str) -> str:
        """The text of a file that is to be changed. Raises OSError, or NoPlan where it is not UTF-8."""
        try:
            return self(path)
        except UnicodeDecodeError as error:
            from portward.formats.compose.encodings import not_utf8

            found = not_utf8(error, path)
            message = f"{found.message}: it is read, but not changed"
            raise NoPlan(message, hint=found.hint, path=path, line=found.line, column=found.column) from None

    def having(self, numbers: Collection[int]) -> Iterator[tuple[str, str]]:
        """The files of the project, read by it or not, that write one of the numbers: path and text."""
        return self._files.texts([str(number) for number in numbers])

    def digest(self, path: str) -> str:
        """The SHA-256 of the bytes that the text was read from, in hex."""
        return self._of(path)[1]

    def _of(self, path: str) -> tuple[str, str]:
        if path not in self._read:
            self._read[path] = self._files.snapshot(path)
        return self._read[path]


class Draft:
    """Files as they are to be, beside those that were read."""

    def __init__(self, texts: Texts, new: Mapping[str, str]) -> None:
        self._texts = texts
        self.new = new

    def read(self, path: str) -> str:
        """A file's text as it is to be."""
        return self.new[path] if path in self.new else self._texts(path)

    def diff(self) -> str:
        """All of it as one unified diff."""
        return "".join(diff(path, self._before(path), text) for path, text in sorted(self.new.items()))

    def digests(self) -> dict[str, str | None]:
        """The SHA-256 of each file that changes, as it was read; None where there is none yet."""
        return {path: None if self._before(path) is None else self._texts.digest(path) for path in self.new}

    def write(self, journal: Journal, verb: str) -> str | None:
        """Writes all files, or none, and gives the id to undo it by."""
        digests = self.digests()
        return journal.write({path: (text, digests[path]) for path, text in self.new.items()}, verb=verb)

    def change(
        self, journal: Journal, verb: str, write: bool, remarks: Sequence[str] = (), shown: Changes | None = None
    ) -> Changes:
        """What it would change, line by line; with `write`, what it has changed. Raises FileChanged where it is not what was `shown`."""
        found = [change for path, text in self.new.items() for change in _line_changes(path, self._before(path), text)]
        answer = Changes(tuple(found), self.diff(), remarks=tuple(remarks), before=self.digests())
        _require_as_shown(answer, shown)
        return answer.replace(undo=self.write(journal, verb), written=True) if write and found else answer

    def _before(self, path: str) -> str | None:
        try:
            return self._texts(path)
        except FileNotFoundError:
            return None


def _require_as_shown(answer: Changes, shown: Changes | None) -> None:
    if shown is not None and (answer.before, answer.diff) != (shown.before, shown.diff):
        raise FileChanged("the files are no longer what they were when this change was shown", hint="look at it again")


class Session:
    """One change of a project's files: what they are, and how they are read again as they would be.

    `declared` gives the project by another `read(path)`; `remarks` is what the journal had to put right before.
    """

    def __init__(
        self,
        project: Project,
        paths: Sequence[str],
        texts: Texts,
        declared: Callable[[Callable[[str], str]], Project],
        journal: Journal,
        settings: Settings,
        remarks: Sequence[str] = (),
    ) -> None:
        self.project = project
        self.settings = settings
        self.remarks = remarks
        self._paths = paths
        self._texts = texts
        self._declared = declared
        self._journal = journal

    def change(
        self,
        moves: Sequence[Move],
        *,
        verb: str,
        write: bool,
        remarks: Sequence[str] = (),
        clears: bool = False,
        shown: Changes | None = None,
    ) -> Changes:
        """Plans the moves and proves them; with `write`, writes them. Other services that move along are told as remarks.

        Raises NoPlan where a move is not possible, would change more than is meant, or would take another service's port; with
        `clears` also where a service that moves would still share one. Raises FileChanged where it would not be what was `shown` before.
        """
        planned = plan(self.project, moves, lambda path: self._texts.editable(path).removeprefix(_BYTE_ORDER_MARK))
        by_path: dict[str, list[Edit]] = {}
        for edit in planned.edits:
            by_path.setdefault(edit.path, []).append(edit)
        draft = Draft(self._texts, {path: splice(self._texts(path), edits) for path, edits in by_path.items()})
        if planned.edits:
            try:
                after = self._declared(draft.read)
            except InvalidFile as error:
                raise NoPlan(f"Compose would refuse the result: {error}", hint="nothing was written") from error
            prove(planned, after)
            _refuse_overlaps(set() if clears else _overlaps(self.project), after, moves)
            along = _along(self.project, after, moves)
            remarks = [*remarks, *_ranges(self.project, moves), *along]
            planned = planned.replace(kept=(*planned.kept, *self._unexplained(moves)))
        answer = _changes(planned, draft, self._texts, remarks)
        _require_as_shown(answer, shown)
        if not write or not planned.edits:
            return answer
        return answer.replace(undo=draft.write(self._journal, verb), written=True)

    def _unexplained(self, moves: Sequence[Move]) -> Iterator[PortSpec]:
        """Where else the numbers stand that the moves take away, as far as nothing tells what they are there."""
        from portward.formats.numbers import unexplained

        entries = [(move, move.link.entry) for move in moves if move.link.entry]
        numbers = {entry.range.low for _, entry in entries if entry.range}
        numbers |= {move.link.target for move, _ in entries if move.container and move.link.target}
        return unexplained(self.project, numbers, self._texts.having(numbers))

    def document(self, *, write: bool, shown: Changes | None = None) -> Changes:
        """The table of ports in the project's document, as it should be. Raises FileChanged where that is not what was `shown`."""
        from portward.formats.markdown import BEGIN, port_table, with_table

        documents = [path for path in self._paths if path.endswith((".md", ".mdx"))]
        marked = next((path for path in documents if BEGIN in self._texts(path)), None)
        readme = next((path for path in documents if path.upper().startswith("README.")), None)
        path = marked or readme or "PORTS.md"
        before = self._texts(path) if path in documents else "# Ports\n"
        draft = Draft(self._texts, {path: with_table(before, port_table(_rows(self.project)), path)})
        return draft.change(self._journal, "docs", write, self.remarks, shown)


def _rows(project: Project) -> Iterator[PortRow]:
    """A row for each published port of each service, also of those behind a profile."""
    from portward.formats.markdown import PortRow

    for service in (*project.services, *project.inactive):
        for spec in map(service.claim, service.entries):
            yield PortRow(
                service.name,
                f"{spec.published}{spec.suffix}" if spec.published else "",
                spec.inside,
                spec.variables[0] if spec.variables else None,
                spec.location.path,
            )


def _ranges(project: Project, moves: Sequence[Move]) -> Iterator[str]:
    """Which ports of a service move with one that is asked for, because they are written as one range."""
    for move in moves:
        together = [link for link in project.links if _is_of_one_entry(link, move.link)]
        if len(together) > 1:
            yield f"{move.link.service} publishes {len(together)} ports by one range, which moves as a whole"


def _is_of_one_entry(one: Link, two: Link) -> bool:
    """Whether two ports of a service are published by the same characters of a file."""
    places = [(link.entry.location, link.entry.span) for link in (one, two) if link.entry]
    return one.service == two.service and len(places) == 2 and places[0] == places[1]


def _along(before: Project, after: Project, moves: Sequence[Move]) -> Iterator[str]:
    """Which ports that were not asked for are published otherwise afterwards, because one place says it for all of them."""
    asked = {(move.link.service, entry.location, entry.span) for move in moves if (entry := move.link.entry)}
    names = {name for name, _, _ in asked}
    new = {service.name: service for service in (*after.services, *after.inactive)}
    for service in (*before.services, *before.inactive):
        pairs = zip(service.entries, new[service.name].entries, strict=False) if service.name in new else ()
        for old, entry in pairs:
            if old.number != entry.number and (service.name, old.location, old.span) not in asked:
                name = f"{service.name}:{old.handle}" if service.name in names else service.name
                yield f"{name} moves too, from {old.number} to {entry.number}: one place says it for both"


def _refuse_overlaps(known: Collection[tuple[str, str]], after: Project, moves: Sequence[Move]) -> None:
    """Raises NoPlan where a move takes a port that another service publishes; pairs that are known share one anyway."""
    names = {move.link.service for move in moves}
    for one, two in _overlaps(after):
        if (one, two) not in known and names & {one, two}:
            other = two if one in names else one
            ports = " and ".join(str(move.port) for move in moves if move.link.service in (one, two))
            raise NoPlan(f"{ports} is published by {other} already", hint="`portward find` gives a free port")


def _overlaps(project: Project) -> set[tuple[str, str]]:
    """The pairs of services that publish overlapping ports; a service with itself too."""
    claims = list(claims_of(project))
    pairs = overlapping([spec for _, spec in claims])
    return {(claims[one][0].service, claims[two][0].service) for one, two in pairs}


def _changes(planned: Plan, draft: Draft, texts: Texts, remarks: Sequence[str]) -> Changes:
    """What a plan would change, place by place."""
    found = []
    for edit, service in zip(planned.edits, planned.services, strict=True):
        text = texts(edit.path).removeprefix(_BYTE_ORDER_MARK)
        place = Lines(edit.path, text).at(edit.span.start)
        line = text.split("\n")[place.line - 1].rstrip("\r")
        found.append(Change(edit.path, place.line, edit.old, edit.new, service, place.column, line))
    return Changes(tuple(found), draft.diff(), planned=planned, remarks=tuple(remarks), before=draft.digests())


def undone(undo: Undo, dry_run: bool, remarks: Sequence[str]) -> Changes:
    """What an undo changes, line by line."""
    texts = [
        (file.path, _decoded(file.before), _decoded(file.after)) for file in undo.files if file.before != file.after
    ]
    found = [change for path, before, after in texts for change in _line_changes(path, before, after)]
    whole = "".join(diff(path, before, after) for path, before, after in texts)
    return Changes(tuple(found), whole, written=not dry_run, undo=undo.id, verb=undo.verb, remarks=tuple(remarks))


def _decoded(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")


def _line_changes(path: str, before: str | None, after: str | None) -> list[Change]:
    old, new = (before or "").split("\n"), (after or "").split("\n")
    if len(old) != len(new):
        return [Change(path, 1, before or "", after or "", None)]
    return [
        Change(path, number, one, two, None)
        for number, (one, two) in enumerate(zip(old, new, strict=True), 1)
        if one != two
    ]


def _numbered(project: Project, wish: Wish) -> tuple[Link, ...]:
    """The published ports of one service that have the number which a wish names. Raises UsageError where none has, or several services."""
    links = [link for link in project.links if link.entry and link.entry.number == wish.service]
    found = [link for link in links if link.entry and link.entry.protocol.lower() == wish.protocol]
    services = sorted({link.service for link in found})
    if not found:
        others = sorted({f"{wish.service}/{link.entry.protocol.lower()}" for link in links if link.entry})
        hint = f"{' and '.join(others)} is published" if others else "`portward services` shows what is"
        raise UsageError(f"no service of {project.name} publishes {wish.service}/{wish.protocol}", hint=hint)
    if len(services) > 1:
        hint = f"say which: {services[0]}={wish.port}"
        raise UsageError(f"{wish.service} is published by {' and '.join(services)}", hint=hint)
    return tuple(found)


def chosen(project: Project, wish: Wish) -> tuple[tuple[Link, ...], tuple[Link, ...]]:
    """The published ports that a wish is about, and the others of its service that are not written with them.

    It is about one, but for a number that a service publishes on several addresses: then about these, and no others are in question.
    Raises UsageError for a service that is not there, publishes nothing, or has no such target, and for a number that nobody publishes.
    """
    services = {service.name for service in (*project.services, *project.inactive)}
    if wish.service not in services:
        if wish.service.isdecimal() and wish.target is None:
            return _numbered(project, wish), ()
        below = f"projects of their own are below, as {project.aside[0]}: -C chooses one" if project.aside else ""
        hint = below or _similar(wish.service, services)
        raise UsageError(f"{wish.service} is not a service of {project.name}", hint=hint)
    links = [link for link in project.links if link.service == wish.service and link.entry is not None]
    if not links:
        raise UsageError(f"{wish.service} publishes no port", hint="`portward services` shows what does")
    if wish.target is None:
        first = _first(links)
        return (first,), tuple(link for link in links if not _moves_along(link, first))
    same = [link for link in links if link.entry and link.entry.handle.partition("/")[0] == str(wish.target)]
    exact = [link for link in same if link.entry and link.entry.protocol.lower() == wish.protocol]
    if not same:
        targets = ", ".join(link.entry.handle for link in links if link.entry)
        raise UsageError(f"{wish.service} does not publish its port {wish.target}", hint=f"it publishes {targets}")
    link = (exact or same)[0]
    return (link,), tuple(other for other in links if not _moves_along(other, link))


def _moves_along(one: Link, two: Link) -> bool:
    """Whether two ports of a service are written once: by the same characters, or by the same variable."""
    variables = [set(link.entry.variables) for link in (one, two) if link.entry]
    return _is_of_one_entry(one, two) or (len(variables) == 2 and not variables[0].isdisjoint(variables[1]))


def _first(links: Sequence[Link]) -> Link:
    """The first of a service's published ports; of a range that is written first, its lowest."""
    together = [link for link in links if _is_of_one_entry(link, links[0])]
    return min(together, key=lambda link: link.entry.range.low if link.entry and link.entry.range else 0)


def _similar(name: str, names: Iterable[str]) -> str:
    from difflib import get_close_matches

    names = sorted(names)
    close = get_close_matches(name, names, n=1)
    return f"did you mean {close[0]}?" if close else f"its services are {', '.join(names) or 'none'}"
