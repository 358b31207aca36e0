"""The files of `env_file:` and `label_file:` of active services: they must be there, and be read without an error.

Source: compose-go v2.9, `types/project.go` (WithServicesEnvironmentResolved, WithServicesLabelsResolved); the format "raw" is that of
`docker run --env-file`.
"""

from __future__ import annotations

from portward.errors import InvalidFile
from portward.formats import dotenv
from portward.formats.yaml_tree import Mapping, Scalar, Sequence, problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping as Values

    from portward.formats.compose.files import Loader


def check_files(loader: Loader, active: dict[str, Mapping], values: Values[str, str]) -> None:
    """Raises InvalidFile at the place that names a file which is not there, or in the file where it cannot be read."""
    checks = _Checks(loader, values)
    for service in active.values():
        entries = service.items.get("env_file")
        for entry in entries.items if isinstance(entries, Sequence) else ():
            if isinstance(entry, Mapping):
                checks.env_file(entry, service)
        labels = service.items.get("label_file")
        for path in labels.items if isinstance(labels, Sequence) else ():
            if isinstance(path, Scalar):
                checks.variables(path, {}, is_required=True)


class _Checks:
    def __init__(self, loader: Loader, values: Values[str, str]) -> None:
        self.loader = loader
        self.values = values
        self.texts: dict[str, str | None] = {}
        self.done: set[str] = set()

    def env_file(self, entry: Mapping, service: Mapping) -> None:
        path, kind, required = (entry.items.get(key) for key in ("path", "format", "required"))
        assert isinstance(path, Scalar)  # so says the schema
        is_required = not isinstance(required, Scalar) or required.text.lower() in ("true", "y", "yes", "on")
        if not isinstance(kind, Scalar) or not kind.text:
            self.variables(path, _defined(service), is_required)
        elif kind.text != "raw":
            raise problem(f"{kind.text!r} is not a format of variables", kind, hint="leave it out, or write raw")
        elif (text := self._text(path, is_required)) is not None:
            _check_raw(text, path.text)

    def variables(self, path: Scalar, defined: dict[str, str], is_required: bool) -> None:
        text = self._text(path, is_required)
        if text is not None and path.text not in self.done:
            dotenv.parse(text, path.text, self.values, defined)
            if "$" not in text:  # else it may depend on what the service defines
                self.done.add(path.text)

    def _text(self, path: Scalar, is_required: bool) -> str | None:
        """The text of a file, None where it is neither there nor required."""
        if path.text not in self.texts:
            try:
                self.texts[path.text] = self.loader.read(path.text)
            except (FileNotFoundError, NotADirectoryError):
                self.texts[path.text] = None
            except OSError as failure:
                raise problem(f"cannot read {path.text}: {failure.strerror or failure}", path) from None
            except UnicodeDecodeError:
                raise problem(f"{path.text} is not a text in UTF-8", path) from None
        if self.texts[path.text] is None and is_required:
            raise problem(
                f"there is no file {path.text}", path, hint="create it, or write `required: false` beside its path"
            )
        return self.texts[path.text]


def _defined(service: Mapping) -> dict[str, str]:
    """The variables that a service defines itself."""
    node = service.items.get("environment")
    if isinstance(node, Mapping):
        return {name: item.text for name, item in node.items.items() if isinstance(item, Scalar) and not item.is_null}
    pairs = (
        [item.text.partition("=") for item in node.items if isinstance(item, Scalar)]
        if isinstance(node, Sequence)
        else []
    )
    return {name: value for name, equals, value in pairs if equals}


def _check_raw(text: str, path: str) -> None:
    """Lines of NAME=VALUE with neither quotes nor expansion."""
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        name = line.lstrip().partition("=")[0]
        if not line.strip() or name.startswith("#"):
            continue
        if not name or name.split(" ")[0] != name or "\t" in name:
            reason = "a name is missing" if not name else f"a name cannot have blanks: {name!r}"
            raise InvalidFile(reason, path=path, line=number, column=1)
