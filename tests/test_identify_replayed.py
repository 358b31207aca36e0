"""Servers that cannot be run here, by answers that are replayed (`data/replayed.json` says what that proves)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from portward import probes
from portward.catalog import fingerprints as prints
from tests import endpoints
from tests.endpoints import Talk, http, response, serving

if TYPE_CHECKING:
    from tests.endpoints import Behaviour

REPLAYED: dict[str, list[dict[str, Any]]] = json.loads(
    (Path(__file__).parent / "data/replayed.json").read_text("utf-8")
)["services"]
RECORDS = [(service, record) for service, records in REPLAYED.items() for record in records]
PATIENT = 60.0
REAL = {
    *("Redis", "PostgreSQL", "MariaDB", "nginx", "etcd", "Memcached", "NATS", "NATS monitoring", "MQTT broker", "SSH", "Prometheus"),
    *("RabbitMQ", "http.server", "Jupyter", "Streamlit", "Docker", "Gradio", "MLflow", "Chroma", "Open WebUI"),
}  # fmt: skip
"""What `test_identify_real.py` starts."""


def _behaviour(record: dict[str, Any]) -> Behaviour:
    if "answers" not in record:
        return _protocol(bytes.fromhex(record["asked"]), bytes.fromhex(record["says"]))
    answers = {
        path: response(each["status"], each["body"], **_named(each["headers"]))
        for path, each in record["answers"].items()
    }
    return http(answers, answers.get("*"))


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("-", "_"): value for name, value in headers.items()}


def _protocol(asked: bytes, says: bytes) -> Behaviour:
    def behave(talk: Talk) -> None:
        if not asked or talk.hear().startswith(asked):
            talk.say(says)
            endpoints.silent(talk)

    return behave


def _heard(record: dict[str, Any], **known: Any) -> probes.Heard:
    with serving(_behaviour(record)) as server:
        question = probes.Question(("127.0.0.1",), server.port, prints.fingerprints(), seconds=PATIENT, **known)
        (heard,) = probes.identify([question])
        assert len([data for data in server.sent if data]) <= probes.QUESTIONS
    return heard


@pytest.mark.parametrize(("service", "record"), RECORDS, ids=[service for service, _ in RECORDS])
def test_a_replayed_answer_is_recognised(service: str, record: dict[str, Any]) -> None:
    """On its customary port, nothing else being known, among all that share that port; and by its owner's name, anywhere."""
    port = next(each.ports[0] for each in prints.of_service(service) if each.ports)
    by_owner = _heard(record, first=prints.of_service(service))
    assert (by_owner.service, by_owner.version) == (service, record.get("version"))
    if port in CROWDED:
        return
    custom = _heard(record, custom=prints.customary_fingerprints(port))
    assert (custom.service, custom.version) == (service, record.get("version"))


CROWDED = (3000, 5000, 7860, 8000, 8080, 9100)
"""Ports of more customs than three questions can tell apart: who is there may need its owner's name."""


@pytest.mark.parametrize(("service", "record"), RECORDS, ids=[service for service, _ in RECORDS])
def test_nobody_is_taken_for_another(service: str, record: dict[str, Any]) -> None:
    """With no name and no custom an answer may tell nothing, only the framework, or a product in doubt, but never another one."""
    with serving(_behaviour(record)) as server:
        heard = probes.identify(
            [
                probes.Question(("127.0.0.1",), server.port, prints.fingerprints(), custom=custom, seconds=PATIENT)
                for custom in ((), *map(prints.customary_fingerprints, CROWDED if "answers" in record else ()))
            ]
        )
    for each in heard:
        known = each.fingerprint
        assert known is None or known.generic or known.confidence == "low" or each.service == service, each


def test_every_service_is_shown_real_or_replayed() -> None:
    """No fingerprint stands untried, but for those named here."""
    untried = {each.service for each in prints.fingerprints()} - REAL - REPLAYED.keys()
    assert untried == UNTRIED


UNTRIED = {
    *("Aphrodite Engine", "LMDeploy", "OpenAI-compatible API", "Dify", "AUTOMATIC1111 WebUI", "ZooKeeper AdminServer", "DynamoDB Local"),
    *("Caddy admin", "HAProxy stats", "Nuxt", "webpack-dev-server", "Express", "MCP Inspector UI", "FastAPI", "Werkzeug", "gunicorn"),
    *("hypercorn", "gRPC server", "epmd", "llama-cpp-python"),
}  # fmt: skip
