"""Processes that ask a lease store, for its tests and measurements: `python -m tests.lease_workers take|claim|kill ADDRESS …`.

`take` asks the store itself, the library or the command line, as its last word says.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from portward import allocate
from portward.leases import LeaseRequest, here, open_store
from portward.model import ANY, Endpoint, Holder, PortRange, PortRequest, Reading, Snapshot, Transport
from portward.sockets.bind import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from portward.model import Lease

    Answer = tuple[int, str, float | None]
    """A port, the token of its lease where that is told, and how long the grant took where that is not the whole time."""

PORTS = PortRange(20000, 29999)
COMMAND = os.path.join(os.path.dirname(__file__), "timed_command.py")
MANY_PORTS = PortRange(1024, 65535)


def is_free(port: int, transport: Transport) -> bool:
    """The real bind, as the verbs ask it."""
    return refusal(Endpoint(ANY, port, transport)) is None


def request(service: str, ports: PortRange = PORTS) -> LeaseRequest:
    """A service's wish for one port, with the candidates that the verbs would offer."""

    def offers() -> Iterator[tuple[int, ...]]:
        yield from allocate.candidates(PortRequest(service, ports), Snapshot(Reading(()), 0.0))

    return LeaseRequest(here.site(), Holder("/project", f"/project/{service}", service), offers())


def take(address: str, name: str, count: int, way: str) -> None:
    """Takes leases when it is told to on stdin. Says when each was granted, how long the grant took, and how long whoever wanted it
    waited, in seconds: that is more where a process is started for it.
    """
    os.environ["PORTWARD_STORE"] = address
    grant = WAYS[way](address)
    print("ready", flush=True)
    sys.stdin.readline()
    grants = []
    for number in range(count):
        wanted = time.monotonic()
        port, token, seconds = grant(f"{name}-{number}")
        granted = time.monotonic()
        grants.append((port, token, granted, granted - wanted if seconds is None else seconds, granted - wanted))
    print(json.dumps(grants), flush=True)


def by_store(address: str) -> Callable[[str], Answer]:
    """The store's own grant."""
    store = open_store(address)

    def grant(service: str) -> Answer:
        (lease,) = store.acquire([request(service)], is_free, time.time())
        return lease.port, lease.token, None

    return grant


def by_library(_address: str) -> Callable[[str], Answer]:
    """`portward.lease`: with all that it looks at besides the store."""
    import portward

    portward.lease(f"ready {os.getpid()}").release()  # what a program loads once is no part of a grant

    def grant(service: str) -> Answer:
        (lease,) = portward.lease(service).leases
        return lease.port, lease.token, None

    return grant


def by_command(_address: str) -> Callable[[str], Answer]:
    """`portward lease`: a process for each grant. What it prints is the port alone, and how long the grant took in it."""

    def grant(service: str) -> Answer:
        command = [sys.executable, COMMAND, "lease", service]  # like an installed one: not by `-m`, which loads more
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return int(done.stdout), "", float(done.stderr.splitlines()[-1])

    return grant


WAYS = {"store": by_store, "library": by_library, "command": by_command}


def claim(address: str, name: str, jump: float = 0.0) -> None:
    """Takes leases until its stdin ends. Says which, and how long each took, in seconds. Its clock jumps by up to so many seconds."""
    store = open_store(address)
    print("ready", flush=True)
    grants: list[tuple[int, str, float]] = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        asked = time.monotonic()
        (lease,) = store.acquire(
            [request(f"{name}-{len(grants)}", MANY_PORTS)], lambda *_: True, time.time() + random.uniform(-jump, jump)
        )
        grants.append((lease.port, lease.token, time.monotonic() - asked))
    print(json.dumps(grants), flush=True)


def kill(address: str, kills: int, writers: int) -> None:
    """Lets writers take and give back leases, and kills them at random moments. Says what they said, in its order.

    A writer says `granted PORT TOKEN SERVICE` after a grant, `releasing …` before a release and `released …` after it. The
    lines of all go through one pipe, each whole.
    """
    read, write = os.pipe()
    children: dict[int, None] = {}
    started = 0
    text = b""
    done = 0
    while done < kills or text.count(b"granted") <= kills:  # a slow store, or machine, has more time
        done += 1
        while len(children) < writers:
            children[_forked(address, started, write)] = None
            started += 1
        end = time.monotonic() + random.uniform(0, 0.03 if address.startswith("sqlite") else 0.2)
        while (left := end - time.monotonic()) > 0:
            if select.select([read], [], [], left)[0]:
                text += os.read(read, 1 << 16)
        victim = random.choice(list(children))
        del children[victim]
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    os.close(write)
    while more := os.read(read, 1 << 16):
        text += more
    print(json.dumps([line.split() for line in text.decode().splitlines()]), flush=True)


def _forked(address: str, number: int, write: int) -> int:
    pid = os.fork()
    if not pid:
        _write_leases(address, number, write)
    return pid


def _write_leases(address: str, number: int, write: int) -> NoReturn:
    random.seed(number)
    store = open_store(address)
    held: list[Lease] = []

    def say(word: str, lease: Lease) -> None:
        os.write(write, f"{word} {lease.port} {lease.token} {lease.holder.service}\n".encode())

    try:
        turn = 0
        while True:
            (lease,) = store.acquire([request(f"writer{number}-{turn}")], is_free, time.time())
            say("granted", lease)
            held.append(lease)
            turn += 1
            if random.random() < 0.4:
                given = held.pop(random.randrange(len(held)))
                say("releasing", given)
                store.release([given])
                say("released", given)
    except BaseException as error:
        os.write(write, f"failed {number} {error!r}".replace("\n", " ").encode() + b"\n")
        raise
    finally:
        os._exit(1)


if __name__ == "__main__":
    verb, address, *rest = sys.argv[1:]
    if verb == "take":
        take(address, rest[0], int(rest[1]), rest[2])
    elif verb == "claim":
        claim(address, rest[0], *map(float, rest[1:]))
    else:
        kill(address, int(rest[0]), int(rest[1]))
