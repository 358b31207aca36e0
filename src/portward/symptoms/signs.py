"""What an output tells of where it ran: signs that decide between causes, and are no trouble themselves."""

from __future__ import annotations

from portward.symptoms.pattern import Book, Pattern


def _sign(name: str, word: str, regex: str, example: str, port: int | None = None) -> Pattern:
    return Pattern(name, None, word, regex, example, port)


TABLE = (
    _sign("compose exit", "exited with code", r"\bexited with code \d", "backend-1 exited with code 1"),
    _sign("in a container", "docker", r"\bdocker(?: compose|-compose)? exec\b|\bdocker[ -]compose run\b", "$ docker exec -it api sh"),
    _sign("in a container", "/app/", r"""(?:^|[\s("'])(?:file://)?/app/\w""", "    at Server.<anonymous> (/app/index.js:12:9)"),
    _sign("in a container", "/usr/src/app", r"/usr/src/app\b", "    at /usr/src/app/node_modules/pg/lib/client.js:132:73"),
    _sign("in a container", "run ", r"^(?:#\d+ |\s{0,4}> )?\[[^\]]{1,60}\] RUN |^Step \d+/\d+ : RUN |^ ?RUN ", "#12 [builder 6/7] RUN npm run build"),
    _sign("in a container", "root@", r"\broot@[0-9a-f]{12}:", "root@cc31cbb3aa36:/usr/src/app# npx prisma migrate dev"),
    _sign("in a container", "container", r"\bin(?:side)? (?:a |the |my )?(?:docker )?container\b", "the app runs in a container"),
    _sign("published", "->", r"(?:[\d.]{7,15}|\[::\]|::):(?P<port>\d{1,5})->\d{1,5}/tcp", "0.0.0.0:5173->5173/tcp", 5173),
    _sign("published", "-p", r"\b(?:docker|podman) [^\n]{0,300}?-p[ =]?\"?(?:[\d.]{7,15}:)?(?P<port>\d{1,5}):\d{1,5}", "docker run -p 8000:80 nginx", 8000),
    _sign("published", "--publish", r"--publish[ =]\"?(?:[\d.]{7,15}:)?(?P<port>\d{1,5}):\d{1,5}", "--publish=127.0.0.1:8000:80", 8000),
    _sign("published", "- ", r"""^\s{0,20}- ["']?(?:[\d.]{7,15}:)?(?P<port>\d{2,5}):\d{2,5}["']?\s{0,4}$""", '      - "9000:9000"', 9000),
    _sign("loopback server", "127.0.0.1", r"(?:ready|serve|running on|listening (?:on|at)|server (?:at|on)|started (?:at|on)|serving (?:on|at)|local:)[^\n]{0,40}?127\.0\.0\.1:(?P<port>\d{1,5})", " * Running on http://127.0.0.1:5000", 5000),
    _sign("loopback server", "localhost", r"(?:ready|serve|running on|listening (?:on|at)|server (?:at|on)|started (?:at|on)|serving (?:on|at)|local:)[^\n]{0,40}?localhost:(?P<port>\d{1,5})", "  ➜  Local:   http://localhost:5173/", 5173),
    _sign("loopback server", "host", r"""^\W{0,10}(?:host|address|bind|listen)(?:name)?["']?\s{0,3}[:=]\s{0,3}["'](?:127\.0\.0\.1|localhost)["']""", '  host: "127.0.0.1",'),
    _sign("loopback server", "use --host to expose", r"use --host to expose", "  ➜  Network: use --host to expose"),
    _sign("ipv6 only server", "ipv6", r"^\S{1,30}\s{1,8}\d{1,7}\s{1,4}[\w+.-]{1,32}\s[^\n]{0,40}IPv6[^\n]{0,60}TCP (?:localhost|\[::1\]):", "node    8888 me   32u  IPv6 0x9cc046ef745dfdf0      0t0  TCP localhost:wap-push-https (LISTEN)"),
    _sign("ipv6 answers", "[::1]", r"\[::1\]:(?P<port>\d{1,5})\S{0,40}[^\n]{0,40}(?:→|->|=>)?\s?(?:# )?(?:HTTP/\d\S{0,2} |→ )?\b[23]\d\d\b", '$ curl -s -o /dev/null "http://[::1]:4158/"     # → 200', 4158),
    _sign("windows", "\\", r"\b[A-Z]:\\\w", r"    at C:\Users\me\app\server.js:5:9"),
    _sign("windows", "win", r"\bWinError\b|\bwin32\b", "OSError: [WinError 10013]"),
    _sign("windows", "errno: -409", r"errno: -40(?:92|91|90)\b|errno: -4078\b", "  errno: -4092,"),
    _sign("not windows", "errno: -", r"errno: -(?:13|98|99|111|48|49|61)\b", "  errno: -13,"),
    _sign("gunicorn in use", "connection in use", r"Connection in use: ", "[ERROR] Connection in use: ('127.0.0.1', 5000)"),
    _sign("controlcenter", "controlce", r"^ControlCe\S{0,12}\s", "ControlCe 71112 me    8u  IPv4 0x2bfa09bfcfaa7eef      0t0  TCP *:commplex-main (LISTEN)"),
    _sign("name resolution", "systemd-r", r"systemd-resolve", '  users:(("systemd-resolve",pid=712,fd=14))'),
    _sign("system service", "listening", r"TCP\s{1,8}\S{1,40}:(?P<port>\d{1,5})\s{1,30}\S{1,40}\s{1,20}LISTENING\s{1,12}4\s{0,4}$", "  TCP    0.0.0.0:80             0.0.0.0:0              LISTENING       4", 80),
    _sign("listed", "listening", r"TCP\s{1,8}\S{1,40}:(?P<port>\d{1,5})\s{1,30}\S{1,40}\s{1,20}LISTENING\s{1,12}(?:[5-9]|[1-9]\d{1,6})\s{0,4}$", "  TCP    127.0.0.1:8000         0.0.0.0:0              LISTENING       9876", 8000),
)  # fmt: skip
SIGNS = Book([TABLE])
