"""The tools: what each is asked with, what it answers, and one call of `Portward`.

They follow the verbs, and answer with the documents of the command line, reduced. What changes files or ends processes shows
first what it would do, and does it by the id of what was shown.
"""

from __future__ import annotations

from portward.errors import UsageError
from portward.records import Record
from portward.render import documents
from portward.serve.mcp.outside import unmarked
from portward.serve.mcp.schemas import (
    CHANGE,
    CHECK,
    EXAMINED,
    EXPLAIN,
    IDENTITIES,
    KILL,
    LEASES,
    LS,
    WHO,
    given,
)
from portward.serve.previews import Preview

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from portward.answers import Changes
    from portward.render.documents import Document
    from portward.serve.mcp.schemas import Schema
    from portward.serve.previews import Previews
    from portward.ward import Portward


class Call(Record):
    """One call of a tool: the project, the arguments as they were checked, and what was shown before."""

    ward: Portward
    given: Mapping[str, Any]
    previews: Previews

    def texts(self, name: str) -> list[str]:
        """A list of words; none where it was not given."""
        return [unmarked(str(each)) for each in self.given.get(name, ())]

    def text(self, name: str) -> str:
        """One text; empty where it was not given."""
        return unmarked(self.given.get(name, ""))


class Tool(Record):
    """A tool as it is listed, and what answers it. `reads`, `destroys`, `repeats` and `opens` are the protocol's four hints."""

    name: str
    about: str
    asked: Schema
    answer: Schema
    ask: Callable[[Call], Document]
    reads: bool = True
    destroys: bool = False
    repeats: bool = True
    opens: bool = False


def _listeners(call: Call) -> Document:
    return documents.ls(call.ward.ls(call.texts("query"), udp=bool(call.given.get("udp"))))


def _who(call: Call) -> Document:
    return documents.who(call.ward.who(call.texts("ports")))


def _check(call: Call) -> Document:
    """Errors and warnings in full; notes, references and ignored findings are for people."""
    ports = call.texts("ports")
    found = documents.check(call.ward.check_ports(ports) if ports else call.ward.check())
    kept: Document = {
        key: found[key] for key in ("project", "root", "ports", "summary", "complete", "skipped") if key in found
    }
    kept["findings"] = [finding for finding in found["findings"] if finding["severity"] != "note"]
    kept["services"] = [
        {"service": service["name"], **{key: port[key] for key in ("published", "target", "state")}}
        for service in found.get("services", ())
        for port in service["ports"]
        if port["from"] == "compose"
    ]
    return kept


def _lease(call: Call) -> Document:
    from portward.arguments import parse_range
    from portward.conventions import Terms

    ports = parse_range(call.text("range")) if call.given.get("range") else None
    granted = call.ward.lease(call.texts("services"), Terms(ports, call.given.get("prefer")))
    return {
        **_leases(documents.leases(granted)),
        "next": "start each server on its port: portward run SERVICE -- COMMAND",
    }


def _release(call: Call) -> Document:
    return _leases(documents.leases(call.ward.release(call.texts("services"))))


def _leases(document: Document) -> Document:
    left_out = ("host", "netns", "token", "granted")
    rows = [{key: value for key, value in row.items() if key not in left_out} for row in document["leases"]]
    return {**document, "leases": rows}


def _set_port(call: Call) -> Document:
    """A change as it would be, with the id to make it by; or made, if it still is what was shown."""
    from portward.answers import Changes

    preview = _chosen(call, "set_port", "wishes")
    if preview is not None:
        assert isinstance(preview.shown, Changes)
        answer = _set(call.replace(given=preview.asked), preview.shown)
        document = {**_changed(documents.changes(answer)), "diff": None}  # it was shown before
        return {
            **document,
            "next": "what runs keeps its old port until it is started again; `portward undo` takes it back",
        }
    answer = _set(call, None)
    document = _changed(documents.changes(answer))
    if not answer.changes:
        return {**document, "next": "nothing to change: the files say so already"}
    return {
        **document,
        "preview_id": call.previews.keep(Preview("set_port", call.given, answer)),
        "next": "read the diff; set_port with this preview_id writes it, within 5 minutes",
    }


def _set(call: Call, shown: Changes | None) -> Changes:
    container = bool(call.given.get("container"))
    return call.ward.set_ports(call.texts("wishes"), container=container, write=shown is not None, shown=shown)


def _changed(document: Document) -> Document:
    """Without what the diff says already."""
    kept = {key: document[key] for key in ("diff", "written", "undo", "remarks")}
    paths = dict.fromkeys(change["path"] for change in document["changes"])
    return {**kept, "files": list(paths)}


def _chosen(call: Call, tool: str, first: str) -> Preview | None:
    """What was shown and is now to be done; None where it is to be shown first. Raises UsageError for both or neither."""
    found = [name for name in (first, "preview_id") if call.given.get(name)]
    if len(found) != 1:
        raise UsageError(f"give either {first} or preview_id", hint="first without preview_id, then with it alone")
    return call.previews.take(call.text("preview_id"), tool) if found == ["preview_id"] else None


def _explain(call: Call) -> Document:
    document = documents.explain(call.ward.explain(call.given["text"]))
    if document["diagnoses"]:
        return document
    return {
        **document,
        "next": "no trouble with a port in this text: look for the cause in the code, or give the whole log",
    }


def _doctor(call: Call) -> Document:
    return documents.examined(call.ward.doctor(call.text("target"), origin=call.text("origin") or None))


def _identify(call: Call) -> Document:
    answers = call.ward.identify(*call.texts("targets"))
    return {"targets": [documents.identify([each]) for each in answers]}


def _kill(call: Call) -> Document:
    """What would be stopped, with the id to do it by; or stopped, if it still is what was shown. Only what is of this project."""
    from portward.stops import StopPlan

    preview = _chosen(call, "kill", "ports")
    if preview is not None:
        assert isinstance(preview.shown, StopPlan)
        ports = call.replace(given=preview.asked).texts("ports")
        return _stopped(documents.kill(call.ward.kill(ports, mine=True, reason="by an agent", shown=preview.shown)))
    answer = call.ward.kill(call.texts("ports"), mine=True, dry_run=True)
    document = _stopped(documents.kill(answer, dry_run=True))
    if not answer.planned.stops:
        return {**document, "next": "nothing of this project is there to stop; take another port instead: lease"}
    name = call.previews.keep(Preview("kill", call.given, answer.planned))
    return {**document, "preview_id": name, "next": "kill with this preview_id stops it, within 5 minutes"}


def _stopped(document: Document) -> Document:
    kept = ("planned", "stopped", "refused", "ports", "remarks")
    ports = [{**row, "by": None} for row in document["ports"]]  # a name from outside
    refused = [{**row, "hint": None} for row in document["refused"]]  # how it could be forced
    return {**{key: document[key] for key in kept}, "ports": ports, "refused": refused}


_PORT = "[HOST:]PORT[/udp]"

TOOLS = (
    Tool(
        "listeners",
        "Who listens on this machine: ports with process, container, project.",
        given(query=(["string"], "port, LOW-HIGH range, or text in a name; default all"), udp=("boolean", "UDP too")),
        LS,
        _listeners,
    ),
    Tool(
        "who",
        "All about what holds a port: process and parents, container, files that declare it, how to get it free. Use on EADDRINUSE.",
        given("ports", ports=(["string"], _PORT)),
        WHO,
        _who,
    ),
    Tool(
        "check",
        "Will this project's stack start? Conflicts, wrong references, and fixes. With ports: is each free to bind?",
        given(ports=(["string"], _PORT)),
        CHECK,
        _check,
    ),
    Tool(
        "lease",
        "Promise a port to each service of this checkout, the same every time and no other's. Call before starting a server.",
        given(
            services=(["string"], "default: all that are declared"),
            prefer=("integer", "this port, or one above"),
            range=("string", "LOW-HIGH"),
        ),
        LEASES,
        _lease,
        reads=False,
    ),
    Tool(
        "release",
        "Give back this checkout's leases.",
        given("services", services=(["string"], "")),
        LEASES,
        _release,
        reads=False,
        destroys=True,
    ),
    Tool(
        "set_port",
        "Change a service's host port in every file that writes it. First with wishes: returns a diff and preview_id, writes nothing. "
        "Then with preview_id alone: writes; refused if a file changed since.",
        given(
            wishes=(["string"], "SERVICE[:TARGET]=PORT, or OLD=NEW"),
            container=("boolean", "the container's side too"),
            preview_id=("string", ""),
        ),
        CHANGE,
        _set_port,
        reads=False,
        destroys=True,
        repeats=False,
    ),
    Tool(
        "explain",
        "Cause of a port error, with live evidence and fixes. Call before changing code because of EADDRINUSE, EACCES or ECONNREFUSED.",
        given("text", text=("string", "the error or whole log")),
        EXPLAIN,
        _explain,
    ),
    Tool(
        "doctor",
        "Why can a target not be reached? One cause, with evidence.",
        given(
            "target",
            target=("string", "HOST:PORT, URL, service or container"),
            origin=("string", "ask from this container"),
        ),
        EXAMINED,
        _doctor,
        opens=True,
    ),
    Tool(
        "identify",
        "Which service and version answers at a target.",
        given("targets", targets=(["string"], "[HOST:]PORT, URL or service")),
        IDENTITIES,
        _identify,
        opens=True,
    ),
)
KILL_TOOL = Tool(
    "kill",
    "Stop what holds ports, only if it is this checkout's own. First with ports: returns the plan and preview_id. Then with preview_id alone.",
    given(ports=(["string"], _PORT), preview_id=("string", "")),
    KILL,
    _kill,
    reads=False,
    destroys=True,
    repeats=False,
)
"""Offered only where it was asked for."""
