"""Kubernetes manifests among YAML files; `manifest.py` reads them.

Any `*.yaml` may be a manifest, so the text says whether it is: a document without `apiVersion` and a `kind` that has ports is
blanked out before anything is parsed, and one with `{{ … }}` too: it is a template, whose values are made elsewhere.
"""

from __future__ import annotations

import re

from portward.formats.text import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from portward.model import PortSpec

_KIND = re.compile(
    r"\bkind[\"']?[ \t]*:[ \t]*[\"']?"
    r"(?:Service|Ingress|Pod|Deployment|StatefulSet|DaemonSet|ReplicaSet|ReplicationController|Job|CronJob|List|ConfigMap"
    r"|Gateway|(?:HTTP|GRPC|TCP|TLS|UDP)Route)\b"
)
_DOCUMENT_START = re.compile(r"^(?=---(?:\s|$))", re.MULTILINE)


def read(text: str, path: str) -> list[PortSpec]:
    """The ports of the manifests in a text. Raises InvalidFile for what looks like a manifest and is not YAML."""
    source = Source(text, path, "kubernetes")
    manifests = _manifests(source.text)
    if manifests is None:
        return []
    from portward.formats import manifest  # with it a YAML parser, which other YAML files do without

    return manifest.ports(source, manifests, path)


def _manifests(text: str) -> str | None:
    """The text with everything but manifests blanked out, so that each keeps its place; None where there is none."""
    documents = _DOCUMENT_START.split(text)
    kept = [_is_manifest(document) for document in documents]
    if not any(kept):
        return None
    return "".join(
        document if is_kept else re.sub(r"[^\r\n]", " ", document)
        for document, is_kept in zip(documents, kept, strict=True)
    )


def _is_manifest(document: str) -> bool:
    return "apiVersion" in document and "{{" not in document and _KIND.search(document) is not None
