"""Measures the dashboard with thousands of listeners, in the network namespace that it is started in: `FOLDER COUNT`.

Prints one JSON document: milliseconds to the first paint with all rows there, and of main thread for each update, several tries of each.
"""

from __future__ import annotations

import json
import resource
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tests.dashboard import dashboard

if TYPE_CHECKING:
    from playwright.sync_api import Browser, CDPSession, Page

TRIES = 3
SHOWN = 8
"""A row that is in the document once the first rows are."""
FIRST_PORT = 20000


def main(folder: Path, count: int) -> None:
    """See the module."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, count + 1000))
    held = [socket.create_server(("127.0.0.1", FIRST_PORT + step)) for step in range(count)]
    place = folder / "project"
    place.mkdir()
    found: dict[str, object] = {}
    with dashboard(place) as served, sync_playwright() as playwright:
        path = shutil.which("chromium") or ""
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        found["first paint"] = [_first_paint(browser, served.url) for _ in range(TRIES)]
        page = _open(browser, served.url)
        found["rows"] = page.evaluate("Number(document.querySelector('.list table').getAttribute('aria-rowcount')) - 1")
        found["in the document"] = page.locator("#list tr").count()
        found["update"] = [_update(page, step) for step in range(TRIES)]
        browser.close()
    for each in held:
        each.close()
    print(json.dumps(found))


def _open(browser: Browser, url: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(url)
    page.locator(f"#list tr[aria-rowindex='{SHOWN}']").wait_for()
    return page


def _first_paint(browser: Browser, url: str) -> float:
    """Milliseconds from the start of the navigation until all rows are known and a frame with them is drawn."""
    page = _open(browser, url)
    taken = float(page.evaluate("performance.getEntriesByName('first rows')[0].startTime"))
    page.close()
    return round(taken, 1)


def _update(page: Page, step: int) -> float:
    """Milliseconds of main thread from a new listener's start until it is shown."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before = _busy(session)
    with socket.create_server(("127.0.0.1", 9000 + step)):
        page.get_by_text(f"{9000 + step} started").wait_for()
        taken = _busy(session) - before
    page.get_by_text(f"{9000 + step} stopped").wait_for()
    return round(taken, 1)


def _busy(session: CDPSession) -> float:
    """Milliseconds that the main thread has worked (`TaskDuration` of the DevTools protocol)."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return 1000 * float(next(each["value"] for each in metrics if each["name"] == "TaskDuration"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
