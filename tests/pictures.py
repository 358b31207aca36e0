"""The pictures of the documentation, made from real runs: `python -m tests.pictures`, as root, with Chromium.

The terminal's is text, and a test compares it; `top` and the dashboard are pictures of a moment.
"""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from tests.dashboard import dashboard
from tests.generated_docs import ROOT, acted

PICTURES = ROOT / "docs/pictures"
SESSION = (("portward check", "nexus"), ("portward resolve", "nexus"))
WIDTH = 100
SHOWN = "/srv"
"""The folder that the pictures are taken in."""
_FONT_FACE = re.compile(r"@font-face {[^}]*}\s*", re.DOTALL)  # fonts of another host


def terminal() -> str:
    """A session as an SVG, with the colours that a terminal is given."""
    printed = acted(SESSION, in_colour=True).removesuffix("$ echo $?\n1\n")
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in printed.splitlines():
        console.print(Text.from_ansi(line), soft_wrap=True)
    return _FONT_FACE.sub("", console.export_svg(title="portward", theme=MONOKAI, unique_id="portward"))


def live(folder: str) -> None:
    """`top` and the dashboard with the worked example's ports held by real servers; called in network and mount namespaces of its own."""
    from playwright.sync_api import sync_playwright

    from portward.serve.top import Top
    from portward.ward import Portward

    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", folder, SHOWN], check=True)
    folder = SHOWN
    project = Path(folder) / "nexus"
    shutil.copytree(ROOT / "examples/nexus", project)
    other = Path(folder) / "old-demo"
    other.mkdir()
    (other / ".git").mkdir()
    servers = [
        subprocess.Popen([sys.executable, "-m", "http.server", str(port)], cwd=place, stderr=subprocess.DEVNULL)
        for port, place in ((5000, other), (8000, other), (3000, project), (6006, folder))
    ]
    try:
        asyncio.run(_picture_of_top(lambda: Portward.open(project), Top))
        with dashboard(project) as served, sync_playwright() as playwright:
            path = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": 1180, "height": 860})
            page.goto(served.url)
            page.get_by_text("backend cannot have").wait_for()
            page.screenshot(path=PICTURES / "dashboard.png")
            browser.close()
    finally:
        for server in servers:
            server.kill()
            server.wait()


async def _picture_of_top(open_ward: object, top: type) -> None:
    app = top(open_ward)
    async with app.run_test(size=(WIDTH, 16)) as pilot:
        while len(app.query_one("DataTable").rows) < 4:
            await pilot.pause(0.1)
        await pilot.pause(0.5)
        (PICTURES / "top.svg").write_text(_FONT_FACE.sub("", app.export_screenshot(title="portward top")), "utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        live(sys.argv[1])
    else:
        PICTURES.mkdir(exist_ok=True)
        (PICTURES / "terminal.svg").write_text(terminal(), "utf-8")
        with tempfile.TemporaryDirectory() as made:
            subprocess.run(["unshare", "--net", "--mount", sys.executable, "-m", "tests.pictures", made], check=True)
