"""What keeps data is given its own way to end, and the time that it takes."""

from __future__ import annotations

from portward.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import Process

PATIENCE = 60.0
"""Seconds for what must write its data down first."""

KINDS = frozenset({"database", "cache", "queue"})
"""The kinds of services that keep data."""

NAMES = (
    "arangod", "beam.smp", "clickhouse", "clickhouse-server", "cockroach", "dragonfly", "etcd", "influxd", "influxd3", "keydb-server",
    "mariadbd", "meilisearch", "milvus", "minio", "mongod", "mongos", "mysqld", "nats-server", "prometheus", "qdrant", "redis-server",
    "redis-sentinel", "rethinkdb", "scylla", "surreal", "tarantool", "typesense-server", "valkey-server", "weaviate",
)  # fmt: skip
"""Programs that keep data, beside PostgreSQL."""

_ON_JAVA = (
    "org.elasticsearch.",
    "org.opensearch.",
    "org.apache.cassandra.",
    "kafka.Kafka",
    "org.apache.zookeeper.",
    "org.neo4j.",
)


class Ending(Record):
    """How a program wants to be ended: by which signal, what that means to it, and what is sent last, under force alone."""

    signal: str = "SIGTERM"
    meaning: str = ""
    last: str = "SIGKILL"
    patience: float = 10.0


def ending_of(process: Process) -> Ending:
    """How a process is ended.

    PostgreSQL: SIGINT is its fast shutdown, while SIGTERM waits for every client; SIGQUIT is the last resort, as SIGKILL leaves shared memory and
    children behind (postgresql.org, "Shutting Down the Server"). Others take SIGTERM as a request to write their data and end.
    """
    if process.name in ("postgres", "postmaster"):
        return Ending("SIGINT", "fast shutdown", "SIGQUIT", PATIENCE)
    keeps_data = process.name in NAMES or (
        process.name == "java" and any(word.startswith(_ON_JAVA) for word in process.command)
    )
    return Ending(patience=PATIENCE) if keeps_data else Ending()


def keeps_data(process: Process) -> bool:
    """Whether a process is known to keep data."""
    return ending_of(process).patience == PATIENCE
