"""Erlang and Elixir: Ranch, Cowboy, Phoenix, RabbitMQ."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_ACCEPTOR = r"\{acceptor,\{[\d,]{1,40}\},{port}\}"

TABLE = (
    Pattern("RabbitMQ", Kind.PORT_IN_USE, "could_not_start_listener",
        r"could_not_start_listener,\"?(?P<host>[\w.:]{1,60})\"?,{port},\s?\{?eaddrinuse",
        'Application rabbit exited with reason: {{could_not_start_listener,"::",5672,eaddrinuse},{rabbit,start,[normal,[]]}}', 5672, "::", source="RabbitMQ 3.8"),
    Pattern("Erlang", Kind.PORT_IN_USE, "eaddrinuse",
        r"(?:\{[\d,]{1,40}\}|\"[\w.:]{0,60}\"),\s?{port},\s?\{?:?eaddrinuse",
        '{cannot_listen,{0,0,0,0,0,0,0,0},5672,eaddrinuse,"address already in use"}', 5672, source="RabbitMQ 3.12"),
    Pattern("RabbitMQ", Kind.PORT_IN_USE, "distribution port",
        r"distribution port {port} in use",
        "ERROR: distribution port 25672 in use by another node: rabbit@host", 25672, source="RabbitMQ 3.8"),
    Pattern("RabbitMQ", Kind.PORT_IN_USE, "listener",
        _ACCEPTOR + r"[^\n]{0,600}eaddrinuse",
        "[error] Failed to start Ranch listener {acceptor,{0,0,0,0},5671} in ranch_ssl:listen(#{num_acceptors => 10}) for reason eaddrinuse (address already in use)", 5671, source="RabbitMQ 3.13"),
    Pattern("Ranch", Kind.PORT_IN_USE, "listener",
        r"listen(?:er)?\b[^\n]{0,300}?\{?port(?:,|: ?|\s?=>\s?){port}\}?[^\n]{0,600}eaddrinuse",
        "[error] Failed to start Ranch listener MyApp.Endpoint.HTTP in :ranch_tcp:listen([cacerts: :..., port: 4000]) for reason :eaddrinuse (address already in use)", 4000, source="Phoenix 1.6"),
    Pattern("Ranch", Kind.PERMISSION_PRIVILEGED, "listener",
        r"listen(?:er)?\b[^\n]{0,300}?\{?port(?:,|: ?|\s?=>\s?){port}\}?[^\n]{0,600}\beacces",
        "[error] Failed to start Ranch listener MyApp.Endpoint.HTTP in :ranch_tcp:listen([port: 80]) for reason :eacces (permission denied)", 80, source="Phoenix 1.6"),
    Pattern("Phoenix", Kind.PORT_IN_USE, "port already in use",
        r"\bat {at}[^\n]{0,60}failed, port already in use",
        "[error] Running MyApp.Endpoint with cowboy 2.9.0 at 127.0.0.1:4000 (http) failed, port already in use", 4000, "127.0.0.1", source="Phoenix 1.6"),
    Pattern("Phoenix", Kind.PORT_IN_USE, "failed, port",
        r"\bat {at}[^\n]{0,60}failed, port {port} already in use",
        "[error] Running MyApp.Endpoint with Bandit 1.0.0 at http failed, port 4000 already in use", 4000, source="Phoenix 1.7"),
    Pattern("Postgrex", Kind.CONNECTION_REFUSED, "tcp connect (",
        r"tcp connect \({at}\): connection refused",
        "(DBConnection.ConnectionError) tcp connect (localhost:5432): connection refused - :econnrefused", 5432, "localhost", source="Postgrex 0.17"),
)  # fmt: skip
