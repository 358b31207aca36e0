"""Compose files that are none: binary, endless, without end, or no file at all. Each is refused with its place, at once."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from portward.errors import UsageError
from portward.formats.compose import stack
from tests.reading import reader

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 20  # a hang, not a slow machine
MEMORY = 1 << 30  # bytes of address space
OK = b"services: {web: {image: x, ports: ['1:80']}}\n"


def _services(folder: Path) -> tuple[int, dict[str, Any]]:
    """The exit status of `portward services --json` and what it prints, in bounded time and memory."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "portward", "services", "--json"],
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=SECONDS,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, answer


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 40, 2, "UTF-8"),
        (b"services:\n  web:\n    image: a\x00b\n", 3, "not valid YAML"),
        (b"services:\n  web: {image: \xff\xfe}\n", 2, "UTF-8"),
        (b"a: " + b"[" * 100_000, 1, "not valid YAML"),
        (b"a: " + b"{b: " * 400 + b"1" + b"}" * 400, 1, "levels deep"),
        (b"".join(b" " * n + b"k:\n" for n in range(3000)), None, ""),
        (b"- " * 50_000 + b"a", 1, ""),
        (b"a: &a {b: *a}\n", 1, "inside"),
        (b"a: *nobody\n", 1, "anchor"),
        (b"x0: &x0 [a, a, a, a, a, a, a, a, a]\n"
         + b"".join(b"x%d: &x%d [%s]\n" % (n, n, b", ".join([b"*x%d" % (n - 1)] * 9)) for n in range(1, 12)), None, "aliases"),
        (b"services: {web: {image: x, ports: [%s]}}"
         % b", ".join(b"'127.0.0.%d:1-65535:1-65535'" % n for n in range(50)), 1, "ports are published"),
        (b"services: {web: {image: '" + b"${A:-" * 2000 + b"}" * 2000 + b"'}}", 1, "deep"),
        (b"services: {web: {image: '" + b"${A" * 100_000 + b"'}}", 1, "variable"),
        (b"services: {web: {image: x, ports: ['" + b"9" * 100_000 + b":80']}}", 1, "not a port"),
        (b"services:\n" + b"  web: {image: x}\n" * 20_000, 3, "twice"),
        (b"a: b\n" * (1 << 20), None, "larger"),
        (b"", None, "empty"),
        (b"# nothing\n", None, "empty"),
        (b"---\n", None, "mapping"),
        (b"hello", 1, "mapping"),
    ],
    ids=lambda value: None if not isinstance(value, bytes) else f"{len(value)}-{value[:12]!r}",
)  # fmt: skip
def test_what_is_no_compose_file(tmp_path: Path, content: bytes, line: int | None, says: str) -> None:
    """Exit 2 with the file, and the line where there is one; in bounded time and memory."""
    (tmp_path / "compose.yaml").write_bytes(content)
    code, answer = _services(tmp_path)
    assert code == 2, answer
    error = answer["error"]
    assert error["path"] == "compose.yaml"
    assert says in error["message"]
    assert line is None or error["line"] == line


@pytest.mark.parametrize("name", ["compose.yaml", ".env", "compose.override.yml"])
@pytest.mark.parametrize("kind", ["fifo", "folder", "loop", "socketless link"])
def test_what_is_no_file(tmp_path: Path, name: str, kind: str) -> None:
    """A named pipe is not waited for, a folder and a link to itself are told; only a `.env` may be a folder."""
    (tmp_path / "compose.yaml").write_bytes(OK)
    path = tmp_path / name
    path.unlink(missing_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(name if kind == "loop" else "nowhere")
    code, answer = _services(tmp_path)
    if kind == "socketless link" or (kind, name) == ("folder", ".env"):
        assert code in (0, 2)  # as if it were not there
        return
    assert code == 2, answer
    assert answer["error"]["path"] == name


def test_a_file_that_may_not_be_read() -> None:
    """The reason of the system is told, with the file."""

    def denied(path: str) -> str:
        raise PermissionError(13, "Permission denied", path)

    with pytest.raises(UsageError, match=r"^compose\.yaml: cannot read it: Permission denied$"):
        stack.read(["compose.yaml"], denied, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("include: [sub.yaml]\n", "sub.yaml: cannot read it"),
        ("services: {a: {extends: {file: sub.yaml, service: b}}}\n", "sub.yaml: cannot read it"),
        ("services: {a: {image: x, env_file: sub.env}}\n", "there is no file sub.env"),
        ("services: {a: {image: x, label_file: sub.env}}\n", "there is no file sub.env"),
        ("include: ['https://example.com/compose.git']\n", "remote"),
        ("include: [{path: a.yaml, env_file: sub.env}]\n", "sub.env: cannot read it"),
    ],
)
def test_files_that_are_named_and_not_there(text: str, says: str) -> None:
    """What a Compose file names and cannot be read is told at the place that names it."""
    with pytest.raises(UsageError, match=says) as failure:
        stack.read(["compose.yaml"], reader({"compose.yaml": text, "a.yaml": "services: {b: {image: x}}"}), {})
    assert failure.value.path == "compose.yaml"
    assert failure.value.line == 1
    assert failure.value.column is not None


def test_many_files_in_a_circle_end() -> None:
    """Files that include and extend each other end with an error, however many there are."""
    files = {f"f{n}.yaml": f"include: [f{(n + 1) % 50}.yaml]\n" for n in range(50)}
    with pytest.raises(UsageError, match="circle"):
        stack.read(["f0.yaml"], reader(files), {})
    files = {
        f"f{n}.yaml": f"services: {{a: {{extends: {{file: f{(n + 1) % 50}.yaml, service: a}}}}}}\n" for n in range(50)
    }
    with pytest.raises(UsageError, match="extends itself"):
        stack.read(["f0.yaml"], reader(files), {})


def test_long_chains_need_no_long_stack() -> None:
    """Services that need each other in a long row are no circle, and take no deep recursion."""
    rows = [f"  s{n}: {{image: x, depends_on: [s{n + 1}]}}\n" for n in range(3000)]
    text = "services:\n" + "".join(rows) + "  s3000: {image: x}\n"
    began = time.monotonic()
    assert len(stack.read(["c.yaml"], reader({"c.yaml": text}), {}).services) == 3001
    with pytest.raises(UsageError, match="circle"):
        stack.read(
            ["c.yaml"], reader({"c.yaml": text.replace("s3000: {image: x}", "s3000: {image: x, links: [s0]}")}), {}
        )
    assert time.monotonic() - began < SECONDS
