"""The live view in the terminal: who listens, sorted and filtered, with what can be done about it."""

from __future__ import annotations

import time
import webbrowser
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import App
from textual.binding import Binding
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Input, Static
from textual.worker import get_current_worker

from portward.errors import PortwardError
from portward.model import Transport
from portward.render import kill as kill_text
from portward.wording import brief, command_line, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from textual.app import ComposeResult
    from textual.worker import Worker

    from portward.model import Listener, Reading
    from portward.stops import StopPlan
    from portward.ward import Portward

SECONDS = 0.2
"""Between two looks at least, while much comes and goes."""

TURN_SECONDS = 0.25
"""How soon it is seen that the view ends, or shows something else."""

COLUMNS = ("port", "address", "held by", "user", "project", "command")


class Row:
    """A listener as its line in the table. `key` stays the same while it listens."""

    def __init__(self, listener: Listener, key: str) -> None:
        self.listener = listener
        self.key = key
        process = listener.processes[0] if listener.processes else None
        container = listener.container
        command = command_line(process) if process else shown(container.image) if container else ""
        user = listener.user or (process.user if process else None) or ""
        address = listener.endpoint.address or "*"
        self.cells = (self.asked, address, brief(listener), shown(user), shown(listener.project or ""), command)

    @property
    def asked(self) -> str:
        """The port as a verb takes it."""
        return f"{self.listener.port}{'/udp' if self.listener.transport is Transport.UDP else ''}"

    def order(self, column: int) -> tuple[object, ...]:
        """By what the row is sorted: the column's text, ports by their number."""
        return (
            (self.listener.port, self.key)
            if column == 0
            else (self.cells[column].lower(), self.listener.port, self.key)
        )

    def mentions(self, words: list[str]) -> bool:
        """Whether the row has all the words; digits are the beginning of a port."""
        text = " ".join(self.cells).lower()
        return all(self.cells[0].startswith(word) if word.isdecimal() else word in text for word in words)


def rows_of(reading: Reading) -> Iterator[Row]:
    """The rows of a reading; several sockets on one endpoint are several rows."""
    seen: dict[str, int] = {}
    for listener in reading.listeners:
        name = f"{listener.transport} {listener.endpoint} {listener.netns or ''}"
        seen[name] = seen.get(name, -1) + 1
        yield Row(listener, f"{name} {seen[name]}")


class Agree(ModalScreen[bool]):
    """Shows what would be done, and asks."""

    BINDINGS: ClassVar = [Binding("y", "agree", "Yes"), Binding("n,escape", "refuse", "No")]
    DEFAULT_CSS = "Agree { align: center middle; } Agree Vertical { width: 90%; height: auto; padding: 1 2; border: round $error; background: $surface; }"

    def __init__(self, lines: list[str], question: str) -> None:
        super().__init__()
        self._lines = lines
        self._question = question

    def compose(self) -> ComposeResult:
        """The lines, then the question."""
        with Vertical():
            yield Static(Text("\n".join(self._lines)))
            yield Static(Text(f"\n{self._question}"))

    def action_agree(self) -> None:
        """Yes."""
        self.dismiss(True)

    def action_refuse(self) -> None:
        """No."""
        self.dismiss(False)


class Looked(Message):
    """What a look saw."""

    def __init__(self, reading: Reading) -> None:
        super().__init__()
        self.reading = reading


class Top(App[None]):
    """The application. `open_ward` gives the project anew for whatever is done, `seconds` are between two looks at least."""

    TITLE = "portward"
    CSS = "#head, #said { height: 1; padding: 0 1; } #head { text-style: bold; } DataTable { height: 1fr; } #filter, #lease { display: none; } .asked { display: block !important; }"
    BINDINGS: ClassVar = [
        Binding("slash", "filter", "Filter"),
        Binding("s", "sort", "Sort"),
        Binding("u", "udp", "UDP"),
        Binding("o", "open", "Open in browser"),
        Binding("l", "lease", "Lease"),
        Binding("k,delete", "stop", "Stop"),
        Binding("q", "quit", "Quit"),
        Binding("escape", "leave", show=False),
    ]

    def __init__(self, open_ward: Callable[[], Portward], seconds: float = SECONDS) -> None:
        super().__init__()
        self._open_ward = open_ward
        self._seconds = seconds
        self._rows: dict[str, Row] = {}
        self._lines: list[tuple[str, ...]] = []
        self._words: list[str] = []
        self._column = 0
        self._udp = False

    def compose(self) -> ComposeResult:
        """A line on top, the table, what is asked for, what was said, and the keys."""
        yield Static("looking…", id="head", markup=False)
        yield DataTable(cursor_type="row", zebra_stripes=True)
        yield Input(placeholder="port, or text in a process, container or project", id="filter")
        yield Input(placeholder="lease a port for which service?", id="lease")
        yield Static("", id="said", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begins to look."""
        self._table.add_columns(*COLUMNS)
        self._table.focus()
        self._follow()

    @property
    def _table(self) -> DataTable[Text]:
        return self.query_one(DataTable)

    @work(thread=True, exclusive=True, group="look")
    def _follow(self) -> None:
        """Looks whenever something came or went, until the view ends or another is wanted."""
        worker = get_current_worker()
        is_due = True
        told: Reading | None = None
        while not worker.is_cancelled:
            try:
                with self._open_ward().lookout(udp=self._udp) as lookout:
                    while not worker.is_cancelled:
                        if is_due:
                            told = self._tell(worker, lookout.look()[0], told)
                            time.sleep(self._seconds)
                        is_due = lookout.wait(TURN_SECONDS)
            except PortwardError as error:
                self.call_from_thread(self._say, str(error))
                time.sleep(TURN_SECONDS)
                is_due = True

    def _tell(self, worker: Worker[None], reading: Reading, told: Reading | None) -> Reading:
        if reading != told and not worker.is_cancelled:
            self.post_message(Looked(reading))
        return reading

    def on_looked(self, message: Looked) -> None:
        """Shows what a look saw."""
        reading = message.reading
        self._rows = {row.key: row for row in rows_of(reading)}
        more = "".join(f"; not seen: {entry.what}: {entry.reason}" for entry in reading.skipped)
        head = f"{len(self._rows)} listen, by {COLUMNS[self._column]}{', UDP too' if self._udp else ''}{more}"
        self.query_one("#head", Static).update(Text(head))
        self._draw()

    def _draw(self) -> None:
        """Puts the rows into the table, the cursor staying on the one that it is on."""
        wanted = sorted(
            (row for row in self._rows.values() if row.mentions(self._words)), key=lambda row: row.order(self._column)
        )
        lines: list[tuple[str, ...]] = [(row.key, *row.cells) for row in wanted]
        if lines == self._lines:
            return
        self._lines = lines
        key, table = self._key(), self._table
        table.clear()
        for row in wanted:
            table.add_row(*(Text(cell, no_wrap=True) for cell in row.cells), key=row.key)
        if key in {row.key for row in wanted}:
            table.move_cursor(row=table.get_row_index(key))

    def _key(self) -> str:
        """The key of the row that the cursor is on, "" where there is none."""
        table = self._table
        if not table.row_count:
            return ""
        return table.coordinate_to_cell_key(table.cursor_coordinate).row_key.value or ""

    def _chosen(self) -> Row | None:
        return self._rows.get(self._key())

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(Text(shown(text, 300)))

    def action_sort(self) -> None:
        """By the next column."""
        self._column = (self._column + 1) % len(COLUMNS)
        self._say(f"sorted by {COLUMNS[self._column]}")
        self._draw()

    def action_udp(self) -> None:
        """UDP too, or no more."""
        self._udp = not self._udp
        self._follow()

    def action_open(self) -> None:
        """Opens the row's port in the browser."""
        row = self._chosen()
        if row is not None:
            url = f"http://localhost:{row.listener.port}/"
            webbrowser.open(url)
            self._say(f"opened {url}")

    def action_filter(self) -> None:
        """Asks for words."""
        self._ask("filter")

    def action_lease(self) -> None:
        """Asks for a service."""
        self._ask("lease")

    def _ask(self, name: str) -> None:
        field = self.query_one(f"#{name}", Input)
        field.add_class("asked")
        field.focus()

    def action_leave(self) -> None:
        """Back to the table; a filter that is left is taken away."""
        for field in self.query(Input):
            if field.has_focus and field.id == "filter":
                field.value = ""
            field.remove_class("asked")
        self._table.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while it is typed."""
        if event.input.id == "filter":
            self._words = event.value.lower().split()
            self._draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keeps the filter, or leases."""
        if event.input.id == "lease" and event.value.strip():
            self._lease(event.value.strip())
            event.input.value = ""
            event.input.remove_class("asked")
        self._table.focus()

    @work(thread=True, group="act")
    def _lease(self, service: str) -> None:
        try:
            granted = self._open_ward().lease([service])
        except PortwardError as error:
            self.call_from_thread(self._say, str(error))
            return
        told = [f"{lease.holder.service} has {lease.port}" for lease in granted.leases]
        self.call_from_thread(self._say, "; ".join([*told, *granted.remarks]))

    def action_stop(self) -> None:
        """Shows what would be stopped for the row's port to be free, and asks."""
        row = self._chosen()
        if row is not None:
            self._plan(row.asked)

    @work(thread=True, group="act")
    def _plan(self, port: str) -> None:
        try:
            planned = self._open_ward().kill([port], dry_run=True).planned
        except PortwardError as error:
            self.call_from_thread(self._say, str(error))
            return
        lines = list(kill_text.plan(planned, time.time()))
        self.call_from_thread(self._agree, port, planned, lines)

    def _agree(self, port: str, planned: StopPlan, lines: list[str]) -> None:
        if not planned.stops:
            self._say("; ".join(lines))
            return

        def answered(agreed: bool | None) -> None:
            if agreed:
                self._stop(port, planned)
            else:
                self._say("nothing was stopped")

        self.push_screen(Agree(lines, "Stop it? y or n"), answered)

    @work(thread=True, group="act")
    def _stop(self, port: str, planned: StopPlan) -> None:
        """Stops just what was shown: who has taken its place since is left alone."""
        try:
            answer = self._open_ward().kill([port], reason="by top", shown=planned)
        except PortwardError as error:
            self.call_from_thread(self._say, str(error))
            return
        said = "; ".join(line.strip() for line in kill_text.killed(answer, time.time(), asked=True))
        self.call_from_thread(self._say, said)
