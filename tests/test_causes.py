"""The judgement of `doctor`: a pure function from evidence to checks, one cause and remedies, by table and by property."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward.causes import CHECKS, examine
from portward.evidence import (
    Aim,
    ContainerState,
    Declared,
    Door,
    Evidence,
    Heard,
    Lookup,
    Origin,
    Outcome,
    Queue,
    Ruleset,
    Speech,
)
from portward.model import Container, Endpoint, Listener, Owners, Process, Publication, Refusal, State, Transport

PORT = 5000
HTTP = Aim("http://localhost:5000", "localhost", PORT, "http")
OPEN = Door("127.0.0.1", Outcome.OPEN, heard=Heard.NOTHING, home="", source="127.0.0.1")
REFUSED = OPEN.replace(outcome=Outcome.REFUSED, heard=None)
HUNG_UP = OPEN.replace(heard=Heard.END)
SILENT = REFUSED.replace(outcome=Outcome.SILENT)
PYTHON = Process(41287, "python3", ("python3", "-m", "http.server"))
ROW = Listener(Endpoint("0.0.0.0", PORT), State.LISTEN, owners=Owners.SEEN, processes=(PYTHON,))
WEB = Container("0123456789ab", "web", "nginx")
PUBLISHED = Publication(Endpoint("0.0.0.0", PORT), 80)
RUNNING = ContainerState(
    WEB,
    "running",
    networks=(("bridge", "172.17.0.2"),),
    publications=(PUBLISHED,),
    netns="docker:x",
    listeners=(Endpoint("0.0.0.0", 80),),
)
FORWARDED = ROW.replace(processes=(), container=WEB.replace(target=80))
DROPS = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 5000 -j DROP\nCOMMIT\n"


def evidence(**known: Any) -> Evidence:
    """Evidence about a server on 127.0.0.1:5000 that answers, with what else is known."""
    usual = {"target": HTTP, "lookup": Lookup(("127.0.0.1",)), "doors": (OPEN,), "rows": (ROW,)}
    return Evidence(**{**usual, **known})


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"speech": Speech("http", 404, tls=False)},
        {"doors": (OPEN, REFUSED.replace(address="::1"))},
        {"queues": (Queue("", ROW.endpoint, 500, 5),)},
        {"rows": (), "doors": (OPEN.replace(home=None),)},
        {"rows": (FORWARDED,), "containers": (RUNNING,), "forwarder": "docker-proxy"},
        {"declared": Declared("web", "mine", compose=True, exists=True)},
        {"rulesets": (Ruleset("", "iptables", DROPS),)},
    ],
    ids=["plain", "http", "first-family", "a-queue", "far-away", "published", "ours", "rules"],
)
def test_healthy(known: dict[str, Any]) -> None:
    """A target that answers has no cause, whatever else is true of the machine."""
    answer = examine(evidence(**known))
    assert (answer.cause, answer.reachable, answer.fixes) == (None, True, ())


CAUSES: dict[str, tuple[dict[str, Any], str]] = {
    "no such name": ({"doors": (), "lookup": Lookup(error="Name or service not known")}, "does not exist"),
    "nothing": ({"doors": (REFUSED,), "rows": ()}, "nothing listens on 5000"),
    "elsewhere": ({"doors": (REFUSED.replace(home=None),), "rows": ()}, "the machine 127.0.0.1 refuses"),
    "family": ({"doors": (REFUSED.replace(address="::1"), OPEN)}, "IPv4 only"),
    "loopback": (
        {"doors": (REFUSED.replace(address="10.0.0.1"),), "rows": (ROW.replace(endpoint=Endpoint("127.0.0.1", PORT)),)},
        "loopback only",
    ),
    "namespace": ({"doors": (REFUSED,), "rows": (ROW.replace(netns="lab"),)}, "in the network namespace lab"),
    "not started, and another's namespace": (
        {"doors": (REFUSED,), "rows": (ROW.replace(netns="lab"),), "declared": Declared("api", compose=True, exists=False)},
        "api has not been started",
    ),
    "bound": ({"doors": (REFUSED,), "rows": (ROW.replace(state=State.BOUND),)}, "does not listen yet"),
    "udp": (
        {"doors": (REFUSED,), "rows": (ROW.replace(endpoint=Endpoint("0.0.0.0", PORT, Transport.UDP), state=State.UDP),)},
        "on UDP",
    ),
    "stopped": ({"stopped": (PYTHON,)}, "is stopped"),
    "queue": ({"doors": (SILENT,), "queues": (Queue("", ROW.endpoint, 6, 5),)}, "its queue is full"),
    "firewall": ({"doors": (SILENT,), "rulesets": (Ruleset("", "iptables", DROPS),)}, "a firewall rule drops it"),
    "firewall behind a forwarder": (
        {
            "rows": (FORWARDED,),
            "containers": (RUNNING,),
            "speech": Speech("http", timed_out=True, seconds=5.0),
            "rulesets": (Ruleset("docker:x", "iptables", DROPS.replace("5000", "80")),),
        },
        "a firewall rule in docker:x drops it",
    ),
    "route": ({"doors": (SILENT.replace(outcome=Outcome.UNREACHABLE, home=None, source=None),)}, "no route here"),
    "dropped far away": ({"doors": (SILENT.replace(home=None),), "rows": ()}, "does not answer: a firewall there"),
    "no ports": ({"doors": (REFUSED.replace(outcome=Outcome.NO_SOURCE),), "rows": ()}, "no port is left"),
    "sandbox": ({"doors": (REFUSED.replace(outcome=Outcome.DENIED),), "rows": ()}, "forbids the connection"),
    "tls": ({"speech": Speech("http", tls=True, said="a TLS alert")}, "speaks TLS"),
    "plain": (
        {"target": HTTP.replace(scheme="https"), "speech": Speech("https", tls=False, said="WRONG_VERSION_NUMBER")},
        "does not speak TLS",
    ),
    "stuck": ({"speech": Speech("http", timed_out=True, seconds=5.0)}, "says nothing within 5 s"),
    "another program of the project": (
        {"declared": Declared("api", "mine", runs=False)},
        "not api that answers on 5000, but python3 41287, which was started in this project's folder",
    ),
    "stranger": ({"declared": Declared("api", "stranger", compose=True)}, "not api that answers"),
    "not redis": (
        {
            "target": HTTP.replace(scheme="redis", meant="Redis"),
            "speech": Speech("identify", service="nginx", fits=False),
        },
        "nginx .* answers on 5000, not the Redis that redis:// means",
    ),
    "in the container": (
        {"doors": (HUNG_UP,), "rows": (FORWARDED,), "containers": (RUNNING.replace(listeners=(Endpoint("127.0.0.1", 80),)),)},
        "inside the container only",
    ),
    "wrong target": (
        {"doors": (HUNG_UP,), "rows": (FORWARDED,), "containers": (RUNNING.replace(listeners=(Endpoint("::", 8080),)),)},
        "published to 80 of web, but it listens on 8080",
    ),
    "crashed": (
        {"doors": (REFUSED,), "rows": (), "containers": (RUNNING.replace(state="exited", exit_code=1, publications=(), claims=(PUBLISHED,), log=("boom",)),)},
        "crashed with status 1; its last words: boom",
    ),
    "crash loop, just started again": (
        {
            "doors": (HUNG_UP,),
            "rows": (FORWARDED,),
            "containers": (RUNNING.replace(restarts=4, listeners=(), log=("boom",)),),
        },
        "web crashes and is started again, over and over; its last words: boom",
    ),
    "paused": (
        {"rows": (FORWARDED,), "containers": (RUNNING.replace(state="paused"),), "speech": Speech("http", timed_out=True)},
        "is paused",
    ),
    "proxy": ({"doors": (REFUSED,), "rows": (FORWARDED,), "containers": (RUNNING,)}, "should be published"),
    "not started": (
        {"doors": (REFUSED,), "rows": (), "declared": Declared("api", compose=True, exists=False)},
        "the service api has not been started",
    ),
    "not started, and another has such a port": (
        {
            "doors": (REFUSED,),
            "rows": (),
            "declared": Declared("api", compose=True, exists=False),
            "containers": (RUNNING.replace(state="exited", publications=(), claims=(PUBLISHED,)),),
        },
        "the service api has not been started",
    ),
    "privileged": (
        {"doors": (REFUSED,), "rows": (), "declared": Declared("api"), "may_bind": Refusal.NOT_PERMITTED},
        "you may not bind 5000",
    ),
    "inside": (
        {"doors": (REFUSED.replace(home="docker:y"),), "origin": Origin("docker:y", "app", "in app")},
        "inside app, localhost is app itself",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_cause(name: str) -> None:
    """Each piece of evidence alone leads to its own cause, and to at least one remedy."""
    import re

    known, expected = CAUSES[name]
    answer = examine(evidence(**known))
    assert re.search(expected, answer.cause or ""), answer
    assert answer.fixes
    assert answer.reachable is (name in ("family", "stranger", "another program of the project", "not redis"))


HOMES = st.sampled_from(["", "docker:x", "lab", None])
ADDRESSES = st.sampled_from(["127.0.0.1", "::1", "10.0.0.1", "172.17.0.2"])
ENDPOINTS = st.builds(
    Endpoint, st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "::1"]), st.sampled_from([80, PORT, 8080])
)
PUBLICATIONS = st.lists(st.builds(Publication, ENDPOINTS, st.sampled_from([80, PORT])), max_size=2).map(tuple)
STATES = st.sampled_from(["running", "exited", "created", "paused", "restarting", "dead"])
CONTAINERS = st.builds(
    ContainerState,
    st.builds(
        Container,
        st.just("0123456789ab"),
        st.sampled_from(["web", "app"]),
        st.just("nginx"),
        target=st.sampled_from([None, 80]),
    ),
    STATES,
    exit_code=st.sampled_from([None, 0, 1]),
    restarts=st.sampled_from([0, 3]),
    log=st.sampled_from([(), ("bind: permission denied",)]),
    host_network=st.booleans(),
    networks=st.sampled_from([(), (("bridge", "172.17.0.2"),), (("own", ""),)]),
    publications=PUBLICATIONS,
    claims=PUBLICATIONS,
    exposed=st.sampled_from([(), (80,), (PORT,)]),
    netns=HOMES,
    listeners=st.none() | st.lists(ENDPOINTS, max_size=2).map(tuple),
)
ROWS = st.builds(
    Listener,
    ENDPOINTS.map(lambda each: each.replace(port=PORT)),
    st.sampled_from(list(State)),
    owners=st.sampled_from(list(Owners)),
    processes=st.sampled_from([(), (PYTHON,)]),
    container=st.sampled_from([None, WEB]),
    netns=st.sampled_from([None, "docker:x", "lab"]),
)
DOORS = st.builds(
    Door,
    ADDRESSES,
    st.sampled_from(list(Outcome)),
    st.just("why"),
    st.sampled_from([None, *Heard]),
    HOMES,
    st.none() | ADDRESSES,
)
EVIDENCE = st.builds(
    Evidence,
    st.sampled_from([HTTP, HTTP.replace(scheme="", service="web"), HTTP.replace(scheme="redis", host="web")]),
    origin=st.sampled_from([Origin(), Origin("lab", None, "in lab"), Origin("docker:x", "app", "in app")]),
    lookup=st.sampled_from([Lookup(("127.0.0.1",)), Lookup(error="no such name"), Lookup(("::1", "127.0.0.1"))]),
    doors=st.lists(DOORS, max_size=3).map(tuple),
    rows=st.lists(ROWS, max_size=3).map(tuple),
    containers=st.lists(CONTAINERS, max_size=2).map(tuple),
    queues=st.lists(st.builds(Queue, st.sampled_from(["", "lab"]), ENDPOINTS, st.integers(0, 9), st.just(5)), max_size=1).map(tuple),
    stopped=st.sampled_from([(), (PYTHON,)]),
    rulesets=st.sampled_from([(), (Ruleset("", "iptables", DROPS),), (Ruleset("", "nft", "{"),)]),
    speech=st.none() | st.builds(Speech, st.sampled_from(["http", "https", "identify"]), st.none() | st.just(200), st.sampled_from([None, True, False]), timed_out=st.booleans()),
    declared=st.none() | st.builds(Declared, st.just("api"), st.sampled_from(["mine", "stranger", "nobody"]), st.booleans(), st.sampled_from([None, True, False])),
    may_bind=st.none() | st.sampled_from(list(Refusal)),
    forwarder=st.sampled_from([None, "dockerd", "docker-proxy"]),
)  # fmt: skip


@given(EVIDENCE)
def test_any_evidence_is_judged(given_evidence: Evidence) -> None:
    """Whatever was seen, the answer is the same each time; the cause is one that a failed check gave, the safest remedy comes first."""
    answer = examine(given_evidence)
    assert answer == examine(given_evidence)
    causes = [step.cause for step in answer.checks if step.cause is not None]
    assert answer.cause == (causes[0] if causes else None)
    assert not any(step.ok for step in answer.checks if step.cause is not None)
    assert [fix.safe for fix in answer.fixes] == sorted((fix.safe for fix in answer.fixes), reverse=True)
    assert answer.reachable <= given_evidence.reached


@given(EVIDENCE)
def test_what_cannot_be_reached_is_never_well(given_evidence: Evidence) -> None:
    """Where doors were tried and none answers, a check says no."""
    if given_evidence.doors and not given_evidence.reached:
        assert not all(step.ok for step in examine(given_evidence).checks)


def test_every_check_is_in_the_list() -> None:
    """A file with a check is asked, or is the last resort."""
    from pathlib import Path

    from portward import causes

    names = {path.stem for path in Path(causes.__file__).parent.glob("*.py")} - {"__init__", "nothing"}
    assert {check.__module__.rpartition(".")[2] for check in CHECKS} == names
