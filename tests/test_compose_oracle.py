"""Compose files against Docker Compose itself: project, services and ports, and what is refused.

PORTWARD_EXAMPLES sets how many projects are generated for each test; a hundred take some seconds, `make soak` takes thousands.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portward.model import ComposeOptions
from tests.compose_forms import FILES, FORMS, RIGHT, SECTIONS
from tests.compose_oracle import ours, theirs, write
from tests.conftest import unmet

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"
EXAMPLES = int(os.environ.get("PORTWARD_EXAMPLES", "100"))
REFUSALS_AT_ONCE = 8

pytestmark = pytest.mark.timeout(1800)  # on a loaded machine each of some thousand calls of Compose takes its time

_generated = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
_many: Callable[[Any], Any] = _generated


def _compare(
    files: dict[str, Any], environment: dict[str, str] | None = None, options: ComposeOptions | None = None
) -> bool:
    """Whether Compose takes a project. Fails where Portward makes something else of it."""
    folder = Path(tempfile.mkdtemp(prefix="portward-")) / "shop"
    folder.mkdir()
    try:
        write(folder, files)
        expected = theirs(folder, environment, options)
        assert ours(folder, environment, options) == expected
    finally:
        shutil.rmtree(folder.parent)
    return expected is not None


def _corpus() -> list[Path]:
    return [path for path in sorted(CORPUS.rglob("*.y*ml")) if "compose" in path.name]


def test_the_whole_corpus() -> None:
    """Every Compose file of the corpus of real projects comes to what Compose says that it does."""
    if not CORPUS.is_dir():
        unmet("the corpus is not there")
    files = _corpus()
    assert len(files) > 30
    for path in files:
        options = ComposeOptions(files=(path.name,))
        assert ours(path.parent, {}, options) == theirs(path.parent, {}, options), path


_NUMBERS = st.integers(0, 65535).map(str) | st.sampled_from(
    ["80", "8080", "080", "65536", "", "a", "-1", "+1", " 80", "1_0", "0x50"]
)
_RANGES = st.tuples(st.integers(1, 9000), st.integers(-2, 3)).map(lambda pair: f"{pair[0]}-{pair[0] + pair[1]}")
_VARIABLES = st.sampled_from(
    [
        "${P}",
        "${P:-8081}",
        "${Q-82}",
        "$P",
        "${Q:?no}",
        "${P:+83}",
        "${P+84}",
        "${Q",
        "$$",
        "${P:-${Q:-85}}",
        "${P:-${Q:?no}}",
    ]
)
_PORTS = _NUMBERS | _RANGES | _VARIABLES | st.sampled_from(["80-81-82", "80/81", "80-80"])
_ADDRESSES = st.sampled_from(
    [
        "",
        "",
        "",
        "127.0.0.1:",
        "0.0.0.0:",
        "[::1]:",
        "localhost:",
        "::1:",
        "[::]:",
        "[]:",
        "${IP:-127.0.0.1}:",
        "127.1:",
        "[::1%a]:",
        ":",
    ]
)
_PROTOCOLS = st.sampled_from(["", "", "/tcp", "/udp", "/UDP", "/sctp", "/icmp", "/", "/tcp/udp"])
_SHORT = st.builds(lambda ip, host, target, protocol: f"{ip}{host}{target}{protocol}", _ADDRESSES,
                   st.just("") | _PORTS.map(lambda port: f"{port}:"), _PORTS, _PROTOCOLS)  # fmt: skip
_LONG = st.fixed_dictionaries(
    {"target": st.integers(-1, 70000) | _PORTS},
    optional={
        "published": st.integers(0, 70000) | _PORTS | st.sampled_from([80.0, None, True]),
        "host_ip": st.sampled_from(["127.0.0.1", "::1", "", "x", "[::1]"]),
        "protocol": st.sampled_from(["tcp", "udp", "UDP", 5]),
        "mode": st.sampled_from(["host", "ingress"]),
        "other": st.just(1),
        "x-other": st.just(1),
    },
)
_ITEM: st.SearchStrategy[Any] = _SHORT | _LONG | st.integers(0, 70000) | st.sampled_from([None, True, 80.5, [], {}])
_VALUES = st.dictionaries(st.sampled_from("PQ"), st.sampled_from(["9000", "", "x"]))


@settings(_generated, max_examples=max(1, EXAMPLES // 3))  # each has dozens of ports
@given(items=st.lists(_ITEM, min_size=20, max_size=40), values=_VALUES)
def test_generated_ports(items: list[Any], values: dict[str, str]) -> None:
    """Whatever is written under `ports:`. What Portward takes is asked at once, a service for each; of the rest some one by one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken, refused = {}, []
        for index, item in enumerate(items):
            service = {"image": "x", "ports": [item]}
            write(folder, {"compose.yaml": {"services": {"a": service}}})
            if ours(folder, values) is None:
                refused.append(service)
            else:
                taken[f"s{index}"] = service
        write(folder, {"compose.yaml": {"name": "shop", "services": taken}})
        assert ours(folder, values) == theirs(folder, values)
        for service in refused[:REFUSALS_AT_ONCE]:
            write(folder, {"compose.yaml": {"services": {"a": service}}})
            assert theirs(folder, values) is None, service


@_many
@given(
    base=st.lists(_ITEM, max_size=4),
    over=st.lists(st.lists(_ITEM, max_size=3), max_size=2),
    tag=st.sampled_from(["", "", "!override ", "!reset "]),
    way=st.sampled_from(["override", "documents", "extends", "other file", "include"]),
    values=_VALUES,
)
def test_generated_merges(base: list[Any], over: list[list[Any]], tag: str, way: str, values: dict[str, str]) -> None:
    """Ports that are laid over others: by a second file or document, `extends` or `include`, with `!override` and `!reset`."""
    below = json.dumps({"image": "x", "ports": base})
    above = [f"{{ports: {tag}{json.dumps(ports)}}}" for ports in over]
    env = "".join(f"{name}={value}\n" for name, value in values.items())
    files = {"compose.yaml": f"services: {{a: {below}}}\n", ".env": env}
    for index, service in enumerate(above):
        if way == "documents":
            files["compose.yaml"] += f"---\nservices: {{a: {service}}}\n"
        elif way == "extends":
            files["compose.yaml"] += f"  # {index}\n"
        elif way != "include":
            files[f"over{index}.yaml"] = f"services: {{a: {service}}}\n"
    if way == "extends" and above:
        files["compose.yaml"] = f"services:\n  b: {below}\n  a: {{extends: b, {above[0][1:]}\n"
    if way == "other file" and above:
        files["sub/base.yaml"] = f"services: {{b: {below}}}\n"
        files["compose.yaml"] = f"services: {{a: {{extends: {{file: sub/base.yaml, service: b}}, {above[0][1:]}}}\n"
    if way == "include":
        files |= {
            "sub/c.yaml": files["compose.yaml"],
            "sub/.env": "Q=7000\n",
            "compose.yaml": "include: [sub/c.yaml]\n",
        }
        if above:
            files["compose.override.yaml"] = f"services: {{a: {above[0]}}}\n"
    named = ("compose.yaml", *(name for name in files if name.startswith("over")))
    _compare(files, {}, ComposeOptions(files=named if way == "override" else ()))


def _service(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(sorted(FORMS)), max_size=3, unique=True))
    service = {key: draw(st.sampled_from(FORMS[key])) for key in keys}
    return service if draw(st.integers(0, 9)) == 0 else {"image": "x", **service}


@st.composite
def _projects(draw: st.DrawFn) -> dict[str, Any]:
    """The files of a project: a service or two of some keys each, sections, maybe an override or an include."""
    other = {"image": "y", "build": ".", "ports": ["9000:9000"]}
    document: dict[str, Any] = {**RIGHT, "services": {"a": _service(draw), "other": other}}
    for key in draw(st.lists(st.sampled_from(sorted(SECTIONS)), max_size=1)):
        document[key] = draw(st.sampled_from(SECTIONS[key]))
    files: dict[str, Any] = {"compose.yaml": document, **FILES}
    way = draw(st.sampled_from(["", "", "override", "include"]))
    if way == "override":
        files["compose.override.yml"] = {"services": {"a": _service(draw) | {"image": "z"}}}
    elif way == "include":
        files["sub/c.yaml"] = {
            "services": {draw(st.sampled_from(["b", "a"])): _service(draw)},
            "networks": RIGHT["networks"],
        }
        files |= {f"sub/{name}": content for name, content in FILES.items()}
        document["include"] = draw(st.sampled_from([["sub/c.yaml"], [{"path": "sub/c.yaml"}], ["sub"], "sub/c.yaml"]))
    return files


@_many
@given(files=_projects(), profiles=st.lists(st.sampled_from(["p", "q", "*", ""]), max_size=2))
def test_generated_projects(files: dict[str, Any], profiles: list[str]) -> None:
    """Whole projects of right and wrong keys: taken or refused as Compose does."""
    _compare(files, {}, ComposeOptions(profiles=tuple(profiles)))


_ENVIRONMENT: dict[str, st.SearchStrategy[str]] = {
    "COMPOSE_FILE": st.sampled_from(
        ["a.yaml", "a.yaml:b.yaml", "a.yaml;b.yaml", "sub/c.yaml", "sub/c.yaml:a.yaml", "", "none.yaml"]
    ),
    "COMPOSE_PATH_SEPARATOR": st.sampled_from([";", ":", ""]),
    "COMPOSE_PROFILES": st.sampled_from(["p", "q, p", "", "*"]),
    "COMPOSE_PROJECT_NAME": st.sampled_from(["mine", "Mine", "", "_"]),
    "PORT": st.sampled_from(["1111", ""]),
}
_OUTSIDE: dict[str, st.SearchStrategy[str]] = {
    **_ENVIRONMENT,
    "COMPOSE_ENV_FILES": st.sampled_from(["e.env", "e.env,f.env", "", "none.env"]),
    "COMPOSE_DISABLE_ENV_FILE": st.sampled_from(["1", "true", "0", "F"]),
}
_DOTENV = st.dictionaries(st.sampled_from(sorted(_ENVIRONMENT)), st.none(), max_size=3).flatmap(
    lambda names: st.fixed_dictionaries({name: _ENVIRONMENT[name] for name in names})
)


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


@_many
@given(
    outside=st.lists(st.sampled_from(sorted(_OUTSIDE)), max_size=3, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: _OUTSIDE[name] for name in names})
    ),
    dotenv=_DOTENV,
    below=_DOTENV,
    extra=_DOTENV,
    present=st.lists(
        st.sampled_from(["compose.yml", "docker-compose.yaml", "compose.override.yml", "docker-compose.override.yml"])
    ),
    files=st.sampled_from(
        [(), (), (), ("a.yaml",), ("a.yaml", "b.yaml"), ("sub/c.yaml",), ("sub/c.yaml", "b.yaml"), ("none.yaml",)]
    ),
    env_files=st.sampled_from([(), (), (), ("e.env",), ("e.env", "f.env"), ("none.env",), ("sub",)]),
    profiles=st.sampled_from([(), (), ("p",), ("p", "q"), ("*",)]),
)
def test_generated_surroundings(
    outside: dict[str, str],
    dotenv: dict[str, str],
    below: dict[str, str],
    extra: dict[str, str],
    present: list[str],
    files: tuple[str, ...],
    env_files: tuple[str, ...],
    profiles: tuple[str, ...],
) -> None:
    """Which files, variables, profiles and name are in force: by options, environment, `.env` files, and what is there."""
    written: dict[str, Any] = {
        ".env": _lines(dotenv), "sub/.env": _lines(below), "e.env": _lines(extra), "f.env": "PORT=3${PORT}3\n",
        "compose.yaml": {"services": {"a": {"image": "x", "ports": ["${PORT:-1}:1"]}, "p": {"image": "x", "profiles": ["p"]}}},
        **{name: {"services": {"a": {"ports": [f"{index + 10}:2"]}}} for index, name in enumerate(present)},
        **{name: {"name": name[0], "services": {"a": {"image": name, "ports": ["${PORT:-2}:3"]}}} for name in ("a.yaml", "b.yaml")},
        "sub/c.yaml": {"services": {"a": {"image": "${COMPOSE_PROJECT_NAME}", "ports": ["${PORT:-4}:4"], "profiles": ["q", ""]}}},
    }  # fmt: skip
    _compare(written, outside, ComposeOptions(files, profiles, env_files))


_TEXT = """\
x-env: &env
  A: 1
  B: "${B:-2}"
x-base: &base
  image: "x:${TAG:-1}"
  restart: always
services:
  web:
    <<: *base
    environment:
      <<: *env
      C: yes
    ports: ["80:80", "${P:-8080}:81/udp", 9090, 2222:22, 0123]
    command: >-
      sh -c "echo
      hi"
    healthcheck: {test: [CMD, a], interval: 1m30s}
  db:
    <<: [*base]
    environment: [A=1, "B=2"]
    volumes:
    - db:/data:ro
    - {type: bind, source: ., target: /x}
    deploy:
      resources: {limits: {cpus: '0.5', memory: 50M}}
volumes: {db: {}}
"""
_PIECES = (
    *" \t:-#{}[]&*!|>'\"%@`,\n?~<=$\\/.0aé\r", "- ", ": ", "\n  ", "# ", '""', "${A}", "${A:-5}", "$$", "${", "---\n", "...\n", "!reset ",
    "!override ", "|\n", ">-\n", "null", "true", "1.5", "[]", "{}", "2024-01-01", "!!str ", "&a ", "*a", "<<: ", "image", "ports", "x-a",
)  # fmt: skip


def _mutated(text: str, dice: random.Random) -> str:
    """A text with a few characters, words or lines changed."""
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        lines = text.split("\n")
        index, start = dice.randrange(len(lines)), dice.randrange(len(text) + 1)
        way = dice.randrange(6)
        if way == 0:
            text = text[:start] + text[start + dice.choice((1, 1, 5)) :]
        elif way <= 2:
            text = text[:start] + dice.choice(_PIECES) + text[start:]
        else:
            lines[index : index + 1] = (
                (),
                (lines[index], lines[index]),
                (dice.choice(("  ", " ", "\t")) + lines[index],),
            )[way - 3]
            text = "\n".join(lines)
    return text


@_many
@given(seed=st.integers(0, 1 << 32))
def test_changed_texts(seed: int) -> None:
    """Texts with a slip of the finger or two: YAML that is still one, and YAML that is none."""
    dice = random.Random(seed)
    texts = [path.read_text("utf-8") for path in _corpus()] if CORPUS.is_dir() else []
    text = _mutated(dice.choice([_TEXT] * 20 + texts), dice)
    _compare({"compose.yaml": text, ".env": "", "app.env": ""})


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("services: {a: {image: x, ports: ['${PORT:-5000}:80']}}", {"PORT": "6000"}),
        ("services: {a: {image: x, ports: ['${PORT:?wanted}:80']}}", {}),
        ("services: {a: {image: x, ports: [2222:22, 0123, 0x50]}}", {}),
        ("x: &p ['1:1']\nservices: {a: {image: x, ports: *p}}", {}),
        ("services: {a: {image: x}}\n---\nservices: {a: {ports: ['1:1']}}", {}),
        ("", {}),
        ("services:", {}),
        ("services: {}", {}),
        ("volumes: {a: {}}", {}),
        ("version: '3'", {}),
        ("services: {a: }", {}),
        ("[1, 2]", {}),
        ("services: {a b: {image: x}}", {}),
        ("services: {a.b: {image: x, ports: ['1:1']}}", {}),
        ("services: {1: {image: x}}", {}),
        ("services: {a: {image: x, labels: {d: 2024-01-01}}}", {}),
        ("services: {a: {image: x, ports: {web: 80}}}", {}),
        ("services:\n  a: {image: x}\n  a: {image: y}", {}),
        ("services:\n  a:\n    <<: {image: x}\n    <<: {ports: ['1:1']}", {}),
        ("services: {a: {image: x, container_name: foo}, b: {image: x, container_name: foo}}", {}),
        ("services: {a: {image: x, depends_on: [b]}, b: {image: x, links: [a]}}", {}),
        ("services: {a: {image: x, ports: [{target: 80, published: '80'}, {target: 80, published: 80}]}}", {}),
        ("services: {a: {image: x, ports: [{target: 80, published: 80}, {target: 80, published: '80'}]}}", {}),
        ("services: {a: &a {image: x, labels: *a}}", {}),
        ("services: {web: &w {image: x}, web2: *w}", {}),
        ("name: ${COMPOSE_PROJECT_NAME:-x}\nservices: {a: {image: x, ports: ['${PWD:+5}:1']}}", {}),
        ("name: ${UNSET}\nservices: {a: {image: x}}", {}),
        ("name: '---'\nservices: {a: {image: x}}", {}),
        ("name: '---'\nservices: {a: {image: x}}", {"COMPOSE_PROJECT_NAME": "given"}),
        ("name: foo\nservices: {a: {image: x}}\n---\nname: $$", {}),
        ("name: !reset foo\nservices: {a: {image: x}}", {}),
        ("name: !reset {foo: bar}\nservices: {a: {image: x}}", {}),
        ("services:\n  a:\n    image: x\n    command: !reset\n    command: y", {}),
        ("services: {a: {image: x, networks: [x-n]}}\nnetworks: {x-n: {}}", {}),
        (
            "services: {a: {image: x, networks: {n: {}}, depends_on: [x-b]}, x-b: {image: x}}\nnetworks: {n: {}, x-n: {}}",
            {},
        ),
        ("services: {a: {image: x, models: [x-m]}}\nmodels: {x-o: {model: x}}", {}),
        ("services: {a: {image: x, models: [x-m]}}\nmodels: {m: {model: x}}", {}),
        ("services: {a: {image: x, volumes: ['x-v:/v']}}\nvolumes: {x-v: {}}", {}),
        ("services: {a: {image: x, extra_hosts: {x-h: 1.1.1.1}}}", {}),
        ("services: {a: {image: x, extra_hosts: ['x-h:1.1.1.1']}}", {}),
        ("services: {a: {image: x, !!binary cG9ydHM=: ['81:81'], ports: ['80:80']}}", {}),
        ("services: {a: {image: x, ports: ['80:80'], !!binary cG9ydHM=: ['81:81']}}", {}),
        ("services: {a: {image: x, ports: [!!binary ODA6ODA=]}}", {}),
        ("x: &b {ports: ['80:80']}\nservices: {a: {image: x, !!binary PDw=: *b}}", {}),
        ("services: {a: {image: x, !!binary cG9ydHM=: !reset [], ports: ['80:80']}}", {}),
        ("services:\n  a:\n    image: x\n    environment:\n      ? !!binary |\n        Y\n        Q==\n      : 1", {}),
    ],
)
def test_chosen_files(text: str, environment: dict[str, str]) -> None:
    """Files at the edges are read or refused as Compose does."""
    _compare({"compose.yaml": text}, environment)


@pytest.mark.parametrize(
    "keys",
    [
        "gpus: x",
        "gpus: 5",
        "build: {provenance: [x]}",
        "build: {sbom: {a: b}}",
        "volumes: [1e3]",
        "volumes: [2024-01-01]",
        "devices: [null]",
        "devices: ['']",
        "configs: [{source: c, mode: 1.5}]",
        "configs: [{source: c, mode: 0440}]",
    ],
)
def test_a_file_that_is_only_extended(keys: str) -> None:
    """Such a file passes no schema of its own: what is read there is refused, or taken, by whatever reads it."""
    main = "services: {a: {image: x, extends: {file: base.yaml, service: b}}}\nconfigs: {c: {content: x}}"
    _compare({"compose.yaml": main, "base.yaml": f"services: {{b: {{{keys}}}}}"})


@pytest.mark.parametrize(
    "keys",
    [
        *(
            "build: null",
            "build: 5",
            "build: []",
            "build: {additional_contexts: 5}",
            "build: {additional_contexts: [[a]]}",
        ),
        *(
            "build: {additional_contexts: {a: [b]}}",
            "build: {ssh: 5}",
            "build: {ulimits: {a: x}}",
            "configs: [[a]]",
            "configs: {a: 1}",
        ),
        *(
            "secrets: [5]",
            "devices: [[a]]",
            "devices: {a: b}",
            "extends: []",
            "extends: {file: 5}",
            "gpus: {a: 1}",
            "gpus: [5]",
        ),
        *(
            "env_file: {}",
            "env_file: 5",
            "env_file: [5, e]",
            "env_file: [{path: [a]}]",
            "env_file: [{path: {}}]",
            "label_file: [5]",
        ),
        *(
            "label_file: [[a]]",
            "label_file: {a: b}",
            "ulimits: {a: [1]}",
            "ulimits: {a: 1.5}",
            "ulimits: {a: '5'}",
            "ulimits: [null]",
        ),
        *("volumes: [[a]]", "volumes: {a: b}", "volumes: [{type: bind, source: 5}]", "develop: {watch: [{path: 5}]}"),
        *("develop: {watch: [{path: [a]}]}", "expose: 5", "image: [x]"),
    ],
)
def test_what_stands_beside_an_extended_service(keys: str) -> None:
    """It is brought into long form with the service that is extended, and refused where that cannot be done."""
    main = "services: {a: {extends: {file: base.yaml, service: b}}}"
    _compare({"compose.yaml": main, "base.yaml": f"services: {{b: {{image: x}}, c: {{{keys}}}}}"})


@pytest.mark.parametrize("kind", ["configs", "secrets", "volumes", "networks"])
def test_what_stands_below_an_extended_service(kind: str) -> None:
    """Sections of a file that is only extended: a path in them may be anything."""
    main = "services: {a: {extends: {file: base.yaml, service: b}}}"
    for content in ("{file: 5}", "{file: {a: 1}}", "{external: 5}", "null", "5", "{driver: 5}"):
        _compare({"compose.yaml": main, "base.yaml": f"services: {{b: {{image: x}}}}\n{kind}: {{c: {content}}}"})


_ONE_PORT = "services: {a: {image: x, ports: ['${P:-5000}:80']}}\n"


@pytest.mark.parametrize(
    "files",
    [
        {"compose.yaml": _ONE_PORT.encode("utf-16")},
        {"compose.yaml": b"\xfe\xff" + _ONE_PORT.encode("utf-16-be")},
        {"compose.yaml": _ONE_PORT.encode("utf-16-le")},
        {"compose.yaml": _ONE_PORT.encode("utf-32")},
        {"compose.yaml": b"\xef\xbb\xbf" + _ONE_PORT.encode()},
        {"compose.yaml": _ONE_PORT.encode() + b"# caf\xe9\n"},
        {"compose.yaml": _ONE_PORT.encode() + b"---\n\xef\xbb\xbfservices: {a: {ports: ['1:1']}}\n"},
        {"compose.yaml": b"%YAML 1.1\n---\n" + _ONE_PORT.encode()},
        {"compose.yaml": b"%YAML 1.2\n---\n" + _ONE_PORT.encode()},
        {"compose.yaml": _ONE_PORT.encode(), ".env": b"P=6000\n# caf\xe9\n"},
        {"compose.yaml": _ONE_PORT.encode(), ".env": b"Q='caf\xe9'\nP=6000\n"},
        {"compose.yaml": _ONE_PORT.encode(), ".env": b"caf\xe9=1\nP=6000\n"},
        {"compose.yaml": _ONE_PORT.encode(), ".env": "P=6000\n".encode("utf-16")},
        {"compose.yaml": b"services: {a: {image: x, env_file: e}}", "e": b"A=caf\xe9\n"},
        {"compose.yaml": b"include: [s/c.yaml]", "s/c.yaml": _ONE_PORT.encode("utf-16"), "s/.env": b"P=7000 # \xe9\n"},
    ],
)
def test_encodings(tmp_path: Path, files: dict[str, bytes]) -> None:
    """UTF-8, for YAML also UTF-16 with its mark, for variables any bytes; a directive of YAML 1.1 alone."""
    folder = tmp_path / "shop"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    assert ours(folder) == theirs(folder)
