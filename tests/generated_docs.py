"""The parts of the documentation that are made from the program itself: `make docs` writes them, a test compares them.

A part stands between `<!-- begin NAME -->` and `<!-- end NAME -->`. What differs from run to run (ages, users and folders of
this machine) is written as a fixed example.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from portward import causes, cli, servers
from portward.servers import Form, Moves
from portward.stops import databases, protected, supervisors
from portward.ward import Portward

ROOT = Path(__file__).parent.parent
SESSION = (
    ("portward check", "nexus"),
    ("portward who 5000", "nexus"),
    ("portward resolve", "nexus"),
    ("portward check 3000 5000", "nexus"),
)
_PART = re.compile(r"(<!-- begin (?P<name>[\w-]+) -->\n)(?P<text>.*?)(<!-- end (?P=name) -->)", re.DOTALL)


def parts() -> dict[str, str]:
    """Every part by name. The session needs network namespaces, and is left out where there are none."""
    made = {
        "verbs": verbs(),
        "help": help_texts(),
        "rules": rule_table(),
        "servers": server_table(),
        "never-stopped": stop_tables(),
        "checks": check_list(),
    }
    if shutil.which("unshare") and shutil.which("ip"):
        made["session"] = session()
    return made


GROUPS = {
    "to see": ("look", "project", "setup"),
    "to change": ("change",),
    "to keep": ("lease", "run"),
    "to mend": ("reach", "explain", "doctor", "kill"),
    "to live with": ("serve", "mcp", "agent", "completion"),
}
"""What verbs are for → the modules of the command line that have them."""


def verbs() -> str:
    """The README's table of verbs, by what they are for."""
    groups = {module: group for group, modules in GROUPS.items() for module in modules}
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for verb, (module, text) in cli.VERBS.items():
        found[groups[module]].append(f"`{verb}` {text}")
    rows = "".join(f"| {group} | {'<br>'.join(lines)} |\n" for group, lines in found.items())
    return f"| | verbs |\n|---|---|\n{rows}"


def help_texts() -> str:
    """`--help` of `portward` and of every verb."""
    texts = []
    for words in ([], *([verb] for verb in cli.VERBS)):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            cli.main([*words, "--help"])
        texts.append(f"## {' '.join(['portward', *words])}\n\n```text\n{output.getvalue()}```\n")
    return "\n".join(texts)


def rule_table() -> str:
    """The rules by name, each with its severity and its documentation."""
    return "\n".join(
        f"### {rule.name}\n\n{rule.summary[:1].upper()}{rule.summary[1:]} By default: **{rule.severity}**.\n\n{rule.text}\n"
        for rule in Portward.rules()
    )


def server_table() -> str:
    """How each server takes its port, in a table."""
    rows = []
    for server in sorted(servers.SERVERS, key=lambda each: each.name.lower()):
        verb = f" {server.verbs[0]}" if server.verbs else ""
        flag = {
            Form.SPLIT: " ".join([*server.flags[:1], "PORT"]),
            Form.JOINED: f"{''.join(server.flags[:1])}=PORT",
            Form.ADDRESS: f"{''.join(server.flags[:1])} {server.listens}:PORT",
            Form.BARE: "… PORT",
            Form.NONE: "",
        }[server.form]
        told = (
            [f"`{' '.join([flag, *server.strict])}`"]
            if flag
            else [f"`{name}={text.replace('{port}', 'PORT')}`" for name, text in server.environment]
        )
        socket = f"`{' '.join(server.socket)}`" if server.socket else ""
        moves = {Moves.NEVER: "", Moves.UNTOLD: "unless told", Moves.ALWAYS: "strict" if server.strict else "yes"}[
            server.moves
        ]
        tested = "yes" if server.tested else ""
        rows.append(
            f"| {server.name} | `{server.programs[0]}{verb}` | {' '.join(told)} | {moves} | {socket} | {tested} |\n"
        )
    return "| server | started by | is told | moves | takes a socket | tested |\n|---|---|---|---|---|---|\n" + "".join(
        rows
    )


def stop_tables() -> str:
    """Who is never stopped and why, who keeps data, and which supervisors are known."""
    reasons = dict.fromkeys(protected.NEVER.values())
    never = [
        f"- {why}: {', '.join(f'`{name}`' for name, reason in protected.NEVER.items() if reason == why)}"
        for why in reasons
    ]
    data = ", ".join(f"`{name}`" for name in ("postgres", *databases.NAMES))
    does = dict.fromkeys(does for does, _ in supervisors.KEEPERS.values())
    keepers = [
        f"- {each}: {', '.join(f'`{name}`' for name, (what, _) in supervisors.KEEPERS.items() if what == each)}"
        for each in does
    ]
    lines = [
        "Never stopped, as",
        "",
        *never,
        "",
        f"Known to keep data: {data}.",
        "",
        "Known supervisors, each of which",
        "",
        *keepers,
    ]
    return "\n" + "\n".join(lines) + "\n\n"


def check_list() -> str:
    """What `doctor` looks at, in its order: the first line of each check's module."""
    lines = []
    for number, check in enumerate(causes.CHECKS, 1):
        module = sys.modules[check.__module__]
        summary = (module.__doc__ or "").partition("\n")[0]
        lines.append(f"{number}. **{check.__module__.rpartition('.')[2]}**: {summary}\n")
    return "".join(lines)


def session() -> str:
    """A real terminal session on a copy of the worked example, with a stranger on the backend's port."""
    return f"```console\n{acted(SESSION)}```\n"


def acted(session: tuple[tuple[str, str], ...], *, in_colour: bool = False) -> str:
    """What a session of (command, folder) prints, with what differs from run to run as a fixed example."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "examples/nexus", f"{folder}/nexus")
        os.mkdir(f"{folder}/old-demo")
        done = subprocess.run(
            [
                "unshare",
                "--net",
                "--pid",
                "--fork",
                "--mount-proc",
                sys.executable,
                __file__,
                folder,
                json.dumps(session),
            ],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            env={**os.environ, "NO_COLOR": "" if in_colour else "1", "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    return _as_example(done.stdout, folder)


def _act(folder: str, session: list[list[str]]) -> None:
    """Runs a session; called in network and pid namespaces of its own, so that all ports of the example are
    free and pids are the same each time."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.symlink(sys.executable, f"{folder}/python3")  # a process is named by the name that it was started by
    Path("/proc/sys/kernel/ns_last_pid").write_text("4128", "ascii")
    stranger = subprocess.Popen(
        ["python3", "-m", "http.server", "5000"],
        cwd=f"{folder}/old-demo",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        executable=f"{folder}/python3",
    )
    try:
        while subprocess.run([sys.executable, "-m", "portward", "-q", "ls", "5000"], check=False).returncode:
            if stranger.poll() is not None:
                raise RuntimeError("the stranger did not start")
        for command, place in session:
            printed = _printed(command.split(), f"{folder}/{place}")
            if not printed:
                raise RuntimeError(f"`{command}` prints nothing")
            print(f"$ {command}\n{printed}", flush=True)
        print("$ echo $?\n1", flush=True)
    finally:
        stranger.terminate()
        stranger.communicate()


def _printed(words: list[str], folder: str) -> str:
    """What a command prints on stdout, a terminal unless NO_COLOR is set."""
    command = [sys.executable, "-m", *words]
    if os.environ["NO_COLOR"]:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    reading, writing = pty.openpty()
    with subprocess.Popen(command, cwd=folder, stdout=writing, stderr=subprocess.DEVNULL):
        os.close(writing)
        pieces = []
        with contextlib.suppress(OSError):  # EIO: its end
            while piece := os.read(reading, 65536):
                pieces.append(piece)
    os.close(reading)
    return b"".join(pieces).decode().replace("\r\n", "\n")


def _as_example(text: str, folder: str) -> str:
    """The session with what differs from run to run as a fixed example."""
    text = text.replace(os.path.realpath(folder), "/home/you").replace(folder, "/home/you")
    text = re.sub(r"pid 4129, \w+, \d+ (?:s|min)", "pid 4129, you, 2 h", text)
    text = re.sub(r"(started by: ).*", r"\1zsh 4012 < tmux 3021 < systemd 1", text)
    # the offered port is a hash of the project's folder
    for service, port in (("backend on", "11437"), ("use", "11933")):
        found = re.search(rf"{service} (11\d\d\d)", text)
        text = re.sub(rf"\b{found[1]}\b(?!-)", port, text) if found else text  # not the range that begins with it
    lines = [line for line in text.splitlines() if not line.startswith("not seen: container engine")]
    return "\n".join(lines).replace("\n\n$", "\n$") + "\n"


def rewritten(text: str, made: dict[str, str]) -> str:
    """A document with its generated parts as they should be."""
    return _PART.sub(lambda part: f"{part[1]}{made.get(part['name'], part['text'])}{part[4]}", text)


def documents() -> list[Path]:
    """The documents that may have generated parts."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        _act(sys.argv[1], json.loads(sys.argv[2]))
    else:
        made = parts()
        for path in documents():
            path.write_text(rewritten(path.read_text("utf-8"), made), "utf-8")
        from tests.manual import PAGE, page

        PAGE.write_text(page(), "ascii")
