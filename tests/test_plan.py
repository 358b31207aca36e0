"""Plans: which characters change when a port moves, what stays, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.clearing import to_move
from portward.errors import InvalidFile, NoPlan
from portward.formats.project import declare
from portward.model import ComposeOptions, Finding, Link, PortSpec, Project, Severity, Side
from portward.plan import Move, Plan, plan, prove


def _read(files: dict[str, str], environment: dict[str, str] | None = None) -> Project:
    def text_of(path: str) -> str:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory")
        return files[path]

    return declare("/p", "p", sorted(files), text_of, environment or {}, ComposeOptions())


def _link(project: Project, service: str, target: int | None = None) -> Link:
    return next(
        link for link in project.links if link.service == service and link.entry and target in (None, link.target)
    )


def _applied(files: dict[str, str], planned: Plan) -> dict[str, str]:
    texts = dict(files)
    for edit in reversed(planned.edits):
        text = texts[edit.path]
        assert text[edit.span.start : edit.span.end] == edit.old
        texts[edit.path] = text[: edit.span.start] + edit.new + text[edit.span.end :]
    return texts


def _moved(
    files: dict[str, str],
    port: int = 7001,
    service: str = "a",
    *,
    target: int | None = None,
    container: bool = False,
    environment: dict[str, str] | None = None,
) -> dict[str, str]:
    """The texts after a move that is proved."""
    project = _read(files, environment)
    planned = plan(project, [Move(_link(project, service, target), port, container)], files.__getitem__)
    texts = _applied(files, planned)
    prove(planned, _read(texts, environment))
    return texts


def _compose(item: str, more: str = "") -> dict[str, str]:
    return {"compose.yaml": f"services:\n  a:\n    image: x\n    ports:\n      - {item}\n{more}"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"5000:80"', '"7001:80"'),
        ("5000:80", "7001:80"),
        ("'5000:80'  # why", "'7001:80'  # why"),
        ('"127.0.0.1:5000:80/tcp"', '"127.0.0.1:7001:80/tcp"'),
        ('"[::1]:5000:80"', '"[::1]:7001:80"'),
        ('"5000-5002:80"', '"7001-7003:80"'),
        ('"5000-5002:80-82"', '"7001-7003:80-82"'),
        ('"${P:-5000}:80"', '"${P:-7001}:80"'),
        ('"${P-5000}:80"', '"${P-7001}:80"'),
        ('"80"', '"7001:80"'),
        ("80", '"7001:80"'),
        ("80/udp", '"7001:80/udp"'),
        ('":80"', '":7001:80"'),
        ('"127.0.0.1::80"', '"127.0.0.1:7001:80"'),
        ("{target: 80, published: 5000}", "{target: 80, published: 7001}"),
        ('{target: 80, published: "5000"}', '{target: 80, published: "7001"}'),
        ("{target: 80}", '{published: "7001", target: 80}'),
        ("target: 80\n        mode: host", 'published: "7001"\n        target: 80\n        mode: host'),
        ("mode: host\n        target: 80 # c", 'mode: host\n        published: "7001"\n        target: 80 # c'),
        ("&p 5000:80", "&p 7001:80"),
        ("!!str 5000:80", "!!str 7001:80"),
    ],
)
def test_every_way_to_write_a_published_port(before: str, after: str) -> None:
    """Only the port's own characters change, in short and long syntax."""
    assert _moved(_compose(before)) == _compose(after)


def test_a_range_keeps_its_length_and_protocol() -> None:
    """Several host ports for one container port move together."""
    assert _moved(_compose("8000-8001:80/udp")) == _compose("7001-7002:80/udp")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_stay(newline: str) -> None:
    """A file of CRLF keeps it, also in a line that is added."""
    before = _compose("target: 80")["compose.yaml"].replace("\n", newline)
    after = _compose('published: "7001"\n        target: 80')["compose.yaml"].replace("\n", newline)
    assert _moved({"compose.yaml": before}) == {"compose.yaml": after}


def test_a_variable_is_changed_where_it_is_defined() -> None:
    """The definition, the default in step with it, and what else means the host's port; not the container's."""
    files = _compose('"${P:-5000}:5000"', "  b:\n    image: x\n    environment:\n      URL: http://a:5000/${P}\n") | {
        ".env": "# ports\nexport P=5000 # here\nQ=5000\n",
        "web/.env": "API_URL=http://localhost:5000/v1\nOTHER=http://elsewhere.example:5000\n",
    }
    texts = _moved(files)
    assert texts[".env"] == "# ports\nexport P=7001 # here\nQ=5000\n"
    assert '"${P:-7001}:5000"' in texts["compose.yaml"]
    assert "http://a:5000/${P}" in texts["compose.yaml"]
    assert texts["web/.env"] == "API_URL=http://localhost:7001/v1\nOTHER=http://elsewhere.example:5000\n"


def test_container_moves_both_sides() -> None:
    """With the container's side, everything that names the target follows too."""
    more = "    expose: [5000]\n    environment: {PORT: 5000}\n  b:\n    image: x\n    environment: {URL: 'http://a:5000'}\n"
    texts = _moved(_compose('"5001:5000"', more), container=True)
    assert texts == {"compose.yaml": _compose('"7001:7001"', more)["compose.yaml"].replace("5000", "7001")}


def test_commands_and_health_checks_are_the_containers() -> None:
    """What a container is told of itself stays when the host's side moves, and follows when the container's does."""
    more = (
        "    command: uvicorn app:app --host 0.0.0.0 --port 5000\n"
        '    healthcheck: {test: ["CMD-SHELL", "curl -f http://localhost:5000/ || exit 1"]}\n'
        "    labels: {traefik.http.services.a.loadbalancer.server.port: 5000}\n"
        "  b:\n    image: x\n    command: [wait-on, 'http://a:5000', 'http://localhost:9000']\n"
    )
    files = _compose('"5000:5000"', more)
    assert _moved(files) == _compose('"7001:5000"', more)
    assert _moved(files, container=True) == {"compose.yaml": files["compose.yaml"].replace("5000", "7001")}


def test_the_default_that_the_container_reads_stays() -> None:
    """Code in the container's own folder falls back to the container's port; with PORT set by Compose, to the host's."""
    code = {"srv/config.js": "module.exports = { port: process.env.PORT || 5000 };\n"}
    read = _compose('"${PORT:-5000}:5000"', '    volumes: ["./srv:/app"]\n') | code
    assert _moved(read)["srv/config.js"] == code["srv/config.js"]
    given = _compose('"${PORT:-5000}:5000"', '    volumes: ["./srv:/app"]\n    environment: {PORT: 5000}\n') | code
    assert "|| 7001" in _moved(given)["srv/config.js"]


def test_a_number_of_unknown_side_stays_and_is_named() -> None:
    """Where the files do not tell which side a number is, it is left, and kept with the reason."""
    files = _compose('"5000:5000"') | {"server.js": "app.listen(5000);\n"}
    project = _read(files)
    planned = plan(project, [Move(_link(project, "a"), 7001)], files.__getitem__)
    (kept,) = planned.kept
    assert (kept.location.path, kept.side) == ("server.js", Side.UNKNOWN)
    assert "only the number" in kept.why


@pytest.mark.parametrize(
    ("files", "environment", "reason"),
    [
        (_compose('"${P}:${P}"') | {".env": "P=5000\n"}, {}, "container"),
        (_compose('"${P}:5000"', "    environment: {PORT: '${P}'}\n") | {".env": "P=5000\n"}, {}, "container"),
        (_compose('"${PORT}:5000"', "    env_file: .env\n") | {".env": "PORT=5000\n"}, {}, "container"),
        (_compose('"${P}:80"') | {".env": "P=5000\n"}, {"P": "6000"}, "environment"),
        (_compose('"${P}:80"'), {"P": "6000"}, "no file defines"),
        (_compose('"1${P}:80"') | {".env": "P=500\n"}, {}, "compose.yaml"),
        (_compose('{target: 80, published: "$P"}') | {"README.md": "| a | 80 |\n"}, {}, "P has no value"),
        (_compose('"5000:80"', "  b:\n    extends: a\n"), {}, ""),
    ],
)
def test_what_would_move_more_is_refused(files: dict[str, str], environment: dict[str, str], reason: str) -> None:
    """A variable that both sides share, one that the environment sets, or one that is only part of the number."""
    if not reason:
        assert '"7001:80"' in _moved(files)["compose.yaml"]
        return
    with pytest.raises(NoPlan, match=reason):
        _moved(files, environment=environment)


def test_a_shared_variable_moves_with_both_sides_when_asked() -> None:
    """`${P}:${P}` moves by its one definition when the container's side is meant too."""
    files = _compose('"${P}:${P}"') | {".env": "P=5000\n"}
    assert _moved(files, container=True) == files | {".env": "P=7001\n"}


@pytest.mark.parametrize("given", ["BASE=5000\nP=${BASE}\n", "P=${BASE:-5000}\n", "BASE=${MORE:-5000}\nP=$BASE\n"])
def test_a_variable_of_a_variable(given: str) -> None:
    """The number is changed where it stands at last."""
    files = _compose('"${P}:80"') | {".env": given}
    assert _moved(files) == files | {".env": given.replace("5000", "7001")}


def test_an_anchor_moves_all_that_use_it() -> None:
    """One scalar that two services share is changed once."""
    text = 'services:\n  a: {image: x, ports: &p ["127.0.0.1:5000:80"]}\n  b: {image: x, ports: *p}\n'
    assert _moved({"compose.yaml": text}) == {"compose.yaml": text.replace("5000", "7001")}


def test_another_target_is_chosen_by_its_number() -> None:
    """The port behind a target, not the first one."""
    files = _compose('"5000:80"\n      - "5001:81"')
    assert _moved(files, target=81) == _compose('"5000:80"\n      - "7001:81"')


def test_a_stale_url_is_brought_into_line() -> None:
    """Setting the port that it has already mends what points elsewhere."""
    files = _compose('"5000:80"') | {"web/.env": "A_URL=http://localhost:5999\n"}
    assert _moved(files, port=5000)["web/.env"] == "A_URL=http://localhost:5000\n"


_HOSTS = st.sampled_from(["5000", "${P:-5000}", "${P}", "5000-5003", "", "$P"])
_ADDRESSES = st.sampled_from(["", "127.0.0.1:", "[::1]:", "0.0.0.0:"])
_QUOTES = st.sampled_from(['"', "'", ""])


@settings(max_examples=200, deadline=None)
@given(
    host=_HOSTS,
    address=_ADDRESSES,
    quote=_QUOTES,
    protocol=st.sampled_from(["", "/tcp", "/udp"]),
    comment=st.sampled_from(["", "  # 5000", "\t# c"]),
    bom=st.sampled_from(["", "\ufeff"]),
    defined=st.sampled_from(["", "P=5000\n", "export P='5000' # 5000\r\n", 'P="5000"']),
    port=st.integers(1, 60000).filter(lambda port: port != 6000),
)
def test_a_second_read_differs_in_just_that_port(
    host: str, address: str, quote: str, protocol: str, comment: str, bom: str, defined: str, port: int
) -> None:
    """Whatever way it is written: either refused, or exactly the intended port is another one afterwards."""
    item = f"{quote}{address}{host}:80{protocol}{quote}{comment}"
    other = '  b:\n    image: y\n    ports: ["6000:80"]\n    environment: {URL: "http://a:80 http://localhost:6000"}\n'
    files = {"compose.yaml": bom + _compose(item, other)["compose.yaml"], ".env": defined}
    try:
        project = _read(files)
        link = _link(project, "a")
        planned = plan(project, [Move(link, port)], lambda path: files[path].removeprefix("\ufeff"))
    except (NoPlan, InvalidFile):
        return
    bare = {path: text.removeprefix("\ufeff") for path, text in files.items()}
    try:
        after = _read(_applied(bare, planned))
    except InvalidFile:
        assert defined == ""  # an empty variable beside the port: the caller sees that Compose would refuse the result
        return
    prove(planned, after)
    assert link.entry is not None
    moved = after.service("a")
    assert moved is not None
    new = moved.claims[0].published
    assert new is not None
    assert new.partition("-")[0] == str(port)
    assert after.service("b") is not None
    assert _numbers(after, "b") == _numbers(project, "b")
    changed = sum(one != two for path in bare for one, two in zip(
        bare[path].split("\n"), _applied(bare, planned)[path].split("\n"), strict=True))  # fmt: skip
    assert changed <= 2


def _numbers(project: Project, service: str) -> list[tuple[str, str]]:
    found = project.service(service)
    assert found is not None
    return [(spec.origin, spec.number) for spec in found.ports]


def _stack(*ports: str) -> Project:
    services = "".join(f'  s{index}: {{image: x, ports: ["{port}"]}}\n' for index, port in enumerate(ports))
    return _read({"compose.yaml": f"services:\n{services}"})


def _in_the_way(project: Project, service: str) -> Finding:
    entry: PortSpec | None = _link(project, service).entry
    assert entry is not None
    return Finding("address-in-use", Severity.ERROR, "held", service, 1, None, (entry.place,))


@pytest.mark.parametrize(
    ("ports", "taken", "pinned", "moved"),
    [
        (("1:1", "2:2"), (), (), []),
        (("1:1", "1:2"), (), (), ["s1"]),
        (("1:1", "1:2"), (), ("s1",), ["s0"]),
        (("1:1", "1:2"), ("s0",), (), ["s0"]),
        (("1:1", "1:2", "1:3"), (), (), ["s1", "s2"]),
        (("1-3:1", "1:2", "3:3"), (), (), ["s0"]),
        (("1:1", "2:2"), ("s1",), (), ["s1"]),
        (("127.0.0.1:1:1", "127.0.0.2:1:1"), (), (), []),
        (("1-4:1-4", "2:2"), (), (), ["s1"]),
        (("1-4:1-4", "2:2", "3:3"), (), (), ["s0"]),
        (("1-4:1-4", "2:2", "3:3"), (), ("s0",), ["s1", "s2"]),
        (("1-4:1-4", "2:2"), ("s0",), (), ["s0"]),
    ],
)
def test_the_smallest_set_of_moves(
    ports: tuple[str, ...], taken: tuple[str, ...], pinned: tuple[str, ...], moved: list[str]
) -> None:
    """As few services as possible move, and none that is pinned."""
    project = _stack(*ports)
    links, stuck = to_move(project, [_in_the_way(project, name) for name in taken], pinned)
    assert [link.service for link in links] == moved
    assert not stuck


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ('"5000-5002:80-82"', "a range of the container's ports"),
        ('"127.0.0.1:5000-5002:5000-5002/udp"', "a range of the container's ports"),
        ('"80"', "leaves the host's port to the engine"),
        ("{target: 80}", "leaves the host's port to the engine"),
    ],
)
def test_what_the_container_cannot_be_moved_with(item: str, reason: str) -> None:
    """The reason is named, at the place; the host's side alone can be moved."""
    with pytest.raises(NoPlan, match=reason) as refused:
        _moved(_compose(item), container=True)
    assert refused.value.line == 5
    assert refused.value.hint
    assert "7001" in _moved(_compose(item))["compose.yaml"]


def test_a_port_inside_a_range() -> None:
    """The range moves as a whole, so that the port that is asked for has the number that is asked for."""
    moved = _moved(_compose('"5000-5002:80-82"'), target=81)["compose.yaml"]
    assert '"7000-7002:80-82"' in moved
    with pytest.raises(NoPlan, match="cannot be given another port"):
        _moved(_compose('"5000-5002:80-82"'), 1, target=82)


_MANIFESTS = """\
apiVersion: v1
kind: Service
metadata: {name: a}
spec: {ports: [{port: 5000, targetPort: 80, nodePort: 30500}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a}
spec: {defaultBackend: {service: {name: a, port: {number: 5000}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
data: {A_URL: "http://a:5000"}
"""


@pytest.mark.parametrize("container", [False, True])
def test_the_ports_of_a_cluster_stay(container: bool) -> None:
    """What a Service, an Ingress and a URL in a cluster call 5000 is neither the host's port nor the container's."""
    files = {**_compose('"5000:80"'), "k8s/a.yaml": _MANIFESTS}
    moved = _moved(files, container=container).get("k8s/a.yaml", _MANIFESTS)
    assert moved == (_MANIFESTS.replace("targetPort: 80", "targetPort: 7001") if container else _MANIFESTS)


def test_a_host_range_before_one_container_port() -> None:
    """With the container the range begins at the number that the container gets."""
    assert '"7001-7003:7001"' in _moved(_compose('"5000-5002:80"'), container=True)["compose.yaml"]


def test_a_port_on_the_hosts_network_moves_with_its_container_alone() -> None:
    """Its published number does nothing, so `set` refuses it; with the container, what tells the process its port moves too."""
    files = {
        "compose.yaml": "services:\n  a: {image: x, network_mode: host, environment: {PORT: 80}, ports: ['5000:80']}\n"
    }
    with pytest.raises(NoPlan, match="on the host's network") as refused:
        _moved(files)
    assert refused.value.line == 2
    moved = _moved(files, container=True)["compose.yaml"]
    assert "PORT: 7001" in moved
    assert "'7001:7001'" in moved


def test_what_no_move_can_clear_is_told() -> None:
    """Two pins on one port, and a pinned port that is held."""
    project = _stack("1:1", "1:2")
    assert to_move(project, [], ("s0", "s1"))[1]
    assert to_move(project, [_in_the_way(project, "s0")], ("s0",))[1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 3)), min_size=1, max_size=9))
def test_moves_clear_every_conflict(ranges: list[tuple[int, int]]) -> None:
    """After the moves no two of the remaining entries overlap, and no move is needless."""
    project = _stack(*(f"{low}-{low + more}:{index + 1}" for index, (low, more) in enumerate(ranges)))
    links, _ = to_move(project, [], ())
    entries = [link.entry for link in project.links if link.entry]
    kept = [entry for entry in entries if entry not in [link.entry for link in links]]
    assert not any(one.overlaps(two) for index, one in enumerate(kept) for two in kept[index + 1 :])
    for link in links:
        assert link.entry is not None
        assert any(link.entry.overlaps(other) for other in kept)
