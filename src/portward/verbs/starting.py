"""How `Portward` starts a command with its ports: leased, held until the command binds, and told under every name in use."""

from __future__ import annotations

import os

from portward.conventions import Terms, main_service
from portward.errors import BindRefused, UsageError
from portward.model import Kind
from portward.processes import Launch, run
from portward.servers import prepare
from portward.sockets import hold
from portward.verbs import history
from portward.verbs.composing import names_files, runs_compose

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portward.answers import Explanation
    from portward.model import Listener
    from portward.truths.live import Live
    from portward.verbs.composing import Composer
    from portward.verbs.leasing import Leasing


_TAKEN = Kind.PORT_IN_USE
_LAST_LINES = 200  # what stands before them was no reason to end
_MOST = 2  # troubles that are told, and sentences of evidence for each


class Starting:
    """One command that runs with the ports of one checkout. `tell` gets what there is to say, a sentence each.

    `explain` says what a text tells of ports; without it the command has its stderr untouched. Ports are leased on `terms`.
    """

    def __init__(
        self,
        leasing: Leasing,
        live: Live,
        composer: Composer,
        environment: Mapping[str, str],
        script: Callable[[str, str], str | None],
        tell: Callable[[str], None],
        explain: Callable[[str], Explanation] | None,
        terms: Terms,
    ) -> None:
        self._leasing = leasing
        self._live = live
        self._composer = composer
        self._project = composer.project
        self._environment = environment
        self._script = script
        self._tell = tell
        self._explain = explain
        self._terms = terms
        self._port = 0

    def run(self, command: Sequence[str], service: str | None, *, socket: bool, retries: int) -> int:
        """Runs the command to its end with the service's port, and returns its exit status. See `processes.run`."""
        chosen = service or self._chosen()

        def again(lost: int) -> Launch:
            self._tell(f"{lost} was taken by somebody else: trying another port")
            return self._launch(command, chosen, socket, frozenset({lost}))

        launch = self._launch(command, chosen, socket, frozenset())
        try:
            return run(
                launch,
                listeners=lambda: self._live.read().listeners,
                tell=self._tell,
                is_ours=self._is_ours,
                retries=retries,
                again=again,
                in_use=ports_in_use if self._explain else None,
                explain=self._explained,
            )
        finally:
            self._write_down(chosen, "ended")

    def _write_down(self, service: str, what: str) -> None:
        """For `who` with `history`: that the command was started on its port ("ran"), or has ended."""
        history.ran(self._environment, self._port, service, self._project.name if self._project else None, what)

    def _explained(self, last_words: str, told: int | None) -> None:
        """Says what the last words of a command that died tell of ports, but of the port of which all is `told`."""
        from portward.wording import shown

        if self._explain is None or not last_words:
            return
        found = self._explain("".join(last_words.splitlines(keepends=True)[-_LAST_LINES:])).diagnoses
        own = (None, told) if told is not None else ()
        for diagnosis in [each for each in found if each.symptom.kind is not _TAKEN or each.symptom.port not in own][
            :_MOST
        ]:
            self._tell(f"why it ended: {shown(diagnosis.cause, 400)}")
            for sentence in diagnosis.evidence[:_MOST]:
                self._tell(f"  {shown(sentence, 400)}")
            for fix in diagnosis.fixes[:1]:
                self._tell(f"  safest: {fix.title}" + (f": `{fix.command}`" if fix.command else ""))

    def _is_ours(self, row: Listener) -> bool:
        """Whether a listener is a container of this very project: `run -- docker compose up` starts such."""
        from portward.occupancy import is_ours

        project = self._project
        return project is not None and any(is_ours(row, service, project) for service in project.services)

    def _chosen(self) -> str:
        """The service that a command without one is: the only one, else the one that people look at, else the first."""
        names = [service.name for service in self._project.services if service.claims] if self._project else []
        chosen = main_service(names) or next(iter(names), "")
        if not chosen:
            raise UsageError("which service is this?", hint="`portward run SERVICE -- COMMAND`")
        if len(names) > 1:
            self._tell(f"PORT is that of {chosen}; `portward run SERVICE -- …` chooses another")
        return chosen

    def _launch(self, command: Sequence[str], service: str, socket: bool, avoid: frozenset[int]) -> Launch:
        stack = [] if self._project is None else self._leasing.stack()
        own = next((wanted for wanted in stack if str(wanted) == service), service)
        granted = self._leasing.lease([own, *(wanted for wanted in stack if wanted is not own)], self._terms, avoid)
        ports = granted.first()
        for remark in granted.remarks:
            self._tell(remark)
        by_name = {f"{name}:{instance}" if instance else name: port for (name, instance), port in ports.items()}
        prepared = prepare(command, by_name[service], ports=by_name, socket=socket, scripts=self._script)
        for note in prepared.notes:
            self._tell(note)
        held = self._held(prepared.port)
        handed = held.listening(prepared.handover.host) if held and prepared.handover else None
        if prepared.handover and handed is None:
            raise UsageError("a socket can be handed over on Linux only", hint="leave --fd out")
        how = "socket handed over" if handed else "held until it binds" if held else "not held here"
        self._tell(f"{service} -> {prepared.port} ({how})")
        self._port = prepared.port
        self._write_down(service, "ran")
        told = self._composer.told(ports)
        self._project = told.project
        for remark in told.remarks:
            self._tell(remark)
        is_compose = runs_compose(command)
        if is_compose:  # PORT is whatever the project's files make of it
            told_last = told.values
            if "COMPOSE_FILE" in told.values and names_files(command):
                self._tell("`-f` passes over the file that moves fixed ports: COMPOSE_FILE names it")
        else:
            told_last = prepared.environment
        return Launch(
            prepared.command,
            {**self._environment, **told.values, **prepared.environment, **told_last},
            prepared.port,
            held,
            handed,
            announced=prepared.handover is not None and prepared.handover.announced,
            known=prepared.server is not None or is_compose,
            serves=prepared.serves or is_compose,
        )

    def _held(self, port: int) -> hold.Hold | None:
        """A hold on the port; none where the system has none, or a sandbox denies every bind: the command will say so itself."""
        if not hold.SUPPORTED:
            return None
        try:
            return hold.Hold.take(port)
        except BindRefused:
            if not self._live.unproved:
                raise
            return None


def ports_in_use(text: str) -> frozenset[int | None]:
    """The ports that a text says are taken; None among them for one that it does not name."""
    from portward import symptoms

    return frozenset(None if each.guess else each.port for each in symptoms.read(text).found if each.kind is _TAKEN)


def script(folder: str, name: str) -> str | None:
    """A script of the package.json in a folder, "" being the current one; None where there is none."""
    import json

    try:
        with open(os.path.join(folder, "package.json"), encoding="utf-8") as file:
            found = json.load(file).get("scripts", {}).get(name)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None
