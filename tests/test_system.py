"""What the system does with ranges of ports, asked of the real one."""

from __future__ import annotations

import pytest

from portward.model import PortRange
from portward.sockets import system
from portward.sockets.bind import ephemeral_range
from tests.conftest import need, need_root, run_code

ASK = """
from portward.sockets import system
for setting in sys.argv[1:]:
    name, value = setting.split("=")
    with open(f"/proc/sys/net/ipv4/{name}", "w") as file:
        file.write(value)
told = system.read()
ready(privileged=str(told.privileged), ephemeral=str(told.ephemeral), kept=[str(ports) for ports in told.kept])
"""


@pytest.mark.parametrize(
    ("text", "ranges"),
    [
        ("", ()),
        ("\n", ()),
        ("8080\n", (PortRange(8080, 8080),)),
        ("8080,9000-9010\n", (PortRange(8080, 8080), PortRange(9000, 9010))),
        ("what else", ()),
    ],
)
def test_kept_ranges(text: str, ranges: tuple[PortRange, ...]) -> None:
    """The form of ip_local_reserved_ports, which is empty by default."""
    assert system.kept_ranges(text) == ranges


def test_this_system() -> None:
    """It has a range for connections, and keeps the lowest ports to the privileged, or to nobody."""
    told = system.read()
    assert told.ephemeral == ephemeral_range()
    assert told.privileged is None or told.privileged.low == 1


@pytest.mark.parametrize(("start", "privileged"), [("1024", "1-1023"), ("80", "1-79"), ("0", "None")])
def test_settings_of_a_network_namespace(start: str, privileged: str) -> None:
    """Each network namespace has its own, and they are read, not assumed."""
    need_root()
    facts = run_code(
        ASK,
        f"ip_unprivileged_port_start={start}",
        "ip_local_port_range=40000 50000",
        "ip_local_reserved_ports=45000,46000-46010",
        prefix=[need("unshare"), "--net"],
    )
    assert facts == {"privileged": privileged, "ephemeral": "40000-50000", "kept": ["45000", "46000-46010"]}
