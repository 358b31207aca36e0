"""Windows' excluded port ranges, read from recorded answers of netsh (no Windows machine was at hand)."""

from __future__ import annotations

from portward.model import PortRange
from portward.sockets._excluded import excluded_ranges

# recorded: https://github.com/localsend/localsend/issues/125 (2026-08-26), English
ENGLISH = """\

Protocol tcp Port Exclusion Ranges

Start Port    End Port
----------    --------
      5985        5985
     47001       47001
     49673       49772
     50000       50059     *
     50060       50159
     50164       50263

* - Administered port exclusions.

"""

# recorded: https://github.com/microsoft/WSL/issues/5306 (2022-06-13), Spanish
SPANISH = """\
Puerto de inicio    Puerto final
----------          --------
      1025        1124
      1125        1224
      5357        5357
     24266       24365
     50000       50059
"""

# recorded: https://github.com/open-telemetry/opentelemetry-collector-contrib/pull/10872 (2022-06-09), udp, CRLF as on Windows
UDP = """\

Protocol udp Port Exclusion Ranges

Start Port    End Port      \r
----------    --------      \r
     56030       56129      \r
     56130       56229      \r

* - Administered port exclusions.
"""


def test_each_row_is_a_range() -> None:
    """Single ports, blocks and administered exclusions are all ranges that a bind may be refused in."""
    assert [str(ports) for ports in excluded_ranges(ENGLISH)] == [
        "5985",
        "47001",
        "49673-49772",
        "50000-50059",
        "50060-50159",
        "50164-50263",
    ]


def test_the_language_of_the_headings_does_not_matter() -> None:
    """Only digits are read: headings are localised."""
    assert excluded_ranges(SPANISH)[:2] == (PortRange(1025, 1124), PortRange(1125, 1224))
    assert len(excluded_ranges(SPANISH)) == 5


def test_windows_line_ends_and_trailing_blanks() -> None:
    """netsh pads its columns and ends its lines with CR LF."""
    assert excluded_ranges(UDP) == (PortRange(56030, 56129), PortRange(56130, 56229))


def test_what_is_no_row_is_passed_over() -> None:
    """No ranges, an error message, or numbers in a sentence or out of order give nothing."""
    assert excluded_ranges("") == ()
    assert excluded_ranges("The following command was not found: interface 12 34 show.") == ()
    assert excluded_ranges("70000 70010\n500 400\n0 10\n80\n1 2 3") == ()
