"""Other machines asked over a real sshd: what they answer is data, and each failure is told by its cause."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from portward import remote
from portward.errors import Unavailable, UsageError
from portward.model import RemoteHost
from tests.ssh import Sshd

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """One server for all tests here."""
    server = Sshd(tmp_path_factory.mktemp("sshd"))
    try:
        yield server
    finally:
        server.stop()


def _ask(
    server: Sshd, script: str, *names: str, seconds: float = 300, words: tuple[str, ...] = ()
) -> list[remote.Told]:
    """What hosts say whose portward is a shell script."""
    environment = {**os.environ, **server.environment(server.script(script))}
    return list(remote.ask([remote.named(name) for name in names or ("one",)], words, environment, seconds=seconds))


def test_each_failure_is_told_by_its_cause(sshd: Sshd) -> None:
    """An unknown key, no permission, a closed port and a name without an address: each its own words, and one that answers."""
    names = ("one", "unknown", "denied", "closed", "nowhere")
    told = {each.host.name: each for each in _ask(sshd, "echo '{}'", *names)}
    assert told["one"].document == {}
    problems = {name: told[name].problem or "" for name in names[1:]}
    assert "host key" in problems["unknown"]
    assert "ssh unknown" in (told["unknown"].hint or "")
    assert "without a password" in problems["denied"]
    assert "refuses the connection" in problems["closed"]
    assert "has no address" in problems["nowhere"]


@pytest.mark.parametrize(
    ("script", "problem", "hint"),
    [
        ("exit 127", "cannot be started there", "PORTWARD_REMOTE"),
        ("exec /no/such/portward", "cannot be started there", "PORTWARD_REMOTE"),
        ("echo Welcome; echo '{}'", "no JSON of portward", "start-up file"),
        ("echo oh no >&2; exit 1", "printed nothing", "it says: oh no"),
        ("printf '[%.0s' $(seq 100000)", "no JSON of portward", "start-up file"),
        ("echo '[]'", "no JSON of portward", "start-up file"),
        ('echo \'{"error": {"code": "usage", "message": "--json"}}\'; exit 2', "does not know this", "old version"),
        ('echo \'{"error": {"code": "unavailable", "message": "no", "hint": 5}}\'; exit 3', "its portward says: no", None),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_problem(sshd: Sshd, script: str, problem: str, hint: str | None) -> None:
    """No portward, an old one, a talkative shell, garbage, and what it could not do itself."""
    (told,) = _ask(sshd, script)
    assert told.document is None
    assert problem in (told.problem or "")
    assert (hint is None and told.hint is None) or (hint or "?") in (told.hint or "")


def test_a_host_that_says_too_much_is_cut_off(sshd: Sshd) -> None:
    """An endless answer ends at a size, without waiting for its end."""
    (told,) = _ask(sshd, "exec cat /dev/zero", seconds=600)
    assert "larger than" in (told.problem or "")


def test_a_host_that_says_nothing_is_given_up(sshd: Sshd) -> None:
    """After its seconds, whatever it has said by then."""
    (told,) = _ask(sshd, "while echo; do sleep 0.1; done", seconds=1)
    assert told.problem == "it does not answer in time"


def test_words_arrive_as_they_are(sshd: Sshd) -> None:
    """What a shell would take for its own reaches the far side as text."""
    words = ("a b", "$(touch owned)", ";", "'", '"', "*", "--", "\\")
    script = 'python3 -c "import json, sys; print(json.dumps({\\"words\\": sys.argv[1:]}))" "$@"'
    environment = {**os.environ, **sshd.environment(f"sh -c {json.dumps(script)} sh")}
    environment["PORTWARD_REMOTE"] = sshd.script(script) + " sh"
    (told,) = remote.ask([RemoteHost("one", "one")], words, environment)
    assert told.document == {"words": [*words, "--json"]}


@pytest.mark.parametrize(
    "text", ["-oProxyCommand=touch owned", "-F/dev/null", "me@-oX", "", "ssh://-x", "a b", "a\nb", "$(id)", "x;y", "a@"]
)
def test_what_could_be_an_option_is_refused(text: str) -> None:
    """Nothing that ssh or a shell could take for something else than a host gets there."""
    with pytest.raises(UsageError):
        remote.named(text)


@pytest.mark.parametrize(
    "text", ["web1", "me@web1.example.org", "ssh://me@web1:2222", "me@2001:db8::1", "fe80::1%eth0"]
)
def test_a_host_is_as_ssh_has_it(text: str) -> None:
    """Names, addresses, users and URLs."""
    assert remote.named(text) == RemoteHost(text, text)


def test_without_ssh_nothing_can_be_asked() -> None:
    """That is one trouble of this machine, not one of each host."""
    with pytest.raises(Unavailable, match="no ssh"):
        remote.ask([RemoteHost("one", "one")], ["ls"], {"PATH": "/nonexistent"})


@pytest.mark.parametrize("name", ["PORTWARD_SSH", "PORTWARD_REMOTE"])
def test_a_command_with_an_open_quote_is_bad_usage(name: str) -> None:
    """It is told with the variable that has it."""
    with pytest.raises(UsageError, match=name):
        remote.ask([RemoteHost("one", "one")], ["ls"], {**os.environ, name: "x 'y"})
