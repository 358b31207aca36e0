"""Dockerfiles."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portward.formats import format_of
from portward.formats.dockerfile import read
from portward.model import Location, PortSpec, Role, Side
from tests.conftest import unmet
from tests.port_specs import check, found_with_variables
from tests.test_formats_commands import TEXTS

CORPUS = Path(__file__).parent.parent.parent / "shared/corpus"


def only(text: str) -> PortSpec:
    """The one port of a Dockerfile."""
    (spec,) = read(text, "Dockerfile")
    check(text, "Dockerfile", [spec])
    return spec


@pytest.mark.parametrize(
    ("line", "numbers", "protocols"),
    [
        ("EXPOSE 5000", ["5000"], ["tcp"]),
        ("expose 5000", ["5000"], ["tcp"]),
        ("  Expose\t5000 ", ["5000"], ["tcp"]),
        ("EXPOSE 5000/tcp 5353/UDP 9000/sctp", ["5000", "5353", "9000"], ["tcp", "udp", "sctp"]),
        ("EXPOSE 8000-8010/udp", ["8000-8010"], ["udp"]),
        ('EXPOSE "5000"', ["5000"], ["tcp"]),
        ("EXPOSE 80:5000", ["5000"], ["tcp"]),
        ("EXPOSE 5000 \\\n  # the debugger\n\n  9229", ["5000", "9229"], ["tcp", "tcp"]),
        ("EXPOSE \\ \n 5000", ["5000"], ["tcp"]),
        ("ONBUILD EXPOSE 5000", ["5000"], ["tcp"]),
        ("EXPOSE 5000\r\n", ["5000"], ["tcp"]),
        ("EXPOSE 70000", ["70000"], ["tcp"]),
    ],
)
def test_expose(line: str, numbers: list[str], protocols: list[str]) -> None:
    """Ports and ranges of each protocol, over continued lines with comments in between."""
    text = f"FROM scratch\n{line}\n"
    specs = read(text, "Dockerfile")
    assert found_with_variables(text, specs) == [(number, "container", "container", ()) for number in numbers]
    assert [spec.protocol for spec in specs] == protocols


def test_a_spec_is_whole() -> None:
    """Origin, place and excerpt of one port."""
    spec = only("\ufeffFROM scratch\nENV A=1 WEB_PORT='5000' B=2\n")
    assert spec.location == Location("Dockerfile", 2, 19)
    assert (spec.origin, spec.target, spec.published) == ("dockerfile", 5000, None)
    assert (spec.text, spec.variables) == ("ENV A=1 WEB_PORT='5000' B=2", ("WEB_PORT",))


@pytest.mark.parametrize(
    ("line", "role", "variables"),
    [
        ("ENV PORT 5000", Role.CONTAINER, ("PORT",)),
        ("ENV PORT=5000", Role.CONTAINER, ("PORT",)),
        ("env\tPORT   5000 ", Role.CONTAINER, ("PORT",)),
        ('ENV A="x y" PORT="5000"', Role.CONTAINER, ("PORT",)),
        ("ENV A=1 \\\n    PORT=5000", Role.CONTAINER, ("PORT",)),
        ("ENV PORT=${WEB_PORT:-5000}", Role.FALLBACK, ("WEB_PORT", "PORT")),
        ("ARG PORT=5000", Role.FALLBACK, ("PORT",)),
        ("ARG A B_PORT=5000", Role.FALLBACK, ("B_PORT",)),
        ("ARG HTTP=5000\nEXPOSE $HTTP", Role.FALLBACK, ("HTTP",)),
        ("EXPOSE ${HTTP}/tcp\nENV HTTP=5000", Role.CONTAINER, ("HTTP",)),
        ("EXPOSE ${PORT:-5000}", Role.FALLBACK, ("PORT",)),
        ("CMD x --port ${PORT:-5000}", Role.FALLBACK, ("PORT",)),
        ('CMD ["sh", "-c", "x --port ${P:-5000}"]', Role.FALLBACK, ("P",)),
    ],
)
def test_variables(line: str, role: Role, variables: tuple[str, ...]) -> None:
    """ENV in both forms, ARG as a default, and the variables that EXPOSE and commands use."""
    spec = only(f"FROM scratch\n{line}\n")
    assert (spec.number, spec.role, spec.side, spec.variables) == ("5000", role, Side.CONTAINER, variables)


@pytest.mark.parametrize(
    "line",
    [
        "CMD uvicorn app:app --port 5000",
        "CMD PORT=5000 npm start",
        'CMD ["uvicorn", "app:app", "--port", "5000"]',
        'CMD [ "gunicorn" , "-b" , "0.0.0.0:5000" ]',
        'CMD ["flask", "run", \\\n     "-p", "5000"]',
        'ENTRYPOINT ["python", "-m", "http.server", "5000"]',
        "entrypoint exec next start -p 5000",
        'ENTRYPOINT ["gunicorn"]\nCMD ["app:app", "-b", ":5000"]',
        'CMD ["app:app", "-b", ":5000"]\nENTRYPOINT ["gunicorn"]',
        'ENTRYPOINT ["docker-entrypoint.sh"]\nCMD ["gunicorn", "-b", ":5000"]',
        'CMD ["-b", ":5000"]',
        'ENTRYPOINT ["gunicorn"]\nFROM scratch AS other\nFROM base\nCMD ["-b", ":5000"]',
        'CMD ["sh", "-c", "npm run build && next start -p 5000"]',
    ],
)
def test_commands(line: str) -> None:
    """What the container runs, in shell and exec form; ENTRYPOINT and CMD make one command, also from an earlier stage."""
    spec = only(f"FROM alpine AS Base\n{line}\n")
    assert (spec.target, spec.role, spec.side) == (5000, Role.CONTAINER, Side.CONTAINER)


@pytest.mark.parametrize(
    ("line", "side", "variables"),
    [
        ("HEALTHCHECK CMD curl -f http://localhost:5000/", Side.CONTAINER, ()),
        ('HEALTHCHECK --interval=5s --retries=3 CMD ["curl", "http://localhost:5000/"]', Side.CONTAINER, ()),
        ("ENV API_URL=http://api:5000/", Side.CONTAINER, ("API_URL",)),
        ("ENV SELF=http://localhost:5000/", Side.CONTAINER, ("SELF",)),
        ("ENV SELF=http://host.docker.internal:5000/", Side.HOST, ("SELF",)),
        ("ARG REACT_APP_API=http://localhost:5000/", Side.HOST, ("REACT_APP_API",)),
        ("ENV NEXT_PUBLIC_API=http://api:5000/", Side.CONTAINER, ("NEXT_PUBLIC_API",)),
        ("ENV ASPNETCORE_URLS=http://+:5000", Side.CONTAINER, ("ASPNETCORE_URLS",)),
        ('ENV DOC "see http://h:5000/a b"', Side.CONTAINER, ("DOC",)),
    ],
)
def test_urls(line: str, side: Side, variables: tuple[str, ...]) -> None:
    """In a container `localhost` is itself; what a bundler gives to browsers is read on the host."""
    spec = only(f"FROM scratch\n{line}\n")
    assert (spec.role, spec.side, spec.variables) == (Role.URL, side, variables)


def test_other_escape() -> None:
    """`# escape=` changes what continues a line; a backslash then does not."""
    text = "# syntax=docker/dockerfile:1\n# escape=`\nFROM x\nRUN dir c:\\\nEXPOSE 5000 `\n 5001\n"
    assert [spec.target for spec in read(text, "Dockerfile")] == [5000, 5001]
    late = "FROM x\n# escape=`\nEXPOSE 5000 \\\n 5001\n"
    assert [spec.target for spec in read(late, "Dockerfile")] == [5000, 5001]


@pytest.mark.parametrize(
    "text",
    [
        "# EXPOSE 5000",
        "RUN <<EOF\nEXPOSE 5000\nEOF",
        'RUN cat <<-"A" 3<<B > x\nEXPOSE 5000\n\t\tA\nEXPOSE 5001\nB',
        "COPY <<EOF /etc/x\nENV PORT=5000\nEOF",
        "ONBUILD RUN <<EOF\nEXPOSE 5000\nEOF",
        "RUN echo a \\\n EXPOSE 5000",
        "RUN next dev -p 5000 && curl http://localhost:5000",
        "LABEL port=5000",
        "HEALTHCHECK NONE",
        "EXPOSE $PORT",
        "EXPOSE 5000x 0 05000",
        "EXPOSED 5000",
        'CMD ["x", "--port", "${PORT:-5000}"]',
        'CMD ["gunicorn", "-b", "5000"]',
        'CMD ["-b", "5000"]',
        'ENTRYPOINT gunicorn\nCMD ["-b", ":5000"]',
        "ARG PORT",
        "ENV TIMEOUT 5000",
        "ENV NOTE it is PORT=5000x",
    ],
)
def test_what_is_no_port(text: str) -> None:
    """Comments, bodies of here-documents, what only a build runs, labels, and literal dollar signs."""
    assert read(f"FROM scratch\n{text}\n", "Dockerfile") == []


def test_instructions_after_a_here_document() -> None:
    """Reading goes on behind the body, and an unclosed one takes the rest."""
    text = "FROM x\nRUN <<A cat <<B\n1\nA\n2\nB\nEXPOSE 5000\nRUN <<C\nEXPOSE 5001\n"
    assert [spec.target for spec in read(text, "Dockerfile")] == [5000]


def test_file_names() -> None:
    """Docker's and Podman's names, with a word before or after; the ignore file beside one has no ports."""
    names = ("Dockerfile", "api/Dockerfile.dev", "web.Dockerfile", "web.dockerfile", "Containerfile", "Containerfile.x")
    assert {format_of(path) for path in names} == {"dockerfile"}
    assert format_of("Dockerfile.example") is None
    assert read("*\n!src\nEXPOSE\n", "Dockerfile.dockerignore") == []


FRAGMENTS = [
    *(
        "FROM a AS b\n",
        "EXPOSE ",
        "5000",
        "8000-8010",
        "/udp",
        "$PORT",
        "${PORT:-5000}",
        "ENV ",
        "ARG PORT=",
        "ENV PORT ",
        "ONBUILD ",
    ),
    *(
        "RUN <<EOF\n",
        "EOF\n",
        "CMD ",
        'CMD ["gunicorn", "-b", ":5000"]',
        "ENTRYPOINT [",
        '"',
        "]",
        "HEALTHCHECK CMD ",
        "# escape=`\n",
    ),
    *("\\\n", "`\n", "\n", "\r\n", " # x\n", "http://localhost:5000", " ", "=", "'", "é🚢", "\ufeff"),
]
DOCKERFILES = st.one_of(
    st.text(),
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), TEXTS, st.text(max_size=3))).map("".join),
    st.lists(st.sampled_from(FRAGMENTS)).map("".join),
)


@settings(max_examples=300, deadline=None)
@given(DOCKERFILES)
def test_any_text_is_read(text: str) -> None:
    """No text raises, each span holds the digits that are told, and all but browsers' URLs are the container's side."""
    specs = read(text, "Dockerfile")
    check(text, "Dockerfile", specs)
    assert all(spec.side is Side.CONTAINER or spec.role is Role.URL for spec in specs)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "part",
    [
        "ONBUILD ",
        "EXPOSE \\\n",
        "FROM a\n",
        "RUN <<A <<B\n",
        "ENV A=${PORT:-",
        "EXPOSE 1\n",
        'CMD ["a",',
        'CMD ["a"]\n',
    ],
)
def test_long_texts_end(part: str) -> None:
    """A hundred kilobytes of any of these come to their end."""
    text = "EXPOSE 5000\n" + part * (100_000 // len(part))
    assert read(text, "Dockerfile")[0].target == 5000


REAL = {
    "django/app": [(4, "8000"), (10, "8000"), (24, "8000")],
    "nginx-flask-mysql/backend": [(13, "8000"), (16, "8000")],
    "nginx-wsgi-flask/flask": [(30, "5000")],
    "react-express-mongodb/backend": [(14, "3000")],
    "react-express-mongodb/frontend": [(23, "3000")],
    "react-express-mysql/backend": [(14, "80"), (16, "9229"), (16, "9230")],
    "react-express-mysql/frontend": [(6, "3000")],
    "react-java-mysql/backend": [(34, "8080")],
    "react-java-mysql/frontend": [(13, "3000")],
    "react-nginx": [(19, "3000")],
    "react-rust-postgres/backend": [(16, "8000"), (22, "8000"), (45, "8000")],
    "react-rust-postgres/frontend": [(5, "3000")],
    "sparkjava-mysql/backend": [(29, "8080")],
    "sparkjava/sparkjava": [(29, "8080")],
    "spring-postgres/backend": [(33, "8080")],
}


def test_real_dockerfiles() -> None:
    """What the 35 Dockerfiles of real projects write, as a person reads them, with lines."""
    if not CORPUS.is_dir():
        unmet(f"{CORPUS} is missing")
    files = sorted((CORPUS / "awesome-compose").rglob("*ockerfile*"))
    assert len(files) == 35
    for file in files:
        text = file.read_bytes().decode()
        specs = read(text, "Dockerfile")
        check(text, "Dockerfile", specs)
        name = os.fspath(file.parent.relative_to(CORPUS / "awesome-compose"))
        assert [(spec.location.line, spec.number) for spec in specs] == REAL.get(name, [])
