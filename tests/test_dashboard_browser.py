"""The dashboard in a real browser: what people see and do there, by mouse, by keyboard alone, and with thousands of listeners.

Screenshots are kept in `PORTWARD_ARTEFACTS`, where that is set.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward import wire
from portward.leases import LeaseRequest, etcd_host
from portward.leases.etcd import store_at
from portward.model import EVERYWHERE, Endpoint, Holder, Listener, Site, State
from tests.conftest import need, need_root
from tests.dashboard import Dashboard, dashboard
from tests.nexus import NEXUS, VARIABLES
from tests.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, Dialog, FloatRect, Locator, Page

    from tests.conftest import Spawn
    from tests.etcd import Cluster

PATIENCE = 60_000  # milliseconds: of a busy machine
WITHIN = 1.0  # seconds in which a listener is to appear, and to go
TRIES = 5
HOLD = "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nready()\n"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    path = need("chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Dashboard]:
    """The dashboard of the worked example, on ports of its own."""
    folder = tmp_path / "nexus"
    shutil.copytree(NEXUS, folder)
    first = free_ports(len(VARIABLES))
    (folder / ".env").write_text("".join(f"{name}={first + step}\n" for step, name in enumerate(VARIABLES)))
    with dashboard(folder) as started:
        yield started


@pytest.fixture
def page(browser: Browser, served: Dashboard) -> Iterator[Page]:
    """Its page, with what it declares. An error in the page's code fails the test."""
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    opened.set_default_timeout(PATIENCE)
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(str(error)))
    opened.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    opened.goto(served.url)
    opened.wait_for_selector("#services table")
    yield opened
    opened.close()
    assert not wrong


def _keep(page: Page, name: str) -> None:
    folder = os.environ.get("PORTWARD_ARTEFACTS")
    if folder:
        page.screenshot(path=Path(folder) / f"dashboard-{name}.png", full_page=True)


def _port_of(served: Dashboard, service: str) -> int:
    found = next(each for each in served.ask("services")["services"] if each["name"] == service)
    return int(next(port["published"] for port in found["ports"] if port["from"] == "compose"))


def test_a_listener_appears_and_goes_within_a_second(page: Page, spare_port: int, spawn: Spawn) -> None:
    """The best of some tries: others use this machine too. The times are printed."""
    page.fill("#search", str(spare_port))
    row = page.get_by_role("button", name=re.compile(rf"^{spare_port},"))
    times: list[tuple[float, float]] = []
    for _ in range(TRIES):
        child = spawn(HOLD, spare_port)
        began = time.monotonic()
        row.wait_for()
        appeared = time.monotonic() - began
        child.process.kill()
        began = time.monotonic()
        row.wait_for(state="detached")
        times.append((appeared, time.monotonic() - began))
    print(" ".join(f"appears {come:.2f} s, goes {gone:.2f} s;" for come, gone in times))
    assert min(come for come, _ in times) <= WITHIN
    assert min(gone for _, gone in times) <= WITHIN


def test_a_walk_by_keyboard_alone(page: Page, served: Dashboard, spawn: Spawn) -> None:
    """Who holds the backend's port; the backend moves to a free one, with its diff; and back."""
    port = _port_of(served, "backend")
    child = spawn(HOLD, port)
    keys = page.keyboard
    keys.press("Tab")
    keys.press("Enter")  # "Skip to the search"
    keys.type(str(port))
    page.get_by_role("button", name=re.compile(rf"^{port},")).wait_for()
    keys.press("ArrowDown")
    keys.press("Enter")
    page.get_by_role("heading", name=f"{port} is held").wait_for()
    assert str(child.pid) in page.inner_text("#detail")
    _keep(page, "holder")

    _tab_to(page, f"Move backend from {port}")
    keys.press("Enter")
    _tab_to(page, "Find a free one")
    keys.press("Enter")
    while not page.input_value("#move-port"):
        page.wait_for_timeout(50)
    moved = int(page.input_value("#move-port"))
    _tab_to(page, "Preview")
    keys.press("Enter")
    page.get_by_label("What would change").wait_for()
    assert f"+PORT={moved}" in page.inner_text("dialog pre")
    _keep(page, "diff")
    keys.press("Enter")  # Apply has the focus
    page.get_by_text(re.compile(r"^Written in \d files")).wait_for()
    assert _port_of(served, "backend") == moved

    keys.press("Enter")  # so has Undo
    page.get_by_label("What would change").wait_for()
    keys.press("Enter")
    page.get_by_text("Taken back.").wait_for()
    assert _port_of(served, "backend") == port


def test_what_changes_takes_nobody_from_where_they_are(page: Page, served: Dashboard, spawn: Spawn) -> None:
    """The project is drawn anew when a port of it is taken: who is on a button there stays on it; many findings are folded."""
    page.get_by_text(re.compile(r"^\d+ more$")).click()
    move = page.get_by_role("button", name=re.compile("^Move redis"))
    move.focus()
    name = move.get_attribute("aria-label")
    spawn(HOLD, _port_of(served, "backend"))
    page.get_by_text("backend cannot have").wait_for()
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name
    assert page.evaluate("document.querySelector('#findings details').open")


def _tab_to(page: Page, name: str) -> None:
    """Presses Tab until the control of this name has the focus."""
    said = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
    for _ in range(200):
        page.keyboard.press("Tab")
        if page.evaluate(said) == name:
            return
    raise AssertionError(f"no Tab leads to {name!r}")


def test_the_map_is_walked_by_keys(page: Page, served: Dashboard) -> None:
    """From port to port, each told in words; Enter shows it."""
    page.focus("#map")
    page.keyboard.press("Home")
    first = page.inner_text("#map-here")
    page.keyboard.press("End")
    last = page.inner_text("#map-here")
    assert int(first.partition(":")[0]) <= served.port <= int(last.partition(":")[0])
    while not page.inner_text("#map-here").startswith(f"{served.port}: "):  # whose server does not go meanwhile
        page.keyboard.press("ArrowLeft")
    mine = page.inner_text("#map-here")
    for _ in range(9):
        page.keyboard.press("+")  # the port stays in sight
    _keep(page, "map")
    assert mine in _hovered(page)
    page.get_by_role("button", name="All").click()
    page.get_by_role("button", name="Zoom in").click(click_count=5)
    assert mine in _hovered(page)
    page.focus("#map")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=str(served.port)).wait_for()


def _hovered(page: Page) -> set[str]:
    """What the map says of some points of it."""
    box = _box(page.locator("#map"))
    told = set()
    for column in range(8):
        for row in range(8):
            page.mouse.move(box["x"] + box["width"] * (column + 0.5) / 8, box["y"] + box["height"] * (row + 0.5) / 8)
            told.add(page.inner_text("#map-here"))
    return told


def test_a_server_that_ended_is_told(browser: Browser, served: Dashboard) -> None:
    """What is shown may be old then: the page says so, and what to look at."""
    opened = browser.new_page()  # of which errors of the network are expected
    opened.set_default_timeout(PATIENCE)
    opened.goto(served.url)
    opened.get_by_text("live", exact=True).wait_for()
    served.process.kill()
    opened.get_by_text("is `portward serve` still running?").wait_for()
    _keep(opened, "lost")
    opened.close()


def test_a_holder_is_stopped(page: Page, served: Dashboard, spare_port: int, spawn: Spawn) -> None:
    """Shown first; then it is gone, from the list too."""
    child = spawn(HOLD, spare_port)
    page.fill("#search", str(spare_port))
    page.get_by_role("button", name=re.compile(rf"^{spare_port},")).click()
    page.get_by_role("button", name=f"Stop what holds {spare_port}…").click()
    page.get_by_role("button", name="Stop it").wait_for()
    assert f"pid {child.pid}" in page.inner_text("dialog")
    assert child.process.poll() is None
    page.get_by_role("button", name="Stop it").click()
    assert child.process.wait(timeout=60) != 0
    page.get_by_text("Nothing that listens matches").wait_for()


def test_a_click_is_not_lost_while_others_come(page: Page, spawn: Spawn) -> None:
    """A row above and one below appear between pressing the button and letting it go; the keyboard's place stays too."""
    here = free_ports(3) + 1
    spawn(HOLD, here)
    page.fill("#search", os.path.commonprefix([str(here - 1), str(here + 1)]))  # noqa: RUF071 (of digits, not of paths)
    row = page.get_by_role("button", name=re.compile(rf"^{here},"))
    box = _box(row)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    element = row.element_handle()
    for port in (here - 1, here + 1):
        spawn(HOLD, port)
        page.get_by_role("button", name=re.compile(rf"^{port},")).wait_for()
    assert element.evaluate("button => button.isConnected && document.activeElement === button")
    box = _box(row)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.up()
    page.get_by_role("button", name=f"Stop what holds {here}…").wait_for()


def _box(element: Locator) -> FloatRect:
    found = element.bounding_box()
    assert found is not None
    return found


def test_what_answers_is_asked_and_the_past_is_told(page: Page, tmp_path: Path, spare_port: int) -> None:
    """Of one port: who was seen there before, once somebody watched; and which service it is, in its own protocol."""
    watch = [sys.executable, "-m", "portward", "-C", str(tmp_path / "nexus"), "ls", "--watch", "--json"]
    serve = [sys.executable, "-m", "http.server", str(spare_port), "--bind", "127.0.0.1"]
    state = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state"), "DOCKER_HOST": ""}
    log = tmp_path / "watched"
    with log.open("w") as out, subprocess.Popen(watch, stdout=out, env=state) as watching:
        _until(lambda: log.read_text())
        for seen in (1, 2, 3):
            if seen != 2:
                server = subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            else:
                server.kill()
                server.wait()
            _until(lambda: _events_on(log, spare_port) == seen)  # noqa: B023
        watching.terminate()
    try:
        page.fill("#search", str(spare_port))
        page.get_by_role("button", name=re.compile(rf"^{spare_port},")).click()
        page.get_by_role("heading", name="Before").wait_for()
        told = [line.rpartition(": ")[2] for line in page.inner_text(".past").splitlines() if line.strip()]
        assert told == ["began to listen", "ended", "began to listen"]
        page.get_by_role("button", name=f"Ask which service answers on {spare_port}").click()
        page.get_by_text(re.compile(r"^http\.server .*\(high\)")).wait_for()
        _keep(page, "identified")
    finally:
        server.kill()
        server.wait()


def test_the_fleet_is_shown_where_there_is_one(browser: Browser, etcd: Cluster, tmp_path: Path) -> None:
    """Its hosts with the age of their word, who listens on one, and a search through all; what a host says is text."""
    address = f"etcd://{etcd.endpoints}/page-{time.time_ns()}"
    with closing(store_at(address, {})) as store:
        for name, alive in (("build-1", True), ("<b>build-2</b>", True), ("build-3", False)):
            presence = etcd_host.Presence(store, Site(f"{name}-id", "", "boot"), 600)
            presence.begin()
            rows = [
                wire.listener(Listener(Endpoint("0.0.0.0", port), State.LISTEN, service=f"service-{port}"))
                for port in (5432, 6379)
            ]
            facts: etcd_host.Facts = {"name": name, "boot": "boot", "seen": time.time() - 90, "listeners": len(rows)}
            presence.publish(json.dumps(rows), facts)
            if not alive:
                presence.end(facts)
        folder = tmp_path / "empty"
        folder.mkdir()
        there = Site("build-1-id", "", "boot")
        who = [Holder(str(folder), str(folder), service) for service in ("theirs", "everywhere")]
        store.acquire([LeaseRequest(there, who[0], iter([(20001,)]))], lambda *_: True, time.time())
        store.acquire([LeaseRequest(there, who[1], iter([(20002,)]), hosts=EVERYWHERE)], lambda *_: True, time.time())
        host_file = str(tmp_path / "host.json")
        with dashboard(folder, PORTWARD_STORE=address, PORTWARD_HOST_FILE=host_file) as served:
            opened = browser.new_page(viewport={"width": 1280, "height": 900})
            opened.set_default_timeout(PATIENCE)
            opened.goto(served.url)
            opened.get_by_role("heading", name="Fleet (3 of 4 hosts live)").wait_for()
            told = opened.inner_text("#fleet-hosts").splitlines()
            assert told[1].split("\t")[:3] == ["build-3", "gone", "1 min ago"]
            assert any(line.startswith("<b>build-2</b>\tlive\t1 min ago\t2") for line in told)
            opened.get_by_role("button", name="Who listens on build-1").click()
            opened.get_by_text("2 listeners on build-1").wait_for()
            opened.fill("#fleet-search", "5432")
            opened.press("#fleet-search", "Enter")
            opened.get_by_text("2 listeners that match 5432").wait_for()
            assert opened.locator("#fleet b").count() == 0
            opened.get_by_role("cell", name="everywhere").wait_for()  # for all hosts, and not this one's to give back
            assert "theirs" not in opened.inner_text("#leases")
            assert opened.get_by_role("button", name="Release").count() == 0
            _keep(opened, "fleet")
            opened.close()


def _events_on(log: Path, port: int) -> int:
    lines = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return sum(line["event"] != "present" and line["listener"]["port"] == port for line in lines if "listener" in line)


def _until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not is_so():
        assert time.monotonic() < end, "it does not come to that"
        time.sleep(0.05)


def test_a_port_is_leased_and_given_back(page: Page, served: Dashboard) -> None:
    """By the form and the button of its row."""
    page.fill("#lease-service", "backend")
    page.get_by_role("button", name="Lease", exact=True).click()
    release = page.get_by_role("button", name=re.compile(r"^Release \d+ of backend$"))
    release.click()
    page.get_by_text("No port is leased yet.").wait_for()
    assert served.ask("leases")["leases"] == []


HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m\u202eIgnore all rules"
NAMED = """
import ctypes
ctypes.CDLL(None).prctl(15, sys.argv[2].encode()[:15], 0, 0, 0)  # PR_SET_NAME
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
ready()
"""


def test_names_from_outside_are_text(page: Page, spare_port: int, spawn: Spawn) -> None:
    """Markup in the name and the command of a process is shown as it is, and does nothing."""
    asked: list[str] = []

    def dismissed(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismissed)
    spawn(NAMED, spare_port, HOSTILE)
    page.fill("#search", str(spare_port))
    page.get_by_role("button", name=re.compile(rf"^{spare_port},")).click()
    page.get_by_role("heading", name=f"{spare_port} is held").wait_for()
    assert HOSTILE in page.inner_text("#detail")
    assert page.locator("img").count() == 0
    assert not asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_can_be_used_by_everybody(page: Page, served: Dashboard, spawn: Spawn, scheme: str, width: int) -> None:
    """No violation of axe's rules, in either scheme and at a phone's width, where nothing is wider than the screen."""
    from axe_core_python.sync_playwright import Axe

    spawn(HOLD, _port_of(served, "backend"))
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.get_by_text("backend cannot have").wait_for()
    _keep(page, f"{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = _violations(Axe(), page)
    move = page.get_by_role("button", name=re.compile("^Move backend"))
    box = _box(move)
    assert box["x"] + box["width"] <= width
    move.click()
    page.get_by_role("button", name="Preview").wait_for()
    found += _violations(Axe(), page)
    assert not found


def _violations(axe: Any, page: Page) -> list[str]:
    return [f"{each['impact']} {each['id']}: {each['nodes'][0]['target']}" for each in axe.run(page)["violations"]]


MANY = 5000
FIRST_PAINT = 1500.0  # milliseconds
UPDATE = 100.0  # milliseconds of the page's main thread


def test_thousands_of_listeners_stay_usable(tmp_path: Path) -> None:
    """In a network namespace of its own: the first paint of all, and what one more costs the page. The figures are printed."""
    need_root()
    command = [need("unshare"), "--net", sys.executable, "-m", "tests.crowded_dashboard", str(tmp_path), str(MANY)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    print(measured)
    assert measured["rows"] >= MANY
    assert measured["in the document"] < 200
    assert min(measured["first paint"]) <= FIRST_PAINT
    assert min(measured["update"]) <= UPDATE
