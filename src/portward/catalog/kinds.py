"""Kinds of services, and how a service's image and name tell its kind."""

from __future__ import annotations

from portward.memo import cache
from portward.model import PortRange

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER = "other"

DEFAULT_RANGES: dict[str, PortRange] = {
    "ai": PortRange(10000, 10999),
    "api": PortRange(11000, 11999),
    "database": PortRange(12000, 12999),
    "web": PortRange(13000, 13999),
    "cache": PortRange(14000, 14999),
    "queue": PortRange(14000, 14999),
    OTHER: PortRange(20000, 29999),
}
"""The ports that Portward picks from for each kind, unless `portward.toml` says otherwise. Cache and queue share."""

KINDS = tuple(DEFAULT_RANGES)
"""Every kind of service."""

_TELLING = {
    "ai": """
        aphrodite anythingllm bentoml comfyui dify fastchat flowise gpt4all gradio huggingface invokeai jupyter
        jupyterhub jupyterlab koboldai koboldcpp langflow langfuse langgraph letta librechat litellm llama llamacpp
        lmdeploy lmstudio lobechat localai mlflow n8n ollama ollamawebui openai openwebui sglang stablediffusion
        streamlit tabbyapi tensorboard textembeddingsinference textgenerationinference textgenerationwebui tgi
        torchserve triton tritonserver vllm whisper xinference
        diffusion embed embedder embedding embeddings gpt inference llm llms model models rag rerank reranker stt
        transformers tts vector vectors
        """,
    "api": """
        django express fastapi flask hasura laravel nestjs postgrest rails
        api apis apiserver backend bff graphql grpc rest
        """,
    "database": """
        arangodb cassandra chroma chromadb clickhouse cockroach cockroachdb couchbase couchdb dgraph duckdb dynamodb
        elasticsearch ferretdb influxdb lancedb mariadb meilisearch memgraph milvus mongo mongod mongodb mssql mysql
        mysqld neo4j opensearch percona pgbouncer pgvector pinecone postgis postgres postgresql qdrant questdb
        rethinkdb scylla scylladb solr sqlserver surrealdb timescale timescaledb trino typesense weaviate
        database databases datastore db vectorstore
        """,
    "web": """
        adminer angular astro docusaurus kafkaui kibana mongoexpress nextjs nuxt opensearchdashboards pgadmin
        phpmyadmin react rediscommander redisinsight storybook svelte sveltekit vite vue wordpress
        dashboard front frontend gui portal spa storefront ui web webapp webserver website webui www
        """,
    "cache": """
        dragonfly dragonflydb garnet keydb memcache memcached redis valkey
        cache
        """,
    "queue": """
        activemq artemis beanstalkd celery elasticmq emqx kafka mosquitto nats nsq pulsar rabbit rabbitmq redpanda sqs
        broker mq pubsub queue queues
        """,
}
"""Products (first lines) and words (last lines) that tell a kind, without the marks between their parts."""

_VAGUE = {"ai": "ai ml", "api": "server", "web": "admin app client site"}
"""Words that count only where nothing else tells a kind."""

_ENDINGS = {"db": "database", "sql": "database", "mq": "queue", "api": "api", "llm": "ai"}
"""What a word that is not known may end in, such as `userdb`."""

_YIELDING = frozenset(("api", "server"))
"""Words that name the manner, not the matter: an "embedding API" is for its embeddings."""

_JOBS = frozenset(("backup", "exporter", "migrate", "migration", "migrations"))
"""Last words of names whose service only works on, or looks at, the one that it is named after."""

_LONGEST = 3
"""The most words that a product's name is written in: "text generation inference"."""


def kind_of(image: str | None, name: str) -> str:
    """The kind of a service (one of `KINDS`) by its image, else by its name, else "other".

    `image` is a full reference, with or without registry, tag and digest. Images of runtimes and proxies (node, python,
    nginx, …) tell nothing. The last telling word of an image or a name decides: `user-db` is a database, `db-api` an
    API. Only the words of `_VAGUE` give way to any other, and "api" to one of AI: `embedding-api` is ai.
    """
    repositories = _repositories(image) if image else ()
    words = _words(name)
    if any(parts and parts[-1] in _JOBS for parts in (words, *repositories[:1])):
        return OTHER
    telling, vague = _tables()
    for parts in (*repositories, words):
        if kind := _told(parts, telling):
            return kind
    for parts in (words, *repositories[:1]):
        if kind := _told(parts, vague):
            return kind
    return OTHER


def _repositories(image: str) -> tuple[tuple[str, ...], ...]:
    """The words of each part of an image's path, the base name first, without registry, tag and digest.

    `localhost:5000/team/shop-api:1.2@sha256:…` gives `(("shop", "api"), ("team",))`.
    """
    *path, base = image.partition("@")[0].split("/")
    if path and ("." in path[0] or ":" in path[0] or path[0] == "localhost"):
        del path[0]
    return (_words(base.partition(":")[0]), *(_words(part) for part in reversed(path)))


def _words(text: str) -> tuple[str, ...]:
    """The words of a name in lower case, without the numbers that they end in: `shopDB-2` gives `("shop", "db")`."""
    spaced = []
    before = " "
    for sign in text:
        if sign.isupper() and before.islower():
            spaced.append(" ")
        spaced.append(sign if sign.isalnum() else " ")
        before = sign
    words = (word.rstrip("0123456789") for word in "".join(spaced).lower().split())
    return tuple(word for word in words if word)


def _told(words: tuple[str, ...], table: Mapping[str, str]) -> str | None:
    """The kind that the last telling word tells by the table, or the longest run of words ("open", "webui") there."""
    for end in range(len(words), 0, -1):
        for start in range(max(0, end - _LONGEST), end):
            word = "".join(words[start:end])
            kind = table.get(word) or (_by_ending(word) if start == end - 1 else None)
            if kind:
                return "ai" if word in _YIELDING and _told(words[:start], table) == "ai" else kind
    return None


def _by_ending(word: str) -> str | None:
    """The kind of a word like `shopdb`; `4a28db`, of an identifier, is no word."""
    if not word.isalpha():
        return None
    return next((kind for ending, kind in _ENDINGS.items() if word.endswith(ending)), None)


@cache
def _tables() -> tuple[dict[str, str], dict[str, str]]:
    """Word to kind: the telling words, and the vague ones."""
    return _by_word(_TELLING), _by_word(_VAGUE)


def _by_word(words_by_kind: dict[str, str]) -> dict[str, str]:
    return {word: kind for kind, words in words_by_kind.items() for word in words.split()}
