"""The servers that are compared: how each is started, on which core, and when it is ready."""

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import processes

BENCHES = Path(__file__).resolve().parent.parent
ROOT = BENCHES.parent
TARGET = ROOT / "target"
VENV = TARGET / "bench-venv"
LOGS = TARGET / "bench-logs"
BIN = VENV / "bin"


@dataclass(frozen=True)
class Server:
    """A way to serve an app; `command` may hold {app} and {port}."""

    name: str
    title: str
    command: tuple
    #: Options for `idle.py`: many connections, kept for long.
    patient: tuple = ()
    #: Whether it serves Python apps; if not, it knows only "hello".
    python: bool = True
    #: What a reader must know, by the round that it is about; "" for all.
    notes: tuple = ()


_ONE = ("-w", "1", "-b", "127.0.0.1:{port}")

SERVERS = [
    Server(
        "ferricorn",
        "Ferricorn",
        (str(BIN / "ferricorn"), *_ONE, "{app}"),
        ("--worker-connections", "2000", "--keep-alive", "120"),
    ),
    Server("hyper", "bare hyper (no Python)", (str(TARGET / "release/baseline"), "{port}"), python=False),
    Server(
        "sync",
        "gunicorn sync",
        (str(BIN / "gunicorn"), *_ONE, "-k", "sync", "{app}"),
        notes=(("", "no keep-alive; each request is a connection of its own."),),
    ),
    Server(
        "gthread",
        "gunicorn gthread",
        (str(BIN / "gunicorn"), *_ONE, "-k", "gthread", "--threads", "4", "{app}"),
        ("--worker-connections", "2000", "--keep-alive", "120"),
        notes=(("", "with 4 threads, which serve it better than one."),),
    ),
    Server(
        "granian",
        "Granian",
        (
            *(str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}"),
            *("--workers", "1", "--blocking-threads", "1", "--runtime-threads", "1", "{app}"),
        ),
    ),
    Server(
        "fastpysgi",
        "FastPySGI",
        (str(BIN / "python"), "run_fastpysgi.py", "{app}", "{port}"),
        notes=(("stream", "runs the generator to its end before it sends a byte, so it does not stream."),),
    ),
]


def cores():
    """The core of the server and that of the load generator."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("the comparison needs two cores: one for the server, one for the load generator")
    return usable[0], usable[1]


def pinned(core, command):
    """The command, to run on that core alone."""
    return ["taskset", "-c", str(core), *command]


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    pid: int
    port: int


@contextlib.contextmanager
def running(server, app, path, core, patient=False):
    """Starts a server, waits until it answers `path`, and ends it with all its processes afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.format(app=app, port=port) for part in server.command]
    if patient:
        command[1:1] = server.patient
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{server.name}.log"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": "."}
    for name in ("GUNICORN_CMD_ARGS", "FERRICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT"):
        environment.pop(name, None)
    with open(log, "wb") as out:
        process = subprocess.Popen(
            pinned(core, command), cwd=BENCHES / "apps", env=environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True,
        )
    try:
        _await_answer(process, port, path, server, log)
        yield Running(process.pid, port)
    finally:
        processes.stop(process)


def _await_answer(process, port, path, server, log, patience=20):
    end = time.monotonic() + patience
    while True:
        try:
            if get(port, path).startswith(b"HTTP/1.1 200"):
                return
            fault = f"does not answer {path} with 200"
        except ConnectionRefusedError:
            fault = "does not listen"
        except OSError as error:
            fault = str(error)
        if process.poll() is not None:
            fault = f"left with {process.returncode}"
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit(f"{server.title} {fault}:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.02)


def get(port, path, patience=5):
    """The first bytes of the answer to one request; the path `UPLOAD` stands for a small POST."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
        head = f"Host: 127.0.0.1:{port}\r\nConnection: close\r\n"
        if path == "UPLOAD":
            client.sendall(f"POST / HTTP/1.1\r\n{head}Content-Length: 1\r\n\r\nx".encode())
        else:
            client.sendall(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
        return client.recv(65536)
