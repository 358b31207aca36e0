"""loopback-only-in-container: a service publishes ports, and is told to listen on its container's loopback alone.

Why: 127.0.0.1 in a container is the container's own. The engine takes the connection on the host, finds nobody behind it and drops it:
"connection reset by peer", "empty reply from server".

Before: `command: uvicorn app:app --host 127.0.0.1` and `"8000:8000"`
After:  `--host 0.0.0.0`; and `"127.0.0.1:8000:8000"` if the reason was to keep others out.

Only what the files say is judged: the option of a server's command, in Compose or a Dockerfile, or a variable such as HOST in
`environment:`. A program's own default is not known here, and a client that asks 127.0.0.1 is none of this rule's business.
"""

from __future__ import annotations

import re
from itertools import pairwise

from portward.model import Finding, Fix, Severity
from portward.rules.claims import published, transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.model import PortSpec, Service, Snapshot

RULE = "loopback-only-in-container"
SEVERITY = Severity.NOTE

_OPTIONS = (
    "--host", "--hostname", "--bind", "--bind-address", "--bind_ip", "--listen", "--listen-address", "--address", "--addr",
    "--ip", "--server.address", "--http.host", "--web.listen-address", "-b", "-H",
)  # fmt: skip
_VARIABLES = (
    "HOST", "BIND", "BIND_HOST", "BIND_ADDR", "BIND_ADDRESS", "LISTEN", "LISTEN_ADDR", "LISTEN_ADDRESS", "LISTEN_HOST",
    "FLASK_RUN_HOST", "UVICORN_HOST", "GRADIO_SERVER_NAME", "NITRO_HOST", "NUXT_HOST", "STREAMLIT_SERVER_ADDRESS",
)  # fmt: skip
_CLIENTS = (
    "curl", "wget", "nc", "psql", "pg_isready", "pg_dump", "mysql", "mysqladmin", "mysqldump", "mariadb", "redis-cli", "mongo",
    "mongosh", "wait-for-it", "wait-for-it.sh", "dockerize",
)  # fmt: skip
_COMMAND = re.compile(r"(?:CMD|ENTRYPOINT)\b", re.IGNORECASE)
_WORD = re.compile(r"(?:\[::1\]|[^\s\"',\[\]])+")
_HOST = r"(?:127(?:\.\d{1,3}){3}|localhost|\[?::1\]?)"
_LOOPBACK = re.compile(rf"(?:https?://)?{_HOST}(?::\d+)?")


def check(snapshot: Snapshot) -> Iterator[Finding]:
    """One finding for each service that publishes ports, and each image that exposes some, and says so."""
    done = set()
    for service, spec in published(snapshot):
        if service.name not in done:
            done.add(service.name)
            said = _said(service)
            if said is not None:
                yield _finding(service, spec, *said)
    images: dict[str, list[PortSpec]] = {}
    for spec in snapshot.project.specs if snapshot.project else ():
        if spec.origin == "dockerfile":
            images.setdefault(spec.location.path, []).append(spec)
    for specs in images.values():
        yield from _of_image(snapshot, specs)


def _of_image(snapshot: Snapshot, specs: list[PortSpec]) -> Iterator[Finding]:
    """What a Dockerfile's last command says, where the file exposes a port and no service has a command of its own instead."""
    commands = [spec for spec in specs if _COMMAND.match(spec.text)]
    if not commands or not any(spec.text.upper().startswith("EXPOSE") for spec in specs):
        return
    command = max(commands, key=lambda spec: spec.span.start)
    said = _option(_WORD.findall(command.text))
    services = snapshot.project.services if snapshot.project else ()
    built = [service for service in services if service.name == command.service or service.image is None]
    if said and not any(service.command for service in built):
        yield Finding(
            rule=RULE,
            severity=SEVERITY,
            message=f"{command.location.path} exposes {command.target}, but `{said}` lets only its own container reach it",
            service=command.service,
            locations=(command.place,),
            hint=_remedy(said).title,
            fixes=(_remedy(said),),
        )


def _said(service: Service) -> tuple[str, str] | None:
    """What binds the service to loopback, and the key of the service that says it."""
    if option := _option(_WORD.findall(" ".join(service.command))):
        return option, "command"
    for name, given in service.environment:
        if name in _VARIABLES and _LOOPBACK.fullmatch(given or ""):
            return f"{name}={given}", f"environment.{name}"
    return None


def _option(words: list[str]) -> str | None:
    """The option of a server's command that names loopback; None where a client may be meant."""
    if any(word.rpartition("/")[2] in _CLIENTS for word in words):
        return None
    for word, following in pairwise([*words, ""]):
        option, equals, value = word.partition("=")
        if option in _OPTIONS and _LOOPBACK.fullmatch(value if equals else following):
            return word if equals else f"{word} {following}"
        if word == "runserver" and _LOOPBACK.fullmatch(following):
            return f"runserver {following}"
    return None


def _remedy(said: str) -> Fix:
    return Fix(f"write `{re.sub(_HOST, '0.0.0.0', said)}` there", None, True)


def _finding(service: Service, spec: PortSpec, said: str, key: str) -> Finding:
    place = service.place(key)
    fix = _remedy(said)
    return Finding(
        rule=RULE,
        severity=SEVERITY,
        message=f"{service.name} publishes {spec.target}, but `{said}` lets only its own container reach it",
        service=service.name,
        port=spec.range.low if spec.range else None,
        transport=transport(spec),
        locations=(*([place] if place else []), spec.place),
        hint=fix.title,
        fixes=(fix,),
    )
