"""How programs are told a port on their command line: data, one line for each way.

A flag means a port only for the programs that have it: `-p` is a project to `tsc`, a published port to `docker run`, parents to
`mkdir`. Sources: each program's own `--help` or reference, of the versions current in 2026. What is not here is not known.
"""

from __future__ import annotations

from portward.records import Record


class Tool(Record):
    """Programs that take a port in the same way.

    `names` are names of programs; after a blank the subcommand that the rest is true of. The values of `ports` are a port, those of
    `addresses` are `[HOST]:PORT`, those of `published` are `[IP:]HOST:CONTAINER`; an option of both may be either. `operand` tells that
    the first argument which is no option is `[HOST:]PORT`; `valued` are options whose value must not be taken for it.
    `refers` tells that the operands are the ports of others, which the program waits for.
    """

    names: tuple[str, ...]
    ports: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    operand: bool = False
    valued: tuple[str, ...] = ()
    refers: bool = False


PORT_OPTIONS = ("--port", "-port", "--server.port", "--server-port", "--http-port")
"""Options that say what they are, of any program but a client."""

CLIENTS = {
    *("ab", "amqp-publish", "ansible", "aws", "az", "createdb", "curl", "docker", "docker-compose"),
    *("dropdb", "echo", "firewall-cmd", "flyctl", "gcloud", "git", "grep", "helm", "hey", "iperf"),
    *("iperf3", "kubectl", "lt", "mariadb", "mariadb-dump", "mongo", "mongodump", "mongoexport"),
    *("mongoimport", "mongorestore", "mongosh", "mosquitto_pub", "mosquitto_sub", "mysql", "mysqladmin"),
    *("mysqldump", "mysqlimport", "nc", "ncat", "netcat", "ngrok", "nmap", "oc", "pg_basebackup"),
    *("pg_dump", "pg_dumpall", "pg_isready", "pg_restore", "pgbench", "pgcli", "podman", "printf"),
    *("psql", "redis-benchmark", "redis-cli", "rsync", "scp", "sed", "sftp", "ssh", "sshpass", "telnet"),
    *("tsc", "ufw", "vacuumdb", "wget", "wrk"),
}
"""Programs to which `--port` is the port of something else, or nothing of the kind."""

_P = ("-p", "--port")
_DEBUGGER = ("--inspect", "--inspect-brk", "--inspect-port", "--inspect-wait")
_BIND = ("-b", "--bind")

TOOLS = (
    Tool(
        (
            *("airflow api-server", "airflow webserver", "dagit", "dagster dev", "dagster-webserver"),
            *("daphne", "docusaurus serve", "docusaurus start", "ember serve", "expo start", "flask run"),
            *("foreman start", "gatsby", "hexo server", "http-server", "hugo serve", "hugo server"),
            *("json-server", "memcached", "middleman server", "mlflow server", "mlflow ui", "mosquitto"),
            *("nats-server", "netlify dev", "next", "nuxi", "nuxt", "parcel", "postgres"),
            *("prisma studio", "rackup", "rails s", "rails server", "sanic", "sirv", "start-storybook"),
            *("storybook dev", "text-generation-launcher", "thin start", "ttyd"),
        ),
        _P,
    ),
    Tool(("serve", "vercel dev"), ("-l", "--listen", *_P), ("-l", "--listen")),
    Tool(("puma",), _P, _BIND),
    Tool(("unicorn",), _P, ("-l", "--listen")),
    Tool(("jekyll serve", "jekyll s", "mysqld", "mariadbd"), ("-P", "--port")),
    Tool(("locust",), ("-P", "--web-port")),
    Tool(("gunicorn",), addresses=_BIND),
    Tool(("hypercorn",), addresses=(*_BIND, "--insecure-bind", "--quic-bind")),
    Tool(("waitress-serve",), ("--port",), ("--listen",)),
    Tool(("uwsgi",), addresses=("--http", "--http-socket", "--https", "--socket", "-s")),
    Tool(("mkdocs serve",), addresses=("-a", "--dev-addr")),
    Tool(("php",), addresses=("-S",)),
    Tool(("minio server",), addresses=("--address", "--console-address")),
    Tool(("code-server",), addresses=("--bind-addr",)),
    Tool(("caddy file-server", "caddy reverse-proxy"), addresses=("-l", "--listen", "--from")),
    Tool(("prometheus",), addresses=("--web.listen-address",)),
    Tool(("jupyter", "jupyter-lab", "jupyter-notebook"), ("--ServerApp.port", "--NotebookApp.port")),
    Tool(("java", "mvn", "mvnw", "gradle", "gradlew"), ("-Dserver.port", "-Dquarkus.http.port")),
    Tool(("ray start",), ("--dashboard-port",)),
    Tool(("temporal server",), ("--ui-port",)),
    Tool(("wrangler dev",), ("--inspector-port",)),
    Tool(("node", "nodemon", "mocha", "jest", "vitest", "tsx", "ts-node", "ts-node-dev"), _DEBUGGER, _DEBUGGER),
    Tool(("bun", "deno", "electron"), _DEBUGGER, _DEBUGGER),
    Tool(
        ("manage.py runserver", "manage.py runserver_plus", "django-admin runserver", "console server:run"),
        operand=True,
        valued=("-v", "--verbosity", "--settings", "--pythonpath", "--cert-file", "--key-file"),
    ),
    Tool(
        ("http.server", "SimpleHTTPServer"),
        operand=True,
        valued=(*_BIND, "-d", "--directory", "-p", "--protocol", "--tls-cert", "--tls-key", "--tls-password-file"),
    ),
    Tool(
        ("docker run", "docker create", "docker-compose run", "podman run", "podman create", "nerdctl run"),
        published=("-p", "--publish"),
    ),
    Tool(
        ("wait-for", "wait-for-it", "wait-for-it.sh", "wait-for.sh", "wait-on", "wait-port"),
        operand=True,
        valued=(
            "-c",
            "--config",
            "-d",
            "--delay",
            "-i",
            "--interval",
            "-l",
            "--log",
            "-o",
            "-t",
            "--timeout",
            "-w",
            "--window",
        ),
        refers=True,
    ),
)


class Wrapper(Record):
    """A program or a word of the shell that runs the rest of its words as a command.

    `valued` are its options that take a value, `operands` how many words come before the command, and `passes` the subcommands
    that run one. `assigns` tells that `NAME=VALUE` words are definitions of variables.
    """

    valued: tuple[str, ...] = ()
    operands: int = 0
    passes: tuple[str, ...] = ()
    assigns: bool = False


_PLAIN = Wrapper()
_DEFINES = Wrapper(assigns=True)
_STARTER = Wrapper(passes=("start",))
_PACKAGE_RUNNER = Wrapper(
    ("-C", "--cwd", "--dir", "--prefix", "-w", "--workspace", "-F", "--filter"), passes=("exec", "dlx", "x")
)
_PYTHON_RUNNER = Wrapper(
    (
        *(
            "--with",
            "--with-editable",
            "--with-requirements",
            "--python",
            "-p",
            "--project",
            "--directory",
            "--env-file",
        ),
        *("--extra", "--group", "--package", "-n", "--from", "--index", "-e", "--env"),
    ),
    passes=("run", "exec"),
)

WRAPPERS = {
    **dict.fromkeys(("!", "{", "if", "then", "else", "elif", "while", "until", "do", "time"), _DEFINES),
    **dict.fromkeys(("builtin", "call", "catatonit", "chronic", "command", "dumb-init", "eval", "nohup"), _PLAIN),
    **dict.fromkeys(("setsid", "start", "winpty"), _PLAIN),
    **dict.fromkeys(("dbus-run-session", "ddtrace-run", "forever", "opentelemetry-instrument", "pm2"), _STARTER),
    **dict.fromkeys(("declare", "export", "local", "readonly", "set", "setenv", "typeset"), _DEFINES),
    **dict.fromkeys(("cross-env", "cross-env-shell"), _DEFINES),
    **dict.fromkeys(("npm", "pnpm", "yarn", "bun"), _PACKAGE_RUNNER),
    **dict.fromkeys(("npx", "pnpx", "bunx"), Wrapper(("-p", "--package", "-c", "--call"))),
    **dict.fromkeys(("uv", "poetry", "pipenv", "pdm", "hatch", "rye", "conda", "pipx"), _PYTHON_RUNNER),
    "exec": Wrapper(("-a",)),
    "env": Wrapper(("-u", "--unset", "-C", "--chdir"), assigns=True),
    "sudo": Wrapper(("-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T"), assigns=True),
    "doas": Wrapper(("-u", "-C")),
    "nice": Wrapper(("-n",)),
    "ionice": Wrapper(("-c", "-n", "-p")),
    "timeout": Wrapper(("-s", "--signal", "-k", "--kill-after"), operands=1),
    "stdbuf": Wrapper(("-i", "-o", "-e")),
    "runuser": Wrapper(("-u", "--user", "-g", "--group", "-G", "--supp-group")),
    "setpriv": Wrapper(
        ("--reuid", "--regid", "--groups", "--inh-caps", "--ambient-caps", "--bounding-set", "--pdeathsig")
    ),
    "gosu": Wrapper(operands=1),
    "su-exec": Wrapper(operands=1),
    "tini": Wrapper(("-p", "-e")),
    "xvfb-run": Wrapper(("-e", "-f", "-n", "-p", "-s", "-w")),
    "newrelic-admin": Wrapper(passes=("run-program",)),
    "coverage": Wrapper(("--source", "--rcfile"), passes=("run",)),
    "uvx": _PYTHON_RUNNER,
    "bundle": Wrapper(passes=("exec",)),
    "dotenv": Wrapper(("-e", "-f", "-v", "-c", "-p"), passes=("run",)),
    "dotenvx": Wrapper(("-e", "-f", "-fk"), passes=("run",)),
    "env-cmd": Wrapper(("-f", "--file", "-e", "--environments", "-r")),
    "python": Wrapper(("-W", "-X", "-c")),
    "deno": Wrapper(("--env-file",), passes=("run", "serve", "task")),
    "php": Wrapper(("-c", "-d", "-t", "-S")),
    "ruby": Wrapper(("-e", "-I", "-r")),
    "node": Wrapper(("-e", "--eval", "-r", "--require", "--import", "--loader", "-C")),
}

COMMAND_OPTIONS = {
    **dict.fromkeys(
        ("sh", "ash", "bash", "dash", "ksh", "zsh", "su"), ("-c", "-lc", "-ec", "-xc", "-exc", "-euc", "-elc")
    ),
    "nodemon": ("-x", "--exec"),
    "tsc-watch": ("--onSuccess", "--onFirstSuccess"),
}
"""Programs with the options whose value is a command line."""

COMMAND_WORDS = {
    "concurrently",
    "conc",
    "start-server-and-test",
    "start-test",
    "server-test",
    "eval",
    "cross-env-shell",
    "npm-run-all",
}
"""Programs whose every argument with a blank in it is a command line."""
