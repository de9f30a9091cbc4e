"""A server that is measured: how it is started, on which core, and when it is ready."""

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass, replace
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

    def with_workers(self, count):
        """The same with so many workers."""
        command, flag = list(self.command), "--workers" if "--workers" in self.command else "-w"
        command[command.index(flag) + 1] = str(count)
        return replace(self, command=tuple(command))

    def with_preload(self):
        """The same with `--preload`."""
        return replace(self, title=f"{self.title} --preload", command=(*self.command, "--preload"))

    @property
    def is_ours(self):
        """Whether it is Ferricorn, with whatever options."""
        return self.command[0] == str(BIN / "ferricorn")


class Fault(SystemExit):
    """A server does not do what it must. Ends the program, unless that is a result."""


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

    title: str
    pid: int
    port: int


@contextlib.contextmanager
def running(server, app, core, patient=False, extra=None, folder=BENCHES / "apps"):
    """Starts a server, waits until it answers, and ends it with all its processes afterwards. The app is in that folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [part.format(app=app, port=port) for part in server.command]
    if patient:
        command[1:1] = server.patient
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{server.name}.log"
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": ".", **(extra or {})}
    for name in ("GUNICORN_CMD_ARGS", "FERRICORN_CMD_ARGS", "WEB_CONCURRENCY", "PORT"):
        environment.pop(name, None)
    with open(log, "wb") as out:
        process = subprocess.Popen(
            pinned(core, command), cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=out, stderr=out, start_new_session=True,
        )
    try:
        _await_answer(process, port, server, log)
        yield Running(server.title, process.pid, port)
    except Fault as fault:
        if process.poll() is None:
            raise
        raise Fault(f"{fault}; its process left with {process.returncode}") from fault
    finally:
        processes.stop(process)


def _await_answer(process, port, server, log, patience=20):
    end = time.monotonic() + patience
    while True:
        try:
            if get(port, "/").startswith(b"HTTP/1.1 "):
                return
            fault = "closes its connections"
        except ConnectionRefusedError:
            fault = "does not listen"
        except OSError as error:
            fault = str(error)
        if process.poll() is not None:
            fault = f"left with {process.returncode}"
        if process.poll() is not None or time.monotonic() > end:
            raise Fault(f"{server.title} {fault}:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.02)


def get(port, path, patience=5):
    """The first bytes of the answer to one request."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        return client.recv(65536)
