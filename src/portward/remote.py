"""The only code that asks other machines: runs their own `portward … --json` over SSH, several at once, each in bounded time and size.

No shell of ours is involved: ssh(1) gets words. What its far side's shell gets is one line of quoted words. Nothing is asked at the
terminal (BatchMode), no file of ours is read but ssh's own, and nothing that comes back is obeyed: it is JSON of a limited size, or a problem.
"""

from __future__ import annotations

import json
import os
import selectors
import shlex
import signal
import subprocess
import time
from contextlib import suppress

from portward.errors import Unavailable, UsageError
from portward.model import RemoteHost
from portward.records import Record
from portward.wording import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

SECONDS = 20.0
"""How long one host may take for its whole answer."""

CONNECT_SECONDS = 6
AT_ONCE = 16
LARGEST_BYTES = 16 << 20
"""Of one host's answer: some 20,000 listeners."""

_MOST_SAID = 64 << 10
_OPTIONS = (
    "-T", "-x", "-a", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_SECONDS}", "-o", "ClearAllForwardings=yes",
    "-o", "PermitLocalCommand=no",
)  # fmt: skip
_SSH_FAILED = 255
_CANNOT_RUN = (126, 127)

_TROUBLES = (
    ("Host key verification failed", "its host key is not known, or has changed", "look at it once by hand: `ssh {}`"),
    ("Permission denied", "it lets nobody in without a password", "a key that ssh may use by itself: ssh-agent, or IdentityFile in ~/.ssh/config"),
    ("Too many authentication failures", "it refused too many keys", "IdentitiesOnly and IdentityFile in ~/.ssh/config"),
    ("Could not resolve hostname", "its name has no address", "is it spelled right? `ssh -G {}` shows what ssh makes of it"),
    ("Connection refused", "it refuses the connection", "does sshd run there, on that port?"),
    ("timed out", "it does not answer in time", "is it up, and is the way there open? `ssh -v {}` tells"),
    ("No route to host", "there is no way to it", None),
)  # fmt: skip
"""What OpenSSH says (ssh(1), its sources' own words) → the problem, and the way out."""


class Told(Record):
    """What became of asking one host: its document, or the problem and perhaps a way out."""

    host: RemoteHost
    document: dict[str, Any] | None
    problem: str | None = None
    hint: str | None = None


def named(destination: str) -> RemoteHost:
    """The host of `--host`: `[USER@]HOST` or `ssh://[USER@]HOST[:PORT]`, as ssh(1) has it. Raises UsageError for what could be an option."""
    return RemoteHost(destination, checked(destination))


def checked(destination: str) -> str:
    """The destination, if neither ssh nor a shell can take any of it for something else. Raises UsageError."""
    user, _, host = destination.rpartition("@")
    bare = host.removeprefix("ssh://")
    odd = any(char.isspace() or not char.isprintable() or char in "'\"`$\\;|&<>(){}" for char in destination)
    if odd or not bare or destination.startswith("-") or user.startswith("-") or bare.startswith("-"):
        raise UsageError(f"{shown(destination)!r} is not [USER@]HOST")
    return destination


def ask(
    hosts: Sequence[RemoteHost],
    words: Sequence[str],
    environment: Mapping[str, str],
    narrate: Callable[[str], None] = lambda _step: None,
    seconds: float = SECONDS,
) -> tuple[Told, ...]:
    """What each host's own `portward` says to these words (and `--json`), in the order of the hosts; one that fails hides no other.

    `PORTWARD_SSH` is the ssh to run and `PORTWARD_REMOTE` the portward there, both with words of their own. Raises Unavailable where
    there is no ssh.
    """
    from concurrent.futures import ThreadPoolExecutor
    from shutil import which

    ssh = _command(environment, "PORTWARD_SSH", "ssh")
    if not which(ssh[0], path=environment.get("PATH")):
        raise Unavailable("there is no ssh here", hint="install OpenSSH's client, or name one in PORTWARD_SSH")
    line = shlex.join([*_command(environment, "PORTWARD_REMOTE", "portward"), *words, "--json"])
    narrate(f"{len(hosts)} hosts are asked: {line}")

    def one(host: RemoteHost) -> Told:
        port = ["-p", str(host.port)] if host.port else []
        command = [*ssh, *_OPTIONS, *port, "--", checked(host.destination), line]
        started = time.monotonic()
        told = _understood(host, *_output(command, environment, seconds))
        narrate(f"{host.name}: {told.problem or 'answered'} after {time.monotonic() - started:.1f} s")
        return told

    with ThreadPoolExecutor(max(1, min(AT_ONCE, len(hosts)))) as pool:
        return tuple(pool.map(one, hosts))


def _command(environment: Mapping[str, str], name: str, default: str) -> list[str]:
    """The words of a command in a variable. Raises UsageError for a quote without its end."""
    text = environment.get(name, "").strip() or default
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{name}={text!r}: {error}") from None


def _output(command: Sequence[str], environment: Mapping[str, str], seconds: float) -> tuple[int | str, bytes, str]:
    """The exit status, or why it was ended; what was printed, and the last of what was said on stderr."""
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,  # no terminal to ask anything at, and its own helpers end with it
        )
    except OSError as error:
        return f"ssh cannot be started: {error.strerror}", b"", ""
    with process:
        try:
            ended, printed, said = _read(process, time.monotonic() + seconds)
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # with whatever a ProxyCommand has started
        return ended or process.wait(), printed, said.decode(errors="replace")


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[str | None, bytes, bytes]:
    """What was printed to its end, what was said so far, and None once the process has ended; else why it must be.

    The end of stderr is not waited for: a master that ssh leaves behind (ControlPersist) keeps it open.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    printed, said = bytearray(), bytearray()
    is_open = True
    with selectors.DefaultSelector() as selector:
        for stream in (process.stdout, process.stderr):
            os.set_blocking(stream.fileno(), False)
            selector.register(stream, selectors.EVENT_READ)
        while is_open:
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                return "it does not answer in time", b"", bytes(said)
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                if not piece:
                    selector.unregister(key.fileobj)
                    is_open = is_open and key.fileobj is not process.stdout
                if key.fileobj is process.stdout:
                    printed += piece
                else:
                    said += piece
            del said[:-_MOST_SAID]
            if len(printed) > LARGEST_BYTES:
                return f"its answer is larger than {LARGEST_BYTES >> 20} MiB", b"", bytes(said)
    try:
        process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return "it does not end in time", b"", bytes(said)
    with suppress(BlockingIOError):
        said += os.read(process.stderr.fileno(), 1 << 16)
    return None, bytes(printed), bytes(said)


def _understood(host: RemoteHost, status: int | str, printed: bytes, said: str) -> Told:
    """The document, or what kept it from us."""
    if isinstance(status, str):
        return Told(host, None, status)
    last = shown(next((line.strip() for line in reversed(said.splitlines()) if line.strip()), ""), 200)
    if status == _SSH_FAILED:
        for words, problem, hint in _TROUBLES:
            if words in said:
                return Told(host, None, problem, hint.format(host.destination) if hint else None)
        return Told(host, None, f"ssh failed: {last or 'it says nothing'}")
    if status in _CANNOT_RUN and not printed.strip():
        hint = "install it there, or say where it is: PORTWARD_REMOTE=/path/to/portward"
        return Told(host, None, f"portward cannot be started there: {last or f'exit status {status}'}", hint)
    try:
        document = json.loads(printed)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        what = "nothing" if not printed.strip() else "no JSON of portward"
        hint = f"it says: {last}" if last else "does a start-up file of its shell print something?"
        return Told(host, None, f"it printed {what} (exit status {status})", hint)
    return _failed(host, document["error"]) if "error" in document else Told(host, document)


def _failed(host: RemoteHost, error: object) -> Told:
    """What its own portward says that it could not do."""
    fields = error if isinstance(error, dict) else {}
    message, hint = fields.get("message"), fields.get("hint")
    if fields.get("code") == "usage":
        return Told(
            host,
            None,
            f"its portward does not know this: {shown(str(message))}",
            "is it an old version? `portward --version` there",
        )
    return Told(host, None, f"its portward says: {shown(str(message))}", shown(hint) if isinstance(hint, str) else None)
