"""What the packet filters of a network namespace are set to. Only the listing commands of their own programs are run."""

from __future__ import annotations

import os
import shutil
import subprocess

from portward.evidence import Ruleset
from portward.model import Skipped

PATIENCE_SECONDS = 5.0
_COMMANDS = {
    "nft": ("nft", "--json", "list", "ruleset"),
    "iptables": ("iptables-save",),
    "ip6tables": ("ip6tables-save",),
    "iptables-legacy": ("iptables-legacy-save",),
    "ip6tables-legacy": ("ip6tables-legacy-save",),
}
_PLACES = ("/usr/sbin", "/sbin", "/usr/local/sbin")


def read(netns: str) -> tuple[list[Ruleset], list[Skipped]]:
    """The rulesets of the network namespace that this thread is in, called `netns`, and the programs that refused to list theirs."""
    found: list[Ruleset] = []
    skipped: list[Skipped] = []
    path = os.pathsep.join((os.environ.get("PATH", ""), *_PLACES))
    for tool, (program, *words) in _COMMANDS.items():
        command = shutil.which(program, path=path)
        if command is None or (tool.endswith("-legacy") and not _has_legacy(tool)):
            continue
        text, reason = _listed([command, *words])
        if text is None:
            skipped.append(Skipped(f"firewall rules of {tool}", reason))
        elif text.strip():
            found.append(Ruleset(netns, tool, text))
    return found, skipped


def _has_legacy(tool: str) -> bool:
    """Whether the kernel has tables of that kind: the program would load its module otherwise, which is a change."""
    name = "ip6_tables_names" if tool.startswith("ip6") else "ip_tables_names"
    try:
        with open(f"/proc/thread-self/net/{name}", encoding="ascii") as file:
            return bool(file.read().strip())
    except OSError:
        return False


def _listed(command: list[str]) -> tuple[str | None, str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None, f"no answer within {PATIENCE_SECONDS:.0f} s"
    except OSError as error:
        return None, error.strerror or str(error)
    if done.returncode:
        said = done.stderr.strip().splitlines()
        permitted = os.geteuid() == 0
        return None, (said[0] if said else f"status {done.returncode}") if permitted else "only root may list them"
    return done.stdout, ""
