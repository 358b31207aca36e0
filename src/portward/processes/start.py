"""One start of a command: from the fork to the end of its last process."""

from __future__ import annotations

import os
import signal
import time

from portward.errors import PortwardError
from portward.model import Listener, State
from portward.processes.child import spawn
from portward.processes.family import Family
from portward.processes.hearing import Hearing
from portward.processes.signals import ENDING, Signals, has_terminal
from portward.processes.tree import descendants
from portward.processes.watch import PATIENCE, Sight, Verdict, Watch, sight
from portward.wording import brief

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from portward.processes import Launch, Listeners

_GRACE = 5.0  # seconds between SIGTERM and SIGKILL for a command that has lost its port
_SHORT = 10.0  # seconds in which a program that the hold refused ends
_KILLED = 128  # statuses above say that a signal ended the program


class Start:
    """A command that runs. `follow` takes it to its end; `lost` and `refused` then say what went wrong with its port.

    With `in_use` the end of its stderr is kept, as `last_words`; `in_use(text)` gives the ports that a text says are taken, None for
    one that it does not name.
    """

    def __init__(
        self,
        launch: Launch,
        signals: Signals,
        listeners: Listeners,
        is_ours: Callable[[Listener], bool],
        tell: Callable[[str], None],
        in_use: Callable[[str], Collection[int | None]] | None = None,
    ) -> None:
        self.launch = launch
        self.last_words = ""
        self._signals = signals
        self._listeners = listeners
        self._is_ours = is_ours
        self._tell = tell
        self._in_use = in_use
        self._hearing: Hearing | None = None
        self._started = time.monotonic()
        self._watch = Watch(launch.port, self._started)
        self._blind = False
        self._resumed = False
        self._kill_at: float | None = None
        self._holders: tuple[Listener, ...] = ()

    def follow(self) -> int:
        """Starts the command and returns its status when all that is waited for has ended. Raises NotStarted."""
        hold = self.launch.hold
        if self._in_use is not None:
            self._hearing = Hearing.open()
        if hold is not None and self.launch.handed is None:
            hold.open()
        try:
            self._family = self._spawn()
            while self._family.status is None:
                self._step()
            self._ended = time.monotonic()
            self._left_behind()
            while self._family.waited_for():
                self._step()
            if not self._watch.confirmed:
                self._examine()
        finally:
            if hold is not None:
                hold.shut()
            if self._hearing is not None:
                self.last_words = self._hearing.last_words()
        return self._family.status or int(self._kill_at is not None)

    @property
    def lost(self) -> bool:
        """Whether it failed, never had its port, and somebody else has it."""
        return self._failed and bool(self._holders)

    @property
    def refused(self) -> bool:
        """Whether it failed without having had its port, although nobody else has it: perhaps the open hold refused it."""
        launch = self.launch
        opened = launch.hold is not None and launch.handed is None
        if not self._failed or self._holders or not opened:
            return False
        if self.last_words and self._in_use is not None:
            return bool({None, launch.port} & self._said_in_use())
        return launch.serves and not launch.known and self._ended - self._started < _SHORT

    def _said_in_use(self) -> frozenset[int | None]:
        """The ports that its last words say are taken."""
        return frozenset(self._in_use(self.last_words) if self._in_use else ())

    @property
    def died(self) -> bool:
        """Whether it ended by itself, and not well."""
        return not self._family.asked and self._kill_at is None and bool(self._family.status)

    @property
    def _failed(self) -> bool:
        family = self._family
        if self._kill_at is not None:
            return True
        return not family.asked and 0 < (family.status or 0) < _KILLED and not self._watch.confirmed

    def explain(self, *, retried: bool) -> None:
        """Says why it failed, if that had to do with its port."""
        port = self.launch.port
        if self.lost:
            hint = "" if retried else " (hint: `--retry 3` would start it on another port)"
            self._tell(f"error: {_who(self._holders)} has taken {port}{hint}")
        elif self.refused and not self._watch.seen.elsewhere and not retried:
            who = "the command" if port in self._said_in_use() else "if the command says that it is in use, it"
            self._tell(
                f"note: nobody else has {port}; {who} binds without SO_REUSEADDR, and our hold refuses that "
                "(hint: `--retry 1` starts it again without holding the port)"
            )

    def _examine(self) -> None:
        """Looks who has the port, now that the command has ended without ever having been seen there."""
        seen = self._sight()
        if seen.ours:  # a daemon that it started
            self._watch.look(seen, time.monotonic())
            return
        others = {os.getpid(), *self._family.members()}
        rows = (row for row in self._rows() if row.port == self.launch.port and row.netns is None)
        self._holders = (
            tuple(
                row
                for row in rows
                if row.note is None
                and row.state in (State.LISTEN, State.BOUND)
                and not others.intersection(process.pid for process in row.processes)
            )
            or self._watch.seen.strangers
        )

    def _spawn(self) -> Family:
        launch, handed = self.launch, self.launch.handed
        hearing = self._hearing
        others = frozenset(descendants(os.getpid()))
        try:
            pid = spawn(
                launch.command,
                launch.environment,
                self._signals.before,
                descriptor=handed.fileno() if handed else None,
                announced=launch.announced,
                streams=hearing.streams if hearing else None,
            )
        finally:
            if hearing is not None:
                hearing.started()
            if handed is not None:
                handed.close()  # the command's alone: when it has ended, nobody may wait in the queue
        return Family(pid, others)

    def _step(self) -> None:
        """Waits for the next thing to do, and does it."""
        arrival = self._signals.wait(self._pause())
        if arrival is None:
            self._look()
        elif arrival.number == signal.SIGCHLD:
            self._stop_together()
        elif arrival.number == signal.SIGCONT and self._resumed:
            self._resumed = False
            if not self._stop_together() and self._family.stopped:
                self._family.pass_on(signal.SIGCONT)
        elif arrival.number == signal.SIGWINCH and self._hearing is not None and self._hearing.resized():
            self._family.tell(signal.SIGWINCH)  # who has looked at the size already has seen the old one
        elif arrival.reached_child:
            self._family.asked = self._family.asked or arrival.number in ENDING
        else:
            self._family.pass_on(arrival.number)

    def _stop_together(self) -> bool:
        """Stops as well if the command has stopped at a terminal, so that the shell sees the job stop. Returns whether it did, when it goes on.

        A shell continues the whole group: the SIGCONT that ends our stop is not for the command, unless that is still stopped then. If it
        were passed on all the same, it might take back a stop that the keyboard has asked for meanwhile (signal(7)).
        """
        if not self._family.reap() or not has_terminal():
            return False
        self._resumed = True
        os.kill(os.getpid(), signal.SIGSTOP)
        return True

    def _pause(self) -> float | None:
        now = time.monotonic()
        looking = None if self._blind else self._watch.pause(now)
        if self._kill_at is None:
            return looking
        return max(0.0, min(self._kill_at - now, looking or self._kill_at - now))

    def _look(self) -> None:
        now = time.monotonic()
        if self._kill_at is not None and now >= self._kill_at:
            self._family.pass_on(signal.SIGKILL)
            self._kill_at = now + _GRACE
        verdict = self._watch.look(self._sight(), now)
        if verdict is not None:
            self._tell_verdict(verdict)
        seen = self._watch.seen
        if self._watch.verdict is Verdict.LOST and seen.elsewhere and self._kill_at is None:
            self._tell(f"ending it: whoever was told {self.launch.port} would reach {_who(seen.strangers)}")
            self._family.pass_on(signal.SIGTERM)
            self._kill_at = now + _GRACE

    def _sight(self) -> Sight:
        return sight(self.launch.port, self._rows(), self._family.members(), self._is_ours)

    def _rows(self) -> Sequence[Listener]:
        """Who listens now. Where that cannot be seen, it is said once, and not looked for again."""
        if self._blind:
            return ()
        try:
            return self._listeners()
        except (PortwardError, OSError) as error:
            self._blind = True
            self._tell(f"note: cannot see whether it gets its port: {error}")
            return ()

    def _tell_verdict(self, verdict: Verdict) -> None:
        port, seen = self.launch.port, self._watch.seen
        ports = ", ".join(str(number) for number in sorted({row.port for row in seen.elsewhere}))
        match verdict:
            case Verdict.SHARED:
                ours, theirs = (", ".join(row.endpoint.address for row in rows) for rows in (seen.ours, seen.strangers))
                self._tell(
                    f"warning: it listens on {ours} port {port}, but {_who(seen.strangers)} on {theirs}: "
                    '"localhost" may mean either'
                )
            case Verdict.LOST:
                self._tell(f"warning: {_who(seen.strangers)} listens on {port}, and this command does not")
            case Verdict.MOVED:
                self._tell(f"warning: it listens on {ports}, not on {port}: it does not take the port it is given")
            case Verdict.SILENT if self.launch.serves:
                self._tell(f"note: nothing of it listens on {port} after {PATIENCE:.0f} s")
            case Verdict.SILENT | Verdict.OURS:
                pass

    def _left_behind(self) -> None:
        """The command has ended and others of it have not: they get the signal that ended it, and are waited for."""
        rest = self._family.waited_for()
        if not rest:
            return
        if self._family.passed_on is not None:
            self._family.pass_on(self._family.passed_on)
        elif not self._family.asked:
            pids = ", ".join(map(str, rest))
            self._tell(f"note: the command has ended, but not all that it started (pid {pids}): waiting for that")


def _who(rows: Sequence[Listener]) -> str:
    return " and ".join(dict.fromkeys(map(brief, rows))) or "somebody"
