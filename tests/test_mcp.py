"""`portward mcp`, asked by the official SDK's client over stdio: every tool, what it costs, and what it never does."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from portward.answers import Changes
from portward.errors import UsageError
from portward.serve.mcp.server import Tools, size
from portward.serve.previews import SECONDS, Preview, Previews
from tests import killing
from tests.agent import Agent, nexus, session

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Listen, Spawn

MOST_TOOLS = 10
MOST_CHARACTERS = 10_500
NAMES = ["listeners", "who", "check", "lease", "release", "set_port", "explain", "doctor", "identify"]


@pytest.mark.parametrize("allow_kill", [False, True])
def test_the_list_of_tools_is_small(allow_kill: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole answer to tools/list, output schemas and annotations included, is printed, and small."""
    listed = Tools(".", allow_kill=allow_kill).listed()
    characters = size(listed)
    with capsys.disabled():
        print(f"\ntools/list{' with kill' if allow_kill else ''}: {len(listed)} tools, {characters} characters of JSON")
    assert [tool.name for tool in listed] == [*NAMES, *(["kill"] if allow_kill else [])]
    assert len(listed) <= MOST_TOOLS
    assert characters <= MOST_CHARACTERS


def test_every_tool_says_what_it_does() -> None:
    """All four hints, a description, and schemas of objects; what only reads destroys nothing."""
    for tool in Tools(".", allow_kill=True).listed():
        hints = tool.annotations
        assert hints is not None
        told = (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint)
        assert all(isinstance(hint, bool) for hint in told), tool.name
        assert not (hints.read_only_hint and hints.destructive_hint)
        assert tool.description
        assert tool.output_schema is not None
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"


def test_every_tool_over_stdio(tmp_path: Path, listen: Listen, free_port: int, spare_port: int) -> None:
    """Each tool is called on the worked example, whose backend's port a stranger holds; each answer fits its schema."""
    listen(port=free_port)

    async def script(agent: Agent) -> None:
        assert list(await agent.tools()) == [*NAMES, "kill"]
        rows = (await agent.ask("listeners", query=[str(free_port)]))["listeners"]
        assert [row["port"] for row in rows] == [free_port]
        who = (await agent.ask("who", ports=[free_port]))["ports"][0]
        assert [row["port"] for row in who["listeners"]] == [free_port]
        assert "docker-compose.yml" in [place["path"] for place in who["declared"]]
        found = await agent.ask("check")
        taken = [row["service"] for row in found["services"] if row["state"] == "taken"]
        assert "backend" in taken
        assert any(f["rule"] == "address-in-use" and f["service"] == "backend" for f in found["findings"])
        rows = (await agent.ask("check", ports=[str(free_port), str(spare_port)]))["ports"]
        assert [row["available"] for row in rows] == [False, True]
        leased = (await agent.ask("lease", services=["web"]))["leases"]
        assert [row["service"] for row in leased] == ["web"]
        assert (await agent.ask("lease", services=["web"]))["leases"] == leased
        given_back = (await agent.ask("release", services=["web"]))["leases"]
        assert [row["port"] for row in given_back] == [row["port"] for row in leased]
        shown = await agent.ask("set_port", wishes=[f"backend={spare_port}"])
        assert shown["preview_id"]
        assert f"+PORT={spare_port}" in shown["diff"]
        text = f"Error: listen EADDRINUSE: address already in use 127.0.0.1:{free_port}"
        diagnosis = (await agent.ask("explain", text=text))["diagnoses"][0]
        assert (diagnosis["kind"], diagnosis["port"]) == ("port_in_use", free_port)
        examined = await agent.ask("doctor", target=f"127.0.0.1:{free_port}")
        assert examined["reachable"] is True
        identity = (await agent.ask("identify", targets=[f"127.0.0.1:{free_port}"]))["targets"][0]
        assert identity["port"] == free_port
        refused = (await agent.ask("kill", ports=[str(free_port)]))["refused"]
        assert [row["port"] for row in refused] == [free_port]

    session(script, nexus(tmp_path, free_port), "--allow-kill")


def test_a_change_is_shown_and_then_made_once(tmp_path: Path, free_port: int, spare_port: int) -> None:
    """A preview writes nothing; its id writes just what was shown, and only once."""
    folder = nexus(tmp_path, free_port)
    before = (folder / ".env").read_bytes()

    async def script(agent: Agent) -> None:
        shown = await agent.ask("set_port", wishes=[f"backend={spare_port}"])
        assert not shown["written"]
        assert (folder / ".env").read_bytes() == before
        made = await agent.ask("set_port", preview_id=shown["preview_id"])
        assert made["written"]
        assert made["undo"]
        assert (folder / ".env").read_text() == f"PORT={spare_port}\n"
        assert sorted(made["files"]) == sorted(shown["files"])
        again = await agent.refusal("set_port", preview_id=shown["preview_id"])
        assert again["error"]["code"] == "usage"
        same = await agent.ask("set_port", wishes=[f"backend={spare_port}"])
        assert "preview_id" not in same

    session(script, folder)


@pytest.mark.parametrize("changed", [".env", "README.md", "docker-compose.yml"])
def test_a_file_that_changed_meanwhile_refuses(tmp_path: Path, free_port: int, spare_port: int, changed: str) -> None:
    """A file that somebody changed after the preview, anywhere in it, keeps everything as it is."""
    folder = nexus(tmp_path, free_port)

    async def script(agent: Agent) -> None:
        shown = await agent.ask("set_port", wishes=[f"backend={spare_port}"])
        assert changed in shown["files"]
        with open(folder / changed, "a") as file:
            file.write("# somebody else\n")
        refused = await agent.refusal("set_port", preview_id=shown["preview_id"])
        assert refused["error"]["code"] == "file-changed"
        assert str(spare_port) not in (folder / ".env").read_text()

    session(script, folder)


def test_previews_end() -> None:
    """An id is good once, for its own kind, and until its time is over."""
    now = [0.0]
    previews = Previews(lambda: now[0])
    change = Preview("set_port", {"wishes": ["web=1"]}, Changes((), ""))
    first, second = previews.keep(change), previews.keep(change)
    with pytest.raises(UsageError):
        previews.take(first, "kill")
    assert previews.take(first, "set_port") == change
    with pytest.raises(UsageError):
        previews.take(first, "set_port")
    now[0] = SECONDS + 1
    with pytest.raises(UsageError):
        previews.take(second, "set_port")


def test_the_first_reply_comes_soon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Within two seconds, by its own time: loading the SDK is most of it. Printed with what the clock says."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}) + "\n"
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(
        [sys.executable, "-m", "portward", "mcp"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(line)
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        took = time.monotonic() - began
        server.stdin.close()
        server.wait(60)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = ended.ru_utime + ended.ru_stime - used.ru_utime - used.ru_stime
    with capsys.disabled():
        print(f"\nmcp: the first reply came after {took:.2f} s; {seconds:.2f} s of CPU with the end")
    assert answer["result"]["serverInfo"]["name"] == "portward"
    assert seconds <= 2.0


def test_kill_is_not_offered_unless_asked_for(tmp_path: Path, free_port: int) -> None:
    """Without --allow-kill there is no such tool, and calling it is refused."""

    async def script(agent: Agent) -> None:
        assert "kill" not in await agent.tools()
        assert (await agent.refusal("kill", ports=["1"]))["error"]["code"] == "usage"

    session(script, nexus(tmp_path, free_port))


def test_kill_stops_what_is_of_this_project_alone(
    tmp_path: Path, spawn: Spawn, free_port: int, spare_port: int
) -> None:
    """A server that was started in the project is shown, then stopped by the id; a stranger is left alone."""
    folder = nexus(tmp_path, free_port)
    stranger = spawn(killing.SERVER, spare_port, cwd=tmp_path)
    own = spawn(killing.SERVER, free_port, cwd=folder)

    async def script(agent: Agent) -> None:
        other = await agent.ask("kill", ports=[str(spare_port)])
        assert not other["planned"]
        assert "preview_id" not in other
        shown = await agent.ask("kill", ports=[str(free_port)])
        assert [stop["pid"] for stop in shown["planned"]] == [own.pid]
        assert not shown["stopped"]
        assert own.process.poll() is None
        done = await agent.ask("kill", preview_id=shown["preview_id"])
        assert [stop["port"] for stop in done["stopped"]] == [free_port]
        own.process.wait(60)
        await agent.refusal("kill", preview_id=shown["preview_id"])
        assert stranger.process.poll() is None

    session(script, folder, "--allow-kill")


def test_kill_refuses_who_was_not_shown(tmp_path: Path, spawn: Spawn, free_port: int) -> None:
    """Between the preview and its execution another process took the port: it is not what was shown."""
    folder = nexus(tmp_path, free_port)
    first = spawn(killing.SERVER, free_port, cwd=folder)

    async def script(agent: Agent) -> None:
        shown = await agent.ask("kill", ports=[str(free_port)])
        first.stop()
        second = spawn(killing.SERVER, free_port, cwd=folder)
        refused = await agent.refusal("kill", preview_id=shown["preview_id"])
        assert refused["error"]["code"] == "unavailable"
        assert second.process.poll() is None

    session(script, folder, "--allow-kill")


def test_what_goes_wrong_says_what_to_do_next(tmp_path: Path, free_port: int) -> None:
    """Wrong tools, arguments and ports, and a project that Compose would refuse, come back as results."""
    folder = nexus(tmp_path, free_port)

    async def script(agent: Agent) -> None:
        assert "listeners" in (await agent.refusal("no_such_tool"))["next"]
        assert "ports" in (await agent.refusal("who"))["next"]
        assert "ports" in (await agent.refusal("who", ports="5000"))["next"]
        assert "ports" in (await agent.refusal("who", prots=["5000"]))["next"]
        assert (await agent.refusal("who", ports=["80880"]))["error"]["code"] == "invalid-port"
        assert (await agent.refusal("set_port", wishes=["nobody=5000"]))["error"]["code"] == "usage"
        await agent.refusal("set_port")
        (folder / "docker-compose.yml").write_text('services: {web: {ports: ["80880:80"]}}\n')
        broken = await agent.refusal("check")
        assert "docker-compose.yml:1:" in broken["error"]["place"]

    session(script, folder)


def test_outside_a_project_the_machine_is_still_seen(tmp_path: Path, listen: Listen) -> None:
    """Tools that need no project answer; `check` says that there is none."""
    port = listen().getsockname()[1]

    async def script(agent: Agent) -> None:
        assert (await agent.ask("listeners", query=[str(port)]))["listeners"]
        assert (await agent.refusal("check"))["error"]["code"] == "no-project"

    session(script, tmp_path)


def test_without_the_sdk_the_extra_is_named(tmp_path: Path) -> None:
    """`portward mcp` tells how to install what it needs, and is status 3."""
    code = "import sys; sys.modules['mcp'] = None; from portward.cli import main; sys.exit(main(['mcp']))"
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert "hint: pip install 'portward[mcp]'" in done.stderr


def test_no_other_verb_loads_the_sdk(tmp_path: Path, free_port: int) -> None:
    """The SDK takes longer to load than any look at a port."""
    code = (
        "import sys; from portward.cli import main; main(['check', sys.argv[1]]); main(['check']); main(['lease', 'web']); "
        "sys.exit(any(name.partition('.')[0] in ('mcp', 'anyio', 'pydantic') for name in sys.modules))"
    )
    state = {"XDG_STATE_HOME": str(tmp_path / "state"), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(free_port)], cwd=nexus(tmp_path, free_port), env=state, capture_output=True
    )
    assert done.returncode == 0
