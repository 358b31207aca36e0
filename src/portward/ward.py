"""`Portward`: one method for each verb. Reads the truths into a `Snapshot`, and lets the pure rooms judge it.

Everything that touches the machine is an argument of the constructor, so that every judgement can be tested without one;
`Portward.open` builds the real ones. A verb imports only what it needs: start-up is part of every answer.
"""

from __future__ import annotations

import os
import time

from portward.arguments import is_port_or_range, parse_port, parse_range, parse_target
from portward.errors import Unavailable, UsageError
from portward.model import Transport
from portward.truths.declared import Declared
from portward.truths.live import Live, holds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from portward.answers import (
        AgentEvent,
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
        WhoAnswer,
    )
    from portward.catalog import CatalogEntry
    from portward.conventions import Terms
    from portward.evidence import Examined
    from portward.leases import LeaseStore
    from portward.model import ComposeOptions, Identity, Lease, Listener, PortRange, Project, Reading, Settings
    from portward.sockets import SocketReader
    from portward.stops import StopPlan
    from portward.truths.hosts import Hosts, Published
    from portward.truths.leased import Leased
    from portward.verbs.composing import Composer
    from portward.verbs.fleet import Fleet
    from portward.verbs.leasing import Granted, Leasing
    from portward.verbs.watching import Lookout
    from portward.workspace import Checkout, Files


class Portward:
    """The verbs of Portward, for the project in one folder of one machine.

    `root` is the project's folder, None outside any project; `folder` is where it is asked from. `sockets` reads the live truth, `files` the project's files,
    `clock` gives seconds since the epoch, `environment` stands for the process's own, `narrate` is told of each step.
    """

    def __init__(
        self,
        root: str | None = None,
        *,
        folder: str | None = None,
        sockets: SocketReader | None = None,
        files: Files | None = None,
        clock: Callable[[], float] = time.time,
        environment: Mapping[str, str] | None = None,
        narrate: Callable[[str], None] | None = None,
    ) -> None:
        self.environment = os.environ if environment is None else environment
        self._clock = clock
        self._narrate = narrate or (lambda _step: None)
        self.live = Live(sockets, self.environment, self._narrate)
        self.declared = Declared(root, folder, files, self.environment, clock, self._narrate)
        self._stores: dict[str, LeaseStore] = {}

    @property
    def root(self) -> str | None:
        """The project's folder, None outside any project."""
        return self.declared.root

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
        ward = cls(root, folder=folder, narrate=narrate)
        ward._narrate(f"the project is {root}" if root else f"no project from {folder} upward")
        return ward

    def ls(
        self, queries: Sequence[str] = (), *, udp: bool = False, all_netns: bool = False, identify: bool = False
    ) -> Reading:
        """Who listens on TCP (with `udp` also on UDP), as far as a query matches: `[HOST:]PORT[/udp]`, a range, or text in a
        name. A query that says /udp looks at UDP whatever `udp` is. With `identify`, each TCP listener is asked what it is.

        Raises InvalidPort for a query of digits that is no port, UsageError for a host that has no address.
        """
        from portward.verbs import looking

        return looking.ls(self.live, self.declared, queries, udp=udp, all_netns=all_netns, identify=identify)

    def fleet(self, hosts: Sequence[str] = (), *, inventories: Sequence[str] = ()) -> Fleet:
        """The verbs `ls`, `who`, `check` and `leases` over many hosts, as methods of what is returned.

        `hosts` (`[USER@]HOST`) and the hosts of `inventories` (`FILE[:GROUP]`, Ansible's) are asked over SSH; without any, the hosts are those
        whose agents publish to the fleet's store. Raises UsageError for what is no host, or where the store is this machine's alone.
        """
        from portward.truths.hosts import Asked
        from portward.verbs.fleet import Fleet, targets

        source: Hosts
        if hosts or inventories:
            from portward import remote

            named, skipped = targets(hosts, inventories)
            source = Asked(
                lambda words: remote.ask(named, words, self.environment, self._narrate), skipped, self._clock
            )
        else:
            source = self._published()
        return Fleet(source, self.live, self.declared, self._leased().promises, self._clock)

    @property
    def host_in_fleet(self) -> str | None:
        """This machine's id in a lease store that many machines share, which `fleet()` shows; None in one of its own. Nothing is asked of it."""
        leasing = self._leasing()
        return leasing.site.host if leasing.store.is_shared else None

    def _published(self) -> Published:
        """What the hosts' agents publish. Raises UsageError where the store is this machine's alone."""
        from portward.leases import here
        from portward.truths.hosts import Published

        store = self._leasing().store
        if not store.is_shared:
            raise UsageError(
                f"the lease store {store.address} is this machine's alone: no other host publishes to it",
                hint="PORTWARD_STORE=etcd://… for a fleet, or --host USER@HOST to ask over SSH",
            )
        from portward.leases.etcd import EtcdStore
        from portward.leases.etcd_host import reports

        assert isinstance(store, EtcdStore)
        site = here.site_in(store, self.environment)
        return Published(
            site, here.name(), lambda: reports(store), store.leases, lambda udp: self.ls(udp=udp), self._clock
        )

    def lookout(
        self, queries: Sequence[str] = (), *, udp: bool = False, all_netns: bool = False
    ) -> AbstractContextManager[Lookout]:
        """For programs that look again and again: what `ls` shows, and when another look is worth it; recorded for `who` with `history`.

        The system's own reader of sockets is asked, whatever this one's is: it remembers owners, and nothing may be stopped by it.
        Raises as `ls` does.
        """
        from portward.sockets import open_reader
        from portward.verbs import history, looking

        reader = open_reader(narrate=self._narrate)
        live = Live(reader, self.environment, self._narrate)
        recording = history.recording(self.environment, self._narrate)
        options = {"udp": udp, "all_netns": all_netns}
        return looking.lookout(live, reader, self.declared, queries, self._clock, recording, **options)

    def watch(
        self, queries: Sequence[str] = (), *, udp: bool = False, all_netns: bool = False
    ) -> Iterator[tuple[Reading, tuple[Event, ...]]]:
        """What `ls` shows, then each start and stop of a listener as it is seen, without end, by a `lookout`.

        Each time the reading, and what changed since the last. Raises as `ls` does.
        """
        from portward.verbs import watching

        with self.lookout(queries, udp=udp, all_netns=all_netns) as lookout:
            yield from watching.watch(lookout)

    def agent(self, is_over: Callable[[], bool], *, ttl: float = 60.0) -> Iterator[AgentEvent]:
        """Keeps this host alive in a store of many machines and publishes who listens here, until `is_over`; what happens, as it does.

        `ttl` is how long the host counts as alive without a word, in seconds. Raises UsageError for a store of one machine, Unavailable
        where another machine is alive under this host's id. An unreachable store is told, and waited for.
        """
        from portward.sockets import open_reader
        from portward.verbs import host_agent, looking

        reader = open_reader(narrate=self._narrate)
        live = Live(reader, self.environment, self._narrate)

        def look() -> Reading:
            return looking.ls(live, self.declared, (), udp=True, all_netns=False, identify=False)

        agent = host_agent.open_agent(self._leasing().store, self.environment, reader, look, self._clock, ttl)
        return agent.run(is_over)

    def identify(self, *targets: str, seconds: float | None = None) -> tuple[Identity, ...]:
        """Which service answers at each target, and its version; all are asked at once, each for `seconds` at most (1.5 by default).

        A target is `[HOST:]PORT`, a URL, or a service of the project. Nothing is asked that changes anything, and nothing at all where a
        debugger listens. Raises UsageError for what is no target.
        """
        from portward.probes import SECONDS
        from portward.verbs.identifying import Identifying

        parsed = [parse_target(target) for target in targets]
        if seconds is not None and seconds <= 0:
            raise UsageError(f"{seconds:g} seconds is no time")
        identifying = Identifying(self.live, lambda: self.declared.readable()[0])
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
        from portward.verbs.waiting import wait

        parsed = [parse_target(target) for target in targets]
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"{seconds:g} seconds is no time")
        project: list[Project | None] = []

        def read() -> Project | None:
            if not project:
                project.append(self.declared.readable()[0])
            return project[0]

        return wait(parsed, seconds, self.live, read, service=service, status=status, tell=tell)

    def who(self, ports: Sequence[str], *, all_netns: bool = False, history: bool = False) -> WhoAnswer:
        """Everything about what holds the ports: processes and their ancestry, container, unit, project, who declares it.

        With `history`, also who held them before, as far as Portward looked. Raises InvalidPort for what is not a port.
        """
        from portward.verbs import looking

        answer = looking.who(self.live, self.declared, self._leased(), ports, all_netns=all_netns)
        if not history:
            return answer
        from portward.verbs.history import told

        return told(answer, self.environment, self._leasing().past())

    def check_ports(self, ports: Sequence[str], *, all_netns: bool = False) -> Check:
        """Whether each port is free to bind now, and who is in the way of those that are not.

        Raises InvalidPort for what is not a port, UsageError for a host that has no address.
        """
        from portward.verbs import preflight

        return preflight.check(self.live, self.declared, self._leased(), self._clock(), ports, all_netns)

    def check(self, options: ComposeOptions | None = None, *, all_netns: bool = False) -> Check:
        """Whether all that the project declares is free, or running as this very stack, and consistent.

        Raises NoProject outside any project, InvalidFile where Compose would refuse the project's files.
        """
        from portward import rules
        from portward.answers import Check
        from portward.verbs import survey

        settings = self.settings()
        project = self.declared.project(options, settings=settings)
        promises, now = self._leased().promises(), self._clock()
        snapshot = survey.snapshot_of(self.live, project, settings, promises, now, all_netns=all_netns)
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

    def settings(self) -> Settings:
        """What `portward.toml` says, over what the user's own configuration does. Raises InvalidFile, with the place and a hint."""
        return self.declared.settings()

    def ranges(self) -> dict[str, PortRange]:
        """The ports that Portward picks from for each kind of service: the settings', else its own."""
        from portward import catalog

        return {**catalog.DEFAULT_RANGES, **self.settings().ranges}

    def services(self, options: ComposeOptions | None = None) -> Services:
        """What the project declares, and the state of each port now.

        Raises NoProject outside any project, InvalidFile where Compose would refuse the project's files.
        """
        from portward.answers import Services
        from portward.verbs import survey

        settings = self.settings()
        project = self.declared.project(options, settings=settings)
        snapshot = survey.snapshot_of(self.live, project, settings, self._leased().promises(), self._clock())
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
        from portward.verbs import finding

        return finding.find(
            self.live,
            self.declared,
            self._leased(),
            self._clock(),
            preferred,
            count=count,
            contiguous=contiguous,
            ports=ports,
            transport=transport,
        )

    def catalog(self, query: str = "") -> tuple[CatalogEntry, ...]:
        """What a port is customarily used for, or which port a service uses; everything for an empty query."""
        from portward import catalog

        if is_port_or_range(query):
            parse_range(query)
        return catalog.search(query)

    def project(self, options: ComposeOptions | None = None) -> Project:
        """What the project's files declare.

        Raises NoProject outside any project, InvalidFile where Compose would refuse a file, UsageError for a missing one.
        """
        return self.declared.project(options)

    def set_ports(
        self,
        wishes: Sequence[str],
        *,
        container: bool = False,
        write: bool = False,
        options: ComposeOptions | None = None,
        shown: Changes | None = None,
    ) -> Changes:
        """Gives services other host ports (`SERVICE[:TARGET]=PORT`, or `PORT=PORT`) wherever they are written; with `container` targets too.

        Only with `write` are files changed, all of them or none, and only if that is still what was `shown` before. Raises NoPlan where
        it cannot be done by editing files or would change more than is meant; UsageError for a wish that names no port of the project;
        FileChanged and Unavailable where the files cannot be written.
        """
        from portward.verbs import changing

        return changing.set_ports(self.declared, wishes, container=container, write=write, options=options, shown=shown)

    def resolve(
        self, *, write: bool = False, options: ComposeOptions | None = None, shown: Changes | None = None
    ) -> Changes:
        """Moves the fewest published ports that clear every conflict, each to a free port of its service's range.

        What is pinned stays. No changes where nothing is in the way. Raises as `set_ports` does.
        """
        from portward.verbs import changing

        leased, now = self._leased(), self._clock()
        return changing.resolve(self.live, self.declared, leased, now, write=write, options=options, shown=shown)

    def undo(self, *, dry_run: bool = False, shown: Changes | None = None) -> Changes:
        """Takes back the last write of the project's files that was not yet taken back. No changes where there is none.

        What was interrupted is finished or taken back first; with `dry_run` the remarks say which. Raises FileChanged where a
        file was changed since, or the last write is not the one that was `shown`, and Unavailable where the files cannot be written.
        """
        from portward.verbs import changing

        return changing.undo(self.declared, dry_run=dry_run, shown=shown)

    def docs(
        self, *, write: bool = False, options: ComposeOptions | None = None, shown: Changes | None = None
    ) -> Changes:
        """The project's port table between its markers in a document: the first Markdown file that has them, else the README.

        No changes where the table is there and true. Only with `write` is the document changed. Raises as `set_ports` does.
        """
        return self.declared.change(options).document(write=write, shown=shown)

    def init(self, *, write: bool = False) -> Changes:
        """A `portward.toml` to begin with, in the project's root, or in this folder outside of any project.

        No changes where there is one already. Only with `write` is it written. Raises Unavailable where it cannot be.
        """
        from portward.verbs import changing

        return changing.init(self.declared, write=write)

    def agents(self, *, write: bool = False) -> Changes:
        """What coding agents are told: a block between marks in AGENTS.md, and a skill. Only with `write` is it written.

        No changes where both are there and current. Raises as `set_ports` does.
        """
        from portward.verbs import agents

        return agents.plan(self.declared, write=write)

    def lease(self, names: Sequence[str] = (), terms: Terms | None = None) -> Granted:
        """Promises a port to each named service (`SERVICE[:TARGET]`), by default to all that the project declares.

        Asking again gives the same ports. Not promised: that no program outside of Portward binds one. Raises NoFreePort where
        the offers end, UsageError for terms that make no sense.
        """
        from portward.conventions import Terms

        granted = self._leasing().lease(names, terms or Terms())
        if not names and not granted.leases:
            self.declared.files()
            raise UsageError("the project declares no port to lease", hint="name a service: `portward lease web`")
        return granted

    def release(self, names: Sequence[str] = (), *, leases: Sequence[Lease] | None = None) -> Granted:
        """Gives back the named services' leases, or all of this checkout's, or just these `leases` if they still stand.

        What belongs to one process alone is given back only as one of `leases`. Raises Unavailable where the store cannot be written.
        """
        leasing = self._leasing()
        return leasing.release(names) if leases is None else leasing.give_back(leases)

    def leases(self, *, everyone: bool = False, own: bool = False) -> Granted:
        """This project's leases, or everyone's, or with `own` just this working tree's; those of holders that are provably gone
        are taken back first, and told.
        """
        leasing = self._leasing()
        found = leasing.leases(everyone)
        if not own:
            return found
        return found.replace(
            leases=tuple(
                each
                for each in found.leases
                if (each.host, each.holder.worktree) == (leasing.site.host, leasing.checkout.worktree)
            )
        )

    def env(self, *, offline: bool = False) -> tuple[dict[str, str], tuple[str, ...]]:
        """The project's leased ports as environment variables, and remarks. Leases what is not leased yet, with `offline` even while a
        store of many machines is away: unconfirmed.

        Raises NoProject outside of any project.
        """
        from portward.conventions import Terms

        self.declared.project(shallow=True, environment=self.declared.plain())
        leasing = self._leasing()
        granted = leasing.lease(leasing.stack(), Terms(offline=offline))
        told = self._composer(leasing).told(granted.first())
        return dict(told.values), (*granted.remarks, *told.remarks)

    def env_into(self, path: str, *, write: bool = False, offline: bool = False) -> Changes:
        """The same variables at the end of a file of the project, between marks. Only with `write` is it written.

        Raises UsageError for a file that git tracks, or that is not this working tree's alone, and as `env` and `set_ports` do.
        """
        from portward.truths.change import Draft, Texts
        from portward.verbs import filling

        files = self.declared.files()
        filling.require_own(files.root, path)
        values, remarks = self.env(offline=offline)
        texts = Texts(files)
        before = texts(path) if os.path.exists(os.path.join(files.root, path)) else ""
        draft = Draft(texts, {path: filling.filled(before, values, path)})
        return draft.change(self.declared.journal(), "env", write, (*remarks, *filling.remarks(files.root, path)))

    def git_hook(self, *, remove: bool = False, write: bool = False) -> Changes:
        """The git hook that runs `env_into` in a new linked worktree; with `remove`, without it. Only with `write` is it changed.

        Raises Unavailable outside of a git repository, NoPlan for a hook that is no shell script.
        """
        from portward.verbs import githook

        return githook.plan(self.declared.place, remove=remove, write=write)

    def run(
        self,
        command: Sequence[str],
        service: str | None = None,
        *,
        socket: bool = False,
        retries: int = 0,
        tell: Callable[[str], None] | None = None,
        explain: bool = True,
        offline: bool = False,
    ) -> int:
        """Runs a command to its end with a service's leased port, and returns its exit status, 128 + N for a signal N.

        The port is held from the grant until the command binds it (Linux), or with `socket` handed over as a listening socket; what is
        not promised, docs/run.md tells. With `explain`, the end of its stderr is read: if it dies, `tell` gets what that says of ports.
        `offline` is as for `env`. Raises NotStarted, UsageError for a server that cannot take a socket, and as `lease` does.
        """
        from portward.conventions import Terms
        from portward.verbs.composing import profiles
        from portward.verbs.starting import Starting, script

        if named := profiles(command):
            self.declared.activate(named)
        leasing = self._leasing()
        composer = self._composer(leasing)
        explained = self.explain if explain else None
        starting = Starting(
            leasing,
            self.live,
            composer,
            self.declared.plain(),
            script,
            tell or self._narrate,
            explained,
            Terms(offline=offline),
        )
        return starting.run(command, service, socket=socket, retries=retries)

    def explain(self, text: str | Iterable[str]) -> Explanation:
        """What an error text (whole, or in pieces of any size) says is wrong with a port, and what this machine says of it now.

        The text may be a long and noisy log of several programs. Nothing is sent anywhere, and no host name is looked up.
        """
        from portward import symptoms
        from portward.answers import Explanation
        from portward.model import Reading, Snapshot
        from portward.verbs.explaining import explain

        said = symptoms.read(text)
        if not said.found:
            return Explanation((), said.others)
        self._narrate(f"{len(said.found)} troubles in the text")
        project, skipped = self.declared.readable()
        settings, unread = self.declared.readable_settings()
        promises = self._leased().promises()
        leases, worktree = promises.leases, promises.worktree
        snapshot = Snapshot(Reading(()), self._clock(), project, settings=settings, leases=leases, worktree=worktree)
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
        from portward.verbs.ownership import whose
        from portward.workspace import Roots, checkout

        roots = Roots()

        def checkout_of(folder: str) -> Checkout | None:
            root = roots.of(os.path.realpath(folder))
            return checkout(root) if root else None

        mine = checkout(self.declared.place)
        project, _ = self.declared.readable()
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
        shown: StopPlan | None = None,
    ) -> Killed:
        """Stops what holds the ports, each holder in its own way, and tells who has them afterwards: docs/kill.md.

        `confirm` is shown the plan and may say no; without it, the plan is done at once. With `shown`, a plan from before, all of that is
        stopped or, with Unavailable, nothing. `mine` leaves alone what is not of this project; `force`
        takes other users' processes too, and SIGKILL where the signal before did nothing for `timeout` seconds (by default, what is usual for the
        holder). `reason` goes into the log. A client of a port is never stopped. Raises InvalidPort, UsageError for a host without an address, and
        NoProject for `mine` outside any project.
        """
        from portward.answers import Killed
        from portward.stops import Terms
        from portward.verbs.stopping import Stopping

        arguments = [parse_port(port) for port in ports]
        if timeout is not None and not 0 < timeout < float("inf"):
            raise UsageError(f"cannot wait {timeout:g} seconds")
        owner_of = None
        if mine:
            self.declared.files()
            owner_of = self._owner_of()
        stopping = Stopping(self.live, self.environment, Terms(force, mine, timeout), owner_of, self._clock)
        planned = stopping.plan(arguments)
        if shown is not None and not planned.stops_as(shown):
            raise Unavailable("what holds the ports is no longer what was shown", hint="look again who holds them")
        if dry_run or not planned.stops or (confirm is not None and not confirm(planned)):
            return Killed(planned, refused=planned.refused, ports=stopping.after(planned), acted=False)
        return stopping.act(planned, reason)

    def pin(self, wish: str, reason: str, *, write: bool = True) -> Changes:
        """Writes a pin into `portward.toml`: the service keeps this port. Raises UsageError for one that is pinned already."""
        from portward.verbs import changing

        return changing.pin(self.declared, wish, reason, write=write)

    @staticmethod
    def owners_state() -> OwnersPin:
        """Whether a group may see the owners of all sockets."""
        from portward.verbs import privileges

        return privileges.owners_state()

    def owners_plan(self, group: str | None = None) -> OwnersPin:
        """What `pin_owners` would let a group see. See `privileges.owners_plan`."""
        from portward.verbs import privileges

        return privileges.owners_plan(group, self.environment)

    @staticmethod
    def pin_owners(plan: OwnersPin) -> OwnersPin:
        """Lets a group see the owners of all sockets until the machine is started anew. Needs root; raises Unavailable."""
        from portward.verbs import privileges

        return privileges.pin_owners(plan)

    @staticmethod
    def unpin_owners() -> OwnersPin:
        """Takes that back. Needs root; raises Unavailable."""
        from portward.verbs import privileges

        return privileges.unpin_owners()

    def doctor_store(self, *, write: bool = False) -> Checkup:
        """Whether the lease store is whole, sensible and within reach. Only with `write` is anything put right.

        No lease is lost that can still be read: a damaged file stays beside the new one. Raises Unavailable where a repair is refused.
        """
        from portward.verbs import upkeep

        return upkeep.checkup(self._leasing().store, self._clock(), write=write)

    def doctor(self, target: str, *, origin: str | None = None) -> Examined:
        """Why a target cannot be reached: `host:port`, a port, a URL, or the name of a service or a container.

        `origin` is a container or a network namespace to ask from. One connection is made to each address of the target, and nothing
        is changed. Raises UsageError for what is no target or no place, Unavailable for a place that cannot be entered.
        """
        from portward.verbs.examining import Examining

        project, unread = self.declared.readable()
        found = Examining(self.live, project, self.environment, self.verify).examine(target, origin)
        return found.replace(skipped=tuple(dict.fromkeys((*found.skipped, *unread))))

    def _leased(self) -> Leased:
        from portward.truths.leased import Leased

        return Leased(self.declared.place, self._settings, self.environment, self._clock, self._store_at)

    def _settings(self, *about: str) -> Settings:
        return self.declared.readable_settings(*about)[0]

    def _leasing(self) -> Leasing:
        from portward.verbs.leasing import Leasing
        from portward.workspace import checkout

        place = checkout(self.declared.place)
        return Leasing(
            place, self._settings, self.live, self.environment, self._clock, self.declared.source, self._store_at
        )

    def _store_at(self, address: str) -> LeaseStore:
        from portward.leases import open_store

        if address not in self._stores:
            self._stores[address] = open_store(address, self.environment)
        return self._stores[address]

    def _composer(self, leasing: Leasing) -> Composer:
        from portward.verbs.composing import Composer

        declared = self.declared
        return Composer(leasing.checkout, declared.source, declared.generated(), declared.plain())
