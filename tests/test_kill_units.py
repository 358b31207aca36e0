"""`portward kill` on systemd units: a real manager, in namespaces of its own, stops what it would start again by itself."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward.errors import Unavailable
from portward.processes import units
from tests.conftest import need, need_root, unmet

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are stopped on Linux only")

SYSTEMD = "/usr/lib/systemd/systemd"

# runs as the first process of a pid namespace: starts a manager with units of the test's own, and asks `portward kill`
INSIDE = """
import json, os, subprocess, sys, time
folder, port = sys.argv[1], sys.argv[2]
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
os.makedirs("/run/systemd/system")
os.environ.update(XDG_RUNTIME_DIR="/run/user", HOME=folder, SYSTEMD_UNIT_PATH=folder + "/units", SYSTEMD_LOG_TARGET="null")
os.makedirs("/run/user", mode=0o700)
manager = subprocess.Popen([sys.argv[3], "--user", "--unit=nothing.target"], stdin=subprocess.DEVNULL)
def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        assert manager.poll() is None
        time.sleep(0.05)
def systemctl(*words):
    return subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True).stdout.strip()
def listens():
    return subprocess.run([sys.executable, "-m", "portward", "-q", "ls", port]).returncode == 0
def kill(*words, **more):
    done = subprocess.run([sys.executable, "-m", "portward", "kill", port, "--yes", "--json", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={**os.environ, **more})
    return {"status": done.returncode, **json.loads(done.stdout)}
until(lambda: os.path.exists("/run/user/systemd/private"))
facts = {}
systemctl("start", "kept.service")
until(listens)
facts["unreachable"] = kill(XDG_RUNTIME_DIR="/nonexistent")
facts["before"] = systemctl("is-active", "kept.service")
facts["kept"] = kill()
facts["after"] = systemctl("is-active", "kept.service")
systemctl("start", "like-cron.service")
until(listens)
facts["child"] = kill()
facts["like cron"] = systemctl("is-active", "like-cron.service")
systemctl("start", "activated.socket")
until(listens)
facts["socket"] = kill("--force")
manager.kill()
print(json.dumps(facts))
"""
SERVER = "import socket, time; made = socket.create_server(('127.0.0.1', {port})); time.sleep(600)"
LIKE_CRON = "import subprocess, sys; open('/proc/self/comm', 'w').write('crond'); subprocess.run([sys.executable, '{server}']); import time; time.sleep(600)"


def _hierarchy() -> str:
    """Where the unified control groups are."""
    places = ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    return next((place for place in places if os.path.exists(f"{place}/cgroup.procs")), "") or unmet("no cgroup2 here")


@pytest.fixture
def control_group() -> Iterator[Path]:
    """A control group that is named as a user's manager's is. Removed with all that is below."""
    need_root()
    top = Path(_hierarchy(), f"portward-{secrets.token_hex(4)}")
    group = top / "user@0.service"
    try:
        group.mkdir(parents=True)
    except OSError as error:
        unmet(f"control groups cannot be made here: {error}")
    yield group
    for folder in sorted((path for path in top.rglob("*") if path.is_dir()), key=lambda path: -len(path.parts)):
        _remove(folder)
    _remove(top)


def _remove(folder: Path) -> None:
    for _attempt in range(200):
        try:
            folder.rmdir()
        except OSError:  # the kernel takes its time with the last process
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def answers(control_group: Path, tmp_path: Path, free_port: int) -> dict[str, Any]:
    """What `portward kill` said of units under a manager of the test's own."""
    need("systemctl")
    if not os.path.exists(SYSTEMD):
        unmet("systemd is not installed")
    (tmp_path / "units").mkdir()
    (tmp_path / "server.py").write_text(SERVER.format(port=free_port))
    (tmp_path / "like_cron.py").write_text(LIKE_CRON.format(server=tmp_path / "server.py"))
    service = "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart={python} {script}\n"
    texts = {
        "nothing.target": "[Unit]\nDefaultDependencies=no\n",
        "kept.service": service.format(python=sys.executable, script=tmp_path / "server.py")
        + "Restart=always\nRestartSec=50ms\n",
        "like-cron.service": service.format(python=sys.executable, script=tmp_path / "like_cron.py"),
        "activated.service": service.format(python=sys.executable, script=tmp_path / "server.py"),
        "activated.socket": f"[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=127.0.0.1:{free_port}\n",
    }
    for name, text in texts.items():
        (tmp_path / "units" / name).write_text(text)
    command = [need("unshare"), "--kill-child", "--mount", "--pid", "--fork", "--mount-proc"]
    enter = f"import os; open({str(control_group / 'cgroup.procs')!r}, 'w').write(str(os.getpid())); import sys; os.execvp(sys.argv[1], sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", enter, *command, sys.executable, "-c", INSIDE, str(tmp_path), str(free_port), SYSTEMD],
        env={**os.environ, "DOCKER_HOST": "unix:///nonexistent", "XDG_STATE_HOME": str(tmp_path / "state")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


def test_units_of_a_real_manager(answers: dict[str, Any]) -> None:
    """A service is stopped by its manager and stays so; a job of something like cron is a process, and cron is left alone; what
    the manager itself listens for is told how; where the manager cannot be asked nothing is signalled."""
    kept = answers["kept"]
    (stopped,) = kept["stopped"]
    assert (kept["status"], answers["before"], answers["after"]) == (0, "active", "inactive")
    assert (stopped["unit"], stopped["how"]) == ("kept.service", "`systemctl --user stop kept.service`")
    assert kept["ports"][0]["free"] is True

    failed = answers["unreachable"]
    assert (failed["status"], failed["stopped"]) == (3, [])
    assert failed["refused"][0]["hint"] == "`systemctl --user stop kept.service`"

    child = answers["child"]
    assert (child["status"], child["stopped"][0]["how"], child["stopped"][0]["unit"]) == (0, "SIGTERM", None)
    assert child["stopped"][0]["remarks"] == ["it is in like-cron.service, which is left alone"]
    assert answers["like cron"] == "active"

    socket = answers["socket"]
    assert (socket["status"], socket["stopped"]) == (1, [])
    assert "`systemctl --user stop NAME.socket` frees the port" in socket["refused"][0]["hint"]


def _recorded(folder: Path, script: str) -> dict[str, str]:
    """A `systemctl` that is not systemd's: it notes its words, and answers as it is told."""
    program = folder / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >>"{folder}/words"\n{script}\n')
    program.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


def test_the_systems_manager_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a recorded systemctl, as no system manager runs in a test: its words, its refusal, and one that takes too long."""
    monkeypatch.setattr(units, "_BOOTED", str(tmp_path))
    refusal = "Failed to stop web.service: Interactive authentication required."  # of systemd 252
    for name, value in _recorded(tmp_path, "exit 0").items():
        monkeypatch.setenv(name, value)
    assert units.stop("web.service", of_user=False, patience=60) is None
    assert units.stop("web.service", of_user=True, patience=60) is None
    _recorded(tmp_path, f"echo '{refusal}' >&2; exit 1")
    with pytest.raises(Unavailable, match="Interactive authentication required"):
        units.stop("-x.service", of_user=False, patience=60)
    _recorded(tmp_path, "exec sleep 60")
    assert (
        units.stop("web.service", of_user=False, patience=0.2)
        == "it is still stopping after 0.2 s, and goes on doing so"
    )
    assert (tmp_path / "words").read_text().splitlines()[:3] == [
        "--no-ask-password stop -- web.service",
        "--user --no-ask-password stop -- web.service",
        "--no-ask-password stop -- -x.service",
    ]


def test_without_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told how, not tried."""
    monkeypatch.setattr(units, "_BOOTED", str(tmp_path / "missing"))
    with pytest.raises(Unavailable, match="systemd does not run here"):
        units.stop("web.service", of_user=False, patience=1)
