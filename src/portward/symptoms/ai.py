"""Notebooks, model servers and user interfaces of AI tools."""

from __future__ import annotations

from portward.model import Kind
from portward.symptoms.pattern import Pattern

_USE = Kind.PORT_IN_USE

TABLE = (
    Pattern("Gradio", _USE, "cannot find empty port",
        r"Cannot find empty port in range: {port}-(?P=port)\b",
        "OSError: Cannot find empty port in range: 7860-7860. You can specify a different port by setting the GRADIO_SERVER_PORT environment variable or passing the `server_port` parameter to `launch()`.", 7860, source="gradio 4"),
    Pattern("Gradio", Kind.RANGE_EXHAUSTED, "cannot find empty port",
        r"Cannot find empty port in range: {port}-\d",
        "OSError: Cannot find empty port in range: 7860-7959. You can specify a different port by setting the GRADIO_SERVER_PORT environment variable", 7860, source="gradio 4"),
    Pattern("Jupyter", _USE, "is already in use, trying another port",
        r"The port {port} is already in use, trying another port",
        "[I 2026-11-24 02:23:31.897 ServerApp] The port 8888 is already in use, trying another port.", 8888, source="jupyter-server 2"),
    Pattern("Jupyter", _USE, "could not be started because port",
        r"could not be started because port {port} is not available",
        "[C 10:00:00.000 ServerApp] ERROR: the Jupyter server could not be started because port 8888 is not available.", 8888, source="jupyter-server 2"),
    Pattern("Jupyter", Kind.PERMISSION_PRIVILEGED, "permission to listen on port",
        r"[Pp]ermission to listen on port {port} denied",
        "[W 10:00:00.000 ServerApp] Permission to listen on port 80 denied.", 80, source="jupyter-server 2"),
    Pattern("Jupyter", Kind.RANGE_EXHAUSTED, "no available port could be found",
        r"could not be started because no available port could be found",
        "[C 10:00:00.000 NotebookApp] ERROR: the notebook server could not be started because no available port could be found.", source="notebook 6"),
    Pattern("TensorBoard", _USE, "tensorboard could not bind",
        r"TensorBoard could not bind to port {port}",
        "TensorBoard could not bind to port 6006, it was already in use", 6006, source="tensorboard 2"),
    Pattern("TensorBoard", Kind.RANGE_EXHAUSTED, "tensorboard could not bind",
        r"TensorBoard could not bind to any port around {port}",
        "ERROR: TensorBoard could not bind to any port around 6006 (tried 10 times)", 6006, source="tensorboard 2"),
    Pattern("PyTorch", _USE, "server socket has failed to",
        r"server socket has failed to (?:bind to (?P<host>\[?[\w.:]{1,45}\]?):{port}|listen on any local network address)",
        "[W socket.cpp:436] [c10d] The server socket has failed to bind to [::]:29500 (errno: 98 - Address already in use).", 29500, "::", source="torch 2", soft=True),
    Pattern("PyTorch", Kind.CONNECTION_REFUSED, "client socket has failed to connect",
        r"client socket has failed to connect to \[?(?P<host>[\w.:-]{1,80})\]?:{port}",
        "[W socket.cpp:663] [c10d] The client socket has failed to connect to [localhost]:29500 (errno: 111 - Connection refused).", 29500, "localhost", source="torch 2"),
    Pattern("llama.cpp", _USE, "couldn't bind",
        r"couldn't bind (?:HTTP server|to server) socket[,:] host(?:name)?[=:] ?{host},? port[=:] ?{port}",
        "couldn't bind to server socket: hostname=127.0.0.1 port=8080", 8080, "127.0.0.1", source="llama.cpp server", soft=True),
    Pattern("llama.cpp", _USE, "couldn't bind",
        r"couldn't bind (?:HTTP server|to server) socket",
        "error: couldn't bind to server socket", source="llamafile#81", soft=True),
    Pattern("Ray", _USE, "ray is trying to start",
        r"Ray is trying to start at {at}, but is already running",
        "ConnectionError: Ray is trying to start at 172.16.1.58:6379, but is already running at 172.16.1.58:6379. Please specify a different port using the `--port` flag of `ray start` command.", 6379, "172.16.1.58", source="ray 2"),
    Pattern("gRPC", _USE, "failed to bind to address",
        r"RuntimeError: Failed to bind to address {at}",
        "RuntimeError: Failed to bind to address [::]:50051; set GRPC_VERBOSITY=debug environment variable to see detailed error message.", 50051, "::", source="grpcio 1.60", soft=True),
    Pattern("gRPC", _USE, "no address added out of total",
        r"No address added out of total \d+ resolved(?: for '{at}')?",
        "Error: No address added out of total 1 resolved for '0.0.0.0:50051'", 50051, "0.0.0.0", source="grpc-js", soft=True),
    Pattern("JupyterHub", _USE, "failed to bind",
        r"Failed to bind (?:hub|proxy) to {at}",
        "[E 10:00:00.000 JupyterHub app:3000] Failed to bind hub to http://127.0.0.1:8081/hub/", 8081, "127.0.0.1", source="jupyterhub 4", soft=True),
)  # fmt: skip
