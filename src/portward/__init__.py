"""Portward: the port manager for development stacks.

    from portward import Portward

    ward = Portward.open(".")
    for listener in ward.ls().listeners:
        print(listener.port, listener.service)

Names are loaded when they are first used, so that `import portward` costs nothing.
"""

__version__ = "0.1.0"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.errors import PortwardError
    from portward.sockets.bind import bind, is_free
    from portward.ward import Portward

_HOMES = {
    "Portward": "portward.ward",
    "PortwardError": "portward.errors",
    "bind": "portward.sockets.bind",
    "is_free": "portward.sockets.bind",
}
__all__ = ["Portward", "PortwardError", "__version__", "bind", "is_free"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'portward' has no attribute {name!r}")
