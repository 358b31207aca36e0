"""`launchSettings.json` and `appsettings*.json` of ASP.NET Core: where Kestrel listens, and whom the program asks.

    "applicationUrl": "https://localhost:7001;http://localhost:5001"        of a profile, for `dotnet run` on this machine alone
    "environmentVariables": { "ASPNETCORE_URLS": "http://+:5002" }
    "Urls": "http://*:5000"          "Kestrel": { "Endpoints": { "Http": { "Url": "http://localhost:5000" } } }
    "ConnectionStrings": { "Main": "Host=localhost;Port=5432;Database=app" }        "Server=localhost,1433"

Sources: the ASP.NET Core documentation, "Use multiple environments" and "Configure endpoints for the ASP.NET Core Kestrel web server";
the connection strings of Npgsql, MySqlConnector and Microsoft.Data.SqlClient. IIS Express, of Windows alone, is not read.
"""

from __future__ import annotations

from portward.formats import json_tree, urls
from portward.formats.json_tree import Array, Object, Scalar
from portward.formats.text import Source
from portward.model import ANY, PortSpec, Role

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from portward.formats.json_tree import Node

LAUNCH = "dotnet-launch"
"""Where a port is from that only `dotnet run` is told of, on this machine and in no container."""
_LISTENING = ("applicationurl", "urls", "aspnetcore_urls", "dotnet_urls")


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of one file, for the service whose folder it is in. Raises InvalidFile for what is not JSON with comments."""
    folders = path.split("/")[:-1]
    is_launch = path.endswith("launchSettings.json")
    if folders and folders[-1] == "Properties":
        folders.pop()
    source = Source(text, path, LAUNCH if is_launch else "dotnet")
    reader = _Reader(source, folders[-1] if folders else None)
    found = {spec.span: spec for spec in reader.ports(json_tree.parse(source.text, path))}
    return sorted(found.values(), key=lambda spec: spec.span.start)


class _Reader:
    def __init__(self, source: Source, service: str | None) -> None:
        self.source = source
        self.service = service

    def ports(self, root: Node) -> Iterator[PortSpec]:
        """The ports of all texts, by the names that they stand under."""
        pending: list[tuple[tuple[str, ...], Node]] = [((), root)]
        while pending:
            names, node = pending.pop()
            if isinstance(node, Object):
                pending += [
                    ((*names, name.lower()), item) for name, item in node.items.items() if name != "iisSettings"
                ]
            elif isinstance(node, Array):
                pending += [(names, item) for item in node.items]
            elif node.is_string and node.is_plain:
                yield from self._text(names, node)

    def _text(self, names: tuple[str, ...], node: Scalar) -> Iterator[PortSpec]:
        listens = bool(names) and (names[-1] in _LISTENING or (names[-1] == "url" and "endpoints" in names[:-2]))
        for url in urls.in_value(node.value, node.span.start):
            if listens:
                yield self.source.port(url.span, host_ip=_address(url.host), service=self.service)
            else:
                yield self.source.port(url.span, Role.URL, urls.side(url.host), host=url.host)


def _address(host: str) -> str:
    """What Kestrel binds for the host of a URL: any word but localhost and addresses means all."""
    if host.lower() == "localhost":
        return "127.0.0.1"
    return ANY if urls.is_unspecific(host) else urls.bound(host)
