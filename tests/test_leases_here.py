"""Who and where we are, and what counts as the proof that a lease's holder is gone."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import pytest

from portward.leases import here
from portward.model import Holder, Lease, LeaseKind, ProcessId, Site, Transport
from tests.conftest import need, need_root, run_code, unmet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Spawn

SITE = here.site()

TELL = "from portward.leases import here; site = here.site(); ready(host=site.host, netns=site.netns, boot=site.boot)"


def lease(kind: LeaseKind = LeaseKind.STICKY, worktree: str = "", **others: Any) -> Lease:
    """A lease of this machine."""
    holder = Holder("/p", worktree, "web", process=others.pop("process", None))
    fields = {"host": SITE.host, "netns": SITE.netns, "boot": SITE.boot, **others}
    return Lease(transport=Transport.TCP, port=20000, holder=holder, kind=kind, token="t", granted=0.0, **fields)


def test_the_site_is_the_same_each_time() -> None:
    """Also in another process; the host is named as people know it, and its machine id is not shown."""
    assert run_code(TELL) == {"host": SITE.host, "netns": SITE.netns, "boot": SITE.boot}
    if os.path.exists("/etc/machine-id"):
        with open("/etc/machine-id", encoding="ascii") as file:
            assert file.read().strip()[:8] not in SITE.host
    if not os.path.exists("/etc/hostname"):
        assert SITE.host.startswith(socket.gethostname())


def test_another_network_namespace_is_another_site() -> None:
    """A sandbox's namespace has the kernel's name, on the same host; the machine's first one has none."""
    need_root()
    inside = run_code(TELL, prefix=[need("unshare"), "--net"])
    assert inside["host"] == SITE.host
    assert inside["netns"].startswith("net:[")
    assert inside["netns"] != SITE.netns
    if os.path.exists("/proc/sys/net/core/netdev_max_backlog"):
        assert SITE.netns == ""


def test_the_first_namespace_is_known_without_a_privilege() -> None:
    """A user who may not look at process 1 is told the same site."""
    need_root()
    become = f"from portward.leases import here; import _blake2; os.setgroups([]); os.setgid(65534); os.setuid(65534); {TELL}"
    assert run_code(become)["netns"] == SITE.netns
    inside = run_code(become, prefix=[need("unshare"), "--net"])
    assert inside["netns"].startswith("net:[")


def test_a_process_is_known_for_good(spawn: Spawn) -> None:
    """By its start, which another process with its pid would not have; one that has ended has no identity."""
    child = spawn("ready()")
    identity = here.identity(child.pid)
    assert identity is not None
    assert identity == here.identity(child.pid)
    assert (identity.boot, identity.pid) == (SITE.boot, child.pid)
    assert here.why_gone(lease(LeaseKind.PROCESS, process=identity), SITE) is None
    assert identity.start_ticks is not None
    other = identity.replace(start_ticks=identity.start_ticks - 1)
    assert "its number is another's" in str(here.why_gone(lease(LeaseKind.PROCESS, process=other), SITE))
    child.process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie: nobody has waited for it yet
    assert "has ended" in str(here.why_gone(lease(LeaseKind.PROCESS, process=identity), SITE))
    assert here.identity(child.pid) is None
    child.process.wait()
    assert "has ended" in str(here.why_gone(lease(LeaseKind.PROCESS, process=identity), SITE))
    assert here.identity(child.pid) is None


def test_we_have_an_identity_of_our_own() -> None:
    """Without a pid it is this process."""
    identity = here.identity()
    assert identity is not None
    assert identity.pid == os.getpid()


def test_what_cannot_be_seen_is_alive() -> None:
    """A process of another pid namespace, of another host; one whose start is not known."""
    ended = ProcessId(SITE.boot, 4_000_000, 1, "4026532999")
    assert here.why_gone(lease(LeaseKind.PROCESS, process=ended), SITE) is None
    ours = here.identity()
    assert ours is not None
    assert here.why_gone(lease(LeaseKind.PROCESS, process=ours.replace(start_ticks=None)), SITE) is None
    assert here.why_gone(lease(host="other", worktree="/no such folder"), SITE) is None
    assert here.why_gone(lease(LeaseKind.TTL, worktree="/no such folder"), SITE) is None
    assert here.why_gone(lease(), SITE) is None


HIDDEN = """
from portward.leases import here
import subprocess, portward.model as model
subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"], check=True)
import _blake2; os.setgroups([]); os.setgid(65534); os.setuid(65534)
site = here.site()
process = model.ProcessId(site.boot, int(sys.argv[1]), 1, sys.argv[2])
lease = model.Lease(site.host, "", "tcp", 1, model.Holder("/p", "", "s", process=process), model.LeaseKind.PROCESS, "t", 0.0)
ready(seen=os.path.exists(f"/proc/{sys.argv[1]}"), why=here.why_gone(lease, site))
"""


def test_a_hidden_process_is_alive(spawn: Spawn) -> None:
    """Where /proc hides the processes of others (hidepid), that one is not to be seen is no proof."""
    need_root()
    child = spawn("ready()")
    identity = here.identity(child.pid)
    assert identity is not None
    facts = run_code(HIDDEN, child.pid, identity.pidns, prefix=[need("unshare"), "--mount"])
    if facts["seen"]:
        unmet("/proc hides nothing here")
    assert facts == {"seen": False, "why": None}


def test_a_restart_ends_processes_and_namespaces() -> None:
    """After a restart of the machine no process and no private network namespace is what it was; a folder is."""
    former = "another-boot"
    ours = here.identity()
    assert ours is not None
    process = lease(LeaseKind.PROCESS, process=ours.replace(boot=former))
    assert "started anew" in str(here.why_gone(process, SITE))
    assert "network namespace ended" in str(here.why_gone(lease(netns="net:[1]", boot=former), SITE))
    assert here.why_gone(lease(netns="net:[1]"), SITE) is None
    assert here.why_gone(lease(netns="", boot=former), Site(SITE.host, "", SITE.boot)) is None
    assert here.why_gone(lease(netns="net:[1]", boot=former), SITE.replace(boot="")) is None


def test_a_working_tree_is_gone_when_its_folder_is(tmp_path: Path) -> None:
    """Removed, or replaced on the way by a file; a folder that may not be looked at is there."""
    folder = tmp_path / "tree" / "nexus"
    folder.mkdir(parents=True)
    sticky = lease(worktree=str(folder))
    assert here.why_gone(sticky, SITE) is None
    folder.rmdir()
    assert here.why_gone(sticky, SITE) == f"its folder {folder} is gone"
    folder.parent.rmdir()
    folder.parent.touch()
    assert here.why_gone(sticky, SITE) is not None


def test_a_folder_that_may_not_be_looked_at_is_there(tmp_path: Path) -> None:
    """Not permitted is no proof."""
    need_root()
    folder = tmp_path / "closed" / "tree"
    folder.mkdir(parents=True)
    folder.parent.chmod(0o700)
    code = (
        "from portward.leases import here; from portward.model import *; import _blake2\n"
        "site = here.site(); os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "lease = Lease(site.host, '', Transport.TCP, 1, Holder('/p', sys.argv[1], 's'), LeaseKind.STICKY, 't', 0.0)\n"
        "ready(why=here.why_gone(lease, site))"
    )
    assert run_code(code, folder) == {"why": None}


@pytest.mark.parametrize("missing", ["/etc/machine-id", "/etc/hostname"])
def test_a_machine_without_an_id_or_a_name_file_has_a_host(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container: what there is makes the host, and it is never empty."""
    read = here._read
    monkeypatch.setattr(here, "_read", lambda path: "" if path in (missing, "/var/lib/dbus/machine-id") else read(path))
    host = here.site().host
    assert host
    if missing == "/etc/machine-id":
        assert host in (read("/etc/hostname"), os.uname().nodename)
