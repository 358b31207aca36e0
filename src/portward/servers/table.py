"""How each server takes its port: one line for each, and nothing else.

Most servers ignore PORT, and several move to another port when theirs is busy. `tested` marks what the tests hold against the
real program; the rest is what the program's own `--help` or reference says. A server that can be told its port in several ways
is told by the way that it obeys most strictly.
"""

from __future__ import annotations

from enum import StrEnum

from portward.records import Record


class Form(StrEnum):
    """How a port is written in a command: `--port 80`, `--port=80`, `-b 127.0.0.1:80`, a bare `80` at the end, or not at all."""

    SPLIT = "split"
    JOINED = "joined"
    ADDRESS = "address"
    BARE = "bare"
    NONE = "none"


class Moves(StrEnum):
    """When a server goes to another port because its own is busy: never, unless it was told a port, or even then."""

    NEVER = "never"
    UNTOLD = "untold"
    ALWAYS = "always"


class Server(Record):
    """A server and how it takes its port.

    `programs` are the names that start it; a Python module is written `-m NAME`. With `verbs`, one of these words must follow
    somewhere; with `other_verbs`, none of those. `flags` take the port, the first is the one that is given. `strict` makes it exit
    where it would move. `environment` are variables that it reads; `{port}` stands for the number. `last` is for options that
    must come after everything else, `values` are options whose value must not be taken for a bare port. `socket` is how it takes a
    listening socket by descriptor, `hosts` how it is told an address, `listens` the address it takes by default.
    """

    name: str
    programs: tuple[str, ...]
    verbs: tuple[str, ...] = ()
    other_verbs: tuple[str, ...] = ()
    form: Form = Form.SPLIT
    flags: tuple[str, ...] = ("--port",)
    strict: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    last: bool = False
    values: tuple[str, ...] = ()
    socket: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ("--host",)
    listens: str = "127.0.0.1"
    moves: Moves = Moves.NEVER
    tested: bool = False


DESCRIPTOR = 3
"""The descriptor that a socket is handed over as: the first of systemd's protocol, SD_LISTEN_FDS_START (sd_listen_fds(3))."""

_PORT = "{port}"
_LOCALHOST = "localhost"
_EVERYWHERE = "0.0.0.0"

SERVERS = (
    # Python
    Server("uvicorn", ("uvicorn", "-m uvicorn"), environment=(("UVICORN_PORT", _PORT),), socket=("--fd", "3"), tested=True),
    Server("gunicorn", ("gunicorn", "-m gunicorn", "-m gunicorn.app.wsgiapp"), form=Form.ADDRESS, flags=("-b", "--bind"), socket=("-b", "fd://3"), hosts=(), tested=True),
    Server("hypercorn", ("hypercorn", "-m hypercorn"), form=Form.ADDRESS, flags=("-b", "--bind"), socket=("-b", "fd://3"), hosts=(), tested=True),
    Server("daphne", ("daphne", "-m daphne"), flags=("-p", "--port"), hosts=("-b", "--bind"), socket=("--fd", "3"), tested=True),
    Server("granian", ("granian", "-m granian"), environment=(("GRANIAN_PORT", _PORT),), tested=True),
    Server("Flask", ("flask", "-m flask"), verbs=("run",), flags=("--port", "-p"), environment=(("FLASK_RUN_PORT", _PORT),), hosts=("--host", "-h"), tested=True),
    Server("Quart", ("quart", "-m quart"), verbs=("run",), flags=("--port", "-p"), hosts=("--host", "-h")),
    Server("FastAPI", ("fastapi", "-m fastapi"), verbs=("dev", "run"), environment=(("PORT", _PORT),)),
    Server("Django", ("manage.py", "django-admin", "-m django"), verbs=("runserver", "runserver_plus"), form=Form.BARE, values=("--settings", "--pythonpath", "-v", "--verbosity"), tested=True),
    Server("waitress", ("waitress-serve", "-m waitress"), form=Form.JOINED, listens=_EVERYWHERE, tested=True),
    Server("http.server", ("-m http.server",), form=Form.BARE, values=("-b", "--bind", "-d", "--directory", "-p", "--protocol", "--tls-cert", "--tls-key", "--tls-password-file"), listens=_EVERYWHERE, tested=True),
    Server("Streamlit", ("streamlit", "-m streamlit"), verbs=("run", "hello"), flags=("--server.port",), environment=(("STREAMLIT_SERVER_PORT", _PORT),), hosts=("--server.address",), listens="::", moves=Moves.UNTOLD, tested=True),
    Server("Gradio", ("gradio",), form=Form.NONE, flags=(), environment=(("GRADIO_SERVER_PORT", _PORT),), moves=Moves.ALWAYS),
    Server("Jupyter", ("jupyter-lab", "jupyter-notebook", "jupyter-server", "-m jupyterlab", "-m notebook", "-m jupyter_server"), form=Form.JOINED, flags=("--port", "--ServerApp.port"), strict=("--ServerApp.port_retries=0",), hosts=("--ip",), listens=_LOCALHOST, moves=Moves.ALWAYS, tested=True),
    Server("Jupyter", ("jupyter", "-m jupyter"), verbs=("lab", "notebook", "server"), form=Form.JOINED, flags=("--port", "--ServerApp.port"), strict=("--ServerApp.port_retries=0",), hosts=("--ip",), listens=_LOCALHOST, moves=Moves.ALWAYS, tested=True),
    Server("MkDocs", ("mkdocs", "-m mkdocs"), verbs=("serve",), form=Form.ADDRESS, flags=("-a", "--dev-addr"), hosts=()),
    Server("TensorBoard", ("tensorboard", "-m tensorboard.main"), listens=_LOCALHOST),
    Server("MLflow", ("mlflow",), verbs=("server", "ui"), flags=("--port", "-p"), hosts=("--host", "-h")),
    Server("vLLM", ("vllm",), verbs=("serve",), listens=_EVERYWHERE),
    # JavaScript
    Server("Vite", ("vite", "vp"), other_verbs=("build", "optimize"), strict=("--strictPort",), listens=_LOCALHOST, moves=Moves.ALWAYS, tested=True),
    Server("React Router", ("react-router",), verbs=("dev",), strict=("--strictPort",), listens=_LOCALHOST, moves=Moves.ALWAYS),
    Server("Next.js", ("next",), verbs=("dev", "start"), flags=("-p", "--port"), environment=(("PORT", _PORT),), hosts=("-H", "--hostname"), listens="::", moves=Moves.UNTOLD),
    Server("Nuxt", ("nuxt", "nuxi"), verbs=("dev", "preview"), flags=("--port", "-p"), environment=(("NUXT_PORT", _PORT), ("PORT", _PORT)), listens=_LOCALHOST, moves=Moves.ALWAYS),
    Server("Astro", ("astro",), verbs=("dev", "preview"), listens=_LOCALHOST, moves=Moves.ALWAYS),
    Server("Angular", ("ng",), verbs=("serve", "s", "dev"), listens=_LOCALHOST),
    Server("Rsbuild", ("rsbuild",), verbs=("dev", "preview"), listens="::", moves=Moves.ALWAYS),
    Server("webpack", ("webpack",), verbs=("serve", "server", "s")),
    Server("webpack", ("webpack-dev-server",)),
    Server("Vue CLI", ("vue-cli-service",), verbs=("serve",), listens=_EVERYWHERE, moves=Moves.ALWAYS),
    Server("Create React App", ("react-scripts", "craco"), verbs=("start",), form=Form.NONE, flags=(), environment=(("PORT", _PORT),), listens=_EVERYWHERE),
    Server("Storybook", ("storybook",), verbs=("dev",), flags=("-p", "--port"), hosts=("-h", "--host"), moves=Moves.ALWAYS),
    Server("Parcel", ("parcel",), other_verbs=("build", "watch"), flags=("--port", "-p"), moves=Moves.ALWAYS),
    Server("Gatsby", ("gatsby",), verbs=("develop", "serve"), flags=("-p", "--port"), hosts=("-H", "--host"), listens=_LOCALHOST),
    Server("Docusaurus", ("docusaurus",), verbs=("start", "serve"), flags=("--port", "-p"), listens=_LOCALHOST),
    Server("Wrangler", ("wrangler",), verbs=("dev",), hosts=("--ip",), listens=_LOCALHOST, moves=Moves.UNTOLD),
    Server("Expo", ("expo",), verbs=("start",), flags=("--port", "-p"), hosts=()),
    Server("http-server", ("http-server",), flags=("-p", "--port"), environment=(("PORT", _PORT),), hosts=("-a",), listens=_EVERYWHERE, moves=Moves.UNTOLD),
    Server("json-server", ("json-server",), flags=("--port", "-p"), hosts=("--host", "-h"), listens=_LOCALHOST),
    # other languages
    Server("Rails", ("rails",), verbs=("server", "s"), flags=("-p", "--port"), environment=(("PORT", _PORT),), hosts=("-b", "--binding"), listens=_LOCALHOST),
    Server("Laravel", ("artisan",), verbs=("serve",), form=Form.JOINED, environment=(("SERVER_PORT", _PORT),), moves=Moves.UNTOLD),
    Server("Jekyll", ("jekyll",), verbs=("serve", "server", "s"), flags=("--port", "-P"), hosts=("--host", "-H")),
    Server("Hugo", ("hugo",), verbs=("server", "serve"), flags=("--port", "-p"), hosts=("--bind",), moves=Moves.UNTOLD),
    # databases, queues, models
    Server("Redis", ("redis-server", "valkey-server"), last=True, hosts=("--bind",), tested=True),
    Server("PostgreSQL", ("postgres",), flags=("-p",), environment=(("PGPORT", _PORT),), hosts=("-h",), listens=_LOCALHOST, tested=True),
    Server("MongoDB", ("mongod",), hosts=("--bind_ip",)),
    Server("MySQL", ("mysqld", "mariadbd"), form=Form.JOINED, flags=("--port", "-P"), last=True, hosts=("--bind-address",), listens="::"),
    Server("Ollama", ("ollama",), verbs=("serve",), form=Form.NONE, flags=(), environment=(("OLLAMA_HOST", "127.0.0.1:{port}"),)),
    Server("llama.cpp", ("llama-server",)),
)  # fmt: skip
