"""The declared truth of one project as the verbs need it: its files, its settings, and what a change of them begins with."""

from __future__ import annotations

import errno
import os

from portward.errors import NoProject, Unavailable, UsageError
from portward.model import Skipped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portward.generated import Generated
    from portward.journal import Journal
    from portward.model import ComposeOptions, Project, Service, Settings
    from portward.truths.change import Session
    from portward.workspace import Files


class Declared:
    """Reads the project whose root is `root`, None outside any project, as asked from `folder`, in it or below it.

    `folder` is "" where it has been removed, None where nobody asked from any. `files` reads the project's files, the real ones unless given. `environment` stands for the process's own, `clock` gives seconds
    since the epoch, `narrate` is told of each step.
    """

    def __init__(
        self,
        root: str | None,
        folder: str | None,
        files: Files | None,
        environment: Mapping[str, str],
        clock: Callable[[], float],
        narrate: Callable[[str], None],
    ) -> None:
        self.root = root
        self.folder = folder or ""
        self._asked = folder is not None
        self._files = files
        self._environment = environment
        self._clock = clock
        self._narrate = narrate

    @property
    def place(self) -> str:
        """The root, or outside any project the folder that was asked from; "" where that is gone."""
        return self.root or self.folder

    def project(
        self,
        options: ComposeOptions | None = None,
        *,
        shallow: bool = False,
        settings: Settings | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Project:
        """What the project's files declare; with `shallow` only Compose's files and the `.env` beside them.

        `settings` are read if they are not given; `environment` is the process's unless another is given. Raises NoProject outside any
        project, InvalidFile where Compose would refuse a file, UsageError for a missing one.
        """
        from portward.formats import format_of

        files = self.files(options)
        if shallow:
            names, unseen = files.top()
            paths = [path for path in names if format_of(path) in ("compose", "dotenv")]
        else:
            paths, unseen = files.find(lambda path: format_of(path) is not None)
        self._narrate(f"reading {', '.join(paths) or 'no file'}")
        chosen = self.settings() if settings is None else settings
        return self._parsed(paths, unseen, files.read, options, chosen, environment, files.aside)

    def readable(
        self, *, shallow: bool = False, environment: Mapping[str, str] | None = None
    ) -> tuple[Project | None, tuple[Skipped, ...]]:
        """The project where there is one; if its files cannot be read, why. `shallow` reads just its top folder."""
        if self.root is None:
            return None, self._unseen()
        try:
            project = self.project(shallow=shallow, environment=environment)
        except UsageError as error:
            return None, (Skipped(str(error).partition(": ")[0], error.message),)
        return project, project.skipped

    def settings(self, key: str = "", value: str = "") -> Settings:
        """What `portward.toml` says, over what the user's own configuration does. Each is read where it is there.

        With `key`, only files that may have it, and a text that ends with `value`: nothing else is to be relied on. Raises InvalidFile,
        with the place and a hint, for what is not a setting.
        """
        from portward.truths import configuration
        from portward.workspace import Files

        files = self._files or (Files(self.root) if self.root else None)
        return configuration.read(files, self._environment, key, value)

    def readable_settings(self, key: str = "", value: str = "") -> tuple[Settings, tuple[Skipped, ...]]:
        """The settings; if they cannot be read, those by default, and why."""
        try:
            return self.settings(key, value), ()
        except UsageError as error:
            from portward.model import Settings

            return Settings(), (Skipped(str(error).partition(": ")[0], error.message),)

    def files(self, options: ComposeOptions | None = None) -> Files:
        """The project's files. Raises NoProject outside any project, Unavailable where the folder cannot be looked into."""
        from portward.workspace import Files

        if self.root is None and self.folder and self._names_files(options):
            self.root = self.folder  # as for Docker Compose, files that are named make a project of any folder
        if self.root is None:
            for unseen in self._unseen():
                raise Unavailable(f"cannot look into {unseen.what}: {unseen.reason}")
            raise NoProject(
                "no project here (no compose file, portward.toml or .git from here up)",
                hint="`portward ls` shows what listens on this machine; -C DIR chooses a project",
            )
        return self._files or Files(self.root)

    def _names_files(self, options: ComposeOptions | None) -> bool:
        """Whether the options, the environment or the `.env` of this folder name Compose files."""
        if options is not None and options.files:
            return True
        if self._unseen():
            return False
        from portward.formats.compose import discovery, encodings
        from portward.model import ComposeOptions
        from portward.workspace import Files

        read = encodings.tolerant(Files(self.folder).read)
        return bool(discovery.start(read, self.plain(), options or ComposeOptions()).files)

    def own_files(self) -> Files:
        """The files of the root, or, outside any project, of the folder that was asked from."""
        from portward.workspace import Files

        return self._files or Files(self.place)

    def change(self, options: ComposeOptions | None = None) -> Session:
        """The beginning of a change of the project's files, after what an interrupted one left was put right."""
        from portward.formats import format_of
        from portward.truths.change import Session, Texts

        files = self.files(options)
        journal = self.journal()
        remarks = journal.recover()
        settings = self.settings()
        texts = Texts(files)
        paths, unseen = files.find(lambda path: format_of(path) is not None)

        def parsed(read: Callable[[str], str]) -> Project:
            return self._parsed(paths, unseen, read, options, settings, self.plain(), files.aside)

        return Session(parsed(texts), paths, texts, parsed, journal, settings, remarks)

    def activate(self, profiles: Sequence[str]) -> None:
        """From now on just these profiles are active, as for a command of Compose with `--profile`."""
        self._environment = {**self._environment, "COMPOSE_PROFILES": ",".join(profiles)}

    def journal(self) -> Journal:
        """The journal of this project's changes, or, outside any project, of those of the folder."""
        from portward.journal import Journal, changes_folder

        return Journal(self.place, changes_folder(self._environment), clock=self._clock)

    def generated(self) -> Generated:
        """The Compose files that Portward itself makes for this project."""
        from portward.generated import Generated
        from portward.journal import changes_folder

        folder = os.path.join(os.path.dirname(changes_folder(self._environment)), "compose")
        return Generated(folder, self.place)

    def plain(self) -> Mapping[str, str]:
        """The environment without what an earlier `env` told: the project's own files are meant."""
        if "COMPOSE_FILE" not in self._environment:
            return self._environment
        return self.generated().without(self._environment)

    def source(self, more: Mapping[str, str] | None = None) -> Project | None:
        """The project of its own files alone, where it can be read; with some more variables."""
        return self.readable(environment={**self.plain(), **(more or {})})[0]

    def _unseen(self) -> tuple[Skipped, ...]:
        """Why no project can be told from here, where that is so."""
        if self.root is not None or not self._asked or os.access(self.folder, os.R_OK | os.X_OK):
            return ()
        code = errno.EACCES if self.folder else errno.ENOENT
        return (Skipped(self.folder or "this folder", os.strerror(code)),)

    def _parsed(
        self,
        paths: Sequence[str],
        unseen: Sequence[Skipped],
        read: Callable[[str], str],
        options: ComposeOptions | None,
        settings: Settings,
        environment: Mapping[str, str] | None = None,
        aside: Sequence[str] = (),
    ) -> Project:
        from portward import catalog
        from portward.formats import compose_name
        from portward.generated import from_root

        assert self.root is not None
        name = os.path.basename(self.root) or "root"
        given = from_root(self._environment if environment is None else environment, self.root)
        if not paths and options is None and not any(variable.startswith("COMPOSE_") for variable in given):
            from portward.model import Project

            return Project(compose_name(name) or name, self.root, (), skipped=tuple(unseen), aside=tuple(aside))
        from portward.formats.project import declare

        project = declare(self.root, name, paths, read, given, self._from_root(options))

        def of_kind(service: Service) -> Service:
            kind = settings.kinds.get(service.name) or catalog.kind_of(service.image, service.name)
            return service.replace(kind=kind)

        return project.replace(
            services=tuple(map(of_kind, project.services)),
            inactive=tuple(map(of_kind, project.inactive)),
            skipped=(*project.skipped, *unseen),
            aside=() if project.files else tuple(aside),
        )

    def _from_root(self, options: ComposeOptions | None) -> ComposeOptions:
        """The options with their paths told from the root: people tell them from the folder that they are in."""
        from portward.model import ComposeOptions

        if options is None or self.root is None or self.folder in ("", self.root):
            return options or ComposeOptions()

        def told(path: str) -> str:
            return path if os.path.isabs(path) else os.path.relpath(os.path.join(self.folder, path), self.root)

        return options.replace(files=tuple(map(told, options.files)), env_files=tuple(map(told, options.env_files)))
