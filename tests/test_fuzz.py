"""Whatever a file holds: every reader reads it or refuses it with a place, in bounded time, and changes stay inside the project.

A minute in all by default, PORTWARD_FUZZ_SECONDS for each reader in `make soak`. Texts are real ones, mutated; the seed of
a failure is in its message, with the text in a file.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portward.errors import PortwardError
from portward.formats import FORMATS, dotenv, format_of, reader_of
from portward.formats.project import declare
from portward.formats.template import TemplateError, expand
from portward.model import ComposeOptions
from portward.ward import Portward

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = float(os.environ.get("PORTWARD_FUZZ_SECONDS") or 60 / (len(FORMATS) + 2))  # for each
SLOWEST = 5.0  # seconds of CPU for one text of at most 20,000 characters: a hang, not a slow machine
ROOTS = (Path(__file__).parent.parent / "examples", Path(__file__).parent.parent.parent / "shared/corpus")
PIECES = (
    "${", "}", "$", "$$", ":-", ":?", '"', "'", "`", "\\", "\n", "\r\n", "\t", " ", "\ufeff", "\0", "\x85", "\u2028", "é", "😀",
    "{", "[", "]", "<<: *a", "&a ", "*a", "!reset ", "!override", "- ", ": ", "#", "--- ", "|", ">-", "//", "/*", "*/",
    "0", "65535", "65536", "99999999999999999999", "-1", "5000", "5000-5010", "0x50", "08", "127.0.0.1:", "[::1]:", "/udp",
    "http://localhost:5000", "PORT=", "process.env.PORT || 5000", "services:\n", "ports:\n", "include: [", "extends: ",
    "EXPOSE 80", "listen 80;", "| Port | 5000 |", "kind: Service", '"port": 5000', "<<EOF\n", "\\\n", "%", "@", "::",
)  # fmt: skip


def _seeds() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for root in ROOTS:
        for path in sorted(root.rglob("*")) if root.is_dir() else ():
            name = format_of(str(path.relative_to(root)))
            if name and path.is_file():
                found.setdefault(name, []).append(path.read_text("utf-8", "replace")[:20_000])
    return found


SEEDS = _seeds()


def _mutated(text: str, dice: random.Random, others: list[str]) -> str:
    for _ in range(dice.randrange(1, 8)):
        start = dice.randrange(len(text) + 1)
        end = min(len(text), start + dice.choice((0, 1, 1, 3, 10, 100)))
        middle = dice.choice((
            "", dice.choice(PIECES), dice.choice(PIECES) * dice.choice((1, 2, 50)), text[end : end + 40] * dice.randrange(4),
            chr(dice.randrange(0x11000)).encode("utf-8", "replace").decode(),
        ))  # fmt: skip
        text = text[:start] + middle + text[end:]
    if dice.random() < 0.1 and others:
        other = dice.choice(others)
        text = text[: dice.randrange(len(text) + 1)] + other[dice.randrange(len(other) + 1) :]
    return text[:20_000]


def _fuzz(name: str, seconds: float, act: Callable[[str], object], tmp_path: Path) -> int:
    """Calls `act` with mutated texts for so long, and gives how many there were. Fails on any error that is not told on purpose."""
    seed = int(os.environ.get("PORTWARD_FUZZ_SEED", "0")) or random.randrange(1 << 32)
    dice = random.Random(seed)
    texts = SEEDS.get(name) or ["PORT=5000\n"]
    end, count = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        text = _mutated(dice.choice(texts), dice, texts)
        began = time.process_time()
        try:
            act(text)
        except PortwardError as error:
            problem = "" if str(error) else "an error without a message"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            problem = f"{type(error).__name__}: {error}"
        else:
            problem = ""
        if time.process_time() - began > SLOWEST:
            problem = problem or f"it took {time.process_time() - began:.1f} s of CPU"
        if problem:
            (tmp_path / "text").write_text(text, "utf-8", "surrogatepass")
            pytest.fail(f"{name}, seed {seed}, text {count} (in {tmp_path}/text): {problem}")
        count += 1
    return count


@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "compose"])
def test_every_reader(name: str, tmp_path: Path) -> None:
    """Every format: ports whose spans hold their digits or a variable, or an error with its file."""
    read = reader_of(name)

    def act(text: str) -> None:
        bare = text.removeprefix("\ufeff")
        for spec in read(text, "x"):
            written = bare[spec.span.start : spec.span.end]
            assert 0 <= spec.span.start < spec.span.end <= len(bare), spec
            digits = written.replace("_", "").lstrip("0") or "0"
            assert digits == (spec.number.lstrip("0") or "0") or "$" in written or not digits.isdecimal(), spec

    assert _fuzz(name, SECONDS, act, tmp_path) > 0


@pytest.mark.timeout(SECONDS + 60)
def test_compose_files(tmp_path: Path) -> None:
    """A whole project: its Compose file, mutated, with a .env of every variable."""

    def act(text: str) -> None:
        def read(path: str) -> str:
            if path != "compose.yaml":
                raise FileNotFoundError(2, "No such file or directory")
            return text

        declare("/p", "p", ["compose.yaml"], read, {"PORT": "5000"}, ComposeOptions())

    assert _fuzz("compose", SECONDS, act, tmp_path) > 0


@pytest.mark.timeout(SECONDS + 60)
def test_templates_and_dotenv(tmp_path: Path) -> None:
    """Interpolation, and `.env` as Compose reads it."""

    def act(text: str) -> None:
        dotenv.parse(text, ".env", {"A": "1"})
        try:
            expand(text, {"A": "1", "PORT": "5000"})
        except TemplateError:
            return

    assert _fuzz("dotenv", SECONDS, act, tmp_path) > 0


@pytest.mark.timeout(SECONDS + 60)
def test_no_write_leaves_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Moves on mutated projects, with links and paths that lead out: nothing outside the project's folder ever changes."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    outside, project = tmp_path / "outside", tmp_path / "project"
    outside.mkdir()
    (project / "sub").mkdir(parents=True)
    texts = {
        "compose.yaml": 'services: {b: {image: x, ports: ["5000:80"]}}\n',
        ".env": "P=5000\n",
        "config.js": "x = 5000\n",
    }
    for name, text in texts.items():
        (outside / name).write_text(text)
    (project / "config.js").symlink_to("../outside/config.js")
    (project / "sub/.env").symlink_to("../../outside/.env")
    (project / ".env").write_text("P=5000\n")
    start = (
        "include: [../outside/compose.yaml]\nservices:\n  a:\n    image: x\n    env_file: ../outside/.env\n"
        '    ports: ["${P}:80", "6000-6002:81"]\n    environment: {URL: "http://b:80"}\n'
    )
    monkeypatch.setitem(SEEDS, "project", [start, start.replace("include: [../outside/compose.yaml]\n", "")])
    ports = iter(range(20_000, 10**9))

    def act(text: str) -> None:
        (project / "compose.yaml").write_text(text, "utf-8", "replace")
        ward = Portward.open(project)
        try:
            ward.set_ports([f"a={20_000 + next(ports) % 10_000}"], container=next(ports) % 2 == 0, write=True)
        finally:
            found = {path.name: path.read_text("utf-8") for path in outside.iterdir()}
            assert found == texts

    assert _fuzz("project", SECONDS, act, tmp_path) > 0
