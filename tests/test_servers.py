"""Every way in which people start servers, and what is added so that the server takes its port."""

from __future__ import annotations

import shlex
import string

import pytest
from hypothesis import given as over
from hypothesis import strategies as st

from portward.errors import UsageError
from portward.servers import SERVERS, Form, Handover, Prepared, prepare

PORT = 11437

# the scripts of a package.json, in the folder "" and in "client"
PACKAGE = {
    ("", "dev"): "vite",
    ("", "check"): "tsc --noEmit && cross-env NODE_ENV=dev vite --host 0.0.0.0",
    ("", "start"): "npm run dev",
    ("", "fixed"): "vite --port 3000",
    ("", "piped"): "vite | tee log",
    ("", "both"): "node api.js & vite",
    ("", "background"): "vite &",
    ("", "logged"): "vite > log",
    ("", "worked-out"): "vite --host $(hostname)",
    ("", "broken"): "vite 'unclosed",
    ("", "loop"): "npm run loop",
    ("", "api"): "node server.js",
    ("", "next"): "PORT=4000 next dev --turbo",
    ("client", "dev"): "astro dev",
}


def scripts(folder: str, name: str) -> str | None:
    """As read from a package.json."""
    return PACKAGE.get((folder, name))


def prepared(command: str, **options: object) -> Prepared:
    """`prepare` of a command as it is typed."""
    return prepare(shlex.split(command), PORT, scripts=scripts, **options)  # type: ignore[arg-type]


ADDED = {
    # the flag stands right after the program and its verb
    "uvicorn app:app": "uvicorn --port 11437 app:app",
    "gunicorn app:wsgi": "gunicorn -b 127.0.0.1:11437 app:wsgi",
    "hypercorn app:app": "hypercorn -b 127.0.0.1:11437 app:app",
    "daphne app:app": "daphne -p 11437 app:app",
    "granian --interface asgi app:app": "granian --port 11437 --interface asgi app:app",
    "flask run": "flask run --port 11437",
    "flask --app web run --debug": "flask --app web run --port 11437 --debug",
    "fastapi dev main.py": "fastapi dev --port 11437 main.py",
    "waitress-serve app:wsgi": "waitress-serve --port=11437 app:wsgi",
    "streamlit run app.py -- --theirs": "streamlit run --server.port 11437 app.py -- --theirs",
    "jupyter lab": "jupyter lab --port=11437 --ServerApp.port_retries=0",
    "jupyter-lab --no-browser": "jupyter-lab --port=11437 --ServerApp.port_retries=0 --no-browser",
    "vite": "vite --port 11437 --strictPort",
    "vite preview": "vite --port 11437 --strictPort preview",
    "next dev": "next dev -p 11437",
    "astro dev": "astro dev --port 11437",
    "postgres -D data": "postgres -p 11437 -D data",
    "rails s": "rails s -p 11437",
    "php artisan serve": "php artisan serve --port=11437",
    # a bare port, and flags that must come last, at the end
    "python manage.py runserver": "python manage.py runserver 11437",
    "python manage.py runserver --settings web.settings -v 2": "python manage.py runserver --settings web.settings -v 2 11437",
    "./manage.py runserver --noreload": "./manage.py runserver --noreload 11437",
    "python -m http.server": "python -m http.server 11437",
    "python -m http.server -d public --bind 127.0.0.1": "python -m http.server -d public --bind 127.0.0.1 11437",
    "redis-server /etc/redis.conf": "redis-server /etc/redis.conf --port 11437",
    # through wrappers, interpreters, paths and suffixes
    "python3.12 -X dev -m uvicorn app:app": "python3.12 -X dev -m uvicorn --port 11437 app:app",
    ".venv/bin/uvicorn app:app": ".venv/bin/uvicorn --port 11437 app:app",
    r"'C:\web\node_modules\.bin\vite.cmd'": r"'C:\web\node_modules\.bin\vite.cmd' --port 11437 --strictPort",
    "node node_modules/vite/bin/vite.js": "node node_modules/vite/bin/vite.js --port 11437 --strictPort",
    "node --inspect ./node_modules/.bin/next dev": "node --inspect ./node_modules/.bin/next dev -p 11437",
    "python .venv/bin/gunicorn app": "python .venv/bin/gunicorn -b 127.0.0.1:11437 app",
    "env -u HOME DEBUG=1 uvicorn app:app": "env -u HOME DEBUG=1 uvicorn --port 11437 app:app",
    "uv run --with httpx uvicorn app:app": "uv run --with httpx uvicorn --port 11437 app:app",
    "uv run -m uvicorn app:app": "uv run -m uvicorn --port 11437 app:app",
    "uv run -- python -m flask run": "uv run -- python -m flask run --port 11437",
    "uvx --from jupyterlab jupyter-lab": "uvx --from jupyterlab jupyter-lab --port=11437 --ServerApp.port_retries=0",
    "poetry run nice -n 5 uvicorn app:app": "poetry run nice -n 5 uvicorn --port 11437 app:app",
    "coverage run -m flask run": "coverage run -m flask run --port 11437",
    "runuser -u postgres -- /usr/lib/postgresql/15/bin/postgres -D data": (
        "runuser -u postgres -- /usr/lib/postgresql/15/bin/postgres -p 11437 -D data"
    ),
    "timeout -k 5 60 gosu web uvicorn app:app": "timeout -k 5 60 gosu web uvicorn --port 11437 app:app",
    "bundle exec rails server": "bundle exec rails server -p 11437",
    "npx vite": "npx vite --port 11437 --strictPort",
    "npx -y -p vite vite dev": "npx -y -p vite vite --port 11437 --strictPort dev",
    "pnpm exec vite": "pnpm exec vite --port 11437 --strictPort",
    "bun x vite": "bun x vite --port 11437 --strictPort",
    # npm takes options for itself up to `--`
    "npm exec vite": "npm exec vite -- --port 11437 --strictPort",
    "npm exec -- vite": "npm exec -- vite --port 11437 --strictPort",
    # through the scripts of a package.json
    "npm run dev": "npm run dev -- --port 11437 --strictPort",
    "npm run dev -- --host": "npm run dev -- --host --port 11437 --strictPort",
    "npm run check": "npm run check -- --port 11437 --strictPort",
    "npm run both": "npm run both -- --port 11437 --strictPort",
    "npm run next": "npm run next -- -p 11437",
    "npm start": "npm start -- -- --port 11437 --strictPort",
    "npm --prefix client run dev": "npm --prefix client run dev -- --port 11437",
    "npm --silent run dev": "npm --silent run dev -- --port 11437 --strictPort",
    "pnpm dev": "pnpm dev --port 11437 --strictPort",
    "pnpm -C client run dev": "pnpm -C client run dev --port 11437",
    "yarn dev": "yarn dev --port 11437 --strictPort",
    "yarn run fixed --port {port}": "yarn run fixed --port 11437 --strictPort",
    "bun run dev": "bun run dev --port 11437 --strictPort",
    # placeholders
    "vite --port {port}": "vite --strictPort --port 11437",
    "vite --port={port} --strictPort": "vite --port=11437 --strictPort",
    "uvicorn app:app --port {port}": "uvicorn app:app --port 11437",
    "gunicorn -b 0.0.0.0:{port} app": "gunicorn -b 0.0.0.0:11437 app",
    "python manage.py runserver 0.0.0.0:{port}": "python manage.py runserver 0.0.0.0:11437",
    "sh -c 'exec serve $PORT {port} {{port}} {other}'": "sh -c 'exec serve $PORT 11437 {{port}} {other}'",
    # what the command says itself is not said again
    "uvicorn app:app --uds web.sock --port 11437": "uvicorn app:app --uds web.sock --port 11437",
    "gunicorn --bind unix:web.sock app": "gunicorn --bind unix:web.sock app",
    "flask run -p11437": "flask run -p11437",
    "jupyter lab --port=11437 --ServerApp.port_retries=9": "jupyter lab --port=11437 --ServerApp.port_retries=9",
}


@pytest.mark.parametrize("command", ADDED)
def test_what_is_added(command: str) -> None:
    """The flag of the server, in its place, with the one that makes it strict; never a second time."""
    assert shlex.join(prepared(command).command) == shlex.join(shlex.split(ADDED[command]))
    assert prepared(command).port == PORT


@pytest.mark.parametrize(
    "command",
    [
        "node server.js", "python app.py", "sh -c 'uvicorn app:app'", "./start.sh --port", "make dev", "docker compose up", "go run .",
        "vite build", "next build", "flask shell", "python manage.py migrate", "jupyter nbconvert", "uv sync", "uv run", "poetry install",
        "npm ci", "npm run absent", "npm run piped", "npm run logged", "npm run background", "npm run worked-out", "npm run broken",
        "npm run loop", "npm run api", "npm run dev -w client", "npm -w client run dev", "pnpm --filter client dev", "yarn install",
        "python", "python -c 'import uvicorn'", "node", "env", "env A=1", "npm", "npx", "node -m uvicorn", "node ./vite.js",
    ],
)  # fmt: skip
def test_what_is_left_alone(command: str) -> None:
    """Where no server can be told for sure nothing is added: the port is in PORT."""
    assert prepared(command).replace(serves=True) == Prepared(tuple(shlex.split(command)), PORT, {"PORT": str(PORT)})


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        ("uvicorn app:app", {"UVICORN_PORT": "11437"}),
        ("streamlit run app.py", {"STREAMLIT_SERVER_PORT": "11437"}),
        ("gradio app.py", {"GRADIO_SERVER_PORT": "11437"}),
        ("react-scripts start", {}),
        ("ollama serve", {"OLLAMA_HOST": "127.0.0.1:11437"}),
        ("postgres -D data", {"PGPORT": "11437"}),
    ],
)
def test_variables_of_the_server(command: str, environment: dict[str, str]) -> None:
    """The server's own variables are set, and PORT always is."""
    assert prepared(command).environment == {"PORT": "11437", **environment}


@pytest.mark.parametrize(
    "command",
    [
        "vite --port 3000", "vite --port=3000", "uvicorn --port 3000 app:app", "gunicorn -b :3000 app", "gunicorn --bind=0.0.0.0:3000 app",
        "python -m http.server 3000", "python manage.py runserver [::1]:3000", "flask run -p3000", "npm run fixed", "next dev -p 3000",
    ],
)  # fmt: skip
def test_a_port_of_the_commands_own(command: str) -> None:
    """It is left, it is where the command will be looked for, and a sentence says what to write instead."""
    own = prepared(command)
    assert own.command == tuple(shlex.split(command))
    assert own.port == 3000
    assert "port 3000" in own.notes[0]
    assert "{port}" in own.notes[0]


@pytest.mark.parametrize("command", ["vite --port $PORT", "flask run -p", "gunicorn -b fd://4 app"])
def test_a_port_that_cannot_be_read(command: str) -> None:
    """What a shell or the server works out itself is left as it is, without a note."""
    assert prepared(command).notes == ()
    assert prepared(command).port == PORT
    assert "11437" not in " ".join(prepared(command).command)


def test_ports_of_other_services() -> None:
    """`{service.port}` is the port of a service of the project; a name that is none is an error that lists them."""
    ports = {"api": 11001, "my-db": 12002}
    filled = prepare(["web", "--api=http://localhost:{api.port}/v1", "{my-db.port}:{port}"], PORT, ports=ports)
    assert filled.command == ("web", "--api=http://localhost:11001/v1", f"12002:{PORT}")
    with pytest.raises(UsageError, match="no service cache") as refused:
        prepare(["web", "{cache.port}"], PORT, ports=ports)
    assert refused.value.hint == "there is {api.port}, {my-db.port}"


@pytest.mark.parametrize(
    ("command", "expected", "host"),
    [
        ("uvicorn app:app --reload", "uvicorn --fd 3 app:app --reload", "127.0.0.1"),
        ("uvicorn app:app --host 0.0.0.0", "uvicorn --fd 3 app:app --host 0.0.0.0", "0.0.0.0"),
        ("uvicorn app:app --host=::", "uvicorn --fd 3 app:app --host=::", ""),
        ("uvicorn app:app --host localhost", "uvicorn --fd 3 app:app --host localhost", "127.0.0.1"),
        ("gunicorn app", "gunicorn -b fd://3 app", "127.0.0.1"),
        ("uv run hypercorn app:app", "uv run hypercorn -b fd://3 app:app", "127.0.0.1"),
        ("python -m daphne app:app", "python -m daphne --fd 3 app:app", "127.0.0.1"),
    ],
)
def test_handing_a_socket_over(command: str, expected: str, host: str) -> None:
    """`--fd` gives the server's own option, and the address that the server would have taken."""
    handed = prepared(command, socket=True)
    assert shlex.join(handed.command) == expected
    assert handed.handover == Handover(host)


def test_handing_a_socket_to_an_unknown_program() -> None:
    """A program that is not known may follow systemd's protocol."""
    handed = prepared("./server", socket=True)
    assert handed.command == ("./server",)
    assert handed.handover == Handover("127.0.0.1", announced=True)


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("flask run", "Flask does not take a socket"),
        ("npm run dev", "Vite does not"),
        ("uvicorn app:app --port {port}", "must not say 11437"),
    ],
)
def test_no_socket_can_be_handed_over(command: str, why: str) -> None:
    """Known servers without that ability, and commands that would bind as well, are refused with the way out."""
    with pytest.raises(UsageError, match=why) as refused:
        prepared(command, socket=True)
    assert refused.value.hint


def test_no_command() -> None:
    """Nothing to run is bad usage."""
    with pytest.raises(UsageError, match="no command"):
        prepare([], PORT)


def test_the_table_is_consistent() -> None:
    """Each line has a way to tell the port, and no two lines mean the same command."""
    seen: set[tuple[str, str]] = set()
    for server in SERVERS:
        assert server.flags or server.form in (Form.BARE, Form.NONE), server.name
        assert server.form is not Form.NONE or server.environment, f"{server.name} can be told nothing"
        for program in server.programs:
            for verb in server.verbs or ("",):
                assert (program, verb) not in seen, f"{program} {verb} is there twice"
                seen.add((program, verb))


words = st.lists(
    st.sampled_from(
        ["npm", "run", "dev", "exec", "--", "-m", "uv", "python", "vite", "flask", "uvicorn", "--port", "--port=80", "{port}", "A=1", "env",
         "manage.py", "runserver", "gunicorn", "-b", "-p", "yarn", "loop", "--prefix", ""]
    )
    | st.text(string.printable, max_size=8),
    min_size=1,
    max_size=8,
)  # fmt: skip


@over(words)
def test_any_command_can_be_prepared(command: list[str]) -> None:
    """Whatever is typed: its words stay in their order, what is added is next to each other, and a second time adds nothing."""
    try:
        once = prepare(command, PORT, scripts=scripts)
    except UsageError:
        assert any(".port}" in word for word in command)
        return
    filled = [word.replace("{port}", str(PORT)) if "{{port}}" not in word else word for word in command]
    extra = len(once.command) - len(filled)
    assert extra >= 0
    assert any([*once.command[:at], *once.command[at + extra :]] == filled for at in range(len(filled) + 1)), (
        f"{command} -> {once.command}"
    )
    assert prepare(once.command, PORT, scripts=scripts).command == once.command


@pytest.mark.parametrize(
    ("command", "serves"),
    [
        ("env", False),
        ("npm install", False),
        ("ls /nonexistent", False),
        ("pytest -q", False),
        ("python -m pytest", False),
        ("python -c pass", False),
        ("flask --app web run", True),
        ("python app.py", True),
        ("node ./server.mjs", True),
        ("./serve", True),
        ("env DEBUG=1 bin/../serve", False),
        ("serve-all --listen {port}", True),
        ("serve-all --listen 0.0.0.0:5000", True),
        ("serve-all --listen 15000", False),
        ("echo {{port}}", False),
    ],
)
def test_most_commands_are_no_servers(command: str, serves: bool) -> None:
    """A known server, one that says its port, or a program of one's own may be one."""
    assert prepare(command.split(), 5000).serves is serves


def test_a_shell_may_serve_by_its_words() -> None:
    """Where its text says the variable; a script of a package.json where it ends with a program of one's own."""
    assert prepare(["sh", "-c", "exec serve $PORT"], 5000).serves
    assert not prepare(["sh", "-c", "echo hi; exit 3"], 5000).serves
    scripts = {"dev": "node server.js", "lint": "eslint ."}
    assert prepare(["npm", "run", "dev"], 5000, scripts=lambda _folder, name: scripts.get(name)).serves
    assert not prepare(["npm", "run", "lint"], 5000, scripts=lambda _folder, name: scripts.get(name)).serves
