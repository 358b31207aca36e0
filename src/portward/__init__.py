"""Portward: the port manager for development stacks.

    import portward

    with portward.lease("api") as leased:           # the same port each time, and nobody else's
        server = leased.bind()
    print(portward.find_port(8080), portward.is_free(8080), portward.check(8080).ports)

    ward = portward.Portward.open(".")              # every verb of the command line is a method
    for listener in ward.ls().listeners:
        print(listener.port, listener.service)

Names are loaded when they are first used, so that `import portward` costs nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.errors import PortwardError
    from portward.library import Leased, check, explain, find_port, lease
    from portward.model import PortRange, Transport
    from portward.sockets.bind import bind, is_free
    from portward.ward import Portward

_HOMES = {
    "Leased": "portward.library",
    "PortRange": "portward.model",
    "Portward": "portward.ward",
    "PortwardError": "portward.errors",
    "Transport": "portward.model",
    "bind": "portward.sockets.bind",
    "check": "portward.library",
    "explain": "portward.library",
    "find_port": "portward.library",
    "is_free": "portward.sockets.bind",
    "lease": "portward.library",
}
__all__ = [
    "Leased",
    "PortRange",
    "Portward",
    "PortwardError",
    "Transport",
    "__version__",
    "bind",
    "check",
    "explain",
    "find_port",
    "is_free",
    "lease",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'portward' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
