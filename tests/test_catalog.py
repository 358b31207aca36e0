"""The catalog: the guide's tables are in it as given, its data is sound, and its look-ups keep their order."""

from __future__ import annotations

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portward import catalog
from portward.model import LAST_PORT, PortRange, Transport

ROOM = Path(catalog.__file__).parent

GUIDE = {
    # "AI Model Serving"
    "Ollama": (11434,),
    "Open WebUI": (8080,),  # the guide's "Open Web UI": 8080 (UI), …
    "Open WebUI API": (1234,),  # … 1234 (API)
    "Text Generation WebUI": (7860,),
    "LM Studio": (1234,),
    "LocalAI": (8080,),
    "FastChat": (8000,),
    "Hugging Face Text Generation Inference": (8080,),
    # "Web Development"
    "Frontend Development Servers": (3000, 8000, 8080),
    "Backend API Servers": (5000, 8000, 8080, 3001),
    "WebSockets": (8080, 3001),
    # "Databases"
    "MongoDB": (27017,),
    "PostgreSQL": (5432,),
    "MySQL/MariaDB": (3306,),
    "Redis": (6379,),
    "Elasticsearch": (9200, 9300),
    # "Infrastructure"
    "Docker": (2375, 2376),
    "Kubernetes API": (6443,),
    "Prometheus": (9090,),
    "Grafana": (3000,),
}
"""The guide's "Common Ports Used in AI Development", in its order."""

PORTS = st.integers(1, LAST_PORT)
TRANSPORTS = st.sampled_from([*Transport])


def services(rows: tuple[catalog.CatalogEntry, ...]) -> list[str]:
    """The rows' services, each once, in order."""
    return list(dict.fromkeys(row.service for row in rows))


def test_the_guides_tables_are_in_the_catalog_as_given() -> None:
    """The rows whose source is the guide are the guide's 28, in its order, and no other."""
    given_by_guide = [(row.service, row.port_text, row.transport) for row in catalog.entries() if row.from_guide]
    expected = [(service, str(port), Transport.TCP) for service, ports in GUIDE.items() for port in ports]
    assert len(expected) == 28
    assert given_by_guide == expected


def test_every_port_of_the_guide_answers_with_its_services_first() -> None:
    """A look-up by port names the guide's services before any other."""
    for port in {port for ports in GUIDE.values() for port in ports}:
        meant = {service for service, ports in GUIDE.items() if port in ports}
        assert set(services(catalog.by_port(port))[: len(meant)]) == meant


@pytest.mark.parametrize("name", ["Open Web UI", "open webui", "OPEN-WEBUI", "openwebui"])
def test_the_guides_spelling_of_open_webui_finds_it(name: str) -> None:
    """Case, spaces and marks do not matter; the UI comes before the API that upstream does not have."""
    assert services(catalog.search(name))[:2] == ["Open WebUI", "Open WebUI API"]


def test_every_row_of_the_data_is_sound() -> None:
    """Each row has a service, a category and a known source; its port is a valid range, or a word."""
    with (ROOM / "services.csv").open(encoding="utf-8") as file:
        assert len(catalog.entries()) == sum(1 for _ in file) - 1
    for row in catalog.entries():
        assert row.service, row
        assert row.category, row
        assert row.protocol, row
        assert row.source.split(":")[0].split(";")[0].split(",")[0] in {
            "guide",
            "live",
            "source",
            "docs",
            "convention",
        }, row
        if row.port is None:
            assert row.port_text in {"random", "ephemeral", "VLLM_PORT"}
        else:
            assert 1 <= row.port.low <= row.port.high <= LAST_PORT
            assert row.port_text == str(row.port)


def test_the_data_names_no_machine() -> None:
    """No home folder, working folder or web address of a package index got into the data."""
    text = (ROOM / "services.csv").read_text(encoding="utf-8")
    for trace in ("/home/", "/root", "/tmp", "/work/", "[user]", "this machine", "pypi.", "npmjs", "registry."):
        assert trace not in text


def test_no_row_is_there_twice() -> None:
    """A service has one row for a port, transport and role."""
    rows = [(row.service, row.port_text, row.transport, row.role) for row in catalog.entries()]
    assert len(rows) == len(set(rows))


def test_what_upstream_contradicts_says_so() -> None:
    """Open WebUI has no listener on 1234: the guide's row stays, after LM Studio's, with the remark."""
    assert catalog.customary(1234)[:2] == (
        "LM Studio",
        "Open WebUI API (by the guide; upstream has no such listener)",
    )


def test_only_rows_of_the_guide_are_contradicted() -> None:
    """A row that is not the guide's states what upstream does, so it carries no note."""
    assert {row.service for row in catalog.entries() if row.note} == {
        "Open WebUI API",
        "Hugging Face Text Generation Inference",
    }


def test_wide_ranges_are_customary_only_where_nobody_has_the_port() -> None:
    """MongoDB's port lies in Nomad's dynamic range, which is no news; 20500 has nothing better."""
    assert catalog.customary(27017) == ("MongoDB",)
    assert services(catalog.by_port(27017)) == ["MongoDB", "Nomad dynamic ports"]
    assert catalog.customary(20500) == ("Nomad dynamic ports",)
    assert catalog.customary(9201) == ("Elasticsearch",)


def test_transports_are_kept_apart() -> None:
    """A gossip port that is used over both transports has a row for each; Ollama's has no UDP row."""
    assert catalog.customary(8301, Transport.UDP) == catalog.customary(8301) == ("Consul Serf LAN",)
    assert catalog.by_port(11434, Transport.UDP) == ()


def test_search_by_number_and_range() -> None:
    """Digits are a port and digits-digits an ascending range, whatever the transport; ranges of rows count."""
    assert services(catalog.search("6379"))[0] == "Redis"
    assert {"MongoDB", "Weaviate gossip"} <= set(services(catalog.search("7000-28000")))
    assert {row.transport for row in catalog.search("8301")} == set(Transport)
    assert "LocalStack external services" in services(catalog.search("4511"))
    assert catalog.search("8100-8000") == catalog.search("70000") == catalog.search("9" * 5000) == ()


def test_search_by_text_puts_the_best_name_first() -> None:
    """An exact name comes before a longer one, a name before a role, the guide before the rest of its rank."""
    assert services(catalog.search("redis"))[:2] == ["Redis", "Redis Sentinel"]
    assert services(catalog.search("postgres"))[0] == "PostgreSQL"
    assert services(catalog.search("frontend dev server")) == ["Frontend Development Servers"]
    assert services(catalog.search("TGI"))[0] == "Hugging Face Text Generation Inference"
    assert services(catalog.search("vector-db"))[0] == "Qdrant"
    assert catalog.search("no such service") == catalog.search("?!") == ()


def test_rows_without_a_number_are_found_by_name() -> None:
    """NCCL takes whatever the kernel gives: no port finds it, its name does."""
    (row,) = catalog.search("NCCL")
    assert (row.port, row.port_text) == (None, "ephemeral")


def test_empty_text_finds_every_row() -> None:
    """The whole catalog, the guide's rows first."""
    rows = catalog.search("")
    assert set(rows) == set(catalog.entries())
    assert all(row.from_guide for row in rows[:28])


@given(PORTS, TRANSPORTS)
def test_by_port_gives_the_covering_rows_guide_first(port: int, transport: Transport) -> None:
    """Every row that covers the port is given once, none else, and no row of the guide follows another."""
    rows = catalog.by_port(port, transport)
    assert set(rows) == {
        row for row in catalog.entries() if row.port and port in row.port and row.transport is transport
    }
    assert [row.from_guide for row in rows] == sorted((row.from_guide for row in rows), reverse=True)
    names = catalog.customary(port, transport)
    assert len(names) == len(set(names))
    assert bool(names) == bool(rows)
    assert catalog.kind_of_port(port, transport) in catalog.KINDS


@given(st.text())
def test_search_takes_any_text(query: str) -> None:
    """Whatever is asked, the answer is rows of the catalog, each once."""
    rows = catalog.search(query)
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(catalog.entries())


@given(st.one_of(st.none(), st.text()), st.text())
def test_kind_of_takes_any_text(image: str | None, name: str) -> None:
    """Whatever an image and a name are, their kind is one of the kinds."""
    assert catalog.kind_of(image, name) in catalog.KINDS


@pytest.mark.parametrize(
    ("image", "name", "kind"),
    [
        (None, "frontend", "web"),
        (None, "backend", "api"),
        ("ghcr.io/open-webui/open-webui:main", "open-webui", "ai"),
        ("ollama/ollama:latest", "ollama", "ai"),
        ("mongo:7", "mongodb", "database"),
        ("redis:7-alpine", "redis", "cache"),
        ("node:22-alpine", "nexus-server", "api"),
        ("node:22-alpine", "nexus-client", "web"),
        (None, "Nexus Frontend", "web"),
        (None, "Open Web UI API", "ai"),
    ],
)
def test_kinds_of_project_nexus(image: str | None, name: str, kind: str) -> None:
    """The services of the guide's project are of the kinds that the guide has ranges for."""
    assert catalog.kind_of(image, name) == kind


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("postgres:16", "database"),
        ("postgres", "database"),
        ("docker.io/library/postgres:16@sha256:0123", "database"),
        ("localhost:5000/postgres:16", "database"),
        ("localhost:5000/x:y", "other"),
        ("registry.example:5000/team/shop-api:1.2", "api"),
        ("bitnami/postgresql", "database"),
        ("pgvector/pgvector:pg16", "database"),
        ("mcr.microsoft.com/mssql/server:2022-latest", "database"),
        ("docker.elastic.co/elasticsearch/elasticsearch:9.0.0", "database"),
        ("qdrant/qdrant", "database"),
        ("milvusdb/milvus:v2", "database"),
        ("semitechnologies/weaviate", "database"),
        ("chromadb/chroma", "database"),
        ("vllm/vllm-openai:latest", "ai"),
        ("ghcr.io/huggingface/text-generation-inference:3", "ai"),
        ("valkey/valkey:8", "cache"),
        ("memcached:1.6", "cache"),
        ("rabbitmq:4-management", "queue"),
        ("apache/kafka", "queue"),
        ("nats:2", "queue"),
        ("mongo-express", "web"),
        ("oliver006/redis_exporter", "other"),
        ("nginx:alpine", "other"),
        ("python:3.13-slim", "other"),
        ("eclipse-temurin:21", "other"),
        ("", "other"),
    ],
)
def test_kinds_of_images(image: str, kind: str) -> None:
    """Registry, tag and digest do not count; a runtime or a proxy tells nothing."""
    assert catalog.kind_of(image, "x") == kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("web1", "web"),
        ("web-app", "web"),
        ("web-server", "web"),
        ("front-end", "web"),
        ("marketing_site", "web"),
        ("shopUI", "web"),
        ("app", "web"),
        ("www", "web"),
        ("api", "api"),
        ("shop-api", "api"),
        ("ai-backend", "api"),
        ("db", "database"),
        ("user-db-2", "database"),
        ("userdb", "database"),
        ("userdb2", "database"),
        ("web-4a28db4413", "web"),
        ("job-4a28db4413", "other"),
        ("vector-db", "database"),
        ("db-api", "api"),
        ("db-migrate", "other"),
        ("cache", "cache"),
        ("redis-ui", "web"),
        ("queue", "queue"),
        ("message-broker", "queue"),
        ("rabbit", "queue"),
        ("llm-server", "ai"),
        ("llm-api", "ai"),
        ("embedding-model", "ai"),
        ("worker", "other"),
        ("42", "other"),
        ("", "other"),
    ],
)
def test_kinds_of_names(name: str, kind: str) -> None:
    """The last telling word decides, but a server or an API for AI is of AI."""
    assert catalog.kind_of(None, name) == kind
    assert catalog.kind_of("node:22-alpine", name) == kind


@pytest.mark.parametrize(
    ("port", "kind"),
    [
        (5000, "api"),
        (3001, "api"),
        (3000, "web"),
        (8080, "web"),
        (5173, "web"),
        (11434, "ai"),
        (1234, "ai"),
        (7860, "ai"),
        (27017, "database"),
        (5432, "database"),
        (9200, "database"),
        (6379, "cache"),
        (11211, "cache"),
        (5672, "queue"),
        (9092, "queue"),
        (9090, "other"),  # Prometheus, by the guide; InvokeAI does not count
        (10500, "other"),  # one of Ray's many
        (8123, "other"),  # LangGraph or ClickHouse: no agreement
        (7, "other"),
    ],
)
def test_kinds_of_ports(port: int, kind: str) -> None:
    """The guide decides, else the agreement of the port's own rows."""
    assert catalog.kind_of_port(port) == kind


def test_redis_is_a_cache_everywhere() -> None:
    """The guide lists Redis with the databases; its ports come from the cache's range however it is met."""
    (row,) = (row for row in catalog.entries() if row.service == "Redis")
    assert row.category == "database"
    assert row.kind == catalog.kind_of("redis:7", "x") == catalog.kind_of(None, "redis") == catalog.kind_of_port(6379)


def test_the_default_ranges() -> None:
    """The guide's three ranges are as given; ranges overlap only where two kinds share one."""
    assert catalog.DEFAULT_RANGES["ai"] == PortRange(10000, 10999)
    assert catalog.DEFAULT_RANGES["api"] == PortRange(11000, 11999)
    assert catalog.DEFAULT_RANGES["database"] == PortRange(12000, 12999)
    assert catalog.DEFAULT_RANGES["cache"] == catalog.DEFAULT_RANGES["queue"]
    ranges = sorted(set(catalog.DEFAULT_RANGES.values()), key=lambda ports: ports.low)
    assert not any(low.overlaps(high) for low, high in pairwise(ranges))


LINUX = PortRange(32768, 60999)


@pytest.mark.parametrize(
    ("port", "reasons"),
    [
        (8080, ()),
        (1024, ()),
        (80, ("privileged",)),
        (22, ("privileged", "browsers")),
        (6000, ("browsers",)),
        (30000, ("in the range of Kubernetes",)),
        (32767, ("in the range of Kubernetes",)),
        (32768, ("in the ephemeral range 32768-60999",)),
        (61000, ()),
    ],
)
def test_reasons_to_avoid(port: int, reasons: tuple[str, ...]) -> None:
    """Each reason is given where it holds, with inclusive bounds, in one order."""
    told = catalog.reasons_to_avoid(port, LINUX)
    assert len(told) == len(reasons)
    assert all(text.startswith(start) for text, start in zip(told, reasons, strict=True))


def test_nothing_speaks_against_the_default_ranges() -> None:
    """All that Portward picks by default is good on a Linux machine, except one port that browsers refuse."""
    bad = {port for ports in catalog.DEFAULT_RANGES.values() for port in ports if catalog.reasons_to_avoid(port, LINUX)}
    assert bad == {10080}


def test_the_browsers_bad_ports() -> None:
    """The WHATWG table has 83 ports, X11 and IRC among them."""
    assert len(catalog.BROWSER_BLOCKED) == 83
    assert all(map(catalog.browser_blocked, (0, 1, 22, 6000, 6566, 6667, 10080)))
    assert not any(map(catalog.browser_blocked, (80, 443, 3000, 8080, 6001)))


def test_the_special_ranges() -> None:
    """Ids are unique, each has a source, and IANA's three cover every port once."""
    ranges = {special.id: special for special in catalog.special_ranges()}
    assert len(ranges) == len(catalog.special_ranges())
    assert all(special.source and special.meaning for special in ranges.values())
    iana = [port for name in ("iana-system", "iana-user", "iana-dynamic") for port in ranges[name].ports]
    assert iana == list(range(LAST_PORT + 1))
    assert ranges["k8s-nodeport"].ports == PortRange(30000, 32767)
    assert ranges["linux-ephemeral"].ports == LINUX


def test_the_room_is_pure() -> None:
    """The code imports nothing that asks the system, and of Portward only the nouns and itself."""
    allowed = {
        "__future__",
        "portward.memo",
        "_csv",
        "json",
        "re",
        "collections.abc",
        "typing",
        "portward.model",
        "portward.records",
    }
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert all(name in allowed or name.startswith("portward.catalog") for name in names), (path, names)


def test_importing_the_room_is_cheap() -> None:
    """What costs start-up time is imported at the first look-up, not before."""
    costly = ("csv", "dataclasses", "importlib.resources", "json", "re", "typing")
    code = (
        f"import sys; sys.path.insert(0, {str(ROOM.parent.parent)!r})\n"
        f"import portward.catalog\nprint([name for name in {costly} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
