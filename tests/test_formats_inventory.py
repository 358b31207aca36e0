"""Ansible inventories: hosts, ranges, groups, children and the variables that say how a host is reached."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.errors import InvalidFile, PortwardError, UsageError
from portward.formats.inventory import hosts
from portward.model import RemoteHost

INI = """\
# before any section: ungrouped
jump.example.org:2200

[web]
web[01:03].example.org ansible_user=deploy
odd[1:5:2]
[db:vars]
ansible_user = dba
ansible_port=2222
[db]
db-[a:c]   # three
db-a ansible_host=10.0.0.7 ansible_ssh_port="22"

[site:children]
web
db
[site:vars]
ansible_user=site
"""

YAML = """\
all:
  vars: {ansible_user: everybody}
  hosts:
    jump: {ansible_host: 192.0.2.1, ansible_port: 2200}
  children:
    web:
      hosts:
        web[01:02]:
        web09: {ansible_user: deploy}
    site:
      vars: {ansible_user: site}
      children: {web: {}}
"""


def _destinations(text: str, group: str | None = None, path: str = "hosts.ini") -> list[tuple[str, int | None]]:
    return [(host.destination, host.port) for host in hosts(text, path, group)[0]]


def test_ini_hosts_ranges_and_variables() -> None:
    """Ranges keep their zeros and their step, a group's variables reach its hosts, and the host's own win."""
    assert _destinations(INI) == [
        ("jump.example.org", 2200),
        *((f"deploy@web{number}.example.org", None) for number in ("01", "02", "03")),
        *((f"site@odd{number}", None) for number in (1, 3, 5)),
        ("dba@10.0.0.7", 22),
        ("dba@db-b", 2222),
        ("dba@db-c", 2222),
    ]


def test_a_group_with_its_children_or_one_host() -> None:
    """GROUP is a group, with what is nested in it, or a host's own name."""
    assert len(_destinations(INI, "site")) == 9
    assert _destinations(INI, "ungrouped") == [("jump.example.org", 2200)]
    assert _destinations(INI, "db-b") == [("dba@db-b", 2222)]
    with pytest.raises(UsageError, match="no host or group 'cache'"):
        hosts(INI, "hosts.ini", "cache")


def test_yaml_says_the_same() -> None:
    """Hosts below groups below `all`, and variables of each."""
    assert _destinations(YAML, path="hosts.yml") == [
        ("everybody@192.0.2.1", 2200),
        ("site@web01", None),
        ("site@web02", None),
        ("deploy@web09", None),
    ]
    assert _destinations(YAML, "web", "inventory")[2] == ("deploy@web09", None)


def test_what_only_ansible_can_tell_is_passed_over_and_named() -> None:
    """A template, and a host that is not reached over SSH: the others stay."""
    text = "a ansible_host={{ x }}\nb ansible_connection=docker\nc\n"
    text = text.replace("{{ x }}", '"{{ x }}"')
    found, skipped = hosts(text, "hosts")
    assert found == (RemoteHost("c", "c"),)
    assert [entry.what for entry in skipped] == ["host a", "host b"]


@pytest.mark.parametrize(
    ("text", "path", "place"),
    [
        ("[web\na\n", "hosts", (1, 1)),
        ("[web]\na 'open\n", "hosts", (2, 3)),
        ("[web:vars]\nfoo\n", "hosts", (2, 1)),
        ("all:\n  hosts: [a, b]\n", "hosts.yml", (2, 10)),
        ("all:\n  hosts: {\n", "hosts.yml", (3, 1)),
    ],
)
def test_what_is_no_inventory_is_refused_with_its_place(text: str, path: str, place: tuple[int, int]) -> None:
    """The line and the column, as for every file."""
    with pytest.raises(InvalidFile) as caught:
        hosts(text, path)
    assert (caught.value.line, caught.value.column) == place


def test_groups_in_a_circle_end() -> None:
    """Two groups that are each other's children: every host once."""
    text = "[a]\none\n[a:children]\nb\n[b:children]\na\n"
    assert _destinations(text, "b") == [("one", None)]


@pytest.mark.parametrize("text", ["a[1:999999999]\n", "a[0:9999][0:9999]\n"])
def test_an_endless_range_is_refused(text: str) -> None:
    """It ends at a number of hosts, not with the memory."""
    with pytest.raises(UsageError, match="more than"):
        hosts(text, "hosts")


@given(st.text(alphabet="ab[]:=#'\" \n-{}1:,@", max_size=60), st.sampled_from(["hosts", "hosts.yml", "hosts.ini"]))
def test_any_text_is_read_or_refused(text: str, path: str) -> None:
    """No text ends in anything but hosts or an error on purpose."""
    try:
        found, _ = hosts(text, path)
    except PortwardError:
        return
    assert all(host.name for host in found)
