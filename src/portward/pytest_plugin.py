"""The pytest plugin: `free_port`, `free_ports` and `leased_socket`. Nothing of Portward is loaded before a test asks for one."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from portward.testing import Lender, Pool


def _pool(request: pytest.FixtureRequest) -> Pool:
    from portward.testing import pool

    return pool(str(request.config.rootpath))


@pytest.fixture
def free_ports(request: pytest.FixtureRequest) -> Iterator[Lender]:
    """Gives free ports that no other test, worker or run has: `free_ports(3)`, `free_ports(3, contiguous=True)`.

    They are leased until the test ends; nothing is bound to them.
    """
    with _pool(request).lending(request.node.nodeid) as lend:
        yield lend


@pytest.fixture
def free_port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A free port that no other test, worker or run has, until the test ends. Nothing is bound to it."""
    with _pool(request).lending(request.node.nodeid) as lend:
        yield lend()[0]


@pytest.fixture
def leased_socket(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A listening TCP socket of 127.0.0.1 on a port that no other test, worker or run has. It is closed when the test ends."""
    ports = _pool(request)
    lease, made = ports.bound("127.0.0.1", request.node.nodeid)
    with made:
        yield made
    ports.give_back(lease)
