"""A folder in which this source looks as if pip had installed it, for runs of pytest that are to find the plugin by themselves."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parent.parent


def install(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lets a run of pytest find this source and its entry points, with a lease store of its own. The address of the store."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    site = pytester.mkdir("site")
    information = site / "portward-0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: portward\nVersion: 0\n")
    entries = "".join(f"{name} = {module}\n" for name, module in declared.items())
    (information / "entry_points.txt").write_text(f"[pytest11]\n{entries}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT / "src")]))
    address = f"sqlite://{pytester.path}/state/leases.db"
    monkeypatch.setenv("PORTWARD_STORE", address)
    for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_ADDOPTS"):
        monkeypatch.delenv(name, raising=False)
    return address
