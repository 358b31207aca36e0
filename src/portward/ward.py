"""`Portward`: one method for each verb. Reads the truths into a `Snapshot`, and lets the pure rooms judge it.

Everything that touches the machine is an argument of the constructor, so that every judgement can be tested without one;
`Portward.open` builds the real ones. A verb imports only what it needs: start-up is part of every answer.
"""

from __future__ import annotations

import errno
import os
import time

from portward.arguments import PortArgument, is_port_argument, is_port_or_range, parse_port, parse_range, parse_target
from portward.errors import InvalidPort, NoFreePort, NoProject, Unavailable, UsageError
from portward.live import Live, holds, is_connection
from portward.model import (
    LAST_PORT,
    ComposeOptions,
    Endpoint,
    Finding,
    Link,
    Listener,
    PortRange,
    PortRequest,
    Project,
    Reading,
    Service,
    Settings,
    Side,
    Skipped,
    Snapshot,
    Transport,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from portward.answers import (
        Changes,
        Check,
        Checkup,
        Event,
        Explanation,
        Killed,
        OwnersPin,
        RuleDoc,
        Services,
        Verified,
        Waited,
        Who,
        WhoAnswer,
    )
    from portward.catalog import CatalogEntry
    from portward.change import Session
    from portward.composing import Composer
    from portward.conventions import Terms
    from portward.evidence import Examined
    from portward.generated import Generated
    from portward.journal import Journal
    from portward.leases import LeaseStore
    from portward.leasing import Granted, Leasing
    from portward.model import Identity, Lease, Location
    from portward.sockets import SocketReader
    from portward.stops import StopPlan
    from portward.workspace import Checkout, Files


_SHOWN = 8  # of a service's other ports, which may be thousands


class Portward:
    """The verbs of Portward, for the project in one folder of one machine.

    `root` is the project's folder, None outside any project. `sockets` reads the live truth, `files` the project's files,
    `clock` gives seconds since the epoch, `environment` stands for the process's own, `narrate` is told of each step.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        sockets: SocketReader | None = None,
        files: Files | None = None,
        clock: Callable[[], float] = time.time,
        environment: Mapping[str, str] | None = None,
        narrate: Callable[[str], None] | None = None,
    ) -> None:
        self.root = root
        self.environment = os.environ if environment is None else environment
        self._files = files
        self._clock = clock
        self._narrate = narrate or (lambda _step: None)
        self._folder = root or ""
        self._unseen: tuple[Skipped, ...] = ()
        self.live = Live(sockets, self.environment, self._narrate)
        self._stores: dict[str, LeaseStore] = {}

    @classmethod
    def open(cls, path: str | os.PathLike[str] = ".", *, narrate: Callable[[str], None] | None = None) -> Portward:
        """The real thing, for the project that `path` (a folder) lies in. Raises UsageError if there is no such folder."""
        from portward import workspace

        try:
            folder = os.path.realpath(path)
        except FileNotFoundError:  # the folder that we are in has been removed
            folder = ""
        if folder and not os.path.isdir(folder):
            raise UsageError(f"{os.fspath(path)} is not a folder" if os.path.exists(folder) else f"there is no {path}")
        root = workspace.find_root(folder) if folder else None
        ward = cls(root, narrate=narrate)
        ward._folder = folder
        if root is None and not os.access(folder, os.R_OK | os.X_OK):
            code = errno.EACCES if folder else errno.ENOENT
            ward._unseen = (Skipped(folder or "this folder", os.strerror(code)),)
        ward._narrate(f"the project is {root}" if root else f"no project from {folder} upward")
        return ward

    def ls(
        self, queries: Sequence[str] = (), *, udp: bool = False, all_netns: bool = False, identify: bool = False
    ) -> Reading:
        """Who listens on TCP (with `udp` also on UDP), as far as a query matches: `[HOST:]PORT[/udp]`, a range, or text in a
        name. A query that says /udp looks at UDP whatever `udp` is. With `identify`, each TCP listener is asked what it is.

        Raises InvalidPort for a query of digits that is no port, UsageError for a host that has no address.
        """
        project, skipped = self._readable_project(shallow=True)
        reading = self._matching(self.live, queries, project, skipped, udp=udp, all_netns=all_netns)
        if not identify:
            return reading
        from portward.identifying import Identifying
        from portward.probes import SECONDS

        return reading.replace(listeners=Identifying(self.live, lambda: project).listeners(reading.listeners, SECONDS))

    def watch(
        self, queries: Sequence[str] = (), *, udp: bool = False, all_netns: bool = False
    ) -> Iterator[tuple[Reading, tuple[Event, ...]]]:
        """What `ls` shows, then each start and stop of a listener as it is seen, without end; recorded for `who` with `history`.

        Each time the reading, and what changed since the last. The system's own reader of sockets is asked, whatever this one's is: it
        remembers owners, and nothing may be stopped by it. Raises as `ls` does.
        """
        from portward import history
        from portward.sockets import open_reader
        from portward.watching import watch

        project, skipped = self._readable_project(shallow=True)
        reader = open_reader(narrate=self._narrate)
        live = Live(reader, self.environment, self._narrate)

        def look() -> Reading:
            return self._matching(live, queries, project, skipped, udp=udp, all_netns=all_netns)

        udp = udp or any(parse_port(query).transport is Transport.UDP for query in queries if is_port_argument(query))
        with history.recording(self.environment, self._narrate) as record:
            for reading, events in watch(reader, look, self._clock, udp=udp, all_netns=all_netns):
                record(events)
                yield reading, events

    @staticmethod
    def _matching(
        live: Live,
        queries: Sequence[str],
        project: Project | None,
        skipped: Sequence[Skipped],
        *,
        udp: bool,
        all_netns: bool,
    ) -> Reading:
        """The listeners that the queries match, with the project's services named."""
        ports = [parse_port(query) for query in queries if is_port_argument(query)]
        words = [query.lower() for query in queries if not is_port_argument(query)]
        asked = [(argument, live.addresses(argument.host)) for argument in ports]
        reading = live.read(
            udp=udp or any(argument.transport is Transport.UDP for argument in ports),
            all_netns=all_netns,
            ports=None if words or not ports else {port for argument in ports for port in argument.ports},
        )
        reading = _named(reading, project).replace(skipped=(*reading.skipped, *skipped))
        if queries:
            rows = (
                row
                for row in reading.listeners
                if any(_answers(row, argument, hosts, udp) for argument, hosts in asked) or _mentions(row, words, udp)
                if not is_connection(row)
            )
            reading = reading.replace(listeners=tuple(rows))
        return reading

    def identify(self, *targets: str, seconds: float | None = None) -> tuple[Identity, ...]:
        """Which service answers at each target, and its version; all are asked at once, each for `seconds` at most (1.5 by default).

        A target is `[HOST:]PORT`, a URL, or a service of the project. Nothing is asked that changes anything, and nothing at all where a
        debugger listens. Raises UsageError for what is no target.
        """
        from portward.identifying import Identifying
        from portward.probes import SECONDS

        parsed = [parse_target(target) for target in targets]
        if seconds is not None and seconds <= 0:
            raise UsageError(f"{seconds:g} seconds is no time")
        identifying = Identifying(self.live, lambda: self._readable_project()[0])
        return identifying.targets(parsed, SECONDS if seconds is None else seconds)

    def wait(
        self,
        *targets: str,
        seconds: float = 30,
        service: str | None = None,
        status: int | None = None,
        tell: Callable[[Mapping[str, str], Sequence[str]], None] = lambda _missing, _ready: None,
    ) -> Waited:
        """Waits until all targets are ready, `seconds` at most: a connection is taken, `http://` answers with `status` (200 to 399 by default),
        a URL like `redis://…`, or any target with `service`, answers as that service does.

        `tell` hears of each look. Raises UsageError for what is no target.
        """
        from portward.waiting import wait

        parsed = [parse_target(target) for target in targets]
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"{seconds:g} seconds is no time")
        project: list[Project | None] = []

        def read() -> Project | None:
            if not project:
                project.append(self._readable_project()[0])
            return project[0]

        return wait(parsed, seconds, self.live, read, service=service, status=status, tell=tell)

    def who(self, ports: Sequence[str], *, all_netns: bool = False, history: bool = False) -> WhoAnswer:
        """Everything about what holds the ports: processes and their ancestry, container, unit, project, who declares it.

        With `history`, also who held them before, as far as Portward looked. Raises InvalidPort for what is not a port.
        """
        from portward.answers import WhoAnswer

        wanted = [(argument, port) for argument in map(parse_port, ports) for port in argument.ports]
        reading = self.live.read(
            udp=any(argument.transport is Transport.UDP for argument, _ in wanted),
            all_netns=all_netns,
            ports={port for _, port in wanted},
        )
        project, skipped = self._readable_project()
        reading = _named(reading, project)
        rows = tuple(self._who(port, argument, reading, project) for argument, port in wanted)
        if history:
            from portward.history import past

            reclaimed = self._leasing().past()
            rows = tuple(
                row.replace(history=past(self.environment, row.port, row.transport, reclaimed)) for row in rows
            )
        return WhoAnswer(rows, (*reading.skipped, *skipped))

    def _who(self, port: int, argument: PortArgument, reading: Reading, project: Project | None) -> Who:
        from portward import catalog
        from portward.answers import Who
        from portward.remedies import stops

        endpoints = [Endpoint(host, port, argument.transport) for host in self.live.addresses(argument.host)]
        rows = tuple(
            self.live.in_detail(row)
            for row in reading.listeners
            if not is_connection(row) and any(row.endpoint.overlaps(endpoint) for endpoint in endpoints)
        )
        return Who(
            port=port,
            transport=argument.transport,
            listeners=rows,
            ancestry=tuple(self.live.sockets.ancestry(row.processes[0]) if row.processes else () for row in rows),
            declared=_declared(port, project) if project else (),
            customary=catalog.customary(port, argument.transport),
            fixes=tuple(dict.fromkeys(fix for row in rows if holds(row) for fix in stops(row))),
        )

    def _readable_project(
        self, *, shallow: bool = False, environment: Mapping[str, str] | None = None
    ) -> tuple[Project | None, tuple[Skipped, ...]]:
        """The project where there is one; if its files cannot be read, why. `shallow` reads just its top folder."""
        if self.root is None:
            return None, self._unseen
        try:
            project = self.project(shallow=shallow, environment=environment)
        except UsageError as error:
            return None, (Skipped(str(error).partition(": ")[0], error.message),)
        return project, project.skipped

    def check_ports(self, ports: Sequence[str], *, all_netns: bool = False) -> Check:
        """Whether each port is free to bind now, and who is in the way of those that are not.

        Raises InvalidPort for what is not a port, UsageError for a host that has no address.
        """
        from portward import preflight
        from portward.answers import Check

        checks, reading = preflight.look(self.live, ports, all_netns)
        refused = dict.fromkeys(check for check in checks if not check.available)
        settings, unread = self._readable_settings() if refused else (Settings(), ())
        snapshot = Snapshot(reading, self._clock(), settings=settings)
        findings = tuple(preflight.finding(self.live, check, snapshot) for check in refused)
        return Check(checks, findings, reading, unread=unread)

    def check(self, options: ComposeOptions | None = None, *, all_netns: bool = False) -> Check:
        """Whether all that the project declares is free, or running as this very stack, and consistent.

        Raises NoProject outside any project, InvalidFile where Compose would refuse the project's files.
        """
        from portward import rules, survey
        from portward.answers import Check

        settings = self.settings()
        project = self.project(options, settings=settings)
        snapshot = survey.snapshot_of(self.live, project, settings, self._clock(), all_netns=all_netns)
        snapshot = snapshot.replace(system=self.live.system(), customs=survey.customs_of(project))
        found = rules.verdict(snapshot)
        if any(finding.service for finding in found.findings):
            # a finding shows a way out: judged again with free ports for just those services that need one
            names = {finding.service for finding in found.findings if finding.service}
            found = rules.verdict(survey.offering(self.live, snapshot, names))
        reports = survey.reports(snapshot)
        return Check((), found.findings, snapshot.reading, project, reports, survey.elsewhere(snapshot), found.ignored)

    @staticmethod
    def rules() -> tuple[RuleDoc, ...]:
        """What `check` judges a project by, in the order of its findings of one severity."""
        import sys

        from portward import rules
        from portward.answers import RuleDoc

        docs = []
        for name, rule in rules.checks().items():
            module = sys.modules[rule.__module__]
            summary, _, text = (module.__doc__ or name).partition("\n")
            docs.append(RuleDoc(name, module.SEVERITY, summary.partition(": ")[2], text.strip()))
        return tuple(docs)

    def settings(self, key: str = "", value: str = "") -> Settings:
        """What `portward.toml` says, over what the user's own configuration does. Each is read where it is there.

        With `key`, only files that may have it, and a text that ends with `value`: nothing else is to be relied on. Raises InvalidFile, with the place and a hint, for what is not a setting.
        """
        from portward import configuration
        from portward.workspace import Files

        return configuration.read(
            self._files or (Files(self.root) if self.root else None), self.environment, key, value
        )

    def _readable_settings(self, key: str = "", value: str = "") -> tuple[Settings, tuple[Skipped, ...]]:
        """The settings; if they cannot be read, those by default, and why."""
        try:
            return self.settings(key, value), ()
        except UsageError as error:
            return Settings(), (Skipped(str(error).partition(": ")[0], error.message),)

    def services(self, options: ComposeOptions | None = None) -> Services:
        """What the project declares, and the state of each port now.

        Raises NoProject outside any project, InvalidFile where Compose would refuse the project's files.
        """
        from portward import survey
        from portward.answers import Services

        settings = self.settings()
        project = self.project(options, settings=settings)
        snapshot = survey.snapshot_of(self.live, project, settings, self._clock())
        assert snapshot.project is not None
        inactive = tuple(survey.report(snapshot, service) for service in snapshot.project.inactive)
        return Services(snapshot.project, survey.reports(snapshot), inactive, snapshot.reading)

    def find(
        self,
        preferred: int | None = None,
        *,
        count: int = 1,
        contiguous: bool = False,
        ports: PortRange | None = None,
        transport: Transport = Transport.TCP,
    ) -> tuple[int, ...]:
        """Free ports: `preferred` or the next above it (up to 100 more), else from a range. Nothing is recorded.

        Each was bound a moment ago on every family, and let go again: nothing keeps it free. Raises NoFreePort.
        """
        from portward import allocate, catalog

        if count < 1:
            raise UsageError(f"cannot find {count} ports")
        if preferred is not None and not 1 <= preferred <= LAST_PORT:
            raise InvalidPort(f"{preferred} is not a port (1 to {LAST_PORT})")
        settings = self.settings()
        asked = ports or settings.ranges.get("other", catalog.DEFAULT_RANGES["other"])
        key = f"find\0{self.root or self._folder}"
        request = PortRequest(key, asked, preferred, count, contiguous, transport)
        reserved = () if ports else self.live.reserved()
        snapshot = Snapshot(self.live.seen(), self._clock(), reserved=reserved, settings=settings)
        found: list[int] = []
        for group in allocate.candidates(request, snapshot):
            if all(self.live.is_free(port, transport) for port in group):
                found += group
            if len(found) >= count:
                return tuple(sorted(found))
        where = f"from {preferred} to {min(preferred + allocate.FALLBACK, LAST_PORT)}" if preferred else f"in {asked}"
        raise NoFreePort(f"No available ports found: {count} wanted {where}", hint="--range gives another range")

    def catalog(self, query: str = "") -> tuple[CatalogEntry, ...]:
        """What a port is customarily used for, or which port a service uses; everything for an empty query."""
        from portward import catalog

        if is_port_or_range(query):
            parse_range(query)
        return catalog.search(query)

    def project(
        self,
        options: ComposeOptions | None = None,
        *,
        shallow: bool = False,
        settings: Settings | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Project:
        """What the project's files declare; with `shallow` only Compose's files and the `.env` beside them.

        `settings` are read if they are not given; `environment` is the process's unless another is given. Raises NoProject outside any project, InvalidFile where Compose would
        refuse a file, UsageError for a missing one.
        """
        from portward.formats import format_of

        files = self._project_files(options)
        if shallow:
            names, unseen = files.top()
            paths = [path for path in names if format_of(path) in ("compose", "dotenv")]
        else:
            paths, unseen = files.find(lambda path: format_of(path) is not None)
        self._narrate(f"reading {', '.join(paths) or 'no file'}")
        chosen = self.settings() if settings is None else settings
        return self._declared(paths, unseen, files.read, options, chosen, environment)

    def _project_files(self, options: ComposeOptions | None = None) -> Files:
        from portward.workspace import Files

        if self.root is None and options is not None and options.files:
            self.root = self._folder or None  # as for Docker Compose, files that are named make a project of any folder
        if self.root is None:
            if self._unseen:
                raise Unavailable(f"cannot look into {self._unseen[0].what}: {self._unseen[0].reason}")
            raise NoProject(
                "no project here (no compose file, portward.toml or .git from here up)",
                hint="`portward ls` shows what listens on this machine; -C DIR chooses a project",
            )
        return self._files or Files(self.root)

    def _declared(
        self,
        paths: Sequence[str],
        unseen: Sequence[Skipped],
        read: Callable[[str], str],
        options: ComposeOptions | None,
        settings: Settings,
        environment: Mapping[str, str] | None = None,
    ) -> Project:
        from portward import catalog
        from portward.formats.project import declare
        from portward.generated import from_root

        assert self.root is not None
        folder = os.path.basename(self.root) or "root"
        given = from_root(self.environment if environment is None else environment, self.root)
        project = declare(self.root, folder, paths, read, given, self._from_root(options))
        kinds = settings.kinds

        def of_kind(service: Service) -> Service:
            return service.replace(kind=kinds.get(service.name) or catalog.kind_of(service.image, service.name))

        return project.replace(
            services=tuple(map(of_kind, project.services)),
            inactive=tuple(map(of_kind, project.inactive)),
            skipped=(*project.skipped, *unseen),
        )

    def _from_root(self, options: ComposeOptions | None) -> ComposeOptions:
        """The options with their paths told from the root: people tell them from the folder that they are in."""
        if options is None or self.root is None or self._folder in ("", self.root):
            return options or ComposeOptions()

        def told(path: str) -> str:
            return path if os.path.isabs(path) else os.path.relpath(os.path.join(self._folder, path), self.root)

        return options.replace(files=tuple(map(told, options.files)), env_files=tuple(map(told, options.env_files)))

    def set_ports(
        self,
        wishes: Sequence[str],
        *,
        container: bool = False,
        write: bool = False,
        options: ComposeOptions | None = None,
    ) -> Changes:
        """Gives services other host ports (`SERVICE[:TARGET]=PORT`) wherever they are written; with `container` targets too.

        Only with `write` are files changed, all of them or none. Raises NoPlan where that cannot be done by editing files or
        would change more than is meant; UsageError for a wish that names no port of the project; FileChanged and Unavailable
        where the files cannot be written.
        """
        from portward.arguments import parse_wish
        from portward.change import chosen
        from portward.plan import Move

        parsed = [parse_wish(wish) for wish in wishes]
        session = self._session(options)
        moves, remarks = [], list(session.remarks)
        for wish in parsed:
            link, others = chosen(session.project, wish)
            moves.append(Move(link, wish.port, container))
            if others and wish.target is None:
                ports = ", ".join(f"{other.service}:{other.target}" for other in others[:_SHOWN])
                more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
                remarks.append(f"{wish.service} publishes more: {ports}{more} stay as they are")
        return session.change(moves, verb=" ".join(["set", *wishes]), write=write, remarks=remarks)

    def resolve(self, *, write: bool = False, options: ComposeOptions | None = None) -> Changes:
        """Moves the fewest published ports that clear every conflict, each to a free port of its service's range.

        What is pinned stays. No changes where nothing is in the way. Raises as `set_ports` does.
        """
        from portward import rules, survey
        from portward.plan import Move, to_move

        session = self._session(options)
        snapshot = survey.snapshot_of(self.live, session.project, session.settings, self._clock())
        pinned = {pin.service for pin in session.settings.pins}
        findings = rules.judge(snapshot)
        links, stuck = to_move(session.project, findings, pinned)
        free = survey.offering(self.live, snapshot, {link.service for link in links}).free
        moves = []
        for link in links:
            if link.entry is None or link.entry not in free:
                raise NoFreePort(
                    f"no port is free for {link.service} in the place of {link.entry.text if link.entry else ''}",
                    hint="`ranges` in portward.toml gives it others, `portward set` moves a whole range",
                )
            moves.append(Move(link, free[link.entry], why=_in_the_way(link, findings)))
        return session.change(moves, verb="resolve", write=write, remarks=[*session.remarks, *stuck], clears=True)

    def undo(self, *, dry_run: bool = False) -> Changes:
        """Takes back the last write of the project's files that was not yet taken back. No changes where there is none.

        What was interrupted is finished or taken back first; with `dry_run` the remarks say which. Raises FileChanged where a
        file was changed since, and Unavailable where the files cannot be written.
        """
        from portward.answers import Changes
        from portward.change import undone

        self._project_files()
        journal = self._journal()
        remarks = journal.pending() if dry_run else journal.recover()
        taken_back = journal.undo(dry_run=dry_run)
        return undone(taken_back, dry_run, remarks) if taken_back else Changes((), "", remarks=remarks)

    def docs(self, *, write: bool = False, options: ComposeOptions | None = None) -> Changes:
        """The project's port table between its markers in a document: the first Markdown file that has them, else the README.

        No changes where the table is there and true. Only with `write` is the document changed. Raises as `set_ports` does.
        """
        session = self._session(options)
        return session.document(write=write)

    def init(self, *, write: bool = False) -> Changes:
        """A `portward.toml` to begin with, in the project's root, or in this folder outside of any project.

        No changes where there is one already. Only with `write` is it written. Raises Unavailable where it cannot be.
        """
        from portward.answers import Changes
        from portward.change import Draft, Texts
        from portward.formats.settings import beginning
        from portward.workspace import SETTINGS, Files

        root = self.root or self._folder
        files = self._files or Files(root)
        if SETTINGS in files.top()[0]:
            return Changes((), "", remarks=(f"{SETTINGS} is there already",))
        return Draft(Texts(files), {SETTINGS: beginning()}).change(self._journal(root), "init", write)

    def lease(self, names: Sequence[str] = (), terms: Terms | None = None) -> Granted:
        """Promises a port to each named service (`SERVICE[:TARGET]`), by default to all that the project declares.

        Asking again gives the same ports. Not promised: that no program outside of Portward binds one. Raises NoFreePort where
        the offers end, UsageError for terms that make no sense.
        """
        from portward.conventions import Terms

        granted = self._leasing().lease(names, terms or Terms())
        if not names and not granted.leases:
            self._project_files()
            raise UsageError("the project declares no port to lease", hint="name a service: `portward lease web`")
        return granted

    def release(self, names: Sequence[str] = (), *, leases: Sequence[Lease] | None = None) -> Granted:
        """Gives back the named services' leases, or all of this checkout's, or just these `leases` if they still stand.

        What belongs to one process alone is given back only as one of `leases`. Raises Unavailable where the store cannot be written.
        """
        leasing = self._leasing()
        return leasing.release(names) if leases is None else leasing.give_back(leases)

    def leases(self, *, everyone: bool = False) -> Granted:
        """This project's leases, or everyone's; those of holders that are provably gone are taken back first, and told."""
        return self._leasing().leases(everyone)

    def env(self) -> tuple[dict[str, str], tuple[str, ...]]:
        """The project's leased ports as environment variables, and remarks. Leases what is not leased yet.

        Raises NoProject outside of any project.
        """
        from portward.conventions import Terms

        self.project(shallow=True, environment=self._plain())
        leasing = self._leasing()
        granted = leasing.lease((), Terms())
        told = self._composer(leasing).told(granted.leases)
        return dict(told.values), (*granted.remarks, *told.remarks)

    def env_into(self, path: str, *, write: bool = False) -> Changes:
        """The same variables at the end of a file of the project, between marks. Only with `write` is it written.

        Raises UsageError for a file that git tracks, or that is not this working tree's alone, and as `env` and `set_ports` do.
        """
        from portward import filling
        from portward.change import Draft, Texts

        files = self._project_files()
        filling.require_own(files.root, path)
        values, remarks = self.env()
        texts = Texts(files)
        before = texts(path) if os.path.exists(os.path.join(files.root, path)) else ""
        draft = Draft(texts, {path: filling.filled(before, values, path)})
        return draft.change(self._journal(), "env", write, (*remarks, *filling.remarks(files.root, path)))

    def git_hook(self, *, remove: bool = False, write: bool = False) -> Changes:
        """The git hook that runs `env_into` in a new linked worktree; with `remove`, without it. Only with `write` is it changed.

        Raises Unavailable outside of a git repository, NoPlan for a hook that is no shell script.
        """
        from portward import githook

        return githook.plan(self.root or self._folder, remove=remove, write=write)

    def run(
        self,
        command: Sequence[str],
        service: str | None = None,
        *,
        socket: bool = False,
        retries: int = 0,
        tell: Callable[[str], None] | None = None,
    ) -> int:
        """Runs a command to its end with a service's leased port, and returns its exit status, 128 + N for a signal N.

        The port is held from the grant until the command binds it (Linux), or with `socket` handed over as a listening socket; what is
        not promised, docs/run.md tells. Raises NotStarted, UsageError for a server that cannot take a socket, and as `lease` does.
        """
        from portward.starting import Starting, script

        leasing = self._leasing()
        composer = self._composer(leasing)
        starting = Starting(leasing, self.live, composer, self._plain(), script, tell or self._narrate)
        return starting.run(command, service, socket=socket, retries=retries)

    def explain(self, text: str | Iterable[str]) -> Explanation:
        """What an error text (whole, or in pieces of any size) says is wrong with a port, and what this machine says of it now.

        The text may be a long and noisy log of several programs. Nothing is sent anywhere, and no host name is looked up.
        """
        from portward import symptoms
        from portward.answers import Explanation
        from portward.explaining import explain

        said = symptoms.read(text)
        if not said.found:
            return Explanation((), said.others)
        self._narrate(f"{len(said.found)} troubles in the text")
        project, skipped = self._readable_project()
        settings, unread = self._readable_settings()
        snapshot = Snapshot(Reading(()), self._clock(), project, settings=settings)
        found = explain(self.live, said, snapshot)
        return found.replace(skipped=(*found.skipped, *skipped, *unread))

    def verify(self, ports: Sequence[str]) -> tuple[Verified, ...]:
        """Whose is what answers on each port: this checkout's, another worktree's, another project's, a stranger's, nobody's."""
        from portward.answers import Verified

        owner_of = self._owner_of()
        found = []
        for row in self.who(ports).ports:
            rows = tuple(each for each in row.listeners if holds(each))
            claims = set(map(owner_of, rows))
            owner = claims.pop() if len(claims) == 1 else "stranger" if claims else "nobody"
            found.append(Verified(row.port, owner, rows))
        return tuple(found)

    def _owner_of(self) -> Callable[[Listener], str]:
        """Tells whose a listener is, seen from this checkout: mine, other-worktree, other-project or stranger."""
        from portward.ownership import whose
        from portward.workspace import Roots, checkout

        roots = Roots()

        def checkout_of(folder: str) -> Checkout | None:
            root = roots.of(os.path.realpath(folder))
            return checkout(root) if root else None

        mine = checkout(self.root or self._folder)
        project, _ = self._readable_project()
        return lambda row: whose(row, project, mine, checkout_of)

    def kill(
        self,
        ports: Sequence[str],
        *,
        force: bool = False,
        mine: bool = False,
        dry_run: bool = False,
        reason: str = "",
        timeout: float | None = None,
        confirm: Callable[[StopPlan], bool] | None = None,
    ) -> Killed:
        """Stops what holds the ports, each holder in its own way, and tells who has them afterwards: docs/kill.md.

        `confirm` is shown the plan and may say no; without it, the plan is done at once. `mine` leaves alone what is not of this project; `force`
        takes other users' processes too, and SIGKILL where the signal before did nothing for `timeout` seconds (by default, what is usual for the
        holder). `reason` goes into the log. A client of a port is never stopped. Raises InvalidPort, UsageError for a host without an address, and
        NoProject for `mine` outside any project.
        """
        from portward.answers import Killed
        from portward.stopping import Stopping
        from portward.stops import Terms

        arguments = [parse_port(port) for port in ports]
        if timeout is not None and not 0 < timeout < float("inf"):
            raise UsageError(f"cannot wait {timeout:g} seconds")
        owner_of = None
        if mine:
            self._project_files()
            owner_of = self._owner_of()
        stopping = Stopping(self.live, self.environment, Terms(force, mine, timeout), owner_of, self._clock)
        planned = stopping.plan(arguments)
        if dry_run or not planned.stops or (confirm is not None and not confirm(planned)):
            return Killed(planned, refused=planned.refused, ports=stopping.after(planned), acted=False)
        return stopping.act(planned, reason)

    def pin(self, wish: str, reason: str, *, write: bool = True) -> Changes:
        """Writes a pin into `portward.toml`: the service keeps this port. Raises UsageError for one that is pinned already."""
        from portward.answers import Changes
        from portward.arguments import parse_wish
        from portward.change import Draft, Texts
        from portward.formats.settings import beginning, pinned
        from portward.workspace import SETTINGS

        parsed = parse_wish(wish)
        if not reason.strip():
            raise UsageError("a pin needs a reason", hint="--reason tells those who read it later")
        for pin in self.settings().pins:
            if (pin.service, pin.port) == (parsed.service, parsed.port):
                return Changes((), "", remarks=(f"{pin.service} is pinned to {pin.port} already: {pin.reason}",))
            if pin.service == parsed.service or pin.port == parsed.port:
                raise UsageError(
                    f"{pin.service} is pinned to {pin.port} already: {pin.reason}", hint=f"change {SETTINGS}"
                )
        files = self._project_files()
        texts = Texts(files)
        before = texts(SETTINGS) if SETTINGS in files.top()[0] else beginning()
        draft = Draft(texts, {SETTINGS: before + pinned(parsed.service, parsed.port, reason)})
        return draft.change(self._journal(), "pin", write)

    @staticmethod
    def owners_state() -> OwnersPin:
        """Whether a group may see the owners of all sockets."""
        from portward import privileges

        return privileges.owners_state()

    def owners_plan(self, group: str | None = None) -> OwnersPin:
        """What `pin_owners` would let a group see. See `privileges.owners_plan`."""
        from portward import privileges

        return privileges.owners_plan(group, self.environment)

    @staticmethod
    def pin_owners(plan: OwnersPin) -> OwnersPin:
        """Lets a group see the owners of all sockets until the machine is started anew. Needs root; raises Unavailable."""
        from portward import privileges

        return privileges.pin_owners(plan)

    @staticmethod
    def unpin_owners() -> OwnersPin:
        """Takes that back. Needs root; raises Unavailable."""
        from portward import privileges

        return privileges.unpin_owners()

    def doctor_store(self, *, write: bool = False) -> Checkup:
        """Whether the lease store is whole, sensible and within reach. Only with `write` is anything put right.

        No lease is lost that can still be read: a damaged file stays beside the new one. Raises Unavailable where a repair is refused.
        """
        from portward import upkeep

        return upkeep.checkup(self._leasing().store, self._clock(), write=write)

    def doctor(self, target: str, *, origin: str | None = None) -> Examined:
        """Why a target cannot be reached: `host:port`, a port, a URL, or the name of a service or a container.

        `origin` is a container or a network namespace to ask from. One connection is made to each address of the target, and nothing
        is changed. Raises UsageError for what is no target or no place, Unavailable for a place that cannot be entered.
        """
        from portward.examining import Examining

        project, unread = self._readable_project()
        found = Examining(self.live, project, self.environment, self.verify).examine(target, origin)
        return found.replace(skipped=tuple(dict.fromkeys((*found.skipped, *unread))))

    def _leasing(self) -> Leasing:
        from portward.leasing import Leasing
        from portward.workspace import checkout

        def settings(*about: str) -> Settings:
            return self._readable_settings(*about)[0]

        place = checkout(self.root or self._folder)

        return Leasing(place, settings, self.live, self.environment, self._clock, self._source, self._store_at)

    def _store_at(self, address: str) -> LeaseStore:
        from portward.leases import open_store

        if address not in self._stores:
            self._stores[address] = open_store(address)
        return self._stores[address]

    def _source(self, more: Mapping[str, str] | None = None) -> Project | None:
        """The project of its own files alone, where it can be read; with some more variables."""
        return self._readable_project(environment={**self._plain(), **(more or {})})[0]

    def _generated(self) -> Generated:
        from portward.generated import Generated
        from portward.journal import changes_folder

        folder = os.path.join(os.path.dirname(changes_folder(self.environment)), "compose")
        return Generated(folder, self.root or self._folder)

    def _plain(self) -> Mapping[str, str]:
        """The environment without what an earlier `env` told: the project's own files are meant."""
        return self._generated().without(self.environment) if "COMPOSE_FILE" in self.environment else self.environment

    def _composer(self, leasing: Leasing) -> Composer:
        from portward.composing import Composer

        return Composer(leasing.checkout, self._source, self._generated(), self._plain())

    def _session(self, options: ComposeOptions | None) -> Session:
        from portward.change import Session, Texts
        from portward.formats import format_of

        files = self._project_files(options)
        journal = self._journal()
        remarks = journal.recover()
        settings = self.settings()
        texts = Texts(files)
        paths, unseen = files.find(lambda path: format_of(path) is not None)

        def declared(read: Callable[[str], str]) -> Project:
            return self._declared(paths, unseen, read, options, settings, self._plain())

        return Session(declared(texts), paths, texts, declared, journal, settings, remarks)

    def _journal(self, root: str | None = None) -> Journal:
        from portward.journal import Journal, changes_folder

        root = root or self.root
        assert root is not None
        return Journal(root, changes_folder(self.environment), clock=self._clock)


def _declared(port: int, project: Project) -> tuple[Location, ...]:
    """Where the project's files say that it wants this port of the host."""
    specs = [service.claim(spec) for service in project.services for spec in service.ports]
    return tuple(
        spec.location
        for spec in (*specs, *project.references)
        if spec.side is Side.HOST and spec.range and port in spec.range
    )


def _in_the_way(link: Link, findings: Sequence[Finding]) -> str:
    """Why a published port must move, in a few words."""
    from portward.wording import brief

    entry = link.entry
    assert entry is not None
    for finding in findings:
        if entry.place in finding.locations and finding.holders:
            return f"{entry.number} is held by {brief(finding.holders[0])}"
    return f"{entry.number} is published twice"


def _named(reading: Reading, project: Project | None) -> Reading:
    """The reading with the services of this very project named as its files name them."""
    if project is None or not project.services:
        return reading
    from portward import survey

    return survey.named(reading, project)


def _answers(row: Listener, asked: PortArgument, hosts: Sequence[str], udp: bool) -> bool:
    """Whether a row is on a port that was asked for; with `udp`, a port without a transport is both."""
    if row.port not in asked.ports or not (
        row.transport is asked.transport or (udp and row.transport is Transport.UDP)
    ):
        return False
    return any(row.endpoint.overlaps(Endpoint(host, row.port, row.transport)) for host in hosts)


def _mentions(row: Listener, words: Sequence[str], udp: bool) -> bool:
    if row.transport is Transport.UDP and not udp:
        return False
    container = row.container
    texts = [row.project, row.service, *(process.name for process in row.processes)]
    texts += [" ".join(process.command) for process in row.processes]
    texts += [container.name, container.image] if container else []
    return any(word in text.lower() for word in words for text in texts if text)
